//! Why a backup was not restored.

use core::fmt;

use lethe_erasure::slot::SlotError;
use lethe_erasure::tree::ErasureError;
use lethe_log::BackupNoteError;
use lethe_store::StoreError;
use lethe_types::{BackupId, EntropyError, TreeId, UnixMillis};

use crate::{JournalFault, StartError};

/// Why nothing was restored. The store is to be removed; slot and journal are as before, or one
/// step further as another try expects.
#[derive(Debug)]
pub enum RestoreError {
    /// The journal beside the slot cannot be continued.
    Journal(JournalFault),
    /// The journal ends before the log that was signed.
    LogShort {
        /// Entries that were signed.
        signed: u64,
        /// Entries that backup and journal have.
        known: u64,
    },
    /// There is no journal beside the slot.
    NoJournal,
    /// The note of the backup is refused.
    Note(BackupNoteError),
    /// The slot belongs to another installation.
    OtherTree {
        /// The tree that the slot opens.
        slot: TreeId,
        /// The tree of the backup.
        backup: TreeId,
    },
    /// What was destroyed since is not known for certain.
    Replay(JournalFault),
    /// The slot no longer has the root of this backup.
    RootGone {
        /// The backup.
        backup: BackupId,
        /// When it was to go.
        until: Option<UnixMillis>,
    },
    /// The rows are not those of an untouched backup.
    Rows(&'static str),
    /// The slot holds no image that can be read.
    SlotEmpty,
    /// A step that every start takes failed.
    Start(StartError),
    /// The root is still there, but its time is over.
    WindowPassed {
        /// When it ended.
        until: UnixMillis,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal(_) => f.write_str("cannot continue the tombstone journal"),
            Self::LogShort { signed, known } => write!(
                f,
                "{signed} log entries were signed, but backup and journal have only {known}: what \
                 was destroyed in between is not known, so nothing is restored"
            ),
            Self::NoJournal => f.write_str("there is no tombstone journal beside the slot"),
            Self::Note(error) => error.fmt(f),
            Self::OtherTree { slot, backup } => {
                write!(f, "the slot belongs to tree {slot}, the backup to tree {backup}")
            }
            Self::Replay(error) => error.fmt(f),
            Self::RootGone { backup, until: Some(until) } => write!(
                f,
                "the slot no longer has the root of backup {backup}: its window ended at {until}, \
                 or it was forgotten before. Nobody can restore it any more"
            ),
            Self::RootGone { backup, until: None } => write!(
                f,
                "the slot no longer has the root of backup {backup}: it had no window, and a key \
                 was destroyed since. Nobody can restore it any more"
            ),
            Self::Rows(why) => write!(f, "the backup is damaged: {why}"),
            Self::SlotEmpty => f.write_str("the slot holds nothing that can be read"),
            Self::Start(error) => error.fmt(f),
            Self::WindowPassed { until } => {
                write!(f, "the window of this backup ended at {until}; it is not restored")
            }
        }
    }
}

impl core::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Journal(error) => Some(error.as_ref()),
            Self::Replay(error) => error.source(),
            Self::Note(error) => error.source(),
            Self::Start(error) => error.source(),
            Self::LogShort { .. }
            | Self::NoJournal
            | Self::OtherTree { .. }
            | Self::RootGone { .. }
            | Self::Rows(_)
            | Self::SlotEmpty
            | Self::WindowPassed { .. } => None,
        }
    }
}

impl From<StartError> for RestoreError {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

impl From<StoreError> for RestoreError {
    fn from(error: StoreError) -> Self {
        Self::Start(error.into())
    }
}

impl From<SlotError> for RestoreError {
    fn from(error: SlotError) -> Self {
        Self::Start(error.into())
    }
}

impl From<ErasureError> for RestoreError {
    fn from(error: ErasureError) -> Self {
        Self::Start(error.into())
    }
}

impl From<EntropyError> for RestoreError {
    fn from(error: EntropyError) -> Self {
        Self::Start(error.into())
    }
}
