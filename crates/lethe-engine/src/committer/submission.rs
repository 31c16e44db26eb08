//! What requests hand to the committer.

use std::sync::Arc;

use futures_channel::oneshot;
use lethe_crypto::registry::Material;
use lethe_log::EntryType;
use lethe_types::{KeyId, PrincipalId, SecretVec, UnixMillis};

use super::Committed;
use crate::EngineError;
use crate::authz::PrincipalEntry;
use crate::catalogue::{Catalogue, KeyEntry};
use crate::idempotency::IdempotencyKey;
use crate::ops::Expected;
use crate::record::{
    ApprovalRecord, DeletionPolicy, Evidence, ImportKeyRecord, JobRecord, KeyRecord, KeyVersion,
    PrincipalRecord, RealmRecord, Rotation, VaultRecord,
};

/// A change, authorised and planned against the entries that it names: all of its steps are made
/// together, or none.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) steps: Vec<Step>,
    /// Whether whoever asked gets receipts; a bulk destruction fetches them later.
    pub(crate) receipts: bool,
}

impl Change {
    /// One step, with its receipt if it destroys.
    pub(crate) fn one(step: Step) -> Box<Self> {
        Self::all(vec![step])
    }

    /// A key's record changes, and nothing that the guards look at has to stay as it is.
    pub(crate) fn of_record(
        seen: Arc<KeyEntry>,
        record: KeyRecord,
        kind: EntryType,
        facts: Vec<(&'static str, String)>,
    ) -> Box<Self> {
        Self::one(Step::UpdateKey(Box::new(KeyUpdate {
            seen,
            record,
            kind,
            facts,
            secrets: Vec::new(),
            preconditions: Preconditions::default(),
        })))
    }

    /// Several steps, with their receipts.
    pub(crate) fn all(steps: Vec<Step>) -> Box<Self> {
        Box::new(Self { steps, receipts: true })
    }

    /// The key that it is about: what an idempotency key leads to.
    pub(crate) fn key(&self) -> Option<KeyId> {
        self.steps.iter().find_map(Step::key)
    }
}

/// One record that changes, and its entry in the log.
#[derive(Debug)]
pub(crate) enum Step {
    /// A further version; `rotation` is the automatic rotation as it goes on, if this is one. The
    /// versions of the numbers `retires` go with their material.
    AddVersion {
        seen: Arc<KeyEntry>,
        material: Material,
        rotation: Option<Rotation>,
        retires: Vec<u32>,
    },
    /// A new key.
    CreateKey(Box<NewKey>),
    /// A key's material goes.
    DestroyKey(Box<Destroy>),
    /// One version's material goes; the key goes on.
    DestroyVersion(Box<DestroyVersion>),
    /// Everything about a key but its versions' material.
    UpdateKey(Box<KeyUpdate>),
    /// Documents of a door. The log does not tell of them.
    PutDocuments(DocumentStep),
    /// A request for approval, new or changed.
    PutApproval { seen: Option<Arc<ApprovalRecord>>, record: Box<ApprovalRecord> },
    /// A bulk destruction, new or further on.
    PutJob(Box<JobUpdate>),
    /// An import key, new or gone. The log does not tell of it, but of the key that it imports.
    PutImportKey(Box<ImportKeyUpdate>),
    /// A principal, new or changed.
    PutPrincipal(Box<PrincipalUpdate>),
    /// A realm, new or changed.
    PutRealm { seen: Option<Arc<RealmRecord>>, record: Box<RealmRecord> },
    /// A vault, new or changed.
    PutVault { seen: Option<Arc<VaultRecord>>, record: Box<VaultRecord> },
    /// Rows that are no change of anything: last uses, lists of work. The log does not tell of
    /// them.
    PutRows(Vec<lethe_store::Write>),
}

/// A key that is to be made.
#[derive(Debug)]
pub(crate) struct NewKey {
    pub(crate) record: KeyRecord,
    pub(crate) material: Material,
    /// The secrets that the record names and that are not sealed yet, in their order.
    pub(crate) secrets: Vec<SecretVec>,
    /// Versions after the first, with their numbers.
    pub(crate) later: Vec<(u32, Material)>,
    pub(crate) history: AliasHistory,
    /// How it came in, for the log entry's detail.
    pub(crate) facts: Vec<(&'static str, String)>,
}

impl NewKey {
    /// The material of all its versions.
    pub(crate) fn materials(&self) -> impl Iterator<Item = &Material> {
        let later = self.later.iter().map(|(_, material)| material);
        core::iter::once(&self.material).chain(later)
    }
}

/// What the destroyed keys that had the aliases of a new one mean to it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AliasHistory {
    /// Its versions go on after theirs.
    pub(crate) is_continued: bool,
    /// There must be none.
    pub(crate) must_be_none: bool,
}

impl AliasHistory {
    /// Whether a key has or had one of the aliases.
    pub(crate) fn is_there(catalogue: &Catalogue, record: &KeyRecord) -> bool {
        record
            .aliases
            .iter()
            .any(|alias| catalogue.alias(record.realm, &alias.door, &alias.text).is_some())
    }

    /// The number that the first version of a new key gets.
    pub(crate) fn version_after(self, catalogue: &Catalogue, record: &KeyRecord) -> u32 {
        let holders = record
            .aliases
            .iter()
            .filter(|_| self.is_continued)
            .filter_map(|alias| catalogue.alias(record.realm, &alias.door, &alias.text));
        holders.map(|holder| holder.record().next_version).max().unwrap_or(1)
    }

    /// Whether it is still as it was when the key was planned.
    pub(crate) fn holds(self, catalogue: &Catalogue, record: &KeyRecord) -> bool {
        let fits =
            !self.is_continued || record.next_version == self.version_after(catalogue, record);
        fits && !(self.must_be_none && Self::is_there(catalogue, record))
    }
}

/// A key that is to be destroyed.
#[derive(Debug)]
pub(crate) struct Destroy {
    pub(crate) seen: Arc<KeyEntry>,
    pub(crate) requested: UnixMillis,
    pub(crate) reason: Box<str>,
    pub(crate) evidence: Vec<Evidence>,
    /// Keyed digests of the material, where the policy wants to know it again.
    pub(crate) fingerprints: Vec<[u8; 32]>,
    pub(crate) preconditions: Preconditions,
}

/// A version that is to be destroyed while its key goes on.
#[derive(Debug)]
pub(crate) struct DestroyVersion {
    pub(crate) seen: Arc<KeyEntry>,
    pub(crate) number: u32,
    pub(crate) requested: UnixMillis,
    pub(crate) reason: Box<str>,
    /// Keyed digest of the material, where the policy wants to know it again.
    pub(crate) fingerprint: Option<[u8; 32]>,
    pub(crate) preconditions: Preconditions,
}

impl DestroyVersion {
    /// The version, as it was when the destruction was planned.
    pub(crate) fn version(&self) -> Option<&KeyVersion> {
        let versions = &self.seen.record().versions;
        versions.iter().find(|version| version.number == self.number)
    }
}

/// What the guards saw beside the record; a destruction for which one no longer holds is planned
/// again.
#[derive(Debug, Default)]
pub(crate) struct Preconditions {
    /// The live keys that depend on it, sorted. Those that go with it are steps of the same change.
    pub(crate) dependants: Vec<KeyId>,
    /// Not used since.
    pub(crate) unused_since: Option<UnixMillis>,
    /// Whose destructions are counted, since when, and how many there may be with this one.
    pub(crate) rate: Option<Rate>,
    /// Whose policies were asked.
    pub(crate) under: Option<Under>,
    /// Those who approved and still may.
    pub(crate) approvers: Vec<Arc<PrincipalEntry>>,
}

/// The realm and the vault of a key.
#[derive(Debug)]
pub(crate) struct Under {
    pub(crate) realm: Option<Arc<RealmRecord>>,
    pub(crate) vault: Option<Arc<VaultRecord>>,
}

impl Under {
    /// What a destruction of the key must satisfy: its realm's policy and its vault's.
    pub(crate) fn policy(&self) -> DeletionPolicy {
        let of_realm = self.realm.as_ref().map(|realm| realm.policy.clone()).unwrap_or_default();
        self.vault.as_ref().map_or_else(|| of_realm.clone(), |vault| of_realm.and(&vault.policy))
    }
}

/// A bound on destructions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) principal: PrincipalId,
    pub(crate) since: UnixMillis,
    pub(crate) most: u32,
}

/// A key whose record changes.
#[derive(Debug)]
pub(crate) struct KeyUpdate {
    pub(crate) seen: Arc<KeyEntry>,
    /// The record as it is to be, `changed` included.
    pub(crate) record: KeyRecord,
    pub(crate) kind: EntryType,
    /// What changed, for the log entry's detail: names and plain texts.
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) secrets: Vec<SecretVec>,
    /// What the guards of a schedule saw beside the record. Dependants are asked for when its time
    /// has come.
    pub(crate) preconditions: Preconditions,
}

/// A principal that is made or changes.
#[derive(Debug)]
pub(crate) struct PrincipalUpdate {
    pub(crate) seen: Option<Arc<PrincipalEntry>>,
    pub(crate) record: PrincipalRecord,
    pub(crate) kind: EntryType,
    /// The secrets of credentials that are not sealed yet, in the order of the credentials.
    pub(crate) secrets: Vec<SecretVec>,
}

/// An import key that is made, or that is gone because it was used or its time is over.
#[derive(Debug)]
pub(crate) enum ImportKeyUpdate {
    /// Made; the record names its private half, which is not sealed yet.
    Made { record: ImportKeyRecord, private: SecretVec },
    /// Gone.
    Gone { seen: Arc<ImportKeyRecord> },
}

impl ImportKeyUpdate {
    pub(crate) fn record(&self) -> &ImportKeyRecord {
        match self {
            Self::Made { record, .. } => record,
            Self::Gone { seen } => seen,
        }
    }
}

/// Documents that are written together, and what each of them must be before.
#[derive(Debug)]
pub(crate) struct DocumentStep {
    pub(crate) expected: Vec<(lethe_store::StoreKey, Expected)>,
    pub(crate) writes: Vec<lethe_store::Write>,
}

impl DocumentStep {
    /// Whether every document is what was expected.
    ///
    /// # Errors
    /// [`EngineError::StorageUnavailable`].
    pub(crate) fn is_current(&self, store: &dyn lethe_store::Store) -> Result<bool, EngineError> {
        for (key, expected) in &self.expected {
            if *expected == Expected::Anything {
                continue;
            }
            let found = store.get(key).map_err(|_| EngineError::StorageUnavailable)?;
            let found = found.map(|row| row.revision.0);
            let as_expected = match expected {
                Expected::Anything => true,
                Expected::Nothing => found.is_none(),
                Expected::Revision(revision) => found == Some(*revision),
            };
            if !as_expected {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A bulk destruction that begins or goes on.
#[derive(Debug)]
pub(crate) struct JobUpdate {
    pub(crate) seen: Option<Arc<JobRecord>>,
    pub(crate) record: JobRecord,
    /// Its list of keys at the beginning, its refusals later.
    pub(crate) rows: Vec<lethe_store::Write>,
}

impl Step {
    /// Whether a whole key goes.
    pub(crate) fn destroys(&self) -> bool {
        matches!(self, Self::DestroyKey(_))
    }

    /// The key that it changes, made or not.
    pub(crate) fn key(&self) -> Option<KeyId> {
        match self {
            Self::AddVersion { seen, .. } => Some(seen.record().id),
            Self::CreateKey(new) => Some(new.record.id),
            Self::DestroyKey(destroy) => Some(destroy.seen.record().id),
            Self::DestroyVersion(destroy) => Some(destroy.seen.record().id),
            Self::UpdateKey(update) => Some(update.seen.record().id),
            Self::PutApproval { .. }
            | Self::PutDocuments(_)
            | Self::PutImportKey(_)
            | Self::PutJob(_)
            | Self::PutPrincipal(_)
            | Self::PutRealm { .. }
            | Self::PutRows(_)
            | Self::PutVault { .. } => None,
        }
    }
}

impl Step {
    /// The key that the step's log entry speaks of.
    pub(crate) fn key_of_entry(&self) -> Option<KeyId> {
        match self {
            Self::PutApproval { record, .. } => Some(record.key),
            Self::AddVersion { .. }
            | Self::CreateKey(_)
            | Self::DestroyKey(_)
            | Self::DestroyVersion(_)
            | Self::PutDocuments(_)
            | Self::PutImportKey(_)
            | Self::PutJob(_)
            | Self::PutPrincipal(_)
            | Self::PutRealm { .. }
            | Self::PutRows(_)
            | Self::PutVault { .. }
            | Self::UpdateKey(_) => self.key(),
        }
    }

    /// The principal, vault or realm that the step's log entry speaks of, if it speaks of no key.
    pub(crate) fn subject(&self) -> Option<[u8; 16]> {
        match self {
            Self::PutPrincipal(update) => Some(update.record.id.0),
            Self::PutRealm { record, .. } => Some(record.id.0),
            Self::PutVault { record, .. } => Some(record.id.0),
            Self::AddVersion { .. }
            | Self::CreateKey(_)
            | Self::DestroyKey(_)
            | Self::DestroyVersion(_)
            | Self::PutApproval { .. }
            | Self::PutDocuments(_)
            | Self::PutImportKey(_)
            | Self::PutJob(_)
            | Self::PutRows(_)
            | Self::UpdateKey(_) => None,
        }
    }
}

/// Why a submission was not committed.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// What it was planned against has changed: plan again, or send the change again if it still
    /// stands.
    Conflict(Box<Change>),
    /// It failed, and nothing was changed unless the error says otherwise.
    Refused(EngineError),
}

/// Where an answer goes.
pub(crate) type ReplySender = oneshot::Sender<Result<Committed, CommitError>>;

/// A change, who asked for it, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) change: Change,
    pub(crate) principal: Arc<PrincipalEntry>,
    pub(crate) door: &'static str,
    pub(crate) idempotency: Option<IdempotencyKey>,
    pub(crate) reply: ReplySender,
}

impl Submission {
    pub(crate) fn refuse(self, error: EngineError) {
        let _gone = self.reply.send(Err(CommitError::Refused(error)));
    }

    pub(crate) fn conflict(self) {
        let _gone = self.reply.send(Err(CommitError::Conflict(Box::new(self.change))));
    }
}
