//! HPKE (RFC 9180): base mode, DHKEM(X25519, HKDF-SHA256) with HKDF-SHA256 and AES-256-GCM, for one
//! message.
//!
//! X25519, HMAC, HKDF and AES-GCM are the library's; what is here is the order of section 4.1 and
//! 5.1. One message per encapsulation, so that there is no sequence number to keep.

use aws_lc_rs::hkdf::{HKDF_SHA256, Prk};
use aws_lc_rs::hmac;
use lethe_types::{Entropy, Secret, SecretVec};

use crate::CryptoError;
use crate::aead::{NONCE_BYTES, SealKey, TAG_BYTES};
use crate::kdf::OkmLen;
use crate::registry::{Algorithm, UsableKey};

/// Bytes of an X25519 public key, and of an encapsulation.
const POINT_BYTES: usize = 32;
/// `"KEM" || I2OSP(0x0020, 2)`.
const KEM_SUITE: &[u8] = b"KEM\x00\x20";
/// `"HPKE" || I2OSP(0x0020, 2) || I2OSP(0x0001, 2) || I2OSP(0x0002, 2)`.
const SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x02";
const VERSION: &[u8] = b"HPKE-v1";
const MODE_BASE: &[u8] = &[0];

/// `enc || ciphertext || tag` for the holder of `recipient`, with a fresh ephemeral key.
///
/// # Errors
/// [`CryptoError::Invalid`] for a recipient of low order; [`CryptoError::Entropy`];
/// [`CryptoError::Library`].
pub(super) fn seal(
    entropy: &dyn Entropy,
    recipient: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let algorithm = x25519()?;
    let ephemeral = algorithm.generate(entropy)?;
    let enc = ephemeral.public_key().ok_or(NO_PUBLIC_KEY)?.raw();
    let agreed = algorithm.load(ephemeral.secret())?.agree(recipient)?;
    let (key, nonce) = key_schedule(&shared_secret(&agreed, enc, recipient)?, info)?;
    let mut sealed = Vec::with_capacity(POINT_BYTES + plaintext.len() + TAG_BYTES);
    sealed.extend_from_slice(enc);
    sealed.extend_from_slice(plaintext);
    let tag = key.seal_in_place(nonce, aad, &mut sealed[POINT_BYTES..])?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// The plaintext of [`seal`] for the holder of `key`.
///
/// # Errors
/// [`CryptoError::Authentication`] for everything else.
pub(super) fn open(
    key: &UsableKey,
    info: &[u8],
    aad: &[u8],
    sealed: &[u8],
) -> Result<SecretVec, CryptoError> {
    let refused = CryptoError::Authentication;
    let (enc, ciphertext) = sealed.split_at_checked(POINT_BYTES).ok_or(refused)?;
    if ciphertext.len() < TAG_BYTES {
        return Err(refused);
    }
    let agreed = key.agree(enc).map_err(|_| refused)?;
    let recipient = key.public_key().ok_or(NO_PUBLIC_KEY)?.raw();
    let (key, nonce) = key_schedule(&shared_secret(&agreed, enc, recipient)?, info)?;
    let mut plaintext_bytes = 0;
    let buffer = SecretVec::try_init_with(ciphertext.len(), |buffer| {
        buffer.copy_from_slice(ciphertext);
        plaintext_bytes = key.open_in_place(nonce, aad, buffer)?.len();
        Ok::<_, CryptoError>(())
    })?;
    Ok(SecretVec::copy_from(&buffer.expose()[..plaintext_bytes]))
}

/// `ExtractAndExpand` of section 4.1.
fn shared_secret(
    agreed: &SecretVec,
    enc: &[u8],
    recipient: &[u8],
) -> Result<Secret<32>, CryptoError> {
    let prk = extract(KEM_SUITE, b"", b"eae_prk", agreed.expose())?;
    expand(KEM_SUITE, &prk, b"shared_secret", &[enc, recipient])
}

/// `KeySchedule` of section 5.1 without a pre-shared key: the key and the nonce of message 0.
fn key_schedule(
    shared_secret: &Secret<32>,
    info: &[u8],
) -> Result<(SealKey, [u8; NONCE_BYTES]), CryptoError> {
    let psk_id_hash = extract(SUITE, b"", b"psk_id_hash", b"")?;
    let info_hash = extract(SUITE, b"", b"info_hash", info)?;
    let context: [&[u8]; 3] = [MODE_BASE, psk_id_hash.expose(), info_hash.expose()];
    let secret = extract(SUITE, shared_secret.expose(), b"secret", b"")?;
    let key = expand::<32>(SUITE, &secret, b"key", &context)?;
    let nonce = expand::<NONCE_BYTES>(SUITE, &secret, b"base_nonce", &context)?;
    Ok((SealKey::new(&key), *nonce.expose()))
}

/// `LabeledExtract`. HKDF's extraction is an HMAC under the salt (RFC 5869 section 2.2), of which
/// the library's HKDF does not give out the result.
fn extract(suite: &[u8], salt: &[u8], label: &[u8], ikm: &[u8]) -> Result<Secret<32>, CryptoError> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, salt));
    for part in [VERSION, suite, label, ikm] {
        context.update(part);
    }
    let tag = context.sign();
    Secret::try_init_with(|prk| {
        let tag: &[u8; 32] =
            tag.as_ref().try_into().map_err(|_| CryptoError::Library("extract"))?;
        prk.copy_from_slice(tag);
        Ok(())
    })
}

/// `LabeledExpand`.
fn expand<const N: usize>(
    suite: &[u8],
    prk: &Secret<32>,
    label: &[u8],
    info: &[&[u8]],
) -> Result<Secret<N>, CryptoError> {
    let failed = CryptoError::Library("expand");
    let length = u16::try_from(N).map_err(|_| failed)?.to_be_bytes();
    let mut parts: Vec<&[u8]> = vec![&length, VERSION, suite, label];
    parts.extend(info);
    let prk = Prk::new_less_safe(HKDF_SHA256, prk.expose());
    let okm = prk.expand(&parts, OkmLen(N)).map_err(|_| failed)?;
    Secret::try_init_with(|bytes| okm.fill(bytes).map_err(|_| failed))
}

fn x25519() -> Result<Algorithm, CryptoError> {
    Algorithm::from_name(super::X25519).map_err(|_| CryptoError::Unsupported("agree by X25519"))
}

const NO_PUBLIC_KEY: CryptoError = CryptoError::Library("compute an X25519 public key");
