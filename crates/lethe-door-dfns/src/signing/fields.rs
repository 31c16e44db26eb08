//! Fields of closed bodies: an unknown one is refused, and so is one of another type.

use serde_json::{Map, Value};

use super::Refused;

/// Fields that every kind of request has besides its own.
const COMMON: [&str; 4] = ["kind", "network", "blockchainKind", "externalId"];

/// Refuses fields of a signature request that are neither common nor in `own`.
pub(super) fn closed(body: &Map<String, Value>, own: &[&str]) -> Result<(), Refused> {
    exactly(body, &[&COMMON, own].concat())
}

/// Refuses fields that are not in `known`.
pub(crate) fn exactly(body: &Map<String, Value>, known: &[&str]) -> Result<(), Refused> {
    match body.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Refused::field(name, "is not a field of this request")),
        None => Ok(()),
    }
}

/// A text; `None` if the field is absent.
pub(crate) fn text<'a>(
    body: &'a Map<String, Value>,
    field: &str,
) -> Result<Option<&'a str>, Refused> {
    match body.get(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_),
        ) => Err(Refused::field(field, "must be a string")),
    }
}

/// A text that must be there.
pub(crate) fn needed<'a>(body: &'a Map<String, Value>, field: &str) -> Result<&'a str, Refused> {
    text(body, field)?.ok_or_else(|| Refused::field(field, "is required"))
}

/// An object that must be there.
pub(crate) fn object<'a>(
    body: &'a Map<String, Value>,
    field: &str,
) -> Result<&'a Map<String, Value>, Refused> {
    let found = body.get(field).ok_or_else(|| Refused::field(field, "is required"))?;
    found.as_object().ok_or_else(|| Refused::field(field, "must be an object"))
}

/// Bytes in hexadecimal, of either case, with or without `0x`, that must be there.
pub(crate) fn hex(body: &Map<String, Value>, field: &str) -> Result<Vec<u8>, Refused> {
    hex_of(needed(body, field)?).ok_or_else(|| Refused::field(field, "must be hexadecimal"))
}

/// The same of exactly `N` bytes.
pub(super) fn hex_array<const N: usize>(
    body: &Map<String, Value>,
    field: &str,
) -> Result<[u8; N], Refused> {
    let bytes = hex(body, field)?;
    let why = format!("must have {N} bytes in hexadecimal");
    bytes.try_into().map_err(|_| Refused::field(field, &why))
}

/// A number that is not negative and has no fraction, and must be there.
pub(crate) fn count(body: &Map<String, Value>, field: &str) -> Result<u64, Refused> {
    let found = body.get(field).ok_or_else(|| Refused::field(field, "is required"))?;
    let number = found.as_u64().or_else(|| super::number::whole(found));
    number.ok_or_else(|| Refused::field(field, "must be a number without a sign or a fraction"))
}

/// The bytes of a text in hexadecimal, with or without `0x`.
pub(crate) fn hex_of(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        b'A'..=b'F' => Some(character - b'A' + 10),
        _ => None,
    }
}

/// Bytes in lower-case hexadecimal after `0x`.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |mut text, byte| {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }));
        }
        text
    })
}
