//! Many uses at once: what is taken, what fails alone, and what fails all of it.

use std::sync::atomic::Ordering;

use lethe_types::Permission;
use lethe_types::limits::BATCH_ITEMS_MAX;
use serde_json::{Value, json};

use super::support::{Api, b64, header, json, member, problem};
use crate::body::{array_items, is_batch};

#[test]
fn a_batch_is_told_by_its_first_member() {
    for (body, expected) in [
        (r#"{"items":[]}"#, true),
        (" \n{ \"items\" : 7", true),
        (r#"{"plaintext":"","items":[]}"#, false),
        (r#"{"items_":[]}"#, false),
        (r#"["items"]"#, false),
        (r#"{"Items":[]}"#, false),
        ("", false),
        ("{", false),
    ] {
        assert_eq!(is_batch(body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn items_are_found_where_they_stand() {
    for (body, expected) in [
        (r#"{"items":[]}"#, &[][..]),
        (r#"{"items":[ ]}"#, &[]),
        (r#"{"items":[1]}"#, &["1"]),
        (
            r#"{"items":[{}, {"a":[1,2,{"b":[]}]} ,[],"x"]}"#,
            &["{}", r#"{"a":[1,2,{"b":[]}]}"#, "[]", "\"x\""],
        ),
        (r#"{"items":["],[","\\","\"]",""]}"#, &[r#""],[""#, r#""\\""#, r#""\"]""#, r#""""#]),
    ] {
        let found = array_items(body.as_bytes());
        let found: Vec<&str> =
            found.into_iter().map(|item| std::str::from_utf8(item).unwrap()).collect();
        assert_eq!(found, expected, "{body}");
        let parsed: Value = serde_json::from_str(body).unwrap();
        for (item, value) in found.iter().zip(parsed["items"].as_array().unwrap()) {
            assert_eq!(serde_json::from_str::<Value>(item).unwrap(), *value);
        }
    }
}

/// A batch of one use, and a check of what comes back for each item: `Ok` with the answer's
/// members, or the refusal's code and field.
async fn answers(api: &Api, path: &str, items: &[Value]) -> Vec<Value> {
    let answer = api.post(path, &json!({ "items": items }).to_string()).await;
    assert_eq!(answer.head.status, 200, "{path}: {:?}", answer.body);
    json(&answer)["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn one_bad_item_fails_alone_with_its_own_problem() {
    let api = Api::new().await;
    let key = api.key("aes256-gcm").await;
    let path = format!("/v1/keys/{key}/encrypt");
    let events = api.audit.events.load(Ordering::SeqCst);
    let good = json!({"plaintext": b64(b"a letter")});
    let items = [
        good.clone(),
        json!({"plaintext": "***"}),
        json!({"plaintext": 7}),
        json!({"plaintext": "", "z": 1}),
        json!({"plaintext": "", "version": 9}),
        json!([]),
        json!({"plaintext": "", "context": {"": "x"}}),
        good,
    ];
    let found = answers(&api, &path, &items).await;
    let told: Vec<String> = found
        .iter()
        .map(|item| match item.get("error") {
            None => member(item, "ciphertext").chars().take(4).collect(),
            Some(error) => {
                assert_eq!(error["request_id"].as_str().map(str::len), Some(32));
                assert!(!member(error, "detail").is_empty());
                format!("{} {}", member(error, "type"), error["field"])
            }
        })
        .collect();
    assert_eq!(
        told,
        [
            "AQAA",
            "/problems/invalid-field \"plaintext\"",
            "/problems/malformed-json \"plaintext\"",
            "/problems/malformed-json \"z\"",
            "/problems/item-not-found null",
            "/problems/malformed-json null",
            "/problems/invalid-field \"context\"",
            "AQAA",
        ]
    );
    // One for each item that came to the engine, and one for the caller's sign-in if it has one.
    let audited = api.audit.events.load(Ordering::SeqCst) - events;
    assert_eq!(audited, 3, "an event for each use");
    let seen = json(&api.get(&format!("/v1/keys/{key}")).await);
    assert_eq!(seen["uses"], 2);
}

#[tokio::test]
async fn what_lies_in_key_or_caller_refuses_the_whole_request() {
    let api = Api::new().await;
    let key = api.key("aes256-gcm").await;
    let path = format!("/v1/keys/{key}/encrypt");
    let body = json!({"items": vec![json!({"plaintext": ""}); 1_000]}).to_string();
    let nobody = api.token_with(&[Permission::KeysUseDecrypt]).await;
    let events = api.audit.events.load(Ordering::SeqCst);
    let refused = api.send_as(&nobody, http::Method::POST, &path, &body).await;
    problem(&refused, 403, "permission-denied");
    assert_eq!(api.audit.events.load(Ordering::SeqCst) - events, 1);
    let unknown = format!("/v1/keys/{}/encrypt", "0".repeat(32));
    problem(&api.post(&unknown, &body).await, 404, "item-not-found");
    problem(&api.post("/v1/keys/x/encrypt", &body).await, 422, "invalid-field");
    problem(
        &api.post(&format!("/v1/keys/{key}/wrap"), r#"{"items":[{"plaintext":""}]}"#).await,
        422,
        "incompatible-use",
    );
    api.post(&format!("/v1/keys/{key}/suspend"), "").await;
    problem(&api.post(&path, &body).await, 409, "wrong-state-for-use");
    api.audit.full.store(true, Ordering::SeqCst);
    problem(&api.post(&path, &body).await, 503, "audit-unavailable");
    api.audit.full.store(false, Ordering::SeqCst);
    api.delete(&format!("/v1/keys/{key}")).await;
    problem(&api.post(&path, &body).await, 410, "object-destroyed");
}

#[tokio::test]
async fn batches_have_bounds_and_one_form() {
    let api = Api::new().await;
    let key = api.key("hmac-sha256").await;
    let path = format!("/v1/keys/{key}/mac");
    let batch = |items: usize| json!({"items": vec![json!({"message": ""}); items]}).to_string();
    let most = json(&api.post(&path, &batch(BATCH_ITEMS_MAX)).await);
    assert_eq!(most["items"].as_array().unwrap().len(), BATCH_ITEMS_MAX);
    for (body, status, code, field) in [
        (batch(0), 422, "invalid-field", json!("items")),
        (batch(BATCH_ITEMS_MAX + 1), 422, "invalid-field", json!("items")),
        (r#"{"items":{}}"#.to_owned(), 400, "malformed-json", json!("items")),
        (r#"{"items":null}"#.to_owned(), 400, "malformed-json", json!("items")),
        (
            r#"{"items":[{"message":""}],"message":""}"#.to_owned(),
            400,
            "malformed-json",
            json!("message"),
        ),
        (r#"{"items":[],"items":[]}"#.to_owned(), 400, "malformed-json", json!("items")),
        (r#"{"message":"","items":[]}"#.to_owned(), 400, "malformed-json", json!("items")),
        (r#"{"items":[{"message":""},]}"#.to_owned(), 400, "malformed-json", Value::Null),
        (r#"{"items":[{"message":""}"#.to_owned(), 400, "malformed-json", Value::Null),
        (r#"{"items":[{"message":""}]}}"#.to_owned(), 400, "malformed-json", Value::Null),
    ] {
        let refused = problem(&api.post(&path, &body).await, status, code);
        assert_eq!(refused["field"], field, "{body:.60}");
    }
    let nested = format!(r#"{{"items":[{}{}]}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let deep = api.post(&path, &nested).await;
    assert!(deep.head.status == 400 || json(&deep)["items"][0]["error"].is_object());
    let large = json!({"items": vec![json!({"message": b64(&[7; 2_000])}); 1_000]}).to_string();
    problem(&api.post(&path, &large).await, 413, "body-too-large");
    let form = [("content-type", "text/plain")];
    let refused = api.send(http::Method::POST, &path, &form, batch(1)).await;
    problem(&refused, 415, "unsupported-media-type");
}

#[tokio::test]
async fn every_use_has_a_batch_form_that_answers_as_the_single_one() {
    let api = Api::new().await;
    let text = b64(b"a letter");
    let point = b64(&[9; 32]);
    for (algorithm, operation, item) in [
        ("aes256-gcm", "encrypt", json!({"plaintext": text})),
        ("aes256-gcm", "raw/encrypt", json!({"plaintext": text})),
        ("aes256-gcm", "data-key", json!({})),
        ("ed25519", "sign", json!({"message": text})),
        ("ed25519", "verify", json!({"message": text, "signature": ""})),
        ("hmac-sha256", "mac", json!({"message": text})),
        ("hmac-sha256", "mac/verify", json!({"message": text, "mac": ""})),
        ("x25519", "agree", json!({"public_key": point})),
        ("secp256k1", "agree/hashed", json!({"domain": text, "message": text})),
        ("ml-kem-768", "encapsulate", json!({})),
        ("ml-kem-768", "decapsulate", json!({"ciphertext": b64(&[0; 1_088])})),
        ("aes256-kwp", "wrap", json!({"plaintext": text})),
        ("", "random", json!({"bytes": 4})),
        ("", "hash", json!({"algorithm": "sha256", "message": text})),
    ] {
        let path = match algorithm {
            "" => format!("/v1/{operation}"),
            algorithm => format!("/v1/keys/{}/{operation}", api.key(algorithm).await),
        };
        let single = api.post(&path, &item.to_string()).await;
        let many = api.post(&path, &json!({"items": [item, item]}).to_string()).await;
        assert_eq!(many.head.status, 200, "{operation}");
        assert_eq!(header(&single, "cache-control"), header(&many, "cache-control"), "{operation}");
        let members =
            |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        let many = json(&many);
        for answer in many["items"].as_array().unwrap() {
            assert_eq!(members(answer), members(&json(&single)), "{operation}");
        }
    }
}
