//! Answers to uses, written by hand into one buffer of their exact size: they are most of all
//! traffic, and a general serialiser would cost more than the cipher.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use lethe_http::Response;
use zeroize::Zeroizing;

use crate::headers::JSON;
use crate::render::{secret_response, with_body};

/// The JSON object that answers one use.
pub(crate) enum Answer {
    /// One that was there before.
    Fixed(&'static [u8]),
    /// One that may be seen.
    Open(Vec<u8>),
    /// One that holds a secret: wiped when it is sent.
    ///
    /// What cannot be wiped: hyper copies small bodies into its write buffer, the TLS library into
    /// its records, and both keep that memory for later answers.
    Secret(Zeroizing<Vec<u8>>),
}

/// The value of a member.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    /// Bytes, written in base64.
    Bytes(&'a [u8]),
    /// A number.
    Number(u32),
}

impl Answer {
    /// An object of `members` that may be seen.
    pub(crate) fn open(members: &[(&'static str, Value<'_>)]) -> Self {
        let mut out = Vec::with_capacity(object_bytes(members));
        put_object(&mut out, members);
        Self::Open(out)
    }

    /// An object of `members` of which one is secret.
    pub(crate) fn secret(members: &[(&'static str, Value<'_>)]) -> Self {
        // All at once: growing would leave an unwiped copy behind.
        let mut out = Zeroizing::new(Vec::with_capacity(object_bytes(members)));
        put_object(&mut out, members);
        Self::Secret(out)
    }

    /// `{"valid":true}`.
    pub(crate) const fn validity(is_valid: bool) -> Self {
        Self::Fixed(if is_valid { b"{\"valid\":true}" } else { b"{\"valid\":false}" })
    }

    /// The text.
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::Open(bytes) => bytes,
            Self::Secret(bytes) => bytes,
        }
    }

    /// Whether it holds a secret.
    pub(crate) const fn is_secret(&self) -> bool {
        match self {
            Self::Fixed(_) | Self::Open(_) => false,
            Self::Secret(_) => true,
        }
    }

    /// The response of one use.
    pub(crate) fn into_response(self) -> Response {
        match self {
            Self::Fixed(bytes) => with_body(StatusCode::OK, JSON, Bytes::from_static(bytes)),
            Self::Open(bytes) => with_body(StatusCode::OK, JSON, bytes),
            Self::Secret(bytes) => secret_response(StatusCode::OK, bytes),
        }
    }
}

/// Bytes of the object, at least.
fn object_bytes(members: &[(&'static str, Value<'_>)]) -> usize {
    let member = |(name, value): &(&'static str, Value<'_>)| {
        // The name's quotes, a colon, and a comma or brace.
        let value = match value {
            Value::Bytes(bytes) => 2 + base64_bytes(bytes.len()),
            Value::Number(_) => DECIMAL_BYTES_MAX,
        };
        name.len() + 4 + value
    };
    2 + members.iter().map(member).sum::<usize>()
}

/// The names have no character that JSON escapes.
fn put_object(out: &mut Vec<u8>, members: &[(&'static str, Value<'_>)]) {
    out.push(b'{');
    for (position, (name, value)) in members.iter().enumerate() {
        out.extend_from_slice(if position == 0 { b"\"" } else { b",\"" });
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        match value {
            Value::Bytes(bytes) => {
                out.push(b'"');
                let start = out.len();
                out.resize(start + base64_bytes(bytes.len()), 0);
                STANDARD.encode_slice(bytes, &mut out[start..]).expect("the room was computed");
                out.push(b'"');
            }
            Value::Number(number) => {
                let mut digits = [0; DECIMAL_BYTES_MAX];
                out.extend_from_slice(decimal(*number, &mut digits));
            }
        }
    }
    out.push(b'}');
}

/// Characters of the base64 of `bytes` bytes.
pub(crate) const fn base64_bytes(bytes: usize) -> usize {
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
