//! What the engine knows about keys, vaults, realms and principals. Plain values; the stored form
//! is in `codec`.

mod attributes;
pub(crate) mod codec;
mod details;
mod life;
mod policy;
mod principal;
mod work;

use std::collections::BTreeMap;

use lethe_crypto::registry::{Algorithm, Uses};
use lethe_types::{
    KeyId, KeyName, KeyState, LabelName, LabelValue, PrincipalId, RealmId, RealmName, UnixMillis,
    VaultId, VaultName,
};
use smallvec::SmallVec;

pub use attributes::Attributes;
pub use details::{
    Alias, ChangedState, Derivation, Evidence, EvidenceRole, Hold, HoldKind, KeyDetails,
    OwnedSecret, Pending,
};
pub use life::{
    ChangedVersion, DestroyedVersion, FirstExport, ImportKeyRecord, KeyLife, Rotation, VersionState,
};
pub use policy::{ApprovalRule, DeletionPolicy, Dependants, NameRule, Window};
pub use principal::{
    Credential, CredentialKind, Grant, IDENTIFIER_ATTRIBUTE_END, PrincipalKind, PrincipalRecord,
    Scope,
};
pub use work::{Approval, ApprovalRecord, ApprovalState, Bulk, JobRecord, JobState};

/// A key: identity, metadata and its versions. After its destruction the same record is the
/// tombstone.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// Identity over all versions.
    pub id: KeyId,
    /// The tenant.
    pub realm: RealmId,
    /// The collection.
    pub vault: VaultId,
    /// A label for people; need not be unique.
    pub name: KeyName,
    /// What kind of key it is.
    pub algorithm: Algorithm,
    /// Where it stands in its life.
    pub state: KeyState,
    /// When it was made.
    pub created: UnixMillis,
    /// Who made it.
    pub created_by: PrincipalId,
    /// When the record changed last.
    pub changed: UnixMillis,
    /// Opens the commitments of this key's log entries.
    pub salt: [u8; 32],
    /// Vendor identifiers, each unique per door and realm.
    pub aliases: Vec<Alias>,
    /// The versions that have material, oldest first. Empty after a destruction. The first lies in
    /// the record itself: nearly all keys have one.
    pub versions: SmallVec<[KeyVersion; 1]>,
    /// Number of the next version. Versions are never renumbered.
    pub next_version: u32,
    /// Material came from outside, so that copies exist there.
    pub imported: bool,
    /// Material left the server.
    pub exported: bool,
    /// What most keys do not have.
    pub details: Option<Box<KeyDetails>>,
    /// How the key ended, if it did.
    pub destruction: Option<Box<Destruction>>,
}

impl KeyRecord {
    /// What most keys do not have; empty for those.
    #[must_use]
    pub fn details(&self) -> &KeyDetails {
        static NONE: KeyDetails = KeyDetails::NONE;
        self.details.as_deref().unwrap_or(&NONE)
    }

    /// The same, to change it.
    pub fn details_mut(&mut self) -> &mut KeyDetails {
        self.details.get_or_insert_with(|| Box::new(KeyDetails::NONE))
    }

    /// The slots of the erasure tree that hold something of this key: its versions' and those of
    /// the secrets that die with it.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = u64> {
        let secrets = self.details().secrets.iter().filter(|secret| secret.is_sealed());
        let secrets = secrets.map(|secret| secret.leaf);
        self.versions.iter().map(|version| version.leaf).chain(secrets)
    }

    /// Rules and events of its life beyond its state; empty for most.
    #[must_use]
    pub fn life(&self) -> &KeyLife {
        static NONE: KeyLife = KeyLife::NONE;
        self.details().life.as_deref().unwrap_or(&NONE)
    }

    /// The same, to change it.
    pub fn life_mut(&mut self) -> &mut KeyLife {
        self.details_mut().life.get_or_insert_default()
    }

    /// What it may be used for.
    #[must_use]
    pub fn uses(&self) -> Uses {
        self.life().uses.unwrap_or(self.algorithm.uses())
    }

    /// Since when the version of that number has its state; `None` if it has no material.
    #[must_use]
    pub fn version_state_since(&self, number: u32) -> Option<UnixMillis> {
        let version = self.versions.iter().find(|version| version.number == number)?;
        let change = self.life().changed_versions.get(&number);
        Some(change.map_or(version.created, |change| change.at))
    }

    /// The version that protects new data: the newest one that is enabled.
    #[must_use]
    pub fn current_version(&self) -> Option<&KeyVersion> {
        self.versions.iter().rev().find(|version| version.state == VersionState::Enabled)
    }
}

/// One version's material, sealed under its own record key.
#[derive(Clone, Debug)]
pub struct KeyVersion {
    /// Counts from 1.
    pub number: u32,
    /// Whether it can be used.
    pub state: VersionState,
    /// When it was made.
    pub created: UnixMillis,
    /// Its slot in the erasure tree.
    pub leaf: u64,
    /// The sealed material, as `lethe_erasure` lays it out.
    pub sealed: Box<[u8]>,
    /// The public key as SubjectPublicKeyInfo (RFC 5280), for key pairs.
    pub public_key_der: Option<Box<[u8]>>,
}

/// How a key ended.
#[derive(Clone, Debug)]
pub struct Destruction {
    /// When it was asked for.
    pub requested: UnixMillis,
    /// From when on every use was refused.
    pub unusable_since: UnixMillis,
    /// Who carried it out: who asked for it, or Lethe itself when its time had come.
    pub by: PrincipalId,
    /// Who had scheduled it, if it waited.
    pub scheduled_by: Option<PrincipalId>,
    /// Through which door.
    pub door: String,
    /// Why, in the caller's words.
    pub reason: String,
    /// The epoch of the erasure tree that no longer knows the key.
    pub epoch: u64,
    /// Index of the `key.destroyed` leaf in the log.
    pub log_index: u64,
    /// The slots of the erasure tree that held the record keys; cut again at start if the batch was
    /// cut short.
    pub leaves: Vec<u64>,
    /// The opened detail of the log entry: canonical JSON, exactly as committed to.
    pub detail: Box<str>,
}

impl VaultRecord {
    /// A vault with a name and no rules.
    #[must_use]
    pub fn new(id: VaultId, realm: RealmId, name: VaultName, now: UnixMillis) -> Self {
        Self {
            id,
            realm,
            name,
            created: now,
            changed: now,
            removed: None,
            policy: DeletionPolicy::default(),
            names: NameRule::default(),
            labels: BTreeMap::new(),
            attributes: BTreeMap::new(),
            salt: Box::new([0; 32]),
        }
    }
}

/// A tenant.
#[derive(Clone, Debug)]
pub struct RealmRecord {
    /// Identity.
    pub id: RealmId,
    /// Unique over the installation.
    pub name: RealmName,
    /// When it was made.
    pub created: UnixMillis,
    /// The vault of keys that name none.
    pub default_vault: VaultId,
    /// When keys may be destroyed, in all its vaults; a vault's own policy can only add to it.
    pub policy: DeletionPolicy,
    /// Whether material of exportable keys may leave in the clear, and not only wrapped.
    pub plain_export: bool,
    /// What doors keep with it.
    pub attributes: BTreeMap<Box<str>, Box<[u8]>>,
    /// Opens the commitments of this realm's log entries.
    pub salt: Box<[u8; 32]>,
}

/// A collection of keys.
#[derive(Clone, Debug)]
pub struct VaultRecord {
    /// Identity.
    pub id: VaultId,
    /// The tenant.
    pub realm: RealmId,
    /// Unique in its realm among vaults that are there.
    pub name: VaultName,
    /// When it was made.
    pub created: UnixMillis,
    /// When the record changed last.
    pub changed: UnixMillis,
    /// When it was removed, if it was. Its keys were all gone by then.
    pub removed: Option<UnixMillis>,
    /// When keys may be destroyed, beside what the realm demands.
    pub policy: DeletionPolicy,
    /// How names of keys may be used.
    pub names: NameRule,
    /// For people and selectors.
    pub labels: BTreeMap<LabelName, LabelValue>,
    /// What doors keep with it.
    pub attributes: BTreeMap<Box<str>, Box<[u8]>>,
    /// Opens the commitments of this vault's log entries.
    pub salt: Box<[u8; 32]>,
}
