//! A new image without a new epoch: a root is retained for a backup, or its time has come.
//!
//! ```text
//! Replacement --put--> Replaced --erase_old--> the image and the evidence
//! ```
//! Two types, so that a repeated try never writes over the only image that is left.

use super::{ErasableSlot, EraseEvidence, SlotImage};
use crate::tree::{Failed, erase_others};

/// An image that is to take the place of the one in the slot: [`SlotImage::retaining`],
/// [`SlotImage::without_expired`], [`SlotImage::without_backup`], or the first one of a new slot.
#[derive(Debug)]
#[must_use = "nothing is written yet: put it"]
pub struct Replacement(SlotImage);

/// A replacement that is durable beside the image before it.
#[derive(Debug)]
#[must_use = "roots that should be gone are in the slot: erase them"]
pub struct Replaced(SlotImage);

impl Replacement {
    /// The plan to put `next` in place of the image that it follows.
    pub fn by(next: SlotImage) -> Self {
        Self(next)
    }

    /// Writes the image. A crash in it or just after it leaves images of one epoch; recovery takes
    /// the later one that is whole.
    ///
    /// # Errors
    /// The slot's, with the step: the image may or may not be there, the one before it is.
    pub fn put(self, slot: &mut dyn ErasableSlot) -> Result<Replaced, Box<Failed<Self>>> {
        match slot.put_new(&self.0) {
            Ok(()) => Ok(Replaced(self.0)),
            Err(error) => Err(Box::new(Failed { step: self, error })),
        }
    }
}

impl Replaced {
    /// Erases the image before. **When this returns `Ok`, roots that the new one does not have are
    /// gone.** Gives what the slot holds now.
    ///
    /// # Errors
    /// The slot's, with the step: the old image may or may not be there, the new one is.
    pub fn erase_old(
        self,
        slot: &mut dyn ErasableSlot,
    ) -> Result<(SlotImage, EraseEvidence), Box<Failed<Self>>> {
        match erase_others(slot, self.0.generation) {
            Ok(evidence) => Ok((self.0, evidence)),
            Err(error) => Err(Box::new(Failed { step: self, error })),
        }
    }
}
