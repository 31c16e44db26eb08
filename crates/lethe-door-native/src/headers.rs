//! Request headers and queries that are parsed, and response headers that are written, in more than
//! one handler.

use std::borrow::Cow;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH};
use lethe_http::{QueryPair, RequestHead, RequestId};

use crate::error::Refusal;

/// Names a request in answers, problems and the audit trail.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The receipt of a destruction: the base64 of its `.tlog-proof` file.
pub(crate) const X_DELETION_RECEIPT: HeaderName = HeaderName::from_static("x-deletion-receipt");
/// How far a stream of events had got (WHATWG HTML section 9.2.4).
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Makes a retry answer like the first try.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(crate) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
pub(crate) const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
pub(crate) const PEM: HeaderValue = HeaderValue::from_static("application/x-pem-file");
/// Nothing keeps this answer: it holds plaintext, a secret or what changes.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// What was served once never changes.
pub(crate) const IMMUTABLE: HeaderValue =
    HeaderValue::from_static("public, max-age=31536000, immutable");

/// The value of [`X_REQUEST_ID`]. Written by hand: every answer has it.
pub(crate) fn request_id_value(id: RequestId) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(id.to_bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    HeaderValue::from_bytes(&text).expect("hexadecimal digits are visible")
}

/// The only value of `name`, or `None` if it was not sent.
///
/// # Errors
/// If it was sent twice or is not visible ASCII.
pub(crate) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    field: &'static str,
) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::invalid(field, "must be sent only once"));
    }
    let text = value.to_str().map_err(|_| Refusal::invalid(field, "must be visible ASCII"))?;
    Ok(Some(text))
}

/// The revision that `If-Match` names (RFC 9110 section 13.1.1): one entity tag as in `ETag`.
/// `None` without the header and for `*`, which any key that is there matches.
///
/// # Errors
/// If it is anything else: no such tag was ever given out.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(text) = single(headers, &IF_MATCH, "If-Match")? else { return Ok(None) };
    if text == "*" {
        return Ok(None);
    }
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    digits.and_then(decimal).map(Some).ok_or_else(|| {
        Refusal::invalid("If-Match", "must be `*` or one entity tag exactly as in `ETag`")
    })
}

/// The value of `ETag` for a revision.
pub(crate) fn etag(revision: impl core::fmt::Display) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).expect("digits in quotes are visible")
}

/// A number without sign or leading zero.
pub(crate) fn decimal<N: core::str::FromStr>(digits: &str) -> Option<N> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_shortest = digits == "0" || !digits.starts_with('0');
    if is_plain && is_shortest { digits.parse().ok() } else { None }
}

/// Whether the body may be JSON: `Content-Type` says so or is not there.
///
/// # Errors
/// [`Refusal::UnsupportedMediaType`].
pub(crate) fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = values.next() else { return Ok(()) };
    let is_json = |value: &HeaderValue| {
        // Nearly all clients send exactly this.
        value == JSON
            || value.to_str().is_ok_and(|text| {
                let essence = text.split(';').next().unwrap_or_default().trim();
                essence.eq_ignore_ascii_case("application/json")
            })
    };
    if is_json(value) && values.next().is_none() {
        Ok(())
    } else {
        Err(Refusal::UnsupportedMediaType)
    }
}

/// Whether the client would rather have text than JSON (RFC 9110 section 12.5.1): only if it names
/// `text/plain` with more weight than `application/json`, or with the same and before it.
pub(crate) fn prefers_text(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut text = 0;
    let mut json = 0;
    let mut is_text_first = false;
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1000, thousandths);
        if essence.eq_ignore_ascii_case("text/plain") {
            text = weight;
            is_text_first = json == 0;
        } else if essence.eq_ignore_ascii_case("application/json") {
            json = weight;
        }
    }
    text > json || (text == json && text > 0 && is_text_first)
}

/// Whether the client names `text/event-stream` among what it accepts.
pub(crate) fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1000, thousandths);
        essence.eq_ignore_ascii_case("text/event-stream") && weight > 0
    })
}

/// A weight (RFC 9110 section 12.4.2) in thousandths; what is no weight counts as zero.
fn thousandths(weight: &str) -> u16 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let is_fraction = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "1" => 1000,
        "0" if is_fraction => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

/// The parameters of a query that an operation takes, by the names it gives: each at most once.
/// What it does not take is refused, since a misspelt parameter of a destruction must not count as
/// left out.
///
/// # Errors
/// [`Refusal::InvalidField`] with the parameter's name.
pub(crate) fn query<'a, const N: usize>(
    head: &'a RequestHead,
    names: [&'static str; N],
) -> Result<[Option<Cow<'a, str>>; N], Refusal> {
    Ok(query_with_list(head, names, None)?.0)
}

/// The values of parameters that are there at most once, and those of the one that may be repeated.
type Parameters<'a, const N: usize> = ([Option<Cow<'a, str>>; N], Vec<Cow<'a, str>>);

/// [`query`] with one more parameter, `repeated`, that may be there several times; its values come
/// second, in the order in which they were written.
///
/// # Errors
/// Those of [`query`].
pub(crate) fn query_with_list<'a, const N: usize>(
    head: &'a RequestHead,
    names: [&'static str; N],
    repeated: Option<&'static str>,
) -> Result<Parameters<'a, N>, Refusal> {
    let mut found = [const { None }; N];
    let mut list = Vec::new();
    let pairs =
        head.query_pairs().pairs().map_err(|error| Refusal::invalid("query", error.to_string()))?;
    for QueryPair { name, value } in pairs {
        if repeated.is_some_and(|repeated| repeated == name) {
            list.push(value);
            continue;
        }
        let Some(place) = names.iter().position(|known| *known == name) else {
            let all: Vec<&str> = names.into_iter().chain(repeated).collect();
            let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            let why = format!("is no parameter of this operation; it has {all}");
            let field = Cow::Owned(shortened(&name).to_owned());
            return Err(Refusal::InvalidField { field, why });
        };
        if found[place].replace(value).is_some() {
            return Err(Refusal::invalid(names[place], "must be there only once"));
        }
    }
    Ok((found, list))
}

/// The beginning of a text of the client's that goes into a problem.
pub(crate) fn shortened(text: &str) -> &str {
    const BYTES_MAX: usize = 100;
    let end = (0..=text.len().min(BYTES_MAX)).rev().find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}
