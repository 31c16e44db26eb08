//! Canonical JSON (RFC 8785) for the subset that the log uses: objects, arrays, strings, integers
//! of at most 2^53 − 1 in size, booleans and null.
//!
//! A value has exactly one text, so that its hash can be recomputed from its meaning. Two ways
//! to write: [`write_object`] streams members that are known in order (the fast path of a
//! destroy), [`Json`] holds any value and sorts by itself. One way to read: [`Json::parse`]
//! refuses duplicate members, fractions and everything outside the subset.

mod read;
mod write;

use core::cmp::Ordering;
use core::fmt;

pub(crate) use read::{Members, parsed_text};
pub use write::{ObjectWriter, write_object};
pub(crate) use write::{TIME_MAX, write_object_of, write_text};

/// Largest integer, either sign: what every JSON reader represents exactly (RFC 7493 section 2.2).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// A JSON value of the subset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// An array.
    Array(Vec<Json>),
    /// `true` or `false`.
    Bool(bool),
    /// An integer; see [`INTEGER_MAX`].
    Integer(JsonInteger),
    /// `null`.
    Null,
    /// An object.
    Object(JsonObject),
    /// A string.
    Text(String),
}

/// An integer of at most [`INTEGER_MAX`] in size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonInteger(i64);

/// Members with distinct names, in the order of RFC 8785 section 3.2.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonObject(Vec<(String, Json)>);

/// Why a text or value is not JSON of the subset, or not the object that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// An object has two members of this name.
    Duplicate(String),
    /// The member has a value of another kind or form.
    Invalid(&'static str),
    /// The member is missing.
    Missing(&'static str),
    /// The text is not the canonical one of its value.
    NotCanonical,
    /// An integer is larger than [`INTEGER_MAX`], or a time is after the year 9999.
    Range,
    /// The text is not JSON, or uses more of it than the subset.
    Syntax,
    /// The object has a member that it should not have.
    Unknown(String),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(name) => write!(f, "the member `{name}` is there twice"),
            Self::Invalid(name) => write!(f, "the member `{name}` has an invalid value"),
            Self::Missing(name) => write!(f, "the member `{name}` is missing"),
            Self::NotCanonical => f.write_str("the JSON text is not canonical (RFC 8785)"),
            Self::Range => f.write_str("a number or time is too large for the log"),
            Self::Syntax => f.write_str("the text is not JSON of the subset that the log uses"),
            Self::Unknown(name) => write!(f, "the member `{name}` does not belong there"),
        }
    }
}

impl core::error::Error for JsonError {}

impl Json {
    /// The object of `members`, in any order.
    ///
    /// # Errors
    /// [`JsonError::Duplicate`].
    pub fn object<N: Into<String>>(
        members: impl IntoIterator<Item = (N, Json)>,
    ) -> Result<Self, JsonError> {
        let mut members: Vec<(String, Json)> =
            members.into_iter().map(|(name, value)| (name.into(), value)).collect();
        members.sort_by(|(left, _), (right, _)| name_order(left, right));
        if let Some(pair) = members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(JsonError::Duplicate(pair[0].0.clone()));
        }
        Ok(Self::Object(JsonObject(members)))
    }

    /// An integer.
    ///
    /// # Errors
    /// [`JsonError::Range`] beyond [`INTEGER_MAX`].
    pub fn integer(value: u64) -> Result<Self, JsonError> {
        JsonInteger::try_from(value).map(Self::Integer)
    }

    /// A string.
    pub fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }

    /// The value of `text`, which may be laid out in any way.
    ///
    /// # Errors
    /// [`JsonError`] outside the subset.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        read::parse(text)
    }

    /// The value of `text`, which must be what [`Json::to_canonical`] gives for it.
    ///
    /// # Errors
    /// [`JsonError`]; `NotCanonical` for any other spelling.
    pub fn parse_canonical(text: &str) -> Result<Self, JsonError> {
        let value = Self::parse(text)?;
        if value.to_canonical() == text { Ok(value) } else { Err(JsonError::NotCanonical) }
    }

    /// The canonical text of the value.
    #[must_use]
    pub fn to_canonical(&self) -> String {
        let mut out = String::new();
        write::write_value(&mut out, self);
        out
    }
}

impl JsonObject {
    /// The members in canonical order.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl JsonInteger {
    /// The number.
    #[must_use]
    pub fn value(self) -> i64 {
        self.0
    }
}

impl TryFrom<u64> for JsonInteger {
    type Error = JsonError;

    fn try_from(value: u64) -> Result<Self, JsonError> {
        i64::try_from(value).map_err(|_| JsonError::Range)?.try_into()
    }
}

impl TryFrom<i64> for JsonInteger {
    type Error = JsonError;

    fn try_from(value: i64) -> Result<Self, JsonError> {
        if value.unsigned_abs() <= INTEGER_MAX { Ok(Self(value)) } else { Err(JsonError::Range) }
    }
}

/// RFC 8785 section 3.2.3 sorts by UTF-16 code units, which differs from the order of UTF-8
/// bytes beyond U+FFFF.
fn name_order(left: &str, right: &str) -> Ordering {
    if left.is_ascii() && right.is_ascii() {
        left.cmp(right)
    } else {
        left.encode_utf16().cmp(right.encode_utf16())
    }
}
