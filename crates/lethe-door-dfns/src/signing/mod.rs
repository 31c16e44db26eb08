//! Kinds of signature requests: what is signed, and how the signature is written. Pure.
//!
//! [`SigningRequest::read`] takes the body of a request and the kind of the key, refuses what does
//! not fit, and says what the engine signs; [`SigningRequest::answer`] writes what the engine made.
//! It knows no key, no store and no clock.
//!
//! Read in this order: `kinds.rs` (the kinds of requests), `chains.rs` (whose form a signature
//! has), `eip712.rs`, `transaction.rs`, `answer.rs`.

mod answer;
mod chains;
mod derive;
mod eip712;
pub(crate) mod fields;
mod kinds;
mod number;
mod rlp;
mod transaction;

use lethe_crypto::registry::SignatureScheme;
use serde_json::{Map, Value};

pub use answer::{SignatureAnswer, WrittenSignature};
pub use derive::{DeriveRequest, derive_answer};
pub use kinds::SigningRequest;

/// What a key can do here: its scheme and its curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on secp256k1.
    Ecdsa,
    /// ECDSA on the Stark curve.
    EcdsaStark,
    /// EdDSA on Ed25519.
    EdDsa,
    /// Schnorr signatures of BIP-340 on secp256k1.
    Schnorr,
    /// Agreement with hashed points on secp256k1.
    Dh,
}

/// Where the material of a key comes from, which decides on the form that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is drawn here.
    Drawn,
    /// It is a scalar: out of shares, or derived.
    Scalar,
    /// It may be the parent of others.
    Master,
}

impl KeyKind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Ecdsa, Self::EcdsaStark, Self::EdDsa, Self::Schnorr, Self::Dh];

    /// The kind of a scheme and a curve as they are written; `None` for a pair that is none.
    #[must_use]
    pub fn of(scheme: &str, curve: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.scheme() == scheme && kind.curve() == curve)
    }

    /// The scheme as it is written.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Ecdsa | Self::EcdsaStark => "ECDSA",
            Self::EdDsa => "EdDSA",
            Self::Schnorr => "Schnorr",
            Self::Dh => "DH",
        }
    }

    /// The curve as it is written.
    #[must_use]
    pub const fn curve(self) -> &'static str {
        match self {
            Self::Ecdsa | Self::Schnorr | Self::Dh => "secp256k1",
            Self::EcdsaStark => "stark",
            Self::EdDsa => "ed25519",
        }
    }

    /// The name of the algorithm in the registry; `None` where there is none: a key that agrees
    /// has no children.
    #[must_use]
    pub const fn algorithm_name(self, origin: Origin) -> Option<&'static str> {
        match (self, origin) {
            (Self::Ecdsa | Self::Schnorr, Origin::Master) => Some("bip32-secp256k1"),
            (Self::EcdsaStark, Origin::Master) => Some("hd-stark"),
            (Self::EdDsa, Origin::Master) => Some("hd-ed25519"),
            (Self::Dh, Origin::Master) => None,
            (Self::Ecdsa, Origin::Drawn | Origin::Scalar) => Some("ecdsa-secp256k1"),
            (Self::EcdsaStark, Origin::Drawn | Origin::Scalar) => Some("stark"),
            (Self::EdDsa, Origin::Drawn) => Some("ed25519"),
            (Self::EdDsa, Origin::Scalar) => Some("ed25519-expanded"),
            (Self::Schnorr, Origin::Drawn | Origin::Scalar) => Some("bip340-secp256k1"),
            (Self::Dh, Origin::Drawn | Origin::Scalar) => Some("ecdh-secp256k1"),
        }
    }

    /// The scheme that its signatures have; `None` if it makes none.
    const fn signature_scheme(self) -> Option<SignatureScheme> {
        match self {
            Self::Ecdsa => Some(SignatureScheme::EcdsaSha256P1363),
            Self::EcdsaStark => Some(SignatureScheme::Stark),
            Self::EdDsa => Some(SignatureScheme::Ed25519),
            Self::Schnorr => Some(SignatureScheme::Bip340Taproot),
            Self::Dh => None,
        }
    }
}

/// Why a request is a bad one: an answer 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// For people; names the field.
    pub message: String,
    /// For programs.
    pub details: Map<String, Value>,
}

impl Refused {
    /// A request whose `field` is not right.
    #[must_use]
    pub fn field(field: &str, why: &str) -> Self {
        let details = [("field", field), ("reason", why)];
        let details = details.map(|(name, value)| (name.to_owned(), Value::from(value)));
        Self { message: format!("`{field}`: {why}"), details: Map::from_iter(details) }
    }

    /// A kind of signature that is not served.
    fn kind(kind: &str, key_id: &str) -> Self {
        let message = format!("signature kind \"{kind}\" is not supported by this server");
        let details = [("kind", kind), ("keyId", key_id)];
        let details = details.map(|(name, value)| (name.to_owned(), Value::from(value)));
        Self { message, details: Map::from_iter(details) }
    }
}

#[cfg(test)]
mod tests;
