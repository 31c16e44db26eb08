//! A store in memory: the contract over a map, for tests and simulations.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::limits::PAGE_BYTES_MAX;
use crate::{
    Batch, CommitFeed, Page, Revision, Row, Space, Store, StoreError, StoreKey, Tidied, Versioned,
    Visit, Watch, Write,
};

/// Keeps everything in memory; lost with the process. Every commit is one step under one lock.
#[derive(Debug)]
pub struct MemStore {
    state: Mutex<State>,
    feed: CommitFeed,
}

#[derive(Debug, Default)]
struct State {
    /// Shared values, so that a snapshot is a copy of the map and not of the values.
    rows: BTreeMap<StoreKey, Arc<Versioned>>,
    revision: Revision,
    is_closed: bool,
}

impl MemStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Mutex::default(), feed: CommitFeed::new(Revision::default()) }
    }

    /// What a new process finds after this store was closed or its process died: all commits, no
    /// watchers. The two do not share anything afterwards.
    #[must_use]
    pub fn restarted(&self) -> Self {
        let state = self.state.lock();
        let (rows, revision) = (state.rows.clone(), state.revision);
        Self {
            state: Mutex::new(State { rows, revision, is_closed: false }),
            feed: CommitFeed::new(revision),
        }
    }

    /// `read` of the state of an open store.
    fn with<T>(
        &self,
        read: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = self.state.lock();
        if state.is_closed { Err(StoreError::Closed) } else { read(&mut state) }
    }
}

impl Default for MemStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemStore {
    fn get(&self, key: &StoreKey) -> Result<Option<Versioned>, StoreError> {
        self.with(|state| Ok(state.rows.get(key).map(|row| Versioned::clone(row))))
    }

    fn range(&self, space: Space, from: &[u8], limit: u32) -> Result<Page, StoreError> {
        let limit = Page::rows_limit(from, limit)?;
        let from = StoreKey::new(space, from)?;
        self.with(|state| {
            let mut page = Page { rows: Vec::new(), next: None, revision: state.revision };
            let mut bytes = 0;
            for (key, row) in state.rows.range((Bound::Included(from), Bound::Unbounded)) {
                if key.space() != space {
                    break;
                }
                if page.rows.len() == limit || bytes > PAGE_BYTES_MAX {
                    page.next = Some(key.bytes().to_vec());
                    break;
                }
                bytes += key.bytes().len() + row.value.len();
                page.rows.push(Row { key: key.clone(), versioned: Versioned::clone(row) });
            }
            Ok(page)
        })
    }

    fn commit(&self, batch: Batch) -> Result<Revision, StoreError> {
        batch.check()?;
        self.with(|state| {
            for (key, expect) in batch.expects() {
                if !expect.holds(state.rows.get(key).map(|row| row.revision)) {
                    return Err(StoreError::Conflict { key: key.clone() });
                }
            }
            let revision = state.revision.next()?;
            for write in batch.writes() {
                match write {
                    Write::Delete { key } => drop(state.rows.remove(key)),
                    Write::Put { key, value } => {
                        let row = Arc::new(Versioned { value: value.clone(), revision });
                        state.rows.insert(key.clone(), row);
                    }
                }
            }
            state.revision = revision;
            // Still under the lock, so that watchers get commits in their order.
            self.feed.publish(revision, batch.into_writes());
            Ok(revision)
        })
    }

    fn revision(&self) -> Result<Revision, StoreError> {
        self.with(|state| Ok(state.revision))
    }

    fn watch(&self, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.feed.watch(after)
    }

    fn snapshot(&self, visit: &mut Visit<'_>) -> Result<Revision, StoreError> {
        let (rows, revision) = self.with(|state| Ok((state.rows.clone(), state.revision)))?;
        for (key, row) in &rows {
            visit(key.space(), key.bytes(), row)?;
        }
        Ok(revision)
    }

    fn tidy(&self) -> Result<Tidied, StoreError> {
        self.with(|_| Ok(Tidied::Complete))
    }

    fn close(&self) -> Result<(), StoreError> {
        self.state.lock().is_closed = true;
        self.feed.close();
        Ok(())
    }
}
