//! A client that signs what it asks for, as the vendor's do.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lethe_crypto::SystemEntropy;
use lethe_crypto::aead::SealKey;
use lethe_crypto::kdf::hkdf_sha256;
use lethe_crypto::registry::{Algorithm, KeyFormat, SignatureScheme, UsableKey};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Answer, Client};
use crate::process::Server;

pub(super) const DOOR: &str = "dfns";
pub(super) const ED25519: &str = r#"{"scheme":"EdDSA","curve":"ed25519"}"#;

/// Somebody with a token and the key that signs for it.
pub(super) struct Account {
    pub(super) client: Client,
    pub(super) token: String,
    pub(super) cred_id: String,
    pub(super) key: UsableKey,
    pub(super) scheme: SignatureScheme,
}

pub(super) fn algorithm(name: &str) -> Algorithm {
    Algorithm::from_name(name).expect("an algorithm of this build")
}

impl Account {
    /// That of `dev.json`.
    pub(super) fn developer(server: &Server) -> Self {
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
    pub(super) fn service(
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

    pub(super) fn get(&self, path: &str) -> Answer {
        checked(self.client.get(path))
    }

    pub(super) fn init(&self, method: &str, path: &str, payload: &str) -> Value {
        let body = json!({"userActionPayload": payload, "userActionHttpMethod": method,
            "userActionHttpPath": path, "userActionServerKind": "Api"});
        checked(self.client.post("/auth/action/init", &body)).expect(200).json()
    }

    pub(super) fn answer(&self, init: &Value) -> Value {
        let data = format!(r#"{{"type":"key.get","challenge":{}}}"#, init["challenge"]);
        let signature = self.key.sign(Some(self.scheme), data.as_bytes()).expect("a signature");
        json!({"challengeIdentifier": init["challengeIdentifier"], "firstFactor": {"kind": "Key",
            "credentialAssertion": {"credId": self.cred_id,
                "clientData": URL_SAFE_NO_PAD.encode(&data),
                "signature": URL_SAFE_NO_PAD.encode(signature)}}})
    }

    pub(super) fn action(&self, method: &str, path: &str, payload: &str) -> String {
        let body = self.answer(&self.init(method, path, payload));
        text(&checked(self.client.post("/auth/action", &body)).expect(200).json()["userAction"])
    }

    /// Presents a signed action.
    pub(super) fn present(&self, action: &str, method: &str, path: &str, body: &str) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let headers = [("x-dfns-useraction", action), ("content-type", "application/json")];
        checked(self.client.send(method, path, &headers, body.as_bytes()))
    }

    pub(super) fn signed(&self, method: &str, path: &str, body: &str) -> Answer {
        self.present(&self.action(method, path, body), method, path, body)
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Answer {
        self.signed("POST", path, &body.to_string())
    }

    pub(super) fn delete(&self, key: &str) -> Answer {
        self.signed("DELETE", &format!("/keys/{key}"), "")
    }

    pub(super) fn create(&self, body: &Value) -> Value {
        self.post("/keys", body).expect(200).json()
    }

    pub(super) fn ed25519(&self) -> String {
        text(&self.signed("POST", "/keys", ED25519).expect(200).json()["id"])
    }

    pub(super) fn sign(&self, key: &str, body: &Value) -> Answer {
        self.post(&format!("/keys/{key}/signatures"), body)
    }
}

/// Every answer is JSON, with an identifier, and an error has the envelope.
#[track_caller]
pub(super) fn checked(answer: Answer) -> Answer {
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-request-id").is_some());
    if answer.status >= 400 {
        assert_eq!(answer.json()["error"]["status"], json!(answer.status));
    }
    answer
}

#[track_caller]
pub(super) fn message(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    text(&answer.json()["error"]["message"])
}

#[track_caller]
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

pub(super) fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.trim_start_matches("0x").as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).expect("hex"), 16).expect("hex"))
        .collect()
}

/// A key as the shares of a library that splits keys: of a polynomial that is the same everywhere,
/// so that every share is the scalar.
pub(super) fn imported(
    dev: &Account,
    scalar: &str,
    protocol: &str,
    curve: &str,
    kind: &str,
) -> Value {
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

pub(super) fn sealed(recipient: &[u8], mut body: Vec<u8>) -> String {
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
