//! Several replicas: which of them is believed, what is brought up to date, and that no erasure is
//! called done before it is done on all of them.

mod record;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_erasure::seal::SectorProblem;
use lethe_erasure::slot::{ErasableSlot, LostImages, Remnants, SlotError, SlotImage};
use lethe_types::{Entropy, Secret, TreeId};

use super::medium::{Fault, TestMedium};
use super::{Folder, image, is_erased, seals};
use crate::{FileSlot, FileSlotError, FilesystemPolicy, ReplicaError, ReplicatedSlot};

const SECTOR: usize = 4_096;

/// Two folders that stand for two disks.
struct Disks(Folder);

impl Disks {
    fn new() -> Self {
        let folder = Folder::new();
        for disk in ["a", "b", "c"] {
            fs::create_dir(folder.0.join(disk)).unwrap();
        }
        Self(folder)
    }

    fn at(&self, disk: &str) -> PathBuf {
        self.0.0.join(disk).join("root.slot")
    }

    fn paths(&self, disks: &[&str]) -> Vec<PathBuf> {
        disks.iter().map(|disk| self.at(disk)).collect()
    }

    fn create(&self, disks: &[&str]) -> ReplicatedSlot {
        ReplicatedSlot::create(&self.paths(disks), &seals(1), &entropy(), ACCEPT).unwrap()
    }

    fn try_open(&self, disks: &[&str]) -> Result<ReplicatedSlot, ReplicaError> {
        ReplicatedSlot::open(&self.paths(disks), &seals(1), &entropy(), ACCEPT)
    }

    #[track_caller]
    fn open(&self, disks: &[&str]) -> ReplicatedSlot {
        self.try_open(disks).unwrap()
    }

    /// The generations that one disk's file alone shows.
    fn generations(&self, disk: &str) -> Vec<u64> {
        let slot = FileSlot::open(&self.at(disk), seals(1), entropy(), ACCEPT).unwrap();
        generations(&slot)
    }
}

const ACCEPT: FilesystemPolicy = FilesystemPolicy::Accept;

fn entropy() -> Arc<dyn Entropy> {
    Arc::new(SystemEntropy)
}

fn generations(slot: &dyn ErasableSlot) -> Vec<u64> {
    let mut found: Vec<u64> =
        slot.load().unwrap().images.iter().map(|image| image.generation).collect();
    found.sort_unstable();
    found
}

fn advance(slot: &mut ReplicatedSlot, generation: u64) {
    slot.put_new(&image(generation)).unwrap();
    assert!(slot.erase_all_but(generation).unwrap().is_read_back_clean);
}

/// What a start does: it takes the newest image and has everything else erased.
fn recover(slot: &mut ReplicatedSlot) -> u64 {
    let loaded = slot.load().unwrap();
    let newest = loaded.images.iter().map(|image| image.generation).max().unwrap();
    if loaded.images.len() > 1 || !loaded.faults.is_empty() {
        assert!(slot.erase_all_but(newest).unwrap().is_read_back_clean);
    }
    newest
}

#[test]
fn every_replica_has_the_new_image_and_none_the_old_one() {
    let disks = Disks::new();
    let mut slot = disks.create(&["a", "b", "c"]);
    advance(&mut slot, 1);
    slot.put_new(&image(2)).unwrap();
    assert_eq!(generations(&slot), [1, 2]);
    let evidence = slot.erase_all_but(2).unwrap();
    assert_eq!((evidence.generation_erased, evidence.is_read_back_clean), (Some(1), true));
    assert_eq!(evidence.device_id.matches("inode").count(), 3, "{}", evidence.device_id);
    drop(slot);
    for disk in ["a", "b", "c"] {
        assert_eq!(disks.generations(disk), [2]);
        let bytes = fs::read(disks.at(disk)).unwrap();
        assert!(is_erased(&bytes[SECTOR..]), "{disk}");
    }
    let slot = disks.open(&["a", "b", "c"]);
    assert!(slot.notices().is_empty() && slot.lost().is_empty());
    assert!(slot.load().unwrap().faults.is_empty());
}

#[test]
fn losing_any_one_replica_is_harmless_and_not_forgotten() {
    for (gone, left) in [("a", "b"), ("b", "a")] {
        let disks = Disks::new();
        let mut slot = disks.create(&["a", "b"]);
        advance(&mut slot, 1);
        advance(&mut slot, 2);
        drop(slot);
        let away = disks.0.0.join("away");
        fs::rename(disks.at(gone).parent().unwrap(), &away).unwrap();
        fs::create_dir(disks.at(gone).parent().unwrap()).unwrap();
        let mut slot = disks.open(&["a", "b"]);
        assert_eq!(slot.notices().len(), 2, "{:?}", slot.notices());
        assert_eq!(slot.lost().len(), 1);
        assert_eq!(slot.lost()[0].up_to_generation, 2);
        let told = slot.remnants();
        assert_eq!(told.lost, Some(LostImages { replicas: 1, up_to_generation: 2 }));
        assert_eq!(told.shares, None);
        assert_eq!(recover(&mut slot), 2);
        slot.put_new(&image(3)).unwrap();
        let evidence = slot.erase_all_but(3).unwrap();
        assert!(evidence.device_id.contains("lost and not erased"), "{}", evidence.device_id);
        assert!(evidence.device_id.contains("generations up to 2"), "{}", evidence.device_id);
        drop(slot);
        assert_eq!(disks.generations(gone), [3], "made anew");
        // The other one may now go.
        fs::remove_file(disks.at(left)).unwrap();
        let mut slot = disks.open(&["a", "b"]);
        assert_eq!(recover(&mut slot), 3);
        assert_eq!(slot.lost().len(), 2);
        drop(slot);
        // The first one comes back, in its place, with an old root: it goes, and is not lost any
        // more.
        fs::remove_dir_all(disks.at(gone).parent().unwrap()).unwrap();
        fs::rename(&away, disks.at(gone).parent().unwrap()).unwrap();
        assert_eq!(disks.generations(gone), [2]);
        let mut slot = disks.open(&["a", "b"]);
        assert!(slot.notices().iter().any(|notice| notice.contains("come back")));
        assert_eq!(recover(&mut slot), 3);
        drop(slot);
        assert_eq!(disks.generations(gone), [3]);
    }
}

#[test]
fn a_replica_that_is_no_longer_configured_counts_as_lost() {
    let disks = Disks::new();
    let mut slot = disks.create(&["a", "b"]);
    advance(&mut slot, 1);
    drop(slot);
    let mut slot = disks.open(&["a"]);
    assert_eq!(slot.lost().len(), 1);
    advance(&mut slot, 2);
    drop(slot);
    assert_eq!(disks.open(&["a"]).notices().len(), 0, "it is told once");
    assert_eq!(disks.open(&["a"]).lost().len(), 1, "and stays written down");
    assert_eq!(disks.generations("b"), [1]);
    let mut slot = disks.open(&["a", "b"]);
    assert!(slot.lost().is_empty());
    assert_eq!(recover(&mut slot), 2);
    drop(slot);
    assert_eq!(disks.generations("b"), [2]);
}

#[test]
fn a_replica_that_goes_on_purpose_is_erased_and_not_lost() {
    let disks = Disks::new();
    let mut slot = disks.create(&["a", "b", "c"]);
    advance(&mut slot, 1);
    assert!(matches!(slot.retire(&[]), Err(ReplicaError::Number(0))));
    assert!(slot.retire(&disks.paths(&["a", "b", "c"])).unwrap().is_empty());
    assert_eq!(slot.retire(&disks.paths(&["c"])).unwrap(), disks.paths(&["a", "b"]));
    assert_eq!((slot.replicas(), generations(&slot)), (1, vec![1]));
    for disk in ["a", "b"] {
        let bytes = fs::read(disks.at(disk)).unwrap();
        assert!(is_erased(&bytes), "{disk} is not erased");
    }
    advance(&mut slot, 2);
    drop(slot);
    let slot = disks.open(&["c"]);
    assert!(slot.lost().is_empty() && slot.notices().is_empty(), "{:?}", slot.notices());
    assert_eq!(slot.remnants(), Remnants::default());
    drop(slot);
    // What lies beside it still says that it is one of a slot that knows it no more.
    let refused = disks.try_open(&["c", "a"]).unwrap_err();
    assert!(matches!(refused, ReplicaError::Foreign(path) if path == disks.at("a")));
    // Without that, and named again, it is filled like a new one.
    fs::remove_file(crate::replicas::place_of(&disks.at("a"))).unwrap();
    let mut slot = disks.open(&["c", "a"]);
    assert_eq!(recover(&mut slot), 2);
    drop(slot);
    assert_eq!(disks.generations("a"), [2]);
}

#[test]
fn a_single_slot_becomes_a_replicated_one() {
    let disks = Disks::new();
    let mut slot = disks.create(&["a"]);
    advance(&mut slot, 1);
    drop(slot);
    assert!(!crate::replicas::place_of(&disks.at("a")).exists(), "one file needs no record");
    let mut slot = disks.open(&["a", "b"]);
    assert!(slot.lost().is_empty());
    assert_eq!(recover(&mut slot), 1);
    drop(slot);
    assert_eq!((disks.generations("a"), disks.generations("b")), (vec![1], vec![1]));
}

#[test]
fn an_empty_replica_is_filled_at_once_and_says_nothing_about_erasing() {
    // A creation that was cut short between the replicas, and a crash within a batch.
    for held in [&[1][..], &[1, 2]] {
        let disks = Disks::new();
        drop(disks.create(&["a", "b"]));
        let mut alone = FileSlot::open(&disks.at("a"), seals(1), entropy(), ACCEPT).unwrap();
        held.iter().for_each(|generation| alone.put_new(&image(*generation)).unwrap());
        drop(alone);
        let slot = disks.open(&["a", "b"]);
        assert_eq!(generations(&slot), held);
        assert!(slot.load().unwrap().faults.is_empty());
        drop(slot);
        assert_eq!(
            (disks.generations("a"), disks.generations("b")),
            (held.to_vec(), held.to_vec())
        );
    }
}

#[test]
fn a_rolled_back_replica_is_erased_and_offers_no_root() {
    for rolled_back in ["a", "b"] {
        let disks = Disks::new();
        let mut slot = disks.create(&["a", "b"]);
        advance(&mut slot, 1);
        let old = fs::read(disks.at(rolled_back)).unwrap();
        for newest in [2, 3, 4] {
            advance(&mut slot, newest);
            let current = fs::read(disks.at(rolled_back)).unwrap();
            drop(slot);
            fs::write(disks.at(rolled_back), &old).unwrap();
            slot = disks.open(&["a", "b"]);
            let loaded = slot.load().unwrap();
            let found: Vec<u64> = loaded.images.iter().map(|image| image.generation).collect();
            assert_eq!(found, [newest], "the old root is no choice");
            assert_eq!(loaded.faults.len(), 1);
            assert_eq!(loaded.faults[0].problem, SectorProblem::Behind);
            assert_eq!(recover(&mut slot), newest);
            drop(slot);
            assert_eq!(disks.generations(rolled_back), [newest]);
            assert_ne!(fs::read(disks.at(rolled_back)).unwrap(), current, "sealed anew");
            slot = disks.open(&["a", "b"]);
            assert!(slot.load().unwrap().faults.is_empty());
        }
    }
}

/// Damages `disk` with `damage` while the slot holds `held`, and checks that it is made good.
#[track_caller]
fn check_damage(held: &[u64], disk: &str, damage: impl Fn(&mut Vec<u8>), expected: u64) {
    let disks = Disks::new();
    let mut slot = disks.create(&["a", "b"]);
    for generation in held {
        slot.put_new(&image(*generation)).unwrap();
    }
    drop(slot);
    let mut bytes = fs::read(disks.at(disk)).unwrap();
    damage(&mut bytes);
    fs::write(disks.at(disk), &bytes).unwrap();
    let mut slot = disks.open(&["a", "b"]);
    assert!(!slot.load().unwrap().faults.is_empty());
    assert_eq!(recover(&mut slot), expected, "{held:?} {disk}");
    drop(slot);
    for disk in ["a", "b"] {
        assert_eq!(disks.generations(disk), [expected]);
    }
}

#[test]
fn torn_and_damaged_sectors_of_one_replica_are_made_good_by_the_other() {
    for disk in ["a", "b"] {
        for at in [0, 40, 64, 4_095] {
            check_damage(&[1], disk, |bytes| bytes[SECTOR + at] ^= 1, 1);
            check_damage(&[1, 2], disk, |bytes| bytes[at] ^= 1, 2);
            check_damage(&[1, 2], disk, |bytes| bytes[SECTOR + at] ^= 1, 2);
        }
        check_damage(&[1, 2], disk, |bytes| bytes.fill(0xA5), 2);
    }
}

#[test]
fn torn_sectors_in_both_replicas_give_no_root_and_change_nothing() {
    let disks = Disks::new();
    let mut slot = disks.create(&["a", "b"]);
    advance(&mut slot, 1);
    drop(slot);
    for disk in ["a", "b"] {
        let mut bytes = fs::read(disks.at(disk)).unwrap();
        bytes[SECTOR + 100] ^= 1;
        fs::write(disks.at(disk), &bytes).unwrap();
    }
    let before = ["a", "b"].map(|disk| fs::read(disks.at(disk)).unwrap());
    let mut slot = disks.open(&["a", "b"]);
    let loaded = slot.load().unwrap();
    assert_eq!((loaded.images.len(), loaded.faults.len()), (0, 2));
    let refused = slot.erase_all_but(1);
    assert!(matches!(refused, Err(SlotError::NoSuchImage { generation: 1 })), "{refused:?}");
    // Nor does a wrong seal make anybody think that a missing replica should be made anew.
    drop(slot);
    fs::remove_file(disks.at("b")).unwrap();
    let slot = disks.open(&["a", "b"]);
    assert!(slot.load().unwrap().images.is_empty() && slot.lost().is_empty());
    assert!(!disks.at("b").exists());
    assert_eq!(fs::read(disks.at("a")).unwrap(), before[0]);
}

fn other(generation: u64, tree: u8) -> SlotImage {
    let mut image = image(generation);
    image.current.root = Secret::init_with(|root| root.fill(0x17));
    image.tree_id = TreeId([tree; 16]);
    image
}

#[test]
fn a_replica_that_was_used_alone_or_is_foreign_is_refused() {
    let check = |foreign: SlotImage, is_expected: fn(&ReplicaError) -> bool| {
        let disks = Disks::new();
        let mut slot = disks.create(&["a", "b"]);
        advance(&mut slot, 1);
        drop(slot);
        fs::write(disks.at("b"), vec![0; 2 * SECTOR]).unwrap();
        let mut alone = FileSlot::open(&disks.at("b"), seals(1), entropy(), ACCEPT).unwrap();
        alone.put_new(&foreign).unwrap();
        drop(alone);
        let refused = disks.try_open(&["a", "b"]).unwrap_err();
        assert!(is_expected(&refused), "{refused}");
    };
    check(other(1, 9), |error| error.to_string().contains("different images of generation 1"));
    check(
        other(1, 8),
        |error| matches!(error, ReplicaError::Foreign(path) if path.ends_with("b/root.slot")),
    );
    check(
        other(2, 8),
        |error| matches!(error, ReplicaError::Foreign(path) if path.ends_with("b/root.slot")),
    );
}

#[test]
fn a_lost_replica_that_went_on_alone_is_refused() {
    let disks = Disks::new();
    let mut slot = disks.create(&["a", "b"]);
    advance(&mut slot, 1);
    drop(slot);
    drop(disks.open(&["a"]));
    let mut alone = FileSlot::open(&disks.at("b"), seals(1), entropy(), ACCEPT).unwrap();
    alone.put_new(&image(2)).unwrap();
    drop(alone);
    let refused = disks.try_open(&["a", "b"]);
    assert!(matches!(refused, Err(ReplicaError::Conflict { generation: 2 })), "{refused:?}");
    assert_eq!(disks.generations("b"), [1, 2], "untouched");
}

#[test]
fn replicas_of_two_slots_do_not_mix() {
    let disks = Disks::new();
    let mut slot = disks.create(&["a", "b"]);
    advance(&mut slot, 1);
    drop(slot);
    let others = Disks::new();
    let mut slot = others.create(&["a", "c"]);
    advance(&mut slot, 1);
    drop(slot);
    let mixed = [disks.at("a"), others.at("c")];
    let refused = ReplicatedSlot::open(&mixed, &seals(1), &entropy(), ACCEPT);
    assert!(matches!(refused, Err(ReplicaError::Foreign(_))), "{refused:?}");
    assert_eq!(others.generations("c"), [1]);
}

#[test]
fn paths_and_files_that_do_not_do_are_refused() {
    let disks = Disks::new();
    assert!(matches!(
        disks.try_open(&["a", "b"]),
        Err(ReplicaError::Single(FileSlotError::Missing(_)))
    ));
    let mut slot = disks.create(&["a", "b"]);
    advance(&mut slot, 1);
    let refused = disks.try_open(&["b"]);
    assert!(matches!(refused, Err(ReplicaError::Single(FileSlotError::InUse(_)))), "{refused:?}");
    drop(slot);
    let refused = disks.try_open(&["a", "a"]);
    assert!(matches!(refused, Err(ReplicaError::Unusable(FileSlotError::InUse(_)))), "twice");
    fs::write(disks.at("b"), b"short").unwrap();
    let refused = disks.try_open(&["a", "b"]).unwrap_err();
    assert!(matches!(refused, ReplicaError::Unusable(FileSlotError::Size(_))), "{refused}");
    assert!(refused.to_string().contains("take it out of `slot.paths`"), "{refused}");
    fs::remove_file(disks.at("b")).unwrap();
    fs::remove_dir_all(disks.at("b").parent().unwrap()).unwrap();
    let refused = disks.try_open(&["a", "b"]);
    assert!(refused.is_err(), "the mount is missing: {refused:?}");
    assert_eq!(disks.generations("a"), [1]);
    let none = ReplicatedSlot::open(&[], &seals(1), &entropy(), ACCEPT);
    assert!(matches!(none, Err(ReplicaError::Number(0))));
    let nine = vec![disks.at("a"); 9];
    let refused = ReplicatedSlot::open(&nine, &seals(1), &entropy(), ACCEPT);
    assert!(matches!(refused, Err(ReplicaError::Number(9))));
    for path in ["/", "a\nb", ".."] {
        let refused = ReplicatedSlot::create(&[path.into()], &seals(1), &entropy(), ACCEPT);
        assert!(matches!(refused, Err(ReplicaError::Path(_))), "{path}");
    }
}

fn over(medium: &TestMedium, name: &str) -> FileSlot {
    let path = Path::new(name);
    FileSlot::over(Box::new(medium.clone()), path, seals(1), entropy(), name.to_owned()).unwrap()
}

/// One batch on two replicas, with one fault at one call of one of them: nothing counts as done,
/// and repeating it, or starting again after a loss of power, ends it on both.
fn check_batch(broken: usize, at: usize, fault: Fault, is_power_lost: bool) {
    let case = format!("replica {broken}, call {at}, {fault:?}, power lost: {is_power_lost}");
    let media = [TestMedium::new(), TestMedium::new()];
    let start = || ReplicatedSlot::over(vec![over(&media[0], "a"), over(&media[1], "b")]);
    let mut slot = start();
    slot.put_new(&image(1)).unwrap();
    slot = start();
    media[broken].fail_after(at, fault);
    let put = slot.put_new(&image(2));
    let erased = put.as_ref().ok().map(|()| slot.erase_all_but(2));
    assert!(!matches!(erased, Some(Ok(_))), "{case}: the fault did not show");
    if is_power_lost {
        media.iter().for_each(TestMedium::lose_power);
        slot = start();
    }
    let found = generations(&slot);
    assert!(!found.is_empty(), "{case}");
    if !found.contains(&2) || !is_power_lost && put.is_err() {
        slot.put_new(&image(2)).unwrap_or_else(|error| panic!("{case}: {error}"));
    }
    assert!(slot.erase_all_but(2).unwrap().is_read_back_clean, "{case}");
    for medium in &media {
        medium.lose_power();
        assert_eq!(generations(&over(medium, "x")), [2], "{case}");
        let is_clean = medium.with(|world| is_erased(&world.durable[SECTOR..]));
        assert!(is_clean, "{case}");
    }
}

#[test]
fn no_fault_of_one_replica_loses_the_root_or_leaves_the_old_one() {
    for broken in [0, 1] {
        for fault in [Fault::AfterSync, Fault::Fails, Fault::Torn(0), Fault::Torn(512)] {
            for at in 0..6 {
                check_batch(broken, at, fault, false);
                check_batch(broken, at, fault, true);
            }
        }
    }
}

#[test]
fn a_replica_that_does_not_erase_stops_the_destruction() {
    let media = [TestMedium::new(), TestMedium::new()];
    let mut slot = ReplicatedSlot::over(vec![over(&media[0], "a"), over(&media[1], "b")]);
    slot.put_new(&image(1)).unwrap();
    slot.put_new(&image(2)).unwrap();
    media[1].with(|world| world.lies = true);
    let evidence = slot.erase_all_but(2).unwrap();
    assert!(!evidence.is_read_back_clean, "the engine takes that for a failure");
    media[1].with(|world| world.lies = false);
    assert!(slot.erase_all_but(2).unwrap().is_read_back_clean);
}
