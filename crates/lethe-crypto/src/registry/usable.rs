//! An expanded key, ready for use.

use core::fmt;

use lethe_types::{Entropy, SecretVec};

use super::{Algorithm, OaepHash, PublicKey, SignRequest, Signature, SignatureScheme, Use};
use crate::CryptoError;
use crate::algorithms::ExpandedKey;

/// A key that was expanded once and can be used by many threads at once.
///
/// Wiping: the expanded parts of ciphers and key pairs live in memory of the library, which
/// overwrites what it frees. The state of HMAC is a plain value of the library: it is overwritten
/// where it is dropped, but the moves while it is expanded can leave copies on the stack.
///
/// `Debug` names the algorithm and nothing else. A use that the algorithm does not have answers
/// [`CryptoError::Unsupported`].
pub struct UsableKey {
    algorithm: Algorithm,
    key: Box<dyn ExpandedKey>,
}

impl UsableKey {
    pub(crate) fn new(algorithm: Algorithm, key: Box<dyn ExpandedKey>) -> Self {
        Self { algorithm, key }
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key; `None` for a symmetric key.
    #[must_use]
    pub fn public_key(&self) -> Option<&PublicKey> {
        self.key.public_key()
    }

    /// Appends `nonce (12) || ciphertext || tag (16)` to `out`; the nonce is 96 bits of `entropy`.
    /// RSA appends the ciphertext of OAEP with SHA-256, `aad` being the label.
    ///
    /// Allocates nothing but room in `out`. At most [`super::ENCRYPTIONS_PER_KEY_MAX`] times a key.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`], [`CryptoError::Entropy`], or [`CryptoError::Library`]; `out`
    /// is then as long as before.
    pub fn encrypt(
        &self,
        entropy: &dyn Entropy,
        plaintext: &[u8],
        aad: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let before = out.len();
        let result = self.key.encrypt(entropy, plaintext, aad, out);
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    /// The plaintext of `data`, which is `nonce || ciphertext || tag` as [`UsableKey::encrypt`]
    /// makes it. Allocates the answer alone.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`], or [`CryptoError::Authentication`] for everything that was not
    /// made with this key and `aad`, data too short for a nonce and a tag included.
    pub fn decrypt(&self, data: &[u8], aad: &[u8]) -> Result<SecretVec, CryptoError> {
        self.key.decrypt(data, aad)
    }

    /// The signature of `message` by `scheme`, or by the algorithm's default scheme.
    ///
    /// ECDSA nonces on NIST curves and PSS salts are drawn by the library itself. ECDSA on
    /// secp256k1 and the Stark curve takes the nonces of RFC 6979, so that it repeats itself.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] if the algorithm does not sign, has no such scheme, or the
    /// private half is not here; [`CryptoError::Library`].
    pub fn sign(
        &self,
        scheme: Option<SignatureScheme>,
        message: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let request = SignRequest { scheme, ..SignRequest::message(message) };
        self.sign_with(&request).map(|signature| signature.bytes)
    }

    /// [`UsableKey::sign`] with all that a request can carry: a digest instead of a message, a
    /// context, auxiliary randomness, another salt.
    ///
    /// # Errors
    /// As [`UsableKey::sign`]; [`CryptoError::Unsupported`] for a part of the request that the
    /// scheme has no use for, [`CryptoError::Invalid`] for one of a length or value that it
    /// refuses.
    pub fn sign_with(&self, request: &SignRequest<'_>) -> Result<Signature, CryptoError> {
        self.key.sign_with(self.scheme(request.scheme, "sign")?, request)
    }

    /// Whether `signature` is this key's over `message` by `scheme` or the default scheme. A
    /// malformed signature is not valid; it is not an error.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] if the algorithm does not sign or has no such scheme.
    pub fn verify(
        &self,
        scheme: Option<SignatureScheme>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        let request = SignRequest { scheme, ..SignRequest::message(message) };
        self.verify_with(&request, signature)
    }

    /// [`UsableKey::verify`] with all that a request can carry.
    ///
    /// # Errors
    /// As [`UsableKey::sign_with`], for the request; never for the signature.
    pub fn verify_with(
        &self,
        request: &SignRequest<'_>,
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        self.key.verify_with(self.scheme(request.scheme, "verify")?, request, signature)
    }

    /// RSAES-OAEP (RFC 8017 section 7.1) of `plaintext` under `label`.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`]; [`CryptoError::Invalid`] for a plaintext that is longer than
    /// the modulus less two hashes and two bytes; [`CryptoError::Library`].
    pub fn encrypt_oaep(
        &self,
        hash: OaepHash,
        label: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.key.encrypt_oaep(hash, label, plaintext)
    }

    /// The plaintext of [`UsableKey::encrypt_oaep`]. What is wrong with a ciphertext is not told,
    /// by the answer or by its time.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] if the algorithm does not decrypt so or the private half is not
    /// here; [`CryptoError::Authentication`].
    pub fn decrypt_oaep(
        &self,
        hash: OaepHash,
        label: &[u8],
        ciphertext: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        self.key.decrypt_oaep(hash, label, ciphertext)
    }

    /// The output key of BIP-341 (x only) to this key tweaked by `merkle_root`, which is empty or
    /// 32 bytes: the one under which signatures by `bip340-taproot` verify.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] if the key is not on secp256k1; [`CryptoError::Invalid`] for a
    /// root of another length.
    pub fn taproot_output_key(&self, merkle_root: &[u8]) -> Result<[u8; 32], CryptoError> {
        self.key.taproot_output_key(merkle_root)
    }

    /// The compressed point (33 bytes) that this key's scalar makes of `message` hashed to
    /// secp256k1 under the tag `domain`, by `secp256k1_XMD:SHA-256_SSWU_RO_` (RFC 9380 section
    /// 8.7): the evaluation of a verifiable pseudo-random function. Secret.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] if the key is not on secp256k1 or the private half is not here;
    /// [`CryptoError::Invalid`] for an empty domain.
    pub fn agree_with_hashed(
        &self,
        domain: &[u8],
        message: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        self.must_agree()?;
        self.key.agree_with_hashed(domain, message)
    }

    /// The message authentication code of `message`, at full length.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`].
    pub fn mac(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.key.mac(message)
    }

    /// Whether `tag` is the code of `message`, in time that does not depend on where they differ. A
    /// truncated tag is not valid.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`].
    pub fn mac_verify(&self, message: &[u8], tag: &[u8]) -> Result<bool, CryptoError> {
        self.key.mac_verify(message, tag)
    }

    /// The secret that this key and the raw public key `peer_public` agree on: the `x` coordinate
    /// at full length on Weierstrass curves, whose points may be compressed. It is not uniform:
    /// derive keys from it with [`crate::kdf::hkdf_sha256`].
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`], or [`CryptoError::Invalid`] for a public key of another
    /// length, off the curve, or of low order, which would give the all-zero secret (RFC 7748
    /// section 6.1).
    pub fn agree(&self, peer_public: &[u8]) -> Result<SecretVec, CryptoError> {
        self.must_agree()?;
        self.key.agree(peer_public)
    }

    /// Tries both halves of a fresh pair against each other.
    ///
    /// # Errors
    /// [`CryptoError::Library`] if they do not belong together.
    pub(crate) fn check_pair(&self) -> Result<(), CryptoError> {
        let consistent = match self.algorithm.default_scheme() {
            Some(scheme) => {
                let message = b"lethe-pairwise-consistency/v1";
                let request = SignRequest::message(message);
                let signature = self.key.sign_with(scheme, &request)?;
                self.key.verify_with(scheme, &request, &signature.bytes)?
            }
            None => self.key.agrees_from_both_sides()?,
        };
        if consistent { Ok(()) } else { Err(CryptoError::Library("make a consistent key pair")) }
    }

    /// One family serves algorithms that agree and others that do not.
    fn must_agree(&self) -> Result<(), CryptoError> {
        if self.algorithm.has(Use::Agree) {
            Ok(())
        } else {
            Err(CryptoError::Unsupported("agree on a secret"))
        }
    }

    fn scheme(
        &self,
        wanted: Option<SignatureScheme>,
        verb: &'static str,
    ) -> Result<SignatureScheme, CryptoError> {
        let default = self.algorithm.default_scheme().ok_or(CryptoError::Unsupported(verb))?;
        let scheme = wanted.unwrap_or(default);
        if self.algorithm.schemes().contains(&scheme) {
            Ok(scheme)
        } else {
            Err(CryptoError::Unsupported("sign by this signature scheme"))
        }
    }
}

impl fmt::Debug for UsableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UsableKey({}, ..)", self.algorithm.name())
    }
}
