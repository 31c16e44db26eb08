use std::time::Duration;

use http::Method;
use serde_json::json;

use super::support::{World, expect, header, settings};
use crate::Settings;
use crate::limiter::Limiter;

#[tokio::test]
async fn management_is_limited_and_deletes_are_not() {
    let world = World::new();
    let org = world.org("acme", Settings { rate_limit_per_minute: 4, ..settings() }).await;
    let made = org.create("abc", &["sites:read"]).await;
    for _ in 0..3 {
        expect(&org.get("/api/keys").await, 200);
    }
    let refused = org.get("/api/keys").await;
    expect(&refused, 429);
    assert_eq!(header(&refused, "retry-after"), Some("60"));
    assert_eq!(header(&refused, "x-ratelimit-limit"), Some("4"));
    assert_eq!(header(&refused, "x-ratelimit-remaining"), Some("0"));
    expect(&org.post("/api/keys", &json!({})).await, 429);
    expect(&org.rotate(&made.id, "").await, 429);
    expect(&org.get(&format!("/api/keys/{}", made.id)).await, 429);
    // 401 and 403 come before, and a use is no management.
    expect(&org.send("", Method::GET, "/api/keys", &[], "").await, 401);
    expect(&org.send(&made.secret, Method::GET, "/api/keys", &[], "").await, 403);
    assert_eq!(org.probe(&made.secret).await, 200);
    expect(&org.delete(&made.id).await, 204);
    world.pass(60_000);
    expect(&org.get("/api/keys").await, 200);
}

#[tokio::test]
async fn leak_reports_are_limited_by_address() {
    let world = World::new();
    let org = world.org("acme", Settings { leak_reports_per_hour: 1, ..settings() }).await;
    let report = async || {
        let body = json!({"credentials": []}).to_string();
        org.send("", Method::POST, "/v1/credentials/revoke", &[], body).await.head.status.as_u16()
    };
    assert_eq!((report().await, report().await), (202, 429));
    world.pass(3_600_000);
    assert_eq!(report().await, 202);
}

#[test]
fn a_limit_counts_each_caller_alone_and_begins_anew() {
    let limiter = Limiter::new(2, Duration::from_secs(10));
    let at = Duration::from_secs;
    assert_eq!((limiter.count(1, at(0)), limiter.count(1, at(1))), (Ok(()), Ok(())));
    assert_eq!(limiter.count(1, at(2)), Err(8));
    assert_eq!(limiter.count(1, Duration::from_millis(9_999)), Err(1));
    assert_eq!(limiter.count(2, at(2)), Ok(()));
    assert_eq!(limiter.count(1, at(10)), Ok(()));
    let unlimited = Limiter::new(0, Duration::from_secs(10));
    assert!((0..1_000).all(|_| unlimited.count(1, at(0)).is_ok()));
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let check = |change: fn(&mut Settings), part: &str| {
        let mut settings = Settings::default();
        change(&mut settings);
        let why = settings.check().expect_err("it makes no sense");
        assert!(why.contains(part), "{why}");
    };
    check(|all| all.issuer = "http://localhost/".to_owned(), "issuer");
    check(|all| all.issuer = "https://localhost".to_owned(), "issuer");
    check(|all| all.audience = String::new(), "audience");
    check(|all| all.validation_status = 409, "validation_status");
    check(|all| all.token_lifetime_seconds = 0, "token_lifetime_seconds");
    check(|all| all.token_lifetime_seconds = 86_400, "token_lifetime_seconds");
    check(|all| all.permission_view = String::new(), "permission");
    check(|all| all.grantable_permissions = vec!["a b".to_owned()], "permission");
    check(|all| all.path_prefix = "v1".to_owned(), "path_prefix");
    check(|all| all.path_prefix = "/{id}".to_owned(), "path_prefix");
    check(|all| all.exchange_path = "/x/".to_owned(), "exchange_path");
    check(|all| all.trusted_proxies = vec!["x".to_owned()], "block");
    assert_eq!(Settings::default().check(), Ok(()));
}
