//! Hands commits to watchers, for stores whose commits all pass through one process.
//!
//! One ring of the newest commits is shared by all watchers; each watcher is a position in it. So
//! memory is bounded whatever the number of watchers, and a slow one delays nobody: the ring moves
//! on, and it learns that it was lost.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::limits::{WATCH_BYTES_MAX, WATCH_COMMITS_MAX};
use crate::{Commit, Revision, StoreError, Watch, Write};

/// Holds the newest commits and wakes the watchers. Cheap to clone; clones are one feed.
#[derive(Clone, Debug)]
pub struct CommitFeed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Consecutive revisions; the last one is `newest`, if there is one.
    held: VecDeque<Held>,
    held_bytes: usize,
    newest: Revision,
    watchers: usize,
    is_closed: bool,
}

#[derive(Debug)]
struct Held {
    commit: Commit,
    bytes: usize,
}

impl CommitFeed {
    /// A feed for a store whose newest commit is `newest`; what came before it is not held.
    #[must_use]
    pub fn new(newest: Revision) -> Self {
        let state =
            State { held: VecDeque::new(), held_bytes: 0, newest, watchers: 0, is_closed: false };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// Gives a commit to every watcher. To be called in the order of revisions, each once, when
    /// the commit is durable: a watcher must not act on what a crash could take back.
    ///
    /// # Panics
    /// If `revision` is not the one after the newest: watchers would miss a commit.
    pub fn publish(&self, revision: Revision, writes: Vec<Write>) {
        let bytes = writes.iter().map(Write::bytes).sum();
        let commit = Commit { revision, writes: writes.into() };
        let mut state = self.shared.state.lock();
        assert_eq!(state.newest.next(), Ok(revision), "commits are published in order");
        state.newest = revision;
        state.held_bytes += bytes;
        state.held.push_back(Held { commit, bytes });
        state.shed();
        drop(state);
        self.shared.changed.notify_all();
    }

    /// The revision of the newest commit that was published.
    #[must_use]
    pub fn newest(&self) -> Revision {
        self.shared.state.lock().newest
    }

    /// Watches from after `after` on.
    ///
    /// # Errors
    /// As [`crate::Store::watch`], without `Unavailable`.
    pub fn watch(&self, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        let mut state = self.shared.state.lock();
        if state.is_closed {
            return Err(StoreError::Closed);
        }
        if after > state.newest {
            return Err(StoreError::Invalid { what: "a watch starts at a revision of this store" });
        }
        let next = after.next()?;
        if next < state.oldest()? {
            return Err(StoreError::WatchLost);
        }
        state.watchers += 1;
        Ok(Box::new(Watcher { shared: Arc::clone(&self.shared), next }))
    }

    /// Ends the feed: watchers get what is held, then `Closed`.
    pub fn close(&self) {
        self.shared.state.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl State {
    /// The revision of the oldest commit that is held, or of the next one if none is.
    fn oldest(&self) -> Result<Revision, StoreError> {
        self.held.front().map_or_else(|| self.newest.next(), |held| Ok(held.commit.revision))
    }

    /// Drops the oldest commits until the ring keeps its bounds. The newest stays for those who
    /// watch, whatever its size: they would otherwise never get past it.
    fn shed(&mut self) {
        let keep = usize::from(self.watchers > 0);
        while self.held.len() > keep
            && (self.held.len() > WATCH_COMMITS_MAX || self.held_bytes > WATCH_BYTES_MAX)
        {
            if let Some(oldest) = self.held.pop_front() {
                self.held_bytes -= oldest.bytes;
            }
        }
    }

    /// The commit of that revision, if it is still held.
    fn commit(&self, revision: Revision) -> Result<Commit, StoreError> {
        let oldest = self.oldest()?;
        let index = revision.0.checked_sub(oldest.0).and_then(|at| usize::try_from(at).ok());
        let held = index.and_then(|at| self.held.get(at)).ok_or(StoreError::WatchLost)?;
        Ok(held.commit.clone())
    }
}

/// A position in the ring.
#[derive(Debug)]
struct Watcher {
    shared: Arc<Shared>,
    next: Revision,
}

impl Watch for Watcher {
    fn next(&mut self, timeout: Duration) -> Result<Option<Commit>, StoreError> {
        let mut state = self.shared.state.lock();
        let waits = |state: &mut State| state.newest < self.next && !state.is_closed;
        self.shared.changed.wait_while_for(&mut state, waits, timeout);
        if self.next <= state.newest {
            let commit = state.commit(self.next)?;
            self.next = self.next.next()?;
            return Ok(Some(commit));
        }
        if state.is_closed { Err(StoreError::Closed) } else { Ok(None) }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.watchers -= 1;
        state.shed();
    }
}
