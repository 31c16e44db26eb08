//! What the recorder wrote down: every change of the files of a run, in order.

use std::fs;
use std::path::{Path, PathBuf};

/// One call that changed something, or made something durable.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A file that was not there.
    Made { inode: u64, path: PathBuf },
    /// Bytes of a file.
    Wrote { inode: u64, path: PathBuf, at: u64, bytes: Vec<u8> },
    /// The length of a file.
    Cut { inode: u64, path: PathBuf, length: u64 },
    /// All of a file, or all entries of a folder, are durable.
    Synced { inode: u64, path: PathBuf },
    /// A folder that was not there.
    FolderMade { inode: u64, path: PathBuf },
    /// Another name, in place of whatever had it.
    Renamed { from: PathBuf, to: PathBuf },
    /// A name that is gone.
    Removed { path: PathBuf },
    /// A second name.
    Linked { from: PathBuf, to: PathBuf },
}

/// A step, and where in the record it ends: what was answered to a client before that position
/// came before it.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) end: u64,
    pub(super) step: Step,
}

/// All steps of a record. The last one may be cut short if its process was killed: it was made, and
/// nobody was told.
pub(super) fn read(record: &Path) -> Vec<Recorded> {
    let bytes = fs::read(record).expect("the recorder wrote");
    let mut rest = bytes.as_slice();
    let mut steps = Vec::new();
    while let Some((step, after)) = next(rest) {
        let end = u64::try_from(bytes.len() - after.len()).expect("fits");
        steps.push(Recorded { end, step });
        rest = after;
    }
    steps
}

fn next(bytes: &[u8]) -> Option<(Step, &[u8])> {
    let (what, rest) = bytes.split_first()?;
    let (inode, rest) = rest.split_first_chunk::<8>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (inode, number) = (u64::from_ne_bytes(*inode), u64::from_ne_bytes(*number));
    let (lengths, rest) = rest.split_first_chunk::<12>()?;
    let length = |at: usize| {
        let bytes = lengths[at..at + 4].try_into().expect("four bytes");
        usize::try_from(u32::from_ne_bytes(bytes)).expect("fits")
    };
    let (path, rest) = rest.split_at_checked(length(0))?;
    let (other, rest) = rest.split_at_checked(length(4))?;
    let (data, rest) = rest.split_at_checked(length(8))?;
    let path_of = |bytes: &[u8]| PathBuf::from(String::from_utf8(bytes.to_vec()).expect("UTF-8"));
    let path = path_of(path);
    let step = match what {
        1 => Step::Made { inode, path },
        2 => Step::Wrote { inode, path, at: number, bytes: data.to_vec() },
        3 => Step::Cut { inode, path, length: number },
        4 => Step::Synced { inode, path },
        5 => Step::FolderMade { inode, path },
        6 => Step::Renamed { from: path, to: path_of(other) },
        7 => Step::Removed { path },
        8 => Step::Linked { from: path, to: path_of(other) },
        other => panic!("the record is broken: {other}"),
    };
    Some((step, rest))
}
