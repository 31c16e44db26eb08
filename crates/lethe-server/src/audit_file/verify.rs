//! Checks the chain of a trail, file after file, in constant memory.
//!
//! What it proves: if the trail holds up to a line of which somebody keeps the number and the hash
//! (a copy of the file `head`) out of the server's reach, then no line before that one was
//! altered, added, removed or moved since. Without such a copy it proves that the files fit each
//! other and the head beside them: whoever can write all of them can make a trail that fits.
//!
//! Must not know what events mean.

mod check;
mod fault;
mod files;

use core::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use lethe_types::UnixMillis;

use super::chain::{Because, HEAD_BYTES_MAX, Head, Torn};
use super::names::HEAD_FILE_NAME;
use check::Check;
use files::{Directory, FileSource, Given};

pub use fault::{Break, Fault};

/// A head, and where it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The file.
    pub source: PathBuf,
    /// What it says.
    pub head: Head,
}

impl Anchor {
    /// The head in the file at `source`.
    ///
    /// # Errors
    /// [`VerifyError`]; its source is of the kind `InvalidData` if the file holds no head.
    pub fn read(source: &Path) -> Result<Self, VerifyError> {
        let error = |cause| VerifyError { path: source.to_owned(), source: cause };
        let file = File::open(source).map_err(error)?;
        let mut content = Vec::new();
        let bytes_max = u64::try_from(HEAD_BYTES_MAX).expect("the bound is small");
        io::Read::read_to_end(&mut io::Read::take(file, bytes_max), &mut content).map_err(error)?;
        let head = Head::parse(&content).ok_or_else(|| {
            error(io::Error::new(io::ErrorKind::InvalidData, "it is not the head of a trail"))
        })?;
        Ok(Self { source: source.to_owned(), head })
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that were looked at, the one with the break included.
    pub files: u64,
    /// Number of the first file.
    pub first_file: u64,
    /// Events up to the break, or all.
    pub events: u64,
    /// `seq` of the first line.
    pub first_seq: u64,
    /// The last line that holds; `None` if not even the first one does.
    pub last: Option<LastLine>,
    /// The largest `seq` that an anchor named and that was found as it was named.
    pub anchored_seq: Option<u64>,
    /// Files that were begun for an unusual reason, in their order.
    pub notes: Vec<Note>,
    /// The first thing that does not hold.
    pub broken: Option<Break>,
}

impl Report {
    /// Whether everything holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.broken.is_none()
    }
}

/// The last line that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastLine {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: u64,
    /// Its number in the trail.
    pub seq: u64,
    /// When its event was, or its file was begun.
    pub time: Option<UnixMillis>,
}

/// A file that was begun for an unusual reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file.
    pub file: PathBuf,
    /// When it was begun.
    pub opened: UnixMillis,
    /// Why.
    pub because: Because,
    /// What the file before ends with behind its last line.
    pub torn: Option<Torn>,
}

/// A file could not be read, so that nothing can be said about the trail.
#[derive(Debug)]
pub struct VerifyError {
    /// Which file or directory.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read `{}`", self.path.display())
    }
}

impl core::error::Error for VerifyError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Checks the whole trail in `directory`: all files, from the first one on, against the head beside
/// them and against `anchors`. A server may go on writing it meanwhile.
///
/// `first_file` is the number of the first file that must be there; `None` for 1, or the one from
/// which on the server was told to keep them.
///
/// # Errors
/// [`VerifyError`].
pub fn verify_directory(
    directory: &Path,
    first_file: Option<u64>,
    anchors: &[Anchor],
) -> Result<Report, VerifyError> {
    // Read before the files: what it names must be there then, however fast the trail grows.
    let path = directory.join(HEAD_FILE_NAME);
    let mut anchors = anchors.to_vec();
    match Anchor::read(&path) {
        Ok(anchor) => anchors.push(anchor),
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
            // A directory that is not there at all is no trail.
            std::fs::read_dir(directory)
                .map_err(|source| VerifyError { path: directory.to_owned(), source })?;
            return Ok(Report::broken_at(path, Fault::HeadMissing));
        }
        Err(error) if error.source.kind() == io::ErrorKind::InvalidData => {
            return Ok(Report::broken_at(path, Fault::HeadUnreadable));
        }
        Err(error) => return Err(error),
    }
    let mut files = Directory::open(directory)?;
    let Some(first) = files.first()? else {
        return Ok(Report::broken_at(path, Fault::NoFiles));
    };
    let check = Check::new(anchors);
    let kept_from = first_file.map_or_else(|| files.kept_from(), Ok)?;
    if first > kept_from {
        // Only the first one is looked at, so that the break has its place.
        let found = files.open(first)?;
        let path = found.map_or(path, |found| found.path);
        return Ok(Report::broken_at(path, Fault::FilesMissing { from: kept_from, to: first - 1 }));
    }
    check.all(&mut files, first)
}

/// Checks that `files`, in this order, are one piece of a trail without a gap, and that they hold
/// what `anchors` name. What came before and after them is not looked at.
///
/// # Errors
/// [`VerifyError`].
pub fn verify_files(files: &[PathBuf], anchors: &[Anchor]) -> Result<Report, VerifyError> {
    let mut given = Given::new(files);
    let first = given.first()?.unwrap_or(1);
    Check::new(anchors.to_vec()).all(&mut given, first)
}

impl Report {
    fn broken_at(file: PathBuf, fault: Fault) -> Self {
        let broken = Some(Break { file, line: 1, seq: None, fault });
        Self { broken, ..Self::default() }
    }
}
