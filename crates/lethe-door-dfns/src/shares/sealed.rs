//! How shares are encrypted: ECDH on secp256k1 with an ephemeral key, HKDF-SHA-256 over the whole
//! compressed point, AES-256-GCM. The ciphertext is followed by the ephemeral public key. The key
//! is new each time, so that the nonce may be zero.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::CryptoError;
use lethe_crypto::aead::{NONCE_BYTES, SealKey, TAG_BYTES};
use lethe_crypto::kdf::hkdf_sha256;
use lethe_crypto::registry::{Algorithm, PublicFormat};
use lethe_engine::EngineError;
use lethe_types::{Entropy, SecretVec};

/// Bytes of a compressed point.
pub(super) const POINT_BYTES: usize = 33;
/// First byte of keys as they are written.
const VERSION: u8 = 1;
/// The algorithm of decryption keys.
pub(super) const ALGORITHM: &str = "ecdh-secp256k1";

const SALT: &[u8] = b"DFNS_KEY_IMPORT";
const INFO: &[u8] = b"ENCRYPTION_KEY";

/// An encryption key as it is written: base64 of a version and a point.
pub(super) fn write_key(point: &[u8]) -> String {
    STANDARD.encode([&[VERSION], point].concat())
}

/// The point of an encryption key; `None` for anything that [`write_key`] does not write.
pub(super) fn read_key(text: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(text).ok()?;
    let (&version, point) = bytes.split_first()?;
    let is_point = version == VERSION
        && point.len() == POINT_BYTES
        && algorithm().ok()?.import_public(PublicFormat::Raw, point).is_ok();
    is_point.then(|| point.to_vec())
}

pub(super) fn algorithm() -> Result<Algorithm, EngineError> {
    Algorithm::from_name(ALGORITHM)
        .map_err(|_| EngineError::AlgorithmNotAvailable(ALGORITHM.to_owned()))
}

/// A ciphertext in its parts.
pub(super) struct Sealed {
    body: Vec<u8>,
    ephemeral: Vec<u8>,
}

impl Sealed {
    /// Cuts the ephemeral public key off; `None` if there cannot be one and a tag.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut body = STANDARD.decode(text).ok()?;
        let start = body.len().checked_sub(POINT_BYTES).filter(|start| *start >= TAG_BYTES)?;
        let ephemeral = body.split_off(start);
        Some(Self { body, ephemeral })
    }

    /// With which the recipient agrees on a point.
    pub(super) fn ephemeral(&self) -> &[u8] {
        &self.ephemeral
    }

    /// The plaintext, with the point that both sides agreed on.
    ///
    /// # Errors
    /// [`CryptoError::Authentication`] for what was not encrypted for the recipient.
    pub(super) fn open(self, point: &SecretVec) -> Result<SecretVec, CryptoError> {
        let mut body = self.body;
        let key = SealKey::new(&hkdf_sha256(SALT, point.expose(), &[INFO])?);
        let opened = key.open_in_place([0; NONCE_BYTES], b"", &mut body)?;
        let opened = SecretVec::copy_from(opened);
        drop(SecretVec::from_vec(body));
        Ok(opened)
    }
}

/// `plaintext` for the holder of `recipient`, a compressed point, as it is written.
///
/// # Errors
/// The library's, or the random source failed.
pub(super) fn seal(
    recipient: &[u8],
    plaintext: &SecretVec,
    entropy: &dyn Entropy,
) -> Result<String, EngineError> {
    let ephemeral = algorithm()?.generate(entropy)?;
    let public = ephemeral.public_key().and_then(|public| public.sec1_compressed());
    let public = public.ok_or(EngineError::Internal("a pair without a half"))?;
    let point = algorithm()?.load(ephemeral.secret())?.agree_on_point(recipient)?;
    let key = SealKey::new(&hkdf_sha256(SALT, point.expose(), &[INFO])?);
    // It becomes the ciphertext where it lies: a copy would stay behind.
    let mut body = Vec::with_capacity(plaintext.len() + TAG_BYTES + POINT_BYTES);
    body.extend_from_slice(plaintext.expose());
    let tag = key.seal_in_place([0; NONCE_BYTES], b"", &mut body)?;
    body.extend_from_slice(&tag);
    body.extend_from_slice(&public);
    Ok(STANDARD.encode(body))
}
