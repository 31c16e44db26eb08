//! Why an engine did not start.

use core::fmt;
use std::io;

use lethe_erasure::recovery::RecoveryError;
use lethe_erasure::slot::SlotError;
use lethe_erasure::tree::ErasureError;
use lethe_store::StoreError;
use lethe_types::EntropyError;

/// Why nothing is served. Nothing that was stored before is lost or overwritten.
#[derive(Debug)]
pub enum StartError {
    /// A stored record cannot be read; says which kind.
    Damaged(&'static str),
    /// The random source failed.
    Entropy,
    /// The erasure tree refused a step.
    Erasure(ErasureError),
    /// The store is of a format that this build does not read.
    Format,
    /// What was kept about the signed log cannot be read.
    HeadGuard(Box<dyn core::error::Error + Send + Sync>),
    /// The tombstone journal beside the slot cannot be read or continued.
    Journal(crate::JournalFault),
    /// The log does not continue the one that was signed.
    LogForked,
    /// The log is shorter than the one that was signed.
    LogOlder {
        /// Entries in the store.
        stored: u64,
        /// Entries that were signed.
        signed: u64,
    },
    /// The entries of the log do not have the root that was stored beside them.
    LogRoot,
    /// The log has another name than the one that the configuration asks for.
    Origin {
        /// The log's name.
        stored: String,
    },
    /// A destruction whose time has come could not be carried out.
    Overdue(crate::EngineError),
    /// Slot and store do not belong together, or one of them is an old copy.
    Recovery(RecoveryError),
    /// A backup was being restored into the store and is not yet.
    RestoreUnfinished,
    /// The slot failed.
    Slot(SlotError),
    /// The slot holds a root although the installation is new.
    SlotInUse,
    /// The store failed.
    Store(StoreError),
    /// The operating system gives no thread.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(what) => write!(f, "the store is damaged: cannot read {what}"),
            Self::Entropy => EntropyError.fmt(f),
            Self::Erasure(error) => error.fmt(f),
            Self::Format => f.write_str("the store has a format that this version does not read"),
            Self::HeadGuard(_) => f.write_str("cannot read how far the log was signed"),
            Self::Journal(_) => f.write_str("cannot continue the tombstone journal"),
            Self::LogForked => f.write_str(
                "the data is not the one whose log was signed: it is a copy that went its own \
                 way",
            ),
            Self::LogOlder { stored, signed } => write!(
                f,
                "the data is older than its log: {signed} entries were signed, {stored} are there; \
                 it is a rolled back copy"
            ),
            Self::LogRoot => f.write_str(
                "the store is damaged: the entries of the log do not have the root that was stored \
                 with them",
            ),
            Self::Origin { stored } => {
                write!(f, "the log is called `{stored}` and cannot be renamed")
            }
            Self::Overdue(error) => {
                write!(f, "a destruction that is overdue could not be carried out: {error}")
            }
            Self::Recovery(error) => error.fmt(f),
            Self::RestoreUnfinished => f.write_str(
                "a backup was being restored into this data and was cut short: remove the data \
                 directory and restore again",
            ),
            Self::Slot(error) => error.fmt(f),
            Self::SlotInUse => f.write_str(
                "the slot holds something but the store is new: it is not the slot of this data; \
                 nothing was changed in it",
            ),
            Self::Store(error) => error.fmt(f),
            Self::Thread(_) => f.write_str("cannot start a thread"),
        }
    }
}

impl core::error::Error for StartError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::HeadGuard(error) | Self::Journal(error) => Some(error.as_ref()),
            Self::Recovery(error) => error.source(),
            Self::Slot(error) => error.source(),
            Self::Store(error) => error.source(),
            Self::Thread(error) => Some(error),
            Self::Overdue(error) => Some(error),
            Self::Damaged(_)
            | Self::Entropy
            | Self::Erasure(_)
            | Self::Format
            | Self::LogForked
            | Self::LogOlder { .. }
            | Self::LogRoot
            | Self::Origin { .. }
            | Self::RestoreUnfinished
            | Self::SlotInUse => None,
        }
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<EntropyError> for StartError {
    fn from(_: EntropyError) -> Self {
        Self::Entropy
    }
}

impl From<ErasureError> for StartError {
    fn from(error: ErasureError) -> Self {
        Self::Erasure(error)
    }
}

impl From<SlotError> for StartError {
    fn from(error: SlotError) -> Self {
        Self::Slot(error)
    }
}

impl From<RecoveryError> for StartError {
    fn from(error: RecoveryError) -> Self {
        Self::Recovery(error)
    }
}
