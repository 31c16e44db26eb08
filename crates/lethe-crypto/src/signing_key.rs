//! Private signing keys as people keep them: PKCS#8 in PEM (RFC 5208, RFC 5958, RFC 7468).
//!
//! For tools at the user's side, which sign something once. Keys in a store are kept in the
//! encoding of their algorithm instead.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_types::SecretVec;

use crate::CryptoError;
use crate::registry::{Algorithm, KeyFormat, UsableKey};

/// Longest PEM file of a private key, in bytes. The largest that is taken has 400.
pub const SIGNING_KEY_PEM_BYTES_MAX: usize = 16_384;

/// The algorithms of the keys that are taken.
const ALGORITHMS: [&str; 4] = ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521"];

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// The private key in `pem`: Ed25519 (RFC 8410), or ECDSA on P-256, P-384 or P-521 (RFC 5915 in
/// PKCS#8). Nothing but white space may stand around it.
///
/// # Errors
/// [`CryptoError::Invalid`] for anything else: an encrypted key, another form, two keys.
pub fn signing_key_from_pem(pem: &SecretVec) -> Result<UsableKey, CryptoError> {
    let der = der_of(pem)?;
    for name in ALGORITHMS {
        let algorithm = Algorithm::from_name(name)
            .map_err(|_| CryptoError::Invalid("algorithm of the private key"))?;
        if let Ok(material) = algorithm.import(KeyFormat::Pkcs8Der, der.expose()) {
            return algorithm.load(material.secret());
        }
    }
    Err(CryptoError::Invalid("kind of private key: only Ed25519 and ECDSA keys are taken"))
}

/// The bytes between the lines of PEM (RFC 7468 section 3, its strict form apart from line length).
fn der_of(pem: &SecretVec) -> Result<SecretVec, CryptoError> {
    let refused = CryptoError::Invalid("private key: it must be PKCS#8 in PEM, not encrypted");
    if pem.len() > SIGNING_KEY_PEM_BYTES_MAX {
        return Err(CryptoError::Invalid("length of the private key"));
    }
    let text = core::str::from_utf8(pem.expose()).map_err(|_| refused)?.trim();
    let body = text.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)).ok_or(refused)?;
    if !body.starts_with(['\r', '\n']) {
        return Err(refused);
    }
    // Made in one piece: a buffer that grows leaves parts of the key behind.
    let mut base64 = Vec::with_capacity(body.len());
    base64.extend(body.bytes().filter(|byte| !b"\r\n".contains(byte)));
    let base64 = SecretVec::from_vec(base64);
    STANDARD.decode(base64.expose()).map(SecretVec::from_vec).map_err(|_| refused)
}
