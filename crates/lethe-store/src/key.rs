//! Names of values: spaces, keys, revisions.

use core::fmt;

use crate::StoreError;
use crate::limits::{KEY_BYTES_MAX, PAGE_ROWS_MAX, SPACE_BYTES_MAX};

/// A named key space: 1 to 16 bytes of `a-z` and `_`. Keys of different spaces never meet.
///
/// Spaces order by name. Small and `Copy`, so that a key carries its space by value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space {
    // Zero after the name. Zero sorts before every allowed byte, so that the derived order of the
    // array is the order of the names.
    padded: [u8; SPACE_BYTES_MAX],
}

impl Space {
    /// The space of that name, for constants: `const KEYS: Space = Space::named("keys");`.
    ///
    /// # Panics
    /// If the name is not 1 to 16 bytes of `a-z` and `_`; in a constant the build fails instead.
    /// For names from outside there is [`Space::parse`].
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        match Self::from_bytes(name.as_bytes()) {
            Some(space) => space,
            None => panic!("a space is named by 1 to 16 bytes of a-z and _"),
        }
    }

    /// The space of that name.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if the name is not 1 to 16 bytes of `a-z` and `_`.
    pub fn parse(name: &str) -> Result<Self, StoreError> {
        Self::from_bytes(name.as_bytes())
            .ok_or(StoreError::Invalid { what: "a space is named by 1 to 16 bytes of a-z and _" })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        let end = self.padded.iter().position(|byte| *byte == 0).unwrap_or(SPACE_BYTES_MAX);
        str::from_utf8(&self.padded[..end]).expect("only a-z and _ were let in")
    }

    const fn from_bytes(name: &[u8]) -> Option<Self> {
        if name.is_empty() || name.len() > SPACE_BYTES_MAX {
            return None;
        }
        let mut padded = [0; SPACE_BYTES_MAX];
        let mut at = 0;
        while at < name.len() {
            if !(name[at].is_ascii_lowercase() || name[at] == b'_') {
                return None;
            }
            padded[at] = name[at];
            at += 1;
        }
        Some(Self { padded })
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Space({})", self.name())
    }
}

/// The name of one value: a space and 0 to 512 bytes. Orders by space, then by bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey {
    space: Space,
    bytes: Box<[u8]>,
}

impl StoreKey {
    /// The key of these bytes in `space`.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] past [`KEY_BYTES_MAX`].
    pub fn new(space: Space, bytes: &[u8]) -> Result<Self, StoreError> {
        StoreError::check_size("a key, in bytes", bytes.len(), KEY_BYTES_MAX)?;
        Ok(Self { space, bytes: bytes.into() })
    }

    /// The space it is in.
    #[must_use]
    pub fn space(&self) -> Space {
        self.space
    }

    /// Its bytes within the space.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for StoreKey {
    /// `keys/0a1b`: keys are identifiers, never secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.space)?;
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Counts the commits of a store: 0 is the empty store, each commit adds one.
///
/// The revision of a key is that of the commit that last wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision of the next commit.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] after the largest: no store gets there by counting.
    pub fn next(self) -> Result<Self, StoreError> {
        let next = self.0.checked_add(1).map(Self);
        next.ok_or_else(|| StoreError::Corrupt { what: "the revision cannot grow".to_owned() })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A value with the revision of the commit that wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versioned {
    /// 0 to 1,048,576 bytes.
    pub value: Vec<u8>,
    /// Of the commit that wrote it.
    pub revision: Revision,
}

/// One row of a [`Page`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: StoreKey,
    /// Its value and revision.
    pub versioned: Versioned,
}

/// Part of a space in key order, all of it at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In ascending key order.
    pub rows: Vec<Row>,
    /// The first key that did not fit: where the next page starts. `None` at the end of the space.
    pub next: Option<Vec<u8>>,
    /// Of the whole store when the page was read. The next page may be read at a later one.
    pub revision: Revision,
}

impl Page {
    /// The number of rows a page may have, if the arguments of [`crate::Store::range`] keep their
    /// bounds. Every store calls it first, so that all refuse the same.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a limit of 0, [`StoreError::TooLarge`] past a bound.
    pub fn rows_limit(from: &[u8], limit: u32) -> Result<usize, StoreError> {
        if limit == 0 {
            return Err(StoreError::Invalid { what: "a range asks for at least one row" });
        }
        let rows = usize::try_from(limit).unwrap_or(usize::MAX);
        let rows_max = usize::try_from(PAGE_ROWS_MAX).unwrap_or(usize::MAX);
        StoreError::check_size("rows of a range", rows, rows_max)?;
        StoreError::check_size("the start of a range, in bytes", from.len(), KEY_BYTES_MAX)?;
        Ok(rows)
    }
}
