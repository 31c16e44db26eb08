//! The seal that a slot writes with, and during a migration the one that it still opens with.

use core::fmt;
use std::sync::Arc;

use lethe_erasure::seal::{Seal, SealError, SectorFault, SectorProblem, decode_sector};
use lethe_erasure::slot::{SLOT_IMAGE_BYTES, SlotImage};

/// The seals of one slot. Clones share them.
#[derive(Clone)]
pub struct Seals {
    sealing: Arc<dyn Seal>,
    retiring: Option<Arc<dyn Seal>>,
}

impl Seals {
    /// One seal, for reading and writing.
    #[must_use]
    pub fn only(seal: Arc<dyn Seal>) -> Self {
        Self { sealing: seal, retiring: None }
    }

    /// Writes with `sealing`, opens with either: for [`crate::migrate_seal`].
    #[must_use]
    pub fn replacing(retiring: Arc<dyn Seal>, sealing: Arc<dyn Seal>) -> Self {
        Self { sealing, retiring: Some(retiring) }
    }

    pub(crate) fn with(&self, wrap: impl Fn(Arc<dyn Seal>) -> Arc<dyn Seal>) -> Self {
        Self { sealing: wrap(self.sealing.clone()), retiring: self.retiring.clone().map(wrap) }
    }

    pub(crate) fn sealing(&self) -> &dyn Seal {
        &*self.sealing
    }

    /// The image in a sector, as [`decode_sector`] with the seal that fits.
    ///
    /// # Errors
    /// If neither opens it, what the sealing one says, unless only the retiring one is of the kind
    /// that sealed the sector.
    pub(crate) fn decode(
        &self,
        bytes: &[u8; SLOT_IMAGE_BYTES],
        number: u8,
    ) -> Result<Option<SlotImage>, SectorFault> {
        let fault = match decode_sector(bytes, number, self.sealing()) {
            Ok(image) => return Ok(image),
            Err(fault) => fault,
        };
        let is_other = matches!(
            fault.problem,
            SectorProblem::OtherSeal { .. } | SectorProblem::OtherDevice { .. }
        );
        // A new device may have no key for this sector yet.
        let may_be_retiring = is_other
            || matches!(
                fault.problem,
                SectorProblem::NotAuthentic | SectorProblem::Seal(SealError::NoKey)
            );
        match self.retiring.as_deref().filter(|_| may_be_retiring) {
            None => Err(fault),
            Some(retiring) => decode_sector(bytes, number, retiring)
                .map_err(|second| if is_other { second } else { fault }),
        }
    }

    /// Whether the seal for writing is the one that opens the sector, so that its salt stays.
    pub(crate) fn is_sealing(&self, bytes: &[u8; SLOT_IMAGE_BYTES], number: u8) -> bool {
        self.retiring.is_none()
            || matches!(decode_sector(bytes, number, self.sealing()), Ok(Some(_)))
    }
}

impl fmt::Debug for Seals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seals")
            .field("sealing", &self.sealing.kind())
            .field("retiring", &self.retiring.as_ref().map(|seal| seal.kind()))
            .finish()
    }
}
