//! The root in a TPM stays for a while before it is changed again: what cuts from the erasure tree
//! waits meanwhile, also for the end of the server, and everything else goes on.

use std::thread;

use serde_json::Value;

use super::{Key, Tpm, set, start, words};
use crate::client::Client;
use crate::keys::try_destroy;
use crate::process::{Folder, Server, run_cli};

/// Longer than any test runs.
const LONG: &str = "rest=1h";

/// Asks often enough that a request comes through on a busy machine.
const LOOKS_MAX: usize = 100_000;

/// Waits until so many requests are being answered beside the one that asks.
fn in_flight(server: &Server, wanted: usize) {
    let client = server.native().without_token();
    let count = |client: &Client| -> Option<usize> {
        let text = String::from_utf8(client.get("/metrics").expect(200).body).ok()?;
        let name = "lethe_http_requests_in_flight";
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).reduce(|a, b| a + b)
    };
    let is_there = |_| count(&client).is_some_and(|count| count > wanted);
    assert!((0..LOOKS_MAX).any(is_there), "the requests do not arrive");
}

fn epoch(statement: &Value) -> u64 {
    statement["epoch_to"].as_u64().unwrap_or_else(|| panic!("{statement}"))
}

fn destroyed(client: &Client, key: &Key) -> Value {
    let answer = try_destroy(client, &key.id).expect("an answer").expect(200);
    answer.json()["statement"].clone()
}

#[test]
fn destructions_wait_for_the_rest_and_go_together() {
    let folder = Folder::new();
    let (data, tpm) = (folder.join("data"), Tpm::new(&folder));
    let server = start(&data, &tpm.slot(&["rest=5s"]));
    let [first, second, third] = [(); 3].map(|()| Key::new(&server));
    let begun = first.destroy(&server);
    first.is_gone(&server);
    let after_first = tpm.generations();
    let (second_told, third_told) = thread::scope(|scope| {
        let told = [&second, &third].map(|key| {
            let client = server.native();
            scope.spawn(move || destroyed(&client, key))
        });
        in_flight(&server, 2);
        // Nothing is half destroyed, and everything else goes on.
        assert!(second.is_live(&server) && third.is_live(&server), "they wait");
        let meanwhile = Key::new(&server);
        assert!(meanwhile.is_live(&server));
        assert_eq!(tpm.generations(), after_first, "the TPM is left alone");
        assert!(told.iter().all(|told| !told.is_finished()), "the answer waits");
        let [second, third] = told.map(|told| told.join().expect("destroyed"));
        (second, third)
    });
    assert_eq!(epoch(&second_told), epoch(&third_told), "one change for both");
    assert_eq!(epoch(&second_told), epoch(&begun) + 1);
    assert_eq!(tpm.generations()[0], after_first[0] + 1);
    let erased = |statement: &Value| -> lethe_types::UnixMillis {
        let text = statement["irrecoverable_since"].as_str().expect("a time");
        text.parse().expect("a time")
    };
    let between = erased(&second_told).0.saturating_sub(erased(&begun).0);
    assert!(between >= 4_900, "{between} ms");
    for key in [&second, &third] {
        key.is_gone(&server);
    }
}

#[test]
fn what_waits_lives_on_if_the_server_is_killed() {
    let folder = Folder::new();
    let (data, tpm) = (folder.join("data"), Tpm::new(&folder));
    let mut server = start(&data, &tpm.slot(&[LONG]));
    let [first, second] = [Key::new(&server), Key::new(&server)];
    first.destroy(&server);
    let after_first = tpm.generations();
    let client = server.native();
    thread::scope(|scope| {
        let told = scope.spawn(|| try_destroy(&client, &second.id));
        in_flight(&server, 1);
        server.kill();
        assert!(told.join().expect("it ran").is_none(), "nobody was told that it is done");
    });
    let server = server.restart();
    first.is_gone(&server);
    assert!(second.is_live(&server), "it was not begun");
    assert_eq!(tpm.generations(), after_first);
    // A start knows of no change before it, and the next one rests again.
    second.destroy(&server);
    second.is_gone(&server);
    let third = Key::new(&server);
    thread::scope(|scope| {
        let client = server.native();
        let third = &third;
        let told = scope.spawn(move || try_destroy(&client, &third.id));
        in_flight(&server, 1);
        assert!(third.is_live(&server) && !told.is_finished());
        drop(server);
        assert!(told.join().expect("it ran").is_none());
    });
}

#[test]
fn what_waits_is_finished_when_the_server_is_stopped() {
    let folder = Folder::new();
    let (data, tpm) = (folder.join("data"), Tpm::new(&folder));
    let mut slot = set(&tpm.slot(&[LONG]));
    slot.extend(["--set", "shutdown_grace=1s"].map(str::to_owned));
    let mut server = Server::start_dev(&data, &words(&slot), &[]);
    let [first, second, third] = [(); 3].map(|()| Key::new(&server));
    first.destroy(&server);
    let after_first = tpm.generations();
    let client = server.native();
    thread::scope(|scope| {
        let told = scope.spawn(|| try_destroy(&client, &second.id));
        in_flight(&server, 1);
        assert!(server.terminate().success());
        drop(told.join().expect("it ran"));
    });
    assert_eq!(tpm.generations()[0], after_first[0] + 1, "one change, at the end");
    let server = server.restart();
    first.is_gone(&server);
    second.is_gone(&server);
    assert!(third.is_live(&server));
}

#[test]
fn a_rest_that_makes_no_sense_is_refused() {
    let folder = Folder::new();
    let tpm = Tpm::new(&folder);
    let data = folder.join("data");
    for (setting, words) in [
        ("rest=30", "rest"),
        ("rest=-1s", "rest"),
        ("rest=61m", "rest"),
        ("rest=2h", "rest"),
        ("rest=", "rest"),
        ("rest=soon", "rest"),
    ] {
        let slot = set(&tpm.slot(&[setting]));
        let mut all = vec!["doctor", "--data", data.to_str().expect("UTF-8")];
        all.extend(slot.iter().map(String::as_str));
        let output = run_cli(&all);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{setting}: {said}");
        assert!(said.contains(words), "{setting}: {said}");
    }
    let of_file =
        run_cli(&["doctor", "--data", data.to_str().expect("UTF-8"), "--set", "slot.rest=5s"]);
    assert_eq!(of_file.status.code(), Some(3), "{of_file:?}");
    assert!(!data.exists() && tpm.generations().is_empty());
}
