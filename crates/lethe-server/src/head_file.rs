//! The newest signed log head, in a small file beside the slot: `SIZE ROOT-IN-HEX`.
//!
//! It lies with the slot because both must stay out of the copies that are made of the data; beside
//! each of the slot's replicas, so that losing any one of them loses nothing.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use lethe_engine::{GuardedHead, HeadGuard, JournalPlace};

use crate::journal_replicas::JournalReplicas;
use crate::private_files::{PrivateFileError, read_private, write_atomic};

/// Longest file: 20 digits, a space, 64 digits, a newline.
const HEAD_FILE_BYTES_MAX: usize = 128;

/// The files, all with the same head.
#[derive(Debug)]
pub(crate) struct HeadFile(Vec<PathBuf>);

impl HeadFile {
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        Self(paths)
    }
}

impl HeadGuard for HeadFile {
    /// The newest of the heads: a replica may have been away.
    fn load(&self) -> Result<Option<GuardedHead>, Box<dyn Error + Send + Sync>> {
        let mut newest: Option<GuardedHead> = None;
        for path in &self.0 {
            let head = load(path)?;
            newest = newest.into_iter().chain(head).max_by_key(|head| head.size);
        }
        Ok(newest)
    }

    fn keep(&mut self, head: GuardedHead) -> Result<(), Box<dyn Error + Send + Sync>> {
        let written = self.0.iter().map(|path| write_atomic(path, print(head).as_bytes(), 0o600));
        // All are tried: one that fails must not keep the others behind.
        let written: Vec<_> = written.collect();
        Ok(written.into_iter().collect::<Result<(), _>>()?)
    }

    fn journal(&mut self) -> Option<Box<dyn JournalPlace>> {
        let beside = self.0.iter().map(|head| head.with_file_name("journal"));
        Some(Box::new(JournalReplicas::new(beside.collect())))
    }
}

fn load(path: &Path) -> Result<Option<GuardedHead>, Box<dyn Error + Send + Sync>> {
    let content = match read_private(path, HEAD_FILE_BYTES_MAX) {
        Ok(content) => content,
        Err(PrivateFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(Box::new(error)),
    };
    let damaged = || format!("`{}` is damaged: restore it, or remove it", path.display());
    let text = core::str::from_utf8(content.expose()).map_err(|_| damaged())?;
    Ok(Some(parse(text).ok_or_else(damaged)?))
}

fn print(head: GuardedHead) -> String {
    let digits: String = head.root.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} {digits}\n", head.size)
}

/// Strict: only what `print` writes.
fn parse(text: &str) -> Option<GuardedHead> {
    let (size, digits) = text.strip_suffix('\n')?.split_once(' ')?;
    let mut root = [0; 32];
    for (position, byte) in root.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * position..2 * position + 2)?, 16).ok()?;
    }
    let head = GuardedHead { size: size.parse().ok()?, root };
    (print(head) == text).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_round_trip_and_everything_else_is_refused() {
        let head = GuardedHead { size: 70_000, root: [0xA5; 32] };
        let text = print(head);
        assert_eq!(parse(&text), Some(head));
        let upper = text.to_uppercase();
        let spaced = text.replace(' ', "  ");
        let short = text.replace("a5\n", "\n");
        let long = text.replace('\n', "a5\n");
        let signed = format!("+{text}");
        for bad in ["", "1", "1 \n", &text[1..].replace(' ', ""), &upper, &spaced, &short, &long] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        assert_eq!(parse(&signed), None);
        assert_eq!(parse(text.trim_end()), None);
    }
}
