//! Messages between two holders of X25519 keys: a JSON Web Token in the compact form, HS256, whose
//! key is the secret that both agree on.
//!
//! Verified over the text that came: clients order, space and escape their JSON differently.

use lethe_crypto::hash::hmac_sha256;
use lethe_types::SecretVec;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::b64;

/// Longest message that is looked at; a request has no room for a longer one.
const TEXT_BYTES_MAX: usize = 7_300;
/// The header of what the device writes.
const HEADER: &str = r#"{"ecdh":"x25519","typ":"JWT","alg":"HS256"}"#;

/// A message that was taken apart. Nothing in it is proven before [`Ejwt::is_keyed_by`] says so.
#[derive(Debug)]
pub struct Ejwt<'a> {
    signed: &'a str,
    claims: Map<String, Value>,
    tag: Vec<u8>,
}

impl<'a> Ejwt<'a> {
    /// Takes a message apart; `None` unless it has three parts, a header that names `HS256` and
    /// `x25519`, and an object of claims.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let (signed, tag) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        if claims.contains('.') {
            return None;
        }
        let header = object(header)?;
        let says =
            |name: &str, wanted: &str| header.get(name).and_then(Value::as_str) == Some(wanted);
        if !says("alg", "HS256") || !says("ecdh", "x25519") {
            return None;
        }
        Some(Self { signed, claims: object(claims)?, tag: b64::decode_url(tag)? })
    }

    /// Whether who wrote it has the shared secret.
    #[must_use]
    pub fn is_keyed_by(&self, shared: &SecretVec) -> bool {
        let tag = SecretVec::copy_from(&hmac_sha256(shared.expose(), &[self.signed.as_bytes()]));
        tag.ct_eq(&self.tag)
    }

    /// A claim that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// A claim that is a whole number from 0 on.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.claims.get(name)?.as_u64()
    }

    /// A claim that is a public key in base64.
    #[must_use]
    pub fn public_key(&self, name: &str) -> Option<[u8; 32]> {
        b64::decode_array(self.text(name)?)
    }

    /// A claim of any kind.
    pub(crate) fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&b64::decode_url(part)?).ok()
}

/// A message of the device.
pub(crate) fn write(claims: &impl Serialize, shared: &SecretVec) -> Option<String> {
    write_with(HEADER, claims, shared.expose())
}

/// A message with a header of its own.
pub(crate) fn write_with(header: &str, claims: &impl Serialize, key: &[u8]) -> Option<String> {
    let claims = serde_json::to_vec(claims).ok()?;
    let mut text = b64::encode_url(header.as_bytes());
    text.push('.');
    text.push_str(&b64::encode_url(&claims));
    let tag = hmac_sha256(key, &[text.as_bytes()]);
    text.push('.');
    text.push_str(&b64::encode_url(&tag));
    Some(text)
}
