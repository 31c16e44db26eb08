//! Sealed values: ciphertexts that open only in the place they were made for.
//!
//! Format 1: `u8 version = 1 || nonce (12) || ciphertext || tag (16)`, AES-256-GCM with a random
//! nonce. The associated data is the place; what is sealed cannot be moved to another record, field
//! or tenant, not even by one who can write the store.

use lethe_types::{Entropy, SecretVec};
use zeroize::Zeroizing;

use crate::CryptoError;
use crate::aead::{NONCE_BYTES, SealKey, TAG_BYTES};

/// First byte of a sealed value.
const VERSION: u8 = 1;
/// First part of the associated data: no other use of AES-256-GCM in Lethe starts with it.
const DOMAIN: &[u8] = b"lethe-sealed/v1";

/// Bytes that a sealed value has more than its plaintext.
pub const SEALED_OVERHEAD_BYTES: usize = 1 + NONCE_BYTES + TAG_BYTES;

/// Where a sealed value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The kind of thing, as in `credential`.
    pub kind: &'static str,
    /// The realm it belongs to; zeroes for what belongs to the server itself.
    pub realm: &'a [u8; 16],
    /// The thing.
    pub id: &'a [u8; 16],
    /// Which of its values.
    pub field: &'static str,
}

impl Place<'_> {
    /// Every part behind its length (`u32`, big-endian), so that no two places read the same.
    fn associated_data(&self) -> Vec<u8> {
        let parts = [DOMAIN, self.kind.as_bytes(), self.realm, self.id, self.field.as_bytes()];
        let bytes = parts.iter().map(|part| size_of::<u32>() + part.len()).sum();
        let mut aad = Vec::with_capacity(bytes);
        for part in parts {
            let length = u32::try_from(part.len()).expect("the names of places are short literals");
            aad.extend_from_slice(&length.to_be_bytes());
            aad.extend_from_slice(part);
        }
        aad
    }
}

/// Seals `plaintext` for `place`.
///
/// # Errors
/// [`CryptoError::Entropy`] or [`CryptoError::Library`]; nothing is kept.
pub fn seal(
    key: &SealKey,
    place: Place<'_>,
    entropy: &dyn Entropy,
    plaintext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let mut nonce = [0; NONCE_BYTES];
    entropy.fill(&mut nonce)?;
    let mut sealed = Zeroizing::new(Vec::with_capacity(plaintext.len() + SEALED_OVERHEAD_BYTES));
    sealed.push(VERSION);
    sealed.extend_from_slice(&nonce);
    let start = sealed.len();
    sealed.extend_from_slice(plaintext);
    let (_, data) = sealed.split_at_mut(start);
    let tag = key.seal_in_place(nonce, &place.associated_data(), data)?;
    sealed.extend_from_slice(&tag);
    Ok(core::mem::take(&mut *sealed))
}

/// The plaintext of a value that [`seal`] made for the same `place`.
///
/// # Errors
/// [`CryptoError::Invalid`] for bytes that no version of this format could be;
/// [`CryptoError::Authentication`] for another key, another place or altered bytes.
pub fn open(key: &SealKey, place: Place<'_>, sealed: &[u8]) -> Result<SecretVec, CryptoError> {
    let malformed = CryptoError::Invalid("sealed value");
    let Some((&VERSION, rest)) = sealed.split_first() else { return Err(malformed) };
    let (nonce, data) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(malformed)?;
    let plaintext_bytes = data.len().checked_sub(TAG_BYTES).ok_or(malformed)?;
    let mut buffer = Zeroizing::new(data.to_vec());
    key.open_in_place(*nonce, &place.associated_data(), &mut buffer)?;
    buffer.truncate(plaintext_bytes);
    Ok(SecretVec::from_vec(core::mem::take(&mut *buffer)))
}
