use http::Method;
use serde_json::{Value, json};

use super::support::{NOW_MS, World, expect, header, org, settings, text};
use crate::Settings;
use crate::identifiers::{is_key_id, is_secret, time_of};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_create_answers_with_the_secret_this_once() {
    let org = org().await;
    let body = json!({
        "name": "Nightly export",
        "permissions": ["scripts:write", "sites:read", "scripts:write"],
        "unknown": {"is": "ignored"},
    });
    let answer = org.post("/api/keys", &body).await;
    let made = expect(&answer, 201);
    assert_eq!(header(&answer, "cache-control"), Some("no-store"));
    assert_eq!(header(&answer, "content-type"), Some("application/json"));
    assert_eq!(made["status"], "success");
    let (key, secret) = (&made["data"]["key"], text(&made["data"]["secret"]));
    assert!(is_secret(&secret));
    let id = text(&key["id"]);
    assert!(is_key_id(&id));
    assert_eq!(time_of(&id).expect("a KSUID").0, NOW_MS);
    let expected = json!({
        "id": id, "object": "api_key", "name": "Nightly export",
        "key_prefix": &secret[..13], "client_id": key["client_id"],
        "created_at": "2026-04-20T00:00:00Z", "status": "active",
        "permissions": ["scripts:write", "sites:read"], "last_used_at": null,
    });
    assert_eq!(*key, expected);
    let found = org.get(&format!("/api/keys/{id}")).await;
    assert_eq!(expect(&found, 200), expected);
    assert!(!String::from_utf8_lossy(&found.body).contains(&secret[13..]));
    assert!(org.world.audit.has("api_key.create", None));
}

#[tokio::test]
async fn fields_that_break_a_rule_are_named() {
    let org = org().await;
    let good = || json!({"name": "abc", "permissions": ["sites:read"]});
    let check = async |member: &str, value: Value, field: &str| {
        let mut body = good();
        body[member] = value;
        let refused = expect(&org.post("/api/keys", &body).await, 400);
        assert_eq!(refused["message"], "The given data was invalid.");
        assert!(refused["errors"][field][0].is_string(), "{refused}");
        assert_eq!(refused["errors"].as_object().map(serde_json::Map::len), Some(1), "{refused}");
    };
    for name in [json!("ab"), json!(""), json!("x".repeat(101)), json!(null), json!(7), json!([])] {
        check("name", name, "name").await;
    }
    let all = |count: usize| json!(vec!["sites:read"; count]);
    for permissions in [json!([]), json!("x"), json!(null), json!({}), all(201)] {
        check("permissions", permissions, "permissions").await;
    }
    check("permissions", json!([1]), "permissions.0").await;
    check("permissions", json!(["sites:read", ""]), "permissions.1").await;
    check("permissions", json!(["sites:read", "x".repeat(101)]), "permissions.1").await;
    check("permissions", json!(["sites:read", null]), "permissions.1").await;
    let missing = expect(&org.post("/api/keys", &json!({})).await, 400);
    assert!(missing["errors"]["name"].is_array() && missing["errors"]["permissions"].is_array());
    assert_eq!(expect(&org.get("/api/keys").await, 200), json!([]));
}

#[tokio::test]
async fn names_are_counted_in_code_points_and_kept_as_they_are() {
    let org = org().await;
    for name in [
        "abc".to_owned(),
        "x".repeat(100),
        "\u{10348}".repeat(100),
        "   ".to_owned(),
        " padded ".to_owned(),
        "\u{0}\u{1}\u{7f}".to_owned(),
        "line\nfeed".to_owned(),
        "\u{202e}\u{feff}\u{ffff}".to_owned(),
        "\"quoted\\\"".to_owned(),
    ] {
        let made = org.create(&name, &["sites:read"]).await;
        let found = expect(&org.get(&format!("/api/keys/{}", made.id)).await, 200);
        assert_eq!(found["name"], name.as_str());
    }
    // Two may have the same name.
    org.create("abc", &["sites:read"]).await;
}

#[tokio::test]
async fn bodies_that_are_no_object_are_refused_before_anything_is_made() {
    let org = org().await;
    let check = async |headers: &[(&str, &str)], body: &str, status: u16| {
        let answer = org.send(&org.bearer, Method::POST, "/api/keys", headers, body).await;
        assert!(expect(&answer, status)["message"].is_string());
    };
    let good = r#"{"name":"abc","permissions":["sites:read"]}"#;
    for body in ["", "{", "[]", "\"x\"", "null", "7", "{\"name\":\"\\ud800\"}", "\u{feff}{}"] {
        check(&[JSON], body, 400).await;
    }
    check(&[], good, 415).await;
    for kind in ["text/plain", "application/xml", "application/jsonx", "multipart/form-data"] {
        check(&[("content-type", kind)], good, 415).await;
    }
    check(&[JSON, JSON], good, 415).await;
    check(&[JSON], &format!("{{\"x\":\"{}\"}}", "y".repeat(70_000)), 413).await;
    assert_eq!(expect(&org.get("/api/keys").await, 200), json!([]));
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        let headers = [("content-type", kind)];
        let answer = org.send(&org.bearer, Method::POST, "/api/keys", &headers, good).await;
        expect(&answer, 201);
    }
}

#[tokio::test]
async fn nobody_gives_what_they_lack() {
    let org = org().await;
    let body =
        json!({"name": "abc", "permissions": ["sites:read", "sites:*", "root", "KEYS.READ"]});
    let refused = expect(&org.post("/api/keys", &body).await, 403);
    assert_eq!(refused["errors"]["permissions"], json!(["sites:*", "root", "KEYS.READ"]));
    assert_eq!(expect(&org.get("/api/keys").await, 200), json!([]));
    assert!(org.world.audit.has("altostrat.key.create", Some("permission_denied")));
    // A person whose token names less gives less, whatever they hold.
    let huge: Vec<String> = (0..200).map(|number| format!("{number:0>100}")).collect();
    let refused = org.post("/api/keys", &json!({"name": "abc", "permissions": huge})).await;
    assert_eq!(expect(&refused, 403)["errors"]["permissions"].as_array().map(Vec::len), Some(200));
}

#[tokio::test]
async fn an_organization_has_a_maximum_of_keys() {
    let world = World::new();
    let org = world.org("acme", Settings { keys_max: 2, ..settings() }).await;
    let body = json!({"name": "abc", "permissions": ["sites:read"]});
    let first = org.create("abc", &["sites:read"]).await;
    org.create("abc", &["sites:read"]).await;
    expect(&org.post("/api/keys", &body).await, 403);
    expect(&org.delete(&first.id).await, 204);
    expect(&org.post("/api/keys", &body).await, 201);
}

#[tokio::test]
async fn the_status_of_broken_fields_can_be_422() {
    let world = World::new();
    let org = world.org("acme", Settings { validation_status: 422, ..settings() }).await;
    expect(&org.post("/api/keys", &json!({"name": "ab", "permissions": ["x"]})).await, 422);
    let broken = org.send(&org.bearer, Method::POST, "/api/keys", &[JSON], "{").await;
    expect(&broken, 400);
}

#[tokio::test]
async fn extensions_count_only_where_they_are_on() {
    let body = json!({
        "name": "abc", "permissions": ["sites:read"],
        "expires_at": "2026-04-20T00:01:00Z", "allowed_cidrs": ["10.0.0.0/8"],
        "labels": {"team": "a"}, "protected": true,
    });
    let off = org().await;
    let made = off.create_from(&body).await;
    let found = expect(&off.get(&format!("/api/keys/{}", made.id)).await, 200);
    assert!(found.get("expires_at").is_none() && found.get("protected").is_none());
    let world = World::new();
    let on = world.org("acme", Settings { extensions: true, ..settings() }).await;
    let made = on.create_from(&body).await;
    let found = expect(&on.get(&format!("/api/keys/{}", made.id)).await, 200);
    assert_eq!(found["expires_at"], "2026-04-20T00:01:00Z");
    assert_eq!(found["allowed_cidrs"], json!(["10.0.0.0/8"]));
    assert_eq!(found["labels"], json!({"team": "a"}));
    assert_eq!(found["protected"], true);
    assert_eq!(on.probe(&made.secret).await, 401, "it comes from elsewhere");
    expect(&on.delete(&made.id).await, 403);
    let path = format!("/v1/api-keys/{}/unprotect", made.id);
    expect(&on.post(&path, &json!({})).await, 200);
    world.pass(60_000);
    let found = expect(&on.get(&format!("/api/keys/{}", made.id)).await, 200);
    assert_eq!(found["status"], "expired");
    expect(&on.delete(&made.id).await, 204);
    for (member, value) in [
        ("expires_at", json!("2026-04-20T00:00:00Z")),
        ("expires_at", json!("tomorrow")),
        ("expires_at", json!(7)),
        ("allowed_cidrs", json!([])),
        ("allowed_cidrs", json!(["10.0.0.1/8"])),
        ("allowed_cidrs", json!("10.0.0.0/8")),
        ("labels", json!({"Team": "a"})),
        ("labels", json!({"team": 1})),
        ("protected", json!("yes")),
    ] {
        let mut body = json!({"name": "abc", "permissions": ["sites:read"]});
        body[member] = value;
        let refused = expect(&on.post("/api/keys", &body).await, 400);
        assert!(refused["errors"][member].is_array(), "{refused}");
    }
}

#[tokio::test]
async fn a_trail_that_takes_nothing_lets_nothing_be_made() {
    let org = org().await;
    let full = &org.world.audit.full;
    full.store(true, std::sync::atomic::Ordering::SeqCst);
    let body = json!({"name": "abc", "permissions": ["sites:read"]});
    expect(&org.post("/api/keys", &body).await, 503);
    full.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(expect(&org.get("/api/keys").await, 200), json!([]));
}
