//! What the engine knows about keys, vaults, realms and principals. Plain values; the stored form
//! is in `codec`.

pub(crate) mod codec;

use lethe_crypto::registry::Algorithm;
use lethe_types::{
    CredentialId, KeyId, KeyName, KeyState, Permissions, PrincipalId, PrincipalName, RealmId,
    RealmName, UnixMillis, VaultId, VaultName,
};

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
    pub salt: Box<[u8; 32]>,
    /// Vendor identifiers, each unique per door and realm.
    pub aliases: Vec<Alias>,
    /// The versions that have material, oldest first. Empty after a destruction.
    pub versions: Vec<KeyVersion>,
    /// Number of the next version. Versions are never renumbered.
    pub next_version: u32,
    /// Material came from outside, so that copies exist there.
    pub imported: bool,
    /// Material left the server.
    pub exported: bool,
    /// How the key ended, if it did.
    pub destruction: Option<Box<Destruction>>,
}

impl KeyRecord {
    /// The version that protects new data.
    #[must_use]
    pub fn current_version(&self) -> Option<&KeyVersion> {
        self.versions.last()
    }
}

/// A vendor's identifier of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The door it is an identifier at.
    pub door: String,
    /// The identifier.
    pub text: String,
}

/// One version's material, sealed under its own record key.
#[derive(Clone, Debug)]
pub struct KeyVersion {
    /// Counts from 1.
    pub number: u32,
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
    /// Who asked for it.
    pub by: PrincipalId,
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
}

/// A collection of keys.
#[derive(Clone, Debug)]
pub struct VaultRecord {
    /// Identity.
    pub id: VaultId,
    /// The tenant.
    pub realm: RealmId,
    /// Unique in its realm.
    pub name: VaultName,
    /// When it was made.
    pub created: UnixMillis,
    /// Opens the commitments of this vault's log entries.
    pub salt: Box<[u8; 32]>,
}

/// Who acts.
#[derive(Clone, Debug)]
pub struct PrincipalRecord {
    /// Identity.
    pub id: PrincipalId,
    /// The tenant.
    pub realm: RealmId,
    /// A label for people.
    pub name: PrincipalName,
    /// When it was made.
    pub created: UnixMillis,
    /// When it lost every right, if it did.
    pub revoked: Option<UnixMillis>,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// How it proves itself.
    pub credentials: Vec<Credential>,
    /// Opens the commitments of this principal's log entries.
    pub salt: Box<[u8; 32]>,
}

/// A set of permissions on a part of a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What.
    pub permissions: Permissions,
    /// On what.
    pub scope: Scope,
}

/// The part of a realm that a grant speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everything in the principal's realm.
    Realm,
    /// The keys of one vault.
    Vault(VaultId),
    /// One key.
    Key(KeyId),
}

/// A bearer secret, kept as a keyed hash.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Identity; part of the token, so that it is found without a search.
    pub id: CredentialId,
    /// Keyed hash of the secret.
    pub hash: [u8; 32],
    /// When it was made.
    pub created: UnixMillis,
    /// When it ends by itself, if it does.
    pub expires: Option<UnixMillis>,
}
