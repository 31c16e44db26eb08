//! HMAC with SHA-3 (FIPS 198-1, FIPS 202), tags at full length.
//!
//! The hashes are those of the `sha3` crate (not audited), whose states can be kept and are wiped;
//! the library has SHA-3, but no HMAC over it. HMAC itself is written out here, two states after a
//! block of the key each: the `hmac` crate keeps the outer block and does not wipe it.

use lethe_types::{Entropy, SecretVec};
use sha3::digest::Output;
use sha3::digest::common::BlockSizeUser;
use sha3::{Digest, Sha3_224, Sha3_256, Sha3_384, Sha3_512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{ExpandedKey, Family, octets, random};
use crate::CryptoError;
use crate::registry::KeyFormat;

pub(crate) static HMAC_SHA3_224: HmacSha3 = HmacSha3 { tag_bytes: 28, expand: load::<Sha3_224> };
pub(crate) static HMAC_SHA3_256: HmacSha3 = HmacSha3 { tag_bytes: 32, expand: load::<Sha3_256> };
pub(crate) static HMAC_SHA3_384: HmacSha3 = HmacSha3 { tag_bytes: 48, expand: load::<Sha3_384> };
pub(crate) static HMAC_SHA3_512: HmacSha3 = HmacSha3 { tag_bytes: 64, expand: load::<Sha3_512> };

/// One hash.
pub(crate) struct HmacSha3 {
    tag_bytes: usize,
    expand: super::Expand,
}

impl Family for HmacSha3 {
    /// As long as the tag, as RFC 2104 section 3 advises.
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, self.tag_bytes)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        (self.expand)(material)
    }

    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        octets::import(None, format, bytes)
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        octets::export(None, format, material)
    }
}

fn load<D>(material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError>
where
    D: Digest + BlockSizeUser + Clone + Send + Sync + 'static,
{
    Ok(Box::new(HmacSha3Key::<D>::new(material)))
}

const INNER: u8 = 0x36;
const OUTER: u8 = 0x5c;

/// The states after the padded key; every use starts from copies, which are wiped after it.
struct HmacSha3Key<D> {
    inner: D,
    outer: D,
}

impl<D: Digest + BlockSizeUser + Clone> HmacSha3Key<D> {
    fn new(material: &[u8]) -> Self {
        let mut block = Zeroizing::new(vec![0; D::block_size()]);
        if material.len() > block.len() {
            let hashed = Zeroizing::new(D::digest(material).to_vec());
            block.iter_mut().zip(hashed.iter()).for_each(|(to, from)| *to = *from);
        } else {
            block.iter_mut().zip(material).for_each(|(to, from)| *to = *from);
        }
        block.iter_mut().for_each(|byte| *byte ^= INNER);
        let inner = D::new_with_prefix(block.as_slice());
        block.iter_mut().for_each(|byte| *byte ^= INNER ^ OUTER);
        Self { inner, outer: D::new_with_prefix(block.as_slice()) }
    }

    fn tag(&self, message: &[u8]) -> Output<D> {
        let inner = self.inner.clone().chain_update(message).finalize();
        self.outer.clone().chain_update(inner).finalize()
    }
}

impl<D: Digest + BlockSizeUser + Clone + Send + Sync> ExpandedKey for HmacSha3Key<D> {
    fn mac(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(self.tag(message).to_vec())
    }

    fn mac_verify(&self, message: &[u8], tag: &[u8]) -> Result<bool, CryptoError> {
        // In constant time; every other length is refused, truncation included.
        Ok(self.tag(message).as_slice().ct_eq(tag).into())
    }
}
