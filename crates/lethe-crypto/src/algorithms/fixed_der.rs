//! DER of keys whose every part has a fixed length: `SubjectPublicKeyInfo` (RFC 5280) and version 1
//! of `PrivateKeyInfo` without attributes (RFC 5208), both without algorithm parameters.
//!
//! Nothing is parsed: what comes in is taken apart at the places where its parts must lie, written
//! anew, and compared. So there is one encoding, and it is read as strictly as it is written.

use lethe_types::SecretVec;
use subtle::ConstantTimeEq;

const INTEGER_ZERO: &[u8] = &[0x02, 0x01, 0x00];
const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;

/// One value: tag, length, and `parts` behind each other. For contents below 64 KiB.
pub(super) fn value(tag: u8, parts: &[&[u8]]) -> SecretVec {
    let content: usize = parts.iter().map(|part| part.len()).sum();
    let [.., high, low] = content.to_be_bytes();
    let mut der = Vec::with_capacity(4 + content);
    der.push(tag);
    match content {
        0..=0x7f => der.push(low),
        0x80..=0xff => der.extend_from_slice(&[0x81, low]),
        _ => der.extend_from_slice(&[0x82, high, low]),
    }
    for part in parts {
        der.extend_from_slice(part);
    }
    SecretVec::from_vec(der)
}

/// The encodings of keys of one algorithm, by the content of its object identifier.
pub(super) struct KeyDer {
    pub(super) oid: &'static [u8],
}

impl KeyDer {
    fn algorithm(&self) -> SecretVec {
        value(SEQUENCE, &[value(OBJECT_IDENTIFIER, &[self.oid]).expose()])
    }

    /// The `SubjectPublicKeyInfo` of `public`.
    pub(super) fn spki(&self, public: &[u8]) -> Vec<u8> {
        let bits = value(BIT_STRING, &[&[0], public]);
        value(SEQUENCE, &[self.algorithm().expose(), bits.expose()]).expose().to_vec()
    }

    /// The public key of `public_bytes` bytes in `spki`.
    pub(super) fn public<'a>(&self, spki: &'a [u8], public_bytes: usize) -> Option<&'a [u8]> {
        let (_, public) = spki.split_at_checked(spki.len().checked_sub(public_bytes)?)?;
        (self.spki(public) == spki).then_some(public)
    }

    /// The `PrivateKeyInfo` whose `privateKey` contains `private`.
    pub(super) fn pkcs8(&self, private: &[u8]) -> SecretVec {
        let octets = value(OCTET_STRING, &[private]);
        value(SEQUENCE, &[INTEGER_ZERO, self.algorithm().expose(), octets.expose()])
    }

    /// What the `privateKey` of `pkcs8` contains, if it has `private_bytes` bytes.
    pub(super) fn private<'a>(&self, pkcs8: &'a [u8], private_bytes: usize) -> Option<&'a [u8]> {
        let (_, private) = pkcs8.split_at_checked(pkcs8.len().checked_sub(private_bytes)?)?;
        bool::from(self.pkcs8(private).expose().ct_eq(pkcs8)).then_some(private)
    }
}

/// The two secrets of a lattice key, as far as an encoding holds them.
pub(super) enum LatticePrivate<'a> {
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
    pub(super) fn to_pkcs8(&self, der: &KeyDer) -> SecretVec {
        der.pkcs8(self.encode().expose())
    }

    /// The secrets of these lengths in `pkcs8`.
    pub(super) fn of_pkcs8<'a>(
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
