//! Opening a directory: the lock, a new database, the checks of an old one.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use lethe_store::{CommitFeed, StoreError};
use lethe_types::Defence;
use parking_lot::{Mutex, RwLock};
use rusqlite::{Connection, ErrorCode};

use crate::readers::Readers;
use crate::sql::{APPLICATION_ID, CREATE_META, FORMAT_VERSION};
use crate::{EmbeddedStore, Link, Shared, header, sql, writer};

/// Whether the database must be there already. There is no "either": a mistyped path must not
/// become an empty store, and an existing one must not be taken for new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Makes a new database; refuses an existing one. Also makes the directory if only that is
    /// missing.
    CreateNew,
    /// Opens the database that is there; never makes one.
    OpenExisting,
}

/// What may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of a page of a new database: a power of two from 512 to 65,536. An existing one keeps
    /// its own. Default 8,192; why is in `docs/decisions/003-sqlite-settings.md`.
    pub page_bytes: u32,
    /// Bytes past which the database does not grow; a commit that needs more answers `Full`. The
    /// write-ahead log comes on top. Default: no bound but the disk.
    pub database_bytes_max: u64,
    /// Revision of a new database before its first commit; up to 2^62. Default 0. A restored store
    /// begins past every revision that the lost one gave.
    pub first_revision: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { page_bytes: 8_192, database_bytes_max: u64::MAX, first_revision: 0 }
    }
}

/// Why a directory was not opened. Nothing that was there has been changed.
#[derive(Debug)]
pub enum OpenError {
    /// There is a database already, and a new one was asked for.
    AlreadyExists {
        /// The database.
        path: PathBuf,
    },
    /// It is ours and cannot be read.
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The engine failed in a way that is none of the others.
    Engine {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// It is ours, of a version that this program does not know.
    ForeignFormat {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// No room is left on the disk.
    Full {
        /// The database.
        path: PathBuf,
    },
    /// Another process has the directory open.
    InUse {
        /// The directory.
        path: PathBuf,
        /// That process, if it has said so.
        process_id: Option<u32>,
    },
    /// There is no such directory, or no database in it.
    Missing {
        /// What is missing.
        path: PathBuf,
    },
    /// It is something else than a database.
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// It is a database of another program.
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The directory cannot be written.
    NotWritable {
        /// What could not be made or written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyExists { path } => write!(f, "there is a store already: {}", show(path)),
            Self::Damaged { path, what } => {
                write!(f, "the store {} is damaged: {what}", show(path))
            }
            Self::Engine { path, .. } => write!(f, "cannot open the store {}", show(path)),
            Self::ForeignFormat { path, found } => write!(
                f,
                "the store {} has format {found}; this program knows format {FORMAT_VERSION}",
                show(path)
            ),
            Self::Full { path } => write!(f, "no room is left on the disk of {}", show(path)),
            Self::InUse { path, process_id } => {
                write!(f, "another server uses this data directory (pid ")?;
                match process_id {
                    Some(id) => write!(f, "{id}"),
                    None => f.write_str("unknown"),
                }?;
                write!(f, "): {}", show(path))
            }
            Self::Missing { path } => write!(f, "there is no store: {} is missing", show(path)),
            Self::NotADatabase { path } => write!(f, "{} is not a database", show(path)),
            Self::NotOurs { path } => {
                write!(f, "{} is a database of another program", show(path))
            }
            Self::NotWritable { path, .. } => write!(f, "cannot write {}", show(path)),
            Self::Unreadable { path, .. } => write!(f, "cannot read {}", show(path)),
        }
    }
}

impl core::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Engine { source, .. } => Some(source),
            Self::NotWritable { source, .. } | Self::Unreadable { source, .. } => Some(source),
            Self::AlreadyExists { .. }
            | Self::Damaged { .. }
            | Self::ForeignFormat { .. }
            | Self::Full { .. }
            | Self::InUse { .. }
            | Self::Missing { .. }
            | Self::NotADatabase { .. }
            | Self::NotOurs { .. } => None,
        }
    }
}

impl EmbeddedStore {
    /// Opens the store in `directory` with the default settings and takes the directory for this
    /// process.
    ///
    /// A small database (under 64 MiB) is checked wholly. Of a larger one only the header, the
    /// tables and the version are checked here, since a full check would take seconds per gigabyte;
    /// damage elsewhere shows when it is read.
    ///
    /// # Errors
    /// [`OpenError`]; nothing that was there has been changed.
    pub fn open(directory: &Path, mode: OpenMode) -> Result<Self, OpenError> {
        Self::open_with(directory, mode, Settings::default())
    }

    /// Like [`EmbeddedStore::open`] with other settings.
    ///
    /// # Errors
    /// [`OpenError`]; nothing that was there has been changed.
    pub fn open_with(
        directory: &Path,
        mode: OpenMode,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let database = directory.join(DATABASE_FILE);
        prepare_directory(directory, mode)?;
        let lock = lock(directory)?;
        if mode == OpenMode::CreateNew {
            create(directory, &database, settings)?;
        }
        header::inspect(&database)?;
        header::sync(directory, &database)?;
        let failed = |source| engine_error(&database, source);
        let connection = sql::connect_writer(&database).map_err(failed)?;
        check(&connection, &database)?;
        bound(&connection, settings).map_err(failed)?;
        if Defence::Scrub.is_off() {
            sql::keep_remnants(&connection).map_err(failed)?;
        }
        Self::start(connection, database, lock)
    }

    /// Starts the writing thread over a database that was found good.
    fn start(connection: Connection, database: PathBuf, lock: File) -> Result<Self, OpenError> {
        let damaged = |error| open_error(&database, &error);
        let newest = sql::newest_revision(&connection).map_err(damaged)?;
        let spaces = sql::spaces(&connection).map_err(damaged)?;
        let shared = Arc::new(Shared {
            feed: CommitFeed::new(newest),
            spaces: RwLock::new(spaces.into_iter().collect()),
            is_in_doubt: AtomicBool::new(false),
            is_writer_dead: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            #[cfg(test)]
            death: crate::tests::dying::Death::default(),
        });
        let (jobs, queue) = sync_channel(writer::QUEUE_JOBS_MAX);
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer::run(connection, &for_thread, &queue))
            .map_err(|source| OpenError::Unreadable { path: database.clone(), source })?;
        let link = Link { jobs, thread, lock: Arc::new(lock) };
        let readers = Readers::new(database.clone());
        Ok(Self { database, readers, shared, link: Mutex::new(Some(link)) })
    }
}

/// The directory must be there, or is made for a new store: readable by its owner only.
fn prepare_directory(directory: &Path, mode: OpenMode) -> Result<(), OpenError> {
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => {
            let source = io::Error::from(ErrorKind::NotADirectory);
            Err(OpenError::NotWritable { path: directory.to_owned(), source })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => match mode {
            OpenMode::OpenExisting => Err(OpenError::Missing { path: directory.to_owned() }),
            OpenMode::CreateNew => DirBuilder::new()
                .mode(0o700)
                .create(directory)
                .and_then(|()| sync_parent(directory))
                .map_err(|source| OpenError::NotWritable { path: directory.to_owned(), source }),
        },
        Err(source) => Err(OpenError::Unreadable { path: directory.to_owned(), source }),
    }
}

/// Makes the entry of a new directory durable: without it all that is synced inside may be gone
/// after a cut of the power.
fn sync_parent(directory: &Path) -> io::Result<()> {
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new("."))).and_then(|parent| parent.sync_all())
}

/// Takes the directory for this process, until the file is closed or the process ends. The lock is
/// the operating system's, so that a dead process leaves none behind; the number in the file is
/// only for the message.
fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK_FILE);
    let not_writable = |source| OpenError::NotWritable { path: path.clone(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(not_writable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let read = file.take(LOCK_TEXT_BYTES_MAX).read_to_string(&mut text);
            let process_id = read.ok().and_then(|_| text.trim().parse().ok());
            return Err(OpenError::InUse { path: directory.to_owned(), process_id });
        }
        Err(TryLockError::Error(source)) => return Err(not_writable(source)),
    }
    // A full disk must not keep an existing store from being read: the number may stay unwritten.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", process::id()));
    Ok(file)
}

/// Makes an empty database under another name and renames it: a crash leaves either no database
/// or a whole one, and what it leaves under the other name is removed by the next attempt.
fn create(directory: &Path, database: &Path, settings: Settings) -> Result<(), OpenError> {
    if fs::symlink_metadata(database).is_ok() {
        return Err(OpenError::AlreadyExists { path: database.to_owned() });
    }
    let draft = header::sibling(database, ".new");
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let path = header::sibling(&draft, suffix);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(OpenError::NotWritable { path, source }),
        }
    }
    let not_writable = |source| OpenError::NotWritable { path: draft.clone(), source };
    // The engine gives the files that it makes later the permissions of this one.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
    let file = file.map_err(not_writable)?;
    fill(&draft, settings).map_err(|source| engine_error(&draft, source))?;
    file.sync_all().map_err(not_writable)?;
    fs::rename(&draft, database).map_err(not_writable)?;
    // A crash before this sync may leave the old name; the store was not answered for yet.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(not_writable)
}

/// Greatest first revision of a store: it can be counted up from for good.
const FIRST_REVISION_MAX: u64 = 1 << 62;

/// Writes the tables of an empty store.
fn fill(draft: &Path, settings: Settings) -> rusqlite::Result<()> {
    let connection = sql::connect_writer(draft)?;
    connection.pragma_update(None, "page_size", settings.page_bytes)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    let first_revision = settings.first_revision.min(FIRST_REVISION_MAX);
    connection.execute_batch(&format!(
        "BEGIN; {CREATE_META};
         INSERT INTO meta VALUES
           ('format_version', {FORMAT_VERSION}), ('revision', {first_revision}), ('doubts', 0);
         COMMIT;"
    ))?;
    // Closing the last connection folds the log in and removes it, so that one file is the whole.
    connection.close().map_err(|(_, error)| error)
}

/// Refuses a database that cannot be read or has another version. Writes nothing but what the
/// recovery of the engine does to a database of ours.
fn check(connection: &Connection, database: &Path) -> Result<(), OpenError> {
    let failed = |source| engine_error(database, source);
    let damaged = |what: String| OpenError::Damaged { path: database.to_owned(), what };
    let version =
        connection.query_row("SELECT value FROM meta WHERE name = 'format_version'", (), |row| {
            row.get::<_, i64>(0)
        });
    let found = match version {
        Ok(found) => found,
        Err(error) if is_missing_table(&error) => {
            return Err(damaged("its table of versions is missing".to_owned()));
        }
        Err(error) => return Err(failed(error)),
    };
    if found != FORMAT_VERSION {
        return Err(OpenError::ForeignFormat { path: database.to_owned(), found });
    }
    let mode: String =
        connection.query_row("PRAGMA journal_mode", (), |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        return Err(damaged(format!("its journal mode is `{mode}`, not `wal`")));
    }
    let pages: i64 =
        connection.query_row("PRAGMA page_count", (), |row| row.get(0)).map_err(failed)?;
    let page_bytes: i64 =
        connection.query_row("PRAGMA page_size", (), |row| row.get(0)).map_err(failed)?;
    if pages.saturating_mul(page_bytes) < WHOLE_CHECK_BYTES_MAX {
        let verdict: String =
            connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).map_err(failed)?;
        if verdict != "ok" {
            return Err(damaged(verdict));
        }
    }
    Ok(())
}

/// Sets the largest size. The engine counts in pages and never goes below what is in use.
fn bound(connection: &Connection, settings: Settings) -> rusqlite::Result<()> {
    let page_bytes: u32 = connection.query_row("PRAGMA page_size", (), |row| row.get(0))?;
    let pages = settings.database_bytes_max / u64::from(page_bytes.max(1));
    let pages = u32::try_from(pages).unwrap_or(u32::MAX).clamp(1, PAGES_MAX);
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
}

fn is_missing_table(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::Unknown)
        && error.to_string().contains("no such table")
}

/// The error of an engine that fails while a store is opened.
fn engine_error(path: &Path, source: rusqlite::Error) -> OpenError {
    let code = source.sqlite_error_code();
    if code == Some(ErrorCode::DiskFull) {
        OpenError::Full { path: path.to_owned() }
    } else if sql::is_damage(&source) {
        OpenError::Damaged { path: path.to_owned(), what: source.to_string() }
    } else if code == Some(ErrorCode::ReadOnly) || code == Some(ErrorCode::PermissionDenied) {
        let source = io::Error::other(source.to_string());
        OpenError::NotWritable { path: path.to_owned(), source }
    } else {
        OpenError::Engine { path: path.to_owned(), source }
    }
}

/// The same for what is read through functions of the store.
fn open_error(path: &Path, error: &StoreError) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), what: error.to_string() }
}

fn show(path: &Path) -> String {
    format!("`{}`", path.display())
}

/// The database within its directory; the engine keeps its log and index beside it.
const DATABASE_FILE: &str = "store.sqlite";

/// The file whose lock says who uses the directory.
const LOCK_FILE: &str = "lock";

/// A process number and a line end are shorter.
const LOCK_TEXT_BYTES_MAX: u64 = 32;

/// Databases up to this size are checked wholly at the start: well under a second.
const WHOLE_CHECK_BYTES_MAX: i64 = 64 * 1_048_576;

/// The most pages that the engine can count.
const PAGES_MAX: u32 = 4_294_967_294;
