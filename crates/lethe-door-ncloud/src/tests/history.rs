//! Histories: who did what with a key, also after a restart of the door.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::support::{ACCESS_KEY, I400, NOW_MS, Rig, data, refused};

#[tokio::test]
async fn a_history_tells_what_was_done_newest_first() {
    let rig = Rig::new().await;
    let (key, other) = (rig.key("orders", "AES256").await, rig.key("other", "AES256").await);
    data(&rig.post(&format!("{key}/token-generator"), "").await);
    let set = data(&rig.post(&format!("{key}/token-set"), "").await);
    rig.pass(Duration::from_secs(1));
    rig.ciphertext(&other, b"").await;
    rig.ciphertext(&key, b"").await;
    rig.pass(Duration::from_secs(1));
    let token = set["accessToken"].as_str().expect("a token");
    let encrypt = format!("{key}/encrypt");
    refused(&rig.with_token(token, Method::POST, &encrypt, "x").await, I400);
    data(&rig.get(&key).await);
    let activities = async |query: &str| {
        let told = data(&rig.get(&format!("{key}/activities{query}")).await);
        let list = told["activityLogList"].as_array().expect("a list").clone();
        assert_eq!(
            told["totalCount"].as_u64().map(|count| count > 0),
            Some(told["totalPageNo"] != 0)
        );
        list
    };
    let titles = |list: &[Value]| {
        let title =
            |one: &Value| one["data"]["api"]["action"].as_str().expect("a title").to_owned();
        list.iter().map(title).collect::<Vec<_>>().join(", ")
    };
    let all = activities("").await;
    assert_eq!(
        titles(&all),
        "Encrypt, Encrypt, Create Token Set, Create Token Generator, Create Key"
    );
    let info = data(&rig.get(&key).await);
    let newest = json!({
        "timestamp": "2024-12-06T06:57:21.421Z",
        "data": {
            "kmsKey": {"keyTag": info["keyTag"], "keyName": "orders", "nrn": info["nrn"]},
            "requestor": {"requestType": "API", "id": ACCESS_KEY, "ip": "127.0.0.1"},
            "api": {"result": "FAIL", "action": "Encrypt", "type": "TOKEN"},
        },
        "message": "Invalid request",
    });
    assert_eq!(all[0], newest);
    assert_eq!(
        all[1]["data"]["api"],
        json!({"result": "SUCCESS", "action": "Encrypt", "type": "ACCOUNT"})
    );
    assert_eq!(
        titles(&activities("?keyword=token").await),
        "Create Token Set, Create Token Generator"
    );
    assert_eq!(titles(&activities("?keyword=INVALID").await), "Encrypt");
    assert_eq!(titles(&activities("?keyword=nothing").await), "");
    assert_eq!(
        titles(&activities("?keyword=127.0.0&pageSize=2&pageNo=2").await),
        "Create Token Set, Create Token Generator"
    );
    let from = format!("?timestampFrom={}", NOW_MS + 1_000);
    assert_eq!(titles(&activities(&from).await), "Encrypt, Encrypt");
    let to = format!("?timestampTo={NOW_MS}");
    assert_eq!(
        titles(&activities(&to).await),
        "Create Token Set, Create Token Generator, Create Key"
    );
    for query in ["?timestampFrom=x", "?timestampTo=-1", "?pageSize=201", "?pageNo=0"] {
        refused(&rig.get(&format!("{key}/activities{query}")).await, I400);
    }
    // A day later it takes a question about yesterday.
    rig.pass(Duration::from_secs(86_401));
    assert_eq!(titles(&activities("").await), "");
    assert_eq!(activities(&format!("?timestampFrom={NOW_MS}")).await.len(), 5);
}

#[tokio::test]
async fn the_last_use_is_the_last_that_went_well() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let last = format!("{key}/last-use-info");
    assert_eq!(data(&rig.get(&last).await), Value::Null);
    data(&rig.post(&format!("{key}/disable"), "").await);
    refused(
        &rig.post(&format!("{key}/encrypt"), r#"{"plaintext":""}"#).await,
        super::support::S422,
    );
    assert_eq!(data(&rig.get(&last).await), Value::Null);
    data(&rig.post(&format!("{key}/enable"), "").await);
    rig.pass(Duration::from_secs(1));
    rig.ciphertext(&key, b"").await;
    rig.pass(Duration::from_secs(200_000));
    refused(&rig.post(&format!("{key}/encrypt"), "{}").await, I400);
    let told = data(&rig.get(&last).await);
    assert_eq!(told["timestamp"], "2024-12-06T06:57:20.421Z");
    assert_eq!(told["data"]["api"]["result"], "SUCCESS");
    assert_eq!(told["data"]["requestor"]["id"], ACCESS_KEY);
}

#[tokio::test]
async fn a_history_outlives_the_door() {
    let mut rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    for round in 0..3 {
        rig.ciphertext(&key, b"").await;
        // The door writes what waits when it ends, and only then the next one begins.
        let other_realm = Rig::new().await.door;
        drop(std::mem::replace(&mut rig.door, other_realm));
        rig.door = rig.door_again().await;
        let told = data(&rig.get(&format!("{key}/activities")).await);
        assert_eq!(told["totalCount"], round + 2, "{told}");
    }
    // Numbers of keys are not given out again.
    let numbers: Vec<u64> = {
        let other = rig.key("other", "AES256").await;
        let number =
            async |key: &str| data(&rig.get(key).await)["keyId"].as_u64().expect("a number");
        vec![number(&key).await, number(&other).await]
    };
    assert!(numbers[0] < numbers[1], "{numbers:?}");
}
