//! Settings of connections, texts of statements, and what an error of the engine means to us.

use core::time::Duration;
use std::path::Path;

use lethe_store::{Revision, Space, StoreError};
use lethe_types::Defence;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Marks our files in the header of the database: "Leth".
pub(crate) const APPLICATION_ID: u32 = 0x4c65_7468;

/// Version of the tables described here.
pub(crate) const FORMAT_VERSION: i64 = 1;

/// Names and values that belong to the store as a whole.
///
/// `format_version`; `revision` of the newest commit; `doubts`, how many failed commits had to be
/// overwritten (`writer.rs`).
pub(crate) const CREATE_META: &str =
    "CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL)
     WITHOUT ROWID, STRICT";

/// The newest revision.
pub(crate) const READ_REVISION: &str = "SELECT value FROM meta WHERE name = 'revision'";

/// Pages of the write-ahead log after which a commit folds it into the database. Rarer means fewer
/// writes of pages that many commits touch; 4,000 pages of 8 KiB are 32 MiB to read at a start.
const LOG_PAGES: u32 = 4_000;

/// Bytes to which the file of the write-ahead log shrinks after it grew past that, for instance
/// because a long read kept it from being folded in.
const LOG_BYTES_KEPT: u32 = 64 * 1_048_576;

/// Page cache of the writing connection, in KiB.
const WRITER_CACHE_KIB: u32 = 65_536;

/// Page cache of each reading connection, in KiB. Hot reads come from the engine's catalogue.
const READER_CACHE_KIB: u32 = 4_096;

/// Longest wait for a lock of the database file. Only another program, such as an inspection by
/// hand, can hold one against us.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Opens an existing database for the writing thread.
///
/// `synchronous = FULL` syncs the write-ahead log before a commit returns: with `NORMAL` a loss of
/// power could take back what was acknowledged. `secure_delete` writes zeroes over removed rows.
pub(crate) fn connect_writer(database: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        database,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(LOCK_WAIT)?;
    let secure_delete = if Defence::Scrub.is_off() { "OFF" } else { "ON" };
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA secure_delete = {secure_delete};
         PRAGMA wal_autocheckpoint = {LOG_PAGES};
         PRAGMA journal_size_limit = {LOG_BYTES_KEPT};
         PRAGMA cache_size = -{WRITER_CACHE_KIB};
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;"
    ))?;
    Ok(connection)
}

/// For the control of an attack: whatever was written before stays in the write-ahead log.
pub(crate) fn keep_remnants(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

/// Opens an existing database that the writing thread has open, for reading only.
pub(crate) fn connect_reader(database: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        database,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(LOCK_WAIT)?;
    connection.execute_batch(&format!(
        "PRAGMA cache_size = -{READER_CACHE_KIB};
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;"
    ))?;
    Ok(connection)
}

/// The table of a space. The name of a space is only `a-z` and `_`, so it needs no quoting.
pub(crate) fn table(space: Space) -> String {
    format!("{TABLE_PREFIX}{space}")
}

/// Columns: `k` key bytes, `r` revision of the last write, `v` value. Without a row id the rows
/// lie in the order of the keys, and a read is one descent.
pub(crate) fn create_table(space: Space) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (k BLOB NOT NULL PRIMARY KEY, r INTEGER NOT NULL,
         v BLOB NOT NULL) WITHOUT ROWID, STRICT",
        table(space)
    )
}

/// All spaces that have a table, in order.
pub(crate) fn spaces(connection: &Connection) -> Result<Vec<Space>, StoreError> {
    let mut names = connection
        .prepare_cached("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .map_err(store_error)?;
    let mut rows = names.query(()).map_err(store_error)?;
    let mut spaces = Vec::new();
    while let Some(row) = rows.next().map_err(store_error)? {
        let name: String = row.get(0).map_err(store_error)?;
        if let Some(space) = name.strip_prefix(TABLE_PREFIX) {
            spaces.push(Space::parse(space).map_err(|_| strange_table(&name))?);
        } else if name != "meta" {
            return Err(strange_table(&name));
        }
    }
    Ok(spaces)
}

/// The newest revision as this connection sees it.
pub(crate) fn newest_revision(connection: &Connection) -> Result<Revision, StoreError> {
    let mut read = connection.prepare_cached(READ_REVISION).map_err(store_error)?;
    revision_of(read.query_row((), |row| row.get(0)).map_err(store_error)?)
}

/// A stored revision.
pub(crate) fn revision_of(stored: i64) -> Result<Revision, StoreError> {
    let revision = u64::try_from(stored).map(Revision);
    revision.map_err(|_| StoreError::Corrupt { what: format!("a revision of {stored}") })
}

/// A revision as it is stored.
pub(crate) fn stored(revision: Revision) -> Result<i64, StoreError> {
    let stored = i64::try_from(revision.0);
    stored.map_err(|_| StoreError::Corrupt { what: "the revision cannot grow".to_owned() })
}

/// What a failure of the engine means. Right for everything but the end of a transaction.
pub(crate) fn store_error(error: rusqlite::Error) -> StoreError {
    let code = error.sqlite_error_code();
    if code == Some(ErrorCode::DiskFull) {
        StoreError::Full
    } else if is_damage(&error) {
        StoreError::Corrupt { what: error.to_string() }
    } else {
        StoreError::Unavailable { reason: error.to_string() }
    }
}

/// Whether an error says that the file is not what we wrote.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    let is_wrong_row = matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::QueryReturnedNoRows
            | rusqlite::Error::Utf8Error(..)
    );
    let code = error.sqlite_error_code();
    is_wrong_row
        || code == Some(ErrorCode::DatabaseCorrupt)
        || code == Some(ErrorCode::NotADatabase)
}

fn strange_table(name: &str) -> StoreError {
    StoreError::Corrupt { what: format!("a table that is not ours: `{name}`") }
}

const TABLE_PREFIX: &str = "space_";
