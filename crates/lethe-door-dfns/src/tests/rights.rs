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

/// Method, path, operations, body. Names in braces are those of things that are there.
type Route = (&'static str, &'static str, &'static [&'static str], &'static str);

const PLAIN: &str = r#"{"scheme":"EdDSA","curve":"ed25519"}"#;
const CHILD: &str = r#"{"scheme":"ECDSA","curve":"secp256k1","deriveFrom":{"keyId":"{master}"}}"#;
const DELEGATED: &str = r#"{"scheme":"EdDSA","curve":"ed25519","delegateTo":"{user}"}"#;

const ROUTES: &[Route] = &[
    ("POST", "/keys", &["Keys:Create"], PLAIN),
    ("POST", "/keys", &["Keys:Create", "Keys:ChildKeys:Create"], CHILD),
    ("POST", "/keys", &["Keys:Create", "Keys:Delegate"], DELEGATED),
    ("GET", "/keys", &["Keys:Read"], ""),
    ("GET", "/keys/{key}", &["Keys:Read"], ""),
    ("PUT", "/keys/{key}", &["Keys:Update"], r#"{"name":"x"}"#),
    ("POST", "/keys/{key}/delegate", &["Keys:Delegate"], r#"{"delegateTo":"{user}"}"#),
    ("POST", "/keys/import", &["Keys:Import"], "{}"),
    ("POST", "/keys/{key}/export", &["Keys:Export"], "{}"),
    ("POST", "/keys/{key}/derive", &["Keys:Derive"], r#"{"domain":"00","seed":"00"}"#),
    ("POST", SIGNATURES, &["Keys:Signatures:Create"], r#"{"kind":"Message","message":"0x00"}"#),
    ("GET", SIGNATURES, &["Keys:Signatures:Read"], ""),
    ("GET", "/keys/{key}/signatures/x", &["Keys:Signatures:Read"], ""),
    ("GET", "/signers", &["Signers:ListSigners"], ""),
    ("GET", "/key-stores", &["KeyStores:Read"], ""),
    ("GET", "/v2/policies", &["Policies:Read"], ""),
    ("GET", "/auth/action/logs", &["Auth:Logs:Read"], ""),
    ("GET", "/auth/action/logs/x", &["Auth:Logs:Read"], ""),
    ("GET", "/auth/users", &["Auth:Users:Read"], ""),
    ("GET", USER, &["Auth:Users:Read"], ""),
    ("PUT", USER, &["Auth:Users:Update"], r#"{"name":"x"}"#),
    ("PUT", "/auth/users/{user}/deactivate", &["Auth:Users:Deactivate"], "{}"),
    ("PUT", "/auth/users/{user}/activate", &["Auth:Users:Activate"], "{}"),
    ("DELETE", USER, &["Auth:Users:Delete"], ""),
    ("POST", "/auth/users", &["Auth:Users:Create"], r#"{"email":"b@x","kind":"x"}"#),
    ("GET", "/auth/service-accounts", &["Auth:ServiceAccounts:Read"], ""),
    ("GET", ACCOUNT, &["Auth:ServiceAccounts:Read"], ""),
    ("POST", "/auth/service-accounts", &["Auth:ServiceAccounts:Create"], "{}"),
    (
        "POST",
        "/auth/service-accounts",
        &["Auth:ServiceAccounts:Create", "Permissions:Assign"],
        r#"{"permissionId":"x"}"#,
    ),
    ("PUT", OFF, &["Auth:ServiceAccounts:Deactivate"], "{}"),
    ("PUT", ON, &["Auth:ServiceAccounts:Activate"], "{}"),
    ("PUT", ACCOUNT, &["Auth:ServiceAccounts:Update"], r#"{"externalId":"x"}"#),
    ("DELETE", ACCOUNT, &["Auth:ServiceAccounts:Delete"], ""),
    ("POST", "/auth/pats", &["Auth:Pats:Create"], "{}"),
    ("POST", "/auth/registration/delegated", &["Auth:Register:Delegated"], "{}"),
    ("POST", "/auth/login/delegated", &["Auth:Login:Delegated"], "{}"),
    ("GET", "/permissions", &["Permissions:Read"], ""),
    ("GET", "/permissions/{permission}", &["Permissions:Read"], ""),
    ("POST", "/permissions", &["Permissions:Create"], "{}"),
    ("GET", ASSIGNMENTS, &["Permissions:Assignments:Read"], ""),
    ("POST", ASSIGNMENTS, &["Permissions:Assign"], r#"{"identityId":"us-x"}"#),
    ("DELETE", "/permissions/{permission}/assignments/as-x", &["Permissions:Revoke"], ""),
    ("PUT", "/permissions/{permission}", &["Permissions:Update"], r#"{"x":1}"#),
    ("PUT", "/permissions/{permission}/archive", &["Permissions:Archive"], r#"{"x":1}"#),
    ("DELETE", "/keys/{key}", &["Keys:Delete"], ""),
];
const SIGNATURES: &str = "/keys/{key}/signatures";
const USER: &str = "/auth/users/{user}";
const ACCOUNT: &str = "/auth/service-accounts/{bot}";
const OFF: &str = "/auth/service-accounts/{bot}/deactivate";
const ON: &str = "/auth/service-accounts/{bot}/activate";
const ASSIGNMENTS: &str = "/permissions/{permission}/assignments";

/// The same with the names of things that are made for it.
async fn routes(org: &Org) -> Vec<(&'static str, String, &'static [&'static str], String)> {
    let master = json!({"scheme": "ECDSA", "curve": "secp256k1", "masterKey": true});
    let user = json!({"email": "a@x", "kind": "CustomerEmployee"});
    let user = text(&expect(&org.post("/auth/users", &user).await, 200)["userId"]);
    let permission = json!({"name": "to read", "operations": ["Keys:Read"]});
    let permission = text(&expect(&org.post("/permissions", &permission).await, 200)["id"]);
    let things = [
        ("{key}", org.ed25519().await),
        ("{master}", text(&org.create(&master).await["id"])),
        ("{user}", user),
        ("{bot}", account(org, "someone", &[]).await.user),
        ("{permission}", permission),
    ];
    let named =
        |text: &str| things.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id));
    ROUTES
        .iter()
        .map(|(method, path, ops, body)| (*method, named(path), *ops, named(body)))
        .collect()
}

async fn ask(
    org: &Org,
    by: &Account,
    (method, path, body): (&str, &str, &str),
) -> lethe_http::testing::Answer {
    if method == "GET" {
        return org.get_as(by, path).await;
    }
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    org.signed_as(by, method, path, body).await
}

#[tokio::test]
async fn each_route_needs_exactly_its_operations() {
    let org = org().await;
    let routes = routes(&org).await;
    let all = crate::operations::all();
    for (at, (method, path, needed, body)) in routes.iter().enumerate() {
        let route = (*method, path.as_str(), body.as_str());
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
        let told = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(status != 403 && status != 401 && status < 500, "{method} {path} {status} {told}");
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
