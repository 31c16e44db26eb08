//! AES keys for whichever mode a request names: GCM (the default), CBC, ECB, and wrapping of keys
//! (RFC 3394). For formats and systems in which one key serves several modes; where there is a
//! choice, a key for one mode is the better one: what is learned about it in a mode without
//! authentication (`block_mode.rs`) does not touch another.

use lethe_types::{Entropy, SecretVec};

use super::aead::{self, Aead};
use super::block_mode::{self, BlockMode};
use super::key_wrap::{self, KeyWrap};
use super::{ExpandedKey, Family, octets, random};
use crate::CryptoError;
use crate::registry::{
    CipherMode, CipherParts, CipherShape, DecryptParams, EncryptParams, KeyFormat,
};

pub(crate) static AES_128: Aes = Aes {
    key_bytes: 16,
    gcm: &aead::AES_128_GCM,
    cbc: &block_mode::AES_128_CBC,
    ecb: &block_mode::AES_128_ECB,
    wrap: &key_wrap::AES_128_KW,
};
pub(crate) static AES_192: Aes = Aes {
    key_bytes: 24,
    gcm: &aead::AES_192_GCM,
    cbc: &block_mode::AES_192_CBC,
    ecb: &block_mode::AES_192_ECB,
    wrap: &key_wrap::AES_192_KW,
};
pub(crate) static AES_256: Aes = Aes {
    key_bytes: 32,
    gcm: &aead::AES_256_GCM,
    cbc: &block_mode::AES_256_CBC,
    ecb: &block_mode::AES_256_ECB,
    wrap: &key_wrap::AES_256_KW,
};

/// One key length, and the families of its modes.
pub(crate) struct Aes {
    key_bytes: usize,
    gcm: &'static Aead,
    cbc: &'static BlockMode,
    ecb: &'static BlockMode,
    wrap: &'static KeyWrap,
}

impl Family for Aes {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, self.key_bytes)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(AesKey {
            gcm: self.gcm.load(material)?,
            cbc: self.cbc.load(material)?,
            ecb: self.ecb.load(material)?,
            wrap: self.wrap.load(material)?,
        }))
    }

    /// That of the default mode.
    fn cipher_shape(&self) -> Option<CipherShape> {
        self.gcm.cipher_shape()
    }

    fn takes_modes(&self) -> bool {
        true
    }

    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        octets::import(None, format, bytes)
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        octets::export(None, format, material)
    }
}

/// The expanded key of each mode.
struct AesKey {
    gcm: Box<dyn ExpandedKey>,
    cbc: Box<dyn ExpandedKey>,
    ecb: Box<dyn ExpandedKey>,
    wrap: Box<dyn ExpandedKey>,
}

impl AesKey {
    fn of(&self, mode: Option<CipherMode>) -> &dyn ExpandedKey {
        match mode {
            None | Some(CipherMode::Gcm) => &*self.gcm,
            Some(CipherMode::Cbc) => &*self.cbc,
            Some(CipherMode::Ecb) => &*self.ecb,
        }
    }
}

impl ExpandedKey for AesKey {
    fn encrypt_with(
        &self,
        entropy: &dyn Entropy,
        params: &EncryptParams<'_>,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<CipherParts, CryptoError> {
        self.of(params.mode).encrypt_with(entropy, params, plaintext, out)
    }

    fn decrypt_with(
        &self,
        params: &DecryptParams<'_>,
        data: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        self.of(params.mode).decrypt_with(params, data)
    }

    fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.wrap.wrap(key)
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<SecretVec, CryptoError> {
        self.wrap.unwrap(wrapped)
    }

    fn wrap_from(&self, initial_value: &[u8; 8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.wrap.wrap_from(initial_value, key)
    }

    fn unwrap_from(
        &self,
        initial_value: &[u8; 8],
        wrapped: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        self.wrap.unwrap_from(initial_value, wrapped)
    }
}
