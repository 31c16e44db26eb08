//! What requests may say, at the limits and past them.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::support::{Code, I400, N404, Rig, S422, data, refused};
use crate::Settings;

#[tokio::test]
async fn a_key_is_made_as_asked_or_not_at_all() {
    let rig = Rig::new().await;
    let create = async |body: &Value| rig.post("/kms/v1/keys", &body.to_string()).await;
    let key = |name: &str, more: Value| {
        let mut body = json!({"keyName": name, "keyType": "AES256"});
        let members = more.as_object().expect("members").clone();
        body.as_object_mut().expect("members").extend(members);
        body
    };
    let long_memo = "é".repeat(100);
    let allowed = [
        key("abc", json!({})),
        key("abcdefghijklmno", json!({})),
        key("A1-_", json!({"protectionType": "COMMON_HSM"})),
        key("memo", json!({"memo": long_memo, "unknown": [1]})),
        key("conv", json!({"isConvergent": true})),
        key("rsa", json!({"keyType": "RSA2048", "isConvergent": false})),
        key("ecd", json!({"keyType": "ECDSA", "rotationPeriod": 9_999})),
        key("nulls", json!({"memo": null, "isConvergent": null, "protectionType": null})),
    ];
    for body in &allowed {
        let made = data(&create(body).await);
        let tag = made["keyTag"].as_str().expect("a tag");
        let is_hex = tag.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert!(tag.len() == 64 && is_hex, "{made}");
        assert_eq!(made["status"], "ENABLE");
        assert_eq!(made["currentVersion"], 1);
        assert_eq!(made["keyName"], body["keyName"]);
        assert_eq!(made["memo"].as_str(), body["memo"].as_str().or(Some("")));
        let protection = body["protectionType"].as_str().unwrap_or("BASIC");
        assert_eq!(made["protectionType"], protection);
    }
    let too_long_memo = "m".repeat(101);
    let refused_cases = [
        key("ab", json!({})),
        key("abcdefghijklmnop", json!({})),
        key("1abc", json!({})),
        key("-abc", json!({})),
        key("a bc", json!({})),
        key("äbc", json!({})),
        key("a.bc", json!({})),
        key("type", json!({"keyType": "AES128"})),
        key("type", json!({"keyType": "aes256"})),
        key("type", json!({"keyType": 256})),
        key("type", json!({"keyType": null})),
        key("memo-2", json!({"memo": too_long_memo})),
        key("memo-2", json!({"memo": 1})),
        key("conv-2", json!({"keyType": "RSA2048", "isConvergent": true})),
        key("conv-2", json!({"keyType": "ECDSA", "isConvergent": true})),
        key("conv-2", json!({"isConvergent": "true"})),
        key("prot", json!({"protectionType": "HSM"})),
        key("rota", json!({"isAutoRotation": true, "rotationPeriod": 0})),
        key("rota", json!({"isAutoRotation": true, "rotationPeriod": 731})),
        key("rota", json!({"isAutoRotation": true, "rotationPeriod": "90"})),
        key("rota", json!({"isAutoRotation": 1})),
        json!({"keyType": "AES256"}),
        json!({"keyName": "abcd"}),
        json!(["abcd", "AES256"]),
    ];
    for body in &refused_cases {
        let answer = create(body).await;
        refused(&answer, I400);
        assert!(answer.head.status == 400, "{body}");
    }
    refused(&create(&allowed[0]).await, S422);
    let listed = data(&rig.get("/kms/v1/keys").await);
    assert_eq!(listed["totalCount"], allowed.len());
}

#[tokio::test]
async fn many_keys_made_at_once_each_get_a_number_of_their_own() {
    let rig = Arc::new(Rig::new().await);
    let mut making = JoinSet::new();
    for name in 0..128 {
        let rig = rig.clone();
        making.spawn(async move {
            let body = json!({"keyName": format!("key{name}"), "keyType": "AES256"});
            data(&rig.post("/kms/v1/keys", &body.to_string()).await)["keyId"].as_u64()
        });
    }
    let mut numbers = BTreeSet::new();
    while let Some(number) = making.join_next().await {
        numbers.insert(number.expect("no panic").expect("a number"));
    }
    assert_eq!(numbers.len(), 128);
    assert!(numbers.last() < Some(&10_000), "{numbers:?}");
}

#[tokio::test]
async fn bodies_are_json_objects_whatever_they_are_called() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let encrypt = format!("{key}/encrypt");
    for body in [r#"{"plaintext":""}"#, " \n{\"plaintext\": \"aGVsbG8=\", \"x\": {\"y\": []}}\n"] {
        data(&rig.post(&encrypt, body).await);
    }
    let deep = format!("{{\"plaintext\":{}", "[".repeat(200));
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"aGVsbG8=\"",
        "plaintext=aGVsbG8%3D",
        "{}",
        r#"{"plaintext":null}"#,
        r#"{"plaintext":7}"#,
        r#"{"plaintext":[]}"#,
        r#"{"plaintext":["",7]}"#,
        r#"{"plaintext":{"a":1}}"#,
        r#"{"plaintext":"","plaintext":""}"#,
        r#"{"plaintext":""} x"#,
        r#"{"plaintext":"aGVsbG8"}"#,
        r#"{"plaintext":"aGVsbG8=\n"}"#,
        r#"{"plaintext":" aGVsbG8="}"#,
        r#"{"plaintext":"_-8="}"#,
        r#"{"plaintext":"aGVsbG9="}"#,
        r#"{"Plaintext":"aGVsbG8="}"#,
        &deep,
    ] {
        refused(&rig.post(&encrypt, body).await, I400);
    }
    // Nothing to say: no body, an empty object, an object.
    for (path, body) in [("disable", ""), ("enable", "{}"), ("disable", r#"{"a":1}"#)] {
        data(&rig.post(&format!("{key}/{path}"), body).await);
    }
    for body in ["x", "[]", "{", "null"] {
        refused(&rig.post(&format!("{key}/enable"), body).await, I400);
    }
}

#[tokio::test]
async fn pages_are_numbered_from_one() {
    let rig = Rig::new().await;
    for number in 0..5 {
        rig.key(&format!("key-{number}"), "AES256").await;
    }
    let page = async |query: &str| {
        let page = data(&rig.get(&format!("/kms/v1/keys{query}")).await);
        let keys = page["keyList"].as_array().expect("keys").iter();
        let names: Vec<_> = keys.map(|key| key["keyName"].as_str().unwrap().to_owned()).collect();
        let numbers = ["currentPageNo", "totalPageNo", "totalCount"];
        (names.join(" "), numbers.map(|name| page[name].as_u64().expect("a number")))
    };
    assert_eq!(page("").await, ("key-0 key-1 key-2 key-3 key-4".to_owned(), [1, 1, 5]));
    assert_eq!(page("?pageNo=1&pageSize=2").await, ("key-0 key-1".to_owned(), [1, 3, 5]));
    assert_eq!(page("?pageNo=3&pageSize=2").await, ("key-4".to_owned(), [3, 3, 5]));
    assert_eq!(page("?pageNo=4&pageSize=2").await, (String::new(), [4, 3, 5]));
    assert_eq!(page("?pageSize=200&pageNo=").await.1, [1, 1, 5]);
    for query in [
        "?pageNo=0",
        "?pageNo=-1",
        "?pageNo=x",
        "?pageNo=1.5",
        "?pageSize=0",
        "?pageSize=201",
        "?pageSize=%zz",
        "?pageNo=99999999999999999999",
    ] {
        refused(&rig.get(&format!("/kms/v1/keys{query}")).await, I400);
    }
}

#[tokio::test]
async fn tags_paths_and_methods_that_there_are_not() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let unknown = "0".repeat(64);
    let long = "a".repeat(129);
    let no_path: Code = (404, "300", "Not Found Exception");
    let no_method: Code = (405, "300", "Not Found Exception");
    let check = async |method: Method, path: &str, expected: Code| {
        refused(&rig.send(method, path, "{}").await, expected);
    };
    check(Method::GET, &format!("/kms/v1/keys/{unknown}"), N404).await;
    check(Method::GET, &key.to_uppercase().replace("/KMS/V1/KEYS", "/kms/v1/keys"), N404).await;
    check(Method::GET, &format!("/kms/v1/keys/{long}"), I400).await;
    for tag in ["a-b", "a_b", "%C3%A4", "a%2Fb", "%20"] {
        check(Method::GET, &format!("/kms/v1/keys/{tag}"), I400).await;
    }
    check(Method::GET, "/", no_path).await;
    check(Method::GET, "/kms/v1", no_path).await;
    check(Method::GET, "/kms/v2/keys", no_path).await;
    check(Method::GET, &format!("{key}/public-key"), no_path).await;
    check(Method::POST, &format!("{key}/tokens"), no_path).await;
    check(Method::POST, &format!("/keys/v3/{unknown}/encrypt"), no_path).await;
    check(Method::PUT, "/kms/v1/keys", no_method).await;
    check(Method::POST, &key, no_method).await;
    check(Method::GET, &format!("{key}/enable"), no_method).await;
    check(Method::POST, &format!("{key}/memo"), no_method).await;
    check(Method::PATCH, &key, no_method).await;
    let huge = format!(r#"{{"plaintext":"{}"}}"#, "A".repeat(1_048_576));
    let answer = rig.post(&format!("{key}/encrypt"), &huge).await;
    refused(&answer, (413, "430", "Request Entity Too Large"));
}

#[tokio::test]
async fn names_and_memos_change_and_tags_stay() {
    let rig = Rig::new().await;
    let (key, other) = (rig.key("orders", "AES256").await, rig.key("other", "AES256").await);
    let tag = key.rsplit('/').next().expect("a tag");
    let rename = async |name: &str| {
        rig.put(&format!("{key}/name"), &json!({"keyName": name}).to_string()).await
    };
    let renamed = data(&rename("shipments").await);
    assert_eq!(renamed, json!({"keyTag": tag, "keyName": "shipments"}));
    assert_eq!(data(&rig.get(&key).await)["keyName"], "shipments");
    data(&rename("shipments").await);
    refused(&rename("other").await, S422);
    refused(&rename("ab").await, I400);
    data(&rig.put(&format!("{other}/name"), r#"{"keyName":"orders"}"#).await);
    let memo = async |memo: Value| {
        rig.put(&format!("{key}/memo"), &json!({"memo": memo}).to_string()).await
    };
    assert_eq!(
        data(&memo(json!("für Kunden")).await),
        json!({"keyTag": tag, "memo": "für Kunden"})
    );
    assert_eq!(data(&rig.get(&key).await)["memo"], "für Kunden");
    assert_eq!(data(&memo(json!("")).await)["memo"], "");
    refused(&memo(json!("m".repeat(101))).await, I400);
    refused(&memo(json!(null)).await, I400);
    refused(&rig.put(&format!("{key}/memo"), "{}").await, I400);
}

#[tokio::test]
async fn the_settings_tell_how_the_door_presents_itself() {
    let rig = Rig::with(Settings {
        base_url: Some("https://kms.example.test".to_owned()),
        region: "JP".to_owned(),
        account_no: "42".to_owned(),
        keystore_id: 7,
        key_versions_max: 3,
    })
    .await;
    let key = rig.key("orders", "AES256").await;
    let info = data(&rig.get(&key).await);
    assert_eq!(info["baseUrl"], "https://kms.example.test");
    assert_eq!(info["nrn"], format!("nrn:PUB:KMS:JP:42:Key/{}", info["keyId"]));
    assert_eq!(info["keystoreId"], 7);
    for version in 2..=3 {
        assert_eq!(data(&rig.post(&format!("{key}/rotate"), "").await)["version"], version);
    }
    refused(&rig.post(&format!("{key}/rotate"), "").await, S422);
    assert_eq!(data(&rig.get(&key).await)["currentVersion"], 3);
}
