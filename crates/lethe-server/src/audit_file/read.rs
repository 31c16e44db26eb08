//! Reads the events of a trail, the newest first or as they come, also while a server writes it.
//!
//! Shows what is in the files; whether it is what was written there says [`super::verify`].

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::chain::LINE_BYTES_MAX;
use super::directory::{LogFile, header_of};
use super::lines::{Lines, Next};
use super::names::{CURRENT_FILE_NAME, all_aside};

/// A place in a trail, from which its lines are read as they come.
pub struct Follower {
    directory: PathBuf,
    /// `None` until there is a current file.
    open: Option<Open>,
}

struct Open {
    identity: (u64, u64),
    lines: Lines<File>,
}

impl core::fmt::Debug for Follower {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Follower").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// The last `count` lines of the trail in `directory` that `is_wanted` takes, the oldest first, and
/// the place behind them. Headers of files are lines too.
///
/// # Errors
/// The error of the operating system, if the directory or a file cannot be read.
pub fn last(
    directory: &Path,
    count: usize,
    is_wanted: &mut dyn FnMut(&[u8]) -> bool,
) -> io::Result<(Vec<Vec<u8>>, Follower)> {
    let mut follower = Follower { directory: directory.to_owned(), open: None };
    let mut found = VecDeque::new();
    // Opened before the names are listed, so that no file is missed that is put aside meanwhile.
    let current = open_current(directory)?;
    let aside = all_aside(directory)?;
    let mut older_than = u64::MAX;
    if let Some(file) = current {
        if let Some(header) = header_of(&file)? {
            older_than = header.file;
        }
        let mut backwards = Backwards::new(&file)?;
        let end = backwards.end();
        backwards.collect(count, &mut found, is_wanted)?;
        let identity = identity_of(&file)?;
        let mut at_end = file;
        io::Seek::seek(&mut at_end, io::SeekFrom::Start(end))?;
        follower.open = Some(Open { identity, lines: Lines::new(at_end, end) });
    }
    for (_, name) in aside.iter().rev().filter(|(number, _)| *number < older_than) {
        if found.len() >= count {
            break;
        }
        match File::open(directory.join(name)) {
            Ok(file) => Backwards::new(&file)?.collect(count, &mut found, is_wanted)?,
            // Removed meanwhile, as too old.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok((found.into(), follower))
}

impl Follower {
    /// Calls `take` with every line that came since the last call. Follows the trail from file to
    /// file.
    ///
    /// # Errors
    /// The error of the operating system, or that of `take`. Asking again goes on.
    pub fn read(&mut self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        loop {
            // Looked at before the file is read: if it is still the current one then, all that was
            // written to it by now is read below.
            let current = open_current(&self.directory)?;
            let identity = current.as_ref().map(identity_of).transpose()?;
            if let Some(open) = &mut self.open {
                open.read(take)?;
                if identity.is_none() || identity == Some(open.identity) {
                    return Ok(());
                }
            }
            let (Some(file), Some(identity)) = (current, identity) else { return Ok(()) };
            if self.open.is_some() {
                self.read_between(&file, take)?;
            }
            self.open = Some(Open { identity, lines: Lines::new(file, 0) });
        }
    }

    /// The files that were begun and put aside since the last look, if there were several.
    fn read_between(
        &mut self,
        current: &File,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        let Some(until) = header_of(current)?.map(|header| header.file) else { return Ok(()) };
        let mut between = Vec::new();
        for (number, name) in all_aside(&self.directory)?.into_iter().rev() {
            if number >= until {
                continue;
            }
            let file = File::open(self.directory.join(name))?;
            let identity = identity_of(&file)?;
            if identity == open.identity {
                break;
            }
            between.push((identity, file));
            if between.len() > FILES_BETWEEN_MAX {
                // The file that was read last was taken away: there is no telling which of these
                // were begun since.
                return Ok(());
            }
        }
        for (identity, file) in between.into_iter().rev() {
            let mut open = Open { identity, lines: Lines::new(file, 0) };
            open.read(take)?;
            self.open = Some(open);
        }
        Ok(())
    }
}

/// Most files that are begun and put aside between two looks at the trail.
const FILES_BETWEEN_MAX: usize = 64;

impl Open {
    fn read(&mut self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        loop {
            match self.lines.next()? {
                Next::Line(line) => take(line)?,
                Next::End(_) => return Ok(()),
                Next::TooLong => {
                    let why = "a line of the audit trail is too long";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
            }
        }
    }
}

fn open_current(directory: &Path) -> io::Result<Option<File>> {
    match File::open(directory.join(CURRENT_FILE_NAME)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn identity_of(file: &File) -> io::Result<(u64, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// The lines of a file from its end to its start.
struct Backwards<'a> {
    file: &'a File,
    /// Where `bytes` begin in the file.
    start: u64,
    /// What is read and not yet answered; ends behind a newline.
    bytes: Vec<u8>,
}

/// Bytes that are read at once.
const BLOCK_BYTES: u64 = 65_536;

impl<'a> Backwards<'a> {
    /// From the last newline on; what is behind it is no line yet.
    fn new(file: &'a File) -> io::Result<Self> {
        let mut backwards = Self { file, start: file.length()?, bytes: Vec::new() };
        while backwards.start > 0 {
            backwards.bytes.clear();
            backwards.read_block()?;
            if let Some(newline) = backwards.bytes.iter().rposition(|byte| *byte == b'\n') {
                backwards.bytes.truncate(newline + 1);
                return Ok(backwards);
            }
        }
        backwards.bytes.clear();
        Ok(backwards)
    }

    /// Where the lines that are not yet answered end.
    fn end(&self) -> u64 {
        self.start.saturating_add(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
    }

    /// Puts wanted lines before those that were found, until there are `count`.
    fn collect(
        &mut self,
        count: usize,
        found: &mut VecDeque<Vec<u8>>,
        is_wanted: &mut dyn FnMut(&[u8]) -> bool,
    ) -> io::Result<()> {
        while found.len() < count {
            let Some(line) = self.previous()? else { return Ok(()) };
            if is_wanted(&line) {
                found.push_front(line);
            }
        }
        Ok(())
    }

    /// The line before, without its newline. What is longer than a line comes in pieces.
    fn previous(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if self.bytes.is_empty() {
                if self.start == 0 {
                    return Ok(None);
                }
                self.read_block()?;
            }
            // Without a newline at its end it is the rest of a line that was too long.
            let inner = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
            if let Some(newline) = inner.iter().rposition(|byte| *byte == b'\n') {
                let line = inner[newline + 1..].to_vec();
                self.bytes.truncate(newline + 1);
                return Ok(Some(line));
            }
            if self.start == 0 || inner.len() > LINE_BYTES_MAX {
                let line = inner.to_vec();
                self.bytes.clear();
                return Ok(Some(line));
            }
            self.read_block()?;
        }
    }

    /// Reads the block before `start`.
    fn read_block(&mut self) -> io::Result<()> {
        let length = self.start.min(BLOCK_BYTES);
        let from = self.start - length;
        let mut block = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        std::os::unix::fs::FileExt::read_exact_at(self.file, &mut block, from)?;
        block.extend_from_slice(&self.bytes);
        self.bytes = block;
        self.start = from;
        Ok(())
    }
}
