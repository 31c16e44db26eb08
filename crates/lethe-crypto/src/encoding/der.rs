//! Writing DER (X.690): tags, lengths and a few values, into memory that is wiped.

use lethe_types::SecretVec;
use pkcs8::ObjectIdentifier;

use super::joined;

/// Tags of the values that keys are made of.
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
/// `[0]` and `[1]`, constructed.
pub(crate) const EXPLICIT_1: u8 = 0xa1;

/// One value: tag, shortest length, and `parts` as its content. Content below 2^16 bytes, which
/// every key is by [`super::KEY_FORM_BYTES_MAX`].
pub(crate) fn value(tag: u8, parts: &[&[u8]]) -> SecretVec {
    let content: usize = parts.iter().map(|part| part.len()).sum();
    let [high, low] = u16::try_from(content).map_or([0xff, 0xff], u16::to_be_bytes);
    let header: &[u8] = match (high, low) {
        (0, 0..=0x7f) => &[tag, low],
        (0, 0x80..=0xff) => &[tag, 0x81, low],
        (1..=0xff, _) => &[tag, 0x82, high, low],
    };
    let mut all = vec![header];
    all.extend_from_slice(parts);
    joined(&all)
}

/// An object identifier.
pub(crate) fn oid(oid: ObjectIdentifier) -> SecretVec {
    value(OBJECT_IDENTIFIER, &[oid.as_bytes()])
}

/// A bit string of whole bytes.
pub(crate) fn bits(bytes: &[u8]) -> SecretVec {
    value(BIT_STRING, &[&[0], bytes])
}

/// An unsigned integer from its big-endian magnitude, which may have leading zeros.
pub(crate) fn integer(magnitude: &[u8]) -> SecretVec {
    let start = magnitude.iter().position(|byte| *byte != 0).unwrap_or(magnitude.len());
    let (_, digits) = magnitude.split_at(start);
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    value(INTEGER, &[sign, digits])
}
