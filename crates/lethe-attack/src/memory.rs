//! The memory of a running process, as a debugger of the same user or root sees it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;

use memchr::memmem;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 4 * 1_048_576;

/// Writable memory of a process.
#[derive(Debug)]
pub struct ProcessMemory {
    process: u32,
    file: File,
}

/// A part of the memory in which something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// What the kernel says of it, as in `rd wr mr mw me ac lo`.
    pub flags: String,
    /// What it is of: a file, `[heap]`, or nothing.
    pub name: String,
    start: u64,
    end: u64,
}

impl Mapping {
    /// Whether its pages stay out of swap.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.flags.split(' ').any(|flag| flag == "lo")
    }
}

impl ProcessMemory {
    /// Opens the memory of a process.
    ///
    /// # Errors
    /// The system's: there is no such process, or this one may not look.
    pub fn open(process: u32) -> io::Result<Self> {
        Ok(Self { process, file: File::open(format!("/proc/{process}/mem"))? })
    }

    /// For each of `needles` the parts of writable memory in which it lies.
    ///
    /// # Errors
    /// The system's.
    pub fn find(&self, needles: &[&[u8]]) -> io::Result<Vec<Vec<Mapping>>> {
        let mut found = vec![Vec::new(); needles.len()];
        let mut buffer = vec![0; PIECE_BYTES];
        for mapping in self.writable()? {
            let seen = self.look_through(&mapping, needles, &mut buffer);
            for (found, _) in found.iter_mut().zip(seen).filter(|(_, seen)| *seen) {
                found.push(mapping.clone());
            }
        }
        Ok(found)
    }

    /// Which of `needles` lie in one mapping.
    fn look_through(&self, mapping: &Mapping, needles: &[&[u8]], buffer: &mut [u8]) -> Vec<bool> {
        let mut seen = vec![false; needles.len()];
        let overlap = needles.iter().map(|needle| needle.len()).max().unwrap_or(0);
        let mut at = mapping.start;
        while at < mapping.end {
            let left = usize::try_from(mapping.end - at).unwrap_or(usize::MAX);
            let wanted = left.min(buffer.len());
            // Some mappings of the kernel cannot be read; they hold nothing of the process.
            let Ok(read) = self.file.read_at(&mut buffer[..wanted], at) else { break };
            for (seen, needle) in seen.iter_mut().zip(needles) {
                *seen = *seen || memmem::find(&buffer[..read], needle).is_some();
            }
            if read <= overlap || read == left {
                break;
            }
            // What lies across two pieces is in the second one.
            at += u64::try_from(read - overlap).unwrap_or(u64::MAX);
        }
        seen
    }

    /// Every writable mapping.
    fn writable(&self) -> io::Result<Vec<Mapping>> {
        let text = fs::read_to_string(format!("/proc/{}/smaps", self.process))?;
        Ok(parse_smaps(&text))
    }
}

/// The writable mappings of a text as in `/proc/PID/smaps`.
pub(crate) fn parse_smaps(text: &str) -> Vec<Mapping> {
    let mut mappings: Vec<Mapping> = Vec::new();
    let mut is_writable = false;
    for line in text.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            if let Some(last) = mappings.last_mut().filter(|_| is_writable) {
                flags.trim().clone_into(&mut last.flags);
            }
        } else if let Some((start, end, rights, name)) = head(line) {
            is_writable = rights.starts_with("rw");
            if is_writable {
                let (flags, name) = (String::new(), name.to_owned());
                mappings.push(Mapping { flags, name, start, end });
            }
        }
    }
    mappings
}

/// The first line of a mapping: `start-end rights offset device inode name`.
fn head(line: &str) -> Option<(u64, u64, &str, &str)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let address = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end) = (address(start)?, address(end)?);
    let rights = words.next()?;
    Some((start, end, rights, words.nth(3).unwrap_or_default()))
}
