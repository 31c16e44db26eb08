//! Realm and vault: what both demand together is never weaker than what either does.

use core::time::Duration;

use lethe_types::StableState;
use proptest::prelude::*;

use super::order::requests;
use super::support::{HOUR, NOW, Request, pending, window};
use crate::guards::{Refusal, Verdict, Wish};
use crate::record::{ApprovalRule, DeletionPolicy, Dependants, Window};

pub(super) fn policies() -> impl Strategy<Value = DeletionPolicy> {
    let hours = || prop::sample::select(vec![Duration::ZERO, HOUR, 2 * HOUR, 3 * HOUR]);
    let window = (hours(), any::<bool>())
        .prop_map(|(minimum, may_end_early)| Window { minimum, may_end_early });
    let approvals =
        (0_u8..4, hours()).prop_map(|(required, lifetime)| ApprovalRule { required, lifetime });
    let dependants = prop::sample::select(vec![
        None,
        Some(Dependants::Orphan),
        Some(Dependants::Cascade),
        Some(Dependants::Refuse),
    ]);
    let sometimes = || prop::bool::weighted(0.3);
    let first = (prop::option::of(window), sometimes(), prop::option::weighted(0.3, hours()));
    let second = (prop::option::weighted(0.3, 0_u32..4), sometimes());
    let third = (prop::option::weighted(0.3, approvals), dependants, any::<bool>());
    (first, second, third).prop_map(|(first, second, third)| DeletionPolicy {
        window: first.0,
        must_be_suspended: first.1,
        not_used_within: first.2,
        destroys_per_hour: second.0,
        confirm: second.1,
        approvals: third.0,
        dependants: third.1,
        refuse_reimport: third.2,
    })
}

/// Whether every rule of `strict` is at least as strict as that of `other`.
fn is_at_least(strict: &DeletionPolicy, other: &DeletionPolicy) -> bool {
    fn rule<T>(strict: Option<T>, other: Option<T>, holds: impl Fn(T, T) -> bool) -> bool {
        other.is_none_or(|other| strict.is_some_and(|strict| holds(strict, other)))
    }
    rule(strict.window, other.window, |strict, other| {
        strict.minimum >= other.minimum && (other.may_end_early || !strict.may_end_early)
    }) && (strict.must_be_suspended || !other.must_be_suspended)
        && rule(strict.not_used_within, other.not_used_within, |strict, other| strict >= other)
        && rule(strict.destroys_per_hour, other.destroys_per_hour, |strict, other| strict <= other)
        && (strict.confirm || !other.confirm)
        && rule(strict.approvals, other.approvals, |strict, other| {
            strict.required >= other.required && strict.lifetime <= other.lifetime
        })
        && strict.dependants >= other.dependants
        && (strict.refuse_reimport || !other.refuse_reimport)
}

/// Whether `strict` lets nothing happen earlier, or to more keys without saying so.
fn is_no_sooner(strict: &Verdict, other: &Verdict) -> bool {
    match (strict, other) {
        (Verdict::Schedule { due: strict }, Verdict::Schedule { due: other }) => strict >= other,
        (Verdict::Schedule { .. }, Verdict::Destroy { .. }) => true,
        (Verdict::Destroy { with: strict }, Verdict::Destroy { with: other }) => {
            other.iter().all(|key| strict.contains(key))
        }
        (Verdict::Destroy { .. }, Verdict::Schedule { .. }) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_024,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn policies_meet(one in policies(), other in policies(), third in policies()) {
        let both = one.and(&other);
        prop_assert_eq!(&one.and(&one), &one);
        prop_assert_eq!(&other.and(&one), &both);
        prop_assert_eq!(both.and(&third), one.and(&other.and(&third)));
        prop_assert_eq!(&both.and(&one), &both);
        prop_assert!(is_at_least(&both, &one) && is_at_least(&both, &other));
    }

    #[test]
    fn what_either_refuses_both_refuse(request in requests(), other in policies()) {
        let both = request.under(&request.policy.and(&other));
        let together: Vec<&str> = both.all().iter().map(Refusal::rule).collect();
        for alone in [request.clone(), request.under(&other)] {
            for refusal in alone.all() {
                // A request that is incomplete, and a choice that was left open: the other policy
                // completes them.
                let is_completed = refusal == Refusal::WindowMissing
                    || (alone.policy.dependants.is_none() && refusal.rule() == "has_dependants");
                prop_assert!(
                    together.contains(&refusal.rule()) || is_completed,
                    "{:?} of {:?} not in {:?}", refusal, alone, together
                );
            }
            if let (Ok(strict), Ok(loose)) = (both.decide(), alone.decide()) {
                prop_assert!(is_no_sooner(&strict, &loose), "{:?} {:?}", strict, loose);
            }
        }
    }
}

#[test]
fn the_comparison_can_fail() {
    let strict = super::support::demands_everything();
    let none = DeletionPolicy { dependants: Some(Dependants::Orphan), ..DeletionPolicy::default() };
    assert!(is_at_least(&strict, &none) && !is_at_least(&none, &strict));
    let weakenings: [fn(&mut DeletionPolicy); 11] = [
        |policy| policy.window = None,
        |policy| policy.window = window(71 * HOUR, false),
        |policy| policy.window = window(72 * HOUR, true),
        |policy| policy.must_be_suspended = false,
        |policy| policy.not_used_within = Some(23 * HOUR),
        |policy| policy.destroys_per_hour = Some(6),
        |policy| policy.confirm = false,
        |policy| policy.approvals = Some(ApprovalRule { required: 1, lifetime: HOUR }),
        |policy| policy.approvals = Some(ApprovalRule { required: 2, lifetime: 2 * HOUR }),
        |policy| policy.dependants = Some(Dependants::Cascade),
        |policy| policy.refuse_reimport = false,
    ];
    for (number, weaken) in weakenings.into_iter().enumerate() {
        let mut weaker = strict.clone();
        weaken(&mut weaker);
        assert!(!is_at_least(&weaker, &strict), "{number}");
        assert_eq!(weaker.and(&strict), strict, "{number}");
    }
}

#[test]
fn a_vault_cannot_take_back_what_its_realm_demands() {
    let realm = DeletionPolicy { window: window(72 * HOUR, false), ..DeletionPolicy::default() };
    let vault = DeletionPolicy { window: window(HOUR, true), ..DeletionPolicy::default() };
    let due = NOW.saturating_add(HOUR);
    let early = Request::new(Wish::AtOnce)
        .with(|request| request.record.state = pending(due, StableState::Active));
    assert!(early.under(&vault).decide().is_ok());
    for both in [realm.and(&vault), vault.and(&realm)] {
        assert_eq!(early.under(&both).decide(), Err(Refusal::WindowRunning { due }));
        let now = Request::new(Wish::AtOnce).under(&both).decide().unwrap();
        assert_eq!(now, Verdict::Schedule { due: NOW.saturating_add(72 * HOUR) });
    }
}
