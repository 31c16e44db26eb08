//! Convergent AES-256-GCM as an algorithm of its own: see [`crate::convergent`]. The associated
//! data of the interface is the context, so that a key cannot be used in any other way.

use lethe_types::{Entropy, SecretVec};

use super::cipher::split;
use super::{ExpandedKey, Family, octets, random};
use crate::CryptoError;
use crate::aead::{NONCE_BYTES, TAG_BYTES};
use crate::convergent::ConvergentMaster;
use crate::registry::{CipherParts, CipherShape, DecryptParams, EncryptParams, KeyFormat, Nonce};

const SHAPE: CipherShape = CipherShape {
    is_authenticated: true,
    nonce_bytes: NONCE_BYTES,
    explicit_nonce_bytes: &[NONCE_BYTES],
    tag_bytes: TAG_BYTES,
    padding: None,
    is_deterministic_allowed: true,
};

pub(crate) struct ConvergentAes256Gcm;

impl Family for ConvergentAes256Gcm {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, 32)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(ConvergentKey(ConvergentMaster::new(material))))
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

struct ConvergentKey(ConvergentMaster);

impl ExpandedKey for ConvergentKey {
    fn encrypt_with(
        &self,
        _entropy: &dyn Entropy,
        params: &EncryptParams<'_>,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<CipherParts, CryptoError> {
        super::cipher::check_request(&SHAPE, params.aad, params.padding)?;
        let context = match params.nonce {
            // What `encrypt` asks for. This cipher draws nothing: its nonce is always derived.
            Nonce::Random => params.aad,
            Nonce::Deterministic { context } if params.aad.is_empty() => context,
            Nonce::Deterministic { .. } => {
                return Err(CryptoError::Unsupported("authenticate associated data"));
            }
            Nonce::Explicit(_) => {
                return Err(CryptoError::Unsupported("encrypt with a nonce of the caller's"));
            }
        };
        let start = out.len();
        self.0.derive(context)?.encrypt(plaintext, out)?;
        Ok(CipherParts::at(start, NONCE_BYTES, plaintext.len(), TAG_BYTES))
    }

    fn decrypt_with(
        &self,
        params: &DecryptParams<'_>,
        data: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        super::cipher::check_request(&SHAPE, params.aad, params.padding)?;
        let found = split(&SHAPE, params, data)?;
        self.0.derive(params.aad)?.decrypt_parts(found.nonce, found.ciphertext, found.tag)
    }
}
