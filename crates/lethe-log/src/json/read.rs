//! Reading JSON strictly: the parser is `serde_json`'s, the refusals are ours.

use core::fmt;
use core::str::FromStr;

use lethe_types::UnixMillis;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Json, JsonError, JsonInteger, JsonObject};
use crate::encoding::{decode_base64, decode_base64_array};

pub(super) fn parse(text: &str) -> Result<Json, JsonError> {
    serde_json::from_str(text).map_err(|_| JsonError::Syntax)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SubsetVisitor)
    }
}

/// Has no method for fractions, so that `1.0`, `1e0` and `-0` are refused.
struct SubsetVisitor;

impl<'de> Visitor<'de> for SubsetVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, array, string, integer, boolean or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        JsonInteger::try_from(value).map(Json::Integer).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        JsonInteger::try_from(value).map(Json::Integer).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(element) = elements.next_element()? {
            array.push(element);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some(member) = entries.next_entry()? {
            members.push(member);
        }
        Json::object(members).map_err(A::Error::custom)
    }
}

/// The members of an object while it is taken apart. Nothing may be left at the end.
pub(crate) struct Members(Vec<(String, Json)>);

impl Members {
    /// Takes `value` apart, which is called `name` in errors.
    pub(crate) fn of(value: Json, name: &'static str) -> Result<Self, JsonError> {
        match value {
            Json::Object(JsonObject(members)) => Ok(Self(members)),
            Json::Array(_) | Json::Bool(_) | Json::Integer(_) | Json::Null | Json::Text(_) => {
                Err(JsonError::Invalid(name))
            }
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(member, _)| member == name)
    }

    pub(crate) fn optional(&mut self, name: &str) -> Option<Json> {
        let at = self.0.iter().position(|(member, _)| member == name)?;
        Some(self.0.remove(at).1)
    }

    pub(crate) fn value(&mut self, name: &'static str) -> Result<Json, JsonError> {
        self.optional(name).ok_or(JsonError::Missing(name))
    }

    pub(crate) fn object(&mut self, name: &'static str) -> Result<Self, JsonError> {
        Self::of(self.value(name)?, name)
    }

    pub(crate) fn array(&mut self, name: &'static str) -> Result<Vec<Json>, JsonError> {
        match self.value(name)? {
            Json::Array(items) => Ok(items),
            Json::Bool(_) | Json::Integer(_) | Json::Null | Json::Object(_) | Json::Text(_) => {
                Err(JsonError::Invalid(name))
            }
        }
    }

    /// An array whose member is absent when it is empty. An empty one that is there reads as well:
    /// it is for the caller's comparison with the canonical text to refuse.
    pub(crate) fn array_if_any(&mut self, name: &'static str) -> Result<Vec<Json>, JsonError> {
        if self.has(name) { self.array(name) } else { Ok(Vec::new()) }
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<String, JsonError> {
        text(self.value(name)?, name)
    }

    pub(crate) fn texts(&mut self, name: &'static str) -> Result<Vec<String>, JsonError> {
        self.array(name)?.into_iter().map(|item| text(item, name)).collect()
    }

    pub(crate) fn integer(&mut self, name: &'static str) -> Result<u64, JsonError> {
        match self.value(name)? {
            Json::Integer(value) => {
                u64::try_from(value.value()).map_err(|_| JsonError::Invalid(name))
            }
            Json::Array(_) | Json::Bool(_) | Json::Null | Json::Object(_) | Json::Text(_) => {
                Err(JsonError::Invalid(name))
            }
        }
    }

    pub(crate) fn boolean(&mut self, name: &'static str) -> Result<bool, JsonError> {
        match self.value(name)? {
            Json::Bool(value) => Ok(value),
            Json::Array(_) | Json::Integer(_) | Json::Null | Json::Object(_) | Json::Text(_) => {
                Err(JsonError::Invalid(name))
            }
        }
    }

    /// A string of a type that parses strictly: identifiers, words, times, names.
    pub(crate) fn parsed<T: FromStr>(&mut self, name: &'static str) -> Result<T, JsonError> {
        parsed_text(self.value(name)?, name)
    }

    pub(crate) fn time_or_null(
        &mut self,
        name: &'static str,
    ) -> Result<Option<UnixMillis>, JsonError> {
        match self.value(name)? {
            Json::Null => Ok(None),
            Json::Text(text) => text.parse().map(Some).map_err(|_| JsonError::Invalid(name)),
            Json::Array(_) | Json::Bool(_) | Json::Integer(_) | Json::Object(_) => {
                Err(JsonError::Invalid(name))
            }
        }
    }

    pub(crate) fn bytes<const N: usize>(
        &mut self,
        name: &'static str,
    ) -> Result<[u8; N], JsonError> {
        decode_base64_array(&self.text(name)?).ok_or(JsonError::Invalid(name))
    }

    /// Bytes of any number; the caller bounds it.
    pub(crate) fn byte_string(&mut self, name: &'static str) -> Result<Vec<u8>, JsonError> {
        decode_base64(&self.text(name)?).ok_or(JsonError::Invalid(name))
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(self) -> Result<(), JsonError> {
        match self.0.into_iter().next() {
            Some((name, _)) => Err(JsonError::Unknown(name)),
            None => Ok(()),
        }
    }
}

/// The string of `value`, of a type that parses strictly.
pub(crate) fn parsed_text<T: FromStr>(value: Json, name: &'static str) -> Result<T, JsonError> {
    text(value, name)?.parse().map_err(|_| JsonError::Invalid(name))
}

fn text(value: Json, name: &'static str) -> Result<String, JsonError> {
    match value {
        Json::Text(text) => Ok(text),
        Json::Array(_) | Json::Bool(_) | Json::Integer(_) | Json::Null | Json::Object(_) => {
            Err(JsonError::Invalid(name))
        }
    }
}
