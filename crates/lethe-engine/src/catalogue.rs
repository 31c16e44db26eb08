//! All metadata and wrapped material in memory: what every read and every use looks at.
//!
//! Entries are immutable; a change replaces the entry. An operation that holds a replaced entry may
//! finish; none that starts later can find it. Expanded keys live inside the entry, so that a
//! replaced entry takes them with it and a late fill can never bring them back (the race that ended
//! MinIO KES's delete).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use lethe_crypto::registry::UsableKey;
use lethe_store::Revision;
use lethe_types::limits::SCAN_ENTRIES_MAX;
use lethe_types::{
    ApprovalId, CredentialId, JobId, KeyId, KeyName, PrincipalId, RealmId, RealmName, UnixMillis,
    VaultId, VaultName,
};
use parking_lot::RwLock;

use crate::authz::PrincipalEntry;
use crate::record::{ApprovalRecord, JobRecord, KeyRecord, RealmRecord, VaultRecord};

/// Shards of the key map: enough that writers of one do not wait for readers of another.
const SHARDS: usize = 256;

/// A key as the catalogue holds it.
#[derive(Debug)]
pub struct KeyEntry {
    record: KeyRecord,
    revision: Revision,
    expanded: Box<[ArcSwapOption<UsableKey>]>,
    usage: Arc<Usage>,
    /// Raised before a destruction becomes durable: from then on no use begins.
    closing: AtomicBool,
}

/// When and how often a key was used since the server started. Shared by all entries of the key.
#[derive(Debug, Default)]
pub struct Usage {
    last: AtomicU64,
    count: AtomicU64,
}

impl Usage {
    pub(crate) fn record(&self, now: UnixMillis) {
        self.last.fetch_max(now.0, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// The last use since the server started.
    #[must_use]
    pub fn last(&self) -> Option<UnixMillis> {
        Some(self.last.load(Ordering::Relaxed)).filter(|&ms| ms > 0).map(UnixMillis)
    }

    /// Uses since the server started.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl KeyEntry {
    pub(crate) fn new(record: KeyRecord, revision: Revision, usage: Arc<Usage>) -> Self {
        let expanded = record.versions.iter().map(|_| ArcSwapOption::empty()).collect();
        Self { record, revision, expanded, usage, closing: AtomicBool::new(false) }
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> &KeyRecord {
        &self.record
    }

    /// The store revision that the record was written at; an entity tag for `If-Match`.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Uses since the server started.
    #[must_use]
    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    pub(crate) fn expanded(&self, position: usize) -> Option<&ArcSwapOption<UsableKey>> {
        self.expanded.get(position)
    }

    /// Drops all expanded keys; they are made again at the next use.
    pub(crate) fn forget_expanded(&self) {
        for slot in &self.expanded {
            slot.store(None);
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn set_closing(&self, closing: bool) {
        self.closing.store(closing, Ordering::Release);
    }
}

/// The keys whose identifier begins with one byte.
type Shard = RwLock<BTreeMap<KeyId, Arc<KeyEntry>>>;

/// Everything that the installation holds.
#[derive(Debug)]
pub(crate) struct Catalogue {
    keys: Box<[Shard]>,
    by_age: RwLock<BTreeMap<RealmId, BTreeSet<(UnixMillis, KeyId)>>>,
    realms: RwLock<BTreeMap<RealmId, Arc<RealmRecord>>>,
    vaults: RwLock<BTreeMap<VaultId, Arc<VaultRecord>>>,
    principals: RwLock<BTreeMap<PrincipalId, Arc<PrincipalEntry>>>,
    credentials: RwLock<BTreeMap<CredentialId, Arc<PrincipalEntry>>>,
    approvals: RwLock<BTreeMap<ApprovalId, Arc<ApprovalRecord>>>,
    jobs: RwLock<BTreeMap<JobId, Arc<JobRecord>>>,
    live: AtomicU64,
    destroyed: AtomicU64,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            keys: (0..SHARDS).map(|_| RwLock::default()).collect(),
            by_age: RwLock::default(),
            realms: RwLock::default(),
            vaults: RwLock::default(),
            principals: RwLock::default(),
            credentials: RwLock::default(),
            approvals: RwLock::default(),
            jobs: RwLock::default(),
            live: AtomicU64::new(0),
            destroyed: AtomicU64::new(0),
        }
    }
}

impl Catalogue {
    fn shard(&self, key: KeyId) -> &Shard {
        &self.keys[usize::from(key.0[0])]
    }

    pub(crate) fn key(&self, key: KeyId) -> Option<Arc<KeyEntry>> {
        self.shard(key).read().get(&key).cloned()
    }

    /// Makes `entry` what every later request sees.
    pub(crate) fn publish_key(&self, entry: Arc<KeyEntry>) {
        let record = entry.record();
        let (id, realm, created) = (record.id, record.realm, record.created);
        let destroyed = record.state.is_destroyed();
        let previous = self.shard(id).write().insert(id, entry);
        let was_destroyed = previous.as_ref().map(|entry| entry.record.state.is_destroyed());
        match (was_destroyed, destroyed) {
            (None, false) => drop(self.live.fetch_add(1, Ordering::Relaxed)),
            (None, true) => drop(self.destroyed.fetch_add(1, Ordering::Relaxed)),
            (Some(false), true) => {
                self.live.fetch_sub(1, Ordering::Relaxed);
                self.destroyed.fetch_add(1, Ordering::Relaxed);
            }
            (Some(false), false) | (Some(true), _) => {}
        }
        if previous.is_none() {
            self.by_age.write().entry(realm).or_default().insert((created, id));
        }
    }

    /// Keys that have their material, and tombstones.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.live.load(Ordering::Relaxed), self.destroyed.load(Ordering::Relaxed))
    }

    /// Up to `limit` keys of `realm` that `wanted` accepts, oldest first, after `after`.
    pub(crate) fn page(
        &self,
        realm: RealmId,
        after: Option<(UnixMillis, KeyId)>,
        limit: usize,
        wanted: impl Fn(&KeyEntry) -> bool,
    ) -> Vec<Arc<KeyEntry>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let mut found = Vec::new();
        let mut after = after;
        while found.len() < limit {
            // In pieces, so that a long scan does not hold up who wants to publish.
            let piece: Vec<(UnixMillis, KeyId)> = {
                let by_age = self.by_age.read();
                let Some(ages) = by_age.get(&realm) else { break };
                let from = after.map_or(Unbounded, Excluded);
                ages.range((from, Unbounded)).take(SCAN_ENTRIES_MAX).copied().collect()
            };
            let Some(&last) = piece.last() else { break };
            after = Some(last);
            let entries = piece.into_iter().filter_map(|(_, id)| self.key(id));
            let missing = limit - found.len();
            found.extend(entries.filter(|entry| wanted(entry)).take(missing));
        }
        found
    }

    pub(crate) fn realm(&self, realm: RealmId) -> Option<Arc<RealmRecord>> {
        self.realms.read().get(&realm).cloned()
    }

    pub(crate) fn realm_by_name(&self, name: &RealmName) -> Option<Arc<RealmRecord>> {
        self.realms.read().values().find(|realm| realm.name == *name).cloned()
    }

    pub(crate) fn publish_realm(&self, realm: RealmRecord) {
        self.realms.write().insert(realm.id, Arc::new(realm));
    }

    pub(crate) fn vault(&self, realm: RealmId, vault: VaultId) -> Option<Arc<VaultRecord>> {
        self.vaults.read().get(&vault).filter(|record| record.realm == realm).cloned()
    }

    pub(crate) fn vaults(&self, realm: RealmId) -> Vec<Arc<VaultRecord>> {
        self.vaults.read().values().filter(|record| record.realm == realm).cloned().collect()
    }

    pub(crate) fn publish_vault(&self, vault: VaultRecord) {
        self.vaults.write().insert(vault.id, Arc::new(vault));
    }

    pub(crate) fn principal(
        &self,
        realm: RealmId,
        principal: PrincipalId,
    ) -> Option<Arc<PrincipalEntry>> {
        self.principals.read().get(&principal).filter(|entry| entry.record.realm == realm).cloned()
    }

    pub(crate) fn principals(&self, realm: RealmId) -> Vec<Arc<PrincipalEntry>> {
        self.principals
            .read()
            .values()
            .filter(|entry| entry.record.realm == realm)
            .cloned()
            .collect()
    }

    pub(crate) fn by_credential(&self, credential: CredentialId) -> Option<Arc<PrincipalEntry>> {
        self.credentials.read().get(&credential).cloned()
    }

    pub(crate) fn publish_principal(&self, entry: Arc<PrincipalEntry>) {
        let mut credentials = self.credentials.write();
        let previous = self.principals.write().insert(entry.record.id, entry.clone());
        for credential in previous.iter().flat_map(|entry| &entry.record.credentials) {
            credentials.remove(&credential.id);
        }
        for credential in &entry.record.credentials {
            credentials.insert(credential.id, entry.clone());
        }
    }
}

// NAIVE, replaced by the catalogue branch.
impl Catalogue {
    fn all(&self) -> Vec<Arc<KeyEntry>> {
        self.keys
            .iter()
            .flat_map(|shard| shard.read().values().cloned().collect::<Vec<_>>())
            .collect()
    }
    pub(crate) fn approval(&self, id: ApprovalId) -> Option<Arc<ApprovalRecord>> {
        self.approvals.read().get(&id).cloned()
    }
    pub(crate) fn approvals_of(&self, key: KeyId) -> Vec<Arc<ApprovalRecord>> {
        self.approvals.read().values().filter(|record| record.key == key).cloned().collect()
    }
    pub(crate) fn approvals_in(&self, realm: RealmId) -> Vec<Arc<ApprovalRecord>> {
        self.approvals.read().values().filter(|record| record.realm == realm).cloned().collect()
    }
    pub(crate) fn publish_approval(&self, record: ApprovalRecord) {
        self.approvals.write().insert(record.id, Arc::new(record));
    }
    pub(crate) fn job(&self, id: JobId) -> Option<Arc<JobRecord>> {
        self.jobs.read().get(&id).cloned()
    }
    pub(crate) fn jobs(&self) -> Vec<Arc<JobRecord>> {
        self.jobs.read().values().cloned().collect()
    }
    pub(crate) fn publish_job(&self, record: JobRecord) {
        self.jobs.write().insert(record.id, Arc::new(record));
    }
    pub(crate) fn alias(&self, realm: RealmId, door: &str, text: &str) -> Option<Arc<KeyEntry>> {
        self.all()
            .into_iter()
            .filter(|entry| {
                entry.record.realm == realm
                    && entry.record.aliases.iter().any(|a| a.door == door && a.text == text)
            })
            .max_by_key(|e| e.record.created)
    }
    pub(crate) fn named(&self, vault: VaultId, name: &KeyName) -> Vec<Arc<KeyEntry>> {
        self.all()
            .into_iter()
            .filter(|entry| entry.record.vault == vault && entry.record.name == *name)
            .collect()
    }
    pub(crate) fn derived(&self, parent: KeyId, path: &str) -> Option<KeyId> {
        self.all()
            .into_iter()
            .find(|e| {
                e.record
                    .details()
                    .derivation
                    .as_ref()
                    .is_some_and(|d| d.parent == parent && &*d.path == path)
            })
            .map(|e| e.record.id)
    }
    pub(crate) fn live_dependants(&self, key: KeyId) -> Vec<KeyId> {
        let mut found: Vec<KeyId> = self
            .all()
            .into_iter()
            .filter(|e| {
                !e.record.state.is_destroyed()
                    && e.record.details().derivation.as_ref().is_some_and(|d| d.parent == key)
            })
            .map(|e| e.record.id)
            .collect();
        found.sort();
        found
    }
    pub(crate) fn due_until(&self, now: UnixMillis, limit: usize) -> Vec<KeyId> {
        self.all().into_iter().filter(|e| matches!(e.record.state, lethe_types::KeyState::PendingDestruction { due, .. } if due <= now)).map(|e| e.record.id).take(limit).collect()
    }
    pub(crate) fn due(
        &self,
        after: Option<(UnixMillis, KeyId)>,
        now: UnixMillis,
        limit: usize,
    ) -> Vec<(UnixMillis, KeyId)> {
        let mut found: Vec<_> = self
            .all()
            .into_iter()
            .filter_map(|e| Some((e.record.state.due()?, e.record.id)))
            .filter(|at| at.0 <= now && after.is_none_or(|after| *at > after))
            .collect();
        found.sort();
        found.truncate(limit);
        found
    }
    pub(crate) fn count_use(&self, entry: &KeyEntry, now: UnixMillis, _by: PrincipalId) {
        entry.usage().record(now);
    }
    pub(crate) fn take_used(&self, _limit: usize) -> Vec<(KeyId, UsageRow)> {
        Vec::new()
    }
    pub(crate) fn put_back_used(&self, _keys: impl IntoIterator<Item = KeyId>) {}
    pub(crate) fn select(
        &self,
        realm: RealmId,
        filter: &crate::KeyFilter,
        limit: usize,
    ) -> Vec<KeyId> {
        let mut found = self.page_ids(realm, |e| {
            !e.record.state.is_destroyed()
                && filter.vault.is_none_or(|v| v == e.record.vault)
                && filter.labels.iter().all(|(n, v)| {
                    e.record
                        .details()
                        .labels
                        .get(n)
                        .is_some_and(|have| v.as_ref().is_none_or(|v| v == have))
                })
        });
        found.truncate(limit);
        found
    }
    pub(crate) fn next_due(&self) -> Option<UnixMillis> {
        self.all()
            .into_iter()
            .filter_map(|e| match e.record.state {
                lethe_types::KeyState::PendingDestruction { due, .. } => Some(due),
                _ => None,
            })
            .min()
    }
    pub(crate) fn fingerprint(&self, digest: &[u8; 32]) -> Option<KeyId> {
        self.all()
            .into_iter()
            .find(|e| e.record.details().fingerprints.contains(digest))
            .map(|e| e.record.id)
    }
    pub(crate) fn live_keys_in(&self, vault: VaultId) -> u64 {
        u64::try_from(
            self.all()
                .into_iter()
                .filter(|e| e.record.vault == vault && !e.record.state.is_destroyed())
                .count(),
        )
        .unwrap_or(u64::MAX)
    }
    pub(crate) fn destroys_since(&self, principal: PrincipalId, since: UnixMillis) -> u32 {
        let n = self
            .all()
            .into_iter()
            .filter(|e| {
                e.record
                    .destruction
                    .as_ref()
                    .is_some_and(|d| d.by == principal && d.requested >= since)
                    || e.record
                        .details()
                        .pending
                        .as_ref()
                        .is_some_and(|p| p.by == principal && p.requested >= since)
            })
            .count();
        u32::try_from(n).unwrap_or(u32::MAX)
    }
    pub(crate) fn by_login(&self, realm: RealmId, login: &str) -> Option<Arc<PrincipalEntry>> {
        self.principals(realm)
            .into_iter()
            .find(|e| e.record.revoked.is_none() && e.record.login.as_deref() == Some(login))
    }
    pub(crate) fn by_external(
        &self,
        realm: RealmId,
        external: &str,
    ) -> Option<(Arc<PrincipalEntry>, CredentialId)> {
        self.principals(realm).into_iter().find_map(|e| {
            let c = e.record.credentials.iter().find(|c| c.external() == Some(external))?.id;
            Some((e, c))
        })
    }
    pub(crate) fn bound_to(&self, key: KeyId) -> Vec<Arc<PrincipalEntry>> {
        self.principals
            .read()
            .values()
            .filter(|e| e.record.bound_to == Some(key) && e.record.revoked.is_none())
            .cloned()
            .collect()
    }
    pub(crate) fn vault_by_name(
        &self,
        realm: RealmId,
        name: &VaultName,
    ) -> Option<Arc<VaultRecord>> {
        self.vaults(realm).into_iter().find(|v| v.removed.is_none() && v.name == *name)
    }
    pub(crate) fn page_ids(
        &self,
        realm: RealmId,
        wanted: impl Fn(&KeyEntry) -> bool,
    ) -> Vec<KeyId> {
        self.page(realm, None, usize::MAX, wanted).into_iter().map(|e| e.record.id).collect()
    }
}

pub(crate) struct UsageRow;
impl UsageRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Vec::new()
    }
}
