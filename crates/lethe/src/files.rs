//! Files that a command reads and writes: bounded when read, never overwritten when written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_types::SecretVec;

use crate::failure::Failure;

/// The file name that stands for standard input or output.
pub(crate) const STANDARD_STREAM: &str = "-";

/// Mode of a file that holds a secret.
pub(crate) const PRIVATE_MODE: u32 = 0o600;

/// Mode of a file that may be passed on; the umask narrows it.
pub(crate) const PUBLIC_MODE: u32 = 0o666;

/// All of a file, or of standard input for `-`, if it has at most `bytes_max` bytes.
///
/// # Errors
/// [`Failure::Failed`] if it cannot be read or is larger.
pub(crate) fn read_input(path: &Path, bytes_max: usize) -> Result<SecretVec, Failure> {
    if path == Path::new(STANDARD_STREAM) {
        let stdin = io::stdin().lock();
        if stdin.is_terminal() {
            eprintln!("lethe: reading from the terminal until Ctrl-D");
        }
        return read_bounded(stdin, "standard input", 0, bytes_max).map_err(Failure::Failed);
    }
    read_file(path, bytes_max).map_err(Failure::Failed)
}

/// All of a file, if it has at most `bytes_max` bytes.
///
/// # Errors
/// The reason in words.
pub(crate) fn read_file(path: &Path, bytes_max: usize) -> Result<SecretVec, String> {
    let what = format!("`{}`", path.display());
    let file = File::open(path).map_err(|error| format!("cannot read {what}: {error}"))?;
    let known = file.metadata().map_or(0, |metadata| metadata.len());
    read_bounded(file, &what, usize::try_from(known).unwrap_or(usize::MAX), bytes_max)
}

/// `bytes_known` is what the source is thought to hold: room for it is made at once, since a
/// buffer that grows leaves parts of a secret behind.
pub(crate) fn read_bounded(
    source: impl Read,
    what: &str,
    bytes_known: usize,
    bytes_max: usize,
) -> Result<SecretVec, String> {
    // One byte more than fits, to tell a full source from one that goes on.
    let limit = bytes_max.saturating_add(1);
    let mut bytes = Vec::with_capacity(bytes_known.min(bytes_max).saturating_add(1));
    source
        .take(u64::try_from(limit).unwrap_or(u64::MAX))
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read {what}: {error}"))?;
    let bytes = SecretVec::from_vec(bytes);
    if bytes.len() > bytes_max {
        return Err(format!("{what} has more than {bytes_max} bytes"));
    }
    Ok(bytes)
}

/// The bytes that `text` writes in base64, white space around it aside. `what` names it.
///
/// # Errors
/// [`Failure::Failed`].
pub(crate) fn from_base64(what: &str, text: &[u8]) -> Result<SecretVec, Failure> {
    let text = text.trim_ascii();
    let decoded = STANDARD.decode(text).map(SecretVec::from_vec);
    decoded.map_err(|error| Failure::Failed(format!("{what} is not base64: {error}")))
}

/// A new file that is there, empty, before the deed whose result it is going to hold, so that a
/// result that cannot be had twice is not lost for want of a place. It goes away again unless it
/// is [kept](NewFile::keep).
#[derive(Debug)]
pub(crate) struct NewFile {
    file: File,
    path: PathBuf,
    is_made_here: bool,
}

impl NewFile {
    /// Makes the file.
    ///
    /// # Errors
    /// [`Failure::Failed`] if it cannot be made or is there already. Pipes and devices may be.
    pub(crate) fn create(path: &Path, mode: u32) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::Failed(format!("cannot write `{}`: {error}", path.display()))
        };
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
            Ok(file) => Ok(Self { file, path: path.to_owned(), is_made_here: true }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::metadata(path).map_err(failed)?.is_file() {
                    let path = path.display();
                    return Err(Failure::Failed(format!(
                        "`{path}` is there already; files are never overwritten"
                    )));
                }
                let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
                Ok(Self { file, path: path.to_owned(), is_made_here: false })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes `bytes`, and the file stays.
    ///
    /// # Errors
    /// [`Failure::Failed`]; the file stays then too, with what could be written.
    pub(crate) fn keep(mut self, bytes: &[u8]) -> Result<(), Failure> {
        let is_made_here = std::mem::replace(&mut self.is_made_here, false);
        let written = self.file.write_all(bytes).and_then(|()| {
            // After a crash past this line the file holds all of it. Pipes have nothing to sync.
            if is_made_here { self.file.sync_all() } else { Ok(()) }
        });
        written.map_err(|error| {
            Failure::Failed(format!("cannot write `{}`: {error}", self.path.display()))
        })
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.is_made_here {
            // Empty, and named in the failure that led here: nothing is lost if it stays.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::Scratch;

    #[test]
    fn input_is_bounded() {
        #[track_caller]
        fn check(bytes: usize, fits: bool) {
            let read = read_bounded(io::repeat(7).take(bytes.try_into().unwrap()), "it", 0, 10);
            assert_eq!(read.as_ref().map(SecretVec::len).ok(), fits.then_some(bytes));
            if let Err(text) = read {
                assert_eq!(text, "it has more than 10 bytes");
            }
        }
        check(0, true);
        check(10, true);
        check(11, false);
        check(1_000_000, false);
    }

    #[test]
    fn base64_may_stand_in_white_space_and_nothing_else() {
        #[track_caller]
        fn check(text: &str, expected: Option<&[u8]>) {
            let read = from_base64("it", text.as_bytes()).ok();
            assert_eq!(read.as_ref().map(SecretVec::expose), expected, "{text:?}");
        }
        check("aGk=", Some(b"hi"));
        check(" aGk=\r\n", Some(b"hi"));
        check("", Some(b""));
        check("aGk", None);
        check("aG k=", None);
        check("aGk=aGk=", None);
        check("a-_=", None);
    }

    #[test]
    fn a_new_file_stays_only_if_it_is_kept_and_replaces_nothing() {
        let scratch = Scratch::new(None).unwrap();
        let path = scratch.path().join("file");
        drop(NewFile::create(&path, PRIVATE_MODE).unwrap());
        assert!(!path.exists());
        NewFile::create(&path, PRIVATE_MODE).unwrap().keep(b"result").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"result");
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let refused = NewFile::create(&path, PRIVATE_MODE).unwrap_err().text().unwrap();
        assert!(refused.contains("never overwritten"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"result");
        assert!(NewFile::create(&scratch.path().join("no/file"), PRIVATE_MODE).is_err());
        assert!(NewFile::create(scratch.path(), PRIVATE_MODE).is_err(), "a directory");
        NewFile::create(Path::new("/dev/null"), PRIVATE_MODE).unwrap().keep(b"x").unwrap();
        assert!(Path::new("/dev/null").exists());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let told = read_file(Path::new("/nonexistent/a"), 10).unwrap_err();
        assert!(told.starts_with("cannot read `/nonexistent/a`: "), "{told}");
        assert!(read_input(Path::new("/"), 10).is_err());
    }
}
