//! Attacks on a real server by somebody who holds everything: its memory, its files, old copies of
//! them, the current root. Each has a control that succeeds, so that it could fail.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_attack::{Hoard, ProcessMemory};
use serde_json::{Value, json};

use crate::keys::encrypt;
use crate::process::{Folder, Server, run_cli_with};

/// Whether some writable memory of the process contains `needle`.
fn memory_holds(process: u32, needle: &[u8]) -> bool {
    let memory = ProcessMemory::open(process).expect("its memory");
    memory.find(&[needle]).expect("readable").iter().any(|places| !places.is_empty())
}

/// Whether some file below `folder` contains `needle`.
fn files_hold(folder: &Path, needle: &[u8]) -> bool {
    let mut hoard = Hoard::new();
    hoard.add_folder(folder).expect("a folder");
    hoard.holds(needle)
}

/// Material that is found nowhere by chance.
fn material(seed: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (number, byte) in (1_u8..).zip(&mut bytes) {
        *byte = number.wrapping_mul(167).wrapping_add(seed.wrapping_mul(59)) ^ 0x5C;
    }
    bytes
}

/// Makes these attacks by the command that people use, in a folder of the test: each fails on Lethe
/// as it is, and each of its controls succeeds.
#[track_caller]
fn attack(names: &[&str], controls: usize) {
    let folder = Folder::new();
    let temporary = folder.path().to_str().expect("UTF-8");
    let mut words = vec!["--json", "demo", "--attack"];
    words.extend(names.iter().flat_map(|name| ["--only", name]));
    let output = run_cli_with(&words, &[("TMPDIR", temporary)], b"");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}{}", String::from_utf8_lossy(&output.stdout));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = report["attacks"].as_array().expect("a list");
    let made: Vec<&str> = rows.iter().filter_map(|row| row["attack"].as_str()).collect();
    assert_eq!(made, names, "every one of them was made");
    let mut won = 0;
    for row in rows {
        assert_eq!(row["result"], "held", "{row:#}");
        for control in row["controls"].as_array().expect("a list") {
            assert_eq!(control["result"], "broken", "{row:#}");
            won += 1;
        }
    }
    assert_eq!(won, controls, "{report:#}");
    assert!(fs::read_dir(folder.path()).expect("a folder").next().is_none(), "nothing is left");
}

#[test]
fn old_copies_and_the_root_of_today_open_nothing_that_was_destroyed() {
    attack(&["every-old-copy", "old-backup-new-slot"], 4);
}

#[test]
fn neither_free_pages_nor_memory_hold_what_was_destroyed() {
    attack(&["free-pages", "memory"], 4);
}

#[test]
fn data_and_slot_of_different_days_are_refused() {
    attack(&["old-slot-new-data", "old-data-new-slot"], 4);
}

#[test]
fn an_old_store_is_noticed_although_nothing_was_destroyed_since() {
    attack(&["unseen-roll-back"], 2);
}

#[test]
fn a_forged_store_gives_no_key_and_brings_none_back() {
    attack(&["exchanged-fields", "page-of-another-epoch"], 2);
}

#[test]
fn tombstones_of_before_are_no_tombstones_for_a_restore() {
    attack(&["replayed-tombstones"], 1);
}

#[test]
fn keys_in_use_are_kept_out_of_swap_and_core_files() {
    attack(&["swap", "core-file"], 2);
}

#[test]
fn no_attack_is_left_out_of_these_tests() {
    let output = run_cli_with(&["demo", "--help"], &[], b"");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let values = help.split("possible values:").nth(1).expect("the names of attacks");
    let named = values.split(']').next().unwrap_or_default().split(',').count();
    assert_eq!(named, 12, "{help}");
}

#[test]
fn a_defence_that_does_not_exist_starts_no_server() {
    let folder = Folder::new();
    let environment = [("LETHE_DEFENCES_OFF", "rekey,hope")];
    let refused = Server::try_start_dev(&folder.join("data"), &[], &environment);
    assert!(format!("{refused:?}").contains("there is no defence `hope`"), "{refused:?}");
    // And it says so if one is off.
    let environment = [("LETHE_DEFENCES_OFF", "rekey"), ("LETHE_CRASH_AT", "nowhere")];
    let refused = Server::try_start_dev(&folder.join("data"), &[], &environment);
    assert!(format!("{refused:?}").contains("THIS IS A TEST WITHOUT DEFENCE"), "{refused:?}");
}

#[test]
fn a_destroyed_key_is_neither_in_the_memory_nor_in_the_files_of_the_server() {
    let folder = Folder::new();
    // A debugger of the same user may look; the default forbids it.
    let words = ["--set", "memory.allow_dumps=true"];
    let server = Server::start_dev(&folder.join("data"), &words, &[]);
    let client = server.native();
    for (seed, algorithm) in (1..).zip(["aes256-gcm", "hmac-sha256", "ed25519"]) {
        let secret = material(seed);
        let import = json!({"format": "raw", "key": STANDARD.encode(secret)});
        let body = json!({"name": "known", "algorithm": algorithm, "import": import});
        let key = client.post("/v1/keys", &body).expect(201).json();
        let key = key["id"].as_str().expect("an id").to_owned();
        let data = STANDARD.encode("a letter");
        match algorithm {
            "aes256-gcm" => drop(encrypt(&client, &key)),
            "hmac-sha256" => {
                client.post(&format!("/v1/keys/{key}/mac"), &json!({"message": data})).expect(200);
            }
            _ => {
                let path = format!("/v1/keys/{key}/sign");
                client.post(&path, &json!({"message": data})).expect(200);
            }
        }
        let is_expanded = algorithm == "aes256-gcm";
        let process = server.process_id();
        if is_expanded {
            assert!(memory_holds(process, &secret), "the control: a key in use is in memory");
        }
        assert!(!files_hold(server.data(), &secret), "{algorithm}: in a file, live");
        client.delete(&format!("/v1/keys/{key}")).expect(200);
        assert!(!files_hold(server.data(), &secret), "{algorithm}: in a file, destroyed");
        assert!(!memory_holds(process, &secret), "{algorithm}: in memory, destroyed");
    }
}

#[test]
fn the_memory_of_a_server_is_kept_out_of_core_files_and_out_of_reach() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let process = server.process_id();
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let core: Vec<&str> = core.expect("the limit of core files").split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{core:?}");
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("VmLck");
    let locked: u64 = locked.trim_end_matches("kB").trim().parse().expect("a number");
    // Without the right to lock, the server says so and goes on: see `memory.lock`.
    if rustix::process::geteuid().is_root() {
        assert!(locked > 0, "{locked} KiB are locked");
    }
    drop(server);
    let words = ["--set", "memory.lock=always"];
    let refused = Server::try_start_dev(&folder.join("data"), &words, &[]);
    assert!(format!("{refused:?}").contains("required"), "{refused:?}");
}
