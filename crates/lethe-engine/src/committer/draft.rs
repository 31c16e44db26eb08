//! What one step writes: its record, other rows, and its entry in the log.

mod versions;

use std::borrow::Cow;
use std::collections::BTreeMap;

use lethe_crypto::registry::Material;
use lethe_log::{
    Actor, Commitment, DestroyedDetail, Entry, EntryType, ErasureFacts, Salt, Subject,
    VersionDetail, write_object,
};
use lethe_store::Write;
use lethe_types::limits::HISTORY_CHANGES_MAX;
use lethe_types::{ImportKeyId, PrincipalId, RealmId, Secret, SecretVec, Transition, UnixMillis};

use super::batch::{SOFTWARE, put, put_key};
use super::outcome::Told;
use super::submission::{Destroy, JobUpdate, KeyUpdate, NewKey, PrincipalUpdate};
use super::{Committer, Step, Submission};
use crate::events::Event;
use crate::record::codec::{
    encode_approval, encode_job, encode_principal, encode_realm, encode_vault,
};
use crate::record::{
    ApprovalRecord, ChangedState, Destruction, Evidence, ImportKeyRecord, JobRecord, KeyRecord,
    KeyVersion, OwnedSecret, PrincipalRecord, RealmRecord, VaultRecord, VersionState,
};
use crate::{EngineError, keys, lifecycle, seal};

/// What one step writes.
pub(super) struct Drafted {
    pub(super) effect: Effect,
    pub(super) writes: Vec<Write>,
    /// Its entry in the log, unless the step is none of those that the log tells of.
    pub(super) entry: Option<Vec<u8>>,
    pub(super) told: Option<Told>,
    /// The type of that entry.
    kind: Option<EntryType>,
    /// What is told to whoever follows events, once it is final.
    pub(super) event: Option<Event>,
}

/// What everybody sees once the step is durable.
pub(super) enum Effect {
    Approval(Box<ApprovalRecord>),
    ImportKey(Box<ImportKeyRecord>),
    ImportKeyGone(ImportKeyId),
    Job(Box<JobRecord>),
    Key(Box<KeyRecord>),
    Nothing,
    Principal(Box<PrincipalRecord>),
    Realm(Box<RealmRecord>),
    Vault(Box<VaultRecord>),
}

/// Leaves that were reserved, with the record keys that the tree drew for them.
type RecordKeys<'a> = dyn Iterator<Item = (u64, &'a Secret<32>)> + 'a;

/// What every step of a submission shares.
pub(super) struct Draft<'a> {
    committer: &'a Committer,
    actor: Actor,
    door: &'static str,
    realm: RealmId,
    receipts: bool,
    now: UnixMillis,
    log_index: u64,
    facts: &'a ErasureFacts,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        committer: &'a Committer,
        submission: &Submission,
        now: UnixMillis,
        log_index: u64,
        facts: &'a ErasureFacts,
    ) -> Self {
        let by = submission.principal.record();
        let actor = Actor { id: by.id, name: by.name.as_str().to_owned() };
        let (door, receipts) = (submission.door, submission.change.receipts);
        let realm = by.realm;
        Self { committer, actor, door, realm, receipts, now, log_index, facts }
    }

    pub(super) fn make(
        &self,
        step: &Step,
        record_keys: &mut RecordKeys<'_>,
    ) -> Result<Drafted, EngineError> {
        let mut drafted = self.make_untold(step, record_keys)?;
        drafted.event = drafted.kind.map(|kind| self.event(kind, step, &drafted.effect));
        Ok(drafted)
    }

    fn event(&self, kind: EntryType, step: &Step, effect: &Effect) -> Event {
        let due = match effect {
            Effect::Key(record) => record.state.due(),
            Effect::Approval(_)
            | Effect::ImportKey(_)
            | Effect::ImportKeyGone(_)
            | Effect::Job(_)
            | Effect::Nothing
            | Effect::Principal(_)
            | Effect::Realm(_)
            | Effect::Vault(_) => None,
        };
        Event {
            id: self.log_index,
            time: self.now,
            realm: self.realm,
            kind: kind.as_str(),
            key: step.key_of_entry(),
            subject: step.subject(),
            by: Some(self.actor.id),
            door: Cow::Borrowed(self.door),
            due,
        }
    }

    fn make_untold(
        &self,
        step: &Step,
        record_keys: &mut RecordKeys<'_>,
    ) -> Result<Drafted, EngineError> {
        match step {
            Step::AddVersion { seen, material, rotation, retires } => {
                let mut record = seen.record().clone();
                let erases = !super::batch::retired(&record, retires).is_empty();
                record.versions.retain(|version| !retires.contains(&version.number));
                self.add_version(&mut record, material, record_keys)?;
                if let Some(rotation) = rotation {
                    record.life_mut().rotation = Some(*rotation);
                }
                record.changed = self.now;
                self.key(EntryType::KeyRotated, record, &[], erases)
            }
            Step::CreateKey(new) => self.new_key(new, record_keys),
            Step::DestroyKey(destroy) => self.destroyed(destroy),
            Step::DestroyVersion(destroy) => self.destroyed_version(destroy),
            Step::UpdateKey(update) => self.updated_key(update, record_keys),
            Step::PutApproval { seen, record } => self.approval(seen.is_none(), record),
            Step::PutImportKey(update) => self.import_key(update, record_keys),
            Step::PutJob(update) => Ok(job(update)),
            Step::PutPrincipal(update) => self.principal(update, record_keys),
            Step::PutRealm { seen, record } => {
                let kind =
                    if seen.is_some() { EntryType::RealmChanged } else { EntryType::RealmCreated };
                let writes = vec![put(keys::realm(record.id), encode_realm(record))];
                let subject = Subject::Realm { realm: record.id };
                let detail = self.detail(record.name.as_str(), &[])?;
                let entry = self.entry(kind, subject, &record.salt, &detail, false)?;
                logged(Effect::Realm(record.clone()), writes, &entry)
            }
            Step::PutVault { seen, record } => {
                let kind = match (seen, record.removed) {
                    (None, _) => EntryType::VaultCreated,
                    (Some(_), None) => EntryType::VaultChanged,
                    (Some(_), Some(_)) => EntryType::VaultRemoved,
                };
                let writes = vec![put(keys::vault(record.id), encode_vault(record))];
                let subject = Subject::Vault { realm: record.realm, vault: record.id };
                let detail = self.detail(record.name.as_str(), &[])?;
                let entry = self.entry(kind, subject, &record.salt, &detail, false)?;
                logged(Effect::Vault(record.clone()), writes, &entry)
            }
            Step::PutDocuments(step) => Ok(unlogged(Effect::Nothing, step.writes.clone())),
            Step::PutRows(rows) => Ok(unlogged(Effect::Nothing, rows.clone())),
        }
    }

    fn new_key(
        &self,
        new: &NewKey,
        record_keys: &mut RecordKeys<'_>,
    ) -> Result<Drafted, EngineError> {
        let mut record = new.record.clone();
        self.add_version(&mut record, &new.material, record_keys)?;
        for (number, material) in &new.later {
            record.next_version = *number;
            self.add_version(&mut record, material, record_keys)?;
        }
        self.seal_key_secrets(&mut record, &new.secrets, record_keys)?;
        let kind = if record.imported { EntryType::KeyImported } else { EntryType::KeyCreated };
        self.key(kind, record, &new.facts, false)
    }

    fn updated_key(
        &self,
        update: &KeyUpdate,
        record_keys: &mut RecordKeys<'_>,
    ) -> Result<Drafted, EngineError> {
        let mut record = update.record.clone();
        self.seal_key_secrets(&mut record, &update.secrets, record_keys)?;
        record.changed = self.now;
        let erases = !super::batch::leaves_that_go_from(update).is_empty();
        self.key(update.kind, record, &update.facts, erases)
    }

    fn key(
        &self,
        kind: EntryType,
        record: KeyRecord,
        facts: &[(&'static str, String)],
        erases: bool,
    ) -> Result<Drafted, EngineError> {
        let subject = Subject::Key { key: record.id, realm: record.realm };
        let detail = self.detail(record.name.as_str(), facts)?;
        let entry = self.entry(kind, subject, &record.salt, &detail, erases)?;
        let writes = vec![put_key(&record)];
        logged(Effect::Key(Box::new(record)), writes, &entry)
    }

    fn add_version(
        &self,
        record: &mut KeyRecord,
        material: &Material,
        record_keys: &mut RecordKeys<'_>,
    ) -> Result<(), EngineError> {
        let (leaf, record_key) = record_keys.next().ok_or(NO_RECORD_KEY)?;
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
            state: VersionState::Enabled,
            created: self.now,
            leaf,
            sealed: sealed.into(),
            public_key_der: material.public_key().map(|public| public.spki_der().into()),
        });
        Ok(())
    }

    fn seal_key_secrets(
        &self,
        record: &mut KeyRecord,
        secrets: &[SecretVec],
        record_keys: &mut RecordKeys<'_>,
    ) -> Result<(), EngineError> {
        if secrets.is_empty() {
            return Ok(());
        }
        let owner = record.id.0;
        let unsealed = record.details_mut().secrets.iter_mut().filter(|secret| !secret.is_sealed());
        self.seal_secrets(unsealed.map(|secret| (owner, secret)), secrets, record_keys)
    }

    /// Seals each of `places` with the secret of the same position.
    fn seal_secrets<'s>(
        &self,
        places: impl Iterator<Item = ([u8; 16], &'s mut OwnedSecret)>,
        secrets: &[SecretVec],
        record_keys: &mut RecordKeys<'_>,
    ) -> Result<(), EngineError> {
        let shared = &self.committer.shared;
        for ((owner, place), secret) in places.zip(secrets) {
            let (leaf, record_key) = record_keys.next().ok_or(NO_RECORD_KEY)?;
            place.leaf = leaf;
            place.sealed = seal::seal_secret(
                shared.tree_id,
                owner,
                place.number,
                leaf,
                record_key,
                secret,
                &*shared.entropy,
            )?
            .into();
        }
        Ok(())
    }

    fn principal(
        &self,
        update: &PrincipalUpdate,
        record_keys: &mut RecordKeys<'_>,
    ) -> Result<Drafted, EngineError> {
        let mut record = update.record.clone();
        let unsealed = record.credentials.iter_mut().filter_map(|credential| {
            let owner = credential.id.0;
            let secret = credential.secret_mut()?;
            (!secret.is_sealed()).then_some((owner, secret))
        });
        self.seal_secrets(unsealed, &update.secrets, record_keys)?;
        if update.seen.is_some() {
            record.changed = self.now;
        }
        let kept: Vec<u64> = record.leaves().collect();
        let erases = update
            .seen
            .as_ref()
            .is_some_and(|seen| seen.record().leaves().any(|leaf| !kept.contains(&leaf)));
        let subject = Subject::Principal { principal: record.id, realm: record.realm };
        let detail = self.detail(record.name.as_str(), &[])?;
        let entry = self.entry(update.kind, subject, &record.salt, &detail, erases)?;
        let writes = vec![put(keys::principal(record.id), encode_principal(&record))];
        logged(Effect::Principal(Box::new(record)), writes, &entry)
    }

    /// A new request is told by the log; who agrees to it stands in the receipt.
    fn approval(&self, is_new: bool, record: &ApprovalRecord) -> Result<Drafted, EngineError> {
        let writes = vec![put(keys::approval(record.id), encode_approval(record))];
        let effect = Effect::Approval(Box::new(record.clone()));
        if !is_new {
            return Ok(unlogged(effect, writes));
        }
        let key = self.committer.shared.catalogue.key(record.key);
        let key = key.ok_or(EngineError::Internal("a request for approval without its key"))?;
        let subject = Subject::Key { key: record.key, realm: record.realm };
        let facts = [("approval", record.id.to_string())];
        let detail = self.detail(key.record().name.as_str(), &facts)?;
        let kind = EntryType::KeyDestructionRequested;
        let entry = self.entry(kind, subject, &key.record().salt, &detail, false)?;
        logged(effect, writes, &entry)
    }

    fn destroyed(&self, destroy: &Destroy) -> Result<Drafted, EngineError> {
        let (record, entry, detail) = self.tombstone(destroy)?;
        let writes = vec![put_key(&record)];
        let mut drafted = logged(Effect::Key(Box::new(record)), writes, &entry)?;
        if self.receipts {
            drafted.told = Some(Told { entry, detail });
        }
        Ok(drafted)
    }

    fn tombstone(
        &self,
        destroy: &Destroy,
    ) -> Result<(KeyRecord, Entry, DestroyedDetail), EngineError> {
        let mut record = destroy.seen.record().clone();
        let pending = record.details.as_mut().and_then(|details| details.pending.take());
        record.state = lifecycle::after_destroy(&record)?;
        record.changed = self.now;
        let leaves: Vec<u64> = record.leaves().collect();
        let versions = std::mem::take(&mut record.versions);
        if let Some(details) = &mut record.details {
            details.secrets = Vec::new();
            details.holds = Vec::new();
            if let Some(life) = &mut details.life {
                life.rotation = None;
                life.changed_versions.clear();
            }
        }
        if !destroy.fingerprints.is_empty() {
            // Those of versions that were destroyed before are there already.
            record.details_mut().fingerprints.extend(&destroy.fingerprints);
        }
        let by = self.actor.id;
        push_history(&mut record, Transition::Destroy, self.now, by, self.door);
        let scheduled_by = pending.map(|pending| pending.by);
        // A clock that stepped back between request and commit must not turn them round.
        let requested = destroy.requested.min(self.now);
        let detail = DestroyedDetail {
            actor: self.actor.clone(),
            aliases: record.aliases.iter().map(|alias| alias.text.clone()).collect(),
            algorithm: record.algorithm.name().to_owned(),
            derived_from: record.details().derivation.as_ref().map(|from| from.parent),
            evidence: destroy.evidence.iter().map(Evidence::to_statement).collect(),
            exported: record.exported,
            imported: record.imported,
            last_used: destroy.seen.usage().last(),
            name: record.name.as_str().to_owned(),
            reason: destroy.reason.to_string(),
            requested,
            revoked: self.revoked_with(&record),
            scheduled_by: scheduled_by.map(|by| self.actor_of(&record, by)),
            unusable_since: self.now,
            vault: record.vault,
            versions: versions
                .iter()
                .map(|version| VersionDetail { created: version.created, version: version.number })
                .collect(),
        };
        let json = detail.to_json().map_err(|_| EngineError::Internal("detail of a receipt"))?;
        let subject = Subject::Key { key: record.id, realm: record.realm };
        let entry = self.entry(EntryType::KeyDestroyed, subject, &record.salt, &json, true)?;
        record.destruction = Some(Box::new(Destruction {
            requested,
            unusable_since: self.now,
            by,
            scheduled_by,
            door: self.door.to_owned(),
            reason: destroy.reason.to_string(),
            epoch: self.facts.epoch_to,
            log_index: self.log_index,
            leaves,
            detail: json.into(),
        }));
        Ok((record, entry, detail))
    }

    fn revoked_with(&self, record: &KeyRecord) -> Vec<PrincipalId> {
        let bound = self.committer.shared.catalogue.bound_to(record.id);
        bound.iter().map(|entry| entry.record().id).collect()
    }

    fn actor_of(&self, record: &KeyRecord, id: PrincipalId) -> Actor {
        let known = self.committer.shared.catalogue.principal(record.realm, id);
        let name = known.map_or_else(String::new, |entry| entry.record().name.to_string());
        Actor { id, name: if name.is_empty() { "lethe".to_owned() } else { name } }
    }

    /// Who did it to what is called so, and what exactly: the detail of every entry but
    /// destructions.
    fn detail(&self, name: &str, facts: &[(&'static str, String)]) -> Result<String, EngineError> {
        // Members stand in order and once. A change tells its facts in any order, and some, as the
        // aliases that it gives, more than once.
        let mut ordered: BTreeMap<&str, String> = BTreeMap::new();
        for (name, value) in facts {
            let text = ordered.entry(name).or_default();
            text.push_str(if text.is_empty() { "" } else { ", " });
            text.push_str(value);
        }
        let written = write_object(|object| {
            object.object("actor", |object| {
                object.text("id", &self.actor.id.to_string());
                object.text("name", &self.actor.name);
            });
            if !ordered.is_empty() {
                object.object("change", |object| {
                    for (name, value) in &ordered {
                        object.text(name, value);
                    }
                });
            }
            object.text("name", name);
        });
        written.map_err(|_| EngineError::Internal("detail of a log entry"))
    }

    fn entry(
        &self,
        entry_type: EntryType,
        subject: Subject,
        salt: &[u8; 32],
        detail: &str,
        erases: bool,
    ) -> Result<Entry, EngineError> {
        let salt = Salt(*salt);
        Ok(Entry {
            entry_type,
            time: self.now,
            tree_id: self.committer.shared.tree_id,
            revision: self.committer.revision.0 + 1,
            software: SOFTWARE.to_owned(),
            door: Some(self.door.parse().map_err(|_| EngineError::Internal("name of a door"))?),
            subject: Some(Commitment::to_subject(&salt, &subject)),
            detail: Some(Commitment::to_detail(&salt, detail)),
            erasure: erases.then(|| self.facts.clone()),
        })
    }
}

const NO_RECORD_KEY: EngineError = EngineError::Internal("a secret without a record key");

fn logged(effect: Effect, writes: Vec<Write>, entry: &Entry) -> Result<Drafted, EngineError> {
    let json = entry.to_json().map_err(|_| EngineError::Internal("a log entry"))?;
    let kind = Some(entry.entry_type);
    Ok(Drafted { effect, writes, entry: Some(json.into_bytes()), told: None, kind, event: None })
}

fn unlogged(effect: Effect, writes: Vec<Write>) -> Drafted {
    Drafted { effect, writes, entry: None, told: None, kind: None, event: None }
}

fn job(update: &JobUpdate) -> Drafted {
    let mut writes = update.rows.clone();
    writes.push(put(keys::job(update.record.id), encode_job(&update.record)));
    unlogged(Effect::Job(Box::new(update.record.clone())), writes)
}

/// Notes a state change in the record; of more than it keeps, the oldest goes. A key that was only
/// made and destroyed keeps no history: its tombstone says it all.
pub(crate) fn push_history(
    record: &mut KeyRecord,
    transition: Transition,
    at: UnixMillis,
    by: PrincipalId,
    door: &str,
) {
    if transition == Transition::Destroy && record.details.is_none() {
        return;
    }
    let history = &mut record.details_mut().history;
    if history.len() >= HISTORY_CHANGES_MAX {
        history.remove(0);
    }
    history.push(ChangedState { transition, at, by, door: door.into() });
}
