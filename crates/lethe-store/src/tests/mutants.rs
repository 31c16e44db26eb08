//! The negative control of the contract: each broken store fails the property that it breaks.

use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::conformance::{self, Subject};
use crate::{
    Batch, Commit, MemStore, Page, Revision, Space, Store, StoreError, StoreKey, Tidied, Versioned,
    Visit, Watch, Write,
};

/// One way to break the contract.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    AppliesHalf,
    CountsRefused,
    ForgetsOnReopen,
    GoesOnWhenClosed,
    IgnoresPreconditions,
    MixesSpaces,
    None,
    PagesFromAfter,
    ReadsOldRows,
    ReversesPages,
    TakesAnyBatch,
    WatchesTwice,
    WatchSkips,
}

#[derive(Debug)]
struct Mutant {
    defect: Defect,
    inner: MemStore,
    burnt: Mutex<u64>,
    before: Mutex<Option<MemStore>>,
}

#[track_caller]
fn check(defect: Defect, property: fn(&Subject)) {
    let run = |defect| {
        let reopen = move || -> Arc<dyn Store> { Arc::new(Mutant::new(defect)) };
        let subject = Subject { store: reopen(), reopen: Some(Box::new(reopen)) };
        catch_unwind(AssertUnwindSafe(|| property(&subject)))
    };
    assert!(run(defect).is_err(), "{defect:?} went unnoticed");
    if defect != Defect::ForgetsOnReopen {
        assert!(run(Defect::None).is_ok(), "without {defect:?} it passes");
    }
}

#[test]
fn broken_stores_fail_the_contract() {
    check(Defect::AppliesHalf, conformance::batch_is_all_or_nothing);
    check(Defect::CountsRefused, conformance::revisions_grow_by_one);
    check(Defect::ForgetsOnReopen, conformance::reopen_keeps_everything);
    check(Defect::GoesOnWhenClosed, conformance::closed_store_refuses);
    check(Defect::IgnoresPreconditions, conformance::create_fails_if_present);
    check(Defect::IgnoresPreconditions, conformance::stale_precondition_leaves_nothing);
    check(Defect::IgnoresPreconditions, conformance::of_two_writers_one_wins);
    check(Defect::MixesSpaces, conformance::spaces_are_apart);
    check(Defect::PagesFromAfter, conformance::range_is_ordered_and_pages);
    check(Defect::ReadsOldRows, conformance::reads_see_acknowledged_commits);
    check(Defect::ReversesPages, conformance::range_is_ordered_and_pages);
    check(Defect::TakesAnyBatch, conformance::malformed_batches_are_refused);
    check(Defect::WatchesTwice, conformance::watch_gives_every_commit_once_in_order);
    check(Defect::WatchSkips, conformance::watch_gives_every_commit_once_in_order);
}

impl Mutant {
    fn new(defect: Defect) -> Self {
        Self { defect, inner: MemStore::new(), burnt: Mutex::new(0), before: Mutex::new(None) }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn renumbered(&self, revision: Revision) -> Revision {
        Revision(revision.0 + *self.burnt.lock())
    }
}

impl Store for Mutant {
    fn get(&self, key: &StoreKey) -> Result<Option<Versioned>, StoreError> {
        let before = self.before.lock();
        let store = before.as_ref().filter(|_| self.has(Defect::ReadsOldRows));
        store.unwrap_or(&self.inner).get(key)
    }

    fn range(&self, space: Space, from: &[u8], limit: u32) -> Result<Page, StoreError> {
        let space = if self.has(Defect::MixesSpaces) { super::ALPHA } else { space };
        let mut page = self.inner.range(space, from, limit)?;
        if self.has(Defect::ReversesPages) {
            page.rows.reverse();
        }
        if self.has(Defect::PagesFromAfter) {
            page.rows.retain(|row| row.key.bytes() != from);
        }
        Ok(page)
    }

    fn commit(&self, batch: Batch) -> Result<Revision, StoreError> {
        let mut changed = Batch::new();
        if !self.has(Defect::IgnoresPreconditions) {
            batch.expects().iter().for_each(|(key, e)| changed.push_expect(key.clone(), *e));
        }
        let mut writes = batch.into_writes();
        if self.has(Defect::AppliesHalf) {
            writes.truncate(writes.len().div_ceil(2));
        }
        if self.has(Defect::TakesAnyBatch) {
            writes.truncate(1);
            writes.push(Write::Delete { key: super::key("filler") });
        }
        writes.into_iter().for_each(|write| changed.push(write));
        *self.before.lock() = Some(self.inner.restarted());
        let answer = self.inner.commit(changed);
        if answer.is_err() && self.has(Defect::CountsRefused) {
            *self.burnt.lock() += 1;
        }
        answer.map(|revision| self.renumbered(revision))
    }

    fn revision(&self) -> Result<Revision, StoreError> {
        self.inner.revision().map(|revision| self.renumbered(revision))
    }

    fn watch(&self, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        let watch = self.inner.watch(after)?;
        Ok(Box::new(MutantWatch { defect: self.defect, watch, last: None }))
    }

    fn snapshot(&self, visit: &mut Visit<'_>) -> Result<Revision, StoreError> {
        self.inner.snapshot(visit)
    }

    fn tidy(&self) -> Result<Tidied, StoreError> {
        self.inner.tidy()
    }

    fn close(&self) -> Result<(), StoreError> {
        if self.has(Defect::GoesOnWhenClosed) { Ok(()) } else { self.inner.close() }
    }
}

#[derive(Debug)]
struct MutantWatch {
    defect: Defect,
    watch: Box<dyn Watch>,
    last: Option<Commit>,
}

impl Watch for MutantWatch {
    fn next(&mut self, timeout: Duration) -> Result<Option<Commit>, StoreError> {
        if self.defect == Defect::WatchesTwice && self.last.is_some() {
            return Ok(self.last.take());
        }
        // The property waits long for the commit that this one keeps back; the test need not.
        let is_skipping = self.defect == Defect::WatchSkips;
        let timeout = if is_skipping { Duration::from_millis(200) } else { timeout };
        let mut commit = self.watch.next(timeout)?;
        if is_skipping && commit.as_ref().is_some_and(|commit| commit.revision == Revision(3)) {
            commit = self.watch.next(timeout)?;
        }
        self.last.clone_from(&commit);
        Ok(commit)
    }
}
