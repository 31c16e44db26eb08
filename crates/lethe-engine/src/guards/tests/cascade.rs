//! A key that goes with another one keeps its own holds and its own protection.

use lethe_types::{KeyId, KeyState, StableState, UnixMillis};

use super::support::{NOW, demands_everything, hold, pending, record};
use crate::guards::{Refusal, cascaded};
use crate::record::{HoldKind, KeyRecord};

const OTHER: KeyId = KeyId([0xcd; 16]);
const LATER: UnixMillis = UnixMillis(NOW.0 + 1);

#[track_caller]
fn check(change: impl FnOnce(&mut KeyRecord), expected: &[Refusal]) {
    let mut dependant = record();
    dependant.id = OTHER;
    change(&mut dependant);
    assert_eq!(cascaded([&dependant].into_iter(), NOW), expected);
}

#[test]
fn a_hold_on_a_dependant_stands() {
    let legal = |expires| hold(1, HoldKind::Legal, expires);
    let held = Refusal::Held { key: OTHER, holds: vec![legal(Some(LATER))] };
    let protected = Refusal::Protected { key: OTHER };
    check(|_| {}, &[]);
    check(|key| key.details_mut().holds = vec![legal(Some(NOW))], &[]);
    check(|key| key.details_mut().holds = vec![legal(Some(LATER))], core::slice::from_ref(&held));
    check(|key| key.details_mut().protected = true, core::slice::from_ref(&protected));
    let both = |key: &mut KeyRecord| {
        key.details_mut().holds = vec![legal(Some(LATER))];
        key.details_mut().protected = true;
    };
    check(both, &[held, protected]);
}

#[test]
fn nothing_else_of_a_dependant_does() {
    assert!(demands_everything().must_be_suspended);
    for state in [KeyState::ACTIVE, pending(LATER, StableState::Active), KeyState::Destroyed] {
        check(|key| key.state = state, &[]);
    }
}
