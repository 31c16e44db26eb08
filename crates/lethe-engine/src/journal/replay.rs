//! What the journal says of the time between a backup and the loss: pure.

use core::fmt;
use std::collections::BTreeMap;

use lethe_crypto::token::Pepper;

use super::{
    FrameError, JournalFault, JournalPlace, JournalRecord, JournalSegment, RootChange, codec,
};

/// Everything that happened after a backup, as far as a restore has to know it.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Log entries from the backup's size on.
    pub(crate) entries: Vec<Vec<u8>>,
    /// The changes of the root after the backup's epoch, by the epoch that each led to.
    pub(crate) changes: BTreeMap<u64, RootChange>,
}

/// Why the journal does not tell enough.
#[derive(Debug)]
pub(crate) enum ReplayError {
    /// A change of the root is missing: it led to this epoch.
    EpochMissing(u64),
    /// A segment is not what was written.
    Frame(FrameError),
    /// A log entry is missing.
    EntryMissing(u64),
    /// The place failed.
    Place(JournalFault),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EpochMissing(epoch) => write!(
                f,
                "the tombstone journal lacks the destructions that led to epoch {epoch}; without \
                 them destroyed keys could come back"
            ),
            Self::Frame(error) => error.fmt(f),
            Self::EntryMissing(index) => {
                write!(f, "the tombstone journal lacks entry {index} of the log")
            }
            Self::Place(error) => write!(f, "cannot read the tombstone journal: {error}"),
        }
    }
}

impl core::error::Error for ReplayError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Frame(error) => Some(error),
            Self::Place(error) => Some(error.as_ref()),
            Self::EpochMissing(_) | Self::EntryMissing(_) => None,
        }
    }
}

impl Replay {
    /// Reads what `place` holds from `backup` on, up to the epoch that the slot has reached.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub(crate) fn read(
        place: &dyn JournalPlace,
        mac: &Pepper,
        backup: JournalSegment,
        slot_epoch: u64,
    ) -> Result<Self, ReplayError> {
        let segments = place.segments().map_err(ReplayError::Place)?;
        // A copy that followed is newer than the segment that tells of what came after it.
        let first = segments.iter().rev().find(|segment| **segment <= backup);
        let first = first.copied().unwrap_or(backup);
        let mut records = Vec::new();
        for segment in segments.into_iter().filter(|segment| *segment >= first) {
            let bytes = place.read(segment).map_err(ReplayError::Place)?;
            let read = codec::read_segment(mac, segment, &bytes).map_err(ReplayError::Frame)?;
            records.extend(read.records);
        }
        Self::of(records, backup, slot_epoch)
    }

    /// The decision over records in the order in which they were written.
    pub(super) fn of(
        records: Vec<JournalRecord>,
        backup: JournalSegment,
        slot_epoch: u64,
    ) -> Result<Self, ReplayError> {
        let epoch_of = |record: &JournalRecord| record.change.as_ref().map(|it| it.epoch_to);
        let last_of: BTreeMap<u64, usize> = (0..)
            .zip(&records)
            .filter_map(|(position, record)| Some((epoch_of(record)?, position)))
            .collect();
        let mut replay = Self::default();
        for (position, record) in (0..).zip(records) {
            let change_index = record.end_index();
            replay.append(backup.log_size, record.first_index, record.entries)?;
            let Some(mut change) = record.change else { continue };
            let was_made = last_of.get(&change.epoch_to) == Some(&position);
            if !was_made || change.epoch_to > slot_epoch || change.epoch_to <= backup.epoch {
                continue;
            }
            let entries = core::mem::take(&mut change.entries);
            replay.append(backup.log_size, change_index, entries)?;
            replay.changes.insert(change.epoch_to, change);
        }
        if lethe_types::Defence::Journal.is_off() {
            return Ok(replay);
        }
        let mut epochs = backup.epoch.saturating_add(1)..=slot_epoch;
        match epochs.find(|epoch| !replay.changes.contains_key(epoch)) {
            Some(missing) => Err(ReplayError::EpochMissing(missing)),
            None => Ok(replay),
        }
    }

    fn end(&self, first: u64) -> u64 {
        first.saturating_add(u64::try_from(self.entries.len()).unwrap_or(u64::MAX))
    }

    /// Entries from `index` on take the place of what was there: a change that failed left its
    /// indexes to the next.
    fn append(&mut self, first: u64, index: u64, entries: Vec<Vec<u8>>) -> Result<(), ReplayError> {
        let end = self.end(first);
        if index > end {
            return Err(ReplayError::EntryMissing(end));
        }
        // Before the backup: it has them.
        let before = usize::try_from(first.saturating_sub(index)).unwrap_or(usize::MAX);
        let mut entries = entries.into_iter().skip(before).peekable();
        if entries.peek().is_some() {
            let at = usize::try_from(index.saturating_sub(first)).unwrap_or(usize::MAX);
            self.entries.truncate(at);
            self.entries.extend(entries);
        }
        Ok(())
    }
}
