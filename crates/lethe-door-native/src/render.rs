//! Answers, but for those of the uses, which are in `answer.rs`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Response as HttpResponse, StatusCode};
use lethe_http::{Body, Response};
use lethe_types::{CredentialId, SecretVec};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::answer::base64_bytes;
use crate::headers::{JSON, NO_STORE};

/// Bytes that most answers have at most: a key.
const JSON_BYTES_ABOUT: usize = 1_024;

/// A response with `value` as JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    json_of(status, value, JSON_BYTES_ABOUT)
}

/// [`json`] where the text is known to have about `bytes`.
pub(crate) fn json_of<T: Serialize>(status: StatusCode, value: &T, bytes: usize) -> Response {
    let mut text = Vec::with_capacity(bytes);
    serde_json::to_writer(&mut text, value).expect("wire types are JSON");
    with_body(status, JSON, text)
}

/// [`json`] for what was made, and where it is now.
pub(crate) fn created<T: Serialize>(path: &str, value: &T) -> Response {
    let mut response = json(StatusCode::CREATED, value);
    let location = HeaderValue::try_from(path).expect("paths of made things are visible ASCII");
    response.headers_mut().insert(LOCATION, location);
    response
}

/// A response with any body.
pub(crate) fn with_body(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Body>,
) -> Response {
    let mut response = HttpResponse::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// `value`, a JSON object that holds no secret, with `"member":"secret"` at its end; wiped when it
/// is sent. `secret` has no character that JSON escapes.
pub(crate) fn json_with_secret<T: Serialize>(
    status: StatusCode,
    value: &T,
    member: Member,
    secret: &[u8],
) -> Response {
    let open = serde_json::to_vec(value).expect("wire types are JSON");
    let open = open.strip_suffix(b"}").expect("the value is an object");
    let fixed = [b",\"".as_slice(), member.0.as_bytes(), MIDDLE, secret, END];
    // All at once: growing would leave an unwiped copy behind.
    let length = open.len() + fixed.iter().map(|part| part.len()).sum::<usize>();
    let mut out = Zeroizing::new(Vec::with_capacity(length));
    out.extend_from_slice(open);
    fixed.iter().for_each(|part| out.extend_from_slice(part));
    secret_response(status, out)
}

/// [`json_with_secret`] for bytes, which are written in base64.
pub(crate) fn json_with_secret_bytes<T: Serialize>(
    status: StatusCode,
    value: &T,
    member: Member,
    secret: &[u8],
) -> Response {
    let mut text = Zeroizing::new(vec![0; base64_bytes(secret.len())]);
    STANDARD.encode_slice(secret, &mut text).expect("the room was computed");
    json_with_secret(status, value, member, &text)
}

/// `value`, a JSON object that holds no secret, with `"tokens":[{"credential":…,"token":…}]` at its
/// end; wiped when it is sent. Tokens have no character that JSON escapes.
pub(crate) fn json_with_tokens<T: Serialize>(
    status: StatusCode,
    value: &T,
    tokens: &[(CredentialId, SecretVec)],
) -> Response {
    let open = serde_json::to_vec(value).expect("wire types are JSON");
    let open = open.strip_suffix(b"}").expect("the value is an object");
    let ids: Vec<String> = tokens.iter().map(|(id, _)| id.to_string()).collect();
    let mut parts: Vec<&[u8]> = vec![open, b",\"tokens\":["];
    for ((_, token), id) in tokens.iter().zip(&ids) {
        let separator: &[u8] = if parts.len() == 2 { b"" } else { b"," };
        let (credential, between): (&[u8], &[u8]) = (b"{\"credential\":\"", b"\",\"token\":\"");
        parts.extend([separator, credential, id.as_bytes(), between, token.expose(), END]);
    }
    parts.push(b"]}");
    // All at once: growing would leave an unwiped copy behind.
    let length = parts.iter().map(|part| part.len()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(length));
    parts.iter().for_each(|part| out.extend_from_slice(part));
    secret_response(status, out)
}

pub(crate) fn secret_response(status: StatusCode, bytes: Zeroizing<Vec<u8>>) -> Response {
    let mut response = with_body(status, JSON, Bytes::from_owner(bytes));
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// The name of a member whose value is written by hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member(pub(crate) &'static str);

impl Member {
    pub(crate) const MATERIAL: Self = Self("material");
    pub(crate) const TOKEN: Self = Self("token");
}

const MIDDLE: &[u8] = b"\":\"";
const END: &[u8] = b"\"}";
