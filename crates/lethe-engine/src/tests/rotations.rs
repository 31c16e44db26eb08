//! Automatic rotation: at its time and not before, for active keys alone, over restarts and clocks
//! that step. And the limits of a key's uses.

use std::time::Duration;

use lethe_crypto::registry::{Algorithm, Use, Uses};
use lethe_types::limits::{KEY_VERSIONS_MAX, ROTATION_PERIOD_MAX, ROTATION_PERIOD_MIN};
use lethe_types::{KeyId, Transition};

use super::rig::{Rig, START_MS, acme, aes, said};
use super::support::encrypt;
use crate::caretaker::Rounds;
use crate::record::Rotation;
use crate::{CreateKeyRequest, DestroyRequest, DestroyWhen, EngineError, KeyChange};

const DAY: Duration = Duration::from_secs(86_400);
const DAY_MS: u64 = 86_400_000;

fn daily() -> (Rig, KeyId) {
    let mut rig = Rig::new();
    rig.realm();
    let request = CreateKeyRequest { rotation_period: Some(DAY), ..aes("key") };
    let key = rig.key(request).unwrap();
    (rig, key)
}

fn versions(rig: &Rig, key: KeyId) -> usize {
    rig.engine.read_key(&acme(&rig.engine), key).unwrap().record().versions.len()
}

fn next(rig: &Rig, key: KeyId) -> Option<u64> {
    let entry = rig.engine.read_key(&acme(&rig.engine), key).unwrap();
    entry.record().life().rotation.map(|rotation| rotation.next.0)
}

fn at(rig: &mut Rig, rounds: &mut Rounds, time: u64) {
    rig.world.clock.set(time);
    while rig.tend(rounds) {}
}

fn change(rig: &mut Rig, key: KeyId, change: KeyChange) -> String {
    rig.run(async |engine| said(engine.update_key(&acme(engine), key, &change, None).await))
}

fn period(period: Option<Duration>) -> KeyChange {
    KeyChange { rotation_period: Some(period), ..KeyChange::default() }
}

fn moved(rig: &mut Rig, key: KeyId, transition: Transition) {
    rig.run(async |engine| {
        engine.change_state(&acme(engine), key, transition, None).await.unwrap();
    });
}

#[test]
fn a_key_gets_its_next_version_at_its_time_and_not_before() {
    let (mut rig, key) = daily();
    let mut rounds = Rounds::default();
    at(&mut rig, &mut rounds, START_MS + DAY_MS - 1);
    assert_eq!(versions(&rig, key), 1);
    at(&mut rig, &mut rounds, START_MS + DAY_MS);
    assert_eq!((versions(&rig, key), next(&rig, key)), (2, Some(START_MS + 2 * DAY_MS)));
    at(&mut rig, &mut rounds, START_MS + DAY_MS);
    assert_eq!(versions(&rig, key), 2, "once");
    let events = rig.world.audit.events.lock().clone();
    let told: Vec<_> = events.iter().filter(|(operation, ..)| operation == "key.rotate").collect();
    assert_eq!(told, [&("key.rotate".to_owned(), Some(key), None)]);
    // By hand in between: the rhythm stays.
    rig.run(async |engine| engine.rotate_key(&acme(engine), key, None).await).unwrap();
    assert_eq!(next(&rig, key), Some(START_MS + 2 * DAY_MS));
    at(&mut rig, &mut rounds, START_MS + 2 * DAY_MS + 5);
    assert_eq!((versions(&rig, key), next(&rig, key)), (4, Some(START_MS + 3 * DAY_MS)));
    let text = encrypt(&rig.engine, &acme(&rig.engine), key).unwrap();
    assert_eq!(text[4], 4);
}

#[test]
fn a_restart_forgets_no_rotation_and_makes_up_for_one_only() {
    let (rig, key) = daily();
    let mut rig = rig.restarted();
    let mut rounds = Rounds::default();
    at(&mut rig, &mut rounds, START_MS + 10 * DAY_MS + 7);
    assert_eq!((versions(&rig, key), next(&rig, key)), (2, Some(START_MS + 11 * DAY_MS)));
    let mut rig = rig.restarted();
    at(&mut rig, &mut Rounds::default(), START_MS + 10 * DAY_MS + 8);
    assert_eq!(versions(&rig, key), 2);
}

#[test]
fn only_active_keys_are_rotated_and_late_ones_when_they_are_active_again() {
    for (stop, go) in
        [(Transition::Suspend, Some(Transition::Resume)), (Transition::Deactivate, None)]
    {
        let (mut rig, key) = daily();
        moved(&mut rig, key, stop);
        let mut rounds = Rounds::default();
        at(&mut rig, &mut rounds, START_MS + 3 * DAY_MS);
        assert_eq!(versions(&rig, key), 1, "{stop:?}");
        if let Some(go) = go {
            moved(&mut rig, key, go);
            at(&mut rig, &mut rounds, START_MS + 3 * DAY_MS);
            assert_eq!(versions(&rig, key), 2);
        }
    }
    let (mut rig, key) = daily();
    let when = DestroyWhen::Scheduled { window: Some(10 * DAY), cancel_to: None };
    assert_eq!(rig.destroy(DestroyRequest { when, ..DestroyRequest::new(key) }), "scheduled");
    at(&mut rig, &mut Rounds::default(), START_MS + 3 * DAY_MS);
    assert_eq!(versions(&rig, key), 1);
    at(&mut rig, &mut Rounds::default(), START_MS + 10 * DAY_MS);
    assert_eq!(versions(&rig, key), 0, "destroyed, and never rotated again");
    at(&mut rig, &mut Rounds::default(), START_MS + 20 * DAY_MS);
    assert!(rig.engine.shared.catalogue.rotations().is_empty());
}

#[test]
fn a_clock_that_was_ahead_and_is_set_right_does_not_put_rotations_off() {
    for restart in [false, true] {
        let (mut rig, key) = daily();
        let mut rounds = Rounds::default();
        at(&mut rig, &mut rounds, START_MS + 1);
        // Ten years ahead for a moment.
        at(&mut rig, &mut rounds, START_MS + 3_650 * DAY_MS);
        assert_eq!((versions(&rig, key), next(&rig, key)), (2, Some(START_MS + 3_651 * DAY_MS)));
        if restart {
            rig.world.clock.set(START_MS + DAY_MS);
            rig = rig.restarted();
            rounds = Rounds::default();
        }
        at(&mut rig, &mut rounds, START_MS + DAY_MS);
        assert_eq!((versions(&rig, key), next(&rig, key)), (2, Some(START_MS + 2 * DAY_MS)));
        at(&mut rig, &mut rounds, START_MS + 2 * DAY_MS);
        assert_eq!(versions(&rig, key), 3);
        // A small step back does nothing: nothing is further away than it should be.
        let log = rig.engine.log_checkpoint();
        at(&mut rig, &mut rounds, START_MS + 2 * DAY_MS - 1);
        assert_eq!(next(&rig, key), Some(START_MS + 3 * DAY_MS - 1));
        assert_ne!(rig.engine.log_checkpoint(), log);
        at(&mut rig, &mut rounds, START_MS + 2 * DAY_MS);
        assert_eq!(versions(&rig, key), 3);
    }
}

#[test]
fn the_rhythm_goes_on_whatever_the_clock_says() {
    let rotation = |next: u64| Rotation {
        period: DAY,
        next: lethe_types::UnixMillis(next),
        while_suspended: false,
    };
    for (next, now, then) in [
        (1_000, 1_000, 1_000 + DAY_MS),
        (1_000, DAY_MS, 1_000 + DAY_MS),
        (1_000, 1_000 + DAY_MS, 1_000 + 2 * DAY_MS),
        (1_000, 500 * DAY_MS, 1_000 + 500 * DAY_MS),
        // Carried out before its time, which nobody does: not further away than a period.
        (9 * DAY_MS, 5, 5 + DAY_MS),
        (u64::MAX, u64::MAX, u64::MAX),
    ] {
        let carried = rotation(next).carried_out(lethe_types::UnixMillis(now));
        assert_eq!(carried.next.0, then, "{next} at {now}");
    }
}

#[test]
fn a_rotation_is_set_changed_and_ended_within_its_bounds() {
    let mut rig = Rig::new();
    rig.realm();
    let key = rig.named("key");
    assert_eq!(next(&rig, key), None);
    for (wanted, expected) in [
        (ROTATION_PERIOD_MIN - Duration::from_millis(1), "invalid_field"),
        (ROTATION_PERIOD_MAX + Duration::from_millis(1), "invalid_field"),
        (Duration::ZERO, "invalid_field"),
        (ROTATION_PERIOD_MAX, "ok"),
        (ROTATION_PERIOD_MIN, "ok"),
    ] {
        assert_eq!(change(&mut rig, key, period(Some(wanted))), expected, "{wanted:?}");
        let made = rig.key(CreateKeyRequest { rotation_period: Some(wanted), ..aes("new") });
        assert_eq!(said(made), expected, "{wanted:?}");
    }
    rig.world.clock.set(START_MS + 1_000_000);
    assert_eq!(change(&mut rig, key, period(Some(ROTATION_PERIOD_MIN))), "ok");
    assert_eq!(next(&rig, key), Some(START_MS + 3_600_000), "the same period changes nothing");
    assert_eq!(change(&mut rig, key, period(Some(DAY))), "ok");
    assert_eq!(next(&rig, key), Some(START_MS + 1_000_000 + DAY_MS));
    assert_eq!(change(&mut rig, key, period(None)), "ok");
    assert_eq!(next(&rig, key), None);
    at(&mut rig, &mut Rounds::default(), START_MS + 40 * DAY_MS);
    assert_eq!(versions(&rig, key), 1);
}

#[test]
fn a_key_without_room_is_told_once_and_holds_up_no_other() {
    let (mut rig, full) = daily();
    rig.serve(|engine| {
        for _ in 1..KEY_VERSIONS_MAX {
            let caller = acme(engine);
            crate::block_on::block_on(engine.rotate_key(&caller, full, None)).unwrap();
        }
    });
    let other = rig.key(CreateKeyRequest { rotation_period: Some(DAY), ..aes("other") }).unwrap();
    let mut rounds = Rounds::default();
    rig.world.audit.events.lock().clear();
    for _ in 0..3 {
        at(&mut rig, &mut rounds, START_MS + DAY_MS);
    }
    assert_eq!((versions(&rig, full), versions(&rig, other)), (KEY_VERSIONS_MAX, 2));
    let events = rig.world.audit.events.lock().clone();
    let refused: Vec<_> = events.iter().filter(|(.., refusal)| refusal.is_some()).collect();
    assert_eq!(refused.len(), 1, "{events:?}");
}

#[test]
fn a_key_is_used_for_what_it_is_limited_to_and_nothing_else() {
    let mut rig = Rig::new();
    rig.realm();
    let only = |uses: &[Use]| Some(Uses::of(uses));
    for uses in [only(&[]), only(&[Use::Sign]), only(&[Use::Encrypt, Use::Sign])] {
        let made = rig.key(CreateKeyRequest { uses, ..aes("key") });
        assert_eq!(said(made), "invalid_field", "{uses:?}");
    }
    let both = only(&[Use::Encrypt, Use::Decrypt]);
    let key = rig.key(CreateKeyRequest { uses: both, ..aes("key") }).unwrap();
    let caller = acme(&rig.engine);
    let text = encrypt(&rig.engine, &caller, key).unwrap();
    let narrow = |uses| KeyChange { uses, ..KeyChange::default() };
    assert_eq!(change(&mut rig, key, narrow(only(&[Use::Decrypt]))), "ok");
    rig = rig.restarted();
    let caller = acme(&rig.engine);
    let refused = encrypt(&rig.engine, &caller, key).unwrap_err();
    assert_eq!(refused, EngineError::UseNotAllowed { operation: "encrypt" });
    assert!(rig.engine.decrypt(&caller, key, &text, b"").is_ok());
    // Another algorithm's use is another refusal.
    let refused = rig.engine.sign(&caller, key, None, b"m").unwrap_err();
    assert_eq!(refused.code(), "incompatible_use");
    for uses in [both, only(&[Use::Encrypt]), only(&[]), only(&[Use::Decrypt, Use::Sign])] {
        assert_eq!(change(&mut rig, key, narrow(uses)), "invalid_field", "{uses:?}");
    }
    assert_eq!(change(&mut rig, key, narrow(only(&[Use::Decrypt]))), "ok", "the same");
}

#[test]
fn every_use_of_every_algorithm_can_be_taken_away() {
    let mut rig = Rig::new();
    rig.realm();
    for algorithm in Algorithm::all().filter(|one| !one.is_slow_to_generate()) {
        let all: Vec<Use> = algorithm.uses().iter().collect();
        for without in &all {
            let left: Vec<Use> = all.iter().copied().filter(|one| one != without).collect();
            let request = CreateKeyRequest::new("key".parse().unwrap(), algorithm);
            let uses = Some(Uses::of(&left));
            let made = rig.key(CreateKeyRequest { uses, ..request });
            if left.is_empty() {
                assert_eq!(said(made), "invalid_field", "{algorithm}");
                continue;
            }
            let entry = rig.engine.shared.catalogue.key(made.unwrap()).unwrap();
            for one in &all {
                let refused = crate::versions::has_use(entry.record(), *one, "x").is_err();
                assert_eq!(refused, one == without, "{algorithm} {one:?}");
            }
        }
    }
}

#[test]
fn a_rotation_goes_on_while_the_key_is_suspended_if_it_was_told_to() {
    let mut rig = Rig::new();
    rig.realm();
    let request =
        CreateKeyRequest { rotation_period: Some(DAY), rotates_suspended: true, ..aes("key") };
    let key = rig.key(request).unwrap();
    moved(&mut rig, key, Transition::Suspend);
    let mut rounds = Rounds::default();
    at(&mut rig, &mut rounds, START_MS + DAY_MS);
    assert_eq!(versions(&rig, key), 2);
    let mut rig = rig.restarted();
    let mut rounds = Rounds::default();
    at(&mut rig, &mut rounds, START_MS + 2 * DAY_MS);
    assert_eq!(versions(&rig, key), 3);
    // Another period changes nothing of that, until it is told otherwise.
    assert_eq!(change(&mut rig, key, period(Some(2 * DAY))), "ok");
    at(&mut rig, &mut rounds, START_MS + 4 * DAY_MS);
    assert_eq!(versions(&rig, key), 4);
    let no = KeyChange { rotates_suspended: Some(false), ..KeyChange::default() };
    assert_eq!(change(&mut rig, key, no), "ok");
    at(&mut rig, &mut rounds, START_MS + 6 * DAY_MS);
    assert_eq!(versions(&rig, key), 4);
    moved(&mut rig, key, Transition::Resume);
    at(&mut rig, &mut rounds, START_MS + 6 * DAY_MS);
    assert_eq!(versions(&rig, key), 5);
    // No key that ends, whatever it was told.
    let yes = KeyChange { rotates_suspended: Some(true), ..KeyChange::default() };
    assert_eq!(change(&mut rig, key, yes), "ok");
    moved(&mut rig, key, Transition::Deactivate);
    at(&mut rig, &mut rounds, START_MS + 8 * DAY_MS);
    assert_eq!(versions(&rig, key), 5);
}

#[test]
fn the_next_rotation_is_set_within_a_period() {
    let (mut rig, key) = daily();
    let at_time = |next| KeyChange {
        rotation_next: Some(lethe_types::UnixMillis(next)),
        ..KeyChange::default()
    };
    assert_eq!(change(&mut rig, key, at_time(START_MS + 5)), "ok");
    assert_eq!(next(&rig, key), Some(START_MS + 5));
    assert_eq!(change(&mut rig, key, at_time(START_MS + DAY_MS)), "ok");
    let refused = change(&mut rig, key, at_time(START_MS + DAY_MS + 1));
    assert_ne!(refused, "ok");
    assert_eq!(next(&rig, key), Some(START_MS + DAY_MS));
    // Together with another period it is that one that bounds it.
    let both = KeyChange { rotation_period: Some(Some(3 * DAY)), ..at_time(START_MS + 3 * DAY_MS) };
    assert_eq!(change(&mut rig, key, both), "ok");
    assert_eq!(next(&rig, key), Some(START_MS + 3 * DAY_MS));
    // One that has passed is now.
    assert_eq!(change(&mut rig, key, at_time(0)), "ok");
    assert_eq!(next(&rig, key), Some(START_MS));
    at(&mut rig, &mut Rounds::default(), START_MS);
    assert_eq!((versions(&rig, key), next(&rig, key)), (2, Some(START_MS + 3 * DAY_MS)));
    let off = KeyChange { rotation_period: Some(None), ..KeyChange::default() };
    assert_eq!(change(&mut rig, key, off), "ok");
    assert_ne!(change(&mut rig, key, at_time(START_MS + 5)), "ok");
}
