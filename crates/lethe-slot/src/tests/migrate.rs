//! From one seal to another: at every moment one of the two opens, and at the end only the new one.

use std::path::Path;
use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_erasure::seal::{PassphraseSeal, Seal, SealKind, SecretSeal};
use lethe_erasure::slot::{ErasableSlot, SlotImage};
use lethe_types::{Entropy, Secret, SecretVec};

use super::medium::{Fault, SECTOR, TestMedium};
use super::{image, is_erased, seal};
use crate::{FileSlot, MigrateError, ReplicatedSlot, Seals, migrate_seal};

fn passphrase(text: &str) -> Arc<dyn Seal> {
    Arc::new(PassphraseSeal::new(SecretVec::copy_from(text.as_bytes())))
}

fn token(byte: u8) -> Arc<dyn Seal> {
    let secret = Secret::init_with(|secret| secret.fill(byte));
    Arc::new(SecretSeal::new(SealKind::Pkcs11, secret))
}

fn over(media: &[TestMedium], seals: &Seals) -> ReplicatedSlot {
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let file = |medium: &TestMedium| {
        let path = Path::new("root.slot");
        let medium = Box::new(medium.clone());
        FileSlot::over(medium, path, seals.clone(), entropy.clone(), "test".to_owned()).unwrap()
    };
    ReplicatedSlot::over(media.iter().map(file).collect())
}

/// The generations that a server with this seal would find.
fn opened_by(media: &[TestMedium], seal: &Arc<dyn Seal>) -> Vec<u64> {
    let loaded = over(media, &Seals::only(seal.clone())).load().unwrap();
    loaded.images.iter().map(|image| image.generation).collect()
}

fn with_image(replicas: usize, old: &Arc<dyn Seal>) -> Vec<TestMedium> {
    let media: Vec<TestMedium> = (0..replicas).map(|_| TestMedium::new()).collect();
    let mut slot = over(&media, &Seals::only(old.clone()));
    slot.put_new(&retaining()).unwrap();
    media
}

fn retaining() -> SlotImage {
    image(1).retaining([7; 16], 5_000, 0).unwrap()
}

#[track_caller]
fn check_done(media: &[TestMedium], old: &Arc<dyn Seal>, new: &Arc<dyn Seal>) {
    assert!(opened_by(media, old).is_empty(), "the old seal opens nothing");
    let loaded = over(media, &Seals::only(new.clone())).load().unwrap();
    assert!(loaded.faults.is_empty(), "{:?}", loaded.faults);
    let [image] = &loaded.images[..] else { panic!("{:?}", loaded.images) };
    assert_eq!(image.retained.len(), 1, "roots for backups stay");
    assert!(image.current.root.ct_eq(&retaining().current.root));
    for medium in media {
        let erased =
            medium.with(|world| world.durable.chunks(SECTOR).filter(|one| is_erased(one)).count());
        assert_eq!(erased, 1, "the old sector is erased");
    }
}

#[test]
fn every_seal_gives_way_to_every_other_one() {
    // Few with passphrases, whose derivation is slow on purpose.
    let pairs = [
        (seal(1), seal(2)),
        (seal(1), token(1)),
        (token(1), seal(1)),
        (token(1), token(2)),
        (seal(1), passphrase("one")),
        (passphrase("one"), passphrase("two")),
    ];
    for (old, new) in &pairs {
        let media = with_image(2, old);
        let both = Seals::replacing(old.clone(), new.clone());
        let migrated = migrate_seal(&mut over(&media, &both)).unwrap();
        assert_eq!(migrated.evidence.generation_erased, Some(migrated.generation - 1));
        check_done(&media, old, new);
        // Once more: nothing is left to do, and it does no harm.
        migrate_seal(&mut over(&media, &both)).unwrap();
        check_done(&media, old, new);
    }
}

/// A loss of power at one call: one of the two seals opens, and another try ends it.
fn check_cut(media: &[TestMedium], old: &Arc<dyn Seal>, new: &Arc<dyn Seal>, case: &str) {
    media.iter().for_each(TestMedium::lose_power);
    let (by_old, by_new) = (opened_by(media, old), opened_by(media, new));
    assert!(!by_old.is_empty() || !by_new.is_empty(), "{case}");
    let both = Seals::replacing(old.clone(), new.clone());
    migrate_seal(&mut over(media, &both)).unwrap_or_else(|error| panic!("{case}: {error}"));
    check_done(media, old, new);
}

#[test]
fn a_loss_of_power_at_any_call_leaves_a_slot_that_one_of_them_opens() {
    let (old, new) = (seal(1), token(2));
    for broken in [0, 1] {
        for fault in [Fault::Fails, Fault::AfterSync, Fault::Torn(0), Fault::Torn(700)] {
            // Writing: 2 calls; erasing and reading back: 4.
            for at in 0..6 {
                let media = with_image(2, &old);
                let both = Seals::replacing(old.clone(), new.clone());
                let mut slot = over(&media, &both);
                media[broken].fail_after(at, fault);
                let done = migrate_seal(&mut slot);
                assert!(matches!(done, Err(MigrateError::Slot(_))), "{at} {fault:?}: {done:?}");
                drop(slot);
                check_cut(&media, &old, &new, &format!("replica {broken}, call {at}, {fault:?}"));
            }
        }
    }
}

#[test]
fn a_server_with_either_seal_starts_after_a_cut() {
    for starts_with_new in [false, true] {
        let (old, new) = (seal(1), passphrase("new"));
        let media = with_image(2, &old);
        // Cut after the new image is durable everywhere.
        let mut slot = over(&media, &Seals::replacing(old.clone(), new.clone()));
        let next = retaining().next(retaining().current, 0).unwrap();
        slot.put_new(&next).unwrap();
        drop(slot);
        let (starts, other) = if starts_with_new { (&new, &old) } else { (&old, &new) };
        let mut slot = over(&media, &Seals::only(starts.clone()));
        let loaded = slot.load().unwrap();
        assert_eq!((loaded.images.len(), loaded.faults.len()), (1, 2));
        let kept = loaded.images[0].generation;
        assert!(slot.erase_all_but(kept).unwrap().is_read_back_clean);
        drop(slot);
        assert_eq!(opened_by(&media, starts), [kept]);
        assert!(opened_by(&media, other).is_empty());
    }
}

#[test]
fn what_cannot_be_migrated_is_refused_and_untouched() {
    let (old, new) = (seal(1), passphrase("new"));
    let try_with = |media: &[TestMedium], seals: &Seals| {
        let before: Vec<_> =
            media.iter().map(|medium| medium.with(|world| world.durable)).collect();
        let refused = migrate_seal(&mut over(media, seals)).unwrap_err();
        let after: Vec<_> = media.iter().map(|medium| medium.with(|world| world.durable)).collect();
        assert!(before == after, "{refused}");
        refused
    };
    let both = Seals::replacing(old.clone(), new.clone());
    let empty = [TestMedium::new()];
    let refused = try_with(&empty, &both);
    assert!(matches!(refused, MigrateError::NoImage { ref faults } if faults.is_empty()));
    let media = with_image(2, &old);
    for wrong in [Seals::only(new.clone()), Seals::replacing(seal(9), new.clone())] {
        let refused = try_with(&media, &wrong);
        assert!(matches!(refused, MigrateError::NoImage { ref faults } if faults.len() == 2));
    }
    let mut slot = over(&media, &Seals::only(old.clone()));
    let mut next = retaining().next(retaining().current, 0).unwrap();
    next.current.root = Secret::init_with(|root| root.fill(0x42));
    slot.put_new(&next).unwrap();
    drop(slot);
    assert!(matches!(try_with(&media, &both), MigrateError::ChangeCutShort));
}
