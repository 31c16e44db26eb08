//! The compact form of a signed token (RFC 7515 section 7.1), strict.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lethe_types::KeyId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest token that is looked at, in bytes: above what headers can carry.
const TOKEN_BYTES_MAX: usize = 131_072;
/// Longest header of a token, in bytes.
const HEADER_BYTES_MAX: usize = 512;

/// The one algorithm.
pub(crate) const ALGORITHM: &str = "RS256";
/// The type of an access token (RFC 9068 section 2.1).
pub(crate) const TOKEN_TYPE: &str = "at+jwt";

/// What a token says. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// Who signed it.
    pub iss: String,
    /// For which service it is: one.
    pub aud: String,
    /// Whose it is.
    pub sub: String,
    /// When it was made.
    pub iat: u64,
    /// When it ends.
    pub exp: u64,
    /// Its own identity: 16 bytes in unpadded base64url.
    pub jti: String,
    /// The name that an application signs in with; `None` in the token of a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The number of the application's secret that it was made from.
    #[serde(rename = "gen", skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// What it may be used for.
    pub permissions: Vec<String>,
    /// What the dialect adds.
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

/// A token taken apart, nothing checked yet but its form.
#[derive(Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) key: KeyId,
    pub(crate) version: u32,
    /// What is signed.
    pub(crate) signed: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) signature: Vec<u8>,
}

/// The name of a version of a signing key.
pub(crate) fn kid(key: KeyId, version: u32) -> String {
    format!("{key}-{version}")
}

fn parse_kid(text: &str) -> Option<(KeyId, u32)> {
    let (key, version) = text.split_once('-')?;
    let found = (key.parse().ok()?, version.parse().ok()?);
    // A key has one name.
    (kid(found.0, found.1) == text).then_some(found)
}

/// `header.payload`, ready to be signed.
pub(crate) fn signing_input(kid: &str, claims: &Claims) -> Option<String> {
    let header = Header { alg: ALGORITHM, typ: TOKEN_TYPE, kid };
    let header = serde_json::to_vec(&header).ok()?;
    let claims = serde_json::to_vec(claims).ok()?;
    Some(format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims)))
}

pub(crate) fn with_signature(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The parts of a token of our algorithm and type; `None` for everything else.
pub(crate) fn parse(token: &str) -> Option<Parsed<'_>> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    if header.len() > HEADER_BYTES_MAX || payload.contains('.') {
        return None;
    }
    let header = URL_SAFE_NO_PAD.decode(header).ok()?;
    let header = object::<Header<'_>>(&header)?;
    // Pinned: what a token says about its algorithm chooses nothing.
    if header.alg != ALGORITHM || header.typ != TOKEN_TYPE {
        return None;
    }
    let (key, version) = parse_kid(header.kid)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    Some(Parsed { key, version, signed, payload, signature })
}

/// The claims of a payload whose signature is right.
pub(crate) fn claims(payload: &str) -> Option<Claims> {
    object(&URL_SAFE_NO_PAD.decode(payload).ok()?)
}

/// The one JSON object that the bytes are.
fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    if bytes.first() == Some(&b'{') { serde_json::from_slice(bytes).ok() } else { None }
}

/// The identity in a `jti`.
pub(crate) fn token_id(jti: &str) -> Option<[u8; 16]> {
    URL_SAFE_NO_PAD.decode(jti).ok()?.try_into().ok()
}

pub(crate) fn jti(token: &[u8; 16]) -> String {
    URL_SAFE_NO_PAD.encode(token)
}
