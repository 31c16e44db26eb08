//! Drives the door with the client of the Rust registry, `dfns-sdk-rust`, unmodified. What the
//! server signs is verified by libsecp256k1 and ed25519-dalek.
//!
//! Use: `cargo run -- DEV_JSON`. Writes one line of JSON: how many checks passed, and which did
//! not.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use dfns_sdk_rust::error::Error;
use dfns_sdk_rust::keys::types::{
    CreateKeyRequest, CreateKeyResponse, DeriveKeyRequest, ListKeysQuery, ListSignaturesQuery,
    UpdateKeyRequest,
};
use dfns_sdk_rust::signer::{
    CredentialAssertion, CredentialAssertionData, UserActionChallenge, UserActionSigner,
};
use dfns_sdk_rust::types::{KeyCurve, KeyScheme};
use dfns_sdk_rust::{DfnsClient, Options};
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, PublicKey, Scalar, XOnlyPublicKey, schnorr};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The signer that the client leaves to its user.
struct KeySigner {
    credential: String,
    key: SigningKey,
}

#[async_trait]
impl UserActionSigner for KeySigner {
    async fn sign(&self, challenge: &UserActionChallenge) -> Result<CredentialAssertion, Error> {
        let data = json!({"type": "key.get", "challenge": challenge.challenge}).to_string();
        Ok(CredentialAssertion {
            kind: "Key".to_owned(),
            credential_assertion: CredentialAssertionData {
                cred_id: self.credential.clone(),
                signature: BASE64URL.encode(self.key.sign(data.as_bytes()).to_bytes()),
                client_data: BASE64URL.encode(data),
            },
        })
    }
}

#[derive(Default)]
struct Checks {
    passed: u32,
    failed: Vec<Value>,
}

impl Checks {
    fn that(&mut self, name: &str, is_right: bool, shown: impl std::fmt::Debug) {
        if is_right {
            self.passed += 1;
        } else {
            let shown: String = format!("{shown:?}").chars().take(600).collect();
            self.failed.push(json!({"check": name, "shown": shown}));
        }
    }

    /// The client reads the envelope of errors as text.
    fn refused<T: std::fmt::Debug>(
        &mut self,
        name: &str,
        want: (u16, &str),
        answer: Result<T, Error>,
    ) {
        let is_right = matches!(&answer, Err(Error::ApiRaw { status, raw })
            if *status == want.0 && raw.contains(want.1));
        self.that(name, is_right, answer);
    }
}

fn client(dev: &Value, signer: Option<Arc<dyn UserActionSigner>>) -> DfnsClient {
    let door = &dev["doors"]["dfns"];
    let text = |name: &str| door[name].as_str().expect("dev.json has it").to_owned();
    let options =
        Options { base_url: text("http_url"), auth_token: text("auth_token"), signer, http: None };
    DfnsClient::new(options).expect("a loopback address")
}

fn wanted(scheme: KeyScheme, curve: KeyCurve) -> CreateKeyRequest {
    CreateKeyRequest {
        scheme,
        curve,
        name: Some("von Rust é".to_owned()),
        master_key: None,
        derive_from: None,
        store_id: None,
        delegate_to: None,
        delay_delegation: None,
    }
}

/// Both halves of a signature.
fn halves(signature: &Value) -> [u8; 64] {
    let half = |name: &str| hex::decode(&signature[name].as_str().expect("a half")[2..]).unwrap();
    [half("r"), half("s")].concat().try_into().expect("64 bytes")
}

fn is_ecdsa(signature: &Value, digest: &[u8; 32], public: &str) -> bool {
    let recid = RecoveryId::try_from(signature["recid"].as_i64().unwrap_or(9) as i32);
    let Ok(recid) = recid else { return false };
    let signature = RecoverableSignature::from_compact(&halves(signature), recid).unwrap();
    let mut low = signature.to_standard();
    low.normalize_s();
    let secp = secp256k1::Secp256k1::verification_only();
    let recovered = secp.recover_ecdsa(Message::from_digest(*digest), &signature).unwrap();
    low == signature.to_standard() && hex::encode(recovered.serialize()) == public
}

fn is_schnorr(signature: &Value, hash: &[u8; 32], public: &str, root: &[u8]) -> bool {
    let public: PublicKey = public.parse().expect("a compressed point");
    let (x, _): (XOnlyPublicKey, _) = public.x_only_public_key();
    let tag: [u8; 32] = Sha256::digest(b"TapTweak").into();
    let parts = [&tag, &tag, &x.serialize(), root].concat();
    let tweak = Scalar::from_be_bytes(Sha256::digest(parts).into()).unwrap();
    let secp = secp256k1::Secp256k1::verification_only();
    let (output, _) = x.add_tweak(&secp, &tweak).unwrap();
    let signature = schnorr::Signature::from_byte_array(halves(signature));
    secp.verify_schnorr(&signature, hash, &output).is_ok()
}

fn is_eddsa(signature: &Value, message: &[u8], public: &str) -> bool {
    let public: [u8; 32] = hex::decode(public).unwrap().try_into().unwrap();
    let key = VerifyingKey::from_bytes(&public).unwrap();
    key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&halves(signature))).is_ok()
}

async fn signed(dfns: &DfnsClient, key: &CreateKeyResponse, body: Value) -> Result<Value, Error> {
    let answer = dfns.keys.generate_signature(key.id.clone(), body).await?;
    Ok(answer.signature.unwrap_or_default())
}

async fn run(dev: &Value, checks: &mut Checks) -> Result<(), Error> {
    let door = &dev["doors"]["dfns"];
    let key = SigningKey::from_pkcs8_pem(door["private_key_pem"].as_str().unwrap()).unwrap();
    let credential = door["credential_id"].as_str().unwrap().to_owned();
    let dfns = client(dev, Some(Arc::new(KeySigner { credential: credential.clone(), key })));
    let hash: [u8; 32] = Sha256::digest(b"hash").into();
    let body = json!({"kind": "Hash", "hash": hex::encode(hash)});

    let ecdsa = dfns.keys.create_key(wanted(KeyScheme::ECDSA, KeyCurve::Secp256k1)).await?;
    let eddsa = dfns.keys.create_key(wanted(KeyScheme::EdDSA, KeyCurve::Ed25519)).await?;
    let taproot = dfns.keys.create_key(wanted(KeyScheme::Schnorr, KeyCurve::Secp256k1)).await?;
    let stark = dfns.keys.create_key(wanted(KeyScheme::ECDSA, KeyCurve::Stark)).await?;
    checks.that("names", ecdsa.name.as_deref() == Some("von Rust é"), &ecdsa);
    let refused = dfns.keys.create_key(wanted(KeyScheme::Schnorr, KeyCurve::Stark)).await;
    checks.refused("no such pair", (400, "curve"), refused);

    let signature = signed(&dfns, &ecdsa, body.clone()).await?;
    checks.that("ECDSA", is_ecdsa(&signature, &hash, &ecdsa.public_key), &signature);
    let message = json!({"kind": "Message", "message": "0xc0ffee"});
    let signature = signed(&dfns, &eddsa, message).await?;
    checks.that("EdDSA", is_eddsa(&signature, &[0xc0, 0xff, 0xee], &eddsa.public_key), &signature);
    for root in [&[][..], &hash] {
        let mut body = body.clone();
        body["taprootMerkleRoot"] = json!(hex::encode(root));
        let signature = signed(&dfns, &taproot, body).await?;
        let is_right = is_schnorr(&signature, &hash, &taproot.public_key, root);
        checks.that("Schnorr", is_right, &signature);
    }
    let low = json!({"kind": "Hash", "hash": "01".repeat(32)});
    let signature = signed(&dfns, &stark, low).await?;
    checks.that("Stark", signature["recid"].is_u64(), &signature);
    let psbt = signed(&dfns, &ecdsa, json!({"kind": "Psbt", "psbt": "00"})).await;
    checks.refused("Psbt", (400, "is not supported by this server"), psbt);

    let mut network = body.clone();
    network["network"] = json!("EthereumSepolia");
    let answer = dfns.keys.generate_signature(ecdsa.id.clone(), network).await?;
    checks.that("network", answer.network.is_some() && answer.status == "Signed", &answer);
    let again = dfns.keys.get_signature(ecdsa.id.clone(), answer.id.clone()).await?;
    checks.that("get_signature", again.signature == answer.signature, &again);
    let query = ListSignaturesQuery { limit: Some(1), pagination_token: None };
    let page = dfns.keys.list_signatures(ecdsa.id.clone(), Some(query)).await?;
    let is_right = page.key_id == ecdsa.id && page.items.len() == 1;
    checks.that("list_signatures", is_right && page.next_page_token.is_some(), &page);

    derivation(&dfns, checks, &ecdsa, &hash).await?;

    let renamed = UpdateKeyRequest { name: Value::Null };
    let renamed = dfns.keys.update_key(ecdsa.id.clone(), renamed).await?;
    checks.that("update_key", renamed.name.is_none(), &renamed);
    let query = ListKeysQuery { limit: Some(1), pagination_token: None, owner: None };
    let listed = dfns.keys.list_keys(Some(query)).await;
    // The client knows three of the four schemes: a list with the fourth fails in it.
    let knows_all = listed.is_ok() || matches!(listed, Err(Error::Transport(_) | Error::Serde(_)));
    checks.that("list_keys", knows_all, &listed);
    let unsigned = client(dev, None).keys.delete_key(ecdsa.id.clone()).await;
    checks.that("no signer", matches!(unsigned, Err(Error::SignerRequired)), unsigned);
    let stranger = KeySigner { credential, key: SigningKey::from_bytes(&[7; 32]) };
    let stranger = client(dev, Some(Arc::new(stranger))).keys.delete_key(ecdsa.id.clone()).await;
    checks.refused("another private key", (401, "does not have a credential"), stranger);

    let gone = dfns.keys.delete_key(ecdsa.id.clone()).await?;
    let is_right = gone.status == "Archived" && gone.date_deleted.is_some();
    checks.that("delete_key", is_right, &gone);
    let after = dfns.keys.get_key(ecdsa.id.clone()).await?;
    checks.that("what remains", after.date_deleted == gone.date_deleted, &after);
    let twice = dfns.keys.delete_key(ecdsa.id.clone()).await;
    checks.refused("deleted once", (404, "key not found"), twice);
    let signature = signed(&dfns, &ecdsa, body).await;
    checks.refused("no signature after it", (404, "key not found"), signature);
    Ok(())
}

async fn derivation(
    dfns: &DfnsClient,
    checks: &mut Checks,
    ecdsa: &CreateKeyResponse,
    hash: &[u8; 32],
) -> Result<(), Error> {
    let body = json!({"kind": "Hash", "hash": hex::encode(hash)});
    let mut master = wanted(KeyScheme::EdDSA, KeyCurve::Ed25519);
    master.master_key = Some(true);
    let master = dfns.keys.create_key(master).await?;
    let mut child = wanted(KeyScheme::EdDSA, KeyCurve::Ed25519);
    child.derive_from = Some(json!({"keyId": master.id, "path": "m/1/2"}));
    let derived = dfns.keys.create_key(child.clone()).await?;
    let signature = signed(dfns, &derived, body).await?;
    checks.that("derived", is_eddsa(&signature, hash, &derived.public_key), &signature);
    checks.refused("a path twice", (409, "path"), dfns.keys.create_key(child).await);
    let refused = dfns.keys.delete_key(master.id.clone()).await;
    checks.refused("a parent", (409, "key has derived keys"), refused);
    let derive = DeriveKeyRequest { domain: "01".to_owned(), seed: "02".to_owned() };
    let refused = dfns.keys.derive_key(ecdsa.id.clone(), derive).await;
    checks.refused("no output", (400, "DH"), refused);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let path = std::env::args().nth(1).expect("a path to dev.json");
    let text = std::fs::read_to_string(path).expect("dev.json");
    let dev: Value = serde_json::from_str(&text).expect("dev.json is JSON");
    let mut checks = Checks::default();
    if let Err(error) = run(&dev, &mut checks).await {
        checks.that("it ran", false, error);
    }
    println!("{}", json!({"passed": checks.passed, "failed": checks.failed}));
    std::process::exit(i32::from(!checks.failed.is_empty()));
}
