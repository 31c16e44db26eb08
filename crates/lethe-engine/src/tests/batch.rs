//! Races, decided: several changes in one batch of the committer, in a known order.

use std::sync::Arc;

use futures_channel::oneshot;
use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::Algorithm;
use lethe_erasure::slot::ErasableSlot;
use lethe_log::EntryType;
use lethe_store::{Batch, CommitFault, FaultyStore, MemStore};
use lethe_types::limits::IDEMPOTENCY_WINDOW;
use lethe_types::{KeyState, UnixMillis};
use smallvec::SmallVec;

use super::support::{
    DOOR, World, admin, create, destroy, encrypt, on_realm, principal, wait, works,
};
use crate::committer::{
    Change, CommitError, Committed, Destroy, Made, NewKey, Preconditions, PrincipalUpdate, Step,
    Submission,
};
use crate::record::KeyRecord;
use crate::{
    Caller, CreateKeyRequest, Engine, EngineError, IdempotencyKey, KeyEntry, StartError,
    StoreState, keys,
};

type Answer = oneshot::Receiver<Result<Committed, CommitError>>;

#[expect(clippy::boxed_local, reason = "changes are made boxed")]
fn submission(caller: &Caller, change: Box<Change>) -> (Submission, Answer) {
    let (reply, answer) = oneshot::channel();
    let principal = caller.principal.clone();
    (Submission { change: *change, principal, door: DOOR, idempotency: None, reply }, answer)
}

fn new_key(engine: &Engine, caller: &Caller) -> Box<Change> {
    let algorithm = Algorithm::from_name("aes256-gcm").unwrap();
    let realm = engine.shared.catalogue.realm(caller.realm()).unwrap();
    let record = KeyRecord {
        id: lethe_types::KeyId::random(&SystemEntropy).unwrap(),
        realm: realm.id,
        vault: realm.default_vault,
        name: "batch".parse().unwrap(),
        algorithm,
        state: KeyState::ACTIVE,
        created: UnixMillis(1_790_000_000_000),
        created_by: caller.principal(),
        changed: UnixMillis(1_790_000_000_000),
        salt: [5; 32],
        aliases: Vec::new(),
        versions: SmallVec::new(),
        next_version: 1,
        imported: false,
        exported: false,
        details: None,
        destruction: None,
    };
    let material = algorithm.generate(&SystemEntropy).unwrap();
    let secrets = Vec::new();
    let (later, history, facts) = Default::default();
    let new = NewKey { record, material, secrets, later, history, facts };
    Change::one(Step::CreateKey(Box::new(new)))
}

fn destruction(entry: &Arc<KeyEntry>) -> Box<Change> {
    let preconditions = Preconditions::default();
    let destroy = Destroy {
        seen: entry.clone(),
        requested: UnixMillis(1),
        reason: "".into(),
        evidence: Vec::new(),
        fingerprints: Vec::new(),
        preconditions,
    };
    Change::one(Step::DestroyKey(Box::new(destroy)))
}

/// An engine whose committer the test drives itself. Its own queue belongs to another engine over
/// a copy of nothing: only `shared` is looked at.
fn assembled(world: &World) -> (Engine, crate::committer::Committer) {
    let slot = Box::new(world.slot.clone());
    let (shared, committer) = Engine::assemble(world.parts(slot)).unwrap();
    (Engine::over(shared, Arc::new(crate::committer::Queue::closed())), committer)
}

/// A world with a realm and an admin of it, stopped.
fn prepared() -> World {
    let world = World::new();
    let engine = world.start();
    admin(&engine, "acme");
    engine.close();
    world
}

fn acme(engine: &Engine) -> Caller {
    let realm = engine.shared.catalogue.realm_by_name(&"acme".parse().unwrap()).unwrap().id;
    engine.system_caller(realm, DOOR).unwrap()
}

fn answer(mut answer: Answer) -> Result<Committed, CommitError> {
    answer.try_recv().unwrap().expect("answered")
}

#[test]
fn of_two_creates_with_one_idempotency_key_the_second_finds_the_first() {
    let world = prepared();
    let (engine, mut committer) = assembled(&world);
    let caller = acme(&engine);
    let idempotency = IdempotencyKey::new(&caller, "key.create", "k", &[b"x"]).unwrap();
    let (mut one, one_answer) = submission(&caller, new_key(&engine, &caller));
    let (mut two, two_answer) = submission(&caller, new_key(&engine, &caller));
    one.idempotency = Some(idempotency.clone());
    two.idempotency = Some(idempotency.clone());
    committer.commit_batch(vec![one, two]);
    let Ok(made) = answer(one_answer) else { panic!("the first") };
    let entry = made.key().unwrap();
    assert!(matches!(answer(two_answer), Err(CommitError::Conflict(_))));
    let now = UnixMillis(1_790_000_000_000);
    let found = engine.shared.idempotency.find(&idempotency, now).unwrap();
    assert_eq!(found, Some(entry.record().id), "published before the loser is told");
}

#[test]
fn two_destroys_of_one_key_are_one_destruction() {
    let world = prepared();
    let (engine, mut committer) = assembled(&world);
    let caller = acme(&engine);
    let (made, made_answer) = submission(&caller, new_key(&engine, &caller));
    committer.commit_batch(vec![made]);
    let entry = answer(made_answer).unwrap().key().unwrap().clone();
    let change = || destruction(&entry);
    let (one, one_answer) = submission(&caller, change());
    let (two, two_answer) = submission(&caller, change());
    let size = engine.shared.log.read().size();
    committer.commit_batch(vec![one, two]);
    assert!(matches!(answer(one_answer).unwrap().made[..], [Made::Destroyed(_)]));
    assert!(matches!(answer(two_answer), Err(CommitError::Conflict(_))));
    assert_eq!(engine.shared.log.read().size(), size + 1);
}

#[test]
fn a_rotation_that_loses_to_a_destroy_plans_again() {
    let world = prepared();
    let (engine, mut committer) = assembled(&world);
    let caller = acme(&engine);
    let (made, made_answer) = submission(&caller, new_key(&engine, &caller));
    committer.commit_batch(vec![made]);
    let entry = answer(made_answer).unwrap().key().unwrap().clone();
    let material = entry.record().algorithm.generate(&SystemEntropy).unwrap();
    let destroy = destruction(&entry);
    let (one, one_answer) = submission(&caller, destroy);
    let (two, two_answer) = submission(
        &caller,
        Change::one(Step::AddVersion {
            seen: entry.clone(),
            material,
            rotation: None,
            retires: Vec::new(),
        }),
    );
    committer.commit_batch(vec![one, two]);
    assert!(matches!(answer(one_answer).unwrap().made[..], [Made::Destroyed(_)]));
    assert!(matches!(answer(two_answer), Err(CommitError::Conflict(_))));
}

#[test]
fn two_revocations_of_one_principal_do_not_spoil_the_batch() {
    let world = prepared();
    let someone = {
        let engine = world.start();
        let caller = admin(&engine, "acme");
        let someone = principal(&engine, &caller, Vec::new());
        engine.close();
        someone.principal()
    };
    let (engine, mut committer) = assembled(&world);
    let caller = acme(&engine);
    let seen = engine.shared.catalogue.principal(caller.realm(), someone).unwrap();
    let revoke = || {
        let mut record = seen.record().clone();
        record.revoked = Some(UnixMillis(1_790_000_000_000));
        let (seen, kind) = (Some(seen.clone()), EntryType::PrincipalRevoked);
        let update = PrincipalUpdate { seen, record, kind, secrets: Vec::new() };
        Change::one(Step::PutPrincipal(Box::new(update)))
    };
    let (one, one_answer) = submission(&caller, revoke());
    let (two, two_answer) = submission(&caller, revoke());
    let (made, made_answer) = submission(&caller, new_key(&engine, &caller));
    committer.commit_batch(vec![one, two, made]);
    assert!(matches!(answer(one_answer).unwrap().made[..], [Made::Other { .. }]));
    assert!(matches!(answer(two_answer), Err(CommitError::Conflict(_))));
    assert!(matches!(answer(made_answer).unwrap().made[..], [Made::Key { .. }]));
}

#[test]
fn what_a_revoked_principal_left_behind_is_not_carried_out() {
    let world = World::new();
    let engine = world.start();
    let admin = admin(&engine, "acme");
    let someone = principal(&engine, &admin, on_realm(&[lethe_types::Permission::KeysCreate]));
    let request = || {
        let algorithm = Algorithm::from_name("aes256-gcm").unwrap();
        CreateKeyRequest::new("late".parse().unwrap(), algorithm)
    };
    let in_time = engine.prepare_key(&someone, request()).unwrap();
    assert!(wait(engine.create_key(&someone, in_time)).is_ok());
    let late = engine.prepare_key(&someone, request()).unwrap();
    wait(engine.revoke_principal(&admin, someone.principal())).unwrap();
    let refused = wait(engine.create_key(&someone, late)).unwrap_err();
    assert_eq!(refused, EngineError::AuthenticationNotSuccessful);
    assert_eq!(engine.key_counts(), (1, 0));
}

#[test]
fn an_idempotency_key_can_be_used_again_after_its_time() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let create = |text: &str| {
        let idempotency = IdempotencyKey::new(&caller, "key.create", text, &[b"x"]).unwrap();
        let algorithm = Algorithm::from_name("aes256-gcm").unwrap();
        let request = CreateKeyRequest {
            idempotency: Some(idempotency),
            ..CreateKeyRequest::new("daily".parse().unwrap(), algorithm)
        };
        let prepared = engine.prepare_key(&caller, request).unwrap();
        wait(engine.create_key(&caller, prepared)).unwrap().record().id
    };
    let first = create("daily");
    let window = u64::try_from(IDEMPOTENCY_WINDOW.as_millis()).unwrap();
    world.clock.set(1_790_000_000_000 + window);
    assert_eq!(create("daily"), first, "at the edge");
    world.clock.set(1_790_000_000_000 + window + 1);
    assert_ne!(create("daily"), first, "past it");
}

#[test]
fn a_change_that_cannot_be_stored_does_not_take_others_with_it() {
    let world = prepared();
    let inner = world.store.clone();
    let faulty = Arc::new(FaultyStore::new(inner));
    let world = World { store: faulty.clone(), ..world };
    let (engine, mut committer) = assembled(&world);
    let caller = acme(&engine);
    let (one, one_answer) = submission(&caller, new_key(&engine, &caller));
    let (two, two_answer) = submission(&caller, new_key(&engine, &caller));
    faulty.fail_next_commit(CommitFault::Fail);
    committer.commit_batch(vec![one, two]);
    assert!(answer(one_answer).is_ok() && answer(two_answer).is_ok(), "each was tried alone");
    assert_eq!(engine.key_counts(), (2, 0));
}

#[test]
fn a_full_disk_is_said_and_changes_nothing() {
    let world = prepared();
    let faulty = Arc::new(FaultyStore::new(world.store.clone()));
    let world = World { store: faulty.clone(), ..world };
    let engine = world.start();
    let caller = acme(&engine);
    let key = create(&engine, &caller, "aes256-gcm").unwrap().record().id;
    let text = encrypt(&engine, &caller, key).unwrap();
    faulty.fail_next_commit(CommitFault::Full);
    assert_eq!(destroy(&engine, &caller, key).unwrap_err(), EngineError::StorageFull);
    assert!(works(&engine, &caller, key, &text), "the key is as live as before");
    assert!(destroy(&engine, &caller, key).is_ok());
}

#[test]
fn a_change_is_refused_before_it_is_begun_while_the_trail_takes_nothing() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let key = create(&engine, &caller, "aes256-gcm").unwrap().record().id;
    let revision = world.store.revision().unwrap();
    world.audit.full.store(true, std::sync::atomic::Ordering::SeqCst);
    let refused = EngineError::AuditUnavailable;
    assert_eq!(destroy(&engine, &caller, key).unwrap_err(), refused);
    assert_eq!(create(&engine, &caller, "aes256-gcm").unwrap_err(), refused);
    assert_eq!(world.store.revision().unwrap(), revision, "nothing was written");
}

#[test]
fn a_creation_does_not_touch_the_slot_of_another_installation() {
    let other = World::new();
    other.start().close();
    let before = other.slot.load().unwrap().images.remove(0);
    for state in [StoreState::New, StoreState::Unfinished] {
        let store = Arc::new(MemStore::new());
        if state == StoreState::Unfinished {
            assert_eq!(crate::prepare(&*store, &SystemEntropy).unwrap(), StoreState::New);
        }
        let world = World { store, slot: other.slot.clone(), ..World::new() };
        for _start in 0..2 {
            let refused = world.start_with(Box::new(world.slot.clone()));
            assert!(matches!(refused, Err(StartError::SlotInUse)), "{state:?}");
        }
        let images = other.slot.load().unwrap().images;
        assert_eq!((images.len(), images[0].generation), (1, before.generation), "{state:?}");
        assert!(images[0].current.root.ct_eq(&before.current.root));
    }
    other.start();
}

#[test]
fn a_store_that_lost_or_changed_a_log_entry_is_refused() {
    let world = prepared();
    let head = world.store.get(&keys::meta("log")).unwrap().unwrap().value;
    let last = u64::from_be_bytes(head[..8].try_into().unwrap()) - 1;
    let entry = world.store.get(&keys::leaf(last)).unwrap().unwrap().value;
    let mut changed = entry.clone();
    let digit = changed.iter().position(u8::is_ascii_digit).unwrap();
    changed[digit] ^= 1;
    world.store.commit(Batch::new().put(keys::leaf(last), changed)).unwrap();
    let refused = world.start_with(Box::new(world.slot.clone()));
    assert!(matches!(refused, Err(StartError::LogRoot)), "{refused:?}");
    world.store.commit(Batch::new().delete(keys::leaf(last))).unwrap();
    let refused = world.start_with(Box::new(world.slot.clone()));
    assert!(matches!(refused, Err(StartError::Damaged(_))), "{refused:?}");
    world.store.commit(Batch::new().put(keys::leaf(last), entry)).unwrap();
    world.start();
}
