//! How fast passphrases may be guessed. Pure: time is an argument, of a clock that never steps.
//!
//! An attempt is charged when it begins (so that parallel guesses count), to up to three accounts:
//!
//! | account | charged | so that |
//! | --- | --- | --- |
//! | login and source | always | guessing at one login from one place is slow |
//! | source | unless the login succeeded from there before | trying many logins is slow |
//! | login | unless it succeeded from that source before | many places together are slow |
//!
//! A success takes its charges back and clears the account of login and source; it also makes the
//! source *known* for that login. From then on only the first account counts for that pair: nobody
//! who guesses from elsewhere, from however many places, can keep the owner out there. Nor can a
//! guesser at one place keep the owner out at a new one: alone, they use a third of what the
//! account of the login allows. What remains possible: while somebody guesses at a login from
//! *many* places (a /48 of IPv6 is 65,536 of them), its owner is slowed at a place where they never
//! signed in before; and people behind one address share its accounts.
//!
//! An account is a debt that is paid off with time: a virtual schedule (the generic cell rate
//! algorithm, ITU-T I.371). It is one number, the moment at which all is paid; once that is past,
//! the entry means nothing and can go without loss.
//!
//! **Memory** is bounded for each kind of account. If it is full of unpaid debts, the *smallest*
//! goes, never the oldest: to be rid of a large debt, a guesser has to run up as large a one on
//! every one of 65,536 other accounts, in the minutes until their own is paid anyway. Refused
//! attempts charge nothing and are not remembered, and an attempt that finds no computation free
//! is taken back; so debts grow only as fast as passphrases are hashed (tens in a second), and the
//! bound is not reached. Known sources come from successes alone, and each login has few of them.
//!
//! Names are kept as keyed hashes: entries have one size, and memory holds no list of logins.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lethe_crypto::hash::hmac_sha256;
use lethe_types::limits::{
    SIGN_IN_DEBT_ENTRIES_MAX, SIGN_IN_KNOWN_ENTRIES_MAX, SIGN_IN_KNOWN_LIFETIME,
    SIGN_IN_KNOWN_OF_LOGIN_ENTRIES_MAX,
};
use lethe_types::{RealmId, Secret};

use super::{Rate, SignInLimits, Source};

/// A keyed hash of what an account is about. 128 bits of a keyed hash do not collide by chance,
/// and who lacks the key cannot make them.
pub(super) type Tag = [u8; TAG_BYTES];
const TAG_BYTES: usize = 16;

/// One attempt, and what it was charged to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    pair: Tag,
    login: Tag,
    pub(super) source: Tag,
    /// Whether the login succeeded from this source before.
    pub(super) is_known: bool,
}

/// Too many attempts: how long until the next may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateLimited {
    pub(super) retry_after: Duration,
}

/// The accounts of all logins and sources.
#[derive(Debug)]
pub(super) struct Limiter {
    limits: SignInLimits,
    key: Secret<32>,
    pairs: Debts,
    sources: Debts,
    logins: Debts,
    known: Known,
}

impl Limiter {
    /// `key` hashes the names; nobody outside may know it.
    pub(super) fn new(limits: SignInLimits, key: Secret<32>) -> Self {
        Self {
            limits,
            key,
            pairs: Debts::new(limits.per_login_and_source, SIGN_IN_DEBT_ENTRIES_MAX),
            sources: Debts::new(limits.per_source, SIGN_IN_DEBT_ENTRIES_MAX),
            logins: Debts::new(limits.per_login, SIGN_IN_DEBT_ENTRIES_MAX),
            known: Known::default(),
        }
    }

    /// Charges an attempt at `now`.
    ///
    /// # Errors
    /// [`RateLimited`]; nothing was charged.
    pub(super) fn begin(
        &mut self,
        realm: RealmId,
        login: &str,
        source: Source,
        now: Duration,
    ) -> Result<Attempt, RateLimited> {
        let pair = self.tag(b"pair", &[&realm.0, source.as_bytes(), login.as_bytes()]);
        let attempt = Attempt {
            pair,
            login: self.tag(b"login", &[&realm.0, login.as_bytes()]),
            source: self.tag(b"source", &[source.as_bytes()]),
            is_known: self.known.contains(&pair, now),
        };
        if self.limits.enabled {
            let accounts = self.accounts(&attempt);
            let wait = accounts.into_iter().flatten().map(|(debts, tag)| debts.wait(&tag, now));
            let retry_after = wait.max().unwrap_or_default();
            if !retry_after.is_zero() {
                return Err(RateLimited { retry_after });
            }
            for (debts, tag) in self.accounts(&attempt).into_iter().flatten() {
                debts.charge(tag, now);
            }
        }
        Ok(attempt)
    }

    /// The attempt was not made after all: its charges are taken back.
    pub(super) fn take_back(&mut self, attempt: &Attempt, now: Duration) {
        for (debts, tag) in self.accounts(attempt).into_iter().flatten() {
            debts.refund(tag, now);
        }
    }

    /// The attempt succeeded.
    pub(super) fn succeeded(&mut self, attempt: &Attempt, now: Duration) {
        self.take_back(attempt, now);
        self.pairs.clear(&attempt.pair);
        self.known.insert(attempt.login, attempt.pair, now);
    }

    /// What an attempt is charged to.
    fn accounts(&mut self, attempt: &Attempt) -> [Option<(&mut Debts, Tag)>; 3] {
        let Self { pairs, sources, logins, .. } = self;
        let pair = Some((pairs, attempt.pair));
        if attempt.is_known {
            [pair, None, None]
        } else {
            [pair, Some((sources, attempt.source)), Some((logins, attempt.login))]
        }
    }

    /// At most one of `parts` has a length of its own, and comes last, so that no two lists of one
    /// kind read the same.
    fn tag(&self, kind: &[u8], parts: &[&[u8]]) -> Tag {
        let whole = [&[kind, b"\0"], parts].concat();
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&hmac_sha256(self.key.expose(), &whole)[..TAG_BYTES]);
        tag
    }
}

#[cfg(test)]
impl Limiter {
    /// Entries of the accounts of pairs, sources and logins, and known sources.
    pub(super) fn sizes(&self) -> [usize; 4] {
        let debts = [&self.pairs, &self.sources, &self.logins].map(|debts| debts.len());
        [debts[0], debts[1], debts[2], self.known.by_pair.len()]
    }
}

/// Debts of one kind.
#[derive(Debug)]
pub(super) struct Debts {
    rate: Rate,
    entries_max: usize,
    /// When all is paid.
    paid: BTreeMap<Tag, Duration>,
    /// The same, soonest first.
    by_end: BTreeSet<(Duration, Tag)>,
}

impl Debts {
    pub(super) fn new(rate: Rate, entries_max: usize) -> Self {
        Self { rate, entries_max, paid: BTreeMap::new(), by_end: BTreeSet::new() }
    }

    /// How long until one more attempt is allowed; zero if it is now.
    pub(super) fn wait(&self, tag: &Tag, now: Duration) -> Duration {
        // A debt of the whole burst but one attempt leaves room for that one.
        let allowed = self.rate.interval.saturating_mul(self.rate.burst.max(1) - 1);
        let debt = self.paid.get(tag).map_or(Duration::ZERO, |paid| paid.saturating_sub(now));
        debt.saturating_sub(allowed)
    }

    pub(super) fn charge(&mut self, tag: Tag, now: Duration) {
        let from = self.paid.get(&tag).map_or(now, |&paid| paid.max(now));
        self.set(tag, from.saturating_add(self.rate.interval));
        while let Some(&(end, tag)) = self.by_end.first() {
            // What is paid goes without loss; beyond the bound the smallest debt goes.
            if end > now && self.paid.len() <= self.entries_max {
                break;
            }
            self.clear(&tag);
        }
    }

    fn refund(&mut self, tag: Tag, now: Duration) {
        let Some(&paid) = self.paid.get(&tag) else { return };
        let less = paid.saturating_sub(self.rate.interval);
        if less > now { self.set(tag, less) } else { self.clear(&tag) }
    }

    fn set(&mut self, tag: Tag, end: Duration) {
        self.clear(&tag);
        self.paid.insert(tag, end);
        self.by_end.insert((end, tag));
    }

    fn clear(&mut self, tag: &Tag) {
        if let Some(end) = self.paid.remove(tag) {
            self.by_end.remove(&(end, *tag));
        }
    }
}

#[cfg(test)]
impl Debts {
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.paid.len(), self.by_end.len());
        self.paid.len()
    }
}

/// The sources from which logins succeeded.
#[derive(Debug, Default)]
struct Known {
    /// Each pair's login, and its place in the two orders.
    by_pair: BTreeMap<Tag, (Tag, Age)>,
    of_login: BTreeMap<Tag, BTreeSet<(Age, Tag)>>,
    by_age: BTreeSet<(Age, Tag)>,
    successes: u64,
}

/// When the last success was, and its number among all: one order, without ties.
type Age = (Duration, u64);

impl Known {
    fn contains(&self, pair: &Tag, now: Duration) -> bool {
        let known = self.by_pair.get(pair);
        known.is_some_and(|(_, (since, _))| now.saturating_sub(*since) < SIGN_IN_KNOWN_LIFETIME)
    }

    fn insert(&mut self, login: Tag, pair: Tag, now: Duration) {
        self.remove(&pair);
        self.successes += 1;
        let age = (now, self.successes);
        self.by_pair.insert(pair, (login, age));
        self.by_age.insert((age, pair));
        let of_login = self.of_login.entry(login).or_default();
        of_login.insert((age, pair));
        let is_over = of_login.len() > SIGN_IN_KNOWN_OF_LOGIN_ENTRIES_MAX;
        let oldest_of_login = of_login.first().copied().filter(|_| is_over);
        let is_full = self.by_pair.len() > SIGN_IN_KNOWN_ENTRIES_MAX;
        let oldest = self.by_age.first().copied().filter(|_| is_full);
        if let Some((_, pair)) = oldest_of_login.or(oldest) {
            self.remove(&pair);
        }
    }

    fn remove(&mut self, pair: &Tag) {
        let Some((login, age)) = self.by_pair.remove(pair) else { return };
        self.by_age.remove(&(age, *pair));
        if let Some(of_login) = self.of_login.get_mut(&login) {
            of_login.remove(&(age, *pair));
            if of_login.is_empty() {
                self.of_login.remove(&login);
            }
        }
    }
}
