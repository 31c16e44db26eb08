//! The order of the rules, and that `decide` and `all` never differ.

use core::time::Duration;

use lethe_types::{ApprovalId, KeyId, KeyState, Permission, StableState};
use proptest::prelude::*;

use super::policy::policies;
use super::support::{HOUR, KEY, NAME, NOW, Request, breaks_everything, hold, pending};
use crate::EngineError;
use crate::guards::{Approvals, Unusable, Wish};
use crate::record::HoldKind;

const LATER: lethe_types::UnixMillis = lethe_types::UnixMillis(NOW.0 + 1);

/// `all` gives exactly these rules in this order, and `decide` the first of them.
#[track_caller]
fn check(request: &Request, rules: &[&str]) {
    let found = request.all();
    let codes: Vec<&str> = found.iter().map(super::super::Refusal::rule).collect();
    assert_eq!(codes, rules, "{request:?}");
    let first = request.decide().unwrap_err();
    assert_eq!(Some(&first), found.first());
    assert_eq!(EngineError::from(first).code(), rules[0]);
}

/// What refuses a first request, after its state and its window.
const AFTER_THE_WINDOW: [&str; 6] = [
    "must_be_suspended",
    "recently_used",
    "rate_limited",
    "not_confirmed",
    "approvals_missing",
    "has_dependants",
];

#[test]
fn a_key_that_breaks_every_rule_is_refused_in_their_order() {
    let mut rules = vec!["held", "protected"];
    rules.extend(AFTER_THE_WINDOW);
    check(&breaks_everything(Wish::AtOnce), &rules);
    rules.insert(2, "window_too_short");
    let again = breaks_everything(Wish::Scheduled { window: Some(HOUR) });
    check(&again, &rules);
    rules.insert(0, "already_pending");
    check(&again.with(|r| r.record.state = pending(LATER, StableState::Active)), &rules);
}

#[test]
fn what_was_decided_when_it_was_scheduled_counts_no_more() {
    let early = breaks_everything(Wish::AtOnce)
        .with(|r| r.record.state = pending(LATER, StableState::Active));
    let rules = [
        "held",
        "protected",
        "window_running",
        "must_be_suspended",
        "recently_used",
        "not_confirmed",
        "has_dependants",
    ];
    check(&early, &rules);
    let due = breaks_everything(Wish::Due);
    check(&due, &["not_pending", "held", "protected", "has_dependants"]);
    let due = due.with(|r| r.record.state = pending(LATER, StableState::Active));
    check(&due, &["not_due", "held", "protected", "has_dependants"]);
    let due = due.with(|r| r.record.state = pending(NOW, StableState::Active));
    check(&due, &["held", "protected", "has_dependants"]);
    // Lethe itself needs no permission to carry out what somebody was allowed to schedule.
    check(
        &due.with(|r| r.lacking = Some(Permission::KeysDestroy)),
        &["held", "protected", "has_dependants"],
    );
}

#[test]
fn who_may_not_learns_nothing_else_and_a_tombstone_says_nothing_else() {
    let request = breaks_everything(Wish::AtOnce);
    let destroyed = request.clone().with(|r| r.record.state = KeyState::Destroyed);
    check(&destroyed, &["object_destroyed"]);
    let lacking = |r: &mut Request| r.lacking = Some(Permission::KeysDestroySchedule);
    check(&request.with(lacking), &["permission_denied"]);
    check(&destroyed.with(lacking), &["permission_denied"]);
}

#[test]
fn satisfying_one_rule_after_the_other_ends_in_a_verdict() {
    type Satisfy = fn(&mut Request);
    let steps: [(&str, Satisfy); 10] = [
        ("permission_denied", |r| r.lacking = None),
        ("held", |r| r.record.details_mut().holds.clear()),
        ("protected", |r| r.record.details_mut().protected = false),
        ("window_too_short", |r| r.wish = Wish::Scheduled { window: Some(72 * HOUR) }),
        ("must_be_suspended", |r| r.record.state = KeyState::Stable(StableState::Suspended)),
        ("recently_used", |r| r.now = NOW.saturating_add(24 * HOUR)),
        ("rate_limited", |r| r.destroys_last_hour = 4),
        ("not_confirmed", |r| r.confirm = Some(NAME.to_owned())),
        ("approvals_missing", |r| {
            r.approvals = Approvals::Given { request: ApprovalId([6; 16]), valid: 2 };
        }),
        ("has_dependants", |r| r.dependants.clear()),
    ];
    let mut request = breaks_everything(Wish::Scheduled { window: Some(HOUR) });
    request.lacking = Some(Permission::KeysDestroySchedule);
    for (rule, satisfy) in steps {
        assert_eq!(request.decide().unwrap_err().rule(), rule);
        satisfy(&mut request);
    }
    assert!(request.decide().is_ok());
}

pub(super) fn requests() -> impl Strategy<Value = Request> {
    let moment = prop_oneof![Just(NOW), Just(LATER), Just(lethe_types::UnixMillis(NOW.0 - 1))];
    let stable = prop::sample::select(vec![
        StableState::PreActive,
        StableState::Active,
        StableState::Suspended,
        StableState::Deactivated,
        StableState::Compromised,
    ]);
    let state = prop_oneof![
        6 => stable.clone().prop_map(KeyState::Stable),
        4 => (moment.clone(), stable).prop_map(|(due, to)| pending(due, to)),
        1 => Just(KeyState::Destroyed),
        1 => Just(KeyState::DestroyedCompromised),
    ];
    let wish = prop_oneof![
        3 => Just(Wish::AtOnce),
        3 => waits().prop_map(|window| Wish::Scheduled { window }),
        2 => Just(Wish::Due),
    ];
    let lacking = prop_oneof![9 => Just(None), 1 => Just(Some(Permission::KeysDestroy))];
    let ends = prop_oneof![moment.clone().prop_map(Some), Just(None)];
    let holds = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(ends, 1..4)];
    let request = ApprovalId([6; 16]);
    let approvals = prop_oneof![
        Just(Approvals::NotAsked),
        (0_u8..4).prop_map(move |valid| Approvals::Given { request, valid }),
        prop::sample::select(Unusable::ALL)
            .prop_map(move |why| Approvals::Unusable { request, why }),
    ];
    let confirm = prop::sample::select(vec![
        None,
        Some(NAME.to_owned()),
        Some(KEY.to_string()),
        Some("no".to_owned()),
    ]);
    let derived = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec((0_u8..30).prop_map(|n| KeyId([n; 16])), 1..20),
    ];
    let key = (state, holds, prop::bool::weighted(0.2));
    let asked = (wish, confirm, lacking);
    let known = (prop::option::of(moment), 0_u32..4, approvals, derived);
    (policies(), key, asked, known).prop_map(
        |(policy, (state, ends, protected), (wish, confirm, lacking), known)| {
            Request::new(wish).with(|r| {
                r.policy = policy;
                r.record.state = state;
                let holds = (1..).zip(ends).map(|(n, end)| hold(n, HoldKind::Legal, end));
                r.record.details_mut().holds = holds.collect();
                r.record.details_mut().protected = protected;
                (r.confirm, r.lacking) = (confirm, lacking);
                (r.last_used, r.destroys_last_hour, r.approvals, r.dependants) = known;
            })
        },
    )
}

fn waits() -> impl Strategy<Value = Option<Duration>> {
    use lethe_types::limits::WINDOW_MAX;
    let named = vec![Duration::ZERO, HOUR, 2 * HOUR, WINDOW_MAX, WINDOW_MAX + HOUR];
    prop::option::weighted(0.8, prop::sample::select(named))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_024,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn a_verdict_is_given_exactly_when_nothing_stands_in_the_way(request in requests()) {
        let found = request.all();
        match request.decide() {
            Ok(_) => prop_assert!(found.is_empty(), "{:?}", found),
            Err(first) => prop_assert_eq!(Some(&first), found.first()),
        }
        let mut rules: Vec<&str> = found.iter().map(crate::Refusal::rule).collect();
        let count = rules.len();
        rules.sort_unstable();
        rules.dedup();
        prop_assert_eq!(rules.len(), count, "each rule at most once");
    }

    /// No policy and no way of asking sets these two off.
    #[test]
    fn no_verdict_ever_passes_over_a_hold(mut request in requests(), n in 0_u8..9) {
        request.record.details_mut().holds.push(hold(n, HoldKind::Legal, Some(LATER)));
        prop_assert!(request.decide().is_err());
        request.record.details_mut().holds.clear();
        request.record.details_mut().protected = true;
        prop_assert!(request.decide().is_err());
    }
}

#[test]
fn the_strategy_reaches_verdicts_and_every_rule() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut verdicts, mut seen) = (0, std::collections::BTreeSet::new());
    for _ in 0..1_024 {
        let request = requests().new_tree(&mut runner).unwrap().current();
        verdicts += usize::from(request.decide().is_ok());
        seen.extend(request.all().iter().map(crate::Refusal::rule));
    }
    assert!(verdicts > 20, "{verdicts}");
    assert_eq!(seen.len(), 18, "{seen:?}");
}
