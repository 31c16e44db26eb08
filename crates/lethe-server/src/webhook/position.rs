//! The place of a webhook among the events, in a small file: `INDEX` and a newline.

use std::io;
use std::path::PathBuf;

use crate::ServeError;
use crate::private_files::{PRIVATE_FILE_MODE, PrivateFileError, read_private, write_atomic};

/// Twenty digits and a newline.
const FILE_BYTES_MAX: usize = 21;

/// Up to where everything is delivered or given up.
#[derive(Debug)]
pub(super) struct Position {
    path: PathBuf,
    event: u64,
    kept: u64,
}

impl Position {
    /// The place in the file at `path`; `newest`, kept at once, if there is no file: a new webhook
    /// hears of what comes, not of what was.
    ///
    /// # Errors
    /// [`ServeError::File`], or [`ServeError::WebhookPosition`] for a file that holds something
    /// else.
    pub(super) fn open(path: PathBuf, newest: u64) -> Result<Self, ServeError> {
        let content = match read_private(&path, FILE_BYTES_MAX) {
            Ok(content) => content,
            Err(PrivateFileError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                write_atomic(&path, print(newest).as_bytes(), PRIVATE_FILE_MODE)?;
                return Ok(Self { path, event: newest, kept: newest });
            }
            Err(error) => return Err(error.into()),
        };
        match core::str::from_utf8(content.expose()).ok().and_then(parse) {
            Some(event) => Ok(Self { path, event, kept: event }),
            None => Err(ServeError::WebhookPosition { path }),
        }
    }

    /// The newest event that is done with.
    pub(super) fn event(&self) -> u64 {
        self.event
    }

    /// Goes on, in memory.
    pub(super) fn advance(&mut self, event: u64) {
        self.event = event;
    }

    /// Makes the place durable, if it moved.
    ///
    /// # Errors
    /// [`PrivateFileError`]; the place before is still there.
    pub(super) fn keep(&mut self) -> Result<(), PrivateFileError> {
        if self.kept != self.event {
            write_atomic(&self.path, print(self.event).as_bytes(), PRIVATE_FILE_MODE)?;
            self.kept = self.event;
        }
        Ok(())
    }
}

fn print(event: u64) -> String {
    format!("{event}\n")
}

/// Strict: only what `print` writes.
fn parse(text: &str) -> Option<u64> {
    let event = text.strip_suffix('\n')?.parse().ok()?;
    (print(event) == text).then_some(event)
}
