//! The tombstone journal: what was destroyed since the oldest backup that can still be restored,
//! kept beside the slot.
//!
//! A backup shows the keys that lived when it was taken. Whoever restores it must destroy again
//! what was destroyed since, and must continue the log as it was signed; the journal has both, and
//! lies apart from the data, so that it is there when the data is lost. It is written only while
//! some backup could be restored.
//!
//! A segment begins with each backup and is a row of frames:
//!
//! ```text
//! u32 length of the record | record | 32 bytes HMAC-SHA-256 over segment, offset and record
//! ```
//! A record: the log entries since the one before, and, if the root of the erasure tree changed,
//! the epoch that it led to, the leaves that were cut, and the rows of what is destroyed. It is
//! durable **before** the old root is erased; log entries alone follow within about a second, and
//! no checkpoint is shown that covers entries which are not in the journal yet.
//!
//! A record whose epoch the slot never reached tells of a change that failed, and one epoch told
//! twice was tried twice: the later one counts.

mod codec;
mod replay;

use core::error::Error;
use core::fmt;

use lethe_crypto::token::Pepper;
use lethe_store::StoreKey;
use lethe_types::Secret;

use crate::keys;

pub(crate) use codec::FrameError;
pub(crate) use replay::Replay;

/// A segment of the journal: the state of the installation where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalSegment {
    /// Epoch of the erasure tree.
    pub epoch: u64,
    /// Entries of the log.
    pub log_size: u64,
}

/// A place beside the slot for the segments of the journal. Each call that changes something is
/// durable when it returns.
pub trait JournalPlace: Send {
    /// All segments, oldest first.
    ///
    /// # Errors
    /// The place's own.
    fn segments(&self) -> Result<Vec<JournalSegment>, JournalFault>;

    /// The bytes of a segment.
    ///
    /// # Errors
    /// The place's own; also if there is no such segment.
    fn read(&self, segment: JournalSegment) -> Result<Vec<u8>, JournalFault>;

    /// Makes an empty segment; one that is there already stays as it is.
    ///
    /// # Errors
    /// The place's own.
    fn begin(&mut self, segment: JournalSegment) -> Result<(), JournalFault>;

    /// Appends to a segment. After an error some of `bytes` may be there: [`JournalPlace::cut`].
    ///
    /// # Errors
    /// The place's own.
    fn append(&mut self, segment: JournalSegment, bytes: &[u8]) -> Result<(), JournalFault>;

    /// Shortens a segment to `length_bytes`.
    ///
    /// # Errors
    /// The place's own.
    fn cut(&mut self, segment: JournalSegment, length_bytes: u64) -> Result<(), JournalFault>;

    /// Removes a segment; one that is not there is no error.
    ///
    /// # Errors
    /// The place's own.
    fn remove(&mut self, segment: JournalSegment) -> Result<(), JournalFault>;
}

/// Why a place of the journal failed, in its own words.
pub type JournalFault = Box<dyn Error + Send + Sync>;

/// One record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JournalRecord {
    /// Index of the first of `entries`.
    pub(crate) first_index: u64,
    /// Entries of the log that were durable before, in order.
    pub(crate) entries: Vec<Vec<u8>>,
    /// The change of the root that it tells of, if it does.
    pub(crate) change: Option<RootChange>,
}

/// A change of the root, as it was about to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RootChange {
    /// The epoch that it led to.
    pub(crate) epoch_to: u64,
    /// Leaves that were cut.
    pub(crate) cuts: Vec<u64>,
    /// The rows of what was destroyed, as the store got them.
    pub(crate) rows: Vec<(StoreKey, Vec<u8>)>,
    /// The entries of the log that came with it.
    pub(crate) entries: Vec<Vec<u8>>,
}

impl RootChange {
    /// The change as rows of the store, for a start that finds it durable and not settled. Its log
    /// entries are rows already.
    ///
    /// # Errors
    /// [`FrameError::TooLarge`].
    pub(crate) fn pieces(&self) -> Result<Vec<(StoreKey, Vec<u8>)>, FrameError> {
        let bytes = codec::encode_change(self)?;
        let numbered = (0..).zip(bytes.chunks(PIECE_BYTES_MAX));
        Ok(numbered
            .map(|(piece, bytes)| (keys::journal(self.epoch_to, piece), bytes.to_vec()))
            .collect())
    }

    /// The change whose pieces, in order, are `bytes`.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub(crate) fn from_pieces(bytes: &[u8]) -> Result<Self, FrameError> {
        codec::decode_change(bytes).ok_or(FrameError::Malformed)
    }
}

/// Bytes of one piece of a change in the store.
const PIECE_BYTES_MAX: usize = lethe_store::limits::VALUE_BYTES_MAX / 2;

/// The key of the journal's codes.
pub(crate) fn mac(pepper: &Secret<32>) -> Pepper {
    Pepper::new(&Pepper::new(pepper).derive("lethe/journal-mac"))
}

/// The journal of a running engine.
pub(crate) struct Journal {
    place: Box<dyn JournalPlace>,
    mac: Pepper,
    /// Segments, oldest first; empty while nothing is journaled.
    segments: Vec<JournalSegment>,
    /// Bytes of the newest segment that are whole.
    length_bytes: u64,
    /// Bytes after them may be there, from an append that failed.
    is_torn: bool,
    /// Log entries that are not in it yet.
    waiting: Vec<Vec<u8>>,
    waiting_bytes: usize,
    /// Index of the first of `waiting`.
    next_index: u64,
}

/// Most bytes of log entries that wait for the journal; past them it must be written or the
/// installation halts.
const WAITING_BYTES_MAX: usize = 64 * 1_048_576;

impl Journal {
    /// The journal at `place`; what a crash left is read later ([`Journal::resume`]).
    pub(crate) fn new(place: Box<dyn JournalPlace>, mac: Pepper) -> Self {
        Self {
            place,
            mac,
            segments: Vec::new(),
            length_bytes: 0,
            is_torn: false,
            waiting: Vec::new(),
            waiting_bytes: 0,
            next_index: 0,
        }
    }

    /// Carries on after a start: the newest segment is read to its last whole frame. Gives the
    /// index of the first log entry that it lacks; `None` if nothing is journaled.
    ///
    /// # Errors
    /// The place's, or a frame before the last that is not whole.
    pub(crate) fn resume(&mut self) -> Result<Option<u64>, JournalFault> {
        self.segments = self.place.segments()?;
        let Some(&newest) = self.segments.last() else { return Ok(None) };
        let bytes = self.place.read(newest)?;
        let read = codec::read_segment(&self.mac, newest, &bytes)?;
        self.length_bytes = read.length_bytes;
        self.is_torn = read.is_torn;
        // Whether the last change was made is for the store to say: its entries come again.
        self.next_index = read.records.last().map_or(newest.log_size, JournalRecord::end_index);
        Ok(Some(self.next_index))
    }

    /// The newest segment; `None` while nothing is journaled.
    pub(crate) fn newest(&self) -> Option<JournalSegment> {
        self.segments.last().copied()
    }

    /// Bytes of the newest segment.
    pub(crate) fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    /// The journal tells of all entries before `index`, and goes on there.
    pub(crate) fn continue_at(&mut self, index: u64) {
        self.next_index = index;
    }

    /// Whether log entries wait.
    pub(crate) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Begins a segment, for a backup that is taken now. Nothing may wait.
    ///
    /// # Errors
    /// The place's; the segment may or may not be there.
    pub(crate) fn begin(&mut self, segment: JournalSegment) -> Result<(), JournalFault> {
        if self.newest() == Some(segment) {
            return Ok(());
        }
        self.place.begin(segment)?;
        self.segments.push(segment);
        self.length_bytes = 0;
        self.is_torn = false;
        self.next_index = segment.log_size;
        Ok(())
    }

    /// Takes log entries that are durable in the store. They are written with the next record.
    /// `false` if too many wait.
    pub(crate) fn take(&mut self, entries: impl Iterator<Item = Vec<u8>>) -> bool {
        if self.segments.is_empty() {
            return true;
        }
        for entry in entries {
            self.waiting_bytes = self.waiting_bytes.saturating_add(entry.len());
            self.waiting.push(entry);
        }
        self.waiting_bytes <= WAITING_BYTES_MAX
    }

    /// Writes the entries that wait, and a change of the root; durable when it returns. Does
    /// nothing while nothing is journaled, or if there is nothing to write.
    ///
    /// # Errors
    /// The place's; it may be called again with the same.
    pub(crate) fn write(&mut self, change: Option<&RootChange>) -> Result<(), JournalFault> {
        let Some(segment) = self.newest() else { return Ok(()) };
        if self.waiting.is_empty() && change.is_none() {
            return Ok(());
        }
        if self.is_torn {
            self.place.cut(segment, self.length_bytes)?;
            self.is_torn = false;
        }
        let entries = core::mem::take(&mut self.waiting);
        let record =
            JournalRecord { first_index: self.next_index, entries, change: change.cloned() };
        let written = self.append(segment, &record);
        if written.is_err() {
            self.waiting = record.entries;
            return written;
        }
        self.next_index = record.end_index();
        self.waiting_bytes = 0;
        Ok(())
    }

    /// The change that was written last is durable in the store: so many entries came with it.
    pub(crate) fn made(&mut self, entries: u64) {
        self.next_index = self.next_index.saturating_add(entries);
    }

    fn append(
        &mut self,
        segment: JournalSegment,
        record: &JournalRecord,
    ) -> Result<(), JournalFault> {
        let frame = codec::frame(&self.mac, segment, self.length_bytes, record)?;
        let length_bytes = u64::try_from(frame.len())?;
        self.is_torn = true;
        self.place.append(segment, &frame)?;
        self.is_torn = false;
        self.length_bytes = self.length_bytes.saturating_add(length_bytes);
        Ok(())
    }

    /// Drops the segments that no backup of an epoch from `oldest_epoch` on needs; all of them
    /// without one.
    ///
    /// # Errors
    /// The place's; some may be left and are dropped the next time.
    pub(crate) fn keep_from(&mut self, oldest_epoch: Option<u64>) -> Result<(), JournalFault> {
        let needed =
            |segment: &JournalSegment| oldest_epoch.is_some_and(|oldest| segment.epoch >= oldest);
        while let Some(&oldest) = self.segments.first() {
            if needed(&oldest) {
                break;
            }
            self.place.remove(oldest)?;
            self.segments.remove(0);
        }
        if self.segments.is_empty() {
            self.waiting.clear();
            self.waiting_bytes = 0;
        }
        Ok(())
    }
}

impl JournalRecord {
    /// Index of the log entry after `entries`.
    pub(crate) fn end_index(&self) -> u64 {
        let entries = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        self.first_index.saturating_add(entries)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("segments", &self.segments).finish_non_exhaustive()
    }
}
