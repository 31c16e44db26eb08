//! SHA-256 and HMAC-SHA-256, as used by the log, the commitments and the audit chain.

use aws_lc_rs::{digest, hmac};

/// `SHA-256(parts[0] || parts[1] || …)`, FIPS 180-4.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    if let [part] = parts {
        // In one step it needs no memory of its own.
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, part).as_ref());
        return out;
    }
    let mut context = digest::Context::new(&digest::SHA256);
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
pub struct Sha256(digest::Context);

impl Sha256 {
    /// Nothing hashed yet.
    #[must_use]
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
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

/// SHA-1 (FIPS 180-4). Only where a format names things by it, as thumbprints of certificates do:
/// collisions can be made.
#[must_use]
pub fn sha1(message: &[u8]) -> [u8; 20] {
    let mut out = [0; 20];
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, message);
    out.copy_from_slice(digest.as_ref());
    out
}
