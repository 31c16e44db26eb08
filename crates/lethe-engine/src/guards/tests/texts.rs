//! Codes, messages and remedies: stable, distinct, and the same in the page for operators.

use core::time::Duration;
use std::collections::BTreeSet;

use lethe_types::limits::WINDOW_MAX;
use lethe_types::{ApprovalId, KeyId, KeyState, Permission, StableState, UnixMillis};

use super::support::{HOUR, KEY, NOW, hold, pending};
use crate::EngineError;
use crate::guards::{Refusal, Unusable};
use crate::record::HoldKind;

const LATER: UnixMillis = UnixMillis(NOW.0 + 3_600_000);
const REQUEST: ApprovalId = ApprovalId([6; 16]);

/// Refusal, code, message, remedy.
type Texts = (Refusal, &'static str, &'static str, &'static str);

fn texts_of_the_key() -> Vec<Texts> {
    let legal = |n, expires| hold(n, HoldKind::Legal, expires);
    vec![
        (
            Refusal::Permission(Permission::KeysDestroy),
            "permission_denied",
            "permission `keys.destroy` is lacking",
            "have `keys.destroy` granted on the realm, the vault or the key (`principals.manage`)",
        ),
        (
            Refusal::Destroyed { key: KEY },
            "object_destroyed",
            "key abababababababababababababababab is destroyed",
            "none is needed: the key is gone for good, and its receipt proves it",
        ),
        (
            Refusal::AlreadyPending { due: NOW },
            "already_pending",
            "the key waits already: it is destroyed at 2027-01-15T08:00:00.000Z",
            "wait until 2027-01-15T08:00:00.000Z, or cancel the destruction \
             (`keys.destroy.cancel`) and schedule it anew; to end the wait, ask for the \
             destruction at once (`keys.destroy`)",
        ),
        (
            Refusal::NotPending { state: KeyState::ACTIVE },
            "not_pending",
            "the key is active: it does not wait for its destruction",
            "schedule the destruction first (`keys.destroy.schedule`)",
        ),
        (
            Refusal::NotDue { due: NOW },
            "not_due",
            "the destruction is not due before 2027-01-15T08:00:00.000Z",
            "wait until 2027-01-15T08:00:00.000Z",
        ),
        (
            Refusal::Held { key: KEY, holds: vec![legal(1, Some(NOW)), legal(2, Some(LATER))] },
            "held",
            "key abababababababababababababababab is held: legal hold \
             01010101010101010101010101010101, legal hold 02020202020202020202020202020202",
            "lift every hold (`holds.manage`), or wait until 2027-01-15T09:00:00.000Z",
        ),
        (
            Refusal::Held { key: KEY, holds: vec![legal(1, Some(NOW)), legal(2, None)] },
            "held",
            "key abababababababababababababababab is held: legal hold \
             01010101010101010101010101010101, legal hold 02020202020202020202020202020202",
            "lift every hold (`holds.manage`)",
        ),
        (
            Refusal::Protected { key: KEY },
            "protected",
            "key abababababababababababababababab is protected against destruction",
            "lower the key's protection (`keys.update`)",
        ),
    ]
}

fn texts_of_windows() -> Vec<Texts> {
    let minimum = 72 * HOUR;
    vec![
        (
            Refusal::WindowRunning { due: NOW },
            "window_running",
            "the wait until 2027-01-15T08:00:00.000Z may not end early",
            "wait until 2027-01-15T08:00:00.000Z, when the key is destroyed, or cancel the \
             destruction (`keys.destroy.cancel`)",
        ),
        (
            Refusal::WindowTooShort { minimum },
            "window_too_short",
            "a destruction here waits at least 3 d",
            "name a waiting time of at least 3 d, or none",
        ),
        (
            Refusal::WindowTooShort { minimum: Duration::from_millis(90_001) },
            "window_too_short",
            "a destruction here waits at least 90001 ms",
            "name a waiting time of at least 90001 ms, or none",
        ),
        (
            Refusal::WindowTooLong { maximum: WINDOW_MAX },
            "window_too_long",
            "a destruction waits at most 3650 d",
            "name a waiting time of at most 3650 d",
        ),
        (
            Refusal::WindowMissing,
            "window_missing",
            "a scheduled destruction needs a waiting time",
            "name a waiting time, or ask for the destruction at once (`keys.destroy`)",
        ),
    ]
}

fn texts_of_use_and_people() -> Vec<Texts> {
    let waiting = pending(LATER, StableState::Active);
    let many = vec![KeyId([1; 16]), KeyId([2; 16])];
    vec![
        (
            Refusal::MustBeSuspended { state: KeyState::ACTIVE },
            "must_be_suspended",
            "the key is active: only a key that is not in use may go",
            "suspend or deactivate the key (`keys.state`)",
        ),
        (
            Refusal::MustBeSuspended { state: waiting },
            "must_be_suspended",
            "the key was in use when its destruction was scheduled",
            "cancel the destruction (`keys.destroy.cancel`), suspend or deactivate the key \
             (`keys.state`), and ask again",
        ),
        (
            Refusal::RecentlyUsed { last: NOW, until: LATER },
            "recently_used",
            "the key was used at 2027-01-15T08:00:00.000Z: it may not go before \
             2027-01-15T09:00:00.000Z",
            "ask again from 2027-01-15T09:00:00.000Z on, if the key is not used until then",
        ),
        (
            Refusal::RateLimited { limit: 5 },
            "rate_limited",
            "at most 5 destructions in an hour are allowed to one principal",
            "ask again when you destroyed or scheduled fewer than 5 keys in the hour before",
        ),
        (
            Refusal::RateLimited { limit: 0 },
            "rate_limited",
            "at most 0 destructions in an hour are allowed to one principal",
            "the policy lets nobody destroy keys; change it (`vaults.admin`)",
        ),
        (
            Refusal::NotConfirmed { key: KEY },
            "not_confirmed",
            "the destruction of key abababababababababababababababab is not confirmed by its id \
             or exact name",
            "repeat the key's id, `abababababababababababababababab`, or its exact name as \
             confirmation",
        ),
        (
            Refusal::ApprovalsMissing { request: None, required: 2, valid: 0 },
            "approvals_missing",
            "0 of 2 others agreed to the destruction",
            "make a request for approval of this destruction, have 2 others agree to it \
             (`keys.destroy.approve`), and name it",
        ),
        (
            Refusal::ApprovalsMissing { request: Some(REQUEST), required: 3, valid: 1 },
            "approvals_missing",
            "1 of 3 others agreed to the destruction",
            "have 2 more agree to the request for approval 06060606060606060606060606060606 \
             (`keys.destroy.approve`)",
        ),
        (
            Refusal::ApprovalUnusable { request: REQUEST, why: Unusable::OtherRequester },
            "approval_unusable",
            "request for approval 06060606060606060606060606060606 is somebody else's",
            "make a request for approval of your own for this key, have others agree to it \
             (`keys.destroy.approve`), and name that one",
        ),
        (
            Refusal::HasDependants { keys: many, total: 7 },
            "has_dependants",
            "live keys are derived from the key, 7 in all: 01010101010101010101010101010101, \
             02020202020202020202020202020202 and 5 more",
            "destroy the keys that are derived from it first, or have the policies of realm and \
             vault say what becomes of them (`vaults.admin`)",
        ),
    ]
}

fn texts() -> Vec<Texts> {
    [texts_of_the_key(), texts_of_windows(), texts_of_use_and_people()].concat()
}

#[test]
fn codes_messages_and_remedies_are_as_written_here() {
    for (refusal, code, message, remedy) in texts() {
        assert_eq!(refusal.rule(), code);
        assert_eq!(refusal.to_string(), message);
        assert_eq!(refusal.remedy(), remedy);
        let has_an_error_of_its_own =
            matches!(refusal, Refusal::Destroyed { .. } | Refusal::Permission(_));
        let error = EngineError::from(refusal);
        assert_eq!(error.code(), code);
        assert!(has_an_error_of_its_own || error.to_string() == message, "{error}");
    }
}

#[test]
fn the_reasons_for_an_unusable_approval_are_distinct() {
    let texts: BTreeSet<&str> = Unusable::ALL.iter().map(|why| why.as_str()).collect();
    assert_eq!(texts.len(), Unusable::ALL.len());
    let message = |&why| Refusal::ApprovalUnusable { request: REQUEST, why }.to_string();
    let messages: BTreeSet<String> = Unusable::ALL.iter().map(message).collect();
    assert_eq!(messages.len(), Unusable::ALL.len());
}

#[test]
fn the_page_for_operators_has_each_code_once_and_in_order() {
    let page = include_str!("../../../../../docs/guards.md");
    let table: Vec<&str> = page
        .lines()
        .filter_map(|line| line.split('|').nth(3)?.trim().strip_prefix('`')?.strip_suffix('`'))
        .collect();
    let mut codes: Vec<&str> = texts().into_iter().map(|(_, code, ..)| code).collect();
    codes.dedup();
    assert_eq!(table, codes);
}
