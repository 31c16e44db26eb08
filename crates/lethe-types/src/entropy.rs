//! Chance as an argument.

use core::fmt;

/// A source of cryptographically strong random bytes.
///
/// The real one lives in `lethe-server`; tests and simulations pass a seeded one.
pub trait Entropy: Send + Sync {
    /// Fills all of `buf`.
    ///
    /// # Errors
    /// [`EntropyError`] if the source failed; `buf` must then not be used. Callers fail closed.
    fn fill(&self, buf: &mut [u8]) -> Result<(), EntropyError>;
}

/// The random source of the system failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntropyError;

impl fmt::Display for EntropyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the random source of the system failed")
    }
}

impl core::error::Error for EntropyError {}
