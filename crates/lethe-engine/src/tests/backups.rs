//! Backups and restores over memory: what lives comes back, what was destroyed does not, and every
//! doubt is a refusal.

use std::sync::Arc;
use std::time::Duration;

use lethe_erasure::slot::{ErasableSlot, MemSlot};
use lethe_log::{BackupNote, Hash};
use lethe_store::{MemStore, Revision, Store};
use lethe_types::{KeyId, Permission};

use super::mem_journal::MemJournal;
use super::support::{World, admin, create, destroy, encrypt, verified, wait, works};
use crate::start::StartError;
use crate::{
    BackupError, BackupRow, DestroyVersionRequest, Engine, EngineError, RestoreError,
    RestoreLoader, RestoreParts, Restored, restore,
};

pub(super) const DAY: Duration = Duration::from_secs(24 * 3_600);

pub(super) type CopiedRow = (String, Vec<u8>, Option<Vec<u8>>);

/// A segment of a backup as a file would hold it.
#[derive(Clone, Debug)]
pub(super) struct Copied {
    pub(super) rows: Vec<CopiedRow>,
    pub(super) note: String,
}

impl Copied {
    fn note(&self) -> BackupNote {
        BackupNote::parse_unverified(&self.note).unwrap()
    }
}

pub(super) fn take(engine: &Engine, window: Option<Duration>, base: Option<&Copied>) -> Copied {
    let backup = engine.begin_backup(window, base.map(|base| base.note.as_str())).unwrap();
    let mut rows: Vec<CopiedRow> = Vec::new();
    let revision = engine
        .copy_backup(&backup, &mut |space, key, row| {
            let value = match row {
                BackupRow::Kept => None,
                BackupRow::Value(value) => Some(value.to_vec()),
            };
            rows.push((space.to_owned(), key.to_vec(), value));
            Ok(())
        })
        .unwrap();
    let count = u64::try_from(rows.len()).unwrap();
    let note = backup.note(revision, count, count, Hash([7; 32]));
    Copied { rows, note: engine.sign_backup(note).unwrap() }
}

/// A new machine with the slot, the journal and the head of the lost one.
pub(super) fn new_machine(lost: &World, store: Arc<dyn Store>) -> World {
    World {
        store,
        slot: lost.slot.clone(),
        clock: lost.clock.clone(),
        audit: Arc::default(),
        guard: lost.guard.clone(),
        journal: lost.journal.clone(),
        entropy: lost.entropy.clone(),
    }
}

pub(super) fn load(store: &dyn Store, chain: &[&Copied]) {
    let mut loader = RestoreLoader::new(store).unwrap();
    for (position, copied) in chain.iter().enumerate() {
        loader.begin(position > 0);
        for (space, key, value) in &copied.rows {
            let row = value.as_deref().map_or(BackupRow::Kept, BackupRow::Value);
            loader.row(space, key, row).unwrap();
        }
        loader.end().unwrap();
    }
}

pub(super) fn restored(lost: &World, chain: &[&Copied]) -> Result<(World, Restored), RestoreError> {
    let world = new_machine(lost, Arc::new(MemStore::new()));
    load(&*world.store, chain);
    let note = chain.last().unwrap().note.clone();
    let parts = world.parts(Box::new(world.slot.clone()));
    let done = restore(RestoreParts { parts, note })?;
    Ok((world, done))
}

pub(super) fn gone(engine: &Engine, key: KeyId, text: &[u8]) {
    let caller = admin(engine, "acme");
    let refused = engine.decrypt(&caller, key, text, b"").unwrap_err();
    assert_eq!(refused, EngineError::ObjectDestroyed(key));
    assert!(verified(engine, &engine.receipt(&caller, key).unwrap()));
}

pub(super) fn made(engine: &Engine) -> (KeyId, Vec<u8>) {
    let caller = admin(engine, "acme");
    let key = create(engine, &caller, "aes256-gcm").unwrap().record().id;
    (key, encrypt(engine, &caller, key).unwrap())
}

pub(super) fn kills(engine: &Engine, key: KeyId) -> lethe_log::Receipt {
    destroy(engine, &admin(engine, "acme"), key).unwrap().receipt
}

fn until_of(engine: &Engine, receipt: &lethe_log::Receipt) -> Option<u64> {
    let vkey = engine.log_vkey().parse().unwrap();
    let proof = receipt.to_proof().unwrap();
    let checked = lethe_verify::verify(proof.as_bytes(), &vkey).unwrap();
    checked.recoverable_from_backups_until().map(|time| time.0)
}

#[test]
fn a_restored_machine_has_what_lives_and_nothing_that_was_destroyed() {
    let lost = World::new();
    let engine = lost.start();
    let [keeps, dies] = [made(&engine), made(&engine)];
    let died_before = made(&engine);
    assert_eq!(until_of(&engine, &kills(&engine, died_before.0)), None);
    let copied = take(&engine, Some(DAY), None);
    let until = copied.note().restorable_until.unwrap();
    let late = made(&engine);
    assert_eq!(until_of(&engine, &kills(&engine, dies.0)), Some(until.0));
    kills(&engine, late.0);
    let lost_with_the_machine = made(&engine);
    let vkey = engine.log_vkey().to_owned();
    engine.close();

    let (world, done) = restored(&lost, &[&copied]).unwrap();
    assert_eq!((done.destroyed_again, done.log_vkey), (1, vkey));
    let engine = world.start();
    let caller = admin(&engine, "acme");
    assert!(works(&engine, &caller, keeps.0, &keeps.1));
    for (key, text) in [&dies, &died_before, &late] {
        gone(&engine, *key, text);
    }
    let (lost_key, text) = lost_with_the_machine;
    let refused = engine.decrypt(&caller, lost_key, &text, b"").unwrap_err();
    assert!(matches!(refused, EngineError::ItemNotFound(_)), "{refused}");
    // It goes on like any other.
    let (new, text) = made(&engine);
    assert!(works(&engine, &caller, new, &text));
    kills(&engine, keeps.0);
    engine.close();
    gone(&world.start(), keeps.0, &keeps.1);
}

#[test]
fn a_backup_can_be_restored_again_and_knows_what_happened_after_the_first_time() {
    let lost = World::new();
    let engine = lost.start();
    let [first, second, third] = [made(&engine), made(&engine), made(&engine)];
    let copied = take(&engine, Some(DAY), None);
    kills(&engine, first.0);
    engine.close();
    let (world, _) = restored(&lost, &[&copied]).unwrap();
    let engine = world.start();
    kills(&engine, second.0);
    engine.close();
    let (world, done) = restored(&world, &[&copied]).unwrap();
    assert_eq!(done.destroyed_again, 2);
    let engine = world.start();
    gone(&engine, first.0, &first.1);
    gone(&engine, second.0, &second.1);
    assert!(works(&engine, &admin(&engine, "acme"), third.0, &third.1));
}

#[test]
fn without_a_window_a_backup_lasts_until_the_next_destruction() {
    let lost = World::new();
    let engine = lost.start();
    let [keeps, dies] = [made(&engine), made(&engine)];
    let copied = take(&engine, None, None);
    made(&engine);
    engine.close();
    let intact = lost.fork(lost.store.clone());
    let (world, _) = restored(&intact, &[&copied]).unwrap();
    let engine = world.start();
    assert!(works(&engine, &admin(&engine, "acme"), keeps.0, &keeps.1));
    engine.close();
    let engine = lost.start();
    assert_eq!(until_of(&engine, &kills(&engine, dies.0)), None);
    engine.close();
    let refused = restored(&lost, &[&copied]).unwrap_err();
    assert!(matches!(refused, RestoreError::RootGone { until: None, .. }), "{refused}");
    assert_eq!(lost.journal.names(), []);
}

#[test]
fn after_its_window_nobody_can_restore_a_backup() {
    let lost = World::new();
    let engine = lost.start();
    let dies = made(&engine);
    let copied = take(&engine, Some(DAY), None);
    kills(&engine, dies.0);
    assert_eq!(engine.kept_roots().unwrap().len(), 1);
    engine.close();
    let in_time = lost.slot.copied();
    lost.clock.advance(DAY + DAY);
    // Nobody served when it ended: the root is there, and is not used.
    let refused = restored(&lost, &[&copied]).unwrap_err();
    assert!(matches!(refused, RestoreError::WindowPassed { .. }), "{refused}");
    // The first start erases it.
    let engine = lost.start();
    assert_eq!(engine.kept_roots().unwrap(), []);
    let next = made(&engine);
    assert_eq!(until_of(&engine, &kills(&engine, next.0)), None);
    engine.close();
    let refused = restored(&lost, &[&copied]).unwrap_err();
    assert!(matches!(refused, RestoreError::RootGone { until: Some(_), .. }), "{refused}");
    assert!(opens(&in_time, &copied), "the control: with the root of the time it opens");
    assert!(!opens(&lost.slot, &copied));
}

/// The attack of somebody with every byte of backup and slot: whether some root in the slot opens
/// the tree of the backup.
fn opens(slot: &MemSlot, copied: &Copied) -> bool {
    use lethe_erasure::tree::{NodeAddress, StoredNodes, Tree};
    let note = copied.note();
    let mut nodes = StoredNodes::new();
    for (_, key, value) in copied.rows.iter().filter(|(space, ..)| space == "node") {
        nodes.insert(NodeAddress::parse(key).unwrap(), value.clone().unwrap()).unwrap();
    }
    let images = slot.load().unwrap().images;
    let entries = images.iter().flat_map(|image| image.retained.iter().chain([&image.current]));
    entries.into_iter().any(|entry| {
        (1..=entry.epoch).any(|epoch| Tree::open(note.tree_id, epoch, &entry.root, &nodes).is_ok())
    })
}

#[test]
fn a_forgotten_backup_ends_at_once() {
    let lost = World::new();
    let engine = lost.start();
    let dies = made(&engine);
    let copied = take(&engine, Some(DAY), None);
    kills(&engine, dies.0);
    assert!(opens(&lost.slot, &copied));
    assert!(engine.forget_backup(copied.note().backup).unwrap());
    assert!(!engine.forget_backup(copied.note().backup).unwrap());
    assert!(!opens(&lost.slot, &copied));
    let next = made(&engine);
    assert_eq!(until_of(&engine, &kills(&engine, next.0)), None);
}

#[test]
fn what_changed_since_a_backup_is_restored_on_top_of_it() {
    let lost = World::new();
    let engine = lost.start();
    let caller = admin(&engine, "acme");
    let [keeps, dies] = [made(&engine), made(&engine)];
    let full = take(&engine, Some(DAY), None);
    let added = made(&engine);
    kills(&engine, dies.0);
    let rotated = wait(engine.rotate_key(&caller, keeps.0, None)).unwrap();
    let text = encrypt(&engine, &caller, keeps.0).unwrap();
    let more = take(&engine, Some(DAY), Some(&full));
    assert_eq!(more.note().base, Some(full.note().backup));
    let values = |copied: &Copied| copied.rows.iter().filter(|row| row.2.is_some()).count();
    assert!(values(&more) < values(&full) + 8, "{} of {}", values(&more), values(&full));
    let third = take(&engine, Some(DAY), Some(&more));
    kills(&engine, added.0);
    engine.close();
    let (world, done) = restored(&lost, &[&full, &more, &third]).unwrap();
    assert_eq!(done.destroyed_again, 1);
    let engine = world.start();
    let caller = admin(&engine, "acme");
    assert!(works(&engine, &caller, keeps.0, &keeps.1));
    assert!(works(&engine, &caller, keeps.0, &text), "{rotated:?}");
    gone(&engine, dies.0, &dies.1);
    gone(&engine, added.0, &added.1);
    // A segment that went before the restore cannot be continued: rows of it are lost.
    let refused = engine.begin_backup(None, Some(&third.note)).unwrap_err();
    assert!(matches!(refused, BackupError::Base(_)), "{refused}");
    take(&engine, Some(DAY), None);
}

#[test]
fn of_a_key_that_goes_on_only_the_destroyed_version_stays_away() {
    let lost = World::new();
    let engine = lost.start();
    let caller = admin(&engine, "acme");
    let (key, old_text) = made(&engine);
    wait(engine.rotate_key(&caller, key, None)).unwrap();
    let new_text = encrypt(&engine, &caller, key).unwrap();
    let copied = take(&engine, Some(DAY), None);
    wait(engine.rotate_key(&caller, key, None)).unwrap();
    let request = DestroyVersionRequest::new(key, 1);
    wait(engine.destroy_version(&caller, &request)).unwrap();
    engine.close();
    let (world, done) = restored(&lost, &[&copied]).unwrap();
    assert_eq!(done.destroyed_again, 1);
    let engine = world.start();
    let caller = admin(&engine, "acme");
    assert!(!works(&engine, &caller, key, &old_text));
    assert!(works(&engine, &caller, key, &new_text));
    let receipt = engine.version_receipt(&caller, key, 1).unwrap();
    assert!(verified(&engine, &receipt));
}

#[test]
fn whoever_was_removed_with_a_key_stays_removed() {
    let lost = World::new();
    let engine = lost.start();
    let caller = admin(&engine, "acme");
    let secret = "a-secret-of-a-robot-that-nobody-can-guess-0123456789";
    let request = super::api_keys::request(secret, "robot", &[Permission::KeysRead]);
    let new = wait(engine.create_api_key(&caller, request)).unwrap();
    let copied = take(&engine, Some(DAY), None);
    kills(&engine, new.key.record().id);
    engine.close();
    let (world, _) = restored(&lost, &[&copied]).unwrap();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let found = engine.read_principal(&caller, new.application.record().id).unwrap();
    assert!(found.record().revoked.is_some());
}

#[test]
fn every_doubt_about_the_time_since_is_a_refusal() {
    let spoiled = |spoil: &dyn Fn(&World, &mut Copied)| {
        let lost = World::new();
        let engine = lost.start();
        let [first, second, _] = [made(&engine), made(&engine), made(&engine)];
        let mut copied = take(&engine, Some(DAY), None);
        kills(&engine, first.0);
        kills(&engine, second.0);
        engine.close();
        spoil(&lost, &mut copied);
        restored(&lost, &[&copied]).map(|(_, done)| done.destroyed_again)
    };
    assert_eq!(spoiled(&|_, _| {}).unwrap(), 2, "the control");
    let refused = |what: &str, spoil: &dyn Fn(&World, &mut Copied)| {
        let refused = spoiled(spoil).expect_err(what);
        refused.to_string()
    };
    let journal = |change: fn(&mut Vec<u8>)| {
        move |lost: &World, _: &mut Copied| {
            lost.journal.alter(change);
        }
    };
    let cases = [
        ("cut", refused("cut", &journal(|bytes| bytes.truncate(bytes.len() / 2)))),
        ("empty", refused("empty", &journal(Vec::clear))),
        ("a bit", refused("a bit", &journal(|bytes| bytes[20] ^= 1))),
        ("zeros", refused("zeros", &journal(|bytes| bytes[4..].fill(0)))),
    ];
    for (what, said) in cases {
        assert!(said.contains("tombstone journal") || said.contains("signed"), "{what}: {said}");
    }
    let said = refused("no journal", &|lost: &World, _: &mut Copied| {
        let mut place = lost.journal.clone();
        lost.journal.names().into_iter().for_each(|name| {
            crate::JournalPlace::remove(&mut place, name).unwrap();
        });
    });
    assert!(said.contains("lacks"), "{said}");
    let said = refused("another note", &|_, copied: &mut Copied| {
        let BackupNote { rows, bytes, .. } = copied.note();
        copied.note = copied.note.replacen(&format!("\n{rows} {bytes}\n"), "\n1 1\n", 1);
    });
    assert!(said.contains("signed backup note is refused"), "{said}");
    let said = refused("a lost node", &|_, copied: &mut Copied| {
        copied.rows.retain(|(space, ..)| space != "node");
    });
    assert!(said.contains("damaged"), "{said}");
    let said = refused("a lost log entry", &|_, copied: &mut Copied| {
        let leaf = copied.rows.iter().rposition(|(space, ..)| space == "leaf").unwrap();
        copied.rows.remove(leaf);
    });
    assert!(said.contains("damaged"), "{said}");
    let said = refused("a head further on", &|lost: &World, _: &mut Copied| {
        let mut head = lost.guard.0.lock();
        let kept = head.as_mut().unwrap();
        kept.size += 1_000;
    });
    assert!(said.contains("were signed"), "{said}");
    let said = refused("another log", &|lost: &World, _: &mut Copied| {
        lost.guard.0.lock().as_mut().unwrap().root = [9; 32];
    });
    assert!(said.contains("went its own"), "{said}");
}

#[test]
fn the_slot_of_another_installation_restores_nothing() {
    let (mut lost, other) = (World::new(), World::new());
    let engine = lost.start();
    made(&engine);
    let copied = take(&engine, Some(DAY), None);
    engine.close();
    other.start().close();
    lost.slot = other.slot.clone();
    let refused = restored(&lost, &[&copied]).unwrap_err();
    assert!(matches!(refused, RestoreError::OtherTree { .. }), "{refused}");
    lost.slot = MemSlot::new();
    let refused = restored(&lost, &[&copied]).unwrap_err();
    assert!(matches!(refused, RestoreError::SlotEmpty | RestoreError::RootGone { .. }));
}

#[test]
fn a_store_that_is_being_restored_serves_nothing() {
    let lost = World::new();
    let engine = lost.start();
    let copied = take(&engine, Some(DAY), None);
    engine.close();
    let world = new_machine(&lost, Arc::new(MemStore::new()));
    load(&*world.store, &[&copied]);
    let refused = world.start_with(Box::new(world.slot.clone())).unwrap_err();
    assert!(matches!(refused, StartError::RestoreUnfinished), "{refused}");
    let refused = RestoreLoader::new(&*lost.store).unwrap_err();
    assert!(matches!(refused, lethe_store::StoreError::Conflict { .. }), "{refused}");
    let parts = lost.parts(Box::new(lost.slot.clone()));
    let refused = restore(RestoreParts { parts, note: copied.note }).unwrap_err();
    assert!(matches!(refused, RestoreError::Rows(_)), "{refused}");
    lost.start();
}

#[test]
fn windows_bases_and_room_are_checked() {
    let world = World::new();
    let engine = world.start();
    let window = |seconds| engine.begin_backup(Some(Duration::from_secs(seconds)), None);
    assert!(matches!(window(0), Err(BackupError::Window)));
    assert!(matches!(window(u64::MAX), Err(BackupError::Window)));
    for base in ["", "lethe-backup/v1\n", "x\n\n— a b\n"] {
        let refused = engine.begin_backup(None, Some(base)).unwrap_err();
        assert!(matches!(refused, BackupError::Base(_)), "{refused}");
    }
    let other = World::new().start();
    let foreign = take(&other, Some(DAY), None);
    let refused = engine.begin_backup(None, Some(&foreign.note)).unwrap_err();
    assert!(matches!(refused, BackupError::Base(_)), "{refused}");
    for _ in 0..lethe_erasure::slot::RETAINED_ENTRIES_MAX {
        drop(engine.begin_backup(Some(DAY), None).unwrap());
    }
    assert!(matches!(engine.begin_backup(Some(DAY), None), Err(BackupError::Slot(_))));
    assert_eq!(engine.kept_roots().unwrap().len(), lethe_erasure::slot::RETAINED_ENTRIES_MAX);
    made(&engine);
}

#[test]
fn a_journal_that_fails_is_tried_again_and_then_nothing_more_is_destroyed() {
    let lost = World::new();
    let engine = lost.start();
    let [first, second, third] = [made(&engine), made(&engine), made(&engine)];
    let copied = take(&engine, Some(DAY), None);
    lost.journal.fail(1);
    kills(&engine, first.0);
    lost.journal.fail(1_000);
    let refused = destroy(&engine, &admin(&engine, "acme"), second.0).unwrap_err();
    assert_eq!(refused, EngineError::StorageUnavailable);
    assert!(engine.ready().is_err());
    engine.close();
    lost.journal.fail(0);
    // The destruction was durable: the next start carries it on, and tells the journal.
    let engine = lost.start();
    gone(&engine, second.0, &second.1);
    engine.close();
    let (world, done) = restored(&lost, &[&copied]).unwrap();
    assert_eq!(done.destroyed_again, 2);
    let engine = world.start();
    gone(&engine, first.0, &first.1);
    gone(&engine, second.0, &second.1);
    assert!(works(&engine, &admin(&engine, "acme"), third.0, &third.1));
}

#[test]
fn no_checkpoint_is_shown_that_the_journal_does_not_cover() {
    let lost = World::new();
    let engine = lost.start();
    let copied = take(&engine, Some(DAY), None);
    lost.journal.fail(1_000);
    let before = engine.log_checkpoint();
    made(&engine);
    assert_eq!(engine.log_checkpoint(), before);
    lost.journal.fail(0);
    let dies = made(&engine);
    kills(&engine, dies.0);
    assert_ne!(engine.log_checkpoint(), before);
    engine.close();
    restored(&lost, &[&copied]).unwrap();
}

#[test]
fn revisions_of_a_restored_store_are_ahead_of_its_backup() {
    let world = World::new();
    let engine = world.start();
    let note = take(&engine, Some(DAY), None).note();
    assert!(Revision(crate::first_revision(&note)) > world.store.revision().unwrap());
}

/// A place that has no journal.
#[test]
fn without_a_place_for_the_journal_no_backup_is_taken() {
    let world = World::new();
    let mut parts = world.parts(Box::new(world.slot.clone()));
    parts.guard = Box::new(world.guard.clone());
    let engine = Engine::start(parts).unwrap();
    assert!(matches!(engine.begin_backup(None, None), Err(BackupError::NoJournal)));
    let _unused: MemJournal = MemJournal::default();
}
