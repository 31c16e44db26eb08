//! A machine that is lost, and a restore that is cut short, at every step.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use lethe_store::{CommitFault, FaultyStore, MemStore};
use lethe_types::KeyId;
use parking_lot::Mutex;

use super::backups::{DAY, gone, kills, load, made, new_machine, restored, take};
use super::crash::{FaultySlot, SlotFault};
use super::support::{TestGuard, World, admin, destroy, works};
use crate::{Engine, EngineError, RestoreParts, restore};

/// What a client was told while the machine ran.
#[derive(Default)]
struct Told {
    live: Vec<(KeyId, Vec<u8>)>,
    gone: Vec<(KeyId, Vec<u8>)>,
    unsure: Vec<(KeyId, Vec<u8>)>,
}

impl Told {
    fn destroy(&mut self, engine: &Engine, (key, text): (KeyId, Vec<u8>)) {
        match destroy(engine, &admin(engine, "acme"), key) {
            Ok(_) => self.gone.push((key, text)),
            Err(_) => self.unsure.push((key, text)),
        }
    }

    fn check(&self, world: &World, context: &str) {
        let engine = world.start();
        let caller = admin(&engine, "acme");
        for (key, text) in &self.live {
            assert!(works(&engine, &caller, *key, text), "{context}: a live key was lost");
        }
        for (key, text) in &self.gone {
            let refused = engine.decrypt(&caller, *key, text, b"").unwrap_err();
            assert_eq!(refused, EngineError::ObjectDestroyed(*key), "{context}");
        }
        for (key, text) in &self.unsure {
            match engine.decrypt(&caller, *key, text, b"") {
                Ok(opened) => assert_eq!(opened.expose(), b"a letter", "{context}"),
                Err(refused) => assert_eq!(refused, EngineError::ObjectDestroyed(*key)),
            }
        }
        engine.close();
    }
}

/// A run with one spoiled commit or step of the slot, after which the machine is lost.
fn lost_after(commit: Option<(u64, CommitFault)>, step: (u64, SlotFault)) -> (bool, World, Told) {
    let inner = Arc::new(MemStore::new());
    let calm = World::over(inner.clone());
    let engine = calm.start();
    let keys = [(); 4].map(|()| made(&engine));
    let copied = take(&engine, Some(DAY), None);
    engine.close();
    let faulty = Arc::new(FaultyStore::new(Arc::new(inner.restarted())));
    if let Some((at, fault)) = commit {
        faulty.fail_commit(at, fault);
    }
    let steps = Arc::new(AtomicU64::new(0));
    let world = new_machine(&calm, faulty.clone());
    let slot = FaultySlot::new(world.slot.clone(), steps.clone(), step);
    let mut told = Told::default();
    let [live, first, second, third] = keys;
    told.live.push(live);
    if let Ok(engine) = world.start_with(Box::new(slot)) {
        let _more = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            told.destroy(&engine, first);
            told.destroy(&engine, second);
        }));
        engine.close();
    }
    told.live.push(third);
    let reached = faulty.commits() >= commit.map_or(0, |(at, _)| at)
        && (step.0 == 0 || steps.load(std::sync::atomic::Ordering::SeqCst) >= step.0);
    // The data is lost here: only slot, journal, head and backup are left.
    let restored = restored(&world, &[&copied]);
    let world = restored.unwrap_or_else(|error| panic!("{commit:?} {step:?}: {error}")).0;
    (reached, world, told)
}

#[test]
fn a_machine_that_is_lost_at_any_step_comes_back_with_what_lives() {
    let none = (0, SlotFault::Fail);
    let faults = [
        CommitFault::Fail,
        CommitFault::ApplyThenFail,
        CommitFault::Stop,
        CommitFault::ApplyThenStop,
    ];
    let mut cases = 0;
    for fault in faults {
        for at in 1.. {
            let (reached, world, told) = lost_after(Some((at, fault)), none);
            told.check(&world, &format!("commit {at} {fault:?}"));
            cases += 1;
            if !reached {
                break;
            }
        }
    }
    let faults =
        [SlotFault::Fail, SlotFault::DoneThenFail, SlotFault::Stop, SlotFault::DoneThenStop];
    for fault in faults {
        for at in 1.. {
            let (reached, world, told) = lost_after(None, (at, fault));
            told.check(&world, &format!("slot step {at} {fault:?}"));
            cases += 1;
            if !reached {
                break;
            }
        }
    }
    assert!(cases > 24, "{cases}");
}

#[test]
fn a_restore_that_is_cut_short_at_any_step_can_be_done_again() {
    let lost = World::new();
    let engine = lost.start();
    let [keeps, first, second] = [made(&engine), made(&engine), made(&engine)];
    let copied = take(&engine, Some(DAY), None);
    kills(&engine, first.0);
    kills(&engine, second.0);
    engine.close();
    let check = |world: &World, context: &str| {
        let (world, done) =
            restored(world, &[&copied]).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(done.destroyed_again, 2, "{context}");
        let engine = world.start();
        gone(&engine, first.0, &first.1);
        gone(&engine, second.0, &second.1);
        assert!(works(&engine, &admin(&engine, "acme"), keeps.0, &keeps.1), "{context}");
        engine.close();
    };
    let fork = || World {
        slot: lost.slot.copied(),
        guard: TestGuard(Arc::new(Mutex::new(*lost.guard.0.lock()))),
        journal: lost.journal.copied(),
        ..new_machine(&lost, Arc::new(MemStore::new()))
    };
    let mut cases = 0;
    for fault in [CommitFault::Stop, CommitFault::ApplyThenStop] {
        for at in 1.. {
            let world = fork();
            let faulty = Arc::new(FaultyStore::new(world.store.clone()));
            load(&*world.store, &[&copied]);
            faulty.fail_commit(at, fault);
            let spoiled = new_machine(&world, faulty);
            let parts = spoiled.parts(Box::new(spoiled.slot.clone()));
            let done = restore(RestoreParts { parts, note: copied.note.clone() });
            check(&world, &format!("commit {at} {fault:?}"));
            cases += 1;
            if done.is_ok() {
                break;
            }
        }
    }
    for fault in [SlotFault::Stop, SlotFault::DoneThenStop] {
        for at in 1.. {
            let world = fork();
            load(&*world.store, &[&copied]);
            let slot = FaultySlot::new(world.slot.clone(), Arc::default(), (at, fault));
            let parts = world.parts(Box::new(slot));
            let done = restore(RestoreParts { parts, note: copied.note.clone() });
            check(&world, &format!("slot step {at} {fault:?}"));
            cases += 1;
            if done.is_ok() {
                break;
            }
        }
    }
    assert!(cases > 12, "{cases}");
}

#[test]
fn a_start_tells_the_journal_before_the_slot_and_keeps_nothing_of_it_in_the_store() {
    let lost = World::new();
    let engine = lost.start();
    let [keeps, dies] = [made(&engine), made(&engine)];
    let copied = take(&engine, Some(DAY), None);
    lost.journal.fail(1_000);
    destroy(&engine, &admin(&engine, "acme"), dies.0).unwrap_err();
    engine.close();
    lost.journal.fail(0);
    let told = || lost.store.range(crate::keys::JOURNAL, b"", 10).unwrap().rows.len();
    assert_eq!(told(), 1, "the destruction is durable and not told");
    // The start dies when the slot has erased the old root; then the machine is lost.
    let stopped = (2, SlotFault::DoneThenStop);
    let slot = FaultySlot::new(lost.slot.clone(), Arc::default(), stopped);
    lost.start_with(Box::new(slot)).unwrap_err();
    let fork = World { slot: lost.slot.copied(), ..lost.fork(lost.store.clone()) };
    let (world, done) = restored(&fork, &[&copied]).unwrap();
    assert_eq!(done.destroyed_again, 1);
    let engine = world.start();
    gone(&engine, dies.0, &dies.1);
    assert!(works(&engine, &admin(&engine, "acme"), keeps.0, &keeps.1));
    engine.close();
    lost.start().close();
    assert_eq!(told(), 0);
}
