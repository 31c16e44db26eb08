//! From one seal to another, so that a crash at any moment leaves a slot that one of the two opens.
//!
//! ```text
//! the same roots, one generation later, under the new seal   put_new, durable on every replica
//! the image under the old seal                               erase_all_but, read back
//! ```
//! The slot must have been opened with [`crate::Seals::replacing`], while no server runs.

use core::fmt;

use lethe_erasure::seal::SectorFault;
use lethe_erasure::slot::{ErasableSlot, EraseEvidence, SlotEntry, SlotError, SlotImage};

/// What a migration did.
#[derive(Debug)]
pub struct Migrated {
    /// The generation that the new seal opens.
    pub generation: u64,
    /// How the image under the old seal was erased.
    pub evidence: EraseEvidence,
}

/// Seals the slot's roots with the seal that it writes with, and erases what another one sealed.
///
/// May be repeated, also after it was cut short anywhere: it then does the rest, or all of it
/// again.
///
/// # Errors
/// [`MigrateError`]. Before the new image is durable nothing has changed; after that either seal
/// opens the slot until the old image is erased.
pub fn migrate_seal(slot: &mut dyn ErasableSlot) -> Result<Migrated, MigrateError> {
    let loaded = slot.load()?;
    let mut images = loaded.images;
    images.sort_by_key(|image| image.generation);
    let Some(newest) = images.pop() else {
        return Err(MigrateError::NoImage { faults: loaded.faults });
    };
    if images.iter().any(|older| !same_roots(older, &newest)) {
        return Err(MigrateError::ChangeCutShort);
    }
    // A migration before this one came to its second step: its older image goes first, so that
    // there is room. So does whatever else lies there.
    if !images.is_empty() || !loaded.faults.is_empty() {
        erase(slot, newest.generation)?;
    }
    let next = newest.next(newest.current.duplicate(), 0)?;
    slot.put_new(&next)?;
    let evidence = erase(slot, next.generation)?;
    Ok(Migrated { generation: next.generation, evidence })
}

fn erase(slot: &mut dyn ErasableSlot, generation: u64) -> Result<EraseEvidence, MigrateError> {
    let evidence = slot.erase_all_but(generation)?;
    if evidence.is_read_back_clean { Ok(evidence) } else { Err(SlotError::NotClean.into()) }
}

fn same_roots(one: &SlotImage, other: &SlotImage) -> bool {
    let entries = |image: &SlotImage| 1 + image.retained.len();
    let pairs = core::iter::once((&one.current, &other.current));
    entries(one) == entries(other)
        && pairs.chain(one.retained.iter().zip(&other.retained)).all(same_entry)
}

fn same_entry((one, other): (&SlotEntry, &SlotEntry)) -> bool {
    (one.epoch, one.not_after_s, one.tag) == (other.epoch, other.not_after_s, other.tag)
        && one.root.ct_eq(&other.root)
}

/// Why a seal was not migrated.
#[derive(Debug)]
pub enum MigrateError {
    /// The slot holds two roots: a destruction was cut short, and only a start of the server knows
    /// which of them is the right one.
    ChangeCutShort,
    /// Neither seal opens anything.
    NoImage {
        /// Why not; empty if the slot was never written.
        faults: Vec<SectorFault>,
    },
    /// The slot failed.
    Slot(SlotError),
}

impl fmt::Display for MigrateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChangeCutShort => f.write_str(
                "a destruction was cut short: start the server with the old seal once, stop it, \
                 and try again",
            ),
            Self::NoImage { faults } if faults.is_empty() => {
                f.write_str("the slot is empty: there is nothing to seal")
            }
            Self::NoImage { faults } => {
                f.write_str("neither seal opens the slot")?;
                faults.iter().try_for_each(|fault| write!(f, "; {fault}"))
            }
            Self::Slot(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for MigrateError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::ChangeCutShort | Self::NoImage { .. } => None,
            Self::Slot(error) => error.source(),
        }
    }
}

impl From<SlotError> for MigrateError {
    fn from(error: SlotError) -> Self {
        Self::Slot(error)
    }
}
