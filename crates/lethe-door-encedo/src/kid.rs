//! Identifiers of keys: 16 bytes, written as 32 lower-case hexadecimal digits.

use core::fmt;

use lethe_crypto::hash::{HashAlgorithm, digest};

/// Bytes of an identifier.
const BYTES: usize = 16;

/// The identifier of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kid(pub(crate) [u8; BYTES]);

impl Kid {
    /// From exactly 32 hexadecimal digits, in either case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != 2 * BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; BYTES];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// That of a public key as it is exported. SHA-1 is what the protocol prescribes: the
    /// identifier names, and proves nothing.
    pub(crate) fn of_public_key(exported: &[u8]) -> Self {
        Self::of_hash(digest(HashAlgorithm::Sha1, &[exported]).as_slice())
    }

    /// The first bytes of a hash of at least as many.
    pub(crate) fn of_hash(hash: &[u8]) -> Self {
        let mut bytes = [0; BYTES];
        for (to, from) in bytes.iter_mut().zip(hash) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
