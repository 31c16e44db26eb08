//! Make, see, list and rotate keys; vaults, principals, service routes.

use std::sync::atomic::Ordering;

use http::Method;
use serde_json::{Value, json};

use super::support::{Api, header, json, member, problem};

#[tokio::test]
async fn a_key_is_created_and_seen_exactly_as_the_contract_says() {
    let api = Api::new().await;
    let body = r#"{"name":"customer-4711","algorithm":"aes256-gcm"}"#;
    let answer = api.post("/v1/keys", body).await;
    assert_eq!(answer.head.status, 201);
    let key = json(&answer);
    let id = member(&key, "id");
    let vault = member(&key, "vault");
    assert_eq!(header(&answer, "location"), Some(format!("/v1/keys/{id}").as_str()));
    assert!(header(&answer, "etag").is_some_and(|tag| tag.starts_with('"')));
    assert_eq!(header(&answer, "content-type"), Some("application/json"));
    assert_eq!(header(&answer, "x-request-id").map(str::len), Some(32));
    let expected = json!({
        "id": id, "name": "customer-4711", "algorithm": "aes256-gcm", "vault": vault,
        "state": "active", "created": "2026-09-21T14:13:20.000Z",
        "changed": "2026-09-21T14:13:20.000Z", "current_version": 1,
        "versions": [
            {"version": 1, "state": "enabled", "since": "2026-09-21T14:13:20.000Z",
             "created": "2026-09-21T14:13:20.000Z", "public_key": null}
        ],
        "imported": false, "exportable": false, "exported": false,
        "allowed_uses": ["encrypt", "decrypt"],
        "protect_from_version": 0, "process_from_version": 0,
        "uses": 0, "last_used": null, "last_used_by": null,
        "labels": {}, "protected": false, "holds": [], "aliases": [], "history": [],
    });
    assert_eq!(key, expected);
    let seen = api.get(&format!("/v1/keys/{id}")).await;
    assert_eq!((seen.head.status.as_u16(), json(&seen)), (200, expected));
    assert_eq!(header(&seen, "etag"), header(&answer, "etag"));
}

#[tokio::test]
async fn a_creation_with_an_idempotency_key_happens_once() {
    let api = Api::new().await;
    let create = async |name: &str, key: &str| {
        let body = format!(r#"{{"name":"{name}","algorithm":"ed25519"}}"#);
        api.send(Method::POST, "/v1/keys", &[("idempotency-key", key)], body).await
    };
    let first = create("a", "try-1").await;
    let second = create("a", "try-1").await;
    assert_eq!(second.head.status, 201);
    assert_eq!(json(&first), json(&second));
    assert_ne!(json(&create("a", "try-2").await)["id"], json(&first)["id"]);
    problem(&create("b", "try-1").await, 422, "idempotency-key-reused");
    for bad in ["", &"x".repeat(256)] {
        let refused = problem(&create("a", bad).await, 422, "invalid-field");
        assert_eq!(refused["field"], "Idempotency-Key");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    let body = r#"{"name":"a","algorithm":"ed25519"}"#;
    let answer = api.send(Method::POST, "/v1/keys", &twice, body).await;
    problem(&answer, 422, "invalid-field");
}

#[tokio::test]
async fn creations_are_refused_by_name_vault_and_algorithm() {
    let api = Api::new().await;
    let check = async |body: &str, status, code, field: &str| {
        let refused = problem(&api.post("/v1/keys", body).await, status, code);
        assert_eq!(refused["field"], field, "{body}");
    };
    let long = "x".repeat(257);
    for name in ["", " a", "a ", r"a\nb", &long] {
        let body = format!(r#"{{"name":"{name}","algorithm":"ed25519"}}"#);
        check(&body, 422, "invalid-field", "name").await;
    }
    for vault in ["", "x", "0123456789ABCDEF0123456789ABCDEF"] {
        let body = format!(r#"{{"name":"a","algorithm":"ed25519","vault":"{vault}"}}"#);
        check(&body, 422, "invalid-field", "vault").await;
    }
    for algorithm in ["", "AES256-GCM", "rot13", &"x".repeat(100_000)] {
        let body = format!(r#"{{"name":"a","algorithm":"{algorithm}"}}"#);
        check(&body, 422, "unknown-algorithm", "algorithm").await;
    }
    check(
        r#"{"name":"a","algorithm":"slh-dsa-sha2-128s"}"#,
        501,
        "algorithm-not-available",
        "algorithm",
    )
    .await;
    let elsewhere = format!(r#"{{"name":"a","algorithm":"ed25519","vault":"{}"}}"#, "0".repeat(32));
    problem(&api.post("/v1/keys", &elsewhere).await, 404, "item-not-found");
    let longest = format!(r#"{{"name":"{}","algorithm":"ed25519"}}"#, "x".repeat(256));
    assert_eq!(api.post("/v1/keys", &longest).await.head.status, 201);
}

#[tokio::test]
async fn a_list_is_paged_and_filtered() {
    let api = Api::new().await;
    let vault = member(&json(&api.post("/v1/vaults", r#"{"name":"second"}"#).await), "id");
    let mut ids = Vec::new();
    for number in 0..5 {
        let body = format!(r#"{{"name":"k{number}","algorithm":"aes128-gcm"}}"#);
        ids.push(member(&json(&api.post("/v1/keys", &body).await), "id"));
    }
    let body = format!(r#"{{"name":"k0","algorithm":"ed25519","vault":"{vault}"}}"#);
    let other = member(&json(&api.post("/v1/keys", &body).await), "id");
    ids.push(other.clone());
    ids.sort();
    let mut seen = Vec::new();
    let mut path = "/v1/keys?limit=2".to_owned();
    loop {
        let page = json(&api.get(&path).await);
        let keys = page["keys"].as_array().unwrap();
        assert!(keys.len() <= 2);
        seen.extend(keys.iter().map(|key| member(key, "id")));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/keys?limit=2&cursor={next}"),
            None => break,
        }
    }
    // All were made in the same millisecond: the id is the order.
    assert_eq!(seen, ids);
    let count = async |query: &str| {
        json(&api.get(&format!("/v1/keys?{query}")).await)["keys"].as_array().unwrap().len()
    };
    assert_eq!(count("").await, 6);
    assert_eq!(count("name=k0").await, 2);
    assert_eq!(count(&format!("vault={vault}&name=k0")).await, 1);
    assert_eq!(count("prefix=k").await, 6);
    assert_eq!(count("prefix=k0").await, 2);
    assert_eq!(count("prefix=K").await, 0);
    assert_eq!(count("algorithm=ed25519").await, 1);
    assert_eq!(count("state=active").await, 6);
    assert_eq!(count("state=suspended").await, 0);
    assert_eq!(count("label=env=prod").await, 0);
    assert_eq!(count("label=env&label=tier=1").await, 0);
    assert_eq!(count(&format!("derived_from={other}")).await, 0);
    api.delete(&format!("/v1/keys/{other}")).await;
    assert_eq!(count("").await, 5);
    assert_eq!(count("destroyed=false").await, 5);
    assert_eq!(count("destroyed=true").await, 6);
    assert_eq!(count("state=destroyed").await, 1);
    assert_eq!(count("state=destroyed_compromised").await, 0);
    // A cursor belongs to its list.
    let page = json(&api.get("/v1/keys?limit=2").await);
    let path = format!("/v1/keys?limit=2&prefix=k&cursor={}", member(&page, "next"));
    assert_eq!(problem(&api.get(&path).await, 422, "invalid-field")["field"], "cursor");
}

#[tokio::test]
async fn a_list_of_names_has_nothing_else_of_the_same_keys() {
    let api = Api::new().await;
    for number in 0..3 {
        let body = format!(r#"{{"name":"k{number}","algorithm":"aes128-gcm"}}"#);
        api.post("/v1/keys", &body).await;
    }
    let gone = member(&json(&api.get("/v1/keys?name=k2").await)["keys"][0], "id");
    api.delete(&format!("/v1/keys/{gone}")).await;
    // The first is answered at once, the others may look at more keys than they show.
    for query in ["limit=3", "limit=101", "destroyed=true", "prefix=k&limit=1"] {
        let full = json(&api.get(&format!("/v1/keys?{query}")).await);
        let explicit = json(&api.get(&format!("/v1/keys?{query}&view=full")).await);
        assert_eq!(full["keys"], explicit["keys"], "{query}");
        let names = json(&api.get(&format!("/v1/keys?{query}&view=names")).await);
        let of = |key: &Value| json!({"id": key["id"], "name": key["name"], "state": key["state"]});
        let wanted: Vec<Value> = full["keys"].as_array().unwrap().iter().map(of).collect();
        assert_eq!(names["keys"], Value::Array(wanted), "{query}");
        assert_eq!(names["next"].is_null(), full["next"].is_null(), "{query}");
    }
    // The cursor is that of the list, whatever it shows.
    let page = json(&api.get("/v1/keys?limit=1&view=names").await);
    let path = format!("/v1/keys?limit=1&cursor={}", member(&page, "next"));
    assert_ne!(json(&api.get(&path).await)["keys"][0]["id"], page["keys"][0]["id"]);
}

/// A page over the bound in bytes is made elsewhere than one below it, and is the same.
#[tokio::test]
async fn a_page_of_large_keys_is_as_whole_as_a_small_one() {
    const LARGE_PAGE_BYTES: usize = 262_144;
    let api = Api::new().await;
    let labels: Vec<String> =
        (0..64).map(|number| format!(r#""l{number}":"{}""#, "x".repeat(200))).collect();
    for number in 0..25 {
        let labels = labels.join(",");
        let body =
            format!(r#"{{"name":"k{number}","algorithm":"aes128-gcm","labels":{{{labels}}}}}"#);
        assert_eq!(api.post("/v1/keys", &body).await.head.status, 201);
    }
    let large = api.get("/v1/keys?limit=100").await;
    let whole = json(&large);
    assert!(whole.to_string().len() > LARGE_PAGE_BYTES);
    assert_eq!(whole, json(&api.get("/v1/keys?limit=101").await));
    let small = json(&api.get("/v1/keys?limit=5").await);
    assert!(small.to_string().len() < LARGE_PAGE_BYTES);
    assert_eq!(small["keys"].as_array().unwrap(), &whole["keys"].as_array().unwrap()[..5]);
}

#[tokio::test]
async fn a_list_refuses_what_it_does_not_take() {
    let api = Api::new().await;
    let labels = vec!["label=a"; 65].join("&");
    let cases = [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=01", "limit"),
        ("limit=", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=1&limit=1", "limit"),
        ("cursor=", "cursor"),
        ("cursor=abc", "cursor"),
        ("vault=abc", "vault"),
        ("destroyed=yes", "destroyed"),
        ("name=a&name=a", "name"),
        ("prefix=a&prefix=a", "prefix"),
        ("label=", "label"),
        ("label=Env=prod", "label"),
        ("label==prod", "label"),
        ("label=env=%07", "label"),
        (labels.as_str(), "label"),
        ("labels=env", "labels"),
        ("state=dead", "state"),
        ("state=Active", "state"),
        ("derived_from=abc", "derived_from"),
        ("view=", "view"),
        ("view=Names", "view"),
        ("view=id", "view"),
        ("view=names&view=names", "view"),
        ("color=red", "color"),
        ("name=%ff", "query"),
    ];
    for (query, field) in cases {
        let answer = api.get(&format!("/v1/keys?{query}")).await;
        assert_eq!(problem(&answer, 422, "invalid-field")["field"], field, "{query}");
    }
    problem(&api.get("/v1/keys?algorithm=rot13").await, 422, "unknown-algorithm");
    problem(&api.get("/v1/keys?algorithm=slh-dsa-sha2-128s").await, 501, "algorithm-not-available");
}

#[tokio::test]
async fn a_rotation_adds_a_version_unless_the_key_changed() {
    let api = Api::new().await;
    let id = api.key("ecdsa-p256").await;
    let path = format!("/v1/keys/{id}/rotate");
    let before = api.get(&format!("/v1/keys/{id}")).await;
    let tag = header(&before, "etag").unwrap();
    let rotate = async |tag: &str| api.send(Method::POST, &path, &[("if-match", tag)], "").await;
    let rotated = rotate(tag).await;
    assert_eq!(rotated.head.status, 200, "{:?}", rotated.body);
    assert_eq!(json(&rotated)["current_version"], 2);
    assert_eq!(json(&rotated)["versions"].as_array().unwrap().len(), 2);
    assert_ne!(header(&rotated, "etag"), Some(tag));
    problem(&rotate(tag).await, 412, "revision-mismatch");
    for bad in ["", "1", "W/\"1\"", "\"1\", \"2\"", "\"x\"", "\"01\"", "\""] {
        let refused = problem(&rotate(bad).await, 422, "invalid-field");
        assert_eq!(refused["field"], "If-Match", "{bad}");
    }
    assert_eq!(json(&rotate("*").await)["current_version"], 3);
    assert_eq!(json(&api.post(&path, "{}").await)["current_version"], 4);
    problem(&api.post(&path, r#"{"force":true}"#).await, 400, "malformed-json");
}

#[tokio::test]
async fn public_keys_are_pem_and_symmetric_keys_have_none() {
    let api = Api::new().await;
    let id = api.key("ed25519").await;
    let key = json(&api.get(&format!("/v1/keys/{id}")).await);
    let answer = api.get(&format!("/v1/keys/{id}/public-key")).await;
    assert_eq!(header(&answer, "content-type"), Some("application/x-pem-file"));
    let pem = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{pem}");
    assert!(pem.ends_with("\n-----END PUBLIC KEY-----\n"), "{pem}");
    assert!(pem.lines().all(|line| line.len() <= 64));
    assert_eq!(key["versions"][0]["public_key"], pem);
    api.post(&format!("/v1/keys/{id}/rotate"), "").await;
    let of = async |version: &str| api.get(&format!("/v1/keys/{id}/public-key{version}")).await;
    assert_eq!(of("?version=1").await.body, answer.body);
    assert_ne!(of("").await.body, answer.body);
    problem(&of("?version=3").await, 404, "item-not-found");
    problem(&of("?version=x").await, 422, "invalid-field");
    let symmetric = api.key("aes256-gcm").await;
    let refused = api.get(&format!("/v1/keys/{symmetric}/public-key")).await;
    problem(&refused, 404, "item-not-found");
}

#[tokio::test]
async fn unknown_keys_and_paths_are_not_found() {
    let api = Api::new().await;
    let nobody = "0".repeat(32);
    problem(&api.get(&format!("/v1/keys/{nobody}")).await, 404, "item-not-found");
    let malformed = problem(&api.get("/v1/keys/abc").await, 422, "invalid-field");
    assert_eq!(malformed["field"], "id");
    problem(&api.get("/v1/nothing").await, 404, "not-found");
    problem(&api.get("/v1/keys/").await, 404, "not-found");
    let wrong = api.send(Method::PUT, "/v1/keys", &[], "").await;
    problem(&wrong, 405, "method-not-allowed");
    assert!(header(&wrong, "allow").is_some_and(|allow| allow.contains("POST")));
    problem(&api.get("/v1/keys/%ff").await, 400, "malformed-request");
}

#[tokio::test]
async fn vaults_are_created_once_a_name() {
    let api = Api::new().await;
    let made = api.post("/v1/vaults", r#"{"name":"second"}"#).await;
    assert_eq!(made.head.status, 201);
    let vault = json(&made);
    assert_eq!(vault.as_object().unwrap().len(), 7);
    assert_eq!(vault["created"], "2026-09-21T14:13:20.000Z");
    let all = json(&api.get("/v1/vaults").await);
    assert_eq!(all["vaults"].as_array().unwrap().len(), 2);
    problem(&api.post("/v1/vaults", r#"{"name":"second"}"#).await, 409, "name-taken");
}

#[tokio::test]
async fn the_service_routes_answer() {
    let api = Api::new().await;
    assert_eq!(api.get("/health/live").await.body, r#"{"status":"live"}"#);
    assert_eq!(api.get("/health/ready").await.body, r#"{"status":"ready"}"#);
    assert_eq!(api.get("/metrics").await.body, "lethe_keys 1\n");
    api.service.broken.store(true, Ordering::SeqCst);
    let ready = api.get("/health/ready").await;
    assert_eq!(ready.head.status, 503);
    assert_eq!(ready.body, r#"{"status":"not_ready","reason":"the disk is on fire"}"#);
    let algorithms = json(&api.get("/v1/algorithms").await);
    let first = &algorithms["algorithms"][0];
    assert_eq!(
        *first,
        json!({"name": "aes128-gcm", "object_type": "symmetric_key",
            "uses": ["encrypt", "decrypt"], "strength_bits": 128, "signature_schemes": []})
    );
    api.door.drain();
    let refused = api.get("/health/live").await;
    problem(&refused, 503, "shutting-down");
}
