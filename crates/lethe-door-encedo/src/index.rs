//! Keys by how their descriptions begin: what anybody may search for costs no look at every key.
//!
//! A hint, not the truth: whoever follows it looks at the key itself. So an entry may outlive its
//! key or its description, until somebody stumbles over it; none is ever missing.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use crate::key::Key;
use crate::kid::Kid;

/// Bytes of a description that are looked at: as many as anybody must know to search.
pub(crate) const BEGINNING_BYTES: usize = 6;

type Beginning = [u8; BEGINNING_BYTES];
/// When a key was made, in milliseconds, and which it is: the order of lists.
pub(crate) type Place = (u64, Kid);

/// The index.
#[derive(Default)]
pub(crate) struct Descriptions(Mutex<BTreeMap<Beginning, BTreeSet<Place>>>);

fn place(key: &Key) -> Place {
    (key.entry.record().created.0, key.kid)
}

impl Descriptions {
    /// Takes in a key, or another description of one.
    pub(crate) fn insert(&self, key: &Key) {
        if let Some(beginning) = key.descr.first_chunk() {
            self.0.lock().entry(*beginning).or_default().insert(place(key));
        }
    }

    /// Calls `see` with every key whose description may begin as `needle` does, oldest first, until
    /// it returns `false`. `there` finds the key of a place, if it is what the index says of it.
    /// `None` if the needle is too short to tell.
    pub(crate) fn each<T>(
        &self,
        needle: &[u8],
        there: impl Fn(&Place) -> Option<T>,
        mut see: impl FnMut(T) -> bool,
    ) -> Option<()> {
        let beginning: Beginning = *needle.first_chunk()?;
        let mut after = None;
        while let Some(at) = self.next(&beginning, after) {
            match there(&at) {
                Some(found) => {
                    if !see(found) {
                        break;
                    }
                }
                None => {
                    self.forget(&beginning, &at);
                    // Somebody may have brought it back since it was looked at.
                    if there(&at).is_some() {
                        self.0.lock().entry(beginning).or_default().insert(at);
                    }
                }
            }
            after = Some(at);
        }
        Some(())
    }

    /// The first place after another one. No lock is held while anybody looks at a key.
    fn next(&self, beginning: &Beginning, after: Option<Place>) -> Option<Place> {
        use core::ops::Bound::{Excluded, Unbounded};
        let keys = self.0.lock();
        let places = keys.get(beginning)?;
        let after = after.map_or(Unbounded, Excluded);
        places.range((after, Unbounded)).next().copied()
    }

    fn forget(&self, beginning: &Beginning, place: &Place) {
        let mut keys = self.0.lock();
        if let Some(places) = keys.get_mut(beginning) {
            places.remove(place);
            if places.is_empty() {
                keys.remove(beginning);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().values().map(BTreeSet::len).sum()
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}
