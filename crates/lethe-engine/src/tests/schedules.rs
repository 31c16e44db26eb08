//! Destructions that wait: carried out when their time has come and not before, kept by what is
//! raised against them meanwhile, over restarts and clocks that step.

use std::time::Duration;

use lethe_types::{Clock, KeyId, KeyState, StableState, Transition};

use super::rig::{Rig, START_MS, acme, aes};
use super::support::{World, admin, create, encrypt, verified, wait};
use crate::caretaker::Rounds;
use crate::record::{ApprovalRule, DeletionPolicy, Derivation, HoldKind};
use crate::{
    CreateKeyRequest, DestroyRequest, DestroyWhen, Engine, EngineError, HoldRequest, KeyChange,
    StartError,
};

const HOUR: Duration = Duration::from_secs(3_600);
const HOUR_MS: u64 = 3_600_000;

fn later(key: KeyId, cancel_to: Option<StableState>) -> DestroyRequest {
    let when = DestroyWhen::Scheduled { window: Some(HOUR), cancel_to };
    DestroyRequest { when, reason: "off-boarding".to_owned(), ..DestroyRequest::new(key) }
}

fn state(rig: &Rig, key: KeyId) -> KeyState {
    rig.engine.read_key(&acme(&rig.engine), key).unwrap().record().state
}

fn waiting() -> (Rig, KeyId) {
    let mut rig = Rig::new();
    rig.realm();
    let key = rig.named("key");
    assert_eq!(rig.destroy(later(key, None)), "scheduled");
    (rig, key)
}

/// Events about destructions: their refusals.
fn told(rig: &Rig) -> Vec<Option<String>> {
    let events = std::mem::take(&mut *rig.world.audit.events.lock());
    let destroys = events.into_iter().filter(|(operation, ..)| operation == "key.destroy");
    destroys.map(|(_, _, refusal)| refusal).collect()
}

#[test]
fn a_due_key_goes_at_its_time_and_not_before() {
    let (mut rig, key) = waiting();
    let mut rounds = Rounds::default();
    rig.world.clock.set(START_MS + HOUR_MS - 1);
    rig.tend(&mut rounds);
    assert_eq!(state(&rig, key).due().unwrap().0, START_MS + HOUR_MS);
    let refused = encrypt(&rig.engine, &acme(&rig.engine), key).unwrap_err();
    assert_eq!(refused.code(), "wrong_state_for_use");
    told(&rig);
    rig.world.clock.set(START_MS + HOUR_MS);
    rig.tend(&mut rounds);
    assert_eq!(state(&rig, key), KeyState::Destroyed);
    assert_eq!(told(&rig), [None]);
    let receipt = rig.engine.receipt(&acme(&rig.engine), key).unwrap();
    assert!(verified(&rig.engine, &receipt));
    let detail = &receipt.detail;
    assert_eq!((&*detail.reason, detail.requested.0), ("off-boarding", START_MS));
    assert_eq!(detail.unusable_since.0, START_MS + HOUR_MS);
    assert!(detail.scheduled_by.is_some());
    rig.tend(&mut rounds);
    assert!(told(&rig).is_empty());
}

/// What is raised while a key waits keeps it, is told once, and once it is away the key goes.
#[test]
fn what_is_raised_meanwhile_keeps_a_due_key_until_it_is_away() {
    type Step = fn(&mut Rig, KeyId);
    let cases: &[(&str, Step, Step)] = &[
        ("held", hold_without_end, lift_all),
        ("held", hold_past_due, |rig, _| rig.world.clock.set(START_MS + 3 * HOUR_MS)),
        ("protected", |rig, key| protect(rig, key, true), |rig, key| protect(rig, key, false)),
        ("has_dependants", derive, |rig, key| {
            let others = rig.keys();
            let child = others.iter().map(|entry| entry.record().id).find(|id| *id != key);
            assert_eq!(rig.destroy(DestroyRequest::new(child.unwrap())), "destroyed");
        }),
    ];
    for (rule, raise, remove) in cases {
        for restart in [false, true] {
            let (mut rig, key) = waiting();
            raise(&mut rig, key);
            rig.world.clock.set(START_MS + 2 * HOUR_MS);
            let mut rounds = Rounds::default();
            told(&rig);
            for _ in 0..3 {
                rig.tend(&mut rounds);
            }
            assert_eq!(told(&rig), [Some((*rule).to_owned())], "{rule}: told once");
            assert!(state(&rig, key).due().is_some(), "{rule}");
            if restart {
                rig = rig.restarted();
            }
            remove(&mut rig, key);
            rig.tend(&mut rounds);
            assert_eq!(state(&rig, key), KeyState::Destroyed, "{rule}");
            let receipt = rig.engine.receipt(&acme(&rig.engine), key).unwrap();
            assert!(verified(&rig.engine, &receipt), "{rule}");
        }
    }
}

fn hold(rig: &mut Rig, key: KeyId, end_ms: Option<u64>) {
    let expires = end_ms.map(lethe_types::UnixMillis);
    let request = HoldRequest { kind: HoldKind::Legal, reason: "court".to_owned(), expires };
    rig.run(async |engine| engine.place_hold(&acme(engine), key, &request).await).unwrap();
}

fn hold_without_end(rig: &mut Rig, key: KeyId) {
    hold(rig, key, None);
}

fn hold_past_due(rig: &mut Rig, key: KeyId) {
    hold(rig, key, Some(START_MS + 3 * HOUR_MS));
}

fn lift_all(rig: &mut Rig, key: KeyId) {
    let entry = rig.engine.read_key(&acme(&rig.engine), key).unwrap();
    for hold in &entry.record().details().holds {
        rig.run(async |engine| engine.lift_hold(&acme(engine), key, hold.id).await).unwrap();
    }
}

fn protect(rig: &mut Rig, key: KeyId, protected: bool) {
    let change = KeyChange { protected: Some(protected), ..KeyChange::default() };
    rig.run(async |engine| engine.update_key(&acme(engine), key, &change, None).await).unwrap();
}

fn derive(rig: &mut Rig, key: KeyId) {
    let derivation = Derivation { parent: key, path: "m/1".into(), depends: true };
    rig.key(CreateKeyRequest { derivation: Some(derivation), ..aes("child") }).unwrap();
}

/// What waits was counted when it was scheduled; to end the wait is no second destruction.
#[test]
fn a_bound_on_destructions_does_not_count_one_twice() {
    let (mut rig, key) = waiting();
    let policy = DeletionPolicy { destroys_per_hour: Some(1), ..DeletionPolicy::default() };
    rig.realm_policy(&policy);
    let another = rig.named("another");
    let answers = [(another, "rate_limited"), (key, "destroyed"), (another, "rate_limited")];
    for (key, expected) in answers {
        assert_eq!(rig.destroy(DestroyRequest::new(key)), expected);
    }
    rig.world.clock.set(START_MS + HOUR_MS + 1);
    assert_eq!(rig.destroy(DestroyRequest::new(another)), "destroyed", "the control");
}

/// Rules that were satisfied when it was scheduled are not asked again.
#[test]
fn a_policy_that_came_later_does_not_keep_a_due_key() {
    let (mut rig, key) = waiting();
    let rule = ApprovalRule { required: 3, lifetime: HOUR };
    rig.realm_policy(&DeletionPolicy {
        must_be_suspended: true,
        not_used_within: Some(HOUR * 1_000),
        destroys_per_hour: Some(0),
        confirm: true,
        approvals: Some(rule),
        ..DeletionPolicy::default()
    });
    assert_eq!(rig.destroy(DestroyRequest::new(key)), "must_be_suspended", "the control");
    rig.world.clock.set(START_MS + HOUR_MS);
    rig.tend(&mut Rounds::default());
    assert_eq!(state(&rig, key), KeyState::Destroyed);
}

#[test]
fn a_clock_that_steps_destroys_nothing_early_and_breaks_no_receipt() {
    let (mut rig, key) = waiting();
    let mut rounds = Rounds::default();
    for time in [START_MS - 10 * HOUR_MS, 0, START_MS, START_MS + HOUR_MS - 1] {
        rig.world.clock.set(time);
        rig.tend(&mut rounds);
        assert!(state(&rig, key).due().is_some(), "at {time}");
        rig = rig.restarted();
    }
    // Forwards, by years: everything that is due goes.
    rig.world.clock.set(START_MS + 100_000 * HOUR_MS);
    rig.tend(&mut rounds);
    assert_eq!(state(&rig, key), KeyState::Destroyed);
    // And back to before anything was made.
    let other = rig.named("other");
    rig.world.clock.set(START_MS - 100 * HOUR_MS);
    assert_eq!(rig.destroy(DestroyRequest::new(other)), "destroyed");
    let rig = rig.restarted();
    for key in [key, other] {
        let receipt = rig.engine.receipt(&acme(&rig.engine), key).unwrap();
        assert!(verified(&rig.engine, &receipt));
        assert!(receipt.detail.requested <= receipt.detail.unusable_since);
    }
}

#[test]
fn what_is_overdue_at_a_start_is_gone_before_anybody_can_ask() {
    let (world, keys) = overdue(3);
    let engine = world.start();
    assert_eq!(engine.key_counts(), (0, 3), "when `start` returns");
    let caller = admin(&engine, "acme");
    for key in keys {
        assert!(verified(&engine, &engine.receipt(&caller, key).unwrap()));
    }
    engine.close();
}

/// Keys whose time came while nobody served.
fn overdue(number: usize) -> (World, Vec<KeyId>) {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let keys: Vec<KeyId> = (0..number)
        .map(|_| {
            let key = create(&engine, &caller, "aes256-gcm").unwrap().record().id;
            wait(engine.destroy_key(&caller, later(key, None))).unwrap();
            key
        })
        .collect();
    engine.close();
    world.clock.set(START_MS + HOUR_MS);
    (world, keys)
}

#[test]
fn a_start_that_cannot_carry_out_what_is_overdue_serves_nobody() {
    let (world, _) = overdue(1);
    let faulty = std::sync::Arc::new(lethe_store::FaultyStore::new(world.store.clone()));
    faulty.fail_next_commit(lethe_store::CommitFault::Full);
    let broken = World { store: faulty, ..world };
    let refused = broken.start_with(Box::new(broken.slot.clone()));
    assert!(matches!(refused, Err(StartError::Overdue(EngineError::StorageFull))), "{refused:?}");
    let engine = broken.start();
    assert_eq!(engine.key_counts(), (0, 1));
    engine.close();
}

#[test]
fn an_overdue_key_that_is_held_is_told_of_once_and_does_not_keep_the_start() {
    let (world, keys) = overdue(2);
    world.clock.set(START_MS);
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let hold =
        HoldRequest { kind: HoldKind::Operational, reason: "in use".to_owned(), expires: None };
    wait(engine.place_hold(&caller, keys[0], &hold)).unwrap();
    engine.close();
    world.clock.set(START_MS + HOUR_MS);
    world.audit.events.lock().clear();
    let engine = world.start();
    assert_eq!(engine.key_counts(), (1, 1));
    // The caretaker has begun a round of its own by the time it has ended.
    engine.close();
    let events = std::mem::take(&mut *world.audit.events.lock());
    let refusals = events
        .iter()
        .filter(|(_, key, refusal)| *key == Some(keys[0]) && refusal.as_deref() == Some("held"));
    assert_eq!(refusals.count(), 1, "{events:?}");
}

#[test]
fn a_schedule_survives_a_restart_and_a_cancellation_leads_where_it_was_said() {
    let to_suspended = Some(StableState::Suspended);
    let cases: &[(&[Transition], Option<StableState>, StableState)] = &[
        (&[], None, StableState::Active),
        (&[], to_suspended, StableState::Suspended),
        (&[Transition::Suspend], None, StableState::Suspended),
        (&[Transition::Suspend], to_suspended, StableState::Suspended),
        (&[Transition::Deactivate], to_suspended, StableState::Deactivated),
        (&[Transition::Compromise], to_suspended, StableState::Compromised),
    ];
    for (before, cancel_to, after) in cases {
        let mut rig = Rig::new();
        rig.realm();
        let key = rig.named("key");
        for &transition in *before {
            move_by(&mut rig, key, transition).unwrap();
        }
        assert_eq!(rig.destroy(later(key, *cancel_to)), "scheduled");
        let scheduled = state(&rig, key);
        rig = rig.restarted();
        assert_eq!(state(&rig, key), scheduled);
        let cancelled =
            async |engine: &Engine| engine.cancel_destruction(&acme(engine), key, None).await;
        let entry = rig.run(cancelled).unwrap();
        assert_eq!(entry.record().state, KeyState::Stable(*after), "{before:?} {cancel_to:?}");
        assert!(entry.record().details().pending.is_none());
        rig = rig.restarted();
        assert_eq!(state(&rig, key), KeyState::Stable(*after));
        rig.world.clock.set(START_MS + 2 * HOUR_MS);
        rig.tend(&mut Rounds::default());
        assert_eq!(state(&rig, key), KeyState::Stable(*after), "nothing waits any more");
    }
}

fn move_by(rig: &mut Rig, key: KeyId, transition: Transition) -> Result<(), EngineError> {
    let moved =
        async |engine: &Engine| engine.change_state(&acme(engine), key, transition, None).await;
    rig.run(moved).map(drop)
}

#[test]
fn a_waiting_key_can_be_found_compromised_and_nothing_else() {
    let (mut rig, key) = waiting();
    for transition in
        [Transition::Activate, Transition::Suspend, Transition::Resume, Transition::Deactivate]
    {
        let refused = move_by(&mut rig, key, transition).unwrap_err();
        assert_eq!(refused.code(), "wrong_key_lifecycle_state", "{transition:?}");
    }
    let rotated = rig.run(async |engine| engine.rotate_key(&acme(engine), key, None).await);
    assert_eq!(rotated.unwrap_err().code(), "wrong_state_for_use");
    move_by(&mut rig, key, Transition::Compromise).unwrap();
    rig.world.clock.set(rig.world.clock.now().0 + HOUR_MS);
    rig.tend(&mut Rounds::default());
    assert_eq!(state(&rig, key), KeyState::DestroyedCompromised);
}
