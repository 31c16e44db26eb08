//! AES-256-GCM for everything that Lethe seals for itself: tree nodes, key records, slot images.

use core::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use lethe_types::Secret;

use crate::CryptoError;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 12;
/// Bytes of a tag.
pub const TAG_BYTES: usize = 16;

/// An expanded AES-256-GCM key (SP 800-38D). The library wipes its schedule on drop.
pub struct SealKey(LessSafeKey);

impl SealKey {
    /// Expands `key`.
    #[must_use]
    pub fn new(key: &Secret<32>) -> Self {
        let unbound = UnboundKey::new(&AES_256_GCM, key.expose());
        Self(LessSafeKey::new(unbound.expect("AES-256 takes every key of 32 bytes")))
    }

    /// Encrypts `data` in place and returns the tag.
    ///
    /// The caller answers for `nonce`: random, and never used before with this key.
    ///
    /// # Errors
    /// [`CryptoError::Library`]; `data` must then be thrown away.
    pub fn seal_in_place(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], CryptoError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(aad), data)
            .map_err(|_| CryptoError::Library("seal"))?;
        tag.as_ref().try_into().map_err(|_| CryptoError::Library("make a tag of 16 bytes"))
    }

    /// Decrypts `data` (ciphertext followed by its tag) in place and returns the plaintext part of
    /// it.
    ///
    /// # Errors
    /// [`CryptoError::Authentication`]; `data` then holds nothing of the plaintext.
    pub fn open_in_place<'a>(
        &self,
        nonce: [u8; NONCE_BYTES],
        aad: &[u8],
        data: &'a mut [u8],
    ) -> Result<&'a mut [u8], CryptoError> {
        self.0
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), data)
            .map_err(|_| CryptoError::Authentication)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}
