//! Vaults, the realm, and their deletion policies.

use http::Method;
use serde_json::{Value, json};

use super::support::{Api, header, json as body_of, member, problem};

/// A policy that demands everything, as it is answered.
fn whole() -> Value {
    json!({
        "window": {"minimum": "3d", "may_end_early": true}, "must_be_suspended": true,
        "not_used_within": "30d", "destroys_per_hour": 5, "confirm": true,
        "approvals": {"required": 2, "lifetime": "7d"}, "dependants": "cascade",
        "refuse_reimport": true,
    })
}

/// One that demands nothing.
fn nothing() -> Value {
    json!({
        "window": null, "must_be_suspended": false, "not_used_within": null,
        "destroys_per_hour": null, "confirm": false, "approvals": null, "dependants": null,
        "refuse_reimport": false,
    })
}

#[tokio::test]
async fn a_vault_is_made_seen_changed_and_removed() {
    let api = Api::new().await;
    let body = json!({
        "name": "customers", "policy": whole(), "names": "never_again", "labels": {"env": "prod"},
    });
    let made = api.post("/v1/vaults", &body.to_string()).await;
    assert_eq!(made.head.status, 201, "{:?}", made.body);
    let vault = body_of(&made);
    let path = format!("/v1/vaults/{}", member(&vault, "id"));
    assert_eq!(header(&made, "location"), Some(path.as_str()));
    for name in ["name", "policy", "names", "labels"] {
        assert_eq!(vault[name], body[name]);
    }
    assert_eq!(body_of(&api.get(&path).await), vault);
    api.pass(1_000);
    let changed = body_of(&api.patch(&path, r#"{"labels":{"tier":"1"}}"#).await);
    assert_eq!((&changed["labels"], &changed["policy"]), (&json!({"tier": "1"}), &whole()));
    assert_eq!(changed["changed"], "2026-09-21T14:13:21.000Z");
    let wanted = r#"{"policy":{},"names":"free","name":"renamed"}"#;
    let changed = body_of(&api.patch(&path, wanted).await);
    assert_eq!((&changed["policy"], &changed["names"]), (&nothing(), &json!("free")));
    assert_eq!((&changed["name"], &changed["labels"]), (&json!("renamed"), &json!({"tier": "1"})));
    problem(&api.patch(&path, r#"{"name":"default"}"#).await, 409, "name-taken");
    let key = api.key_in(&member(&vault, "id")).await;
    problem(&api.delete(&path).await, 409, "vault-not-empty");
    api.delete(&key).await;
    let removed = api.delete(&path).await;
    assert_eq!(removed.head.status, 200);
    assert_eq!(body_of(&removed)["removed"], "2026-09-21T14:13:21.000Z");
    for method in [Method::GET, Method::DELETE] {
        problem(&api.send(method, &path, &[], "").await, 404, "item-not-found");
    }
    problem(&api.patch(&path, "{}").await, 404, "item-not-found");
    let again = api.post("/v1/vaults", r#"{"name":"renamed"}"#).await;
    assert_eq!(again.head.status, 201);
    // Tombstones stay.
    assert_eq!(body_of(&api.get(&key).await)["state"], "destroyed");
}

#[tokio::test]
async fn names_of_keys_follow_the_rule_of_their_vault() {
    let api = Api::new().await;
    let make = async |vault: &str| {
        let body = json!({"name": "n", "algorithm": "aes256-gcm", "vault": vault}).to_string();
        api.post("/v1/keys", &body).await
    };
    for (rule, twice, after_destruction) in
        [("free", 201, 201), ("unique_among_live", 409, 201), ("never_again", 409, 409)]
    {
        let body = json!({"name": rule, "names": rule}).to_string();
        let vault = member(&body_of(&api.post("/v1/vaults", &body).await), "id");
        let key = member(&body_of(&make(&vault).await), "id");
        assert_eq!(make(&vault).await.head.status, twice, "{rule}");
        api.delete(&format!("/v1/keys/{key}")).await;
        assert_eq!(make(&vault).await.head.status, after_destruction, "{rule}");
    }
}

#[tokio::test]
async fn the_realm_shows_its_policy_and_takes_another() {
    let api = Api::new().await;
    let realm = body_of(&api.get("/v1/realm").await);
    assert_eq!(realm.as_object().unwrap().len(), 6);
    assert_eq!((&realm["name"], &realm["policy"]), (&json!("acme"), &nothing()));
    let vaults = body_of(&api.get("/v1/vaults").await);
    assert_eq!(vaults["vaults"][0]["id"], realm["default_vault"]);
    let set = body_of(&api.put("/v1/realm/policy", &whole().to_string()).await);
    assert_eq!(set["policy"], whole());
    // What was read can be sent back.
    let same = body_of(&api.put("/v1/realm/policy", &set["policy"].to_string()).await);
    assert_eq!(same, set);
    let reset = body_of(&api.put("/v1/realm/policy", "{}").await);
    assert_eq!(reset, realm);
    let default = format!("/v1/vaults/{}", member(&realm, "default_vault"));
    problem(&api.delete(&default).await, 422, "invalid-field");
    let refused = api.put("/v1/realm/policy?force=1", "{}").await;
    assert_eq!(problem(&refused, 422, "invalid-field")["field"], "force");
    problem(&api.send(Method::DELETE, "/v1/realm", &[], "").await, 405, "method-not-allowed");
}

#[tokio::test]
async fn policies_that_break_a_rule_are_refused_by_member_and_place() {
    let api = Api::new().await;
    let path = format!("/v1/vaults/{}", api.vault("v", "{}").await);
    let cases = [
        (json!({"window": {"minimum": "72"}}), "window.minimum"),
        (json!({"window": {"minimum": ""}}), "window.minimum"),
        (json!({"not_used_within": "a month"}), "not_used_within"),
        (json!({"not_used_within": "3651d"}), "not_used_within"),
        (json!({"window": {"minimum": "3651d"}}), "window"),
        (json!({"approvals": {"required": 1, "lifetime": "7"}}), "approvals.lifetime"),
        (json!({"approvals": {"required": 1, "lifetime": "0s"}}), "approvals.lifetime"),
        (json!({"approvals": {"required": 1, "lifetime": "3651d"}}), "approvals.lifetime"),
        (json!({"approvals": {"required": 0, "lifetime": "7d"}}), "approvals.required"),
        (json!({"approvals": {"required": 17, "lifetime": "7d"}}), "approvals.required"),
        (json!({"dependants": "destroy"}), "dependants"),
        (json!({"dependants": ""}), "dependants"),
        (json!({"dependants": "Refuse"}), "dependants"),
    ];
    for (policy, field) in cases {
        let whole = api.put("/v1/realm/policy", &policy.to_string()).await;
        assert_eq!(problem(&whole, 422, "invalid-field")["field"], field, "{policy}");
        let field = format!("policy.{field}");
        let change = json!({"policy": policy}).to_string();
        let refused = problem(&api.patch(&path, &change).await, 422, "invalid-field");
        assert_eq!(refused["field"], field.as_str(), "{policy}");
        let new = json!({"name": "w", "policy": policy}).to_string();
        let refused = problem(&api.post("/v1/vaults", &new).await, 422, "invalid-field");
        assert_eq!(refused["field"], field.as_str(), "{policy}");
    }
    assert_eq!(body_of(&api.get("/v1/realm").await)["policy"], nothing());
}

#[tokio::test]
async fn malformed_policies_and_vaults_are_refused() {
    let api = Api::new().await;
    let path = format!("/v1/vaults/{}", api.vault("v", "{}").await);
    let cases = [
        (r#"{"window":"72h"}"#, "window"),
        (r#"{"window":{}}"#, "minimum"),
        (r#"{"window":{"minimum":72}}"#, "window.minimum"),
        (r#"{"window":{"minimum":"72h","may_end_early":1}}"#, "window.may_end_early"),
        (r#"{"window":{"minimum":"72h","maximum":"80h"}}"#, "maximum"),
        (r#"{"window":["72h",true]}"#, "window"),
        (r#"{"must_be_suspended":"yes"}"#, "must_be_suspended"),
        (r#"{"must_be_suspended":null}"#, "must_be_suspended"),
        (r#"{"destroys_per_hour":-1}"#, "destroys_per_hour"),
        (r#"{"destroys_per_hour":4294967296}"#, "destroys_per_hour"),
        (r#"{"approvals":2}"#, "approvals"),
        (r#"{"approvals":{"required":2}}"#, "lifetime"),
        (r#"{"approvals":{"lifetime":"7d"}}"#, "required"),
        (r#"{"approvals":{"required":256,"lifetime":"7d"}}"#, "approvals.required"),
        (r#"{"dependants":true}"#, "dependants"),
        (r#"{"confirmed":true}"#, "confirmed"),
        (r#"{"confirm":true,"confirm":false}"#, "confirm"),
    ];
    for (policy, field) in cases {
        let refused = problem(&api.put("/v1/realm/policy", policy).await, 400, "malformed-json");
        assert_eq!(refused["field"], field, "{policy}");
        let change = format!(r#"{{"policy":{policy}}}"#);
        problem(&api.patch(&path, &change).await, 400, "malformed-json");
    }
    for (body, field) in [
        (r#"{"policy":[]}"#, "policy"),
        (r#"{"names":1}"#, "names"),
        (r#"{"labels":{"a":null}}"#, "labels.a"),
        (r#"{"removed":true}"#, "removed"),
    ] {
        let refused = problem(&api.patch(&path, body).await, 400, "malformed-json");
        assert_eq!(refused["field"], field, "{body}");
    }
    for (body, field) in [
        (r#"{"names":"unique"}"#, "names"),
        (r#"{"names":""}"#, "names"),
        (r#"{"labels":{"A":"b"}}"#, "labels.A"),
        (r#"{"name":" a"}"#, "name"),
    ] {
        let refused = problem(&api.patch(&path, body).await, 422, "invalid-field");
        assert_eq!(refused["field"], field, "{body}");
    }
    let foreign = api.foreign_token().await;
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let body = if method == Method::PATCH { "{}" } else { "" };
        problem(&api.send_as(&foreign, method, &path, body).await, 404, "item-not-found");
    }
}
