//! Short lower-case words: names of doors, slot kinds and erasure classes.

use core::fmt;
use core::str::FromStr;

/// Longest word, in bytes.
pub const WORD_BYTES_MAX: usize = 32;

/// 1 to [`WORD_BYTES_MAX`] bytes of `a-z 0-9 _ -`, as in `native`, `tpm-nv`, `overwrite`.
///
/// The log does not know which doors and slots exist; it only keeps their names safe to print.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word(Box<str>);

impl Word {
    /// The word as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

/// A text that cannot be a [`Word`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidWord;

impl fmt::Display for InvalidWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a word has 1 to {WORD_BYTES_MAX} bytes of `a-z 0-9 _ -`")
    }
}

impl core::error::Error for InvalidWord {}

impl FromStr for Word {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-'
        };
        let sized = (1..=WORD_BYTES_MAX).contains(&text.len());
        if sized && text.bytes().all(allowed) { Ok(Self(text.into())) } else { Err(InvalidWord) }
    }
}
