//! Files and directories that belong to this server alone: written whole or not at all, and never
//! open to other users of the machine.
//!
//! Knows modes and durability, not what the files mean.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use lethe_types::SecretVec;

/// Mode of a file that only its owner reads and writes.
pub const PRIVATE_FILE_MODE: u32 = 0o600;

/// Mode of a file that everyone may read, such as a certificate.
pub const PUBLIC_FILE_MODE: u32 = 0o644;

/// Mode of a directory that only its owner enters.
pub const PRIVATE_DIRECTORY_MODE: u32 = 0o700;

/// Why a private file or directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// The file or directory belongs to another user.
    #[error("`{}` belongs to user {owner}, not to the user of this server", path.display())]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
    },
    /// The operating system refused.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
    /// Something else is there.
    #[error("`{}` is not a {expected}", path.display())]
    NotA {
        /// What was expected.
        expected: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// Other users of the machine may use it.
    #[error(
        "`{}` is open to other users (mode {mode:03o}); run `chmod {wanted:03o}` on it",
        path.display()
    )]
    OpenToOthers {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The permission bits it should have.
        wanted: u32,
    },
    /// The file is larger than anything that belongs there.
    #[error("`{}` has more than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        bytes_max: usize,
    },
}

/// Replaces the file at `path` by `bytes` with the permission bits `mode`: after a crash at any
/// moment the old file or the new one is there, whole.
///
/// There must be one writer of `path` at a time. A symbolic link at `path` is replaced, not
/// followed.
///
/// # Errors
/// [`PrivateFileError::Io`] or [`PrivateFileError::NotA`]. Before the rename the old file is
/// untouched; if only the last sync of the directory failed, the new file is there but may be gone
/// after a power failure.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PrivateFileError> {
    let name = path.file_name().ok_or_else(|| not_a("file name", path))?;
    let mut temporary_name = OsString::from(".");
    temporary_name.push(name);
    temporary_name.push(".new");
    let temporary = path.with_file_name(temporary_name);
    let written = write_temporary(&temporary, bytes, mode).and_then(|()| {
        // A crash before this line leaves the old file and a temporary one, which the next write
        // removes; after it the new file, unless the power failed before the directory's sync.
        fs::rename(&temporary, path).map_err(io_error("rename to", path))
    });
    if written.is_err() {
        // The first error is the one to tell; a leftover is removed by the next write.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_directory(parent_of(path))
}

fn write_temporary(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PrivateFileError> {
    match fs::remove_file(path) {
        Ok(()) => {} // left behind by a crash
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_error("remove the old", path)(error)),
    }
    // `create_new`: a link that someone put there in the meantime is not followed.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(io_error("create", path))?;
    // The mode above went through the umask; this one does not.
    file.set_permissions(fs::Permissions::from_mode(mode))
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .map_err(io_error("write", path))
}

/// Makes sure that `path` is a directory of this user (or of root) which nobody else may enter, and
/// creates it, with its parents, if there is nothing.
///
/// The mode of an existing directory is never changed: `path` may be a mistake, such as `/tmp`.
///
/// # Errors
/// Any [`PrivateFileError`] but `TooLarge`. Directories made until then stay.
pub fn ensure_private_dir(path: &Path) -> Result<(), PrivateFileError> {
    create_missing(path)?;
    let metadata = fs::metadata(path).map_err(io_error("look at", path))?;
    if !metadata.is_dir() {
        return Err(not_a("directory", path));
    }
    check_private(path, &metadata, PRIVATE_DIRECTORY_MODE)
}

/// Makes sure that `path` is a directory of this user (or of root) in which nobody else may write,
/// and creates it, with its parents, private, if there is nothing. What lies in it is private by
/// itself, so that others may see its names.
///
/// The mode of an existing directory is never changed: `path` may be a mistake, such as `/tmp`.
///
/// # Errors
/// Any [`PrivateFileError`] but `TooLarge`. Directories made until then stay.
pub fn ensure_own_dir(path: &Path) -> Result<(), PrivateFileError> {
    create_missing(path)?;
    let metadata = fs::metadata(path).map_err(io_error("look at", path))?;
    if !metadata.is_dir() {
        return Err(not_a("directory", path));
    }
    check_owned(path, &metadata, 0o022, PRIVATE_DIRECTORY_MODE)
}

/// Creates the directory at `path`, private, with its parents, if there is nothing; durable, with
/// its name, when it returns.
///
/// # Errors
/// [`PrivateFileError::Io`]. Directories made until then stay.
pub(crate) fn create_missing(path: &Path) -> Result<(), PrivateFileError> {
    match fs::symlink_metadata(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_error("look at", path)(error)),
    }
    let parent = parent_of(path);
    if parent != path {
        create_missing(parent)?;
    }
    match DirBuilder::new().mode(PRIVATE_DIRECTORY_MODE).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io_error("create the directory", path)(error)),
    }
    // Without this the directory, and all that is synced inside it, may be gone after a power
    // failure.
    sync_directory(parent)
}

/// Up to `bytes_max` bytes of a file that only its owner, this user or root, may read. The bytes
/// never lie in a buffer that is not wiped.
///
/// # Errors
/// Any [`PrivateFileError`]. Nothing is changed.
pub fn read_private(path: &Path, bytes_max: usize) -> Result<SecretVec, PrivateFileError> {
    let mut file = File::open(path).map_err(io_error("open", path))?;
    // Asked of the open file, so that it cannot be exchanged between the check and the read.
    let metadata = file.metadata().map_err(io_error("look at", path))?;
    if !metadata.is_file() {
        return Err(not_a("regular file", path));
    }
    check_private(path, &metadata, PRIVATE_FILE_MODE)?;
    let too_large = || PrivateFileError::TooLarge { path: path.to_owned(), bytes_max };
    let length = usize::try_from(metadata.len()).map_err(|_| too_large())?;
    if length > bytes_max {
        return Err(too_large());
    }
    SecretVec::try_init_with(length, |buf| file.read_exact(buf)).map_err(io_error("read", path))
}

/// Makes the entries of the directory at `path` durable.
///
/// # Errors
/// [`PrivateFileError::Io`]; new entries may then be gone after a power failure.
pub fn sync_directory(path: &Path) -> Result<(), PrivateFileError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(io_error("sync the directory", path))
}

/// The directory of `path`; `.` for a bare name.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

fn check_private(
    path: &Path,
    metadata: &fs::Metadata,
    wanted: u32,
) -> Result<(), PrivateFileError> {
    check_owned(path, metadata, 0o077, wanted)
}

/// Whether `path` is this user's, or root's, and has none of the bits of `refused`.
fn check_owned(
    path: &Path,
    metadata: &fs::Metadata,
    refused: u32,
    wanted: u32,
) -> Result<(), PrivateFileError> {
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(PrivateFileError::ForeignOwner { path: path.to_owned(), owner });
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & refused != 0 {
        return Err(PrivateFileError::OpenToOthers { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

fn not_a(expected: &'static str, path: &Path) -> PrivateFileError {
    PrivateFileError::NotA { expected, path: path.to_owned() }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrivateFileError {
    move |source| PrivateFileError::Io { doing, path: path.to_owned(), source }
}
