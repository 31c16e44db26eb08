//! The one thread that writes: group commit, doubt, checkpoints.
//!
//! # Group commit
//! Batches that wait while a transaction is being synced go into the next one together, in the
//! order in which they came, each seeing what those before it wrote. They share one sync. All
//! preconditions of a batch are checked before its first write, so that a refused batch has
//! written nothing and needs no savepoint. If the engine fails in the middle, the transaction is
//! rolled back and each batch gets one of its own, so that one which does not fit does not take
//! others with it.
//!
//! # Doubt
//! When the end of a transaction fails, its pages may lie in the write-ahead log complete with the
//! mark of a commit, only not synced. This process goes on without them, but a crash could bring
//! them back: the next start reads the log. So before any later read or commit is answered, the
//! thread commits a small transaction of its own, which is written over them. Only then what a
//! read shows is certain. Until that succeeds every call answers `Unavailable`.
//!
//! A full disk leaves no doubt: the engine reports it when a page could not be written wholly, and
//! the page with the mark of the commit is the last.
//!
//! # Death
//! If the thread panics, its last commit may be durable and published to nobody. What this process
//! knows is then older than the disk, and the next start would contradict any read. So the death is
//! noted before any caller learns of it, and every call answers `Unavailable` until the store is
//! opened anew.

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;

use lethe_store::{Batch, Revision, Space, StoreError, Tidied, Write};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Statement};

use crate::Shared;
use crate::sql::{self, LOCK_WAIT, revision_of, store_error, stored, table};

/// Most jobs that wait for the thread. Over it callers wait to hand theirs over.
pub(crate) const QUEUE_JOBS_MAX: usize = 1_024;

/// What the thread can be asked for. Each is answered once.
#[derive(Debug)]
pub(crate) enum Job {
    /// Apply a batch that keeps the rules of batches.
    Commit { batch: Batch, answer: SyncSender<Result<Revision, StoreError>> },
    /// Overwrite what a failed commit may have left, if there is any.
    Settle { answer: SyncSender<Result<(), StoreError>> },
    /// Fold the log into the database and empty it.
    Tidy { answer: SyncSender<Result<Tidied, StoreError>> },
}

/// Does jobs until nobody can send any, then folds the log in and closes the connection.
///
/// # Errors
/// `Unavailable` if the end was not clean; what was acknowledged is durable all the same.
pub(crate) fn run(
    connection: Connection,
    shared: &Shared,
    jobs: &Receiver<Job>,
) -> Result<(), StoreError> {
    let _witness = DeathWitness { shared };
    let mut writer = Writer { connection: &connection, shared, statements: BTreeMap::new() };
    writer.work(jobs);
    let settled = writer.settle();
    let folded = writer.fold();
    drop(writer);
    let closed = connection.close().map_err(|(_, error)| store_error(error));
    settled.and(folded.map(|_| ())).and(closed)
}

/// Notes a death of the thread that no caller was waiting to see.
struct DeathWitness<'s> {
    shared: &'s Shared,
}

impl Drop for DeathWitness<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            drop(self.shared.writer_died());
        }
    }
}

struct Writer<'c> {
    connection: &'c Connection,
    shared: &'c Shared,
    statements: BTreeMap<Space, SpaceStatements<'c>>,
}

/// Compiled once for each space.
struct SpaceStatements<'c> {
    read: Statement<'c>,
    put: Statement<'c>,
    delete: Statement<'c>,
}

/// A batch and where its answer goes.
struct Pending {
    batch: Batch,
    answer: SyncSender<Result<Revision, StoreError>>,
}

/// Why a transaction was not committed.
enum GroupError {
    /// Its end failed: it may come back after a crash.
    InDoubt(StoreError),
    /// Nothing of it was applied.
    RolledBack(StoreError),
}

impl Writer<'_> {
    fn work(&mut self, jobs: &Receiver<Job>) {
        let mut group = Vec::new();
        let mut postponed = None;
        while let Some(job) = postponed.take().or_else(|| jobs.recv().ok()) {
            // An answer that nobody waits for any more is dropped: the work was done.
            match job {
                Job::Settle { answer } => drop(answer.send(self.settle())),
                Job::Tidy { answer } => drop(answer.send(self.tidy())),
                Job::Commit { batch, answer } => {
                    postponed = collect(Pending { batch, answer }, jobs, &mut group);
                    self.commit_group(&mut group);
                }
            }
        }
    }

    /// Applies a group of batches and answers each; the group is empty afterwards.
    fn commit_group(&mut self, group: &mut Vec<Pending>) {
        if let Err(error) = self.settle() {
            // Nothing of this group was begun, but the doubt of an earlier one remains.
            group.drain(..).for_each(|pending| drop(pending.answer.send(Err(error.clone()))));
            return;
        }
        match self.attempt(group) {
            Ok(verdicts) => {
                for (pending, verdict) in group.drain(..).zip(verdicts) {
                    if let Ok(revision) = verdict {
                        // It is durable: first the watchers and all readers may know, then the
                        // caller.
                        self.shared.feed.publish(revision, pending.batch.into_writes());
                        self.shared.commits.fetch_add(1, Ordering::Relaxed);
                    }
                    drop(pending.answer.send(verdict));
                }
            }
            Err(GroupError::RolledBack(_)) if group.len() > 1 => {
                for pending in group.drain(..) {
                    self.commit_group(&mut vec![pending]);
                }
            }
            Err(GroupError::RolledBack(error)) => {
                group.drain(..).for_each(|pending| drop(pending.answer.send(Err(error.clone()))));
            }
            Err(GroupError::InDoubt(error)) => {
                self.shared.is_in_doubt.store(true, Ordering::Release);
                // At once if possible; if not, the next call tries again.
                let _ = self.settle();
                group.drain(..).for_each(|pending| drop(pending.answer.send(Err(error.clone()))));
            }
        }
    }

    /// One transaction with all batches of the group whose preconditions hold.
    fn attempt(
        &mut self,
        group: &[Pending],
    ) -> Result<Vec<Result<Revision, StoreError>>, GroupError> {
        for pending in group {
            self.prepare(&pending.batch).map_err(GroupError::RolledBack)?;
        }
        self.begin().map_err(GroupError::RolledBack)?;
        let before = self.shared.feed.newest();
        let verdicts = match self.apply_all(group, before) {
            Ok(verdicts) => verdicts,
            Err(error) => return Err(self.roll_back(error)),
        };
        if verdicts.iter().all(Result::is_err) {
            // All were refused: nothing to sync.
            return match self.connection.execute_batch("ROLLBACK") {
                Ok(()) => Ok(verdicts),
                Err(error) => Err(self.roll_back(store_error(error))),
            };
        }
        #[cfg(test)]
        self.shared.death.strike(crate::tests::dying::Moment::BeforeCommit);
        // A crash from here on: the next start finds the whole group or nothing of it. A crash
        // after it: all of the group is there.
        match self.connection.execute_batch("COMMIT") {
            Ok(()) => {
                #[cfg(test)]
                self.shared.death.strike(crate::tests::dying::Moment::AfterCommit);
                self.shared.transactions.fetch_add(1, Ordering::Relaxed);
                Ok(verdicts)
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                Err(self.roll_back(StoreError::Full))
            }
            Err(error) => {
                let reason = format!("the end of a commit failed: {error}");
                match self.roll_back(StoreError::Unavailable { reason }) {
                    GroupError::InDoubt(error) | GroupError::RolledBack(error) => {
                        Err(GroupError::InDoubt(error))
                    }
                }
            }
        }
    }

    /// The verdict on each batch. An error of the engine concerns the whole transaction.
    fn apply_all(
        &mut self,
        group: &[Pending],
        before: Revision,
    ) -> Result<Vec<Result<Revision, StoreError>>, StoreError> {
        let mut newest = before;
        let mut verdicts = Vec::with_capacity(group.len());
        for Pending { batch, .. } in group {
            let verdict = match self.conflict(batch)? {
                Some(error) => Err(error),
                None => {
                    newest = newest.next()?;
                    self.apply(batch, newest)?;
                    Ok(newest)
                }
            };
            verdicts.push(verdict);
        }
        if newest != before {
            let mut write = self
                .connection
                .prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'revision'")
                .map_err(store_error)?;
            write.execute((stored(newest)?,)).map_err(store_error)?;
        }
        Ok(verdicts)
    }

    /// The refusal of a batch, if a precondition does not hold.
    fn conflict(&mut self, batch: &Batch) -> Result<Option<StoreError>, StoreError> {
        for (key, expect) in batch.expects() {
            let read = &mut self.statements_of(key.space())?.read;
            let found = read.query_row((key.bytes(),), |row| row.get(0)).optional();
            let found = found.map_err(store_error)?.map(revision_of).transpose()?;
            if !expect.holds(found) {
                return Ok(Some(StoreError::Conflict { key: key.clone() }));
            }
        }
        Ok(None)
    }

    fn apply(&mut self, batch: &Batch, revision: Revision) -> Result<(), StoreError> {
        let revision = stored(revision)?;
        for write in batch.writes() {
            let statements = self.statements_of(write.key().space())?;
            match write {
                Write::Delete { key } => statements.delete.execute((key.bytes(),)),
                Write::Put { key, value } => {
                    statements.put.execute((key.bytes(), revision, value.as_slice()))
                }
            }
            .map_err(store_error)?;
        }
        Ok(())
    }

    /// Makes the tables and statements of the spaces that a batch names. A table is made in a
    /// transaction of its own, so that the statements stay right when a group is rolled back; a
    /// crash just after it leaves an empty table, which is an empty space.
    fn prepare(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let expected = batch.expects().iter().map(|(key, _)| key.space());
        for space in expected.chain(batch.writes().iter().map(|write| write.key().space())) {
            if self.statements.contains_key(&space) {
                continue;
            }
            if !self.shared.spaces.read().contains(&space) {
                self.connection.execute_batch(&sql::create_table(space)).map_err(store_error)?;
                self.shared.spaces.write().insert(space);
            }
            let prepared = SpaceStatements::new(self.connection, space).map_err(store_error)?;
            self.statements.insert(space, prepared);
        }
        Ok(())
    }

    fn begin(&self) -> Result<(), StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(store_error)
    }

    /// Ends a transaction that failed with `error`; some failures have ended it already.
    fn roll_back(&self, error: StoreError) -> GroupError {
        let is_ended =
            self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
        if is_ended { GroupError::RolledBack(error) } else { GroupError::InDoubt(error) }
    }

    /// Ends the doubt that a failed commit left, if there is any.
    fn settle(&self) -> Result<(), StoreError> {
        if !self.shared.is_in_doubt.load(Ordering::Acquire) {
            return Ok(());
        }
        let overwrite = || {
            if !self.connection.is_autocommit() {
                self.connection.execute_batch("ROLLBACK")?;
            }
            let raise = "UPDATE meta SET value = value + 1 WHERE name = 'doubts'";
            self.connection.execute(raise, ())
        };
        let failed = |error: rusqlite::Error| {
            let reason = format!("a failed commit is not settled yet: {error}");
            StoreError::Unavailable { reason }
        };
        overwrite().map_err(failed)?;
        // The engine said that the commit failed. If it is there all the same, the watchers have
        // missed it and its number would be given twice: only a new start puts that right.
        let newest = sql::newest_revision(self.connection)?;
        if newest != self.shared.feed.newest() {
            let reason = "a failed commit was applied; the store must be opened anew".to_owned();
            return Err(StoreError::Unavailable { reason });
        }
        self.shared.is_in_doubt.store(false, Ordering::Release);
        Ok(())
    }

    fn tidy(&self) -> Result<Tidied, StoreError> {
        self.settle()?;
        self.fold()
    }

    /// Folds the whole log into the database, syncs it and truncates the log, if no reader needs
    /// it. A crash in between leaves both the log and the pages already copied, which agree.
    fn fold(&self) -> Result<Tidied, StoreError> {
        if lethe_types::Defence::Scrub.is_off() {
            return Ok(Tidied::Complete);
        }
        self.connection.busy_timeout(FOLD_WAIT).map_err(store_error)?;
        let fold = "PRAGMA wal_checkpoint(TRUNCATE)";
        let is_busy = self.connection.query_row(fold, (), |row| row.get::<_, i64>(0));
        self.connection.busy_timeout(LOCK_WAIT).map_err(store_error)?;
        match is_busy {
            Ok(0) => Ok(Tidied::Complete),
            Ok(_) => Ok(Tidied::Postponed),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                Ok(Tidied::Postponed)
            }
            Err(error) => Err(store_error(error)),
        }
    }
}

impl<'c> Writer<'c> {
    fn statements_of(&mut self, space: Space) -> Result<&mut SpaceStatements<'c>, StoreError> {
        let missing = || StoreError::Unavailable { reason: "a space was not prepared".to_owned() };
        self.statements.get_mut(&space).ok_or_else(missing)
    }
}

impl<'c> SpaceStatements<'c> {
    fn new(connection: &'c Connection, space: Space) -> rusqlite::Result<Self> {
        let table = table(space);
        Ok(Self {
            read: connection.prepare(&format!("SELECT r FROM {table} WHERE k = ?1"))?,
            put: connection.prepare(&format!(
                "INSERT OR REPLACE INTO {table} (k, r, v) VALUES (?1, ?2, ?3)"
            ))?,
            delete: connection.prepare(&format!("DELETE FROM {table} WHERE k = ?1"))?,
        })
    }
}

/// Puts `first` and the commits that wait behind it into `group`, up to its bounds. A job of
/// another kind ends the group and is given back: jobs keep their order.
fn collect(first: Pending, jobs: &Receiver<Job>, group: &mut Vec<Pending>) -> Option<Job> {
    let mut bytes = first.batch.bytes();
    group.push(first);
    while group.len() < GROUP_BATCHES_MAX && bytes < GROUP_BYTES_MAX {
        match jobs.try_recv() {
            Ok(Job::Commit { batch, answer }) => {
                bytes += batch.bytes();
                group.push(Pending { batch, answer });
            }
            Ok(other @ (Job::Settle { .. } | Job::Tidy { .. })) => return Some(other),
            Err(_) => return None,
        }
    }
    None
}

/// Most batches in one transaction: bounds the time that the first waits for the last.
const GROUP_BATCHES_MAX: usize = 256;

/// Bytes of keys and values after which no further batch joins a transaction.
const GROUP_BYTES_MAX: usize = 16 * 1_048_576;

/// Longest wait for readers when the log is folded in. Commits wait behind it.
const FOLD_WAIT: Duration = Duration::from_millis(100);
