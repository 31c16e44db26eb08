//! The sealed key record: material under its own record key, bound to its place.
//!
//! ```text
//!  0 u8 format=1   1 u8 aead=1   2 u16 flags   4 record id(16)
//! 20 u64 leaf index   28 u32 key version
//! 32  12 nonce   44 ciphertext || tag
//! AAD = "KREC" || tree_id(16) || bytes 0..31
//! ```

use core::fmt;

use lethe_crypto::aead::{NONCE_BYTES, SealKey, TAG_BYTES};
use lethe_types::{Defence, Entropy, Secret, SecretVec, TreeId};
use zeroize::Zeroizing;

use super::ErasureError;
use super::address::u64_at;
use super::node::{AEAD_AES_256_GCM, FORMAT};

/// What a sealed record says of itself in the open, and is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Free for the caller; authenticated.
    pub flags: u16,
    /// The key that the material belongs to.
    pub record_id: [u8; 16],
    /// The leaf that holds the record key.
    pub leaf: u64,
    /// The version of the key.
    pub key_version: u32,
}

impl RecordHeader {
    /// The header of a stored record, unauthenticated: for finding the leaf.
    ///
    /// # Errors
    /// [`RecordError::Malformed`] if `blob` is too short or has another format.
    pub fn parse(blob: &[u8]) -> Result<Self, RecordError> {
        if blob.len() < RECORD_OVERHEAD_BYTES || blob[..2] != [FORMAT, AEAD_AES_256_GCM] {
            return Err(RecordError::Malformed);
        }
        let mut record_id = [0; 16];
        record_id.copy_from_slice(&blob[4..20]);
        let mut key_version = [0; 4];
        key_version.copy_from_slice(&blob[28..32]);
        Ok(Self {
            flags: u16::from_be_bytes([blob[2], blob[3]]),
            record_id,
            leaf: u64_at(blob, 20),
            key_version: u32::from_be_bytes(key_version),
        })
    }

    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..2].copy_from_slice(&[FORMAT, AEAD_AES_256_GCM]);
        bytes[2..4].copy_from_slice(&self.flags.to_be_bytes());
        bytes[4..20].copy_from_slice(&self.record_id);
        bytes[20..28].copy_from_slice(&self.leaf.to_be_bytes());
        bytes[28..].copy_from_slice(&self.key_version.to_be_bytes());
        bytes
    }
}

/// Seals `plaintext` under `record_key`. A record key seals exactly one plaintext in its life.
///
/// # Errors
/// [`ErasureError::Entropy`] or [`ErasureError::Crypto`]; nothing was sealed.
pub fn seal_record(
    tree_id: TreeId,
    record_key: &Secret<32>,
    header: &RecordHeader,
    plaintext: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, ErasureError> {
    let header = header.to_bytes();
    let mut nonce = [0; NONCE_BYTES];
    entropy.fill(&mut nonce)?;
    let mut sealed = Zeroizing::new(plaintext.to_vec());
    let tag = SealKey::new(record_key).seal_in_place(nonce, &aad(tree_id, &header), &mut sealed)?;
    let mut blob = Vec::with_capacity(RECORD_OVERHEAD_BYTES + sealed.len());
    for part in [header.as_slice(), &nonce, &sealed, &tag] {
        blob.extend_from_slice(part);
    }
    Ok(blob)
}

/// The material in `blob`, which must be the record that `expected` names.
///
/// # Errors
/// [`RecordError`]: which of its checks `blob` did not pass.
pub fn open_record(
    tree_id: TreeId,
    record_key: &Secret<32>,
    expected: &RecordHeader,
    blob: &[u8],
) -> Result<SecretVec, RecordError> {
    if RecordHeader::parse(blob)? != *expected && !Defence::Place.is_off() {
        return Err(RecordError::OtherRecord);
    }
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&blob[HEADER_BYTES..SEALED_AT]);
    let mut opened = Zeroizing::new(blob[SEALED_AT..].to_vec());
    let plaintext = SealKey::new(record_key)
        .open_in_place(nonce, &aad(tree_id, &expected.to_bytes()), &mut opened)
        .map_err(|_| RecordError::NotAuthentic)?;
    Ok(SecretVec::copy_from(plaintext))
}

/// Why a record gave no material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Not the layout of a record.
    Malformed,
    /// The bytes do not open under this record key.
    NotAuthentic,
    /// A record, but not the one that was asked for.
    OtherRecord,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the stored key record is malformed",
            Self::NotAuthentic => "the stored key record does not open under its record key",
            Self::OtherRecord => "the stored key record is that of another key, version or leaf",
        })
    }
}

impl core::error::Error for RecordError {}

fn aad(tree_id: TreeId, header: &[u8; HEADER_BYTES]) -> [u8; 52] {
    let mut aad = [0; 52];
    if Defence::Place.is_off() {
        return aad;
    }
    aad[..4].copy_from_slice(b"KREC");
    aad[4..20].copy_from_slice(tree_id.as_bytes());
    aad[20..].copy_from_slice(header);
    aad
}

/// Bytes of a sealed record beyond its plaintext.
pub const RECORD_OVERHEAD_BYTES: usize = SEALED_AT + TAG_BYTES;
const HEADER_BYTES: usize = 32;
const SEALED_AT: usize = HEADER_BYTES + NONCE_BYTES;
