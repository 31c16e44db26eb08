//! AES-GCM (SP 800-38D) and ChaCha20-Poly1305 (RFC 8439) with random 96-bit nonces.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use lethe_types::{Entropy, SecretVec};

use super::{ExpandedKey, Family, random};
use crate::CryptoError;
use crate::aead::{NONCE_BYTES, TAG_BYTES};

pub(crate) static AES_128_GCM: Aead = Aead(&aead::AES_128_GCM);
pub(crate) static AES_256_GCM: Aead = Aead(&aead::AES_256_GCM);
pub(crate) static CHACHA20_POLY1305: Aead = Aead(&aead::CHACHA20_POLY1305);

/// One cipher of the library. All of them take 12 bytes of nonce and make 16 bytes of tag.
pub(crate) struct Aead(&'static aead::Algorithm);

impl Family for Aead {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, self.0.key_len())
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let key = UnboundKey::new(self.0, material)
            .map_err(|_| CryptoError::Invalid("length of the key material"))?;
        Ok(Box::new(AeadKey(LessSafeKey::new(key))))
    }
}

/// The expanded schedule, in one allocation of the library.
struct AeadKey(LessSafeKey);

impl ExpandedKey for AeadKey {
    fn encrypt(
        &self,
        entropy: &dyn Entropy,
        plaintext: &[u8],
        aad: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce)?;
        out.reserve(NONCE_BYTES + plaintext.len() + TAG_BYTES);
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.resize(start + plaintext.len() + TAG_BYTES, 0);
        let (_, sealed) = out.split_at_mut(start);
        let (ciphertext, tag) = sealed.split_at_mut(plaintext.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        // From the caller's buffer straight into the answer: the plaintext is not copied.
        self.0
            .seal_out_of_place_scatter(nonce, Aad::from(aad), plaintext, ciphertext, &[], tag)
            .map_err(|_| CryptoError::Library("encrypt"))
    }

    fn decrypt(&self, data: &[u8], aad: &[u8]) -> Result<SecretVec, CryptoError> {
        let refused = CryptoError::Authentication;
        let (nonce, sealed) = data.split_first_chunk::<NONCE_BYTES>().ok_or(refused)?;
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(refused)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        SecretVec::try_init_with(ciphertext.len(), |plaintext| {
            self.0
                .open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, plaintext)
                .map_err(|_| refused)
        })
    }
}
