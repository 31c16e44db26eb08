//! The file of a copy that follows: what changed since its base, commit after commit.
//!
//! ```text
//! "LETHEFW1" | 32 bytes digest of the base's note | frame*
//! frame:  u32 length | changes | u32 length | signed backup note
//! change: 01 | u8 length, space | u16 length, key | u32 length, value     has this value
//!         03 | u8 length, space | u16 length, key                         is gone
//! ```
//! Numbers big-endian. The digest of a note is SHA-256 over the digest before, that of the base at
//! first, and the changes of the frame; its rows and bytes count all changes so far. So every frame
//! ends a whole backup, and the note of the last one speaks for all.
//!
//! A file grows until it ends within a frame: that frame was never acknowledged, and counts for
//! nothing.

use std::io::{self, BufRead, Read};

use lethe_crypto::hash::sha256;
use lethe_log::{BACKUP_NOTE_BYTES_MAX, BackupNote, Hash};
use lethe_store::limits::{BATCH_BYTES_MAX, BATCH_OPS_MAX, KEY_BYTES_MAX, SPACE_BYTES_MAX};
use lethe_store::{Space, StoreKey, Write};

const MAGIC: &[u8; 8] = b"LETHEFW1";
const PUT: u8 = 1;
const REMOVED: u8 = 3;

/// Bytes before the first frame.
pub(super) const HEADER_BYTES: usize = 40;
/// Most bytes of changes in one frame: those of a commit, the names of its rows, and what was on
/// its way already.
pub(super) const CHANGES_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX + 32 * BATCH_OPS_MAX;

/// The beginning of a file.
pub(super) fn header(base_digest: Hash) -> Vec<u8> {
    [MAGIC.as_slice(), &base_digest.0].concat()
}

/// Collects the changes of a frame, and the digest over all of them.
#[derive(Debug)]
pub(super) struct FrameWriter {
    digest: Hash,
    changes: u64,
    bytes: u64,
    body: Vec<u8>,
}

impl FrameWriter {
    /// After the base with that digest.
    pub(super) fn new(base_digest: Hash) -> Self {
        Self { digest: base_digest, changes: 0, bytes: 0, body: Vec::new() }
    }

    /// One more change.
    pub(super) fn push(&mut self, change: &Write) {
        let (tag, value) = match change {
            Write::Put { value, .. } => (PUT, Some(value)),
            Write::Delete { .. } => (REMOVED, None),
        };
        let (space, key) = (change.key().space(), change.key().bytes());
        let space = space.name();
        self.body.extend([tag, u8::try_from(space.len()).unwrap_or(u8::MAX)]);
        self.body.extend_from_slice(space.as_bytes());
        self.body.extend(u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.body.extend_from_slice(key);
        if let Some(value) = value {
            self.body.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
            self.body.extend_from_slice(value);
        }
        self.changes = self.changes.saturating_add(1);
    }

    /// What the note of the frame says: changes, bytes, digest.
    pub(super) fn told(&mut self) -> (u64, u64, Hash) {
        let length = u64::try_from(self.body.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(length);
        self.digest = Hash(sha256(&[&self.digest.0, &self.body]));
        (self.changes, self.bytes, self.digest)
    }

    /// The frame with its note; the next one begins.
    pub(super) fn frame(&mut self, note: &str) -> io::Result<Vec<u8>> {
        let length = |bytes: usize| {
            u32::try_from(bytes).map_err(|_| io::Error::other("a frame that is too long"))
        };
        let mut frame = length(self.body.len())?.to_be_bytes().to_vec();
        frame.append(&mut self.body);
        frame.extend_from_slice(&length(note.len())?.to_be_bytes());
        frame.extend_from_slice(note.as_bytes());
        Ok(frame)
    }
}

/// The signed note at the end of a frame.
pub(super) fn note_of(frame: &[u8]) -> Option<String> {
    let length = |bytes: &[u8]| {
        let length = bytes.first_chunk::<4>().map(|length| u32::from_be_bytes(*length))?;
        usize::try_from(length).ok()
    };
    let rest = frame.get(4_usize.checked_add(length(frame)?)?..)?;
    let note = rest.get(4..)?;
    (note.len() == length(rest)?).then(|| String::from_utf8(note.to_vec()).ok())?
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Followed {
    /// Digest of the note of the base.
    pub(super) base_digest: Hash,
    /// The signed note of the last whole frame.
    pub(super) signed: String,
    /// What it says.
    pub(super) note: BackupNote,
    /// Bytes after it that count for nothing.
    pub(super) cut_bytes: u64,
}

/// Reads a file of `length_bytes` to its last whole frame and shows its changes to `visit`; `None`
/// if it has no whole frame. Who signed is not looked at.
///
/// # Errors
/// `InvalidData` if something is wrong before the end, and the errors of `visit`.
pub(super) fn read_followed<E: From<io::Error>>(
    mut input: impl BufRead,
    length_bytes: u64,
    visit: &mut dyn FnMut(Write) -> Result<(), E>,
) -> Result<Option<Followed>, E> {
    let mut header = [0; HEADER_BYTES];
    let header_bytes = u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX);
    let Some(mut left) = length_bytes.checked_sub(header_bytes) else { return Ok(None) };
    input.read_exact(&mut header)?;
    let (magic, base_digest) = header.split_at(MAGIC.len());
    if magic != MAGIC {
        return if header == [0; HEADER_BYTES] {
            Ok(None)
        } else {
            Err(invalid("this is not the file of a copy that follows").into())
        };
    }
    let base_digest = Hash(base_digest.try_into().map_err(io::Error::other)?);
    let mut state = FrameWriter::new(base_digest);
    let mut last: Option<(String, BackupNote)> = None;
    while left > 0 {
        let frame = match next_frame(&mut input, left)? {
            Piece::Whole(frame) => frame,
            Piece::Cut => break,
        };
        let before = last.as_ref().map(|(_, note)| note);
        let Some((changes, signed, note)) = checked(&frame, &mut state, before) else {
            if frame.bytes == left || rest_is_empty(&mut input)? {
                break;
            }
            return Err(invalid("a frame before its end is damaged").into());
        };
        changes.into_iter().try_for_each(&mut *visit)?;
        last = Some((signed, note));
        left -= frame.bytes;
    }
    Ok(last.map(|(signed, note)| Followed { base_digest, signed, note, cut_bytes: left }))
}

struct Frame {
    changes: Vec<u8>,
    note: Vec<u8>,
    /// With both lengths.
    bytes: u64,
}

enum Piece {
    Whole(Frame),
    Cut,
}

/// The next frame, as long as it says it is.
fn next_frame(input: &mut impl BufRead, left: u64) -> io::Result<Piece> {
    let mut bytes = 0;
    let mut part = |longest: usize| -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        bytes += 4;
        if bytes > left {
            return Ok(None);
        }
        input.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        bytes += u64::from(length);
        if bytes > left {
            return Ok(None);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > longest {
            return Err(invalid("a frame that is too long"));
        }
        let mut part = vec![0; length];
        input.read_exact(&mut part)?;
        Ok(Some(part))
    };
    let Some(changes) = part(CHANGES_BYTES_MAX)? else { return Ok(Piece::Cut) };
    let Some(note) = part(BACKUP_NOTE_BYTES_MAX)? else { return Ok(Piece::Cut) };
    Ok(Piece::Whole(Frame { changes, note, bytes }))
}

/// The changes of a frame and its note, if that continues what came before and speaks of them.
fn checked(
    frame: &Frame,
    state: &mut FrameWriter,
    before: Option<&BackupNote>,
) -> Option<(Vec<Write>, String, BackupNote)> {
    let signed = String::from_utf8(frame.note.clone()).ok()?;
    let note = BackupNote::parse_unverified(&signed).ok()?;
    let changes = parsed(&frame.changes).filter(|changes| !changes.is_empty())?;
    state.changes = state.changes.saturating_add(u64::try_from(changes.len()).ok()?);
    state.body.clone_from(&frame.changes);
    let told = state.told();
    state.body.clear();
    let fits = before.is_none_or(|before| {
        (before.backup, before.base, before.base_revision, before.tree_id)
            == (note.backup, note.base, note.base_revision, note.tree_id)
            && before.revision < note.revision
            && before.log_size <= note.log_size
            && before.epoch <= note.epoch
    });
    let says = (note.rows, note.bytes, note.digest);
    (fits && note.base.is_some() && says == told).then_some((changes, signed, note))
}

fn rest_is_empty(input: &mut impl Read) -> io::Result<bool> {
    let mut piece = [0; 65_536];
    loop {
        let read = input.read(&mut piece)?;
        if read == 0 {
            return Ok(true);
        }
        if piece[..read].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}

/// The changes of a frame; `None` for anything that [`FrameWriter`] does not write.
pub(super) fn parsed(mut bytes: &[u8]) -> Option<Vec<Write>> {
    let mut changes = Vec::new();
    while !bytes.is_empty() {
        let tag = *take(&mut bytes, 1)?.first()?;
        let length = usize::from(*take(&mut bytes, 1)?.first()?);
        let space = take(&mut bytes, length).filter(|_| length <= SPACE_BYTES_MAX)?;
        let space = Space::parse(core::str::from_utf8(space).ok()?).ok()?;
        let length = usize::from(u16::from_be_bytes(take(&mut bytes, 2)?.try_into().ok()?));
        let key = take(&mut bytes, length).filter(|_| length <= KEY_BYTES_MAX)?;
        let key = StoreKey::new(space, key).ok()?;
        changes.push(match tag {
            PUT => {
                let length = u32::from_be_bytes(take(&mut bytes, 4)?.try_into().ok()?);
                let value = take(&mut bytes, usize::try_from(length).ok()?)?;
                Write::Put { key, value: value.to_vec() }
            }
            REMOVED => Write::Delete { key },
            _ => return None,
        });
    }
    Some(changes)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
mod tests;
