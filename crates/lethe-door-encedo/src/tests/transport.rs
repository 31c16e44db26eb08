//! What holds for every request: origins, lengths, encryption, paths.

use http::Method;
use lethe_http::testing::Answer;
use serde_json::{Value, json};

use super::support::{Api, body, send_to, status};
use crate::Settings;

const PATHS: [&str; 6] = [
    "/api/system/status",
    "/api/keymgmt/list",
    "/api/auth/token",
    "/api/diag/memdump/1/1",
    "/",
    "/none",
];

#[tokio::test]
async fn foreign_origins_are_refused_everywhere() {
    let api = Api::new().await;
    for path in PATHS {
        for origin in
            ["https://evil.example", "null", "", "https://a.example.evil", "http://a.example"]
        {
            let answer = api.send(Method::GET, path, &[("origin", origin)], "").await;
            assert_eq!(status(&answer), 412, "{path} {origin}");
            assert!(!answer.head.headers.contains_key("access-control-allow-origin"));
        }
        for origin in ["https://evil.example", "https://a.example"] {
            let answer = api.send(Method::OPTIONS, path, &[("origin", origin)], "").await;
            assert_eq!(status(&answer), 204, "{path}");
            let header = |name: &str| answer.head.headers[name].to_str().unwrap();
            assert_eq!(header("access-control-allow-methods"), "GET, POST, DELETE, OPTIONS");
            assert_eq!(header("access-control-max-age"), "86400");
            assert_eq!(header("access-control-allow-credentials"), "true");
            assert_eq!(
                header("access-control-allow-headers"),
                "Content-Type, Cache-Control, Pragma, Expires, Authorization, Content-Disposition"
            );
        }
    }
    let one = [("origin", "https://a.example")];
    let answer = api.send(Method::GET, "/api/system/status", &one, "").await;
    assert_eq!(status(&answer), 200);
    assert_eq!(answer.head.headers["access-control-allow-origin"], "https://a.example");
    let both = [one[0], one[0]];
    assert_eq!(status(&api.send(Method::GET, "/api/system/status", &both, "").await), 412);
}

#[test]
fn origins_are_all_one_or_those_below_a_domain() {
    let cases = [
        ("*", "https://x.example", true),
        ("https://a.example", "https://a.example", true),
        ("a.example", "https://a.example", true),
        ("https://a.example", "https://a.example:8443", false),
        ("*.ence.do", "https://my.ence.do", true),
        ("*.ence.do", "https://my.ence.do:8443", true),
        ("*.ence.do", "https://ence.do", false),
        ("*.ence.do", "https://evilence.do", false),
        ("*.ence.do", "https://my.ence.do.evil", false),
        ("", "https://a.example", false),
    ];
    for (allowed, origin, expected) in cases {
        assert_eq!(crate::is_allowed(allowed, origin), expected, "{allowed} {origin}");
    }
}

#[tokio::test]
async fn bodies_have_a_length_and_a_limit() {
    let api = Api::new().await;
    let send = async |bytes: usize| {
        status(&api.ask(Method::POST, "/api/auth/token", "", &"x".repeat(bytes)).await)
    };
    assert_eq!(send(7_301).await, 413);
    assert_eq!(send(7_300).await, 400);
    assert_eq!(send(0).await, 400);
    let chunked = [("transfer-encoding", "chunked")];
    let answer = api.send(Method::POST, "/api/auth/token", &chunked, "{}").await;
    assert_eq!(status(&answer), 411);
    let token = api.token("keymgmt:del").await;
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let path = format!("/api/keymgmt/delete/{}", "0".repeat(32));
    assert_eq!(status(&api.send(Method::DELETE, &path, &headers, "").await), 406);
}

#[tokio::test]
async fn keys_and_uses_are_refused_in_the_clear() {
    let api = Api::new().await;
    let kid = api.key("AES128").await;
    let plain = async |method: Method, path: &str, token: &str| -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let headers = if token.is_empty() { &[][..] } else { &headers[..] };
        send_to(&api.plain, method, path, headers, b"{}".to_vec()).await
    };
    let token = api.token("keymgmt:list").await;
    for (method, path) in [
        (Method::GET, "/api/keymgmt/list".to_owned()),
        (Method::GET, format!("/api/keymgmt/get/{kid}")),
        (Method::POST, "/api/keymgmt/search".to_owned()),
        (Method::POST, "/api/keymgmt/create".to_owned()),
        (Method::POST, "/api/keymgmt/import".to_owned()),
        (Method::POST, "/api/keymgmt/derive".to_owned()),
        (Method::POST, "/api/keymgmt/update".to_owned()),
        (Method::DELETE, format!("/api/keymgmt/delete/{kid}")),
        (Method::POST, "/api/crypto/hmac/hash".to_owned()),
        (Method::POST, "/api/crypto/exdsa/sign".to_owned()),
        (Method::POST, "/api/crypto/cipher/encrypt".to_owned()),
        (Method::POST, "/api/crypto/ecdh".to_owned()),
        (Method::POST, "/api/crypto/pqc/mlkem/encaps".to_owned()),
    ] {
        for token in ["", &token] {
            let answer = plain(method.clone(), &path, token).await;
            assert_eq!(status(&answer), 418, "{path}");
        }
        assert_eq!(status(&plain(method, &path, "x").await), 401, "the token is looked at first");
    }
    let shown = body(&plain(Method::GET, "/api/system/status", "").await);
    assert_eq!(shown["https"], true);
    assert_eq!(status(&plain(Method::GET, "/api/auth/token", "").await), 200);
    assert_eq!(status(&plain(Method::GET, "/api/system/version", "").await), 200);
    assert_eq!(status(&plain(Method::GET, "/api/system/checkin", "").await), 200);
}

#[tokio::test]
async fn what_is_not_here_says_so() {
    let api = Api::new().await;
    let reason = |answer: &Answer| answer.head.headers.contains_key("x-hem-reason");
    for path in [
        "/api/storage/lock",
        "/api/storage/unlock/rw",
        "/api/system/upgrade/check_fw",
        "/api/system/upgrade/upload_fw",
        "/api/diag/memdump/1/1",
        "/api/system/config/attestation",
    ] {
        let answer = api.get("", path).await;
        assert_eq!((status(&answer), reason(&answer)), (404, true), "{path}");
    }
    for (method, path) in [
        (Method::GET, "/api/none"),
        (Method::GET, "/"),
        (Method::PUT, "/api/keymgmt/create"),
        (Method::POST, "/api/keymgmt/list"),
        (Method::PATCH, "/api/system/status"),
        (Method::GET, "/api/keymgmt/delete/x"),
        (Method::GET, "/api/system/config/provisioning"),
        (Method::POST, "/api/system/config/provisioning"),
    ] {
        let answer = api.ask(method, path, "", "{}").await;
        assert_eq!((status(&answer), reason(&answer)), (404, false), "{path}");
    }
    let settings = Settings { hwv: "SOFT PPA rev 1.0".to_owned(), ..Settings::default() };
    let portable = Api::with(settings).await;
    let path = "/api/system/config/provisioning";
    assert_eq!(status(&portable.post("", path, &json!({})).await), 403);
    let path = "/api/system/config/attestation";
    assert_eq!(status(&portable.get("", path).await), 401);
    let token = portable.token("nothing").await;
    assert_eq!(body(&portable.get(&token, path).await), json!({ "genuine": "", "crt": "" }));
}

#[tokio::test]
async fn check_in_trusts_the_broker_of_the_device_alone() {
    let settings = Settings { local_broker: true, ..Settings::default() };
    let api = Api::with(settings).await;
    let check = body(&api.get("", "/api/system/checkin").await);
    let checked = body(&api.post("", "/checkin", &check).await);
    let answer = api.post("", "/api/system/checkin", &checked).await;
    assert_eq!(body(&answer), json!({ "status": "OK" }));
    assert_eq!(status(&api.post("", "/api/system/checkin", &checked).await), 401, "once");
    for wrong in [json!({ "checked": "a.b.c" }), json!({ "checked": check["check"] })] {
        assert_eq!(status(&api.post("", "/api/system/checkin", &wrong).await), 401);
    }
    assert_eq!(status(&api.post("", "/api/system/checkin", &json!({})).await), 400);
    assert_eq!(status(&api.post("", "/checkin", &json!({ "check": Value::Null })).await), 400);
    let without = Api::new().await;
    assert_eq!(status(&without.post("", "/checkin", &check).await), 404);
}
