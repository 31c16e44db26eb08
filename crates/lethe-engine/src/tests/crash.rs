//! A crash or a fault at every write of the store and every step of the slot, over the real
//! committer: nothing acknowledged is lost, nothing destroyed comes back, nothing is in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lethe_erasure::slot::{
    ErasableSlot, EraseEvidence, ErasureClass, Loaded, MemSlot, SlotError, SlotImage, SlotKind,
};
use lethe_store::{CommitFault, FaultyStore, MemStore, Store};
use lethe_types::KeyId;

use super::support::{World, admin, create, destroy, encrypt, verified, works};
use crate::{Caller, Engine, EngineError};

/// How a step of the slot goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotFault {
    /// Not done, once.
    Fail,
    /// Done, but reported as failed, once.
    DoneThenFail,
    /// Not done, and nothing after it: the process died.
    Stop,
    /// Done, and nothing after it.
    DoneThenStop,
}

/// Counts the writing steps and spoils one of them.
pub(super) struct FaultySlot {
    inner: MemSlot,
    steps: Arc<AtomicU64>,
    at: u64,
    fault: SlotFault,
    stopped: bool,
}

impl FaultySlot {
    pub(super) fn new(
        inner: MemSlot,
        steps: Arc<AtomicU64>,
        (at, fault): (u64, SlotFault),
    ) -> Self {
        Self { inner, steps, at, fault, stopped: false }
    }

    fn step<T>(
        &mut self,
        work: impl FnOnce(&mut MemSlot) -> Result<T, SlotError>,
    ) -> Result<T, SlotError> {
        let broken = || SlotError::Backend("the test broke the slot".into());
        if self.stopped {
            return Err(broken());
        }
        let number = self.steps.fetch_add(1, Ordering::SeqCst) + 1;
        if number != self.at {
            return work(&mut self.inner);
        }
        self.stopped = matches!(self.fault, SlotFault::Stop | SlotFault::DoneThenStop);
        if matches!(self.fault, SlotFault::DoneThenFail | SlotFault::DoneThenStop) {
            work(&mut self.inner)?;
        }
        Err(broken())
    }
}

impl ErasableSlot for FaultySlot {
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
        self.step(|slot| slot.put_new(image))
    }

    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError> {
        self.step(|slot| slot.erase_all_but(generation))
    }
}

/// What a client knows after a run: what it was told, and what it could not know.
#[derive(Default)]
struct Memory {
    /// Acknowledged, and never asked to be destroyed: id and a ciphertext.
    live: Vec<(KeyId, Vec<u8>)>,
    /// Acknowledged as destroyed.
    gone: Vec<(KeyId, Vec<u8>)>,
    /// Asked to be destroyed, with no or a failing answer.
    unsure: Vec<(KeyId, Vec<u8>)>,
}

/// Creates, uses and destroys a few keys and remembers what it was told.
fn work(engine: &Engine, caller: &Caller, memory: &mut Memory) {
    let mut made = Vec::new();
    for _ in 0..3 {
        if let Ok(entry) = create(engine, caller, "aes256-gcm") {
            let id = entry.record().id;
            match encrypt(engine, caller, id) {
                Ok(text) => made.push((id, text)),
                Err(EngineError::StorageUnavailable) => {}
                Err(error) => panic!("a fresh key is refused: {error}"),
            }
        }
    }
    for (number, (id, text)) in made.into_iter().enumerate() {
        if number == 1 {
            memory.live.push((id, text));
            continue;
        }
        match destroy(engine, caller, id) {
            Ok(destroyed) => {
                assert!(verified(engine, &destroyed.receipt));
                assert!(!works(engine, caller, id, &text), "used after an acknowledged destroy");
                memory.gone.push((id, text));
            }
            Err(_) => memory.unsure.push((id, text)),
        }
    }
}

/// What must hold after a restart, whatever happened before.
fn check(world: &World, memory: &Memory, context: &str) {
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let images = world.slot.load().unwrap().images;
    assert_eq!(images.len(), 1, "{context}: an old root is alive");
    for (id, text) in &memory.live {
        assert!(works(&engine, &caller, *id, text), "{context}: a live key was lost");
    }
    for (id, text) in &memory.gone {
        let refused = engine.decrypt(&caller, *id, text, b"").unwrap_err();
        assert_eq!(refused, EngineError::ObjectDestroyed(*id), "{context}");
        assert!(verified(&engine, &engine.receipt(&caller, *id).unwrap()), "{context}");
    }
    for (id, text) in &memory.unsure {
        match engine.decrypt(&caller, *id, text, b"") {
            Ok(opened) => assert_eq!(opened.expose(), b"a letter", "{context}"),
            Err(error) => {
                assert_eq!(error, EngineError::ObjectDestroyed(*id), "{context}");
                let receipt = engine.receipt(&caller, *id).unwrap();
                assert!(verified(&engine, &receipt), "{context}");
            }
        }
    }
    // The installation goes on.
    let mut after = Memory::default();
    work(&engine, &caller, &mut after);
    assert_eq!((after.live.len(), after.gone.len()), (1, 2), "{context}");
    engine.close();
}

/// Plays `work` with the store faulty at its `number`th commit.
fn with_store_fault(number: u64, fault: CommitFault) -> (World, Memory, u64) {
    let inner: Arc<dyn Store> = Arc::new(MemStore::new());
    let mut world = World::over(inner.clone());
    admin(&world.start(), "acme");
    let faulty = Arc::new(FaultyStore::new(inner.clone()));
    faulty.fail_commit(number, fault);
    world.store = faulty.clone();
    let mut memory = Memory::default();
    if let Ok(engine) = world.start_with(Box::new(world.slot.clone())) {
        let realm = engine.shared.catalogue.realm_by_name(&"acme".parse().unwrap()).unwrap().id;
        let caller = engine.system_caller(realm, super::support::DOOR).unwrap();
        work(&engine, &caller, &mut memory);
        engine.close();
    }
    world.store = inner;
    (world, memory, faulty.commits())
}

#[test]
fn a_fault_or_crash_at_every_commit_of_the_store_loses_nothing() {
    let (_, _, commits) = with_store_fault(u64::MAX, CommitFault::Fail);
    assert!(commits >= 5, "{commits}");
    let faults = [
        CommitFault::Fail,
        CommitFault::ApplyThenFail,
        CommitFault::Full,
        CommitFault::Stop,
        CommitFault::ApplyThenStop,
    ];
    for number in 1..=commits {
        for fault in faults {
            let (world, memory, _) = with_store_fault(number, fault);
            check(&world, &memory, &format!("{fault:?} at commit {number}"));
        }
    }
}

#[test]
fn a_fault_or_crash_at_every_step_of_the_slot_loses_nothing() {
    let steps = Arc::new(AtomicU64::new(0));
    let play = |at: u64, fault: SlotFault| {
        let world = World::new();
        admin(&world.start(), "acme");
        steps.store(0, Ordering::SeqCst);
        let slot = FaultySlot::new(world.slot.clone(), steps.clone(), (at, fault));
        let engine = world.start_with(Box::new(slot)).unwrap();
        let mut memory = Memory::default();
        work(&engine, &admin(&engine, "acme"), &mut memory);
        engine.close();
        (world, memory)
    };
    play(u64::MAX, SlotFault::Fail);
    let count = steps.load(Ordering::SeqCst);
    assert_eq!(count, 4, "two destructions of two steps each");
    for at in 1..=count {
        for fault in
            [SlotFault::Fail, SlotFault::DoneThenFail, SlotFault::Stop, SlotFault::DoneThenStop]
        {
            let (world, memory) = play(at, fault);
            if matches!(fault, SlotFault::Fail | SlotFault::DoneThenFail) {
                assert_eq!(memory.gone.len(), 2, "{fault:?} at step {at} is retried");
            }
            check(&world, &memory, &format!("{fault:?} at slot step {at}"));
        }
    }
}

#[test]
fn a_crash_during_recovery_is_recovered_from() {
    // First crash: just after a destruction became durable. Then one at every commit of the
    // recovery, and at every commit of the recovery after that.
    let (_, _, commits) = with_store_fault(u64::MAX, CommitFault::Fail);
    let faults = [CommitFault::Stop, CommitFault::ApplyThenStop];
    for first in 1..=commits {
        for second in 1..=4 {
            for fault in faults {
                let (mut world, memory, _) = with_store_fault(first, CommitFault::ApplyThenStop);
                let inner = world.store.clone();
                let faulty = Arc::new(FaultyStore::new(inner.clone()));
                faulty.fail_commit(second, fault);
                world.store = faulty;
                if let Ok(engine) = world.start_with(Box::new(world.slot.clone())) {
                    engine.close();
                }
                world.store = inner;
                check(&world, &memory, &format!("commit {first}, then {fault:?} at {second}"));
            }
        }
    }
}

#[test]
fn a_creation_that_was_cut_short_is_made_anew() {
    for number in 1..=3 {
        for fault in [CommitFault::Stop, CommitFault::ApplyThenStop] {
            let inner: Arc<dyn Store> = Arc::new(MemStore::new());
            let mut world = World::over(inner.clone());
            let faulty = Arc::new(FaultyStore::new(inner.clone()));
            faulty.fail_commit(number, fault);
            world.store = faulty;
            let _cut_short = world.start_with(Box::new(world.slot.clone()));
            world.store = inner;
            check(&world, &Memory::default(), &format!("{fault:?} at commit {number}"));
        }
    }
}
