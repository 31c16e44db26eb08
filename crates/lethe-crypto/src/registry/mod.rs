//! The one list of algorithms. What Lethe knows about an algorithm is its entry in `table.rs`; what
//! it can do is one file under `algorithms/`. Nothing above this crate names an algorithm in code.
//!
//! A new algorithm is one entry and, if its family is new, one file. The layers above see
//! [`Algorithm`], [`Use`] and [`UsableKey`] only, so that they do not change.

mod cipher;
mod derive;
mod form;
mod kem;
mod material;
mod request;
mod scheme;
mod table;
mod usable;
mod uses;

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::RangeInclusive;
use core::str::FromStr;

use lethe_types::{Entropy, SecretVec};

pub use cipher::{
    BlockPadding, CIPHER_NONCE_BYTES_MAX, CipherMode, CipherParts, CipherShape, DecryptParams,
    EncryptParams, Nonce,
};
pub use derive::{DerivationPath, LABEL_BYTES_MAX, PATH_STEPS_MAX, SEED_BYTES_MAX, SEED_BYTES_MIN};
pub use form::{KeyFormat, PublicFormat};
pub use kem::{Encapsulation, INITIAL_VALUE_BYTES, WRAPPED_PLAINTEXT_BYTES_MAX};
pub use material::{Material, PublicKey};
pub use request::{CONTEXT_BYTES_MAX, OaepHash, PssSalt, SignInput, SignRequest, Signature};
pub use scheme::{SignatureScheme, UnknownSignatureScheme};
pub use table::PLANNED;
pub use usable::{MAC_TAG_BYTES_MIN, UsableKey};
pub use uses::{Use, Uses};

use crate::CryptoError;
use crate::algorithms::Family;
pub use crate::encoding::KEY_FORM_BYTES_MAX;
use table::{ENTRIES, Entry};

/// Most encryptions under one key (one version), as a count.
///
/// Nonces are 96 random bits: SP 800-38D section 8.3 asks for a chance of collision below 2^-32.
/// The layer above rotates a key before it is reached.
pub const ENCRYPTIONS_PER_KEY_MAX: u64 = 1 << 32;

/// What kind of object a key of an algorithm is (KMIP 2.1 section 11.38).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectType {
    /// A private key with its public key.
    KeyPair,
    /// One secret that both sides hold.
    SymmetricKey,
}

impl ObjectType {
    /// The type's stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyPair => "key_pair",
            Self::SymmetricKey => "symmetric_key",
        }
    }
}

/// One algorithm of the list: a handle that costs a pointer.
#[derive(Clone, Copy)]
pub struct Algorithm(&'static Entry);

impl Algorithm {
    /// Every algorithm of this build, in the order of their codes.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        ENTRIES.iter().map(Self)
    }

    /// The algorithm of a name as in the native API. Exact: no aliases, no other case.
    ///
    /// # Errors
    /// [`AlgorithmError`]; nothing is changed.
    pub fn from_name(name: &str) -> Result<Self, AlgorithmError> {
        if let Some(entry) = ENTRIES.iter().find(|entry| entry.name == name) {
            return Ok(Self(entry));
        }
        let planned = PLANNED.iter().find(|planned| **planned == name);
        Err(planned.map_or(AlgorithmError::UnknownAlgorithm, |planned| {
            AlgorithmError::AlgorithmNotAvailable(planned)
        }))
    }

    /// The algorithm of a stored code; `None` if this build has no such algorithm.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        ENTRIES.iter().find(|entry| entry.code == code).map(Self)
    }

    /// The number that storage keeps. Never changes and is never given to another algorithm.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0.code
    }

    /// The stable name, as in the native API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// What kind of object a key is.
    #[must_use]
    pub const fn object_type(self) -> ObjectType {
        self.0.object_type
    }

    /// What a key can be used for.
    #[must_use]
    pub const fn uses(self) -> Uses {
        self.0.uses
    }

    /// Whether a key can be used for `wanted`.
    #[must_use]
    pub const fn has(self, wanted: Use) -> bool {
        self.0.uses.contains(wanted)
    }

    /// Security strength of a generated key, in bits (SP 800-57 part 1 section 5.6.1).
    #[must_use]
    pub const fn strength_bits(self) -> u16 {
        self.0.strength_bits
    }

    /// Least and most bytes of secret material; [`Algorithm::load`] refuses any other length.
    #[must_use]
    pub const fn material_bytes(self) -> RangeInclusive<usize> {
        self.0.material_bytes_min..=self.0.material_bytes_max
    }

    /// Whether [`Algorithm::generate`] takes tens of milliseconds or more (the search for the
    /// primes of RSA): the caller must then run it on a thread that may block.
    #[must_use]
    pub const fn is_slow_to_generate(self) -> bool {
        self.0.is_slow_to_generate
    }

    /// The signature schemes of a key, the default first; empty for a key that does not sign.
    #[must_use]
    pub const fn schemes(self) -> &'static [SignatureScheme] {
        self.0.schemes
    }

    /// The scheme that is meant when none is named.
    #[must_use]
    pub fn default_scheme(self) -> Option<SignatureScheme> {
        self.schemes().first().copied()
    }

    /// What the cipher takes and makes; `None` for a key that does not encrypt by a block or stream
    /// cipher.
    #[must_use]
    pub fn cipher_shape(self) -> Option<CipherShape> {
        self.0.family.cipher_shape()
    }

    pub(crate) const fn family(self) -> &'static dyn Family {
        self.0.family
    }

    /// Makes a fresh key. A key pair is tried before it is returned: sign and verify, or agree
    /// from both sides (the pair-wise consistency test of SP 800-56A section 5.6.2.1.4, FIPS 140-3
    /// IG 10.3.A).
    ///
    /// Symmetric keys and the seeds of Ed25519 and X25519 are bytes of `entropy`. ECDSA and RSA
    /// keys come from the library's own generator (CTR_DRBG of SP 800-90A, seeded by the kernel),
    /// which cannot be passed in: a replayed run has other keys there.
    ///
    /// # Errors
    /// [`CryptoError::Entropy`], or [`CryptoError::Library`] if the library refused or made a pair
    /// whose halves do not belong together. Nothing is kept.
    pub fn generate(self, entropy: &dyn Entropy) -> Result<Material, CryptoError> {
        let secret = self.0.family.generate(entropy)?;
        let fresh = self.load(&secret)?;
        if !fresh.is_consistent()? {
            return Err(CryptoError::Library("make a consistent key pair"));
        }
        Ok(Material::new(secret, fresh.public_key().cloned()))
    }

    /// Takes `secret`, in the encoding of the algorithm (see [`Material`]), as a key's material.
    ///
    /// # Errors
    /// As [`Algorithm::load`].
    pub fn material(self, secret: SecretVec) -> Result<Material, CryptoError> {
        let public = self.load(&secret)?.public_key().cloned();
        Ok(Material::new(secret, public))
    }

    /// Expands `material`, in the encoding of the algorithm (see [`Material`]), for use.
    ///
    /// # Errors
    /// [`CryptoError::Invalid`] for anything that [`Algorithm::generate`] of this algorithm could
    /// not have made.
    pub fn load(self, material: &SecretVec) -> Result<UsableKey, CryptoError> {
        if !self.material_bytes().contains(&material.len()) {
            return Err(CryptoError::Invalid("length of the key material"));
        }
        Ok(UsableKey::new(self, self.0.family.load(material.expose())?))
    }

    /// Expands the public half alone, from its `SubjectPublicKeyInfo` (RFC 5280) in DER. The result
    /// verifies; it refuses what needs the private half.
    ///
    /// # Errors
    /// [`CryptoError::Invalid`] for bytes that are not exactly the DER of a public key of this
    /// algorithm and size. [`CryptoError::Unsupported`] if a public key alone has no use here.
    pub fn load_public(self, spki_der: &[u8]) -> Result<UsableKey, CryptoError> {
        if self.uses() == Uses::of(&[Use::Agree]) {
            return Err(CryptoError::Unsupported("be used by its public key alone"));
        }
        Ok(UsableKey::new(self, self.0.family.load_public(spki_der)?))
    }
}

impl PartialEq for Algorithm {
    fn eq(&self, other: &Self) -> bool {
        self.code() == other.code()
    }
}

impl Eq for Algorithm {}

impl PartialOrd for Algorithm {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Algorithm {
    fn cmp(&self, other: &Self) -> Ordering {
        self.code().cmp(&other.code())
    }
}

impl Hash for Algorithm {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.code().hash(state);
    }
}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Algorithm({})", self.name())
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    fn from_str(name: &str) -> Result<Self, AlgorithmError> {
        Self::from_name(name)
    }
}

/// Why a name gives no algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlgorithmError {
    /// Lethe knows the name and this build does not have the algorithm: see [`PLANNED`].
    AlgorithmNotAvailable(&'static str),
    /// The name means nothing to Lethe.
    UnknownAlgorithm,
}

impl fmt::Display for AlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlgorithmNotAvailable(name) => {
                write!(f, "the algorithm `{name}` is not available in this build")
            }
            Self::UnknownAlgorithm => f.write_str("the name is of no known algorithm"),
        }
    }
}

impl core::error::Error for AlgorithmError {}
