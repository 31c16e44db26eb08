//! Uses beyond the plain ones: raw forms, data keys, re-encryption, derivation, public keys.

use lethe_types::Permission;
use serde_json::{Value, json};

use super::support::{Api, b64, header, json, member, problem, unb64};

async fn post(api: &Api, key: &str, operation: &str, body: &Value) -> Value {
    let answer = api.post(&format!("/v1/keys/{key}/{operation}"), &body.to_string()).await;
    assert_eq!(answer.head.status, 200, "{operation} {body}: {:?}", answer.body);
    json(&answer)
}

async fn refused(api: &Api, key: &str, operation: &str, body: &Value, code: &str, field: &str) {
    let answer = api.post(&format!("/v1/keys/{key}/{operation}"), &body.to_string()).await;
    let status = match code {
        "malformed-json" => 400,
        "item-not-found" => 404,
        _ => 422,
    };
    let seen = problem(&answer, status, code);
    assert_eq!(seen["field"].as_str().unwrap_or_default(), field, "{operation} {body}: {seen}");
}

#[tokio::test]
async fn a_context_is_needed_again_in_any_order() {
    let api = Api::new().await;
    let key = api.key("aes256-gcm").await;
    let body = json!({"plaintext": "YQ==", "aad": "Yg==", "context": {"a": "1", "b": "2"}});
    let sealed = post(&api, &key, "encrypt", &body).await;
    let with = |context: Value| {
        let mut body = json!({"ciphertext": sealed["ciphertext"], "aad": "Yg=="});
        body["context"] = context;
        body
    };
    let opened = post(&api, &key, "decrypt", &with(json!({"b": "2", "a": "1"}))).await;
    assert_eq!(opened["plaintext"], "YQ==");
    for context in [json!({"a": "1"}), json!({"a": "1", "b": "3"}), json!({}), Value::Null] {
        refused(&api, &key, "decrypt", &with(context), "cryptographic-failure", "").await;
    }
    let twice = r#"{"plaintext":"","context":{"a":"1","a":"1"}}"#;
    let path = format!("/v1/keys/{key}/encrypt");
    assert_eq!(problem(&api.post(&path, twice).await, 400, "malformed-json")["field"], "a");
    let wrong = json!({"plaintext": "", "context": {"a": 1}});
    refused(&api, &key, "encrypt", &wrong, "malformed-json", "context.a").await;
}

#[tokio::test]
async fn raw_forms_come_in_parts_and_take_them() {
    let api = Api::new().await;
    let text = b64(b"sixteen bytes or");
    for (algorithm, nonce_bytes, tag_bytes) in [
        ("aes256-gcm", 12, 16),
        ("xchacha20-poly1305", 24, 16),
        ("aes128-cbc", 16, 0),
        ("aes256-ofb", 16, 0),
        ("aes128-ecb", 0, 0),
    ] {
        let key = api.key(algorithm).await;
        let sealed = post(&api, &key, "raw/encrypt", &json!({"plaintext": text})).await;
        let part = |name: &str| sealed[name].as_str().map(unb64).unwrap_or_default();
        assert_eq!((part("nonce").len(), part("tag").len()), (nonce_bytes, tag_bytes));
        let mut apart = json!({"ciphertext": sealed["ciphertext"]});
        for name in ["nonce", "tag"] {
            if sealed[name].is_string() {
                apart[name] = sealed[name].clone();
            }
        }
        let opened = post(&api, &key, "raw/decrypt", &apart).await;
        assert_eq!(opened["plaintext"], text, "{algorithm}");
        let whole = [part("nonce"), part("ciphertext"), part("tag")].concat();
        let whole = json!({"ciphertext": b64(&whole)});
        assert_eq!(post(&api, &key, "raw/decrypt", &whole).await["plaintext"], text);
    }
    let key = api.key("aes256-gcm").await;
    let wide = json!({"plaintext": text, "nonce_bytes": 16, "aad": "YQ=="});
    let sealed = post(&api, &key, "raw/encrypt", &wide).await;
    assert_eq!(unb64(&member(&sealed, "nonce")).len(), 16);
    for (body, field) in [
        (json!({"plaintext": "", "nonce": "", "nonce_bytes": 12}), "nonce"),
        (json!({"plaintext": "", "nonce": ""}), "nonce"),
        (json!({"plaintext": "", "nonce_bytes": 13}), "nonce"),
        (json!({"plaintext": "", "nonce_context": ""}), "nonce"),
        (json!({"plaintext": "", "padding": "zero"}), "padding"),
        (json!({"plaintext": "", "padding": "pkcs7"}), "padding"),
        (json!({"plaintext": "", "oaep_hash": "md5"}), "oaep_hash"),
        (json!({"plaintext": "", "oaep_hash": "sha256", "nonce_bytes": 12}), "oaep_hash"),
        (json!({"plaintext": "", "oaep_hash": "sha256"}), "oaep_hash"),
    ] {
        refused(&api, &key, "raw/encrypt", &body, "invalid-field", field).await;
    }
    let encryptor = api.token_with(&[Permission::KeysUseEncrypt]).await;
    let chosen = json!({"plaintext": "", "nonce": b64(&[0; 12])}).to_string();
    let path = format!("/v1/keys/{key}/raw/encrypt");
    let answer = api.send_as(&encryptor, http::Method::POST, &path, &chosen).await;
    assert_eq!(problem(&answer, 403, "permission-denied")["permission"], "keys.use.decrypt");
    let rsa = api.key("rsa-2048").await;
    let sealed =
        post(&api, &rsa, "raw/encrypt", &json!({"plaintext": text, "oaep_hash": "sha1"})).await;
    let body = json!({"ciphertext": sealed["ciphertext"], "oaep_hash": "sha1"});
    assert_eq!(post(&api, &rsa, "raw/decrypt", &body).await["plaintext"], text);
    let body = json!({"ciphertext": sealed["ciphertext"], "oaep_hash": "sha256"});
    refused(&api, &rsa, "raw/decrypt", &body, "cryptographic-failure", "").await;
}

#[tokio::test]
async fn what_is_encrypted_anew_keeps_what_is_not_said_otherwise() {
    let api = Api::new().await;
    let (from, to) = (api.key("aes256-gcm").await, api.key("chacha20-poly1305").await);
    let body = json!({"plaintext": "YQ==", "aad": "Yg==", "context": {"a": "1"}});
    let old = member(&post(&api, &from, "encrypt", &body).await, "ciphertext");
    api.post(&format!("/v1/keys/{from}/rotate"), "").await;
    let anew = async |to: Value| {
        let body = json!({"ciphertext": old, "aad": "Yg==", "context": {"a": "1"}, "to": to});
        let answer = post(&api, &from, "re-encrypt", &body).await;
        assert!(answer.get("plaintext").is_none());
        answer
    };
    let opens = async |key: &str, sealed: &Value, aad: &str, context: Value| {
        let body = json!({"ciphertext": sealed["ciphertext"], "aad": aad, "context": context});
        assert_eq!(post(&api, key, "decrypt", &body).await["plaintext"], "YQ==");
    };
    let same = anew(Value::Null).await;
    assert_eq!(same["version"], 2);
    opens(&from, &same, "Yg==", json!({"a": "1"})).await;
    let first = anew(json!({"version": 1})).await;
    assert_eq!(first["version"], 1);
    let moved = anew(json!({"key": to})).await;
    opens(&to, &moved, "Yg==", json!({"a": "1"})).await;
    let bare = anew(json!({"key": to, "aad": "", "context": {}})).await;
    opens(&to, &bare, "", Value::Null).await;
    for (to, code, field) in [
        (json!({"key": "x"}), "invalid-field", "to.key"),
        (json!({"key": "0".repeat(32)}), "item-not-found", ""),
        (json!({"version": 3}), "item-not-found", ""),
        (json!({"aad": "*"}), "invalid-field", "to.aad"),
        (json!([]), "malformed-json", "to"),
        (json!({"plaintext": true}), "malformed-json", "plaintext"),
    ] {
        let body = json!({"ciphertext": old, "aad": "Yg==", "context": {"a": "1"}, "to": to});
        refused(&api, &from, "re-encrypt", &body, code, field).await;
    }
}

#[tokio::test]
async fn data_keys_are_shown_or_not() {
    let api = Api::new().await;
    let key = api.key("aes256-gcm").await;
    let answer = api.post(&format!("/v1/keys/{key}/data-key"), "").await;
    assert_eq!(header(&answer, "cache-control"), Some("no-store"));
    let shown = json(&answer);
    assert_eq!(unb64(&member(&shown, "plaintext")).len(), 32);
    let body = json!({"ciphertext": shown["ciphertext"]});
    assert_eq!(post(&api, &key, "decrypt", &body).await["plaintext"], shown["plaintext"]);
    let hidden = post(&api, &key, "data-key", &json!({"bytes": 64, "wrapped_only": true})).await;
    assert!(hidden.get("plaintext").is_none() && hidden["ciphertext"].is_string());
    for bytes in [0, 15, 65] {
        refused(&api, &key, "data-key", &json!({"bytes": bytes}), "invalid-field", "bytes").await;
    }
}

#[tokio::test]
async fn signatures_take_digests_contexts_and_salts() {
    let api = Api::new().await;
    let hash = api.post("/v1/hash", r#"{"algorithm":"sha256","message":"YQ=="}"#).await;
    let hash = member(&json(&hash), "hash");
    let (ec, rsa) = (api.key("ecdsa-p256").await, api.key("rsa-2048").await);
    let (ed, k1) = (api.key("ed25519").await, api.key("secp256k1").await);
    let (lattice, long) = (api.key("ml-dsa-44").await, b64(&[7; 256]));
    for (key, sign, verify) in [
        (&ec, json!({"digest": hash}), json!({"message": "YQ=="})),
        (&k1, json!({"digest": hash}), json!({"message": "YQ=="})),
        (
            &rsa,
            json!({"message": "YQ==", "salt_bytes": 20}),
            json!({"digest": hash, "any_salt": true}),
        ),
        (
            &rsa,
            json!({"message": "YQ==", "salt_bytes": 20}),
            json!({"message": "YQ==", "salt_bytes": 20}),
        ),
        (
            &ed,
            json!({"message": "YQ==", "scheme": "ed25519ctx", "context": "YQ=="}),
            json!({"message": "YQ==", "scheme": "ed25519ctx", "context": "YQ=="}),
        ),
        (
            &lattice,
            json!({"message": "YQ==", "context": "YQ=="}),
            json!({"message": "YQ==", "scheme": "ml-dsa-44", "context": "YQ=="}),
        ),
    ] {
        let signed = post(&api, key, "sign", &sign).await;
        assert_eq!(signed["recovery_id"].is_number(), key == &k1, "{signed}");
        let mut body = verify;
        body["signature"] = signed["signature"].clone();
        assert_eq!(post(&api, key, "verify", &body).await, json!({"valid": true}), "{body}");
    }
    for (key, body, code, field) in [
        (&ec, json!({}), "malformed-json", "message"),
        (&ec, json!({"message": "", "digest": ""}), "invalid-field", "digest"),
        (&ec, json!({"digest": "AAAA"}), "invalid-field", "digest"),
        (&ec, json!({"message": "", "version": 2}), "item-not-found", ""),
        (&rsa, json!({"message": "", "salt_bytes": 1_000}), "invalid-field", "salt_bytes"),
        (&rsa, json!({"message": "", "salt_bytes": 70_000}), "malformed-json", "salt_bytes"),
        (&k1, json!({"message": "", "aux_random": "AAAA"}), "invalid-field", "aux_random"),
        (&ed, json!({"message": "", "scheme": "ed25519ctx"}), "invalid-field", "context"),
        (&lattice, json!({"message": "", "context": long}), "invalid-field", "context"),
        (&lattice, json!({"digest": hash}), "invalid-field", "scheme"),
    ] {
        refused(&api, key, "sign", &body, code, field).await;
    }
    let both = json!({"message": "", "signature": "", "salt_bytes": 1, "any_salt": true});
    refused(&api, &rsa, "verify", &both, "invalid-field", "salt_bytes").await;
}

#[tokio::test]
async fn public_keys_come_in_every_form_and_verify_elsewhere() {
    let api = Api::new().await;
    let key = api.key("ed25519").await;
    let signed = post(&api, &key, "sign", &json!({"message": "YQ=="})).await;
    for (format, content_type) in [
        ("spki-pem", "application/x-pem-file"),
        ("spki-der", "application/octet-stream"),
        ("raw", "application/octet-stream"),
        ("jwk", "application/jwk+json"),
    ] {
        let answer = api.get(&format!("/v1/keys/{key}/public-key?format={format}")).await;
        assert_eq!(header(&answer, "content-type"), Some(content_type));
        for (message, valid) in [("YQ==", true), ("Yg==", false)] {
            let body = json!({
                "algorithm": "ed25519", "public_key": b64(&answer.body), "format": format,
                "message": message, "signature": signed["signature"],
            });
            let found = json(&api.post("/v1/verify", &body.to_string()).await);
            assert_eq!(found, json!({"valid": valid}), "{format}");
        }
    }
    let plain = api.get(&format!("/v1/keys/{key}/public-key")).await;
    let named = api.get(&format!("/v1/keys/{key}/public-key?format=spki-pem&version=1")).await;
    assert_eq!(plain.body, named.body);
    let aes = api.key("aes256-gcm").await;
    for (path, status, code) in [
        (format!("/v1/keys/{key}/public-key?format=der"), 422, "invalid-field"),
        (format!("/v1/keys/{key}/public-key?version=2"), 404, "item-not-found"),
        (format!("/v1/keys/{aes}/public-key"), 404, "item-not-found"),
        (format!("/v1/keys/{key}/taproot-key"), 422, "incompatible-use"),
        (format!("/v1/keys/{key}/taproot-key?merkle_root=00"), 422, "invalid-field"),
    ] {
        problem(&api.get(&path).await, status, code);
    }
    for (body, code, field) in [
        (json!({"algorithm": "rot13"}), "unknown-algorithm", "algorithm"),
        (json!({"algorithm": "x25519"}), "incompatible-use", ""),
        (json!({"public_key": "AAAA"}), "invalid-field", "public_key"),
        (json!({"format": "x"}), "invalid-field", "format"),
    ] {
        let mut whole = json!({
            "algorithm": "ed25519", "public_key": b64(&[0; 32]), "message": "", "signature": ""
        });
        whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let answer = api.post("/v1/verify", &whole.to_string()).await;
        let seen = problem(&answer, 422, code);
        assert_eq!(seen["field"].as_str().unwrap_or_default(), field, "{seen}");
    }
}

#[tokio::test]
async fn secrets_are_agreed_encapsulated_and_wrapped() {
    let api = Api::new().await;
    let (ours, theirs) = (api.key("ecdh-p256").await, api.key("ecdh-p256").await);
    let public = api.get(&format!("/v1/keys/{theirs}/public-key?format=jwk")).await;
    let there = api.get(&format!("/v1/keys/{ours}/public-key?format=raw")).await;
    let hkdf = json!({"hash": "sha512", "bytes": 48, "salt": "YQ==", "info": "Yg=="});
    let body = json!({"public_key": b64(&public.body), "format": "jwk", "hkdf": hkdf});
    let here = post(&api, &ours, "agree", &body).await;
    let body = json!({"public_key": b64(&there.body), "hkdf": hkdf});
    assert_eq!(here, post(&api, &theirs, "agree", &body).await);
    assert_eq!(unb64(&member(&here, "shared_secret")).len(), 48);
    for (more, field) in [
        (json!({"hash": "md5"}), "hash"),
        (json!({"hash": "sha256", "hkdf": hkdf}), "hash"),
        (json!({"hkdf": {"hash": "sha1", "bytes": 1}}), "hkdf.hash"),
        (json!({"hkdf": {"hash": "sha256", "bytes": 0}}), "bytes"),
        (json!({"format": "spki-der"}), "public_key"),
    ] {
        let mut body = json!({"public_key": b64(&there.body)});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        refused(&api, &theirs, "agree", &body, "invalid-field", field).await;
    }
    let kem = api.key("x25519-ml-kem-768").await;
    let made = post(&api, &kem, "encapsulate", &json!({"version": 1})).await;
    let body = json!({"ciphertext": made["ciphertext"]});
    let opened = post(&api, &kem, "decapsulate", &body).await;
    assert_eq!(opened["shared_secret"], made["shared_secret"]);
    refused(
        &api,
        &kem,
        "decapsulate",
        &json!({"ciphertext": "AAAA"}),
        "invalid-field",
        "ciphertext",
    )
    .await;
    let wrapper = api.key("aes256-kw").await;
    let wrapped = post(&api, &wrapper, "wrap", &json!({"plaintext": b64(&[7; 32])})).await;
    let body = json!({"wrapped": wrapped["wrapped"]});
    assert_eq!(post(&api, &wrapper, "unwrap", &body).await["plaintext"], b64(&[7; 32]));
    refused(
        &api,
        &wrapper,
        "unwrap",
        &json!({"wrapped": b64(&[0; 40])}),
        "cryptographic-failure",
        "",
    )
    .await;
    let mac = api.key("hmac-sha512").await;
    let cut = post(&api, &mac, "mac", &json!({"message": "YQ==", "bytes": 20})).await;
    let body = json!({"message": "YQ==", "mac": cut["mac"], "bytes": 20});
    assert_eq!(post(&api, &mac, "mac/verify", &body).await, json!({"valid": true}));
    let body = json!({"message": "YQ==", "mac": cut["mac"]});
    assert_eq!(post(&api, &mac, "mac/verify", &body).await, json!({"valid": false}));
    refused(&api, &mac, "mac", &json!({"message": "", "bytes": 15}), "invalid-field", "bytes")
        .await;
}

#[tokio::test]
async fn a_child_is_derived_once() {
    let api = Api::new().await;
    let (root, mac) = (api.key("bip32-secp256k1").await, api.key("hmac-sha256").await);
    let create = async |algorithm: &str, derive: Value| {
        let body = json!({"name": "child", "algorithm": algorithm, "derive": derive});
        api.post("/v1/keys", &body.to_string()).await
    };
    let child = create("secp256k1", json!({"parent": root, "path": "m/44h/0"})).await;
    assert_eq!(child.head.status, 201);
    assert_eq!(json(&child)["derived_from"], json!({"key": root, "path": "m/44'/0"}));
    let again = create("secp256k1", json!({"parent": root, "path": "m/44'/0"})).await;
    problem(&again, 409, "name-taken");
    assert_eq!(create("aes256-gcm", json!({"parent": mac, "label": "x"})).await.head.status, 201);
    for (derive, code, field) in [
        (json!({"parent": "x", "path": "m/0"}), "invalid-field", "derive.parent"),
        (json!({"parent": root, "path": "0/1"}), "invalid-field", "derive.path"),
        (json!({"parent": root}), "invalid-field", "derive"),
        (json!({"parent": root, "path": "m/0", "label": "x"}), "invalid-field", "derive"),
        (json!({"parent": root, "path": "m"}), "invalid-field", "path"),
        (json!({"parent": mac, "label": ""}), "invalid-field", "label"),
    ] {
        let seen = problem(&create("secp256k1", derive).await, 422, code);
        assert_eq!(seen["field"], field);
    }
    let once = async |path: &str| {
        let derive = json!({"parent": root, "path": path});
        let body = json!({"name": "c", "algorithm": "secp256k1", "derive": derive}).to_string();
        let header = [("idempotency-key", "child-1")];
        api.send(http::Method::POST, "/v1/keys", &header, body).await
    };
    let first = json(&once("m/9").await);
    assert_eq!(first["id"], json(&once("m/9").await)["id"]);
    problem(&once("m/8").await, 422, "idempotency-key-reused");
}

#[tokio::test]
async fn random_bytes_and_hashes_have_bounds() {
    let api = Api::new().await;
    let random = json(&api.post("/v1/random", r#"{"bytes":32}"#).await);
    assert_eq!(unb64(&member(&random, "random")).len(), 32);
    let hash = api.post("/v1/hash", r#"{"algorithm":"sha3-256","message":""}"#).await;
    assert_eq!(json(&hash)["hash"], "p//G+L8e12ZRwUdWoGHWYvWA/03kO0n6gtgKS4D4Q0o=");
    for (path, body, field) in [
        ("/v1/random", r#"{"bytes":0}"#, "bytes"),
        ("/v1/random", r#"{"bytes":65537}"#, "bytes"),
        ("/v1/hash", r#"{"algorithm":"md5","message":""}"#, "algorithm"),
        ("/v1/hash", r#"{"algorithm":"sha256","message":"*"}"#, "message"),
    ] {
        assert_eq!(problem(&api.post(path, body).await, 422, "invalid-field")["field"], field);
    }
    let nobody = api.token_with(&[]).await;
    for (path, body) in
        [("/v1/random", r#"{"bytes":1}"#), ("/v1/hash", r#"{"algorithm":"sha256","message":""}"#)]
    {
        let answer = api.send_as(&nobody, http::Method::POST, path, body).await;
        problem(&answer, 403, "permission-denied");
    }
}
