//! The door for clients of the Dfns Keys API over real sockets: its conformance cases, by their
//! numbers, and what outlives a kill. What each case leaves out is in the door's own tests.

use std::fs;
use std::path::Path;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lethe_crypto::SystemEntropy;
use lethe_crypto::aead::SealKey;
use lethe_crypto::kdf::hkdf_sha256;
use lethe_crypto::registry::{Algorithm, KeyFormat, SignatureScheme, UsableKey};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Answer, Client};
use crate::process::{Folder, Server, run_cli};

const DOOR: &str = "dfns";
const ED25519: &str = r#"{"scheme":"EdDSA","curve":"ed25519"}"#;
const INVALID: &str = "user action signature is missing or invalid";

/// Somebody with a token and the key that signs for it.
struct Account {
    client: Client,
    token: String,
    cred_id: String,
    key: UsableKey,
    scheme: SignatureScheme,
}

fn algorithm(name: &str) -> Algorithm {
    Algorithm::from_name(name).expect("an algorithm of this build")
}

impl Account {
    /// That of `dev.json`.
    fn developer(server: &Server) -> Self {
        let ed25519 = algorithm("ed25519");
        let pem = server.door(DOOR, "private_key_pem");
        let material = ed25519.import(KeyFormat::Pkcs8Pem, pem.as_bytes()).expect("a key");
        let token = server.door(DOOR, "auth_token").to_owned();
        Self {
            client: server.client(DOOR).with_token(&token),
            token,
            cred_id: server.door(DOOR, "credential_id").to_owned(),
            key: ed25519.load(material.secret()).expect("a key"),
            scheme: SignatureScheme::Ed25519,
        }
    }

    /// A new service account with that kind of key and these operations; all if there are none.
    fn service(
        &self,
        name: &str,
        kind: &str,
        scheme: SignatureScheme,
        operations: &[&str],
    ) -> Self {
        let material = algorithm(kind).generate(&SystemEntropy).expect("a key");
        let pem = material.public_key().expect("a pair").to_pem();
        let permission = match operations {
            [] => self.get("/permissions").expect(200).json()["items"][0]["id"].clone(),
            some => {
                let body = json!({"name": name, "operations": some});
                self.post("/permissions", &body).expect(200).json()["id"].clone()
            }
        };
        let body = json!({"name": name, "publicKey": pem, "permissionId": permission});
        let made = self.post("/auth/service-accounts", &body).expect(200).json();
        let token = text(&made["accessTokens"][0]["accessToken"]);
        Self {
            client: self.client.clone().with_token(&token),
            token,
            cred_id: text(&made["accessTokens"][0]["credId"]),
            key: algorithm(kind).load(material.secret()).expect("a key"),
            scheme,
        }
    }

    fn get(&self, path: &str) -> Answer {
        checked(self.client.get(path))
    }

    fn init(&self, method: &str, path: &str, payload: &str) -> Value {
        let body = json!({"userActionPayload": payload, "userActionHttpMethod": method,
            "userActionHttpPath": path, "userActionServerKind": "Api"});
        checked(self.client.post("/auth/action/init", &body)).expect(200).json()
    }

    fn answer(&self, init: &Value) -> Value {
        let data = format!(r#"{{"type":"key.get","challenge":{}}}"#, init["challenge"]);
        let signature = self.key.sign(Some(self.scheme), data.as_bytes()).expect("a signature");
        json!({"challengeIdentifier": init["challengeIdentifier"], "firstFactor": {"kind": "Key",
            "credentialAssertion": {"credId": self.cred_id,
                "clientData": URL_SAFE_NO_PAD.encode(&data),
                "signature": URL_SAFE_NO_PAD.encode(signature)}}})
    }

    fn action(&self, method: &str, path: &str, payload: &str) -> String {
        let body = self.answer(&self.init(method, path, payload));
        text(&checked(self.client.post("/auth/action", &body)).expect(200).json()["userAction"])
    }

    /// Presents a signed action.
    fn present(&self, action: &str, method: &str, path: &str, body: &str) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let headers = [("x-dfns-useraction", action), ("content-type", "application/json")];
        checked(self.client.send(method, path, &headers, body.as_bytes()))
    }

    fn signed(&self, method: &str, path: &str, body: &str) -> Answer {
        self.present(&self.action(method, path, body), method, path, body)
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.signed("POST", path, &body.to_string())
    }

    fn delete(&self, key: &str) -> Answer {
        self.signed("DELETE", &format!("/keys/{key}"), "")
    }

    fn create(&self, body: &Value) -> Value {
        self.post("/keys", body).expect(200).json()
    }

    fn ed25519(&self) -> String {
        text(&self.signed("POST", "/keys", ED25519).expect(200).json()["id"])
    }

    fn sign(&self, key: &str, body: &Value) -> Answer {
        self.post(&format!("/keys/{key}/signatures"), body)
    }
}

/// Every answer is JSON, with an identifier, and an error has the envelope.
#[track_caller]
fn checked(answer: Answer) -> Answer {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-request-id").is_some());
    if answer.status >= 400 {
        assert_eq!(answer.json()["error"]["status"], json!(answer.status));
    }
    answer
}

#[track_caller]
fn message(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    text(&answer.json()["error"]["message"])
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.trim_start_matches("0x").as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).expect("hex"), 16).expect("hex"))
        .collect()
}

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
    let good = json!({"userActionPayload": "", "userActionHttpMethod": "POST", "userActionHttpPath": "/keys"});
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

/// A key as the shares of a library that splits keys: of a polynomial that is the same everywhere,
/// so that every share is the scalar.
fn imported(dev: &Account, scalar: &str, protocol: &str, curve: &str, kind: &str) -> Value {
    let material = algorithm(kind).import(KeyFormat::Raw, &bytes(scalar)).expect("a scalar");
    let public = material.public_key().expect("a pair").raw().to_vec();
    let public: String = public.iter().map(|byte| format!("{byte:02x}")).collect();
    let signers = dev.get("/signers").expect(200).json();
    let signers = signers["clusters"][0]["signers"].as_array().expect("signers").clone();
    let point = json!({"curve": curve, "point": public});
    let share = json!({"version": 1, "secret_share": {"curve": curve, "scalar": scalar},
        "public_shares": vec![point; signers.len()]});
    let shares: Vec<Value> = signers
        .iter()
        .map(|signer| {
            let key = STANDARD.decode(text(&signer["encryptionKey"])).expect("base64");
            let sealed = sealed(&key[1..], share.to_string().into_bytes());
            json!({"signerId": signer["signerId"], "encryptedKeyShare": sealed})
        })
        .collect();
    let body = json!({"curve": curve, "protocol": protocol, "minSigners": 3,
        "encryptedKeyShares": shares});
    dev.post("/keys/import", &body).expect(200).json()
}

fn sealed(recipient: &[u8], mut body: Vec<u8>) -> String {
    let agrees = algorithm("ecdh-secp256k1");
    let ephemeral = agrees.generate(&SystemEntropy).expect("a key");
    let public = ephemeral.public_key().and_then(|public| public.sec1_compressed());
    let loaded = agrees.load(ephemeral.secret()).expect("a key");
    let point = loaded.agree_on_point(recipient).expect("a point");
    let key = hkdf_sha256(b"DFNS_KEY_IMPORT", point.expose(), &[b"ENCRYPTION_KEY"]).expect("a key");
    let tag = SealKey::new(&key).seal_in_place([0; 12], b"", &mut body).expect("sealed");
    body.extend_from_slice(&tag);
    body.extend_from_slice(&public.expect("a point"));
    STANDARD.encode(body)
}

/// The published vectors.
const SCALAR: &str = "957def5eef6774357ede0ddab7252ca498c55b0415aa69c7454f56211cb4c6bc";
const HASH: &str = "031edd7d41651593c5fe5c006fa5752b37fddff7bc4e843aa6af0c950f4b9406";

#[test]
fn signatures_are_those_of_the_published_vectors() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let dev = Account::developer(&server);
    // 43
    let key = imported(&dev, SCALAR, "CGGMP24", "secp256k1", "ecdsa-secp256k1");
    assert_eq!(key["imported"], json!(true));
    let public = "039cc806ebfe69db8fbf4b1f8172f1da6909a23dc3c5e149cb26951629ab08c836";
    assert_eq!(key["publicKey"], json!(public));
    let key = text(&key["id"]);
    // 35
    let expected = json!({
        "r": "0xa15b6bd9624d5d1f58bc49390212b19d86e2ec36736406097925eee0b3802aab",
        "s": "0x11cd72213f6d45463e2d856d2bb45d372a2bc278c7ce742fcab4afce97e3b2f8",
        "recid": 1,
    });
    for hash in [HASH.to_owned(), format!("0x{HASH}"), HASH.to_uppercase()] {
        let signed = dev.sign(&key, &json!({"kind": "Hash", "hash": hash})).expect(200).json();
        assert_eq!(signed["signature"], expected);
    }
    message(&dev.sign(&key, &json!({"kind": "Hash", "hash": &HASH[2..]})), 400);
    // 38
    let personal = json!({"kind": "Eip191", "message": "0x49206c6f76652044666e73"});
    let signed = dev.sign(&key, &personal).expect(200).json()["signature"].clone();
    let (r, s) = (text(&signed["r"]), text(&signed["s"]));
    assert_eq!(r, "0x218087f04b7acd0f7d9a6dc878aef904b956d44adb7549303eb4fb101447cb5c");
    assert_eq!(signed["encoded"], json!(format!("{r}{}1b", &s[2..])));
    let authorization = json!({"kind": "Eip7702", "chainId": 1, "nonce": 0,
        "address": "0xcea43594f38316f0e01c161d8dabde0a07a1f512"});
    let signed = dev.sign(&key, &authorization).expect(200).json()["signature"].clone();
    let r = "0x276d38ba44389b559abe7fda81d4d7a6db2a13031ecac84baed60f5497c2861a";
    assert_eq!(signed["r"], json!(r));
    // 37
    let schnorr = imported(&dev, SCALAR, "FROST_BITCOIN", "secp256k1", "bip340-secp256k1");
    let schnorr = text(&schnorr["id"]);
    let root = "799a04ec1676eb17f6792c74bbd3482bb9063e1274a084903d0bef83c5414231";
    for (root, r) in [
        ("", "0xf9d95063c0cc7cae9821821b8218d0a76556399751e15d16bc6dd130a8c26e4a"),
        (root, "0x413283a5299f49170c8484586db996833dc9917a28df629f19280f4c0458e1a5"),
    ] {
        let body = json!({"kind": "Hash", "hash": HASH, "taprootMerkleRoot": root});
        let signed = dev.sign(&schnorr, &body).expect(200).json();
        assert_eq!(signed["signature"]["r"], json!(r));
        assert_eq!(signed["signature"].get("recid"), None);
    }
    message(&dev.sign(&schnorr, &json!({"kind": "Hash", "hash": HASH})), 400);
    // 40
    let named = json!({"kind": "Hash", "hash": HASH, "externalId": "order 1"});
    let first = dev.sign(&key, &named).expect(200).json();
    assert_eq!(dev.sign(&key, &named).expect(200).json(), first);
    let other = json!({"kind": "Message", "blockchainKind": "Evm", "message": "0x00",
        "externalId": "order 1"});
    let refusal = dev.sign(&key, &other).expect(409).json();
    assert_eq!(refusal["error"]["details"]["duplicate"]["id"], first["id"]);
    // 41
    let path = format!("/keys/{key}/signatures/{}", text(&first["id"]));
    assert_eq!(dev.get(&path).expect(200).json()["requestBody"], named);
    message(&dev.get(&path.replace(&key, &schnorr)), 404);
    let listed = dev.get(&format!("/keys/{key}/signatures")).expect(200).json();
    assert_eq!(
        (listed["keyId"].clone(), listed["items"].as_array().map(Vec::len)),
        (json!(key), Some(6))
    );
    // 44
    let recipient = algorithm("ecdh-secp256k1").generate(&SystemEntropy).expect("a key");
    let point =
        recipient.public_key().and_then(|public| public.sec1_compressed()).expect("a point");
    let encryption_key = STANDARD.encode([&[1], point.as_slice()].concat());
    let with = |protocol: &str| {
        json!({"encryptionKey": encryption_key,
            "supportedSchemes": [{"protocol": protocol, "curve": "secp256k1"}]})
    };
    let path = format!("/keys/{key}/export");
    message(&dev.post(&path, &with("FROST_BITCOIN")), 400);
    let exported = dev.post(&path, &with("CGGMP21")).expect(200).json();
    assert_eq!(exported["publicKey"], json!(public));
    assert_eq!(exported["minSigners"], json!(3));
    let shown = dev.get(&format!("/keys/{key}")).expect(200).json();
    assert_eq!(shown["exported"], json!(true));
    dev.post(&path, &with("CGGMP21")).expect(200);
    let again = dev.get(&format!("/keys/{key}")).expect(200).json();
    assert_eq!(again["dateExported"], shown["dateExported"]);
    let deleted = dev.delete(&key).expect(200).json();
    assert_eq!(deleted["dateExported"], shown["dateExported"]);
    // Derived outputs, by a key that is made for nothing else.
    let agrees = imported(&dev, SCALAR, "GLOW20_DH", "secp256k1", "ecdh-secp256k1");
    let body = json!({"domain": "0x64666e733a646f63756d656e746174696f6e3a6b65795f646572697665",
        "seed": "0x64616e69656c2e6a696e4064666e732e636f"});
    let derived = dev.post(&format!("/keys/{}/derive", text(&agrees["id"])), &body);
    let output = "0x707c7949061070324fb04635cf5c8b462b0e915a7005dceb2c05fa7be1cc7ed7";
    assert_eq!(derived.expect(200).json(), json!({"output": output}));
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
