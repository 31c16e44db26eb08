//! How keys are written: PKCS#8, SEC 1, PKCS#1, SubjectPublicKeyInfo, PEM and JWK.
//!
//! Parsers are strict: one encoding for one value, nothing after the end. They know forms, not
//! arithmetic: whether a point lies on its curve is for the library of the family to say.

pub(crate) mod curve;
pub(crate) mod der;
pub(crate) mod fixed_der;
pub(crate) mod jwk;
pub(crate) mod pem;

use lethe_types::SecretVec;

use crate::CryptoError;

/// Most bytes of a key in any form that is parsed here. The longest, PKCS#8 in PEM of an expanded
/// ML-DSA-87 key with its seed, has about 6,800.
pub const KEY_FORM_BYTES_MAX: usize = 16_384;

/// What a family says of a form that its keys do not have.
pub(crate) const NO_SUCH_FORM: CryptoError = CryptoError::Unsupported("be written in this form");

/// A secret of `parts` one after another, in one allocation that is never grown.
pub(crate) fn joined(parts: &[&[u8]]) -> SecretVec {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    SecretVec::from_vec(bytes)
}
