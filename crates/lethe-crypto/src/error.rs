//! What can go wrong, without a hint to an attacker of where.

use core::fmt;

/// Why a cryptographic operation gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CryptoError {
    /// The ciphertext, tag, associated data or key do not belong together.
    Authentication,
    /// The random source of the system failed.
    Entropy,
    /// A key, point or parameter is malformed; says which.
    Invalid(&'static str),
    /// The library refused an operation that cannot fail with valid input.
    Library(&'static str),
    /// The algorithm has no such operation.
    Unsupported(&'static str),
}

impl fmt::Display for CryptoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authentication => f.write_str("the data is not authentic under this key"),
            Self::Entropy => f.write_str("the random source of the system failed"),
            Self::Invalid(what) => write!(f, "invalid {what}"),
            Self::Library(what) => write!(f, "the cryptographic library refused to {what}"),
            Self::Unsupported(what) => write!(f, "this algorithm cannot {what}"),
        }
    }
}

impl core::error::Error for CryptoError {}

impl From<lethe_types::EntropyError> for CryptoError {
    fn from(_: lethe_types::EntropyError) -> Self {
        Self::Entropy
    }
}
