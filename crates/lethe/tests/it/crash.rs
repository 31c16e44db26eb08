//! `kill -9` at every named point of create and destroy, and at random: every acknowledged create
//! works, every acknowledged destroy is final, and nothing else is lost.

mod points;
mod power;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::client::Client;
use crate::keys::{create, decrypt, encrypt, opens, problem, try_destroy};
use crate::process::{Folder, Server, run_cli};

/// The points in order, and whether a create passes them too.
const POINTS: [(&str, bool); 8] = [
    ("commit.planned", true),
    ("commit.staged", true),
    ("commit.durable", true),
    ("slot.root_written", false),
    ("slot.old_root_erased", false),
    ("commit.published", true),
    ("commit.answered", true),
    ("settle.durable", false),
];

/// A key is either fully usable or provably gone, never in between.
#[track_caller]
fn whole_or_gone(server: &Server, client: &Client, key: &str, ciphertext: &str) -> bool {
    if opens(client, key, ciphertext) {
        client.get(&format!("/v1/keys/{key}/receipt")).expect(404);
        return true;
    }
    let refused = decrypt(client, key, ciphertext).expect(410);
    assert_eq!(problem(&refused), "object-destroyed");
    let receipt = client.get(&format!("/v1/keys/{key}/receipt")).expect(200);
    verify(server, &receipt.body);
    false
}

#[track_caller]
fn verify(server: &Server, receipt: &[u8]) {
    let file = server.data().join("receipt-under-test");
    std::fs::write(&file, receipt).expect("the receipt can be written");
    let data = server.data().to_str().expect("UTF-8");
    let output = run_cli(&["receipt", "verify", file.to_str().expect("UTF-8"), "--data", data]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_kill_at_every_point_of_destroy_leaves_keys_whole_or_gone() {
    for (point, _) in POINTS {
        let folder = Folder::new();
        let server = Server::start_dev(&folder.join("data"), &[], &[]);
        let client = server.native();
        let (kept, going) = (create(&client, "aes256-gcm"), create(&client, "aes256-gcm"));
        let (kept_text, going_text) = (encrypt(&client, &kept), encrypt(&client, &going));
        let mut server = server.restart_with(&[("LETHE_CRASH_AT", point)]);
        let answer = try_destroy(&server.native(), &going);
        server.wait_for_exit();
        let server = server.restart_with(&[]);
        let client = server.native();
        assert!(opens(&client, &kept, &kept_text), "{point}: a live key was lost");
        let is_whole = whole_or_gone(&server, &client, &going, &going_text);
        if let Some(answer) = answer {
            answer.expect(200);
            assert!(!is_whole, "{point}: an acknowledged destroy came back");
        }
        // The installation goes on.
        try_destroy(&client, &kept).expect("an answer").expect(200);
        assert!(!whole_or_gone(&server, &client, &kept, &kept_text));
    }
}

#[test]
fn a_kill_at_every_point_of_create_leaves_keys_whole_or_absent() {
    for (point, _) in POINTS.iter().filter(|(_, passed)| *passed) {
        let folder = Folder::new();
        let server = Server::start_dev(&folder.join("data"), &[], &[]);
        let before = create(&server.native(), "aes256-gcm");
        let text = encrypt(&server.native(), &before);
        let mut server = server.restart_with(&[("LETHE_CRASH_AT", point)]);
        let body = json!({"name": "cut short", "algorithm": "aes256-gcm"}).to_string();
        let answer = server.native().try_send(
            ureq::http::Method::POST,
            "/v1/keys",
            &[crate::client::JSON],
            body.as_bytes(),
        );
        server.wait_for_exit();
        let server = server.restart_with(&[]);
        let client = server.native();
        assert!(opens(&client, &before, &text), "{point}: a live key was lost");
        let listed = client.get("/v1/keys").expect(200).json();
        let ids: Vec<&str> = listed["keys"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|key| key["id"].as_str())
            .collect();
        for id in &ids {
            encrypt(&client, id);
        }
        if let Ok(answer) = answer {
            let id = answer.expect(201).json()["id"].clone();
            assert!(ids.contains(&id.as_str().expect("an id")), "{point}: a create was lost");
        }
    }
}

/// What the clients of the random run know.
#[derive(Default)]
struct Known {
    live: Vec<(String, String)>,
    gone: Vec<(String, String)>,
    unsure: Vec<(String, String)>,
}

/// Mixed work of one client until the server is gone: creates, uses, every second key destroyed.
fn mixed_work(client: &Client, known: &Mutex<Known>, done: &AtomicUsize, stop: &AtomicBool) {
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let body = json!({"name": "mixed", "algorithm": "aes256-gcm"}).to_string();
        let post = ureq::http::Method::POST;
        let headers = [crate::client::JSON];
        let Ok(answer) = client.try_send(post.clone(), "/v1/keys", &headers, body.as_bytes())
        else {
            return;
        };
        let id = answer.expect(201).json()["id"].as_str().expect("an id").to_owned();
        done.fetch_add(1, Ordering::SeqCst);
        let body = json!({"plaintext": "YSBsZXR0ZXIgdG8gY3VzdG9tZXIgMTc="}).to_string();
        let path = format!("/v1/keys/{id}/encrypt");
        let Ok(answer) = client.try_send(post, &path, &headers, body.as_bytes()) else { return };
        let text = answer.expect(200).json()["ciphertext"].as_str().expect("text").to_owned();
        done.fetch_add(1, Ordering::SeqCst);
        if number % 2 == 0 {
            known.lock().expect("no panic").live.push((id, text));
            continue;
        }
        known.lock().expect("no panic").unsure.push((id.clone(), text.clone()));
        let Some(answer) = try_destroy(client, &id) else { return };
        answer.expect(200);
        done.fetch_add(1, Ordering::SeqCst);
        let mut known = known.lock().expect("no panic");
        known.unsure.retain(|(other, _)| *other != id);
        known.gone.push((id, text));
    }
}

/// Operations before the last kill.
const OPERATIONS: usize = 500;
/// Kills, spread over them at uneven distances.
const KILLS: usize = 8;

#[test]
fn kills_at_random_during_500_mixed_operations_lose_nothing() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let known = Mutex::new(Known::default());
    let done = AtomicUsize::new(0);
    for round in 1..=KILLS {
        let client = server.native();
        let target = OPERATIONS * round / KILLS - (round * 7) % 13;
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| mixed_work(&client, &known, &done, &stop));
            }
            while done.load(Ordering::SeqCst) < target {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            server.kill();
            stop.store(true, Ordering::SeqCst);
        });
        server = server.restart();
        let client = server.native();
        let known = known.lock().expect("no panic");
        for (id, text) in &known.live {
            assert!(opens(&client, id, text), "round {round}: an acknowledged key was lost");
        }
        for (id, text) in &known.gone {
            decrypt(&client, id, text).expect(410);
        }
        for (id, text) in &known.unsure {
            whole_or_gone(&server, &client, id, text);
        }
    }
    assert!(done.load(Ordering::SeqCst) >= OPERATIONS - 13);
    let known = known.into_inner().expect("no panic");
    let client = server.native();
    for (id, text) in known.gone.iter().take(10) {
        assert!(!whole_or_gone(&server, &client, id, text));
    }
    assert!(known.live.len() > 20 && known.gone.len() > 20, "the run did real work");
}
