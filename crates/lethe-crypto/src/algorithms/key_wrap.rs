//! AES key wrapping: KW (RFC 3394) and KWP (RFC 5649), both SP 800-38F.
//!
//! From the `aes-kw` crate (not audited; its AES was, by NCC Group in 2020, at an earlier version)
//! and not from `aws-lc-rs`, which has no AES-192 here, expands the key anew for every call and
//! leaves a copy of it in freed memory. A test holds the two against each other.
//!
//! RFC 3394 lets an application choose the initial value (section 2.2.3); neither library does, so
//! that for those the steps of the RFC are written out here, over the block cipher of the crate
//! (decision 021). Tests hold them against both libraries.

use aes_gcm::KeyInit;
use aes_gcm::aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, consts::U16};
use aes_gcm::aes::{Aes128, Aes192, Aes256};
use aes_kw::{AesKw, AesKwp, InnerInit};
use lethe_types::{Entropy, SecretVec};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::{ExpandedKey, Family, octets, random};
use crate::CryptoError;
use crate::registry::KeyFormat;

pub(crate) static AES_128_KW: KeyWrap =
    KeyWrap { key_bytes: 16, jwa_name: Some("A128KW"), expand: expand_block::<Aes128> };
pub(crate) static AES_192_KW: KeyWrap =
    KeyWrap { key_bytes: 24, jwa_name: Some("A192KW"), expand: expand_block::<Aes192> };
pub(crate) static AES_256_KW: KeyWrap =
    KeyWrap { key_bytes: 32, jwa_name: Some("A256KW"), expand: expand_block::<Aes256> };
pub(crate) static AES_128_KWP: KeyWrap =
    KeyWrap { key_bytes: 16, jwa_name: None, expand: expand_padded::<AesKwp<Aes128>> };
pub(crate) static AES_192_KWP: KeyWrap =
    KeyWrap { key_bytes: 24, jwa_name: None, expand: expand_padded::<AesKwp<Aes192>> };
pub(crate) static AES_256_KWP: KeyWrap =
    KeyWrap { key_bytes: 32, jwa_name: None, expand: expand_padded::<AesKwp<Aes256>> };

/// Bytes of a half block, the unit of these modes and what a wrapping adds.
const HALF_BLOCK_BYTES: usize = 8;
type HalfBlock = [u8; HALF_BLOCK_BYTES];
/// Least half blocks of a key that KW takes (SP 800-38F table 1).
const HALF_BLOCKS_MIN: usize = 2;
/// Least bytes that KWP wraps anything to.
const PADDED_BYTES_MIN: usize = 16;
/// Times that every half block is encrypted.
const ROUNDS: usize = 6;

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

const WRONG_MATERIAL: CryptoError = CryptoError::Invalid("length of the key material");
const WRONG_LENGTH: CryptoError = CryptoError::Invalid("length of the key to wrap");

fn expand_block<C>(material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError>
where
    C: Block + KeyInit + 'static,
{
    let block = C::new_from_slice(material).map_err(|_| WRONG_MATERIAL)?;
    Ok(Box::new(KwKey(block)))
}

fn expand_padded<M: Padded + KeyInit + 'static>(
    material: &[u8],
) -> Result<Box<dyn ExpandedKey>, CryptoError> {
    let mode = M::new_from_slice(material).map_err(|_| WRONG_MATERIAL)?;
    Ok(Box::new(KwpKey(mode)))
}

/// A block cipher as these modes need it.
trait Block: BlockCipherEncrypt<BlockSize = U16> + BlockCipherDecrypt + Send + Sync {}

impl<C: BlockCipherEncrypt<BlockSize = U16> + BlockCipherDecrypt + Send + Sync> Block for C {}

/// KW: the mode is the library's, made anew around the expanded key for each call.
struct KwKey<C>(C);

impl<C: Block> KwKey<C> {
    fn check_length(key: &[u8]) -> Result<(), CryptoError> {
        let halves = key.len() / HALF_BLOCK_BYTES;
        let is_taken = halves >= HALF_BLOCKS_MIN && key.len().is_multiple_of(HALF_BLOCK_BYTES);
        if is_taken { Ok(()) } else { Err(WRONG_LENGTH) }
    }

    /// What is unwrapped: the value in front, and the half blocks after it.
    fn check_wrapped(wrapped: &[u8]) -> Result<(HalfBlock, &[u8]), CryptoError> {
        let refused = CryptoError::Authentication;
        let (first, rest) = wrapped.split_first_chunk().ok_or(refused)?;
        Self::check_length(rest).map_err(|_| refused)?;
        Ok((*first, rest))
    }
}

impl<C: Block> ExpandedKey for KwKey<C> {
    fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Self::check_length(key)?;
        // Wiped if the library fails half-way: it starts with a copy of the key.
        let mut wrapped = Zeroizing::new(vec![0; key.len() + HALF_BLOCK_BYTES]);
        let mode = AesKw::inner_init(&self.0);
        mode.wrap_key(key, &mut wrapped).map_err(|_| CryptoError::Library("wrap a key"))?;
        Ok(core::mem::take(&mut *wrapped))
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<SecretVec, CryptoError> {
        let (_, rest) = Self::check_wrapped(wrapped)?;
        SecretVec::try_init_with(rest.len(), |key| {
            let mode = AesKw::inner_init(&self.0);
            let opened = mode.unwrap_key(wrapped, key);
            opened.map(drop).map_err(|_| CryptoError::Authentication)
        })
    }

    fn wrap_from(&self, initial_value: &HalfBlock, key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Self::check_length(key)?;
        let mut value = *initial_value;
        let mut wrapped = Zeroizing::new(vec![0; HALF_BLOCK_BYTES]);
        wrapped.extend_from_slice(key);
        let (front, halves) = wrapped.split_at_mut(HALF_BLOCK_BYTES);
        mix(&self.0, &mut value, halves);
        front.copy_from_slice(&value);
        Ok(core::mem::take(&mut *wrapped))
    }

    fn unwrap_from(
        &self,
        initial_value: &HalfBlock,
        wrapped: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        let (mut value, rest) = Self::check_wrapped(wrapped)?;
        SecretVec::try_init_with(rest.len(), |key| {
            key.copy_from_slice(rest);
            unmix(&self.0, &mut value, key);
            // Nothing of the key is told before this: an error wipes it.
            let is_right = bool::from(value.ct_eq(initial_value));
            if is_right { Ok(()) } else { Err(CryptoError::Authentication) }
        })
    }
}

/// `W` of SP 800-38F section 6.1, RFC 3394 section 2.2.1 (index-based): six rounds over the half
/// blocks.
fn mix<C: Block>(cipher: &C, value: &mut HalfBlock, halves: &mut [u8]) {
    let mut count: u64 = 0;
    for _ in 0..ROUNDS {
        for half in halves.chunks_exact_mut(HALF_BLOCK_BYTES) {
            count += 1;
            let mut block = joined(value, half);
            cipher.encrypt_block(&mut block);
            let (first, second) = block.split_at(HALF_BLOCK_BYTES);
            value.copy_from_slice(first);
            half.copy_from_slice(second);
            count_into(value, count);
            block.zeroize();
        }
    }
}

/// `W` backwards (RFC 3394 section 2.2.2).
fn unmix<C: Block>(cipher: &C, value: &mut HalfBlock, halves: &mut [u8]) {
    // Lengths are bounded long before numbers are.
    let mut count = u64::try_from(ROUNDS * (halves.len() / HALF_BLOCK_BYTES)).unwrap_or(u64::MAX);
    for _ in 0..ROUNDS {
        for half in halves.chunks_exact_mut(HALF_BLOCK_BYTES).rev() {
            count_into(value, count);
            count = count.saturating_sub(1);
            let mut block = joined(value, half);
            cipher.decrypt_block(&mut block);
            let (first, second) = block.split_at(HALF_BLOCK_BYTES);
            value.copy_from_slice(first);
            half.copy_from_slice(second);
            block.zeroize();
        }
    }
}

fn joined(value: &HalfBlock, half: &[u8]) -> Array<u8, U16> {
    let mut block = Array::<u8, U16>::default();
    let (first, second) = block.split_at_mut(HALF_BLOCK_BYTES);
    first.copy_from_slice(value);
    second.copy_from_slice(half);
    block
}

/// The number of a step, counted from 1 over all rounds, is added without carry.
fn count_into(value: &mut HalfBlock, count: u64) {
    value.iter_mut().zip(count.to_be_bytes()).for_each(|(byte, counted)| *byte ^= counted);
}

/// KWP with its expanded key.
trait Padded: Send + Sync {
    fn wrap<'a>(&self, key: &[u8], wrapped: &'a mut [u8]) -> Result<&'a [u8], aes_kw::Error>;

    fn unwrap<'a>(&self, wrapped: &[u8], key: &'a mut [u8]) -> Result<&'a [u8], aes_kw::Error>;
}

macro_rules! padded {
    ($($cipher:ident),*) => {$(
        impl Padded for AesKwp<$cipher> {
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

padded!(Aes128, Aes192, Aes256);

struct KwpKey<M>(M);

impl<M: Padded> ExpandedKey for KwpKey<M> {
    fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if key.is_empty() {
            return Err(WRONG_LENGTH);
        }
        let bytes = key.len().next_multiple_of(HALF_BLOCK_BYTES) + HALF_BLOCK_BYTES;
        let mut wrapped = Zeroizing::new(vec![0; bytes]);
        self.0.wrap(key, &mut wrapped).map_err(|_| CryptoError::Library("wrap a key"))?;
        Ok(core::mem::take(&mut *wrapped))
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<SecretVec, CryptoError> {
        let refused = CryptoError::Authentication;
        if wrapped.len() < PADDED_BYTES_MIN || !wrapped.len().is_multiple_of(HALF_BLOCK_BYTES) {
            return Err(refused);
        }
        let mut buffer = Zeroizing::new(vec![0; wrapped.len() - HALF_BLOCK_BYTES]);
        let bytes = self.0.unwrap(wrapped, &mut buffer).map_err(|_| refused)?.len();
        buffer.truncate(bytes);
        Ok(SecretVec::from_vec(core::mem::take(&mut *buffer)))
    }
}
