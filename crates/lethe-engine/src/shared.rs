//! What requests and the committer both look at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use lethe_crypto::registry::UsableKey;
use lethe_crypto::token::Pepper;
use lethe_erasure::slot::SlotImage;
use lethe_erasure::tree::Tree;
use lethe_log::{LogTree, ProofTiles};
use lethe_store::Store;
use lethe_types::{Clock, Entropy, TreeId, UnixMillis};
use parking_lot::{Mutex, RwLock};

use crate::EngineError;
use crate::audit::AuditSink;
use crate::cache::ExpandedKeys;
use crate::catalogue::{Catalogue, KeyEntry};
use crate::events::Events;
use crate::followers::Followers;
use crate::idempotency::Idempotency;
use crate::ops::ListCursors;
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
    /// Of the log, for proofs that are asked for after the destruction.
    pub(crate) proof_tiles: ProofTiles,
    /// Erasure notes that are not in the store yet, by the epoch that the erasure led to.
    pub(crate) unsettled_notes: Mutex<BTreeMap<u64, Arc<str>>>,
    /// What was changed lately, for whoever follows it.
    pub(crate) events: Arc<Events>,
    /// Copies elsewhere that changes wait for.
    pub(crate) followers: Followers,
    pub(crate) pepper: Pepper,
    pub(crate) cursors: ListCursors,
    pub(crate) vkey: Arc<str>,
    /// Raised when the state of store or slot is unknown: nothing is changed any more until a
    /// restart.
    pub(crate) halted: AtomicBool,
    /// When the last root that opens an older backup goes from the slot, in seconds since 1970; 0
    /// without one.
    pub(crate) backups_until_s: AtomicU64,
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
        let material = self.material(record, version)?;
        Ok(match record.life().public_only {
            true => record.algorithm.load_public(material.expose())?,
            false => record.algorithm.load(&material)?,
        })
    }

    /// A keyed digest of a key's material: who lacks the key of this installation learns nothing
    /// from it. Of a key pair the public key is what counts, since one private key has several
    /// encodings.
    pub(crate) fn fingerprint(
        &self,
        algorithm: lethe_crypto::registry::Algorithm,
        public_key_der: Option<&[u8]>,
        secret: &lethe_types::SecretVec,
    ) -> [u8; 32] {
        let code = algorithm.code().to_be_bytes();
        let what = public_key_der.unwrap_or_else(|| secret.expose());
        // Hashed first, so that no copy of the material is made for one call.
        let digest = zeroize::Zeroizing::new(lethe_crypto::hash::sha256(&[
            b"lethe-fingerprint/v1",
            &code,
            what,
        ]));
        self.pepper.hash(digest.as_slice())
    }

    /// The material of a version.
    pub(crate) fn material(
        &self,
        record: &crate::record::KeyRecord,
        version: &KeyVersion,
    ) -> Result<lethe_types::SecretVec, EngineError> {
        let record_key = self
            .tree
            .read()
            .record_key(version.leaf)
            .map_err(|_| EngineError::Internal("the erasure tree does not open"))?
            // The tree knows a moment before the catalogue does, also of versions that are retired.
            .ok_or(EngineError::ObjectDestroyed(record.id))?;
        crate::seal::open_version(self.tree_id, record, version, &record_key)
            .ok_or_else(|| self.why_not_open(record.id, version))
    }

    /// Why a version did not open although its leaf holds a key: the leaf is another's by now, or
    /// the store is not what was written. Nobody is told that a key is destroyed which is not.
    fn why_not_open(&self, key: lethe_types::KeyId, version: &KeyVersion) -> EngineError {
        let is_live = self.catalogue.key(key).is_some_and(|entry| {
            let has_it = entry.record().versions.iter().any(|one| one.leaf == version.leaf);
            has_it && !entry.is_closing() && !entry.is_closing_version(version.number)
        });
        if is_live {
            EngineError::Internal("the stored material of a live key does not open")
        } else {
            EngineError::ObjectDestroyed(key)
        }
    }

    /// Notes which roots of older epochs the slot still holds, for the sake of backups.
    pub(crate) fn note_retained(&self, image: &SlotImage) {
        let latest = image.retained.iter().map(|entry| entry.not_after_s).max();
        self.backups_until_s.store(latest.unwrap_or(0), Ordering::Release);
    }

    /// Until when a backup could bring back what is destroyed now; `None` if none could.
    pub(crate) fn backups_until(&self) -> Option<UnixMillis> {
        let seconds = self.backups_until_s.load(Ordering::Acquire);
        (seconds > 0).then(|| UnixMillis(seconds.saturating_mul(1_000)))
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
