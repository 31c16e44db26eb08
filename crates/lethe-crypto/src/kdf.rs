//! Key derivation: HKDF-SHA-256 (RFC 5869) and Argon2id (RFC 9106).

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use lethe_types::Secret;

use crate::CryptoError;

/// Argon2id parameters. The defaults are the second recommendation of RFC 9106 section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Argon2Params {
    fn default() -> Self {
        Self { memory_kib: 65_536, passes: 3, lanes: 4 }
    }
}

/// `Argon2id[params, salt](passphrase, 32)`, version 0x13.
///
/// # Errors
/// [`CryptoError::Invalid`] for parameters that RFC 9106 does not allow.
pub fn argon2id(
    params: Argon2Params,
    salt: &[u8],
    passphrase: &[u8],
) -> Result<Secret<32>, CryptoError> {
    let params = Params::new(params.memory_kib, params.passes, params.lanes, Some(32))
        .map_err(|_| CryptoError::Invalid("Argon2id parameters"))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Secret::try_init_with(|buf| {
        argon2
            .hash_password_into(passphrase, salt, buf)
            .map_err(|_| CryptoError::Invalid("Argon2id salt or passphrase"))
    })
}

/// `HKDF-SHA256[salt, info](ikm, 32)`.
///
/// # Errors
/// [`CryptoError::Library`] if the library refuses; it has no reason to.
pub fn hkdf_sha256(salt: &[u8], ikm: &[u8], info: &[&[u8]]) -> Result<Secret<32>, CryptoError> {
    Secret::try_init_with(|buf| hkdf_sha256_into(salt, ikm, info, buf))
}

/// `HKDF-SHA256[salt, info](ikm, out.len())`, at most 255 hashes long.
pub(crate) fn hkdf_sha256_into(
    salt: &[u8],
    ikm: &[u8],
    info: &[&[u8]],
    out: &mut [u8],
) -> Result<(), CryptoError> {
    struct Len(usize);
    impl KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }
    let failed = CryptoError::Library("derive");
    let prk = Salt::new(HKDF_SHA256, salt).extract(ikm);
    let okm = prk.expand(info, Len(out.len())).map_err(|_| failed)?;
    okm.fill(out).map_err(|_| failed)
}
