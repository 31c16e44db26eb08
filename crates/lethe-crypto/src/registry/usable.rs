//! An expanded key, ready for use.

use core::fmt;

use lethe_types::{Entropy, SecretVec};
use subtle::ConstantTimeEq;

use super::{
    Algorithm, CipherMode, CipherParts, DecryptParams, EncryptParams, OaepHash, PublicKey,
    SignRequest, Signature, SignatureScheme, Use,
};
use crate::CryptoError;
use crate::algorithms::ExpandedKey;

/// Least bytes of a truncated message authentication code (SP 800-107 section 5.3.3 asks for less;
/// 128 bits leave nothing to think about).
pub const MAC_TAG_BYTES_MIN: usize = 16;

/// A key that was expanded once and can be used by many threads at once.
///
/// Wiping: the expanded parts of ciphers and key pairs live in memory of the library, which
/// overwrites what it frees. The states of HMAC, of the block modes and of what comes from other
/// crates are plain values: they are overwritten where they are dropped, but the moves while they
/// are expanded can leave copies on the stack. The library frees its copy of the shared secret of
/// ML-KEM without overwriting it.
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

    pub(crate) fn expanded(&self) -> &dyn ExpandedKey {
        self.key.as_ref()
    }

    /// Appends `nonce || ciphertext || tag` to `out`; the nonce is of `entropy`. Lengths of nonce
    /// and tag are those of [`Algorithm::cipher_shape`].
    /// RSA appends the ciphertext of OAEP with SHA-256, `aad` being the label.
    ///
    /// Allocates nothing but room in `out`. At most [`super::ENCRYPTIONS_PER_KEY_MAX`] times a key.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`], also for associated data with a cipher that does not
    /// authenticate; [`CryptoError::Invalid`] for a plaintext of a length that the cipher does not
    /// take (AES-ECB); [`CryptoError::Entropy`]; [`CryptoError::Library`]. `out` is then as long as
    /// before.
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

    /// Encrypts as `params` say. Appends `nonce || ciphertext || tag` to `out`, the nonce also when
    /// it was given, and tells where each lies: a caller that keeps them apart takes slices.
    ///
    /// Allocates nothing but room in `out`.
    ///
    /// # Errors
    /// As [`UsableKey::encrypt`]; [`CryptoError::Invalid`] also for an explicit nonce of another
    /// length than [`Algorithm::cipher_shape`] lists; [`CryptoError::Unsupported`] also for a
    /// padding or a way to a nonce that the cipher does not have.
    pub fn encrypt_with(
        &self,
        entropy: &dyn Entropy,
        params: &EncryptParams<'_>,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<CipherParts, CryptoError> {
        self.check_mode(params.mode)?;
        let before = out.len();
        let result = self.key.encrypt_with(entropy, params, plaintext, out);
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
    /// made with this key and `aad`, data too short for a nonce and a tag included. A cipher that
    /// does not authenticate (see [`Algorithm::cipher_shape`]) notices lengths and paddings alone.
    pub fn decrypt(&self, data: &[u8], aad: &[u8]) -> Result<SecretVec, CryptoError> {
        self.key.decrypt(data, aad)
    }

    /// The plaintext of `data`; `params` say where nonce and tag are. Allocates the answer alone.
    ///
    /// Whether a padding is right is found in time that does not depend on it, and a wrong padding
    /// answers as a wrong length does. Still, who may ask whether a ciphertext *without
    /// authentication* has a right padding can decrypt it: the layer above must not offer that.
    ///
    /// # Errors
    /// As [`UsableKey::decrypt`]; [`CryptoError::Invalid`] for a separate nonce or tag of another
    /// length, and for an unpadded ciphertext that is not whole blocks.
    pub fn decrypt_with(
        &self,
        params: &DecryptParams<'_>,
        data: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        self.check_mode(params.mode)?;
        self.key.decrypt_with(params, data)
    }

    fn check_mode(&self, mode: Option<CipherMode>) -> Result<(), CryptoError> {
        if mode.is_none() || self.algorithm.family().takes_modes() {
            return Ok(());
        }
        Err(CryptoError::Unsupported("choose the mode of its cipher"))
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

    /// As [`UsableKey::mac_verify`] for a tag that was cut to its first `tag_bytes` bytes, from
    /// [`MAC_TAG_BYTES_MIN`] to the full length. A tag of any other length than `tag_bytes` is not
    /// valid: how long it is must be agreed on, never read off the tag.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`]; [`CryptoError::Invalid`] for `tag_bytes` out of bounds.
    pub fn mac_verify_truncated(
        &self,
        message: &[u8],
        tag: &[u8],
        tag_bytes: usize,
    ) -> Result<bool, CryptoError> {
        let full = self.key.mac(message)?;
        let want = full.get(..tag_bytes).filter(|_| tag_bytes >= MAC_TAG_BYTES_MIN);
        let want = want.ok_or(CryptoError::Invalid("length of a truncated tag"))?;
        Ok(want.ct_eq(tag).into())
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

    /// As [`UsableKey::agree`], and answers with the whole point, compressed (SEC 1 section 2.3.3):
    /// for schemes that hash both coordinates.
    ///
    /// # Errors
    /// As [`UsableKey::agree`]; [`CryptoError::Unsupported`] also for a key that is not on
    /// secp256k1.
    pub fn agree_on_point(&self, peer_public: &[u8]) -> Result<SecretVec, CryptoError> {
        self.must_agree()?;
        self.key.agree_on_point(peer_public)
    }

    /// Tries both halves of a pair against each other; true for a key without halves.
    ///
    /// # Errors
    /// What the use itself answers.
    pub(crate) fn is_consistent(&self) -> Result<bool, CryptoError> {
        match self.algorithm.default_scheme() {
            Some(scheme) => {
                let request = SignRequest::message(b"lethe-pairwise-consistency/v1");
                let signature = self.key.sign_with(scheme, &request)?;
                self.key.verify_with(scheme, &request, &signature.bytes)
            }
            None if self.algorithm.has(Use::Decapsulate) => {
                // The library draws what ML-KEM needs; the rest may be anything for this test.
                let made = self.key.encapsulate(&crate::SystemEntropy)?;
                let opened = self.key.decapsulate(&made.ciphertext)?;
                Ok(opened.ct_eq(made.shared_secret.expose()))
            }
            None => self.key.agrees_from_both_sides(),
        }
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
