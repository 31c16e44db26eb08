//! Which right each operation needs, and that a right on one key opens no other.

use http::Method;
use lethe_engine::record::Scope;
use lethe_types::{Permission, Permissions};
use serde_json::json;

use super::support::{ACCESS_KEY, F403, Rig, data, refused};

/// Secret of accounts that the rig makes.
const SECRET_KEY: &str = "OTHER0123456789ABCDEF0123456789ABCDEF012";

#[tokio::test]
async fn each_operation_needs_its_right_and_no_other_helps() {
    use Permission::{
        ApikeysManage, AuditRead, KeysCreate, KeysRead, KeysRotate, KeysState, KeysUpdate,
        KeysUseDecrypt, KeysUseEncrypt, KeysUseSign, KeysUseVerify,
    };
    let rig = Rig::new().await;
    let (aes, ecdsa) = (rig.key("orders", "AES256").await, rig.key("signer", "ECDSA").await);
    let sealed = json!({"ciphertext": rig.ciphertext(&aes, b"").await}).to_string();
    let signed = data(&rig.post(&format!("{ecdsa}/sign"), r#"{"data":""}"#).await);
    let verify = json!({"data": "", "signature": signed["signature"]}).to_string();
    let plain = r#"{"plaintext":""}"#;
    let (post, put, get) = (Method::POST, Method::PUT, Method::GET);
    let list = r#"{"ipList":["10.0.0.1"]}"#;
    let cases: Vec<(&[Permission], &Method, String, &str)> = vec![
        (&[KeysRead], &get, aes.clone(), ""),
        (&[KeysRead], &get, format!("{aes}/versions"), ""),
        (&[KeysRead], &get, format!("{aes}/acl"), ""),
        (&[KeysRead], &post, format!("{ecdsa}/get-pub-key"), ""),
        (&[AuditRead], &get, format!("{aes}/activities"), ""),
        (&[AuditRead], &get, format!("{aes}/last-use-info"), ""),
        (&[KeysUseEncrypt], &post, format!("{aes}/encrypt"), plain),
        (&[KeysUseEncrypt], &post, format!("{aes}/create-custom-key"), ""),
        (&[KeysUseSign], &post, format!("{ecdsa}/sign"), r#"{"data":""}"#),
        (&[KeysUseDecrypt], &post, format!("{aes}/decrypt"), &sealed),
        (&[KeysUseVerify], &post, format!("{ecdsa}/verify"), &verify),
        (&[KeysUseEncrypt, KeysUseDecrypt], &post, format!("{aes}/re-encrypt"), &sealed),
        (&[KeysCreate], &post, "/kms/v1/keys".to_owned(), r#"{"keyName":"new","keyType":"ECDSA"}"#),
        (&[KeysUpdate], &put, format!("{aes}/name"), r#"{"keyName":"renamed"}"#),
        (&[KeysUpdate], &put, format!("{aes}/memo"), r#"{"memo":"x"}"#),
        (&[KeysUpdate], &post, format!("{aes}/acl"), list),
        (&[KeysUpdate], &post, format!("{aes}/acl/enable"), ""),
        (&[KeysUpdate], &post, format!("{aes}/acl/disable"), ""),
        (&[KeysUpdate], &Method::DELETE, format!("{aes}/acl"), list),
        (&[KeysUpdate], &post, format!("{aes}/enable-auto-rotation"), ""),
        (&[KeysUpdate], &put, format!("{aes}/rotation-period"), r#"{"rotationPeriod":9}"#),
        (&[KeysUpdate], &post, format!("{aes}/disable-auto-rotation"), ""),
        (&[KeysRotate], &post, format!("{aes}/rotate"), ""),
        (&[KeysState], &post, format!("{aes}/versions/1/disable"), ""),
        (&[KeysState], &post, format!("{aes}/versions/1/enable"), ""),
        (&[KeysState], &post, format!("{aes}/disable"), ""),
        (&[KeysState], &post, format!("{aes}/enable"), ""),
        (&[ApikeysManage], &post, format!("{aes}/token-generator"), ""),
        (&[KeysRead], &get, format!("{aes}/token-generator"), ""),
        (&[ApikeysManage], &post, format!("{aes}/token-set"), ""),
        (&[ApikeysManage], &put, format!("{aes}/token-generator"), ""),
        (&[ApikeysManage], &Method::DELETE, format!("{aes}/token-generator"), ""),
    ];
    for (number, (needed, method, target, body)) in cases.into_iter().enumerate() {
        for one in needed {
            let all_but = Permission::ALL.iter().copied().filter(|other| other != one);
            let access_key = format!("AKBUT{number}{}", one.as_str());
            rig.account_with(&access_key, &all_but.collect::<Vec<_>>()).await;
            refused(&rig.send_as(&access_key, method.clone(), &target, body).await, F403);
        }
        let access_key = format!("AKONLY{number}");
        rig.account_with(&access_key, needed).await;
        let answer = rig.send_as(&access_key, method.clone(), &target, body).await;
        assert_eq!(answer.head.status, 200, "{method} {target}: {:?}", answer.body);
        data(&answer);
    }
}

#[tokio::test]
async fn a_right_on_one_key_opens_that_key() {
    let rig = Rig::new().await;
    let (ours, other) = (rig.key("ours", "AES256").await, rig.key("other", "AES256").await);
    let scope = Scope::Key(rig.key_id(&ours));
    let rights: Permissions =
        [Permission::KeysRead, Permission::KeysUseEncrypt, Permission::AuditRead]
            .into_iter()
            .collect();
    rig.account("AKENCRYPTOR", SECRET_KEY, rights, scope).await;
    let send = async |method, target: String, body| {
        rig.send_as("AKENCRYPTOR", method, &target, body).await
    };
    let body = r#"{"plaintext":""}"#;
    data(&send(Method::POST, format!("{ours}/encrypt"), body).await);
    refused(&send(Method::POST, format!("{other}/encrypt"), body).await, F403);
    data(&send(Method::GET, format!("{ours}/activities"), "").await);
    refused(&send(Method::GET, format!("{other}/activities"), "").await, F403);
    refused(&send(Method::GET, other.clone(), "").await, F403);
    let listed = data(&send(Method::GET, "/kms/v1/keys".to_owned(), "").await);
    assert_eq!(
        (&listed["totalCount"], &listed["keyList"][0]["keyName"]),
        (&json!(1), &json!("ours"))
    );
    let all = data(&rig.send_as(ACCESS_KEY, Method::GET, "/kms/v1/keys", "").await);
    assert_eq!(all["totalCount"], 2);
}

#[tokio::test]
async fn keys_of_another_realm_are_not_there() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let realm = rig.engine.ensure_realm(&"other".parse().unwrap()).await.expect("a realm");
    let parts = crate::Parts {
        engine: rig.engine.clone(),
        realm,
        clock: rig.clock.clone(),
        entropy: std::sync::Arc::new(lethe_crypto::SystemEntropy),
        settings: crate::Settings::default(),
        url: std::sync::Arc::default(),
    };
    let door = crate::NcloudDoor::open(parts).await.expect("the door opens");
    let rig =
        Rig { door: lethe_http::testing::DoorUnderTest::new(std::sync::Arc::new(door)), ..rig };
    // The account is not of that realm either.
    refused(&rig.get(&key).await, super::support::G401);
    let rig = Rig { realm, ..rig };
    rig.account_with("AKOTHER", &[Permission::KeysRead]).await;
    let answer = rig.send_as("AKOTHER", Method::GET, &key, "").await;
    refused(&answer, super::support::N404);
}

#[tokio::test]
async fn no_operation_answers_who_proved_nothing() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let tag = key.rsplit('/').next().expect("a tag");
    assert_eq!(crate::ROUTES.len(), 57);
    for route in crate::ROUTES {
        let target = route.path.replace("{tag}", tag).replace("{version}", "1");
        let answer = rig.raw(route.method.clone(), &target, &[], "{}").await;
        refused(&answer, super::support::G401);
        let token = [("x-ncp-ocapi-token", "no token")];
        let answer = rig.raw(route.method.clone(), &target, &token, "{}").await;
        refused(&answer, super::support::U401);
    }
    assert_eq!(data(&rig.get(&key).await)["status"], "ENABLE");
}
