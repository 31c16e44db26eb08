//! Who may do what: every route with exactly its operations, and with all others.

use http::Method;
use serde_json::{Value, json};

use super::support::{Account, Org, Signer, expect, org, refused, text};

/// A service account with exactly these operations.
pub(super) async fn account(org: &Org, name: &str, operations: &[&str]) -> Account {
    let permission = if operations.is_empty() {
        None
    } else {
        let body = json!({"name": name, "operations": operations});
        Some(text(&expect(&org.post("/permissions", &body).await, 200)["id"]))
    };
    let key = Signer::ed25519();
    let mut body = json!({"name": name, "publicKey": key.pem()});
    if let Some(permission) = permission {
        body["permissionId"] = json!(permission);
    }
    let made = expect(&org.post("/auth/service-accounts", &body).await, 200);
    let token = &made["accessTokens"][0];
    Account {
        user: text(&made["userInfo"]["userId"]),
        token: text(&token["accessToken"]),
        cred_id: text(&token["credId"]),
        key,
    }
}

/// Method, path, operations, body.
type Route = (&'static str, String, &'static [&'static str], Value);

async fn routes(org: &Org) -> Vec<Route> {
    let key = org.ed25519().await;
    let master = json!({"scheme": "ECDSA", "curve": "secp256k1", "masterKey": true});
    let master = text(&org.create(&master).await["id"]);
    let user = text(
        &expect(
            &org.post("/auth/users", &json!({"email": "a@x", "kind": "CustomerEmployee"})).await,
            200,
        )["userId"],
    );
    let bot = account(org, "someone", &[]).await.user;
    let body = json!({"name": "to read", "operations": ["Keys:Read"]});
    let permission = text(&expect(&org.post("/permissions", &body).await, 200)["id"]);
    let path = |text: &str| text.to_owned();
    let keyed = |rest: &str| format!("/keys/{key}{rest}");
    let message = json!({"kind": "Message", "message": "0x00"});
    let plain = json!({"scheme": "EdDSA", "curve": "ed25519"});
    let child = json!({"scheme": "ECDSA", "curve": "secp256k1", "deriveFrom": {"keyId": master}});
    let delegated = json!({"scheme": "EdDSA", "curve": "ed25519", "delegateTo": user});
    vec![
        ("POST", path("/keys"), &["Keys:Create"], plain),
        ("POST", path("/keys"), &["Keys:Create", "Keys:ChildKeys:Create"], child),
        ("POST", path("/keys"), &["Keys:Create", "Keys:Delegate"], delegated),
        ("GET", path("/keys"), &["Keys:Read"], json!(null)),
        ("GET", keyed(""), &["Keys:Read"], json!(null)),
        ("PUT", keyed(""), &["Keys:Update"], json!({"name": "x"})),
        ("POST", keyed("/delegate"), &["Keys:Delegate"], json!({"delegateTo": user})),
        ("POST", path("/keys/import"), &["Keys:Import"], json!({})),
        ("POST", keyed("/export"), &["Keys:Export"], json!({})),
        ("POST", keyed("/derive"), &["Keys:Derive"], json!({"domain": "00", "seed": "00"})),
        ("POST", keyed("/signatures"), &["Keys:Signatures:Create"], message),
        ("GET", keyed("/signatures"), &["Keys:Signatures:Read"], json!(null)),
        ("GET", keyed("/signatures/x"), &["Keys:Signatures:Read"], json!(null)),
        ("GET", path("/signers"), &["Signers:ListSigners"], json!(null)),
        ("GET", path("/key-stores"), &["KeyStores:Read"], json!(null)),
        ("GET", path("/v2/policies"), &["Policies:Read"], json!(null)),
        ("GET", path("/auth/action/logs"), &["Auth:Logs:Read"], json!(null)),
        ("GET", path("/auth/action/logs/x"), &["Auth:Logs:Read"], json!(null)),
        ("GET", path("/auth/users"), &["Auth:Users:Read"], json!(null)),
        ("GET", format!("/auth/users/{user}"), &["Auth:Users:Read"], json!(null)),
        ("PUT", format!("/auth/users/{user}"), &["Auth:Users:Update"], json!({"name": "x"})),
        ("PUT", format!("/auth/users/{user}/deactivate"), &["Auth:Users:Deactivate"], json!({})),
        ("PUT", format!("/auth/users/{user}/activate"), &["Auth:Users:Activate"], json!({})),
        ("DELETE", format!("/auth/users/{user}"), &["Auth:Users:Delete"], json!(null)),
        ("POST", path("/auth/users"), &["Auth:Users:Create"], json!({"email": "b@x", "kind": "x"})),
        ("GET", path("/auth/service-accounts"), &["Auth:ServiceAccounts:Read"], json!(null)),
        (
            "GET",
            format!("/auth/service-accounts/{bot}"),
            &["Auth:ServiceAccounts:Read"],
            json!(null),
        ),
        ("POST", path("/auth/service-accounts"), &["Auth:ServiceAccounts:Create"], json!({})),
        (
            "POST",
            path("/auth/service-accounts"),
            &["Auth:ServiceAccounts:Create", "Permissions:Assign"],
            json!({"permissionId": "x"}),
        ),
        (
            "PUT",
            format!("/auth/service-accounts/{bot}/deactivate"),
            &["Auth:ServiceAccounts:Deactivate"],
            json!({}),
        ),
        (
            "PUT",
            format!("/auth/service-accounts/{bot}/activate"),
            &["Auth:ServiceAccounts:Activate"],
            json!({}),
        ),
        (
            "PUT",
            format!("/auth/service-accounts/{bot}"),
            &["Auth:ServiceAccounts:Update"],
            json!({"externalId": "x"}),
        ),
        (
            "DELETE",
            format!("/auth/service-accounts/{bot}"),
            &["Auth:ServiceAccounts:Delete"],
            json!(null),
        ),
        ("POST", path("/auth/pats"), &["Auth:Pats:Create"], json!({})),
        ("POST", path("/auth/registration/delegated"), &["Auth:Register:Delegated"], json!({})),
        ("POST", path("/auth/login/delegated"), &["Auth:Login:Delegated"], json!({})),
        ("GET", path("/permissions"), &["Permissions:Read"], json!(null)),
        ("GET", format!("/permissions/{permission}"), &["Permissions:Read"], json!(null)),
        ("POST", path("/permissions"), &["Permissions:Create"], json!({})),
        (
            "GET",
            format!("/permissions/{permission}/assignments"),
            &["Permissions:Assignments:Read"],
            json!(null),
        ),
        (
            "POST",
            format!("/permissions/{permission}/assignments"),
            &["Permissions:Assign"],
            json!({"identityId": "us-x"}),
        ),
        (
            "DELETE",
            format!("/permissions/{permission}/assignments/as-x"),
            &["Permissions:Revoke"],
            json!(null),
        ),
        ("PUT", format!("/permissions/{permission}"), &["Permissions:Update"], json!({"x": 1})),
        (
            "PUT",
            format!("/permissions/{permission}/archive"),
            &["Permissions:Archive"],
            json!({"x": 1}),
        ),
        ("DELETE", keyed(""), &["Keys:Delete"], json!(null)),
    ]
}

async fn ask(org: &Org, by: &Account, route: &Route) -> lethe_http::testing::Answer {
    let (method, path, _, body) = route;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    if *method == "GET" {
        return org.get_as(by, path).await;
    }
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    org.signed_as(by, method, path, &body).await
}

#[tokio::test]
async fn each_route_needs_exactly_its_operations() {
    let org = org().await;
    let routes = routes(&org).await;
    let all = crate::operations::all();
    for (at, route) in routes.iter().enumerate() {
        let (method, path, needed, _) = route;
        let lacking = needed.last().unwrap();
        let others: Vec<&str> = all.iter().copied().filter(|name| name != lacking).collect();
        let without = account(&org, &format!("without {at}"), &others).await;
        let answer = ask(&org, &without, route).await;
        let expected = format!(
            "CustomerEmployee {} is not authorized to perform operation ({lacking})",
            without.user
        );
        assert_eq!(refused(&answer, 403), expected, "{method} {path}");
        let with = account(&org, &format!("with {at}"), needed).await;
        let answer = ask(&org, &with, route).await;
        let status = answer.head.status.as_u16();
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(status != 403 && status != 401 && status < 500, "{method} {path} {status} {body}");
        expect(&answer, status);
        // Without a token nobody gets anywhere.
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let nobody = org.send("", method, path, &[], "").await;
        assert_eq!(refused(&nobody, 401), "Not Authorized.");
    }
}

#[tokio::test]
async fn a_service_account_without_a_permission_may_do_nothing() {
    let org = org().await;
    let nobody = account(&org, "nobody", &[]).await;
    expect(&org.get_as(&nobody, "/keys").await, 403);
    let key = org.ed25519().await;
    let answer = org.signed_as(&nobody, Method::DELETE, &format!("/keys/{key}"), "").await;
    let expected = format!(
        "CustomerEmployee {} is not authorized to perform operation (Keys:Delete)",
        nobody.user
    );
    assert_eq!(refused(&answer, 403), expected);
    assert_eq!(expect(&org.get(&format!("/keys/{key}")).await, 200)["status"], json!("Active"));
}

#[tokio::test]
async fn a_permission_is_changed_archived_and_taken_back_at_once() {
    let org = org().await;
    let bot = account(&org, "reader", &["Keys:Read"]).await;
    let all = expect(&org.get("/permissions").await, 200)["items"].clone();
    let named = |name: &str| {
        let found = all.as_array().unwrap().iter().find(|one| one["name"] == json!(name));
        text(&found.unwrap()["id"])
    };
    let id = named("reader");
    let path = format!("/permissions/{id}");
    expect(&org.get_as(&bot, "/keys").await, 200);
    let changed = org.put(&path, &json!({"operations": ["Keys:Create"]})).await;
    assert_eq!(expect(&changed, 200)["operations"], json!(["Keys:Create"]));
    expect(&org.get_as(&bot, "/keys").await, 403);
    expect(&org.put(&path, &json!({"operations": ["Keys:Create", "Keys:Read"]})).await, 200);
    expect(&org.get_as(&bot, "/keys").await, 200);
    let archive = format!("{path}/archive");
    assert_eq!(
        expect(&org.put(&archive, &json!({"isArchived": true})).await, 200)["isArchived"],
        json!(true)
    );
    expect(&org.get_as(&bot, "/keys").await, 403);
    expect(&org.put(&archive, &json!({"isArchived": false})).await, 200);
    expect(&org.get_as(&bot, "/keys").await, 200);
    let assignments = expect(&org.get(&format!("{path}/assignments")).await, 200)["items"].clone();
    assert_eq!(assignments[0]["identityId"], json!(bot.user));
    let gone = format!("{path}/assignments/{}", text(&assignments[0]["id"]));
    expect(&org.delete(&gone).await, 200);
    expect(&org.delete(&gone).await, 404);
    expect(&org.get_as(&bot, "/keys").await, 403);
    // The one for everything stays as it is.
    let full = named("ManagedFullAdminAccess");
    expect(&org.put(&format!("/permissions/{full}"), &json!({"name": "x"})).await, 400);
    expect(&org.put(&format!("/permissions/{full}/archive"), &json!({})).await, 400);
    for body in [
        json!({"name": "", "operations": ["Keys:Read"]}),
        json!({"name": "x".repeat(101), "operations": ["Keys:Read"]}),
        json!({"name": "x", "operations": []}),
        json!({"name": "x", "operations": ["Keys:List"]}),
        json!({"name": "x", "operations": ["keys:read"]}),
        json!({"name": "x", "operations": "Keys:Read"}),
        json!({"name": "x"}),
        json!({"operations": ["Keys:Read"]}),
        json!({"name": "x", "operations": ["Keys:Read"], "more": 1}),
    ] {
        expect(&org.post("/permissions", &body).await, 400);
    }
    expect(
        &org.post("/permissions", &json!({"name": "reader", "operations": ["Keys:Read"]})).await,
        409,
    );
}

#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    let org = org().await;
    let operations = [
        "Permissions:Create",
        "Permissions:Assign",
        "Permissions:Update",
        "Auth:ServiceAccounts:Create",
    ];
    let limited = account(&org, "limited", &operations).await;
    let all = expect(&org.get("/permissions").await, 200)["items"].clone();
    let is_full = |one: &&Value| one["isImmutable"] == json!(true);
    let full = all.as_array().and_then(|all| all.iter().find(is_full)).unwrap()["id"].clone();
    let post = async |path: &str, body: Value| {
        org.signed_as(&limited, Method::POST, path, &body.to_string()).await
    };
    let delete = json!({"name": "to delete", "operations": ["Keys:Delete"]});
    expect(&post("/permissions", delete).await, 403);
    let path = format!("/permissions/{}/assignments", text(&full));
    expect(&post(&path, json!({"identityId": limited.user})).await, 403);
    let pem = Signer::ed25519().pem();
    let body = json!({"name": "heir", "publicKey": pem, "permissionId": full});
    expect(&post("/auth/service-accounts", body).await, 403);
    let own = json!({"name": "own", "operations": ["Permissions:Assign"]});
    expect(&post("/permissions", own).await, 200);
}

#[tokio::test]
async fn a_deactivated_or_deleted_account_is_nobody() {
    let org = org().await;
    let bot = account(&org, "bot 2", &["Keys:Read"]).await;
    let path = format!("/auth/service-accounts/{}", bot.user);
    expect(&org.get_as(&bot, "/keys").await, 200);
    let off = expect(&org.put(&format!("{path}/deactivate"), &json!({"force": true})).await, 200);
    assert_eq!(off["userInfo"]["isActive"], json!(false));
    assert_eq!(refused(&org.get_as(&bot, "/keys").await, 401), "Not Authorized.");
    expect(&org.put(&format!("{path}/activate"), &json!({})).await, 200);
    expect(&org.get_as(&bot, "/keys").await, 200);
    let shown = expect(&org.get(&path).await, 200);
    assert_eq!(shown["accessTokens"][0].get("accessToken"), None, "it is shown once");
    assert_eq!(shown["accessTokens"][0]["kind"], json!("ServiceAccount"));
    expect(&org.delete(&path).await, 200);
    assert_eq!(refused(&org.get_as(&bot, "/keys").await, 401), "Not Authorized.");
    expect(&org.get(&path).await, 404);
    let pem = Signer::ed25519().pem();
    let twice = json!({"name": "bot", "publicKey": pem});
    let answer = org.post("/auth/service-accounts", &twice).await;
    assert_eq!(refused(&answer, 401), "User already exists.");
    for (name, value) in [
        ("name", json!("")),
        ("name", json!("x".repeat(300))),
        ("name", json!(" x")),
        ("publicKey", json!("x")),
        ("publicKey", json!(null)),
        ("daysValid", json!(0)),
        ("daysValid", json!(731)),
        ("daysValid", json!("1")),
        ("daysValid", json!(1.5)),
        ("externalId", json!("")),
        ("more", json!(1)),
    ] {
        let mut body = json!({"name": "new", "publicKey": pem});
        body[name] = value.clone();
        let answer = org.post("/auth/service-accounts", &body).await;
        assert_eq!(answer.head.status.as_u16(), 400, "{name} {value}");
    }
}
