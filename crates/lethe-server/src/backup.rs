//! Backups of a serving installation, and installations out of backups.
//!
//! A backup is a directory of segments, one file each: a full one, then what changed since the one
//! before. A copy that follows is a segment and a file that grows with every commit: `frames.rs`
//! is that file, `feed.rs` the server's end, `follow.rs` and `renew.rs` the other, `messages.rs`
//! what they say. `segment.rs` is a segment, `chain.rs` the directory, `control.rs` how the command
//! line asks a running server, `take.rs` what it asks for, `restore.rs` the way back.

mod chain;
mod control;
mod feed;
mod follow;
mod frames;
mod messages;
mod renew;
mod restore;
mod segment;
mod take;

use std::io;
use std::path::PathBuf;

use lethe_engine::{BackupError, RestoreError};
use lethe_log::BackupNoteError;
use lethe_store::StoreError;

pub use chain::{Chain, Checked, FollowedFile, SegmentFile};
pub(crate) use control::Control;
pub(crate) use follow::followers_of;
pub use follow::{FollowEvent, FollowOptions, FollowersNow, Stop, followers};
pub use renew::follow;
pub use restore::{RestoreOptions, restore};
pub use take::{BackupOptions, KeptBackup, Taken, forget, kept, take};

use crate::ServeError;

/// Why a backup was not taken, checked or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupFailure {
    /// A segment is not what its note says.
    #[error("`{}`: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The installation refused.
    #[error(transparent)]
    Engine(#[from] BackupError),
    /// The server does not continue what the directory holds, in its words.
    #[error("{0}")]
    BaseRefused(String),
    /// A file cannot be read or written.
    #[error("cannot {doing} `{}`", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
    /// The server went away, or does not make itself understood.
    #[error("{0}")]
    Gone(String),
    /// The note of a segment is refused.
    #[error(transparent)]
    Note(#[from] BackupNoteError),
    /// Something is there already, and nothing is ever written over it.
    #[error("`{}` is there already; a restore needs a new place", path.display())]
    Occupied {
        /// Where.
        path: PathBuf,
    },
    /// The running server refused, in its words.
    #[error("{0}")]
    Refused(String),
    /// The backup was not restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Configuration, store or slot of the installation.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupFailure {
    fn file(doing: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }
}
