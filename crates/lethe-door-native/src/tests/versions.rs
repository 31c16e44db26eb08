//! Versions, exports and imports over the wire: what is taken, what is answered, what is refused.

use http::Method;
use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::Algorithm;
use lethe_crypto::transport::{self, Recipient};
use lethe_types::Permission;
use serde_json::{Value, json};

use super::support::{Api, b64, header, json as body_of, member, problem, unb64};
use crate::wire::{parse_spki_pem, spki_pem};

async fn made(api: &Api, body: Value) -> String {
    let answer = api.post("/v1/keys", &body.to_string()).await;
    assert_eq!(answer.head.status, 201, "{:?}", answer.body);
    format!("/v1/keys/{}", member(&body_of(&answer), "id"))
}

async fn seen(api: &Api, path: &str) -> Value {
    body_of(&api.get(path).await)
}

#[tokio::test]
async fn a_version_is_suspended_resumed_and_destroyed_with_a_receipt() {
    let api = Api::new().await;
    let path = format!("/v1/keys/{}", api.key("aes256-gcm").await);
    let text = body_of(&api.post(&format!("{path}/encrypt"), r#"{"plaintext":""}"#).await);
    let decrypt = json!({ "ciphertext": text["ciphertext"] }).to_string();
    problem(
        &api.post(&format!("{path}/versions/1/suspend"), "").await,
        409,
        "version-last-enabled",
    );
    api.post(&format!("{path}/rotate"), "").await;
    let suspended = body_of(&api.post(&format!("{path}/versions/1/suspend"), "").await);
    assert_eq!(suspended["versions"][0]["state"], "suspended");
    assert_eq!(suspended["current_version"], 2);
    let refused = api.post(&format!("{path}/decrypt"), &decrypt).await;
    assert_eq!(problem(&refused, 409, "version-suspended")["version"], "1");
    api.post(&format!("{path}/versions/1/resume"), "").await;
    assert_eq!(api.post(&format!("{path}/decrypt"), &decrypt).await.head.status, 200);
    let stale = [("if-match", "\"1\"")];
    let old = format!("{path}/versions/1");
    problem(&api.send(Method::DELETE, &old, &stale, "").await, 412, "revision-mismatch");
    let gone = api.delete(&format!("{old}?reason=leaked")).await;
    assert_eq!(gone.head.status, 200, "{:?}", gone.body);
    let statement = &body_of(&gone)["statement"];
    assert_eq!(
        (&statement["type"], &statement["reason"]),
        (&json!("key.version_destroyed"), &json!("leaked"),)
    );
    assert!(header(&gone, "x-deletion-receipt").is_some());
    problem(&api.post(&format!("{path}/decrypt"), &decrypt).await, 410, "version-destroyed");
    problem(&api.delete(&old).await, 410, "version-destroyed");
    let key = seen(&api, &path).await;
    assert_eq!(key["destroyed_versions"][0]["version"], 1);
    assert_eq!(key["versions"].as_array().unwrap().len(), 1);
    let again = api.get(&format!("{old}/receipt")).await;
    assert_eq!(body_of(&again)["statement"]["log_index"], statement["log_index"]);
    for path in [format!("{path}/versions/2/receipt"), format!("{path}/versions/7/receipt")] {
        problem(&api.get(&path).await, 404, "item-not-found");
    }
    for number in ["0", "7"] {
        problem(&api.delete(&format!("{path}/versions/{number}")).await, 404, "item-not-found");
    }
    for number in ["x", "01", "-1", "4294967296"] {
        let refused = api.delete(&format!("{path}/versions/{number}")).await;
        assert_eq!(problem(&refused, 422, "invalid-field")["field"], "version", "{number}");
    }
    problem(&api.delete(&format!("{path}/versions/2?window=72h")).await, 422, "invalid-field");
}

#[tokio::test]
async fn rules_of_a_key_are_set_seen_and_refused_by_member() {
    let api = Api::new().await;
    let wanted = json!({
        "name": "k", "algorithm": "aes256-gcm", "allowed_uses": ["decrypt", "encrypt"],
        "exportable": true, "rotation_period": "90d",
    });
    let path = made(&api, wanted).await;
    let key = seen(&api, &path).await;
    assert_eq!(key["allowed_uses"], json!(["encrypt", "decrypt"]));
    assert_eq!(key["rotation"], json!({"period": "90d", "next": "2026-12-20T14:13:20.000Z"}));
    assert_eq!(key["exportable"], true);
    api.post(&format!("{path}/rotate"), "").await;
    let change = json!({
        "allowed_uses": ["decrypt"], "exportable": false, "rotation_period": null,
        "protect_from_version": 2, "process_from_version": 1,
    });
    let changed = api.patch(&path, &change.to_string()).await;
    assert_eq!(changed.head.status, 200, "{:?}", changed.body);
    let key = body_of(&changed);
    assert_eq!(key["allowed_uses"], json!(["decrypt"]));
    assert_eq!(key.get("rotation"), None);
    assert_eq!(
        (&key["protect_from_version"], &key["process_from_version"]),
        (&json!(2), &json!(1))
    );
    problem(
        &api.post(&format!("{path}/encrypt"), r#"{"plaintext":""}"#).await,
        409,
        "use-not-allowed",
    );
    let refused = [
        (json!({"allowed_uses": ["encrypt", "decrypt"]}), "allowed_uses"),
        (json!({"allowed_uses": []}), "allowed_uses"),
        (json!({"allowed_uses": ["fly"]}), "allowed_uses"),
        (json!({"allowed_uses": ["decrypt", "decrypt"]}), "allowed_uses"),
        (json!({"exportable": true}), "exportable"),
        (json!({"rotation_period": "1s"}), "rotation_period"),
        (json!({"rotation_period": "90"}), "rotation_period"),
        (json!({"rotation_period": "3651d"}), "rotation_period"),
        (json!({"protect_from_version": 3}), "protect_from_version"),
        (json!({"process_from_version": 3}), "process_from_version"),
    ];
    for (body, field) in refused {
        let answer = api.patch(&path, &body.to_string()).await;
        assert_eq!(problem(&answer, 422, "invalid-field")["field"], field, "{body}");
    }
    for body in [json!({"uses": ["sign"]}), json!({"protect_from_version": -1})] {
        problem(&api.patch(&path, &body.to_string()).await, 400, "malformed-json");
    }
    for (member, value) in [("allowed_uses", json!(["sign"])), ("rotation_period", json!("59m"))] {
        let mut body = json!({"name": "k", "algorithm": "aes256-gcm"});
        body[member] = value;
        let answer = api.post("/v1/keys", &body.to_string()).await;
        assert_eq!(problem(&answer, 422, "invalid-field")["field"], member);
    }
}

#[tokio::test]
async fn a_key_leaves_wrapped_and_comes_in_wrapped() {
    let api = Api::new().await;
    let wanted = json!({"name": "k", "algorithm": "aes256-gcm", "exportable": true});
    let path = made(&api, wanted).await;
    let x25519 = Algorithm::from_name("x25519").unwrap();
    let receiver = x25519.generate(&SystemEntropy).unwrap();
    let pem = spki_pem(receiver.public_key().unwrap().spki_der());
    let body = json!({"format": "raw", "public_key": pem}).to_string();
    let exported = api.post(&format!("{path}/export"), &body).await;
    assert_eq!(exported.head.status, 200, "{:?}", exported.body);
    assert_eq!(header(&exported, "cache-control"), Some("no-store"));
    let exported = body_of(&exported);
    assert_eq!(exported["wrapping"], "hpke-x25519-sha256-aes256gcm");
    let (info, wrapped) =
        (unb64(&member(&exported, "info")), unb64(&member(&exported, "material")));
    let opened = transport::open(x25519, receiver.secret(), &info, &wrapped).unwrap();
    let key = seen(&api, &path).await;
    assert_eq!((&key["exported"], key["exported_at"].is_string()), (&json!(true), true));
    // And back, for an import key.
    let import_key = api.post("/v1/import-keys", r#"{"algorithm":"x25519"}"#).await;
    assert_eq!(import_key.head.status, 201, "{:?}", import_key.body);
    let import_key = body_of(&import_key);
    let id = member(&import_key, "id");
    let der = parse_spki_pem(&member(&import_key, "public_key")).unwrap();
    let info = unb64(&member(&import_key, "info"));
    let wrapped = Recipient::of_spki(&der).unwrap().seal(&SystemEntropy, &info, &opened).unwrap();
    let import = json!({"format": "raw", "import_key": id, "wrapped": b64(&wrapped)});
    let body = json!({"name": "back", "algorithm": "aes256-gcm", "import": import});
    let tag = [("idempotency-key", "one"), ("content-type", "application/json")];
    let first = api.send(Method::POST, "/v1/keys", &tag, body.to_string()).await;
    assert_eq!(first.head.status, 201, "{:?}", first.body);
    assert_eq!(body_of(&first)["imported"], true);
    let retry = api.send(Method::POST, "/v1/keys", &tag, body.to_string()).await;
    assert_eq!(body_of(&retry)["id"], body_of(&first)["id"], "a retry needs no import key");
    problem(&api.post("/v1/keys", &body.to_string()).await, 404, "item-not-found");
    problem(&api.get(&format!("/v1/import-keys/{id}")).await, 404, "item-not-found");
    // The same key now: each opens what the other protected.
    let other = format!("/v1/keys/{}", member(&body_of(&first), "id"));
    problem(
        &api.post(&format!("{other}/export"), r#"{"format":"raw"}"#).await,
        403,
        "export-refused",
    );
}

#[tokio::test]
async fn what_is_wrong_with_an_import_or_export_is_named() {
    let api = Api::new().await;
    let good = b64(&[7; 32]);
    let imports = [
        (json!({"format": "raw"}), "import"),
        (json!({"format": "raw", "key": good, "wrapped": good}), "import"),
        (json!({"format": "raw", "import_key": "0".repeat(32)}), "import"),
        (json!({"format": "tar", "key": good}), "import.format"),
        (json!({"format": "raw", "key": "?"}), "import.key"),
        (json!({"format": "raw", "import_key": "x", "wrapped": good}), "import.import_key"),
        (json!({"format": "raw", "key": b64(&[7; 31])}), "import"),
        (json!({"format": "pkcs8-der", "key": good}), "import"),
    ];
    for (import, field) in imports {
        let body = json!({"name": "k", "algorithm": "aes256-gcm", "import": import});
        let answer = api.post("/v1/keys", &body.to_string()).await;
        assert_eq!(problem(&answer, 422, "invalid-field")["field"], field, "{body}");
    }
    let body = json!({
        "name": "k", "algorithm": "aes256-gcm", "import": {"format": "raw", "key": good},
    });
    let token = api.token_with(&[Permission::KeysCreate]).await;
    let refused = api.send_as(&token, Method::POST, "/v1/keys", &body.to_string()).await;
    assert_eq!(problem(&refused, 403, "permission-denied")["permission"], "keys.import");
    let wanted = json!({"name": "k", "algorithm": "aes256-gcm", "exportable": true});
    let path = made(&api, wanted).await;
    for (body, field) in [
        (json!({"format": "tar"}), "format"),
        (json!({"format": "raw", "public_key": "-----BEGIN"}), "public_key"),
        (json!({"format": "raw", "public_key": spki_pem(&[1, 2, 3])}), "public_key"),
    ] {
        let answer = api.post(&format!("{path}/export"), &body.to_string()).await;
        assert_eq!(problem(&answer, 422, "invalid-field")["field"], field, "{body}");
    }
    let plain = r#"{"format":"raw"}"#;
    problem(&api.post(&format!("{path}/export"), plain).await, 403, "export-refused");
    let token = api.token_with(&[Permission::KeysRead, Permission::VaultsAdmin]).await;
    let refused = api.send_as(&token, Method::POST, &format!("{path}/export"), plain).await;
    assert_eq!(problem(&refused, 403, "permission-denied")["permission"], "keys.export");
    let allow = r#"{"plain_export":true}"#;
    let refused = api.send_as(&token, Method::PATCH, "/v1/realm", allow).await;
    assert_eq!(problem(&refused, 403, "permission-denied")["permission"], "realm.admin");
    assert_eq!(body_of(&api.patch("/v1/realm", allow).await)["plain_export"], true);
    let exported = body_of(&api.post(&format!("{path}/export"), plain).await);
    assert_eq!((&exported["wrapping"], &exported["info"]), (&Value::Null, &json!("")));
    assert_eq!(unb64(&member(&exported, "material")).len(), 32);
    for (body, field) in [
        (r#"{"algorithm":"rsa-2048"}"#, "algorithm"),
        (r#"{"algorithm":"x25519","lifetime":"8d"}"#, "lifetime"),
        (r#"{"algorithm":"x25519","lifetime":"0s"}"#, "lifetime"),
        (r#"{"algorithm":"x25519","lifetime":"soon"}"#, "lifetime"),
    ] {
        let answer = api.post("/v1/import-keys", body).await;
        assert_eq!(problem(&answer, 422, "invalid-field")["field"], field, "{body}");
    }
}

#[tokio::test]
async fn an_import_key_ends_with_its_time_or_by_hand() {
    let api = Api::new().await;
    let body = r#"{"algorithm":"x25519","lifetime":"1m"}"#;
    let id = member(&body_of(&api.post("/v1/import-keys", body).await), "id");
    let path = format!("/v1/import-keys/{id}");
    assert_eq!(api.get(&path).await.head.status, 200);
    let foreign = api.foreign_token().await;
    problem(&api.send_as(&foreign, Method::GET, &path, "").await, 404, "item-not-found");
    api.pass(60_000);
    problem(&api.get(&path).await, 404, "item-not-found");
    let id = member(&body_of(&api.post("/v1/import-keys", body).await), "id");
    let path = format!("/v1/import-keys/{id}");
    assert_eq!(api.delete(&path).await.head.status, 200);
    problem(&api.delete(&path).await, 404, "item-not-found");
}
