//! Names as parsed strings: a value of these types cannot be wrong.

use core::fmt;
use core::str::FromStr;

use crate::limits::NAME_BYTES_MAX;

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
        /// space at either end. Doors with narrower rules check theirs before.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

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
