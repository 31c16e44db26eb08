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
    /// The newest version that encrypted, and how often it did.
    version: u32,
    encryptions: u32,
}

impl Tally {
    fn row(&self) -> Option<UsageRow> {
        let count = self.count & !QUEUED;
        let row = UsageRow {
            last: UnixMillis(self.last),
            by: PrincipalId(self.by),
            count,
            version: self.version,
            encryptions: self.encryptions,
        };
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
    /// The newest version that encrypted with a nonce that is counted; 0 if none did.
    pub version: u32,
    /// How often that version did.
    pub encryptions: u32,
}

/// The first byte of a stored row.
const FORMAT: u8 = 2;
/// The first byte of a row that knows nothing of encryptions.
const FORMAT_WITHOUT_ENCRYPTIONS: u8 = 1;
/// Format, time, count, principal, version, encryptions.
const ROW_BYTES: usize = 1 + 8 + 8 + 16 + 4 + 4;

impl UsageRow {
    /// `u8 format = 2 | u64 last in ms | u64 count | 16 principal | u32 version | u32 encryptions`,
    /// big-endian.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ROW_BYTES);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.last.0.to_be_bytes());
        bytes.extend_from_slice(&self.count.to_be_bytes());
        bytes.extend_from_slice(&self.by.0);
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.encryptions.to_be_bytes());
        bytes
    }

    /// `None` for what [`UsageRow::encode`] did not write, now or in its first format. Of the uses
    /// in that one all count as encryptions by the first version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[format], rest) = bytes.split_first_chunk::<1>()?;
        let (last, rest) = rest.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let (by, rest) = rest.split_first_chunk::<16>()?;
        let count = u64::from_be_bytes(*count);
        let (version, encryptions) = match (format, rest) {
            (FORMAT_WITHOUT_ENCRYPTIONS, []) => (1, u32::try_from(count).unwrap_or(u32::MAX)),
            (FORMAT, rest) => {
                let (version, rest) = rest.split_first_chunk::<4>()?;
                let encryptions = rest.try_into().ok()?;
                (u32::from_be_bytes(*version), u32::from_be_bytes(encryptions))
            }
            (_, _) => return None,
        };
        let row = Self {
            last: UnixMillis(u64::from_be_bytes(*last)),
            by: PrincipalId(*by),
            count,
            version,
            encryptions,
        };
        (count > 0 && count < QUEUED).then_some(row)
    }
}

impl Usage {
    /// The uses of a key as they were stored.
    pub(crate) fn stored(row: UsageRow) -> Self {
        let UsageRow { last, by, count, version, encryptions } = row;
        let tally = Tally { last: last.0, count, by: by.0, version, encryptions };
        Self { tally: Mutex::new(tally) }
    }

    /// As if the uses were these.
    #[cfg(test)]
    pub(crate) fn set(&self, row: UsageRow) {
        *self.tally.lock() = Self::stored(row).tally.into_inner();
    }

    /// Takes one of the encryptions that `version` of the key may still make; false if there is
    /// none left ([`lethe_crypto::registry::ENCRYPTIONS_PER_KEY_MAX`], less one). Taken before the
    /// encryption, so that it fails closed: one that is refused afterwards stays taken.
    ///
    /// Only the newest version that encrypts has a count of its own. An older one, which some
    /// callers choose, has made at most as many as the whole key has uses; it ends with those. A
    /// crash forgets those of the last second or so.
    pub(crate) fn take_encryption(&self, version: u32) -> bool {
        let mut tally = self.tally.lock();
        if version > tally.version {
            tally.version = version;
            tally.encryptions = 0;
        }
        if version == tally.version {
            tally.encryptions = match tally.encryptions.checked_add(1) {
                Some(encryptions) => encryptions,
                None => return false,
            };
            return true;
        }
        tally.count & !QUEUED < u64::from(u32::MAX)
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
