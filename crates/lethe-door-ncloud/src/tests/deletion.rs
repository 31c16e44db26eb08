//! Deletion in every detail: the wait, its end, its cancellation, and every call in every state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use lethe_engine::Engine;
use lethe_store::{MemStore, Store as _, Versioned};
use lethe_types::Permission;
use serde_json::{Value, json};

use super::support::{
    ACCESS_KEY, Code, F403, I400, N404, NOW_MS, Rig, S422, U401, data, parts, refused,
};
use super::vectors::injected;
use crate::DOOR;

const WAIT_MS: u64 = 259_200_000;

#[tokio::test]
async fn a_requested_deletion_waits_seventy_two_hours() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let tag = key.rsplit('/').next().expect("a tag");
    let asked = data(&rig.post(&format!("{key}/request-deletion"), "").await);
    assert_eq!(asked, json!({"keyTag": tag, "status": "REVOKE", "statusDate": NOW_MS}));
    let listed = data(&rig.get("/kms/v1/keys").await);
    assert_eq!(listed["keyList"][0]["status"], "REVOKE");
    assert_eq!(listed["keyList"][0]["destroyDate"], NOW_MS + WAIT_MS);
    assert_eq!(data(&rig.get(&key).await)["destroyDate"], NOW_MS + WAIT_MS);
    rig.pass(Duration::from_millis(WAIT_MS - 1));
    assert_eq!(data(&rig.get(&key).await)["status"], "REVOKE");
    rig.pass(Duration::from_millis(1));
    // The engine's own thread sees to it.
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    let gone = async {
        while rig.get(&key).await.head.status == 200 {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("it goes when it is due");
    refused(&rig.get(&key).await, N404);
    assert_eq!(data(&rig.get("/kms/v1/keys").await)["totalCount"], 0);
}

#[tokio::test]
async fn a_cancellation_leads_to_disabled_whatever_was_before() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let sealed = rig.ciphertext(&key, b"hello").await;
    for before in ["ENABLE", "DISABLE"] {
        assert_eq!(data(&rig.get(&key).await)["status"], before);
        data(&rig.post(&format!("{key}/request-deletion"), "{}").await);
        rig.pass(Duration::from_secs(5));
        let cancelled = data(&rig.post(&format!("{key}/cancel-deletion"), "").await);
        assert_eq!(cancelled["status"], "DISABLE", "from {before}");
        assert_eq!(data(&rig.get(&key).await).get("destroyDate"), None);
    }
    rig.pass(Duration::from_millis(2 * WAIT_MS));
    data(&rig.post(&format!("{key}/enable"), "").await);
    let body = json!({"ciphertext": sealed}).to_string();
    let opened = data(&rig.post(&format!("{key}/decrypt"), &body).await);
    assert_eq!(opened["plaintext"], "aGVsbG8=");
}

#[tokio::test]
async fn a_deletion_is_only_for_what_waits_and_comes_with_its_receipt() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let (other, id) = (rig.key("other", "AES256").await, rig.key_id(&key));
    let sealed = rig.ciphertext(&key, b"hello").await;
    refused(&rig.delete(&key).await, S422);
    data(&rig.post(&format!("{key}/disable"), "").await);
    refused(&rig.delete(&key).await, S422);
    data(&rig.post(&format!("{key}/request-deletion"), "").await);
    let deleted = rig.delete(&key).await;
    assert_eq!(deleted.body, r#"{"code":"SUCCESS","data":null}"#);
    let receipt = deleted.head.headers["x-deletion-receipt"].to_str().expect("base64");
    let proof = STANDARD.decode(receipt).expect("base64");
    let known = rig.engine.log_vkey().parse().expect("a key");
    let verified = lethe_verify::verify(&proof, &known).expect("the receipt verifies");
    assert_eq!(verified.key, id);
    refused(&rig.delete(&key).await, N404);
    assert_eq!(data(&rig.get("/kms/v1/keys").await)["totalCount"], 1);
    // Its name is free again; what it encrypted is lost to every key.
    let again = rig.key("orders", "AES256").await;
    assert_ne!(again, key);
    for path in [&again, &other] {
        let body = json!({"ciphertext": sealed}).to_string();
        refused(&rig.post(&format!("{path}/decrypt"), &body).await, I400);
    }
    refused(&rig.get(&key).await, N404);
}

/// Whether `wanted`, or any part of it of this length, is in a row of the store.
fn holds(store: &MemStore, wanted: &[u8], bytes: usize) -> bool {
    let parts: BTreeSet<&[u8]> = wanted.windows(bytes).collect();
    let mut found = false;
    let mut look = |_, _: &[u8], row: &Versioned| {
        found |= row.value.windows(bytes).any(|part| parts.contains(part));
        Ok(())
    };
    store.snapshot(&mut look).expect("it reads");
    found
}

/// After the answer the store has neither the material nor what it was sealed as; and an older copy
/// of it is of no use beside the slot as it is now.
#[tokio::test]
async fn nothing_of_a_deleted_key_is_left_and_no_copy_brings_it_back() {
    const PART_BYTES: usize = 12;
    let rig = Rig::new().await;
    let key = injected(&rig, "tag", false).await;
    let raw: Vec<u8> = (0..32).collect();
    let entry = rig.engine.key_with_alias(rig.realm, DOOR, "tag").expect("a key");
    // The end of it is the encrypted material and its tag; before them stands which key it is.
    let sealed = entry.record().versions[0].sealed.clone();
    let sealed = &sealed[sealed.len() - raw.len() - 16..];
    drop(entry);
    data(&rig.post(&format!("{key}/request-deletion"), "").await);
    assert!(holds(&rig.store, sealed, PART_BYTES), "the search finds what is there");
    assert!(!holds(&rig.store, &raw, PART_BYTES), "it never was there in the clear");
    let (old_store, old_slot) = (Arc::new(rig.store.restarted()), rig.slot.copied());
    data(&rig.delete(&key).await);
    assert!(!holds(&rig.store, sealed, PART_BYTES));
    assert!(!holds(&rig.store, &raw, PART_BYTES));
    let start = |store, slot| Engine::start(parts(store, slot, rig.clock.clone(), &rig.audit));
    assert!(start(old_store.clone(), rig.slot.copied()).is_err(), "an older store");
    // What is promised does not hold for who kept a copy of the slot as well: the old root is what
    // the deletion erased, and the one thing that opens the old store.
    start(old_store, old_slot).expect("store and slot of one time are an installation");
}

/// A call, its body, and what it answers while a key is enabled, disabled and waits for its end;
/// `None`: it goes well.
struct Row(Method, &'static str, Value, [Option<Code>; 3]);

fn table(sealed: &str, signed: &str) -> Vec<Row> {
    let ok = None;
    let no = Some(S422);
    let ciphertext = || json!({"ciphertext": sealed});
    let data = || json!({"data": "aGVsbG8="});
    let post = |path, body, answers| Row(Method::POST, path, body, answers);
    let put = |path, body, answers| Row(Method::PUT, path, body, answers);
    let get = |path| Row(Method::GET, path, json!({}), [ok; 3]);
    vec![
        post("encrypt", json!({"plaintext": ""}), [ok, no, no]),
        post("decrypt", ciphertext(), [ok, no, no]),
        post("create-custom-key", json!({}), [ok, no, no]),
        post("re-encrypt", ciphertext(), [ok, no, no]),
        post("sign!", data(), [ok, no, no]),
        post("verify!", json!({"data": "aGVsbG8=", "signature": signed}), [ok, no, no]),
        post("get-pub-key!", json!({}), [ok, no, no]),
        get(""),
        get("versions"),
        get("activities"),
        get("last-use-info"),
        get("acl"),
        get("token-generator"),
        put("name", json!({"keyName": "renamed"}), [ok, ok, no]),
        put("memo", json!({"memo": "x"}), [ok, ok, no]),
        post("acl/enable", json!({}), [ok, ok, no]),
        post("acl", json!({"ipList": ["127.0.0.1"]}), [ok, ok, no]),
        post("acl/disable", json!({}), [ok, ok, no]),
        Row(Method::DELETE, "acl", json!({"ipList": ["127.0.0.1"]}), [ok; 3]),
        put("token-generator", json!({}), [ok, ok, no]),
        post("token-set", json!({}), [ok, no, no]),
        post("rotate", json!({}), [ok, no, no]),
        post("cancel-deletion", json!({}), [no, no, ok]),
    ]
}

#[tokio::test]
async fn every_call_in_every_state_answers_what_the_table_says() {
    for (place, state) in ["enabled", "disabled", "waiting", "gone"].into_iter().enumerate() {
        let rig = Rig::new().await;
        let aes = rig.key("orders", "AES256").await;
        let ecdsa = rig.key("signer", "ECDSA").await;
        let sealed = rig.ciphertext(&aes, b"hello").await;
        let signed = data(&rig.post(&format!("{ecdsa}/sign"), r#"{"data":"aGVsbG8="}"#).await);
        let signed = signed["signature"].as_str().expect("a signature").to_owned();
        for key in [&aes, &ecdsa] {
            data(&rig.post(&format!("{key}/token-generator"), "").await);
            if state == "disabled" {
                data(&rig.post(&format!("{key}/disable"), "").await);
            }
            if state == "waiting" || state == "gone" {
                data(&rig.post(&format!("{key}/request-deletion"), "").await);
            }
            if state == "gone" {
                data(&rig.delete(key).await);
            }
        }
        for Row(method, path, body, answers) in table(&sealed, &signed) {
            let (key, path) = match path.strip_suffix('!') {
                Some(path) => (&ecdsa, path),
                None => (&aes, path),
            };
            let target = if path.is_empty() { key.clone() } else { format!("{key}/{path}") };
            let answer = rig.send(method.clone(), &target, &body.to_string()).await;
            match answers.get(place).copied() {
                Some(None) => {
                    assert_eq!(answer.head.status, 200, "{state}: {method} {path}");
                    data(&answer);
                }
                Some(Some(expected)) => refused(&answer, expected),
                None => refused(&answer, N404),
            }
            assert!(answer.head.status != 500, "{state}: {method} {path}");
        }
    }
}

#[tokio::test]
async fn what_changes_a_state_is_refused_where_the_table_has_no_edge() {
    let calls = [
        (Method::POST, "/enable"),
        (Method::POST, "/disable"),
        (Method::POST, "/request-deletion"),
        (Method::POST, "/cancel-deletion"),
        (Method::POST, "/rotate"),
        (Method::DELETE, ""),
    ];
    // For enable, disable, request, cancel, rotate, delete.
    let cases: [(&[&str], [u16; 6]); 4] = [
        (&[], [422, 200, 200, 422, 200, 422]),
        (&["/disable"], [200, 422, 200, 422, 422, 422]),
        (&["/request-deletion"], [422, 422, 422, 200, 422, 200]),
        (&["/disable", "/request-deletion"], [422, 422, 422, 200, 422, 200]),
    ];
    let rig = Rig::new().await;
    let mut number = 0;
    for (steps, expected) in cases {
        for ((method, call), status) in calls.iter().zip(expected) {
            number += 1;
            let key = rig.key(&format!("key-{number}"), "AES256").await;
            for step in steps {
                data(&rig.post(&format!("{key}{step}"), "").await);
            }
            let answer = rig.send(method.clone(), &format!("{key}{call}"), "").await;
            assert_eq!(answer.head.status, status, "{steps:?}, then {method} {call}");
            if status != 200 {
                refused(&answer, S422);
            }
        }
    }
}

#[tokio::test]
async fn each_step_of_a_deletion_has_a_right_of_its_own() {
    let rig = Rig::new().await;
    let rights = [
        ("AKSCHEDULE", Permission::KeysDestroySchedule),
        ("AKCANCEL", Permission::KeysDestroyCancel),
        ("AKDESTROY", Permission::KeysDestroy),
        ("AKREAD", Permission::KeysRead),
    ];
    for (access_key, right) in rights {
        rig.account_with(access_key, &[right]).await;
    }
    let key = rig.key("orders", "AES256").await;
    let check = async |call: &str, may: &str| {
        for (access_key, _) in rights {
            // Who may destroy keys may have them destroyed later, too.
            if access_key == may || (access_key, call) == ("AKDESTROY", "request-deletion") {
                continue;
            }
            let (method, target) = match call {
                "delete" => (Method::DELETE, key.clone()),
                _ => (Method::POST, format!("{key}/{call}")),
            };
            refused(&rig.send_as(access_key, method, &target, "").await, F403);
        }
        let (method, target) = match call {
            "delete" => (Method::DELETE, key.clone()),
            _ => (Method::POST, format!("{key}/{call}")),
        };
        data(&rig.send_as(may, method, &target, "").await);
    };
    // Who may not delete keys is not told that this one does not wait.
    refused(&rig.send_as("AKREAD", Method::DELETE, &key, "").await, F403);
    check("request-deletion", "AKSCHEDULE").await;
    check("cancel-deletion", "AKCANCEL").await;
    data(&rig.send_as("AKSCHEDULE", Method::POST, &format!("{key}/request-deletion"), "").await);
    check("delete", "AKDESTROY").await;
}

#[tokio::test]
async fn a_hold_stands_before_a_deletion_and_says_so() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let system = rig.engine.system_caller(rig.realm, DOOR).expect("a caller");
    data(&rig.post(&format!("{key}/request-deletion"), "").await);
    let hold = lethe_engine::HoldRequest {
        kind: lethe_engine::record::HoldKind::Legal,
        reason: "SUCCESS".to_owned(),
        expires: None,
    };
    let held = rig.engine.place_hold(&system, rig.key_id(&key), &hold).await;
    let (_, hold) = held.expect("it is placed");
    refused(&rig.delete(&key).await, S422);
    rig.engine.lift_hold(&system, rig.key_id(&key), hold).await.expect("it is lifted");
    data(&rig.delete(&key).await);
}

#[tokio::test]
async fn cancellation_and_deletion_at_the_same_time_never_both_succeed() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    data(&rig.post(&format!("{key}/token-generator"), "").await);
    let mut key = key;
    for round in 0..40 {
        data(&rig.post(&format!("{key}/request-deletion"), "").await);
        let cancel = format!("{key}/cancel-deletion");
        let (cancelled, deleted) = if round % 2 == 0 {
            tokio::join!(rig.post(&cancel, ""), rig.delete(&key))
        } else {
            let (deleted, cancelled) = tokio::join!(rig.delete(&key), rig.post(&cancel, ""));
            (cancelled, deleted)
        };
        match (cancelled.head.status.as_u16(), deleted.head.status.as_u16()) {
            (200, 422) => assert_eq!(data(&rig.get(&key).await)["status"], "DISABLE"),
            (404 | 422, 200) => {
                refused(&rig.get(&key).await, N404);
                key = rig.key("orders", "AES256").await;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn tokens_of_a_deleted_key_are_no_tokens() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    data(&rig.post(&format!("{key}/token-generator"), "").await);
    let set = data(&rig.post(&format!("{key}/token-set"), "").await);
    let token = set["accessToken"].as_str().expect("a token");
    let encrypt = format!("{key}/encrypt");
    let body = r#"{"plaintext":""}"#;
    data(&rig.with_token(token, Method::POST, &encrypt, body).await);
    data(&rig.post(&format!("{key}/request-deletion"), "").await);
    refused(&rig.with_token(token, Method::POST, &encrypt, body).await, S422);
    data(&rig.send_as(ACCESS_KEY, Method::DELETE, &key, "").await);
    refused(&rig.with_token(token, Method::POST, &encrypt, body).await, U401);
}
