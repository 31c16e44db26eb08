//! The key file of the seal: 32 random bytes that only their owner may read.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use lethe_types::{Entropy, Secret};

use crate::error::KeyFileError;
use crate::files::{self, Access, OWNER_ONLY, is_a_link, open_existing, sync_parent};

/// Bytes of a key file.
pub const KEY_FILE_BYTES: usize = 32;

/// Makes a key file with 32 random bytes, durably, and returns them.
///
/// # Errors
/// [`KeyFileError`]. A file that was made but not filled is removed; after a crash in between it
/// stays and is refused later as damaged.
pub fn create_key_file(path: &Path, entropy: &dyn Entropy) -> Result<Secret<32>, KeyFileError> {
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            KeyFileError::AlreadyExists(path.to_owned())
        } else {
            KeyFileError::Io { path: path.to_owned(), source }
        }
    };
    let key = Secret::<KEY_FILE_BYTES>::random(entropy).map_err(|_| KeyFileError::Entropy)?;
    files::make(path, failed, |mut file| file.write_all(key.expose()).map_err(failed))?;
    Ok(key)
}

/// Reads a key file. A symbolic link is not followed.
///
/// # Errors
/// [`KeyFileError`].
pub fn read_key_file(path: &Path) -> Result<Secret<32>, KeyFileError> {
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::NotFound {
            KeyFileError::Missing(path.to_owned())
        } else if is_a_link(&source) {
            KeyFileError::SymbolicLink(path.to_owned())
        } else {
            KeyFileError::Io { path: path.to_owned(), source }
        }
    };
    let mut file = open_existing(path, Access::Read).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || usize::try_from(metadata.len()) != Ok(KEY_FILE_BYTES) {
        return Err(KeyFileError::Size(path.to_owned()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & !OWNER_ONLY != 0 {
        return Err(KeyFileError::Permissions { path: path.to_owned(), mode });
    }
    Secret::try_init_with(|buf| file.read_exact(buf)).map_err(failed)
}

/// Overwrites the key file at `path` with random bytes and zeros, each synced, and removes it. What
/// it sealed opens no more. On media that remap blocks a copy may remain.
///
/// # Errors
/// [`KeyFileError`]: the key may or may not be gone.
pub fn destroy_key_file(path: &Path, entropy: &dyn Entropy) -> Result<(), KeyFileError> {
    // Looked at as for reading, so that nothing else is destroyed by mistake.
    drop(read_key_file(path)?);
    let failed = |source: io::Error| KeyFileError::Io { path: path.to_owned(), source };
    let file = open_existing(path, Access::ReadWrite).map_err(failed)?;
    let noise = Secret::<KEY_FILE_BYTES>::random(entropy).map_err(|_| KeyFileError::Entropy)?;
    for bytes in [noise.expose(), &[0; KEY_FILE_BYTES]] {
        file.write_all_at(bytes, 0).and_then(|()| file.sync_data()).map_err(failed)?;
    }
    fs::remove_file(path).and_then(|()| sync_parent(path)).map_err(failed)
}
