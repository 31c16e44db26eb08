//! Hashes of bearer secrets, as they lie in the store.
//!
//! `hash = HMAC-SHA-256(pepper, "lethe-credential/v1" || secret)`.
//!
//! There is no slow hash here on purpose. A slow hash makes guessing dear, which helps secrets
//! that people choose. Bearer secrets of Lethe are 256 bits from the random source: nobody guesses
//! one at any speed, and the check runs on every request. The pepper lives sealed apart from the
//! hashes, so that a copied store alone does not even allow a guess to be tested. What people
//! choose (passphrases) goes through [`crate::kdf::argon2id`].

use core::fmt;

use aws_lc_rs::hmac;
use lethe_types::Secret;
use subtle::ConstantTimeEq;

/// Keeps these hashes apart from every other HMAC-SHA-256 in Lethe.
const DOMAIN: &[u8] = b"lethe-credential/v1";

/// The same for derived keys; no prefix of the other, nor the other of it.
const DERIVED_DOMAIN: &[u8] = b"lethe-derived-key/v1";
/// The counter of the only block that HKDF-Expand makes here.
const FIRST_BLOCK: u8 = 1;

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// The server's secret part of the hash, expanded once. The library wipes it where it is
/// dropped; the moves before can leave copies on the stack.
///
/// Holds the HMAC state after the key: a hash of a 32-byte secret is two blocks of SHA-256.
pub struct Pepper(hmac::Key);

impl Pepper {
    /// Expands `pepper`.
    #[must_use]
    pub fn new(pepper: &Secret<32>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, pepper.expose()))
    }

    /// The hash of `secret`.
    #[must_use]
    pub fn hash(&self, secret: &[u8]) -> [u8; HASH_BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(DOMAIN);
        context.update(secret);
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(context.sign().as_ref());
        hash
    }

    /// A key of its own for `purpose`: `HKDF-Expand[SHA-256](pepper, "lethe-derived-key/v1" ||
    /// purpose, 32)` (RFC 5869 section 2.3; the pepper is uniform, so that section 3.3 allows to
    /// leave the extraction out).
    ///
    /// Purposes are literals of the program: who knows one derived key knows nothing of another,
    /// nor of the pepper or its hashes.
    #[must_use]
    pub fn derive(&self, purpose: &'static str) -> Secret<32> {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(DERIVED_DOMAIN);
        context.update(purpose.as_bytes());
        context.update(&[FIRST_BLOCK]);
        let block = context.sign();
        Secret::init_with(|buf| buf.copy_from_slice(block.as_ref()))
    }

    /// Whether `hash` is that of `secret`, in time that does not depend on where they differ.
    #[must_use]
    pub fn verify(&self, secret: &[u8], hash: &[u8; HASH_BYTES]) -> bool {
        self.hash(secret).ct_eq(hash).into()
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(..)")
    }
}

/// [`Pepper::hash`] for a single hash.
#[must_use]
pub fn hash_secret(pepper: &Secret<32>, secret: &[u8]) -> [u8; HASH_BYTES] {
    Pepper::new(pepper).hash(secret)
}
