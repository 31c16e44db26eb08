//! The key file of the seal: 32 random bytes that only their owner may read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lethe_types::{Entropy, Secret};

/// Bytes of a key file.
pub const KEY_FILE_BYTES: usize = 32;

/// Mode of the files of this crate: their owner reads and writes, nobody else anything.
pub(crate) const OWNER_ONLY: u32 = 0o600;

/// Why there is no key. Nothing was overwritten.
#[derive(Debug)]
pub enum KeyFileError {
    /// There is a file already, and a new one was asked for.
    AlreadyExists(PathBuf),
    /// The random source failed.
    Entropy,
    /// The operating system refused.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no file.
    Missing(PathBuf),
    /// Others than the owner may read or write it.
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not have [`KEY_FILE_BYTES`] bytes, or is no plain file.
    Size(PathBuf),
}

impl core::fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::AlreadyExists(path) => {
                write!(f, "the key file `{}` exists and is not overwritten", path.display())
            }
            Self::Entropy => f.write_str("the random source failed while making a key file"),
            Self::Io { path, .. } => write!(f, "cannot use the key file `{}`", path.display()),
            Self::Missing(path) => write!(
                f,
                "the key file `{}` is missing: put it back, nothing opens without it",
                path.display()
            ),
            Self::Permissions { path, mode } => write!(
                f,
                "the key file `{}` has mode {mode:04o}: others may use it; make it 0600",
                path.display()
            ),
            Self::Size(path) => write!(
                f,
                "the key file `{}` is damaged: it is not a file of {KEY_FILE_BYTES} bytes",
                path.display()
            ),
        }
    }
}

impl core::error::Error for KeyFileError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::AlreadyExists(_)
            | Self::Entropy
            | Self::Missing(_)
            | Self::Permissions { .. }
            | Self::Size(_) => None,
        }
    }
}

/// Makes a key file with 32 random bytes, durably, and returns them.
///
/// # Errors
/// [`KeyFileError`]. A file that was made but not filled, by a crash in between, is refused later
/// as damaged.
pub fn create_key_file(path: &Path, entropy: &dyn Entropy) -> Result<Secret<32>, KeyFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::AlreadyExists(path.to_owned()),
        _ => KeyFileError::Io { path: path.to_owned(), source },
    };
    let key = Secret::<KEY_FILE_BYTES>::random(entropy).map_err(|_| KeyFileError::Entropy)?;
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(OWNER_ONLY).open(path).map_err(failed)?;
    file.write_all(key.expose()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    sync_parent(path).map_err(failed)?;
    Ok(key)
}

/// Reads a key file.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_key_file(path: &Path) -> Result<Secret<32>, KeyFileError> {
    let failed = |source| KeyFileError::Io { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KeyFileError::Missing(path.to_owned()));
        }
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    let expected = u64::try_from(KEY_FILE_BYTES).unwrap_or(u64::MAX);
    if !metadata.is_file() || metadata.len() != expected {
        return Err(KeyFileError::Size(path.to_owned()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & !OWNER_ONLY != 0 {
        return Err(KeyFileError::Permissions { path: path.to_owned(), mode });
    }
    Secret::try_init_with(|buf| file.read_exact(buf)).map_err(failed)
}

/// Makes the entry of a new file durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}
