//! JSON Web Keys (RFC 7517, 7518, 8037, 8812, 9964): the members of one object, base64url without
//! padding.
//!
//! Secrets are read in place: a member with an escape in it has to be copied to be read, and is
//! refused where it is asked for. Members that nobody asks for (`kid`, `use`, `key_ops`, …) say
//! nothing about the key itself and are passed over, as RFC 7517 section 4 wants; a member that
//! stands there twice is refused.

use core::fmt;
use std::collections::BTreeMap;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use lethe_types::SecretVec;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::joined;
use crate::CryptoError;

const REFUSED: CryptoError = CryptoError::Invalid("JWK");

/// Members that only a private or symmetric key has (RFC 7518 section 6, RFC 9964).
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// The members of a key: texts, and `None` for everything else.
pub(crate) struct Jwk<'a>(BTreeMap<&'a str, Option<&'a str>>);

impl<'a> Jwk<'a> {
    /// A key whose `kty` is `key_type`: one JSON object and nothing behind it.
    pub(crate) fn parse(json: &'a [u8], key_type: &str) -> Result<Self, CryptoError> {
        let jwk: Self = serde_json::from_slice(json).map_err(|_| REFUSED)?;
        jwk.check(Some(key_type), "kty", CryptoError::Invalid("`kty` of the JWK"))?;
        Ok(jwk)
    }

    /// As [`Jwk::parse`] for a public key, which has no private members.
    pub(crate) fn parse_public(json: &'a [u8], key_type: &str) -> Result<Self, CryptoError> {
        let jwk = Self::parse(json, key_type)?;
        if PRIVATE_MEMBERS.iter().any(|name| jwk.0.contains_key(name)) {
            return Err(CryptoError::Invalid("public JWK with a private part"));
        }
        Ok(jwk)
    }

    /// Refuses a key whose `crv` is not `curve`.
    pub(crate) fn check_curve(&self, curve: &str) -> Result<(), CryptoError> {
        self.check(Some(curve), "crv", CryptoError::Invalid("`crv` of the JWK"))
    }

    /// Refuses a key whose `alg` is not `name`, be it there or not.
    pub(crate) fn check_algorithm(&self, name: Option<&str>) -> Result<(), CryptoError> {
        self.check(name, "alg", CryptoError::Invalid("`alg` of the JWK"))
    }

    pub(crate) fn has_algorithm(&self) -> bool {
        self.0.contains_key("alg")
    }

    /// The bytes of the member `name`.
    pub(crate) fn bytes(&self, name: &str) -> Result<SecretVec, CryptoError> {
        let text = self.text(name)?;
        let text = text.ok_or(CryptoError::Invalid("JWK without a member that its kind needs"))?;
        let mut length = 0;
        let buffer = SecretVec::try_init_with(text.len(), |buffer| {
            length = Base64UrlUnpadded::decode(text, buffer).map_err(|_| REFUSED)?.len();
            Ok::<_, CryptoError>(())
        })?;
        Ok(SecretVec::copy_from(buffer.expose().get(..length).ok_or(REFUSED)?))
    }

    /// `n` and `e` (RFC 7518 section 6.3.1).
    pub(crate) fn rsa_public(&self) -> Result<[SecretVec; 2], CryptoError> {
        Ok([self.natural("n")?, self.natural("e")?])
    }

    /// `d`, `p`, `q`, `dp`, `dq`, `qi` (RFC 7518 section 6.3.2), all of them, and two primes only.
    pub(crate) fn rsa_private(&self) -> Result<[SecretVec; 6], CryptoError> {
        if self.0.contains_key("oth") {
            return Err(CryptoError::Invalid("JWK with more than two primes"));
        }
        let [d, p, q] = [self.natural("d")?, self.natural("p")?, self.natural("q")?];
        Ok([d, p, q, self.natural("dp")?, self.natural("dq")?, self.natural("qi")?])
    }

    /// `Base64urlUInt` of RFC 7518 section 2: no leading zeros.
    fn natural(&self, name: &str) -> Result<SecretVec, CryptoError> {
        let magnitude = self.bytes(name)?;
        match magnitude.expose().first() {
            Some(1..) => Ok(magnitude),
            Some(0) | None => Err(REFUSED),
        }
    }

    /// The text of `name`; `None` if there is no such member.
    fn text(&self, name: &str) -> Result<Option<&'a str>, CryptoError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Some(text)) => Ok(Some(text)),
            Some(None) => Err(CryptoError::Invalid("member of the JWK that is no plain text")),
        }
    }

    fn check(
        &self,
        want: Option<&str>,
        name: &str,
        refused: CryptoError,
    ) -> Result<(), CryptoError> {
        if self.text(name)? == want { Ok(()) } else { Err(refused) }
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member(None))
    }
}

/// A JWK of `head`, which holds members whose values are plain text, and of `members`, whose
/// values are bytes, in the order given.
pub(crate) fn write(
    head: &[(&str, &str)],
    members: &[(&str, &[u8])],
) -> Result<SecretVec, CryptoError> {
    let encoded = members.iter().map(|(_, bytes)| base64url(bytes));
    let encoded = encoded.collect::<Result<Vec<_>, _>>()?;
    let plain = head.iter().map(|(name, text)| (*name, text.as_bytes()));
    let coded = members.iter().zip(&encoded).map(|((name, _), text)| (*name, text.expose()));
    let mut parts: Vec<&[u8]> = Vec::new();
    for (name, text) in plain.chain(coded) {
        parts.push(if parts.is_empty() { b"{\"" } else { b",\"" });
        parts.extend([name.as_bytes(), b"\":\"", text, b"\""]);
    }
    parts.push(b"}");
    Ok(joined(&parts))
}

fn base64url(bytes: &[u8]) -> Result<SecretVec, CryptoError> {
    SecretVec::try_init_with(Base64UrlUnpadded::encoded_len(bytes), |buffer| {
        let encoded = Base64UrlUnpadded::encode(bytes, buffer);
        encoded.map(drop).map_err(|_| CryptoError::Library("write base64url"))
    })
}
