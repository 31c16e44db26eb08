//! AES in the modes of SP 800-38A: CBC, CTR, ECB and OFB. **None of them authenticates**: an
//! altered ciphertext decrypts to something else, and nobody notices. They are here for formats
//! that exist; new designs take an AEAD.
//!
//! Initialisation vectors have 16 bytes. That of CTR is the first counter block; the counter is all
//! of it, big-endian, so that two messages under one key whose counters overlap give both away:
//! with random ones that is a matter of 2^-32 after 2^32 messages of a mebibyte. ECB has none
//! and shows equal blocks.

use aws_lc_rs::cipher::{
    self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use lethe_types::{Entropy, SecretVec};
use subtle::{Choice, ConstantTimeEq, ConstantTimeGreater};
use zeroize::{Zeroize, Zeroizing};

use super::cipher::{check_request, choose_nonce, lay_out, never_derived, split};
use super::{ExpandedKey, Family, octets, random};
use crate::CryptoError;
use crate::registry::{
    BlockPadding, CipherParts, CipherShape, DecryptParams, EncryptParams, KeyFormat,
};

pub(crate) static AES_128_CBC: BlockMode = cbc(16, &cipher::AES_128, "A128CBC");
pub(crate) static AES_192_CBC: BlockMode = cbc(24, &cipher::AES_192, "A192CBC");
pub(crate) static AES_256_CBC: BlockMode = cbc(32, &cipher::AES_256, "A256CBC");
pub(crate) static AES_128_CTR: BlockMode = ctr(16, &cipher::AES_128, "A128CTR");
pub(crate) static AES_192_CTR: BlockMode = ctr(24, &cipher::AES_192, "A192CTR");
pub(crate) static AES_256_CTR: BlockMode = ctr(32, &cipher::AES_256, "A256CTR");
pub(crate) static AES_128_ECB: BlockMode = ecb(16, &cipher::AES_128);
pub(crate) static AES_192_ECB: BlockMode = ecb(24, &cipher::AES_192);
pub(crate) static AES_256_ECB: BlockMode = ecb(32, &cipher::AES_256);
pub(crate) static AES_128_OFB: BlockMode = ofb(16, &cipher::AES_128);
pub(crate) static AES_192_OFB: BlockMode = ofb(24, &cipher::AES_192);
pub(crate) static AES_256_OFB: BlockMode = ofb(32, &cipher::AES_256);

/// Bytes of a block and of an initialisation vector.
const BLOCK_BYTES: usize = 16;
/// The number in a padding that fills a block.
const FULL_PADDING: u8 = 16;

/// One key length in one mode.
pub(crate) struct BlockMode {
    mode: Mode,
    key_bytes: usize,
    library: &'static cipher::Algorithm,
    /// The `alg` of a JSON Web Key, of those that the JOSE registry lists (for Web Cryptography).
    jwa_name: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Cbc,
    Ctr,
    Ecb,
    Ofb,
}

const fn cbc(
    key_bytes: usize,
    library: &'static cipher::Algorithm,
    jwa_name: &'static str,
) -> BlockMode {
    BlockMode { mode: Mode::Cbc, key_bytes, library, jwa_name: Some(jwa_name) }
}

const fn ctr(
    key_bytes: usize,
    library: &'static cipher::Algorithm,
    jwa_name: &'static str,
) -> BlockMode {
    BlockMode { mode: Mode::Ctr, key_bytes, library, jwa_name: Some(jwa_name) }
}

const fn ecb(key_bytes: usize, library: &'static cipher::Algorithm) -> BlockMode {
    BlockMode { mode: Mode::Ecb, key_bytes, library, jwa_name: None }
}

const fn ofb(key_bytes: usize, library: &'static cipher::Algorithm) -> BlockMode {
    BlockMode { mode: Mode::Ofb, key_bytes, library, jwa_name: None }
}

impl Mode {
    const fn shape(self) -> CipherShape {
        let (nonce_bytes, explicit_nonce_bytes): (_, &[usize]) = match self {
            Self::Cbc | Self::Ctr | Self::Ofb => (BLOCK_BYTES, &[BLOCK_BYTES]),
            Self::Ecb => (0, &[0]),
        };
        let padding = match self {
            Self::Cbc => Some(BlockPadding::Pkcs7),
            Self::Ecb => Some(BlockPadding::Unpadded),
            Self::Ctr | Self::Ofb => None,
        };
        CipherShape {
            is_authenticated: false,
            nonce_bytes,
            explicit_nonce_bytes,
            tag_bytes: 0,
            padding,
            is_deterministic_allowed: false,
        }
    }
}

impl Family for BlockMode {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, self.key_bytes)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let refused = |_| CryptoError::Invalid("length of the key material");
        let unbound = || UnboundCipherKey::new(self.library, material).map_err(refused);
        let (encrypting, decrypting) = match self.mode {
            Mode::Cbc => (EncryptingKey::cbc(unbound()?), DecryptingKey::cbc(unbound()?)),
            Mode::Ctr => (EncryptingKey::ctr(unbound()?), DecryptingKey::ctr(unbound()?)),
            Mode::Ecb => (EncryptingKey::ecb(unbound()?), DecryptingKey::ecb(unbound()?)),
            Mode::Ofb => (EncryptingKey::ofb(unbound()?), DecryptingKey::ofb(unbound()?)),
        };
        Ok(Box::new(BlockModeKey {
            mode: self.mode,
            encrypting: encrypting.map_err(refused)?,
            decrypting: decrypting.map_err(refused)?,
        }))
    }

    fn cipher_shape(&self) -> Option<CipherShape> {
        Some(self.mode.shape())
    }

    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        octets::import(self.jwa_name, format, bytes)
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        octets::export(self.jwa_name, format, material)
    }
}

/// The key schedules. The library overwrites them where they are dropped; the moves while they are
/// made can leave copies on the stack.
struct BlockModeKey {
    mode: Mode,
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
}

impl BlockModeKey {
    /// The padding that is meant.
    fn padding(&self, wanted: Option<BlockPadding>) -> BlockPadding {
        wanted.or(self.mode.shape().padding).unwrap_or(BlockPadding::Unpadded)
    }

    /// Whether only whole blocks go in and out.
    fn takes_blocks(&self) -> bool {
        self.mode.shape().padding.is_some()
    }

    fn decrypt_in_place(&self, nonce: &[u8], data: &mut [u8]) -> Result<(), CryptoError> {
        if data.is_empty() {
            return Ok(());
        }
        let refused = CryptoError::Invalid("length of the ciphertext");
        let context = match <&[u8; BLOCK_BYTES]>::try_from(nonce) {
            Ok(iv) => DecryptionContext::Iv128(iv.into()),
            Err(_) => DecryptionContext::None,
        };
        self.decrypting.decrypt(data, context).map(drop).map_err(|_| refused)
    }
}

impl ExpandedKey for BlockModeKey {
    fn encrypt_with(
        &self,
        entropy: &dyn Entropy,
        params: &EncryptParams<'_>,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<CipherParts, CryptoError> {
        let shape = self.mode.shape();
        check_request(&shape, params.aad, params.padding)?;
        let rest = plaintext.len() % BLOCK_BYTES;
        let padding_bytes = match self.padding(params.padding) {
            BlockPadding::Pkcs7 => BLOCK_BYTES - rest,
            BlockPadding::Unpadded if self.takes_blocks() && rest != 0 => {
                return Err(CryptoError::Invalid("length of the plaintext: not whole blocks"));
            }
            BlockPadding::Unpadded => 0,
        };
        let nonce = choose_nonce(&shape, entropy, params.nonce, never_derived)?;
        let failed = CryptoError::Library("encrypt");
        let bytes = plaintext.len() + padding_bytes;
        let (parts, data) = lay_out(out, nonce.as_slice(), bytes, 0);
        if data.is_empty() {
            return Ok(parts);
        }
        let (head, tail) = data.split_at_mut_checked(plaintext.len()).ok_or(failed)?;
        head.copy_from_slice(plaintext);
        tail.fill(u8::try_from(padding_bytes).map_err(|_| failed)?);
        let context = match <&[u8; BLOCK_BYTES]>::try_from(nonce.as_slice()) {
            Ok(iv) => EncryptionContext::Iv128(iv.into()),
            Err(_) => EncryptionContext::None,
        };
        if self.encrypting.less_safe_encrypt(data, context).is_err() {
            // It may still hold the plaintext.
            data.zeroize();
            return Err(failed);
        }
        Ok(parts)
    }

    fn decrypt_with(
        &self,
        params: &DecryptParams<'_>,
        data: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        let shape = self.mode.shape();
        check_request(&shape, params.aad, params.padding)?;
        let found = split(&shape, params, data)?;
        let is_whole = found.ciphertext.len().is_multiple_of(BLOCK_BYTES);
        match self.padding(params.padding) {
            BlockPadding::Unpadded if self.takes_blocks() && !is_whole => {
                return Err(CryptoError::Invalid("length of the ciphertext: not whole blocks"));
            }
            BlockPadding::Unpadded => {}
            BlockPadding::Pkcs7 if !is_whole || found.ciphertext.is_empty() => {
                return Err(CryptoError::Authentication);
            }
            BlockPadding::Pkcs7 => {
                let mut plaintext = Zeroizing::new(found.ciphertext.to_vec());
                self.decrypt_in_place(found.nonce, &mut plaintext)?;
                let bytes = unpadded_bytes(&plaintext).ok_or(CryptoError::Authentication)?;
                plaintext.truncate(bytes);
                return Ok(SecretVec::from_vec(core::mem::take(&mut *plaintext)));
            }
        }
        SecretVec::try_init_with(found.ciphertext.len(), |plaintext| {
            plaintext.copy_from_slice(found.ciphertext);
            self.decrypt_in_place(found.nonce, plaintext)
        })
    }
}

/// How much of `padded` is plaintext; `None` for a wrong padding. Looks at the whole last block
/// whatever is in it: the library's own function stops at the first byte that is wrong.
fn unpadded_bytes(padded: &[u8]) -> Option<usize> {
    let block = padded.last_chunk::<BLOCK_BYTES>()?;
    let [.., number] = block;
    let mut is_right = !number.ct_eq(&0) & !number.ct_gt(&FULL_PADDING);
    for (distance, byte) in (1..=FULL_PADDING).zip(block.iter().rev()) {
        let is_padding: Choice = !distance.ct_gt(number);
        is_right &= !is_padding | byte.ct_eq(number);
    }
    // From here on the answer is public: it is the length of the plaintext.
    if bool::from(is_right) { padded.len().checked_sub(usize::from(*number)) } else { None }
}
