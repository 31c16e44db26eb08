//! Cryptography over well-kept libraries: narrow functions, typed keys, sealed values, and the one
//! registry through which every algorithm enters Lethe.
//!
//! Layer 1. No primitive is written here: they come from `aws-lc-rs`, and what it does not have
//! from crates that docs/decisions/010 (not audited), 011 and 014 name. No I/O, no clock.

pub mod aead;
mod algorithms;
pub mod convergent;
mod encoding;
mod entropy;
mod error;
pub mod hash;
pub mod kdf;
pub mod note_key;
pub mod otp;
pub mod passphrase;
pub mod registry;
pub mod sealed;
pub mod shares;
pub mod signing_key;
pub mod token;
pub mod transport;

pub use encoding::KEY_FORM_BYTES_MAX;
pub use entropy::SystemEntropy;
pub use error::CryptoError;

#[cfg(test)]
mod tests;
