use http::Method;
use serde_json::json;

use super::support::{Org, World, expect, settings};
use crate::Settings;

async fn probe_via(org: &Org, secret: &str, forwarded: &str) -> u16 {
    let headers = [("x-forwarded-for", forwarded)];
    let path = "/v1/forward-auth";
    org.send(secret, Method::GET, path, &headers, "").await.head.status.as_u16()
}

#[tokio::test]
async fn a_key_for_some_networks_is_refused_elsewhere() {
    let world = World::new();
    let with = Settings { extensions: true, ..settings() };
    let org = world.org("acme", with.clone()).await;
    let all = ["0.0.0.0/0".to_owned(), "::/0".to_owned()].to_vec();
    let behind = world.org("acme", Settings { trusted_proxies: all, ..with }).await;
    let body = json!({
        "name": "abc", "permissions": ["sites:read"], "allowed_cidrs": ["192.0.2.0/24"],
    });
    let made = org.create_from(&body).await;
    for (forwarded, status) in [
        ("192.0.2.7", 200),
        ("198.51.100.1, 192.0.2.7", 200),
        ("192.0.2.7, 198.51.100.1", 401),
        ("nonsense", 401),
    ] {
        assert_eq!(probe_via(&behind, &made.secret, forwarded).await, status, "{forwarded}");
    }
    // Where no proxy is trusted, anybody could say anything.
    assert_eq!(probe_via(&org, &made.secret, "192.0.2.7").await, 401);
    // A resource server proved who it is, so that it is believed.
    let exchange = async |forwarded: &str| {
        let headers = [("x-forwarded-for", forwarded)];
        let body = json!({"api_key": made.secret}).to_string();
        let path = "/api/internal/token";
        let answer = org.send(&org.internal, Method::POST, path, &headers, body).await;
        answer.head.status.as_u16()
    };
    assert_eq!((exchange("192.0.2.7").await, exchange("198.51.100.1").await), (200, 403));
}

#[tokio::test]
async fn the_api_answers_under_a_prefix_and_the_exchange_where_it_is_set() {
    let world = World::new();
    let set = Settings {
        path_prefix: "/v1".to_owned(),
        exchange_path: "/token".to_owned(),
        permission_view: "credentials:view".to_owned(),
        ..settings()
    };
    let org = world.org("acme", set).await;
    let made = org.create("abc", &["credentials:view"]).await;
    for path in ["/api/keys", "/v1/api/keys"] {
        let listed = expect(&org.get(path).await, 200);
        assert_eq!(listed[0]["id"], made.id.as_str());
    }
    let body = json!({"api_key": made.secret}).to_string();
    expect(&org.send(&org.internal, Method::POST, "/token", &[], body.clone()).await, 200);
    let old = org.send(&org.internal, Method::POST, "/api/internal/token", &[], body).await;
    expect(&old, 404);
}
