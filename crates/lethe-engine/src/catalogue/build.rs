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

/// So much of a text is copied.
const PREFIX_BYTES: usize = 32;

/// A member to be sorted.
struct Sortable<T> {
    prefix: [u8; PREFIX_BYTES],
    /// Bytes of the text, if they all are in `prefix`; one more otherwise.
    length: usize,
    member: T,
}

/// The members of one index, to be sorted when all are there.
struct Unsorted<T>(Vec<Sortable<T>>);

impl<T> Default for Unsorted<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + PartialEq> Unsorted<T> {
    fn push(&mut self, text: &[u8], member: T) {
        let mut prefix = [0; PREFIX_BYTES];
        let length = text.len().min(PREFIX_BYTES);
        prefix[..length].copy_from_slice(&text[..length]);
        self.0.push(Sortable { prefix, length: text.len().min(PREFIX_BYTES + 1), member });
    }

    /// By text; `compare` decides between members whose texts are not known to differ.
    fn sorted(mut self, compare: impl Fn(T, T) -> Ordering) -> Ordered<T> {
        self.0.sort_unstable_by(|one, other| {
            let texts = one.prefix.cmp(&other.prefix).then(one.length.cmp(&other.length));
            texts.then_with(|| compare(one.member, other.member))
        });
        let members: Vec<T> = self.0.into_iter().map(|sortable| sortable.member).collect();
        Ordered::of_sorted(&members)
    }
}

/// Both sides of an index.
#[derive(Default)]
struct UnsortedApart {
    live: Unsorted<Ordinal>,
    destroyed: Unsorted<Ordinal>,
}

impl UnsortedApart {
    fn push(&mut self, entry: &KeyEntry, text: &[u8], key: Ordinal) {
        let destroyed = entry.record().state.is_destroyed();
        let side = if destroyed { &mut self.destroyed } else { &mut self.live };
        side.push(text, key);
    }

    fn sorted(self, compare: impl Fn(Ordinal, Ordinal) -> Ordering) -> Apart {
        Apart { live: self.live.sorted(&compare), destroyed: self.destroyed.sorted(&compare) }
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
            texts.entry(record.realm).or_default().push(entry, key);
            if let Some(derivation) = &record.details().derivation {
                children.push(entry, derivation.parent.as_bytes(), key);
                paths.push(derivation.parent.as_bytes(), key);
            }
        }
        let entries = &indexes.entries;
        for (realm, texts) in texts {
            let Some(realm) = indexes.realms.get_mut(&realm) else { continue };
            let compare = |one, other| entries.name(one).cmp(&entries.name(other));
            realm.names = texts.names.sorted(compare);
            for (name, label) in texts.labels {
                let compare = |one, other| compare_labels(entries, &name, one, other);
                let sorted = label.sorted(compare);
                realm.labels.insert(name, sorted);
            }
            for (door, aliases) in texts.aliases {
                let compare = |one, other| entries.alias(one).cmp(&entries.alias(other));
                realm.aliases.insert(door, aliases.sorted(compare));
            }
            let compare = |one, other| entries.fingerprint(one).cmp(&entries.fingerprint(other));
            realm.fingerprints = texts.fingerprints.sorted(compare);
        }
        indexes.children = children.sorted(Ordinal::cmp_by_age);
        indexes.paths = paths.sorted(|one, other| entries.path(one).cmp(&entries.path(other)));
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
    fn push(&mut self, entry: &KeyEntry, key: Ordinal) {
        let record = entry.record();
        self.names.push(entry, record.name.as_str().as_bytes(), key);
        for (name, value) in &record.details().labels {
            let label = match self.labels.get_mut(name) {
                Some(label) => label,
                None => self.labels.entry(name.clone()).or_default(),
            };
            label.push(entry, value.as_str().as_bytes(), key);
        }
        for (alias, position) in record.aliases.iter().zip(positions(record.aliases.len())) {
            let door = match self.aliases.get_mut(&*alias.door) {
                Some(door) => door,
                None => self.aliases.entry(alias.door.as_str().into()).or_default(),
            };
            door.push(alias.text.as_bytes(), Held { key, position });
        }
        for (digest, position) in
            record.details().fingerprints.iter().zip(positions(record.details().fingerprints.len()))
        {
            self.fingerprints.push(digest, Held { key, position });
        }
    }
}
