//! Everything that stands before a destruction: one pure function over a policy and the facts.
//!
//! [`decide`] says what is to be done, or the first thing that stands in the way; [`all`] lists
//! everything that does. Both walk [`RULES`], in whose order the refusals come, so that they cannot
//! differ. No clock, no store, no catalogue: who calls gathers the facts, and carries the verdict
//! out against the revision of the record that the facts are from.
//!
//! Operators read of it in `docs/guards.md`.

mod refusal;

use core::time::Duration;

use lethe_types::limits::WINDOW_MAX;
use lethe_types::{ApprovalId, KeyId, KeyState, Permission, StableState, UnixMillis};

use crate::record::{DeletionPolicy, Dependants, Hold, KeyRecord};

pub use refusal::{Refusal, Unusable};

/// How a destruction is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Now. A policy with a window turns it into a schedule; of a key that waits already, it ends
    /// the wait.
    AtOnce,
    /// After a waiting time: the policy's minimum if none is named.
    Scheduled {
        /// How long.
        window: Option<Duration>,
    },
    /// Lethe itself carries out what was scheduled before, and decided then.
    Due,
}

/// A request for a destruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// How.
    pub(crate) wish: Wish,
    /// What was repeated to confirm it: the key's id in hexadecimal digits, or its name.
    pub(crate) confirm: Option<&'a str>,
}

/// What is known about the key, the requester and the moment.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    /// The key.
    pub(crate) record: &'a KeyRecord,
    /// The permission that the requester would need for this wish and does not have.
    pub(crate) lacking: Option<Permission>,
    /// When the key was last used, if ever.
    pub(crate) last_used: Option<UnixMillis>,
    /// Keys that the requester destroyed or scheduled for destruction in the last hour.
    pub(crate) destroys_last_hour: u32,
    /// What others have agreed to.
    pub(crate) approvals: Approvals,
    /// The live keys that are derived from it, in any order.
    pub(crate) dependants: &'a [KeyId],
    /// The moment.
    pub(crate) now: UnixMillis,
}

/// What others have agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approvals {
    /// The request names no request for approval.
    NotAsked,
    /// It names one that can be used.
    Given {
        /// Which.
        request: ApprovalId,
        /// So many agreed to it, the requester not among them, with signatures that are valid.
        valid: u8,
    },
    /// It names one that is worth nothing.
    Unusable {
        /// Which.
        request: ApprovalId,
        /// Why.
        why: Unusable,
    },
}

/// What is to be done, now that nothing stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    /// Destroy the key now.
    Destroy {
        /// Keys that go in the same instant, ascending, with what depends on them. Ask [`cascaded`]
        /// about all of these first.
        with: Vec<KeyId>,
    },
    /// Refuse every use from now on, and destroy the key later.
    Schedule {
        /// When.
        due: UnixMillis,
    },
}

/// Whether, and when, the key may be destroyed.
///
/// `policy` is what realm and vault demand together: [`DeletionPolicy::and`].
///
/// # Errors
/// The first [`Refusal`] in the order of [`RULES`]: exactly if [`all`] lists any, and its first.
pub(crate) fn decide(
    policy: &DeletionPolicy,
    facts: &Facts<'_>,
    asked: &Asked<'_>,
) -> Result<Verdict, Refusal> {
    let case = Case::new(policy, facts, asked);
    match case.refusals().next() {
        Some(refusal) => Err(refusal),
        None => Ok(case.verdict()),
    }
}

/// Everything that stands in the way, in the order of [`RULES`]; at most one refusal of each rule.
///
/// Who may not destroy the key learns that and nothing else, and of a key that is gone there is
/// nothing else to say.
pub(crate) fn all(policy: &DeletionPolicy, facts: &Facts<'_>, asked: &Asked<'_>) -> Vec<Refusal> {
    let mut found = Vec::new();
    for refusal in Case::new(policy, facts, asked).refusals() {
        let is_whole_answer = matches!(refusal, Refusal::Permission(_) | Refusal::Destroyed { .. });
        found.push(refusal);
        if is_whole_answer {
            break;
        }
    }
    found
}

/// What stands before keys that are to go with another one, in the same instant: holds and
/// protections of their own, in the order of [`RULES`]. A policy can let keys go together; it
/// cannot lift a hold.
pub(crate) fn cascaded<'a>(
    records: impl Iterator<Item = &'a KeyRecord> + Clone,
    now: UnixMillis,
) -> Vec<Refusal> {
    let held = records.clone().filter_map(|record| held_at(record, now));
    held.chain(records.filter_map(protected_of)).collect()
}

/// One rule: what it refuses, and on which courses it counts.
struct Rule {
    refuses: fn(&Case<'_>) -> Option<Refusal>,
    counts_on: &'static [Course],
}

/// The order of the rules. The one table.
const RULES: &[Rule] = &[
    Rule { refuses: permission, counts_on: WHENEVER_ASKED },
    Rule { refuses: state, counts_on: ALWAYS },
    Rule { refuses: holds, counts_on: ALWAYS },
    Rule { refuses: protection, counts_on: ALWAYS },
    Rule { refuses: window, counts_on: WHENEVER_ASKED },
    Rule { refuses: suspension, counts_on: WHENEVER_ASKED },
    Rule { refuses: last_use, counts_on: WHENEVER_ASKED },
    Rule { refuses: rate, counts_on: WHEN_FIRST_ASKED },
    Rule { refuses: confirmation, counts_on: WHENEVER_ASKED },
    Rule { refuses: approvals, counts_on: WHEN_FIRST_ASKED },
    Rule { refuses: dependants, counts_on: ALWAYS },
];

const ALWAYS: &[Course] = &[Course::Fresh, Course::Early, Course::Due];
const WHENEVER_ASKED: &[Course] = &[Course::Fresh, Course::Early];
/// Approvals were used up, and the destruction was counted, when it was scheduled.
const WHEN_FIRST_ASKED: &[Course] = &[Course::Fresh];

/// Where in the way of a destruction the request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// A request to destroy a key, now or later.
    Fresh,
    /// A second request, to end the wait of a key that waits already.
    Early,
    /// The wait is over.
    Due,
}

/// One question to the rules.
struct Case<'a> {
    policy: &'a DeletionPolicy,
    facts: &'a Facts<'a>,
    asked: &'a Asked<'a>,
    course: Course,
    /// When the destruction that waits is due, if one does.
    pending: Option<UnixMillis>,
}

impl<'a> Case<'a> {
    fn new(policy: &'a DeletionPolicy, facts: &'a Facts<'a>, asked: &'a Asked<'a>) -> Self {
        let pending = match facts.record.state {
            KeyState::PendingDestruction { due, .. } => Some(due),
            KeyState::Stable(_) | KeyState::Destroyed | KeyState::DestroyedCompromised => None,
        };
        let course = match (asked.wish, pending) {
            (Wish::AtOnce, Some(_)) => Course::Early,
            (Wish::AtOnce, None) | (Wish::Scheduled { .. }, _) => Course::Fresh,
            (Wish::Due, _) => Course::Due,
        };
        Self { policy, facts, asked, course, pending }
    }

    fn refusals(&self) -> impl Iterator<Item = Refusal> {
        let counts = |rule: &&Rule| rule.counts_on.contains(&self.course);
        RULES.iter().filter(counts).filter_map(|rule| (rule.refuses)(self))
    }

    /// What to do if no rule refuses.
    fn verdict(&self) -> Verdict {
        match self.wait() {
            Some(wait) => Verdict::Schedule { due: self.facts.now.saturating_add(wait) },
            None => Verdict::Destroy { with: self.cascade() },
        }
    }

    /// How long the key waits from now on; `None` if it is destroyed now.
    fn wait(&self) -> Option<Duration> {
        let minimum = self.policy.window.map(|window| window.minimum);
        match (self.course, self.asked.wish) {
            (Course::Fresh, Wish::Scheduled { window: Some(wait) }) => Some(wait),
            (Course::Fresh, Wish::Scheduled { window: None } | Wish::AtOnce | Wish::Due) => minimum,
            (Course::Early | Course::Due, _) => None,
        }
    }

    fn cascade(&self) -> Vec<KeyId> {
        match self.policy.dependants.unwrap_or_default() {
            Dependants::Cascade => ascending(self.facts.dependants),
            Dependants::Orphan | Dependants::Refuse => Vec::new(),
        }
    }
}

fn permission(case: &Case<'_>) -> Option<Refusal> {
    case.facts.lacking.map(Refusal::Permission)
}

fn state(case: &Case<'_>) -> Option<Refusal> {
    let record = case.facts.record;
    if record.state.is_destroyed() {
        return Some(Refusal::Destroyed { key: record.id });
    }
    match (case.asked.wish, case.pending) {
        (Wish::Scheduled { .. }, Some(due)) => Some(Refusal::AlreadyPending { due }),
        (Wish::Due, None) => Some(Refusal::NotPending { state: record.state }),
        (Wish::Due, Some(due)) if case.facts.now < due => Some(Refusal::NotDue { due }),
        (Wish::Due, Some(_)) | (Wish::AtOnce, _) | (Wish::Scheduled { .. }, None) => None,
    }
}

fn holds(case: &Case<'_>) -> Option<Refusal> {
    held_at(case.facts.record, case.facts.now)
}

fn held_at(record: &KeyRecord, now: UnixMillis) -> Option<Refusal> {
    let standing = record.details().holds.iter().filter(|hold| hold.stands(now));
    let holds: Vec<Hold> = standing.cloned().collect();
    (!holds.is_empty()).then_some(Refusal::Held { key: record.id, holds })
}

fn protection(case: &Case<'_>) -> Option<Refusal> {
    protected_of(case.facts.record)
}

fn protected_of(record: &KeyRecord) -> Option<Refusal> {
    record.details().protected.then_some(Refusal::Protected { key: record.id })
}

fn window(case: &Case<'_>) -> Option<Refusal> {
    let Wish::Scheduled { window: asked } = case.asked.wish else {
        return still_waits(case);
    };
    match (case.policy.window, asked) {
        (Some(rule), Some(wait)) if wait < rule.minimum => {
            Some(Refusal::WindowTooShort { minimum: rule.minimum })
        }
        (None, None | Some(Duration::ZERO)) => Some(Refusal::WindowMissing),
        (_, Some(wait)) if wait > WINDOW_MAX => {
            Some(Refusal::WindowTooLong { maximum: WINDOW_MAX })
        }
        (_, Some(_)) | (Some(_), None) => None,
    }
}

/// Without a rule about windows the requester chose to wait, and may choose anew.
fn still_waits(case: &Case<'_>) -> Option<Refusal> {
    let (rule, due) = (case.policy.window?, case.pending?);
    (case.facts.now < due && !rule.may_end_early).then_some(Refusal::WindowRunning { due })
}

fn suspension(case: &Case<'_>) -> Option<Refusal> {
    let state = case.facts.record.state;
    let is_in_use = match state {
        KeyState::Stable(stable) | KeyState::PendingDestruction { return_to: stable, .. } => {
            stable == StableState::Active
        }
        KeyState::Destroyed | KeyState::DestroyedCompromised => false,
    };
    (case.policy.must_be_suspended && is_in_use).then_some(Refusal::MustBeSuspended { state })
}

fn last_use(case: &Case<'_>) -> Option<Refusal> {
    let (within, last) = (case.policy.not_used_within?, case.facts.last_used?);
    // A use after `now`, of another thread or before the clock stepped back, is a recent one.
    (case.facts.now.since(last) < within)
        .then(|| Refusal::RecentlyUsed { last, until: last.saturating_add(within) })
}

fn rate(case: &Case<'_>) -> Option<Refusal> {
    let limit = case.policy.destroys_per_hour?;
    (case.facts.destroys_last_hour >= limit).then_some(Refusal::RateLimited { limit })
}

fn confirmation(case: &Case<'_>) -> Option<Refusal> {
    let record = case.facts.record;
    let is_confirmed = |text: &str| text == record.id.to_string() || text == record.name.as_str();
    (case.policy.confirm && !case.asked.confirm.is_some_and(is_confirmed))
        .then_some(Refusal::NotConfirmed { key: record.id })
}

fn approvals(case: &Case<'_>) -> Option<Refusal> {
    let required = case.policy.approvals?.required;
    let missing = |request, valid: u8| {
        (valid < required).then_some(Refusal::ApprovalsMissing { request, required, valid })
    };
    match case.facts.approvals {
        Approvals::NotAsked => missing(None, 0),
        Approvals::Given { request, valid } => missing(Some(request), valid),
        Approvals::Unusable { request, why } => {
            (required > 0).then_some(Refusal::ApprovalUnusable { request, why })
        }
    }
}

fn dependants(case: &Case<'_>) -> Option<Refusal> {
    match case.policy.dependants.unwrap_or_default() {
        Dependants::Refuse => {
            let mut keys = ascending(case.facts.dependants);
            let total = keys.len();
            keys.truncate(DEPENDANTS_LISTED_MAX);
            (total > 0).then_some(Refusal::HasDependants { keys, total })
        }
        Dependants::Cascade | Dependants::Orphan => None,
    }
}

fn ascending(keys: &[KeyId]) -> Vec<KeyId> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Most dependants that a refusal lists; it counts all. Enough to recognise what they are.
const DEPENDANTS_LISTED_MAX: usize = 16;

#[cfg(test)]
mod tests;
