//! What requests and the committer both look at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use lethe_crypto::registry::UsableKey;
use lethe_crypto::token::Pepper;
use lethe_erasure::tree::Tree;
use lethe_log::LogTree;
use lethe_store::Store;
use lethe_types::{Clock, Entropy, TreeId};
use parking_lot::{Mutex, RwLock};

use crate::EngineError;
use crate::audit::AuditSink;
use crate::cache::ExpandedKeys;
use crate::catalogue::{Catalogue, KeyEntry};
use crate::events::Events;
use crate::idempotency::Idempotency;
use crate::record::KeyVersion;

/// The newest signed checkpoint and the size it speaks of.
#[derive(Debug)]
pub(crate) struct SignedHead {
    pub(crate) size: u64,
    pub(crate) text: Arc<str>,
}

pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) audit: Arc<dyn AuditSink>,
    pub(crate) catalogue: Catalogue,
    pub(crate) expanded: ExpandedKeys,
    pub(crate) idempotency: Idempotency,
    pub(crate) tree: RwLock<Tree>,
    pub(crate) tree_id: TreeId,
    pub(crate) log: RwLock<LogTree>,
    pub(crate) head: ArcSwap<SignedHead>,
    /// Erasure notes that are not in the store yet, by the epoch that the erasure led to.
    pub(crate) unsettled_notes: Mutex<BTreeMap<u64, Arc<str>>>,
    /// What was changed lately, for whoever follows it.
    pub(crate) events: Arc<Events>,
    pub(crate) pepper: Pepper,
    pub(crate) vkey: Arc<str>,
    /// Raised when the state of store or slot is unknown: nothing is changed any more until a
    /// restart.
    pub(crate) halted: AtomicBool,
    /// Why, for the operator.
    pub(crate) halted_because: ArcSwapOption<&'static str>,
}

impl Shared {
    /// The expanded key of a version, from the entry or made now.
    ///
    /// # Errors
    /// [`EngineError::ObjectDestroyed`] if the erasure tree no longer knows the version: the entry
    /// was replaced while the caller held it.
    pub(crate) fn usable(
        &self,
        entry: &Arc<KeyEntry>,
        position: usize,
        version: &KeyVersion,
    ) -> Result<Arc<UsableKey>, EngineError> {
        let slot = entry.expanded(position).ok_or(EngineError::Internal("version out of range"))?;
        if let Some(usable) = slot.load_full() {
            return Ok(usable);
        }
        let usable = Arc::new(self.expand(entry, version)?);
        slot.store(Some(usable.clone()));
        self.expanded.filled(entry);
        Ok(usable)
    }

    fn expand(&self, entry: &KeyEntry, version: &KeyVersion) -> Result<UsableKey, EngineError> {
        let record = entry.record();
        let gone = || EngineError::ObjectDestroyed(record.id);
        let record_key = self
            .tree
            .read()
            .record_key(version.leaf)
            .map_err(|_| EngineError::Internal("the erasure tree does not open"))?
            .ok_or_else(gone)?;
        let material = crate::seal::open_version(self.tree_id, record, version, &record_key)
            .ok_or_else(gone)?;
        Ok(record.algorithm.load(&material)?)
    }

    /// Refuses every change from here on.
    pub(crate) fn halt(&self, why: &'static str) {
        self.halted_because.store(Some(Arc::new(why)));
        self.halted.store(true, Ordering::Release);
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("tree_id", &self.tree_id).finish_non_exhaustive()
    }
}
