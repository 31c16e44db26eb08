//! Hashes that signatures stand on.

use aws_lc_rs::digest;
use sha3::{Digest as _, Keccak256};

use crate::CryptoError;
use crate::registry::SignInput;

/// One hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    /// As Ethereum uses it: the Keccak of the contest, padded unlike SHA3-256 (FIPS 202).
    Keccak256,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// Bytes of a digest.
    pub(super) fn digest_bytes(self) -> usize {
        match self {
            Self::Keccak256 | Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The hash of the message, or the digest that was made elsewhere.
    pub(super) fn of(self, input: SignInput<'_>) -> Result<Vec<u8>, CryptoError> {
        match input {
            SignInput::Message(message) => Ok(self.digest(message)),
            SignInput::Digest(digest) if digest.len() == self.digest_bytes() => Ok(digest.to_vec()),
            SignInput::Digest(_) => Err(CryptoError::Invalid("length of the digest")),
        }
    }

    /// What the library calls it; for Keccak-256, which it does not have, the hash of that length.
    pub(super) fn native(self) -> &'static digest::Algorithm {
        match self {
            Self::Keccak256 | Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    pub(super) fn digest(self, message: &[u8]) -> Vec<u8> {
        if self == Self::Keccak256 {
            return Keccak256::digest(message).to_vec();
        }
        digest::digest(self.native(), message).as_ref().to_vec()
    }
}
