//! Every order in which keys can be found, kept in step with the entries.
//!
//! The indexes hold ordinals: the number that a key gets when it is published first, for ever. What
//! an ordinal is sorted by is read from the entry itself, so that no text is kept twice. Therefore
//! an entry is taken out of the indexes *before* it is replaced, and put in after. Keys never go:
//! a destroyed one stays as a tombstone, on the other side of each index.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lethe_types::{KeyId, KeyState, LabelName, RealmId, UnixMillis, VaultId};

use super::entry::KeyEntry;
use super::ordered::Ordered;
use crate::record::KeyRecord;

/// A key's number in the indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ordinal(pub(super) u32);

/// One text or digest of a key that has several: which key, and its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) key: Ordinal,
    pub(super) position: u16,
}

/// The newest entry of every key, by ordinal.
#[derive(Debug, Default)]
pub(super) struct Entries(pub(super) Vec<Arc<KeyEntry>>);

/// When a key was made; the identifier tells keys of one millisecond apart.
pub(super) type Age = (UnixMillis, KeyId);

impl Entries {
    pub(super) fn entry(&self, key: Ordinal) -> &Arc<KeyEntry> {
        let place = usize::try_from(key.0).expect("an ordinal is a place in memory");
        &self.0[place]
    }

    pub(super) fn record(&self, key: Ordinal) -> &KeyRecord {
        self.entry(key).record()
    }

    pub(super) fn age(&self, key: Ordinal) -> Age {
        let record = self.record(key);
        (record.created, record.id)
    }

    pub(super) fn name(&self, key: Ordinal) -> (&str, KeyId) {
        let record = self.record(key);
        (record.name.as_str(), record.id)
    }

    pub(super) fn label(&self, key: Ordinal, name: &LabelName) -> (&str, Age) {
        let value = self.record(key).details().labels.get(name);
        (value.map_or("", |value| value.as_str()), self.age(key))
    }

    pub(super) fn parent(&self, key: Ordinal) -> (Option<KeyId>, Age) {
        let derivation = self.record(key).details().derivation.as_ref();
        (derivation.map(|derivation| derivation.parent), self.age(key))
    }

    pub(super) fn path(&self, key: Ordinal) -> (Option<(KeyId, &str)>, Age) {
        let derivation = self.record(key).details().derivation.as_ref();
        (derivation.map(|derivation| (derivation.parent, &*derivation.path)), self.age(key))
    }

    // One key may hold the same text or digest twice: the position makes the order total.
    pub(super) fn alias(&self, held: Held) -> (&str, Claim, Age, u16) {
        let record = self.record(held.key);
        let alias = record.aliases.get(usize::from(held.position));
        let reserved = alias.is_some_and(|alias| alias.reserved);
        let text = alias.map_or("", |alias| &*alias.text);
        (text, Claim::of(record.state, reserved), self.age(held.key), held.position)
    }

    pub(super) fn fingerprint(&self, held: Held) -> ([u8; 32], bool, Age, u16) {
        let record = self.record(held.key);
        let digest = record.details().fingerprints.get(usize::from(held.position));
        let digest = digest.copied().unwrap_or_default();
        (digest, record.state.is_destroyed(), self.age(held.key), held.position)
    }
}

/// How strongly a key holds an alias, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// It is destroyed; the alias may be given again.
    Former,
    /// It is destroyed, and the alias is never given again.
    Reserved,
    /// It has its material.
    Live,
}

impl Claim {
    fn of(state: KeyState, reserved: bool) -> Self {
        match (state.is_destroyed(), reserved) {
            (false, _) => Self::Live,
            (true, true) => Self::Reserved,
            (true, false) => Self::Former,
        }
    }
}

/// Keys that have their material, and tombstones, in the same order but apart: lists of live keys
/// must not wade through the dead.
#[derive(Debug, Default)]
pub(super) struct Apart {
    pub(super) live: Ordered<Ordinal>,
    pub(super) destroyed: Ordered<Ordinal>,
}

impl Apart {
    pub(super) fn side(&mut self, record: &KeyRecord) -> &mut Ordered<Ordinal> {
        if record.state.is_destroyed() { &mut self.destroyed } else { &mut self.live }
    }

    fn is_empty(&self) -> bool {
        self.live.is_empty() && self.destroyed.is_empty()
    }
}

/// The keys of one realm.
#[derive(Debug, Default)]
pub(super) struct RealmIndexes {
    /// By age.
    pub(super) ages: Apart,
    /// By age.
    pub(super) vaults: BTreeMap<VaultId, Apart>,
    /// By name and identifier.
    pub(super) names: Apart,
    /// By value and age.
    pub(super) labels: BTreeMap<LabelName, Apart>,
    /// Those that wait for their destruction, by age.
    pub(super) pending: Apart,
    /// Per door: by text, claim and age.
    pub(super) aliases: BTreeMap<Box<str>, Ordered<Held>>,
    /// By digest, live ones first, and age.
    pub(super) fingerprints: Ordered<Held>,
}

/// All indexes over keys.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    pub(super) entries: Entries,
    pub(super) realms: BTreeMap<RealmId, RealmIndexes>,
    /// When destructions that wait are due.
    pub(super) due: BTreeSet<(UnixMillis, KeyId)>,
    /// When active keys get their next version by themselves.
    pub(super) rotations: BTreeSet<(UnixMillis, KeyId)>,
    /// Derived keys by parent and age.
    pub(super) children: Apart,
    /// Derived keys by parent, path and age.
    pub(super) paths: Ordered<Ordinal>,
}

/// In which indexes a key has another place than before.
#[derive(Debug)]
struct Moved {
    ages: bool,
    vault: bool,
    name: bool,
    labels: bool,
    pending: bool,
    due: bool,
    rotation: bool,
    derivation: bool,
    aliases: bool,
    fingerprints: bool,
}

impl Moved {
    const NEW: Self = Self {
        ages: true,
        vault: true,
        name: true,
        labels: true,
        pending: true,
        due: true,
        rotation: true,
        derivation: true,
        aliases: true,
        fingerprints: true,
    };

    fn between(old: &KeyRecord, new: &KeyRecord) -> Self {
        assert!(
            (old.realm, old.created) == (new.realm, new.created),
            "a key never changes its realm or its age"
        );
        let died = old.state.is_destroyed() != new.state.is_destroyed();
        let (before, after) = (old.details(), new.details());
        Self {
            ages: died,
            vault: died || old.vault != new.vault,
            name: died || old.name != new.name,
            labels: died || before.labels != after.labels,
            pending: due(old).is_some() != due(new).is_some(),
            due: due(old) != due(new),
            rotation: next_rotation(old) != next_rotation(new),
            derivation: died || before.derivation != after.derivation,
            aliases: died || old.aliases != new.aliases,
            fingerprints: died || before.fingerprints != after.fingerprints,
        }
    }
}

/// When the destruction that the key waits for is due.
pub(super) fn due(record: &KeyRecord) -> Option<UnixMillis> {
    match record.state {
        KeyState::PendingDestruction { due, .. } => Some(due),
        KeyState::Stable(_) | KeyState::Destroyed | KeyState::DestroyedCompromised => None,
    }
}

/// When the key gets its next version by itself, if it does in its state.
pub(super) fn next_rotation(record: &KeyRecord) -> Option<UnixMillis> {
    let rotation = record.life().rotation.filter(|rotation| rotation.goes_on_in(record.state));
    rotation.map(|rotation| rotation.next)
}

/// The places of a list, as the indexes number them.
pub(super) fn positions(length: usize) -> impl Iterator<Item = u16> {
    let end = u16::try_from(length).expect("lists of a record are far shorter");
    0..end
}

#[derive(Clone, Copy)]
enum Step {
    Enter,
    Leave,
}

impl Step {
    fn take<T: Copy + PartialEq, K: Ord>(
        self,
        set: &mut Ordered<T>,
        member: T,
        key: impl Fn(T) -> K,
    ) {
        let own = key(member);
        match self {
            Self::Enter => set.insert(member, |other| key(other) < own),
            Self::Leave => set.remove(member, |other| key(other) < own),
        }
    }
}

impl Indexes {
    /// Brings the indexes into step with `entry`, which comes after `previous` of the same key.
    pub(super) fn publish(&mut self, previous: Option<&KeyEntry>, entry: Arc<KeyEntry>) {
        let Some(previous) = previous else {
            let number =
                u32::try_from(self.entries.0.len()).expect("four billion keys fit nowhere");
            entry.set_ordinal(number);
            self.entries.0.push(entry);
            self.step(Ordinal(number), &Moved::NEW, Step::Enter);
            return;
        };
        let key = Ordinal(previous.ordinal());
        entry.set_ordinal(key.0);
        let moved = Moved::between(previous.record(), entry.record());
        self.step(key, &moved, Step::Leave);
        let place = usize::try_from(key.0).expect("an ordinal is a place in memory");
        self.entries.0[place] = entry;
        self.step(key, &moved, Step::Enter);
    }

    fn step(&mut self, key: Ordinal, moved: &Moved, step: Step) {
        let Self { entries, realms, due: due_dates, rotations, children, paths } = self;
        let entries = &*entries;
        let record = entries.record(key);
        let realm = realms.entry(record.realm).or_default();
        realm.step(entries, key, moved, step);
        if moved.due
            && let Some(due) = due(record)
        {
            match step {
                Step::Enter => due_dates.insert((due, record.id)),
                Step::Leave => due_dates.remove(&(due, record.id)),
            };
        }
        if moved.rotation
            && let Some(next) = next_rotation(record)
        {
            match step {
                Step::Enter => rotations.insert((next, record.id)),
                Step::Leave => rotations.remove(&(next, record.id)),
            };
        }
        if moved.derivation && record.details().derivation.is_some() {
            step.take(children.side(record), key, |other| entries.parent(other));
            step.take(paths, key, |other| entries.path(other));
        }
    }
}

impl RealmIndexes {
    fn step(&mut self, entries: &Entries, key: Ordinal, moved: &Moved, step: Step) {
        let record = entries.record(key);
        if moved.ages {
            step.take(self.ages.side(record), key, |other| entries.age(other));
        }
        if moved.vault {
            let vault = self.vaults.entry(record.vault).or_default();
            step.take(vault.side(record), key, |other| entries.age(other));
            if vault.is_empty() {
                self.vaults.remove(&record.vault);
            }
        }
        if moved.name {
            step.take(self.names.side(record), key, |other| entries.name(other));
        }
        if moved.labels {
            for name in record.details().labels.keys() {
                let label = self.labels.entry(name.clone()).or_default();
                step.take(label.side(record), key, |other| entries.label(other, name));
                if label.is_empty() {
                    self.labels.remove(name);
                }
            }
        }
        if moved.pending && due(record).is_some() {
            step.take(&mut self.pending.live, key, |other| entries.age(other));
        }
        if moved.aliases {
            for (alias, position) in record.aliases.iter().zip(positions(record.aliases.len())) {
                let door = match self.aliases.get_mut(&*alias.door) {
                    Some(door) => door,
                    None => self.aliases.entry(alias.door.as_str().into()).or_default(),
                };
                let held = Held { key, position };
                step.take(door, held, |other| entries.alias(other));
            }
        }
        if moved.fingerprints {
            for position in positions(record.details().fingerprints.len()) {
                let held = Held { key, position };
                step.take(&mut self.fingerprints, held, |other| entries.fingerprint(other));
            }
        }
    }
}
