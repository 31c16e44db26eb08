//! What is under way: requests for approval, bulk destructions, and how much each principal
//! destroyed of late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lethe_types::limits::HOURLY_DESTROYS_ENTRIES_MAX;
use lethe_types::{ApprovalId, ImportKeyId, JobId, KeyId, PrincipalId, RealmId, UnixMillis};

use super::Catalogue;
use crate::record::{ApprovalRecord, DestroyedVersion, ImportKeyRecord, JobRecord, KeyRecord};

/// How long a destruction counts. A policy limits destructions in an hour.
const DESTROYS_REMEMBERED: Duration = Duration::from_secs(3_600);

/// Requests for approval.
#[derive(Debug, Default)]
pub(super) struct Approvals {
    by_id: BTreeMap<ApprovalId, Arc<ApprovalRecord>>,
    by_realm: BTreeSet<(RealmId, ApprovalId)>,
    by_key: BTreeSet<(KeyId, ApprovalId)>,
}

/// Bulk destructions.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    by_id: BTreeMap<JobId, Arc<JobRecord>>,
    by_realm: BTreeSet<(RealmId, JobId)>,
}

/// Import keys, by id.
#[derive(Debug, Default)]
pub(super) struct ImportKeys(BTreeMap<ImportKeyId, Arc<ImportKeyRecord>>);

/// The destructions that each principal asked for in its last hour of asking, at most
/// [`HOURLY_DESTROYS_ENTRIES_MAX`]. Told from the key records alone: a restart forgets nothing;
/// one that was cancelled does not count. A version that was destroyed alone counts as a key does.
#[derive(Debug, Default)]
pub(super) struct Destroys(BTreeMap<PrincipalId, BTreeSet<(UnixMillis, KeyId)>>);

/// Who asked for the destruction of the key, and when.
fn asked(record: &KeyRecord) -> Option<(PrincipalId, UnixMillis)> {
    let ended = record.destruction.as_deref().map(|destruction| {
        (destruction.scheduled_by.unwrap_or(destruction.by), destruction.requested)
    });
    let pending =
        || record.details().pending.as_ref().map(|pending| (pending.by, pending.requested));
    ended.or_else(pending)
}

impl Destroys {
    pub(super) fn publish(&mut self, previous: Option<&KeyRecord>, record: &KeyRecord) {
        let (before, after) = (previous.and_then(asked), asked(record));
        if before == after {
            return;
        }
        if let Some((principal, at)) = before
            && let Some(times) = self.0.get_mut(&principal)
        {
            times.remove(&(at, record.id));
            if times.is_empty() {
                self.0.remove(&principal);
            }
        }
        if let Some((principal, at)) = after {
            self.count(principal, at, record.id);
        }
    }

    /// Counts the versions that `record` lost since `previous`.
    pub(super) fn publish_versions(&mut self, previous: Option<&KeyRecord>, record: &KeyRecord) {
        let before = previous.map_or(&[][..], |previous| &previous.life().destroyed_versions);
        for version in record.life().destroyed_versions.iter().filter(|one| !before.contains(one)) {
            let DestroyedVersion { by, destroyed, .. } = *version;
            self.count(by, destroyed, record.id);
        }
    }

    fn count(&mut self, principal: PrincipalId, at: UnixMillis, key: KeyId) {
        let times = self.0.entry(principal).or_default();
        times.insert((at, key));
        while times.len() > HOURLY_DESTROYS_ENTRIES_MAX || Self::is_stale(times) {
            times.pop_first();
        }
    }

    fn is_stale(times: &BTreeSet<(UnixMillis, KeyId)>) -> bool {
        match (times.first(), times.last()) {
            (Some((oldest, _)), Some((newest, _))) => {
                oldest.saturating_add(DESTROYS_REMEMBERED) < *newest
            }
            (Some(_), None) | (None, _) => false,
        }
    }

    pub(super) fn since(&self, principal: PrincipalId, since: UnixMillis) -> u32 {
        let Some(times) = self.0.get(&principal) else { return 0 };
        // What is too old is counted, because it is little: it goes with the next destruction.
        let older = times.range(..(since, KeyId([0; 16]))).count();
        u32::try_from(times.len() - older).unwrap_or(u32::MAX)
    }
}

impl Catalogue {
    pub(super) fn publish_asked(&self, previous: Option<&KeyRecord>, record: &KeyRecord) {
        // Most changes have nothing to do with it: no lock for them.
        if asked(record).is_some() || previous.and_then(asked).is_some() {
            self.destroys.lock().publish(previous, record);
        }
        if !record.life().destroyed_versions.is_empty() {
            self.destroys.lock().publish_versions(previous, record);
        }
    }

    /// Destructions that `principal` asked for at `since` or later and that were carried out or
    /// wait. Only those of the hour before its newest one are known, and at most
    /// [`HOURLY_DESTROYS_ENTRIES_MAX`].
    pub(crate) fn destroys_since(&self, principal: PrincipalId, since: UnixMillis) -> u32 {
        self.destroys.lock().since(principal, since)
    }

    pub(crate) fn approval(
        &self,
        realm: RealmId,
        approval: ApprovalId,
    ) -> Option<Arc<ApprovalRecord>> {
        self.approvals.read().by_id.get(&approval).filter(|record| record.realm == realm).cloned()
    }

    /// All requests for approval of the realm.
    pub(crate) fn approvals(&self, realm: RealmId) -> Vec<Arc<ApprovalRecord>> {
        let approvals = self.approvals.read();
        let range = (realm, ApprovalId([0; 16]))..=(realm, ApprovalId([255; 16]));
        let ids = approvals.by_realm.range(range);
        ids.filter_map(|(_, id)| approvals.by_id.get(id).cloned()).collect()
    }

    /// All requests for approval of the key's destruction.
    pub(crate) fn approvals_of(&self, key: KeyId) -> Vec<Arc<ApprovalRecord>> {
        let approvals = self.approvals.read();
        let range = (key, ApprovalId([0; 16]))..=(key, ApprovalId([255; 16]));
        let ids = approvals.by_key.range(range);
        ids.filter_map(|(_, id)| approvals.by_id.get(id).cloned()).collect()
    }

    /// Realm and key of a request never change.
    pub(crate) fn publish_approval(&self, record: ApprovalRecord) {
        let mut approvals = self.approvals.write();
        approvals.by_realm.insert((record.realm, record.id));
        approvals.by_key.insert((record.key, record.id));
        approvals.by_id.insert(record.id, Arc::new(record));
    }

    pub(crate) fn job(&self, realm: RealmId, job: JobId) -> Option<Arc<JobRecord>> {
        self.jobs.read().by_id.get(&job).filter(|record| record.realm == realm).cloned()
    }

    /// All bulk destructions of the realm.
    pub(crate) fn jobs(&self, realm: RealmId) -> Vec<Arc<JobRecord>> {
        let jobs = self.jobs.read();
        let range = (realm, JobId([0; 16]))..=(realm, JobId([255; 16]));
        jobs.by_realm.range(range).filter_map(|(_, id)| jobs.by_id.get(id).cloned()).collect()
    }

    /// All bulk destructions of the installation: which of them go on after a start.
    pub(crate) fn all_jobs(&self) -> Vec<Arc<JobRecord>> {
        self.jobs.read().by_id.values().cloned().collect()
    }

    /// The realm of a bulk destruction never changes.
    pub(crate) fn publish_job(&self, record: JobRecord) {
        let mut jobs = self.jobs.write();
        jobs.by_realm.insert((record.realm, record.id));
        jobs.by_id.insert(record.id, Arc::new(record));
    }

    pub(crate) fn import_key(
        &self,
        realm: RealmId,
        id: ImportKeyId,
    ) -> Option<Arc<ImportKeyRecord>> {
        self.import_keys.read().0.get(&id).filter(|record| record.realm == realm).cloned()
    }

    /// All import keys of the installation that are there.
    pub(crate) fn import_keys(&self) -> Vec<Arc<ImportKeyRecord>> {
        self.import_keys.read().0.values().cloned().collect()
    }

    pub(crate) fn publish_import_key(&self, record: ImportKeyRecord) {
        self.import_keys.write().0.insert(record.id, Arc::new(record));
    }

    pub(crate) fn remove_import_key(&self, id: ImportKeyId) {
        self.import_keys.write().0.remove(&id);
    }
}
