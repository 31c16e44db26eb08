//! What the committer answers.

use std::sync::Arc;

use lethe_log::Hash;

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

/// What a receipt is made of; put together off the committer's thread.
#[derive(Debug)]
pub(crate) struct ReceiptParts {
    pub(crate) entry: Arc<KeyEntry>,
    /// The log entry, as logged.
    pub(crate) leaf: Arc<[u8]>,
    pub(crate) index: u64,
    pub(crate) proof: Vec<Hash>,
    pub(crate) checkpoint: Arc<str>,
    pub(crate) erasure_note: Arc<str>,
}
