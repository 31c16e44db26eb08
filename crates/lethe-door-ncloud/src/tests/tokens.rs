//! Tokens: given out, used, renewed, ended; and the addresses from which they may be used.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use lethe_types::{Permission, SecretVec};
use serde_json::{Value, json};

use super::support::{ACCESS_KEY, F403, I400, N404, NOW_MS, Rig, S422, U401, data, refused};
use crate::kept::TOKEN_SECRET;
use crate::token::{Claims, Purpose};

const HOUR: Duration = Duration::from_secs(3_600);
const ENCRYPT: &str = r#"{"plaintext":""}"#;

struct Set {
    access: String,
    refresh: String,
}

async fn set(rig: &Rig, key: &str, body: &str) -> Set {
    set_of(&data(&rig.post(&format!("{key}/token-set"), body).await))
}

fn set_of(data: &Value) -> Set {
    let text = |name: &str| data[name].as_str().expect("a token").to_owned();
    Set { access: text("accessToken"), refresh: text("refreshToken") }
}

async fn encrypts(rig: &Rig, key: &str, token: &str) -> bool {
    let answer = rig.with_token(token, Method::POST, &format!("{key}/encrypt"), ENCRYPT).await;
    if answer.head.status == 200 {
        data(&answer);
        return true;
    }
    refused(&answer, U401);
    false
}

#[tokio::test]
async fn a_generator_is_made_replaced_and_ended() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let generator = format!("{key}/token-generator");
    refused(&rig.get(&generator).await, N404);
    refused(&rig.put(&generator, "").await, N404);
    refused(&rig.delete(&generator).await, N404);
    refused(&rig.post(&format!("{key}/token-set"), "").await, S422);
    assert_eq!(data(&rig.post(&generator, "").await), Value::Null);
    refused(&rig.post(&generator, "").await, S422);
    let told = data(&rig.get(&generator).await);
    let id = told["tokenGeneratorId"].as_str().expect("an id").to_owned();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let active = json!({
        "tokenGeneratorId": id, "status": "ACTIVE", "enabledDate": NOW_MS, "disabledDate": null,
        "issuedTokenCount": 0,
    });
    assert_eq!(told, active);
    let first = set(&rig, &key, "").await;
    assert_eq!(data(&rig.get(&generator).await)["issuedTokenCount"], 2);
    assert!(encrypts(&rig, &key, &first.access).await);
    assert_eq!(data(&rig.put(&generator, "{}").await), Value::Null);
    assert!(!encrypts(&rig, &key, &first.access).await);
    let second = set(&rig, &key, "{}").await;
    assert!(encrypts(&rig, &key, &second.access).await);
    assert_ne!(data(&rig.get(&generator).await)["tokenGeneratorId"], id.as_str());
    rig.pass(Duration::from_secs(1));
    assert_eq!(data(&rig.delete(&generator).await), Value::Null);
    assert!(!encrypts(&rig, &key, &second.access).await);
    let told = data(&rig.get(&generator).await);
    assert_eq!(
        (&told["status"], &told["disabledDate"]),
        (&json!("INACTIVE"), &json!(NOW_MS + 1_000))
    );
    assert_eq!(told["enabledDate"], NOW_MS);
    refused(&rig.post(&format!("{key}/token-set"), "").await, S422);
    refused(&rig.delete(&generator).await, N404);
    data(&rig.post(&generator, "").await);
    assert!(!encrypts(&rig, &key, &second.access).await);
}

#[tokio::test]
async fn lifetimes_are_hours_or_without_end() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    data(&rig.post(&format!("{key}/token-generator"), "").await);
    let target = format!("{key}/token-set");
    for hours in [
        json!(0),
        json!(17_521),
        json!(-1),
        json!(1.5),
        json!("x"),
        json!(""),
        json!("0"),
        json!("17521"),
        json!("-1"),
        json!("+1"),
        json!("ul"),
        json!(true),
        json!([1]),
    ] {
        for name in ["accessTokenHours", "refreshTokenHours"] {
            let body = json!({ name: hours }).to_string();
            refused(&rig.post(&target, &body).await, I400);
        }
    }
    for hours in [json!(1), json!(17_520), json!("72"), json!("UL"), json!(null)] {
        let body = json!({"accessTokenHours": hours, "refreshTokenHours": hours}).to_string();
        let set = set(&rig, &key, &body).await;
        assert!(encrypts(&rig, &key, &set.access).await, "{hours}");
    }
    let short = set(&rig, &key, r#"{"accessTokenHours":1,"refreshTokenHours":2}"#).await;
    let default = set(&rig, &key, "").await;
    let endless = set(&rig, &key, r#"{"accessTokenHours":"UL","refreshTokenHours":"UL"}"#).await;
    let renew = async |token: &str| {
        rig.with_token(token, Method::POST, &format!("{key}/access-token"), "").await
    };
    let is_valid = async |token: &str| {
        let target = format!("{key}/validate-token");
        data(&rig.with_token(token, Method::GET, &target, "").await)["validated"] == true
    };
    rig.pass(HOUR - Duration::from_millis(421 + 1));
    assert!(encrypts(&rig, &key, &short.access).await && is_valid(&short.access).await);
    rig.pass(Duration::from_millis(422));
    assert!(!encrypts(&rig, &key, &short.access).await && !is_valid(&short.access).await);
    let renewed = data(&renew(&short.refresh).await);
    assert_eq!(renewed.get("refreshToken"), None);
    assert!(encrypts(&rig, &key, renewed["accessToken"].as_str().expect("a token")).await);
    rig.pass(HOUR);
    refused(&renew(&short.refresh).await, U401);
    assert!(!is_valid(&short.refresh).await);
    rig.pass(69 * HOUR);
    assert!(encrypts(&rig, &key, &default.access).await);
    rig.pass(HOUR);
    assert!(!encrypts(&rig, &key, &default.access).await);
    data(&renew(&default.refresh).await);
    rig.pass(2_088 * HOUR);
    refused(&renew(&default.refresh).await, U401);
    rig.pass(100_000 * HOUR);
    assert!(encrypts(&rig, &key, &endless.access).await && is_valid(&endless.refresh).await);
    data(&renew(&endless.refresh).await);
}

#[tokio::test]
async fn each_operation_takes_the_token_that_is_for_it() {
    let rig = Rig::new().await;
    let (key, other) = (rig.key("orders", "AES256").await, rig.key("other", "AES256").await);
    for key in [&key, &other] {
        data(&rig.post(&format!("{key}/token-generator"), "").await);
    }
    let set = set(&rig, &key, "").await;
    let with = async |token: &str, method: Method, path: &str, body: &str| {
        rig.with_token(token, method, &format!("{key}{path}"), body).await
    };
    let sealed = data(&with(&set.access, Method::POST, "/encrypt", ENCRYPT).await).to_string();
    data(&with(&set.access, Method::POST, "/decrypt", &sealed).await);
    data(&with(&set.access, Method::POST, "/re-encrypt", &sealed).await);
    data(&with(&set.access, Method::POST, "/create-custom-key", "").await);
    refused(&with(&set.access, Method::POST, "/get-pub-key", "").await, I400);
    refused(&with(&set.refresh, Method::POST, "/encrypt", ENCRYPT).await, U401);
    refused(&with(&set.access, Method::POST, "/access-token", "").await, U401);
    refused(&with(&set.access, Method::PUT, "/token-set", "").await, U401);
    let renewed = set_of(&data(&with(&set.refresh, Method::PUT, "/token-set", "{}").await));
    // The set before stays good.
    for token in [&set.access, &renewed.access] {
        assert!(encrypts(&rig, &key, token).await);
        let told = with(token, Method::GET, "/validate-token", "").await;
        assert_eq!(data(&told), json!({"validated": true}));
    }
    data(&with(&renewed.refresh, Method::POST, "/access-token", "").await);
    // Everything else is for accounts.
    for (method, path) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::POST, "/disable"),
        (Method::POST, "/rotate"),
        (Method::POST, "/request-deletion"),
        (Method::POST, "/token-generator"),
        (Method::POST, "/token-set"),
        (Method::GET, "/activities"),
        (Method::GET, "/acl"),
    ] {
        for token in [&set.access, &set.refresh] {
            refused(&with(token, method.clone(), path, "").await, U401);
        }
    }
    refused(&rig.with_token(&set.access, Method::GET, "/kms/v1/keys", "").await, U401);
    // Neither is another key, nor an older interface.
    assert!(!encrypts(&rig, &other, &set.access).await);
    let tag = key.rsplit('/').next().expect("a tag");
    for prefix in ["/keys/v1", "/keys/v2"] {
        let target = format!("{prefix}/{tag}/encrypt");
        refused(&rig.with_token(&set.access, Method::POST, &target, ENCRYPT).await, U401);
    }
    // And an account has no use for what is renewed.
    refused(&rig.put(&format!("{key}/token-set"), "").await, U401);
    refused(&rig.post(&format!("{key}/access-token"), "").await, U401);
    refused(&rig.get(&format!("{key}/validate-token")).await, U401);
}

#[tokio::test]
async fn no_token_can_be_made_up() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    data(&rig.post(&format!("{key}/token-generator"), "").await);
    let good = set(&rig, &key, "").await.access;
    assert!(encrypts(&rig, &key, &good).await);
    let [header, payload, tag]: [&str; 3] =
        good.split('.').collect::<Vec<_>>().try_into().expect("three parts");
    let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).expect("base64"));
    let claims = claims.expect("JSON");
    let altered = encoded(&claims.replace(ACCESS_KEY, "AKNOBODY"));
    let unsigned = encoded(r#"{"alg":"none","typ":"JWT"}"#);
    let spaced = encoded(r#"{"alg":"HS256", "typ":"JWT"}"#);
    for token in [
        String::new(),
        "x".to_owned(),
        "..".to_owned(),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{unsigned}.{payload}."),
        format!("{unsigned}.{payload}.{tag}"),
        format!("{spaced}.{payload}.{tag}"),
        format!("{header}.{altered}.{tag}"),
        format!("{header}.{payload}.{}", &tag[..42]),
        format!("{header}.{payload}.{tag}="),
        format!("{good}.{tag}"),
        format!("Bearer {good}"),
        "A".repeat(3_000),
    ] {
        assert!(!encrypts(&rig, &key, &token).await, "{token}");
        let target = format!("{key}/validate-token");
        refused(&rig.with_token(&token, Method::GET, &target, "").await, U401);
    }
    // Rightly signed, but not by this door for this key.
    let entry = rig.engine.key_with_alias(rig.realm, crate::DOOR, key.rsplit('/').next().unwrap());
    let secret = rig.engine.open_key_secret(&entry.unwrap(), TOKEN_SECRET).unwrap().unwrap();
    let genuine = Claims::open(&good, &secret).expect("it is genuine");
    let forged = [
        Claims { issuer: "other".to_owned(), ..genuine.clone() },
        Claims { tag: "0".repeat(64), ..genuine.clone() },
        Claims { generator: "0".repeat(32), ..genuine.clone() },
        Claims { subject: "AKNOBODY".to_owned(), ..genuine.clone() },
        Claims { expires: Some(NOW_MS / 1_000), ..genuine.clone() },
        Claims { purpose: Purpose::Refresh, ..genuine.clone() },
    ];
    for claims in forged {
        assert!(!encrypts(&rig, &key, &claims.sign(&secret)).await, "{claims:?}");
    }
    assert!(encrypts(&rig, &key, &genuine.sign(&secret)).await);
    let zero = SecretVec::from_vec(vec![0; 32]);
    assert!(!encrypts(&rig, &key, &genuine.sign(&zero)).await);
}

#[tokio::test]
async fn a_token_carries_what_its_account_may_now() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    data(&rig.post(&format!("{key}/token-generator"), "").await);
    let rights = [Permission::ApikeysManage, Permission::KeysUseEncrypt];
    let account = rig.account_with("AKENCRYPTOR", &rights).await;
    let target = format!("{key}/token-set");
    let set = set_of(&data(&rig.send_as("AKENCRYPTOR", Method::POST, &target, "").await));
    assert!(encrypts(&rig, &key, &set.access).await);
    let sealed = json!({"ciphertext": rig.ciphertext(&key, b"").await}).to_string();
    let decrypt = format!("{key}/decrypt");
    let answer = rig.with_token(&set.access, Method::POST, &decrypt, &sealed).await;
    refused(&answer, F403);
    rig.account_with("AKMANAGER", &[Permission::KeysUpdate]).await;
    refused(&rig.send_as("AKMANAGER", Method::POST, &target, "").await, F403);
    let system = rig.engine.system_caller(rig.realm, crate::DOOR).expect("a caller");
    let suspended = |suspended| lethe_engine::PrincipalChange {
        suspended: Some(suspended),
        ..lethe_engine::PrincipalChange::default()
    };
    rig.engine.update_principal(&system, account, &suspended(true)).await.expect("suspended");
    assert!(!encrypts(&rig, &key, &set.access).await);
    rig.engine.update_principal(&system, account, &suspended(false)).await.expect("resumed");
    assert!(encrypts(&rig, &key, &set.access).await);
    rig.engine.revoke_principal(&system, account).await.expect("revoked");
    assert!(!encrypts(&rig, &key, &set.access).await);
}

#[tokio::test]
async fn no_token_is_given_out_for_a_key_that_cannot_be_used() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    data(&rig.post(&format!("{key}/token-generator"), "").await);
    let set = set(&rig, &key, "").await;
    data(&rig.post(&format!("{key}/disable"), "").await);
    refused(&rig.post(&format!("{key}/token-set"), "").await, S422);
    let renew = format!("{key}/access-token");
    refused(&rig.with_token(&set.refresh, Method::POST, &renew, "").await, S422);
    data(&rig.put(&format!("{key}/token-generator"), "").await);
    data(&rig.delete(&format!("{key}/token-generator")).await);
    data(&rig.post(&format!("{key}/token-generator"), "").await);
    data(&rig.post(&format!("{key}/request-deletion"), "").await);
    refused(&rig.put(&format!("{key}/token-generator"), "").await, S422);
    data(&rig.delete(&format!("{key}/token-generator")).await);
    refused(&rig.post(&format!("{key}/token-generator"), "").await, S422);
}

#[tokio::test]
async fn an_address_list_stands_before_tokens_and_not_before_accounts() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let tag = key.rsplit('/').next().expect("a tag");
    data(&rig.post(&format!("{key}/token-generator"), "").await);
    let token = set(&rig, &key, "").await.access;
    let acl = format!("{key}/acl");
    let encrypt =
        async || rig.with_token(&token, Method::POST, &format!("{key}/encrypt"), ENCRYPT).await;
    let list = data(&rig.get(&acl).await);
    assert_eq!(list, json!({"keyTag": tag, "isAclEnabled": false, "allowedIpList": []}));
    let added = data(&rig.post(&acl, r#"{"ipList":["10.0.0.1","10.0.0.2","10.0.0.1"]}"#).await);
    assert_eq!(added, json!({"keyTag": tag, "allowedIpList": ["10.0.0.1", "10.0.0.2"]}));
    data(&encrypt().await);
    let on = data(&rig.post(&format!("{acl}/enable"), "").await);
    assert_eq!(on, json!({"keyTag": tag, "isAclEnabled": true}));
    refused(&encrypt().await, F403);
    let validate = format!("{key}/validate-token");
    refused(&rig.with_token(&token, Method::GET, &validate, "").await, F403);
    rig.ciphertext(&key, b"").await;
    data(&rig.post(&acl, r#"{"IpList":["127.0.0.1"]}"#).await);
    data(&encrypt().await);
    let body = r#"{"ipList":["127.0.0.1","10.0.0.2","10.9.9.9"]}"#;
    let removed = data(&rig.send(Method::DELETE, &acl, body).await);
    assert_eq!(removed["allowedIpList"], json!(["10.0.0.1"]));
    refused(&encrypt().await, F403);
    data(&rig.post(&format!("{acl}/disable"), "{}").await);
    data(&encrypt().await);
    assert_eq!(data(&rig.get(&acl).await)["allowedIpList"], json!(["10.0.0.1"]));
    for body in [
        "{}",
        r#"{"ipList":"10.0.0.1"}"#,
        r#"{"ipList":["10.0.0"]}"#,
        r#"{"ipList":["10.0.0.1/24"]}"#,
        r#"{"ipList":["10.0.0.256"]}"#,
        r#"{"ipList":["10.0.0.01"]}"#,
        r#"{"ipList":["::1"]}"#,
        r#"{"ipList":["localhost"]}"#,
        r#"{"ipList":[""]}"#,
        r#"{"ipList":[7]}"#,
        r#"{"ipList":null}"#,
        r#"{"ipList":["10.0.0.1"],"IpList":[]}"#,
    ] {
        refused(&rig.post(&acl, body).await, I400);
        refused(&rig.send(Method::DELETE, &acl, body).await, I400);
    }
    let many: Vec<String> = (0..1_000).map(|n| format!("10.1.{}.{}", n / 250, n % 250)).collect();
    refused(&rig.post(&acl, &json!({"ipList": many}).to_string()).await, I400);
    data(&rig.post(&acl, &json!({"ipList": many[..999]}).to_string()).await);
}
