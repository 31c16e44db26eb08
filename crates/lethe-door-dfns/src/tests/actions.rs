//! User actions: what is announced, signed and used, and everything that must not be.

use std::time::Duration;

use base64::Engine as _;
use http::Method;
use lethe_crypto::hash::sha256;
use serde_json::{Value, json};

use super::support::{Account, Org, Signer, expect, org, refused, text};
use crate::Settings;
use crate::factors::BASE64URL;

const INVALID: &str = "user action signature is missing or invalid";
const USED: &str = "user action has already been used";
const NOT_VALID: &str = "Challenge token is not valid.";
const CREATE: &str = r#"{"scheme":"EdDSA","curve":"ed25519"}"#;

/// Another service account that may do everything.
async fn account(org: &Org, name: &str) -> Account {
    let key = Signer::ed25519();
    let made = org.dfns.first_account(name, &key.pem()).await.unwrap();
    Account { user: made.user_id, token: made.auth_token, cred_id: made.credential_id, key }
}

async fn present(
    org: &Org,
    by: &Account,
    action: &str,
    method: Method,
    path: &str,
    body: &str,
) -> (u16, Value) {
    let headers = [("X-DFNS-USERACTION", action)];
    let answer = org.send(&by.token, method, path, &headers, body).await;
    let status = answer.head.status.as_u16();
    (status, expect(&answer, status))
}

#[tokio::test]
async fn a_challenge_is_the_hash_of_its_request() {
    let org = org().await;
    let init = org.init(&org.admin, &Method::POST, "/keys", CREATE).await;
    let challenge = text(&init["challenge"]);
    assert_eq!(challenge.len(), 86);
    let digits = String::from_utf8(BASE64URL.decode(&challenge).unwrap()).unwrap();
    assert_eq!(digits.len(), 64);
    assert!(digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
    let again = org.init(&org.admin, &Method::POST, "/keys", CREATE).await;
    assert_ne!(init["challenge"], again["challenge"], "a nonce is in it");
    let expected = json!({"key": [{"type": "public-key", "id": org.admin.cred_id}],
        "passwordProtectedKey": [], "webauthn": []});
    assert_eq!(init["allowCredentials"], expected);
    let kinds = json!([{"kind": "Key", "factor": "first", "requiresSecondFactor": false}]);
    assert_eq!(init["supportedCredentialKinds"], kinds);
    for (name, value) in [
        ("userVerification", "required"),
        ("attestation", "none"),
        ("externalAuthenticationUrl", ""),
    ] {
        assert_eq!(init[name], json!(value));
    }
    let record = stored_record(&org).await;
    assert!(record.is_none(), "nothing is signed yet");
    org.action(&org.admin, &Method::DELETE, "/keys/a%2Fb?x=1", "{}").await;
    let record = stored_record(&org).await.unwrap();
    assert!(record.contains("\nmethod DELETE\npath /keys/a%2Fb\n"), "{record}");
    let hash: String = sha256(&[b""]).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(record.contains(&format!("body-sha256 {hash}\n")), "{record}");
}

async fn stored_record(org: &Org) -> Option<String> {
    let caller = org.world.engine.system_caller(org.realm, crate::DOOR).unwrap();
    let log = lethe_engine::Collection::named("user_action");
    let page = org.world.engine.documents(&caller, log, "", None, 10).unwrap();
    let last = page.documents.last()?;
    let entry: Value = serde_json::from_slice(&last.body).unwrap();
    Some(text(&entry["record"]))
}

#[tokio::test]
async fn announcements_are_closed() {
    let org = org().await;
    let good = json!({"userActionPayload": "", "userActionHttpMethod": "DELETE",
        "userActionHttpPath": "/keys/x"});
    let check = async |body: String, status: u16| {
        let path = "/auth/action/init";
        let answer = org.send(&org.admin.token, Method::POST, path, &[], body.clone()).await;
        assert_eq!(answer.head.status.as_u16(), status, "{body}");
        expect(&answer, status);
    };
    check(good.to_string(), 200).await;
    for (name, value, status) in [
        ("userActionServerKind", json!("Staff"), 200),
        ("userActionPayload", json!("{\"a\":1}"), 200),
        ("userActionHttpMethod", json!("GET"), 200),
        ("userActionServerKind", json!("Other"), 400),
        ("userActionServerKind", json!(null), 400),
        ("userActionPayload", json!("{"), 400),
        ("userActionPayload", json!(null), 400),
        ("userActionPayload", json!({}), 400),
        ("userActionHttpMethod", json!("PATCH"), 400),
        ("userActionHttpMethod", json!("delete"), 400),
        ("userActionHttpPath", json!(""), 400),
        ("userActionHttpPath", json!("/".repeat(2_000)), 400),
        ("unknown", json!(1), 400),
    ] {
        let mut body = good.clone();
        body[name] = value;
        check(body.to_string(), status).await;
    }
    for name in ["userActionPayload", "userActionHttpMethod", "userActionHttpPath"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        check(body.to_string(), 400).await;
    }
    for body in ["", "[]", "null", "{", "\"x\""] {
        check(body.to_owned(), 400).await;
    }
}

#[tokio::test]
async fn an_action_is_good_once_for_its_request_and_token() {
    let org = org().await;
    let other = account(&org, "other").await;
    let create = async |action: &str, by: &Account| {
        present(&org, by, action, Method::POST, "/keys", CREATE).await
    };
    let message = |value: &Value| text(&value["error"]["message"]);
    let action = org.action(&org.admin, &Method::POST, "/keys", CREATE).await;
    // Somebody else's is worth nothing, and stays good for who signed it.
    let (status, body) = create(&action, &other).await;
    assert_eq!((status, message(&body).as_str()), (403, INVALID));
    assert_eq!(create(&action, &org.admin).await.0, 200);
    let (status, body) = create(&action, &org.admin).await;
    assert_eq!((status, message(&body).as_str()), (400, USED));
    for bad in ["", "x", "ey.zAak", &format!("{action}=")] {
        let (status, body) = create(bad, &org.admin).await;
        assert_eq!((status, message(&body).as_str()), (403, INVALID), "{bad}");
    }
    let none = org.send(&org.admin.token, Method::POST, "/keys", &[], CREATE).await;
    assert_eq!(refused(&none, 403), INVALID);
    let twice = [("x-dfns-useraction", "a"), ("x-dfns-useraction", "a")];
    let twice = org.send(&org.admin.token, Method::POST, "/keys", &twice, CREATE).await;
    assert_eq!(refused(&twice, 403), INVALID);
    assert!(org.world.audit.has("dfns.key.create", Some("permission_denied")));
}

#[tokio::test]
async fn an_action_is_used_up_by_a_request_that_fails() {
    let org = org().await;
    let body = r#"{"scheme":"EdDSA","curve":"secp256k1"}"#;
    let action = org.action(&org.admin, &Method::POST, "/keys", body).await;
    assert_eq!(present(&org, &org.admin, &action, Method::POST, "/keys", body).await.0, 400);
    let (status, value) = present(&org, &org.admin, &action, Method::POST, "/keys", body).await;
    assert_eq!((status, text(&value["error"]["message"]).as_str()), (400, USED));
}

#[tokio::test]
async fn an_action_for_another_request_is_refused_and_used_up() {
    let org = org().await;
    let key = org.ed25519().await;
    let other = org.ed25519().await;
    let path = format!("/keys/{key}");
    for (method, signed, payload, sent_method, sent, body) in [
        (Method::DELETE, format!("/keys/{other}"), "", Method::DELETE, path.clone(), ""),
        (Method::PUT, path.clone(), "", Method::DELETE, path.clone(), ""),
        (Method::DELETE, path.clone(), r#"{"a":1}"#, Method::DELETE, path.clone(), ""),
        (Method::DELETE, path.clone(), "", Method::DELETE, path.clone(), r#"{"a":1}"#),
        (Method::DELETE, path.clone(), "", Method::DELETE, path.clone(), "not JSON"),
        (Method::DELETE, format!("{path}/"), "", Method::DELETE, path.clone(), ""),
        (Method::DELETE, path.to_uppercase(), "", Method::DELETE, path.clone(), ""),
        (Method::DELETE, "/keys".to_owned(), "", Method::DELETE, path.clone(), ""),
        (Method::PUT, path.clone(), r#"{"name":"1"}"#, Method::PUT, path.clone(), r#"{"name":1}"#),
        (
            Method::PUT,
            path.clone(),
            r#"{"name":"a"}"#,
            Method::PUT,
            path.clone(),
            r#"{"name":"b"}"#,
        ),
    ] {
        let action = org.action(&org.admin, &method, &signed, payload).await;
        for (status, words) in [(403, INVALID), (400, USED)] {
            let (found, value) =
                present(&org, &org.admin, &action, sent_method.clone(), &sent, body).await;
            assert_eq!(found, status, "{signed} {payload}");
            assert_eq!(text(&value["error"]["message"]), words);
        }
    }
    let active = expect(&org.get(&path).await, 200);
    assert_eq!(active["status"], json!("Active"));
}

#[tokio::test]
async fn payloads_and_paths_are_compared_as_values() {
    let org = org().await;
    for (payload, body) in [("", ""), ("{}", ""), ("", "{}"), ("{}", "{}"), (" ", "\n{ }\n")] {
        let path = format!("/keys/{}", org.ed25519().await);
        let action = org.action(&org.admin, &Method::DELETE, &path, payload).await;
        let found = present(&org, &org.admin, &action, Method::DELETE, &path, body).await;
        assert_eq!(found.0, 200, "{payload:?} {body:?}");
    }
    let path = format!("/keys/{}", org.ed25519().await);
    for (signed, sent, payload, body) in [
        (path.clone(), path.clone(), r#"{"name":"caf\u00e9"}"#, r#"{"name":"café"}"#),
        (path.clone(), path.clone(), r#"{"name":"a"}"#, " { \"name\" : \"a\" } "),
        (format!("{path}?x=1"), path.clone(), r#"{"name":"b"}"#, r#"{"name":"b"}"#),
        (path.clone(), format!("{path}?y=2"), r#"{"name":"b"}"#, r#"{"name":"b"}"#),
        (path.replace("key-", "key%2D"), path.clone(), r#"{"name":"c"}"#, r#"{"name":"c"}"#),
    ] {
        let action = org.action(&org.admin, &Method::PUT, &signed, payload).await;
        let found = present(&org, &org.admin, &action, Method::PUT, &sent, body).await;
        assert_eq!(found.0, 200, "{signed} {payload}");
    }
    // A hostile identifier means the same in both places.
    let hostile = "/keys/key%2F..%2Fx%20y";
    let action = org.action(&org.admin, &Method::PUT, hostile, r#"{"name":"d"}"#).await;
    let found = present(&org, &org.admin, &action, Method::PUT, hostile, r#"{"name":"d"}"#).await;
    assert_eq!(found.0, 404);
}

#[tokio::test]
async fn challenges_are_good_once_for_their_token_and_five_minutes() {
    let org = org().await;
    let other = account(&org, "other").await;
    let answer = async |by: &Account, body: &Value| {
        let path = "/auth/action";
        org.send(&by.token, Method::POST, path, &[], body.to_string()).await
    };
    let init = org.init(&org.admin, &Method::POST, "/keys", CREATE).await;
    let good = org.admin.answer(&init);
    // With the other's token, whoever signed.
    assert_eq!(refused(&answer(&other, &good).await, 400), NOT_VALID);
    assert_eq!(refused(&answer(&other, &other.answer(&init)).await, 400), NOT_VALID);
    expect(&answer(&org.admin, &good).await, 200);
    assert_eq!(refused(&answer(&org.admin, &good).await, 400), NOT_VALID);
    // A try that failed used it up.
    let init = org.init(&org.admin, &Method::POST, "/keys", CREATE).await;
    let foreign = other.answer(&init);
    let words = "User does not have a credential that can be used for the application.";
    assert_eq!(refused(&answer(&org.admin, &foreign).await, 401), words);
    assert_eq!(refused(&answer(&org.admin, &org.admin.answer(&init)).await, 400), NOT_VALID);
    let init = org.init(&org.admin, &Method::POST, "/keys", CREATE).await;
    let late = org.init(&org.admin, &Method::POST, "/keys", CREATE).await;
    org.world.pass(Duration::from_secs(299));
    expect(&answer(&org.admin, &org.admin.answer(&init)).await, 200);
    org.world.pass(Duration::from_secs(1));
    assert_eq!(refused(&answer(&org.admin, &org.admin.answer(&late)).await, 400), NOT_VALID);
    // So are signed actions.
    let action = org.action(&org.admin, &Method::POST, "/keys", CREATE).await;
    org.world.pass(Duration::from_secs(300));
    let (status, value) = present(&org, &org.admin, &action, Method::POST, "/keys", CREATE).await;
    assert_eq!((status, text(&value["error"]["message"]).as_str()), (403, INVALID));
}

#[tokio::test]
async fn a_credential_is_also_named_by_its_identifier() {
    let org = org().await;
    let engine = &org.world.engine;
    let holder =
        engine.holder_of(org.realm, &crate::account::external(&org.admin.cred_id)).unwrap();
    let init = org.init(&org.admin, &Method::POST, "/keys", CREATE).await;
    let mut body = org.admin.answer(&init);
    body["firstFactor"]["credentialAssertion"]["credId"] = json!(crate::ids::credential(holder.1));
    let answer = org.send(&org.admin.token, Method::POST, "/auth/action", &[], body.to_string());
    expect(&answer.await, 200);
}

#[tokio::test]
async fn tokens_of_others_and_altered_ones_are_nobodys() {
    let org = org().await;
    let foreign = org.world.org("other", Settings::default()).await;
    let token = &org.admin.token;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let claims: Value = serde_json::from_slice(&BASE64URL.decode(payload).unwrap()).unwrap();
    assert_eq!(claims["https://custom/app_metadata"]["orgId"], json!(org.id));
    let mut altered = claims.clone();
    altered["sub"] = json!(foreign.admin.user);
    let altered = BASE64URL.encode(altered.to_string());
    let none = BASE64URL.encode(r#"{"alg":"none","typ":"JWT"}"#);
    for bad in [
        "x",
        "lethe_x",
        foreign.admin.token.as_str(),
        &token[..token.len() - 1],
        &format!("{token}A"),
        &format!("{header}.{altered}.{signature}"),
        &format!("{none}.{payload}."),
        &format!("{none}.{payload}.{signature}"),
        signed,
        &"a.".repeat(5_000),
    ] {
        let answer = org.send(bad, Method::GET, "/keys", &[], "").await;
        assert_eq!(refused(&answer, 401), "Not Authorized.", "{bad}");
    }
    let basic = [("authorization", "Basic eDp5")];
    let two = [("authorization", "Bearer x"), ("authorization", "Bearer x")];
    for headers in [&basic[..], &two[..]] {
        let answer = org.send("", Method::GET, "/keys", headers, "").await;
        assert_eq!(refused(&answer, 401), "Not Authorized.");
    }
    expect(&org.get("/keys").await, 200);
    org.world.pass(Duration::from_secs(366 * 24 * 3_600));
    assert_eq!(refused(&org.get("/keys").await, 401), "Not Authorized.");
}
