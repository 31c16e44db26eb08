//! An authenticator in software: it makes passkeys and signs with them, as a browser hands it on.
//! Every part of what it says can be said differently.

use std::cell::Cell;

use coset::cbor::value::Value as Cbor;
use coset::{AsCborValue as _, CborSerializable as _, CoseKey, CoseKeyBuilder, iana};
use lethe_crypto::SystemEntropy;
use lethe_crypto::hash::sha256;
use lethe_crypto::registry::{Algorithm, SignatureScheme, UsableKey};
use serde_json::{Value, json};

use super::support::base64url;

pub(super) const ORIGIN: &str = "http://localhost:8204";
/// User present, user verified.
pub(super) const PRESENT: u8 = 0x01;
pub(super) const VERIFIED: u8 = 0x04;

/// A passkey, and how its authenticator behaves.
pub(super) struct Passkey {
    pub(super) id: Vec<u8>,
    pub(super) key: UsableKey,
    pub(super) scheme: SignatureScheme,
    pub(super) algorithm: &'static str,
    pub(super) rp_id: String,
    pub(super) origin: String,
    pub(super) flags: u8,
    /// The counter that it says next; it stays 0 if it is 0.
    pub(super) counter: Cell<u32>,
    /// What it says whose it is.
    pub(super) user_handle: Option<String>,
}

impl Passkey {
    pub(super) fn new(name: &'static str, id: u8) -> Self {
        let scheme = match name {
            "ed25519" => SignatureScheme::Ed25519,
            "ecdsa-p256" => SignatureScheme::EcdsaSha256,
            _ => SignatureScheme::RsaPkcs1Sha256,
        };
        let algorithm = Algorithm::from_name(name).expect("an algorithm");
        let material = algorithm.generate(&SystemEntropy).expect("a key");
        let key = algorithm.load(material.secret()).expect("a key");
        Self {
            id: vec![id; 32],
            key,
            scheme,
            algorithm: name,
            rp_id: "localhost".to_owned(),
            origin: ORIGIN.to_owned(),
            flags: PRESENT | VERIFIED,
            counter: Cell::new(0),
            user_handle: None,
        }
    }

    pub(super) fn cred_id(&self) -> String {
        base64url(&self.id)
    }

    /// The public key as authenticators write it.
    pub(super) fn cose(&self) -> CoseKey {
        let public = self.key.public_key().expect("a pair");
        match self.algorithm {
            "ed25519" => CoseKeyBuilder::new_okp_key()
                .algorithm(iana::Algorithm::EdDSA)
                .param(-1, Cbor::from(6))
                .param(-2, Cbor::Bytes(public.raw().to_vec()))
                .build(),
            "ecdsa-p256" => {
                let (x, y) = public.raw()[1..].split_at(32);
                CoseKeyBuilder::new_ec2_pub_key(iana::EllipticCurve::P_256, x.to_vec(), y.to_vec())
                    .algorithm(iana::Algorithm::ES256)
                    .build()
            }
            _ => {
                // The modulus of 2,048 bits stands before the exponent 65,537, with its tag.
                let spki = public.spki_der();
                let modulus = spki[spki.len() - 261..spki.len() - 5].to_vec();
                CoseKey {
                    kty: coset::KeyType::Assigned(iana::KeyType::RSA),
                    alg: Some(coset::Algorithm::Assigned(iana::Algorithm::RS256)),
                    params: vec![
                        (coset::Label::Int(-1), Cbor::Bytes(modulus)),
                        (coset::Label::Int(-2), Cbor::Bytes(vec![1, 0, 1])),
                    ],
                    ..CoseKey::default()
                }
            }
        }
    }

    /// The beginning of authenticator data.
    pub(super) fn said(&self, flags: u8) -> Vec<u8> {
        let counter = self.counter.get();
        if counter > 0 {
            self.counter.set(counter + 1);
        }
        let hash = sha256(&[self.rp_id.as_bytes()]);
        [hash.as_slice(), &[flags], &counter.to_be_bytes()].concat()
    }

    /// Authenticator data with the new key in them.
    pub(super) fn attested(&self, cose: CoseKey) -> Vec<u8> {
        let length = u16::try_from(self.id.len()).expect("a short name");
        [
            self.said(self.flags | 0x40),
            vec![0; 16],
            length.to_be_bytes().to_vec(),
            self.id.clone(),
            cose.to_vec().expect("a key"),
        ]
        .concat()
    }

    pub(super) fn client_data(&self, kind: &str, challenge: &str) -> String {
        json!({
            "type": kind,
            "challenge": base64url(challenge),
            "origin": self.origin,
            "crossOrigin": false,
        })
        .to_string()
    }

    /// A signature over authenticator data and client data.
    pub(super) fn sign(&self, data: &[u8], client_data: &str) -> Vec<u8> {
        let message = [data, &sha256(&[client_data.as_bytes()])].concat();
        self.key.sign(Some(self.scheme), &message).expect("a signature")
    }

    /// The body of a registration.
    pub(super) fn create(&self, challenge: &str) -> Value {
        let object = attestation_object("none", Vec::new(), &self.attested(self.cose()));
        let data = self.client_data("webauthn.create", challenge);
        registration(&self.cred_id(), &data, &object)
    }

    /// The body that answers a challenge.
    pub(super) fn answer(&self, init: &Value) -> Value {
        let challenge = init["challenge"].as_str().expect("a challenge");
        let data = self.client_data("webauthn.get", challenge);
        let said = self.said(self.flags);
        let signature = self.sign(&said, &data);
        let mut assertion = json!({
            "credId": self.cred_id(),
            "clientData": base64url(&data),
            "authenticatorData": base64url(&said),
            "signature": base64url(signature),
        });
        if let Some(handle) = &self.user_handle {
            assertion["userHandle"] = json!(base64url(handle));
        }
        json!({
            "challengeIdentifier": init["challengeIdentifier"],
            "firstFactor": {"kind": "Fido2", "credentialAssertion": assertion},
        })
    }
}

/// An attestation object.
pub(super) fn attestation_object(
    format: &str,
    statement: Vec<(Cbor, Cbor)>,
    data: &[u8],
) -> Vec<u8> {
    let object = Cbor::Map(vec![
        (Cbor::from("fmt"), Cbor::from(format)),
        (Cbor::from("attStmt"), Cbor::Map(statement)),
        (Cbor::from("authData"), Cbor::Bytes(data.to_vec())),
    ]);
    cbor(&object)
}

pub(super) fn cbor(value: &Cbor) -> Vec<u8> {
    let mut bytes = Vec::new();
    coset::cbor::ser::into_writer(value, &mut bytes).expect("an item");
    bytes
}

pub(super) fn registration(cred_id: &str, client_data: &str, object: &[u8]) -> Value {
    json!({
        "credentialKind": "Fido2",
        "credentialInfo": {
            "credId": cred_id,
            "clientData": base64url(client_data),
            "attestationData": base64url(object),
        },
    })
}

/// The members of a key, to be changed.
pub(super) fn members(key: CoseKey) -> Vec<(Cbor, Cbor)> {
    key.to_cbor_value().expect("a key").into_map().expect("a map")
}
