//! The device log, as its readers check it.

use lethe_crypto::hash::hmac_sha256;
use lethe_crypto::registry::{Algorithm, PublicFormat};
use serde_json::json;

use super::support::{Api, body, status, text};
use crate::{Settings, b64};

fn portable() -> Settings {
    Settings { hwv: "SOFT PPA rev 1.0".to_owned(), ..Settings::default() }
}

fn is_signed(key: &str, message: &[u8], signature: &[u8]) -> bool {
    let algorithm = Algorithm::from_name("ed25519").unwrap();
    let public = b64::decode(key).expect("base64");
    let public = algorithm.import_public(PublicFormat::Raw, &public).expect("a key");
    let usable = algorithm.load_public(public.spki_der()).expect("a key");
    usable.verify(None, message, signature).expect("looked at")
}

/// Checks a file as its readers do; the fields between number and MAC.
#[track_caller]
fn checked(file: &str, key: &str) -> Vec<String> {
    let mut mac_key = Vec::new();
    let mut events = Vec::new();
    for (number, line) in file.lines().filter(|line| !line.starts_with('#')).enumerate() {
        let parts: Vec<&str> = line.split('|').collect();
        assert_eq!(parts.len(), 7, "{line}");
        assert_eq!(
            u64::from_str_radix(parts[0], 16).unwrap(),
            u64::try_from(number).unwrap(),
            "{line}"
        );
        if parts[2] == "0" && parts[3] == "0" {
            mac_key = b64::decode_url(parts[4]).expect("base64");
            let signature = b64::decode_url(parts[5]).expect("base64");
            assert!(is_signed(key, &mac_key, &signature));
        }
        let (signed, mac) = line.rsplit_once('|').expect("a MAC");
        let want = hmac_sha256(&mac_key, &[format!("{signed}|").as_bytes()]);
        assert_eq!(b64::decode_url(mac).expect("base64"), want[..16], "{line}");
        events.push(parts[2..6].join("|"));
    }
    events
}

#[tokio::test]
async fn the_log_of_an_earlier_start_verifies_and_tells_everything() {
    let api = Api::with(portable()).await;
    let kid = api.key("ED25519").await;
    let logger = api.token_of(&api.master, "logger:get").await;
    let key = body(&api.get(&logger, "/api/logger/key").await);
    let nonce = b64::decode(&text(&key, "nonce")).expect("base64");
    let signature = b64::decode(&text(&key, "nonce_signed")).expect("base64");
    assert_eq!((nonce.len(), signature.len()), (32, 64));
    assert!(is_signed(&text(&key, "key"), &nonce, &signature));
    let delete = api.token("keymgmt:del").await;
    assert_eq!(api.delete(&delete, &kid).await, 200);
    assert_eq!(api.delete(&delete, &kid).await, 406);
    let config = api.token("system:config").await;
    let list = body(&api.get(&logger, "/api/logger/list").await);
    assert_eq!((&list["total"], list["id"][0].as_str().unwrap()), (&json!(1), "6553f100"));
    assert_eq!(status(&api.get(&logger, "/api/logger/6553f100").await), 406, "it is in use");
    api.pass(1_000);
    assert_eq!(status(&api.get(&config, "/api/system/reboot").await), 200);
    let logger = api.token("logger:get").await;
    let list = body(&api.get(&logger, "/api/logger/list/0").await);
    assert_eq!(list["id"], json!(["6553f100", "6553f101"]));
    let answer = api.get(&logger, "/api/logger/6553f100").await;
    assert_eq!(answer.head.headers["content-type"], "text/plain");
    let file = String::from_utf8(answer.body.to_vec()).expect("text");
    assert!(file.starts_with("# Lethe ") && file.contains("\n# chain "), "{file}");
    let events = checked(&file, &text(&key, "key"));
    let kid = b64::encode_url(&crate::kid::Kid::parse(&kid).unwrap().0);
    for wanted in [format!("14|0|U|{kid}"), format!("15|0|U|{kid}"), format!("15|1|U|{kid}")] {
        assert!(events.contains(&wanted), "{wanted} {events:?}");
    }
    assert!(events[0].starts_with("0|0|") && events[1] == "1|0||" && events[2] == "7|0||");
    assert_eq!(events.last().map(String::as_str), Some("2|0|U|"));
    assert!(api.log().iter().any(|event| event.starts_with("11/0 U 36353533")));
    let device = api.state.device();
    assert_eq!(text(&key, "key"), device.eid_sign_public);
}

#[tokio::test]
async fn logs_are_where_clients_look_for_them() {
    let api = Api::with(portable()).await;
    let token = api.token("logger:get").await;
    for (path, expected) in [
        ("/api/logger/list/0", 200),
        ("/api/logger/list/9", 200),
        ("/api/logger/list/x", 406),
        ("/api/logger/list/-1", 406),
        ("/api/logger/00000000", 404),
        ("/api/logger/6553F100", 406),
        ("/api/logger/6553f1000", 404),
        ("/api/logger/zzzzzzzz", 404),
    ] {
        assert_eq!(status(&api.get(&token, path).await), expected, "{path}");
    }
    assert_eq!(
        status(&api.ask(http::Method::DELETE, "/api/logger/6553f100", &token, "").await),
        404
    );
    for path in ["/api/logger/list", "/api/logger/key", "/api/logger/6553f100"] {
        assert_eq!(status(&api.get("", path).await), 401, "{path}");
        let other = api.token("keymgmt:list").await;
        assert_eq!(status(&api.get(&other, path).await), 403, "{path}");
    }
    let rack = Api::new().await;
    let token = rack.token("logger:get").await;
    for path in ["/api/logger/list", "/api/logger/list/0", "/api/logger/6553f100"] {
        let answer = rack.get(&token, path).await;
        assert_eq!(status(&answer), 404, "{path}");
        assert_eq!(answer.head.headers["x-hem-reason"], "not-available-on-this-device");
    }
    assert_eq!(status(&rack.get(&token, "/api/logger/key").await), 200);
}

/// Two starts in one second have logs of their own, and old logs go.
#[tokio::test]
async fn as_many_logs_are_kept_as_a_list_shows() {
    let api = Api::with(portable()).await;
    for _ in 0..130 {
        api.state.restart().await.expect("started");
    }
    api.state.journal.flush();
    let token = api.token("logger:get").await;
    let list = body(&api.get(&token, "/api/logger/list").await);
    assert_eq!(list["total"], 128);
    let ids = list["id"].as_array().expect("a list");
    assert!(ids.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()));
    let first = ids[0].as_str().expect("a name").to_owned();
    assert_eq!(status(&api.get(&token, &format!("/api/logger/{first}")).await), 200);
    assert_eq!(status(&api.get(&token, "/api/logger/6553f100").await), 404);
}
