//! What the slot knows of each of its two sectors.
//!
//! Knowledge comes from the first read, at start, and from then on only from writes whose sync
//! succeeded. A later read proves nothing: after a failed sync the system shows bytes that the
//! medium may not have.

use lethe_erasure::seal::SectorFault;
use lethe_erasure::slot::SLOT_IMAGE_BYTES;
use lethe_types::Secret;

use crate::seals::Seals;

/// What one sector holds for certain.
#[derive(Debug)]
pub(crate) enum Sector {
    /// Zeros, or what an erasure leaves.
    Empty,
    /// The image that was read at start, with its bytes. A process before this one may have failed
    /// to sync them, so they are written again before anything is erased for their sake.
    Found { generation: u64, sealed: SectorBytes },
    /// A write or sync failed: the bytes before, the new ones, or some of each.
    Uncertain {
        /// The generation of an image that can still be among them.
        may_hold: Option<u64>,
    },
    /// Something that gave no image at start.
    Unreadable(SectorFault),
    /// The image that this process wrote and synced.
    Written { generation: u64 },
}

impl Sector {
    /// What `bytes`, read at start, are.
    pub(crate) fn found(number: usize, bytes: SectorBytes, seals: &Seals) -> Self {
        match seals.decode(bytes.expose(), sector_number(number)) {
            Ok(Some(image)) => Self::Found { generation: image.generation, sealed: bytes },
            Ok(None) => Self::Empty,
            Err(fault) => Self::Unreadable(fault),
        }
    }

    /// The generation that is there or can be: what must not be written over by another one.
    pub(crate) fn may_hold(&self) -> Option<u64> {
        match self {
            Self::Found { generation, .. } | Self::Written { generation } => Some(*generation),
            Self::Uncertain { may_hold } => *may_hold,
            Self::Empty | Self::Unreadable(_) => None,
        }
    }

    /// The generation that is there.
    pub(crate) fn holds(&self) -> Option<u64> {
        match self {
            Self::Found { generation, .. } | Self::Written { generation } => Some(*generation),
            Self::Empty | Self::Uncertain { .. } | Self::Unreadable(_) => None,
        }
    }
}

/// The number of a sector as its seal binds it.
pub(crate) fn sector_number(sector: usize) -> u8 {
    u8::from(sector != 0)
}

/// Both sectors, by number.
pub(crate) const SECTORS: [usize; 2] = [0, 1];

/// The bytes of a sector. Sealed, but the process also holds the key of the seal: a copy that
/// outlived the erasure would be a root that outlived it.
pub(crate) type SectorBytes = Secret<SLOT_IMAGE_BYTES>;
