//! The `Store` trait, its contract, and two stores without a disk.
//!
//! A store keeps values under keys, changes several of them in one durable step, counts these steps
//! and tells watchers of each. It knows nothing of what the values mean. Everything it is given is
//! sealed: a value that stays behind on a disk, in a log of the engine or in an old copy of the
//! file is noise without the root key of the erasure tree.
//!
//! Layer 2. It must not know tokio, files, sockets or the system clock. Calls **block**; why is in
//! `docs/decisions/002-synchronous-store.md`.
//!
//! # Code map
//! [`Space`], [`StoreKey`], [`Revision`]: names of values. [`Batch`], [`Expect`], [`Write`]: one
//! commit. [`StoreError`]: what each failure leaves. [`CommitFeed`]: watching, for stores that
//! live in one process. [`MemStore`]: the contract over a map. [`FaultyStore`]: any store, made to
//! fail at chosen moments. `conformance!` (feature `conformance`): the contract as tests.

mod batch;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod faulty;
mod feed;
mod key;
pub mod limits;
mod mem;

use core::fmt::Debug;
use core::time::Duration;

pub use batch::{Batch, Commit, Expect, Write};
pub use error::StoreError;
pub use faulty::{CommitFault, FaultyStore};
pub use feed::CommitFeed;
pub use key::{Page, Revision, Row, Space, StoreKey, Versioned};
pub use mem::MemStore;

/// Keeps values durably and changes several of them in one step.
///
/// # The contract
/// Each sentence is a property of `conformance!`, which every back end runs.
///
/// 1. **Durable.** When [`Store::commit`] answers `Ok`, the batch survives a crash of the process
///    and a loss of power just after it.
/// 2. **All or nothing.** A batch is applied wholly or not at all, also across crashes, and no
///    reader sees a part of one.
/// 3. **Preconditions.** They are checked and the writes are applied in one step, so that of two
///    batches that expect the same state of a key and write it, at most one is applied.
/// 4. **Counted.** Each applied batch gets the next [`Revision`], one more than the one before. A
///    refused batch gets none. A key carries the revision of the batch that last wrote it.
/// 5. **Fresh reads.** `get`, `range`, `snapshot` and `revision` show every commit that was
///    acknowledged to anyone in this process before the call began.
/// 6. **Ordered.** `range` gives a space in ascending order of key bytes; one page is the state of
///    one revision. Spaces never mix.
/// 7. **Watched.** A watcher gets every commit after the given revision once, in order, and only
///    when it is durable. A watcher that is too slow is told so and never silently misses one.
/// 8. **Doubt is said.** [`StoreError::Unavailable`] from `commit` means that the batch may have
///    been applied. A read that succeeds after it tells which: what it shows will not change by
///    itself later, not even through a crash. All other errors mean that nothing was applied.
///
/// Deleting a key that has no value is allowed and changes nothing else than the revision.
///
/// # Back ends with small transactions
/// The bounds of [`limits`] are those of an embedded engine. etcd takes 128 operations and 1.5 MiB
/// in one transaction. A back end over it takes small batches as they are. It splits a larger one
/// like this: it puts the new values, in as many transactions as it takes, under keys that carry
/// the random name of this batch and that nothing refers to; then one last transaction checks all
/// preconditions and writes one record that names them. That transaction is the commit: readers
/// and watchers resolve a key through such records, and the values are moved to their own keys
/// afterwards. Before the last transaction nothing is visible, and what a crash leaves is rubbish
/// that the next start removes. If the preconditions alone pass 128, the batch is refused as too
/// large.
pub trait Store: Debug + Send + Sync {
    /// The value and revision of `key`, `None` if it has none.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`, `Closed`.
    fn get(&self, key: &StoreKey) -> Result<Option<Versioned>, StoreError>;

    /// Up to `limit` rows of `space` from key bytes `from` (inclusive) on. A page may end earlier,
    /// at [`limits::PAGE_BYTES_MAX`], but has at least one row if there is one;
    /// [`Page::next`] alone tells the end.
    ///
    /// # Errors
    /// `Invalid` for a limit of 0; `TooLarge` past [`limits::PAGE_ROWS_MAX`] rows or for a `from`
    /// past [`limits::KEY_BYTES_MAX`]; `Unavailable`, `Corrupt`, `Closed`.
    fn range(&self, space: Space, from: &[u8], limit: u32) -> Result<Page, StoreError>;

    /// Applies all writes of `batch` if all its preconditions hold, and answers when they are
    /// durable. A crash just after the answer loses nothing of it.
    ///
    /// # Errors
    /// `Unavailable`: **may or may not have been applied**; read again before deciding. All others
    /// leave everything as it was: `Conflict`, `Full`, `Invalid`, `TooLarge`, `Corrupt`, `Closed`.
    fn commit(&self, batch: Batch) -> Result<Revision, StoreError>;

    /// Commits like [`Store::commit`] and does `beside` in the caller's thread, once, while the
    /// batch is being made durable if the engine can. Which of the two ends first is open; both
    /// have ended when this returns. `beside` must not call the store.
    ///
    /// # Errors
    /// Those of [`Store::commit`]; `beside` has been done all the same.
    fn commit_beside(
        &self,
        batch: Batch,
        beside: &mut dyn FnMut(),
    ) -> Result<Revision, StoreError> {
        beside();
        self.commit(batch)
    }

    /// The revision of the newest commit.
    ///
    /// # Errors
    /// `Unavailable`, `Closed`.
    fn revision(&self) -> Result<Revision, StoreError>;

    /// Watches every commit with a revision greater than `after`.
    ///
    /// To hold a whole copy: take [`Store::snapshot`], then watch from its revision. If that is
    /// `WatchLost`, because many commits came meanwhile, take the snapshot again.
    ///
    /// # Errors
    /// `WatchLost` if a commit after `after` is no longer held; `Invalid` if `after` is in the
    /// future, which means that the caller's copy is newer than this store; `Unavailable`,
    /// `Closed`.
    fn watch(&self, after: Revision) -> Result<Box<dyn Watch>, StoreError>;

    /// Shows every row of every space to `visit`, by space and key, all at the one revision that
    /// is answered. Commits go on meanwhile and are not seen.
    ///
    /// # Errors
    /// The first error of `visit`, which ends the walk; `Unavailable`, `Corrupt`, `Closed`.
    fn snapshot(&self, visit: &mut Visit<'_>) -> Result<Revision, StoreError>;

    /// Clears away what the engine keeps of values that were overwritten or deleted, as far as it
    /// can. Worth calling when idle after deletions. Hygiene only: nothing may depend on it.
    ///
    /// # Errors
    /// `Full`, `Unavailable`, `Corrupt`, `Closed`; no value is changed by any of them.
    fn tidy(&self) -> Result<Tidied, StoreError>;

    /// Ends the store: commits that were begun end first, later calls answer `Closed`. Watchers get
    /// what they have not seen yet, then `Closed`. A second call does nothing.
    ///
    /// # Errors
    /// `Unavailable` if something could not be put away; the store is closed all the same, and all
    /// that was acknowledged is durable.
    fn close(&self) -> Result<(), StoreError>;
}

/// What [`Store::snapshot`] calls for each row: space, key bytes, value and revision.
pub type Visit<'a> = dyn FnMut(Space, &[u8], &Versioned) -> Result<(), StoreError> + 'a;

/// The commits of a store, one after the other.
pub trait Watch: Debug + Send {
    /// The next commit; `None` if none came within `timeout`.
    ///
    /// # Errors
    /// `WatchLost` if commits were missed, and from then on always; `Closed` after the last commit
    /// of a closed store; `Unavailable`, after which the call may be repeated.
    fn next(&mut self, timeout: Duration) -> Result<Option<Commit>, StoreError>;
}

/// How far [`Store::tidy`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tidied {
    /// The files of the store hold nothing but current values.
    Complete,
    /// A reader still needs old state. Call again later.
    Postponed,
}

#[cfg(test)]
mod tests;
