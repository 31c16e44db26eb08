use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};

use super::support::{NOW_MS, World, expect, org, settings, text};
use crate::Settings;

fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn a_token_says_what_clients_and_rfc_9068_want() {
    let org = org().await;
    let made = org.create("abc", &["sites:read", "scripts:write"]).await;
    let answer = expect(&org.exchange(&made.secret).await, 200);
    assert_eq!(answer["status"], "success");
    assert_eq!(answer["data"]["token_type"], "Bearer");
    assert_eq!(answer["data"]["expires_in"], 120);
    let token = text(&answer["data"]["access_token"]);
    let (header, claims) = (part(&token, 0), part(&token, 1));
    assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("at+jwt")));
    let now = NOW_MS / 1_000;
    for (name, expected) in [
        ("iss", json!("https://localhost/")),
        ("aud", json!("https://api.altostrat.io")),
        ("sub", json!(format!("{}@clients", made.client))),
        ("azp", json!(made.client)),
        ("client_id", json!(made.client)),
        ("iat", json!(now)),
        ("exp", json!(now + 120)),
        ("scope", json!("sites:read scripts:write")),
        ("permissions", json!(["sites:read", "scripts:write"])),
        ("gty", json!("client-credentials")),
        ("key_id", json!(made.id)),
        ("gen", json!(1)),
        ("name", json!("abc")),
    ] {
        assert_eq!(claims[name], expected, "{name}");
    }
    assert_eq!(text(&claims["id"]).len(), 36);
    assert_eq!(text(&claims["jti"]).len(), 22);
    assert!(text(&claims["org_id"]).starts_with("org_"));
    assert!(claims.get("nonce").is_none());
    let set = expect(&org.get("/.well-known/jwks.json").await, 200);
    let key = &set["keys"][0];
    assert_eq!(key["kid"], header["kid"]);
    for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
        assert!(key.get(private).is_none());
    }
    assert!(!text(&key["x5c"][0]).is_empty());
    let again = expect(&org.get("/.well-known/jwks.json").await, 200);
    assert_eq!(again, set);
}

#[tokio::test]
async fn altered_tokens_are_refused() {
    let world = World::new();
    let org = world.org("acme", settings()).await;
    let other = world.org("other", settings()).await;
    let made = org.create("abc", &["sites:read"]).await;
    let token = org.token(&made.secret).await;
    let foreign = other.create("abc", &["sites:read"]).await;
    let foreign = other.token(&foreign.secret).await;
    let parts: Vec<&str> = token.split('.').collect();
    let (header, claims) = (part(&token, 0), part(&token, 1));
    let with_header = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        format!("{}.{}.{}", encoded(&header), parts[1], parts[2])
    };
    let with_claim = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        format!("{}.{}.{}", parts[0], encoded(&claims), parts[2])
    };
    let mut flipped = URL_SAFE_NO_PAD.decode(parts[2]).expect("base64url");
    flipped[7] ^= 1;
    let flipped = URL_SAFE_NO_PAD.encode(flipped);
    let none = json!({"alg": "none", "typ": "at+jwt", "kid": header["kid"]});
    for altered in [
        with_header("alg", json!("none")),
        with_header("alg", json!("HS256")),
        with_header("alg", json!("RS512")),
        with_header("typ", json!("JWT")),
        with_header("kid", part(&foreign, 0)["kid"].clone()),
        with_header("kid", json!(format!("{}-1", "0".repeat(32)))),
        with_header("kid", json!("x")),
        with_header("jku", json!("https://example.org/")),
        with_claim("permissions", json!(["sites:read", "keys.destroy"])),
        with_claim("exp", json!(u64::MAX)),
        with_claim("gen", json!(2)),
        format!("{}.{}.", encoded(&none), parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.{flipped}", parts[0], parts[1]),
        format!("{}.{}.{}=", parts[0], parts[1], parts[2]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{token}.{}", parts[2]),
        format!("{token}x"),
        foreign.clone(),
        token.to_ascii_lowercase(),
    ] {
        assert_eq!(org.probe(&altered).await, 401, "{altered}");
        assert_eq!(org.introspect(&altered).await, json!({"active": false}));
    }
    assert_eq!(org.probe(&token).await, 200);
}

#[tokio::test]
async fn a_token_ends_to_the_second_and_is_not_good_before_it_was_made() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let token = org.token(&made.secret).await;
    org.world.pass(119_999);
    assert_eq!(org.probe(&token).await, 200);
    org.world.pass(1);
    assert_eq!(org.probe(&token).await, 401);
    assert_eq!(org.introspect(&token).await, json!({"active": false}));
    let token = org.token(&made.secret).await;
    org.world.pass(0_u64.wrapping_sub(1_000));
    assert_eq!(org.probe(&token).await, 401, "it comes from the future");
}

#[tokio::test]
async fn another_issuer_another_audience_and_another_key_are_refused() {
    let world = World::new();
    let org = world.org("acme", settings()).await;
    let made = org.create("abc", &["sites:read"]).await;
    let token = org.token(&made.secret).await;
    // The same realm, served under another name: what was signed before is void.
    let renamed = Settings { issuer: "https://elsewhere/".to_owned(), ..settings() };
    let renamed = world.org("acme", renamed).await;
    assert_eq!(renamed.probe(&token).await, 401);
    assert_eq!(renamed.send(&org.bearer, Method::GET, "/api/keys", &[], "").await.head.status, 401);
    assert_eq!(renamed.probe(&renamed.token(&made.secret).await).await, 200);
    let back = world.org("acme", settings()).await;
    assert_eq!(back.probe(&token).await, 200);
    let elsewhere = Settings { audience: "https://other.test".to_owned(), ..settings() };
    let elsewhere = world.org("acme", elsewhere).await;
    assert_eq!(elsewhere.probe(&token).await, 401);
}

#[tokio::test]
async fn forward_auth_hands_a_token_on_and_asks_for_exact_permissions() {
    let org = org().await;
    let reader = org.create("reader", &["sites:read"]).await;
    let writer = org.create("writer", &["scripts:write"]).await;
    let ask = async |credential: &str, query: &str| {
        let path = format!("/v1/forward-auth{query}");
        org.send(credential, Method::GET, &path, &[], "").await
    };
    let answer = ask(&reader.secret, "?permission=sites:read").await;
    assert_eq!(answer.head.status, 200);
    let handed = super::support::header(&answer, "authorization").expect("a token").to_owned();
    let token = handed.strip_prefix("Bearer ").expect("a bearer token");
    assert_eq!(ask(token, "?permission=sites:read").await.head.status, 200);
    for (credential, query, status) in [
        (reader.secret.as_str(), "", 200),
        (&writer.secret, "?permission=sites:read", 403),
        (&reader.secret, "?permission=sites:*", 403),
        (&reader.secret, "?permission=sites:read&permission=scripts:write", 403),
        (token, "?permission=scripts:write", 403),
        (&org.bearer, "?permission=sites:read&permission=scripts:write", 200),
        ("", "", 401),
        ("x", "", 401),
        (&org.internal, "", 401),
    ] {
        assert_eq!(ask(credential, query).await.head.status.as_u16(), status, "{query}");
    }
}
