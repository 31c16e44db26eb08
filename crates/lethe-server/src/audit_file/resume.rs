//! Where a trail goes on after a start.
//!
//! The head names a line that was durable; at most about a second of lines stands behind it. They
//! are followed here from the head to the last one that the chain holds. What a crash left behind
//! that, a torn line or a page that never reached the disk, is not touched: the next file's header
//! says how many bytes it is, and their hash.

use std::io;

use lethe_crypto::hash::Sha256;

use super::chain::{Because, EventPlace, Head, Header, Link, Torn};
use super::directory::{AuditDirectory, FileReader, LogFile, header_of};
use super::lines::{Lines, Next};

/// What the files of a trail say at a start.
pub(super) struct Resumed {
    /// The last line of the trail.
    pub(super) last: Link,
    /// Number of the last file; 0 if there is none.
    pub(super) number: u64,
    /// The header of the current file, which is the last one; `None` if there is no current file.
    pub(super) current: Option<Header>,
    /// Whether the next line may stand in the current file.
    pub(super) goes_on: bool,
    /// Whether the head names the last line.
    pub(super) is_anchored: bool,
    /// Why the next file is begun, if one must be now.
    pub(super) because: Because,
    /// What the last file ends with behind its last line.
    pub(super) torn: Option<Torn>,
    /// See [`Header::kept_from`].
    pub(super) kept_from: u64,
}

/// Finds the end of the trail. Puts a current file apart that is none of the trail's, and a head
/// that is damaged; changes nothing else.
///
/// # Errors
/// The error of the operating system.
pub(super) fn resume(directory: &mut dyn AuditDirectory) -> io::Result<Resumed> {
    let content = directory.read_head()?;
    let head = content.as_deref().and_then(Head::parse);
    if content.is_some() && head.is_none() {
        directory.put_head_apart()?;
    }
    let aside = directory.last_aside()?.unwrap_or(0);
    let mut is_changed = false;
    let mut current = directory.open_current()?;
    let mut header = current.as_deref().map(header_of).transpose()?.flatten();
    if current.is_some() && header.is_none_or(|header| header.file <= aside) {
        directory.put_apart()?;
        is_changed = true;
        (current, header) = (None, None);
    }
    let number = header.map_or(aside, |header| header.file);
    if number == 0 && content.is_none() {
        return Ok(Resumed::nothing());
    }
    let file = match current {
        Some(file) => Some(file),
        None => directory.open_aside(number)?,
    };
    let last_file = match &file {
        Some(file) => {
            let header = header_of(&**file)?.ok_or_else(|| io::Error::other(HEADER_GONE))?;
            Some((&**file, header))
        }
        None => None,
    };
    let mut resumed = follow(directory, head, last_file)?;
    resumed.number = number.max(head.map_or(0, |head| head.file));
    if resumed.because != Because::Unanchored && is_changed {
        resumed.because = Because::Changed;
    }
    resumed.current = header;
    let is_whole = resumed.torn.is_none() && resumed.because != Because::Unanchored;
    resumed.goes_on = header.is_some() && is_whole;
    resumed.is_anchored = head.is_some_and(|head| head.link == resumed.last);
    Ok(resumed)
}

const HEADER_GONE: &str = "the audit trail changes while it is read";

impl Resumed {
    /// There was never a trail here, as far as can be seen.
    fn nothing() -> Self {
        Self {
            last: Link::START,
            number: 0,
            current: None,
            goes_on: false,
            is_anchored: false,
            because: Because::First,
            torn: None,
            kept_from: 1,
        }
    }
}

/// Follows the chain from the head to the end of the last file.
fn follow(
    directory: &dyn AuditDirectory,
    head: Option<Head>,
    last_file: Option<(&dyn LogFile, Header)>,
) -> io::Result<Resumed> {
    let Some((file, header)) = last_file else {
        // Without files only the head can tell where the chain was.
        let last = head.map_or(Link::START, |head| head.link);
        return Ok(Resumed { last, because: Because::Unanchored, ..Resumed::nothing() });
    };
    let kept_from = header.kept_from;
    let anchored = match head {
        Some(head) => from_head(directory, head, file, header)?,
        None => None,
    };
    if let Some(end) = anchored {
        let torn = rest_of(file, end.bytes)?;
        let because = if torn.is_some() { Because::Crash } else { Because::Missing };
        return Ok(Resumed { last: end.link, because, torn, kept_from, ..Resumed::nothing() });
    }
    // The files alone: from the header of the last one.
    let end = walk(file, header)?;
    let torn = rest_of(file, end.bytes)?;
    let because = Because::Unanchored;
    let last = match head {
        // Lines are gone that the head names: their numbers are not given again.
        Some(head) if head.link.seq >= end.link.seq => head.link,
        Some(_) | None => end.link,
    };
    Ok(Resumed { last, because, torn, kept_from, ..Resumed::nothing() })
}

/// The end of a run of lines: the last one, and where it ends in its file.
struct End {
    link: Link,
    bytes: u64,
}

/// The end of the chain in the last file, if it leads there from the head.
fn from_head(
    directory: &dyn AuditDirectory,
    head: Head,
    last_file: &dyn LogFile,
    last_header: Header,
) -> io::Result<Option<End>> {
    if head.file == last_header.file {
        return after_head(last_file, head);
    }
    // A crash came between the first line of a file and the head that names it.
    let is_next = head.file.checked_add(1) == Some(last_header.file);
    let Some(file) = directory.open_aside(head.file)?.filter(|_| is_next) else {
        return Ok(None);
    };
    match after_head(&*file, head)? {
        Some(end) if last_header.prev == end.link => walk(last_file, last_header).map(Some),
        Some(_) | None => Ok(None),
    }
}

/// The end of the chain in the head's own file, if the head's line is where the head says.
fn after_head(file: &dyn LogFile, head: Head) -> io::Result<Option<End>> {
    let from = start_of_line(file, head.bytes)?;
    let mut lines = Lines::new(FileReader::new(file, from), from);
    let is_there = match lines.next()? {
        Next::Line(line) => {
            let is_it = lethe_crypto::hash::sha256(&[line]) == head.link.hash;
            is_it && seq_of(line) == Some(head.link.seq)
        }
        Next::TooLong | Next::End(_) => false,
    };
    if !is_there || lines.offset() != head.bytes {
        return Ok(None);
    }
    walk_lines(lines, head.link).map(Some)
}

fn seq_of(line: &[u8]) -> Option<u64> {
    let event = EventPlace::of(line).map(|place| place.seq);
    event.or_else(|| Header::parse(line).map(|header| header.prev.seq + 1))
}

/// Where the line begins that ends, with its newline, at `end`; 0 if it is too long for a line.
fn start_of_line(file: &dyn LogFile, end: u64) -> io::Result<u64> {
    let window = u64::try_from(super::chain::LINE_BYTES_MAX + 2).map_err(io::Error::other)?;
    let from = end.saturating_sub(window);
    let length = usize::try_from(end - from).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let mut read = 0;
    while read < length {
        let offset = from + u64::try_from(read).map_err(io::Error::other)?;
        match file.read_at(&mut bytes[read..], offset)? {
            0 => return Ok(0), // shorter than the head says
            more => read += more,
        }
    }
    let before = bytes[..length.saturating_sub(1)].iter().rposition(|byte| *byte == b'\n');
    let start = before.map_or(Ok(0), |at| u64::try_from(at + 1)).map_err(io::Error::other)?;
    Ok(if before.is_some() { from + start } else { 0 })
}

/// The end of the chain in a file, from its header on.
fn walk(file: &dyn LogFile, header: Header) -> io::Result<End> {
    let mut lines = Lines::new(FileReader::new(file, 0), 0);
    match lines.next()? {
        Next::Line(line) if Header::parse(line) == Some(header) => {}
        Next::Line(_) | Next::TooLong | Next::End(_) => {
            return Err(io::Error::other(HEADER_GONE));
        }
    }
    walk_lines(lines, header.link())
}

fn walk_lines(mut lines: Lines<FileReader<'_>>, from: Link) -> io::Result<End> {
    let mut end = End { link: from, bytes: lines.offset() };
    loop {
        let followed = match lines.next()? {
            Next::Line(line) => EventPlace::of(line)
                .filter(|place| place.seq == end.link.seq + 1 && place.prev == end.link.hash)
                .map(|_| end.link.followed_by(line)),
            Next::TooLong | Next::End(_) => None,
        };
        let Some(link) = followed else { return Ok(end) };
        end = End { link, bytes: lines.offset() };
    }
}

/// What `file` holds from `offset` on; `None` if nothing.
///
/// # Errors
/// The error of the operating system.
pub(super) fn rest_of(file: &dyn LogFile, offset: u64) -> io::Result<Option<Torn>> {
    let mut hash = Sha256::new();
    let mut bytes = vec![0; 65_536];
    let mut at = offset;
    loop {
        let read = file.read_at(&mut bytes, at)?;
        if read == 0 {
            let length = at - offset;
            return Ok((length > 0).then(|| Torn { bytes: length, hash: hash.finish() }));
        }
        hash.update(&bytes[..read]);
        at += u64::try_from(read).map_err(io::Error::other)?;
    }
}
