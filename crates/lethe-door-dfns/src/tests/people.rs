//! End users, who are given keys, and personal access tokens.

use http::Method;
use lethe_crypto::hash::sha256;
use serde_json::{Value, json};

use super::support::{Account, Org, Signer, base64url, expect, org, refused, text};

/// A new key that signs its own registration.
pub(super) fn attestation(signer: &Signer, challenge: &str, cred_id: &str) -> Value {
    let data = format!(r#"{{"type":"key.create","challenge":"{challenge}"}}"#);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let pem = signer.pem();
    let hash = hex(&sha256(&[data.as_bytes()]));
    let print = format!(r#"{{"clientDataHash":"{hash}","publicKey":{}}}"#, json!(pem));
    let signature = hex(&signer.sign(print.as_bytes()));
    let attestation = json!({"publicKey": pem, "signature": signature}).to_string();
    json!({"credentialKind": "Key", "credentialInfo": {"credId": cred_id,
        "clientData": base64url(&data), "attestationData": base64url(attestation)}})
}

/// An end user who registered and is logged in.
pub(super) async fn end_user(org: &Org, name: &str) -> Account {
    let body = json!({"email": name, "kind": "EndUser"});
    let begun = expect(&org.post("/auth/registration/delegated", &body).await, 200);
    let key = Signer::ed25519();
    let cred_id = format!("key of {name}");
    let first = attestation(&key, &text(&begun["challenge"]), &cred_id);
    let temporary = text(&begun["temporaryAuthenticationToken"]);
    let body = json!({"firstFactorCredential": first}).to_string();
    let path = "/auth/registration";
    let done = org.send(&temporary, Method::POST, path, &[], body.clone()).await;
    let done = expect(&done, 200);
    assert_eq!(done["user"]["username"], json!(name));
    assert_eq!(done["user"]["orgId"], json!(org.id));
    // It was good once.
    refused(&org.send(&temporary, Method::POST, path, &[], body).await, 401);
    let login = org.post("/auth/login/delegated", &json!({"username": name})).await;
    let token = text(&expect(&login, 200)["token"]);
    Account { user: text(&begun["user"]["id"]), token, cred_id, key }
}

#[tokio::test]
async fn an_end_user_sees_and_uses_their_own_keys_and_deletes_none() {
    let org = org().await;
    let user = end_user(&org, "ann@example.com").await;
    let other = end_user(&org, "bob@example.com").await;
    let plain = org.ed25519().await;
    let mut body = json!({"scheme": "EdDSA", "curve": "ed25519", "delegateTo": user.user});
    let own = org.create(&body).await;
    assert_eq!(own["custodial"], json!(false));
    let own = text(&own["id"]);
    body["delegateTo"] = json!(other.user);
    let theirs = text(&org.create(&body).await["id"]);
    let listed = expect(&org.get_as(&user, "/keys").await, 200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["items"][0]["id"], json!(own));
    expect(&org.get_as(&user, &format!("/keys/{own}")).await, 200);
    for hidden in [&plain, &theirs] {
        expect(&org.get_as(&user, &format!("/keys/{hidden}")).await, 404);
        let path = format!("/keys/{hidden}/signatures");
        let body = r#"{"kind":"Message","message":"0x00"}"#;
        expect(&org.signed_as(&user, Method::POST, &path, body).await, 404);
        expect(&org.get_as(&user, &path).await, 404);
    }
    let path = format!("/keys/{own}/signatures");
    let body = r#"{"kind":"Message","message":"0x00"}"#;
    let signed = expect(&org.signed_as(&user, Method::POST, &path, body).await, 200);
    assert_eq!(signed["requester"]["userId"], json!(user.user));
    let path = format!("/keys/{own}");
    let answer = org.signed_as(&user, Method::DELETE, &path, "").await;
    let expected =
        format!("EndUser {} is not authorized to perform operation (Keys:Delete)", user.user);
    assert_eq!(refused(&answer, 403), expected);
    // Not even with a permission that says so.
    let full = expect(&org.get("/permissions").await, 200)["items"][0]["id"].clone();
    let assign = format!("/permissions/{}/assignments", text(&full));
    expect(&org.post(&assign, &json!({"identityId": user.user})).await, 200);
    assert_eq!(refused(&org.signed_as(&user, Method::DELETE, &path, "").await, 403), expected);
    for (name, path) in [("KeyStores:Read", "/key-stores"), ("Auth:Logs:Read", "/auth/action/logs")]
    {
        let expected =
            format!("EndUser {} is not authorized to perform operation ({name})", user.user);
        assert_eq!(refused(&org.get_as(&user, path).await, 403), expected);
    }
    expect(&org.get_as(&user, &format!("/keys/{plain}")).await, 404);
    let mut made = expect(
        &org.signed_as(&user, Method::POST, "/keys", r#"{"scheme":"EdDSA","curve":"ed25519"}"#)
            .await,
        200,
    );
    assert_eq!(made["custodial"].take(), json!(false), "what they make is theirs");
    // By owner, as identifier and as name.
    for owner in [user.user.as_str(), "ann@example.com"] {
        let listed = expect(&org.get(&format!("/keys?owner={owner}")).await, 200);
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(2), "{owner}");
    }
    // Their key goes by the hand of an employee.
    assert_eq!(expect(&org.delete(&path).await, 200)["custodial"], json!(false));
    assert_eq!(
        expect(&org.get_as(&user, "/keys").await, 200)["items"].as_array().map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn a_key_is_delegated_once_and_only_if_it_was_made_for_that() {
    let org = org().await;
    let user = end_user(&org, "ann@example.com").await;
    let to = json!({"delegateTo": user.user});
    let plain = org.ed25519().await;
    let answer = org.post(&format!("/keys/{plain}/delegate"), &to).await;
    assert_eq!(refused(&answer, 400), "key was not created with delayDelegation");
    let body = json!({"scheme": "EdDSA", "curve": "ed25519", "delayDelegation": true});
    let key = text(&org.create(&body).await["id"]);
    let path = format!("/keys/{key}/delegate");
    for (bad, status) in [
        (json!({"delegateTo": "us-x"}), 404),
        (json!({"delegateTo": org.admin.user}), 400),
        (json!({"delegateTo": 1}), 400),
        (json!({}), 400),
        (json!({"delegateTo": user.user, "more": 1}), 400),
    ] {
        expect(&org.post(&path, &bad).await, status);
    }
    assert_eq!(expect(&org.get_as(&user, "/keys").await, 200)["items"], json!([]));
    let done = expect(&org.post(&path, &to).await, 200);
    assert_eq!(done, json!({"keyId": key, "status": "Delegated"}));
    assert_eq!(refused(&org.post(&path, &to).await, 400), "key is delegated already");
    let shown = expect(&org.get_as(&user, &format!("/keys/{key}")).await, 200);
    assert_eq!(shown["custodial"], json!(false));
}

#[tokio::test]
async fn users_log_in_with_their_keys_and_out() {
    let org = org().await;
    let user = end_user(&org, "ann@example.com").await;
    let post = async |token: &str, path: &str, body: &Value| {
        org.send(token, Method::POST, path, &[], body.to_string()).await
    };
    let init = json!({"orgId": org.id, "username": "ann@example.com"});
    let challenge = expect(&post("", "/auth/login/init", &init).await, 200);
    let token = expect(&post("", "/auth/login", &user.answer(&challenge)).await, 200);
    let token = text(&token["token"]);
    refused(&post("", "/auth/login", &user.answer(&challenge)).await, 400);
    let challenge = expect(&post("", "/auth/login/init", &init).await, 200);
    let stranger = Account {
        key: Signer::ed25519(),
        cred_id: user.cred_id.clone(),
        ..end_user(&org, "eve").await
    };
    refused(&post("", "/auth/login", &stranger.answer(&challenge)).await, 401);
    // A second key, which signs as the first one does.
    let logged_in =
        Account { token: token.clone(), key: user.key, user: user.user, cred_id: user.cred_id };
    let begun = post(&token, "/auth/credentials/init", &json!({"kind": "Key"})).await;
    let begun = expect(&begun, 200);
    let key = Signer::new("ecdsa-p256", lethe_crypto::registry::SignatureScheme::EcdsaSha256);
    let mut body = attestation(&key, &text(&begun["challenge"]), "second");
    body["credentialName"] = json!("my phone");
    body["challengeIdentifier"] = begun["challengeIdentifier"].clone();
    let made =
        org.signed_as(&logged_in, Method::POST, "/auth/credentials", &body.to_string()).await;
    let made = expect(&made, 200);
    let again =
        org.signed_as(&logged_in, Method::POST, "/auth/credentials", &body.to_string()).await;
    expect(&again, 400);
    let listed = expect(&org.get_as(&logged_in, "/auth/credentials").await, 200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
    let second =
        Account { cred_id: "second".to_owned(), key, token: token.clone(), user: String::new() };
    let init = async || org.init(&logged_in, &Method::PUT, "/x", "").await;
    let keys = async || init().await["allowCredentials"]["key"].as_array().map(Vec::len);
    assert_eq!(keys().await, Some(2));
    expect(&post(&token, "/auth/action", &second.answer(&init().await)).await, 200);
    let off = json!({"credentialUuid": made["credentialUuid"]}).to_string();
    let path = "/auth/credentials/deactivate";
    expect(&org.signed_as(&logged_in, Method::PUT, path, &off).await, 200);
    assert_eq!(keys().await, Some(1), "what is not active is not offered");
    refused(&post(&token, "/auth/action", &second.answer(&init().await)).await, 401);
    expect(&org.get_as(&org.admin, "/auth/credentials").await, 403);
    let out = org.send(&token, Method::PUT, "/auth/logout", &[], "{}").await;
    expect(&out, 200);
    refused(&org.send(&token, Method::GET, "/keys", &[], "").await, 401);
}

#[tokio::test]
async fn a_personal_token_has_its_own_key_and_never_more_than_its_user() {
    let org = org().await;
    let key = Signer::ed25519();
    let body = json!({"name": "laptop", "operations":
        ["Keys:Read", "Keys:Create", "Auth:ServiceAccounts:Create"]});
    let permission = expect(&org.post("/permissions", &body).await, 200)["id"].clone();
    let body = json!({"name": "laptop", "publicKey": key.pem(), "permissionId": permission,
        "secondsValid": 3_600});
    let made = expect(&org.post("/auth/pats", &body).await, 200);
    assert_eq!((&made["kind"], &made["linkedUserId"]), (&json!("Pat"), &json!(org.admin.user)));
    let token = text(&made["accessToken"]);
    let cred_id = text(&made["credId"]);
    let pat = Account { user: org.admin.user.clone(), token: token.clone(), cred_id, key };
    expect(&org.get_as(&pat, "/keys").await, 200);
    expect(&org.get_as(&pat, "/key-stores").await, 403);
    let init = org.init(&pat, &Method::POST, "/keys", "").await;
    let expected = json!([{"type": "public-key", "id": pat.cred_id}]);
    assert_eq!(init["allowCredentials"]["key"], expected, "its own key and no other");
    let body = r#"{"scheme":"EdDSA","curve":"ed25519"}"#;
    let key = expect(&org.signed_as(&pat, Method::POST, "/keys", body).await, 200);
    let path = format!("/keys/{}", text(&key["id"]));
    expect(&org.signed_as(&pat, Method::DELETE, &path, "").await, 403);
    // Tokens of others are unknown, and none makes its successor.
    let id = text(&made["tokenId"]);
    let path = format!("/auth/pats/{id}");
    let other = super::rights::account(&org, "other", &["Keys:Read"]).await;
    expect(&org.get_as(&other, &path).await, 404);
    let heir = json!({"name": "x", "publicKey": Signer::ed25519().pem()}).to_string();
    expect(&org.signed_as(&pat, Method::POST, "/auth/pats", &heir).await, 403);
    let robot = org.signed_as(&pat, Method::POST, "/auth/service-accounts", &heir).await;
    assert_eq!(refused(&robot, 403), "a personal access token may not do this");
    let renamed = expect(&org.put(&path, &json!({"name": "desktop"})).await, 200);
    assert_eq!(renamed["name"], json!("desktop"));
    expect(&org.put(&format!("{path}/deactivate"), &json!({})).await, 200);
    refused(&org.get_as(&pat, "/keys").await, 401);
    expect(&org.put(&format!("{path}/activate"), &json!({})).await, 200);
    expect(&org.get_as(&pat, "/keys").await, 200);
    org.world.pass(std::time::Duration::from_secs(3_600));
    refused(&org.get_as(&pat, "/keys").await, 401);
    expect(&org.delete(&path).await, 200);
    expect(&org.get(&path).await, 404);
    let listed = expect(&org.get("/auth/pats").await, 200);
    assert_eq!(listed["items"], json!([]));
}
