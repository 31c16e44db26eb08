//! Every rule before a destruction, asked for over HTTP: it refuses, and says so, and lets pass
//! what satisfies it.

use http::Method;
use lethe_crypto::registry::Algorithm;
use lethe_engine::CreateKeyRequest;
use lethe_engine::record::Derivation;
use lethe_types::Permission;
use serde_json::{Value, json};

use super::support::{Api, json as body_of, member, problem};

const HOUR_MS: u64 = 3_600_000;

/// The refusal of the destruction of the key at `path`, by a rule whose code is its problem's name.
async fn refused(api: &Api, path: &str, status: u16, rule: &str) -> Value {
    let answer = api.delete(path).await;
    let told = problem(&answer, status, &rule.replace('_', "-"));
    assert_eq!(told["rule"], rule);
    assert!(!member(&told, "remedy").is_empty());
    told
}

/// Whether the key at `path` is destroyed at once.
async fn passes(api: &Api, path: &str) {
    let answer = api.delete(path).await;
    assert_eq!(answer.head.status, 200, "{path}: {:?}", answer.body);
}

#[tokio::test]
async fn a_protected_key_stays_until_its_protection_is_lowered() {
    let api = Api::new().await;
    let id = api.key("aes256-gcm").await;
    let path = format!("/v1/keys/{id}");
    api.patch(&path, r#"{"protected":true}"#).await;
    assert_eq!(refused(&api, &path, 409, "protected").await["key"], id);
    refused(&api, &format!("{path}?window=72h"), 409, "protected").await;
    refused(&api, &format!("{path}?confirm={id}"), 409, "protected").await;
    api.patch(&path, r#"{"protected":false}"#).await;
    passes(&api, &path).await;
}

#[tokio::test]
async fn a_window_of_the_policy_schedules_and_bounds_what_is_asked_for() {
    let api = Api::new().await;
    let vault = api.vault("slow", r#"{"window":{"minimum":"72h"}}"#).await;
    let path = api.key_in(&vault).await;
    refused(&api, &format!("{path}?window=71h"), 409, "window_too_short").await;
    refused(&api, &format!("{path}?window=0s"), 409, "window_too_short").await;
    refused(&api, &format!("{path}?window=3651d"), 409, "window_too_long").await;
    let scheduled = api.delete(&path).await;
    assert_eq!(scheduled.head.status, 202);
    let due = &body_of(&scheduled)["due"];
    assert_eq!(due, "2026-09-24T14:13:20.000Z");
    assert_eq!(&refused(&api, &path, 409, "window_running").await["due"], due);
    let at_edge = api.key_in(&vault).await;
    assert_eq!(api.delete(&format!("{at_edge}?window=72h")).await.head.status, 202);
    let longest = api.key_in(&vault).await;
    assert_eq!(api.delete(&format!("{longest}?window=3650d")).await.head.status, 202);
    let early = r#"{"window":{"minimum":"72h","may_end_early":true}}"#;
    let path = api.key_in(&api.vault("early", early).await).await;
    assert_eq!(api.delete(&path).await.head.status, 202);
    passes(&api, &path).await;
}

#[tokio::test]
async fn a_key_in_use_is_suspended_first_where_the_policy_wants_it() {
    let api = Api::new().await;
    let path = api.key_in(&api.vault("v", r#"{"must_be_suspended":true}"#).await).await;
    assert_eq!(refused(&api, &path, 409, "must_be_suspended").await["state"], "active");
    api.post(&format!("{path}/suspend"), "").await;
    passes(&api, &path).await;
}

#[tokio::test]
async fn a_key_rests_after_its_last_use_where_the_policy_wants_it() {
    let api = Api::new().await;
    let path = api.key_in(&api.vault("v", r#"{"not_used_within":"2h"}"#).await).await;
    api.post(&format!("{path}/encrypt"), r#"{"plaintext":""}"#).await;
    api.pass(2 * HOUR_MS - 1);
    let told = refused(&api, &path, 409, "recently_used").await;
    assert!(member(&told, "remedy").contains("2026-09-21T16:13:20.000Z"), "{told}");
    api.pass(1);
    passes(&api, &path).await;
}

#[tokio::test]
async fn one_principal_destroys_so_many_in_an_hour_and_no_more() {
    let api = Api::new().await;
    let vault = api.vault("v", r#"{"destroys_per_hour":2}"#).await;
    let paths = [api.key_in(&vault).await, api.key_in(&vault).await, api.key_in(&vault).await];
    passes(&api, &paths[0]).await;
    passes(&api, &paths[1]).await;
    refused(&api, &paths[2], 429, "rate_limited").await;
    // Another principal has a count of its own.
    let token = api.token_with(Permission::ALL).await;
    let other = api.key_in(&vault).await;
    assert_eq!(api.send_as(&token, Method::DELETE, &other, "").await.head.status, 200);
    api.pass(HOUR_MS + 1);
    passes(&api, &paths[2]).await;
}

#[tokio::test]
async fn the_id_or_the_exact_name_confirms_where_the_policy_wants_it() {
    let api = Api::new().await;
    let vault = api.vault("v", r#"{"confirm":true}"#).await;
    let path = api.key_in(&vault).await;
    let id = path.trim_start_matches("/v1/keys/");
    assert_eq!(refused(&api, &path, 409, "not_confirmed").await["key"], id);
    for wrong in ["", "Customer", "customer%20", "yes", &id[1..], &"0".repeat(32)] {
        refused(&api, &format!("{path}?confirm={wrong}"), 409, "not_confirmed").await;
    }
    passes(&api, &format!("{path}?confirm={id}")).await;
    let named = api.key_in(&vault).await;
    passes(&api, &format!("{named}?confirm=customer")).await;
}

#[tokio::test]
async fn derived_keys_stand_before_their_parent_unless_the_policy_takes_them_along() {
    let api = Api::new().await;
    let parent = api.key("ed25519").await;
    let path = format!("/v1/keys/{parent}");
    let child = derive(&api, &parent).await;
    let told = refused(&api, &path, 409, "has_dependants").await;
    assert!(member(&told, "detail").contains(&child), "{told}");
    let seen = body_of(&api.get(&format!("/v1/keys/{child}")).await);
    assert_eq!(seen["derived_from"], json!({"key": parent, "path": "m/0"}));
    let preview = body_of(&api.get(&format!("{path}/destruction-preview")).await);
    assert_eq!(
        (&preview["dependants"], &preview["dependants_total"]),
        (&json!([child]), &json!(1))
    );
    api.put("/v1/realm/policy", r#"{"dependants":"cascade"}"#).await;
    api.patch(&format!("/v1/keys/{child}"), r#"{"protected":true}"#).await;
    assert_eq!(refused(&api, &path, 409, "protected").await["key"], child);
    api.patch(&format!("/v1/keys/{child}"), r#"{"protected":false}"#).await;
    passes(&api, &path).await;
    assert_eq!(body_of(&api.get(&format!("/v1/keys/{child}")).await)["state"], "destroyed");
    api.put("/v1/realm/policy", r#"{"dependants":"orphan"}"#).await;
    let parent = api.key("ed25519").await;
    let child = derive(&api, &parent).await;
    passes(&api, &format!("/v1/keys/{parent}")).await;
    assert_eq!(body_of(&api.get(&format!("/v1/keys/{child}")).await)["state"], "active");
}

/// The id of a key that was derived from another one, which this door itself does not do.
async fn derive(api: &Api, parent: &str) -> String {
    let realm = api.engine.ensure_realm(&"acme".parse().unwrap()).await.unwrap();
    let caller = api.engine.system_caller(realm, "test").unwrap();
    let algorithm = Algorithm::from_name("ed25519").unwrap();
    let derivation =
        Derivation { parent: parent.parse().unwrap(), path: "m/0".into(), depends: true };
    let request = CreateKeyRequest {
        derivation: Some(derivation),
        ..CreateKeyRequest::new("derived".parse().unwrap(), algorithm)
    };
    let prepared = api.engine.prepare_key(&caller, request).unwrap();
    api.engine.create_key(&caller, prepared).await.unwrap().record().id.to_string()
}

#[tokio::test]
async fn who_may_only_schedule_does_not_destroy() {
    let api = Api::new().await;
    let path = format!("/v1/keys/{}", api.key("aes256-gcm").await);
    let token = api.token_with(&[Permission::KeysDestroySchedule]).await;
    let refused = api.send_as(&token, Method::DELETE, &path, "").await;
    let refused = problem(&refused, 403, "permission-denied");
    assert_eq!(refused["permission"], "keys.destroy");
    let scheduled = api.send_as(&token, Method::DELETE, &format!("{path}?window=1h"), "").await;
    assert_eq!(scheduled.head.status, 202);
    let refused = api.send_as(&token, Method::DELETE, &path, "").await;
    problem(&refused, 403, "permission-denied");
}

#[tokio::test]
async fn a_realm_s_policy_holds_in_every_vault_and_a_vault_only_adds_to_it() {
    let api = Api::new().await;
    let vault = api.vault("v", r#"{"must_be_suspended":true}"#).await;
    let path = api.key_in(&vault).await;
    let set = api.put("/v1/realm/policy", r#"{"confirm":true}"#).await;
    assert_eq!(set.head.status, 200);
    refused(&api, &path, 409, "must_be_suspended").await;
    api.post(&format!("{path}/suspend"), "").await;
    refused(&api, &path, 409, "not_confirmed").await;
    let elsewhere = format!("/v1/keys/{}", api.key("aes256-gcm").await);
    refused(&api, &elsewhere, 409, "not_confirmed").await;
    api.put("/v1/realm/policy", "{}").await;
    passes(&api, &elsewhere).await;
    passes(&api, &path).await;
}
