//! Names as parsed strings: a value of these types cannot be wrong.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use compact_str::CompactString;

use crate::limits::{LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, NAME_BYTES_MAX};

/// A text that cannot be a name; says which rule it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidName;

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a name has 1 to {NAME_BYTES_MAX} bytes of UTF-8 without control characters, \
             and no white space at either end"
        )
    }
}

impl core::error::Error for InvalidName {}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// 1 to [`NAME_BYTES_MAX`] bytes of UTF-8 without control characters and without white
        /// space at either end. Doors with narrower rules check theirs before. Short ones, up to
        /// 24 bytes, lie in the value itself: there are millions.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(CompactString);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                check(text).map(|()| Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    )*};
}

names! {
    /// The name of a key.
    KeyName;
    /// The name of a principal.
    PrincipalName;
    /// The name of a realm.
    RealmName;
    /// The name of a vault.
    VaultName;
}

fn check(text: &str) -> Result<(), InvalidName> {
    let sized = (1..=NAME_BYTES_MAX).contains(&text.len());
    let plain = !text.chars().any(char::is_control);
    if sized && plain && text.trim() == text { Ok(()) } else { Err(InvalidName) }
}

/// A text that cannot be the name or the value of a label; says which rule it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidLabel;

impl fmt::Display for InvalidLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a label's name has 1 to {LABEL_NAME_BYTES_MAX} of a-z 0-9 . _ / - and begins and ends \
             with a letter or digit; its value has at most {LABEL_VALUE_BYTES_MAX} bytes of UTF-8 \
             without control characters"
        )
    }
}

impl core::error::Error for InvalidLabel {}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident $rule:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidLabel;

            fn from_str(text: &str) -> Result<Self, InvalidLabel> {
                if $rule(text) { Ok(Self(text.into())) } else { Err(InvalidLabel) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    )*};
}

labels! {
    /// The name of a label: 1 to [`LABEL_NAME_BYTES_MAX`] of `a-z 0-9 . _ / -`, with a letter or
    /// digit at either end.
    LabelName is_label_name;
    /// The value of a label: at most [`LABEL_VALUE_BYTES_MAX`] bytes of UTF-8 without control
    /// characters. May be empty.
    LabelValue is_label_value;
}

fn is_label_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    text.len() <= LABEL_NAME_BYTES_MAX
        && bytes.first().is_some_and(|&byte| plain(byte))
        && bytes.last().is_some_and(|&byte| plain(byte))
        && bytes.iter().all(|&byte| plain(byte) || b"._/-".contains(&byte))
}

fn is_label_value(text: &str) -> bool {
    text.len() <= LABEL_VALUE_BYTES_MAX && !text.chars().any(char::is_control)
}
