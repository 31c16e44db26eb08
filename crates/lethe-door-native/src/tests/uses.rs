//! Uses of keys: what comes back, byte for byte.

use std::sync::atomic::Ordering;
use std::thread;

use lethe_types::limits::{AAD_BYTES_MAX, PLAINTEXT_BYTES_MAX};
use serde_json::json;

use super::support::{Api, b64, header, json, member, problem, unb64};
use crate::answer::{Answer, Value};
use crate::reply::INLINE_BODY_BYTES_MAX;
use crate::wire;

#[tokio::test]
async fn what_is_encrypted_is_decrypted_with_the_same_associated_data_only() {
    let api = Api::new().await;
    let id = api.key("aes256-gcm").await;
    let body = json!({"plaintext": b64(b"a letter"), "aad": b64(b"customer 7")}).to_string();
    let answer = api.post(&format!("/v1/keys/{id}/encrypt"), &body).await;
    let encrypted = json(&answer);
    assert_eq!((answer.head.status.as_u16(), &encrypted["version"]), (200, &json!(1)));
    let ciphertext = member(&encrypted, "ciphertext");
    assert_eq!(unb64(&ciphertext).len(), 33 + 8);
    let decrypt = async |ciphertext: &str, aad: Option<&[u8]>| {
        let body = json!({"ciphertext": ciphertext, "aad": aad.map(b64)}).to_string();
        api.post(&format!("/v1/keys/{id}/decrypt"), &body).await
    };
    let decrypted = decrypt(&ciphertext, Some(b"customer 7")).await;
    assert_eq!(decrypted.body, r#"{"plaintext":"YSBsZXR0ZXI="}"#);
    assert_eq!(header(&decrypted, "cache-control"), Some("no-store"));
    for aad in [None, Some(b"".as_slice()), Some(b"customer 8")] {
        problem(&decrypt(&ciphertext, aad).await, 422, "cryptographic-failure");
    }
    for text in ["", "AQAAAAE=", &ciphertext.replacen('A', "B", 1)] {
        problem(&decrypt(text, Some(b"customer 7")).await, 422, "cryptographic-failure");
    }
    let seen = json(&api.get(&format!("/v1/keys/{id}")).await);
    assert_eq!(seen["uses"], 2);
    assert_eq!(seen["last_used"], "2026-09-21T14:13:20.000Z");
}

#[tokio::test]
async fn escaped_base64_is_the_same_base64() {
    let api = Api::new().await;
    let id = api.key("chacha20-poly1305").await;
    // Clients escape `/`, as some serialisers do, or anything else.
    let body = r#"{"plaintext":"\/\/\u002f\u002b"}"#;
    let encrypted = json(&api.post(&format!("/v1/keys/{id}/encrypt"), body).await);
    let body = json!({"ciphertext": encrypted["ciphertext"]}).to_string();
    let decrypted = json(&api.post(&format!("/v1/keys/{id}/decrypt"), &body).await);
    assert_eq!(unb64(&member(&decrypted, "plaintext")), [0xff, 0xff, 0xfe]);
}

#[tokio::test]
async fn the_largest_plaintext_is_taken_and_one_byte_more_is_not() {
    let api = Api::new().await;
    let id = api.key("aes128-gcm").await;
    let encrypt = async |plaintext: usize, aad: usize| {
        let body = json!({"plaintext": b64(&vec![7; plaintext]), "aad": b64(&vec![8; aad])});
        api.post(&format!("/v1/keys/{id}/encrypt"), &body.to_string()).await
    };
    let largest = encrypt(PLAINTEXT_BYTES_MAX, AAD_BYTES_MAX).await;
    assert_eq!(largest.head.status, 200);
    let body = json!({
        "ciphertext": json(&largest)["ciphertext"], "aad": b64(&vec![8; AAD_BYTES_MAX])
    });
    let decrypted = api.post(&format!("/v1/keys/{id}/decrypt"), &body.to_string()).await;
    assert_eq!(unb64(&member(&json(&decrypted), "plaintext")), vec![7; PLAINTEXT_BYTES_MAX]);
    let over = problem(&encrypt(PLAINTEXT_BYTES_MAX + 1, 0).await, 422, "invalid-field");
    assert_eq!(over["field"], "plaintext");
    let over = problem(&encrypt(1, AAD_BYTES_MAX + 1).await, 422, "invalid-field");
    assert_eq!(over["field"], "aad");
    problem(&encrypt(2 * PLAINTEXT_BYTES_MAX, 0).await, 413, "body-too-large");
}

#[tokio::test]
async fn signatures_verify_and_altered_ones_do_not() {
    let api = Api::new().await;
    for (algorithm, scheme) in [
        ("ed25519", None),
        ("ecdsa-p256", Some("ecdsa-sha256-p1363")),
        ("ecdsa-p384", None),
        ("rsa-2048", None),
        ("rsa-2048", Some("rsa-pkcs1-sha512")),
    ] {
        let id = api.key(algorithm).await;
        let body = json!({"message": b64(b"hello"), "scheme": scheme}).to_string();
        let signed = json(&api.post(&format!("/v1/keys/{id}/sign"), &body).await);
        assert_eq!(signed["version"], 1, "{algorithm} {scheme:?}: {signed}");
        let verify = async |message: &[u8], signature: &str, version: Option<u32>| {
            let body = json!({
                "message": b64(message), "signature": signature, "scheme": scheme,
                "version": version
            });
            api.post(&format!("/v1/keys/{id}/verify"), &body.to_string()).await.body
        };
        let signature = member(&signed, "signature");
        assert_eq!(verify(b"hello", &signature, None).await, r#"{"valid":true}"#);
        assert_eq!(verify(b"hello", &signature, Some(1)).await, r#"{"valid":true}"#);
        assert_eq!(verify(b"hello", &signature, Some(2)).await, r#"{"valid":false}"#);
        assert_eq!(verify(b"jello", &signature, None).await, r#"{"valid":false}"#);
        assert_eq!(verify(b"hello", "", None).await, r#"{"valid":false}"#);
    }
}

#[tokio::test]
async fn codes_verify_and_altered_ones_do_not() {
    let api = Api::new().await;
    let id = api.key("hmac-sha256").await;
    let body = json!({"message": b64(b"hello")}).to_string();
    let answer = json(&api.post(&format!("/v1/keys/{id}/mac"), &body).await);
    let mac = member(&answer, "mac");
    assert_eq!((unb64(&mac).len(), &answer["version"]), (32, &json!(1)));
    let verify = async |message: &[u8], mac: &str| {
        let body = json!({"message": b64(message), "mac": mac}).to_string();
        api.post(&format!("/v1/keys/{id}/mac/verify"), &body).await.body
    };
    assert_eq!(verify(b"hello", &mac).await, r#"{"valid":true}"#);
    assert_eq!(verify(b"jello", &mac).await, r#"{"valid":false}"#);
    assert_eq!(verify(b"hello", "AAAA").await, r#"{"valid":false}"#);
}

/// The runtime of a test has one thread, which serves; the pool for blocking work has others.
#[tokio::test]
async fn slow_keys_and_large_bodies_do_not_hold_up_the_thread_that_serves() {
    let api = Api::new().await;
    let serving = thread::current().id();
    let check = async |id: &str, operation: &str, body: &serde_json::Value, is_pooled: bool| {
        *api.audit.newest_thread.lock().unwrap() = None;
        let answer = api.post(&format!("/v1/keys/{id}/{operation}"), &body.to_string()).await;
        let worked = api.audit.newest_thread.lock().unwrap().expect("every use is audited");
        assert_eq!(worked != serving, is_pooled, "{operation} {body:.100}");
        answer
    };
    let message = b64(b"hello");
    for (algorithm, is_slow) in [("ed25519", false), ("ecdsa-p256", false), ("rsa-2048", true)] {
        let id = api.key(algorithm).await;
        let signed = check(&id, "sign", &json!({"message": message}), is_slow).await;
        let signature = member(&json(&signed), "signature");
        // Valid, of another version, malformed; with a version and without one.
        for (signature, version, expected) in [
            (&signature, None, r#"{"valid":true}"#),
            (&signature, Some(1), r#"{"valid":true}"#),
            (&signature, Some(2), r#"{"valid":false}"#),
            (&String::new(), None, r#"{"valid":false}"#),
        ] {
            let body = json!({"message": message, "signature": signature, "version": version});
            assert_eq!(check(&id, "verify", &body, is_slow).await.body, expected);
        }
        // Refused, but on the same thread as if the key had this use.
        for version in [None, Some(1)] {
            let body = json!({"message": message, "mac": "AAAA", "version": version});
            let refused = check(&id, "mac/verify", &body, is_slow).await;
            problem(&refused, 422, "incompatible-use");
        }
        let large = json!({"message": b64(&vec![7; INLINE_BODY_BYTES_MAX]), "signature": ""});
        assert_eq!(check(&id, "verify", &large, true).await.body, r#"{"valid":false}"#);
    }
    let id = api.key("hmac-sha256").await;
    for version in [None, Some(1)] {
        let body = json!({"message": message, "mac": "AAAA", "version": version});
        let answer = check(&id, "mac/verify", &body, false).await;
        assert_eq!(answer.body, r#"{"valid":false}"#);
    }
    let large = json!({"message": b64(&vec![7; INLINE_BODY_BYTES_MAX]), "mac": ""});
    assert_eq!(check(&id, "mac/verify", &large, true).await.body, r#"{"valid":false}"#);

    // There is no such key, so nothing slow can come of it.
    let body = json!({"message": message, "signature": ""});
    let unknown = check("00000000000000000000000000000000", "verify", &body, false).await;
    assert_eq!(unknown.head.status, 404);
}

#[tokio::test]
async fn both_sides_agree_on_one_secret() {
    let api = Api::new().await;
    let (ours, theirs) = (api.key("x25519").await, api.key("x25519").await);
    let public = async |id: &str| {
        let pem = api.get(&format!("/v1/keys/{id}/public-key")).await.body;
        let text = String::from_utf8(pem.to_vec()).unwrap();
        let der = unb64(&text.lines().filter(|line| !line.starts_with('-')).collect::<String>());
        b64(&der[der.len() - 32..])
    };
    let agree = async |id: &str, public: &str| {
        let body = json!({"public_key": public}).to_string();
        api.post(&format!("/v1/keys/{id}/agree"), &body).await
    };
    let one = agree(&ours, &public(&theirs).await).await;
    let other = agree(&theirs, &public(&ours).await).await;
    assert_eq!(one.body, other.body);
    assert_eq!(unb64(&member(&json(&one), "shared_secret")).len(), 32);
    assert_eq!(header(&one, "cache-control"), Some("no-store"));
    for bad in [b64(&[0; 32]), b64(&[9; 31]), String::new()] {
        problem(&agree(&ours, &bad).await, 422, "invalid-field");
    }
}

#[tokio::test]
async fn uses_that_the_algorithm_lacks_are_refused() {
    let api = Api::new().await;
    let id = api.key("ed25519").await;
    let check = async |operation: &str, body: serde_json::Value, code: &str| {
        let path = format!("/v1/keys/{id}/{operation}");
        problem(&api.post(&path, &body.to_string()).await, 422, code)
    };
    check("encrypt", json!({"plaintext": ""}), "incompatible-use").await;
    check("decrypt", json!({"ciphertext": ""}), "incompatible-use").await;
    check("mac", json!({"message": ""}), "incompatible-use").await;
    check("agree", json!({"public_key": b64(&[9; 32])}), "incompatible-use").await;
    let refused = check("sign", json!({"message": "", "scheme": "rot13"}), "invalid-field").await;
    assert_eq!(refused["field"], "scheme");
    check("sign", json!({"message": "", "scheme": "rsa-pss-sha256"}), "invalid-field").await;
}

#[tokio::test]
async fn nothing_is_used_while_the_audit_trail_is_full() {
    let api = Api::new().await;
    let id = api.key("aes256-gcm").await;
    api.audit.full.store(true, Ordering::SeqCst);
    let answer = api.post(&format!("/v1/keys/{id}/encrypt"), r#"{"plaintext":""}"#).await;
    problem(&answer, 503, "audit-unavailable");
}

#[track_caller]
fn check_text(answer: &Answer, expected: &impl serde::Serialize) {
    assert_eq!(answer.as_slice(), serde_json::to_vec(expected).unwrap());
}

#[test]
fn answers_written_by_hand_are_what_serde_writes() {
    for version in [0, 1, 9, 10, 4_294_967_295] {
        for length in [0, 1, 2, 3, 100] {
            let bytes = vec![0xfb; length];
            let text = b64(&bytes);
            let (value, number) = (Value::Bytes(&bytes), Value::Number(version));
            check_text(
                &Answer::open(&[("ciphertext", value), ("version", number)]),
                &wire::Encrypted { ciphertext: text.clone(), version },
            );
            for recovery_id in [None, Some(3)] {
                let mut members = vec![("signature", value), ("version", number)];
                members.extend(recovery_id.map(|id| ("recovery_id", Value::Number(id.into()))));
                check_text(
                    &Answer::open(&members),
                    &wire::Signed { signature: text.clone(), version, recovery_id },
                );
            }
            check_text(
                &Answer::open(&[("mac", value), ("version", number)]),
                &wire::Authenticated { mac: text.clone(), version },
            );
            check_text(
                &Answer::secret(&[("plaintext", value)]),
                &wire::Decrypted { plaintext: text.clone() },
            );
            check_text(
                &Answer::secret(&[
                    ("ciphertext", value),
                    ("version", number),
                    ("plaintext", value),
                ]),
                &wire::DataKeyMade {
                    ciphertext: text.clone(),
                    version,
                    plaintext: Some(text.clone()),
                },
            );
            check_text(
                &Answer::secret(&[("shared_secret", value)]),
                &wire::Agreed { shared_secret: text },
            );
        }
    }
    check_text(&Answer::validity(true), &wire::Validity { valid: true });
    check_text(&Answer::validity(false), &wire::Validity { valid: false });
}
