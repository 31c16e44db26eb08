//! AES key wrapping: KW (RFC 3394) and KWP (RFC 5649), both SP 800-38F.
//!
//! From the `aes-kw` crate (not audited; its AES was, by NCC Group in 2020, at an earlier version)
//! and not from `aws-lc-rs`, which has no AES-192 here, expands the key anew for every call and
//! leaves a copy of it in freed memory. A test holds the two against each other.

use aes_gcm::KeyInit;
use aes_gcm::aes::{Aes128, Aes192, Aes256};
use aes_kw::{AesKw, AesKwp};
use lethe_types::{Entropy, SecretVec};
use zeroize::Zeroizing;

use super::{ExpandedKey, Family, octets, random};
use crate::CryptoError;
use crate::registry::KeyFormat;

pub(crate) static AES_128_KW: KeyWrap =
    KeyWrap { key_bytes: 16, jwa_name: Some("A128KW"), expand: expand::<AesKw<Aes128>> };
pub(crate) static AES_192_KW: KeyWrap =
    KeyWrap { key_bytes: 24, jwa_name: Some("A192KW"), expand: expand::<AesKw<Aes192>> };
pub(crate) static AES_256_KW: KeyWrap =
    KeyWrap { key_bytes: 32, jwa_name: Some("A256KW"), expand: expand::<AesKw<Aes256>> };
pub(crate) static AES_128_KWP: KeyWrap =
    KeyWrap { key_bytes: 16, jwa_name: None, expand: expand::<AesKwp<Aes128>> };
pub(crate) static AES_192_KWP: KeyWrap =
    KeyWrap { key_bytes: 24, jwa_name: None, expand: expand::<AesKwp<Aes192>> };
pub(crate) static AES_256_KWP: KeyWrap =
    KeyWrap { key_bytes: 32, jwa_name: None, expand: expand::<AesKwp<Aes256>> };

/// Bytes of a half block, the unit of these modes and what a wrapping adds.
const HALF_BLOCK_BYTES: usize = 8;

/// One key length of KW or of KWP.
pub(crate) struct KeyWrap {
    key_bytes: usize,
    /// The `alg` of a JSON Web Key (RFC 7518 section 4.1).
    jwa_name: Option<&'static str>,
    expand: super::Expand,
}

impl Family for KeyWrap {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, self.key_bytes)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        (self.expand)(material)
    }

    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        octets::import(self.jwa_name, format, bytes)
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        octets::export(self.jwa_name, format, material)
    }
}

fn expand<M: Wrapping + KeyInit + 'static>(
    material: &[u8],
) -> Result<Box<dyn ExpandedKey>, CryptoError> {
    let mode = M::new_from_slice(material);
    let mode = mode.map_err(|_| CryptoError::Invalid("length of the key material"))?;
    Ok(Box::new(WrappingKey(mode)))
}

/// One mode with its expanded key.
trait Wrapping: Send + Sync {
    /// Bytes that wrapping `key` gives; `None` if the mode does not take a key of that length.
    fn wrapped_bytes(key_bytes: usize) -> Option<usize>;

    /// Least bytes of a wrapped key.
    const WRAPPED_BYTES_MIN: usize;

    fn wrap<'a>(&self, key: &[u8], wrapped: &'a mut [u8]) -> Result<&'a [u8], aes_kw::Error>;

    fn unwrap<'a>(&self, wrapped: &[u8], key: &'a mut [u8]) -> Result<&'a [u8], aes_kw::Error>;
}

macro_rules! wrapping {
    ($mode:ident<$($cipher:ident),*>, $min:literal, $wrapped_bytes:expr) => {$(
        impl Wrapping for $mode<$cipher> {
            fn wrapped_bytes(key_bytes: usize) -> Option<usize> {
                $wrapped_bytes(key_bytes)
            }

            const WRAPPED_BYTES_MIN: usize = $min;

            fn wrap<'a>(
                &self,
                key: &[u8],
                wrapped: &'a mut [u8],
            ) -> Result<&'a [u8], aes_kw::Error> {
                self.wrap_key(key, wrapped)
            }

            fn unwrap<'a>(
                &self,
                wrapped: &[u8],
                key: &'a mut [u8],
            ) -> Result<&'a [u8], aes_kw::Error> {
                self.unwrap_key(wrapped, key)
            }
        }
    )*};
}

wrapping!(AesKw<Aes128, Aes192, Aes256>, 24, |bytes: usize| {
    let is_taken = bytes >= 2 * HALF_BLOCK_BYTES && bytes.is_multiple_of(HALF_BLOCK_BYTES);
    is_taken.then_some(bytes + HALF_BLOCK_BYTES)
});
wrapping!(AesKwp<Aes128, Aes192, Aes256>, 16, |bytes: usize| {
    (bytes > 0).then_some(bytes.next_multiple_of(HALF_BLOCK_BYTES) + HALF_BLOCK_BYTES)
});

struct WrappingKey<M>(M);

impl<M: Wrapping> ExpandedKey for WrappingKey<M> {
    fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let refused = CryptoError::Invalid("length of the key to wrap");
        // Wiped if the library fails half-way: it starts with a copy of the key.
        let mut wrapped = Zeroizing::new(vec![0; M::wrapped_bytes(key.len()).ok_or(refused)?]);
        self.0.wrap(key, &mut wrapped).map_err(|_| CryptoError::Library("wrap a key"))?;
        Ok(core::mem::take(&mut *wrapped))
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<SecretVec, CryptoError> {
        let refused = CryptoError::Authentication;
        if wrapped.len() < M::WRAPPED_BYTES_MIN || !wrapped.len().is_multiple_of(HALF_BLOCK_BYTES) {
            return Err(refused);
        }
        let mut buffer = Zeroizing::new(vec![0; wrapped.len() - HALF_BLOCK_BYTES]);
        let bytes = self.0.unwrap(wrapped, &mut buffer).map_err(|_| refused)?.len();
        buffer.truncate(bytes);
        Ok(SecretVec::from_vec(core::mem::take(&mut *buffer)))
    }
}
