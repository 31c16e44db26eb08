//! Every state against every wish and every kind of window, against a table of its own.

use core::time::Duration;

use lethe_types::{KeyState, StableState, Transition, UnixMillis};

use super::support::{HOUR, NOW, Request, pending, window};
use crate::guards::{Verdict, Wish};

const STABLE: [StableState; 5] = [
    StableState::PreActive,
    StableState::Active,
    StableState::Suspended,
    StableState::Deactivated,
    StableState::Compromised,
];

/// When a destruction that waits is due.
const DUE: [UnixMillis; 3] = [UnixMillis(NOW.0 - 1), NOW, UnixMillis(NOW.0 + 1)];

const WISHES: [Wish; 6] = [
    Wish::AtOnce,
    Wish::Scheduled { window: None },
    Wish::Scheduled { window: Some(Duration::ZERO) },
    Wish::Scheduled { window: Some(HOUR) },
    Wish::Scheduled { window: Some(Duration::from_secs(2 * 3_600)) },
    Wish::Due,
];

fn states() -> Vec<KeyState> {
    let waiting = DUE.iter().flat_map(|due| STABLE.map(|stable| pending(*due, stable)));
    let ended = [KeyState::Destroyed, KeyState::DestroyedCompromised];
    STABLE.map(KeyState::Stable).into_iter().chain(waiting).chain(ended).collect()
}

/// What becomes of the request, in words: `destroy`, `wait` and the hours, or the code.
fn outcome(request: &Request) -> String {
    match request.decide() {
        Ok(Verdict::Destroy { with }) if with.is_empty() => "destroy".to_owned(),
        Ok(Verdict::Destroy { with }) => format!("destroy {with:?}"),
        Ok(Verdict::Schedule { due }) => format!("wait {}", due.since(NOW).as_secs() / 3_600),
        Err(refusal) => refusal.rule().to_owned(),
    }
}

/// For each wish of [`WISHES`]: without a window; with one of two hours that may end early; with
/// one that may not.
type Row = [[&'static str; 3]; 6];

const STABLE_ROW: Row = [
    ["destroy", "wait 2", "wait 2"],
    ["window_missing", "wait 2", "wait 2"],
    ["window_missing", "window_too_short", "window_too_short"],
    ["wait 1", "window_too_short", "window_too_short"],
    ["wait 2", "wait 2", "wait 2"],
    ["not_pending"; 3],
];
const WAITING_ROW: Row = [
    ["destroy", "destroy", "window_running"],
    ["already_pending"; 3],
    ["already_pending"; 3],
    ["already_pending"; 3],
    ["already_pending"; 3],
    ["not_due"; 3],
];
const DUE_ROW: Row = [
    ["destroy"; 3],
    ["already_pending"; 3],
    ["already_pending"; 3],
    ["already_pending"; 3],
    ["already_pending"; 3],
    ["destroy"; 3],
];
const ENDED_ROW: Row = [["object_destroyed"; 3]; 6];

fn row(state: KeyState) -> &'static Row {
    match state {
        KeyState::Stable(_) => &STABLE_ROW,
        KeyState::PendingDestruction { due, .. } if due <= NOW => &DUE_ROW,
        KeyState::PendingDestruction { .. } => &WAITING_ROW,
        KeyState::Destroyed | KeyState::DestroyedCompromised => &ENDED_ROW,
    }
}

#[test]
fn every_state_meets_every_wish() {
    let windows = [None, window(2 * HOUR, true), window(2 * HOUR, false)];
    let mut cases = 0;
    for state in states() {
        for (wish, expected) in WISHES.into_iter().zip(row(state)) {
            for (window, expected) in windows.into_iter().zip(expected) {
                let request = Request::new(wish).with(|request| {
                    request.record.state = state;
                    request.policy.window = window;
                });
                assert_eq!(outcome(&request), *expected, "{state:?} {wish:?} {window:?}");
                assert_eq!(request.decide().is_ok(), request.all().is_empty());
                agrees_with_the_table_of_states(&request);
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 22 * 6 * 3);
}

/// What the guards allow, the one table of states allows.
#[track_caller]
fn agrees_with_the_table_of_states(request: &Request) {
    let transition = match request.decide() {
        Ok(Verdict::Destroy { .. }) => Transition::Destroy,
        Ok(Verdict::Schedule { due }) => Transition::ScheduleDestruction { due },
        Err(_) => return,
    };
    assert!(request.record.state.after(transition).is_ok(), "{request:?}");
}
