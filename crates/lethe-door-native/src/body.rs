//! Strict JSON from request bodies: borrowed, and refused in words that name member and rule.

use core::fmt;
use core::marker::PhantomData;
use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_http::Request;
use lethe_types::SecretVec;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::error::Category;
use zeroize::Zeroize as _;

use crate::error::Refusal;
use crate::headers::{check_content_type, shortened};

/// The one JSON object that is the body of `request`.
///
/// # Errors
/// [`Refusal::UnsupportedMediaType`], [`Refusal::MalformedJson`].
pub(crate) fn parse<'a, T: Deserialize<'a>>(request: &'a Request) -> Result<T, Refusal> {
    check_content_type(&request.head.headers)?;
    parse_bytes(&request.body)
}

/// As [`parse`], for an operation that also takes no body at all.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_optional<'a, T: Deserialize<'a> + Default>(
    request: &'a Request,
) -> Result<T, Refusal> {
    if request.body.is_empty() { Ok(T::default()) } else { parse(request) }
}

pub(crate) fn parse_bytes<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        // serde would also take an array, as the members in order.
        Some(b'{') => serde_json::from_slice(body).map_err(|error| describe(body, &error)),
        Some(_) => Err(malformed(None, "the body must be a JSON object")),
        None => Err(malformed(None, "the body is empty; it must be a JSON object")),
    }
}

/// Whether `body` is that of a batch: an object whose first member is `items`.
pub(crate) fn is_batch(body: &[u8]) -> bool {
    let Some((b'{', inside)) = body.trim_ascii_start().split_first() else { return false };
    inside.trim_ascii_start().starts_with(BATCH_MEMBER)
}

/// The items of the first array in `body`, which is well-formed JSON, each as it stands there.
pub(crate) fn array_items(body: &[u8]) -> Vec<&[u8]> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    let mut rest = body;
    while let Some((&byte, tail)) = rest.split_first() {
        let at = body.len() - rest.len();
        rest = if byte == b'"' { split_string(tail).1 } else { tail };
        match byte {
            b'[' if depth == 0 => (depth, start) = (1, at + 1),
            b'[' | b'{' if depth > 0 => depth += 1,
            b',' if depth == 1 => {
                items.push(body[start..at].trim_ascii());
                start = at + 1;
            }
            b']' | b'}' if depth > 1 => depth -= 1,
            b']' if depth == 1 => {
                let last = body[start..at].trim_ascii();
                if !(items.is_empty() && last.is_empty()) {
                    items.push(last);
                }
                return items;
            }
            _ => {}
        }
    }
    items
}

/// The first member of a batch, which is its only one.
const BATCH_MEMBER: &[u8] = b"\"items\"";

/// Bytes as they come in: a JSON string of base64 (RFC 4648 section 4, padded), not yet decoded.
///
/// Borrowed from the body unless the client escaped a character; such a copy is wiped. What hyper
/// and serde_json hold of it cannot be: hyper's read buffer, which the body is a part of, and the
/// scratch space in which serde_json resolves escapes.
pub struct Base64Text<'a>(Cow<'a, str>);

impl Base64Text<'_> {
    /// The bytes, decoded once into memory that is wiped. `field` names the member in the refusal.
    pub(crate) fn decode(&self, field: &'static str) -> Result<SecretVec, Refusal> {
        let mut bytes = Vec::with_capacity(base64::decoded_len_estimate(self.0.len()));
        match STANDARD.decode_vec(self.0.as_bytes(), &mut bytes) {
            Ok(()) => Ok(SecretVec::from_vec(bytes)),
            Err(_) => {
                bytes.zeroize();
                Err(Refusal::invalid(field, "must be standard base64 with padding"))
            }
        }
    }
}

impl Drop for Base64Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

impl fmt::Debug for Base64Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64Text({} characters, ..)", self.0.len())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Base64Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("a string of base64")).map(Self)
    }
}

/// A `T` that was a JSON object: serde by itself would also take an array in its place.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

impl<T: Serialize> Serialize for Object<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A JSON object whose members the client names, in their order. serde's maps would take a member
/// that is there twice, and keep either.
#[derive(Debug)]
pub struct Map<V>(pub Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Map<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Members<V> {
            type Value = Map<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut names, mut members) = (BTreeSet::new(), Vec::new());
                while let Some((name, value)) = map.next_entry::<String, V>()? {
                    if !names.insert(name.clone()) {
                        // In serde's words for the members of a struct.
                        let name = shortened(&name);
                        return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
                    }
                    members.push((name, value));
                }
                Ok(Map(members))
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// A secret that is text. Borrowed from the body unless the client escaped a character; such a copy
/// is wiped. What cannot be is said at [`Base64Text`].
pub struct SecretText<'a>(Cow<'a, str>);

impl SecretText<'_> {
    /// The text.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for SecretText<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

impl fmt::Debug for SecretText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for SecretText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("a string")).map(Self)
    }
}

/// For a member that may also be `null`, which is then something else than left out.
///
/// # Errors
/// As `T`'s own.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A string that is borrowed from the body where that can be, and in words what it is.
struct Text(&'static str);

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

fn malformed(field: Option<String>, why: impl Into<String>) -> Refusal {
    Refusal::MalformedJson { field, why: why.into() }
}

/// The refusal of a body: where, which member, which rule, and no value of the request.
fn describe(body: &[u8], error: &serde_json::Error) -> Refusal {
    let (line, column) = (error.line(), error.column());
    let place = format!("(line {line}, column {column})");
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    match error.classify() {
        Category::Data => describe_mismatch(body, error, what, &place),
        Category::Eof => malformed(None, format!("the body ends within its JSON {place}")),
        // Input and output cannot fail on a slice.
        Category::Io | Category::Syntax => {
            malformed(None, format!("the body is not JSON in UTF-8: {what} {place}"))
        }
    }
}

/// serde names the member only if it is missing, unknown or there twice; for a wrong value we look
/// which one stands at the place of the error.
fn describe_mismatch(body: &[u8], error: &serde_json::Error, what: &str, place: &str) -> Refusal {
    let quoted = |prefix: &str| {
        let (name, _) = what.strip_prefix(prefix)?.rsplit_once('`')?;
        // The name of an unknown member is the client's, and could be as long as the body.
        Some(shortened(name.split_once("`, expected").map_or(name, |(name, _)| name)).to_owned())
    };
    let named = [("missing field `", "is missing"), ("duplicate field `", "is there twice")];
    for (prefix, rule) in named {
        if let Some(name) = quoted(prefix) {
            let why = format!("the member `{name}` {rule} {place}");
            return malformed(Some(name), why);
        }
    }
    if let Some(name) = quoted("unknown field `") {
        // Where there are no members serde lists none.
        let known = what.rsplit_once("`, expected ").map(|(_, known)| format!("expected {known}"));
        let known = known.unwrap_or_else(|| "there are no fields".to_owned());
        let why = format!("the member `{name}` is unknown, {known} {place}");
        return malformed(Some(name), why);
    }
    // `invalid type: string "hunter2", expected u32`: the value may be a secret, the rest is ours.
    let expected = what.rsplit_once(", expected ").map_or("another value", |(_, rest)| rest);
    let member = member_at(body, offset_of(body, error.line(), error.column()));
    let subject = member.as_deref().unwrap_or("the body");
    let why = format!("`{subject}` must be {expected} {place}");
    malformed(member, why)
}

/// The offset of a place in `body`, both from 1 as serde_json counts.
fn offset_of(body: &[u8], line: usize, column: usize) -> usize {
    let lines = body.split_inclusive(|byte| *byte == b'\n');
    let before: usize = lines.take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    before.saturating_add(column).min(body.len())
}

/// The path of the value that stands before `offset`, as in `grants[0].permissions`. The body up to
/// there is well-formed JSON. Deeper than [`PATH_DEPTH_MAX`] the path ends.
fn member_at(body: &[u8], offset: usize) -> Option<String> {
    let mut path: Vec<Step> = Vec::new();
    let mut rest = body.get(..offset)?;
    let mut last_string: &[u8] = &[];
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'"' => (last_string, rest) = split_string(tail),
            b'{' => path.push(Step::Member(Vec::new())),
            b'[' => path.push(Step::Item(0)),
            b'}' | b']' => drop(path.pop()),
            b':' => {
                if let Some(Step::Member(name)) = path.last_mut() {
                    *name = last_string.to_vec();
                }
            }
            b',' => {
                if let Some(Step::Item(index)) = path.last_mut() {
                    *index += 1;
                }
            }
            _ => {}
        }
    }
    let mut text = String::new();
    for step in path.iter().take(PATH_DEPTH_MAX) {
        match step {
            Step::Item(index) => text.push_str(&format!("[{index}]")),
            Step::Member(name) if name.is_empty() => {}
            Step::Member(name) => {
                let separator = if text.is_empty() { "" } else { "." };
                let name = core::str::from_utf8(name).unwrap_or_default();
                text.push_str(&format!("{separator}{}", shortened(name)));
            }
        }
    }
    (!text.is_empty()).then_some(text)
}

enum Step {
    Item(usize),
    Member(Vec<u8>),
}

/// The inside of the string that begins at `bytes`, still escaped, and what comes after it.
fn split_string(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut position = 0;
    while let Some(byte) = bytes.get(position) {
        match byte {
            b'"' => return (&bytes[..position], &bytes[position + 1..]),
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
    (bytes, &[])
}

/// Deeper than any body that some operation takes.
const PATH_DEPTH_MAX: usize = 8;
