//! RFC 6962 hashing: the only place where leaves and nodes of the log get their prefix.

use core::fmt;
use core::str::FromStr;

use lethe_crypto::hash::sha256;

use crate::encoding::{decode_base64_array, fmt_base64};

/// Bytes of one hash.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 value: of a leaf, of a node or of a whole tree. Written in base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash(pub [u8; HASH_BYTES]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_base64(&self.0, f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// A text that is not the canonical base64 of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHash;

impl fmt::Display for InvalidHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hash is 32 bytes in standard base64 with padding")
    }
}

impl core::error::Error for InvalidHash {}

impl FromStr for Hash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        decode_base64_array(text).map(Self).ok_or(InvalidHash)
    }
}

/// The hash of a log entry: `SHA-256(0x00 || entry)`, RFC 6962 section 2.1.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(sha256(&[&[0x00], entry]))
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`, RFC 6962 section 2.1.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(sha256(&[&[0x01], &left.0, &right.0]))
}

/// The root of the tree without entries: `SHA-256("")`, RFC 6962 section 2.1.
#[must_use]
pub fn empty_root() -> Hash {
    Hash(sha256(&[]))
}
