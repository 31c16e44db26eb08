//! A look at the files of a database before the engine touches them.
//!
//! The engine would repair, recover or create on opening; a file that is not plainly ours must be
//! refused before that. Layout of the header: "Database File Format" of SQLite, section 1.3.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::OpenError;
use crate::sql::APPLICATION_ID;

/// Refuses a file that is missing, no database, not ours, or visibly shorter than it should be.
/// Writes nothing.
///
/// # Errors
/// `Missing`, `Unreadable`, `NotADatabase`, `NotOurs`, `Damaged`.
pub(crate) fn inspect(database: &Path) -> Result<(), OpenError> {
    let unreadable = |source| OpenError::Unreadable { path: database.to_owned(), source };
    let damaged = |what| OpenError::Damaged { path: database.to_owned(), what };
    let metadata = match fs::metadata(database) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(OpenError::Missing { path: database.to_owned() });
        }
        Err(error) => return Err(unreadable(error)),
    };
    if !metadata.is_file() {
        return Err(OpenError::NotADatabase { path: database.to_owned() });
    }
    let mut header = Vec::new();
    let file = File::open(database).map_err(unreadable)?;
    file.take(HEADER_BYTES).read_to_end(&mut header).map_err(unreadable)?;
    if !header.starts_with(MAGIC) && !MAGIC.starts_with(&header) {
        return Err(OpenError::NotADatabase { path: database.to_owned() });
    }
    if metadata.len() < HEADER_BYTES {
        return Err(damaged(format!("it is cut off after {} bytes", metadata.len())));
    }
    if number(&header, APPLICATION_ID_AT) != APPLICATION_ID {
        return Err(OpenError::NotOurs { path: database.to_owned() });
    }
    let expected = bytes_by_header(&header);
    // With a write-ahead log the end of the file may lie in the log.
    if metadata.len() < expected && log_bytes(database) == 0 {
        let found = metadata.len();
        return Err(damaged(format!("it is cut off after {found} bytes of {expected}")));
    }
    Ok(())
}

/// Makes what the files say durable before anyone acts on it.
///
/// A process may have died between writing a commit to the log and syncing it. The commit is then
/// seen after the restart, and must not vanish with a later loss of power.
///
/// # Errors
/// `Unreadable` if a file cannot be synced.
pub(crate) fn sync(directory: &Path, database: &Path) -> Result<(), OpenError> {
    let log = sibling(database, "-wal");
    for path in [&log, database, directory] {
        match File::open(path).and_then(|file| file.sync_all()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound && *path == log => {}
            Err(source) => return Err(OpenError::Unreadable { path: path.to_owned(), source }),
        }
    }
    Ok(())
}

/// The path of a file that the engine keeps beside the database.
pub(crate) fn sibling(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    PathBuf::from(name)
}

/// Bytes of the write-ahead log; 0 without one.
fn log_bytes(database: &Path) -> u64 {
    fs::metadata(sibling(database, "-wal")).map_or(0, |metadata| metadata.len())
}

/// Bytes that the file should have by its header; 0 if the header does not say.
fn bytes_by_header(header: &[u8]) -> u64 {
    let is_count_valid = number(header, CHANGES_AT) == number(header, COUNTED_AT_CHANGE_AT);
    let page_bytes = match u16::from_be_bytes([header[PAGE_BYTES_AT], header[PAGE_BYTES_AT + 1]]) {
        1 => 65_536,
        bytes => u64::from(bytes),
    };
    if is_count_valid { page_bytes * u64::from(number(header, PAGES_AT)) } else { 0 }
}

fn number(header: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(header[at..at + 4].try_into().expect("four bytes of the header"))
}

const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: u64 = 100;
const PAGE_BYTES_AT: usize = 16;
const CHANGES_AT: usize = 24;
const PAGES_AT: usize = 28;
const APPLICATION_ID_AT: usize = 68;
const COUNTED_AT_CHANGE_AT: usize = 92;
