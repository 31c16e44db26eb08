//! What can go wrong, and what state each failure leaves.

use core::fmt;

use crate::StoreKey;

/// Why a store did not do what it was asked.
///
/// Closed on purpose: whoever handles it decides every case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The store was closed. Nothing was applied.
    Closed,
    /// A precondition did not hold. Nothing was applied. Read the key again and plan anew.
    Conflict {
        /// The first key, in the order of the batch, whose precondition failed.
        key: StoreKey,
    },
    /// What is stored is damaged or not ours. Nothing was applied. Retrying does not help.
    Corrupt {
        /// What was found, in words.
        what: String,
    },
    /// No room is left. Nothing was applied. Reads still work; deletes may.
    Full,
    /// The call breaks a rule of the contract. Nothing was applied. A defect of the caller.
    Invalid {
        /// The rule.
        what: &'static str,
    },
    /// A bound was passed. Nothing was applied.
    TooLarge {
        /// Of what, with its unit.
        what: &'static str,
        /// The size that was asked for.
        size: usize,
        /// The largest that is allowed.
        max: usize,
    },
    /// The store could not be reached or could not finish. **A commit may or may not have been
    /// applied, wholly:** read the keys again and compare revisions before deciding anything.
    Unavailable {
        /// What failed, in words, for the log.
        reason: String,
    },
    /// The watcher fell behind, or asked for commits that are no longer held. Commits were missed:
    /// list everything again, then watch from the revision of that list.
    WatchLost,
}

impl StoreError {
    /// `size` if it is at most `max`.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] otherwise.
    pub fn check_size(what: &'static str, size: usize, max: usize) -> Result<(), Self> {
        if size <= max { Ok(()) } else { Err(Self::TooLarge { what, size, max }) }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the store is closed"),
            Self::Conflict { key } => write!(f, "`{key}` was changed meanwhile"),
            Self::Corrupt { what } => write!(f, "the store is damaged: {what}"),
            Self::Full => f.write_str("the store has no room left"),
            Self::Invalid { what } => write!(f, "the store was asked wrongly: {what}"),
            Self::TooLarge { what, size, max } => {
                write!(f, "too large for the store: {what}: {size}, at most {max}")
            }
            Self::Unavailable { reason } => write!(f, "the store is unavailable: {reason}"),
            Self::WatchLost => f.write_str("the watcher fell behind and missed commits"),
        }
    }
}

impl core::error::Error for StoreError {}
