//! The stored form of records: one byte of format version, then CBOR (RFC 8949) arrays in the field
//! order below. New fields are appended with the next number; numbers are never reused.
//!
//! Secret material is inside only as blobs that `lethe_erasure` sealed.

use lethe_crypto::registry::Algorithm;
use lethe_types::{
    CredentialId, KeyId, KeyState, Permissions, PrincipalId, RealmId, StableState, UnixMillis,
    VaultId,
};
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

use super::{
    Alias, Credential, Destruction, Grant, KeyRecord, KeyVersion, PrincipalRecord, RealmRecord,
    Scope, VaultRecord,
};

/// The format that this build writes, and the only one so far.
const FORMAT: u8 = 1;

/// A stored record that this build cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undecodable(pub(crate) &'static str);

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredKey {
    #[n(0)]
    id: ByteArray<16>,
    #[n(1)]
    realm: ByteArray<16>,
    #[n(2)]
    vault: ByteArray<16>,
    #[n(3)]
    name: String,
    #[n(4)]
    algorithm: u16,
    #[n(5)]
    state: u8,
    #[n(6)]
    due: Option<u64>,
    #[n(7)]
    return_to: Option<u8>,
    #[n(8)]
    created: u64,
    #[n(9)]
    created_by: ByteArray<16>,
    #[n(10)]
    changed: u64,
    #[n(11)]
    salt: ByteArray<32>,
    #[n(12)]
    aliases: Vec<StoredAlias>,
    #[n(13)]
    versions: Vec<StoredVersion>,
    #[n(14)]
    next_version: u32,
    #[n(15)]
    imported: bool,
    #[n(16)]
    exported: bool,
    #[n(17)]
    destruction: Option<StoredDestruction>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredAlias {
    #[n(0)]
    door: String,
    #[n(1)]
    text: String,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredVersion {
    #[n(0)]
    number: u32,
    #[n(1)]
    created: u64,
    #[n(2)]
    leaf: u64,
    #[n(3)]
    sealed: ByteVec,
    #[n(4)]
    public_key_der: Option<ByteVec>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredDestruction {
    #[n(0)]
    requested: u64,
    #[n(1)]
    unusable_since: u64,
    #[n(2)]
    by: ByteArray<16>,
    #[n(3)]
    door: String,
    #[n(4)]
    reason: String,
    #[n(5)]
    epoch: u64,
    #[n(6)]
    log_index: u64,
    #[n(7)]
    leaves: Vec<u64>,
    #[n(8)]
    detail: String,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredRealm {
    #[n(0)]
    id: ByteArray<16>,
    #[n(1)]
    name: String,
    #[n(2)]
    created: u64,
    #[n(3)]
    default_vault: ByteArray<16>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredVault {
    #[n(0)]
    id: ByteArray<16>,
    #[n(1)]
    realm: ByteArray<16>,
    #[n(2)]
    name: String,
    #[n(3)]
    created: u64,
    #[n(4)]
    salt: ByteArray<32>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredPrincipal {
    #[n(0)]
    id: ByteArray<16>,
    #[n(1)]
    realm: ByteArray<16>,
    #[n(2)]
    name: String,
    #[n(3)]
    created: u64,
    #[n(4)]
    revoked: Option<u64>,
    #[n(5)]
    grants: Vec<StoredGrant>,
    #[n(6)]
    credentials: Vec<StoredCredential>,
    #[n(7)]
    salt: ByteArray<32>,
}

/// Scope kinds: 0 realm, 1 vault, 2 key.
#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredGrant {
    #[n(0)]
    permissions: u64,
    #[n(1)]
    scope: u8,
    #[n(2)]
    id: Option<ByteArray<16>>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredCredential {
    #[n(0)]
    id: ByteArray<16>,
    #[n(1)]
    hash: ByteArray<32>,
    #[n(2)]
    created: u64,
    #[n(3)]
    expires: Option<u64>,
}

/// A record as stored.
#[must_use]
pub(crate) fn encode_key(record: &KeyRecord) -> Vec<u8> {
    let (state, due, return_to) = state_to_stored(record.state);
    encode(&StoredKey {
        id: record.id.0.into(),
        realm: record.realm.0.into(),
        vault: record.vault.0.into(),
        name: record.name.as_str().to_owned(),
        algorithm: record.algorithm.code(),
        state,
        due,
        return_to,
        created: record.created.0,
        created_by: record.created_by.0.into(),
        changed: record.changed.0,
        salt: (*record.salt).into(),
        aliases: record.aliases.iter().map(alias_to_stored).collect(),
        versions: record.versions.iter().map(version_to_stored).collect(),
        next_version: record.next_version,
        imported: record.imported,
        exported: record.exported,
        destruction: record.destruction.as_deref().map(destruction_to_stored),
    })
}

/// A record from its stored form.
///
/// # Errors
/// [`Undecodable`], naming the first thing that is wrong.
pub(crate) fn decode_key(bytes: &[u8]) -> Result<KeyRecord, Undecodable> {
    let stored: StoredKey = decode(bytes)?;
    Ok(KeyRecord {
        id: KeyId(*stored.id),
        realm: RealmId(*stored.realm),
        vault: VaultId(*stored.vault),
        name: stored.name.parse().map_err(|_| Undecodable("key name"))?,
        algorithm: Algorithm::from_code(stored.algorithm)
            .ok_or(Undecodable("an algorithm that this build does not have"))?,
        state: state_from_stored(stored.state, stored.due, stored.return_to)?,
        created: UnixMillis(stored.created),
        created_by: PrincipalId(*stored.created_by),
        changed: UnixMillis(stored.changed),
        salt: Box::new(*stored.salt),
        aliases: stored
            .aliases
            .into_iter()
            .map(|alias| Alias { door: alias.door, text: alias.text })
            .collect(),
        versions: stored.versions.into_iter().map(version_from_stored).collect(),
        next_version: stored.next_version,
        imported: stored.imported,
        exported: stored.exported,
        destruction: stored.destruction.map(|stored| Box::new(destruction_from_stored(stored))),
    })
}

fn alias_to_stored(alias: &Alias) -> StoredAlias {
    StoredAlias { door: alias.door.clone(), text: alias.text.clone() }
}

fn version_to_stored(version: &KeyVersion) -> StoredVersion {
    StoredVersion {
        number: version.number,
        created: version.created.0,
        leaf: version.leaf,
        sealed: version.sealed.to_vec().into(),
        public_key_der: version.public_key_der.as_ref().map(|der| der.to_vec().into()),
    }
}

fn version_from_stored(stored: StoredVersion) -> KeyVersion {
    KeyVersion {
        number: stored.number,
        created: UnixMillis(stored.created),
        leaf: stored.leaf,
        sealed: Vec::from(stored.sealed).into(),
        public_key_der: stored.public_key_der.map(|der| Vec::from(der).into()),
    }
}

fn destruction_to_stored(destruction: &Destruction) -> StoredDestruction {
    StoredDestruction {
        requested: destruction.requested.0,
        unusable_since: destruction.unusable_since.0,
        by: destruction.by.0.into(),
        door: destruction.door.clone(),
        reason: destruction.reason.clone(),
        epoch: destruction.epoch,
        log_index: destruction.log_index,
        leaves: destruction.leaves.clone(),
        detail: destruction.detail.to_string(),
    }
}

fn destruction_from_stored(stored: StoredDestruction) -> Destruction {
    Destruction {
        requested: UnixMillis(stored.requested),
        unusable_since: UnixMillis(stored.unusable_since),
        by: PrincipalId(*stored.by),
        door: stored.door,
        reason: stored.reason,
        epoch: stored.epoch,
        log_index: stored.log_index,
        leaves: stored.leaves,
        detail: stored.detail.into(),
    }
}

const STABLE: [(u8, StableState); 5] = [
    (1, StableState::PreActive),
    (2, StableState::Active),
    (3, StableState::Suspended),
    (4, StableState::Deactivated),
    (5, StableState::Compromised),
];
const PENDING: u8 = 6;
const DESTROYED: u8 = 7;
const DESTROYED_COMPROMISED: u8 = 8;

fn stable_code(state: StableState) -> u8 {
    match state {
        StableState::PreActive => 1,
        StableState::Active => 2,
        StableState::Suspended => 3,
        StableState::Deactivated => 4,
        StableState::Compromised => 5,
    }
}

fn state_to_stored(state: KeyState) -> (u8, Option<u64>, Option<u8>) {
    match state {
        KeyState::Stable(state) => (stable_code(state), None, None),
        KeyState::PendingDestruction { due, return_to } => {
            (PENDING, Some(due.0), Some(stable_code(return_to)))
        }
        KeyState::Destroyed => (DESTROYED, None, None),
        KeyState::DestroyedCompromised => (DESTROYED_COMPROMISED, None, None),
    }
}

fn state_from_stored(
    code: u8,
    due: Option<u64>,
    return_to: Option<u8>,
) -> Result<KeyState, Undecodable> {
    let stable =
        |code: u8| STABLE.iter().find(|(known, _)| *known == code).map(|(_, state)| *state);
    let state = match (code, due, return_to.and_then(stable)) {
        (PENDING, Some(due), Some(return_to)) => {
            Some(KeyState::PendingDestruction { due: UnixMillis(due), return_to })
        }
        (DESTROYED, None, None) => Some(KeyState::Destroyed),
        (DESTROYED_COMPROMISED, None, None) => Some(KeyState::DestroyedCompromised),
        (code, None, None) => stable(code).map(KeyState::Stable),
        _ => None,
    };
    state.ok_or(Undecodable("key state"))
}

/// A record as stored.
#[must_use]
pub(crate) fn encode_realm(record: &RealmRecord) -> Vec<u8> {
    encode(&StoredRealm {
        id: record.id.0.into(),
        name: record.name.as_str().to_owned(),
        created: record.created.0,
        default_vault: record.default_vault.0.into(),
    })
}

/// A record from its stored form.
///
/// # Errors
/// [`Undecodable`].
pub(crate) fn decode_realm(bytes: &[u8]) -> Result<RealmRecord, Undecodable> {
    let stored: StoredRealm = decode(bytes)?;
    Ok(RealmRecord {
        id: RealmId(*stored.id),
        name: stored.name.parse().map_err(|_| Undecodable("realm name"))?,
        created: UnixMillis(stored.created),
        default_vault: VaultId(*stored.default_vault),
    })
}

/// A record as stored.
#[must_use]
pub(crate) fn encode_vault(record: &VaultRecord) -> Vec<u8> {
    encode(&StoredVault {
        id: record.id.0.into(),
        realm: record.realm.0.into(),
        name: record.name.as_str().to_owned(),
        created: record.created.0,
        salt: (*record.salt).into(),
    })
}

/// A record from its stored form.
///
/// # Errors
/// [`Undecodable`].
pub(crate) fn decode_vault(bytes: &[u8]) -> Result<VaultRecord, Undecodable> {
    let stored: StoredVault = decode(bytes)?;
    Ok(VaultRecord {
        id: VaultId(*stored.id),
        realm: RealmId(*stored.realm),
        name: stored.name.parse().map_err(|_| Undecodable("vault name"))?,
        created: UnixMillis(stored.created),
        salt: Box::new(*stored.salt),
    })
}

/// A record as stored.
#[must_use]
pub(crate) fn encode_principal(record: &PrincipalRecord) -> Vec<u8> {
    encode(&StoredPrincipal {
        id: record.id.0.into(),
        realm: record.realm.0.into(),
        name: record.name.as_str().to_owned(),
        created: record.created.0,
        revoked: record.revoked.map(|time| time.0),
        grants: record.grants.iter().map(grant_to_stored).collect(),
        credentials: record.credentials.iter().map(credential_to_stored).collect(),
        salt: (*record.salt).into(),
    })
}

/// A record from its stored form.
///
/// # Errors
/// [`Undecodable`].
pub(crate) fn decode_principal(bytes: &[u8]) -> Result<PrincipalRecord, Undecodable> {
    let stored: StoredPrincipal = decode(bytes)?;
    Ok(PrincipalRecord {
        id: PrincipalId(*stored.id),
        realm: RealmId(*stored.realm),
        name: stored.name.parse().map_err(|_| Undecodable("principal name"))?,
        created: UnixMillis(stored.created),
        revoked: stored.revoked.map(UnixMillis),
        grants: stored.grants.iter().map(grant_from_stored).collect::<Result<_, _>>()?,
        credentials: stored
            .credentials
            .into_iter()
            .map(|credential| Credential {
                id: CredentialId(*credential.id),
                hash: *credential.hash,
                created: UnixMillis(credential.created),
                expires: credential.expires.map(UnixMillis),
            })
            .collect(),
        salt: Box::new(*stored.salt),
    })
}

fn grant_to_stored(grant: &Grant) -> StoredGrant {
    let (scope, id) = match grant.scope {
        Scope::Realm => (0, None),
        Scope::Vault(vault) => (1, Some(vault.0.into())),
        Scope::Key(key) => (2, Some(key.0.into())),
    };
    StoredGrant { permissions: grant.permissions.to_bits(), scope, id }
}

fn grant_from_stored(stored: &StoredGrant) -> Result<Grant, Undecodable> {
    let permissions = Permissions::from_bits(stored.permissions)
        .ok_or(Undecodable("a permission that this build does not have"))?;
    let scope = match (stored.scope, &stored.id) {
        (0, None) => Scope::Realm,
        (1, Some(id)) => Scope::Vault(VaultId(**id)),
        (2, Some(id)) => Scope::Key(KeyId(**id)),
        _ => return Err(Undecodable("grant scope")),
    };
    Ok(Grant { permissions, scope })
}

fn credential_to_stored(credential: &Credential) -> StoredCredential {
    StoredCredential {
        id: credential.id.0.into(),
        hash: credential.hash.into(),
        created: credential.created.0,
        expires: credential.expires.map(|time| time.0),
    }
}

fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(384);
    bytes.push(FORMAT);
    minicbor::encode(value, &mut bytes).expect("writing to a Vec does not fail");
    bytes
}

fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Undecodable> {
    let (&format, body) = bytes.split_first().ok_or(Undecodable("an empty record"))?;
    if format != FORMAT {
        return Err(Undecodable("a record format that this build does not know"));
    }
    let mut decoder = minicbor::Decoder::new(body);
    let value = decoder.decode().map_err(|_| Undecodable("a record that is not well-formed"))?;
    if decoder.position() == body.len() {
        Ok(value)
    } else {
        Err(Undecodable("bytes after the end of a record"))
    }
}
