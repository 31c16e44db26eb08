//! Key material and secrets of credentials as stored: under their own record keys, bound to key and
//! version or to credential and number, and to the leaf.

use lethe_erasure::tree::{RecordHeader, open_record, seal_record};
use lethe_types::{Entropy, KeyId, Secret, SecretVec, TreeId};

use crate::EngineError;
use crate::record::{KeyRecord, KeyVersion, OwnedSecret};

/// Seals a version's material under its record key.
///
/// # Errors
/// [`EngineError::EntropyUnavailable`]; nothing was sealed.
pub(crate) fn seal_version(
    tree_id: TreeId,
    key: KeyId,
    version: u32,
    leaf: u64,
    record_key: &Secret<32>,
    material: &SecretVec,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, EngineError> {
    let header = RecordHeader { flags: 0, record_id: key.0, leaf, key_version: version };
    seal_record(tree_id, record_key, &header, material.expose(), entropy)
        .map_err(|_| EngineError::EntropyUnavailable)
}

/// The material of a version, or `None` if `record_key` does not open it.
pub(crate) fn open_version(
    tree_id: TreeId,
    record: &KeyRecord,
    version: &KeyVersion,
    record_key: &Secret<32>,
) -> Option<SecretVec> {
    let header = RecordHeader {
        flags: 0,
        record_id: record.id.0,
        leaf: version.leaf,
        key_version: version.number,
    };
    open_record(tree_id, record_key, &header, &version.sealed).ok()
}

/// Marks a sealed record that is no version of a key.
const SECRET_FLAG: u16 = 1;

/// Seals a secret that a key or a credential owns.
///
/// # Errors
/// [`EngineError::EntropyUnavailable`]; nothing was sealed.
pub(crate) fn seal_secret(
    tree_id: TreeId,
    owner: [u8; 16],
    number: u32,
    leaf: u64,
    record_key: &Secret<32>,
    secret: &SecretVec,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, EngineError> {
    let header = RecordHeader { flags: SECRET_FLAG, record_id: owner, leaf, key_version: number };
    seal_record(tree_id, record_key, &header, secret.expose(), entropy)
        .map_err(|_| EngineError::EntropyUnavailable)
}

/// The secret, or `None` if `record_key` does not open it.
pub(crate) fn open_secret(
    tree_id: TreeId,
    owner: [u8; 16],
    secret: &OwnedSecret,
    record_key: &Secret<32>,
) -> Option<SecretVec> {
    let header = RecordHeader {
        flags: SECRET_FLAG,
        record_id: owner,
        leaf: secret.leaf,
        key_version: secret.number,
    };
    open_record(tree_id, record_key, &header, &secret.sealed).ok()
}
