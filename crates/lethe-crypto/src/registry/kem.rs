//! Key encapsulation and key wrapping with a [`UsableKey`].

use core::fmt;

use lethe_types::{Entropy, SecretVec};

use super::UsableKey;
use crate::CryptoError;

/// Most bytes of a key that is wrapped. Any key of this build in any format has fewer.
pub const WRAPPED_PLAINTEXT_BYTES_MAX: usize = 65_536;
/// Bytes of the initial value of AES-KW (RFC 3394 section 2.2.3).
pub const INITIAL_VALUE_BYTES: usize = 8;

/// A shared secret and what takes it to the holder of the private key.
pub struct Encapsulation {
    /// For the holder of the private key; not secret.
    pub ciphertext: Vec<u8>,
    /// 32 uniform bytes that both sides have.
    pub shared_secret: SecretVec,
}

impl fmt::Debug for Encapsulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encapsulation({} bytes, ..)", self.ciphertext.len())
    }
}

impl UsableKey {
    /// A fresh shared secret for the holder of this key's private half. Needs the public half only.
    ///
    /// The library draws the message of ML-KEM itself (CTR_DRBG of SP 800-90A); the ephemeral
    /// X25519 key of a hybrid is of `entropy`.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`], [`CryptoError::Entropy`], [`CryptoError::Library`].
    pub fn encapsulate(&self, entropy: &dyn Entropy) -> Result<Encapsulation, CryptoError> {
        self.expanded().encapsulate(entropy)
    }

    /// The shared secret of a `ciphertext` that was made for this key.
    ///
    /// A ciphertext of the right length that was made for another key, or altered, gives another
    /// secret and no error (implicit rejection, FIPS 203 section 6.3): only the use of the secret
    /// shows it.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] if the algorithm does not decapsulate or the private half is
    /// not here; [`CryptoError::Invalid`] for a ciphertext of another length, or one whose X25519
    /// part is of low order.
    pub fn decapsulate(&self, ciphertext: &[u8]) -> Result<SecretVec, CryptoError> {
        self.expanded().decapsulate(ciphertext)
    }

    /// `key`, wrapped. Deterministic: it shows whether the same key was wrapped twice.
    ///
    /// AES-KW (RFC 3394) takes multiples of 8 bytes, 16 at least; AES-KWP (RFC 5649) any length
    /// from 1 on; both at most [`WRAPPED_PLAINTEXT_BYTES_MAX`].
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`]; [`CryptoError::Invalid`] for a key of another length.
    pub fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if key.len() > WRAPPED_PLAINTEXT_BYTES_MAX {
            return Err(CryptoError::Invalid("length of the key to wrap"));
        }
        self.expanded().wrap(key)
    }

    /// The key in `wrapped`.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`]; [`CryptoError::Authentication`] for everything that was not
    /// made by [`UsableKey::wrap`] with this key, other lengths included.
    pub fn unwrap(&self, wrapped: &[u8]) -> Result<SecretVec, CryptoError> {
        if wrapped.len() > WRAPPED_PLAINTEXT_BYTES_MAX + 16 {
            return Err(CryptoError::Authentication);
        }
        self.expanded().unwrap(wrapped)
    }

    /// [`UsableKey::wrap`] by AES-KW from an initial value of the caller's own instead of the
    /// standard's (RFC 3394 section 2.2.3): it binds the wrapped key to what the value stands for,
    /// and is not secret. With the standard's value the answer is that of [`UsableKey::wrap`].
    ///
    /// # Errors
    /// As [`UsableKey::wrap`]; [`CryptoError::Unsupported`] also for AES-KWP, whose value is the
    /// length of the key.
    pub fn wrap_from(
        &self,
        initial_value: &[u8; INITIAL_VALUE_BYTES],
        key: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        if key.len() > WRAPPED_PLAINTEXT_BYTES_MAX {
            return Err(CryptoError::Invalid("length of the key to wrap"));
        }
        self.expanded().wrap_from(initial_value, key)
    }

    /// The key in `wrapped`, which [`UsableKey::wrap_from`] made from the same initial value. The
    /// values are compared in constant time.
    ///
    /// # Errors
    /// As [`UsableKey::unwrap`], also for another value; [`CryptoError::Unsupported`] also for
    /// AES-KWP.
    pub fn unwrap_from(
        &self,
        initial_value: &[u8; INITIAL_VALUE_BYTES],
        wrapped: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        if wrapped.len() > WRAPPED_PLAINTEXT_BYTES_MAX + 16 {
            return Err(CryptoError::Authentication);
        }
        self.expanded().unwrap_from(initial_value, wrapped)
    }
}
