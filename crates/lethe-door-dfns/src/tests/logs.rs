//! The log of user actions: the last one of a token, and how long entries are kept.

use std::time::Duration;

use base64::Engine as _;
use http::Method;
use lethe_engine::Collection;
use serde_json::{Value, json};

use super::support::{Org, World, expect, org, text};
use crate::Settings;

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn token_id(org: &Org) -> String {
    let payload = org.admin.token.split('.').nth(1).unwrap();
    let claims = crate::factors::BASE64URL.decode(payload).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    text(&claims["jti"])
}

fn count(org: &Org, collection: &'static str) -> usize {
    let caller = org.world.engine.system_caller(org.realm, crate::DOOR).unwrap();
    let kept = Collection::named(collection);
    org.world.engine.documents(&caller, kept, "", None, 1_000).unwrap().documents.len()
}

async fn listed(org: &Org) -> usize {
    let query = "startTime=2026-01-01T00:00:00Z&endTime=2028-01-01T00:00:00Z";
    let text = text(&expect(&org.get(&format!("/auth/action/logs?{query}")).await, 200));
    text.lines().count() - 1
}

#[tokio::test]
async fn the_identifier_of_a_token_finds_its_last_action() {
    let org = org().await;
    let path = format!("/auth/action/logs/{}", token_id(&org));
    expect(&org.get(&path).await, 404);
    for name in ["/keys/a", "/keys/b"] {
        org.action(&org.admin, &Method::DELETE, name, "").await;
        let entry = expect(&org.get(&path).await, 200);
        let action: Value = serde_json::from_str(&text(&entry["action"])).unwrap();
        assert_eq!(action["path"], json!(name));
        let by_id =
            expect(&org.get(&format!("/auth/action/logs/{}", text(&entry["id"]))).await, 200);
        assert_eq!(by_id, entry);
    }
    let foreign = org.world.org("other", Settings::default()).await;
    expect(&foreign.get(&path).await, 404);
    for bad in
        ["to-x", "uj-x", "to-00000-00000-0000000000000000", "us-00000-00000-0000000000000000"]
    {
        expect(&org.get(&format!("/auth/action/logs/{bad}")).await, 404);
    }
}

#[tokio::test]
async fn entries_go_when_their_time_is_over() {
    let settings = Settings { log_days: 30, ..Settings::default() };
    let org = World::new().org("acme", settings).await;
    let path = format!("/auth/action/logs/{}", token_id(&org));
    for _ in 0..9 {
        org.action(&org.admin, &Method::DELETE, "/keys/a", "").await;
        org.world.pass(Duration::from_millis(1));
    }
    let entry = text(&expect(&org.get(&path).await, 200)["id"]);
    org.world.pass(DAY * 29);
    assert_eq!((listed(&org).await, count(&org, "user_action")), (9, 9));
    org.world.pass(DAY * 2);
    // Not shown from the moment on, and gone little by little.
    assert_eq!((listed(&org).await, count(&org, "user_action")), (0, 9));
    expect(&org.get(&path).await, 404);
    expect(&org.get(&format!("/auth/action/logs/{entry}")).await, 404);
    // The last of the old ones goes with the third, which is the last of the token from then on.
    for left in [6, 3, 3] {
        org.action(&org.admin, &Method::DELETE, "/keys/b", "").await;
        assert_eq!(count(&org, "user_action"), left);
    }
    assert_eq!((listed(&org).await, count(&org, "last_action")), (3, 1));
    expect(&org.get(&path).await, 200);
}

#[tokio::test]
async fn a_start_takes_old_entries_away_and_keeps_all_where_nobody_says_otherwise() {
    let org = org().await;
    for _ in 0..40 {
        org.action(&org.admin, &Method::DELETE, "/keys/a", "").await;
    }
    org.world.pass(DAY * 300);
    org.action(&org.admin, &Method::DELETE, "/keys/a", "").await;
    assert_eq!((listed(&org).await, count(&org, "user_action")), (41, 41));
    let settings = Settings { log_days: 30, ..Settings::default() };
    let site = crate::Site {
        engine: org.world.engine.clone(),
        clock: org.world.clock.clone(),
        entropy: std::sync::Arc::new(lethe_crypto::SystemEntropy),
        realm: org.realm,
        settings,
    };
    crate::DfnsDoor::open(site).await.unwrap();
    assert_eq!((count(&org, "user_action"), count(&org, "last_action")), (1, 1));
}

#[tokio::test]
async fn the_last_old_entry_of_a_token_goes_with_its_next_action() {
    let settings = Settings { log_days: 1, ..Settings::default() };
    let org = World::new().org("acme", settings).await;
    for _ in 0..3 {
        org.action(&org.admin, &Method::DELETE, "/keys/a", "").await;
    }
    org.world.pass(DAY * 2);
    org.action(&org.admin, &Method::DELETE, "/keys/b", "").await;
    assert_eq!((count(&org, "user_action"), count(&org, "last_action")), (1, 1));
    let entry = expect(&org.get(&format!("/auth/action/logs/{}", token_id(&org))).await, 200);
    assert!(text(&entry["action"]).contains("/keys/b"), "{entry}");
}
