//! Frames and records of the journal.
//!
//! ```text
//! u8 version = 1 | u64 first index | entries | u8 0, or
//! 1 | u64 epoch | u32 n, n x u64 leaf | u32 n, n x (key, u32 length, value) | entries
//! entries: u32 n, n x (u32 length, bytes)
//! key: u8 length, name of the space | u16 length, bytes
//! ```
//! All numbers big-endian.

use core::fmt;

use lethe_crypto::token::Pepper;
use lethe_store::limits::{BATCH_BYTES_MAX, BATCH_OPS_MAX};
use lethe_store::{Space, StoreKey};

use super::{JournalRecord, JournalSegment, RootChange};

/// Bytes of the code that ends a frame.
const MAC_BYTES: usize = 32;
/// Largest record: rows and entries of one batch, and the entries that waited.
const RECORD_BYTES_MAX: usize = 4 * BATCH_BYTES_MAX;
/// First byte of a record.
const VERSION: u8 = 1;

/// Why a frame was not written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// A frame before the last one does not have its code: the journal was altered, or belongs to
    /// another installation.
    Altered,
    /// A record of a form that this version does not write.
    Malformed,
    /// A record that passes [`RECORD_BYTES_MAX`].
    TooLarge,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Altered => "the tombstone journal was altered, or is of another installation",
            Self::Malformed => "the tombstone journal has a form that this version does not read",
            Self::TooLarge => "a record of the tombstone journal is too large",
        })
    }
}

impl core::error::Error for FrameError {}

/// What a segment holds.
#[derive(Debug)]
pub(super) struct ReadSegment {
    pub(super) records: Vec<JournalRecord>,
    /// Bytes of whole frames.
    pub(super) length_bytes: u64,
    /// Whether more bytes follow: a frame that a crash cut short.
    pub(super) is_torn: bool,
}

/// The frame of `record` at `offset` bytes of `segment`.
pub(super) fn frame(
    mac: &Pepper,
    segment: JournalSegment,
    offset: u64,
    record: &JournalRecord,
) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; 4];
    encode(record, &mut bytes)?;
    let length = bytes.len() - 4;
    if length > RECORD_BYTES_MAX {
        return Err(FrameError::TooLarge);
    }
    bytes[..4].copy_from_slice(&length_of(length)?.to_be_bytes());
    let code = code(mac, segment, offset, &bytes[4..]);
    bytes.extend_from_slice(&code);
    Ok(bytes)
}

/// The records of a segment. Only the last frame may be cut short.
pub(super) fn read_segment(
    mac: &Pepper,
    segment: JournalSegment,
    bytes: &[u8],
) -> Result<ReadSegment, FrameError> {
    let mut records = Vec::new();
    let mut offset = 0;
    while offset < bytes.len() {
        let Some(record) = next_frame(&bytes[offset..]) else { break };
        let end = offset + 4 + record.len() + MAC_BYTES;
        let at = u64::try_from(offset).map_err(|_| FrameError::TooLarge)?;
        if code(mac, segment, at, record) != bytes[end - MAC_BYTES..end] {
            // A torn write may leave zeros where the rest of the last frame belongs.
            if end == bytes.len() {
                break;
            }
            return Err(FrameError::Altered);
        }
        records.push(decode(record).ok_or(FrameError::Malformed)?);
        offset = end;
    }
    let length_bytes = u64::try_from(offset).map_err(|_| FrameError::TooLarge)?;
    Ok(ReadSegment { records, length_bytes, is_torn: offset < bytes.len() })
}

/// The record of the first frame, if the frame is as long as it says.
fn next_frame(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let has_code = rest.len() >= length.checked_add(MAC_BYTES)?;
    has_code.then(|| &rest[..length])
}

fn code(mac: &Pepper, segment: JournalSegment, offset: u64, record: &[u8]) -> [u8; MAC_BYTES] {
    let parts = [
        b"lethe-journal/v1".as_slice(),
        &segment.epoch.to_be_bytes(),
        &segment.log_size.to_be_bytes(),
        &offset.to_be_bytes(),
        record,
    ];
    mac.hash(&parts.concat())
}

fn length_of(length: usize) -> Result<u32, FrameError> {
    u32::try_from(length).map_err(|_| FrameError::TooLarge)
}

fn encode(record: &JournalRecord, out: &mut Vec<u8>) -> Result<(), FrameError> {
    out.push(VERSION);
    out.extend_from_slice(&record.first_index.to_be_bytes());
    encode_entries(&record.entries, out)?;
    let Some(change) = &record.change else {
        out.push(0);
        return Ok(());
    };
    out.push(1);
    encode_change_into(change, &change.entries, out)
}

/// A change without its log entries.
pub(super) fn encode_change(change: &RootChange) -> Result<Vec<u8>, FrameError> {
    let mut out = Vec::new();
    encode_change_into(change, &[], &mut out)?;
    Ok(out)
}

/// What [`encode_change`] wrote.
pub(super) fn decode_change(bytes: &[u8]) -> Option<RootChange> {
    let mut input = Input(bytes);
    let change = input.change()?;
    input.0.is_empty().then_some(change)
}

fn encode_change_into(
    change: &RootChange,
    entries: &[Vec<u8>],
    out: &mut Vec<u8>,
) -> Result<(), FrameError> {
    out.extend_from_slice(&change.epoch_to.to_be_bytes());
    out.extend_from_slice(&length_of(change.cuts.len())?.to_be_bytes());
    out.extend(change.cuts.iter().flat_map(|leaf| leaf.to_be_bytes()));
    out.extend_from_slice(&length_of(change.rows.len())?.to_be_bytes());
    for (key, value) in &change.rows {
        encode_key(key, out)?;
        encode_bytes(value, out)?;
    }
    encode_entries(entries, out)
}

fn encode_entries(entries: &[Vec<u8>], out: &mut Vec<u8>) -> Result<(), FrameError> {
    out.extend_from_slice(&length_of(entries.len())?.to_be_bytes());
    entries.iter().try_for_each(|entry| encode_bytes(entry, out))
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
    out.extend_from_slice(&length_of(bytes.len())?.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

fn encode_key(key: &StoreKey, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let space = key.space();
    let name = space.name().as_bytes();
    out.push(u8::try_from(name.len()).map_err(|_| FrameError::TooLarge)?);
    out.extend_from_slice(name);
    let length = u16::try_from(key.bytes().len()).map_err(|_| FrameError::TooLarge)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(key.bytes());
    Ok(())
}

fn decode(bytes: &[u8]) -> Option<JournalRecord> {
    let mut input = Input(bytes);
    if input.byte()? != VERSION {
        return None;
    }
    let first_index = input.u64()?;
    let entries = input.entries()?;
    let change = match input.byte()? {
        0 => None,
        1 => Some(input.change()?),
        _ => return None,
    };
    input.0.is_empty().then_some(JournalRecord { first_index, entries, change })
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    /// A number of things of which each takes `least` bytes: never more than there can be.
    fn count(&mut self, least: usize) -> Option<usize> {
        let count = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
        let count = usize::try_from(count).ok()?;
        (count.checked_mul(least)? <= self.0.len()).then_some(count)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.count(1)?;
        self.take(length)
    }

    fn entries(&mut self) -> Option<Vec<Vec<u8>>> {
        let count = self.count(4)?;
        (0..count).map(|_| self.bytes().map(<[u8]>::to_vec)).collect()
    }

    fn change(&mut self) -> Option<RootChange> {
        let epoch_to = self.u64()?;
        let count = self.count(8)?;
        let cuts = (0..count).map(|_| self.u64()).collect::<Option<_>>()?;
        let count = self.count(7)?;
        if count > BATCH_OPS_MAX {
            return None;
        }
        let rows = (0..count).map(|_| self.row()).collect::<Option<_>>()?;
        Some(RootChange { epoch_to, cuts, rows, entries: self.entries()? })
    }

    fn row(&mut self) -> Option<(StoreKey, Vec<u8>)> {
        let length = usize::from(self.byte()?);
        let name = core::str::from_utf8(self.take(length)?).ok()?;
        let space = Space::parse(name).ok()?;
        let length = usize::from(self.u16()?);
        let key = StoreKey::new(space, self.take(length)?).ok()?;
        Some((key, self.bytes()?.to_vec()))
    }
}
