//! Short texts that answers are full of, without an allocation for each.

use core::fmt::{self, Display, Write as _};

use serde::{Serialize, Serializer};

/// Longest text that a [`ShortText`] holds, in bytes: an identifier.
const SHORT_TEXT_BYTES_MAX: usize = 32;

/// An identifier or a moment as text. In JSON a string.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShortText {
    bytes: [u8; SHORT_TEXT_BYTES_MAX],
    length: usize,
}

impl ShortText {
    /// The text of `value`.
    ///
    /// # Panics
    /// If that has more than [`SHORT_TEXT_BYTES_MAX`] bytes: identifiers and moments do not.
    pub(super) fn of(value: impl Display) -> Self {
        let mut text = Self { bytes: [0; SHORT_TEXT_BYTES_MAX], length: 0 };
        write!(text, "{value}").expect("identifiers and moments are short");
        text
    }

    fn as_str(&self) -> &str {
        let text = self.bytes.get(..self.length).unwrap_or_default();
        core::str::from_utf8(text).expect("whole texts were written")
    }
}

impl fmt::Write for ShortText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for ShortText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
