//! For every rule what it refuses, and what passes exactly at its edge.

use core::time::Duration;

use lethe_types::limits::WINDOW_MAX;
use lethe_types::{ApprovalId, KeyId, KeyState, Permission, StableState, UnixMillis};

use super::support::{
    HOUR, KEY, MILLISECOND, NAME, NOW, Request, before, check, destroy, hold, pending, schedule,
    window,
};
use crate::guards::{Approvals, Refusal, Unusable, Verdict, Wish};
use crate::record::{ApprovalRule, Dependants, HoldKind};

const REQUEST: ApprovalId = ApprovalId([6; 16]);
const LATER: UnixMillis = UnixMillis(NOW.0 + 1);

fn at_once(change: impl FnOnce(&mut Request)) -> Request {
    Request::new(Wish::AtOnce).with(change)
}

fn scheduled(window: Option<Duration>, change: impl FnOnce(&mut Request)) -> Request {
    Request::new(Wish::Scheduled { window }).with(change)
}

#[test]
fn without_rules_a_key_goes_at_once() {
    check(&at_once(|_| {}), destroy());
}

#[test]
fn who_may_not_is_refused_whatever_else_holds() {
    let refused = Err(Refusal::Permission(Permission::KeysDestroy));
    check(&at_once(|r| r.lacking = Some(Permission::KeysDestroy)), refused.clone());
    let destroyed = at_once(|r| {
        r.lacking = Some(Permission::KeysDestroy);
        r.record.state = KeyState::Destroyed;
    });
    check(&destroyed, refused);
}

#[test]
fn a_destroyed_key_is_not_destroyed_again() {
    for state in [KeyState::Destroyed, KeyState::DestroyedCompromised] {
        for wish in [Wish::AtOnce, Wish::Scheduled { window: Some(HOUR) }, Wish::Due] {
            let request = Request::new(wish).with(|r| {
                r.record.state = state;
                r.record.details_mut().protected = true;
            });
            check(&request, Err(Refusal::Destroyed { key: KEY }));
        }
    }
}

#[test]
fn what_waits_is_not_scheduled_again_and_goes_when_due() {
    let waits =
        |wish, due| Request::new(wish).with(|r| r.record.state = pending(due, StableState::Active));
    let again = Wish::Scheduled { window: Some(HOUR) };
    check(&waits(again, LATER), Err(Refusal::AlreadyPending { due: LATER }));
    check(&waits(again, NOW), Err(Refusal::AlreadyPending { due: NOW }));
    check(&waits(Wish::Due, LATER), Err(Refusal::NotDue { due: LATER }));
    check(&waits(Wish::Due, NOW), destroy());
    let state = KeyState::ACTIVE;
    check(&Request::new(Wish::Due), Err(Refusal::NotPending { state }));
}

#[test]
fn every_hold_that_stands_is_listed_and_no_other() {
    let held = |ends: &[Option<UnixMillis>]| {
        at_once(|r| {
            let holds = (1..).zip(ends).map(|(n, end)| hold(n, HoldKind::Operational, *end));
            r.record.details_mut().holds = holds.collect();
        })
    };
    let refused = |holds| Err(Refusal::Held { key: KEY, holds });
    let operational = |n, end| hold(n, HoldKind::Operational, end);
    check(&held(&[None]), refused(vec![operational(1, None)]));
    check(&held(&[Some(LATER)]), refused(vec![operational(1, Some(LATER))]));
    check(&held(&[Some(NOW)]), destroy());
    let two = vec![operational(2, Some(LATER)), operational(3, None)];
    check(&held(&[Some(NOW), Some(LATER), None]), refused(two));
}

#[test]
fn a_protected_key_stays() {
    check(
        &at_once(|r| r.record.details_mut().protected = true),
        Err(Refusal::Protected { key: KEY }),
    );
    check(&at_once(|r| r.record.details_mut().protected = false), destroy());
}

#[test]
fn a_policy_with_a_window_turns_at_once_into_a_schedule() {
    for may_end_early in [false, true] {
        check(&at_once(|r| r.policy.window = window(HOUR, may_end_early)), schedule(HOUR));
        // Two steps without a wait between them: still two steps.
        let zero = Duration::ZERO;
        check(&at_once(|r| r.policy.window = window(zero, may_end_early)), schedule(zero));
    }
}

#[test]
fn a_wait_ends_early_only_where_the_policy_lets_it() {
    let early = |due, policy| {
        at_once(|r| {
            r.record.state = pending(due, StableState::Suspended);
            r.policy.window = policy;
        })
    };
    check(&early(LATER, window(HOUR, false)), Err(Refusal::WindowRunning { due: LATER }));
    check(&early(NOW, window(HOUR, false)), destroy());
    check(&early(LATER, window(HOUR, true)), destroy());
    check(&early(LATER, None), destroy());
}

#[test]
fn a_named_wait_is_within_the_bounds() {
    let minimum = 72 * HOUR;
    let with_rule = |wait| scheduled(wait, |r| r.policy.window = window(minimum, true));
    let too_long = Err(Refusal::WindowTooLong { maximum: WINDOW_MAX });
    check(&with_rule(None), schedule(minimum));
    check(&with_rule(Some(minimum)), schedule(minimum));
    check(&with_rule(Some(minimum - MILLISECOND)), Err(Refusal::WindowTooShort { minimum }));
    check(&with_rule(Some(Duration::ZERO)), Err(Refusal::WindowTooShort { minimum }));
    check(&with_rule(Some(WINDOW_MAX)), schedule(WINDOW_MAX));
    check(&with_rule(Some(WINDOW_MAX + MILLISECOND)), too_long.clone());
    let without = |wait| scheduled(wait, |_| {});
    check(&without(None), Err(Refusal::WindowMissing));
    check(&without(Some(Duration::ZERO)), Err(Refusal::WindowMissing));
    check(&without(Some(MILLISECOND)), schedule(MILLISECOND));
    check(&without(Some(WINDOW_MAX)), schedule(WINDOW_MAX));
    check(&without(Some(WINDOW_MAX + MILLISECOND)), too_long.clone());
    check(&without(Some(Duration::MAX)), too_long);
}

#[test]
fn a_key_in_use_stays_where_only_stopped_ones_go() {
    use StableState::{Active, Compromised, Deactivated, PreActive, Suspended};
    let stopped = |state| {
        at_once(|r| {
            r.policy.must_be_suspended = true;
            r.record.state = state;
        })
    };
    for state in [KeyState::ACTIVE, pending(LATER, Active)] {
        check(&stopped(state), Err(Refusal::MustBeSuspended { state }));
    }
    for stable in [PreActive, Suspended, Deactivated, Compromised] {
        check(&stopped(KeyState::Stable(stable)), destroy());
        check(&stopped(pending(LATER, stable)), destroy());
    }
}

#[test]
fn a_key_that_was_used_too_recently_stays() {
    let used = |last, within| {
        at_once(|r| {
            r.last_used = last;
            r.policy.not_used_within = Some(within);
        })
    };
    check(&used(None, HOUR), destroy());
    check(&used(Some(before(NOW, HOUR)), HOUR), destroy());
    check(&used(Some(NOW), Duration::ZERO), destroy());
    let last = before(NOW, HOUR - MILLISECOND);
    check(&used(Some(last), HOUR), Err(Refusal::RecentlyUsed { last, until: LATER }));
    let until = LATER.saturating_add(HOUR);
    check(&used(Some(LATER), HOUR), Err(Refusal::RecentlyUsed { last: LATER, until }));
    check(&at_once(|r| r.last_used = Some(NOW)), destroy());
}

#[test]
fn one_principal_destroys_only_so_many_in_an_hour() {
    let done = |count, limit| {
        at_once(|r| {
            r.destroys_last_hour = count;
            r.policy.destroys_per_hour = limit;
        })
    };
    check(&done(4, Some(5)), destroy());
    check(&done(5, Some(5)), Err(Refusal::RateLimited { limit: 5 }));
    check(&done(u32::MAX, Some(5)), Err(Refusal::RateLimited { limit: 5 }));
    check(&done(0, Some(0)), Err(Refusal::RateLimited { limit: 0 }));
    check(&done(u32::MAX, None), destroy());
}

#[test]
fn a_confirmation_is_the_exact_id_or_name() {
    let id = KEY.to_string();
    let said = |text: Option<&str>| {
        at_once(|r| {
            r.policy.confirm = true;
            r.confirm = text.map(str::to_owned);
        })
    };
    check(&said(Some(&id)), destroy());
    check(&said(Some(NAME)), destroy());
    let upper = id.to_uppercase();
    let wrong = [
        None,
        Some(""),
        Some("payroll 2026"),
        Some("Payroll 2026 "),
        Some("Payroll 202"),
        Some("yes"),
        Some(upper.as_str()),
        Some(&id[..31]),
    ];
    for text in wrong {
        check(&said(text), Err(Refusal::NotConfirmed { key: KEY }));
    }
    check(&at_once(|r| r.confirm = Some("nonsense".to_owned())), destroy());
}

#[test]
fn as_many_others_agree_as_the_policy_asks_for() {
    let agreed = |required, approvals| {
        at_once(|r| {
            r.policy.approvals = Some(ApprovalRule { required, lifetime: HOUR });
            r.approvals = approvals;
        })
    };
    let given = |valid| Approvals::Given { request: REQUEST, valid };
    let missing =
        |request, required, valid| Err(Refusal::ApprovalsMissing { request, required, valid });
    check(&agreed(2, given(2)), destroy());
    check(&agreed(2, given(3)), destroy());
    check(&agreed(2, given(1)), missing(Some(REQUEST), 2, 1));
    check(&agreed(2, given(0)), missing(Some(REQUEST), 2, 0));
    check(&agreed(2, Approvals::NotAsked), missing(None, 2, 0));
    check(&agreed(0, Approvals::NotAsked), destroy());
    for &why in Unusable::ALL {
        let named = Approvals::Unusable { request: REQUEST, why };
        let refused = Err(Refusal::ApprovalUnusable { request: REQUEST, why });
        check(&agreed(1, named), refused);
        check(&agreed(0, named), destroy());
        check(&at_once(|r| r.approvals = named), destroy());
    }
}

#[test]
fn keys_derived_from_it_stand_in_the_way_or_go_along_or_stay() {
    let derived = |numbers: &[u8], choice| {
        at_once(|r| {
            r.dependants = numbers.iter().map(|n| KeyId([*n; 16])).collect();
            r.policy.dependants = Some(choice);
        })
    };
    let ids = |numbers: &[u8]| numbers.iter().map(|n| KeyId([*n; 16])).collect::<Vec<_>>();
    let refused = |listed: &[u8], total| Err(Refusal::HasDependants { keys: ids(listed), total });
    check(&derived(&[], Dependants::Refuse), destroy());
    check(&derived(&[3, 1, 2], Dependants::Refuse), refused(&[1, 2, 3], 3));
    let many: Vec<u8> = (1..=17).rev().collect();
    let first: Vec<u8> = (1..=16).collect();
    check(&derived(&many, Dependants::Refuse), refused(&first, 17));
    check(&derived(&many[1..], Dependants::Refuse), refused(&first, 16));
    let together = Ok(Verdict::Destroy { with: ids(&[1, 2, 3]) });
    check(&derived(&[3, 1, 2, 1], Dependants::Cascade), together);
    check(&derived(&[], Dependants::Cascade), destroy());
    check(&derived(&[3, 1, 2], Dependants::Orphan), destroy());
}
