//! Reads: a few connections that are lent out, and one more for each snapshot.

use std::path::PathBuf;

use lethe_store::limits::PAGE_BYTES_MAX;
use lethe_store::{Page, Revision, Row, Space, StoreError, StoreKey, Versioned, Visit};
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use crate::sql::{self, revision_of, store_error, table};

/// The reading connections of one store. Each is opened when it is first needed.
#[derive(Debug)]
pub(crate) struct Readers {
    database: PathBuf,
    pool: Mutex<Pool>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Connection>,
    lent: usize,
    is_closed: bool,
}

impl Readers {
    pub(crate) fn new(database: PathBuf) -> Self {
        Self { database, pool: Mutex::default(), changed: Condvar::new() }
    }

    /// The value and revision of a key in a space that has a table.
    pub(crate) fn get(&self, key: &StoreKey) -> Result<Option<Versioned>, StoreError> {
        let statement = format!("SELECT r, v FROM {} WHERE k = ?1", table(key.space()));
        self.with(|connection| {
            let mut read = connection.prepare_cached(&statement).map_err(store_error)?;
            let mut rows = read.query((key.bytes(),)).map_err(store_error)?;
            let Some(row) = rows.next().map_err(store_error)? else {
                return Ok(None);
            };
            let revision = revision_of(row.get(0).map_err(store_error)?)?;
            let value = blob(row, 1)?.to_vec();
            Ok(Some(Versioned { value, revision }))
        })
    }

    /// One page of a space that has a table, read in one transaction.
    pub(crate) fn range(
        &self,
        space: Space,
        from: &[u8],
        rows_max: usize,
    ) -> Result<Page, StoreError> {
        let statement = format!("SELECT k, r, v FROM {} WHERE k >= ?1 ORDER BY k", table(space));
        self.with(|connection| {
            let _view = connection.unchecked_transaction().map_err(store_error)?;
            let revision = sql::newest_revision(connection)?;
            let mut read = connection.prepare_cached(&statement).map_err(store_error)?;
            let mut found = read.query((from,)).map_err(store_error)?;
            let mut page = Page { rows: Vec::new(), next: None, revision };
            let mut bytes = 0;
            while let Some(row) = found.next().map_err(store_error)? {
                let key = blob(row, 0)?;
                if page.rows.len() == rows_max || bytes > PAGE_BYTES_MAX {
                    page.next = Some(key.to_vec());
                    break;
                }
                let value = blob(row, 2)?;
                bytes += key.len() + value.len();
                let key = StoreKey::new(space, key).map_err(|_| long_key())?;
                let revision = revision_of(row.get(1).map_err(store_error)?)?;
                page.rows
                    .push(Row { key, versioned: Versioned { value: value.to_vec(), revision } });
            }
            Ok(page)
        })
    }

    /// Every row of every space in one transaction, over a connection of its own: a long walk must
    /// not hold one that short reads wait for. While it runs the log cannot be folded in wholly
    /// and grows with what is written.
    pub(crate) fn snapshot(&self, visit: &mut Visit<'_>) -> Result<Revision, StoreError> {
        let connection = sql::connect_reader(&self.database).map_err(store_error)?;
        let _view = connection.unchecked_transaction().map_err(store_error)?;
        let revision = sql::newest_revision(&connection)?;
        let mut versioned = Versioned::default();
        for space in sql::spaces(&connection)? {
            let statement = format!("SELECT k, r, v FROM {} ORDER BY k", table(space));
            let mut read = connection.prepare(&statement).map_err(store_error)?;
            let mut rows = read.query(()).map_err(store_error)?;
            while let Some(row) = rows.next().map_err(store_error)? {
                versioned.revision = revision_of(row.get(1).map_err(store_error)?)?;
                versioned.value.clear();
                versioned.value.extend_from_slice(blob(row, 2)?);
                visit(space, blob(row, 0)?, &versioned)?;
            }
        }
        Ok(revision)
    }

    /// Lends no more connections, waits for those that are lent, and closes all.
    pub(crate) fn close(&self) {
        let mut pool = self.pool.lock();
        pool.is_closed = true;
        self.changed.notify_all();
        self.changed.wait_while(&mut pool, |pool| pool.lent > 0);
        pool.idle.clear();
    }

    /// Runs `read` on a lent connection.
    fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut loan = self.lend()?;
        let connection = match loan.connection.take() {
            Some(connection) => connection,
            None => sql::connect_reader(&self.database).map_err(store_error)?,
        };
        let outcome = read(&connection);
        // After an error the connection is closed rather than used again in an unknown state.
        if outcome.is_ok() {
            loan.connection = Some(connection);
        }
        outcome
    }

    /// A connection, or the right to open one; waits while all are lent.
    fn lend(&self) -> Result<Loan<'_>, StoreError> {
        let mut pool = self.pool.lock();
        self.changed.wait_while(&mut pool, |pool| pool.lent >= READERS_MAX && !pool.is_closed);
        if pool.is_closed {
            return Err(StoreError::Closed);
        }
        pool.lent += 1;
        Ok(Loan { readers: self, connection: pool.idle.pop() })
    }
}

/// Gives its connection back, if it still has one.
struct Loan<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool.lock();
        pool.lent -= 1;
        pool.idle.extend(self.connection.take());
        self.readers.changed.notify_all();
    }
}

fn blob<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> Result<&'a [u8], StoreError> {
    let value = row.get_ref(column).map_err(store_error)?;
    value.as_blob().map_err(|_| StoreError::Corrupt { what: "a row of a wrong type".to_owned() })
}

fn long_key() -> StoreError {
    StoreError::Corrupt { what: "a key that is too long".to_owned() }
}

/// Most connections for short reads. Hot reads do not come here.
const READERS_MAX: usize = 4;
