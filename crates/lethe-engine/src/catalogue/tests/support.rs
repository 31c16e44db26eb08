//! Records without an engine, and numbers that a seed decides.

use std::sync::Arc;

use lethe_crypto::registry::Algorithm;
use lethe_store::Revision;
use lethe_types::{KeyId, KeyState, PrincipalId, RealmId, UnixMillis, VaultId};
use smallvec::SmallVec;

use super::super::{Catalogue, KeyEntry};
use crate::record::{Destruction, KeyRecord};

pub(super) const REALM: RealmId = RealmId([1; 16]);

/// SplitMix64: the same seed, the same run.
pub(super) struct Seeded(pub(super) u64);

impl Seeded {
    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `end` - 1.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % u64::try_from(end).unwrap()).unwrap()
    }

    pub(super) fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub(super) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    pub(super) fn id(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.number().to_be_bytes());
        bytes[8..].copy_from_slice(&self.number().to_be_bytes());
        bytes
    }
}

pub(super) fn vault(number: u8) -> VaultId {
    VaultId([number; 16])
}

pub(super) fn record(id: KeyId, created: u64, name: &str) -> KeyRecord {
    KeyRecord {
        id,
        realm: REALM,
        vault: vault(1),
        name: name.parse().unwrap(),
        algorithm: Algorithm::from_name("aes256-gcm").unwrap(),
        state: KeyState::ACTIVE,
        created: UnixMillis(created),
        created_by: PrincipalId([9; 16]),
        changed: UnixMillis(created),
        salt: [5; 32],
        aliases: Vec::new(),
        versions: SmallVec::new(),
        next_version: 1,
        imported: false,
        exported: false,
        details: None,
        destruction: None,
    }
}

/// The tombstone of `record`.
pub(super) fn destroyed(record: &KeyRecord, requested: u64, by: PrincipalId) -> KeyRecord {
    let mut record = record.clone();
    let pending = record.details.as_mut().and_then(|details| details.pending.take());
    let scheduled = pending.as_ref().map(|pending| (pending.by, pending.requested));
    record.state = KeyState::Destroyed;
    record.destruction = Some(Box::new(Destruction {
        requested: scheduled.map_or(UnixMillis(requested), |(_, at)| at),
        unusable_since: UnixMillis(requested),
        by,
        scheduled_by: scheduled.map(|(by, _)| by),
        door: "native".to_owned(),
        reason: String::new(),
        epoch: 1,
        log_index: 1,
        leaves: Vec::new(),
        detail: Box::default(),
    }));
    record
}

/// As the committer makes it: with the uses of the entry before.
pub(super) fn publish(catalogue: &Catalogue, record: KeyRecord) -> Arc<KeyEntry> {
    let usage = catalogue.key(record.id).map(|entry| entry.usage().clone()).unwrap_or_default();
    let entry = Arc::new(KeyEntry::new(record, Revision(1), usage));
    catalogue.publish_key(entry.clone());
    entry
}

pub(super) fn entries(records: impl IntoIterator<Item = KeyRecord>) -> Vec<Arc<KeyEntry>> {
    let entry = |record| Arc::new(KeyEntry::new(record, Revision(1), Arc::default()));
    records.into_iter().map(entry).collect()
}
