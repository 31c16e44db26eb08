//! Ed25519 (RFC 8032) for signed notes: the log's own signing key, made from a 32-byte seed.

use core::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use lethe_types::Secret;

use crate::CryptoError;

/// A signing key from its seed. The library wipes it on drop.
pub struct NoteSigningKey {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl NoteSigningKey {
    /// The key of `seed`.
    ///
    /// # Errors
    /// [`CryptoError::Invalid`] if the library refuses the seed.
    pub fn from_seed(seed: &Secret<32>) -> Result<Self, CryptoError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose())
            .map_err(|_| CryptoError::Invalid("Ed25519 seed"))?;
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| CryptoError::Library("give a public key of 32 bytes"))?;
        Ok(Self { pair, public })
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public
    }

    /// The 64-byte signature of `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature = self.pair.sign(message);
        signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }
}

impl fmt::Debug for NoteSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoteSigningKey(..)")
    }
}

/// Whether `signature` is `public_key`'s over `message`.
#[must_use]
pub fn verify(public_key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key).verify(message, signature).is_ok()
}
