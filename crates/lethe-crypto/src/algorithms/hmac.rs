//! HMAC with SHA-2 (RFC 2104, FIPS 198-1), tags at full length.

use aws_lc_rs::hmac;
use lethe_types::{Entropy, SecretVec};

use super::{ExpandedKey, Family, octets, random};
use crate::CryptoError;
use crate::registry::KeyFormat;

pub(crate) static HMAC_SHA224: Hmac = Hmac(&hmac::HMAC_SHA224, None);
pub(crate) static HMAC_SHA256: Hmac = Hmac(&hmac::HMAC_SHA256, Some("HS256"));
pub(crate) static HMAC_SHA384: Hmac = Hmac(&hmac::HMAC_SHA384, Some("HS384"));
pub(crate) static HMAC_SHA512: Hmac = Hmac(&hmac::HMAC_SHA512, Some("HS512"));

/// One hash of the library, and the `alg` of a JSON Web Key (RFC 7518 section 3.2).
pub(crate) struct Hmac(&'static hmac::Algorithm, Option<&'static str>);

impl Family for Hmac {
    /// As long as the tag, as RFC 2104 section 3 advises.
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, self.0.tag_len())
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(HmacKey(hmac::Key::new(*self.0, material))))
    }

    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        octets::import(self.1, format, bytes)
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        octets::export(self.1, format, material)
    }
}

/// The inner and outer state after the key.
struct HmacKey(hmac::Key);

impl ExpandedKey for HmacKey {
    fn mac(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }

    fn mac_verify(&self, message: &[u8], tag: &[u8]) -> Result<bool, CryptoError> {
        // The library compares in constant time and refuses every other length, truncation
        // included.
        Ok(hmac::verify(&self.0, message, tag).is_ok())
    }
}
