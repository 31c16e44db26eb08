//! The audit trail of a real server: read, checked, tampered with, taken away.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::keys::{create, encrypt, problem};
use crate::process::{Folder, LETHE, Process, Server, child, run_cli};

/// What `lethe audit …` on this data folder says: exit code, standard output, standard error.
fn audit(data: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let mut arguments = vec!["audit"];
    arguments.extend(words);
    if !words.iter().any(|word| word.ends_with(".jsonl")) {
        arguments.extend(["--data", data.to_str().expect("UTF-8")]);
    }
    let output = run_cli(&arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Checks that the trail holds, and answers what is said of it.
#[track_caller]
fn holds(data: &Path) -> Value {
    let (code, said, complaint) = audit(data, &["verify", "--json"]);
    assert_eq!(code, Some(0), "{said}{complaint}");
    serde_json::from_str(&said).expect("JSON")
}

/// The events that `tail` shows, as JSON.
#[track_caller]
fn tail(data: &Path, words: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["tail", "--json"];
    arguments.extend(words);
    let (code, said, complaint) = audit(data, &arguments);
    assert_eq!((code, complaint.as_str()), (Some(0), ""));
    said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn the_trail_of_a_running_server_is_shown_and_holds() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let data = server.data().to_owned();
    let client = server.native();
    let key = create(&client, "aes256-gcm");
    let other = create(&client, "aes256-gcm");
    encrypt(&client, &other);
    client.delete(&format!("/v1/keys/{key}")).expect(200);
    client.delete(&format!("/v1/keys/{key}")).expect(410);
    holds(&data);
    assert!(server.terminate().success());
    let report = holds(&data);
    assert_eq!((&report["files"], &report["broken"]), (&json!(1), &Value::Null));
    assert_eq!(report["anchored_seq"], report["last"]["seq"]);

    let operations = |words: &[&str]| -> Vec<String> {
        let events = tail(&data, words);
        events.iter().map(|event| event["operation"].as_str().expect("it").to_owned()).collect()
    };
    let ends = ["key.create", "key.create", "key.encrypt", "key.destroy", "key.destroy"];
    assert_eq!(operations(&["-n", "5"]), ends);
    assert_eq!(operations(&["-n", "0"]), [""; 0]);
    assert_eq!(operations(&["--key", &key]), ["key.create", "key.destroy", "key.destroy"]);
    assert_eq!(operations(&["--operation", "key.d"]), ["key.destroy", "key.destroy"]);
    assert_eq!(operations(&["--key", &key, "--refused"]), ["key.destroy"]);
    let principal = tail(&data, &["-n", "1"])[0]["principal"].as_str().expect("it").to_owned();
    assert_eq!(operations(&["--principal", &principal, "-n", "2"]), ends[3..]);
    assert_eq!(operations(&["--principal", &key]), [""; 0]);

    let (code, said, _) = audit(&data, &["tail", "-n", "2"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 3), "{said}");
    assert!(lines[0].starts_with("TIME  ") && lines[2].contains("  refused  key.destroy  "));
    assert_eq!(lines[1].find(&key), lines[0].find("KEY OR SUBJECT"), "{said}");
    let (code, said, _) = audit(&data, &["verify"]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("The audit trail holds.\n"), "{said}");
    assert!(said.contains("Its end is the one that the head names."), "{said}");
}

#[test]
fn a_trail_that_somebody_altered_is_refused_by_name_of_file_and_line() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let data = server.data().to_owned();
    let key = create(&server.native(), "aes256-gcm");
    encrypt(&server.native(), &key);
    assert!(server.terminate().success());
    let file = data.join("audit/audit.jsonl");
    let whole = fs::read_to_string(&file).expect("readable");
    let kept = folder.join("kept-head");
    fs::copy(data.join("audit/head"), &kept).expect("copied");
    let kept = kept.to_str().expect("UTF-8");
    assert_eq!(audit(&data, &["verify", "--anchor", kept]).0, Some(0));
    // Who did it, is another one now.
    let line = 1 + whole.lines().position(|line| line.contains("key.encrypt")).expect("there");
    let altered = whole.replace("\"key.encrypt\"", "\"key.decrypt\"");
    fs::write(&file, altered).expect("written");
    let (code, said, complaint) = audit(&data, &["verify"]);
    assert_eq!(code, Some(1), "{said}");
    let place = format!("{}, line {line}: ", file.display());
    assert!(complaint.contains(&place), "{complaint} should name {place}");
    assert!(!said.contains("holds."), "{said}");
    let (code, said, complaint) = audit(&data, &["verify", "--json"]);
    assert_eq!((code, complaint.as_str()), (Some(1), ""));
    let report: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&report["holds"], &report["broken"]["line"]), (&json!(false), &json!(line)));
    // Without the last line, and with a head that was made to fit.
    let cut = whole.trim_end().rfind('\n').expect("several lines") + 1;
    fs::write(&file, &whole[..cut]).expect("written");
    assert_eq!(audit(&data, &["verify"]).0, Some(1));
    let alone = file.to_str().expect("UTF-8");
    let (code, said, _) = audit(&data, &["verify", alone]);
    assert_eq!(code, Some(0));
    assert!(said.contains("No head was compared"), "{said}");
    assert_eq!(audit(&data, &["verify", alone, "--anchor", kept]).0, Some(1));
    // What cannot be read is no answer.
    let nowhere = folder.join("nowhere");
    assert_eq!(audit(&nowhere, &["verify"]).0, Some(4));
    assert_eq!(audit(&nowhere, &["tail"]).0, Some(4));
    assert_eq!(audit(&data, &["verify", "--anchor", alone]).0, Some(4));
    let config = folder.join("lethe.toml");
    fs::write(&config, "[audit]\nx = 1\n").expect("written");
    let config = config.to_str().expect("UTF-8");
    assert_eq!(audit(&data, &["tail", "--config", config]).0, Some(3));
}

#[test]
fn a_trail_holds_over_kills_and_rotations() {
    let folder = Folder::new();
    let small = ["--set", "audit.rotate_bytes=65536"];
    let mut server = Server::start_dev(&folder.join("data"), &small, &[]);
    let data = server.data().to_owned();
    for round in 1..=3 {
        let client = server.native();
        let key = create(&client, "aes256-gcm");
        // What was not written yet goes with a kill, so that files are counted, not uses.
        let rotated = (0..10_000).any(|_| {
            encrypt(&client, &key);
            let files = fs::read_dir(data.join("audit")).expect("a directory");
            let is_trail = |name: &Path| name.extension().is_some_and(|end| end == "jsonl");
            files.filter(|file| is_trail(&file.as_ref().expect("a file").path())).count() > round
        });
        assert!(rotated, "round {round}");
        server.kill();
        holds_after_crash(&data);
        server = server.restart();
        holds(&data);
    }
    assert!(server.terminate().success());
    let report = holds(&data);
    assert!(report["files"].as_u64().expect("a number") >= 3, "{report}");
    let mut lines = tail(&data, &["-n", "100000", "--operation", "key.create"]);
    // Other doors make what they need at the start.
    lines.retain(|line| line["door"] == "native");
    assert_eq!(lines.len(), 3);
}

/// A kill may tear the last line; nothing else may be wrong.
#[track_caller]
fn holds_after_crash(data: &Path) {
    let (code, said, _) = audit(data, &["verify", "--json"]);
    let report: Value = serde_json::from_str(&said).expect("JSON");
    let is_torn = report["broken"]["fault"] == "torn";
    assert!(code == Some(0) || is_torn, "{report}");
}

/// Asks again and again until it answers `status`.
#[track_caller]
fn until(client: &Client, path: &str, status: u16) -> Answer {
    for _ in 0..20_000 {
        let answer = client.get(path);
        if answer.status == status {
            return answer;
        }
    }
    panic!("{path} never answered {status}")
}

#[test]
fn without_its_directory_nothing_is_done_and_with_it_all_goes_on() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let data = server.data().to_owned();
    let client = server.native();
    let key = create(&client, "aes256-gcm");
    let uses = format!("/v1/keys/{key}/encrypt");
    encrypt(&client, &key);
    let (place, elsewhere) = (data.join("audit"), data.join("elsewhere"));
    for is_replaced in [false, true] {
        fs::rename(&place, &elsewhere).expect("renamed");
        if is_replaced {
            fs::write(&place, "a file").expect("written");
        }
        // Nobody uses anything: the server notices by itself.
        let said = until(&client, "/health/ready", 503).text();
        assert!(said.contains("the audit trail cannot be written"), "{said}");
        let used = client.post(&uses, &json!({"plaintext": ""})).expect(503);
        assert_eq!(problem(&used), "audit-unavailable");
        let body = json!({"name": "n", "algorithm": "aes256-gcm"});
        assert_eq!(problem(&client.post("/v1/keys", &body).expect(503)), "audit-unavailable");
        let gone = client.delete(&format!("/v1/keys/{key}")).expect(503);
        assert_eq!(problem(&gone), "audit-unavailable");
        if is_replaced {
            fs::remove_file(&place).expect("removed");
        }
        fs::rename(&elsewhere, &place).expect("renamed");
        until(&client, "/health/ready", 200);
        encrypt(&client, &key);
    }
    client.delete(&format!("/v1/keys/{key}")).expect(200);
    assert!(server.terminate().success());
    holds(&data);
    let events = tail(&data, &["--key", &key, "-n", "100"]);
    let count = |operation: &str| events.iter().filter(|e| e["operation"] == operation).count();
    assert_eq!(["key.create", "key.encrypt", "key.destroy"].map(count), [1, 3, 1]);
}

#[test]
fn tail_follows_the_trail_from_file_to_file() {
    let folder = Folder::new();
    let small = ["--set", "audit.rotate_bytes=65536"];
    let server = Server::start_dev(&folder.join("data"), &small, &[]);
    let client = server.native();
    let key = create(&client, "aes256-gcm");
    let data = server.data().to_str().expect("UTF-8");
    let mut command = child(LETHE);
    command.args(["audit", "tail", "-f", "-n", "1", "--json", "--data", data]);
    command.args(["--operation", "key.", "--key", &key]);
    let mut following = Process::start(command);
    let mut next = || -> Value {
        let line = following.next_line(Duration::from_secs(20)).expect("an event in time");
        serde_json::from_str(&line).expect("JSON")
    };
    let mut seq = next()["seq"].as_u64().expect("a number");
    for _ in 0..200 {
        encrypt(&client, &key);
    }
    for _ in 0..200 {
        let event = next();
        assert_eq!(event["operation"], "key.encrypt");
        let now = event["seq"].as_u64().expect("a number");
        assert!(now > seq, "{now} after {seq}");
        seq = now;
    }
    assert!(holds(server.data())["files"].as_u64() >= Some(2));
}
