//! Searches for the beginning of a description look at the keys that have it, and find what a look
//! at all of them finds.

use serde_json::{Value, json};

use super::support::{Api, body, status};
use crate::b64;

async fn search(api: &Api, token: &str, needle: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    loop {
        let request = json!({ "descr": needle, "offset": found.len(), "limit": 4 });
        let page = body(&api.post(token, "/api/keymgmt/search", &request).await);
        let list = page["list"].as_array().expect("a list");
        if list.is_empty() {
            return found;
        }
        found.extend(list.iter().map(|key| key["kid"].as_str().unwrap().to_owned()));
    }
}

fn anchored(descr: &[u8]) -> String {
    format!("^{}", b64::encode(descr))
}

async fn key(api: &Api, descr: &[u8]) -> String {
    let descr = b64::encode(descr);
    api.create(&json!({ "label": "a key", "type": "AES128", "descr": descr })).await
}

#[tokio::test]
async fn the_index_finds_what_is_there() {
    let api = Api::new().await;
    let mut ours = Vec::new();
    for number in 0..9_u8 {
        api.pass(1);
        ours.push(key(&api, &[b"mailbox".as_slice(), &[number % 3]].concat()).await);
        key(&api, b"mailb").await;
        key(&api, b"other things").await;
    }
    let list = api.token("keymgmt:list").await;
    assert_eq!(search(&api, &list, &anchored(b"mailbox")).await, ours);
    assert_eq!(search(&api, "", &anchored(b"mailbox")).await, ours);
    assert_eq!(search(&api, "", &anchored(b"mailbo")).await, ours);
    let third: Vec<String> = ours.iter().skip(1).step_by(3).cloned().collect();
    assert_eq!(search(&api, "", &anchored(b"mailbox\x01")).await, third);
    assert_eq!(search(&api, "", &format!("{}$", anchored(b"mailbox\x01"))).await, third);
    assert!(search(&api, "", &format!("{}$", anchored(b"mailbox"))).await.is_empty());
    assert!(search(&api, "", &anchored(b"nobody")).await.is_empty());
    // Too short for the index, not anchored, or anchored at the end.
    assert_eq!(search(&api, &list, &anchored(b"mailb")).await.len(), 18);
    assert_eq!(search(&api, &list, &b64::encode(b"ailbox")).await, ours);
    assert_eq!(search(&api, &list, &format!("{}$", b64::encode(b"x\x01"))).await, third);
    // Also after the next start.
    assert_eq!(api.state.descriptions.len(), 18);
    api.state.restart().await.expect("started");
    assert_eq!(search(&api, "", &anchored(b"mailbox")).await, ours);
}

#[tokio::test]
async fn the_index_follows_changes_and_deletions() {
    let api = Api::new().await;
    let [first, second, third] =
        [key(&api, b"mailbox1").await, key(&api, b"mailbox2").await, key(&api, b"x").await];
    let update = api.token("keymgmt:upd").await;
    let rename = async |kid: &str, descr: Option<&[u8]>| {
        let mut request = json!({ "kid": kid, "label": "renamed" });
        request["descr"] = descr.map_or(Value::Null, |descr| json!(b64::encode(descr)));
        if descr.is_none() {
            request.as_object_mut().unwrap().remove("descr");
        }
        assert_eq!(status(&api.post(&update, "/api/keymgmt/update", &request).await), 200);
    };
    let found = async || {
        let mut found = search(&api, "", &anchored(b"mailbox")).await;
        found.sort();
        found
    };
    let sorted = |kids: &[&String]| {
        let mut kids: Vec<String> = kids.iter().map(|kid| (*kid).clone()).collect();
        kids.sort();
        kids
    };
    rename(&third, Some(b"mailbox3")).await;
    assert_eq!(found().await, sorted(&[&first, &second, &third]));
    rename(&first, None).await;
    assert_eq!(found().await, sorted(&[&second, &third]));
    assert_eq!(api.state.descriptions.len(), 2, "what is not there is forgotten");
    rename(&first, Some(b"mailboxes")).await;
    let delete = api.token("keymgmt:del").await;
    assert_eq!(api.delete(&delete, &second).await, 200);
    assert_eq!(found().await, sorted(&[&first, &third]));
    // Another key with an old identifier is there once.
    let public = b64::encode(&[9; 32]);
    let import = json!({
        "label": "p", "type": "CURVE25519", "pubkey": public, "descr": b64::encode(b"mailbox4"),
    });
    let token = api.token("keymgmt:imp").await;
    for _ in 0..2 {
        api.pass(1);
        let made = body(&api.post(&token, "/api/keymgmt/import", &import).await);
        let kid = made["kid"].as_str().expect("a key").to_owned();
        assert_eq!(found().await, sorted(&[&first, &third, &kid]));
        assert_eq!(api.delete(&delete, &kid).await, 200);
    }
    assert_eq!(found().await, sorted(&[&first, &third]));
}
