//! What an erasure leaves of a sector, so that one write and one sync are enough: random bytes that
//! say of themselves that they are whole.
//!
//! ```text
//!  0 "KSE0" | 4 random (4,060) | 4,064 SHA-256 over all before (32)
//! ```
//! A write that a crash cut short leaves some of what was there before, and no digest that fits:
//! the sector counts as damaged, and the next start erases it.

use lethe_crypto::hash::sha256;
use lethe_types::{Entropy, EntropyError};

use crate::slot::SLOT_IMAGE_BYTES;

const MAGIC: &[u8; 4] = b"KSE0";
const DIGEST_FROM: usize = SLOT_IMAGE_BYTES - 32;

/// Bytes to write over a sector, other ones each time.
///
/// # Errors
/// That of `entropy`.
pub fn erased_sector(entropy: &dyn Entropy) -> Result<Box<[u8; SLOT_IMAGE_BYTES]>, EntropyError> {
    let mut bytes = Box::new([0; SLOT_IMAGE_BYTES]);
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    entropy.fill(&mut bytes[MAGIC.len()..DIGEST_FROM])?;
    let digest = sha256(&[&bytes[..DIGEST_FROM]]);
    bytes[DIGEST_FROM..].copy_from_slice(&digest);
    Ok(bytes)
}

/// Whether the bytes are, wholly, those of an erasure. Who reads them in another process than the
/// one that wrote them does not know that they are durable.
#[must_use]
pub fn is_erased(bytes: &[u8; SLOT_IMAGE_BYTES]) -> bool {
    bytes.starts_with(MAGIC) && sha256(&[&bytes[..DIGEST_FROM]]) == bytes[DIGEST_FROM..]
}

/// Whether a sector holds nothing of any image: it was never written, or it was erased.
#[must_use]
pub fn holds_nothing(bytes: &[u8; SLOT_IMAGE_BYTES]) -> bool {
    is_erased(bytes) || bytes.iter().all(|byte| *byte == 0)
}
