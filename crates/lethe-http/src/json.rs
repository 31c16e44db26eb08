//! Strict JSON in, JSON out. Pure.
//!
//! Unknown members are refused by the wire types themselves (`#[serde(deny_unknown_fields)]`),
//! since some dialects must ignore them; repeated members always are. Nesting is bounded by
//! serde_json, at 128. Errors never repeat a value of the request: it may be a secret.

use core::fmt;

use http::header::{CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use crate::body::{Body, Response};

/// Why a body is not the JSON that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// JSON, but not what the operation takes: a member is missing, unknown, or has another type.
    /// Usually 422 or 400.
    Mismatch {
        /// Where, from 1.
        line: usize,
        /// Where, from 1; 0 at the start of a line.
        column: usize,
        /// What, without values of the request.
        what: String,
    },
    /// Not JSON. Usually 400.
    Syntax {
        /// Where, from 1.
        line: usize,
        /// Where, from 1; 0 at the start of a line.
        column: usize,
        /// What.
        what: String,
    },
    /// The body ends before the JSON does, or is empty. Usually 400.
    Truncated,
    /// `Content-Type` is not JSON. Usually 415.
    WrongContentType,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch { line, column, what } | Self::Syntax { line, column, what } => {
                write!(f, "{what} (line {line}, column {column})")
            }
            Self::Truncated => f.write_str("the body is empty or ends within its JSON"),
            Self::WrongContentType => f.write_str("the body must be `application/json`"),
        }
    }
}

impl core::error::Error for JsonError {}

/// Reads one JSON object and nothing else from `body`. Only an object: serde's structs would also
/// take an array of their members in order, which nobody means.
///
/// # Errors
/// [`JsonError`], never `WrongContentType`.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, JsonError> {
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or_default();
    if body.get(start) == Some(&b'{') {
        return serde_json::from_slice(body).map_err(|error| describe(&error));
    }
    serde_json::from_slice::<IgnoredAny>(body).map_err(|error| describe(&error))?;
    Err(JsonError::Mismatch { line: 1, column: 0, what: "the body must be an object".to_owned() })
}

/// As [`parse`], after a look at `Content-Type`: it must be `application/json` or a type with
/// `+json`, whatever its parameters. For doors whose clients all send it: it keeps web pages from
/// sending requests that a browser lets pass without asking.
///
/// # Errors
/// [`JsonError`].
pub fn parse_typed<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, JsonError> {
    if is_json(headers) { parse(body) } else { Err(JsonError::WrongContentType) }
}

/// A response with `value` as `application/json`.
///
/// # Panics
/// If `value` cannot be JSON: a map whose keys are no strings, or a `Serialize` that fails.
#[must_use]
pub fn respond<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    let bytes = serde_json::to_vec(value).expect("wire types are JSON");
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, CONTENT_TYPE_JSON);
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(value) = value.to_str() else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_suffixed = || essence.split_once('/').is_some_and(|(_, sub)| sub.ends_with("+json"));
    essence == "application/json" || is_suffixed()
}

fn describe(error: &serde_json::Error) -> JsonError {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    match error.classify() {
        Category::Data => JsonError::Mismatch { line, column, what: without_values(what) },
        Category::Eof => JsonError::Truncated,
        // Input and output cannot fail on a slice.
        Category::Io | Category::Syntax => {
            JsonError::Syntax { line, column, what: what.to_owned() }
        }
    }
}

/// serde's words without the value found: `invalid type: string "hunter2", expected u32` becomes
/// `invalid type: string, expected u32`. Names of members stay.
fn without_values(what: &str) -> String {
    let (kind, rest) = match what.split_once(' ') {
        Some(("invalid", rest)) => match rest.split_once(": ") {
            Some((subject @ ("type" | "value"), found)) => {
                let noun = NOUNS.iter().find(|noun| found.starts_with(**noun)).unwrap_or(&"value");
                (format!("invalid {subject}: {noun}"), found)
            }
            Some(_) | None => return what.to_owned(),
        },
        Some(("unknown", rest)) if rest.starts_with("variant ") => ("unknown value".into(), rest),
        Some(_) | None => return what.to_owned(),
    };
    // The value stands before the expectation, which never holds these words itself.
    match rest.rsplit_once(", expected ") {
        Some((_, expected)) => format!("{kind}, expected {expected}"),
        None => kind,
    }
}

/// How serde names what it found, longest first where one begins another.
const NOUNS: [&str; 11] = [
    "boolean",
    "byte array",
    "character",
    "floating point",
    "integer",
    "map",
    "null",
    "sequence",
    "string",
    "enum",
    "unit value",
];

/// RFC 8259 section 11.
const CONTENT_TYPE_JSON: HeaderValue = HeaderValue::from_static("application/json");
