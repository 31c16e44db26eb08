//! Uses against a destruction that is under way: none succeeds from the moment on at which the
//! destruction can become durable, whatever becomes of it; if nothing came of it, all succeed
//! again.

use std::sync::Arc;

use lethe_erasure::slot::{
    ErasableSlot, EraseEvidence, ErasureClass, Loaded, SlotError, SlotImage, SlotKind,
};
use lethe_store::{
    Batch, CommitFault, FaultyStore, MemStore, Page, Revision, Space, Store, StoreError, StoreKey,
    Tidied, Versioned, Visit, Watch,
};
use lethe_types::KeyId;
use parking_lot::Mutex;

use super::support::{World, admin, create, encrypt, wait, works};
use crate::committer::Queue;
use crate::{DestroyRequest, DestroyVersionRequest, Engine, EngineError};

/// What is done at a step of store or slot.
type Hook = Box<dyn Fn(&'static str) + Send + Sync>;

/// Calls the hook before and after every commit and every step of the slot.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Option<Arc<Hook>>>>);

impl Watched {
    fn watch(&self, hook: Option<Hook>) {
        *self.0.lock() = hook.map(Arc::new);
    }

    fn around<T>(&self, steps: [&'static str; 2], work: impl FnOnce() -> T) -> T {
        let hook = self.0.lock().clone();
        let call = |step| hook.iter().for_each(|hook| hook(step));
        call(steps[0]);
        let done = work();
        call(steps[1]);
        done
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched(..)")
    }
}

#[derive(Debug)]
struct WatchedStore {
    inner: Arc<dyn Store>,
    watched: Watched,
}

impl Store for WatchedStore {
    fn get(&self, key: &StoreKey) -> Result<Option<Versioned>, StoreError> {
        self.inner.get(key)
    }

    fn range(&self, space: Space, from: &[u8], limit: u32) -> Result<Page, StoreError> {
        self.inner.range(space, from, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Revision, StoreError> {
        self.watched.around(["before commit", "after commit"], || self.inner.commit(batch))
    }

    fn revision(&self) -> Result<Revision, StoreError> {
        self.inner.revision()
    }

    fn watch(&self, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.inner.watch(after)
    }

    fn snapshot(&self, visit: &mut Visit<'_>) -> Result<Revision, StoreError> {
        self.inner.snapshot(visit)
    }

    fn tidy(&self) -> Result<Tidied, StoreError> {
        self.inner.tidy()
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

struct WatchedSlot {
    inner: lethe_erasure::slot::MemSlot,
    watched: Watched,
}

impl ErasableSlot for WatchedSlot {
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
        let Self { inner, watched } = self;
        watched.around(["before put", "after put"], || inner.put_new(image))
    }

    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError> {
        let Self { inner, watched } = self;
        watched.around(["before erase", "after erase"], || inner.erase_all_but(generation))
    }
}

/// What every use said at every step of one destruction, and its answer.
fn uses_during(fault: Option<CommitFault>) -> (Vec<(&'static str, EngineError)>, Engine, KeyId) {
    let watched = Watched::default();
    let faulty = Arc::new(FaultyStore::new(Arc::new(MemStore::new())));
    let store = Arc::new(WatchedStore { inner: faulty.clone(), watched: watched.clone() });
    let world = World::over(store);
    let slot = WatchedSlot { inner: world.slot.clone(), watched: watched.clone() };
    // Without the caretaker, whose own changes would come in between.
    let (shared, committer) = Engine::assemble(world.parts(Box::new(slot))).unwrap();
    let queue = Arc::new(Queue::start(committer).unwrap());
    let engine = Arc::new(Engine::over(shared, queue));
    let caller = admin(&engine, "acme");
    let key = create(&engine, &caller, "aes256-gcm").unwrap().record().id;
    let text = encrypt(&engine, &caller, key).unwrap();
    let refusals = Arc::new(Mutex::new(Vec::new()));
    let (user, sealed, said, by) = (engine.clone(), text.clone(), refusals.clone(), caller.clone());
    watched.watch(Some(Box::new(move |step| {
        for result in
            [user.decrypt(&by, key, &sealed, b"").map(drop), encrypt(&user, &by, key).map(drop)]
        {
            said.lock().push((step, result.expect_err("no use while the key goes")));
        }
    })));
    if let Some(fault) = fault {
        faulty.fail_next_commit(fault);
    }
    let answer = wait(engine.destroy_key(&caller, DestroyRequest::new(key)));
    watched.watch(None);
    let lost = matches!(fault, Some(CommitFault::Fail | CommitFault::Full));
    assert_eq!(answer.is_err(), lost, "{fault:?}: {answer:?}");
    assert_eq!(works(&engine, &caller, key, &text), lost, "{fault:?}");
    assert_eq!(encrypt(&engine, &caller, key).is_ok(), lost, "{fault:?}");
    engine.close();
    let refusals = std::mem::take(&mut *refusals.lock());
    let engine = Arc::into_inner(engine).expect("the hook is gone");
    (refusals, engine, key)
}

#[test]
fn no_use_succeeds_while_a_key_goes() {
    for fault in [None, Some(CommitFault::ApplyThenFail)] {
        let (refusals, _, key) = uses_during(fault);
        // What the committer settles when it is idle may come before the hook is gone.
        let erased = refusals.iter().rposition(|(step, _)| *step == "after erase").unwrap();
        let (during, after) = refusals.split_at(erased + 1);
        let (refused, gone) =
            (EngineError::DestructionInProgress(key), EngineError::ObjectDestroyed(key));
        assert!(during.iter().all(|(_, error)| *error == refused), "{refusals:?}");
        assert!(after.iter().all(|(_, error)| *error == gone), "{refusals:?}");
        let steps = [
            "before commit",
            "after commit",
            "before put",
            "after put",
            "before erase",
            "after erase",
        ];
        for step in steps {
            let uses = during.iter().filter(|(other, _)| *other == step).count();
            assert_eq!(uses, 2, "{step}: {refusals:?}");
        }
    }
}

#[test]
fn a_destruction_that_came_to_nothing_leaves_the_key_in_use() {
    for fault in [CommitFault::Fail, CommitFault::Full] {
        let (refusals, engine, key) = uses_during(Some(fault));
        let refused = EngineError::DestructionInProgress(key);
        assert!(refusals.iter().all(|(_, error)| *error == refused), "{refusals:?}");
        assert!(!refusals.iter().any(|(step, _)| step.ends_with("erase")), "{refusals:?}");
        assert_eq!(engine.key_counts(), (1, 0));
    }
}

/// A version that goes is closed alone: the key's others are in use at every step.
#[test]
fn no_use_of_a_version_succeeds_while_it_goes_and_the_others_are_in_use() {
    for fault in [None, Some(CommitFault::ApplyThenFail), Some(CommitFault::Fail)] {
        let watched = Watched::default();
        let faulty = Arc::new(FaultyStore::new(Arc::new(MemStore::new())));
        let store = Arc::new(WatchedStore { inner: faulty.clone(), watched: watched.clone() });
        let world = World::over(store);
        let slot = WatchedSlot { inner: world.slot.clone(), watched: watched.clone() };
        let (shared, committer) = Engine::assemble(world.parts(Box::new(slot))).unwrap();
        let queue = Arc::new(Queue::start(committer).unwrap());
        let engine = Arc::new(Engine::over(shared, queue));
        let caller = admin(&engine, "acme");
        let key = create(&engine, &caller, "aes256-gcm").unwrap().record().id;
        let old = encrypt(&engine, &caller, key).unwrap();
        wait(engine.rotate_key(&caller, key, None)).unwrap();
        let new = encrypt(&engine, &caller, key).unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (user, by, sealed, told) =
            (engine.clone(), caller.clone(), [old.clone(), new.clone()], said.clone());
        watched.watch(Some(Box::new(move |step| {
            assert!(works(&user, &by, key, &sealed[1]), "{step}: of the other version");
            assert!(encrypt(&user, &by, key).is_ok(), "{step}: by the other version");
            let refused = user.decrypt(&by, key, &sealed[0], b"").map(drop);
            told.lock().push((step, refused.expect_err("no use while it goes")));
        })));
        if let Some(fault) = fault {
            faulty.fail_next_commit(fault);
        }
        let answer = wait(engine.destroy_version(&caller, &DestroyVersionRequest::new(key, 1)));
        watched.watch(None);
        let lost = fault == Some(CommitFault::Fail);
        assert_eq!(answer.is_err(), lost, "{fault:?}: {answer:?}");
        assert_eq!(works(&engine, &caller, key, &old), lost, "{fault:?}");
        let said = std::mem::take(&mut *said.lock());
        let erased = said.iter().rposition(|(step, _)| *step == "after erase");
        let during = erased.map_or(said.len(), |at| at + 1);
        let refused = EngineError::DestructionInProgress(key);
        assert!(said[..during].iter().all(|(_, error)| *error == refused), "{said:?}");
        assert_eq!(erased.is_none(), lost, "{fault:?}");
        assert!(during >= 2, "{said:?}");
        engine.close();
    }
}
