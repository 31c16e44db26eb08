//! AES-GCM (SP 800-38D), AES-GCM-SIV (RFC 8452) and ChaCha20-Poly1305 (RFC 8439).
//!
//! Nonces are 96 random bits, or as the caller says. AES-GCM takes a nonce of 128 bits as well, for
//! formats that have one: the library does not know it, so that it goes through the `aes-gcm` crate
//! (audited by NCC Group in 2020, at an earlier version), which is slower.

use std::sync::OnceLock;

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::U16;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aes::{Aes128, Aes192, Aes256};
use aes_gcm::{AesGcm, KeyInit};
use aws_lc_rs::aead::{self, LessSafeKey, UnboundKey};
use aws_lc_rs::hmac;
use lethe_types::{Entropy, SecretVec};

use super::cipher::{check_request, choose_nonce, lay_out, open, seal, split};
use super::{ExpandedKey, Family, octets, random};
use crate::CryptoError;
use crate::aead::{NONCE_BYTES, TAG_BYTES};
use crate::kdf::hkdf_sha256;
use crate::registry::{CipherParts, CipherShape, DecryptParams, EncryptParams, KeyFormat};

pub(crate) static AES_128_GCM: Aead =
    Aead::gcm(&aead::AES_128_GCM, "A128GCM", wide::<AesGcm<Aes128, U16>>);
pub(crate) static AES_192_GCM: Aead =
    Aead::gcm(&aead::AES_192_GCM, "A192GCM", wide::<AesGcm<Aes192, U16>>);
pub(crate) static AES_256_GCM: Aead =
    Aead::gcm(&aead::AES_256_GCM, "A256GCM", wide::<AesGcm<Aes256, U16>>);
pub(crate) static AES_128_GCM_SIV: Aead = Aead::gcm_siv(&aead::AES_128_GCM_SIV);
pub(crate) static AES_256_GCM_SIV: Aead = Aead::gcm_siv(&aead::AES_256_GCM_SIV);
pub(crate) static CHACHA20_POLY1305: Aead =
    Aead { library: &aead::CHACHA20_POLY1305, jwa_name: None, kind: Kind::Plain };

/// Bytes of the second length of nonce of AES-GCM.
const WIDE_NONCE_BYTES: usize = 16;

/// Keeps the key of derived nonces apart from every other use of HKDF.
const DETERMINISTIC_NONCE_INFO: &[u8] = b"lethe-deterministic-nonce/v1";

/// One cipher of the library. All of them take 12 bytes of nonce and make 16 bytes of tag.
pub(crate) struct Aead {
    library: &'static aead::Algorithm,
    /// The `alg` of a JSON Web Key (RFC 7518 section 5.1).
    jwa_name: Option<&'static str>,
    kind: Kind,
}

type ExpandWide = fn(&[u8]) -> Result<Box<dyn WideNonceAead>, CryptoError>;

/// What a cipher has beyond the library's functions.
#[derive(Clone, Copy)]
enum Kind {
    Plain,
    /// Nonces of 16 bytes.
    Wide(ExpandWide),
    /// Derived nonces.
    MisuseResistant,
}

impl Aead {
    const fn gcm(
        library: &'static aead::Algorithm,
        jwa_name: &'static str,
        expand: ExpandWide,
    ) -> Self {
        Self { library, jwa_name: Some(jwa_name), kind: Kind::Wide(expand) }
    }

    const fn gcm_siv(library: &'static aead::Algorithm) -> Self {
        Self { library, jwa_name: None, kind: Kind::MisuseResistant }
    }

    fn shape(&self) -> CipherShape {
        let (explicit_nonce_bytes, is_deterministic_allowed): (&[usize], _) = match self.kind {
            Kind::Plain => (&[NONCE_BYTES], false),
            Kind::Wide(_) => (&[NONCE_BYTES, WIDE_NONCE_BYTES], false),
            Kind::MisuseResistant => (&[NONCE_BYTES], true),
        };
        CipherShape {
            is_authenticated: true,
            nonce_bytes: NONCE_BYTES,
            explicit_nonce_bytes,
            tag_bytes: TAG_BYTES,
            padding: None,
            is_deterministic_allowed,
        }
    }
}

impl Family for Aead {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, self.library.key_len())
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let key = UnboundKey::new(self.library, material)
            .map_err(|_| CryptoError::Invalid("length of the key material"))?;
        let more = match self.kind {
            Kind::Plain => More::Nothing,
            Kind::Wide(expand) => {
                let material = SecretVec::copy_from(material);
                More::Wide { material, expand, expanded: OnceLock::new() }
            }
            Kind::MisuseResistant => {
                let material = SecretVec::copy_from(material);
                More::MisuseResistant { material, mac: OnceLock::new() }
            }
        };
        Ok(Box::new(AeadKey { family: self, key: LessSafeKey::new(key), more }))
    }

    fn cipher_shape(&self) -> Option<CipherShape> {
        Some(self.shape())
    }

    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        octets::import(self.jwa_name, format, bytes)
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        octets::export(self.jwa_name, format, material)
    }
}

/// The expanded schedule, in one allocation of the library, and what few callers need.
struct AeadKey {
    family: &'static Aead,
    key: LessSafeKey,
    more: More,
}

/// Expanded at the first use: most keys never need it.
enum More {
    Nothing,
    Wide { material: SecretVec, expand: ExpandWide, expanded: OnceLock<Box<dyn WideNonceAead>> },
    MisuseResistant { material: SecretVec, mac: OnceLock<Box<hmac::Key>> },
}

impl AeadKey {
    fn wide(&self) -> Result<&dyn WideNonceAead, CryptoError> {
        let More::Wide { material, expand, expanded } = &self.more else {
            return Err(CryptoError::Invalid("length of the nonce"));
        };
        if let Some(wide) = expanded.get() {
            return Ok(wide.as_ref());
        }
        let fresh = expand(material.expose())?;
        Ok(expanded.get_or_init(|| fresh).as_ref())
    }

    /// See [`crate::registry::Nonce::Deterministic`].
    fn derive_nonce(
        &self,
        context: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<[u8; NONCE_BYTES], CryptoError> {
        let More::MisuseResistant { material, mac } = &self.more else {
            return Err(CryptoError::Unsupported("encrypt with a derived nonce"));
        };
        let key = match mac.get() {
            Some(key) => key,
            None => {
                let derived = hkdf_sha256(&[], material.expose(), &[DETERMINISTIC_NONCE_INFO])?;
                let fresh = hmac::Key::new(hmac::HMAC_SHA256, derived.expose());
                mac.get_or_init(|| Box::new(fresh))
            }
        };
        let failed = CryptoError::Library("derive a nonce");
        let mut prf = hmac::Context::with_key(key);
        for part in [context, aad] {
            let length = u64::try_from(part.len()).map_err(|_| failed)?;
            prf.update(&length.to_be_bytes());
            prf.update(part);
        }
        prf.update(plaintext);
        prf.sign().as_ref().first_chunk().copied().ok_or(failed)
    }
}

impl ExpandedKey for AeadKey {
    fn encrypt_with(
        &self,
        entropy: &dyn Entropy,
        params: &EncryptParams<'_>,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<CipherParts, CryptoError> {
        let shape = self.family.shape();
        check_request(&shape, params.aad, params.padding)?;
        let derive = |context: &[u8]| self.derive_nonce(context, params.aad, plaintext);
        let nonce = choose_nonce(&shape, entropy, params.nonce, derive)?;
        let (parts, sealed) = lay_out(out, nonce.as_slice(), plaintext.len(), TAG_BYTES);
        if let Ok(nonce) = nonce.as_slice().try_into() {
            seal(&self.key, nonce, params, plaintext, sealed)?;
        } else {
            self.wide()?.seal(nonce.as_slice(), params.aad, plaintext, sealed)?;
        }
        Ok(parts)
    }

    fn decrypt_with(
        &self,
        params: &DecryptParams<'_>,
        data: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        let shape = self.family.shape();
        check_request(&shape, params.aad, params.padding)?;
        let found = split(&shape, params, data)?;
        if let Ok(nonce) = found.nonce.try_into() {
            return open(&self.key, nonce, params.aad, found.ciphertext, found.tag);
        }
        self.wide()?.open(found.nonce, params.aad, found.ciphertext, found.tag)
    }
}

/// AES-GCM with a nonce of 16 bytes.
trait WideNonceAead: Send + Sync {
    /// Writes `ciphertext || tag`.
    fn seal(
        &self,
        nonce: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), CryptoError>;

    fn open(
        &self,
        nonce: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8],
    ) -> Result<SecretVec, CryptoError>;
}

fn wide<A>(material: &[u8]) -> Result<Box<dyn WideNonceAead>, CryptoError>
where
    A: KeyInit + WideNonceAead + 'static,
{
    let key = A::new_from_slice(material);
    Ok(Box::new(key.map_err(|_| CryptoError::Invalid("length of the key material"))?))
}

impl<A: AeadInOut<NonceSize = U16, TagSize = U16> + Send + Sync> WideNonceAead for A {
    fn seal(
        &self,
        nonce: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), CryptoError> {
        let failed = CryptoError::Library("encrypt");
        let (ciphertext, tag) = sealed.split_at_mut_checked(plaintext.len()).ok_or(failed)?;
        let nonce = nonce.try_into().map_err(|_| failed)?;
        let buffer = InOutBuf::new(plaintext, ciphertext).map_err(|_| failed)?;
        let made = self.encrypt_inout_detached(nonce, aad, buffer).map_err(|_| failed)?;
        tag.copy_from_slice(&made);
        Ok(())
    }

    fn open(
        &self,
        nonce: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        let refused = CryptoError::Authentication;
        let nonce = nonce.try_into().map_err(|_| refused)?;
        let tag = tag.try_into().map_err(|_| refused)?;
        SecretVec::try_init_with(ciphertext.len(), |plaintext| {
            let buffer = InOutBuf::new(ciphertext, plaintext).map_err(|_| refused)?;
            self.decrypt_inout_detached(nonce, aad, buffer, tag).map_err(|_| refused)
        })
    }
}
