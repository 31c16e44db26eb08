//! Remembers, outside the store, how far the log has been signed: an old copy of the store is
//! noticed even if no key was destroyed since, and the log never signs two histories (C2SP
//! tlog-checkpoint).

use core::error::Error;

use lethe_log::{Hash, LogTree, Prover, verify_consistency};
use lethe_store::Store;

use crate::journal::JournalPlace;
use crate::log_view::StoredTiles;
use crate::start::StartError;

/// A log head that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardedHead {
    /// Entries.
    pub size: u64,
    /// Root hash.
    pub root: [u8; 32],
}

/// A place apart from the store for the newest signed head. It may lag behind, never run ahead.
pub trait HeadGuard: Send {
    /// The head that was kept last; `None` if there is none yet.
    ///
    /// # Errors
    /// The place's own, if something is there that cannot be read.
    fn load(&self) -> Result<Option<GuardedHead>, Box<dyn Error + Send + Sync>>;

    /// Keeps `head` durably instead of the one before.
    ///
    /// # Errors
    /// The place's own; one of the two heads is kept.
    fn keep(&mut self, head: GuardedHead) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// The place of the tombstone journal beside it; asked once. Without one there are no backups.
    fn journal(&mut self) -> Option<Box<dyn JournalPlace>> {
        None
    }
}

/// Whether the log in the store continues what was signed.
///
/// # Errors
/// [`StartError::LogOlder`] or [`StartError::LogForked`]: the store is an old copy, or another one.
pub(crate) fn check(
    guard: &dyn HeadGuard,
    log: &LogTree,
    store: &dyn Store,
) -> Result<(), StartError> {
    let Some(kept) = guard.load().map_err(StartError::HeadGuard)? else { return Ok(()) };
    if lethe_types::Defence::LogHead.is_off() {
        return Ok(());
    }
    if kept.size > log.size() {
        return Err(StartError::LogOlder { stored: log.size(), signed: kept.size });
    }
    let reader = StoredTiles(store);
    let proof = Prover::new(log, &reader)
        .consistency(kept.size, log.size())
        .map_err(|_| StartError::Damaged("a tile of the log"))?;
    verify_consistency(kept.size, &Hash(kept.root), log.size(), &log.root(), &proof)
        .map_err(|_| StartError::LogForked)
}
