//! Tile names and entry bundles as C2SP tlog-tiles defines them: what a monitor fetches.

use core::fmt;
use core::str::FromStr;

use crate::encoding::parse_decimal;

/// Largest log entry, in bytes: its length is a big-endian u16 in an entry bundle.
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// Highest tile level that a name can have.
pub const TILE_LEVEL_MAX: u8 = 63;

/// Hashes or entries in a full tile.
const WIDTH_FULL: u16 = 256;
/// Longest tile name, in bytes; a u64 index takes seven groups.
const NAME_BYTES_MAX: usize = 64;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TileContent {
    /// Log entries, each with its length before it.
    Entries,
    /// Hashes of one level.
    Hashes {
        /// 0 to [`TILE_LEVEL_MAX`]; 0 holds leaf hashes.
        level: u8,
    },
}

/// The name of a tile, as in `tile/1/x001/x234/067.p/17`, without a leading slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TileName {
    content: TileContent,
    index: u64,
    width: u16,
}

impl TileName {
    /// The name of a tile of `width` hashes or entries; 256 is a full tile.
    ///
    /// # Errors
    /// [`InvalidTileName`] if the level is above [`TILE_LEVEL_MAX`] or the width not 1 to 256.
    pub fn new(content: TileContent, index: u64, width: u16) -> Result<Self, InvalidTileName> {
        let level = match content {
            TileContent::Entries => 0,
            TileContent::Hashes { level } => level,
        };
        let valid = level <= TILE_LEVEL_MAX && (1..=WIDTH_FULL).contains(&width);
        if valid { Ok(Self { content, index, width }) } else { Err(InvalidTileName) }
    }

    /// What the tile holds.
    #[must_use]
    pub fn content(&self) -> TileContent {
        self.content
    }

    /// Its index within its level.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Hashes or entries in it, 1 to 256.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether it is full, and so never changes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.width == WIDTH_FULL
    }
}

/// The tiles of hashes that a log of `size` entries has: for each level the number of full tiles
/// and the width of the partial tile behind them (0: there is none). Level 0 also counts the
/// entry bundles.
#[must_use]
pub fn tile_counts(size: u64) -> Vec<(u64, u16)> {
    let mut counts = Vec::new();
    let mut hashes = size;
    while hashes > 0 {
        let partial = u16::try_from(hashes % u64::from(WIDTH_FULL)).expect("less than 256");
        hashes /= u64::from(WIDTH_FULL);
        counts.push((hashes, partial));
    }
    counts
}

impl fmt::Display for TileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content {
            TileContent::Entries => f.write_str("tile/entries/")?,
            TileContent::Hashes { level } => write!(f, "tile/{level}/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for group in groups.iter().skip(1).rev() {
            write!(f, "x{group:03}/")?;
        }
        write!(f, "{:03}", groups[0])?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// A text that is not the name of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTileName;

impl fmt::Display for InvalidTileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tile is named as in `tile/0/x001/x234/067` or `tile/entries/067.p/5`")
    }
}

impl core::error::Error for InvalidTileName {}

impl FromStr for TileName {
    type Err = InvalidTileName;

    /// Strict: only what `Display` prints.
    fn from_str(text: &str) -> Result<Self, InvalidTileName> {
        let name = parse_name(text).ok_or(InvalidTileName)?;
        if name.to_string() == text { Ok(name) } else { Err(InvalidTileName) }
    }
}

fn parse_name(text: &str) -> Option<TileName> {
    if text.len() > NAME_BYTES_MAX {
        return None;
    }
    let (kind, path) = text.strip_prefix("tile/")?.split_once('/')?;
    let content = match kind {
        "entries" => TileContent::Entries,
        level => TileContent::Hashes { level: u8::try_from(parse_decimal(level)?).ok()? },
    };
    let (path, width) = match path.split_once(".p/") {
        Some((path, width)) => (path, u16::try_from(parse_decimal(width)?).ok()?),
        None => (path, WIDTH_FULL),
    };
    let mut index = 0_u64;
    for group in path.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    TileName::new(content, index, width).ok()
}

/// Why bytes are no entry bundle, or entries cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// An entry has more than [`ENTRY_BYTES_MAX`] bytes.
    EntryTooLarge,
    /// The bundle does not hold exactly as many entries as asked for, or ends within one.
    Malformed,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntryTooLarge => {
                write!(f, "a log entry has at most {ENTRY_BYTES_MAX} bytes")
            }
            Self::Malformed => f.write_str("the entry bundle does not hold whole entries"),
        }
    }
}

impl core::error::Error for BundleError {}

/// The bytes of an entry bundle: each entry after its length as a big-endian u16.
///
/// # Errors
/// [`BundleError::EntryTooLarge`].
pub fn encode_bundle<'a>(
    entries: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, BundleError> {
    let mut bundle = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).map_err(|_| BundleError::EntryTooLarge)?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// The `width` entries of a bundle.
///
/// # Errors
/// [`BundleError::Malformed`] if it holds fewer, more, or a torn one.
pub fn decode_bundle(bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::with_capacity(usize::from(width));
    let mut rest = bundle;
    for _ in 0..width {
        let (length, after) = rest.split_first_chunk::<2>().ok_or(BundleError::Malformed)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(BundleError::Malformed)?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(BundleError::Malformed) }
}
