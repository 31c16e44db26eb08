//! Key derivation: HKDF (RFC 5869), PBKDF2 (RFC 8018 section 5.2) and Argon2id (RFC 9106).

use core::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hkdf::{HKDF_SHA256, HKDF_SHA384, HKDF_SHA512, KeyType, Salt};
use aws_lc_rs::{hkdf as library_hkdf, pbkdf2 as library_pbkdf2};
use lethe_types::{Secret, SecretVec};

use crate::CryptoError;

/// Most memory of one Argon2id, in KiB: a gibibyte.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 1_048_576;
/// Most passes of one Argon2id, as a count.
pub const ARGON2_PASSES_MAX: u32 = 64;
/// Most lanes of one Argon2id, as a count.
pub const ARGON2_LANES_MAX: u32 = 64;
/// Most iterations of one PBKDF2, as a count: a second or two.
pub const PBKDF2_ITERATIONS_MAX: u32 = 10_000_000;
/// Iterations of PBKDF2-HMAC-SHA-256 for a new passphrase, as a count, where a format prescribes
/// PBKDF2. Where nothing does, [`argon2id`] is the better choice.
pub const PBKDF2_SHA256_ITERATIONS: u32 = 600_000;
/// Iterations of PBKDF2-HMAC-SHA-512 for a new passphrase, as a count.
pub const PBKDF2_SHA512_ITERATIONS: u32 = 210_000;
/// Most bytes that one PBKDF2 derives. It costs the defender as often as it takes whole hashes, and
/// the attacker one.
pub const PBKDF2_OUTPUT_BYTES_MAX: usize = 1_024;

/// The hash of a derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KdfHash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl KdfHash {
    const fn hkdf(self) -> library_hkdf::Algorithm {
        match self {
            Self::Sha256 => HKDF_SHA256,
            Self::Sha384 => HKDF_SHA384,
            Self::Sha512 => HKDF_SHA512,
        }
    }

    const fn pbkdf2(self) -> library_pbkdf2::Algorithm {
        match self {
            Self::Sha256 => library_pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha384 => library_pbkdf2::PBKDF2_HMAC_SHA384,
            Self::Sha512 => library_pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

/// Argon2id parameters. The defaults are the second recommendation of RFC 9106 section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    /// Memory, in KiB; at most [`ARGON2_MEMORY_KIB_MAX`].
    pub memory_kib: u32,
    /// Passes; at most [`ARGON2_PASSES_MAX`].
    pub passes: u32,
    /// Lanes; at most [`ARGON2_LANES_MAX`].
    pub lanes: u32,
}

impl Default for Argon2Params {
    fn default() -> Self {
        Self { memory_kib: 65_536, passes: 3, lanes: 4 }
    }
}

impl Argon2Params {
    /// # Errors
    /// [`CryptoError::Invalid`] for parameters that RFC 9106 does not allow or that are over the
    /// limits here.
    fn check(self) -> Result<Params, CryptoError> {
        let refused = CryptoError::Invalid("Argon2id parameters");
        if self.memory_kib > ARGON2_MEMORY_KIB_MAX
            || self.passes > ARGON2_PASSES_MAX
            || self.lanes > ARGON2_LANES_MAX
        {
            return Err(refused);
        }
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| refused)
    }
}

/// `Argon2id[params, salt](passphrase, 32)`, version 0x13.
///
/// # Errors
/// [`CryptoError::Invalid`] for parameters that RFC 9106 does not allow, or over the limits here.
pub fn argon2id(
    params: Argon2Params,
    salt: &[u8],
    passphrase: &[u8],
) -> Result<Secret<32>, CryptoError> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.check()?);
    Secret::try_init_with(|buf| {
        argon2
            .hash_password_into(passphrase, salt, buf)
            .map_err(|_| CryptoError::Invalid("Argon2id salt or passphrase"))
    })
}

/// The length of what HKDF derives, for the library.
pub(crate) struct OkmLen(pub(crate) usize);

impl KeyType for OkmLen {
    fn len(&self) -> usize {
        self.0
    }
}

/// `HKDF-SHA256[salt, info](ikm, 32)`.
///
/// # Errors
/// [`CryptoError::Library`] if the library refuses; it has no reason to.
pub fn hkdf_sha256(salt: &[u8], ikm: &[u8], info: &[&[u8]]) -> Result<Secret<32>, CryptoError> {
    let failed = CryptoError::Library("derive");
    let prk = Salt::new(HKDF_SHA256, salt).extract(ikm);
    let okm = prk.expand(info, OkmLen(32)).map_err(|_| failed)?;
    Secret::try_init_with(|buf| okm.fill(buf).map_err(|_| failed))
}

/// `HKDF[hash, salt, info](ikm, output_bytes)`; `info` is its parts behind each other. An empty
/// salt is that of RFC 5869 section 2.2, zeroes.
///
/// # Errors
/// [`CryptoError::Invalid`] for more than 255 hashes of output or more than 64 KiB of `info` (the
/// library allows no more).
pub fn hkdf(
    hash: KdfHash,
    salt: &[u8],
    ikm: &[u8],
    info: &[&[u8]],
    output_bytes: usize,
) -> Result<SecretVec, CryptoError> {
    let refused = CryptoError::Invalid("length of what HKDF is to derive");
    let prk = Salt::new(hash.hkdf(), salt).extract(ikm);
    let okm = prk.expand(info, OkmLen(output_bytes)).map_err(|_| refused)?;
    SecretVec::try_init_with(output_bytes, |buf| okm.fill(buf).map_err(|_| refused))
}

/// `PBKDF2-HMAC[hash](passphrase, salt, iterations, output_bytes)`.
///
/// # Errors
/// [`CryptoError::Invalid`] for no iterations, more than [`PBKDF2_ITERATIONS_MAX`], or more than
/// [`PBKDF2_OUTPUT_BYTES_MAX`] bytes.
pub fn pbkdf2(
    hash: KdfHash,
    iterations: u32,
    salt: &[u8],
    passphrase: &[u8],
    output_bytes: usize,
) -> Result<SecretVec, CryptoError> {
    let count = NonZeroU32::new(iterations).filter(|_| iterations <= PBKDF2_ITERATIONS_MAX);
    let count = count.ok_or(CryptoError::Invalid("PBKDF2 iterations"))?;
    if output_bytes == 0 || output_bytes > PBKDF2_OUTPUT_BYTES_MAX {
        return Err(CryptoError::Invalid("length of what PBKDF2 is to derive"));
    }
    SecretVec::try_init_with(output_bytes, |buf| {
        library_pbkdf2::derive(hash.pbkdf2(), count, salt, passphrase, buf);
        Ok(())
    })
}
