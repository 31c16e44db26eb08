//! What each family of algorithms can do, over the library. A file a family; nothing here knows
//! names, codes or who may do what.

pub(crate) mod additive;
pub(crate) mod aead;
pub(crate) mod aes;
pub(crate) mod block_mode;
pub(crate) mod cipher;
pub(crate) mod convergent;
mod digest;
pub(crate) mod ecdsa;
pub(crate) mod ed25519;
pub(crate) mod ed25519_expanded;
pub(crate) mod ed448;
pub(crate) mod eddsa25519;
pub(crate) mod extended;
pub(crate) mod hmac;
pub(crate) mod hmac_sha3;
pub(crate) mod key_wrap;
pub(crate) mod ml_dsa;
mod ml_dsa_context;
pub(crate) mod ml_kem;
mod octets;
pub(crate) mod rsa;
mod rsa_form;
pub(crate) mod secp256k1;
#[cfg(feature = "stark")]
pub(crate) mod stark;
pub(crate) mod x25519;
pub(crate) mod x448;
pub(crate) mod x_wing;
pub(crate) mod xchacha;

use lethe_types::{Entropy, SecretVec};

use crate::CryptoError;
use crate::encoding::NO_SUCH_FORM;
use crate::encoding::curve::CurveForm;
use crate::registry::{
    CipherParts, CipherShape, DecryptParams, DerivationPath, Encapsulation, EncryptParams,
    KeyFormat, OaepHash, PublicFormat, PublicKey, SignInput, SignRequest, Signature,
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

    /// What the family's ciphers take and make; `None` if it does not encrypt by a block or stream
    /// cipher.
    fn cipher_shape(&self) -> Option<CipherShape> {
        None
    }

    /// Whether a request names the mode of the block cipher.
    fn takes_modes(&self) -> bool {
        false
    }

    /// Material of the key that `bytes` hold. The caller loads it, so that only the form has to be
    /// checked here. Forms in PEM do not come here.
    fn import(&'static self, _format: KeyFormat, _bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        Err(NO_SUCH_FORM)
    }

    /// `material`, which [`Family::load`] accepts, in another form. Forms in PEM do not come here.
    fn export(
        &'static self,
        _material: &[u8],
        _format: KeyFormat,
    ) -> Result<SecretVec, CryptoError> {
        Err(NO_SUCH_FORM)
    }

    /// The public key that `bytes` hold, checked. Forms in PEM do not come here.
    fn import_public(
        &'static self,
        _format: PublicFormat,
        _bytes: &[u8],
    ) -> Result<PublicKey, CryptoError> {
        Err(NO_SUCH_FORM)
    }

    /// The JWK of a public key of this family.
    fn public_jwk(&'static self, _public: &PublicKey) -> Result<SecretVec, CryptoError> {
        Err(NO_SUCH_FORM)
    }

    /// Material of the master key of `seed`.
    fn master(&'static self, _seed: &[u8]) -> Result<SecretVec, CryptoError> {
        Err(NO_CHILDREN)
    }

    /// Material of the descendant of `parent` at `path`.
    fn derive_child(
        &'static self,
        _parent: &[u8],
        _path: &DerivationPath,
    ) -> Result<SecretVec, CryptoError> {
        Err(NO_CHILDREN)
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

    fn wrap_from(&self, _initial_value: &[u8; 8], _key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::Unsupported("wrap a key from an initial value of the caller"))
    }

    fn unwrap_from(
        &self,
        _initial_value: &[u8; 8],
        _wrapped: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        Err(CryptoError::Unsupported("unwrap a key from an initial value of the caller"))
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

    /// [`ExpandedKey::sign`] with all that a request can carry. `scheme` is one that the registry
    /// lists for the algorithm. A family that knows nothing beyond messages leaves it as it is.
    fn sign_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
    ) -> Result<Signature, CryptoError> {
        Ok(Signature::plain(self.sign(scheme, message_alone(request)?)?))
    }

    /// [`ExpandedKey::verify`] with all that a request can carry.
    fn verify_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        self.verify(scheme, message_alone(request)?, signature)
    }

    fn encrypt_oaep(
        &self,
        _hash: OaepHash,
        _label: &[u8],
        _plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::Unsupported("encrypt by OAEP"))
    }

    fn decrypt_oaep(
        &self,
        _hash: OaepHash,
        _label: &[u8],
        _ciphertext: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        Err(CryptoError::Unsupported("decrypt by OAEP"))
    }

    fn taproot_output_key(&self, _merkle_root: &[u8]) -> Result<[u8; 32], CryptoError> {
        Err(CryptoError::Unsupported("be tweaked for taproot"))
    }

    fn agree_with_hashed(&self, _domain: &[u8], _message: &[u8]) -> Result<SecretVec, CryptoError> {
        Err(CryptoError::Unsupported("agree with a hashed point"))
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

    fn agree_on_point(&self, _peer_public: &[u8]) -> Result<SecretVec, CryptoError> {
        Err(CryptoError::Unsupported("agree on a point"))
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

/// What a key says that derives no others.
const NO_CHILDREN: CryptoError = CryptoError::Unsupported("derive other keys");

/// What an encapsulation key says that has its public half alone.
const NO_DECAPSULATION_KEY: CryptoError =
    CryptoError::Unsupported("decapsulate a secret without its private key");

/// What a family says of a scheme that the registry should not have let through.
const NO_SUCH_SCHEME: CryptoError = CryptoError::Unsupported("sign by this signature scheme");

/// `len` bytes of `entropy`.
pub(crate) fn random(entropy: &dyn Entropy, len: usize) -> Result<SecretVec, CryptoError> {
    Ok(SecretVec::try_init_with(len, |buf| entropy.fill(buf))?)
}

/// The message of a request that carries nothing else.
fn message_alone<'a>(request: &SignRequest<'a>) -> Result<&'a [u8], CryptoError> {
    match request.input {
        SignInput::Message(message) if request.is_bare() => Ok(message),
        SignInput::Message(_) | SignInput::Digest(_) => Err(NOTHING_BESIDE_MESSAGE),
    }
}

/// What a scheme says of a digest, context, salt or randomness that it has no use for.
const NOTHING_BESIDE_MESSAGE: CryptoError =
    CryptoError::Unsupported("take a digest or parameters with this signature scheme");

/// Imports a key whose material is its raw private key; `public_of` computes the public key.
fn import_plain(
    form: &CurveForm,
    format: KeyFormat,
    bytes: &[u8],
    public_of: impl FnOnce(&[u8]) -> Result<PublicKey, CryptoError>,
) -> Result<SecretVec, CryptoError> {
    let read = form.read(format, bytes)?;
    let public = public_of(read.private.expose())?;
    read.matching(&public)
}
