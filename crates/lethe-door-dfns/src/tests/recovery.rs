//! Who lost their keys comes back with a recovery key, and nothing else of before does.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::authenticator::Passkey;
use super::codes::code;
use super::passkeys::{log_in, post};
use super::people::attestation;
use super::support::{Account, Org, Signer, base64url, expect, org, refused, text};

const NO_FACTOR: &str = "Credential cannot be used as a recovery factor.";
const NAME: &str = "ann@example.com";

/// An end user with a key, a protected one and a recovery key.
struct Owner {
    account: Account,
    recovery: Signer,
}

async fn owner(org: &Org, name: &str) -> Owner {
    let body = json!({"email": name, "kind": "EndUser"});
    let begun = expect(&org.post("/auth/registration/delegated", &body).await, 200);
    let challenge = text(&begun["challenge"]);
    let (key, recovery) = (Signer::ed25519(), Signer::ed25519());
    let cred_id = format!("key of {name}");
    let mut second = attestation(&recovery, &challenge, &format!("recovery of {name}"));
    second["credentialKind"] = json!("RecoveryKey");
    second["encryptedPrivateKey"] = json!("sealed");
    let body = json!({"firstFactorCredential": attestation(&key, &challenge, &cred_id),
        "recoveryCredential": second});
    let temporary = text(&begun["temporaryAuthenticationToken"]);
    expect(&post(org, &temporary, "/auth/registration", &body).await, 200);
    let login = org.post("/auth/login/delegated", &json!({"username": name})).await;
    let token = text(&expect(&login, 200)["token"]);
    let user = text(&begun["user"]["id"]);
    Owner { account: Account { user, token, cred_id, key }, recovery }
}

async fn begin(org: &Org, name: &str, key: &str) -> Value {
    let body = json!({"username": name, "credentialId": key});
    expect(&org.post("/auth/recover/user/delegated", &body).await, 200)
}

/// The body of a recovery: the new keys, signed by the recovery key `cred_id`.
fn body(recovery: &Signer, cred_id: &str, new: &Value) -> Value {
    body_about(recovery, cred_id, new, &base64url(new.to_string()))
}

fn body_about(recovery: &Signer, cred_id: &str, new: &Value, challenge: &str) -> Value {
    let data = format!(r#"{{"type":"key.get","challenge":"{challenge}"}}"#);
    json!({
        "recovery": {"kind": "RecoveryKey", "credentialAssertion": {
            "credId": cred_id,
            "clientData": base64url(&data),
            "signature": base64url(recovery.sign(data.as_bytes())),
        }},
        "newCredentials": new,
    })
}

#[tokio::test]
async fn a_recovery_ends_everything_of_before() {
    let org = org().await;
    let Owner { account, recovery } = owner(&org, NAME).await;
    let recovery_id = format!("recovery of {NAME}");
    let begun = begin(&org, NAME, &recovery_id).await;
    let allowed = json!([{"id": recovery_id, "encryptedRecoveryKey": "sealed"}]);
    assert_eq!(begun["allowedRecoveryCredentials"], allowed);
    let (challenge, token) =
        (text(&begun["challenge"]), text(&begun["temporaryAuthenticationToken"]));
    // Its token is good for nothing else.
    for (method, path) in [(Method::GET, "/keys"), (Method::POST, "/auth/registration")] {
        refused(&org.send(&token, method, path, &[], "{}").await, 401);
    }
    let passkey = Passkey::new("ecdsa-p256", 1);
    let next = Signer::ed25519();
    let mut second = attestation(&next, &challenge, "next");
    second["credentialKind"] = json!("RecoveryKey");
    let new = json!({"firstFactorCredential": passkey.create(&challenge),
        "recoveryCredential": second});
    // In another order and with white space: the JSON is what is signed.
    let spaced = serde_json::to_string_pretty(&new).unwrap();
    let request = body_about(&recovery, &recovery_id, &new, &base64url(spaced));
    let done = expect(&post(&org, &token, "/auth/recover/user", &request).await, 200);
    assert_eq!(done["credential"]["kind"], json!("Fido2"));
    assert_eq!(done["user"], json!({"id": account.user, "username": NAME, "orgId": org.id}));
    refused(&post(&org, &token, "/auth/recover/user", &request).await, 401);
    refused(&org.get_as(&account, "/keys").await, 401);
    let init = json!({"orgId": org.id, "username": NAME});
    let challenge = expect(&post(&org, "", "/auth/login/init", &init).await, 200);
    assert_eq!(challenge["allowCredentials"]["key"], json!([]));
    refused(&post(&org, "", "/auth/login", &account.answer(&challenge)).await, 401);
    let token = log_in(&org, NAME, &passkey).await;
    let listed = expect(&org.send(&token, Method::GET, "/auth/credentials", &[], "").await, 200);
    let kinds: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["Fido2", "RecoveryKey"]);
    // The used recovery key is worth nothing, the new one is good.
    let again = json!({"username": NAME, "credentialId": recovery_id});
    assert_eq!(refused(&org.post("/auth/recover/user/delegated", &again).await, 401), NO_FACTOR);
    begin(&org, NAME, "next").await;
}

#[tokio::test]
async fn whoever_has_a_code_begins_a_recovery() {
    let org = org().await;
    let Owner { recovery, .. } = owner(&org, NAME).await;
    let recovery_id = format!("recovery of {NAME}");
    let init = async |name: &str, code: &str, key: &str| {
        let body = json!({"username": name, "verificationCode": code, "orgId": org.id,
            "credentialId": key});
        post(&org, "", "/auth/recover/user/init", &body).await
    };
    let good = code(&org, NAME, "Recovery").await;
    for (name, bad) in
        [(NAME, "x"), ("nobody", &*good), ("bot", &good), (NAME, &code(&org, NAME, "Login").await)]
    {
        assert_eq!(refused(&init(name, bad, &recovery_id).await, 403), "Invalid code");
    }
    let begun = expect(&init(NAME, &good, &recovery_id).await, 200);
    assert_eq!(refused(&init(NAME, &good, &recovery_id).await, 403), "Invalid code");
    for bad in ["x".to_owned(), format!("key of {NAME}"), String::new()] {
        let code = code(&org, NAME, "Recovery").await;
        assert_eq!(refused(&init(NAME, &code, &bad).await, 401), NO_FACTOR);
    }
    let late = code(&org, NAME, "Recovery").await;
    let token = text(&begun["temporaryAuthenticationToken"]);
    let key = Signer::ed25519();
    let new = json!({"firstFactorCredential":
        attestation(&key, &text(&begun["challenge"]), "new")});
    let request = body(&recovery, &recovery_id, &new);
    expect(&post(&org, &token, "/auth/recover/user", &request).await, 200);
    org.world.pass(Duration::from_secs(3_600));
    let message = refused(&init(NAME, &late, &recovery_id).await, 400);
    assert_eq!(message, "Recovery code expired");
}

#[tokio::test]
async fn only_the_recovery_key_that_it_was_begun_for_recovers() {
    let org = org().await;
    let Owner { account, recovery } = owner(&org, NAME).await;
    let other = owner(&org, "bob@example.com").await;
    let recovery_id = format!("recovery of {NAME}");
    let others = "recovery of bob@example.com";
    let begun = begin(&org, NAME, &recovery_id).await;
    let token = text(&begun["temporaryAuthenticationToken"]);
    let challenge = text(&begun["challenge"]);
    let key = Signer::ed25519();
    let new = json!({"firstFactorCredential": attestation(&key, &challenge, "new")});
    let altered = json!({"firstFactorCredential":
        attestation(&Signer::ed25519(), &challenge, "new")});
    let signed = base64url(new.to_string());
    let send = async |body: &Value| post(&org, &token, "/auth/recover/user", body).await;
    let mut as_key = body(&account.key, &account.cred_id, &new);
    as_key["recovery"]["kind"] = json!("Key");
    let mut named_wrongly = body(&recovery, &recovery_id, &new);
    named_wrongly["recovery"]["credentialAssertion"]["credId"] = json!(others);
    for bad in [
        as_key,
        named_wrongly,
        body(&account.key, &recovery_id, &new),
        body(&other.recovery, others, &new),
        body(&other.recovery, &recovery_id, &new),
        body(&account.key, &account.cred_id, &new),
        // Signed were other keys, or no JSON, or the challenge itself.
        body_about(&recovery, &recovery_id, &altered, &signed),
        body_about(&recovery, &recovery_id, &new, &base64url("{")),
        body_about(&recovery, &recovery_id, &new, &challenge),
        body_about(&recovery, &recovery_id, &new, ""),
    ] {
        assert_eq!(refused(&send(&bad).await, 401), NO_FACTOR, "{bad}");
    }
    let with = |new: Value| body(&recovery, &recovery_id, &new);
    let mut second = attestation(&key, &challenge, "second");
    for (bad, status) in [
        (with(json!({})), 400),
        (with(json!({"firstFactorCredential": attestation(&key, "other", "new")})), 400),
        (with(json!([])), 400),
        (json!({"newCredentials": new}), 400),
        (
            with(json!({"firstFactorCredential": second,
                "secondFactorCredential": second})),
            400,
        ),
        (with(json!({"firstFactorCredential": second, "recoveryCredential": second})), 401),
        (
            with(json!({"firstFactorCredential":
            attestation(&key, &challenge, &account.cred_id.replace(NAME, "bob@example.com"))})),
            409,
        ),
    ] {
        refused(&send(&bad).await, status);
    }
    second["credentialKind"] = json!("RecoveryKey");
    refused(&send(&with(json!({"firstFactorCredential": second}))).await, 400);
    // Nothing of it changed anything.
    expect(&org.get_as(&account, "/keys").await, 200);
    org.world.pass(Duration::from_secs(3_600));
    refused(&send(&with(new)).await, 401);
}

#[tokio::test]
async fn credentials_are_replaced_all_at_once_and_by_keys_alone() {
    let org = org().await;
    let Owner { account, .. } = owner(&org, NAME).await;
    let engine = &org.world.engine;
    let caller = engine.system_caller(org.realm, crate::DOOR).unwrap();
    let user = crate::ids::parse_user(&account.user).unwrap();
    let bearer = vec![lethe_engine::NewCredential::bearer(None)];
    let refused = engine.replace_credentials(&caller, user, |_| true, bearer).await;
    assert!(matches!(
        refused,
        Err(lethe_engine::EngineError::InvalidField { field: "credential", .. })
    ));
    expect(&org.get_as(&account, "/keys").await, 200);
    let nobody = lethe_types::PrincipalId([7; 16]);
    assert!(engine.replace_credentials(&caller, nobody, |_| true, Vec::new()).await.is_err());
    // Only so many recoveries are begun at a time; the oldest ends.
    let key = format!("recovery of {NAME}");
    let first = text(&begin(&org, NAME, &key).await["temporaryAuthenticationToken"]);
    for _ in 0..3 {
        begin(&org, NAME, &key).await;
    }
    refused_as(&org, &first, 400).await;
    begin(&org, NAME, &key).await;
    refused_as(&org, &first, 401).await;
}

/// What an empty recovery with that token is answered.
async fn refused_as(org: &Org, token: &str, status: u16) {
    refused(&post(org, token, "/auth/recover/user", &json!({})).await, status);
}

#[tokio::test]
async fn recoveries_are_begun_by_service_accounts_for_end_users() {
    let org = org().await;
    let Owner { account, .. } = owner(&org, NAME).await;
    let path = "/auth/recover/user/delegated";
    let good = json!({"username": NAME, "credentialId": format!("recovery of {NAME}")});
    let by_user = org.signed_as(&account, Method::POST, path, &good.to_string()).await;
    refused(&by_user, 403);
    let body = json!({"email": "employee", "kind": "CustomerEmployee"});
    expect(&org.post("/auth/users", &body).await, 200);
    for (bad, status) in [
        (json!({"username": "nobody", "credentialId": "x"}), 401),
        (json!({"username": "bot", "credentialId": "x"}), 401),
        (json!({"username": "employee", "credentialId": "x"}), 401),
        (json!({"username": NAME, "credentialId": account.cred_id}), 401),
        (json!({"username": NAME}), 400),
        (json!({"username": NAME, "credentialId": "x", "more": 1}), 400),
    ] {
        refused(&org.post(path, &bad).await, status);
    }
    let unsigned = post(&org, &org.admin.token, path, &good).await;
    assert_eq!(refused(&unsigned, 403), "user action signature is missing or invalid");
}
