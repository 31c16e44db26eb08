//! The shape of every answer, and what of a request it repeats.

use std::sync::atomic::Ordering;

use http::{Method, Request};
use lethe_engine::{Collection, DocumentChange, DoorOperation, EngineError, Expected};
use lethe_http::Fallback;
use lethe_http::testing::Answer;
use serde_json::{Value, json};

use super::support::{Api, failure, success};
use crate::DOOR;
use crate::error::Failure;
use crate::settings::{Echo, Settings};

#[tokio::test]
async fn what_is_not_there_is_told_in_the_envelope() {
    let api = Api::new().await;
    let token = api.writer.as_str();
    let headers = [("x-http-token", token)];
    let check = async |method: &str, path: &str, status, why: &str| -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = api.send_to(method, path, &headers, "").await;
        let shown = failure(&answer, status, why);
        assert!(!shown.to_string().contains(token), "it proved nothing");
        answer
    };
    for path in [
        "/",
        "/api",
        "/api/1.0",
        "/api/1.0/",
        "/api/2.0/vault",
        "/api/1/vault",
        "/vault",
        "/api/1.0/nope",
        "/api/1.0/vault//",
        "/API/1.0/vault",
        "/api/1.0/transparent/1/nope/x",
        "/api/1.0/transparent/1/keys/a/b/c",
        "/index.html",
    ] {
        check("GET", path, 404, "NO SUCH ENDPOINT").await;
        check("LIST", path, 404, "NO SUCH ENDPOINT").await;
    }
    let keys = format!("/api/1.0/transparent/{}/keys", api.vault);
    let answer = check("POST", &keys, 405, "METHOD NOT ALLOWED").await;
    let allow = answer.head.headers["allow"].to_str().unwrap();
    assert_eq!(allow, "GET, HEAD, LIST");
    for (method, path) in [
        ("list", keys.as_str()),
        ("DELETE", &keys),
        ("PATCH", "/api/1.0/vault"),
        ("GET", "/api/1.0/auth"),
        ("DELETE", "/api/1.0/auth/check"),
        ("LIST", "/api/1.0/vault"),
    ] {
        check(method, path, 405, "METHOD NOT ALLOWED").await;
    }
    let path = format!("{keys}/%ff");
    check("GET", &path, 400, "INVALID PARAMETER: name").await;
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused() {
    let api = Api::new().await;
    let most = 4 * 1_024 * 1_024;
    let padded = |bytes: usize| format!("{{\"x\":\"{}\"}}", "y".repeat(bytes - 8));
    let headers = [("x-http-token", api.reader.as_str())];
    let path = "/auth/check";
    let answer = api.send(Method::POST, path, &headers, padded(most)).await;
    success(&answer, 200);
    let answer = api.send(Method::POST, path, &headers, padded(most + 1)).await;
    failure(&answer, 413, "REQUEST TOO LARGE");
}

/// What the server cannot do at the moment, and what it finds broken.
#[tokio::test]
async fn faults_of_the_server_are_told_in_the_envelope() {
    let api = Api::new().await;
    api.key(json!({})).await;
    let sealed = api.sealed().await;
    api.audit.is_lost.store(true, Ordering::SeqCst);
    for (method, path, body) in [
        (Method::DELETE, api.path("key"), json!({})),
        (Method::POST, api.path("encrypt"), json!({ "plaintext": "" })),
        (Method::POST, "/auth".to_owned(), api.claim("alice")),
    ] {
        let headers = [("x-http-token", api.writer.as_str())];
        let answer = api.send(method, &path, &headers, body.to_string()).await;
        failure(&answer, 503, "UNAVAILABLE");
    }
    api.audit.is_lost.store(false, Ordering::SeqCst);
    success(&api.open(&sealed).await, 200);

    let broken = DocumentChange {
        collection: Collection::named("counter"),
        id: "numbers".to_owned(),
        expected: Expected::Anything,
        body: Some(b"many".to_vec()),
    };
    let own = api.engine.system_caller(api.realm, DOOR).expect("a caller");
    let operation = DoorOperation::named("storedsafe.test");
    api.engine.write_documents(&own, operation, vec![broken]).await.expect("written");
    let made = api.post(&api.admin, "/vault", json!({ "vaultname": "X" })).await;
    failure(&made, 500, "INTERNAL ERROR");

    api.door.drain();
    failure(&api.get(&api.reader, "/vault").await, 503, "UNAVAILABLE");
}

/// Errors that the protocol has no words for.
#[test]
fn other_causes_have_words_of_ours() {
    #[track_caller]
    fn check(cause: impl Into<Failure>, status: u16, text: &str) {
        let failure = cause.into();
        assert_eq!((failure.status.as_u16(), failure.text.as_str()), (status, text));
    }
    check(Fallback::BodyTimeout, 408, "REQUEST TIMEOUT");
    check(Fallback::HandlerPanicked, 500, "INTERNAL ERROR");
    check(Fallback::HeadersTooLarge, 431, "REQUEST TOO LARGE");
    check(Fallback::LengthRequired, 411, "LENGTH REQUIRED");
    check(Fallback::Overloaded, 503, "UNAVAILABLE");
    check(Fallback::Timeout, 503, "UNAVAILABLE");
    check(Fallback::UriTooLong, 414, "REQUEST TOO LARGE");
    check(EngineError::ServerLimitExceeded("keys"), 400, "LIMIT REACHED");
    check(EngineError::StorageFull, 503, "UNAVAILABLE");
    check(EngineError::RevisionMismatch, 500, "INTERNAL ERROR");
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let api = Api::new().await;
    let token = api.reader.as_str();
    for (method, path) in [
        (Method::GET, "/object"),
        (Method::POST, "/object"),
        (Method::GET, "/object/1?decrypt=true"),
        (Method::PUT, "/object/1"),
        (Method::DELETE, "/object/1"),
        (Method::GET, "/template/1"),
        (Method::POST, "/filecollect"),
        (Method::GET, "/usercert/1"),
        (Method::POST, "/usercert/1"),
        (Method::DELETE, "/usercert/1"),
        (Method::POST, "/utils/checkpolicy"),
        (Method::POST, "/utils/get_mime_type"),
    ] {
        let headers =
            [("x-http-token", token), ("content-type", "multipart/form-data; boundary=x")];
        let answer = api.send(method.clone(), path, &headers, "--x\r\nnot json").await;
        failure(&answer, 400, "NOT SUPPORTED");
        failure(&api.send(method, path, &[], "").await, 403, "Token invalid");
    }
    assert_eq!(success(&api.get(token, "/template").await, 200)["TEMPLATE"], json!([]));
    let found = success(&api.get(token, "/find?needle=a+b%zz").await, 200);
    assert_eq!(found["OBJECT"], json!([]));
    assert_eq!(found["TEMPLATES"], json!([]));
    assert_eq!(found["DATA"]["needle"], "a+b%zz");
}

fn with_echo(echo: Echo) -> Settings {
    Settings { echo, ..Settings::default() }
}

#[tokio::test]
async fn secrets_are_not_repeated() {
    let api = Api::new().await;
    api.key(json!({})).await;
    let headers = [
        ("X-HTTP-TOKEN", api.reader.as_str()),
        ("authorization", "Basic c2VjcmV0"),
        ("cookie", "secret"),
        ("proxy-authorization", "secret"),
        ("x-some-thing", "shown"),
        ("x-long", &"l".repeat(300)),
    ];
    let sent = json!({
        "plaintext": "c2VjcmV0", "passphrase": "secret", "backup": "secret", "otp": 424_242,
        "keys": ["secret"], "password": "secret", "yubikey": "secret", "apikey": "secret",
        "ciphertext": format!("storedsafe:v1:{}", "A".repeat(300)), "status": 5, "other": [1, "x"],
    });
    let path = format!("{}?name=other&q=1&otp=secret", api.path("encrypt"));
    let answer = api.send(Method::POST, &path, &headers, sent.to_string()).await;
    let shown = success(&answer, 200);
    let hidden = "[redacted]";
    assert_eq!(
        shown["DATA"],
        json!({
            "plaintext": hidden, "passphrase": hidden, "backup": hidden, "otp": hidden,
            "keys": hidden, "password": hidden, "yubikey": hidden, "apikey": hidden,
            "ciphertext": "storedsafe:v1:...", "status": 5, "other": [1, "x"], "name": "payroll",
            "vaultid": api.vault, "q": "1", "token": api.reader,
        })
    );
    assert_eq!(
        shown["HEADERS"],
        json!({
            "X-Http-Token": hidden, "Authorization": hidden, "Cookie": hidden,
            "Proxy-Authorization": hidden, "X-Some-Thing": "shown", "X-Long": "l".repeat(256),
            "Host": "localhost",
        })
    );
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(!text.contains("secret") && !text.contains("c2VjcmV0") && !text.contains("424242"));
    assert_eq!(text.matches(&api.reader).count(), 2);
}

#[tokio::test]
async fn other_echoes_repeat_more_or_less() {
    let api = Api::with(with_echo(Echo::Minimal)).await;
    api.key(json!({ "info": "x" })).await;
    let shown = success(&api.get(&api.reader, &api.path("key")).await, 200);
    let data = json!({ "token": api.reader, "vaultid": api.vault, "name": "payroll" });
    assert_eq!((&shown["DATA"], &shown["HEADERS"]), (&data, &json!({})));

    let api = Api::with(with_echo(Echo::Full)).await;
    let sent = json!({ "plaintext": "c2VjcmV0" });
    let shown = success(&api.post(&api.writer, &api.path("encrypt"), sent).await, 200);
    assert_eq!(shown["DATA"]["plaintext"], "c2VjcmV0");
    assert_eq!(shown["HEADERS"]["X-Http-Token"], api.writer.as_str());
    // What proved nothing is not repeated even so.
    let mut claim = api.claim("alice");
    claim["passphrase"] = json!("wrong one");
    let answer = api.send(Method::POST, "/auth", &[("cookie", "c")], claim.to_string()).await;
    let shown: Value = failure(&answer, 403, "Login failed");
    assert_eq!(shown["DATA"]["passphrase"], "[redacted]");
    assert_eq!(shown["HEADERS"]["Cookie"], "[redacted]");
    let shown = failure(&api.get("wrongtoken", "/vault").await, 403, "Token invalid");
    assert!(!shown.to_string().contains("wrongtoken"));
}

#[tokio::test]
async fn many_headers_are_cut() {
    let api = Api::new().await;
    let mut request = Request::builder().uri("/api/1.0/vault").header("x-http-token", &api.reader);
    for number in 0..50 {
        request = request.header(format!("x-{number:02}"), "v");
    }
    request = request.header("x-00", "w");
    let answer = api.door.send(request.body(Vec::new()).unwrap()).await;
    let shown = success(&answer, 200);
    assert_eq!(shown["HEADERS"].as_object().unwrap().len(), 32);
    assert_eq!(shown["HEADERS"]["X-00"], "v, w");
}

#[tokio::test]
async fn small_things_are_answered() {
    let api = Api::new().await;
    let token = api.nobody.as_str();
    let version = success(&api.get(token, "/utils/version").await, 200);
    assert_eq!(version["CALLINFO"]["version"], "2.5.0-build0001");
    let bits = success(&api.get(token, "/utils/statusvalues").await, 200);
    assert_eq!(bits["CALLINFO"]["statusbits"]["userbits"]["Escrow"], 4);
    let policies = success(&api.get(token, "/utils/policies").await, 200);
    assert_eq!(policies["CALLINFO"]["policies"][2]["id"], 16);
    for (query, kind, length, characters) in [
        ("", "secure", 40, 40),
        ("?type=pin", "pin", 4, 4),
        ("?type=bytes", "bytes", 32, 64),
        ("?type=pin&length=100", "pin", 100, 100),
        ("?length=1024&type=bytes", "bytes", 1_024, 2_048),
    ] {
        let path = format!("/utils/pwgen{query}");
        let info = &success(&api.get(token, &path).await, 200)["CALLINFO"];
        assert_eq!((&info["type"], &info["length"]), (&json!(kind), &json!(length)));
        let made = info["passphrase"].as_str().unwrap();
        assert_eq!(made.len(), characters);
        let fits = |c: char| match kind {
            "pin" => c.is_ascii_digit(),
            "bytes" => c.is_ascii_hexdigit(),
            _ => c.is_ascii_graphic(),
        };
        assert!(made.chars().all(fits), "{made}");
    }
    for (query, name) in [
        ("type=diceword", "type"),
        ("type=pronouncable", "type"),
        ("type=", "type"),
        ("length=0", "length"),
        ("length=x", "length"),
        ("type=pin&length=101", "length"),
        ("type=bytes&length=1025", "length"),
        ("length=-1", "length"),
    ] {
        let answer = api.get(token, &format!("/utils/pwgen?{query}")).await;
        failure(&answer, 400, &format!("INVALID PARAMETER: {name}"));
    }
}
