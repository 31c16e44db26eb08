//! `kill -9` at every named point that a signed deletion passes (the end of case 52): what is in
//! the log of user actions never says more than what became of the key, and a key is whole or gone.

use serde_json::{Value, json};
use ureq::http::Method;

use super::account::{Account, text};
use super::vectors::HASH;
use crate::process::{Folder, Server};

/// The points, and at which pass: a deletion writes the signed action, erases, and writes what
/// became of it.
const POINTS: [&str; 8] = [
    "commit.answered:1",
    "commit.planned:2",
    "commit.staged:2",
    "commit.durable:2",
    "slot.root_written",
    "slot.old_root_erased",
    "commit.published:2",
    "commit.planned:3",
];

/// Signs a deletion and sends it, until the server is gone; the status of the answer to it.
fn try_delete(dev: &Account, path: &str) -> Option<u16> {
    let json = ("content-type", "application/json");
    let post = |path: &str, body: &Value| {
        dev.client.try_send(Method::POST, path, &[json], body.to_string().as_bytes()).ok()
    };
    let announced = json!({"userActionPayload": "", "userActionHttpMethod": "DELETE",
        "userActionHttpPath": path});
    let init = post("/auth/action/init", &announced)?.expect(200).json();
    let signed = post("/auth/action", &dev.answer(&init))?.expect(200).json();
    let action = text(&signed["userAction"]);
    let headers = [("x-dfns-useraction", action.as_str()), json];
    Some(dev.client.try_send(Method::DELETE, path, &headers, b"").ok()?.status)
}

/// What the log of user actions says became of the deletions of that path.
fn outcomes(dev: &Account, path: &str) -> Vec<String> {
    let query = "startTime=2020-01-01T00:00:00Z&endTime=2100-01-01T00:00:00Z";
    let log = dev.get(&format!("/auth/action/logs?{query}")).expect(200).json();
    let start = format!("DELETE {path}: ");
    let lines = text(&log);
    let lines = lines.lines().filter_map(|line| line.split(',').next_back());
    lines.filter_map(|line| line.strip_prefix(start.as_str()).map(str::to_owned)).collect()
}

#[test]
fn a_kill_at_every_point_of_a_signed_deletion_leaves_keys_whole_or_gone() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let create = json!({"scheme": "ECDSA", "curve": "secp256k1"});
    let hash = json!({"kind": "Hash", "hash": HASH});
    let (mut whole, mut gone) = (0, 0);
    for point in POINTS {
        let dev = Account::developer(&server);
        let kept = text(&dev.create(&create)["id"]);
        let going = text(&dev.create(&create)["id"]);
        let path = format!("/keys/{going}");
        let mut armed = server.restart_with(&[("LETHE_CRASH_AT", point)]);
        let answer = try_delete(&Account::developer(&armed), &path);
        armed.wait_for_exit();
        server = armed.restart_with(&[]);
        let dev = Account::developer(&server);
        dev.sign(&kept, &hash).expect(200);
        let shown = dev.get(&path).expect(200).json();
        let is_gone = shown["status"] == json!("Archived");
        assert_eq!(shown["dateDeleted"].is_string(), is_gone, "{point}: {shown}");
        dev.sign(&going, &hash).expect(if is_gone { 404 } else { 200 });
        assert!(is_gone || answer.is_none(), "{point}: an acknowledged deletion came back");
        let said = outcomes(&dev, &path);
        assert!(said.len() <= 1, "{point}: {said:?}");
        assert!(is_gone || !said.iter().any(|said| said == "200"), "{point}: {said:?}");
        if is_gone {
            gone += 1;
        } else {
            whole += 1;
            // What was begun is over, and can be asked for once more.
            dev.delete(&going).expect(200);
        }
    }
    assert!(whole > 1 && gone > 1, "both happen: {whole} whole, {gone} gone");
}
