//! Deletions: what they answer, what remains, and what proves who ordered them.

use base64::Engine as _;
use http::Method;
use lethe_verify::{VerifyError, verify};
use serde_json::{Value, json};

use super::support::{expect, header, org, refused, text};

#[tokio::test]
async fn a_deleted_key_is_archived_and_everything_else_is_refused() {
    let org = org().await;
    let made = org.create(&json!({"scheme": "EdDSA", "curve": "ed25519", "name": "café"})).await;
    let id = text(&made["id"]);
    let path = format!("/keys/{id}");
    let deleted = org.delete(&path).await;
    let body = expect(&deleted, 200);
    let mut expected = made.clone();
    expected["status"] = json!("Archived");
    expected["dateDeleted"] = body["dateDeleted"].clone();
    assert_eq!(body, expected);
    assert!(text(&body["dateDeleted"]) >= text(&body["dateCreated"]));
    let shown = expect(&org.get(&path).await, 200);
    assert_eq!(shown["status"], json!("Archived"));
    assert_eq!((&shown["wallets"], &shown["dateDeleted"]), (&json!([]), &body["dateDeleted"]));
    let listed = expect(&org.get("/keys").await, 200);
    assert_eq!(listed["items"], json!([body]));
    let details = json!({"keyId": id, "orgId": org.id, "status": "Archived",
        "dateDeleted": body["dateDeleted"]});
    for answer in [
        org.delete(&path).await,
        org.put(&path, &json!({"name": "x"})).await,
        org.post(&format!("{path}/delegate"), &json!({"delegateTo": "us-x"})).await,
        org.post(
            "/keys",
            &json!({"scheme": "EdDSA", "curve": "ed25519",
            "deriveFrom": {"keyId": id}}),
        )
        .await,
    ] {
        let error = expect(&answer, 404);
        assert_eq!(error["error"]["message"], json!("key not found"));
        assert_eq!(error["error"]["details"], details);
    }
    // Never a new date.
    let again = expect(&org.get(&path).await, 200);
    assert_eq!(again["dateDeleted"], body["dateDeleted"]);
}

#[tokio::test]
async fn the_receipt_proves_who_ordered_exactly_this() {
    let org = org().await;
    let id = org.ed25519().await;
    let deleted = org.delete(&format!("/keys/{id}")).await;
    expect(&deleted, 200);
    let receipt = header(&deleted, "x-deletion-receipt").expect("a receipt");
    assert!(receipt.len() < 14_000, "{}", receipt.len());
    let file = base64::engine::general_purpose::STANDARD.decode(receipt).unwrap();
    let key = org.world.engine.log_vkey().parse().expect("a key");
    let verified = verify(&file, &key).expect("it holds");
    let [request] = verified.requests.as_slice() else { panic!("one request") };
    let ordered = request.ordered.as_ref().expect("an order");
    assert_eq!(ordered.path, format!("/keys/{id}"));
    assert_eq!(ordered.method, "DELETE");
    assert_eq!(crate::ids::user(ordered.principal), org.admin.user);
    let told = verified.explain();
    assert!(told.contains("exactly this order: DELETE"), "{told}");
    let mut altered = file.clone();
    let middle = altered.len() / 3;
    altered[middle] ^= 1;
    assert!(matches!(
        verify(&altered, &key),
        Err(VerifyError::Receipt(_)
            | VerifyError::Detail
            | VerifyError::Checkpoint(_)
            | VerifyError::Inclusion(_)
            | VerifyError::Evidence { .. })
    ));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let org = org().await;
    let foreign = org.world.org("other", crate::Settings::default()).await;
    let theirs = foreign.ed25519().await;
    let mut seen: Vec<Value> = Vec::new();
    for id in [theirs.as_str(), "key-00000-00000-0000000000000000", "x", "..", "key-%C3%A9"] {
        for answer in
            [org.delete(&format!("/keys/{id}")).await, org.get(&format!("/keys/{id}")).await]
        {
            let mut error = expect(&answer, 404)["error"].clone();
            assert_eq!(error["details"]["orgId"], json!(org.id));
            error["details"]["keyId"] = json!("");
            error["id"] = json!("");
            seen.push(error);
        }
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
    let active = expect(&foreign.get(&format!("/keys/{theirs}")).await, 200);
    assert_eq!(active["status"], json!("Active"));
}

#[tokio::test]
async fn a_deletion_says_nothing_in_its_body() {
    let org = org().await;
    let id = org.ed25519().await;
    let path = format!("/keys/{id}");
    let answer = org.signed_as(&org.admin, Method::DELETE, &path, r#"{"force":true}"#).await;
    assert_eq!(refused(&answer, 400), "`force`: is not a known property");
    assert_eq!(expect(&org.get(&path).await, 200)["status"], json!("Active"));
}

#[tokio::test]
async fn a_master_key_goes_after_its_children_and_no_path_comes_back() {
    let org = org().await;
    let master = json!({"scheme": "ECDSA", "curve": "secp256k1", "masterKey": true});
    let master = text(&org.create(&master).await["id"]);
    let child = |path: Option<&str>| {
        let mut from = json!({"keyId": master});
        if let Some(path) = path {
            from["path"] = json!(path);
        }
        json!({"scheme": "ECDSA", "curve": "secp256k1", "deriveFrom": from})
    };
    let mut made = Vec::new();
    for (path, expected) in [
        (None, "m/0"),
        (Some("m/0/1/2"), "m/0/1/2"),
        (None, "m/1"),
        (Some("m/7"), "m/7"),
        (None, "m/2"),
    ] {
        let key = org.create(&child(path)).await;
        assert_eq!(key["derivedFrom"], json!({"keyId": master, "path": expected}));
        assert_eq!(key.get("masterKey"), None);
        made.push(text(&key["id"]));
    }
    let shown = expect(&org.get(&format!("/keys/{}", made[0])).await, 200);
    let parent = expect(&org.get(&format!("/keys/{master}")).await, 200);
    assert_eq!(shown["store"]["keyId"], parent["store"]["keyId"]);
    assert_eq!(shown["store"]["derivationPath"], json!("m/0"));
    let refusal = expect(&org.delete(&format!("/keys/{master}")).await, 409);
    assert_eq!(refusal["error"]["message"], json!("key has derived keys"));
    let mut listed: Vec<String> =
        refusal["error"]["details"]["childKeyIds"].as_array().unwrap().iter().map(text).collect();
    let mut expected = made.clone();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    expect(&org.delete(&format!("/keys/{}", made[0])).await, 200);
    // The path of a deleted child stays taken, by name and by itself.
    let taken = expect(&org.post("/keys", &child(Some("m/0"))).await, 409);
    assert_eq!(taken["error"]["details"]["duplicate"]["id"], json!(made[0]));
    let next = org.create(&child(None)).await;
    assert_eq!(next["derivedFrom"]["path"], json!("m/3"));
    made.push(text(&next["id"]));
    for id in &made[1..] {
        expect(&org.delete(&format!("/keys/{id}")).await, 200);
    }
    expect(&org.delete(&format!("/keys/{master}")).await, 200);
    expect(&org.post("/keys", &child(None)).await, 404);
}

#[tokio::test]
async fn of_two_deletions_one_succeeds() {
    let org = org().await;
    for _ in 0..8 {
        let path = format!("/keys/{}", org.ed25519().await);
        let mut actions = Vec::new();
        for _ in 0..4 {
            actions.push(org.action(&org.admin, &Method::DELETE, &path, "").await);
        }
        let send = async |action: &String| {
            let headers = [("x-dfns-useraction", action.as_str())];
            org.send(&org.admin.token, Method::DELETE, &path, &headers, "").await
        };
        let [a, b, c, d] = actions.as_slice() else { unreachable!() };
        let (a, b, c, d) = tokio::join!(send(a), send(b), send(c), send(d));
        let answers = [a, b, c, d];
        let won = answers.iter().filter(|answer| answer.head.status == 200).count();
        assert_eq!(won, 1);
        for answer in answers.iter().filter(|answer| answer.head.status != 200) {
            assert_eq!(refused(answer, 404), "key not found");
        }
    }
}
