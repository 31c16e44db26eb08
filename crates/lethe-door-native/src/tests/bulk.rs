//! Bulk destructions: what is selected, what becomes of each key, and what is refused at once.

use http::Method;
use lethe_types::Permission;
use serde_json::{Value, json};

use super::support::{Api, header, json as body_of, member, problem};

/// Waits until the bulk destruction of `id` is over.
async fn finished(api: &Api, id: &str) -> Value {
    let poll = async {
        loop {
            let job = body_of(&api.get(&format!("/v1/destructions/{id}")).await);
            if job["state"] != "running" {
                return job;
            }
            tokio::task::yield_now().await;
        }
    };
    let limit = core::time::Duration::from_secs(30);
    tokio::time::timeout(limit, poll).await.expect("the work comes to its end")
}

async fn start(api: &Api, body: &Value) -> String {
    let answer = api.post("/v1/destructions", &body.to_string()).await;
    let job = body_of(&answer);
    assert_eq!(answer.head.status, 202, "{job}");
    let id = member(&job, "id");
    assert_eq!(header(&answer, "location"), Some(format!("/v1/destructions/{id}").as_str()));
    assert_eq!(job.as_object().unwrap().len(), 13);
    id
}

#[tokio::test]
async fn a_vault_is_emptied_and_every_key_has_its_receipt() {
    let api = Api::new().await;
    let vault = api.vault("v", "{}").await;
    let mut keys = Vec::new();
    for _ in 0..5 {
        keys.push(api.key_in(&vault).await);
    }
    let kept = api.key("aes256-gcm").await;
    api.patch(&keys[3], r#"{"protected":true}"#).await;
    let wanted = json!({"vault": vault, "reason": "customer left", "expected": 5});
    let job = finished(&api, &start(&api, &wanted).await).await;
    let expected = json!({
        "state": "done", "total": 5, "position": 5, "destroyed": 4, "scheduled": 0, "refused": 1,
        "reason": "customer left", "failure": null, "selection": format!("vault {vault}"),
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&job[name], value, "{name}");
    }
    let id = member(&job, "id");
    let refused = body_of(&api.get(&format!("/v1/destructions/{id}/refused")).await);
    let left = keys[3].trim_start_matches("/v1/keys/");
    assert_eq!(refused["next"], json!(null));
    let only = &refused["refused"][0];
    assert_eq!((&only["key"], &only["rule"]), (&json!(left), &json!("protected")));
    let vkey = api.engine.log_vkey().parse().unwrap();
    for (index, key) in keys.iter().enumerate() {
        let receipt = api.get(&format!("{key}/receipt")).await;
        if index == 3 {
            problem(&receipt, 404, "item-not-found");
            continue;
        }
        assert!(lethe_verify::verify(&receipt.body, &vkey).is_ok());
        assert_eq!(body_of(&receipt)["statement"]["reason"], "customer left");
    }
    assert_eq!(body_of(&api.get(&format!("/v1/keys/{kept}")).await)["state"], "active");
    let all = body_of(&api.get("/v1/destructions").await);
    assert_eq!(all["destructions"], json!([job]));
    let cancelled = body_of(&api.post(&format!("/v1/destructions/{id}/cancel"), "").await);
    assert_eq!(cancelled["state"], "done");
}

#[tokio::test]
async fn a_list_and_labels_select_what_they_say() {
    let api = Api::new().await;
    let slow = api.vault("slow", r#"{"window":{"minimum":"72h"}}"#).await;
    let (one, two, three) =
        (api.key("ed25519").await, api.key("ed25519").await, api.key_in(&slow).await);
    let three = three.trim_start_matches("/v1/keys/").to_owned();
    let unknown = "0".repeat(32);
    let wanted = json!({"keys": [one, unknown, three, one], "reason": ""});
    let job = finished(&api, &start(&api, &wanted).await).await;
    let counts = ["total", "destroyed", "scheduled", "refused"].map(|name| job[name].as_u64());
    assert_eq!(counts, [Some(3), Some(1), Some(1), Some(1)]);
    let id = member(&job, "id");
    let refused = body_of(&api.get(&format!("/v1/destructions/{id}/refused")).await);
    let expected = json!([{"position": 1, "key": unknown, "rule": "item_not_found"}]);
    assert_eq!(refused["refused"], expected);
    assert_eq!(body_of(&api.get(&format!("/v1/keys/{two}")).await)["state"], "active");
    for (id, labels) in [(&two, r#"{"env":"test","tier":"1"}"#), (&three, r#"{"env":"prod"}"#)] {
        api.patch(&format!("/v1/keys/{id}"), &format!(r#"{{"labels":{labels}}}"#)).await;
    }
    let wanted = json!({"labels": {"env": "test", "tier": null}, "reason": "", "expected": 1});
    let job = finished(&api, &start(&api, &wanted).await).await;
    assert_eq!((&job["destroyed"], &job["total"]), (&json!(1), &json!(1)));
    assert_eq!(body_of(&api.get(&format!("/v1/keys/{two}")).await)["state"], "destroyed");
}

#[tokio::test]
async fn refused_keys_come_page_by_page() {
    let api = Api::new().await;
    let keys: Vec<String> = (0..7).map(|number| format!("{number:032x}")).collect();
    let id = start(&api, &json!({"keys": keys, "reason": ""})).await;
    finished(&api, &id).await;
    let path = format!("/v1/destructions/{id}/refused");
    let mut seen = Vec::new();
    let mut next = json!(0);
    while let Some(from) = next.as_u64() {
        let page = body_of(&api.get(&format!("{path}?limit=3&from={from}")).await);
        let refused = page["refused"].as_array().unwrap();
        assert!((1..=3).contains(&refused.len()));
        seen.extend(refused.iter().map(|one| member(one, "key")));
        next = page["next"].clone();
    }
    assert_eq!(seen, keys);
    let past = body_of(&api.get(&format!("{path}?from=7")).await);
    assert_eq!(past, json!({"refused": [], "next": null}));
    for (query, field) in [
        ("?from=-1", "from"),
        ("?from=x", "from"),
        ("?from=01", "from"),
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?after=1", "after"),
    ] {
        let refused = problem(&api.get(&format!("{path}{query}")).await, 422, "invalid-field");
        assert_eq!(refused["field"], field, "{query}");
    }
}

#[tokio::test]
async fn nothing_is_begun_unless_all_of_the_request_is_understood() {
    let api = Api::new().await;
    let vault = api.vault("v", "{}").await;
    let key = api.key_in(&vault).await;
    let id = key.trim_start_matches("/v1/keys/");
    let cases = [
        (json!({"reason": ""}), "keys"),
        (json!({"keys": [id], "vault": vault, "reason": ""}), "keys"),
        (json!({"keys": [id], "labels": {"a": "b"}, "reason": ""}), "keys"),
        (json!({"keys": [id, "x"], "reason": ""}), "keys[1]"),
        (json!({"keys": [id, "", "x"], "reason": ""}), "keys[1]"),
        (json!({"keys": [id.to_uppercase()], "reason": ""}), "keys[0]"),
        (json!({"keys": [], "reason": ""}), "selection"),
        (json!({"labels": {}, "reason": ""}), "selection"),
        (json!({"labels": {"A": "b"}, "reason": ""}), "labels.A"),
        (json!({"labels": {"a": "b"}, "reason": ""}), "selection"),
        (json!({"labels": {"a": "b"}, "vault": "x", "reason": ""}), "vault"),
        (json!({"vault": "x", "reason": ""}), "vault"),
        (json!({"vault": vault, "reason": "a\nb"}), "reason"),
        (json!({"vault": vault, "reason": "x".repeat(1_025)}), "reason"),
        (json!({"vault": vault, "reason": "", "expected": 2}), "selection"),
        (json!({"vault": vault, "reason": "", "expected": 0}), "selection"),
    ];
    for (body, field) in cases {
        let refused =
            problem(&api.post("/v1/destructions", &body.to_string()).await, 422, "invalid-field");
        assert_eq!(refused["field"], field, "{body}");
    }
    let malformed = [
        (format!(r#"{{"vault":"{vault}"}}"#), "reason"),
        (format!(r#"{{"keys":"{id}","reason":""}}"#), "keys"),
        (r#"{"keys":[1],"reason":""}"#.to_owned(), "keys[0]"),
        (format!(r#"{{"keys":["{id}",null],"reason":""}}"#), "keys[1]"),
        (format!(r#"{{"vault":"{vault}","reason":"","expected":"1"}}"#), "expected"),
        (format!(r#"{{"vault":"{vault}","reason":"","expected":-1}}"#), "expected"),
        (format!(r#"{{"vault":"{vault}","reason":"","window":"72h"}}"#), "window"),
        (format!(r#"{{"vault":"{vault}","reason":"","force":true}}"#), "force"),
        (r#"{"labels":{"a":"b","a":"c"},"reason":""}"#.to_owned(), "a"),
        (r#"{"labels":["a"],"reason":""}"#.to_owned(), "labels"),
    ];
    for (body, field) in malformed {
        let refused = problem(&api.post("/v1/destructions", &body).await, 400, "malformed-json");
        assert_eq!(refused["field"], field, "{body}");
    }
    let elsewhere = json!({"vault": "0".repeat(32), "reason": ""}).to_string();
    problem(&api.post("/v1/destructions", &elsewhere).await, 404, "item-not-found");
    assert_eq!(body_of(&api.get("/v1/destructions").await), json!({"destructions": []}));
    assert_eq!(body_of(&api.get(&key).await)["state"], "active");
}

#[tokio::test]
async fn only_this_route_takes_a_large_body() {
    let api = Api::new().await;
    let keys = format!(r#""{}","#, "0".repeat(32)).repeat(60_000);
    let body = format!(r#"{{"keys":[{}],"reason":""}}"#, keys.trim_end_matches(','));
    assert!(body.len() > 2_000_000);
    let answer = api.post("/v1/destructions", &body).await;
    assert_eq!(answer.head.status, 202);
    // They are all the same.
    assert_eq!(body_of(&answer)["total"], 1);
    problem(&api.post("/v1/vaults", &body).await, 413, "body-too-large");
    let too_large = " ".repeat(40_000_001);
    problem(&api.post("/v1/destructions", &too_large).await, 413, "body-too-large");
}

#[tokio::test]
async fn a_bulk_destruction_is_seen_and_stopped_by_those_of_its_realm_only() {
    let api = Api::new().await;
    let id = start(&api, &json!({"keys": ["0".repeat(32)], "reason": ""})).await;
    finished(&api, &id).await;
    let path = format!("/v1/destructions/{id}");
    let foreign = api.foreign_token().await;
    let nobody = api.token_with(&[Permission::VaultsRead]).await;
    for token in [&foreign, &nobody] {
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::GET, format!("{path}/refused")),
            (Method::POST, format!("{path}/cancel")),
        ] {
            problem(&api.send_as(token, method, &path, "").await, 404, "item-not-found");
        }
        let list = api.send_as(token, Method::GET, "/v1/destructions", "").await;
        assert_eq!(body_of(&list), json!({"destructions": []}));
    }
    let reader = api.token_with(&[Permission::KeysRead]).await;
    assert_eq!(api.send_as(&reader, Method::GET, &path, "").await.head.status, 200);
    let refused = api.send_as(&reader, Method::POST, &format!("{path}/cancel"), "").await;
    problem(&refused, 403, "permission-denied");
    problem(&api.get("/v1/destructions/x").await, 422, "invalid-field");
    problem(&api.get(&format!("/v1/destructions/{}", "0".repeat(32))).await, 404, "item-not-found");
}
