//! Answers. Those of the uses are written by hand into one buffer of their exact size: they are
//! most of all traffic, and a general serialiser would cost more than the cipher.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Response as HttpResponse, StatusCode};
use lethe_http::{Body, Response};
use lethe_types::{CredentialId, SecretVec};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::headers::{JSON, NO_STORE};

/// A response with `value` as JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let bytes = serde_json::to_vec(value).expect("wire types are JSON");
    with_body(status, JSON, bytes)
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

/// `{"member":"base64","version":n}`.
pub(crate) fn bytes_and_version(member: Member, bytes: &[u8], version: u32) -> Response {
    let mut digits = [0; DECIMAL_BYTES_MAX];
    let digits = decimal(version, &mut digits);
    let fixed = [OPEN, member.0.as_bytes(), MIDDLE, VERSION, CLOSE];
    let length = fixed.iter().map(|part| part.len()).sum::<usize>() + digits.len();
    let mut out = Vec::with_capacity(length + base64_bytes(bytes.len()));
    begin(&mut out, member, bytes);
    out.extend_from_slice(VERSION);
    out.extend_from_slice(digits);
    out.extend_from_slice(CLOSE);
    with_body(StatusCode::OK, JSON, out)
}

/// `{"member":"base64"}`, wiped when it is sent.
///
/// What cannot be wiped: hyper copies small bodies into its write buffer, the TLS library into its
/// records, and both keep that memory for later answers.
pub(crate) fn secret_bytes(member: Member, secret: &[u8]) -> Response {
    let length = OPEN.len() + member.0.len() + MIDDLE.len() + END.len();
    let mut out = Zeroizing::new(Vec::with_capacity(length + base64_bytes(secret.len())));
    begin(&mut out, member, secret);
    out.extend_from_slice(END);
    secret_response(StatusCode::OK, out)
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

/// `{"valid":true}`.
pub(crate) fn validity(is_valid: bool) -> Response {
    let text: &'static [u8] = if is_valid { b"{\"valid\":true}" } else { b"{\"valid\":false}" };
    with_body(StatusCode::OK, JSON, Bytes::from_static(text))
}

fn secret_response(status: StatusCode, bytes: Zeroizing<Vec<u8>>) -> Response {
    let mut response = with_body(status, JSON, Bytes::from_owner(bytes));
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// The name of a member whose value is written by hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member(&'static str);

impl Member {
    pub(crate) const CIPHERTEXT: Self = Self("ciphertext");
    pub(crate) const MAC: Self = Self("mac");
    pub(crate) const MATERIAL: Self = Self("material");
    pub(crate) const PLAINTEXT: Self = Self("plaintext");
    pub(crate) const SHARED_SECRET: Self = Self("shared_secret");
    pub(crate) const SIGNATURE: Self = Self("signature");
    pub(crate) const TOKEN: Self = Self("token");
}

/// Appends `{"member":"base64`, without the closing quote.
fn begin(out: &mut Vec<u8>, member: Member, bytes: &[u8]) {
    out.extend_from_slice(OPEN);
    out.extend_from_slice(member.0.as_bytes());
    out.extend_from_slice(MIDDLE);
    let start = out.len();
    out.resize(start + base64_bytes(bytes.len()), 0);
    STANDARD.encode_slice(bytes, &mut out[start..]).expect("the room was computed");
}

/// Characters of the base64 of `bytes` bytes.
const fn base64_bytes(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// The decimal text of `number`, at the end of `out`.
fn decimal(mut number: u32, out: &mut [u8; DECIMAL_BYTES_MAX]) -> &[u8] {
    let mut start = out.len();
    loop {
        start -= 1;
        out[start] = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
        if number == 0 {
            return &out[start..];
        }
    }
}

const DECIMAL_BYTES_MAX: usize = 10;
const OPEN: &[u8] = b"{\"";
const MIDDLE: &[u8] = b"\":\"";
const VERSION: &[u8] = b"\",\"version\":";
const CLOSE: &[u8] = b"}";
const END: &[u8] = b"\"}";
