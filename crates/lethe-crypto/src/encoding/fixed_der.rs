//! DER of keys whose every part has a fixed length: `SubjectPublicKeyInfo` (RFC 5280) and version 1
//! of `PrivateKeyInfo` without attributes (RFC 5208), both without algorithm parameters.
//!
//! Nothing is parsed: what comes in is taken apart at the places where its parts must lie, written
//! anew, and compared. So there is one encoding, and it is read as strictly as it is written.

use lethe_types::SecretVec;
use pkcs8::ObjectIdentifier;
use subtle::ConstantTimeEq;

use super::der::{OCTET_STRING, SEQUENCE, bits, integer, oid, value};

/// The encodings of keys of one algorithm, by its object identifier.
pub(crate) struct KeyDer {
    pub(crate) oid: ObjectIdentifier,
}

impl KeyDer {
    fn algorithm(&self) -> SecretVec {
        value(SEQUENCE, &[oid(self.oid).expose()])
    }

    /// The `SubjectPublicKeyInfo` of `public`.
    pub(crate) fn spki(&self, public: &[u8]) -> Vec<u8> {
        value(SEQUENCE, &[self.algorithm().expose(), bits(public).expose()]).expose().to_vec()
    }

    /// The public key of `public_bytes` bytes in `spki`.
    pub(crate) fn public<'a>(&self, spki: &'a [u8], public_bytes: usize) -> Option<&'a [u8]> {
        let (_, public) = spki.split_at_checked(spki.len().checked_sub(public_bytes)?)?;
        (self.spki(public) == spki).then_some(public)
    }

    /// The `PrivateKeyInfo` whose `privateKey` contains `private`.
    pub(crate) fn pkcs8(&self, private: &[u8]) -> SecretVec {
        let octets = value(OCTET_STRING, &[private]);
        let version = integer(&[0]);
        value(SEQUENCE, &[version.expose(), self.algorithm().expose(), octets.expose()])
    }

    /// What the `privateKey` of `pkcs8` contains, if it has `private_bytes` bytes.
    pub(crate) fn private<'a>(&self, pkcs8: &'a [u8], private_bytes: usize) -> Option<&'a [u8]> {
        let (_, private) = pkcs8.split_at_checked(pkcs8.len().checked_sub(private_bytes)?)?;
        bool::from(self.pkcs8(private).expose().ct_eq(pkcs8)).then_some(private)
    }
}

/// The two secrets of a lattice key, as far as an encoding holds them.
pub(crate) enum LatticePrivate<'a> {
    Seed(&'a [u8]),
    Expanded(&'a [u8]),
    Both { seed: &'a [u8], expanded: &'a [u8] },
}

/// Bytes of tag and length before a seed, and before anything of 256 bytes or more.
const SHORT_HEAD_BYTES: usize = 2;
const LONG_HEAD_BYTES: usize = 4;
/// `[0]`, implicit: a seed alone (RFC 9881 section 6, RFC 9935 section 6).
const SEED: u8 = 0x80;

impl LatticePrivate<'_> {
    /// The three choices that RFC 9881 and RFC 9935 give.
    fn encode(&self) -> SecretVec {
        match self {
            Self::Seed(seed) => value(SEED, &[seed]),
            Self::Expanded(expanded) => value(OCTET_STRING, &[expanded]),
            Self::Both { seed, expanded } => {
                let seed = value(OCTET_STRING, &[seed]);
                let expanded = value(OCTET_STRING, &[expanded]);
                value(SEQUENCE, &[seed.expose(), expanded.expose()])
            }
        }
    }

    /// The `PrivateKeyInfo` of these secrets.
    pub(crate) fn to_pkcs8(&self, der: &KeyDer) -> SecretVec {
        der.pkcs8(self.encode().expose())
    }

    /// The secrets of these lengths in `pkcs8`.
    pub(crate) fn of_pkcs8<'a>(
        der: &KeyDer,
        pkcs8: &'a [u8],
        seed_bytes: usize,
        expanded_bytes: usize,
    ) -> Option<LatticePrivate<'a>> {
        let (seed_value, expanded_value) =
            (SHORT_HEAD_BYTES + seed_bytes, LONG_HEAD_BYTES + expanded_bytes);
        let both_value = LONG_HEAD_BYTES + seed_value + expanded_value;
        let found = if let Some(private) = der.private(pkcs8, seed_value) {
            LatticePrivate::Seed(private.get(SHORT_HEAD_BYTES..)?)
        } else if let Some(private) = der.private(pkcs8, expanded_value) {
            LatticePrivate::Expanded(private.get(LONG_HEAD_BYTES..)?)
        } else {
            let private = der.private(pkcs8, both_value)?;
            let (seed, expanded) = private.get(LONG_HEAD_BYTES..)?.split_at_checked(seed_value)?;
            let seed = seed.get(SHORT_HEAD_BYTES..)?;
            LatticePrivate::Both { seed, expanded: expanded.get(LONG_HEAD_BYTES..)? }
        };
        bool::from(found.to_pkcs8(der).expose().ct_eq(pkcs8)).then_some(found)
    }
}
