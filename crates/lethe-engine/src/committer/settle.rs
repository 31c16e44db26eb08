//! What a destroying batch leaves to do once the old root is gone (T2): superseded nodes go from
//! the store, and the erasure note comes in. Done with the next commit, or when there is none for a
//! while. A crash before it is repaired at the next start.

use std::sync::Arc;

use lethe_erasure::tree::NodeAddress;
use lethe_store::{Tidied, Write};
use lethe_types::RealmId;

use super::Committer;
use super::batch::put;
use crate::{failpoint, keys};

/// Work left over from destroying batches.
#[derive(Debug, Default)]
pub(crate) struct Unsettled {
    epochs: Vec<Epoch>,
    /// Whether the store may hold remnants of deleted rows that tidying would remove.
    untidy: bool,
}

#[derive(Debug)]
pub(super) struct Epoch {
    pub(super) epoch_to: u64,
    pub(super) drops: Vec<NodeAddress>,
    pub(super) note: Arc<str>,
    /// Whether a row in the store still lists leaves of it.
    pub(super) lists_cuts: bool,
    /// Rows in the store that tell the tombstone journal of it.
    pub(super) journal_pieces: usize,
    /// Leaves that are free again once nothing in the store speaks of what they held.
    pub(super) freed: Vec<(RealmId, u64)>,
}

impl Unsettled {
    pub(super) fn add(&mut self, epoch: Epoch) {
        self.epochs.push(epoch);
        self.untidy = true;
    }

    /// The rows that settle everything.
    pub(super) fn writes(&self) -> Vec<Write> {
        let mut writes = Vec::new();
        for epoch in &self.epochs {
            writes.extend(epoch.drops.iter().map(|drop| Write::Delete { key: keys::node(drop) }));
            if epoch.lists_cuts {
                writes.push(Write::Delete { key: keys::cut(epoch.epoch_to) });
            }
            let pieces = (0_u32..).take(epoch.journal_pieces);
            writes.extend(
                pieces.map(|piece| Write::Delete { key: keys::journal(epoch.epoch_to, piece) }),
            );
            let note = epoch.note.as_bytes().to_vec();
            writes.push(put(keys::erased(epoch.epoch_to), note));
            writes.push(put(keys::meta("epoch"), epoch.epoch_to.to_be_bytes().to_vec()));
        }
        // Of several epochs the newest stands.
        let newest = self.epochs.len().saturating_sub(1);
        let mut number = 0;
        writes.retain(|write| {
            if *write.key() != keys::meta("epoch") {
                return true;
            }
            number += 1;
            number > newest
        });
        writes
    }
}

impl Committer {
    /// Whether something is left to settle.
    pub(super) fn has_unsettled(&self) -> bool {
        !self.unsettled.epochs.is_empty()
    }

    /// The rows of [`Unsettled::writes`] are durable.
    pub(super) fn settled(&mut self) {
        let mut notes = self.shared.unsettled_notes.lock();
        for epoch in self.unsettled.epochs.drain(..) {
            notes.remove(&epoch.epoch_to);
            for (realm, leaf) in epoch.freed {
                // A leaf that is not taken any more needs no release.
                let _released = self.allocator.release(realm, leaf);
            }
        }
    }

    /// Settles and tidies. A failure changes nothing: it is done with the next commit or start.
    pub(crate) fn settle_when_idle(&mut self) {
        if self.shared.is_halted() {
            return;
        }
        if !self.unsettled.epochs.is_empty() {
            if self.commit(self.unsettled.writes()).is_err() {
                return;
            }
            failpoint::hit("settle.durable");
            self.settled();
        }
        self.keep_head();
        self.drop_expired_roots();
        if self.unsettled.untidy {
            self.unsettled.untidy = !matches!(self.shared.store.tidy(), Ok(Tidied::Complete));
        }
    }
}
