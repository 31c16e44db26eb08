//! The contract of a slot on the one in memory, and the steps over a slot that fails.

use super::support::{BATCH, Rig};
use crate::slot::{
    ErasableSlot, EraseEvidence, ErasureClass, Loaded, MemSlot, Replacement, SlotError, SlotImage,
    SlotKind,
};
use crate::tree::{Committed, NewRoot};

fn generations(slot: &dyn ErasableSlot) -> Vec<u64> {
    let loaded = slot.load().unwrap();
    assert!(loaded.faults.is_empty());
    let mut generations: Vec<u64> = loaded.images.iter().map(|image| image.generation).collect();
    generations.sort_unstable();
    generations
}

fn image(generation: u64) -> SlotImage {
    SlotImage { generation, ..Rig::new(2, 1).image }
}

#[test]
fn a_slot_keeps_two_images_and_forgets_one() {
    let mut slot = MemSlot::new();
    assert!(generations(&slot).is_empty());
    slot.put_new(&image(1)).unwrap();
    slot.put_new(&image(2)).unwrap();
    assert_eq!(generations(&slot), [1, 2]);
    let copy = slot.copied();
    let evidence = slot.erase_all_but(2).unwrap();
    assert_eq!((evidence.generation_erased, evidence.is_read_back_clean), (Some(1), true));
    assert_eq!((generations(&slot), generations(&copy)), (vec![2], vec![1, 2]));
    assert_eq!(slot.erase_all_but(2).unwrap().generation_erased, None);
}

#[test]
fn a_slot_never_overwrites_or_erases_its_only_image() {
    let mut slot = MemSlot::new();
    let refused = slot.erase_all_but(1).unwrap_err();
    assert!(matches!(refused, SlotError::NoSuchImage { generation: 1 }));
    slot.put_new(&image(1)).unwrap();
    let refused = slot.put_new(&image(3)).unwrap_err();
    assert!(matches!(refused, SlotError::SectorInUse { generation: 1 }));
    // A call that seemed to fail may be repeated.
    slot.put_new(&image(1)).unwrap();
    for generation in [0, 2, 3] {
        let refused = slot.erase_all_but(generation).unwrap_err();
        assert!(matches!(refused, SlotError::NoSuchImage { .. }));
    }
    assert_eq!(generations(&slot), [1]);
}

/// What a flaky slot does with one call.
#[derive(Clone, Copy)]
enum Fault {
    /// Fails before anything happened.
    Before,
    /// Does it, then fails.
    After,
    /// Says that it is done, and admits that it is not clean.
    Unclean,
}

struct FlakySlot {
    inner: MemSlot,
    put: Option<Fault>,
    erase: Option<Fault>,
    puts: u32,
}

impl FlakySlot {
    fn over(inner: &MemSlot) -> Self {
        Self { inner: inner.clone(), put: None, erase: None, puts: 0 }
    }
}

fn failed() -> SlotError {
    SlotError::Backend("input/output error".into())
}

impl ErasableSlot for FlakySlot {
    fn kind(&self) -> SlotKind {
        self.inner.kind()
    }

    fn class(&self) -> ErasureClass {
        self.inner.class()
    }

    fn load(&self) -> Result<Loaded, SlotError> {
        self.inner.load()
    }

    fn put_new(&mut self, image: &SlotImage) -> Result<(), SlotError> {
        self.puts += 1;
        match self.put.take() {
            None => self.inner.put_new(image),
            Some(Fault::Before | Fault::Unclean) => Err(failed()),
            Some(Fault::After) => self.inner.put_new(image).and(Err(failed())),
        }
    }

    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError> {
        match self.erase.take() {
            None => self.inner.erase_all_but(generation),
            Some(Fault::Before) => Err(failed()),
            Some(Fault::After) => self.inner.erase_all_but(generation).and(Err(failed())),
            Some(Fault::Unclean) => {
                let mut evidence = self.inner.erase_all_but(generation)?;
                evidence.is_read_back_clean = false;
                Ok(evidence)
            }
        }
    }
}

fn new_root(rig: &mut Rig, cut: u64) -> NewRoot {
    let staged = rig.tree.stage(&[cut], &[], &rig.entropy).unwrap();
    rig.nodes.put(staged.writes());
    match staged.committed() {
        Committed::NewRoot(stage) => stage,
        Committed::SameRoot(_) => panic!("a leaf was cut"),
    }
}

#[test]
fn a_step_that_failed_can_be_run_again_and_erases_in_the_end() {
    for fault in [Fault::Before, Fault::After, Fault::Unclean] {
        let mut rig = Rig::new(2, 1);
        rig.change(&[], &[0, 1]);
        let mut slot = FlakySlot::over(&rig.slot);
        let stage = new_root(&mut rig, 0);
        slot.put = Some(fault);
        let stage = stage.write_root(&mut slot, &rig.image, BATCH, 0).unwrap_err();
        // Nothing is gone: the tree in memory and the old root are as they were.
        assert!(rig.tree.is_taken(0) && generations(&slot).contains(&1));
        let written = stage.step.write_root(&mut slot, &rig.image, BATCH, 0).unwrap();
        slot.erase = Some(fault);
        let again = written.erase_old(&mut slot).unwrap_err();
        assert!(rig.tree.is_taken(0) && generations(&slot).contains(&2));
        let erased = again.step.erase_old(&mut slot).unwrap();
        assert!(erased.evidence().is_read_back_clean);
        let applied = rig.tree.apply(erased).unwrap();
        rig.nodes.remove(&applied.drops);
        rig.image = applied.image;
        assert_eq!((generations(&slot), rig.reopened().leaves_taken()), (vec![2], 1));
    }
}

#[test]
fn an_unclean_erasure_is_an_error_and_not_evidence() {
    let mut rig = Rig::new(2, 1);
    rig.change(&[], &[0]);
    let mut slot = FlakySlot::over(&rig.slot);
    let written = new_root(&mut rig, 0).write_root(&mut slot, &rig.image, BATCH, 0).unwrap();
    slot.erase = Some(Fault::Unclean);
    assert!(matches!(written.erase_old(&mut slot).unwrap_err().error, SlotError::NotClean));
}

#[test]
fn a_replacement_that_failed_can_be_run_again_without_touching_the_only_image() {
    for fault in [Fault::Before, Fault::After, Fault::Unclean] {
        let rig = Rig::new(2, 1);
        let mut slot = FlakySlot::over(&rig.slot);
        slot.put = Some(fault);
        slot.erase = Some(fault);
        let next = Replacement::by(rig.image.retaining([1; 16], 100, 0).unwrap());
        let failed = next.put(&mut slot).unwrap_err();
        assert!(generations(&slot).contains(&1));
        let replaced = failed.step.put(&mut slot).unwrap();
        let puts = slot.puts;
        let failed = replaced.erase_old(&mut slot).unwrap_err();
        assert!(generations(&slot).contains(&2));
        let (image, evidence) = failed.step.erase_old(&mut slot).unwrap();
        assert_eq!((image.retained.len(), evidence.is_read_back_clean), (1, true));
        assert_eq!((generations(&slot), slot.puts), (vec![2], puts), "not written over");
    }
}

#[test]
fn a_new_root_keeps_the_roots_of_backups_and_names_its_batch() {
    let mut rig = Rig::new(2, 1);
    rig.change(&[], &[0, 1]);
    let retaining = Replacement::by(rig.image.retaining([1; 16], 100, 0).unwrap());
    let replaced = retaining.put(&mut rig.slot).unwrap();
    rig.image = replaced.erase_old(&mut rig.slot).unwrap().0;
    let stage = new_root(&mut rig, 0);
    let mut slot = rig.slot.clone();
    let written = stage.write_root(&mut slot, &rig.image, BATCH, 50).unwrap();
    let applied = rig.tree.apply(written.erase_old(&mut slot).unwrap()).unwrap();
    assert_eq!((applied.image.current.epoch, applied.image.current.tag), (2, BATCH.0));
    let retained: Vec<(u64, u64)> =
        applied.image.retained.iter().map(|entry| (entry.epoch, entry.not_after_s)).collect();
    assert_eq!(retained, [(1, 100)]);
    assert_eq!(applied.image.recoverable_until_s(1), Some(100));
    // Past its end it goes with the next change.
    rig.image = applied.image;
    let written = new_root(&mut rig, 1).write_root(&mut slot, &rig.image, BATCH, 100).unwrap();
    let applied = rig.tree.apply(written.erase_old(&mut slot).unwrap()).unwrap();
    assert!(applied.image.retained.is_empty());
}
