//! Tokens and scopes: what opens what, and what is no token.

use http::Method;
use serde_json::json;

use super::support::{Api, claims_of, signed, status};
use crate::b64;
use crate::boot::Purpose;
use crate::scope::Scope;

#[test]
fn scopes_have_a_grammar_and_bounds() {
    let cases = [
        ("keymgmt:del", true),
        ("a", true),
        ("", false),
        ("a b", false),
        ("a\tb", false),
        ("\u{e4}", false),
        ("a\0", false),
    ];
    for (text, is_scope) in cases {
        assert_eq!(Scope::parse(text).is_some(), is_scope, "{text:?}");
    }
    assert!(Scope::parse(&"x".repeat(127)).is_some() && Scope::parse(&"x".repeat(128)).is_none());
    let kid = "0".repeat(32);
    let used = format!("keymgmt:use:{kid}");
    let opens = [
        ("keymgmt:del", "keymgmt:del", true),
        ("keymgmt:del:x", "keymgmt:del", true),
        ("keymgmt:del#for you", "keymgmt:del", true),
        ("keymgmt:delX", "keymgmt:del", false),
        ("keymgmt:de", "keymgmt:del", false),
        ("KEYMGMT:DEL", "keymgmt:del", false),
        ("xkeymgmt:del", "keymgmt:del", false),
        ("keymgmt", "keymgmt:del", false),
        (&used, &used, true),
        (&format!("{used}:x"), &used, false),
        (&format!("{used}#x"), &used, false),
        ("keymgmt:use", &used, false),
        ("keymgmt:use:", &used, false),
    ];
    for (scope, required, expected) in opens {
        let scope = Scope::bounded(&scope.replace(' ', "_"), 200).expect("a scope");
        assert_eq!(scope.opens(required), expected, "{scope:?} {required}");
    }
}

/// What each scope opens: GET and POST without a good body, so that 400 says that it is open.
#[tokio::test]
async fn scopes_open_what_the_table_says() {
    let api = Api::new().await;
    let kid = api.key("AES128").await;
    let used = format!("keymgmt:use:{kid}");
    let get = format!("/api/keymgmt/get/{kid}");
    let cases: Vec<(&str, &str, Vec<&str>)> = vec![
        ("/api/keymgmt/list", "GET", vec!["keymgmt:list"]),
        (&get, "GET", vec!["keymgmt:get", "keymgmt:gen", &used]),
        ("/api/keymgmt/create", "POST", vec!["keymgmt:gen"]),
        ("/api/keymgmt/import", "POST", vec!["keymgmt:imp"]),
        ("/api/keymgmt/derive", "POST", vec!["keymgmt:gen", "keymgmt:derive"]),
        ("/api/keymgmt/update", "POST", vec!["keymgmt:upd"]),
        ("/api/auth/ext/mac", "POST", vec!["auth:ext:pair", "system:config"]),
        ("/api/system/config", "GET", vec!["system:config", "logger:get", "auth:ext:pair"]),
        ("/api/system/config", "POST", vec!["system:config"]),
        ("/api/logger/key", "GET", vec!["logger:get"]),
        ("/api/system/selftest", "GET", vec!["*"]),
    ];
    let scopes = [
        "keymgmt:list",
        "keymgmt:get",
        "keymgmt:gen",
        "keymgmt:imp",
        "keymgmt:derive",
        "keymgmt:upd",
        "keymgmt:del",
        "keymgmt:search",
        "keymgmt:ecdh",
        "auth:ext:pair",
        "system:config",
        "system:upgrade",
        "logger:get",
        "logger:del",
        "storage:disk0:rw",
        &used,
        "nothing",
    ];
    for scope in scopes {
        let token = api.token(scope).await;
        let master = api.token_of(&api.master, scope).await;
        for (path, method, open) in &cases {
            let method: Method = method.parse().unwrap();
            let answer = api.ask(method.clone(), path, &token, "{}").await;
            let is_open = open.contains(&scope) || open == &vec!["*"];
            assert_eq!(status(&answer) != 403, is_open, "{scope} {method} {path}");
            let answer = api.ask(method.clone(), path, &master, "{}").await;
            let of_master =
                is_open && (path.starts_with("/api/system") || path.starts_with("/api/logger"));
            assert_eq!(status(&answer) != 403, of_master, "master {scope} {method} {path}");
        }
    }
}

#[tokio::test]
async fn a_use_is_for_the_key_that_the_scope_names() {
    let api = Api::new().await;
    let (one, other) = (api.key("SHA2-256").await, api.key("SHA2-256").await);
    let token = api.token(&format!("keymgmt:use:{one}")).await;
    let request = |kid: &str| json!({ "kid": kid, "msg": "YQ==" });
    let path = "/api/crypto/hmac/hash";
    assert_eq!(status(&api.post(&token, path, &request(&one)).await), 200);
    assert_eq!(status(&api.post(&token, path, &request(&one.to_uppercase())).await), 200);
    assert_eq!(status(&api.post(&token, path, &request(&other)).await), 403);
    assert_eq!(status(&api.post(&token, path, &request("xyz")).await), 400);
    assert_eq!(status(&api.post(&token, path, &json!({ "msg": "YQ==" })).await), 400);
    assert_eq!(status(&api.post("", path, &request("xyz")).await), 401);
    assert_eq!(status(&api.ask(Method::POST, path, &token, "[]").await), 400);
    let master = api.token_of(&api.master, &format!("keymgmt:use:{one}")).await;
    assert_eq!(status(&api.post(&master, path, &request(&one)).await), 403);
    let log = api.log_of_work();
    assert!(log.contains(&"30/2 U".to_owned()));
    assert_eq!(log.iter().filter(|event| event.starts_with("12/1")).count(), 2);
}

/// On every path, open ones included.
#[tokio::test]
async fn what_is_no_token_is_refused_everywhere() {
    let api = Api::new().await;
    let good = api.token("keymgmt:list").await;
    let header = r#"{"typ":"JWT","alg":"HS256"}"#;
    let claims = claims_of(&good);
    let parts: Vec<&str> = good.split('.').collect();
    let none = b64::encode_url(br#"{"alg":"none"}"#);
    let other = Api::new().await.token("keymgmt:list").await;
    let mut wrong: Vec<String> = vec![
        String::new(),
        "x".to_owned(),
        "a.b.c".to_owned(),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{good}="),
        format!("{good}.x"),
        good.replace('.', ""),
        signed(header, &claims, b""),
        signed(header, &claims, &[0; 32]),
        "x".repeat(5_000),
        other,
    ];
    for place in (0..good.len()).step_by(7) {
        let mut altered = good.clone().into_bytes();
        altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
        wrong.push(String::from_utf8(altered).expect("ASCII"));
    }
    for token in &wrong {
        for path in ["/api/system/status", "/api/keymgmt/list", "/none"] {
            let bearer = format!("Bearer {token}");
            let answer = api.send(Method::GET, path, &[("authorization", &bearer)], "").await;
            assert_eq!(status(&answer), 401, "{token} {path}");
        }
    }
    for value in ["Basic YTpi", "Bearer", &format!("Token {good}"), &good] {
        let headers = [("authorization", value)];
        let answer = api.send(Method::GET, "/api/system/status", &headers, "").await;
        assert_eq!(status(&answer), 401, "{value}");
    }
    let bearer = format!("bearer {good}");
    let one = ("authorization", bearer.as_str());
    let path = "/api/keymgmt/list";
    assert_eq!(status(&api.send(Method::GET, path, &[one], "").await), 200);
    assert_eq!(status(&api.send(Method::GET, path, &[one, one], "").await), 401);
    assert_eq!(api.log_of_work(), Vec::<String>::new());
}

#[tokio::test]
async fn a_restart_kills_every_token_and_keeps_the_identity() {
    let api = Api::new().await;
    let list = api.token("keymgmt:list").await;
    let config = api.token("system:config").await;
    let before = api.challenge().await;
    assert_eq!(status(&api.get(&list, "/api/system/reboot").await), 403);
    assert_eq!(status(&api.get("", "/api/system/reboot").await), 401);
    assert_eq!(status(&api.get(&config, "/api/system/reboot").await), 200);
    for token in [&list, &config] {
        assert_eq!(status(&api.get(token, "/api/system/status").await), 401);
    }
    let after = api.challenge().await;
    assert_ne!(before["spk"], after["spk"]);
    assert_eq!(before["eid"], after["eid"]);
    // A challenge of before is worth nothing, either.
    let claims = api.claims(&api.user, &before, "keymgmt:list");
    assert_eq!(status(&api.log_in_with(&api.user, &claims).await), 401);
    api.token("keymgmt:list").await;
}

#[tokio::test]
async fn nonces_are_for_one_purpose_and_one_start() {
    let api = Api::new().await;
    let (boot, now) = (api.state.boot(), lethe_types::Clock::now(&*api.clock));
    let all = [
        Purpose::Login,
        Purpose::Init,
        Purpose::UserKey,
        Purpose::Pairing,
        Purpose::Remote,
        Purpose::CheckIn,
    ];
    for made in all {
        for used in all {
            let nonce = boot.nonce(made, &*api.state.entropy, now).expect("a nonce");
            let nonce = b64::encode(&nonce);
            assert_eq!(boot.use_nonce(used, &nonce, now), made == used, "{made:?} {used:?}");
            assert!(!boot.use_nonce(used, &nonce, now));
        }
    }
    for wrong in ["", "AAAA", "!", &b64::encode(&[0; 36]), &b64::encode(&[0; 32])] {
        assert!(!boot.use_nonce(Purpose::Login, wrong, now));
    }
}
