//! What is promised when the medium fails. No test here may pass by believing the page cache.

use std::path::Path;
use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_erasure::seal::decode_sector;
use lethe_erasure::slot::{ErasableSlot, EraseEvidence, SlotError};

use super::medium::{Call, Fault, SECTOR, TestMedium};
use super::{NoEntropy, image, is_erased, seal, seals};
use crate::{FileSlot, FileSlotError};

const FAULTS: [Fault; 6] = [
    Fault::AfterSync,
    Fault::Fails,
    Fault::Torn(0),
    Fault::Torn(1),
    Fault::Torn(512),
    Fault::Torn(4_095),
];

fn start(medium: &TestMedium) -> Result<FileSlot, FileSlotError> {
    let (path, entropy) = (Path::new("root.slot"), Arc::new(SystemEntropy));
    FileSlot::over(Box::new(medium.clone()), path, seals(1), entropy, "test".to_owned())
}

/// A slot with image 1, made by an earlier process.
fn with_image_1() -> (TestMedium, FileSlot) {
    let medium = TestMedium::new();
    start(&medium).unwrap().put_new(&image(1)).unwrap();
    let slot = start(&medium).unwrap();
    (medium, slot)
}

/// The generations that load, and the number of faults.
fn seen(slot: &FileSlot) -> (Vec<u64>, usize) {
    let loaded = slot.load().unwrap();
    (loaded.images.iter().map(|image| image.generation).collect(), loaded.faults.len())
}

/// The generation of the image in `sector` of `bytes`.
fn generation_in(bytes: &[u8; 2 * SECTOR], sector: usize) -> Option<u64> {
    let bytes = bytes[sector * SECTOR..][..SECTOR].try_into().unwrap();
    let number = u8::try_from(sector).unwrap();
    decode_sector(bytes, number, &*seal(1)).ok().flatten().map(|image| image.generation)
}

#[track_caller]
fn check_backend_failed<T: std::fmt::Debug>(result: Result<T, SlotError>) {
    assert!(matches!(result, Err(SlotError::Backend(_))), "{result:?}");
}

#[test]
fn a_batch_costs_two_writes_two_syncs_and_one_read() {
    let (medium, mut slot) = with_image_1();
    for generation in 2..6 {
        medium.with(|world| world.calls.clear());
        slot.put_new(&image(generation)).unwrap();
        assert_eq!(medium.with(|world| world.calls.clone()), [Call::Write, Call::Sync]);
        medium.with(|world| world.calls.clear());
        let evidence = slot.erase_all_but(generation).unwrap();
        assert!(evidence.is_read_back_clean);
        assert_eq!(evidence.generation_erased, Some(generation - 1));
        let calls = [Call::Write, Call::Sync, Call::Forget, Call::Read];
        assert_eq!(medium.with(|world| world.calls.clone()), calls);
    }
}

#[test]
fn an_image_whose_sync_failed_is_not_there_until_it_is_written_again() {
    let (medium, mut slot) = with_image_1();
    medium.fail_after(1, Fault::Fails);
    check_backend_failed(slot.put_new(&image(2)));
    // The deception that this is about: the bytes read as if they were there, and are not.
    medium.with(|world| {
        assert_eq!(generation_in(&world.cached, 0), Some(2));
        assert_eq!(generation_in(&world.durable, 0), None);
    });
    assert_eq!(seen(&slot), (vec![1], 1));
    let refused = slot.erase_all_but(2);
    assert!(matches!(refused, Err(SlotError::NoSuchImage { generation: 2 })), "{refused:?}");
    // Nor does it give way to another generation: it may be there after all.
    let refused = slot.put_new(&image(4));
    assert!(matches!(refused, Err(SlotError::SectorInUse { generation: 2 })), "{refused:?}");
    assert_eq!(medium.with(|world| generation_in(&world.durable, 1)), Some(1));
    slot.put_new(&image(2)).unwrap();
    assert_eq!(medium.with(|world| generation_in(&world.durable, 0)), Some(2));
    assert_eq!(slot.erase_all_but(2).unwrap().generation_erased, Some(1));
    medium.lose_power();
    assert_eq!(seen(&start(&medium).unwrap()), (vec![2], 0));
}

#[test]
fn an_image_whose_sync_failed_can_be_erased_in_favour_of_the_old_one() {
    let (medium, mut slot) = with_image_1();
    medium.fail_after(1, Fault::AfterSync);
    check_backend_failed(slot.put_new(&image(2)));
    assert_eq!(medium.with(|world| generation_in(&world.durable, 0)), Some(2));
    let evidence = slot.erase_all_but(1).unwrap();
    assert_eq!((evidence.generation_erased, evidence.is_read_back_clean), (Some(2), true));
    medium.lose_power();
    assert_eq!(seen(&start(&medium).unwrap()), (vec![1], 0));
}

#[test]
fn an_erasure_whose_sync_failed_is_not_clean_until_it_is_written_again() {
    let faults = [
        (Fault::Fails, Some(1)),
        (Fault::Torn(0), Some(1)),
        (Fault::Torn(512), None),
        (Fault::AfterSync, None),
    ];
    for (fault, left) in faults {
        let (medium, mut slot) = with_image_1();
        slot.put_new(&image(2)).unwrap();
        medium.fail_after(1, fault);
        check_backend_failed(slot.erase_all_but(2));
        medium.with(|world| {
            // Gone to the eye, whatever is on the medium.
            assert!(is_erased(&world.cached[SECTOR..]), "{fault:?}");
            assert_eq!(generation_in(&world.durable, 1), left, "{fault:?}");
        });
        assert_eq!(seen(&slot), (vec![2], 1));
        let refused = slot.put_new(&image(3));
        assert!(matches!(refused, Err(SlotError::SectorInUse { generation: 1 })), "{refused:?}");
        medium.with(|world| world.calls.clear());
        let evidence = slot.erase_all_but(2).unwrap();
        assert_eq!((evidence.generation_erased, evidence.is_read_back_clean), (Some(1), true));
        let writes = |world: &mut super::medium::World| {
            world.calls.iter().filter(|call| **call == Call::Write).count()
        };
        assert_eq!(medium.with(writes), 1, "again");
        medium.lose_power();
        assert!(medium.with(|world| is_erased(&world.durable[SECTOR..])));
        slot.put_new(&image(3)).unwrap();
    }
}

/// One batch with one fault at one call: what it leaves, and that repeating ends it.
fn check_batch(at: usize, fault: Fault, is_power_lost: bool) {
    let case = format!("call {at}, {fault:?}, power lost: {is_power_lost}");
    let (medium, mut slot) = with_image_1();
    medium.fail_after(at, fault);
    let put = slot.put_new(&image(2));
    let erased = put.as_ref().ok().map(|()| slot.erase_all_but(2));
    let is_done = matches!(&erased, Some(Ok(EraseEvidence { is_read_back_clean: true, .. })));
    assert!(!is_done, "{case}: the fault did not show");
    let durable = medium.with(|world| [0, 1].map(|sector| generation_in(&world.durable, sector)));
    if put.is_err() {
        assert_eq!(durable[1], Some(1), "{case}: the old image is there");
    } else {
        assert_eq!(durable[0], Some(2), "{case}: the new image is there");
    }
    if is_power_lost {
        medium.lose_power();
        slot = start(&medium).unwrap();
    }
    let (images, _) = seen(&slot);
    assert!(!images.is_empty(), "{case}");
    if !images.contains(&2) || !is_power_lost && put.is_err() {
        slot.put_new(&image(2)).unwrap();
    }
    assert!(slot.erase_all_but(2).unwrap().is_read_back_clean, "{case}");
    medium.lose_power();
    assert_eq!(seen(&start(&medium).unwrap()), (vec![2], 0), "{case}");
    assert!(medium.with(|world| is_erased(&world.durable[SECTOR..])), "{case}");
}

#[test]
fn no_fault_in_a_batch_loses_both_images_or_leaves_the_old_one() {
    for fault in FAULTS {
        // Two calls of `put_new`, four of `erase_all_but`.
        for at in 0..6 {
            check_batch(at, fault, false);
            check_batch(at, fault, true);
        }
    }
}

#[test]
fn a_new_process_is_not_deceived_by_the_cache_of_the_old_one() {
    let (medium, mut slot) = with_image_1();
    medium.fail_after(1, Fault::Fails);
    check_backend_failed(slot.put_new(&image(2)));
    drop(slot);
    // The process ends, the machine does not: the cache still shows image 2.
    assert_eq!(medium.with(|world| generation_in(&world.cached, 0)), Some(2));
    assert_eq!(seen(&start(&medium).unwrap()), (vec![1], 0));
}

#[test]
fn an_image_found_at_start_is_made_durable_before_the_other_one_goes() {
    let (medium, mut slot) = with_image_1();
    medium.with(|world| world.keeps_cache = true);
    medium.fail_after(1, Fault::Fails);
    check_backend_failed(slot.put_new(&image(2)));
    drop(slot);
    for fails in [Some(0), Some(1), None] {
        let mut slot = start(&medium).unwrap();
        assert_eq!(seen(&slot), (vec![2, 1], 0));
        let durable = medium.with(|world| generation_in(&world.durable, 0));
        assert_eq!(durable, None, "erasing image 1 now would be the end");
        match fails {
            Some(at) => {
                medium.fail_after(at, Fault::Fails);
                check_backend_failed(slot.erase_all_but(2));
                assert_eq!(medium.with(|world| generation_in(&world.durable, 1)), Some(1));
            }
            None => {
                assert_eq!(slot.erase_all_but(2).unwrap().generation_erased, Some(1));
            }
        }
    }
    medium.lose_power();
    assert_eq!(seen(&start(&medium).unwrap()), (vec![2], 0));
}

#[test]
fn an_erasure_found_at_start_is_made_durable_before_anything_is_answered() {
    let (medium, mut slot) = with_image_1();
    slot.put_new(&image(2)).unwrap();
    medium.with(|world| world.keeps_cache = true);
    medium.fail_after(1, Fault::Fails);
    check_backend_failed(slot.erase_all_but(2));
    drop(slot);
    // The deception: what the new process reads was never written.
    medium.with(|world| {
        assert!(is_erased(&world.cached[SECTOR..]));
        assert_eq!(generation_in(&world.durable, 1), Some(1));
    });
    // After sync, forget and two reads comes the write, and its sync.
    for at in [4, 5] {
        medium.fail_after(at, Fault::Fails);
        assert!(matches!(start(&medium), Err(FileSlotError::Io { .. })), "{at}");
        assert_eq!(medium.with(|world| generation_in(&world.durable, 1)), Some(1), "{at}");
    }
    assert_eq!(seen(&start(&medium).unwrap()), (vec![2], 0));
    medium.lose_power();
    assert!(medium.with(|world| is_erased(&world.durable[SECTOR..])));
    assert_eq!(seen(&start(&medium).unwrap()), (vec![2], 0));
}

#[test]
fn confirming_an_image_that_was_found_can_be_repeated() {
    let (medium, mut slot) = with_image_1();
    slot.put_new(&image(2)).unwrap();
    let mut slot = start(&medium).unwrap();
    for at in [0, 1] {
        medium.fail_after(at, Fault::Fails);
        check_backend_failed(slot.erase_all_but(2));
        assert_eq!(seen(&slot), (vec![2, 1], 0), "nothing was touched");
    }
    assert!(slot.erase_all_but(2).unwrap().is_read_back_clean);
}

#[test]
fn the_only_image_is_never_written_over_to_remove_debris() {
    let (medium, mut slot) = with_image_1();
    medium.fail_after(1, Fault::Torn(100));
    check_backend_failed(slot.put_new(&image(2)));
    medium.lose_power();
    let mut slot = start(&medium).unwrap();
    assert_eq!(seen(&slot), (vec![1], 1));
    medium.with(|world| world.calls.clear());
    assert_eq!(slot.erase_all_but(1).unwrap().generation_erased, None);
    let calls = [Call::Write, Call::Sync, Call::Forget, Call::Read];
    assert_eq!(medium.with(|world| world.calls.clone()), calls);
    assert_eq!(seen(&slot), (vec![1], 0));
}

#[test]
fn a_device_that_loses_writes_is_found_out_by_reading_back() {
    let (medium, mut slot) = with_image_1();
    slot.put_new(&image(2)).unwrap();
    medium.with(|world| world.lies = true);
    for _ in 0..2 {
        let evidence = slot.erase_all_but(2).unwrap();
        assert_eq!((evidence.generation_erased, evidence.is_read_back_clean), (Some(1), false));
    }
    let refused = slot.put_new(&image(3));
    assert!(matches!(refused, Err(SlotError::SectorInUse { generation: 1 })), "{refused:?}");
    medium.with(|world| world.lies = false);
    assert!(slot.erase_all_but(2).unwrap().is_read_back_clean);
}

#[test]
fn short_reads_are_continued_and_a_short_file_is_an_error() {
    let (medium, mut slot) = with_image_1();
    medium.with(|world| world.read_bytes_max = 1_000);
    assert_eq!(seen(&start(&medium).unwrap()), (vec![1], 0));
    slot.put_new(&image(2)).unwrap();
    assert!(slot.erase_all_but(2).unwrap().is_read_back_clean);
    assert_eq!(seen(&slot), (vec![2], 0));
    for end in [0, 1, 4_095, 4_096, 8_191] {
        let (medium, mut slot) = with_image_1();
        slot.put_new(&image(2)).unwrap();
        medium.with(|world| world.end = end);
        assert!(matches!(start(&medium), Err(FileSlotError::Io { .. })), "{end}");
        check_backend_failed(slot.erase_all_but(2));
        medium.with(|world| world.end = 8_192);
        assert_eq!(seen(&slot), (vec![2], 1), "what was not read back counts as not erased");
        assert!(slot.erase_all_but(2).unwrap().is_read_back_clean);
    }
}

#[test]
fn a_slot_that_cannot_be_synced_or_read_does_not_start() {
    // Sync, forget, and a read for each sector.
    for at in 0..4 {
        let (medium, slot) = with_image_1();
        drop(slot);
        medium.fail_after(at, Fault::Fails);
        assert!(matches!(start(&medium), Err(FileSlotError::Io { .. })), "{at}");
        assert_eq!(seen(&start(&medium).unwrap()), (vec![1], 0));
    }
}

#[test]
fn without_a_random_source_nothing_is_written() {
    let (medium, slot) = with_image_1();
    drop(slot);
    let path = Path::new("root.slot");
    let over: Box<TestMedium> = Box::new(medium.clone());
    let mut slot =
        FileSlot::over(over, path, seals(1), Arc::new(NoEntropy), "test".to_owned()).unwrap();
    let before = medium.with(|world| world.cached);
    assert!(matches!(slot.put_new(&image(2)), Err(SlotError::Entropy)));
    assert!(matches!(slot.erase_all_but(1), Err(SlotError::Entropy)));
    assert_eq!(medium.with(|world| world.cached), before);
    assert_eq!(seen(&slot), (vec![1], 0));
}
