//! Deletion, in every detail.

use http::Method;
use lethe_engine::DestroyRequest;
use lethe_store::CommitFault;
use serde_json::json;

use super::support::{Api, Person, body, send_to, status, text};
use crate::b64;

const PATH: &str = "/api/keymgmt/delete/";

/// Who may not delete, and how; the key stays.
#[tokio::test]
async fn refused_deletions_change_nothing() {
    let api = Api::new().await;
    let kid = api.key("ED25519").await;
    let delete = api.token("keymgmt:del").await;
    let list = api.token("keymgmt:list").await;
    let master = api.token_of(&api.master, "keymgmt:del").await;
    let odd = api.token("keymgmt:delX").await;
    let used = api.token(&format!("keymgmt:use:{kid}")).await;
    let upper = kid.to_uppercase();
    let before = api.log_of_work().len();
    let short = &kid[..31];
    let long = format!("{kid}0");
    let foreign = format!("{}x", &kid[..31]);
    let unknown = "0".repeat(32);
    let cases: Vec<(&str, &str, u16, Option<String>)> = vec![
        (&master, &kid, 403, Some("12/1 M".to_owned())),
        (&odd, &kid, 403, Some("12/1 U".to_owned())),
        (&list, &kid, 403, Some("12/1 U".to_owned())),
        (&used, &kid, 403, Some("12/1 U".to_owned())),
        (&list, short, 403, Some("12/1 U".to_owned())),
        ("", &kid, 401, None),
        ("", short, 401, None),
        (&delete, short, 400, Some("21/2 U".to_owned())),
        (&delete, &long, 400, Some("21/2 U".to_owned())),
        (&delete, &foreign, 400, Some("21/2 U".to_owned())),
        (&delete, "%20", 400, Some("21/2 U".to_owned())),
        (&delete, &unknown, 406, Some(format!("21/1 U {unknown}"))),
    ];
    let mut seen = before;
    for (token, kid, expected, told) in cases {
        assert_eq!(api.delete(token, kid).await, expected, "{kid}");
        let log = api.log_of_work();
        let new: Vec<&String> = log.iter().skip(seen).collect();
        assert_eq!(new.len(), usize::from(told.is_some()), "{kid} {new:?}");
        if let (Some(told), Some(new)) = (told, new.first()) {
            assert!(new.starts_with(&told), "{new} {told}");
        }
        seen = log.len();
    }
    // The path that was asked for stands in the refusal.
    let hex: String = format!("{PATH}{kid}").bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(api.log_of_work().iter().any(|event| event.ends_with(&hex)));
    // An empty identifier is no path that there is.
    assert_eq!(status(&api.ask(Method::DELETE, PATH, &delete, "").await), 404);
    assert_eq!(status(&api.get(&used, &format!("/api/keymgmt/get/{kid}")).await), 200);
    assert_eq!(api.delete(&delete, &upper).await, 200, "digits of either case");
}

#[tokio::test]
async fn a_deleted_key_is_gone_from_everything() {
    let api = Api::new().await;
    let kid = api.key("ED25519").await;
    let other = api.key("AES256").await;
    let message = json!({ "msg": "YQ==", "alg": "Ed25519" });
    assert_eq!(status(&api.use_key(&kid, "exdsa/sign", message.clone()).await), 200);
    let use_token = api.token(&format!("keymgmt:use:{kid}")).await;
    let delete = api.token("keymgmt:del").await;
    let before = api.log_of_work().len();
    let answer = api.ask(Method::DELETE, &format!("{PATH}{kid}"), &delete, "").await;
    assert_eq!((status(&answer), answer.body.len()), (200, 0));
    let receipt = answer.head.headers["x-deletion-receipt"].to_str().expect("text");
    let proof = b64::decode(receipt).expect("base64");
    let vkey = api.engine.log_vkey().parse().expect("a key");
    assert!(lethe_verify::verify(&proof, &vkey).is_ok());

    let list = api.token("keymgmt:list").await;
    let listed = body(&api.get(&list, "/api/keymgmt/list").await);
    assert_eq!((&listed["total"], &listed["list"][0]["kid"]), (&json!(1), &json!(other)));
    assert_eq!(status(&api.get(&use_token, &format!("/api/keymgmt/get/{kid}")).await), 406);
    let mut request = message;
    request["kid"] = json!(kid);
    assert_eq!(status(&api.post(&use_token, "/api/crypto/exdsa/sign", &request).await), 406);
    let update = api.token("keymgmt:upd").await;
    let change = json!({ "kid": kid, "label": "x" });
    assert_eq!(status(&api.post(&update, "/api/keymgmt/update", &change).await), 406);
    assert_eq!(api.delete(&delete, &kid).await, 406);
    let log = api.log_of_work();
    let log: Vec<&str> = log.iter().skip(before).map(String::as_str).collect();
    assert_eq!(
        log,
        [
            format!("21/0 U {kid}"),
            format!("32/1 U {kid}"),
            format!("25/1 U {kid}"),
            format!("21/1 U {kid}")
        ]
    );
}

#[tokio::test]
async fn not_without_encryption_and_not_in_a_wrong_state() {
    let api = Api::new().await;
    let kid = api.key("ED25519").await;
    let delete = api.token("keymgmt:del").await;
    let list = api.token("keymgmt:list").await;
    let bearer = format!("Bearer {delete}");
    let before = api.log().len();
    let path = format!("{PATH}{kid}");
    let headers = [("authorization", bearer.as_str())];
    let plain = send_to(&api.plain, Method::DELETE, &path, &headers, Vec::new()).await;
    assert_eq!(status(&plain), 418);
    let foreign = [("authorization", bearer.as_str()), ("origin", "https://evil.example")];
    let answer = api.send(Method::DELETE, &path, &foreign, "").await;
    assert_eq!(status(&answer), 412);
    api.state.set_fault(0x04);
    assert_eq!(api.delete(&list, &kid).await, 409, "the state is looked at before the scope");
    assert_eq!(api.delete(&delete, &kid).await, 409);
    assert_eq!(api.delete("", &kid).await, 409);
    assert_eq!(status(&api.get("", "/api/system/status").await), 200);
    api.state.set_fault(0);
    assert_eq!(api.log().len(), before);
    let fresh = Api::fresh(crate::Settings::default()).await;
    assert_eq!(fresh.delete("", &kid).await, 409);
    assert_eq!(api.delete(&delete, &kid).await, 200);
}

#[tokio::test]
async fn a_store_that_fails_leaves_the_key_as_it_is() {
    let api = Api::new().await;
    let kid = api.key("AES256").await;
    let delete = api.token("keymgmt:del").await;
    let message = json!({ "msg": "YWFhYQ==", "alg": "AES256-GCM" });
    assert_eq!(status(&api.use_key(&kid, "cipher/encrypt", message.clone()).await), 200);
    api.state.journal.flush();
    api.store.fail_next_commit(CommitFault::Full);
    assert_eq!(api.delete(&delete, &kid).await, 406);
    assert_eq!(status(&api.use_key(&kid, "cipher/encrypt", message).await), 200);
    let failed = format!("21/1 U {kid}");
    assert!(api.log_of_work().contains(&failed));
    assert_eq!(api.delete(&delete, &kid).await, 200);
    assert_eq!(api.log_of_work().last(), Some(&format!("21/0 U {kid}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_succeeds() {
    let api = std::sync::Arc::new(Api::new().await);
    let kid = api.key("ED25519").await;
    let delete = api.token("keymgmt:del").await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (api, kid, delete) = (api.clone(), kid.clone(), delete.clone());
            tokio::spawn(async move { api.delete(&delete, &kid).await })
        })
        .collect();
    let mut statuses = Vec::new();
    for task in tasks {
        statuses.push(task.await.expect("it answers"));
    }
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(statuses[1..].iter().all(|status| *status == 406), "{statuses:?}");
    let log = api.log_of_work();
    let count = |event: &str| log.iter().filter(|one| one.starts_with(event)).count();
    assert_eq!((count("21/0"), count("21/1")), (1, 49));
}

#[tokio::test]
async fn a_public_key_comes_back_and_tokens_of_before_do_not() {
    let api = Api::new().await;
    let public = b64::encode(&Person::new([0x33; 32]).public);
    let import = json!({ "label": "peer", "type": "CURVE25519", "pubkey": public });
    let token = api.token("keymgmt:imp").await;
    let kid = text(&body(&api.post(&token, "/api/keymgmt/import", &import).await), "kid");
    assert_eq!(status(&api.post(&token, "/api/keymgmt/import", &import).await), 406);
    let before = api.token(&format!("keymgmt:use:{kid}")).await;
    let delete = api.token("keymgmt:del").await;
    let path = format!("/api/keymgmt/get/{kid}");
    assert_eq!(status(&api.get(&before, &path).await), 200);
    let answer = api.ask(Method::DELETE, &format!("{PATH}{kid}"), &delete, "").await;
    let receipt = answer.head.headers["x-deletion-receipt"].to_str().expect("text");
    let receipt = b64::decode(receipt).expect("base64");
    let receipt = String::from_utf8_lossy(&receipt).into_owned();
    let extra = receipt.lines().find_map(|line| line.strip_prefix("extra ")).unwrap_or_default();
    let extra = b64::decode(extra).unwrap_or_default();
    assert!(String::from_utf8_lossy(&extra).contains("lives on elsewhere"), "{receipt}");
    assert_eq!(status(&api.get(&before, &path).await), 406, "no key, as the device says it");
    // In the same second: tokens are told apart by their order, not by their times.
    let again = body(&api.post(&token, "/api/keymgmt/import", &import).await);
    assert_eq!(again["kid"], kid.as_str());
    assert_eq!(status(&api.get(&before, &path).await), 401);
    let after = api.token(&format!("keymgmt:use:{kid}")).await;
    assert_eq!(status(&api.get(&after, &path).await), 200);
    assert_eq!(status(&api.get(&delete, "/api/system/status").await), 200);
}

/// The same for one that went by another door.
#[tokio::test]
async fn tokens_for_a_key_that_went_elsewhere_open_no_other() {
    let api = Api::new().await;
    let public = b64::encode(&Person::new([0x33; 32]).public);
    let import = json!({ "label": "peer", "type": "CURVE25519", "pubkey": public });
    let token = api.token("keymgmt:imp").await;
    let kid = text(&body(&api.post(&token, "/api/keymgmt/import", &import).await), "kid");
    let before = api.token(&format!("keymgmt:use:{kid}")).await;
    let own = api.engine.system_caller(api.realm, "test").expect("a caller");
    let id = api.state.key(crate::kid::Kid::parse(&kid).unwrap()).unwrap().entry.record().id;
    api.engine.destroy_key(&own, DestroyRequest::new(id)).await.expect("destroyed");
    let path = format!("/api/keymgmt/get/{kid}");
    assert_eq!(status(&api.get(&before, &path).await), 406);
    assert_eq!(status(&api.post(&token, "/api/keymgmt/import", &import).await), 200);
    assert_eq!(status(&api.get(&before, &path).await), 401);
}

#[tokio::test]
async fn what_was_secret_is_not_derived_again() {
    for (allowed, expected) in [(false, 406), (true, 200)] {
        let settings =
            crate::Settings { rederive_after_delete: allowed, ..crate::Settings::default() };
        let api = Api::with(settings).await;
        let source = api.key("CURVE25519").await;
        let derive = api.token("keymgmt:derive").await;
        let delete = api.token("keymgmt:del").await;
        let peer = b64::encode(&Person::new([0x44; 32]).public);
        let before = api.log_of_work().len();
        for name in ["AES256", "ED25519", "SECP256R1", "SHA2-256", "CURVE25519", "SECP256K1"] {
            let request = json!({ "kid": source, "label": "d", "type": name, "pubkey": peer });
            let made = body(&api.post(&derive, "/api/keymgmt/derive", &request).await);
            let kid = text(&made, "kid");
            assert_eq!(status(&api.post(&derive, "/api/keymgmt/derive", &request).await), 406);
            assert_eq!(api.delete(&delete, &kid).await, 200);
            let again = api.post(&derive, "/api/keymgmt/derive", &request).await;
            assert_eq!(status(&again), expected, "{name}");
            if allowed {
                assert_eq!(body(&again)["kid"], kid.as_str(), "it is the same key");
            }
        }
        let log: Vec<String> = api.log_of_work().into_iter().skip(before).take(4).collect();
        let log: Vec<&str> = log.iter().map(|event| event.split(' ').next().unwrap()).collect();
        let last = if allowed { "26/0" } else { "26/2" };
        assert_eq!(log, ["26/0", "26/2", "21/0", last]);
        // The source goes on without them, and they without it.
        assert_eq!(api.delete(&delete, &source).await, 200);
    }
}

/// A rule of the engine stands before every deletion, also through this door.
#[tokio::test]
async fn a_key_that_is_held_is_not_deleted() {
    let api = Api::new().await;
    let kid = api.key("AES128").await;
    let own = api.engine.system_caller(api.realm, "test").expect("a caller");
    let id = api.state.key(crate::kid::Kid::parse(&kid).unwrap()).unwrap().entry.record().id;
    let change = lethe_engine::KeyChange { protected: Some(true), ..Default::default() };
    api.engine.update_key(&own, id, &change, None).await.expect("changed");
    let delete = api.token("keymgmt:del").await;
    assert_eq!(api.delete(&delete, &kid).await, 406);
    assert_eq!(api.log_of_work().last(), Some(&format!("21/1 U {kid}")));
    let lowered = lethe_engine::KeyChange { protected: Some(false), ..Default::default() };
    api.engine.update_key(&own, id, &lowered, None).await.expect("changed");
    // Gone by another door, it is gone here.
    api.engine.destroy_key(&own, DestroyRequest::new(id)).await.expect("destroyed");
    assert_eq!(api.delete(&delete, &kid).await, 406);
}
