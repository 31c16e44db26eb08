//! Realms and vaults.

use lethe_types::{RealmId, UnixMillis, VaultId};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

use super::details::{StoredLabel, labels_from_stored, labels_to_stored};
use super::policy::{
    StoredPolicy, name_rule_code, name_rule_from_code, policy_from_stored, policy_to_stored,
};
use super::{
    StoredAttribute, Undecodable, attributes_from_stored, attributes_to_stored, decode, encode,
};
use crate::record::{RealmRecord, VaultRecord};

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
    #[n(4)]
    policy: StoredPolicy,
    #[n(5)]
    attributes: Vec<StoredAttribute>,
    #[n(6)]
    salt: ByteArray<32>,
    #[n(7)]
    plain_export: Option<bool>,
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
    #[n(5)]
    changed: u64,
    #[n(6)]
    removed: Option<u64>,
    #[n(7)]
    policy: StoredPolicy,
    #[n(8)]
    names: u8,
    #[n(9)]
    labels: Vec<StoredLabel>,
    #[n(10)]
    attributes: Vec<StoredAttribute>,
}

/// A record as stored.
#[must_use]
pub(crate) fn encode_realm(record: &RealmRecord) -> Vec<u8> {
    encode(&StoredRealm {
        id: record.id.0.into(),
        name: record.name.as_str().to_owned(),
        created: record.created.0,
        default_vault: record.default_vault.0.into(),
        policy: policy_to_stored(&record.policy),
        attributes: attributes_to_stored(&record.attributes),
        salt: (*record.salt).into(),
        plain_export: record.plain_export.then_some(true),
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
        policy: policy_from_stored(&stored.policy)?,
        attributes: attributes_from_stored(stored.attributes),
        salt: Box::new(*stored.salt),
        plain_export: stored.plain_export.unwrap_or(false),
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
        changed: record.changed.0,
        removed: record.removed.map(|time| time.0),
        policy: policy_to_stored(&record.policy),
        names: name_rule_code(record.names),
        labels: labels_to_stored(&record.labels),
        attributes: attributes_to_stored(&record.attributes),
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
        changed: UnixMillis(stored.changed),
        removed: stored.removed.map(UnixMillis),
        policy: policy_from_stored(&stored.policy)?,
        names: name_rule_from_code(stored.names)?,
        labels: labels_from_stored(stored.labels)?,
        attributes: attributes_from_stored(stored.attributes),
        salt: Box::new(*stored.salt),
    })
}
