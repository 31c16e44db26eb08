//! The write order T1, L1, L2 as types: each step takes the one before and gives the next.
//!
//! ```text
//! Staged --T1 durable-> NewRoot --write_root (L1)-> RootWritten --erase_old (L2)-> Erased --apply
//!                    \> SameRoot ---------------------------------------------------------apply
//! ```
//! A crash after T1 or during L1 leaves the old root: recovery falls back and the intents are run
//! again. After L1 both roots open a complete tree. L2 is the instant of erasure. A step that
//! failed hands itself back: run it again, or stop the process and recover. Never serve its cuts
//! as gone, and never stage anew beside it: its pending nodes are in the store.

use core::fmt;

use lethe_types::{BatchId, Secret};

use super::{ErasureError, NodeAddress, Staged, Tree};
use crate::slot::{ErasableSlot, EraseEvidence, SlotEntry, SlotError, SlotImage};

/// A stage whose transaction T1 is durable.
#[derive(Debug)]
#[must_use = "the stored tree has changed: finish the steps"]
pub enum Committed {
    /// Keys were cut: the slot comes next.
    NewRoot(NewRoot),
    /// Nothing was cut: only [`Tree::apply_same_root`] is left.
    SameRoot(SameRoot),
}

/// The image with the root of a stage whose T1 is not durable yet: L1 may run beside T1, since only
/// L2 ends anything. A crash between leaves two roots of which one opens no complete tree; recovery
/// takes the other and erases this one. A T1 that failed leaves the same, and the next image of
/// this generation takes its place.
#[derive(Debug)]
#[must_use = "write it beside T1, or drop it and call `NewRoot::write_root` after T1"]
pub struct RootAhead {
    revision: u64,
    image: SlotImage,
}

/// The root of a stage is in the slot ahead of its T1.
#[derive(Debug)]
#[must_use = "join it with the committed stage"]
pub struct RootWrittenAhead(RootAhead);

/// A durable stage that leaves the root as it is.
#[derive(Debug)]
#[must_use = "the stored tree has changed: apply it"]
pub struct SameRoot(Staged);

/// A durable stage with a new root that is not in the slot yet.
#[derive(Debug)]
#[must_use = "the old root is still alive: write the new one"]
pub struct NewRoot(Staged);

/// Both roots are in the slot.
#[derive(Debug)]
#[must_use = "the old root is still alive: erase it"]
pub struct RootWritten {
    staged: Staged,
    image: SlotImage,
}

/// The old root is erased: what the stage cut is gone.
#[derive(Debug)]
#[must_use = "the tree in memory is still the old one: apply it"]
pub struct Erased {
    staged: Staged,
    image: SlotImage,
    evidence: EraseEvidence,
}

/// What remains of an erased stage once the tree has moved on.
#[derive(Debug)]
pub struct Applied {
    /// What the slot holds now: pass it to the next [`NewRoot::write_root`].
    pub image: SlotImage,
    /// How the old root was erased, for the receipt.
    pub evidence: EraseEvidence,
    /// The nodes to remove in T2, which also sets the store's epoch to [`Tree::epoch`] and the
    /// intents to done. T2 may be late; a crash before it is what recovery expects.
    pub drops: Vec<NodeAddress>,
}

/// A step with the slot that failed, and itself for another try. Nothing is gone.
pub struct Failed<S> {
    /// The step, as before the call.
    pub step: S,
    /// Why.
    pub error: SlotError,
}

impl SameRoot {
    pub(super) fn new(staged: Staged) -> Self {
        Self(staged)
    }
}

impl RootAhead {
    /// The image that follows `now` with the root of `staged`; `None` if the root stays. The
    /// parameters are those of [`NewRoot::write_root`].
    ///
    /// # Errors
    /// [`SlotError`]; nothing was written.
    pub fn of(
        staged: &Staged,
        now: &SlotImage,
        batch: BatchId,
        seconds_now: u64,
    ) -> Result<Option<Self>, SlotError> {
        if !staged.needs_root_change() {
            return Ok(None);
        }
        let image = next_image(staged, now, batch, seconds_now)?;
        Ok(Some(Self { revision: staged.revision, image }))
    }

    /// L1, while T1 is on its way.
    ///
    /// # Errors
    /// [`SlotError`]: the new root may or may not be in the slot, the old one is. Once T1 is
    /// durable, [`NewRoot::write_root`] tries again.
    pub fn write(self, slot: &mut dyn ErasableSlot) -> Result<RootWrittenAhead, SlotError> {
        slot.put_new(&self.image)?;
        Ok(RootWrittenAhead(self))
    }
}

impl NewRoot {
    pub(super) fn new(staged: Staged) -> Self {
        Self(staged)
    }

    /// Both are done: T1 is durable and `ahead`, which was made from this very stage, is in the
    /// slot.
    ///
    /// # Errors
    /// The stage itself if `ahead` belongs to another one: write its root after T1.
    pub fn join(self, ahead: RootWrittenAhead) -> Result<RootWritten, Box<Self>> {
        let RootAhead { revision, image } = ahead.0;
        let same_root =
            self.0.new_root.as_ref().is_some_and(|root| root.ct_eq(&image.current.root));
        let same_stage = revision == self.0.revision && image.tree_id == self.0.tree_id();
        if same_root && same_stage && image.current.epoch == self.0.epoch_to() {
            Ok(RootWritten { staged: self.0, image })
        } else {
            Err(Box::new(self))
        }
    }

    /// L1: writes the new root beside the old one.
    ///
    /// `now` is what the slot holds. Its retained roots that `seconds_now` (since 1970) has not
    /// passed are kept, the others end with this change. The new entry carries `batch` as its tag.
    ///
    /// A crash during the write leaves a torn sector and the old root; one just after it leaves
    /// both roots, each with a complete tree, and recovery takes the new one.
    ///
    /// # Errors
    /// [`SlotError`], with the step: the new root may or may not be in the slot, the old one is.
    pub fn write_root(
        self,
        slot: &mut dyn ErasableSlot,
        now: &SlotImage,
        batch: BatchId,
        seconds_now: u64,
    ) -> Result<RootWritten, Box<Failed<Self>>> {
        match next_image(&self.0, now, batch, seconds_now).and_then(|image| {
            slot.put_new(&image)?;
            Ok(image)
        }) {
            Ok(image) => Ok(RootWritten { staged: self.0, image }),
            Err(error) => Err(Box::new(Failed { step: self, error })),
        }
    }
}

fn next_image(
    staged: &Staged,
    now: &SlotImage,
    batch: BatchId,
    seconds_now: u64,
) -> Result<SlotImage, SlotError> {
    let is_successor = now.tree_id == staged.tree_id() && now.current.epoch < staged.epoch_to();
    let root = staged.new_root.as_ref().filter(|_| is_successor).map(Secret::duplicate);
    let root = root.ok_or(SlotError::NotASuccessor)?;
    let current = SlotEntry { epoch: staged.epoch_to(), not_after_s: 0, tag: batch.0, root };
    now.next(current, seconds_now)
}

impl RootWritten {
    /// L2: erases the old root. **When this returns `Ok`, everything the stage cut is gone.**
    ///
    /// A crash during it leaves the new root and perhaps the old one: recovery erases it.
    ///
    /// # Errors
    /// [`SlotError`], with the step: the old root may or may not be in the slot, the new one is.
    pub fn erase_old(self, slot: &mut dyn ErasableSlot) -> Result<Erased, Box<Failed<Self>>> {
        match erase_others(slot, self.image.generation) {
            Ok(evidence) => Ok(Erased { staged: self.staged, image: self.image, evidence }),
            Err(error) => Err(Box::new(Failed { step: self, error })),
        }
    }
}

impl Erased {
    /// How the old root was erased.
    #[must_use]
    pub fn evidence(&self) -> &EraseEvidence {
        &self.evidence
    }
}

impl Tree {
    /// Takes over a change without cuts.
    ///
    /// # Errors
    /// [`ErasureError::StaleStage`]: the tree in memory no longer is the stored one. Stop.
    pub fn apply_same_root(&mut self, stage: SameRoot) -> Result<Vec<NodeAddress>, ErasureError> {
        self.install(stage.0)
    }

    /// Takes over an erased change; the old root key in memory is wiped.
    ///
    /// # Errors
    /// [`ErasureError::StaleStage`]: the tree in memory no longer is the stored one. Stop.
    pub fn apply(&mut self, erased: Erased) -> Result<Applied, ErasureError> {
        let Erased { staged, image, evidence } = erased;
        let drops = self.install(staged)?;
        Ok(Applied { image, evidence, drops })
    }
}

impl<S> fmt::Debug for Failed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<S> fmt::Display for Failed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<S> core::error::Error for Failed<S> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.error.source()
    }
}

/// Erases every image but that of `generation`, and believes it only if it read back clean.
pub(crate) fn erase_others(
    slot: &mut dyn ErasableSlot,
    generation: u64,
) -> Result<EraseEvidence, SlotError> {
    let evidence = slot.erase_all_but(generation)?;
    if evidence.is_read_back_clean { Ok(evidence) } else { Err(SlotError::NotClean) }
}
