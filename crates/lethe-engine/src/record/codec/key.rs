//! Keys and tombstones.

use lethe_crypto::registry::Algorithm;
use lethe_types::{KeyId, KeyState, PrincipalId, RealmId, StableState, UnixMillis, VaultId};
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

use super::details::{StoredDetails, details_from_stored, details_to_stored};
use super::life::{version_state_from_stored, version_state_to_stored};
use super::{Undecodable, decode, encode};
use crate::record::{Alias, Destruction, KeyRecord, KeyVersion};

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
    #[n(18)]
    details: Option<StoredDetails>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredAlias {
    #[n(0)]
    door: String,
    #[n(1)]
    text: String,
    #[n(2)]
    reserved: bool,
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
    #[n(5)]
    state: Option<u8>,
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
    #[n(9)]
    scheduled_by: Option<ByteArray<16>>,
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
        salt: record.salt.into(),
        aliases: record.aliases.iter().map(alias_to_stored).collect(),
        versions: record.versions.iter().map(version_to_stored).collect(),
        next_version: record.next_version,
        imported: record.imported,
        exported: record.exported,
        destruction: record.destruction.as_deref().map(destruction_to_stored),
        details: record.details.as_deref().map(details_to_stored),
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
        salt: *stored.salt,
        aliases: stored
            .aliases
            .into_iter()
            .map(|alias| Alias { door: alias.door, text: alias.text, reserved: alias.reserved })
            .collect(),
        versions: stored.versions.into_iter().map(version_from_stored).collect::<Result<_, _>>()?,
        next_version: stored.next_version,
        imported: stored.imported,
        exported: stored.exported,
        destruction: stored.destruction.map(|stored| Box::new(destruction_from_stored(stored))),
        details: stored.details.map(details_from_stored).transpose()?.map(Box::new),
    })
}

fn alias_to_stored(alias: &Alias) -> StoredAlias {
    StoredAlias { door: alias.door.clone(), text: alias.text.clone(), reserved: alias.reserved }
}

fn version_to_stored(version: &KeyVersion) -> StoredVersion {
    StoredVersion {
        number: version.number,
        created: version.created.0,
        leaf: version.leaf,
        sealed: version.sealed.to_vec().into(),
        public_key_der: version.public_key_der.as_ref().map(|der| der.to_vec().into()),
        state: version_state_to_stored(version.state),
    }
}

fn version_from_stored(stored: StoredVersion) -> Result<KeyVersion, Undecodable> {
    Ok(KeyVersion {
        number: stored.number,
        state: version_state_from_stored(stored.state)?,
        created: UnixMillis(stored.created),
        leaf: stored.leaf,
        sealed: Vec::from(stored.sealed).into(),
        public_key_der: stored.public_key_der.map(|der| Vec::from(der).into()),
    })
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
        scheduled_by: destruction.scheduled_by.map(|by| by.0.into()),
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
        scheduled_by: stored.scheduled_by.map(|by| PrincipalId(*by)),
    }
}

/// A stable state from its stored code.
pub(super) fn stable_from_code(code: u8) -> Option<StableState> {
    STABLE.iter().find(|(known, _)| *known == code).map(|(_, state)| *state)
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

pub(super) fn stable_code(state: StableState) -> u8 {
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
    let state = match (code, due, return_to.and_then(stable_from_code)) {
        (PENDING, Some(due), Some(return_to)) => {
            Some(KeyState::PendingDestruction { due: UnixMillis(due), return_to })
        }
        (DESTROYED, None, None) => Some(KeyState::Destroyed),
        (DESTROYED_COMPROMISED, None, None) => Some(KeyState::DestroyedCompromised),
        (code, None, None) => stable_from_code(code).map(KeyState::Stable),
        _ => None,
    };
    state.ok_or(Undecodable("key state"))
}
