//! What the committer answers.

use std::sync::Arc;

use lethe_log::{DestroyedDetail, Entry, Hash};

use crate::catalogue::KeyEntry;

/// A change that is durable and, if it destroys, final.
#[derive(Debug)]
pub(crate) enum Committed {
    /// The key destroyed, and what its receipt is made of.
    Destroyed(Box<ReceiptParts>),
    /// Something that is no key changed.
    Done,
    /// The key as it is now.
    Key {
        /// The published entry.
        entry: Arc<KeyEntry>,
        /// Its leaf in the log.
        log_index: Option<u64>,
    },
}

/// The log entry of a destruction and the detail that it commits to.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) entry: Entry,
    pub(crate) detail: DestroyedDetail,
}

/// What a receipt is made of; put together off the committer's thread.
#[derive(Debug)]
pub(crate) struct ReceiptParts {
    pub(crate) entry: Arc<KeyEntry>,
    /// What the receipt tells, as it was logged.
    pub(crate) told: Told,
    pub(crate) index: u64,
    pub(crate) proof: Vec<Hash>,
    pub(crate) checkpoint: Arc<str>,
    pub(crate) erasure_note: Arc<str>,
}
