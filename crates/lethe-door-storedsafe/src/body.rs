//! The body of a request: a JSON object, whatever its content type; nothing is an empty one.
//!
//! Members that carry secrets are read into memory that is wiped. (What cannot be wiped: the body
//! itself in the buffers of hyper and TLS, and the scratch space of the parser for texts with
//! escapes.)

use core::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::Failure;

/// Members whose values are never repeated and never kept.
pub(crate) const SECRET_MEMBERS: [&str; 9] =
    ["apikey", "backup", "keys", "otp", "passphrase", "password", "plaintext", "token", "yubikey"];

/// The members of a request's body, in their order.
#[derive(Debug, Default)]
pub(crate) struct RequestBody(Vec<(String, Member)>);

/// One value.
pub(crate) enum Member {
    /// Anything that is not secret.
    Json(Value),
    /// The text of a member of [`SECRET_MEMBERS`].
    Secret(Zeroizing<String>),
    /// Another value in the place of such a text.
    NotText,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It may be a secret under a name that nobody thought of.
            Self::Json(_) => f.write_str("Json(..)"),
            Self::Secret(_) => f.write_str("Secret(..)"),
            Self::NotText => f.write_str("NotText"),
        }
    }
}

impl RequestBody {
    /// Reads one JSON object and nothing else. A member that comes twice is refused.
    ///
    /// # Errors
    /// `INVALID JSON`.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Failure> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(|_| Failure::invalid_json())
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.0.iter().map(|(name, member)| (name.as_str(), member))
    }

    fn member(&self, name: &str) -> Option<&Member> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, member)| member)
    }

    /// The text of a member; `None` if it is not there or `null`.
    ///
    /// # Errors
    /// `INVALID PARAMETER` for any other value.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.member(name) {
            None | Some(Member::Json(Value::Null)) => Ok(None),
            Some(Member::Json(Value::String(text))) => Ok(Some(text)),
            Some(Member::Secret(text)) => Ok(Some(text)),
            Some(Member::Json(_) | Member::NotText) => Err(Failure::parameter(name)),
        }
    }

    /// The text of a member that must be there.
    ///
    /// # Errors
    /// `INVALID PARAMETER`.
    pub(crate) fn needed(&self, name: &str) -> Result<&str, Failure> {
        self.text(name)?.ok_or_else(|| Failure::parameter(name))
    }

    /// A whole number, written as a number or as its decimal text.
    ///
    /// # Errors
    /// `INVALID PARAMETER` for any other value.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.member(name) {
            None | Some(Member::Json(Value::Null)) => Ok(None),
            Some(Member::Json(Value::Number(number))) => {
                number.as_u64().map(Some).ok_or_else(|| Failure::parameter(name))
            }
            Some(Member::Json(Value::String(text))) => {
                decimal(text).map(Some).ok_or_else(|| Failure::parameter(name))
            }
            Some(Member::Json(_) | Member::Secret(_) | Member::NotText) => {
                Err(Failure::parameter(name))
            }
        }
    }

    /// A flag: `true`, 1 and their texts, or `false`, 0 and theirs; `default` if it is not there.
    /// What is neither is refused, never guessed.
    ///
    /// # Errors
    /// `INVALID PARAMETER` for any other value.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, Failure> {
        let Some(member) = self.member(name) else { return Ok(default) };
        let Member::Json(value) = member else { return Err(Failure::parameter(name)) };
        match value {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => match number.as_u64() {
                Some(0) => Some(false),
                Some(1) => Some(true),
                Some(_) | None => None,
            },
            Value::String(text) => match text.as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
            Value::Array(_) | Value::Null | Value::Object(_) => None,
        }
        .ok_or_else(|| Failure::parameter(name))
    }

    /// The value of a member that is not secret.
    pub(crate) fn json(&self, name: &str) -> Option<&Value> {
        match self.member(name) {
            Some(Member::Json(value)) => Some(value),
            Some(Member::Secret(_) | Member::NotText) | None => None,
        }
    }
}

/// The number that a text of digits without leading zeros says.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = plain && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

impl<'de> Deserialize<'de> for RequestBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = RequestBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RequestBody, A::Error> {
                let mut members: Vec<(String, Member)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if members.len() == MEMBERS_MAX || members.iter().any(|(old, _)| *old == name) {
                        return Err(A::Error::custom("a member twice, or too many"));
                    }
                    let member = if SECRET_MEMBERS.contains(&name.as_str()) {
                        map.next_value_seed(SecretText)?
                    } else {
                        Member::Json(map.next_value()?)
                    };
                    members.push((name, member));
                }
                Ok(RequestBody(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Most members of a body: each is compared with all before it.
const MEMBERS_MAX: usize = 256;

/// Reads a text into memory that is wiped, and anything else without keeping it.
struct SecretText;

impl<'de> DeserializeSeed<'de> for SecretText {
    type Value = Member;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for SecretText {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Member, E> {
        Ok(Member::Secret(Zeroizing::new(text.to_owned())))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Member, E> {
        Ok(Member::NotText)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Member, E> {
        Ok(Member::NotText)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Member, E> {
        Ok(Member::NotText)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Member, E> {
        Ok(Member::NotText)
    }

    fn visit_unit<E: Error>(self) -> Result<Member, E> {
        Ok(Member::Json(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Member, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member::NotText)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member::NotText)
    }
}
