//! The deletion of a key, in the order of its checks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use lethe_engine::record::{DeletionPolicy, HoldKind, Window};
use lethe_engine::{HoldRequest, VaultChange};
use lethe_types::{KeyId, VaultId};
use serde_json::{Value, json};

use super::support::{Api, body, failure, success, text};
use crate::settings::{Recreate, Settings};

impl Api {
    async fn delete_key(&self, token: &str) -> lethe_http::testing::Answer {
        self.delete(token, &self.path("key")).await
    }

    async fn key_id(&self) -> KeyId {
        let read = success(&self.get(&self.reader, &self.path("key")).await, 200);
        text(&read["CALLINFO"], "objectid").parse().expect("the engine's identifier")
    }

    async fn vault_id(&self) -> VaultId {
        let key = self.engine.read_key(&self.own_caller(), self.key_id().await);
        key.expect("a key").record().vault
    }
}

#[tokio::test]
async fn a_deletion_is_final_and_has_the_whole_answer() {
    let api = Api::new().await;
    api.key(json!({})).await;
    let id = api.key_id().await;
    api.audit.take();
    let headers =
        [("x-http-token", api.writer.as_str()), ("user-agent", "curl/8"), ("accept", "*/*")];
    let answer = api.send(Method::DELETE, &api.path("key"), &headers, "").await;
    let mut shown = success(&answer, 200);
    let receipt = text(&shown["CALLINFO"], "receipt");
    assert_eq!(answer.head.headers["x-deletion-receipt"], receipt);
    shown["CALLINFO"].as_object_mut().unwrap().remove("receipt");
    let token = &api.writer;
    assert_eq!(
        shown,
        json!({
            "CALLINFO": {
                "errorcodes": 0, "errors": 0, "general": [], "handler": "EncryptionHandler",
                "status": "SUCCESS", "token": token,
            },
            "DATA": { "name": "payroll", "token": token, "vaultid": api.vault },
            "HEADERS": {
                "Accept": "*/*", "Host": "localhost", "User-Agent": "curl/8",
                "X-Http-Token": "[redacted]",
            },
            "PARAMS": [],
        })
    );
    assert_eq!(api.audit.take(), [("key.destroy", None)]);
    let proof = STANDARD.decode(&receipt).expect("base64");
    let proof = String::from_utf8(proof).expect("text");
    let stored = api.engine.receipt(&api.own_caller(), id).expect("a receipt");
    let stored = stored.write().expect("it can be written").into_proof();
    let entry = |proof: &str| proof.lines().take(3).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(entry(&proof), entry(&stored));
}

#[tokio::test]
async fn nothing_works_with_a_deleted_key() {
    let api = Api::new().await;
    api.key(json!({})).await;
    let sealed = api.sealed().await;
    success(&api.post(&api.writer, &api.path("rotate"), json!({})).await, 201);
    let newer = api.sealed().await;
    success(&api.delete_key(&api.writer).await, 200);
    for token in [&api.reader, &api.writer, &api.admin] {
        for ciphertext in [&sealed, &newer] {
            let ciphertext = json!({ "ciphertext": ciphertext });
            for verb in ["decrypt", "rewrap"] {
                let answer = api.post(token, &api.path(verb), ciphertext.clone()).await;
                failure(&answer, 400, "NO SUCH KEY");
            }
        }
        failure(&api.get(token, &api.path("key")).await, 400, "NO SUCH KEY");
        let path = api.path("datakey/wrapped");
        failure(&api.post(token, &path, json!({})).await, 400, "NO SUCH KEY");
        let plaintext = json!({ "plaintext": "" });
        failure(&api.post(token, &api.path("encrypt"), plaintext).await, 400, "NO SUCH KEY");
        assert_eq!(success(&api.list_keys(token).await, 200)["KEYS"], json!([]));
    }
    for token in [&api.writer, &api.admin] {
        failure(&api.post(token, &api.path("rotate"), json!({})).await, 400, "NO SUCH KEY");
        failure(&api.delete_key(token).await, 400, "NO SUCH KEY");
    }
}

#[tokio::test]
async fn every_form_of_the_request_deletes() {
    let api = Api::new().await;
    let header = [("X-Http-Token", api.writer.as_str())];
    let token = json!({ "token": api.writer }).to_string();
    let query = format!("{}?token={}", api.path("key"), api.writer);
    let plain = api.path("key");
    let slash = format!("{plain}/");
    let questioned = format!("{plain}?");
    let form = [header[0], ("content-type", "application/x-www-form-urlencoded")];
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 8] = [
        (&plain, &header, ""),
        (&plain, &[header[0], ("content-length", "0")], ""),
        (&plain, &header, "{}"),
        (&plain, &form, "{\"reason\":\"old\",\"x\":[1]}"),
        (&plain, &[], &token),
        (&query, &[], ""),
        (&slash, &header, ""),
        (&questioned, &header, " \n"),
    ];
    let settings = Settings { recreate_after_delete: Recreate::CreateOnly, ..Settings::default() };
    assert_eq!(settings, Settings::default());
    for (path, headers, sent) in cases {
        api.key(json!({})).await;
        let answer = api.send(Method::DELETE, path, headers, sent).await;
        success(&answer, 200);
    }
}

/// Each request is wrong in all that comes later too: the first check is the one that answers.
#[tokio::test]
async fn refusals_come_in_their_order_and_change_nothing() {
    let api = Api::new().await;
    api.key(json!({ "allow_delete": false })).await;
    let sealed = api.sealed().await;
    let vault = &api.vault;
    let unnamed = format!("/transparent/{vault}/keys/a%2Fb");
    let empty = format!("/transparent/{vault}/keys/");
    let long = format!("/transparent/{vault}/keys/{}", "x".repeat(200));
    let dotted = format!("/transparent/{vault}/keys/.x");
    let path = api.path("key");
    let absent = format!("/transparent/{vault}/keys/absent");
    let check = async |token: &str, path: &str, sent: &str, status, why, audited: Option<&str>| {
        api.audit.take();
        let headers = [("X-Http-Token", token)];
        let answer = api.send(Method::DELETE, path, &headers, sent).await;
        failure(&answer, status, why);
        let refusals: Vec<_> = api.audit.take().into_iter().filter_map(|(_, why)| why).collect();
        assert_eq!(refusals.first().map(String::as_str), audited, "{path} {sent}");
        success(&api.open(&sealed).await, 200);
    };
    let unauthenticated = Some("authentication_not_successful");
    check("wrong", &unnamed, "[1]", 403, "Token invalid", unauthenticated).await;
    check("", &path, "{}", 403, "Token invalid", unauthenticated).await;
    for token in [&api.writer, &api.nobody] {
        for sent in ["[1]", "{", "1", "\"x\"", "null", "{\"a\":1}{", "{\"a\":1,\"a\":2}", "\u{1}"] {
            check(token, &unnamed, sent, 400, "INVALID JSON", None).await;
        }
        for name in [&unnamed, &empty, &long, &dotted] {
            let why = "INVALID PARAMETER: name";
            check(token, name, "", 400, why, Some("invalid_field")).await;
        }
    }
    let denied = Some("permission_denied");
    check(&api.nobody, &path, "", 403, "PERMISSION DENIED", denied).await;
    check(&api.reader, &path, "", 403, "PERMISSION DENIED", denied).await;
    check(&api.reader, &absent, "", 403, "PERMISSION DENIED", denied).await;
    let elsewhere = "/transparent/999/keys/payroll";
    check(&api.writer, elsewhere, "", 403, "PERMISSION DENIED", denied).await;
    check(&api.writer, &absent, "", 400, "NO SUCH KEY", Some("item_not_found")).await;
    for token in [&api.writer, &api.admin] {
        check(token, &path, "", 403, "KEY NOT DELETEABLE", Some("protected")).await;
    }
    let hold = HoldRequest { kind: HoldKind::Legal, reason: "a court".to_owned(), expires: None };
    let placed = api.engine.place_hold(&api.own_caller(), api.key_id().await, &hold).await;
    placed.expect("a hold");
    for token in [&api.writer, &api.admin] {
        check(token, &path, "", 403, "KEY IS LOCKED", Some("held")).await;
    }
}

/// To who is no member, a vault that there is looks like one that there is not, byte for byte.
#[tokio::test]
async fn a_foreign_vault_is_like_none() {
    let api = Api::new().await;
    api.key(json!({})).await;
    let shown = async |token: &str, vault: &str| {
        let path = format!("/transparent/{vault}/keys/payroll");
        let answer = api.delete(token, &path).await;
        let mut shown = failure(&answer, 403, "PERMISSION DENIED");
        shown.as_object_mut().unwrap().remove("DATA");
        shown.to_string()
    };
    let own = shown(&api.nobody, &api.vault).await;
    for vault in ["999", "0", "abc", "6319fd25876b469c76164", "-1", "%20"] {
        assert_eq!(shown(&api.nobody, vault).await, own);
    }
    let of_reader = shown(&api.reader, &api.vault).await;
    assert_eq!(of_reader.replace(&api.reader, &api.nobody), own);
}

#[tokio::test]
async fn of_two_deletions_at_once_one_succeeds() {
    let api = Api::new().await;
    api.key(json!({})).await;
    let (one, other) = tokio::join!(api.delete_key(&api.writer), api.delete_key(&api.admin));
    let statuses = [one.head.status.as_u16(), other.head.status.as_u16()];
    assert!(statuses == [200, 400] || statuses == [400, 200], "{statuses:?}");
    let lost = if statuses[0] == 400 { one } else { other };
    failure(&lost, 400, "NO SUCH KEY");
}

/// Whatever the operator's policies demand, the protocol has one word for it.
#[tokio::test]
async fn a_policy_that_stands_in_the_way_locks_the_key() {
    let minimum = std::time::Duration::from_secs(60);
    let window = Some(Window { minimum, may_end_early: true });
    let policies = [
        DeletionPolicy { window, ..DeletionPolicy::default() },
        DeletionPolicy { must_be_suspended: true, ..DeletionPolicy::default() },
        DeletionPolicy { not_used_within: Some(minimum), ..DeletionPolicy::default() },
        DeletionPolicy { destroys_per_hour: Some(0), ..DeletionPolicy::default() },
        DeletionPolicy { confirm: true, ..DeletionPolicy::default() },
    ];
    let api = Api::new().await;
    api.key(json!({})).await;
    let (own, vault) = (api.own_caller(), api.vault_id().await);
    let sealed = api.sealed().await;
    let set = async |policy| {
        let change = VaultChange { policy: Some(policy), ..VaultChange::default() };
        api.engine.update_vault(&own, vault, &change).await.expect("a policy");
    };
    for policy in policies {
        set(policy.clone()).await;
        failure(&api.delete_key(&api.admin).await, 403, "KEY IS LOCKED");
        success(&api.open(&sealed).await, 200);
    }
    set(DeletionPolicy::default()).await;
    success(&api.delete_key(&api.writer).await, 200);
}

const DELETED_BEFORE: &str = "A KEY OF THIS NAME WAS DELETED BEFORE";

#[tokio::test]
async fn a_name_comes_back_as_the_setting_says() {
    let check = async |recreate, by_encrypting: &str, by_creating: &str| {
        let settings = Settings { recreate_after_delete: recreate, ..Settings::default() };
        let api = Api::with(settings).await;
        api.key(json!({ "type": "aes256-ofb" })).await;
        success(&api.post(&api.writer, &api.path("rotate"), json!({})).await, 201);
        let old = api.sealed().await;
        assert!(old.starts_with("storedsafe:v2:"));
        let plaintext = json!({ "plaintext": "aGVsbG8=", "type": "aes256-ofb" });
        let made = |answer: &lethe_http::testing::Answer, status, expected: &str| {
            if expected != "ok" {
                failure(answer, 400, expected);
                return false;
            }
            let shown = success(answer, status);
            assert_eq!(shown["CALLINFO"]["key_version"], "3");
            let general = shown["CALLINFO"]["general"].as_array().unwrap();
            assert!(general.contains(&json!(DELETED_BEFORE)), "{general:?}");
            true
        };
        success(&api.delete_key(&api.writer).await, 200);
        let answer = api.post(&api.writer, &api.path("encrypt"), plaintext).await;
        if made(&answer, 200, by_encrypting) {
            let general = &body(&answer)["CALLINFO"]["general"];
            assert!(general.as_array().unwrap().contains(&json!("KEY CREATED")), "{general}");
            failure(&api.open(&old).await, 400, "NO SUCH KEY VERSION");
            return;
        }
        let how = json!({ "type": "aes256-ofb" });
        let answer = api.post(&api.writer, &api.path("key"), how).await;
        if made(&answer, 201, by_creating) {
            // The new key would decrypt it to nonsense, and say that all is well.
            failure(&api.open(&old).await, 400, "NO SUCH KEY VERSION");
            assert!(api.sealed().await.starts_with("storedsafe:v3:"));
        }
    };
    check(Recreate::Allow, "ok", "").await;
    check(Recreate::CreateOnly, "NO SUCH KEY", "ok").await;
    check(Recreate::Never, "NO SUCH KEY", "KEY WAS DELETED").await;
}

#[tokio::test]
async fn a_vault_with_a_key_stays() {
    let api = Api::new().await;
    api.key(json!({ "allow_delete": false })).await;
    let vault = format!("/vault/{}", api.vault);
    failure(&api.delete(&api.admin, &vault).await, 400, "VAULT NOT EMPTY");
    let other = json!({ "plaintext": "" });
    let path = format!("/transparent/{}/encrypt/other", api.vault);
    success(&api.post(&api.writer, &path, other).await, 200);
    let path = format!("/transparent/{}/keys/other", api.vault);
    success(&api.delete(&api.writer, &path).await, 200);
    failure(&api.delete(&api.admin, &vault).await, 400, "VAULT NOT EMPTY");
    let value: Value = body(&api.get(&api.admin, &vault).await);
    assert_eq!(value["OBJECTS"], json!([]));
}
