//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): 192 bits of nonce, so that random nonces do not
//! collide at any number of encryptions.
//!
//! `HChaCha20` of the `chacha20` crate (the cipher itself was audited by NCC Group in 2020, at an
//! earlier version) derives a key from the first 16 bytes of the nonce; ChaCha20-Poly1305 of the
//! library does the rest, as section 2.3 of the draft says.

use aws_lc_rs::aead::{CHACHA20_POLY1305, LessSafeKey, UnboundKey};
use chacha20::{R20, hchacha};
use lethe_types::{Entropy, Secret, SecretVec};
use zeroize::Zeroize;

use super::cipher::{check_request, choose_nonce, lay_out, never_derived, open, seal, split};
use super::{ExpandedKey, Family, octets, random};
use crate::CryptoError;
use crate::aead::{NONCE_BYTES, TAG_BYTES};
use crate::registry::{CipherParts, CipherShape, DecryptParams, EncryptParams, KeyFormat};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
const XCHACHA_NONCE_BYTES: usize = 24;
/// Bytes of a nonce that go into the derived key.
const DERIVING_BYTES: usize = 16;

const SHAPE: CipherShape = CipherShape {
    is_authenticated: true,
    nonce_bytes: XCHACHA_NONCE_BYTES,
    explicit_nonce_bytes: &[XCHACHA_NONCE_BYTES],
    tag_bytes: TAG_BYTES,
    padding: None,
    is_deterministic_allowed: false,
};

pub(crate) struct XChaCha20Poly1305;

impl Family for XChaCha20Poly1305 {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, KEY_BYTES)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let key = Secret::try_init_with(|key: &mut [u8; KEY_BYTES]| {
            let refused = CryptoError::Invalid("length of the key material");
            key.copy_from_slice(material.first_chunk::<KEY_BYTES>().ok_or(refused)?);
            Ok::<_, CryptoError>(())
        })?;
        Ok(Box::new(XChaChaKey(key)))
    }

    fn cipher_shape(&self) -> Option<CipherShape> {
        Some(SHAPE)
    }

    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        octets::import(None, format, bytes)
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        octets::export(None, format, material)
    }
}

struct XChaChaKey(Secret<KEY_BYTES>);

impl XChaChaKey {
    /// The key and the nonce of ChaCha20-Poly1305 for one nonce.
    fn derive(&self, nonce: &[u8]) -> Result<(LessSafeKey, [u8; NONCE_BYTES]), CryptoError> {
        let refused = CryptoError::Invalid("length of the nonce");
        let (first, last) = nonce.split_first_chunk::<DERIVING_BYTES>().ok_or(refused)?;
        let last: &[u8; 8] = last.try_into().map_err(|_| refused)?;
        let mut derived = hchacha::<R20>(self.0.expose().into(), first.into());
        let key = UnboundKey::new(&CHACHA20_POLY1305, &derived);
        derived.zeroize();
        let key = key.map_err(|_| CryptoError::Library("derive a key"))?;
        let mut nonce = [0; NONCE_BYTES];
        let (_, tail) = nonce.split_at_mut(NONCE_BYTES - last.len());
        tail.copy_from_slice(last);
        Ok((LessSafeKey::new(key), nonce))
    }
}

impl ExpandedKey for XChaChaKey {
    fn encrypt_with(
        &self,
        entropy: &dyn Entropy,
        params: &EncryptParams<'_>,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<CipherParts, CryptoError> {
        check_request(&SHAPE, params.aad, params.padding)?;
        let nonce = choose_nonce(&SHAPE, entropy, params.nonce, never_derived)?;
        let (key, inner_nonce) = self.derive(nonce.as_slice())?;
        let (parts, sealed) = lay_out(out, nonce.as_slice(), plaintext.len(), TAG_BYTES);
        seal(&key, inner_nonce, params, plaintext, sealed)?;
        Ok(parts)
    }

    fn decrypt_with(
        &self,
        params: &DecryptParams<'_>,
        data: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        check_request(&SHAPE, params.aad, params.padding)?;
        let found = split(&SHAPE, params, data)?;
        let (key, inner_nonce) = self.derive(found.nonce)?;
        open(&key, inner_nonce, params.aad, found.ciphertext, found.tag)
    }
}
