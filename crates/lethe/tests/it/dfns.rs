//! The door for clients of the Dfns Keys API over real sockets: its conformance cases, by their
//! numbers, and what outlives a kill. What each case leaves out is in the door's own tests.

mod account;
mod crash;
mod vectors;

use std::fs;
use std::path::Path;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::SignatureScheme;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::Answer;
use crate::process::{Folder, Server, run_cli};

use account::{Account, DOOR, ED25519, algorithm, bytes, checked, imported, message, text};
use vectors::{HASH, SCALAR};

const INVALID: &str = "user action signature is missing or invalid";

#[test]
fn who_asks_and_for_what() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let dev = Account::developer(&server);
    let org = server.door(DOOR, "org_id");
    let anyone = server.client(DOOR);
    // 1
    assert_eq!(message(&checked(anyone.get("/keys")), 401), "Not Authorized.");
    // 2
    for bad in ["x", &dev.token[..dev.token.len() - 4], "lethe_x", server.door("native", "token")] {
        let client = anyone.clone().with_token(bad);
        assert_eq!(message(&checked(client.get("/keys")), 401), "Not Authorized.");
    }
    // 4
    for (method, path) in
        [("GET", "/"), ("GET", "/dfns/keys"), ("PATCH", "/keys/x"), ("TRACE", "/keys")]
    {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        message(&checked(dev.client.send(method, path, &[], b"")), 404);
    }
    // 5
    let payload = dev.token.split('.').nth(1).expect("a payload");
    let claims = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!(claims["https://custom/app_metadata"]["orgId"], json!(org));
    // 7
    let init = dev.init("POST", "/keys", ED25519);
    let own = json!([{"type": "public-key", "id": dev.cred_id}]);
    assert_eq!(init["allowCredentials"]["key"], own);
    assert_eq!(text(&init["challenge"]).len(), 86);
    // 8
    let good = json!({"userActionPayload": "", "userActionHttpMethod": "POST",
        "userActionHttpPath": "/keys"});
    checked(dev.client.post("/auth/action/init", &good)).expect(200);
    for (name, value) in [
        ("more", json!(1)),
        ("userActionHttpMethod", json!("PATCH")),
        ("userActionPayload", json!(null)),
    ] {
        let mut body = good.clone();
        body[name] = value;
        checked(dev.client.post("/auth/action/init", &body)).expect(400);
    }
}

#[test]
fn actions_are_signed_once_for_one_request() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let dev = Account::developer(&server);
    // 11
    for (name, kind, scheme) in [
        ("p256", "ecdsa-p256", SignatureScheme::EcdsaSha256),
        ("k256", "ecdsa-secp256k1", SignatureScheme::EcdsaSha256),
        ("rsa", "rsa-2048", SignatureScheme::RsaPkcs1Sha256),
        ("ed", "ed25519", SignatureScheme::Ed25519),
    ] {
        let bot = dev.service(name, kind, scheme, &["Keys:Create"]);
        bot.signed("POST", "/keys", ED25519).expect(200);
    }
    // 13
    let other = dev.service("other", "ed25519", SignatureScheme::Ed25519, &[]);
    let init = dev.init("POST", "/keys", ED25519);
    let body = dev.answer(&init);
    let answer = checked(other.client.post("/auth/action", &body));
    assert_eq!(message(&answer, 400), "Challenge token is not valid.");
    let foreign = other.answer(&dev.init("POST", "/keys", ED25519));
    let answer = checked(dev.client.post("/auth/action", &foreign));
    let expected = "User does not have a credential that can be used for the application.";
    assert_eq!(message(&answer, 401), expected);
    // 14
    checked(dev.client.post("/auth/action", &body)).expect(200);
    let answer = checked(dev.client.post("/auth/action", &body));
    assert_eq!(message(&answer, 400), "Challenge token is not valid.");
    // 16
    let plain = dev.client.send(Method::POST, "/keys", &[], ED25519.as_bytes());
    assert_eq!(message(&checked(plain), 403), INVALID);
    // 17
    let bad = r#"{"scheme":"EdDSA","curve":"secp256k1"}"#;
    let action = dev.action("POST", "/keys", bad);
    message(&dev.present(&action, "POST", "/keys", bad), 400);
    let used = "user action has already been used";
    assert_eq!(message(&dev.present(&action, "POST", "/keys", bad), 400), used);
    // 19
    for (payload, body) in [("", ""), ("{}", ""), ("", "{}"), ("{}", "{}")] {
        let path = format!("/keys/{}", dev.ed25519());
        let action = dev.action("DELETE", &path, payload);
        dev.present(&action, "DELETE", &path, body).expect(200);
    }
    // 20
    let path = format!("/keys/{}", dev.ed25519());
    let action = dev.action("PUT", &path, r#"{"name":"caf\u00e9"}"#);
    dev.present(&action, "PUT", &path, " {\"name\" : \"café\"}").expect(200);
    // 23
    let maker = dev.service("maker", "ed25519", SignatureScheme::Ed25519, &["Keys:Create"]);
    for (member, operation) in
        [("delegateTo", "Keys:Delegate"), ("deriveFrom", "Keys:ChildKeys:Create")]
    {
        let mut body: Value = serde_json::from_str(ED25519).expect("JSON");
        body[member] = json!({});
        let refusal = message(&maker.post("/keys", &body), 403);
        assert!(
            refusal.ends_with(&format!("is not authorized to perform operation ({operation})"))
        );
    }
}

#[test]
fn keys_are_made_listed_and_named() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let dev = Account::developer(&server);
    // 26, 28, 29
    for (scheme, curve, public) in [
        ("ECDSA", "secp256k1", 33),
        ("EdDSA", "ed25519", 32),
        ("Schnorr", "secp256k1", 33),
        ("ECDSA", "stark", 33),
        ("DH", "secp256k1", 33),
    ] {
        let key = dev.create(&json!({"scheme": scheme, "curve": curve}));
        let names: Vec<&String> = key.as_object().expect("an object").keys().collect();
        let all = ["curve", "custodial", "dateCreated", "id", "publicKey", "scheme", "status"];
        assert_eq!(names, all);
        assert_eq!(text(&key["publicKey"]).len(), 2 * public);
        assert_eq!(text(&key["dateCreated"]).len(), "2026-01-02T03:04:05.678Z".len());
        let shown = dev.get(&format!("/keys/{}", text(&key["id"]))).expect(200).json();
        assert_eq!((&shown["wallets"], &shown["store"]["kind"]), (&json!([]), &json!("Hsm")));
        let master =
            dev.post("/keys", &json!({"scheme": scheme, "curve": curve, "masterKey": true}));
        if scheme == "DH" {
            message(&master, 400);
        } else {
            assert_eq!(master.expect(200).json()["masterKey"], json!(true));
        }
    }
    // 31: nine are there; 120 in all.
    while dev.get("/keys?limit=500").expect(200).json()["items"].as_array().map(Vec::len)
        < Some(120)
    {
        dev.ed25519();
    }
    let all = dev.get("/keys?limit=500").expect(200).json();
    let (mut pages, mut query, mut seen) = (Vec::new(), String::new(), Vec::new());
    loop {
        let page = dev.get(&format!("/keys{query}")).expect(200).json();
        let items = page["items"].as_array().expect("items").clone();
        pages.push(items.len());
        seen.extend(items);
        let Some(next) = page.get("nextPageToken") else { break };
        query = format!("?pagination_token={}", text(next));
    }
    assert_eq!(pages, [50, 50, 20]);
    assert_eq!(json!(seen), all["items"]);
    for bad in ["501", "0", "abc"] {
        message(&dev.get(&format!("/keys?limit={bad}")), 400);
    }
    message(&dev.get("/keys?paginationToken=tok%2B1%2F%3D"), 400);
    // 32, 34: an end user, who needs no key to be given one.
    let body = json!({"email": "ann@example.com", "kind": "EndUser"});
    let user = dev.post("/auth/registration/delegated", &body).expect(200).json();
    let user = text(&user["user"]["id"]);
    let delayed = json!({"scheme": "EdDSA", "curve": "ed25519", "delayDelegation": true});
    let key = text(&dev.create(&delayed)["id"]);
    let path = format!("/keys/{key}/delegate");
    let to = json!({"delegateTo": user});
    assert_eq!(dev.post(&path, &to).expect(200).json()["status"], json!("Delegated"));
    message(&dev.post(&path, &to), 400);
    message(&dev.post(&format!("/keys/{}/delegate", dev.ed25519()), &to), 400);
    for owner in [user.as_str(), "ann@example.com"] {
        let listed = dev.get(&format!("/keys?owner={owner}")).expect(200).json();
        assert_eq!(listed["items"][0]["id"], json!(key), "{owner}");
        assert_eq!(listed["items"][0]["custodial"], json!(false));
    }
}

#[test]
fn what_the_door_does_not_allow_is_forbidden() {
    let folder = Folder::new();
    let arguments = ["--set", "door.dfns.import=false", "--set", "door.dfns.export=false"];
    let server = Server::start_dev(&folder.join("data"), &arguments, &[]);
    let dev = Account::developer(&server);
    // 44
    message(&dev.post("/keys/import", &json!({})), 403);
    message(&dev.post(&format!("/keys/{}/export", dev.ed25519()), &json!({})), 403);
}

#[test]
fn a_deletion_is_final_proven_and_outlives_a_kill() {
    let folder = Folder::new();
    let data = folder.join("data");
    let server = Server::start_dev(&data, &[], &[]);
    let dev = Account::developer(&server);
    let key = imported(&dev, SCALAR, "CGGMP21", "secp256k1", "ecdsa-secp256k1");
    let id = text(&key["id"]);
    let path = format!("/keys/{id}");
    let signed = dev.sign(&id, &json!({"kind": "Hash", "hash": HASH})).expect(200).json();
    // 49
    message(&dev.delete("key-00000-00000-0000000000000000"), 404);
    let reader = dev.service("reader", "ed25519", SignatureScheme::Ed25519, &["Keys:Read"]);
    let refusal = message(&reader.delete(&id), 403);
    assert!(refusal.ends_with("is not authorized to perform operation (Keys:Delete)"), "{refusal}");
    let plain = checked(dev.client.delete(&path));
    assert_eq!(message(&plain, 403), INVALID);
    let other = dev.action("DELETE", &format!("/keys/{}", dev.ed25519()), "");
    assert_eq!(message(&dev.present(&other, "DELETE", &path, ""), 403), INVALID);
    assert_eq!(dev.get(&path).expect(200).json()["status"], json!("Active"));
    // 46
    let answer = dev.delete(&id).expect(200);
    let receipt = answer.header("x-deletion-receipt").expect("the receipt").to_owned();
    let deleted = answer.json();
    assert_eq!(deleted["status"], json!("Archived"));
    assert!(text(&deleted["dateDeleted"]) >= text(&deleted["dateCreated"]));
    // 53
    assert!(text(&signed["dateSigned"]) <= text(&deleted["dateDeleted"]));
    // As a power cut right after the answer was read.
    let mut server = server;
    server.kill();
    // 52: the scalar is nowhere, however it is written.
    no_trace(&data, &bytes(SCALAR));
    no_trace(&data, SCALAR.as_bytes());
    let server = server.restart();
    let dev = Account::developer(&server);
    assert_eq!(dev.get("/keys").expect(200).json()["items"][0], deleted);
    // 47
    let child = json!({"scheme": "ECDSA", "curve": "secp256k1", "deriveFrom": {"keyId": id}});
    for answer in [
        dev.delete(&id),
        dev.sign(&id, &json!({"kind": "Hash", "hash": HASH})),
        dev.signed("PUT", &path, r#"{"name":"x"}"#),
        dev.post(&format!("{path}/derive"), &json!({"domain": "00", "seed": "00"})),
        dev.post(&format!("{path}/delegate"), &json!({"delegateTo": "us-x"})),
        dev.post("/keys", &child),
    ] {
        assert_eq!(message(&answer, 404), "key not found");
        assert_eq!(answer.json()["error"]["details"]["dateDeleted"], deleted["dateDeleted"]);
    }
    let kept = dev.get(&format!("{path}/signatures")).expect(200).json();
    assert_eq!(kept["items"][0], signed);
    // The receipt proves who ordered exactly this.
    let file = folder.join("receipt");
    let data = data.to_str().expect("UTF-8").to_owned();
    let verify = |receipt: &str| {
        fs::write(&file, receipt).expect("written");
        run_cli(&["receipt", "verify", file.to_str().expect("UTF-8"), "--data", &data])
    };
    let output = verify(&receipt);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains(&format!("exactly this order: DELETE \"{path}\" without a body")),
        "{said}"
    );
    let mut altered = STANDARD.decode(&receipt).expect("base64");
    let at = altered.len() / 3;
    altered[at] ^= 1;
    assert_eq!(verify(&STANDARD.encode(altered)).status.code(), Some(1));
}

fn no_trace(folder: &Path, secret: &[u8]) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            no_trace(&path, secret);
        } else if let Ok(bytes) = fs::read(&path) {
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{} holds the secret", path.display());
        }
    }
}

#[test]
fn of_concurrent_deletions_one_succeeds_and_masters_go_last() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let dev = Account::developer(&server);
    // 53
    for _ in 0..5 {
        let key = dev.ed25519();
        let path = format!("/keys/{key}");
        let actions: Vec<String> = (0..4).map(|_| dev.action("DELETE", &path, "")).collect();
        let statuses: Vec<u16> = thread::scope(|scope| {
            let begun: Vec<_> = actions
                .iter()
                .map(|action| scope.spawn(|| dev.present(action, "DELETE", &path, "").status))
                .collect();
            begun.into_iter().map(|one| one.join().expect("a status")).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 404).count(), 3, "{statuses:?}");
    }
    // 53: signatures race the deletion.
    let key = dev.ed25519();
    let path = format!("/keys/{key}/signatures");
    let body = r#"{"kind":"Message","message":"0x00"}"#;
    let actions: Vec<String> = (0..24).map(|_| dev.action("POST", &path, body)).collect();
    let delete = dev.action("DELETE", &format!("/keys/{key}"), "");
    let (answers, deleted) = thread::scope(|scope| {
        let signing = scope.spawn(|| -> Vec<Answer> {
            actions.iter().map(|action| dev.present(action, "POST", &path, body)).collect()
        });
        let deleted =
            dev.present(&delete, "DELETE", &format!("/keys/{key}"), "").expect(200).json();
        (signing.join().expect("answers"), deleted)
    });
    for answer in answers {
        match answer.status {
            200 => assert!(text(&answer.json()["dateSigned"]) <= text(&deleted["dateDeleted"])),
            _ => assert_eq!(message(&answer, 404), "key not found"),
        }
    }
    // 50
    for (scheme, curve) in [("ECDSA", "secp256k1"), ("EdDSA", "ed25519"), ("ECDSA", "stark")] {
        let master = json!({"scheme": scheme, "curve": curve, "masterKey": true});
        let master = text(&dev.create(&master)["id"]);
        let child = json!({"scheme": scheme, "curve": curve, "deriveFrom": {"keyId": master}});
        let child = dev.create(&child);
        assert_eq!(child["derivedFrom"]["path"], json!("m/0"));
        let child = text(&child["id"]);
        let hash = json!({"kind": "Hash", "hash": HASH.replacen("03", "00", 1)});
        dev.sign(&child, &hash).expect(200);
        let refusal = dev.delete(&master).expect(409).json();
        assert_eq!(refusal["error"]["details"]["childKeyIds"], json!([child]));
        dev.delete(&child).expect(200);
        let again = json!({"scheme": scheme, "curve": curve,
            "deriveFrom": {"keyId": master, "path": "m/0"}});
        dev.post("/keys", &again).expect(409);
        dev.delete(&master).expect(200);
    }
}

#[test]
fn an_organization_begins_with_the_token_of_the_realm() {
    let folder = Folder::new();
    let arguments = ["--set", "door.native.realm=dev-dfns"];
    let server = Server::start_dev(&folder.join("data"), &arguments, &[]);
    let native = server.door("native", "token");
    let anyone = server.client(DOOR);
    let material = algorithm("ecdsa-p256").generate(&SystemEntropy).expect("a key");
    let pem = material.public_key().expect("a pair").to_pem();
    let body = json!({"name": "first", "publicKey": pem});
    checked(anyone.post("/lethe/organization", &body)).expect(401);
    let realm = anyone.clone().with_token(native);
    let made = checked(realm.post("/lethe/organization", &body)).expect(200).json();
    let account = Account {
        client: anyone.with_token(&text(&made["token"])),
        token: text(&made["token"]),
        cred_id: text(&made["credId"]),
        key: algorithm("ecdsa-p256").load(material.secret()).expect("a key"),
        scheme: SignatureScheme::EcdsaSha256,
    };
    account.delete(&account.ed25519()).expect(200);
    message(&checked(realm.post("/lethe/organization", &body)), 401);
    // The token of the native door opens nothing else here, nor the other way round.
    message(&checked(realm.get("/keys")), 401);
    server.native().with_token(&account.token).get("/v1/keys").expect(401);
}
