//! The system's random source.

use aws_lc_rs::rand;
use lethe_types::{Entropy, EntropyError};

/// The generator of `aws-lc-rs` (CTR_DRBG of SP 800-90A, seeded by the kernel, safe across fork).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buf: &mut [u8]) -> Result<(), EntropyError> {
        rand::fill(buf).map_err(|_| EntropyError)
    }
}
