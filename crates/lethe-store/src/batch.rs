//! What one commit asks for, and what it did.

use std::sync::Arc;

use crate::limits::{BATCH_BYTES_MAX, BATCH_OPS_MAX, VALUE_BYTES_MAX};
use crate::{Revision, StoreError, StoreKey};

/// What must be true of a key for a batch to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key has no value.
    Absent,
    /// The key has a value, last written by the commit of this revision.
    At(Revision),
}

impl Expect {
    /// Whether it holds for a key whose value was written at `found`, or that has none.
    #[must_use]
    pub fn holds(self, found: Option<Revision>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::At(revision) => found == Some(revision),
        }
    }
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The key has no value from now on. Of a key without one this changes nothing.
    Delete {
        /// The key.
        key: StoreKey,
    },
    /// The key has this value from now on.
    Put {
        /// The key.
        key: StoreKey,
        /// 0 to 1,048,576 bytes.
        value: Vec<u8>,
    },
}

impl Write {
    /// The key it changes.
    #[must_use]
    pub fn key(&self) -> &StoreKey {
        match self {
            Self::Delete { key } | Self::Put { key, .. } => key,
        }
    }

    /// Bytes of its key and value.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Delete { key } => key.bytes().len(),
            Self::Put { key, value } => key.bytes().len() + value.len(),
        }
    }
}

/// Writes that are applied together or not at all, and what must be true for it.
///
/// A batch writes at least one key and each key at most once; a key has at most one precondition.
/// Preconditions may name keys that are not written. Both lists keep the order they were given in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    expects: Vec<(StoreKey, Expect)>,
    writes: Vec<Write>,
}

impl Batch {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also demands `expect` of `key`.
    #[must_use]
    pub fn expect(mut self, key: StoreKey, expect: Expect) -> Self {
        self.expects.push((key, expect));
        self
    }

    /// Also gives `key` this value.
    #[must_use]
    pub fn put(mut self, key: StoreKey, value: Vec<u8>) -> Self {
        self.writes.push(Write::Put { key, value });
        self
    }

    /// Also takes the value of `key` away.
    #[must_use]
    pub fn delete(mut self, key: StoreKey) -> Self {
        self.writes.push(Write::Delete { key });
        self
    }

    /// Also makes this change: for callers that collect writes in a loop.
    pub fn push(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Also demands `expect` of `key`: for callers that collect preconditions in a loop.
    pub fn push_expect(&mut self, key: StoreKey, expect: Expect) {
        self.expects.push((key, expect));
    }

    /// The preconditions.
    #[must_use]
    pub fn expects(&self) -> &[(StoreKey, Expect)] {
        &self.expects
    }

    /// The changes.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The changes, once the batch was applied and its preconditions have done their work.
    #[must_use]
    pub fn into_writes(self) -> Vec<Write> {
        self.writes
    }

    /// Bytes of all keys and values it writes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.writes.iter().map(Write::bytes).sum()
    }

    /// Whether the batch keeps the rules and bounds above. Every store calls it before anything
    /// else, so that all refuse the same.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if it writes nothing, writes a key twice or demands something of a
    /// key twice; [`StoreError::TooLarge`] past a bound.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.writes.is_empty() {
            return Err(StoreError::Invalid { what: "a batch writes at least one key" });
        }
        StoreError::check_size("writes of a batch", self.writes.len(), BATCH_OPS_MAX)?;
        StoreError::check_size("preconditions of a batch", self.expects.len(), BATCH_OPS_MAX)?;
        StoreError::check_size("a batch, in bytes", self.bytes(), BATCH_BYTES_MAX)?;
        for write in &self.writes {
            if let Write::Put { value, .. } = write {
                StoreError::check_size("a value, in bytes", value.len(), VALUE_BYTES_MAX)?;
            }
        }
        if has_duplicate(self.writes.iter().map(Write::key)) {
            return Err(StoreError::Invalid { what: "a batch writes each key at most once" });
        }
        if has_duplicate(self.expects.iter().map(|(key, _)| key)) {
            return Err(StoreError::Invalid { what: "a key has at most one precondition" });
        }
        Ok(())
    }
}

/// One commit as a watcher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its revision.
    pub revision: Revision,
    /// What it changed. Shared between the watchers, not copied for each.
    pub writes: Arc<[Write]>,
}

fn has_duplicate<'a>(keys: impl Iterator<Item = &'a StoreKey>) -> bool {
    let mut keys: Vec<&StoreKey> = keys.collect();
    // Large batches mostly come in ascending order, where sorting is one pass.
    keys.sort();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}
