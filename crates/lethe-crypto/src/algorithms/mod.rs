//! What each family of algorithms can do, over the library. A file a family; nothing here knows
//! names, codes or who may do what.

pub(crate) mod aead;
pub(crate) mod block_mode;
pub(crate) mod cipher;
pub(crate) mod convergent;
pub(crate) mod ecdsa;
pub(crate) mod ed25519;
mod fixed_der;
pub(crate) mod hmac;
pub(crate) mod hmac_sha3;
mod jwk;
pub(crate) mod key_wrap;
pub(crate) mod ml_dsa;
pub(crate) mod ml_kem;
mod octets;
pub(crate) mod rsa;
pub(crate) mod x25519;
pub(crate) mod x_wing;
pub(crate) mod xchacha;

use lethe_types::{Entropy, SecretVec};

use crate::CryptoError;
use crate::registry::{
    CipherParts, CipherShape, DecryptParams, Encapsulation, EncryptParams, KeyFormat, PublicKey,
    SignatureScheme,
};

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

    /// What the family's ciphers take and make; `None` if it does not encrypt.
    fn cipher_shape(&self) -> Option<CipherShape> {
        None
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
        entropy: &dyn Entropy,
        plaintext: &[u8],
        aad: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let params = EncryptParams { aad, ..EncryptParams::default() };
        self.encrypt_with(entropy, &params, plaintext, out).map(drop)
    }

    fn decrypt(&self, data: &[u8], aad: &[u8]) -> Result<SecretVec, CryptoError> {
        self.decrypt_with(&DecryptParams { aad, ..DecryptParams::default() }, data)
    }

    /// May leave anything after the old end of `out` on an error; the caller truncates.
    fn encrypt_with(
        &self,
        _entropy: &dyn Entropy,
        _params: &EncryptParams<'_>,
        _plaintext: &[u8],
        _out: &mut Vec<u8>,
    ) -> Result<CipherParts, CryptoError> {
        Err(CryptoError::Unsupported("encrypt"))
    }

    fn decrypt_with(
        &self,
        _params: &DecryptParams<'_>,
        _data: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        Err(CryptoError::Unsupported("decrypt"))
    }

    fn encapsulate(&self, _entropy: &dyn Entropy) -> Result<Encapsulation, CryptoError> {
        Err(CryptoError::Unsupported("encapsulate a secret"))
    }

    fn decapsulate(&self, _ciphertext: &[u8]) -> Result<SecretVec, CryptoError> {
        Err(CryptoError::Unsupported("decapsulate a secret"))
    }

    fn wrap(&self, _key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::Unsupported("wrap a key"))
    }

    fn unwrap(&self, _wrapped: &[u8]) -> Result<SecretVec, CryptoError> {
        Err(CryptoError::Unsupported("unwrap a key"))
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

/// Expands material of a right length.
type Expand = fn(&[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError>;

/// What a key says that has its public half alone.
const NO_PRIVATE_HALF: CryptoError = CryptoError::Unsupported("sign without its private key");

/// What an encapsulation key says that has its public half alone.
const NO_DECAPSULATION_KEY: CryptoError =
    CryptoError::Unsupported("decapsulate a secret without its private key");

/// What a family says of a scheme that the registry should not have let through.
const NO_SUCH_SCHEME: CryptoError = CryptoError::Unsupported("sign by this signature scheme");

/// What a family says of an encoding that its keys do not have.
const NO_SUCH_FORMAT: CryptoError = CryptoError::Unsupported("be written in this key format");

/// `len` bytes of `entropy`.
fn random(entropy: &dyn Entropy, len: usize) -> Result<SecretVec, CryptoError> {
    Ok(SecretVec::try_init_with(len, |buf| entropy.fill(buf))?)
}
