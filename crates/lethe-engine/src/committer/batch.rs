//! From submissions to one batch: which are still current, what each writes, and its log entry.

use std::collections::BTreeSet;
use std::sync::Arc;

use lethe_erasure::tree::{ErasureError, Staged};
use lethe_log::{
    Actor, Commitment, DestroyedDetail, Entry, EntryType, ErasureFacts, Invalidation, Quorum, Salt,
    SlotFact, Subject, VersionDetail, Word, write_object,
};
use lethe_store::Write;
use lethe_types::{KeyId, PrincipalId, RealmId, Secret, UnixMillis};

use super::outcome::Told;
use super::{Change, Committer, Submission};
use crate::catalogue::KeyEntry;
use crate::idempotency::Remembered;
use crate::record::codec::{encode_key, encode_principal, encode_realm, encode_vault};
use crate::record::{Destruction, KeyRecord, KeyVersion};
use crate::{EngineError, keys, lifecycle, seal, system};

/// Name and version of this program in every log entry.
pub(crate) const SOFTWARE: &str = concat!("lethe/", env!("CARGO_PKG_VERSION"));

/// Submissions that are committed together.
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    /// Submissions that lost to another one of this batch or before; they plan again once the
    /// batch is published, so that they see what they lost to.
    pub(super) lost: Vec<Submission>,
}

/// One submission on its way.
pub(super) struct Item {
    pub(super) submission: Submission,
    /// The leaf of the erasure tree that was reserved for it, if it makes material.
    pub(super) leaf: Option<u64>,
    /// What it writes; there from staging on.
    pub(super) drafted: Option<Drafted>,
}

impl Item {
    /// The leaf that was reserved, and for whom.
    pub(super) fn reserved(&self) -> Option<(RealmId, u64)> {
        let realm = match &self.submission.change {
            Change::AddVersion { seen, .. } => seen.record().realm,
            Change::CreateKey { record, .. } => record.realm,
            Change::CreatePrincipal(_)
            | Change::CreateRealm { .. }
            | Change::CreateVault(_)
            | Change::DestroyKey { .. }
            | Change::RevokePrincipal { .. } => return None,
        };
        self.leaf.map(|leaf| (realm, leaf))
    }
}

/// What one submission writes.
pub(super) struct Drafted {
    pub(super) record: Option<KeyRecord>,
    pub(super) writes: Vec<Write>,
    pub(super) entry: Vec<u8>,
    pub(super) told: Option<Told>,
    pub(super) remembered: Option<([u8; 32], Remembered)>,
}

/// What two submissions of one batch must not both touch.
#[derive(Default)]
struct Taken {
    keys: BTreeSet<KeyId>,
    places: BTreeSet<[u8; 32]>,
    principals: BTreeSet<PrincipalId>,
    names: BTreeSet<String>,
}

impl Committer {
    /// Takes the submissions that are still current; tells the others to plan again. The keys that
    /// go are closed for use from here on.
    pub(super) fn plan(&self, submissions: Vec<Submission>) -> Batch {
        let mut taken = Taken::default();
        let mut items = Vec::with_capacity(submissions.len());
        let mut lost = Vec::new();
        for submission in submissions {
            if !self.may_still_act(&submission) {
                submission.refuse(EngineError::AuthenticationNotSuccessful);
            } else if self.is_current(&submission, &mut taken) {
                if let Change::DestroyKey { seen, .. } = &submission.change {
                    seen.set_closing(true);
                }
                items.push(Item { submission, leaf: None, drafted: None });
            } else {
                lost.push(submission);
            }
        }
        Batch { items, lost }
    }

    /// Whether who asked has not been revoked since: what a revoked principal left in the queue, or
    /// still computes, is not carried out.
    fn may_still_act(&self, submission: &Submission) -> bool {
        let asked = submission.principal.record();
        if asked.id == system::PRINCIPAL {
            return true;
        }
        let now = self.shared.clock.now();
        let known = self.shared.catalogue.principal(asked.realm, asked.id);
        known.is_some_and(|entry| entry.record().is_live(now))
    }

    fn is_current(&self, submission: &Submission, taken: &mut Taken) -> bool {
        let catalogue = &self.shared.catalogue;
        let unchanged = |seen: &Arc<KeyEntry>| {
            catalogue.key(seen.record().id).is_some_and(|now| Arc::ptr_eq(&now, seen))
        };
        let current = match &submission.change {
            Change::AddVersion { seen, .. } | Change::DestroyKey { seen, .. } => unchanged(seen),
            Change::CreateKey { record, .. } => catalogue.key(record.id).is_none(),
            Change::CreatePrincipal(record) => {
                catalogue.principal(record.realm, record.id).is_none()
            }
            Change::CreateRealm { realm, .. } => {
                catalogue.realm_by_name(&realm.name).is_none()
                    && taken.names.insert(format!("realm {}", realm.name))
            }
            Change::CreateVault(vault) => {
                let others = catalogue.vaults(vault.realm);
                !others.iter().any(|other| other.name == vault.name)
                    && taken.names.insert(format!("vault {} {}", vault.realm, vault.name))
            }
            Change::RevokePrincipal { record, seen } => {
                catalogue
                    .principal(record.realm, record.id)
                    .is_some_and(|now| Arc::ptr_eq(&now, seen))
                    && taken.principals.insert(record.id)
            }
        };
        let now = self.shared.clock.now();
        current
            && !taken.principals.contains(&submission.principal.record().id)
            && submission.change.key().is_none_or(|key| taken.keys.insert(key))
            && submission.idempotency.as_ref().is_none_or(|idempotency| {
                !self.shared.idempotency.contains(&idempotency.place, now)
                    && taken.places.insert(idempotency.place)
            })
    }

    /// Reserves leaves, stages the erasure tree, and drafts every write of the batch.
    ///
    /// # Errors
    /// Whatever failed; nothing was written and the tree is as it was.
    pub(super) fn stage(&mut self, batch: &mut Batch) -> Result<Staged, EngineError> {
        let now = self.shared.clock.now();
        let (mut cuts, mut assigns) = (Vec::new(), Vec::new());
        for item in &mut batch.items {
            match &item.submission.change {
                Change::AddVersion { seen, .. } => {
                    item.leaf = Some(self.reserve(seen.record().realm)?);
                }
                Change::CreateKey { record, .. } => {
                    item.leaf = Some(self.reserve(record.realm)?);
                }
                Change::DestroyKey { seen, .. } => {
                    cuts.extend(seen.record().versions.iter().map(|version| version.leaf));
                }
                Change::CreatePrincipal(_)
                | Change::CreateRealm { .. }
                | Change::CreateVault(_)
                | Change::RevokePrincipal { .. } => {}
            }
            assigns.extend(item.leaf);
        }
        let staged = self
            .shared
            .tree
            .read()
            .stage(&cuts, &assigns, &*self.shared.entropy)
            .map_err(tree_error)?;
        self.last_entry_time = self.last_entry_time.max(now);
        let facts = self.erasure_facts(&staged);
        let log_size = self.shared.log.read().size();
        let mut assigned = 0;
        for (log_index, item) in (log_size..).zip(&mut batch.items) {
            let record_key = item.leaf.map(|leaf| (leaf, staged.record_key(assigned)));
            assigned += usize::from(item.leaf.is_some());
            let draft = Draft { committer: self, now, log_index, facts: &facts };
            item.drafted = Some(draft.make(&mut item.submission, record_key)?);
        }
        Ok(staged)
    }

    fn reserve(&mut self, realm: RealmId) -> Result<u64, EngineError> {
        let limit = EngineError::ServerLimitExceeded("key versions of the installation");
        self.allocator.reserve(realm).map_err(|_| limit)
    }

    fn erasure_facts(&self, staged: &Staged) -> ErasureFacts {
        ErasureFacts {
            epoch_from: staged.epoch_from(),
            epoch_to: staged.epoch_to(),
            slots: vec![self.slot_fact(self.image.generation + 1)],
            quorum: Quorum { erased: 1, n: 1, t: 1 },
            invalidation: Invalidation { acked: 1, evicted: 0 },
            backups_after: None,
        }
    }

    pub(super) fn slot_fact(&self, generation: u64) -> SlotFact {
        let word = |text: &str| text.parse::<Word>().expect("kinds and classes are words");
        SlotFact {
            kind: word(self.slot.kind().as_str()),
            class: word(self.slot.class().as_str()),
            generation,
        }
    }
}

/// A key's record, other rows, and the log entry.
type Parts = (Option<KeyRecord>, Vec<Write>, Entry);

/// What every draft of a batch shares.
struct Draft<'a> {
    committer: &'a Committer,
    now: UnixMillis,
    log_index: u64,
    facts: &'a ErasureFacts,
}

impl Draft<'_> {
    fn make(
        &self,
        submission: &mut Submission,
        record_key: Option<(u64, &Secret<32>)>,
    ) -> Result<Drafted, EngineError> {
        let by = submission.principal.record();
        let actor = Actor { id: by.id, name: by.name.as_str().to_owned() };
        let door = submission.door;
        let key = submission.change.key();
        let mut told_detail = None;
        let (record, writes, entry) = match &submission.change {
            Change::CreateKey { record, material } => {
                let mut record = record.clone();
                self.add_version(&mut record, material, record_key)?;
                let entry = self.key_entry(EntryType::KeyCreated, &record, &actor, door)?;
                (Some(record), Vec::new(), entry)
            }
            Change::AddVersion { seen, material } => {
                let mut record = seen.record().clone();
                self.add_version(&mut record, material, record_key)?;
                record.changed = self.now;
                let entry = self.key_entry(EntryType::KeyRotated, &record, &actor, door)?;
                (Some(record), Vec::new(), entry)
            }
            Change::DestroyKey { seen, requested, reason } => {
                let (record, entry, detail) =
                    self.tombstone(seen, *requested, reason, actor, door)?;
                told_detail = Some(detail);
                (Some(record), Vec::new(), entry)
            }
            Change::CreateRealm { realm, vault } => {
                let writes = vec![
                    put(keys::realm(realm.id), encode_realm(realm)),
                    put(keys::vault(vault.id), encode_vault(vault)),
                ];
                let subject = Subject::Vault { realm: vault.realm, vault: vault.id };
                let detail = detail(&actor, vault.name.as_str())?;
                let kind = EntryType::VaultCreated;
                (None, writes, self.entry(kind, subject, &vault.salt, &detail, door)?)
            }
            Change::CreateVault(vault) => {
                let writes = vec![put(keys::vault(vault.id), encode_vault(vault))];
                let subject = Subject::Vault { realm: vault.realm, vault: vault.id };
                let detail = detail(&actor, vault.name.as_str())?;
                let kind = EntryType::VaultCreated;
                (None, writes, self.entry(kind, subject, &vault.salt, &detail, door)?)
            }
            Change::CreatePrincipal(record) => {
                self.principal(EntryType::PrincipalCreated, record, &actor, door)?
            }
            Change::RevokePrincipal { record, .. } => {
                self.principal(EntryType::PrincipalRevoked, record, &actor, door)?
            }
        };
        let remembered = submission.idempotency.as_ref().zip(key).map(|(idempotency, key)| {
            let request = idempotency.request;
            (idempotency.place, Remembered { request, key, at: self.now })
        });
        let json = entry.to_json().map_err(|_| EngineError::Internal("a log entry"))?;
        let told = told_detail.map(|detail| Told { entry, detail });
        Ok(Drafted { record, writes, entry: json.into_bytes(), told, remembered })
    }

    fn principal(
        &self,
        kind: EntryType,
        record: &crate::record::PrincipalRecord,
        actor: &Actor,
        door: &str,
    ) -> Result<Parts, EngineError> {
        let writes = vec![put(keys::principal(record.id), encode_principal(record))];
        let subject = Subject::Principal { principal: record.id, realm: record.realm };
        let detail = detail(actor, record.name.as_str())?;
        Ok((None, writes, self.entry(kind, subject, &record.salt, &detail, door)?))
    }

    fn add_version(
        &self,
        record: &mut KeyRecord,
        material: &lethe_crypto::registry::Material,
        record_key: Option<(u64, &Secret<32>)>,
    ) -> Result<(), EngineError> {
        let (leaf, record_key) =
            record_key.ok_or(EngineError::Internal("a version without a record key"))?;
        let number = record.next_version;
        let shared = &self.committer.shared;
        let sealed = seal::seal_version(
            shared.tree_id,
            record.id,
            number,
            leaf,
            record_key,
            material.secret(),
            &*shared.entropy,
        )?;
        record.next_version += 1;
        record.versions.push(KeyVersion {
            number,
            created: self.now,
            leaf,
            sealed: sealed.into(),
            public_key_der: material.public_key().map(|public| public.spki_der().into()),
        });
        Ok(())
    }

    fn tombstone(
        &self,
        seen: &KeyEntry,
        requested: UnixMillis,
        reason: &str,
        actor: Actor,
        door: &str,
    ) -> Result<(KeyRecord, Entry, DestroyedDetail), EngineError> {
        let mut record = seen.record().clone();
        record.state = lifecycle::after_destroy(&record)?;
        record.changed = self.now;
        let versions = std::mem::take(&mut record.versions);
        let by = actor.id;
        let detail = DestroyedDetail {
            actor,
            aliases: record.aliases.iter().map(|alias| alias.text.clone()).collect(),
            algorithm: record.algorithm.name().to_owned(),
            evidence: Vec::new(),
            exported: record.exported,
            imported: record.imported,
            last_used: seen.usage().last(),
            name: record.name.as_str().to_owned(),
            reason: reason.to_owned(),
            // A clock that stepped back between request and commit must not turn them round.
            requested: requested.min(self.now),
            revoked: Vec::new(),
            scheduled_by: None,
            unusable_since: self.now,
            vault: record.vault,
            versions: versions
                .iter()
                .map(|version| VersionDetail { created: version.created, version: version.number })
                .collect(),
        };
        let json = detail.to_json().map_err(|_| EngineError::Internal("detail of a receipt"))?;
        let subject = Subject::Key { key: record.id, realm: record.realm };
        let entry = self.entry(EntryType::KeyDestroyed, subject, &record.salt, &json, door)?;
        record.destruction = Some(Box::new(Destruction {
            requested: requested.min(self.now),
            unusable_since: self.now,
            by,
            scheduled_by: None,
            door: door.to_owned(),
            reason: reason.to_owned(),
            epoch: self.facts.epoch_to,
            log_index: self.log_index,
            leaves: versions.iter().map(|version| version.leaf).collect(),
            detail: json.into(),
        }));
        Ok((record, entry, detail))
    }

    fn key_entry(
        &self,
        kind: EntryType,
        record: &KeyRecord,
        actor: &Actor,
        door: &str,
    ) -> Result<Entry, EngineError> {
        let subject = Subject::Key { key: record.id, realm: record.realm };
        let detail = detail(actor, record.name.as_str())?;
        self.entry(kind, subject, &record.salt, &detail, door)
    }

    fn entry(
        &self,
        entry_type: EntryType,
        subject: Subject,
        salt: &[u8; 32],
        detail: &str,
        door: &str,
    ) -> Result<Entry, EngineError> {
        let salt = Salt(*salt);
        Ok(Entry {
            entry_type,
            time: self.now,
            tree_id: self.committer.shared.tree_id,
            revision: self.committer.revision.0 + 1,
            software: SOFTWARE.to_owned(),
            door: Some(door.parse().map_err(|_| EngineError::Internal("name of a door"))?),
            subject: Some(Commitment::to_subject(&salt, &subject)),
            detail: Some(Commitment::to_detail(&salt, detail)),
            erasure: (entry_type == EntryType::KeyDestroyed).then(|| self.facts.clone()),
        })
    }
}

pub(super) fn tree_error(error: ErasureError) -> EngineError {
    match error {
        ErasureError::Entropy | ErasureError::Crypto(_) => EngineError::EntropyUnavailable,
        ErasureError::ArityOutOfRange(_)
        | ErasureError::DuplicateLeaf(_)
        | ErasureError::EpochNotGreater { .. }
        | ErasureError::LeafFree(_)
        | ErasureError::LeafOutOfRange(_)
        | ErasureError::LeafTaken(_)
        | ErasureError::LeftoversNotDropped
        | ErasureError::NodeDamaged(_)
        | ErasureError::StaleStage
        | ErasureError::TooManyLeaves(_) => {
            EngineError::Internal("the erasure tree refuses a change")
        }
    }
}

/// Who did it to what is called so: the detail of every entry but destructions.
fn detail(actor: &Actor, name: &str) -> Result<String, EngineError> {
    write_object(|object| {
        object.object("actor", |object| {
            object.text("id", &actor.id.to_string());
            object.text("name", &actor.name);
        });
        object.text("name", name);
    })
    .map_err(|_| EngineError::Internal("detail of a log entry"))
}

pub(super) fn put(key: lethe_store::StoreKey, value: Vec<u8>) -> Write {
    Write::Put { key, value }
}

impl Drafted {
    /// All rows of this submission, its log entry at `log_index` among them.
    pub(super) fn to_writes(&self, log_index: u64) -> Vec<Write> {
        let mut writes = self.writes.clone();
        if let Some(record) = &self.record {
            writes.push(put(keys::key(record.created, record.id), encode_key(record)));
        }
        writes.push(put(keys::leaf(log_index), self.entry.clone()));
        if let Some((place, remembered)) = &self.remembered {
            writes.push(put(keys::idempotent(place), remembered.encode()));
        }
        writes
    }
}
