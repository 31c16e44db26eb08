//! The formats in which key shares are imported and exported.
//!
//! The dialect splits keys among signers. One server plays all of them: it holds a decryption key
//! for each, puts the shares of an import together, and takes the scalar of an export apart. Shares
//! on one server protect from nothing; they are a format.
//!
//! `signers.rs` has the decryption keys, which never leave the engine; `sealed.rs` the encryption;
//! `import.rs` and `export.rs` the bodies.

mod export;
mod import;
mod sealed;
mod signers;

use lethe_crypto::CryptoError;
use lethe_crypto::registry::{Algorithm, KeyFormat};
use lethe_crypto::shares::ScalarField;
use lethe_engine::EngineError;
use lethe_types::{Secret, SecretVec};
use zeroize::Zeroizing;

pub use export::ExportForm;
pub use import::{ImportForm, Imported};
pub use signers::Signers;

use crate::signing::{KeyKind, Origin, Refused};

/// Bytes of a scalar.
const SCALAR_BYTES: usize = 32;
/// Most shares of one key, as a count.
const SHARES_MAX: usize = 32;

/// Why an import or an export was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareError {
    /// The request is a bad one.
    Refused(Refused),
    /// The engine's refusal.
    Engine(EngineError),
}

impl From<Refused> for ShareError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<EngineError> for ShareError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<CryptoError> for ShareError {
    fn from(error: CryptoError) -> Self {
        Self::Engine(error.into())
    }
}

/// A protocol for signatures with shares; here no more than a name that tells a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Cggmp21,
    Cggmp24,
    Frost,
    FrostBitcoin,
    Glow20Dh,
    Ku23,
}

impl Protocol {
    const ALL: [Self; 6] =
        [Self::Cggmp21, Self::Cggmp24, Self::Frost, Self::FrostBitcoin, Self::Glow20Dh, Self::Ku23];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Cggmp21 => "CGGMP21",
            Self::Cggmp24 => "CGGMP24",
            Self::Frost => "FROST",
            Self::FrostBitcoin => "FROST_BITCOIN",
            Self::Glow20Dh => "GLOW20_DH",
            Self::Ku23 => "KU23",
        }
    }

    fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == text)
    }

    /// What keys of the protocol are on that curve.
    fn kind(self, curve: &str) -> Option<KeyKind> {
        let scheme = match self {
            Self::Cggmp21 | Self::Cggmp24 => KeyKind::Ecdsa.scheme(),
            Self::Frost => KeyKind::EdDsa.scheme(),
            Self::FrostBitcoin => KeyKind::Schnorr.scheme(),
            Self::Glow20Dh => KeyKind::Dh.scheme(),
            // Nobody says which keys those are.
            Self::Ku23 => return None,
        };
        KeyKind::of(scheme, curve)
    }
}

/// The numbers that keys of that kind are.
const fn field_of(kind: KeyKind) -> ScalarField {
    match kind {
        KeyKind::Ecdsa | KeyKind::Schnorr | KeyKind::Dh => ScalarField::Secp256k1,
        KeyKind::EcdsaStark => ScalarField::Stark,
        KeyKind::EdDsa => ScalarField::Ed25519,
    }
}

/// The algorithm of a scalar of that kind.
fn scalar_algorithm(kind: KeyKind) -> Result<Algorithm, EngineError> {
    let name = kind.algorithm_name(Origin::Scalar);
    let name = name.ok_or(EngineError::Internal("a kind of key without an algorithm"))?;
    Algorithm::from_name(name).map_err(|_| EngineError::AlgorithmNotAvailable(name.to_owned()))
}

/// A scalar, big-endian, in the byte order of its algorithm.
fn in_own_order(kind: KeyKind, scalar: &Secret<SCALAR_BYTES>) -> Secret<SCALAR_BYTES> {
    let mut bytes = Zeroizing::new(*scalar.expose());
    if kind == KeyKind::EdDsa {
        bytes.reverse();
    }
    Secret::init_with(|buf| *buf = *bytes)
}

/// The public key of a scalar as shares carry it: uncompressed on Weierstrass curves.
fn public_of(kind: KeyKind, scalar: &Secret<SCALAR_BYTES>) -> Result<Vec<u8>, EngineError> {
    let own = in_own_order(kind, scalar);
    let material = scalar_algorithm(kind)?.import(KeyFormat::Raw, own.expose())?;
    let public = material.public_key().ok_or(EngineError::Internal("a pair without a half"))?;
    Ok(public.raw().to_vec())
}

/// The first 32 bytes of a secret.
fn first_part(bytes: &SecretVec) -> Option<Secret<SCALAR_BYTES>> {
    let part: &[u8; SCALAR_BYTES] = bytes.expose().first_chunk()?;
    Some(Secret::init_with(|buf| *buf = *part))
}

/// Bytes in lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    crate::signing::fields::to_hex(bytes).split_off(2)
}

#[cfg(test)]
mod tests;
