//! JSON Web Keys (RFC 7517, 7518, 8037, 8812): members of key pairs, base64url without padding.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use lethe_types::SecretVec;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::joined;
use crate::CryptoError;

const REFUSED: CryptoError = CryptoError::Invalid("JWK");

/// The members of a JWK that make up a key, as they stand in the text. Others (`kid`, `use`,
/// `key_ops`, `alg`, …) say nothing about the key itself and are passed over, as RFC 7517 section
/// 4 wants; a member that stands there twice is refused.
#[derive(Deserialize)]
pub(crate) struct Jwk<'a> {
    kty: &'a str,
    #[serde(borrow)]
    crv: Option<&'a str>,
    #[serde(borrow)]
    x: Option<&'a str>,
    #[serde(borrow)]
    y: Option<&'a str>,
    #[serde(borrow)]
    d: Option<&'a str>,
    #[serde(borrow)]
    n: Option<&'a str>,
    #[serde(borrow)]
    e: Option<&'a str>,
    #[serde(borrow)]
    p: Option<&'a str>,
    #[serde(borrow)]
    q: Option<&'a str>,
    #[serde(borrow)]
    dp: Option<&'a str>,
    #[serde(borrow)]
    dq: Option<&'a str>,
    #[serde(borrow)]
    qi: Option<&'a str>,
    oth: Option<IgnoredAny>,
}

impl<'a> Jwk<'a> {
    /// A key whose `kty` is `key_type`.
    pub(crate) fn parse(json: &'a [u8], key_type: &str) -> Result<Self, CryptoError> {
        let jwk: Self = serde_json::from_slice(json).map_err(|_| REFUSED)?;
        if jwk.kty == key_type { Ok(jwk) } else { Err(CryptoError::Invalid("`kty` of the JWK")) }
    }

    /// Refuses a key whose `crv` is not `curve`.
    pub(crate) fn check_curve(&self, curve: &str) -> Result<(), CryptoError> {
        let is_right = self.crv == Some(curve);
        if is_right { Ok(()) } else { Err(CryptoError::Invalid("`crv` of the JWK")) }
    }

    pub(crate) fn has_private_part(&self) -> bool {
        self.d.is_some()
    }

    pub(crate) fn x(&self) -> Result<SecretVec, CryptoError> {
        decode(self.x)
    }

    pub(crate) fn y(&self) -> Result<SecretVec, CryptoError> {
        decode(self.y)
    }

    pub(crate) fn d(&self) -> Result<SecretVec, CryptoError> {
        decode(self.d)
    }

    /// `n` and `e` (RFC 7518 section 6.3.1).
    pub(crate) fn rsa_public(&self) -> Result<[SecretVec; 2], CryptoError> {
        Ok([natural(self.n)?, natural(self.e)?])
    }

    /// `d`, `p`, `q`, `dp`, `dq`, `qi` (RFC 7518 section 6.3.2), all of them, and two primes only.
    pub(crate) fn rsa_private(&self) -> Result<[SecretVec; 6], CryptoError> {
        if self.oth.is_some() {
            return Err(CryptoError::Invalid("JWK with more than two primes"));
        }
        let [d, p, q] = [natural(self.d)?, natural(self.p)?, natural(self.q)?];
        Ok([d, p, q, natural(self.dp)?, natural(self.dq)?, natural(self.qi)?])
    }
}

fn decode(member: Option<&str>) -> Result<SecretVec, CryptoError> {
    let text = member.ok_or(CryptoError::Invalid("JWK without a member that its kind needs"))?;
    let mut length = 0;
    let buffer = SecretVec::try_init_with(text.len(), |buffer| {
        length = Base64UrlUnpadded::decode(text, buffer).map_err(|_| REFUSED)?.len();
        Ok::<_, CryptoError>(())
    })?;
    Ok(SecretVec::copy_from(buffer.expose().get(..length).ok_or(REFUSED)?))
}

/// `Base64urlUInt` of RFC 7518 section 2: no leading zeros.
fn natural(member: Option<&str>) -> Result<SecretVec, CryptoError> {
    let magnitude = decode(member)?;
    match magnitude.expose().first() {
        Some(1..) => Ok(magnitude),
        Some(0) | None => Err(REFUSED),
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
