use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use lethe_engine::record::PrincipalKind;
use lethe_store::CommitFault;
use lethe_verify::verify;
use serde_json::json;

use super::support::{World, expect, header, org, settings, text};
use crate::Settings;

#[tokio::test]
async fn a_delete_ends_key_secret_application_and_every_token_at_once() {
    let world = World::new();
    let org = world.org("acme", Settings { rotation_grace: true, ..settings() }).await;
    let made = org.create("abc", &["sites:read", "scripts:write"]).await;
    let old = org.token(&made.secret).await;
    let rotated = expect(&org.rotate(&made.id, r#"{"grace_period_seconds":600}"#).await, 200);
    let current = super::support::Made { secret: text(&rotated["data"]["secret"]), ..made.clone() };
    let exchanged = org.token(&current.secret).await;
    let narrow = expect(&org.client_credentials(&current, "&scope=sites:read").await, 200);
    let narrow = text(&narrow["access_token"]);
    let credentials = [&made.secret, &current.secret, &old, &exchanged, &narrow];
    for credential in credentials {
        assert_eq!(org.probe(credential).await, 200);
    }
    let answer = org.delete(&made.id).await;
    expect(&answer, 204);
    assert!(answer.body.is_empty());
    assert_eq!(header(&answer, "content-type"), None);
    assert_eq!(header(&answer, "content-length"), None);
    let receipt = header(&answer, "x-deletion-receipt").expect("a receipt");
    let proof = STANDARD.decode(receipt).expect("base64");
    let vkey = world.engine.log_vkey().parse().expect("a key");
    assert!(verify(&proof, &vkey).is_ok());
    assert!(String::from_utf8_lossy(&proof).contains("lethe.test/log"));
    for credential in credentials {
        assert_eq!(org.probe(credential).await, 401);
        assert_eq!(org.introspect(credential).await, json!({"active": false}));
    }
    for secret in [&made.secret, &current.secret] {
        let refused = expect(&org.exchange(secret).await, 403);
        assert_eq!(refused, json!({"message": "The API key is not valid."}));
    }
    let refused = expect(&org.client_credentials(&current, "").await, 401);
    assert_eq!(refused, json!({"error": "invalid_client"}));
    let again = expect(&org.delete(&made.id).await, 404);
    assert_eq!(again, json!({"message": "API key not found."}));
    expect(&org.rotate(&made.id, "").await, 404);
    assert_eq!(expect(&org.get("/api/keys").await, 200), json!([]));
    world.pass(0_u64.wrapping_sub(3_600_000));
    assert_eq!(org.probe(&current.secret).await, 401, "the clock does not bring it back");
}

/// A disk that is full, or fails otherwise: the key works as before, and goes later.
#[tokio::test]
async fn a_delete_that_cannot_be_stored_changes_nothing() {
    let org = org().await;
    let world = &org.world;
    for fault in [CommitFault::Full, CommitFault::Fail] {
        let made = org.create("abc", &["sites:read"]).await;
        let token = org.token(&made.secret).await;
        for _ in 0..2 {
            world.store.fail_next_commit(fault);
            let answer = org.delete(&made.id).await;
            expect(&answer, 503);
            assert_eq!(header(&answer, "x-deletion-receipt"), None);
            for credential in [&made.secret, &token] {
                assert_eq!(org.probe(credential).await, 200, "{fault:?}");
            }
            expect(&org.get(&format!("/api/keys/{}", made.id)).await, 200);
            assert_eq!(org.introspect(&token).await["active"], true);
        }
        expect(&org.delete(&made.id).await, 204);
        for credential in [&made.secret, &token] {
            assert_eq!(org.probe(credential).await, 401, "{fault:?}");
        }
        expect(&org.delete(&made.id).await, 404);
    }
}

/// All keys that somebody made, in one commit, each ended in every respect and with its receipt.
#[tokio::test]
async fn the_keys_of_a_creator_end_together() {
    let org = org().await;
    let world = &org.world;
    let all = lethe_types::Permissions::all();
    let (other, _) = world.principal(org.realm, PrincipalKind::User, all).await;
    let end = lethe_types::UnixMillis(super::support::NOW_MS + 86_400_000);
    let token_of_other = org.altostrat.user_token(other, end).expect("a token");
    let kept = org.create("kept", &["sites:read"]).await;
    let mut gone = Vec::new();
    for name in ["one", "two", "three"] {
        let json_type = [("content-type", "application/json")];
        let body = json!({"name": name, "permissions": ["sites:read"]}).to_string();
        let made = org.send(&token_of_other, Method::POST, "/api/keys", &json_type, body).await;
        let made = expect(&made, 201);
        let made = super::support::Made {
            id: text(&made["data"]["key"]["id"]),
            client: text(&made["data"]["key"]["client_id"]),
            secret: text(&made["data"]["secret"]),
        };
        let tokens = [
            org.token(&made.secret).await,
            text(&expect(&org.client_credentials(&made, "").await, 200)["access_token"]),
        ];
        gone.push((made, tokens));
    }
    let body = |dry_run: bool| json!({"dry_run": dry_run, "creator": other.to_string()});
    let path = "/v1/api-keys/bulk-delete";
    assert_eq!(expect(&org.post(path, &body(true)).await, 200)["data"]["count"], 3);
    let commits = world.store.commits();
    let done = expect(&org.post(path, &body(false)).await, 200);
    assert_eq!(world.store.commits() - commits, 1, "one commit");
    let told = done["data"]["keys"].as_array().expect("an array");
    let ids: BTreeSet<String> = told.iter().map(|key| text(&key["id"])).collect();
    assert_eq!(ids, gone.iter().map(|(made, _)| made.id.clone()).collect());
    let vkey = world.engine.log_vkey().parse().expect("a key");
    let keys: BTreeSet<String> = told
        .iter()
        .map(|key| {
            let proof = STANDARD.decode(text(&key["receipt"])).expect("base64");
            verify(&proof, &vkey).expect("it verifies").key.to_string()
        })
        .collect();
    assert_eq!(keys.len(), 3, "a receipt for each");
    for (made, tokens) in &gone {
        for credential in tokens.iter().chain([&made.secret]) {
            assert_eq!(org.probe(credential).await, 401);
            assert_eq!(org.introspect(credential).await, json!({"active": false}));
        }
        expect(&org.exchange(&made.secret).await, 403);
        let refused = expect(&org.client_credentials(made, "").await, 401);
        assert_eq!(refused, json!({"error": "invalid_client"}));
        expect(&org.delete(&made.id).await, 404);
    }
    assert_eq!(org.probe(&kept.secret).await, 200);
    assert_eq!(expect(&org.post(path, &body(true)).await, 200)["data"]["count"], 0);
}

#[tokio::test]
async fn of_ten_deletes_at_once_one_succeeds() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let all = tokio::join!(
        org.delete(&made.id),
        org.delete(&made.id),
        org.delete(&made.id),
        org.rotate(&made.id, ""),
        org.delete(&made.id),
        org.delete(&made.id),
    );
    let answers = [all.0, all.1, all.2, all.4, all.5];
    let deleted = answers.iter().filter(|answer| answer.head.status == 204).count();
    let missing = answers.iter().filter(|answer| answer.head.status == 404).count();
    assert_eq!((deleted, missing), (1, 4));
    let receipts = answers.iter().filter(|answer| header(answer, "x-deletion-receipt").is_some());
    assert_eq!(receipts.count(), 1);
    let events = org.world.audit.events.lock().expect("no panic").clone();
    let done = events.iter().filter(|(name, code)| name == "key.destroy" && code.is_none());
    assert_eq!(done.count(), 1);
}

#[tokio::test]
async fn conditions_and_bodies_of_a_delete_are_ignored() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let path = format!("/api/keys/{}", made.id);
    let headers = [("if-match", "\"nonsense\""), ("content-type", "application/json")];
    expect(&org.send(&org.bearer, Method::DELETE, &path, &headers, "{broken").await, 204);
}

#[tokio::test]
async fn bulk_deletes_look_first_and_end_all_in_one_commit() {
    let org = org().await;
    let made = [
        org.create("one", &["sites:read"]).await,
        org.create("two", &["sites:read"]).await,
        org.create("three", &["sites:read"]).await,
    ];
    let ids = json!([made[0].id, made[1].id, made[0].id]);
    let path = "/v1/api-keys/bulk-delete";
    let dry = expect(&org.post(path, &json!({"dry_run": true, "ids": ids})).await, 200);
    assert_eq!((&dry["data"]["count"], &dry["data"]["dry_run"]), (&json!(2), &json!(true)));
    assert_eq!(org.probe(&made[0].secret).await, 200);
    let done = expect(&org.post(path, &json!({"dry_run": false, "ids": ids})).await, 200);
    let vkey = org.world.engine.log_vkey().parse().expect("a key");
    for key in done["data"]["keys"].as_array().expect("an array") {
        let proof = STANDARD.decode(text(&key["receipt"])).expect("base64");
        assert!(verify(&proof, &vkey).is_ok());
    }
    for (key, status) in made.iter().zip([401, 401, 200]) {
        assert_eq!(org.probe(&key.secret).await, status);
    }
    // One that is gone keeps the others.
    let mixed = json!({"dry_run": false, "ids": [made[2].id, made[0].id]});
    expect(&org.post(path, &mixed).await, 404);
    assert_eq!(org.probe(&made[2].secret).await, 200);
    for body in [
        json!({}),
        json!({"ids": []}),
        json!({"dry_run": "no", "ids": []}),
        json!({"dry_run": false}),
        json!({"dry_run": false, "ids": [1]}),
        json!({"dry_run": false, "ids": [], "unused_for_days": 1}),
        json!({"dry_run": false, "unused_for_days": 0}),
        json!({"dry_run": false, "creator": "nobody"}),
    ] {
        expect(&org.post(path, &body).await, 400);
    }
    org.world.pass(2 * 86_400_000 - 1);
    let system = org.world.engine.system_caller(org.realm, "test").expect("a caller");
    let fresh = org.altostrat.user_token(org.user, lethe_types::UnixMillis(u64::MAX / 2_000));
    drop(system);
    let fresh = fresh.expect("a token");
    let json_type = [("content-type", "application/json")];
    let unused = json!({"dry_run": false, "unused_for_days": 1}).to_string();
    let done = org.send(&fresh, Method::POST, path, &json_type, unused).await;
    assert_eq!(expect(&done, 200)["data"]["count"], 1);
    assert_eq!(org.probe(&made[2].secret).await, 401);
}

#[tokio::test]
async fn a_leak_report_ends_what_it_finds_and_tells_nothing() {
    let world = World::new();
    let org = world.org("acme", Settings { extensions: true, ..settings() }).await;
    let other = world.org("other", settings()).await;
    let made = org.create("abc", &["sites:read"]).await;
    let guarded = org
        .create_from(&json!({"name": "abc", "permissions": ["sites:read"], "protected": true}))
        .await;
    let foreign = other.create("abc", &["sites:read"]).await;
    let report =
        async |body: String| org.send("", Method::POST, "/v1/credentials/revoke", &[], body).await;
    let body = json!({"credentials": [made.secret, guarded.secret, foreign.secret, "garbage"]});
    for _ in 0..2 {
        let answer = report(body.to_string()).await;
        assert_eq!((answer.head.status.as_u16(), answer.body.len()), (202, 0));
    }
    let answer = report(json!({"credentials": ["garbage"]}).to_string()).await;
    assert_eq!((answer.head.status.as_u16(), answer.body.len()), (202, 0));
    assert_eq!(org.probe(&made.secret).await, 401);
    expect(&org.get(&format!("/api/keys/{}", made.id)).await, 404);
    // What a rule keeps from being deleted is at least refused.
    assert_eq!(org.probe(&guarded.secret).await, 401);
    let found = expect(&org.get(&format!("/api/keys/{}", guarded.id)).await, 200);
    assert_eq!(found["status"], "disabled");
    assert_eq!(other.probe(&foreign.secret).await, 200);
    let receipt = expect(&org.get(&format!("/v1/api-keys/{}/receipt", made.id)).await, 200);
    let proof = STANDARD.decode(text(&receipt["data"]["receipt"])).expect("base64");
    let proven = verify(&proof, &world.engine.log_vkey().parse().expect("a key"));
    assert!(proven.is_ok());
    for body in ["", "[]", "{}", r#"{"credentials":"x"}"#, r#"{"credentials":[1]}"#] {
        expect(&report(body.to_owned()).await, 400);
    }
    let many = json!({"credentials": vec!["x"; 1_001]});
    expect(&report(many.to_string()).await, 400);
}

#[tokio::test]
async fn a_disabled_key_is_refused_until_it_is_enabled() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let token = org.token(&made.secret).await;
    let switch = async |to: &str| {
        expect(&org.post(&format!("/v1/api-keys/{}/{to}", made.id), &json!({})).await, 200)
    };
    assert_eq!(switch("disable").await["status"], "disabled");
    assert_eq!((org.probe(&made.secret).await, org.probe(&token).await), (401, 401));
    assert_eq!(switch("enable").await["status"], "active");
    assert_eq!((org.probe(&made.secret).await, org.probe(&token).await), (200, 200));
    for path in ["disable", "enable", "protect", "unprotect"] {
        let path = format!("/v1/api-keys/{}/{path}", made.id);
        expect(&org.send(&made.secret, Method::POST, &path, &[], "").await, 403);
        expect(&org.send("", Method::POST, &path, &[], "").await, 401);
    }
}
