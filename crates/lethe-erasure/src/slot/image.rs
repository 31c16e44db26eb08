//! One slot image: the current root, roots retained for backups, and its exact 4,096 bytes.
//!
//! ```text
//! "KSL1" | u16 version = 1 | u16 count (1..=62) | u64 generation | tree_id 16      (32 bytes)
//! count × { u64 epoch | u64 not_after (unix s, 0 = current) | 16 tag | 32 root }   (64 each)
//! zero fill | SHA-256 over all before (last 32)
//! ```
//! The current entry comes first and is the only one without an end.

use core::fmt;

use lethe_crypto::hash::sha256;
use lethe_types::{Secret, TreeId};

use super::SlotError;
use crate::tree::u64_at;

/// What one sector of a slot holds.
#[derive(Debug)]
pub struct SlotImage {
    /// Grows by one with every write; its parity names the sector.
    pub generation: u64,
    /// The tree whose roots these are.
    pub tree_id: TreeId,
    /// The root of the store's tree.
    pub current: SlotEntry,
    /// Roots that still open a backup, at most [`RETAINED_ENTRIES_MAX`].
    pub retained: Vec<SlotEntry>,
}

/// One root.
#[derive(Debug)]
pub struct SlotEntry {
    /// The epoch that it opens.
    pub epoch: u64,
    /// When it must be gone, in seconds since 1970; 0 for the current one.
    pub not_after_s: u64,
    /// The batch that made it current, or the backup that it is retained for.
    pub tag: [u8; 16],
    /// The root key, or this node's share of it.
    pub root: Secret<32>,
}

impl SlotImage {
    /// The image that follows with `current` as its root: the retained roots whose end
    /// `seconds_now` has not reached stay.
    ///
    /// # Errors
    /// [`SlotError::NotASuccessor`] if there are no more generations.
    pub fn next(&self, current: SlotEntry, seconds_now: u64) -> Result<Self, SlotError> {
        let generation = self.generation.checked_add(1).ok_or(SlotError::NotASuccessor)?;
        let alive = self.retained.iter().filter(|entry| entry.not_after_s > seconds_now);
        let retained = alive.map(SlotEntry::duplicate).collect();
        Ok(Self { generation, tree_id: self.tree_id, current, retained })
    }

    /// The image that follows and also keeps the current root until `not_after_s` for the backup
    /// named by `tag`. Put it with [`super::Replacement`] before the backup is handed out.
    ///
    /// # Errors
    /// [`SlotError::AlreadyExpired`], [`SlotError::Full`], [`SlotError::NotASuccessor`] if there
    /// are no more generations.
    pub fn retaining(
        &self,
        tag: [u8; 16],
        not_after_s: u64,
        seconds_now: u64,
    ) -> Result<Self, SlotError> {
        if not_after_s <= seconds_now {
            return Err(SlotError::AlreadyExpired);
        }
        let mut next = self.next(self.current.duplicate(), seconds_now)?;
        if next.retained.len() >= RETAINED_ENTRIES_MAX {
            return Err(SlotError::Full);
        }
        next.retained.push(SlotEntry { not_after_s, tag, ..self.current.duplicate() });
        Ok(next)
    }

    /// The image that follows without the retained roots whose end has come; `None` if there is
    /// no such root. Put it with [`super::Replacement`].
    ///
    /// # Errors
    /// [`SlotError::NotASuccessor`] if there are no more generations.
    pub fn without_expired(&self, seconds_now: u64) -> Result<Option<Self>, SlotError> {
        let next = self.next(self.current.duplicate(), seconds_now)?;
        Ok((next.retained.len() < self.retained.len()).then_some(next))
    }

    /// The image that follows without the root retained for the backup `tag`, for a backup that
    /// was thrown away before its time; `None` if there is none.
    ///
    /// # Errors
    /// [`SlotError::NotASuccessor`] if there are no more generations.
    pub fn without_backup(&self, tag: [u8; 16]) -> Result<Option<Self>, SlotError> {
        let mut next = self.next(self.current.duplicate(), 0)?;
        next.retained.retain(|entry| entry.tag != tag);
        Ok((next.retained.len() < self.retained.len()).then_some(next))
    }

    /// The latest moment (seconds since 1970) at which a retained root still opens what is cut in
    /// a change from `epoch`; `None` if nothing does. For the receipt.
    #[must_use]
    pub fn recoverable_until_s(&self, epoch: u64) -> Option<u64> {
        let opens = self.retained.iter().filter(|entry| entry.epoch <= epoch);
        opens.map(|entry| entry.not_after_s).max()
    }

    /// A second image with copies of the same secrets.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            generation: self.generation,
            tree_id: self.tree_id,
            current: self.current.duplicate(),
            retained: self.retained.iter().map(SlotEntry::duplicate).collect(),
        }
    }

    /// The 4,096 bytes.
    ///
    /// # Errors
    /// [`SlotError::Full`] for more than [`RETAINED_ENTRIES_MAX`] retained roots;
    /// [`SlotError::NotASuccessor`] for an image that would not decode: generation or epoch 0, a
    /// current root with an end, a retained one without.
    pub fn encode(&self) -> Result<Secret<SLOT_IMAGE_BYTES>, SlotError> {
        let entries = || core::iter::once(&self.current).chain(&self.retained);
        if self.retained.len() > RETAINED_ENTRIES_MAX {
            return Err(SlotError::Full);
        }
        let has_ends = self.retained.iter().all(|entry| entry.not_after_s > 0);
        let has_epochs = entries().all(|entry| entry.epoch > 0);
        if self.generation == 0 || self.current.not_after_s != 0 || !has_ends || !has_epochs {
            return Err(SlotError::NotASuccessor);
        }
        let count = u16::try_from(1 + self.retained.len()).map_err(|_| SlotError::Full)?;
        Ok(Secret::init_with(|bytes| {
            bytes[..4].copy_from_slice(MAGIC);
            bytes[4..6].copy_from_slice(&VERSION.to_be_bytes());
            bytes[6..8].copy_from_slice(&count.to_be_bytes());
            bytes[8..16].copy_from_slice(&self.generation.to_be_bytes());
            bytes[16..32].copy_from_slice(self.tree_id.as_bytes());
            let places = bytes[HEADER_BYTES..HASH_AT].chunks_exact_mut(ENTRY_BYTES);
            for (place, entry) in places.zip(entries()) {
                place[..8].copy_from_slice(&entry.epoch.to_be_bytes());
                place[8..16].copy_from_slice(&entry.not_after_s.to_be_bytes());
                place[16..32].copy_from_slice(&entry.tag);
                place[32..].copy_from_slice(entry.root.expose());
            }
            let hash = sha256(&[&bytes[..HASH_AT]]);
            bytes[HASH_AT..].copy_from_slice(&hash);
        }))
    }

    /// The image that [`SlotImage::encode`] wrote.
    ///
    /// # Errors
    /// [`ImageFault`] for any byte that `encode` would not have written.
    pub fn decode(bytes: &[u8; SLOT_IMAGE_BYTES]) -> Result<Self, ImageFault> {
        if bytes[..4] != *MAGIC {
            return Err(ImageFault::Magic);
        }
        let version = u16::from_be_bytes([bytes[4], bytes[5]]);
        if version != VERSION {
            return Err(ImageFault::Version(version));
        }
        if sha256(&[&bytes[..HASH_AT]]) != bytes[HASH_AT..] {
            return Err(ImageFault::Hash);
        }
        let count = usize::from(u16::from_be_bytes([bytes[6], bytes[7]]));
        if count == 0 || count > SLOT_ENTRIES_MAX {
            return Err(ImageFault::Content);
        }
        let end = HEADER_BYTES + count * ENTRY_BYTES;
        let generation = u64_at(bytes, 8);
        if generation == 0 || bytes[end..HASH_AT].iter().any(|byte| *byte != 0) {
            return Err(ImageFault::Content);
        }
        let mut tree_id = TreeId([0; 16]);
        tree_id.0.copy_from_slice(&bytes[16..32]);
        let mut entries = bytes[HEADER_BYTES..end].chunks_exact(ENTRY_BYTES).map(decode_entry);
        let current = entries.next().ok_or(ImageFault::Content)?;
        let retained: Vec<SlotEntry> = entries.collect();
        let is_sound = current.not_after_s == 0
            && current.epoch > 0
            && retained.iter().all(|entry| entry.epoch > 0 && entry.not_after_s > 0);
        if is_sound {
            Ok(Self { generation, tree_id, current, retained })
        } else {
            Err(ImageFault::Content)
        }
    }
}

impl SlotEntry {
    /// A second entry with a copy of the same secret.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let Self { epoch, not_after_s, tag, ref root } = *self;
        Self { epoch, not_after_s, tag, root: root.duplicate() }
    }
}

fn decode_entry(bytes: &[u8]) -> SlotEntry {
    let mut tag = [0; 16];
    tag.copy_from_slice(&bytes[16..32]);
    SlotEntry {
        epoch: u64_at(bytes, 0),
        not_after_s: u64_at(bytes, 8),
        tag,
        root: Secret::init_with(|root| root.copy_from_slice(&bytes[32..])),
    }
}

/// Why bytes are no slot image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFault {
    /// Authentic by its hash, and still nothing that Lethe writes.
    Content,
    /// The hash does not fit: torn or damaged.
    Hash,
    /// Not a slot image.
    Magic,
    /// A version of the layout that this program does not know.
    Version(u16),
}

impl fmt::Display for ImageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content => f.write_str("the slot image has impossible contents"),
            Self::Hash => f.write_str("the hash of the slot image does not fit"),
            Self::Magic => f.write_str("this is not a slot image"),
            Self::Version(version) => {
                write!(f, "the slot image has layout version {version}, this program knows 1")
            }
        }
    }
}

impl core::error::Error for ImageFault {}

/// Bytes of an image.
pub const SLOT_IMAGE_BYTES: usize = 4_096;
/// Most roots in one image.
pub const SLOT_ENTRIES_MAX: usize = 62;
/// Most roots retained for backups.
pub const RETAINED_ENTRIES_MAX: usize = SLOT_ENTRIES_MAX - 1;

pub(crate) const HEADER_BYTES: usize = 32;
pub(crate) const ENTRY_BYTES: usize = 64;
pub(crate) const HASH_AT: usize = SLOT_IMAGE_BYTES - 32;
const MAGIC: &[u8; 4] = b"KSL1";
const VERSION: u16 = 1;
