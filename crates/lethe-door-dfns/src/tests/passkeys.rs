//! Users with passkeys: registration, login, user actions, deletions that they order, and whatever
//! must not be taken from an authenticator.

use base64::Engine as _;
use http::Method;
use serde_json::{Value, json};

use super::authenticator::{Passkey, VERIFIED};
use super::people::end_user;
use super::support::{Account, Org, base64url, expect, header, org, refused, text};
use crate::Settings;

const NO_CREDENTIAL: &str = "User does not have a credential that can be used for the application.";
const SIGN: &str = r#"{"kind":"Message","message":"0x00"}"#;

pub(super) async fn post(
    org: &Org,
    token: &str,
    path: &str,
    body: &Value,
) -> lethe_http::testing::Answer {
    org.send(token, Method::POST, path, &[], body.to_string()).await
}

/// An employee who registered this passkey with a code, and has a token of a login.
pub(super) async fn employee(org: &Org, name: &str, passkey: &Passkey) -> (String, String) {
    let begun = super::codes::begin_registration(org, name).await;
    let first = passkey.create(&text(&begun["challenge"]));
    let temporary = text(&begun["temporaryAuthenticationToken"]);
    let body = json!({"firstFactorCredential": first});
    let done = expect(&post(org, &temporary, "/auth/registration", &body).await, 200);
    assert_eq!(done["credential"]["kind"], json!("Fido2"));
    let user = text(&done["user"]["id"]);
    (user, log_in(org, name, passkey).await)
}

pub(super) async fn log_in(org: &Org, name: &str, passkey: &Passkey) -> String {
    let init = json!({"orgId": org.id, "username": name});
    let challenge = expect(&post(org, "", "/auth/login/init", &init).await, 200);
    let answer = post(org, "", "/auth/login", &passkey.answer(&challenge)).await;
    text(&expect(&answer, 200)["token"])
}

/// What becomes of an answer to the challenge of a user action.
async fn sign(org: &Org, token: &str, change: impl FnOnce(&Value) -> Value) -> (u16, Value) {
    let body = json!({"userActionPayload": "", "userActionHttpMethod": "PUT",
        "userActionHttpPath": "/x"});
    let init = expect(&post(org, token, "/auth/action/init", &body).await, 200);
    let answer = post(org, token, "/auth/action", &change(&init)).await;
    let status = answer.head.status.as_u16();
    (status, expect(&answer, status))
}

/// Gives somebody every right.
async fn empower(org: &Org, user: &str) {
    let full = expect(&org.get("/permissions").await, 200)["items"][0]["id"].clone();
    let assign = format!("/permissions/{}/assignments", text(&full));
    expect(&org.post(&assign, &json!({"identityId": user})).await, 200);
}

#[tokio::test]
async fn passkeys_of_every_algorithm_register_log_in_and_order_deletions_that_a_receipt_proves() {
    let org = org().await;
    for (at, algorithm) in ["ecdsa-p256", "ed25519", "rsa-2048"].into_iter().enumerate() {
        let passkey = Passkey::new(algorithm, u8::try_from(at).unwrap() + 1);
        passkey.counter.set(if at == 0 { 5 } else { 0 });
        let name = format!("{algorithm}@example.com");
        let (user, token) = employee(&org, &name, &passkey).await;
        empower(&org, &user).await;
        let key = org.ed25519().await;
        let path = format!("/keys/{key}");
        let body = json!({"userActionPayload": "", "userActionHttpMethod": "DELETE",
            "userActionHttpPath": path});
        let init = expect(&post(&org, &token, "/auth/action/init", &body).await, 200);
        let expected = json!([{"type": "public-key", "id": passkey.cred_id()}]);
        assert_eq!(init["allowCredentials"]["webauthn"], expected);
        assert_eq!(init["allowCredentials"]["key"], json!([]));
        assert_eq!(init["supportedCredentialKinds"][0]["kind"], json!("Fido2"));
        let signed = expect(&post(&org, &token, "/auth/action", &passkey.answer(&init)).await, 200);
        let action = text(&signed["userAction"]);
        let headers = [("x-dfns-useraction", action.as_str())];
        let answer = org.send(&token, Method::DELETE, &path, &headers, "").await;
        assert_eq!(expect(&answer, 200)["status"], json!("Archived"));
        let file = header(&answer, "x-deletion-receipt").expect("a receipt");
        let file = base64::engine::general_purpose::STANDARD.decode(file).unwrap();
        let vkey = org.world.engine.log_vkey().parse().unwrap();
        let verified = lethe_verify::verify(&file, &vkey).expect("it holds");
        let [request] = verified.requests.as_slice() else { panic!("one request") };
        let ordered = request.ordered.as_ref().expect("an order");
        assert_eq!((ordered.path.as_str(), crate::ids::user(ordered.principal)), (&*path, user));
        assert!(verified.explain().contains("signed with a passkey"), "{}", verified.explain());
        // The log of user actions has what a verifier needs.
        let token_id = text(&claims(&token)["jti"]);
        let entry = expect(&org.get(&format!("/auth/action/logs/{token_id}")).await, 200);
        let factor = &entry["firstFactorCredential"];
        assert_eq!(factor["kind"], json!("Fido2"));
        assert!(factor["assertion"]["authenticatorData"].is_string(), "{entry}");
    }
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&crate::factors::BASE64URL.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_registration_asks_for_what_is_verified_and_refuses_the_rest() {
    let org = org().await;
    let begun = super::codes::begin_registration(&org, "ann@example.com").await;
    assert_eq!(begun["authenticatorSelection"]["userVerification"], json!("required"));
    assert_eq!(begun["supportedCredentialKinds"]["firstFactor"][0], json!("Fido2"));
    assert_eq!(begun["attestation"], json!("none"));
    let algorithms: Vec<i64> = begun["pubKeyCredParams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["alg"].as_i64().unwrap())
        .collect();
    assert_eq!(algorithms, [-7, -8, -257]);
    let temporary = text(&begun["temporaryAuthenticationToken"]);
    let challenge = text(&begun["challenge"]);
    let register = async |first: Value| {
        let body = json!({"firstFactorCredential": first});
        post(&org, &temporary, "/auth/registration", &body).await
    };
    let passkey = || Passkey::new("ecdsa-p256", 1);
    let elsewhere = Passkey { rp_id: "other.example".to_owned(), ..passkey() };
    let foreign = Passkey { origin: "https://other.example".to_owned(), ..passkey() };
    let absent = Passkey { flags: VERIFIED, ..passkey() };
    let unverified = Passkey { flags: 0x01, ..passkey() };
    for (passkey, words) in [
        (elsewhere, "relying party"),
        (foreign, "origin"),
        (absent, "nobody was present"),
        (unverified, "not verified"),
    ] {
        let message = refused(&register(passkey.create(&challenge)).await, 400);
        assert!(message.contains(words), "{message}");
    }
    let good = passkey();
    assert_eq!(
        refused(&register(good.create("Y2gtMDAwMDA")).await, 400),
        "Challenge token is not valid."
    );
    let mut extra = good.create(&challenge);
    extra["encryptedPrivateKey"] = json!("x");
    refused(&register(extra).await, 400);
    let mut renamed = good.create(&challenge);
    renamed["credentialInfo"]["credId"] = json!(base64url([9; 32]));
    refused(&register(renamed).await, 400);
    let mut unread = good.create(&challenge);
    unread["credentialInfo"]["attestationData"] = json!("e30");
    refused(&register(unread).await, 400);
    expect(&register(good.create(&challenge)).await, 200);
}

#[tokio::test]
async fn what_an_authenticator_says_differently_signs_nothing() {
    let org = org().await;
    let passkey = Passkey::new("ecdsa-p256", 1);
    let (_, token) = employee(&org, "ann@example.com", &passkey).await;
    let other = Passkey::new("ecdsa-p256", 2);
    let (_, others) = employee(&org, "bob@example.com", &other).await;
    assert_eq!(sign(&org, &token, |init| passkey.answer(init)).await.0, 200);
    assert_eq!(sign(&org, &others, |init| other.answer(init)).await.0, 200);
    type Part = fn(&mut Value);
    let parts: [(Part, u16); 10] = [
        (|one| one["signature"] = json!(base64url([1; 70])), 401),
        (|one| one["clientData"] = json!(base64url("{}")), 401),
        (|one| one["credId"] = json!(base64url([2; 32])), 401),
        (|one| one["userHandle"] = json!(base64url("us-other")), 401),
        (|one| one["algorithm"] = json!("SHA512"), 401),
        (|one| drop(one.as_object_mut().unwrap().remove("authenticatorData")), 400),
        (|one| one["authenticatorData"] = json!("!"), 400),
        (|one| one["authenticatorData"] = json!(base64url(vec![0; 2_000])), 400),
        (|one| one["userHandle"] = json!(base64url([0; 65])), 400),
        (|one| one["more"] = json!(1), 400),
    ];
    for (change, status) in parts {
        let (found, body) = sign(&org, &token, |init| {
            let mut answer = passkey.answer(init);
            change(&mut answer["firstFactor"]["credentialAssertion"]);
            answer
        })
        .await;
        assert_eq!(found, status, "{body}");
    }
    // As a plain key, as another user's, with another one's signature.
    let as_key = sign(&org, &token, |init| {
        let mut answer = passkey.answer(init);
        answer["firstFactor"]["kind"] = json!("Key");
        let factor = &mut answer["firstFactor"]["credentialAssertion"];
        factor.as_object_mut().unwrap().remove("authenticatorData");
        answer
    });
    assert_eq!(as_key.await.0, 401);
    assert_eq!(sign(&org, &token, |init| other.answer(init)).await.0, 401);
    let stranger = Passkey { id: passkey.id.clone(), ..Passkey::new("ecdsa-p256", 1) };
    assert_eq!(sign(&org, &token, |init| stranger.answer(init)).await.0, 401);
}

#[tokio::test]
async fn what_an_authenticator_signs_of_another_kind_is_worth_nothing() {
    let org = org().await;
    let passkey = Passkey::new("ecdsa-p256", 1);
    let (_, token) = employee(&org, "ann@example.com", &passkey).await;
    // The signature is over these data, and over no others.
    let (status, body) = sign(&org, &token, |init| {
        let mut answer = passkey.answer(init);
        let mut said = passkey.said(passkey.flags);
        said[36] = 9;
        answer["firstFactor"]["credentialAssertion"]["authenticatorData"] = json!(base64url(said));
        answer
    })
    .await;
    assert_eq!((status, text(&body["error"]["message"]).as_str()), (401, NO_CREDENTIAL));
    // The other type, nobody there, not verified, flags of another credential, a key attested.
    let (status, _) = sign(&org, &token, |init| {
        let data = passkey.client_data("webauthn.create", &text(&init["challenge"]));
        let said = passkey.said(passkey.flags);
        let mut answer = passkey.answer(init);
        let factor = &mut answer["firstFactor"]["credentialAssertion"];
        factor["clientData"] = json!(base64url(&data));
        factor["signature"] = json!(base64url(passkey.sign(&said, &data)));
        answer
    })
    .await;
    assert_eq!(status, 401);
    for flags in [VERIFIED, 0x01, 0x00, 0x0d, 0x45] {
        let (status, _) = sign(&org, &token, |init| {
            let data = passkey.client_data("webauthn.get", &text(&init["challenge"]));
            let said = passkey.said(flags);
            let mut answer = passkey.answer(init);
            let factor = &mut answer["firstFactor"]["credentialAssertion"];
            factor["authenticatorData"] = json!(base64url(&said));
            factor["signature"] = json!(base64url(passkey.sign(&said, &data)));
            answer
        })
        .await;
        assert_eq!(status, 401, "{flags:x}");
    }
    assert_eq!(sign(&org, &token, |init| passkey.answer(init)).await.0, 200);
}

#[tokio::test]
async fn a_counter_only_goes_forward() {
    let org = org().await;
    let passkey = Passkey::new("ed25519", 1);
    passkey.counter.set(3);
    // The registration says 3, the login 4.
    let (_, token) = employee(&org, "ann@example.com", &passkey).await;
    for (says, status) in
        [(4, 401), (3, 401), (0, 401), (5, 200), (5, 401), (u32::MAX - 1, 200), (6, 401)]
    {
        passkey.counter.set(says);
        assert_eq!(sign(&org, &token, |init| passkey.answer(init)).await.0, status, "{says}");
    }
    // A signature that does not hold moves nothing.
    let counting = Passkey::new("ed25519", 2);
    counting.counter.set(1);
    let (_, token) = employee(&org, "bob@example.com", &counting).await;
    let stranger = Passkey { id: counting.id.clone(), ..Passkey::new("ed25519", 2) };
    stranger.counter.set(1_000);
    assert_eq!(sign(&org, &token, |init| stranger.answer(init)).await.0, 401);
    assert_eq!(sign(&org, &token, |init| counting.answer(init)).await.0, 200);
    // Two at once with the same number: one of them is a copy.
    let body = json!({"userActionPayload": "", "userActionHttpMethod": "PUT",
        "userActionHttpPath": "/x"});
    let init = async || expect(&post(&org, &token, "/auth/action/init", &body).await, 200);
    let next = counting.counter.get();
    let one = counting.answer(&init().await);
    counting.counter.set(next);
    let two = counting.answer(&init().await);
    let (one, two) = tokio::join!(
        post(&org, &token, "/auth/action", &one),
        post(&org, &token, "/auth/action", &two)
    );
    let mut both = [one.head.status.as_u16(), two.head.status.as_u16()];
    both.sort_unstable();
    assert_eq!(both, [200, 401]);
}

#[tokio::test]
async fn a_login_without_a_name_is_of_whose_passkey_it_is() {
    let org = org().await;
    let mut passkey = Passkey::new("ed25519", 1);
    let (user, _) = employee(&org, "ann@example.com", &passkey).await;
    let init = json!({"orgId": org.id});
    let challenge = async || expect(&post(&org, "", "/auth/login/init", &init).await, 200);
    let begun = challenge().await;
    assert_eq!(begun["allowCredentials"]["webauthn"], json!([]));
    assert_eq!(begun["supportedCredentialKinds"][0]["kind"], json!("Fido2"));
    // It must say whose it is, and be right.
    for handle in [None, Some(String::new()), Some("us-other".to_owned())] {
        passkey.user_handle = handle;
        let answer = passkey.answer(&challenge().await);
        assert_eq!(refused(&post(&org, "", "/auth/login", &answer).await, 401), NO_CREDENTIAL);
    }
    passkey.user_handle = Some(user.clone());
    let answer = passkey.answer(&challenge().await);
    let token = expect(&post(&org, "", "/auth/login", &answer).await, 200);
    assert_eq!(claims(&text(&token["token"]))["sub"], json!(user));
    assert_eq!(
        refused(&post(&org, "", "/auth/login", &answer).await, 400),
        "Challenge token is not valid."
    );
    let unknown = Passkey { user_handle: Some(user), ..Passkey::new("ed25519", 7) };
    let answer = unknown.answer(&challenge().await);
    assert_eq!(refused(&post(&org, "", "/auth/login", &answer).await, 401), NO_CREDENTIAL);
    // A plain key names nobody.
    let end_user = end_user(&org, "eve@example.com").await;
    let answer = end_user.answer(&challenge().await);
    assert_eq!(refused(&post(&org, "", "/auth/login", &answer).await, 401), NO_CREDENTIAL);
    let mut body = init.clone();
    body["loginCode"] = json!("x");
    refused(&post(&org, "", "/auth/login/init", &body).await, 400);
}

#[tokio::test]
async fn a_passkey_is_added_beside_a_key_and_its_site_is_told() {
    let org = org().await;
    let user = end_user(&org, "ann@example.com").await;
    let init = json!({"kind": "Fido2"});
    let begun = expect(&post(&org, &user.token, "/auth/credentials/init", &init).await, 200);
    assert_eq!(begun["kind"], json!("Fido2"));
    assert_eq!(begun["excludeCredentials"], json!([]));
    let passkey = Passkey::new("ecdsa-p256", 1);
    let mut body = passkey.create(&text(&begun["challenge"]));
    body["credentialName"] = json!("my phone");
    body["challengeIdentifier"] = begun["challengeIdentifier"].clone();
    let path = "/auth/credentials";
    let made = org.signed_as(&user, Method::POST, path, &body.to_string()).await;
    let made = expect(&made, 200);
    assert_eq!(made["origin"], json!(super::authenticator::ORIGIN));
    assert_eq!((made["kind"].as_str(), made["name"].as_str()), (Some("Fido2"), Some("my phone")));
    assert!(text(&made["publicKey"]).starts_with("-----BEGIN PUBLIC KEY-----"));
    let begun = expect(&post(&org, &user.token, "/auth/credentials/init", &init).await, 200);
    let known = json!([{"type": "public-key", "id": passkey.cred_id()}]);
    assert_eq!(begun["excludeCredentials"], known);
    // Now either signs.
    let key = text(
        &org.create(&json!({"scheme": "EdDSA", "curve": "ed25519", "delegateTo": user.user})).await
            ["id"],
    );
    let path = format!("/keys/{key}/signatures");
    expect(&org.signed_as(&user, Method::POST, &path, SIGN).await, 200);
    assert_eq!(sign(&org, &user.token, |init| passkey.answer(init)).await.0, 200);
    let off = json!({"credentialUuid": made["credentialUuid"]}).to_string();
    expect(&org.signed_as(&user, Method::PUT, "/auth/credentials/deactivate", &off).await, 200);
    assert_eq!(sign(&org, &user.token, |init| passkey.answer(init)).await.0, 401);
    // The same passkey is nobody else's.
    let other = Account { ..end_user(&org, "bob@example.com").await };
    let begun = expect(&post(&org, &other.token, "/auth/credentials/init", &init).await, 200);
    let mut body = passkey.create(&text(&begun["challenge"]));
    body["credentialName"] = json!("a copy");
    body["challengeIdentifier"] = begun["challengeIdentifier"].clone();
    let taken = org.signed_as(&other, Method::POST, "/auth/credentials", &body.to_string()).await;
    expect(&taken, 409);
}

#[test]
fn settings_of_passkeys_are_checked() {
    let with = |origins: Vec<String>| Settings { origins, ..Settings::default() }.check();
    assert_eq!(with(vec!["https://app.example".to_owned()]), Ok(()));
    for bad in [vec![String::new()], vec!["x".repeat(257)], vec!["x".to_owned(); 65]] {
        assert!(with(bad).is_err());
    }
    assert!(Settings { log_days: 40_000, ..Settings::default() }.check().is_err());
}
