//! The directory of the audit trail: the file that is written, beside it the files that were put
//! aside, and the head.
//!
//! The two traits are all that the writer knows of the disk, so that tests can let it fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lethe_types::Clock;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::chain::{HEAD_BYTES_MAX, Header};
use super::lines::{Lines, Next};
use super::names::{CURRENT_FILE_NAME, HEAD_FILE_NAME, all_aside, name_apart, name_aside};
use crate::private_files::{PRIVATE_FILE_MODE, write_atomic};

/// A file that lines are appended to.
pub trait LogFile: Send {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The error of the operating system.
    fn length(&self) -> io::Result<u64>;

    /// Reads from `offset` as much as is there and `bytes` takes; 0 at the end.
    ///
    /// # Errors
    /// The error of the operating system.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

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
    /// Opens the current file; `None` if there is none.
    ///
    /// # Errors
    /// The error of the operating system.
    fn open_current(&mut self) -> io::Result<Option<Box<dyn LogFile>>>;

    /// Makes the current file, which was not there, with `header` as its content. Durable, with
    /// its name, when it returns.
    ///
    /// # Errors
    /// The error of the operating system. The file is there with all of `header`, or not at all.
    fn create_current(&mut self, header: &[u8]) -> io::Result<Box<dyn LogFile>>;

    /// Whether the file that was opened or made last still has its name: somebody else may have
    /// moved or removed it.
    fn is_current(&self) -> bool;

    /// Gives the current file the name of the trail's file `number`; afterwards there is no
    /// current file. Durable when it returns.
    ///
    /// # Errors
    /// The error of the operating system; the file has one of the two names.
    fn put_aside(&mut self, number: u64) -> io::Result<()>;

    /// Gives the current file, which is none of the trail's, a name that says so.
    ///
    /// # Errors
    /// As [`AuditDirectory::put_aside`].
    fn put_apart(&mut self) -> io::Result<()>;

    /// The largest number of a file that was put aside and begins with its header.
    ///
    /// # Errors
    /// The error of the operating system.
    fn last_aside(&self) -> io::Result<Option<u64>>;

    /// The file that was put aside with this number; `None` if there is none.
    ///
    /// # Errors
    /// The error of the operating system.
    fn open_aside(&self, number: u64) -> io::Result<Option<Box<dyn LogFile>>>;

    /// Removes files that were put aside, up to but without `number`, the oldest first.
    ///
    /// # Errors
    /// The error of the operating system; some are then still there.
    fn remove_before(&self, number: u64) -> io::Result<()>;

    /// The content of the head, or the start of it if it is longer than any head; `None` if there
    /// is none.
    ///
    /// # Errors
    /// The error of the operating system.
    fn read_head(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the head. Durable when it returns.
    ///
    /// # Errors
    /// The error of the operating system; the old head or the new one is there, whole.
    fn write_head(&mut self, content: &[u8]) -> io::Result<()>;

    /// Gives the head, which is damaged, a name that says so. Nothing if there is none.
    ///
    /// # Errors
    /// The error of the operating system; the file has one of the two names.
    fn put_head_apart(&mut self) -> io::Result<()>;
}

/// A directory of the operating system.
pub struct RealDirectory {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    /// Device and inode of the file that was opened last.
    opened: Option<(u64, u64)>,
    /// Device of the directory when it was used first.
    device: Option<u64>,
}

impl RealDirectory {
    /// The existing directory at `path`; `clock` dates the files that are put aside.
    #[must_use]
    pub fn new(path: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self { path, clock, opened: None, device: None }
    }

    /// Refuses a directory on another device than before: where a file system was unmounted, the
    /// trail must not go on in the directory below it.
    fn check_device(&mut self) -> io::Result<()> {
        let there = fs::metadata(&self.path)?.dev();
        if *self.device.get_or_insert(there) == there {
            return Ok(());
        }
        Err(io::Error::other("its directory is on another file system than before"))
    }

    fn current(&self) -> PathBuf {
        self.path.join(CURRENT_FILE_NAME)
    }

    fn head(&self) -> PathBuf {
        self.path.join(HEAD_FILE_NAME)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn adopt(&mut self, file: File) -> io::Result<Box<dyn LogFile>> {
        let metadata = file.metadata()?;
        self.opened = Some((metadata.dev(), metadata.ino()));
        Ok(Box::new(file))
    }

    fn put_apart_as(&self, path: &Path, what: &str) -> io::Result<()> {
        for attempt in 1..=NAMES_APART_MAX {
            let name = name_apart(self.clock.now(), what, attempt);
            match rename_to_new(path, &self.path.join(name)) {
                Ok(()) => return self.sync(),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("too many files were put apart within a second"))
    }
}

/// Most files that are put apart within one second.
const NAMES_APART_MAX: u32 = 10_000;

impl core::fmt::Debug for RealDirectory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RealDirectory").field("path", &self.path).finish_non_exhaustive()
    }
}

impl AuditDirectory for RealDirectory {
    fn open_current(&mut self) -> io::Result<Option<Box<dyn LogFile>>> {
        self.check_device()?;
        let opened = OpenOptions::new().read(true).append(true).open(self.current());
        let Some(file) = if_there(opened)? else { return Ok(None) };
        file.set_permissions(fs::Permissions::from_mode(PRIVATE_FILE_MODE))?;
        // The name may come from a step whose sync failed.
        self.sync()?;
        self.adopt(file).map(Some)
    }

    fn create_current(&mut self, header: &[u8]) -> io::Result<Box<dyn LogFile>> {
        self.check_device()?;
        let temporary = self.path.join(TEMPORARY_FILE_NAME);
        // Left behind by a crash: it holds a header and no event.
        if_there(fs::remove_file(&temporary))?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .mode(PRIVATE_FILE_MODE)
            .open(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(PRIVATE_FILE_MODE))?;
        file.write_all(header)?;
        file.sync_all()?;
        // A crash before this line leaves no current file: the next start makes one. After it the
        // file is there with its whole header, so that no file ever begins within a line.
        rename_to_new(&temporary, &self.current())?;
        // Without this the name, with all events in the file, may be gone after a power failure.
        self.sync()?;
        self.adopt(file)
    }

    fn is_current(&self) -> bool {
        let there = fs::metadata(self.current());
        there.is_ok_and(|there| self.opened == Some((there.dev(), there.ino())))
    }

    fn put_aside(&mut self, number: u64) -> io::Result<()> {
        let name = name_aside(self.clock.now(), number);
        rename_to_new(&self.current(), &self.path.join(name))?;
        self.opened = None;
        // A crash before this line may undo the rename: the next start goes on with the file. No
        // event is lost either way.
        self.sync()
    }

    fn put_apart(&mut self) -> io::Result<()> {
        self.opened = None;
        self.put_apart_as(&self.current(), CURRENT_FILE_NAME)
    }

    fn last_aside(&self) -> io::Result<Option<u64>> {
        for (number, name) in all_aside(&self.path)?.into_iter().rev() {
            let file = File::open(self.path.join(name))?;
            if header_of(&file)?.is_some_and(|header| header.file == number) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    fn open_aside(&self, number: u64) -> io::Result<Option<Box<dyn LogFile>>> {
        for (_, name) in all_aside(&self.path)?.into_iter().filter(|(one, _)| *one == number) {
            let file = File::open(self.path.join(name))?;
            if header_of(&file)?.is_some_and(|header| header.file == number) {
                return Ok(Some(Box::new(file)));
            }
        }
        Ok(None)
    }

    fn remove_before(&self, number: u64) -> io::Result<()> {
        for (_, name) in all_aside(&self.path)?.into_iter().filter(|(one, _)| *one < number) {
            if_there(fs::remove_file(self.path.join(name)))?;
        }
        Ok(())
    }

    fn read_head(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = if_there(File::open(self.head()))? else { return Ok(None) };
        let mut content = vec![0; HEAD_BYTES_MAX];
        let length = read_full(&file, &mut content)?;
        content.truncate(length);
        Ok(Some(content))
    }

    fn write_head(&mut self, content: &[u8]) -> io::Result<()> {
        write_atomic(&self.head(), content, PRIVATE_FILE_MODE).map_err(io::Error::other)
    }

    fn put_head_apart(&mut self) -> io::Result<()> {
        if_there(self.put_apart_as(&self.head(), HEAD_FILE_NAME)).map(|_| ())
    }
}

/// Name of a file on its way to be the current one.
const TEMPORARY_FILE_NAME: &str = ".audit.jsonl.new";

/// `None` instead of the error that nothing is there.
fn if_there<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

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

fn read_full(file: &dyn LogFile, bytes: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        let offset = u64::try_from(length).map_err(io::Error::other)?;
        match file.read_at(&mut bytes[length..], offset)? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// The header that `file` begins with; `None` if it begins with something else.
///
/// # Errors
/// The error of the operating system.
pub(super) fn header_of(file: &dyn LogFile) -> io::Result<Option<Header>> {
    match Lines::new(FileReader::new(file, 0), 0).next()? {
        Next::Line(line) => Ok(Header::parse(line)),
        Next::TooLong | Next::End(_) => Ok(None),
    }
}

/// Reads a file from an offset on.
pub(super) struct FileReader<'a> {
    file: &'a dyn LogFile,
    offset: u64,
}

impl<'a> FileReader<'a> {
    pub(super) fn new(file: &'a dyn LogFile, offset: u64) -> Self {
        Self { file, offset }
    }
}

impl io::Read for FileReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.offset)?;
        self.offset += u64::try_from(read).map_err(io::Error::other)?;
        Ok(read)
    }
}

impl LogFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match FileExt::read_at(self, bytes, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
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
