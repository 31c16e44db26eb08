//! Convergent encryption: the same plaintext in the same context gives the same ciphertext
//! under one key, so that equal values can be found without being decrypted.
//!
//! `okm = HKDF-SHA-256[salt = none, info = context](key, 64)`; the first 32 bytes are a key of
//! AES-256-GCM, the other 32 a key of HMAC-SHA-256. The nonce is the first 12 bytes of the HMAC of
//! the plaintext. Written `nonce (12) || ciphertext || tag (16)`, no associated data.
//!
//! **What it gives away**: whoever holds two ciphertexts of one key and context sees whether the
//! plaintexts are equal, and whoever may encrypt can test guesses. Nonces repeat for equal
//! plaintexts alone, up to a chance of 2^-32 after 2^32 different plaintexts of a context (SP
//! 800-38D section 8.3): a collision of two nonces would break both messages and the
//! authentication.

use core::fmt;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::hmac;
use lethe_types::{Secret, SecretVec};

use crate::CryptoError;
use crate::aead::{NONCE_BYTES, TAG_BYTES};
use crate::algorithms::cipher::{lay_out, open, seal};
use crate::kdf::OkmLen;
use crate::registry::EncryptParams;

/// Bytes of what is derived of a context.
const OKM_BYTES: usize = 64;

/// A key from which the keys of contexts are derived. Holds the state of HKDF after the key,
/// not the key.
pub struct ConvergentMaster(Prk);

impl ConvergentMaster {
    /// Extracts from `key`, 32 bytes of the random source.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(Salt::none(HKDF_SHA256).extract(key))
    }

    /// The key of `context`.
    ///
    /// # Errors
    /// [`CryptoError::Library`] if the library refuses; it has no reason to.
    pub fn derive(&self, context: &[u8]) -> Result<ConvergentContext, CryptoError> {
        let failed = CryptoError::Library("derive");
        let info = [context];
        let okm = self.0.expand(&info, OkmLen(OKM_BYTES)).map_err(|_| failed)?;
        let okm = Secret::try_init_with(|okm_bytes: &mut [u8; OKM_BYTES]| okm.fill(okm_bytes))
            .map_err(|_| failed)?;
        let (key, mac) = okm.expose().split_at(OKM_BYTES / 2);
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| failed)?;
        let mac = hmac::Key::new(hmac::HMAC_SHA256, mac);
        Ok(ConvergentContext { key: LessSafeKey::new(key), mac })
    }
}

impl fmt::Debug for ConvergentMaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConvergentMaster(..)")
    }
}

/// The two keys of one context.
pub struct ConvergentContext {
    key: LessSafeKey,
    mac: hmac::Key,
}

impl ConvergentContext {
    /// Appends `nonce || ciphertext || tag` to `out`.
    ///
    /// # Errors
    /// [`CryptoError::Library`]; `out` is then as long as before.
    pub fn encrypt(&self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), CryptoError> {
        let before = out.len();
        let tag = hmac::sign(&self.mac, plaintext);
        let nonce: &[u8; NONCE_BYTES] =
            tag.as_ref().first_chunk().ok_or(CryptoError::Library("derive a nonce"))?;
        let (_, sealed) = lay_out(out, nonce, plaintext.len(), TAG_BYTES);
        let result = seal(&self.key, *nonce, &EncryptParams::default(), plaintext, sealed);
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    /// The plaintext of `data`, which is as [`ConvergentContext::encrypt`] writes it.
    ///
    /// # Errors
    /// [`CryptoError::Authentication`] for another key or context, for altered or short data.
    pub fn decrypt(&self, data: &[u8]) -> Result<SecretVec, CryptoError> {
        let refused = CryptoError::Authentication;
        let (nonce, sealed) = data.split_first_chunk::<NONCE_BYTES>().ok_or(refused)?;
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(refused)?;
        self.decrypt_parts(nonce, ciphertext, tag)
    }

    pub(crate) fn decrypt_parts(
        &self,
        nonce: &[u8],
        ciphertext: &[u8],
        tag: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        let nonce = nonce.try_into().map_err(|_| CryptoError::Authentication)?;
        open(&self.key, nonce, &[], ciphertext, tag)
    }
}

impl fmt::Debug for ConvergentContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConvergentContext(..)")
    }
}
