//! The last request for a key, and what proves it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use lethe_http::testing::Answer;
use lethe_types::limits::REASON_BYTES_MAX;
use serde_json::json;

use super::support::{Api, header, json, member, problem};

/// Whether all three forms of the receipt in `answer` hold, and are the same.
fn check_receipt(api: &Api, answer: &Answer, id: &str) {
    assert_eq!(answer.head.status, 200, "{:?}", answer.body);
    assert_eq!(header(answer, "content-type"), Some("application/json"));
    let vkey = api.engine.log_vkey().parse().unwrap();
    assert!(lethe_verify::verify(&answer.body, &vkey).is_ok());
    let receipt = json(answer);
    assert_eq!(receipt.as_object().unwrap().len(), 3);
    assert_eq!(receipt["statement"]["key"], id);
    let file = header(answer, "x-deletion-receipt").unwrap();
    assert!(lethe_verify::verify(file.as_bytes(), &vkey).is_ok());
    let file = String::from_utf8(STANDARD.decode(file).unwrap()).unwrap();
    assert_eq!(receipt["proof"], file);
}

#[tokio::test]
async fn a_destroyed_key_is_gone_and_its_receipt_holds() {
    let api = Api::new().await;
    let (id, kept) = (api.key("aes256-gcm").await, api.key("aes256-gcm").await);
    let path = format!("/v1/keys/{id}");
    problem(&api.get(&format!("{path}/receipt")).await, 404, "item-not-found");
    let destroyed = api.delete(&format!("{path}?reason=contract+ended%21")).await;
    check_receipt(&api, &destroyed, &id);
    assert_eq!(json(&destroyed)["statement"]["reason"], "contract ended!");
    let tombstone = json(&api.get(&path).await);
    assert_eq!(tombstone["state"], "destroyed");
    assert_eq!(tombstone["current_version"], json!(null));
    assert_eq!(tombstone["versions"], json!([]));
    let destruction = tombstone["destruction"].as_object().unwrap();
    assert_eq!(destruction.len(), 6);
    assert_eq!(destruction["reason"], "contract ended!");
    assert_eq!(destruction["door"], "native");
    let gone = problem(&api.delete(&path).await, 410, "object-destroyed");
    assert_eq!(gone["key"], id.as_str());
    for (operation, body) in [
        ("encrypt", r#"{"plaintext":""}"#),
        ("decrypt", r#"{"ciphertext":""}"#),
        ("sign", r#"{"message":""}"#),
        ("verify", r#"{"message":"","signature":""}"#),
        ("mac", r#"{"message":""}"#),
        ("mac/verify", r#"{"message":"","mac":""}"#),
        ("agree", r#"{"public_key":""}"#),
        ("rotate", ""),
    ] {
        let answer = api.post(&format!("{path}/{operation}"), body).await;
        problem(&answer, 410, "object-destroyed");
    }
    problem(&api.get(&format!("{path}/public-key")).await, 410, "object-destroyed");
    check_receipt(&api, &api.get(&format!("{path}/receipt")).await, &id);
    let works = api.post(&format!("/v1/keys/{kept}/encrypt"), r#"{"plaintext":""}"#).await;
    assert_eq!(works.head.status, 200);
}

#[tokio::test]
async fn the_raw_proof_file_is_given_to_who_prefers_text() {
    let api = Api::new().await;
    let id = api.key("ed25519").await;
    let path = format!("/v1/keys/{id}");
    let accept = [("accept", "text/plain")];
    let answer = api.send(Method::DELETE, &path, &accept, "").await;
    assert_eq!(header(&answer, "content-type"), Some("text/plain; charset=utf-8"));
    assert!(answer.body.starts_with(b"c2sp.org/tlog-proof@v1\n"));
    let vkey = api.engine.log_vkey().parse().unwrap();
    assert!(lethe_verify::verify(&answer.body, &vkey).is_ok());
    let in_header = STANDARD.decode(header(&answer, "x-deletion-receipt").unwrap()).unwrap();
    assert_eq!(answer.body, in_header);
    let again = api.send(Method::GET, &format!("{path}/receipt"), &accept, "").await;
    assert_eq!(again.head.status, 200);
    assert!(lethe_verify::verify(&again.body, &vkey).is_ok());
}

#[tokio::test]
async fn a_retry_with_the_idempotency_key_gets_the_receipt() {
    let api = Api::new().await;
    let id = api.key("aes256-gcm").await;
    let destroy = async |reason: &str, key: &str| {
        let path = format!("/v1/keys/{id}?reason={reason}");
        api.send(Method::DELETE, &path, &[("idempotency-key", key)], "").await
    };
    check_receipt(&api, &destroy("a", "1").await, &id);
    check_receipt(&api, &destroy("a", "1").await, &id);
    problem(&destroy("b", "1").await, 422, "idempotency-key-reused");
    problem(&destroy("a", "2").await, 410, "object-destroyed");
}

#[tokio::test]
async fn nothing_is_destroyed_unless_all_of_the_request_is_understood() {
    let api = Api::new().await;
    let id = api.key("aes256-gcm").await;
    let path = format!("/v1/keys/{id}");
    let delete = async |query: &str| api.delete(&format!("{path}{query}")).await;
    let long = format!("?reason={}", "x".repeat(REASON_BYTES_MAX + 1));
    for (query, field) in [
        ("?windw=72h", "windw"),
        ("?window=", "window"),
        ("?window=72", "window"),
        ("?window=h", "window"),
        ("?window=72H", "window"),
        ("?window=72%20h", "window"),
        ("?window=1.5h", "window"),
        ("?window=-1h", "window"),
        ("?window=072h", "window"),
        ("?window=3w", "window"),
        ("?window=99999999999999999999h", "window"),
        ("?window=9999999999999999999d", "window"),
        ("?window=1h&window=1h", "window"),
        ("?confirm=a&confirm=a", "confirm"),
        ("?approval=", "approval"),
        ("?approval=abc", "approval"),
        ("?reason=a&reason=b", "reason"),
        ("?reason=%ff", "query"),
        ("?reason=a%0ab", "reason"),
        (long.as_str(), "reason"),
    ] {
        let refused = problem(&delete(query).await, 422, "invalid-field");
        assert_eq!(refused["field"], field, "{query}");
    }
    let stale = api.send(Method::DELETE, &path, &[("if-match", "\"0\"")], "").await;
    problem(&stale, 412, "revision-mismatch");
    let works = api.post(&format!("{path}/encrypt"), r#"{"plaintext":""}"#).await;
    assert_eq!(works.head.status, 200);
    let seen = api.get(&path).await;
    let tag = header(&seen, "etag").unwrap();
    let longest = format!("{path}?reason={}", "x".repeat(REASON_BYTES_MAX));
    let done = api.send(Method::DELETE, &longest, &[("if-match", tag)], "").await;
    check_receipt(&api, &done, &id);
}

#[tokio::test]
async fn the_log_is_public_and_its_tiles_never_change() {
    let api = Api::new().await;
    let id = api.key("aes256-gcm").await;
    api.delete(&format!("/v1/keys/{id}")).await;
    let checkpoint = api.get("/v1/log/checkpoint").await;
    assert_eq!(header(&checkpoint, "content-type"), Some("text/plain; charset=utf-8"));
    let text = String::from_utf8(checkpoint.body.to_vec()).unwrap();
    let size: u64 = text.lines().nth(1).unwrap().parse().unwrap();
    assert!(text.starts_with("lethe.test/log\n") && size >= 2, "{text}");
    for path in [format!("0/000.p/{size}"), format!("entries/000.p/{size}")] {
        let tile = api.get(&format!("/v1/log/tile/{path}")).await;
        assert_eq!(tile.head.status, 200, "{path}");
        assert_eq!(header(&tile, "content-type"), Some("application/octet-stream"));
        assert!(header(&tile, "cache-control").is_some_and(|text| text.contains("immutable")));
    }
    let vkey = api.get("/v1/log/vkey").await;
    assert_eq!(vkey.body, format!("{}\n", api.engine.log_vkey()));
    let ahead = format!("/v1/log/tile/0/000.p/{}", size + 1);
    problem(&api.get(&ahead).await, 404, "item-not-found");
    problem(&api.get("/v1/log/tile/0/000").await, 404, "item-not-found");
    for path in ["x", "0/0", "0/000.p/0", "0/000.p/256", "0/../000", "64/000", "0/000/"] {
        problem(&api.get(&format!("/v1/log/tile/{path}")).await, 404, "not-found");
    }
    assert_eq!(member(&json(&api.get(&format!("/v1/keys/{id}")).await), "state"), "destroyed");
}
