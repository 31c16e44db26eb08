//! JSON Web Keys (RFC 7517): reading and writing the members of one object.
//!
//! Secrets are read in place: a member with an escape in it has to be copied to be read, and is
//! refused where it is asked for. Members that nobody asks for are ignored, as RFC 7517 section 4
//! says; a member that is there twice is refused.

use core::fmt;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lethe_types::SecretVec;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::CryptoError;

/// The members of a key: texts, and `None` for everything else.
pub(super) struct Jwk<'a>(BTreeMap<&'a str, Option<&'a str>>);

impl<'a> Jwk<'a> {
    /// Reads one JSON object and nothing behind it.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, CryptoError> {
        serde_json::from_slice(bytes).map_err(|_| CryptoError::Invalid("JSON Web Key"))
    }

    /// The text of `name`; `None` if there is no such member.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, CryptoError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Some(text)) => Ok(Some(text)),
            Some(None) => Err(CryptoError::Invalid("member of a JSON Web Key")),
        }
    }

    /// Refuses a key whose member `name` is not `want`.
    pub(super) fn expect(&self, name: &str, want: &str) -> Result<(), CryptoError> {
        if self.text(name)? == Some(want) {
            Ok(())
        } else {
            Err(CryptoError::Invalid("kind of a JSON Web Key"))
        }
    }

    /// The bytes of `name`, in base64url without padding (RFC 7515 section 2).
    pub(super) fn secret(&self, name: &str) -> Result<SecretVec, CryptoError> {
        let refused = CryptoError::Invalid("member of a JSON Web Key");
        let text = self.text(name)?.ok_or(refused)?;
        // Room for more than it takes, so that the buffer never moves.
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() + 4));
        URL_SAFE_NO_PAD.decode_vec(text, &mut bytes).map_err(|_| refused)?;
        Ok(SecretVec::from_vec(core::mem::take(&mut *bytes)))
    }
}

impl<'de> Deserialize<'de> for Jwk<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Jwk<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some(name) = map.next_key::<&'de str>()? {
            let Member(text) = map.next_value()?;
            if members.insert(name, text).is_some() {
                return Err(A::Error::custom("a member is there twice"));
            }
        }
        Ok(Jwk(members))
    }
}

/// The text of a member, if it is one and stands in the input as it is.
struct Member<'a>(Option<&'a str>);

impl<'de> Deserialize<'de> for Member<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Member(Some(text)))
    }

    fn visit_str<E>(self, _text: &str) -> Result<Self::Value, E> {
        Ok(Member(None))
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self::Value, E> {
        Ok(Member(None))
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Self::Value, E> {
        Ok(Member(None))
    }

    fn visit_u64<E>(self, _value: u64) -> Result<Self::Value, E> {
        Ok(Member(None))
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Self::Value, E> {
        Ok(Member(None))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Member(None))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member(None))
    }
}

/// Writes a key; names and texts are literals of this crate that need no escapes.
pub(super) struct Writer(Zeroizing<Vec<u8>>);

/// Room for the longest key here, so that the buffer never moves and leaves no copy behind.
const WRITER_BYTES: usize = 16_384;

impl Writer {
    pub(super) fn new(kty: &str) -> Self {
        let mut json = Zeroizing::new(Vec::with_capacity(WRITER_BYTES));
        json.extend_from_slice(br#"{"kty":""#);
        json.extend_from_slice(kty.as_bytes());
        json.push(b'"');
        Self(json)
    }

    pub(super) fn text(&mut self, name: &str, text: &str) {
        for part in [r#",""#, name, r#"":""#, text, r#"""#] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    /// A member in base64url without padding.
    pub(super) fn bytes(&mut self, name: &str, bytes: &[u8]) {
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes));
        self.text(name, &text);
    }

    pub(super) fn finish(mut self) -> SecretVec {
        self.0.push(b'}');
        SecretVec::copy_from(&self.0)
    }
}
