//! Bytes that an attacker kept.

use std::fs;
use std::io;
use std::path::Path;

use memchr::memmem;

/// Most bytes that a hoard takes: an installation of an attack is a few megabytes.
pub const HOARD_BYTES_MAX: usize = 1 << 30;

/// Folders below each other that are looked into.
const DEPTH_MAX: u32 = 16;

/// The contents of files, each in one piece.
#[derive(Debug, Default)]
pub struct Hoard {
    pieces: Vec<Vec<u8>>,
    bytes: usize,
}

impl Hoard {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps bytes.
    ///
    /// # Errors
    /// If the hoard would exceed [`HOARD_BYTES_MAX`]; it is as before.
    pub fn add(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let total = self.bytes.saturating_add(bytes.len());
        if total > HOARD_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too much for one attack"));
        }
        self.bytes = total;
        self.pieces.push(bytes);
        Ok(())
    }

    /// Keeps every file below a folder, whatever its name. Sockets have no bytes.
    ///
    /// # Errors
    /// Those of the file system; what was read until then is kept.
    pub fn add_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.add_below(folder, DEPTH_MAX)
    }

    fn add_below(&mut self, folder: &Path, depth: u32) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && depth > 0 {
                self.add_below(&entry.path(), depth - 1)?;
            } else if kind.is_file() {
                self.add(fs::read(entry.path())?)?;
            }
        }
        Ok(())
    }

    /// Whether these bytes lie somewhere in it, in one piece.
    #[must_use]
    pub fn holds(&self, needle: &[u8]) -> bool {
        self.pieces.iter().any(|piece| memmem::find(piece, needle).is_some())
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(crate) fn pieces(&self) -> &[Vec<u8>] {
        &self.pieces
    }
}
