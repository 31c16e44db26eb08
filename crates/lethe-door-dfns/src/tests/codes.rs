//! One-time codes, and what a stranger learns about who is there.

use std::time::Duration;

use http::Method;
use lethe_engine::record::{Grant, PrincipalKind, Scope};
use lethe_engine::{CreatePrincipalRequest, NewCredential};
use lethe_types::{Permission, Permissions};
use serde_json::{Value, json};

use super::passkeys::post;
use super::people::{attestation, end_user};
use super::support::{Account, Org, Signer, expect, org, refused, text};

/// A token of the native interface with these permissions on the realm.
async fn native(org: &Org, name: &str, permissions: Permissions) -> String {
    let engine = &org.world.engine;
    let caller = engine.system_caller(org.realm, crate::DOOR).unwrap();
    let request = CreatePrincipalRequest {
        name: name.parse().unwrap(),
        kind: PrincipalKind::ServiceAccount,
        login: None,
        grants: vec![Grant { permissions, scope: Scope::Realm }],
        bound_to: None,
        attributes: std::collections::BTreeMap::new(),
        credentials: vec![NewCredential::bearer(None)],
    };
    let mut made = engine.create_principal(&caller, request).await.unwrap();
    let (_, token) = made.tokens.pop().unwrap();
    String::from_utf8(token.expose().to_vec()).unwrap()
}

/// A code that the operator had made.
pub(super) async fn code(org: &Org, name: &str, kind: &str) -> String {
    let operator = format!("operator-{}", org.world.next());
    let token = native(org, &operator, Permissions::all()).await;
    let body = json!({"username": name, "kind": kind});
    let made = expect(&post(org, &token, "/lethe/codes", &body).await, 200);
    assert_eq!((made["username"].as_str(), made["kind"].as_str()), (Some(name), Some(kind)));
    text(&made["code"])
}

/// An employee whose registration has begun.
pub(super) async fn begin_registration(org: &Org, name: &str) -> Value {
    let body = json!({"email": name, "kind": "CustomerEmployee"});
    expect(&org.post("/auth/users", &body).await, 200);
    let code = code(org, name, "Registration").await;
    let body = json!({"orgId": org.id, "username": name, "registrationCode": code});
    expect(&post(org, "", "/auth/registration/init", &body).await, 200)
}

#[tokio::test]
async fn a_registration_code_is_good_once_for_its_user_and_a_week() {
    let org = org().await;
    let names = ["ann@example.com", "bob@example.com"];
    for name in names {
        let body = json!({"email": name, "kind": "CustomerEmployee"});
        expect(&org.post("/auth/users", &body).await, 200);
    }
    let init = async |name: &str, code: &str| {
        let body = json!({"orgId": org.id, "username": name, "registrationCode": code});
        post(&org, "", "/auth/registration/init", &body).await
    };
    let old = code(&org, names[0], "Registration").await;
    let new = code(&org, names[0], "Registration").await;
    let login = code(&org, names[0], "Login").await;
    assert_eq!((new.len(), new.split('-').count()), (23, 4), "{new}");
    for (name, bad) in [
        (names[0], old.as_str()),
        (names[0], &login),
        (names[0], ""),
        (names[1], &new),
        ("nobody@example.com", &new),
        ("bot", &new),
    ] {
        assert_eq!(refused(&init(name, bad).await, 403), "Invalid code", "{name} {bad}");
    }
    let body = json!({"orgId": "or-x", "username": names[0], "registrationCode": new});
    let foreign = post(&org, "", "/auth/registration/init", &body).await;
    assert_eq!(refused(&foreign, 403), "Invalid code");
    let begun = expect(&init(names[0], &new).await, 200);
    assert_eq!(refused(&init(names[0], &new).await, 403), "Invalid code");
    let signer = Signer::ed25519();
    let first = attestation(&signer, &text(&begun["challenge"]), "key");
    let temporary = text(&begun["temporaryAuthenticationToken"]);
    // The token is good for nothing else.
    for (method, path) in [(Method::GET, "/keys"), (Method::POST, "/auth/recover/user")] {
        refused(&org.send(&temporary, method, path, &[], "{}").await, 401);
    }
    let body = json!({"firstFactorCredential": first});
    expect(&post(&org, &temporary, "/auth/registration", &body).await, 200);
    // Whoever has a key needs no code for one.
    let operator = native(&org, "operator", Permissions::all()).await;
    let again = json!({"username": names[0], "kind": "Registration"});
    refused(&post(&org, &operator, "/lethe/codes", &again).await, 409);
    let late = code(&org, names[1], "Registration").await;
    org.world.pass(Duration::from_secs(7 * 24 * 3_600));
    assert_eq!(refused(&init(names[1], &late).await, 400), "Registration code expired");
    assert_eq!(refused(&init(names[1], &late).await, 403), "Invalid code");
}

#[tokio::test]
async fn codes_are_made_by_who_holds_every_permission() {
    let org = org().await;
    end_user(&org, "ann@example.com").await;
    let body = json!({"username": "ann@example.com", "kind": "Recovery"});
    let operator = native(&org, "operator", Permissions::all()).await;
    let some = [Permission::PrincipalsManage, Permission::KeysRead].into_iter().collect();
    let helper = native(&org, "helper", some).await;
    expect(&post(&org, &operator, "/lethe/codes", &body).await, 200);
    refused(&post(&org, &helper, "/lethe/codes", &body).await, 403);
    refused(&post(&org, "", "/lethe/codes", &body).await, 401);
    refused(&post(&org, &org.admin.token, "/lethe/codes", &body).await, 401);
    let foreign = org.world.org("other", crate::Settings::default()).await;
    refused(&post(&foreign, &operator, "/lethe/codes", &body).await, 401);
    for (bad, status) in [
        (json!({"username": "ann@example.com", "kind": "Other"}), 400),
        (json!({"username": "ann@example.com"}), 400),
        (json!({"kind": "Login"}), 400),
        (json!({"username": "nobody", "kind": "Login"}), 404),
        (json!({"username": "bot", "kind": "Login"}), 404),
        (json!({"username": "ann@example.com", "kind": "Login", "more": 1}), 400),
    ] {
        refused(&post(&org, &operator, "/lethe/codes", &bad).await, status);
    }
    assert!(org.world.audit.has("dfns.code.order", None));
    assert!(org.world.audit.has("dfns.code.create", None));
}

#[tokio::test]
async fn a_protected_key_logs_in_with_a_code_alone() {
    let org = org().await;
    let body = json!({"email": "ann@example.com", "kind": "EndUser"});
    let begun = expect(&org.post("/auth/registration/delegated", &body).await, 200);
    let signer = Signer::ed25519();
    let mut first = attestation(&signer, &text(&begun["challenge"]), "protected");
    first["credentialKind"] = json!("PasswordProtectedKey");
    first["encryptedPrivateKey"] = json!("sealed");
    let temporary = text(&begun["temporaryAuthenticationToken"]);
    let body = json!({"firstFactorCredential": first});
    expect(&post(&org, &temporary, "/auth/registration", &body).await, 200);
    let mut init = json!({"orgId": org.id, "username": "ann@example.com"});
    let begun = expect(&post(&org, "", "/auth/login/init", &init).await, 200);
    assert_eq!(begun["allowCredentials"]["passwordProtectedKey"], json!([]));
    assert!(!begun.to_string().contains("sealed"), "{begun}");
    let user = Account {
        user: String::new(),
        token: String::new(),
        cred_id: "protected".into(),
        key: signer,
    };
    let answer = |challenge: &Value| {
        let mut answer = user.answer(challenge);
        answer["firstFactor"]["kind"] = json!("PasswordProtectedKey");
        answer
    };
    refused(&post(&org, "", "/auth/login", &answer(&begun)).await, 401);
    init["loginCode"] = json!("00000-00000-00000-00000");
    assert_eq!(refused(&post(&org, "", "/auth/login/init", &init).await, 403), "Invalid code");
    init["loginCode"] = json!(code(&org, "ann@example.com", "Login").await);
    let begun = expect(&post(&org, "", "/auth/login/init", &init).await, 200);
    let shown = json!([{"type": "public-key", "id": "protected", "encryptedPrivateKey": "sealed"}]);
    assert_eq!(begun["allowCredentials"]["passwordProtectedKey"], shown);
    expect(&post(&org, "", "/auth/login", &answer(&begun)).await, 200);
    assert_eq!(refused(&post(&org, "", "/auth/login/init", &init).await, 403), "Invalid code");
}

#[tokio::test]
async fn a_login_does_not_tell_who_is_there() {
    let org = org().await;
    let user = end_user(&org, "ann@example.com").await;
    let gone = end_user(&org, "gone@example.com").await;
    let path = format!("/auth/users/{}/deactivate", gone.user);
    expect(&org.put(&path, &json!({})).await, 200);
    let begin = async |org_id: &str, name: &str| {
        let body = json!({"orgId": org_id, "username": name});
        expect(&post(&org, "", "/auth/login/init", &body).await, 200)
    };
    let keys = |begun: &Value| {
        let all = &begun["allowCredentials"];
        let list = |name: &str| all[name].as_array().unwrap().clone();
        [list("key"), list("webauthn"), list("passwordProtectedKey")].concat()
    };
    let real = begin(&org.id, "ann@example.com").await;
    let members =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let mut seen = Vec::new();
    for (org_id, name) in [
        (org.id.as_str(), "nobody@example.com"),
        (&org.id, "gone@example.com"),
        (&org.id, "bot"),
        (&org.id, ""),
        ("or-x", "ann@example.com"),
    ] {
        let one = begin(org_id, name).await;
        let two = begin(org_id, name).await;
        assert_eq!(members(&one), members(&real));
        assert_eq!(one["supportedCredentialKinds"].as_array().unwrap().len(), 1);
        let (one_keys, two_keys) = (keys(&one), keys(&two));
        assert_eq!(one_keys.len(), 1, "{one}");
        assert_eq!(one_keys, two_keys, "the same each time");
        assert_ne!(one["challenge"], two["challenge"]);
        assert!(!seen.contains(&one_keys), "of each name another");
        seen.push(one_keys);
        // And nobody comes in by it, as by a wrong signature.
        let decoy = Account {
            cred_id: text(&keys(&one)[0]["id"]),
            key: Signer::ed25519(),
            token: String::new(),
            user: String::new(),
        };
        let refused_words = refused(&post(&org, "", "/auth/login", &decoy.answer(&one)).await, 401);
        let wrong = Account {
            key: Signer::ed25519(),
            token: String::new(),
            user: String::new(),
            cred_id: user.cred_id.clone(),
        };
        let challenge = begin(&org.id, "ann@example.com").await;
        let of_user = refused(&post(&org, "", "/auth/login", &wrong.answer(&challenge)).await, 401);
        assert_eq!(refused_words, of_user);
    }
    assert_eq!(keys(&real)[0]["id"], json!(user.cred_id));
}

#[tokio::test]
async fn who_asks_for_a_code_learns_nothing() {
    let org = org().await;
    end_user(&org, "ann@example.com").await;
    for (method, path) in [
        (Method::POST, "/auth/login/code"),
        (Method::POST, "/auth/recover/user/code"),
        (Method::PUT, "/auth/recover/user/code"),
        (Method::PUT, "/auth/registration/code"),
    ] {
        for name in ["ann@example.com", "nobody@example.com"] {
            let body = json!({"username": name, "orgId": org.id}).to_string();
            let answer = org.send("", method.clone(), path, &[], body).await;
            assert_eq!(expect(&answer, 200), json!({"message": "success"}));
        }
        for bad in [json!({}), json!({"username": "x"}), json!({"username": 1, "orgId": "x"})] {
            refused(&org.send("", method.clone(), path, &[], bad.to_string()).await, 400);
        }
    }
    assert!(org.world.audit.has("dfns.recovery.code", None), "the operator sees who asked");
}
