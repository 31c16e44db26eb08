//! `lethe bench` on real servers: that it works and what its report says, not how fast anything is.

use std::fs;

use serde_json::Value;

use crate::process::{Folder, Server, run_cli};

/// Runs `lethe --json bench --quick` with more words, and returns the report.
#[track_caller]
fn report(words: &[&str]) -> Value {
    let output = run_cli(&[&["--json", "bench", "--quick"], words].concat());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{error}");
    serde_json::from_str(&text).expect("JSON")
}

#[track_caller]
fn number(value: &Value, path: &str) -> f64 {
    let found = value.pointer(path).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no number at {path}: {value:#}"))
}

#[test]
fn every_kind_of_row_says_what_was_done_and_what_it_cost() {
    let folder = Folder::new();
    let (json, svg) = (folder.join("report.json"), folder.join("report.svg"));
    let words = [
        "--only",
        "encrypt,decrypt-4k,encrypt-batch,sign,api-key,list,names,create,destroy,bulk-destroy",
        "--json-file",
        json.to_str().expect("UTF-8"),
        "--svg",
        svg.to_str().expect("UTF-8"),
        "--data-under",
        folder.path().to_str().expect("UTF-8"),
    ];
    let report = report(&words);
    let rows = report["rows"].as_array().expect("rows");
    let names: Vec<&str> = rows.iter().filter_map(|row| row["work"].as_str()).collect();
    assert_eq!(names.join(","), words[1]);
    for row in rows {
        let work = row["work"].as_str().expect("a name");
        assert!(number(row, "/server/requests") > 0.0, "{row:#}");
        assert!(number(row, "/server/requests_per_s") > 0.0, "{row:#}");
        assert_eq!(row["server"]["errors"], 0, "{row:#}");
        assert!(row["server"]["cpu_s_per_1k"].is_number(), "{row:#}");
        let has_floor = ["encrypt", "decrypt-4k", "sign"].contains(&work);
        assert_eq!(row["floor"].is_object(), has_floor, "{row:#}");
        if work == "bulk-destroy" {
            assert_eq!(row["server"]["p99_ms"], Value::Null);
        } else {
            let times = ["p50_ms", "p90_ms", "p99_ms", "p999_ms", "longest_ms"];
            let times = times.map(|name| number(row, &format!("/server/{name}")));
            assert!(times[0] > 0.0 && times.is_sorted(), "{row:#}");
        }
    }
    assert!(number(&report, "/server_resident_peak_kib") > 0.0);
    let written: Value = serde_json::from_slice(&fs::read(&json).expect("a file")).expect("JSON");
    assert_eq!(written, report);
    let picture = fs::read_to_string(&svg).expect("a file");
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");
    assert_eq!(picture.matches("<g ").count(), 9, "all but the bulk destruction");
}

#[test]
fn many_keys_are_made_and_survive_a_restart_under_an_open_load_over_tls() {
    let folder = Folder::new();
    let data = folder.path().to_str().expect("UTF-8");
    let words = ["--keys", "150", "--tls", "--rate", "40,80", "--only", "encrypt-any,list"];
    let report = report(&[&words[..], &["--data-under", data]].concat());
    assert_eq!(report["is_tls"], true);
    assert_eq!(report["scale"]["keys"], 150);
    for path in ["/scale/start/seconds", "/scale/start/resident_kib", "/scale/start/store_bytes"] {
        assert!(number(&report, path) > 0.0, "{path}");
    }
    let rows = report["rows"].as_array().expect("rows");
    let offered: Vec<f64> = rows.iter().map(|row| number(row, "/offered_per_s")).collect();
    assert_eq!(offered, [40.0, 80.0, 40.0, 80.0]);
    // All that was due in a tenth of a second, and not more: an open loop does not hurry.
    let sent = |row: &Value| number(row, "/server/requests") + number(row, "/server/unsent");
    assert_eq!(rows.iter().map(sent).collect::<Vec<_>>(), [4.0, 8.0, 4.0, 8.0]);
}

#[test]
fn a_server_of_somebody_else_keeps_its_keys_and_loses_those_of_the_load() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let client = server.native();
    let own = crate::keys::create(&client, "aes256-gcm");
    let data = server.data().to_str().expect("UTF-8");
    let pid = server.process_id().to_string();
    let words = ["--dev", data, "--pid", &pid, "--only", "encrypt,create,bulk-destroy"];
    let report = report(&words);
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(3));
    assert!(number(&report, "/server_resident_kib") > 0.0);
    let left = client.get("/v1/keys").expect(200).json();
    let left: Vec<&str> = left["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .filter_map(|key| key["id"].as_str())
        .collect();
    assert_eq!(left, [own]);
    let vaults = client.get("/v1/vaults").expect(200).text();
    assert!(!vaults.contains("bench-"), "{vaults}");
}

#[test]
fn what_happens_beside_the_load_is_told() {
    let folder = Folder::new();
    let data = folder.path().to_str().expect("UTF-8");
    let words = ["--mixed", "destroys,backup", "--flood", "bad-tokens", "--destroys-per-s", "50"];
    let more = ["--rate", "50", "--flood-connections", "4", "--data-under", data];
    let report = report(&[&words[..], &more].concat());
    let mixed = report["mixed"].as_array().expect("what was mixed");
    let names: Vec<&str> = mixed.iter().filter_map(|row| row["meanwhile"].as_str()).collect();
    assert_eq!(names, ["50 destroys/s", "backup", "flood: bad-tokens"]);
    for row in mixed {
        for side in ["alone", "disturbed"] {
            assert_eq!(row[side]["errors"], 0, "{row:#}");
            assert_eq!(number(row, &format!("/{side}/requests")), 5.0, "{row:#}");
        }
    }
    assert_eq!(number(&mixed[0], "/did/destroyed/requests"), 5.0);
    assert!(number(&mixed[1], "/did/backups") >= 1.0);
    assert!(mixed[2]["did"]["flood"]["statuses"].is_object());
}

#[test]
fn a_load_that_fails_is_a_failure() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let data = server.data().to_str().expect("UTF-8").to_owned();
    server.kill();
    let gone = run_cli(&["bench", "--quick", "--dev", &data]);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    let nobody = run_cli(&["bench", "--quick", "--dev", "/nonexistent"]);
    assert_eq!(nobody.status.code(), Some(3), "{nobody:?}");
    let wrong = run_cli(&["bench", "--only", "everything"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}
