//! Key material and secrets of credentials as stored: under their own record keys, bound to key and
//! version or to credential and number, and to the leaf.

use lethe_erasure::tree::{RecordHeader, open_record, seal_record};
use lethe_types::{CredentialId, Entropy, KeyId, Secret, SecretVec, TreeId};

use crate::EngineError;
use crate::record::{KeyRecord, KeyVersion, OwnedSecret};

/// The header's flags of a secret of a credential: it never opens as a key's version.
const FLAGS_OF_SECRET: u16 = 1;

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

/// Seals a secret of a credential under its record key. `number` and `leaf` are those of the
/// [`OwnedSecret`] that takes the answer.
///
/// # Errors
/// [`EngineError::EntropyUnavailable`]; nothing was sealed.
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "principals with such credentials are not made yet")
)]
pub(crate) fn seal_secret(
    tree_id: TreeId,
    credential: CredentialId,
    number: u32,
    leaf: u64,
    record_key: &Secret<32>,
    secret: &SecretVec,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, EngineError> {
    let header = header_of_secret(credential, number, leaf);
    seal_record(tree_id, record_key, &header, secret.expose(), entropy)
        .map_err(|_| EngineError::EntropyUnavailable)
}

/// The secret of a credential, or `None` if `record_key` does not open it.
pub(crate) fn open_secret(
    tree_id: TreeId,
    credential: CredentialId,
    secret: &OwnedSecret,
    record_key: &Secret<32>,
) -> Option<SecretVec> {
    let header = header_of_secret(credential, secret.number, secret.leaf);
    open_record(tree_id, record_key, &header, &secret.sealed).ok()
}

fn header_of_secret(credential: CredentialId, number: u32, leaf: u64) -> RecordHeader {
    RecordHeader { flags: FLAGS_OF_SECRET, record_id: credential.0, leaf, key_version: number }
}
