//! A slot that wears out gets a new root only now and then: destructions wait for it together, and
//! everything else goes on.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lethe_erasure::slot::{
    ErasableSlot, EraseEvidence, ErasureClass, Loaded, MemSlot, SlotError, SlotImage, SlotKind,
};
use lethe_types::KeyId;
use lethe_types::limits::RESTING_PLANS_MAX;

use super::backups::{gone, kills, made};
use super::support::{World, admin, create, verified, works};
use crate::{DestroyOutcome, DestroyRequest, Engine, EngineError};

const REST: Duration = Duration::from_secs(30);

struct Resting(MemSlot);

impl ErasableSlot for Resting {
    fn kind(&self) -> SlotKind {
        self.0.kind()
    }

    fn class(&self) -> ErasureClass {
        self.0.class()
    }

    fn load(&self) -> Result<Loaded, SlotError> {
        self.0.load()
    }

    fn put_new(&mut self, image: &SlotImage) -> Result<(), SlotError> {
        self.0.put_new(image)
    }

    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError> {
        self.0.erase_all_but(generation)
    }

    fn rest(&self) -> Duration {
        REST
    }
}

fn start(world: &World) -> Engine {
    world.start_with(Box::new(Resting(world.slot.clone()))).unwrap()
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<DestroyOutcome, EngineError>> + 'a>>;

/// Destructions that were asked for; nobody waits yet.
fn asked<'a>(
    engine: &'a Engine,
    caller: &'a crate::Caller,
    keys: &[KeyId],
) -> Vec<Option<Waiting<'a>>> {
    let ask = |key: &KeyId| -> Option<Waiting<'a>> {
        Some(Box::pin(engine.destroy_key(caller, DestroyRequest::new(*key))))
    };
    keys.iter().map(ask).collect()
}

/// Those that were answered since the last look.
fn answered(waiting: &mut [Option<Waiting<'_>>]) -> Vec<Result<DestroyOutcome, EngineError>> {
    let mut context = Context::from_waker(Waker::noop());
    let mut done = Vec::new();
    for place in waiting {
        let Some(future) = place else { continue };
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            done.push(answer);
            *place = None;
        }
    }
    done
}

/// The committer has worked off what was asked for before.
fn settled(engine: &Engine) {
    engine.kept_roots().unwrap();
}

fn epoch_of(engine: &Engine, answer: Result<DestroyOutcome, EngineError>) -> u64 {
    let Ok(DestroyOutcome::Destroyed(destroyed)) = answer else { panic!("not destroyed") };
    assert!(verified(engine, &destroyed.receipt));
    destroyed.receipt.entry.erasure.as_ref().unwrap().epoch_to
}

#[test]
fn destructions_wait_together_and_everything_else_goes_on() {
    let world = World::new();
    let engine = start(&world);
    let caller = admin(&engine, "acme");
    let [first, second, third] = [made(&engine), made(&engine), made(&engine)];
    kills(&engine, first.0);
    gone(&engine, first.0, &first.1);

    let mut waiting = asked(&engine, &caller, &[second.0, third.0]);
    assert!(answered(&mut waiting).is_empty());
    settled(&engine);
    assert!(answered(&mut waiting).is_empty(), "nothing is answered before it is erased");
    assert!(works(&engine, &caller, second.0, &second.1), "and nothing is half destroyed");
    let meanwhile = made(&engine);
    world.clock.advance(REST - Duration::from_millis(1));
    settled(&engine);
    assert!(answered(&mut waiting).is_empty());
    world.clock.advance(Duration::from_millis(1));
    settled(&engine);
    settled(&engine);
    let epochs: Vec<u64> =
        answered(&mut waiting).into_iter().map(|answer| epoch_of(&engine, answer)).collect();
    assert!(epochs.len() == 2 && epochs[0] == epochs[1], "one change for both: {epochs:?}");
    gone(&engine, second.0, &second.1);
    gone(&engine, third.0, &third.1);
    assert!(works(&engine, &caller, meanwhile.0, &meanwhile.1));
}

#[test]
fn what_waits_is_finished_when_the_engine_closes() {
    let world = World::new();
    let engine = start(&world);
    let caller = admin(&engine, "acme");
    let [first, second] = [made(&engine), made(&engine)];
    kills(&engine, first.0);
    let mut waiting = asked(&engine, &caller, &[second.0]);
    assert!(answered(&mut waiting).is_empty());
    settled(&engine);
    assert!(answered(&mut waiting).is_empty());
    engine.close();
    assert_eq!(answered(&mut waiting).len(), 1);
    drop(waiting);
    let engine = world.start();
    gone(&engine, second.0, &second.1);
}

#[test]
fn beyond_the_limit_nobody_waits() {
    const MORE: usize = 20;
    let world = World::new();
    let engine = start(&world);
    let caller = admin(&engine, "acme");
    let first = create(&engine, &caller, "aes256-gcm").unwrap().record().id;
    let keys: Vec<KeyId> = (0..RESTING_PLANS_MAX + MORE)
        .map(|_| create(&engine, &caller, "aes256-gcm").unwrap().record().id)
        .collect();
    kills(&engine, first);
    let mut waiting = asked(&engine, &caller, &keys);
    // The committer may refuse the last ones while they are still being asked for.
    let mut refused = answered(&mut waiting);
    settled(&engine);
    refused.append(&mut answered(&mut waiting));
    assert_eq!(refused.len(), MORE);
    for answer in refused {
        let limit = Err(EngineError::ServerLimitExceeded("changes that wait"));
        assert_eq!(answer.map(|_| ()), limit);
    }
    world.clock.advance(REST);
    settled(&engine);
    settled(&engine);
    let epochs: std::collections::BTreeSet<u64> =
        answered(&mut waiting).into_iter().map(|answer| epoch_of(&engine, answer)).collect();
    assert_eq!(epochs.len(), 1, "all of them with one root");
    assert!(waiting.iter().all(Option::is_none));
    // Who was refused asks again.
    world.clock.advance(REST);
    let last = keys[keys.len() - 1];
    let answer = kills_again(&engine, &caller, last);
    assert!(epoch_of(&engine, answer) > 0);
}

fn kills_again(
    engine: &Engine,
    caller: &crate::Caller,
    key: KeyId,
) -> Result<DestroyOutcome, EngineError> {
    super::support::wait(engine.destroy_key(caller, DestroyRequest::new(key)))
}
