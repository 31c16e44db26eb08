//! Rules and events of a key's life, and import keys.

use std::time::Duration;

use lethe_crypto::registry::{Algorithm, Uses};
use lethe_types::{ImportKeyId, PrincipalId, RealmId, UnixMillis, VaultId};
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

use super::details::{StoredSecret, secret_from_stored, secret_to_stored};
use super::{Undecodable, decode, encode};
use crate::record::{
    ChangedVersion, DestroyedVersion, FirstExport, ImportKeyRecord, KeyLife, Rotation, VersionState,
};

#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct StoredLife {
    /// KMIP's Cryptographic Usage Mask.
    #[n(0)]
    uses: Option<u32>,
    #[n(1)]
    exportable: bool,
    #[n(2)]
    exported_at: Option<u64>,
    #[n(3)]
    exported_by: Option<ByteArray<16>>,
    #[n(4)]
    rotation_period_s: Option<u64>,
    #[n(5)]
    rotation_next: Option<u64>,
    #[n(6)]
    protect_from: u32,
    #[n(7)]
    process_from: u32,
    #[n(8)]
    changed_versions: Vec<StoredChangedVersion>,
    #[n(9)]
    destroyed_versions: Vec<StoredDestroyedVersion>,
    #[n(10)]
    rotates_suspended: Option<bool>,
    #[n(11)]
    public_only: Option<bool>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredChangedVersion {
    #[n(0)]
    number: u32,
    #[n(1)]
    at: u64,
    #[n(2)]
    by: ByteArray<16>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredDestroyedVersion {
    #[n(0)]
    number: u32,
    #[n(1)]
    created: u64,
    #[n(2)]
    destroyed: u64,
    #[n(3)]
    by: ByteArray<16>,
    #[n(4)]
    epoch: u64,
    #[n(5)]
    log_index: u64,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredImportKey {
    #[n(0)]
    id: ByteArray<16>,
    #[n(1)]
    realm: ByteArray<16>,
    #[n(2)]
    vault: ByteArray<16>,
    #[n(3)]
    algorithm: u16,
    #[n(4)]
    public_key_der: ByteVec,
    #[n(5)]
    created: u64,
    #[n(6)]
    created_by: ByteArray<16>,
    #[n(7)]
    expires: u64,
    #[n(8)]
    secret: StoredSecret,
}

/// A version's state as stored: nothing for the one that nearly all have.
pub(super) fn version_state_to_stored(state: VersionState) -> Option<u8> {
    match state {
        VersionState::Enabled => None,
        VersionState::Suspended => Some(1),
    }
}

pub(super) fn version_state_from_stored(code: Option<u8>) -> Result<VersionState, Undecodable> {
    match code {
        None => Ok(VersionState::Enabled),
        Some(1) => Ok(VersionState::Suspended),
        Some(_) => Err(Undecodable("state of a version")),
    }
}

pub(super) fn life_to_stored(life: &KeyLife) -> StoredLife {
    StoredLife {
        uses: life.uses.map(Uses::to_bits),
        exportable: life.exportable,
        exported_at: life.first_export.map(|first| first.at.0),
        exported_by: life.first_export.map(|first| first.by.0.into()),
        rotation_period_s: life.rotation.map(|rotation| rotation.period.as_secs()),
        rotation_next: life.rotation.map(|rotation| rotation.next.0),
        protect_from: life.protect_from,
        process_from: life.process_from,
        changed_versions: life
            .changed_versions
            .iter()
            .map(|(number, change)| StoredChangedVersion {
                number: *number,
                at: change.at.0,
                by: change.by.0.into(),
            })
            .collect(),
        destroyed_versions: life
            .destroyed_versions
            .iter()
            .map(|version| StoredDestroyedVersion {
                number: version.number,
                created: version.created.0,
                destroyed: version.destroyed.0,
                by: version.by.0.into(),
                epoch: version.epoch,
                log_index: version.log_index,
            })
            .collect(),
        rotates_suspended: life.rotation.and_then(|one| one.while_suspended.then_some(true)),
        public_only: life.public_only.then_some(true),
    }
}

pub(super) fn life_from_stored(stored: StoredLife) -> Result<KeyLife, Undecodable> {
    let uses = match stored.uses {
        Some(bits) => Some(Uses::from_bits(bits).ok_or(Undecodable("uses of a key"))?),
        None => None,
    };
    let first_export = match (stored.exported_at, stored.exported_by) {
        (Some(at), Some(by)) => Some(FirstExport { at: UnixMillis(at), by: PrincipalId(*by) }),
        (None, None) => None,
        _ => return Err(Undecodable("first export of a key")),
    };
    let rotation = match (stored.rotation_period_s, stored.rotation_next) {
        (Some(seconds), Some(next)) => Some(Rotation {
            period: Duration::from_secs(seconds),
            next: UnixMillis(next),
            while_suspended: stored.rotates_suspended.unwrap_or(false),
        }),
        (None, None) => None,
        _ => return Err(Undecodable("rotation of a key")),
    };
    let changed = |stored: StoredChangedVersion| {
        let change = ChangedVersion { at: UnixMillis(stored.at), by: PrincipalId(*stored.by) };
        (stored.number, change)
    };
    let destroyed = |stored: StoredDestroyedVersion| DestroyedVersion {
        number: stored.number,
        created: UnixMillis(stored.created),
        destroyed: UnixMillis(stored.destroyed),
        by: PrincipalId(*stored.by),
        epoch: stored.epoch,
        log_index: stored.log_index,
    };
    Ok(KeyLife {
        uses,
        exportable: stored.exportable,
        public_only: stored.public_only.unwrap_or(false),
        first_export,
        rotation,
        protect_from: stored.protect_from,
        process_from: stored.process_from,
        changed_versions: stored.changed_versions.into_iter().map(changed).collect(),
        destroyed_versions: stored.destroyed_versions.into_iter().map(destroyed).collect(),
    })
}

/// A record as stored.
#[must_use]
pub(crate) fn encode_import_key(record: &ImportKeyRecord) -> Vec<u8> {
    encode(&StoredImportKey {
        id: record.id.0.into(),
        realm: record.realm.0.into(),
        vault: record.vault.0.into(),
        algorithm: record.algorithm.code(),
        public_key_der: record.public_key_der.to_vec().into(),
        created: record.created.0,
        created_by: record.created_by.0.into(),
        expires: record.expires.0,
        secret: secret_to_stored(&record.secret),
    })
}

/// A record from its stored form.
///
/// # Errors
/// [`Undecodable`].
pub(crate) fn decode_import_key(bytes: &[u8]) -> Result<ImportKeyRecord, Undecodable> {
    let stored: StoredImportKey = decode(bytes)?;
    Ok(ImportKeyRecord {
        id: ImportKeyId(*stored.id),
        realm: RealmId(*stored.realm),
        vault: VaultId(*stored.vault),
        algorithm: Algorithm::from_code(stored.algorithm)
            .ok_or(Undecodable("an algorithm that this build does not have"))?,
        public_key_der: Vec::from(stored.public_key_der).into(),
        created: UnixMillis(stored.created),
        created_by: PrincipalId(*stored.created_by),
        expires: UnixMillis(stored.expires),
        secret: secret_from_stored(stored.secret),
    })
}
