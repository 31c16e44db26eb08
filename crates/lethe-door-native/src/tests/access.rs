//! Who gets in, and what they are told if not.

use http::{HeaderMap, HeaderValue, Method};
use lethe_http::Authentication;
use lethe_types::Permission;
use serde_json::json;

use super::support::{Api, header, json, member, problem};
use crate::auth::bearer_token;
use crate::{Route, routes};

/// A path of the route, with a value for every parameter.
fn sample(route: &Route) -> String {
    let (id, file) = ("0".repeat(32), "index.css");
    let path = route.path.replace("{id}", &id).replace("{file}", file);
    let path = path.replace("{hold}", &id).replace("{version}", "1").replace("{credential}", &id);
    path.replace("{*path}", "0/000").replace("{code}", "internal")
}

#[tokio::test]
async fn every_route_but_the_public_ones_refuses_who_has_no_valid_token() {
    let api = Api::new().await;
    let altered = api.token.replace("lethe_", "lethe-");
    for route in routes() {
        for credential in ["", "Bearer", "Bearer ", "Basic bGV0aGU6", &format!("Bearer {altered}")]
        {
            let headers = [("authorization", credential)];
            let answer = api.send(route.method.clone(), &sample(route), &headers, "").await;
            match route.authentication {
                Authentication::Public => assert_ne!(answer.head.status, 401, "{route:?}"),
                Authentication::Required => {
                    problem(&answer, 401, "authentication-not-successful");
                    assert_eq!(header(&answer, "www-authenticate"), Some("Bearer"));
                }
            }
        }
    }
}

#[tokio::test]
async fn every_route_is_reached_with_the_token() {
    let api = Api::new().await;
    for route in routes() {
        let answer = api.send(route.method.clone(), &sample(route), &[], "").await;
        let status = answer.head.status.as_u16();
        assert!(![401, 403, 405, 500].contains(&status), "{route:?}: {status}");
        if status == 404 {
            let code = &json(&answer)["type"];
            assert_eq!(code, "/problems/item-not-found", "{route:?}");
        }
    }
}

#[tokio::test]
async fn what_is_lacking_is_named() {
    let api = Api::new().await;
    let id = api.key("aes256-gcm").await;
    let token = api.token_with(&[Permission::KeysUseDecrypt]).await;
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let cases = [
        (Method::POST, "/v1/keys", r#"{"name":"a","algorithm":"ed25519"}"#, "keys.create"),
        (Method::POST, "/v1/keys/ID/encrypt", r#"{"plaintext":""}"#, "keys.use.encrypt"),
        (Method::GET, "/v1/keys", "", "keys.read"),
        (Method::GET, "/v1/keys/ID", "", "keys.read"),
        (Method::GET, "/v1/keys/ID/receipt", "", "keys.read"),
        (Method::GET, "/v1/keys/ID/public-key", "", "keys.read"),
        (Method::POST, "/v1/keys/ID/rotate", "", "keys.rotate"),
        (Method::PATCH, "/v1/keys/ID", "{}", "keys.update"),
        (Method::POST, "/v1/keys/ID/activate", "", "keys.state"),
        (Method::POST, "/v1/keys/ID/suspend", "", "keys.state"),
        (Method::POST, "/v1/keys/ID/resume", "", "keys.state"),
        (Method::POST, "/v1/keys/ID/deactivate", "", "keys.state"),
        (Method::POST, "/v1/keys/ID/compromise", "", "keys.state"),
        (Method::DELETE, "/v1/keys/ID", "", "keys.destroy"),
        (Method::DELETE, "/v1/keys/ID?window=72h", "", "keys.destroy.schedule"),
        (Method::POST, "/v1/keys/ID/cancel-destruction", "", "keys.destroy.cancel"),
        (Method::GET, "/v1/keys/ID/destruction-preview", "", "keys.read"),
        (Method::POST, "/v1/keys/ID/holds", r#"{"kind":"legal","reason":""}"#, "holds.manage"),
        (Method::DELETE, "/v1/keys/ID/holds/ID", "", "holds.manage"),
        (Method::POST, "/v1/keys/ID/approvals", r#"{"reason":""}"#, "keys.destroy"),
        (Method::POST, "/v1/destructions", r#"{"vault":"ID","reason":""}"#, "keys.destroy"),
        (Method::GET, "/v1/realm", "", "vaults.read"),
        (Method::PUT, "/v1/realm/policy", "{}", "vaults.admin"),
        (Method::GET, "/v1/vaults", "", "vaults.read"),
        (Method::POST, "/v1/vaults", r#"{"name":"a"}"#, "vaults.admin"),
        (Method::GET, "/v1/vaults/ID", "", "vaults.read"),
        (Method::PATCH, "/v1/vaults/ID", "{}", "vaults.admin"),
        (Method::DELETE, "/v1/vaults/ID", "", "vaults.admin"),
        (Method::GET, "/v1/principals", "", "principals.read"),
        (Method::POST, "/v1/principals", r#"{"name":"a","grants":[]}"#, "principals.manage"),
        (Method::PATCH, "/v1/principals/ID", "{}", "principals.manage"),
        (
            Method::POST,
            "/v1/principals/ID/credentials",
            r#"{"type":"bearer"}"#,
            "principals.manage",
        ),
        (Method::DELETE, "/v1/principals/ID/credentials/ID", "", "principals.manage"),
        (Method::POST, "/v1/principals/ID/credentials/ID/suspend", "", "principals.manage"),
        (Method::POST, "/v1/principals/ID/credentials/ID/resume", "", "principals.manage"),
    ];
    for (method, path, body, permission) in cases {
        let body = body.replace("ID", &id);
        let answer = api.send(method, &path.replace("ID", &id), &headers, body).await;
        let refused = problem(&answer, 403, "permission-denied");
        assert_eq!(refused["permission"], permission, "{path}");
    }
}

#[tokio::test]
async fn a_principal_acts_within_its_grants_until_it_is_revoked() {
    let api = Api::new().await;
    let id = api.key("aes256-gcm").await;
    let body = json!({
        "name": "billing",
        "grants": [
            {"permissions": ["keys.use.encrypt"], "key": id},
            {"permissions": ["keys.read", "vaults.read"]},
        ],
        "token_lifetime_seconds": 60,
    });
    let made = api.post("/v1/principals", &body.to_string()).await;
    assert_eq!(made.head.status, 201, "{:?}", made.body);
    assert_eq!(header(&made, "cache-control"), Some("no-store"));
    let mut principal = json(&made);
    let token = member(&principal, "token");
    assert!(token.starts_with("lethe_") && token.len() == 70);
    principal.as_object_mut().unwrap().remove("token");
    let who = member(&principal, "id");
    let credential = member(&principal["credentials"][0], "id");
    let expected = json!({
        "id": who, "name": "billing", "created": "2026-09-21T14:13:20.000Z", "revoked": null,
        "kind": "service_account", "login": null, "suspended": false, "bound_to": null,
        "credentials": [{
            "id": credential, "type": "bearer", "name": "", "created": "2026-09-21T14:13:20.000Z",
            "expires": "2026-09-21T14:14:20.000Z", "suspended": false,
        }],
        "grants": [
            {"permissions": ["keys.use.encrypt"], "scope": "key", "key": id},
            {"permissions": ["keys.read", "vaults.read"], "scope": "realm"},
        ],
    });
    assert_eq!(principal, expected);
    assert_eq!(json(&api.get(&format!("/v1/principals/{who}")).await), expected);
    let bearer = format!("bearer   {token}");
    let headers = [("authorization", bearer.as_str())];
    let encrypt = async |id: &str| {
        let path = format!("/v1/keys/{id}/encrypt");
        api.send(Method::POST, &path, &headers, r#"{"plaintext":""}"#).await
    };
    assert_eq!(encrypt(&id).await.head.status, 200);
    problem(&encrypt(&api.key("aes256-gcm").await).await, 403, "permission-denied");
    let revoked = json(&api.delete(&format!("/v1/principals/{who}")).await);
    assert_eq!(revoked["revoked"], "2026-09-21T14:13:20.000Z");
    problem(&encrypt(&id).await, 401, "authentication-not-successful");
    let all = json(&api.get("/v1/principals").await);
    assert!(all["principals"].as_array().unwrap().contains(&revoked));
}

#[tokio::test]
async fn malformed_grants_are_refused_with_their_place() {
    let api = Api::new().await;
    let id = "0".repeat(32);
    let every: Vec<&str> = Permission::ALL.iter().map(|one| one.as_str()).collect();
    let too_many: Vec<&str> = every.iter().chain(&["keys.read"]).copied().collect();
    let cases = [
        (json!({"permissions": []}), "grants[0].permissions"),
        (json!({"permissions": ["keys.fly"]}), "grants[0].permissions"),
        (json!({"permissions": ["*", "keys.read"]}), "grants[0].permissions"),
        (json!({"permissions": too_many}), "grants[0].permissions"),
        (json!({"permissions": ["*"], "vault": "x"}), "grants[0].vault"),
        (json!({"permissions": ["*"], "key": ""}), "grants[0].key"),
        (json!({"permissions": ["*"], "vault": id, "key": id}), "grants[0].key"),
    ];
    for (grant, field) in cases {
        let body = json!({"name": "a", "grants": [grant]}).to_string();
        let refused = problem(&api.post("/v1/principals", &body).await, 422, "invalid-field");
        assert_eq!(refused["field"], field, "{body}");
    }
    let elsewhere = json!({"name": "a", "grants": [{"permissions": ["*"], "vault": id}]});
    problem(&api.post("/v1/principals", &elsewhere.to_string()).await, 404, "item-not-found");
    let never = r#"{"name":"a","grants":[],"token_lifetime_seconds":0}"#;
    let refused = problem(&api.post("/v1/principals", never).await, 422, "invalid-field");
    assert_eq!(refused["field"], "token_lifetime_seconds");
    let everything = json!({"name": "a", "grants": [{"permissions": ["*"]}]}).to_string();
    let made = json(&api.post("/v1/principals", &everything).await);
    assert_eq!(made["grants"][0]["permissions"], json!(every));
}

#[track_caller]
fn check(values: &[&str], token: Option<&str>) {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append("authorization", HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    assert_eq!(bearer_token(&headers), token, "{values:?}");
}

#[test]
fn authorization_headers() {
    check(&["Bearer lethe_x"], Some("lethe_x"));
    check(&["bEARER lethe_x"], Some("lethe_x"));
    check(&["Bearer   lethe_x"], Some("lethe_x"));
    check(&[], None);
    check(&[""], None);
    check(&["Bearer"], None);
    check(&["Bearerlethe_x"], None);
    check(&["Basic lethe_x"], None);
    check(&["lethe_x"], None);
    check(&["Bearer\tlethe_x"], None);
    check(&["Bearer lethe_é"], None);
    check(&["Bearer lethe_x", "Bearer lethe_x"], None);
    check(&["Bearer lethe_x", "Basic eA=="], None);
}
