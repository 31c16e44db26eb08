use lethe_engine::record::CredentialKind;
use serde_json::json;

use super::support::{World, expect, header, org, settings, text};
use crate::Settings;
use crate::identifiers::is_secret;

#[tokio::test]
async fn a_rotation_ends_the_old_secret_and_its_tokens_at_once() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let before = expect(&org.get(&format!("/api/keys/{}", made.id)).await, 200);
    let token = org.token(&made.secret).await;
    org.world.pass(10_000);
    let answer = org.rotate(&made.id, "this body is ignored").await;
    let rotated = expect(&answer, 200);
    assert_eq!(header(&answer, "cache-control"), Some("no-store"));
    let secret = text(&rotated["data"]["secret"]);
    assert!(is_secret(&secret) && secret != made.secret);
    let mut expected = before.clone();
    expected["key_prefix"] = json!(&secret[..13]);
    expected["last_used_at"] = rotated["data"]["key"]["last_used_at"].clone();
    assert_eq!(rotated["data"]["key"], expected);
    assert!(rotated["data"].get("previous_secret_expires_at").is_none());
    assert_eq!(org.probe(&made.secret).await, 401);
    assert_eq!(org.probe(&token).await, 401);
    expect(&org.exchange(&made.secret).await, 403);
    let refused = expect(&org.client_credentials(&made, "").await, 401);
    assert_eq!(refused, json!({"error": "invalid_client"}));
    assert_eq!(org.introspect(&made.secret).await, json!({"active": false}));
    assert_eq!(org.probe(&secret).await, 200);
}

/// What could check a secret before is not kept, however many there were.
#[tokio::test]
async fn a_thousand_rotations_leave_one_digest() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let world = &org.world;
    let kept = |secret: &str| {
        let key = world.engine.key_of_api_secret(secret).expect("a key");
        let sealed: Vec<_> = key.record().versions.iter().map(|one| one.sealed.clone()).collect();
        let application = world.engine.application_of(key.record().id).expect("an application");
        let digests: Vec<_> = (application.record().credentials.iter())
            .map(|credential| {
                let CredentialKind::ApiSecret { digest, .. } = &credential.kind else {
                    panic!("{credential:?}")
                };
                *digest
            })
            .collect();
        assert_eq!((sealed.len(), digests.len()), (1, 1), "{secret}");
        // Its end is the encrypted material and its tag.
        (sealed[0][sealed[0].len() - 32..].to_vec(), digests[0])
    };
    let mut before = vec![kept(&made.secret)];
    let (mut secret, mut last) = (made.secret.clone(), String::new());
    for round in 0..1_000 {
        last = std::mem::replace(
            &mut secret,
            text(&expect(&org.rotate(&made.id, "").await, 200)["data"]["secret"]),
        );
        if round % 100 == 0 || round > 990 {
            before.push(kept(&secret));
        }
    }
    let (sealed, digest) = kept(&secret);
    assert!(world.has_stored(&digest) && world.has_stored(&sealed), "the search finds what is");
    before.retain(|one| one.1 != digest);
    assert!(before.len() >= 19);
    for (sealed, digest) in before {
        assert!(!world.has_stored(&digest) && !world.has_stored(&sealed));
    }
    assert_eq!((org.probe(&last).await, org.probe(&secret).await), (401, 200));
}

#[tokio::test]
async fn of_concurrent_rotations_the_last_one_counts() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let all = tokio::join!(
        org.rotate(&made.id, ""),
        org.rotate(&made.id, ""),
        org.rotate(&made.id, ""),
        org.rotate(&made.id, ""),
    );
    let mut works = 0;
    for answer in [all.0, all.1, all.2, all.3] {
        let secret = text(&expect(&answer, 200)["data"]["secret"]);
        works += u32::from(org.probe(&secret).await == 200);
    }
    assert_eq!((works, org.probe(&made.secret).await), (1, 401));
}

/// Whatever order they come in, nothing that was shown is good once the key is gone.
#[tokio::test]
async fn rotations_and_deletes_at_once_leave_nothing() {
    let org = org().await;
    for _ in 0..20 {
        let made = org.create("abc", &["sites:read"]).await;
        let token = org.token(&made.secret).await;
        let (one, two, gone, three, again) = tokio::join!(
            org.rotate(&made.id, ""),
            org.rotate(&made.id, ""),
            org.delete(&made.id),
            org.rotate(&made.id, ""),
            org.delete(&made.id),
        );
        let mut secrets = vec![made.secret.clone(), token];
        for rotated in [one, two, three] {
            if rotated.head.status == 200 {
                secrets.push(text(&expect(&rotated, 200)["data"]["secret"]));
            } else {
                expect(&rotated, 404);
            }
        }
        let mut statuses = [gone, again].map(|answer| answer.head.status.as_u16());
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 404]);
        for secret in secrets {
            assert_eq!(org.probe(&secret).await, 401);
        }
    }
    assert_eq!(expect(&org.get("/api/keys").await, 200), json!([]));
}

#[tokio::test]
async fn grace_keeps_one_secret_before_for_a_while() {
    let world = World::new();
    let org = world.org("acme", Settings { rotation_grace: true, ..settings() }).await;
    let made = org.create("abc", &["sites:read"]).await;
    let token = org.token(&made.secret).await;
    let rotated = expect(&org.rotate(&made.id, r#"{"grace_period_seconds":60}"#).await, 200);
    assert_eq!(rotated["data"]["previous_secret_expires_at"], "2026-04-20T00:01:00Z");
    let secret = text(&rotated["data"]["secret"]);
    for credential in [&made.secret, &token, &secret] {
        assert_eq!(org.probe(credential).await, 200);
    }
    world.pass(60_000);
    for (credential, status) in [(&made.secret, 401), (&token, 401), (&secret, 200)] {
        assert_eq!(org.probe(credential).await, status);
    }
    let rotated = expect(&org.rotate(&made.id, r#"{"grace_period_seconds":86400}"#).await, 200);
    let newest = text(&rotated["data"]["secret"]);
    expect(&org.delete(&made.id).await, 204);
    assert_eq!((org.probe(&secret).await, org.probe(&newest).await), (401, 401));
}

#[tokio::test]
async fn graces_that_make_no_sense_change_nothing() {
    let world = World::new();
    let org = world.org("acme", Settings { rotation_grace: true, ..settings() }).await;
    let made = org.create("abc", &["sites:read"]).await;
    for body in [
        r#"{"grace_period_seconds":86401}"#,
        r#"{"grace_period_seconds":-1}"#,
        r#"{"grace_period_seconds":1.5}"#,
        r#"{"grace_period_seconds":"60"}"#,
        "[]",
        "{",
    ] {
        expect(&org.rotate(&made.id, body).await, 400);
    }
    assert_eq!(org.probe(&made.secret).await, 200);
    for body in ["", "{}", r#"{"grace_period_seconds":0}"#, r#"{"grace_period_seconds":null}"#] {
        let rotated = expect(&org.rotate(&made.id, body).await, 200);
        assert!(rotated["data"].get("previous_secret_expires_at").is_none());
    }
}
