//! Bad input to every endpoint: the documented status, a device that stays usable, a log that is
//! right.

use http::Method;
use serde_json::{Value, json};

use super::support::{Api, status};
use crate::b64;

/// Endpoints that read a body, with what is good there and the scope that opens it.
fn endpoints(kid: &str) -> Vec<(&'static str, String, Value)> {
    let used = format!("keymgmt:use:{kid}");
    let of = |scope: &str| scope.to_owned();
    vec![
        ("/api/auth/token", String::new(), json!({ "auth": "x" })),
        ("/api/auth/ext/init", of("auth:ext:pair"), json!({ "epk": "x" })),
        ("/api/auth/ext/validate", of("auth:ext:pair"), json!({ "pid": "x", "reply": "x" })),
        ("/api/auth/ext/mac", of("auth:ext:pair"), json!({ "epk": "x" })),
        ("/api/auth/ext/request", String::new(), json!({ "epk": "x", "scope": "x" })),
        ("/api/auth/ext/token", String::new(), json!({ "authreply": "x" })),
        ("/api/system/checkin", String::new(), json!({ "checked": "x" })),
        ("/api/keymgmt/search", of("keymgmt:list"), json!({ "descr": "x" })),
        ("/api/keymgmt/create", of("keymgmt:gen"), json!({ "label": "x", "type": "AES128" })),
        (
            "/api/keymgmt/import",
            of("keymgmt:imp"),
            json!({ "label": "x", "type": "ED25519", "pubkey": "x" }),
        ),
        (
            "/api/keymgmt/derive",
            of("keymgmt:derive"),
            json!({ "kid": kid, "label": "x", "type": "AES128", "pubkey": "x" }),
        ),
        ("/api/keymgmt/update", of("keymgmt:upd"), json!({ "kid": kid, "label": "x" })),
        ("/api/crypto/hmac/hash", used.clone(), json!({ "kid": kid, "msg": "x" })),
        ("/api/crypto/hmac/verify", used.clone(), json!({ "kid": kid, "msg": "x", "mac": "x" })),
        ("/api/crypto/exdsa/sign", used.clone(), json!({ "kid": kid, "msg": "x", "alg": "x" })),
        (
            "/api/crypto/exdsa/verify",
            used.clone(),
            json!({ "kid": kid, "msg": "x", "alg": "x", "sign": "x" }),
        ),
        ("/api/crypto/cipher/encrypt", used.clone(), json!({ "kid": kid, "msg": "x", "alg": "x" })),
        ("/api/crypto/cipher/decrypt", used.clone(), json!({ "kid": kid, "msg": "x", "alg": "x" })),
        ("/api/crypto/cipher/wrap", used.clone(), json!({ "kid": kid, "msg": "x" })),
        ("/api/crypto/cipher/unwrap", used.clone(), json!({ "kid": kid, "msg": "x" })),
        ("/api/crypto/ecdh", used.clone(), json!({ "kid": kid, "pubkey": "x" })),
        ("/api/crypto/pqc/mlkem/decaps", used.clone(), json!({ "kid": kid, "ct": "x" })),
        ("/api/crypto/pqc/mldsa/sign", used.clone(), json!({ "kid": kid, "msg": "x" })),
        ("/api/crypto/pqc/mldsa/verify", used, json!({ "kid": kid, "msg": "x", "sign": "x" })),
    ]
}

#[tokio::test]
async fn a_body_is_one_object() {
    let api = Api::new().await;
    let kid = api.key("AES128").await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let wrong = [
        "", " ", "null", "7", "\"x\"", "[]", "[{}]", "{", "{}x", "{\"a\":}", "\u{fe}", &deep,
        "{'a':1}",
    ];
    for (path, scope, _) in endpoints(&kid) {
        let token = if scope.is_empty() { String::new() } else { api.token(&scope).await };
        for body in wrong {
            let answer = api.ask(Method::POST, path, &token, body).await;
            assert_eq!(status(&answer), 400, "{path} {body}");
        }
        let broken = api.send(Method::POST, path, &[], vec![0xff, 0xfe]).await;
        assert!([400, 401].contains(&status(&broken)), "{path}");
    }
    api.key("AES128").await;
}

#[tokio::test]
async fn members_are_what_they_have_to_be() {
    let api = Api::new().await;
    let kid = api.key("AES128").await;
    let odd = [json!(null), json!(7), json!(true), json!([]), json!({}), json!(-1.5)];
    for (path, scope, good) in endpoints(&kid) {
        let token = if scope.is_empty() { String::new() } else { api.token(&scope).await };
        for name in good.as_object().expect("an object").keys() {
            for value in &odd {
                let mut request = good.clone();
                request[name] = value.clone();
                let answer = api.post(&token, path, &request).await;
                assert_eq!(status(&answer), 400, "{path} {name} {value}");
            }
            let mut without = good.clone();
            without.as_object_mut().expect("an object").remove(name);
            let answer = api.post(&token, path, &without).await;
            assert_eq!(status(&answer), 400, "{path} without {name}");
        }
    }
    // A key can still be made, and the log has nothing but errors of these.
    api.key("AES128").await;
    let log = api.log_of_work();
    let is_known = |event: &String| event.contains("/2 ") || event.starts_with("20/0");
    assert!(log.iter().all(is_known), "{log:?}");
}

#[tokio::test]
async fn bytes_come_in_either_alphabet() {
    let api = Api::new().await;
    let kid = api.key("SHA2-256").await;
    let cases = [
        ("-_8=", 200),
        ("+/8=", 200),
        ("-_8", 200),
        ("+/8", 200),
        ("+_8", 200),
        ("", 200),
        ("YQ", 200),
        ("YQ=", 400),
        ("YQ===", 400),
        ("YR==", 400),
        ("Y", 400),
        ("Y Q=", 400),
        ("YQ==\n", 400),
        ("=", 400),
        ("*", 400),
        ("\u{e4}", 400),
        ("YQ==YQ==", 400),
    ];
    for (msg, expected) in cases {
        let answer = api.use_key(&kid, "hmac/hash", json!({ "msg": msg })).await;
        assert_eq!(status(&answer), expected, "{msg:?}");
    }
    for bytes in 0..70_usize {
        let data: Vec<u8> = (0..bytes).map(|one| u8::try_from(one * 37 % 256).unwrap()).collect();
        let standard = b64::encode(&data);
        let forms = [
            standard.clone(),
            standard.replace('+', "-").replace('/', "_"),
            standard.trim_end_matches('=').to_owned(),
        ];
        for form in forms {
            assert_eq!(b64::decode(&form), Some(data.clone()), "{form}");
        }
    }
}

#[tokio::test]
async fn bounds_hold_at_and_past_the_limit() {
    let api = Api::new().await;
    let token = api.token("keymgmt:gen").await;
    let with = |label: String, descr: usize| {
        let descr = b64::encode(&vec![1; descr]);
        json!({ "label": label, "type": "AES128", "descr": descr })
    };
    let cases = [
        (with("x".to_owned(), 0), 200),
        (with("x".repeat(32), 128), 200),
        (with("x".repeat(33), 1), 400),
        (with(String::new(), 1), 400),
        (with("x".to_owned(), 129), 400),
        (with(" ~".to_owned(), 1), 200),
        (with("   ".to_owned(), 1), 200),
        (with("a\u{7f}".to_owned(), 1), 400),
        (with("a\u{1f}".to_owned(), 1), 400),
        (with("\u{e4}".to_owned(), 1), 400),
        (json!({ "label": "x", "type": "aes128" }), 400),
        (json!({ "label": "x", "type": "AES128 " }), 400),
        (json!({ "label": "x", "type": "GENERIC_DER" }), 400),
        (json!({ "label": "x", "type": "" }), 400),
    ];
    for (request, expected) in cases {
        let answer = api.post(&token, "/api/keymgmt/create", &request).await;
        assert_eq!(status(&answer), expected, "{request}");
    }
    let kid = api.key("SHA2-256").await;
    for (bytes, expected) in [(2_047, 200), (2_048, 200), (2_049, 400)] {
        let request = json!({ "msg": b64::encode(&vec![0; bytes]) });
        assert_eq!(status(&api.use_key(&kid, "hmac/hash", request).await), expected);
    }
}
