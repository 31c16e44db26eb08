//! Hashes of what people choose: Argon2id (RFC 9106) with a pepper, written in the PHC string
//! format.
//!
//! `$argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt>$<hash>`, salt of 16 and hash of 32 bytes in
//! base64 without padding. The pepper is the secret value `K` of Argon2 and is not in the string: a
//! copied store alone does not allow a guess to be tested. (Bearer secrets, which nobody chose, go
//! through [`crate::token`].)

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use lethe_types::{Entropy, Secret};
use subtle::ConstantTimeEq;

use crate::CryptoError;
use crate::kdf::{Argon2Params, argon2id_keyed};

/// Most bytes of a passphrase.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;
/// Most bytes of a stored hash.
pub const PASSPHRASE_HASH_BYTES_MAX: usize = 128;

/// Bytes of a salt (RFC 9106 section 3.1).
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
const HEAD: &str = "$argon2id$v=19$";

/// The answer of [`PassphraseHasher::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The hash is of another passphrase, or was made with another pepper.
    Wrong,
    /// The hash is of this passphrase.
    Right {
        /// Whether it was made with weaker parameters than today's: hash anew while the passphrase
        /// is at hand.
        is_outdated: bool,
    },
}

/// Makes and checks hashes with one pepper.
pub struct PassphraseHasher {
    pepper: Secret<32>,
    params: Argon2Params,
}

impl PassphraseHasher {
    /// With today's `params` for new hashes.
    #[must_use]
    pub fn new(pepper: Secret<32>, params: Argon2Params) -> Self {
        Self { pepper, params }
    }

    /// The string for `passphrase`, with a fresh salt. Takes as long as the parameters say: the
    /// caller runs it on a thread that may block.
    ///
    /// # Errors
    /// [`CryptoError::Invalid`] for an empty passphrase, one over [`PASSPHRASE_BYTES_MAX`], or
    /// parameters out of bounds; [`CryptoError::Entropy`]. Nothing is kept.
    pub fn hash(&self, entropy: &dyn Entropy, passphrase: &[u8]) -> Result<String, CryptoError> {
        check_passphrase(passphrase)?;
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt)?;
        let hash = argon2id_keyed(self.params, &self.pepper, &salt, passphrase)?;
        Ok(Parsed { params: self.params, salt, hash: *hash.expose() }.to_string())
    }

    /// Whether `stored`, a string of [`PassphraseHasher::hash`], is of `passphrase`. In time that
    /// does not depend on where they differ. Takes as long as the parameters in the string say.
    ///
    /// # Errors
    /// [`CryptoError::Invalid`] for a passphrase as above, or a string that is not exactly of this
    /// form or whose parameters are out of bounds.
    pub fn verify(&self, passphrase: &[u8], stored: &str) -> Result<Verdict, CryptoError> {
        check_passphrase(passphrase)?;
        let parsed = Parsed::parse(stored).ok_or(CryptoError::Invalid("passphrase hash"))?;
        let hash = argon2id_keyed(parsed.params, &self.pepper, &parsed.salt, passphrase)?;
        if !bool::from(hash.expose().ct_eq(&parsed.hash)) {
            return Ok(Verdict::Wrong);
        }
        let (then, now) = (parsed.params, self.params);
        let is_outdated =
            then.memory_kib < now.memory_kib || then.passes < now.passes || then.lanes != now.lanes;
        Ok(Verdict::Right { is_outdated })
    }
}

impl fmt::Debug for PassphraseHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassphraseHasher").field("params", &self.params).finish_non_exhaustive()
    }
}

fn check_passphrase(passphrase: &[u8]) -> Result<(), CryptoError> {
    if passphrase.is_empty() || passphrase.len() > PASSPHRASE_BYTES_MAX {
        return Err(CryptoError::Invalid("length of the passphrase"));
    }
    Ok(())
}

/// The parts of a string.
struct Parsed {
    params: Argon2Params,
    salt: [u8; SALT_BYTES],
    hash: [u8; HASH_BYTES],
}

impl fmt::Display for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Argon2Params { memory_kib, passes, lanes } = self.params;
        let (salt, hash) = (STANDARD_NO_PAD.encode(self.salt), STANDARD_NO_PAD.encode(self.hash));
        write!(f, "{HEAD}m={memory_kib},t={passes},p={lanes}${salt}${hash}")
    }
}

impl Parsed {
    /// Strict: what is read is what would be written.
    fn parse(stored: &str) -> Option<Self> {
        if stored.len() > PASSPHRASE_HASH_BYTES_MAX {
            return None;
        }
        let mut fields = stored.strip_prefix(HEAD)?.split('$');
        let (costs, salt, hash) = (fields.next()?, fields.next()?, fields.next()?);
        let mut costs = costs.split(',');
        let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.parse().ok();
        let params =
            Argon2Params { memory_kib: cost("m=")?, passes: cost("t=")?, lanes: cost("p=")? };
        let parsed = Self { params, salt: bytes_of(salt)?, hash: bytes_of(hash)? };
        (parsed.to_string() == stored).then_some(parsed)
    }
}

fn bytes_of<const N: usize>(base64: &str) -> Option<[u8; N]> {
    STANDARD_NO_PAD.decode(base64).ok()?.try_into().ok()
}
