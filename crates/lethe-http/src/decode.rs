//! Percent-decoding and queries. Pure.

use core::fmt;
use core::str;
use std::borrow::Cow;

/// Text with a `%` that two hexadecimal digits do not follow, or that is not UTF-8 when decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidEncoding;

impl fmt::Display for InvalidEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text is not percent-encoded UTF-8")
    }
}

impl core::error::Error for InvalidEncoding {}

/// Decodes `%XX` (RFC 3986 section 2.1), once. `+` stays `+`.
///
/// # Errors
/// [`InvalidEncoding`] for a `%` without two hexadecimal digits and for what is not UTF-8.
pub fn percent_decode(text: &str) -> Result<Cow<'_, str>, InvalidEncoding> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let (pair, tail) = rest.split_first_chunk::<2>().ok_or(InvalidEncoding)?;
            decoded.push(hex_pair(*pair).ok_or(InvalidEncoding)?);
            rest = tail;
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| InvalidEncoding)
}

/// The `name=value` pairs of a query, in order, decoded as they are asked for: `+` is a space
/// (the form encoding that all clients use), then `%XX`.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    raw: &'a str,
}

/// One decoded pair of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryPair<'a> {
    /// What stands before the first `=`.
    pub name: Cow<'a, str>,
    /// What stands after it.
    pub value: Cow<'a, str>,
}

impl<'a> Query<'a> {
    /// Splits `raw`, a query without its `?`.
    #[must_use]
    pub fn new(raw: &'a str) -> Self {
        Self { raw }
    }

    /// All pairs; a name without `=` has the empty value. Empty pairs (`a=1&&b=2`) are left out.
    ///
    /// # Errors
    /// [`InvalidEncoding`] if any name or value is not percent-encoded UTF-8.
    pub fn pairs(self) -> Result<Vec<QueryPair<'a>>, InvalidEncoding> {
        let decode =
            |(name, value)| Ok(QueryPair { name: decode_form(name)?, value: decode_form(value)? });
        self.split().map(decode).collect()
    }

    /// All pairs, for dialects whose clients do not encode: what cannot be decoded stays as sent.
    #[must_use]
    pub fn pairs_lenient(self) -> Vec<QueryPair<'a>> {
        let decode = |text: &'a str| decode_form(text).unwrap_or(Cow::Borrowed(text));
        let pair = |(name, value)| QueryPair { name: decode(name), value: decode(value) };
        self.split().map(pair).collect()
    }

    fn split(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let pairs = self.raw.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }
}

fn decode_form(text: &str) -> Result<Cow<'_, str>, InvalidEncoding> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        percent_decode(&spaced).map(|decoded| Cow::Owned(decoded.into_owned()))
    } else {
        percent_decode(text)
    }
}

fn hex_pair(pair: [u8; 2]) -> Option<u8> {
    // `from_str_radix` alone would accept a sign.
    if !pair.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u8::from_str_radix(str::from_utf8(&pair).ok()?, 16).ok()
}
