//! What each family of algorithms can do, over the library. A file a family; nothing here knows
//! names, codes or who may do what.

pub(crate) mod aead;
pub(crate) mod ecdsa;
pub(crate) mod ed25519;
pub(crate) mod hmac;
pub(crate) mod rsa;
pub(crate) mod x25519;

use lethe_types::{Entropy, SecretVec};

use crate::CryptoError;
use crate::registry::{KeyFormat, PublicKey, SignatureScheme};

/// Makes and expands keys of one algorithm.
pub(crate) trait Family: Sync {
    /// Fresh secret material in the algorithm's encoding.
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError>;

    /// Expands material whose length was checked against the registry.
    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError>;

    /// Expands a public key from its `SubjectPublicKeyInfo`.
    fn load_public(&'static self, _spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Err(CryptoError::Unsupported("be used by its public key alone"))
    }

    /// The material that `bytes` encode. The caller loads it, so that only the encoding has to be
    /// checked here. Never called with [`KeyFormat::Pkcs8Pem`]: the registry takes off the PEM.
    fn import(&'static self, _format: KeyFormat, _bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        Err(NO_SUCH_FORMAT)
    }

    /// `material`, which was loaded before, in `format`. Never called with
    /// [`KeyFormat::Pkcs8Pem`]: the registry puts on the PEM.
    fn export(
        &'static self,
        _material: &[u8],
        _format: KeyFormat,
    ) -> Result<SecretVec, CryptoError> {
        Err(NO_SUCH_FORMAT)
    }
}

/// The functions of an expanded key. A family overrides those that its registry entry declares;
/// a test holds the two together. The contract of each is that of the method of
/// [`crate::registry::UsableKey`] of the same name.
pub(crate) trait ExpandedKey: Send + Sync {
    fn public_key(&self) -> Option<&PublicKey> {
        None
    }

    /// May leave anything after the old end of `out` on an error; the caller truncates.
    fn encrypt(
        &self,
        _entropy: &dyn Entropy,
        _plaintext: &[u8],
        _aad: &[u8],
        _out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        Err(CryptoError::Unsupported("encrypt"))
    }

    fn decrypt(&self, _data: &[u8], _aad: &[u8]) -> Result<SecretVec, CryptoError> {
        Err(CryptoError::Unsupported("decrypt"))
    }

    /// `scheme` is one that the registry lists for the algorithm.
    fn sign(&self, _scheme: SignatureScheme, _message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::Unsupported("sign"))
    }

    /// `scheme` is one that the registry lists for the algorithm.
    fn verify(
        &self,
        _scheme: SignatureScheme,
        _message: &[u8],
        _signature: &[u8],
    ) -> Result<bool, CryptoError> {
        Err(CryptoError::Unsupported("verify"))
    }

    fn mac(&self, _message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::Unsupported("compute a message authentication code"))
    }

    fn mac_verify(&self, _message: &[u8], _tag: &[u8]) -> Result<bool, CryptoError> {
        Err(CryptoError::Unsupported("check a message authentication code"))
    }

    fn agree(&self, _peer_public: &[u8]) -> Result<SecretVec, CryptoError> {
        Err(CryptoError::Unsupported("agree on a secret"))
    }

    /// The pair-wise consistency test of a key that agrees; true for a key without halves.
    fn agrees_from_both_sides(&self) -> Result<bool, CryptoError> {
        Ok(true)
    }
}

/// What a key says that has its public half alone.
const NO_PRIVATE_HALF: CryptoError = CryptoError::Unsupported("sign without its private key");

/// What a family says of a scheme that the registry should not have let through.
const NO_SUCH_SCHEME: CryptoError = CryptoError::Unsupported("sign by this signature scheme");

/// What a family says of an encoding that its keys do not have.
const NO_SUCH_FORMAT: CryptoError = CryptoError::Unsupported("be written in this key format");

/// `len` bytes of `entropy`.
fn random(entropy: &dyn Entropy, len: usize) -> Result<SecretVec, CryptoError> {
    Ok(SecretVec::try_init_with(len, |buf| entropy.fill(buf))?)
}
