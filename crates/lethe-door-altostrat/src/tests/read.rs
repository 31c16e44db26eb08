use http::Method;
use serde_json::json;

use super::support::{World, expect, header, org, settings, text};

#[tokio::test]
async fn a_list_is_bare_newest_first_and_without_secrets() {
    let org = org().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let made = org.create(&format!("key {number}"), &["sites:read"]).await;
        ids.insert(0, made.id);
        org.world.pass(1_000);
    }
    let answer = org.get("/api/keys?unknown=1").await;
    let listed = expect(&answer, 200);
    let found: Vec<String> =
        listed.as_array().expect("an array").iter().map(|key| text(&key["id"])).collect();
    assert_eq!(found, ids);
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
    assert_eq!(header(&answer, "cache-control"), Some("no-store"));
}

#[tokio::test]
async fn pages_yield_each_key_once() {
    let org = org().await;
    for number in 0..7 {
        org.create(&format!("key {number}"), &["sites:read"]).await;
    }
    let (mut seen, mut path) = (std::collections::BTreeSet::new(), "/api/keys?limit=3".to_owned());
    loop {
        let page = expect(&org.get(&path).await, 200);
        assert_eq!(page["status"], "success");
        let keys = page["data"].as_array().expect("an array");
        assert_eq!(page["pagination"]["count"], keys.len());
        assert_eq!(page["pagination"]["limit"], 3);
        for key in keys {
            assert!(seen.insert(text(&key["id"])));
        }
        assert_eq!(page["pagination"]["has_more"], !page["pagination"]["cursor"].is_null());
        let Some(cursor) = page["pagination"]["cursor"].as_str() else { break };
        path = format!("/api/keys?limit=3&cursor={cursor}");
    }
    assert_eq!(seen.len(), 7);
    let past = expect(&org.get(&format!("/api/keys?cursor={}", "0".repeat(27))).await, 200);
    assert_eq!(past["pagination"], json!({"count":0,"limit":100,"cursor":null,"has_more":false}));
}

#[tokio::test]
async fn pages_that_make_no_sense_are_refused() {
    let org = org().await;
    for query in [
        "limit=0",
        "limit=101",
        "limit=x",
        "limit=",
        "limit=-1",
        "limit=1.0",
        "limit=99999999999999999999",
        "cursor=",
        "cursor=abc",
        "cursor=%2e%2e%2f",
        &format!("cursor={}", "-".repeat(27)),
        &format!("limit=1&cursor={}", "0".repeat(28)),
    ] {
        let refused = expect(&org.get(&format!("/api/keys?{query}")).await, 400);
        assert!(refused["message"].is_string(), "{query}");
    }
    expect(&org.get("/api/keys?limit=100").await, 200);
}

#[tokio::test]
async fn ids_that_nobody_has_are_one_and_the_same_404() {
    let world = World::new();
    let org = world.org("acme", settings()).await;
    let other = world.org("other", settings()).await;
    let (own, foreign) =
        (org.create("own", &["sites:read"]).await, other.create("own", &["sites:read"]).await);
    let gone = org.create("gone", &["sites:read"]).await;
    expect(&org.delete(&gone.id).await, 204);
    let swapped: String = own
        .id
        .chars()
        .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c })
        .collect();
    for id in [
        "api_key_3Cb93712hJYeAq1fEudxrX0gb4a",
        "api_key_2m3h5n7k9j8g7f6e5d4c3b2a",
        &format!("api_key_{}", "a".repeat(28)),
        &format!("api_key_{}", "z".repeat(27)),
        "..%2f",
        "%00",
        "%ff",
        "api_key_%F0%9F%98%80",
        &own.id["api_key_".len()..],
        &swapped,
        &foreign.id,
        &gone.id,
        &own.client,
    ] {
        for (method, path) in [
            (Method::GET, format!("/api/keys/{id}")),
            (Method::DELETE, format!("/api/keys/{id}")),
            (Method::POST, format!("/api/keys/{id}/rotate")),
        ] {
            let answer = org.send(&org.bearer, method.clone(), &path, &[], "").await;
            let body = expect(&answer, 404);
            if id != "%ff" {
                assert_eq!(body, json!({"message": "API key not found."}), "{method} {path}");
            }
        }
    }
    for path in ["/api/keys/", "/api", "/api/keys/a/b", "/api/keys/a/rotate/", "/"] {
        expect(&org.get(path).await, 404);
    }
    assert_eq!(org.probe(&own.secret).await, 200);
    assert_eq!(other.probe(&foreign.secret).await, 200);
    assert_eq!(org.probe(&foreign.secret).await, 401);
    let listed = expect(&other.get("/api/keys").await, 200);
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let item = format!("/api/keys/{}", made.id);
    for (method, path, allow) in [
        (Method::PUT, item.as_str(), "GET, DELETE"),
        (Method::PATCH, &item, "GET, DELETE"),
        (Method::POST, &item, "GET, DELETE"),
        (Method::DELETE, "/api/keys", "GET, POST"),
        (Method::PUT, "/api/keys", "GET, POST"),
        (Method::OPTIONS, "/api/keys", "GET, POST"),
        (Method::GET, &format!("{item}/rotate"), "POST"),
        (Method::DELETE, &format!("{item}/rotate"), "POST"),
        (Method::GET, "/oauth/introspect", "POST"),
    ] {
        let answer = org.send("", method.clone(), path, &[], "").await;
        assert!(expect(&answer, 405)["message"].is_string());
        let mut told: Vec<&str> =
            header(&answer, "allow").unwrap_or_default().split(", ").collect();
        let mut wanted: Vec<&str> = allow.split(", ").collect();
        told.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(told, wanted, "{method} {path}");
    }
    assert_eq!(org.probe(&made.secret).await, 200);
}

#[tokio::test]
async fn last_use_is_told_and_never_moves_back() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let read = async || {
        let found = expect(&org.get(&format!("/api/keys/{}", made.id)).await, 200);
        found["last_used_at"].clone()
    };
    assert!(read().await.is_null());
    org.world.pass(5_000);
    assert_eq!(org.probe(&made.secret).await, 200);
    assert_eq!(read().await, "2026-04-20T00:00:05Z");
    expect(&org.rotate(&made.id, "").await, 200);
    assert_eq!(read().await, "2026-04-20T00:00:05Z");
    assert_eq!(org.probe(&made.secret).await, 401);
    assert_eq!(read().await, "2026-04-20T00:00:05Z");
}
