//! All indexes at once, at the start: a million keys one by one would take most of a minute.
//!
//! Texts are sorted by their first bytes, copied side by side, so that sorting rarely has to follow
//! a pointer.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_types::{LabelName, RealmId};

use super::entry::KeyEntry;
use super::indexes::{Apart, Entries, Held, Indexes, Ordinal, due, next_rotation, positions};
use super::ordered::Ordered;
use crate::record::KeyRecord;

/// So much of a text is copied: with its length and the member that makes 32 bytes for a key.
const PREFIX_BYTES: usize = 27;

/// How a text begins. In the order of the texts, as far as it tells them apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Prefix {
    bytes: [u8; PREFIX_BYTES],
    /// Bytes of the text, if they all are in `bytes`; one more otherwise.
    length: u8,
}

impl Prefix {
    fn of(text: &[u8]) -> Self {
        let mut bytes = [0; PREFIX_BYTES];
        let copied = text.len().min(PREFIX_BYTES);
        bytes[..copied].copy_from_slice(&text[..copied]);
        let length = text.len().min(PREFIX_BYTES + 1);
        Self { bytes, length: u8::try_from(length).expect("a prefix is shorter than 255 bytes") }
    }
}

/// The members of one index, to be sorted when all are there.
struct Unsorted<T>(Vec<T>);

impl<T> Default for Unsorted<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + PartialEq> Unsorted<T> {
    fn push(&mut self, member: T) {
        self.0.push(member);
    }

    /// By text; `compare` decides between members whose texts are not known to differ. The
    /// beginnings of one index's texts are in memory at a time, and no longer than it takes.
    fn sorted(
        mut self,
        prefix: impl Fn(T) -> Prefix,
        compare: impl Fn(T, T) -> Ordering,
    ) -> Ordered<T> {
        let mut sortable: Vec<(Prefix, T)> =
            self.0.iter().map(|&member| (prefix(member), member)).collect();
        sortable.sort_unstable_by(|(prefix, member), (other_prefix, other)| {
            prefix.cmp(other_prefix).then_with(|| compare(*member, *other))
        });
        self.0.clear();
        self.0.extend(sortable.into_iter().map(|(_, member)| member));
        Ordered::of_sorted(&self.0)
    }
}

/// Both sides of an index.
#[derive(Default)]
struct UnsortedApart {
    live: Unsorted<Ordinal>,
    destroyed: Unsorted<Ordinal>,
}

impl UnsortedApart {
    fn push(&mut self, record: &KeyRecord, key: Ordinal) {
        let destroyed = record.state.is_destroyed();
        let side = if destroyed { &mut self.destroyed } else { &mut self.live };
        side.push(key);
    }

    fn sorted(
        self,
        prefix: impl Fn(Ordinal) -> Prefix,
        compare: impl Fn(Ordinal, Ordinal) -> Ordering,
    ) -> Apart {
        Apart {
            live: self.live.sorted(&prefix, &compare),
            destroyed: self.destroyed.sorted(&prefix, &compare),
        }
    }
}

/// What of a realm is sorted by text.
#[derive(Default)]
struct Texts {
    names: UnsortedApart,
    labels: BTreeMap<LabelName, UnsortedApart>,
    aliases: BTreeMap<Box<str>, Unsorted<Held>>,
    fingerprints: Unsorted<Held>,
}

impl Indexes {
    /// The indexes over `entries`, each of another key.
    pub(super) fn of(mut entries: Vec<Arc<KeyEntry>>) -> Self {
        let age = |entry: &Arc<KeyEntry>| (entry.record().created, entry.record().id);
        if !entries.is_sorted_by_key(age) {
            entries.sort_by_key(age);
        }
        let mut indexes = Self { entries: Entries(entries), ..Self::default() };
        let mut texts = BTreeMap::<RealmId, Texts>::new();
        let (mut children, mut paths) = (UnsortedApart::default(), Unsorted::default());
        let Self { entries, realms, due: due_dates, rotations, .. } = &mut indexes;
        for (number, entry) in (0_u32..).zip(&entries.0) {
            entry.set_ordinal(number);
            let (key, record) = (Ordinal(number), entry.record());
            let realm = realms.entry(record.realm).or_default();
            // Ordinals are in the order of age here, so that each of these is appended.
            realm.ages.side(record).insert(key, |_| true);
            realm.vaults.entry(record.vault).or_default().side(record).insert(key, |_| true);
            if let Some(due) = due(record) {
                realm.pending.live.insert(key, |_| true);
                due_dates.insert((due, record.id));
            }
            rotations.extend(next_rotation(record).map(|next| (next, record.id)));
            texts.entry(record.realm).or_default().push(record, key);
            if record.details().derivation.is_some() {
                children.push(record, key);
                paths.push(key);
            }
        }
        let entries = &indexes.entries;
        for (realm, texts) in texts {
            let Some(realm) = indexes.realms.get_mut(&realm) else { continue };
            let compare = |one, other| entries.name(one).cmp(&entries.name(other));
            let prefix = |key| Prefix::of(entries.name(key).0.as_bytes());
            realm.names = texts.names.sorted(prefix, compare);
            for (name, label) in texts.labels {
                let compare = |one, other| compare_labels(entries, &name, one, other);
                let prefix = |key| Prefix::of(entries.label(key, &name).0.as_bytes());
                let sorted = label.sorted(prefix, compare);
                realm.labels.insert(name, sorted);
            }
            for (door, aliases) in texts.aliases {
                let compare = |one, other| entries.alias(one).cmp(&entries.alias(other));
                let prefix = |held| Prefix::of(entries.alias(held).0.as_bytes());
                realm.aliases.insert(door, aliases.sorted(prefix, compare));
            }
            let compare = |one, other| entries.fingerprint(one).cmp(&entries.fingerprint(other));
            let prefix = |held| Prefix::of(&entries.fingerprint(held).0);
            realm.fingerprints = texts.fingerprints.sorted(prefix, compare);
        }
        let parent = |key| match entries.parent(key).0 {
            Some(parent) => Prefix::of(parent.as_bytes()),
            None => Prefix::of(&[]),
        };
        indexes.children = children.sorted(parent, Ordinal::cmp_by_age);
        let compare = |one, other| entries.path(one).cmp(&entries.path(other));
        indexes.paths = paths.sorted(parent, compare);
        indexes
    }
}

impl Ordinal {
    /// Only while ordinals are in the order of age.
    fn cmp_by_age(self, other: Self) -> Ordering {
        self.cmp(&other)
    }
}

/// Many keys share a value: those that fit the prefix never come here with different ones.
fn compare_labels(entries: &Entries, name: &LabelName, one: Ordinal, other: Ordinal) -> Ordering {
    let (value, _) = entries.label(one, name);
    if value.len() <= PREFIX_BYTES {
        return one.cmp_by_age(other);
    }
    value.cmp(entries.label(other, name).0).then(one.cmp_by_age(other))
}

impl Texts {
    fn push(&mut self, record: &KeyRecord, key: Ordinal) {
        self.names.push(record, key);
        for name in record.details().labels.keys() {
            let label = match self.labels.get_mut(name) {
                Some(label) => label,
                None => self.labels.entry(name.clone()).or_default(),
            };
            label.push(record, key);
        }
        for (alias, position) in record.aliases.iter().zip(positions(record.aliases.len())) {
            let door = match self.aliases.get_mut(&*alias.door) {
                Some(door) => door,
                None => self.aliases.entry(alias.door.as_str().into()).or_default(),
            };
            door.push(Held { key, position });
        }
        for position in positions(record.details().fingerprints.len()) {
            self.fingerprints.push(Held { key, position });
        }
    }
}
