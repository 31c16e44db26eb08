//! A store in one directory, over SQLite.
//!
//! Promises the whole contract of [`lethe_store::Store`] on one machine: a commit is answered after
//! its write-ahead log was synced to the disk; several callers that commit at once share one sync.
//! One process at a time uses a directory. A damaged, foreign or missing file is said clearly, and
//! nothing is ever written over it.
//!
//! Must not know what the values mean, nor tokio. It trusts the disk to keep what was synced. It
//! cannot tell an old copy of the directory from the current one; the engine can, by its root slot.
//!
//! # What stays on the disk
//! Overwritten and deleted values are zeroed in the database, but the zeroes reach the file only
//! when the write-ahead log is folded in: at [`Store::tidy`], and now and then by itself. File
//! systems, flash and backups keep older blocks beyond our reach. All of this is hygiene: the
//! values are sealed, and what makes them unreadable is the erasure tree.
//!
//! # Code map
//! [`open`](EmbeddedStore::open) and its errors in `open.rs`; file checks in `header.rs`; settings
//! of connections and errors in `sql.rs`; the one thread that writes in `writer.rs`; reads in
//! `readers.rs`. Why these settings: `docs/decisions/003-sqlite-settings.md`.

mod header;
mod open;
mod readers;
mod sql;
mod writer;

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use lethe_store::{
    Batch, CommitFeed, Page, Revision, Space, Store, StoreError, StoreKey, Tidied, Versioned,
    Visit, Watch,
};
use parking_lot::{Mutex, RwLock};

pub use open::{OpenError, OpenMode, Settings};
use readers::Readers;
use writer::Job;

/// A store in one directory. Closes itself when dropped.
#[derive(Debug)]
pub struct EmbeddedStore {
    database: PathBuf,
    readers: Readers,
    shared: Arc<Shared>,
    /// `None` once the store is closed.
    link: Mutex<Option<Link>>,
}

/// What callers and the writing thread both see.
#[derive(Debug)]
struct Shared {
    feed: CommitFeed,
    /// Spaces that have a table. A space enters before the first commit that names it.
    spaces: RwLock<BTreeSet<Space>>,
    /// Whether a failed commit may come back after a crash; see `writer.rs`. No read is answered
    /// while this is set.
    is_in_doubt: AtomicBool,
    /// Whether the writing thread ended by a panic. Its last commit may be on the disk and unknown
    /// here, so no read is answered any more; only a new start shows what is there.
    is_writer_dead: AtomicBool,
    commits: AtomicU64,
    transactions: AtomicU64,
    #[cfg(test)]
    death: tests::dying::Death,
}

impl Shared {
    /// What every call answers once the writing thread has died. From here on no read succeeds.
    fn writer_died(&self) -> StoreError {
        self.is_writer_dead.store(true, Ordering::Release);
        let reason = "the writing thread has died; the store must be opened anew".to_owned();
        StoreError::Unavailable { reason }
    }
}

/// The way to the writing thread.
#[derive(Debug)]
struct Link {
    jobs: SyncSender<Job>,
    thread: JoinHandle<Result<(), StoreError>>,
    /// Held for the life of the store: keeps other processes out of the directory.
    lock: Arc<File>,
}

/// Counters since the store was opened, and sizes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Batches that were applied.
    pub commits: u64,
    /// Transactions of the engine that carried them; each synced the write-ahead log once.
    pub transactions: u64,
    /// Bytes of all files of the database, the write-ahead log included.
    pub disk_bytes: u64,
    /// Bytes of the write-ahead log alone; 0 just after a complete [`Store::tidy`].
    pub log_bytes: u64,
}

impl EmbeddedStore {
    /// How much was done since the store was opened, and how large it is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the size of a file cannot be read.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let log_bytes = self.file_bytes("-wal")?;
        Ok(Stats {
            commits: self.shared.commits.load(Ordering::Relaxed),
            transactions: self.shared.transactions.load(Ordering::Relaxed),
            disk_bytes: self.file_bytes("")? + log_bytes + self.file_bytes("-shm")?,
            log_bytes,
        })
    }

    /// Bytes of one file of the database; 0 if it is not there.
    fn file_bytes(&self, suffix: &str) -> Result<u64, StoreError> {
        let path = header::sibling(&self.database, suffix);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => {
                let reason = format!("cannot measure {}: {error}", path.display());
                Err(StoreError::Unavailable { reason })
            }
        }
    }

    /// Hands a job to the writing thread and waits for its answer.
    fn ask<T>(
        &self,
        job: impl FnOnce(SyncSender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        self.ask_beside(job, &mut || ())
    }

    /// The same, and does `beside` while the thread is at work.
    fn ask_beside<T>(
        &self,
        job: impl FnOnce(SyncSender<Result<T, StoreError>>) -> Job,
        beside: &mut dyn FnMut(),
    ) -> Result<T, StoreError> {
        // A clone of the sender keeps the thread alive until this job is done, also if the store
        // is closed meanwhile; the lock is not held while waiting.
        let link = self.link.lock().as_ref().map(|link| link.jobs.clone());
        // While this call holds a sender the thread ends only by a panic. The answer may be dropped
        // before the thread has unwound, so the death is noted here: a read that this caller makes
        // next must not see the state from before a commit that is on the disk.
        let gone = || self.shared.writer_died();
        let (answer, answered) = sync_channel(1);
        let sent = link.as_ref().ok_or(StoreError::Closed);
        let sent = sent.and_then(|jobs| jobs.send(job(answer)).map_err(|_| gone()));
        beside();
        sent?;
        answered.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// The store is open and its writing thread lives.
    fn alive(&self) -> Result<(), StoreError> {
        if self.link.lock().is_none() {
            return Err(StoreError::Closed);
        }
        if self.shared.is_writer_dead.load(Ordering::Acquire) {
            return Err(self.shared.writer_died());
        }
        Ok(())
    }

    /// Lets a read begin: the store is open and what it shows is certain.
    fn settled(&self) -> Result<(), StoreError> {
        self.alive()?;
        if self.shared.is_in_doubt.load(Ordering::Acquire) {
            self.ask(|answer| Job::Settle { answer })?;
        }
        Ok(())
    }

    fn has_space(&self, space: Space) -> bool {
        self.shared.spaces.read().contains(&space)
    }
}

impl Store for EmbeddedStore {
    fn get(&self, key: &StoreKey) -> Result<Option<Versioned>, StoreError> {
        self.settled()?;
        if !self.has_space(key.space()) {
            return Ok(None);
        }
        self.readers.get(key)
    }

    fn range(&self, space: Space, from: &[u8], limit: u32) -> Result<Page, StoreError> {
        let rows_max = Page::rows_limit(from, limit)?;
        self.settled()?;
        // Before the look at the spaces: a commit up to this revision has announced its spaces.
        let revision = self.shared.feed.newest();
        if !self.has_space(space) {
            return Ok(Page { rows: Vec::new(), next: None, revision });
        }
        self.readers.range(space, from, rows_max)
    }

    fn commit(&self, batch: Batch) -> Result<Revision, StoreError> {
        // In the caller's thread: the writing thread has enough to do.
        batch.check()?;
        self.ask(|answer| Job::Commit { batch, answer })
    }

    fn commit_beside(
        &self,
        batch: Batch,
        beside: &mut dyn FnMut(),
    ) -> Result<Revision, StoreError> {
        if let Err(refused) = batch.check() {
            beside();
            return Err(refused);
        }
        self.ask_beside(|answer| Job::Commit { batch, answer }, beside)
    }

    fn revision(&self) -> Result<Revision, StoreError> {
        self.settled()?;
        Ok(self.shared.feed.newest())
    }

    fn watch(&self, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.alive()?;
        self.shared.feed.watch(after)
    }

    fn snapshot(&self, visit: &mut Visit<'_>) -> Result<Revision, StoreError> {
        self.settled()?;
        // A snapshot may outlive the store; the directory stays ours until it ends too.
        let lock = self.link.lock().as_ref().map(|link| Arc::clone(&link.lock));
        let _lock = lock.ok_or(StoreError::Closed)?;
        self.readers.snapshot(visit)
    }

    fn tidy(&self) -> Result<Tidied, StoreError> {
        self.ask(|answer| Job::Tidy { answer })
    }

    fn close(&self) -> Result<(), StoreError> {
        let Some(Link { jobs, thread, lock }) = self.link.lock().take() else {
            return Ok(());
        };
        // First the readers, so that the last checkpoint finds nobody in its way.
        self.readers.close();
        drop(jobs);
        let outcome = thread.join().unwrap_or_else(|_| Err(self.shared.writer_died()));
        self.shared.feed.close();
        drop(lock);
        outcome
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        // All that was acknowledged is durable; whoever wants to know more calls `close`.
        let _ = self.close();
    }
}

#[cfg(test)]
mod tests;
