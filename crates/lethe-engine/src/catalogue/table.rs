//! Entries by identifier: the first step of every use.
//!
//! Open addressing over pointers, since identifiers are random and never go: a lookup reads one
//! place of the table and the entry itself. A tree of identifiers would cost three times the memory
//! and more reads. It must not know what an entry means.

use std::sync::Arc;

use lethe_types::KeyId;

use super::entry::KeyEntry;

/// Places of the first table of a shard.
const PLACES_MIN: usize = 8;

/// The keys of one shard. At most three quarters of its places are taken.
#[derive(Debug, Default)]
pub(super) struct Table {
    places: Vec<Option<Arc<KeyEntry>>>,
    taken: usize,
}

impl Table {
    pub(super) fn get(&self, key: KeyId) -> Option<&Arc<KeyEntry>> {
        self.places.get(self.place(key)?)?.as_ref()
    }

    /// Puts `entry` in the place of the one of the same key, which it returns.
    pub(super) fn insert(&mut self, entry: Arc<KeyEntry>) -> Option<Arc<KeyEntry>> {
        if (self.taken + 1) * 4 > self.places.len() * 3 {
            self.grow();
        }
        let place = self.place(entry.record().id).expect("a table that grew has places");
        let previous = self.places[place].replace(entry);
        self.taken += usize::from(previous.is_none());
        previous
    }

    /// Makes room for `more` keys at once.
    pub(super) fn reserve(&mut self, more: usize) {
        let places = (self.taken + more + 1).div_ceil(3) * 4;
        if places > self.places.len() {
            self.move_to(places);
        }
    }

    /// Where the key is or would be. Ends, since there are free places.
    fn place(&self, key: KeyId) -> Option<usize> {
        // The first byte chose the shard. Identifiers are random: four bytes of one are a hash.
        let [_, a, b, c, d, ..] = key.0;
        let wanted = usize::try_from(u32::from_le_bytes([a, b, c, d])).ok()?;
        let mut place = wanted.checked_rem(self.places.len())?;
        while self.places[place].as_ref().is_some_and(|entry| entry.record().id != key) {
            place += 1;
            if place == self.places.len() {
                place = 0;
            }
        }
        Some(place)
    }

    /// By a quarter: all shards grow at the same time, so that doubling would be felt.
    fn grow(&mut self) {
        self.move_to((self.places.len() + self.places.len() / 4).max(PLACES_MIN));
    }

    fn move_to(&mut self, places: usize) {
        let mut larger = Vec::with_capacity(places);
        larger.resize_with(places, || None);
        for entry in std::mem::replace(&mut self.places, larger).into_iter().flatten() {
            let place = self.place(entry.record().id).expect("a table that grew has places");
            self.places[place] = Some(entry);
        }
    }
}
