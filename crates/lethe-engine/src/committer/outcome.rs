//! What the committer answers.

use std::sync::Arc;

use lethe_log::{DestroyedDetail, Entry, Hash};

use crate::catalogue::KeyEntry;

/// A change that is durable and, where it destroys, final.
#[derive(Debug)]
pub(crate) struct Committed {
    /// What became of each step, in their order.
    pub(crate) made: Vec<Made>,
}

impl Committed {
    /// What was found to be there already.
    pub(crate) fn already(entry: Arc<KeyEntry>) -> Self {
        Self { made: vec![Made::Key { entry, log_index: None }] }
    }

    /// Nothing was to be done.
    pub(crate) const fn nothing() -> Self {
        Self { made: Vec::new() }
    }

    /// The first log entry of the change.
    pub(crate) fn log_index(&self) -> Option<u64> {
        self.made.iter().find_map(|made| match made {
            Made::Destroyed(parts) => Some(parts.index),
            Made::Key { log_index, .. } | Made::Other { log_index } => *log_index,
        })
    }

    /// The first key of the change, as it is now.
    pub(crate) fn key(&self) -> Option<&Arc<KeyEntry>> {
        self.made.iter().find_map(|made| match made {
            Made::Destroyed(parts) => Some(&parts.entry),
            Made::Key { entry, .. } => Some(entry),
            Made::Other { .. } => None,
        })
    }
}

/// What became of a step.
#[derive(Debug)]
pub(crate) enum Made {
    /// The key destroyed, and what its receipt is made of.
    Destroyed(Box<ReceiptParts>),
    /// The key as it is now.
    Key {
        /// The published entry.
        entry: Arc<KeyEntry>,
        /// Its entry in the log.
        log_index: Option<u64>,
    },
    /// Something that is no key.
    Other {
        /// Its entry in the log, if it has one.
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
