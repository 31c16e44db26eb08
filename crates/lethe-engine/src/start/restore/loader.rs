//! Puts the rows of a backup into an empty store.

use std::collections::{BTreeMap, BTreeSet};

use lethe_store::limits::{BATCH_OPS_MAX, PAGE_ROWS_MAX};
use lethe_store::{Batch, Space, Store, StoreError, StoreKey, Write};

use super::super::FORMAT_RESTORING;
use crate::keys;
use crate::ops::BackupRow;

/// Rows of one transaction.
const ROWS_AT_ONCE: usize = 8_192;
/// Bytes of one transaction.
const BYTES_AT_ONCE: usize = 16 * 1_048_576;

/// Loads the segments of a backup, a full one first and then what changed since, in their order.
///
/// From the first row on the store is marked, so that no start takes it for an installation before
/// [`super::restore`] is through with it.
#[derive(Debug)]
pub struct RestoreLoader<'a> {
    store: &'a dyn Store,
    batch: Batch,
    rows: usize,
    bytes: usize,
    /// The keys that a continuing segment names, of spaces from which rows may be removed.
    named: Option<BTreeSet<StoreKey>>,
    /// What followed, and is not in `batch` yet.
    followed: BTreeMap<StoreKey, Write>,
}

impl<'a> RestoreLoader<'a> {
    /// Marks `store`, which must be empty.
    ///
    /// # Errors
    /// [`StoreError`]; `Conflict` if it is not empty.
    pub fn new(store: &'a dyn Store) -> Result<Self, StoreError> {
        let mark = keys::meta("format");
        if store.get(&mark)?.is_some() {
            return Err(StoreError::Conflict { key: mark });
        }
        store.commit(Batch::new().put(mark, FORMAT_RESTORING.to_vec()))?;
        Ok(Self {
            store,
            batch: Batch::new(),
            rows: 0,
            bytes: 0,
            named: None,
            followed: BTreeMap::new(),
        })
    }

    /// A segment begins; `continues` if it holds only what changed since the one before.
    pub fn begin(&mut self, continues: bool) {
        self.named = continues.then(BTreeSet::new);
    }

    /// One row of it.
    ///
    /// # Errors
    /// [`StoreError`]; `Invalid` for a space or key that is none.
    pub fn row(&mut self, space: &str, key: &[u8], row: BackupRow<'_>) -> Result<(), StoreError> {
        let key = StoreKey::new(Space::parse(space)?, key)?;
        if let Some(named) = &mut self.named
            && !keys::NEVER_REMOVED.contains(&key.space())
        {
            named.insert(key.clone());
        }
        let BackupRow::Value(value) = row else { return Ok(()) };
        if key == keys::meta("format") {
            return Ok(());
        }
        self.rows += 1;
        self.bytes += key.bytes().len() + value.len();
        self.batch = std::mem::take(&mut self.batch).put(key, value.to_vec());
        if self.rows >= ROWS_AT_ONCE || self.bytes >= BYTES_AT_ONCE {
            self.flush()?;
        }
        Ok(())
    }

    /// What followed a segment: the changes of a commit, of which any number may come together.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn follow(&mut self, change: Write) -> Result<(), StoreError> {
        if *change.key() == keys::meta("format") {
            return Ok(());
        }
        self.bytes += change.bytes();
        self.followed.insert(change.key().clone(), change);
        if self.followed.len() >= ROWS_AT_ONCE || self.bytes >= BYTES_AT_ONCE {
            self.flush()?;
        }
        Ok(())
    }

    /// The segment is through: rows that it does not name any more go.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn end(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        let Some(named) = self.named.take() else { return Ok(()) };
        for space in keys::REMOVED_FROM {
            let mut from = Vec::new();
            loop {
                let page = self.store.range(space, &from, PAGE_ROWS_MAX)?;
                let gone = page
                    .rows
                    .iter()
                    .map(|row| &row.key)
                    .filter(|key| **key != keys::meta("format") && !named.contains(*key));
                let gone: Vec<StoreKey> = gone.cloned().collect();
                for piece in gone.chunks(BATCH_OPS_MAX) {
                    let batch = piece.iter().cloned().fold(Batch::new(), Batch::delete);
                    self.store.commit(batch)?;
                }
                match page.next {
                    Some(next) => from = next,
                    None => break,
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        // Of one row the newest change counts.
        for change in std::mem::take(&mut self.followed).into_values() {
            self.rows += 1;
            self.batch.push(change);
        }
        if self.rows > 0 {
            self.store.commit(std::mem::take(&mut self.batch))?;
        }
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}
