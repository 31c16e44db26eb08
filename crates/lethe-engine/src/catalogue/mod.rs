//! All metadata and wrapped material in memory: what every read and every use looks at.
//!
//! Entries are immutable; a change replaces the entry. An operation that holds a replaced entry may
//! finish; none that starts later can find it. Expanded keys live inside the entry, so that a
//! replaced entry takes them with it and a late fill can never bring them back (the race that ended
//! MinIO KES's delete).
//!
//! Read in this order: `entry.rs`, `table.rs` (a use finds its key), `indexes.rs` (everything else
//! finds keys), `search.rs` (pages). It must not know the store, and decides nothing.

mod build;
mod entry;
mod filter;
mod indexes;
mod ordered;
mod owners;
mod search;
mod table;
mod usage;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lethe_types::limits::LIST_ENTRIES_MAX;
use lethe_types::{KeyId, PrincipalId, RealmId, UnixMillis, VaultId};
use parking_lot::{Mutex, RwLock};

pub use entry::KeyEntry;
pub use filter::{KeyFilter, StateFilter, UnknownState};
pub(crate) use search::Position;
pub use usage::{Usage, UsageRow};

use indexes::Indexes;
use owners::{Principals, Realms, Vaults};
use table::Table;
use usage::UsedKeys;
use work::{Approvals, Destroys, ImportKeys, Jobs};

/// Shards of the key table: enough that writers of one do not wait for readers of another.
const SHARDS: usize = 256;

/// Everything that the installation holds.
#[derive(Debug)]
pub(crate) struct Catalogue {
    /// By the first byte of the identifier.
    keys: Box<[RwLock<Table>]>,
    indexes: RwLock<Indexes>,
    used: UsedKeys,
    destroys: Mutex<Destroys>,
    realms: RwLock<Realms>,
    vaults: RwLock<Vaults>,
    principals: RwLock<Principals>,
    approvals: RwLock<Approvals>,
    jobs: RwLock<Jobs>,
    import_keys: RwLock<ImportKeys>,
    live: AtomicU64,
    destroyed: AtomicU64,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            keys: (0..SHARDS).map(|_| RwLock::default()).collect(),
            indexes: RwLock::default(),
            used: UsedKeys::default(),
            destroys: Mutex::default(),
            realms: RwLock::default(),
            vaults: RwLock::default(),
            principals: RwLock::default(),
            approvals: RwLock::default(),
            jobs: RwLock::default(),
            import_keys: RwLock::default(),
            live: AtomicU64::new(0),
            destroyed: AtomicU64::new(0),
        }
    }
}

impl Catalogue {
    fn shard(&self, key: KeyId) -> &RwLock<Table> {
        &self.keys[usize::from(key.0[0])]
    }

    pub(crate) fn key(&self, key: KeyId) -> Option<Arc<KeyEntry>> {
        self.shard(key).read().get(key).cloned()
    }

    /// Makes `entry` what every later request sees. One caller at a time: the committer.
    ///
    /// # Panics
    /// If the key was of another realm or age before.
    pub(crate) fn publish_key(&self, entry: Arc<KeyEntry>) {
        let previous = self.place(entry.clone());
        let previous = previous.as_deref();
        self.publish_asked(previous.map(KeyEntry::record), entry.record());
        self.indexes.write().publish(previous, entry);
    }

    /// Where uses find the entry. Comes first: a destroyed key must be out of use at once.
    fn place(&self, entry: Arc<KeyEntry>) -> Option<Arc<KeyEntry>> {
        let destroyed = entry.record().state.is_destroyed();
        let previous = self.shard(entry.record().id).write().insert(entry);
        let was_destroyed = previous.as_ref().map(|entry| entry.record().state.is_destroyed());
        match (was_destroyed, destroyed) {
            (None, false) => drop(self.live.fetch_add(1, Ordering::Relaxed)),
            (None, true) => drop(self.destroyed.fetch_add(1, Ordering::Relaxed)),
            (Some(false), true) => {
                self.live.fetch_sub(1, Ordering::Relaxed);
                self.destroyed.fetch_add(1, Ordering::Relaxed);
            }
            (Some(false), false) | (Some(true), _) => {}
        }
        previous
    }

    /// Takes all keys that the store holds, at the start: before that there was none. Whether no
    /// key came twice.
    pub(crate) fn load_keys(&self, entries: Vec<Arc<KeyEntry>>) -> bool {
        let mut of_shard = [0; SHARDS];
        entries.iter().for_each(|entry| of_shard[usize::from(entry.record().id.0[0])] += 1);
        for (shard, keys) in self.keys.iter().zip(of_shard) {
            shard.write().reserve(keys);
        }
        for entry in &entries {
            if self.place(entry.clone()).is_some() {
                return false;
            }
            self.publish_asked(None, entry.record());
        }
        *self.indexes.write() = Indexes::of(entries);
        true
    }

    /// Keys that have their material, and tombstones.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.live.load(Ordering::Relaxed), self.destroyed.load(Ordering::Relaxed))
    }

    /// Keys of the vault that have their material.
    pub(crate) fn live_keys_in(&self, vault: VaultId) -> u64 {
        let Some(realm) = self.realm_of_vault(vault) else { return 0 };
        let indexes = self.indexes.read();
        let keys = indexes.realms.get(&realm).and_then(|realm| realm.vaults.get(&vault));
        u64::try_from(keys.map_or(0, |keys| keys.live.len())).unwrap_or(u64::MAX)
    }

    /// Whose the alias is: the key that has its material; without one the newest destroyed key that
    /// keeps it for ever; without one the newest that had it.
    pub(crate) fn alias(&self, realm: RealmId, door: &str, text: &str) -> Option<Arc<KeyEntry>> {
        let indexes = self.indexes.read();
        let entries = &indexes.entries;
        let aliases = indexes.realms.get(&realm)?.aliases.get(door)?;
        let held = aliases.before(aliases.gap(|held| entries.alias(held).0 <= text))?;
        (entries.alias(held).0 == text).then(|| entries.entry(held.key).clone())
    }

    /// Up to `limit` keys with material that have an alias at `door` before the text `before` (all
    /// if `None`), the last text first. Looks at a bounded number of them: where to go on, if there
    /// may be more.
    pub(crate) fn aliased_backwards(
        &self,
        realm: RealmId,
        door: &str,
        before: Option<&str>,
        limit: usize,
    ) -> (Vec<Arc<KeyEntry>>, Option<String>) {
        let indexes = self.indexes.read();
        let entries = &indexes.entries;
        let Some(aliases) = indexes.realms.get(&realm).and_then(|realm| realm.aliases.get(door))
        else {
            return (Vec::new(), None);
        };
        let gap = aliases.gap(|held| before.is_none_or(|before| entries.alias(held).0 < before));
        let mut found = Vec::new();
        for (looked, held) in aliases.backwards(gap).enumerate() {
            if found.len() >= limit || looked >= LIST_ENTRIES_MAX {
                // Everything from here on stands before what was looked at last.
                let text = entries.alias(held).0;
                return (found, Some(format!("{text}\0")));
            }
            let entry = entries.entry(held.key);
            if !entry.record().state.is_destroyed() {
                found.push(entry.clone());
            }
        }
        (found, None)
    }

    /// Up to `limit` keys of the vault that have their material, oldest first, without the first
    /// `from`, together with all of the same milliseconds as the first and the last; how many stand
    /// before them, and how many there are.
    pub(crate) fn numbered(
        &self,
        realm: RealmId,
        vault: VaultId,
        from: usize,
        limit: usize,
    ) -> (Vec<Arc<KeyEntry>>, usize, usize) {
        let indexes = self.indexes.read();
        let index = indexes.realms.get(&realm).and_then(|realm| realm.vaults.get(&vault));
        let Some(live) = index.map(|index| &index.live) else { return (Vec::new(), 0, 0) };
        let made = |key| indexes.entries.age(key).0;
        let start = live.nth(from);
        let Some(first) = live.after(start).next() else { return (Vec::new(), 0, live.len()) };
        let same = live.gap(|key| made(key) < made(first));
        let before = live.about_between(same, start).min(from);
        let mut keys: Vec<_> = live.after(same).take(before + limit).collect();
        if let Some(&last) = keys.last() {
            let rest = live.after(same).skip(keys.len());
            let more: Vec<_> = rest.take_while(|key| made(*key) == made(last)).collect();
            keys.extend(more);
        }
        let entries = keys.into_iter().map(|key| indexes.entries.entry(key).clone());
        (entries.collect(), before, live.len())
    }

    /// A key of the realm whose material has the keyed digest, a destroyed one if there is one.
    pub(crate) fn fingerprint(&self, realm: RealmId, digest: &[u8; 32]) -> Option<Arc<KeyEntry>> {
        let indexes = self.indexes.read();
        let entries = &indexes.entries;
        let all = &indexes.realms.get(&realm)?.fingerprints;
        let held = all.before(all.gap(|held| entries.fingerprint(held).0 <= *digest))?;
        (entries.fingerprint(held).0 == *digest).then(|| entries.entry(held.key).clone())
    }

    /// The newest key that was derived from `parent` by `path`, for ever: also a destroyed one.
    pub(crate) fn derived(&self, parent: KeyId, path: &str) -> Option<Arc<KeyEntry>> {
        let indexes = self.indexes.read();
        let entries = &indexes.entries;
        let wanted = Some((parent, path));
        let gap = indexes.paths.gap(|key| entries.path(key).0 <= wanted);
        let key = indexes.paths.before(gap)?;
        (entries.path(key).0 == wanted).then(|| entries.entry(key).clone())
    }

    /// Up to `limit` keys with material that were derived from `parent`, oldest first.
    pub(crate) fn live_children(&self, parent: KeyId, limit: usize) -> Vec<Arc<KeyEntry>> {
        let indexes = self.indexes.read();
        let entries = &indexes.entries;
        let children = &indexes.children.live;
        let from = children.gap(|key| entries.parent(key).0 < Some(parent));
        let all = children.after(from).take_while(|&key| entries.parent(key).0 == Some(parent));
        all.take(limit).map(|key| entries.entry(key).clone()).collect()
    }

    /// Up to `limit` keys whose destruction is due at `now` or was before, after `after`, the
    /// longest overdue first.
    pub(crate) fn due(
        &self,
        after: Option<(UnixMillis, KeyId)>,
        now: UnixMillis,
        limit: usize,
    ) -> Vec<(UnixMillis, KeyId)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        let end = (now, KeyId([255; 16]));
        if after.is_some_and(|after| after >= end) {
            return Vec::new();
        }
        let indexes = self.indexes.read();
        indexes.due.range((from, Included(end))).take(limit).copied().collect()
    }

    /// Up to `limit` active keys whose automatic rotation is due at `now` or was before, after
    /// `after`, the longest overdue first.
    pub(crate) fn rotations_due(
        &self,
        after: Option<(UnixMillis, KeyId)>,
        now: UnixMillis,
        limit: usize,
    ) -> Vec<(UnixMillis, KeyId)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let end = (now, KeyId([255; 16]));
        if after.is_some_and(|after| after >= end) {
            return Vec::new();
        }
        let from = after.map_or(Unbounded, Excluded);
        let indexes = self.indexes.read();
        indexes.rotations.range((from, Included(end))).take(limit).copied().collect()
    }

    /// All active keys that are rotated by themselves.
    pub(crate) fn rotations(&self) -> Vec<KeyId> {
        self.indexes.read().rotations.iter().map(|(_, key)| *key).collect()
    }

    /// The keys with material that cannot live without `parent`, ascending.
    pub(crate) fn live_dependants(&self, parent: KeyId) -> Vec<KeyId> {
        let children = self.live_children(parent, usize::MAX);
        let depends = |entry: &Arc<KeyEntry>| {
            let derivation = &entry.record().details().derivation;
            derivation.as_ref().is_some_and(|derivation| derivation.depends)
        };
        let mut found: Vec<KeyId> =
            children.iter().filter(|entry| depends(entry)).map(|entry| entry.record().id).collect();
        found.sort_unstable();
        found
    }

    /// Counts a use of the key.
    pub(crate) fn count_use(&self, entry: &KeyEntry, now: UnixMillis, by: PrincipalId) {
        self.used.count(entry.record().id, entry.usage(), now, by);
    }

    /// Up to `limit` keys that were used since their uses were stored last, with what is to be
    /// stored; the longest waiting first. What cannot be stored goes back by
    /// [`Catalogue::put_back_used`].
    pub(crate) fn take_used(&self, limit: usize) -> Vec<(KeyId, UsageRow)> {
        let taken = self.used.take(limit).into_iter();
        taken.filter_map(|key| Some((key, self.key(key)?.usage().settle()?))).collect()
    }

    /// Puts keys back whose uses could not be stored.
    pub(crate) fn put_back_used(&self, keys: impl IntoIterator<Item = KeyId>) {
        for entry in keys.into_iter().filter_map(|key| self.key(key)) {
            self.used.put_back(entry.record().id, entry.usage());
        }
    }
}

#[cfg(test)]
mod tests;
