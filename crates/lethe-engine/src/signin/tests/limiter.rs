//! The limiter alone, with a clock that the test moves.

use std::time::Duration;

use lethe_types::limits::{SIGN_IN_KNOWN_LIFETIME, SIGN_IN_KNOWN_OF_LOGIN_ENTRIES_MAX};
use lethe_types::{RealmId, Secret};

use super::support::source;
use crate::signin::limiter::{Attempt, Debts, Limiter, RateLimited};
use crate::signin::{Rate, SignInLimits, Source};

const REALM: RealmId = RealmId([1; 16]);
const HOME: &str = "192.0.2.1";
const AWAY: &str = "198.51.100.7";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn limiter() -> Limiter {
    Limiter::new(SignInLimits::default(), Secret::init_with(|buf| buf.fill(5)))
}

/// An attempt that fails.
fn guess(limiter: &mut Limiter, login: &str, from: Source, at: u64) -> Result<(), RateLimited> {
    limiter.begin(REALM, login, from, seconds(at)).map(drop)
}

fn succeed(limiter: &mut Limiter, login: &str, from: Source, at: u64) -> Attempt {
    let attempt = limiter.begin(REALM, login, from, seconds(at)).unwrap();
    limiter.succeeded(&attempt, seconds(at));
    attempt
}

/// The `number`-th of many places.
fn place(number: u32) -> Source {
    Source::of(core::net::IpAddr::from((0x0a00_0000 + number).to_be_bytes()))
}

#[test]
fn attempts_of_one_login_from_one_source_run_out_and_come_back_one_by_one() {
    let mut limiter = limiter();
    // At, and when the next is allowed if this one is not.
    let mut check = |at: u64, retry_after: Option<u64>| {
        let got = guess(&mut limiter, "ann", source(HOME), at);
        let want =
            retry_after.map_or(Ok(()), |after| Err(RateLimited { retry_after: seconds(after) }));
        assert_eq!(got, want, "at {at}");
    };
    (0..5).for_each(|_| check(0, None));
    check(0, Some(60));
    check(10, Some(50));
    // Refused attempts cost nothing.
    (0..100).for_each(|_| check(59, Some(1)));
    check(60, None);
    check(60, Some(60));
    check(120, None);
    check(179, Some(1));
    check(180, None);
    // After a long rest as many as at first, and no more.
    (0..5).for_each(|_| check(100_000, None));
    check(100_000, Some(60));
}

#[test]
fn guessing_from_one_source_does_not_slow_the_owner_at_another() {
    let mut limiter = limiter();
    // As fast as possible for an hour.
    let admitted = (0..3_600).filter(|&at| guess(&mut limiter, "ann", source(AWAY), at).is_ok());
    assert_eq!(admitted.count(), 5 + 59);
    assert!(guess(&mut limiter, "ann", source(AWAY), 3_599).is_err());
    // The owner, who was never here before, has all attempts that there are.
    for _ in 0..5 {
        assert_eq!(guess(&mut limiter, "ann", source(HOME), 3_599), Ok(()));
    }
}

#[test]
fn a_distributed_attack_does_not_slow_a_source_that_succeeded_before() {
    let mut limiter = limiter();
    succeed(&mut limiter, "ann", source(HOME), 0);
    let mut admitted = 0;
    for at in 0..60 {
        for number in 0..1_000 {
            admitted += u32::from(guess(&mut limiter, "ann", place(number), at).is_ok());
        }
    }
    // 60,000 attempts, of which the account of the login let few in.
    assert_eq!(admitted, 20 + 2);
    for at in 60..65 {
        assert_eq!(guess(&mut limiter, "ann", source(HOME), at), Ok(()));
    }
    // The owner at a place where they never were is slowed: this is what remains.
    let elsewhere = guess(&mut limiter, "ann", source(AWAY), 59);
    assert_eq!(elsewhere, Err(RateLimited { retry_after: seconds(1) }));
    // Other logins notice nothing.
    assert_eq!(guess(&mut limiter, "bob", source(AWAY), 59), Ok(()));
}

#[test]
fn a_known_source_is_bounded_too() {
    let mut limiter = limiter();
    succeed(&mut limiter, "ann", source(HOME), 0);
    for _ in 0..5 {
        assert_eq!(guess(&mut limiter, "ann", source(HOME), 1), Ok(()));
    }
    assert!(guess(&mut limiter, "ann", source(HOME), 1).is_err());
    // A success is not possible while refused; later it clears the account.
    succeed(&mut limiter, "ann", source(HOME), 61);
    for _ in 0..5 {
        assert_eq!(guess(&mut limiter, "ann", source(HOME), 61), Ok(()));
    }
    assert!(guess(&mut limiter, "ann", source(HOME), 61).is_err());
}

#[test]
fn trying_many_logins_from_one_source_is_slow() {
    let mut limiter = limiter();
    succeed(&mut limiter, "ann", source(HOME), 0);
    let sprayed = (0..1_000)
        .filter(|number| guess(&mut limiter, &format!("user{number}"), source(HOME), 0).is_ok());
    assert_eq!(sprayed.count(), 30);
    // Who works there and was known keeps working.
    assert_eq!(guess(&mut limiter, "ann", source(HOME), 0), Ok(()));
    assert_eq!(guess(&mut limiter, "bob", source(AWAY), 0), Ok(()));
}

#[test]
fn successes_and_attempts_taken_back_cost_nothing() {
    let mut limiter = limiter();
    for at in 0..1_000 {
        succeed(&mut limiter, "ann", source(HOME), at);
        let attempt = limiter.begin(REALM, "bob", source(HOME), seconds(at)).unwrap();
        limiter.take_back(&attempt, seconds(at));
    }
    assert_eq!(limiter.sizes(), [0, 0, 0, 1]);
    // A success of one login does not pay for guesses at another.
    for _ in 0..30 {
        succeed(&mut limiter, "ann", source(HOME), 1_000);
        let _ = guess(&mut limiter, "bob", source(HOME), 1_000);
    }
    assert!(guess(&mut limiter, "bob", source(HOME), 1_000).is_err());
}

#[test]
fn realms_and_networks_are_told_apart() {
    let mut limiter = limiter();
    (0..5).for_each(|_| guess(&mut limiter, "ann", source("2001:db8::1"), 0).unwrap());
    // The same customer of a network.
    for same in ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff:ffff:ffff:ffff"] {
        assert!(guess(&mut limiter, "ann", source(same), 0).is_err(), "{same}");
    }
    for other in ["2001:db8:0:1::1", "192.0.2.1", "192.0.2.2", "::1"] {
        assert!(guess(&mut limiter, "ann", source(other), 0).is_ok(), "{other}");
    }
    assert!(limiter.begin(RealmId([2; 16]), "ann", source("2001:db8::1"), seconds(0)).is_ok());
    assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    assert_ne!(source("0.0.0.0"), Source::LOCAL);
    assert_ne!(source("::"), source("0.0.0.0"));
}

#[test]
fn memory_is_bounded_and_large_debts_outlast_small_ones() {
    const ENTRIES_MAX: usize = 1_000;
    let rate = Rate { burst: 5, interval: seconds(100_000) };
    let mut debts = Debts::new(rate, ENTRIES_MAX);
    let victim = [0xff; 16];
    (0..5).for_each(|_| debts.charge(victim, seconds(0)));
    let wait = debts.wait(&victim, seconds(0));
    assert_eq!(wait, rate.interval);
    // More than there is room for, each with a debt: what is forgotten are the small ones.
    let tag = |number: usize| {
        let mut tag = [0; 16];
        tag[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        tag
    };
    for number in 0..ENTRIES_MAX - 1 {
        debts.charge(tag(number), seconds(1));
    }
    assert_eq!(debts.len(), ENTRIES_MAX);
    for number in 0..1_000 {
        debts.charge(tag(ENTRIES_MAX + number), seconds(1));
        assert_eq!(debts.len(), ENTRIES_MAX);
    }
    assert_eq!(debts.wait(&victim, seconds(0)), wait);
    // Four attempts each are not enough either.
    for number in 0..ENTRIES_MAX - 1 {
        (0..3).for_each(|_| debts.charge(tag(number), seconds(1)));
    }
    assert_eq!(debts.wait(&victim, seconds(0)), wait);
}

#[test]
fn what_is_paid_is_forgotten() {
    let mut limiter = limiter();
    for number in 0..1_000 {
        guess(&mut limiter, &format!("user{number}"), place(number), 0).unwrap();
    }
    assert_eq!(limiter.sizes(), [1_000, 1_000, 1_000, 0]);
    guess(&mut limiter, "ann", source(HOME), 61).unwrap();
    assert_eq!(limiter.sizes(), [1, 1, 1, 0]);
}

#[test]
fn a_login_has_few_known_sources_and_they_end() {
    let mut limiter = limiter();
    succeed(&mut limiter, "bob", source(HOME), 0);
    let many = u32::try_from(SIGN_IN_KNOWN_OF_LOGIN_ENTRIES_MAX).unwrap() + 10;
    for number in 0..many {
        succeed(&mut limiter, "ann", place(number), u64::from(number));
    }
    assert_eq!(limiter.sizes()[3], SIGN_IN_KNOWN_OF_LOGIN_ENTRIES_MAX + 1);
    let mut check = |login: &str, from: Source, at: Duration, known: bool| {
        let attempt = limiter.begin(REALM, login, from, at).unwrap();
        assert_eq!(attempt.is_known, known, "{login} {from:?}");
    };
    let lately = seconds(100);
    check("ann", place(0), lately, false);
    check("ann", place(9), lately, false);
    check("ann", place(10), lately, true);
    check("ann", place(many - 1), lately, true);
    check("bob", place(many - 1), lately, false);
    check("bob", source(HOME), lately, true);
    check("bob", source(HOME), SIGN_IN_KNOWN_LIFETIME - seconds(1), true);
    check("bob", source(HOME), SIGN_IN_KNOWN_LIFETIME, false);
}

#[test]
fn nothing_is_slowed_or_kept_when_it_is_off() {
    let limits = SignInLimits { enabled: false, ..SignInLimits::default() };
    let mut limiter = Limiter::new(limits, Secret::init_with(|buf| buf.fill(5)));
    for _ in 0..10_000 {
        assert_eq!(guess(&mut limiter, "ann", source(HOME), 0), Ok(()));
    }
    assert_eq!(limiter.sizes(), [0, 0, 0, 0]);
}

#[test]
fn rates_at_their_edges() {
    let check = |rate: Rate, allowed: usize| {
        let limits = SignInLimits { per_login_and_source: rate, ..SignInLimits::default() };
        let mut limiter = Limiter::new(limits, Secret::init_with(|buf| buf.fill(5)));
        let got = (0..10).filter(|_| guess(&mut limiter, "ann", source(HOME), 0).is_ok()).count();
        assert_eq!(got, allowed, "{rate:?}");
    };
    check(Rate { burst: 1, interval: seconds(1) }, 1);
    check(Rate { burst: 0, interval: seconds(1) }, 1);
    check(Rate { burst: 3, interval: Duration::MAX }, 10);
    check(Rate { burst: 3, interval: Duration::ZERO }, 10);
    check(Rate { burst: u32::MAX, interval: seconds(1) }, 10);
}
