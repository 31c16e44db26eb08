//! Versions: enabled and disabled one by one, made by hand and by themselves.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::support::{I400, N404, NOW_MS, Rig, S422, data, refused};

const DAY: Duration = Duration::from_secs(86_400);
const DAY_MS: u64 = 86_400_000;

/// The statuses of the versions, oldest first.
async fn statuses(rig: &Rig, key: &str) -> String {
    let told = data(&rig.get(&format!("{key}/versions")).await);
    let list = told["versionList"].as_array().expect("a list").clone();
    let numbers: Vec<u64> = list.iter().map(|one| one["version"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    let status = |one: &Value| one["status"].as_str().expect("a status").to_owned();
    list.iter().map(status).collect::<Vec<_>>().join(" ")
}

/// The bound of the documents, at default settings.
#[tokio::test]
async fn a_key_has_a_hundred_versions_and_no_more() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let rotate = format!("{key}/rotate");
    let first = rig.ciphertext(&key, b"hello").await;
    for version in 2..=100 {
        assert_eq!(data(&rig.post(&rotate, "").await)["version"], version);
    }
    for _ in 0..2 {
        refused(&rig.post(&rotate, "").await, S422);
    }
    assert_eq!(data(&rig.get(&key).await)["currentVersion"], 100);
    assert_eq!(statuses(&rig, &key).await, vec!["ENABLE"; 100].join(" "));
    let last = rig.ciphertext(&key, b"hello").await;
    assert!(last.starts_with("ncpkms:v100:"), "{last}");
    for sealed in [first, last] {
        let body = json!({ "ciphertext": sealed }).to_string();
        let opened = data(&rig.post(&format!("{key}/decrypt"), &body).await);
        assert_eq!(opened["plaintext"], "aGVsbG8=");
    }
    for (number, expected) in [("100", S422), ("101", I400)] {
        refused(&rig.post(&format!("{key}/versions/{number}/disable"), "").await, expected);
    }
    data(&rig.post(&format!("{key}/request-deletion"), "").await);
    let deleted = rig.delete(&key).await;
    assert_eq!(data(&deleted), json!(null));
    assert!(deleted.head.headers.contains_key("x-deletion-receipt"), "it fits into a header");
}

#[tokio::test]
async fn a_version_is_disabled_and_enabled_while_its_key_is_enabled() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let mut sealed = Vec::new();
    for number in 1..=3 {
        sealed.push(json!({"ciphertext": rig.ciphertext(&key, b"hello").await}).to_string());
        if number < 3 {
            rig.pass(Duration::from_secs(1));
            let rotated = data(&rig.post(&format!("{key}/rotate"), "").await);
            assert_eq!(rotated["version"], number + 1);
        }
    }
    let version = async |number: &str, what: &str| {
        rig.post(&format!("{key}/versions/{number}/{what}"), "").await
    };
    rig.pass(Duration::from_secs(1));
    let disabled = data(&version("2", "disable").await);
    assert_eq!(disabled, json!({"version": 2, "status": "DISABLE", "statusDate": NOW_MS + 3_000}));
    assert_eq!(statuses(&rig, &key).await, "ENABLE DISABLE ENABLE");
    let decrypt = format!("{key}/decrypt");
    for (body, is_open) in sealed.iter().zip([true, false, true]) {
        let answer = rig.post(&decrypt, body).await;
        if is_open {
            assert_eq!(data(&answer)["plaintext"], "aGVsbG8=");
        } else {
            refused(&answer, S422);
        }
    }
    // The key's own state lies over it, and leaves it as it was.
    data(&rig.post(&format!("{key}/disable"), "").await);
    for what in ["enable", "disable"] {
        for number in ["1", "2", "3"] {
            refused(&version(number, what).await, S422);
        }
    }
    assert_eq!(statuses(&rig, &key).await, "ENABLE DISABLE ENABLE");
    data(&rig.post(&format!("{key}/enable"), "").await);
    assert_eq!(statuses(&rig, &key).await, "ENABLE DISABLE ENABLE");
    // Nor does a deletion that is called off change it.
    data(&rig.post(&format!("{key}/request-deletion"), "").await);
    refused(&version("2", "enable").await, S422);
    data(&rig.post(&format!("{key}/cancel-deletion"), "").await);
    data(&rig.post(&format!("{key}/enable"), "").await);
    assert_eq!(statuses(&rig, &key).await, "ENABLE DISABLE ENABLE");
    refused(&version("2", "disable").await, S422);
    refused(&version("1", "enable").await, S422);
    refused(&version("3", "disable").await, S422);
    data(&version("2", "enable").await);
    assert_eq!(data(&rig.post(&decrypt, &sealed[1]).await)["plaintext"], "aGVsbG8=");
    refused(&version("4", "disable").await, N404);
    refused(&version("100", "enable").await, N404);
    for number in ["0", "101", "-1", "01", "x", "1.0", "%20", "99999999999"] {
        refused(&version(number, "disable").await, I400);
    }
}

#[tokio::test]
async fn a_disabled_version_verifies_nothing_and_shows_no_public_key() {
    let rig = Rig::new().await;
    let key = rig.key("signer", "ECDSA").await;
    let signed = data(&rig.post(&format!("{key}/sign"), r#"{"data":"aGVsbG8="}"#).await);
    let verify = json!({"data": "aGVsbG8=", "signature": signed["signature"]}).to_string();
    data(&rig.post(&format!("{key}/rotate"), "").await);
    data(&rig.post(&format!("{key}/versions/1/disable"), "").await);
    refused(&rig.post(&format!("{key}/verify"), &verify).await, S422);
    refused(&rig.post(&format!("{key}/get-pub-key"), r#"{"keyVersion":1}"#).await, S422);
    data(&rig.post(&format!("{key}/get-pub-key"), r#"{"keyVersion":2}"#).await);
    data(&rig.post(&format!("{key}/get-pub-key"), "").await);
    data(&rig.post(&format!("{key}/versions/1/enable"), "").await);
    assert_eq!(data(&rig.post(&format!("{key}/verify"), &verify).await)["valid"], true);
}

#[tokio::test]
async fn automatic_rotation_is_told_set_and_ended() {
    let rig = Rig::new().await;
    let body = r#"{"keyName":"auto","keyType":"AES256","isAutoRotation":true}"#;
    let made = data(&rig.post("/kms/v1/keys", body).await);
    assert_eq!(made["isAutoRotation"], true);
    assert_eq!(
        (&made["rotationPeriod"], &made["nextRotationDate"]),
        (&json!(90), &json!(NOW_MS + 90 * DAY_MS))
    );
    for (name, days) in [("one", 1), ("most", 730)] {
        let body = json!({"keyName": name, "keyType": "ECDSA", "isAutoRotation": true,
            "rotationPeriod": days});
        let made = data(&rig.post("/kms/v1/keys", &body.to_string()).await);
        assert_eq!(made["nextRotationDate"], NOW_MS + days * DAY_MS);
    }
    let key = rig.key("orders", "AES256").await;
    let tag = key.rsplit('/').next().expect("a tag");
    let set = async |days: Value| {
        let body = json!({"rotationPeriod": days}).to_string();
        rig.put(&format!("{key}/rotation-period"), &body).await
    };
    let info = async || {
        let info = data(&rig.get(&key).await);
        (
            info["isAutoRotation"].clone(),
            info["rotationPeriod"].clone(),
            info["nextRotationDate"].clone(),
        )
    };
    assert_eq!(info().await, (json!(false), json!(90), Value::Null));
    refused(&set(json!(30)).await, S422);
    let on = data(&rig.post(&format!("{key}/enable-auto-rotation"), "").await);
    let next = NOW_MS + 90 * DAY_MS;
    assert_eq!(
        on,
        json!({"keyTag": tag, "isAutoRotation": true, "rotationPeriod": 90,
        "nextRotationDate": next})
    );
    let told = data(&set(json!(30)).await);
    assert_eq!(
        told,
        json!({"keyTag": tag, "rotationPeriod": 30,
        "nextRotationDate": NOW_MS + 30 * DAY_MS})
    );
    for days in [json!(0), json!(731), json!(-1), json!("30"), json!(1.5), json!(null)] {
        refused(&set(days).await, I400);
    }
    refused(&rig.put(&format!("{key}/rotation-period"), "{}").await, I400);
    // A period after the last rotation, and not before now.
    rig.pass(10 * DAY);
    assert_eq!(data(&set(json!(20)).await)["nextRotationDate"], NOW_MS + 20 * DAY_MS);
    data(&rig.post(&format!("{key}/rotate"), "").await);
    assert_eq!(info().await.2, NOW_MS + 20 * DAY_MS, "a rotation by hand does not move it");
    assert_eq!(data(&set(json!(40)).await)["nextRotationDate"], NOW_MS + 50 * DAY_MS);
    rig.pass(5 * DAY);
    assert_eq!(data(&set(json!(1)).await)["nextRotationDate"], NOW_MS + 15 * DAY_MS);
    let off = data(&rig.post(&format!("{key}/disable-auto-rotation"), "{}").await);
    assert_eq!(off, json!({"keyTag": tag, "isAutoRotation": false}));
    assert_eq!(info().await, (json!(false), json!(1), Value::Null));
    let on = data(&rig.post(&format!("{key}/enable-auto-rotation"), "").await);
    assert_eq!(on["rotationPeriod"], 1);
    data(&rig.post(&format!("{key}/request-deletion"), "").await);
    for (method, what, body) in [
        (Method::POST, "enable-auto-rotation", ""),
        (Method::POST, "disable-auto-rotation", ""),
        (Method::PUT, "rotation-period", r#"{"rotationPeriod":30}"#),
    ] {
        refused(&rig.send(method, &format!("{key}/{what}"), body).await, S422);
    }
}

#[tokio::test]
async fn keys_rotate_by_themselves_also_while_they_are_disabled() {
    let rig = Rig::new().await;
    let body = r#"{"keyName":"auto","keyType":"AES256","isAutoRotation":true,"rotationPeriod":1}"#;
    let made = data(&rig.post("/kms/v1/keys", body).await);
    let key = format!("/kms/v1/keys/{}", made["keyTag"].as_str().expect("a tag"));
    let sealed = json!({"ciphertext": rig.ciphertext(&key, b"hello").await}).to_string();
    // The engine's own thread sees to it.
    let until = async |version: u64| {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        let rotated = async {
            while data(&rig.get(&key).await)["currentVersion"] != version {
                looks.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), rotated).await.expect("it rotates");
    };
    rig.pass(DAY);
    until(2).await;
    assert_eq!(data(&rig.get(&key).await)["nextRotationDate"], NOW_MS + 2 * DAY_MS);
    data(&rig.post(&format!("{key}/disable"), "").await);
    rig.pass(DAY);
    until(3).await;
    assert_eq!(data(&rig.get(&key).await)["status"], "DISABLE");
    data(&rig.post(&format!("{key}/enable"), "").await);
    assert_eq!(data(&rig.post(&format!("{key}/decrypt"), &sealed).await)["plaintext"], "aGVsbG8=");
    assert!(rig.ciphertext(&key, b"").await.starts_with("ncpkms:v3:"));
}
