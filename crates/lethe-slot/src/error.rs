//! Why a slot file or a key file cannot be used, in words for the operator.

use core::error::Error;
use core::fmt;
use std::io;
use std::path::PathBuf;

use crate::file_slot::FILE_SLOT_BYTES;
use crate::filesystem::RefusedFilesystem;
use crate::key_file::KEY_FILE_BYTES;

/// Why a slot file cannot be used. Nothing was overwritten.
#[derive(Debug)]
pub enum FileSlotError {
    /// There is a file already, and a new one was asked for.
    AlreadyExists(PathBuf),
    /// The random source failed.
    Entropy,
    /// The file system does not erase by overwriting, or nobody knows whether it does.
    Filesystem {
        /// The file.
        path: PathBuf,
        /// Which file system, and why not.
        refused: RefusedFilesystem,
    },
    /// Another process, or another part of this one, has opened it.
    InUse(PathBuf),
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
    /// It does not have [`FILE_SLOT_BYTES`] bytes, or is no plain file.
    Size(PathBuf),
    /// It is a symbolic link, which could lead the erasure elsewhere than the writing.
    SymbolicLink(PathBuf),
}

impl fmt::Display for FileSlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyExists(path) => {
                write!(f, "the slot `{}` exists and is not overwritten", path.display())
            }
            Self::Entropy => f.write_str("the random source failed while making a slot"),
            Self::Filesystem { path, refused } => write!(
                f,
                "the slot `{}` would lie on a file system that may not erase: {refused}; put it \
                 elsewhere, or set `slot.accept_filesystem = true`",
                path.display()
            ),
            Self::InUse(path) => {
                write!(f, "another process uses this slot: `{}`; stop it first", path.display())
            }
            Self::Io { path, .. } => write!(f, "cannot use the slot `{}`", path.display()),
            Self::Missing(path) => write!(
                f,
                "the slot `{}` is missing: put it back, nothing opens without it",
                path.display()
            ),
            Self::Permissions { path, mode } => write!(
                f,
                "the slot `{}` has mode {mode:04o}: others may use it; make it 0600",
                path.display()
            ),
            Self::Size(path) => write!(
                f,
                "the slot `{}` is damaged: it is not a file of {FILE_SLOT_BYTES} bytes",
                path.display()
            ),
            Self::SymbolicLink(path) => {
                write!(f, "the slot `{}` is a symbolic link: name the file itself", path.display())
            }
        }
    }
}

impl Error for FileSlotError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::AlreadyExists(_)
            | Self::Entropy
            | Self::Filesystem { .. }
            | Self::InUse(_)
            | Self::Missing(_)
            | Self::Permissions { .. }
            | Self::Size(_)
            | Self::SymbolicLink(_) => None,
        }
    }
}

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
    /// It is a symbolic link, whose target is not checked.
    SymbolicLink(PathBuf),
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            Self::SymbolicLink(path) => write!(
                f,
                "the key file `{}` is a symbolic link: name the file itself",
                path.display()
            ),
        }
    }
}

impl Error for KeyFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::AlreadyExists(_)
            | Self::Entropy
            | Self::Missing(_)
            | Self::Permissions { .. }
            | Self::Size(_)
            | Self::SymbolicLink(_) => None,
        }
    }
}
