//! The directory of the audit trail: `audit.jsonl`, and beside it the files that were put aside.
//!
//! The two traits are all that the writer knows of the disk, so that tests can let it fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lethe_types::Clock;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::CURRENT_FILE_NAME;
use crate::private_files::PRIVATE_FILE_MODE;

/// A file that lines are appended to.
pub trait LogFile: Send {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The error of the operating system.
    fn length(&self) -> io::Result<u64>;

    /// Its last byte; `None` if it is empty.
    ///
    /// # Errors
    /// The error of the operating system.
    fn last_byte(&mut self) -> io::Result<Option<u8>>;

    /// Writes all of `bytes` at the end.
    ///
    /// # Errors
    /// The error of the operating system; a part of `bytes` may then be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what was appended.
    ///
    /// # Errors
    /// The error of the operating system; what was appended since the last success may then be
    /// gone, and must be appended again.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts it to `length` bytes.
    ///
    /// # Errors
    /// The error of the operating system.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// Where the files are.
pub trait AuditDirectory: Send {
    /// Opens the current file, or creates it, with a durable name.
    ///
    /// # Errors
    /// The error of the operating system.
    fn open_current(&mut self) -> io::Result<Box<dyn LogFile>>;

    /// Whether the file that was opened last still has its name: somebody else may have moved or
    /// removed it.
    fn is_current(&self) -> bool;

    /// Gives the current file a name of its own, which no file had; afterwards there is no
    /// current file. Durable when it returns.
    ///
    /// # Errors
    /// The error of the operating system; the file has one of the two names.
    fn put_aside(&mut self) -> io::Result<()>;
}

/// A directory of the operating system.
pub struct RealDirectory {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    /// Device and inode of the file that was opened last.
    opened: Option<(u64, u64)>,
}

impl RealDirectory {
    /// The existing directory at `path`; `clock` dates the files that are put aside.
    #[must_use]
    pub fn new(path: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self { path, clock, opened: None }
    }

    fn current(&self) -> PathBuf {
        self.path.join(CURRENT_FILE_NAME)
    }

    /// `audit-YYYYMMDDThhmmss-N.jsonl`.
    fn name_aside(&self, number: u32) -> PathBuf {
        let time = self.clock.now().to_string();
        let time: String = time
            .chars()
            .take_while(|c| *c != '.')
            .filter(|c| c.is_ascii_digit() || *c == 'T')
            .collect();
        self.path.join(format!("audit-{time}-{number}.jsonl"))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl core::fmt::Debug for RealDirectory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RealDirectory").field("path", &self.path).finish_non_exhaustive()
    }
}

impl AuditDirectory for RealDirectory {
    fn open_current(&mut self) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(PRIVATE_FILE_MODE)
            .open(self.current())?;
        file.set_permissions(fs::Permissions::from_mode(PRIVATE_FILE_MODE))?;
        // Without this the name of a new file, with all events in it, may be gone after a power
        // failure.
        self.sync()?;
        let metadata = file.metadata()?;
        self.opened = Some((metadata.dev(), metadata.ino()));
        Ok(Box::new(file))
    }

    fn is_current(&self) -> bool {
        let there = fs::metadata(self.current());
        there.is_ok_and(|there| self.opened == Some((there.dev(), there.ino())))
    }

    fn put_aside(&mut self) -> io::Result<()> {
        for number in 1..=NAMES_ASIDE_MAX {
            match rename_to_new(&self.current(), &self.name_aside(number)) {
                Ok(()) => {
                    self.opened = None;
                    // A crash before this line may undo the rename: the next start appends to the
                    // file again, or puts it aside again. No event is lost either way.
                    return self.sync();
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("too many files were put aside within a second"))
    }
}

/// Most files that are put aside within one second.
const NAMES_ASIDE_MAX: u32 = 10_000;

/// Renames, but never over a file that exists.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems lack the flag. Nobody else writes in this directory, so that looking
        // first is enough there.
        Err(Errno::INVAL | Errno::NOSYS) => match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        outcome => Ok(outcome?),
    }
}

impl LogFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn last_byte(&mut self) -> io::Result<Option<u8>> {
        if self.length()? == 0 {
            return Ok(None);
        }
        self.seek(SeekFrom::End(-1))?;
        let mut byte = [0_u8];
        self.read_exact(&mut byte)?;
        Ok(Some(byte[0]))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
