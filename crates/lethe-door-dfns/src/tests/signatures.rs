//! Signatures: their history, their own identifiers, and what is left of both.

use http::Method;
use serde_json::{Value, json};

use super::support::{Org, expect, org, refused, text};

async fn sign(org: &Org, key: &str, body: &Value) -> lethe_http::testing::Answer {
    org.post(&format!("/keys/{key}/signatures"), body).await
}

#[tokio::test]
async fn a_signature_is_kept_and_outlives_its_key() {
    let org = org().await;
    let key = org.ed25519().await;
    let other = org.ed25519().await;
    let mut made = Vec::new();
    for number in 0..5 {
        org.world.pass(std::time::Duration::from_millis(1));
        let body = json!({"kind": "Message", "message": format!("0x0{number}")});
        let signed = expect(&sign(&org, &key, &body).await, 200);
        assert_eq!(signed["requestBody"], body);
        assert_eq!((&signed["status"], &signed["keyId"]), (&json!("Signed"), &json!(key)));
        assert_eq!(text(&signed["signature"]["r"]).len(), 66);
        assert_eq!(signed["signature"].get("recid"), None);
        assert_eq!(signed["requester"]["userId"], json!(org.admin.user));
        made.push(signed);
    }
    let path = format!("/keys/{key}/signatures");
    let list = async |query: &str| expect(&org.get(&format!("{path}{query}")).await, 200);
    let all = list("").await;
    assert_eq!(all, json!({"keyId": key, "items": made}));
    let first = list("?limit=2").await;
    assert_eq!(first["items"], json!(made[..2]));
    let next = format!("?limit=3&paginationToken={}", text(&first["nextPageToken"]));
    assert_eq!(list(&next).await, json!({"keyId": key, "items": made[2..]}));
    for bad in ["?limit=0", "?paginationToken=x", "?paginationToken=key-x"] {
        expect(&org.get(&format!("{path}{bad}")).await, 400);
    }
    let id = text(&made[0]["id"]);
    assert_eq!(expect(&org.get(&format!("{path}/{id}")).await, 200), made[0]);
    expect(&org.get(&format!("/keys/{other}/signatures/{id}")).await, 404);
    expect(&org.get(&format!("{path}/sig-x")).await, 404);
    expect(&org.delete(&format!("/keys/{key}")).await, 200);
    assert_eq!(list("").await, all);
    assert_eq!(expect(&org.get(&format!("{path}/{id}")).await, 200), made[0]);
    let gone = sign(&org, &key, &json!({"kind": "Message", "message": "0x00"})).await;
    let error = expect(&gone, 404);
    assert_eq!(error["error"]["details"]["status"], json!("Archived"));
    let deleted = expect(&org.get(&format!("/keys/{key}")).await, 200);
    assert!(made.iter().all(|one| text(&one["dateSigned"]) <= text(&deleted["dateDeleted"])));
}

#[tokio::test]
async fn an_external_identifier_names_one_request_for_ever() {
    let org = org().await;
    let key = org.ed25519().await;
    let other = org.ed25519().await;
    let body = json!({"kind": "Message", "message": "0x00", "externalId": "order é 1"});
    let first = expect(&sign(&org, &key, &body).await, 200);
    assert_eq!(first["externalId"], json!("order é 1"));
    assert_eq!(expect(&sign(&org, &key, &body).await, 200), first);
    let mut changed = body.clone();
    changed["message"] = json!("0x01");
    for answer in [sign(&org, &key, &changed).await, sign(&org, &other, &body).await] {
        let error = expect(&answer, 409)["error"].clone();
        assert_eq!(error["message"], json!("Conflicting signature with same externalId"));
        let duplicate = json!({"duplicate": {"id": first["id"], "externalId": "order é 1"}});
        assert_eq!(error["details"], duplicate);
    }
    for (external, status) in [("x".repeat(50), 200), ("x".repeat(51), 400), (String::new(), 400)] {
        let mut body = body.clone();
        body["externalId"] = json!(external);
        expect(&sign(&org, &key, &body).await, status);
    }
    expect(&org.delete(&format!("/keys/{key}")).await, 200);
    assert_eq!(expect(&sign(&org, &key, &body).await, 200), first, "also when the key is gone");
}

#[tokio::test]
async fn requests_that_do_not_fit_are_refused() {
    let org = org().await;
    let key = org.ed25519().await;
    let zeros = "0".repeat(64);
    for body in [
        json!({}),
        json!({"kind": "Hash"}),
        json!({"kind": "Hash", "hash": &zeros[2..]}),
        json!({"kind": "Hash", "hash": zeros, "taprootMerkleRoot": ""}),
        json!({"kind": "Hash", "hash": zeros, "more": 1}),
        json!({"kind": "Message", "message": "0x0"}),
        json!({"kind": "Message"}),
        json!({"kind": "Eip191", "message": "0x00"}),
        json!({"kind": "Nothing"}),
        json!({"kind": 1}),
    ] {
        let answer = sign(&org, &key, &body).await;
        assert_eq!(answer.head.status.as_u16(), 400, "{body}");
        expect(&answer, 400);
    }
    let psbt = refused(&sign(&org, &key, &json!({"kind": "Psbt", "psbt": "0x00"})).await, 400);
    assert_eq!(psbt, "signature kind \"Psbt\" is not supported by this server");
    for body in ["", "[]", "null", "x"] {
        let path = format!("/keys/{key}/signatures");
        let action = org.action(&org.admin, &Method::POST, &path, "").await;
        let headers = [("x-dfns-useraction", action.as_str())];
        let answer = org.send(&org.admin.token, Method::POST, &path, &headers, body).await;
        assert!([400, 403].contains(&answer.head.status.as_u16()), "{body}");
    }
    let schnorr = json!({"scheme": "Schnorr", "curve": "secp256k1"});
    let schnorr = text(&org.create(&schnorr).await["id"]);
    expect(&sign(&org, &schnorr, &json!({"kind": "Hash", "hash": zeros})).await, 400);
    let hash = json!({"kind": "Hash", "hash": zeros, "taprootMerkleRoot": ""});
    expect(&sign(&org, &schnorr, &hash).await, 200);
}

#[tokio::test]
async fn the_log_tells_who_signed_what_and_what_became_of_it() {
    let org = org().await;
    let key = org.ed25519().await;
    expect(&org.delete(&format!("/keys/{key}")).await, 200);
    expect(&org.delete(&format!("/keys/{key}")).await, 404);
    let query = "?startTime=2026-04-19T00:00:00Z&endTime=2026-04-21T00:00:00.000Z";
    let text_of = async |query: &str| {
        text(&expect(&org.get(&format!("/auth/action/logs{query}")).await, 200))
    };
    let told = text_of(query).await;
    let lines: Vec<&str> = told.lines().collect();
    let head =
        "Date Performed,Audit Log ID,User ID,Username,Primary Credential ID,Action Path,Summary";
    assert_eq!(lines[0], head);
    let of_deletion: Vec<&&str> = lines.iter().filter(|line| line.contains("DELETE")).collect();
    assert_eq!(of_deletion.len(), 2);
    assert!(of_deletion.iter().any(|line| line.ends_with(&format!("DELETE /keys/{key}: 200"))));
    assert!(of_deletion.iter().any(|line| line.ends_with(": 404 key not found")));
    let id = of_deletion[0].split(',').nth(1).unwrap();
    let entry = expect(&org.get(&format!("/auth/action/logs/{id}")).await, 200);
    assert_eq!(entry["firstFactorCredential"]["publicKey"], json!(org.admin.key.pem()));
    let action: Value = serde_json::from_str(&text(&entry["action"])).unwrap();
    assert_eq!((&action["method"], &action["payload"]), (&json!("DELETE"), &json!("")));
    assert!(org.world.audit.has("dfns.log.read", None), "who reads the log is told");
    expect(&org.get("/auth/action/logs/uj-x").await, 404);
    let nobody = format!("{query}&userId=us-x");
    assert_eq!(text_of(&nobody).await.lines().count(), 1);
    let late = "?startTime=2026-04-21T00:00:00Z&endTime=2026-04-22T00:00:00Z";
    assert_eq!(text_of(late).await.lines().count(), 1);
    for bad in [
        "",
        "?startTime=x&endTime=y",
        "?startTime=2026-04-21T00:00:00Z",
        "?startTime=2026-04-22T00:00:00Z&endTime=2026-04-21T00:00:00Z",
    ] {
        expect(&org.get(&format!("/auth/action/logs{bad}")).await, 400);
    }
    let csv = [("accept", "text/csv")];
    let path = format!("/auth/action/logs{query}");
    let answer = org.send(&org.admin.token, Method::GET, &path, &csv, "").await;
    assert_eq!(answer.head.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(answer.body, told.as_bytes());
}
