//! A key's life short of its end: changes, states, schedules, holds, and what a destruction would
//! do.

use http::Method;
use serde_json::{Value, json};

use super::support::{Api, header, json as body_of, member, problem};

/// Three days, the wait that these tests ask for.
const WAIT_MS: u64 = 72 * 3_600_000;

async fn change(api: &Api, path: &str, tag: &str) -> lethe_http::testing::Answer {
    api.send(Method::POST, path, &[("if-match", tag)], "").await
}

#[tokio::test]
async fn a_key_is_made_with_labels_and_protection_and_they_are_changed() {
    let api = Api::new().await;
    let body = json!({
        "name": "a", "algorithm": "ed25519", "labels": {"env": "prod", "team/x": ""},
        "protected": true, "active": false,
    });
    let made = api.post("/v1/keys", &body.to_string()).await;
    let key = body_of(&made);
    assert_eq!(made.head.status, 201, "{key}");
    assert_eq!(key["labels"], json!({"env": "prod", "team/x": ""}));
    assert_eq!((&key["protected"], &key["state"]), (&json!(true), &json!("pre_active")));
    let path = format!("/v1/keys/{}", member(&key, "id"));
    let tag = header(&made, "etag").unwrap().to_owned();
    let wanted = r#"{"name":"b","labels":{"env":null,"tier":"1"},"protected":false}"#;
    let patch = async |tag: &str, body: &str| {
        api.send(Method::PATCH, &path, &[("if-match", tag)], body).await
    };
    problem(&patch("\"0\"", wanted).await, 412, "revision-mismatch");
    let changed = patch(&tag, wanted).await;
    assert_ne!(header(&changed, "etag"), Some(tag.as_str()));
    let key = body_of(&changed);
    assert_eq!((&key["name"], &key["protected"]), (&json!("b"), &json!(false)));
    assert_eq!(key["labels"], json!({"team/x": "", "tier": "1"}));
    problem(&patch(&tag, wanted).await, 412, "revision-mismatch");
    // Nothing to change is no change.
    let same = patch("*", "{}").await;
    assert_eq!((same.head.status.as_u16(), header(&same, "etag")), (200, header(&changed, "etag")));
}

#[tokio::test]
async fn labels_that_break_a_rule_are_refused_by_name() {
    let api = Api::new().await;
    let id = api.key("aes256-gcm").await;
    let (long_name, long_value) = ("n".repeat(64), "v".repeat(257));
    let cases = [
        (json!({"Env": "prod"}), "labels.Env"),
        (json!({"": "prod"}), "labels."),
        (json!({"-a": "prod"}), "labels.-a"),
        (json!({"a b": "prod"}), "labels.a b"),
        (json!({"env": "a\u{7}b"}), "labels.env"),
        (json!({"env": long_value}), "labels.env"),
        (json!({long_name.as_str(): "x"}), &*format!("labels.{long_name}")),
    ];
    for (labels, field) in cases {
        let new = json!({"name": "a", "algorithm": "ed25519", "labels": labels}).to_string();
        let refused = problem(&api.post("/v1/keys", &new).await, 422, "invalid-field");
        assert_eq!(refused["field"], field, "{new}");
        let change = json!({"labels": labels}).to_string();
        let refused = api.patch(&format!("/v1/keys/{id}"), &change).await;
        assert_eq!(problem(&refused, 422, "invalid-field")["field"], field, "{change}");
    }
    let malformed = [
        (r#"{"labels":{"env":"a","env":"a"}}"#, "env"),
        (r#"{"labels":{"env":"a","env":null}}"#, "env"),
        (r#"{"labels":["env"]}"#, "labels"),
        (r#"{"labels":"env"}"#, "labels"),
        (r#"{"labels":{"env":1}}"#, "labels.env"),
        (r#"{"labels":{"env":{"a":"b"}}}"#, "labels.env"),
        (r#"{"name":1}"#, "name"),
        (r#"{"protected":"yes"}"#, "protected"),
        (r#"{"protected":1}"#, "protected"),
        (r#"{"algorithm":"ed25519"}"#, "algorithm"),
        (r#"{"label":{}}"#, "label"),
        (r#"{"state":"active"}"#, "state"),
    ];
    for (body, field) in malformed {
        let refused = api.patch(&format!("/v1/keys/{id}"), body).await;
        assert_eq!(problem(&refused, 400, "malformed-json")["field"], field, "{body}");
    }
    let refused = api.post("/v1/keys", r#"{"name":"a","algorithm":"ed25519","labels":{"e":null}}"#);
    assert_eq!(problem(&refused.await, 400, "malformed-json")["field"], "labels.e");
    let many: serde_json::Map<String, Value> =
        (0..65).map(|number| (format!("n{number}"), json!(""))).collect();
    let refused = api.patch(&format!("/v1/keys/{id}"), &json!({"labels": many}).to_string()).await;
    problem(&refused, 429, "server-limit-exceeded");
}

#[tokio::test]
async fn a_key_goes_through_its_states_by_the_table_only() {
    let api = Api::new().await;
    let body = r#"{"name":"a","algorithm":"aes256-gcm","active":false}"#;
    let id = member(&body_of(&api.post("/v1/keys", body).await), "id");
    let path = format!("/v1/keys/{id}");
    let go = async |verb: &str| api.post(&format!("{path}/{verb}"), "").await;
    let encrypts = async || {
        let answer = api.post(&format!("{path}/encrypt"), r#"{"plaintext":""}"#).await;
        answer.head.status.as_u16()
    };
    let wrong = async |verbs: &[&str], state: &str| {
        for verb in verbs {
            let refused = problem(&go(verb).await, 409, "wrong-key-lifecycle-state");
            assert_eq!(refused["state"], state, "{verb}");
        }
    };
    wrong(&["suspend", "resume", "cancel-destruction"], "pre_active").await;
    assert_eq!(encrypts().await, 409);
    assert_eq!(body_of(&go("activate").await)["state"], "active");
    assert_eq!(encrypts().await, 200);
    wrong(&["activate", "resume", "cancel-destruction"], "active").await;
    assert_eq!(body_of(&go("suspend").await)["state"], "suspended");
    assert_eq!(encrypts().await, 409);
    wrong(&["activate", "suspend"], "suspended").await;
    assert_eq!(body_of(&go("resume").await)["state"], "active");
    assert_eq!(body_of(&go("deactivate").await)["state"], "deactivated");
    assert_eq!(encrypts().await, 409);
    wrong(&["activate", "suspend", "resume", "deactivate"], "deactivated").await;
    let last = body_of(&go("compromise").await);
    assert_eq!(last["state"], "compromised");
    let verbs: Vec<&Value> =
        last["history"].as_array().unwrap().iter().map(|change| &change["transition"]).collect();
    assert_eq!(verbs, ["activate", "suspend", "resume", "deactivate", "compromise"]);
    assert_eq!(last["history"][0]["door"], "native");
    assert_eq!(last["history"][0]["at"], "2026-09-21T14:13:20.000Z");
    assert_eq!(member(&last["history"][0], "by").len(), 32);
    assert_eq!(api.delete(&path).await.head.status, 200);
    for verb in ["activate", "suspend", "resume", "deactivate", "compromise", "cancel-destruction"]
    {
        problem(&go(verb).await, 410, "object-destroyed");
    }
    assert_eq!(body_of(&api.get(&path).await)["state"], "destroyed_compromised");
    problem(&api.patch(&path, r#"{"name":"b"}"#).await, 410, "object-destroyed");
}

#[tokio::test]
async fn changes_of_state_take_an_entity_tag_and_nothing_else() {
    let api = Api::new().await;
    let path = format!("/v1/keys/{}", api.key("aes256-gcm").await);
    let tag = header(&api.get(&path).await, "etag").unwrap().to_owned();
    let verbs = ["activate", "suspend", "resume", "deactivate", "compromise", "cancel-destruction"];
    for verb in verbs {
        let path = format!("{path}/{verb}");
        problem(&change(&api, &path, "\"0\"").await, 412, "revision-mismatch");
        problem(&change(&api, &path, "\"a\"").await, 422, "invalid-field");
        problem(&api.post(&path, r#"{"force":true}"#).await, 400, "malformed-json");
        problem(&api.post(&path, "[]").await, 400, "malformed-json");
        let query = problem(&api.post(&format!("{path}?now=1"), "").await, 422, "invalid-field");
        assert_eq!(query["field"], "now");
        let foreign = api.foreign_token().await;
        problem(&api.send_as(&foreign, Method::POST, &path, "").await, 404, "item-not-found");
    }
    assert_eq!(change(&api, &format!("{path}/suspend"), &tag).await.head.status, 200);
    problem(&change(&api, &format!("{path}/resume"), &tag).await, 412, "revision-mismatch");
}

#[tokio::test]
async fn a_destruction_with_a_window_waits_is_cancelled_and_ends() {
    let api = Api::new().await;
    let path = format!("/v1/keys/{}", api.key("aes256-gcm").await);
    let scheduled = api.delete(&format!("{path}?window=72h&reason=contract+ended")).await;
    assert_eq!(scheduled.head.status, 202);
    assert!(header(&scheduled, "etag").is_some());
    assert_eq!(header(&scheduled, "x-deletion-receipt"), None);
    let key = body_of(&scheduled);
    assert_eq!(key["state"], "pending_destruction");
    assert_eq!(key["due"], "2026-09-24T14:13:20.000Z");
    assert_eq!(key["scheduled_reason"], "contract ended");
    assert_eq!(member(&key, "scheduled_by").len(), 32);
    let refused = api.post(&format!("{path}/encrypt"), r#"{"plaintext":""}"#).await;
    assert_eq!(problem(&refused, 409, "wrong-state-for-use")["state"], "pending_destruction");
    let again = problem(&api.delete(&format!("{path}?window=1h")).await, 409, "already-pending");
    assert_eq!((&again["rule"], &again["due"]), (&json!("already_pending"), &key["due"]));
    api.pass(WAIT_MS - 1_000);
    let cancelled = body_of(&api.post(&format!("{path}/cancel-destruction"), "").await);
    assert_eq!(cancelled["state"], "active");
    for gone in ["due", "scheduled_by", "scheduled_reason"] {
        assert_eq!(cancelled.get(gone), None, "{gone}");
    }
    let refused = api.post(&format!("{path}/cancel-destruction"), "").await;
    problem(&refused, 409, "wrong-key-lifecycle-state");
    // Without a policy the requester chose to wait, and may choose anew.
    assert_eq!(api.delete(&format!("{path}?window=72h&reason=first")).await.head.status, 202);
    let receipt = api.delete(&path).await;
    assert_eq!(receipt.head.status, 200);
    assert_eq!(body_of(&receipt)["statement"]["reason"], "first");
    problem(&api.delete(&format!("{path}?window=72h")).await, 410, "object-destroyed");
}

#[tokio::test]
async fn a_retry_of_a_schedule_answers_as_the_first_try() {
    let api = Api::new().await;
    let path = format!("/v1/keys/{}", api.key("aes256-gcm").await);
    let delete = async |query: &str| {
        let headers = [("idempotency-key", "once")];
        api.send(Method::DELETE, &format!("{path}?{query}"), &headers, "").await
    };
    let first = delete("window=72h").await;
    let second = delete("window=72h").await;
    assert_eq!((first.head.status.as_u16(), second.head.status.as_u16()), (202, 202));
    assert_eq!(body_of(&first), body_of(&second));
    for other in ["window=3d", "window=73h", "", "window=72h&confirm=x", "window=72h&reason=x"] {
        problem(&delete(other).await, 422, "idempotency-key-reused");
    }
    api.post(&format!("{path}/cancel-destruction"), "").await;
    // It was cancelled since: the retry does not schedule it once more.
    problem(&delete("window=72h").await, 409, "not-pending");
    assert_eq!(body_of(&api.get(&path).await)["state"], "active");
}

#[tokio::test]
async fn holds_stand_until_they_are_lifted_or_end() {
    let api = Api::new().await;
    let path = format!("/v1/keys/{}", api.key("aes256-gcm").await);
    let place = async |body: &str| api.post(&format!("{path}/holds"), body).await;
    let legal = r#"{"kind":"legal","reason":"file 12/7"}"#;
    let hold = place(legal).await;
    assert_eq!(hold.head.status, 201);
    let hold = body_of(&hold);
    assert_eq!(hold.as_object().unwrap().len(), 6);
    assert_eq!((&hold["kind"], &hold["expires"]), (&json!("legal"), &json!(null)));
    let timed = r#"{"kind":"operational","reason":"","expires":"2026-09-21T14:13:21.000Z"}"#;
    let timed = body_of(&place(timed).await);
    let key = body_of(&api.get(&path).await);
    assert_eq!(key["holds"], json!([hold, timed]));
    let refused = problem(&api.delete(&path).await, 409, "held");
    assert_eq!(refused["rule"], "held");
    let detail = member(&refused, "detail");
    assert!(detail.contains(&member(&hold, "id")) && detail.contains(&member(&timed, "id")));
    let lift = async |hold: &str| api.delete(&format!("{path}/holds/{hold}")).await;
    problem(&lift(&"0".repeat(32)).await, 404, "item-not-found");
    assert_eq!(problem(&lift("x").await, 422, "invalid-field")["field"], "hold");
    let lifted = lift(&member(&hold, "id")).await;
    assert_eq!(body_of(&lifted)["holds"], json!([timed]));
    problem(&lift(&member(&hold, "id")).await, 404, "item-not-found");
    problem(&api.delete(&path).await, 409, "held");
    api.pass(1_000);
    assert_eq!(api.delete(&path).await.head.status, 200);
    problem(&place(legal).await, 410, "object-destroyed");
}

#[tokio::test]
async fn malformed_holds_are_refused() {
    let api = Api::new().await;
    let path = format!("/v1/keys/{}/holds", api.key("aes256-gcm").await);
    let long = "x".repeat(1_025);
    let cases = [
        (json!({"kind": "Legal", "reason": ""}), "kind"),
        (json!({"kind": "", "reason": ""}), "kind"),
        (json!({"kind": "legal", "reason": long}), "reason"),
        (json!({"kind": "legal", "reason": "a\nb"}), "reason"),
        (json!({"kind": "legal", "reason": "", "expires": "tomorrow"}), "expires"),
        (json!({"kind": "legal", "reason": "", "expires": "2027-01-01T00:00:00Z"}), "expires"),
        (json!({"kind": "legal", "reason": "", "expires": "2026-09-21T14:13:20.000Z"}), "expires"),
        (json!({"kind": "legal", "reason": "", "expires": "2020-01-01T00:00:00.000Z"}), "expires"),
    ];
    for (body, field) in cases {
        let refused = problem(&api.post(&path, &body.to_string()).await, 422, "invalid-field");
        assert_eq!(refused["field"], field, "{body}");
    }
    for (body, field) in [
        (r#"{"kind":"legal"}"#, "reason"),
        (r#"{"reason":"x"}"#, "kind"),
        (r#"{"kind":"legal","reason":null}"#, "reason"),
        (r#"{"kind":"legal","reason":"","expires":5}"#, "expires"),
        (r#"{"kind":"legal","reason":"","by":"me"}"#, "by"),
    ] {
        let refused = problem(&api.post(&path, body).await, 400, "malformed-json");
        assert_eq!(refused["field"], field, "{body}");
    }
    let unknown = format!("/v1/keys/{}/holds", "0".repeat(32));
    problem(&api.post(&unknown, r#"{"kind":"legal","reason":""}"#).await, 404, "item-not-found");
}

#[tokio::test]
async fn a_preview_says_what_the_destruction_does_afterwards() {
    let api = Api::new().await;
    let path = format!("/v1/keys/{}", api.key("aes256-gcm").await);
    let preview = async |query: &str| {
        let answer = api.get(&format!("{path}/destruction-preview{query}")).await;
        assert_eq!(answer.head.status, 200, "{:?}", answer.body);
        body_of(&answer)
    };
    let free = preview("").await;
    assert_eq!(
        free,
        json!({
            "key": path.trim_start_matches("/v1/keys/"), "verdict": "destroy", "refusals": [],
            "uses": 0, "last_used": null, "last_used_by": null, "dependants": [],
            "dependants_total": 0, "principals": [], "secrets": [], "holds": [],
            "approvals_required": 0, "approvals": [], "backups_until": null, "imported": false,
            "exported": false,
        })
    );
    let later = preview("?window=72h").await;
    assert_eq!(
        (&later["verdict"], &later["due"]),
        (&json!("schedule"), &json!("2026-09-24T14:13:20.000Z"))
    );
    api.post(&format!("{path}/encrypt"), r#"{"plaintext":""}"#).await;
    api.patch(&path, r#"{"protected":true}"#).await;
    let hold = api.post(&format!("{path}/holds"), r#"{"kind":"legal","reason":"x"}"#).await;
    let refused = preview("").await;
    let rules: Vec<&Value> =
        refused["refusals"].as_array().unwrap().iter().map(|one| &one["rule"]).collect();
    assert_eq!(rules, ["held", "protected"]);
    assert_eq!(refused["verdict"], "refused");
    assert_eq!(refused["holds"], json!([body_of(&hold)]));
    assert_eq!((&refused["uses"], member(&refused, "last_used_by").len()), (&json!(1), 32));
    for told in refused["refusals"].as_array().unwrap() {
        assert!(!member(told, "detail").is_empty() && !member(told, "remedy").is_empty());
    }
    for (query, field) in [("?window=x", "window"), ("?approval=1", "approval"), ("?a=1", "a")] {
        let answer = api.get(&format!("{path}/destruction-preview{query}")).await;
        assert_eq!(problem(&answer, 422, "invalid-field")["field"], field);
    }
    let foreign = api.foreign_token().await;
    let path_of_preview = format!("{path}/destruction-preview");
    let answer = api.send_as(&foreign, Method::GET, &path_of_preview, "").await;
    problem(&answer, 404, "item-not-found");
    // It looked, and did nothing.
    assert_eq!(body_of(&api.get(&path).await)["state"], "active");
    let gone = format!("/v1/keys/{}", api.key("aes256-gcm").await);
    api.delete(&gone).await;
    problem(&api.get(&format!("{gone}/destruction-preview")).await, 410, "object-destroyed");
}
