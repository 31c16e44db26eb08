//! The calls that a slot makes on its file, as a trait, so that tests can make them fail.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, fadvise};

/// A file that a slot lives in.
pub(crate) trait Medium: FileExt + Send {
    /// Makes durable what was written.
    ///
    /// # Errors
    /// Nobody knows what the medium holds of the writes since the last sync, and a second sync
    /// does not tell either: Linux counts the pages as written after it reported the error once,
    /// and goes on to show their bytes to readers. Only writing again helps.
    fn sync(&self) -> io::Result<()>;

    /// Drops what memory holds of the file and the medium has too, as far as the system follows
    /// this advice, so that the next read asks the medium.
    fn forget_cache(&self) -> io::Result<()>;
}

impl Medium for File {
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn forget_cache(&self) -> io::Result<()> {
        Ok(fadvise(self, 0, None, Advice::DontNeed)?)
    }
}
