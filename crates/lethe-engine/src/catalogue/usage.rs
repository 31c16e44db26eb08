//! When, how often and by whom keys were used, and which of that is not in the store yet.
//!
//! A use takes one uncontended lock. The first use of a key since the last flush also puts the key
//! into the queue that the owner of the store empties about every second. What is lost in a crash
//! is what was not flushed: the audit trail has it.

use std::collections::VecDeque;

use lethe_types::{KeyId, PrincipalId, UnixMillis};
use parking_lot::Mutex;

/// Set in [`Tally::count`] while the key is in the queue. Nobody counts to 2^63.
const QUEUED: u64 = 1 << 63;

/// When, how often and by whom a key was used. Shared by all entries of the key.
#[derive(Debug, Default)]
pub struct Usage {
    tally: Mutex<Tally>,
}

/// Kept small: there is one for every key that was ever used.
#[derive(Debug, Default)]
struct Tally {
    last: u64,
    count: u64,
    by: [u8; 16],
}

impl Tally {
    fn row(&self) -> Option<UsageRow> {
        let count = self.count & !QUEUED;
        let row = UsageRow { last: UnixMillis(self.last), by: PrincipalId(self.by), count };
        (count > 0).then_some(row)
    }
}

/// The uses of a key up to a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// The last use.
    pub last: UnixMillis,
    /// Whose it was.
    pub by: PrincipalId,
    /// Uses since the key was made.
    pub count: u64,
}

/// The first byte of a stored row.
const FORMAT: u8 = 1;
/// Format, time, count, principal.
const ROW_BYTES: usize = 1 + 8 + 8 + 16;

impl UsageRow {
    /// `u8 format = 1 | u64 last in ms | u64 count | 16 principal`, big-endian.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ROW_BYTES);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.last.0.to_be_bytes());
        bytes.extend_from_slice(&self.count.to_be_bytes());
        bytes.extend_from_slice(&self.by.0);
        bytes
    }

    /// `None` for what [`UsageRow::encode`] did not write.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[FORMAT], rest) = bytes.split_first_chunk::<1>()? else { return None };
        let (last, rest) = rest.split_first_chunk::<8>()?;
        let (count, by) = rest.split_first_chunk::<8>()?;
        let count = u64::from_be_bytes(*count);
        let row = Self {
            last: UnixMillis(u64::from_be_bytes(*last)),
            by: PrincipalId(by.try_into().ok()?),
            count,
        };
        (count > 0 && count < QUEUED).then_some(row)
    }
}

impl Usage {
    /// The uses of a key as they were stored.
    pub(crate) fn stored(row: UsageRow) -> Self {
        let tally = Tally { last: row.last.0, count: row.count, by: row.by.0 };
        Self { tally: Mutex::new(tally) }
    }

    /// Counts a use. Whether the key must go into the queue.
    fn count_one(&self, now: UnixMillis, by: PrincipalId) -> bool {
        let mut tally = self.tally.lock();
        if now.0 >= tally.last {
            tally.last = now.0;
            tally.by = by.0;
        }
        let was_queued = tally.count & QUEUED != 0;
        tally.count = (tally.count + 1) | QUEUED;
        !was_queued
    }

    /// What is to be stored; the next use puts the key into the queue again.
    pub(super) fn settle(&self) -> Option<UsageRow> {
        let mut tally = self.tally.lock();
        tally.count &= !QUEUED;
        tally.row()
    }

    /// Marks as queued. Whether the key was not in the queue.
    fn queue(&self) -> bool {
        let mut tally = self.tally.lock();
        let was_queued = tally.count & QUEUED != 0;
        tally.count |= QUEUED;
        !was_queued
    }

    /// All uses so far, if there was one.
    #[must_use]
    pub fn row(&self) -> Option<UsageRow> {
        self.tally.lock().row()
    }

    /// The last use.
    #[must_use]
    pub fn last(&self) -> Option<UnixMillis> {
        self.row().map(|row| row.last)
    }

    /// Uses since the key was made.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.row().map_or(0, |row| row.count)
    }
}

/// The keys whose uses are not in the store yet, each once, longest waiting first. So its bound is
/// the number of keys.
#[derive(Debug, Default)]
pub(super) struct UsedKeys(Mutex<VecDeque<KeyId>>);

impl UsedKeys {
    pub(super) fn count(&self, key: KeyId, usage: &Usage, now: UnixMillis, by: PrincipalId) {
        if usage.count_one(now, by) {
            self.0.lock().push_back(key);
        }
    }

    /// Takes the up to `limit` longest waiting.
    pub(super) fn take(&self, limit: usize) -> Vec<KeyId> {
        let mut waiting = self.0.lock();
        let taken = waiting.len().min(limit);
        waiting.drain(..taken).collect()
    }

    /// Puts a key back whose row could not be stored.
    pub(super) fn put_back(&self, key: KeyId, usage: &Usage) {
        if usage.queue() {
            self.0.lock().push_back(key);
        }
    }
}
