//! Hashes by name, and SHA-256 and HMAC-SHA-256 as the log, the commitments and the audit chain use
//! them.

use aws_lc_rs::{digest as library, hmac};
use sha3::{Digest as _, Sha3_224};

/// Bytes of the longest hash.
pub const HASH_BYTES_MAX: usize = 64;

/// A hash function (FIPS 180-4, FIPS 202).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashAlgorithm {
    /// SHA-1, for identifiers that formats prescribe and for one-time passwords. It does not resist
    /// collisions: nothing that an attacker chooses may be told apart by it.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA3-224; of the `sha3` crate (not audited), the library does not have it.
    Sha3_224,
    /// SHA3-256.
    Sha3_256,
    /// SHA3-384.
    Sha3_384,
    /// SHA3-512.
    Sha3_512,
}

impl HashAlgorithm {
    /// All hashes.
    pub const ALL: &[Self] = &[
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sha3_224,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
    ];

    /// The hash's stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Sha3_224 => "sha3-224",
            Self::Sha3_256 => "sha3-256",
            Self::Sha3_384 => "sha3-384",
            Self::Sha3_512 => "sha3-512",
        }
    }

    /// The hash of a stable name; `None` for any other text.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|hash| hash.as_str() == name)
    }

    /// Bytes of a hash.
    #[must_use]
    pub const fn output_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 | Self::Sha3_224 => 28,
            Self::Sha256 | Self::Sha3_256 => 32,
            Self::Sha384 | Self::Sha3_384 => 48,
            Self::Sha512 | Self::Sha3_512 => 64,
        }
    }

    const fn of_library(self) -> Option<&'static library::Algorithm> {
        match self {
            Self::Sha1 => Some(&library::SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha224 => Some(&library::SHA224),
            Self::Sha256 => Some(&library::SHA256),
            Self::Sha384 => Some(&library::SHA384),
            Self::Sha512 => Some(&library::SHA512),
            Self::Sha3_224 => None,
            Self::Sha3_256 => Some(&library::SHA3_256),
            Self::Sha3_384 => Some(&library::SHA3_384),
            Self::Sha3_512 => Some(&library::SHA3_512),
        }
    }
}

/// The result of [`digest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    bytes: [u8; HASH_BYTES_MAX],
    len: usize,
}

impl Hash {
    fn new(output: &[u8]) -> Self {
        let mut bytes = [0; HASH_BYTES_MAX];
        bytes.iter_mut().zip(output).for_each(|(to, from)| *to = *from);
        Self { bytes, len: output.len().min(HASH_BYTES_MAX) }
    }

    /// The bytes of the hash.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The hash of `parts[0] || parts[1] || …`.
#[must_use]
pub fn digest(hash: HashAlgorithm, parts: &[&[u8]]) -> Hash {
    if let Some(algorithm) = hash.of_library() {
        let mut context = library::Context::new(algorithm);
        parts.iter().for_each(|part| context.update(part));
        return Hash::new(context.finish().as_ref());
    }
    let mut state = Sha3_224::new();
    parts.iter().for_each(|part| state.update(part));
    Hash::new(&state.finalize())
}

/// `SHA-256(parts[0] || parts[1] || …)`, FIPS 180-4.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    if let [part] = parts {
        // In one step it needs no memory of its own.
        let mut out = [0; 32];
        out.copy_from_slice(library::digest(&library::SHA256, part).as_ref());
        return out;
    }
    let mut context = library::Context::new(&library::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// `HMAC-SHA-256(key, parts[0] || parts[1] || …)`, RFC 2104.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

/// SHA-256 (FIPS 180-4) of bytes that come one part after the other.
#[derive(Clone)]
pub struct Sha256(library::Context);

impl Sha256 {
    /// Nothing hashed yet.
    #[must_use]
    pub fn new() -> Self {
        Self(library::Context::new(&library::SHA256))
    }

    /// Adds `part` at the end.
    pub fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// The hash of all parts.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Sha256(..)")
    }
}
