//! Cryptography over well-kept libraries: narrow functions, typed keys, sealed values, and the one
//! registry through which every algorithm enters Lethe.
//!
//! Layer 1. No primitive is written here: they come from `aws-lc-rs` and `argon2`. No I/O, no
//! clock.

pub mod aead;
mod algorithms;
mod entropy;
mod error;
pub mod hash;
pub mod kdf;
pub mod note_key;
pub mod otp;
pub mod passphrase;
pub mod registry;
pub mod sealed;
pub mod signing_key;
pub mod token;

pub use entropy::SystemEntropy;
pub use error::CryptoError;

#[cfg(test)]
mod tests;
