//! Hashes of passphrases, as they lie in the store: Argon2id (RFC 9106) in the PHC string format,
//! as in `$argon2id$v=19$m=65536,t=3,p=4$SALT$HASH`.
//!
//! A stored hash names its own cost, so that the cost can be raised without losing the hashes that
//! are there. One form per hash: what [`hash`] would not have written is refused. Every function
//! here takes tens of milliseconds and the memory that the cost names: the caller bounds how many
//! run at once.

use core::fmt;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use lethe_types::{Entropy, Secret};

use crate::CryptoError;
use crate::kdf::{
    ARGON2_LANES_MAX, ARGON2_MEMORY_KIB_MAX, ARGON2_PASSES_MAX, Argon2Params, argon2id,
};

/// Bytes of the salt of a new hash (RFC 9106 section 3.1).
pub const SALT_BYTES: usize = 16;
/// Most memory of a stored hash's cost, in KiB: a damaged record cannot ask for all there is.
pub const MEMORY_KIB_MAX: u32 = ARGON2_MEMORY_KIB_MAX;
/// Most passes of a stored hash's cost.
pub const PASSES_MAX: u32 = ARGON2_PASSES_MAX;
/// Most lanes of a stored hash's cost.
pub const LANES_MAX: u32 = ARGON2_LANES_MAX;

/// Hashes `passphrase` with a fresh salt; the text holds cost, salt and hash.
///
/// # Errors
/// [`CryptoError::Invalid`] for a cost that RFC 9106 or this module does not allow;
/// [`CryptoError::Entropy`].
pub fn hash(
    cost: Argon2Params,
    passphrase: &[u8],
    entropy: &dyn Entropy,
) -> Result<String, CryptoError> {
    check_cost(cost)?;
    let mut salt = [0; SALT_BYTES];
    entropy.fill(&mut salt)?;
    let hash = argon2id(cost, &salt, passphrase)?;
    render(cost, &salt, &hash)
}

/// Does the work of [`PassphraseHash::verify`] at `cost` and says nothing: where there is no hash
/// to verify against, the time must not tell.
///
/// # Errors
/// As [`hash()`].
pub fn pretend(cost: Argon2Params, passphrase: &[u8]) -> Result<(), CryptoError> {
    check_cost(cost)?;
    argon2id(cost, &[0; SALT_BYTES], passphrase).map(drop)
}

/// A stored hash, read.
pub struct PassphraseHash {
    cost: Argon2Params,
    salt: Box<[u8]>,
    hash: Secret<32>,
}

impl PassphraseHash {
    /// Reads the text of a stored hash.
    ///
    /// # Errors
    /// [`CryptoError::Invalid`] for everything that [`hash()`] could not have written with some
    /// salt of 8 to 48 bytes.
    pub fn parse(text: &str) -> Result<Self, CryptoError> {
        let parsed = PasswordHash::new(text).map_err(|_| MALFORMED)?;
        let number = |name: &str| parsed.params.get_decimal(name).ok_or(MALFORMED);
        let cost =
            Argon2Params { memory_kib: number("m")?, passes: number("t")?, lanes: number("p")? };
        check_cost(cost)?;
        let salt: Box<[u8]> = parsed.salt.as_ref().ok_or(MALFORMED)?.as_ref().into();
        let output = parsed.hash.as_ref().ok_or(MALFORMED)?;
        let bytes: &[u8; 32] = output.as_bytes().try_into().map_err(|_| MALFORMED)?;
        let hash = Secret::init_with(|buf| buf.copy_from_slice(bytes));
        // Other algorithms, versions, parameters and orders of them all end here.
        if render(cost, &salt, &hash)? != text {
            return Err(MALFORMED);
        }
        Ok(Self { cost, salt, hash })
    }

    /// The cost that the hash was made at.
    #[must_use]
    pub fn cost(&self) -> Argon2Params {
        self.cost
    }

    /// Whether `passphrase` is the one that was hashed, compared in constant time.
    ///
    /// # Errors
    /// [`CryptoError::Invalid`] if the library refuses the passphrase for its length (4 GiB).
    pub fn verify(&self, passphrase: &[u8]) -> Result<bool, CryptoError> {
        Ok(argon2id(self.cost, &self.salt, passphrase)?.ct_eq(&self.hash))
    }
}

impl fmt::Debug for PassphraseHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassphraseHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}

fn check_cost(cost: Argon2Params) -> Result<(), CryptoError> {
    let is_allowed = cost.memory_kib <= MEMORY_KIB_MAX
        && (1..=PASSES_MAX).contains(&cost.passes)
        && (1..=LANES_MAX).contains(&cost.lanes)
        // RFC 9106 section 3.1: at least 8 KiB for each lane.
        && cost.memory_kib >= 8 * cost.lanes;
    if is_allowed { Ok(()) } else { Err(CryptoError::Invalid("Argon2id parameters")) }
}

fn render(cost: Argon2Params, salt: &[u8], hash: &Secret<32>) -> Result<String, CryptoError> {
    let mut params = ParamsString::new();
    for (name, value) in [("m", cost.memory_kib), ("t", cost.passes), ("p", cost.lanes)] {
        params.add_decimal(name, value).map_err(|_| MALFORMED)?;
    }
    let phc = PasswordHash {
        algorithm: argon2::ARGON2ID_IDENT,
        version: Some(argon2::Version::V0x13.into()),
        params,
        salt: Some(Salt::new(salt).map_err(|_| MALFORMED)?),
        hash: Some(Output::new(hash.expose()).map_err(|_| MALFORMED)?),
    };
    Ok(phc.to_string())
}

const MALFORMED: CryptoError = CryptoError::Invalid("passphrase hash");
