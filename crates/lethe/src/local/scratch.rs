//! A directory of its own that goes when it is no longer needed.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use lethe_crypto::SystemEntropy;
use lethe_types::Entropy as _;

use crate::failure::Failure;

/// A new directory that only this user may enter.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    stays: AtomicBool,
}

impl Scratch {
    /// Makes it in `parent`, or where the system keeps temporary files.
    ///
    /// # Errors
    /// [`Failure::Failed`].
    pub(crate) fn new(parent: Option<&Path>) -> Result<Self, Failure> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_owned);
        let failed = |why: String| {
            Failure::Failed(format!("cannot make a directory in `{}`: {why}", parent.display()))
        };
        let absolute = std::path::absolute(&parent).map_err(|error| failed(error.to_string()))?;
        let mut number = [0; 4];
        SystemEntropy.fill(&mut number).map_err(|error| failed(error.to_string()))?;
        let path = absolute.join(format!("lethe-{:08x}", u32::from_be_bytes(number)));
        // It fails if the directory is there, so that nobody can have prepared it.
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| failed(error.to_string()))?;
        Ok(Self { path, stays: AtomicBool::new(false) })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// It stays for good.
    pub(crate) fn keep(&self) {
        self.stays.store(true, Ordering::Relaxed);
    }

    /// Removes it with all that it holds, unless it stays.
    pub(crate) fn remove(&self) {
        if self.stays.load(Ordering::Relaxed) {
            return;
        }
        match fs::remove_dir_all(&self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => eprintln!("lethe: cannot remove `{}`: {error}", self.path.display()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}
