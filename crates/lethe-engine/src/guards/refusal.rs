//! Why a destruction is refused: one variant per reason, with what the requester needs to get on.

use core::fmt;
use core::time::Duration;

use lethe_types::{ApprovalId, KeyId, KeyState, Permission, UnixMillis};

use crate::record::Hold;

/// What stands in the way of a destruction. In the order in which the rules are applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The requester lacks a permission. Nothing else is said to them.
    Permission(Permission),
    /// The key is gone already.
    Destroyed {
        /// The key.
        key: KeyId,
    },
    /// The key waits for its destruction already, and cannot be scheduled once more.
    AlreadyPending {
        /// When it is destroyed.
        due: UnixMillis,
    },
    /// The key does not wait for a destruction that could be carried out.
    NotPending {
        /// The state that it is in.
        state: KeyState,
    },
    /// The key waits for its destruction, and its time has not come.
    NotDue {
        /// When it comes.
        due: UnixMillis,
    },
    /// Holds stand.
    Held {
        /// The key that they are on.
        key: KeyId,
        /// All of those that stand, in the order in which they were placed; at least one and at
        /// most [`lethe_types::limits::HOLDS_MAX`].
        holds: Vec<Hold>,
    },
    /// The key is protected.
    Protected {
        /// The key.
        key: KeyId,
    },
    /// The key waits for its destruction, and the policy does not let the wait end early.
    WindowRunning {
        /// When it ends.
        due: UnixMillis,
    },
    /// The waiting time is shorter than the policy's.
    WindowTooShort {
        /// What the policy demands.
        minimum: Duration,
    },
    /// The waiting time is longer than any may be.
    WindowTooLong {
        /// The bound.
        maximum: Duration,
    },
    /// A scheduled destruction without a waiting time, neither in the request nor in the policy.
    WindowMissing,
    /// The policy takes only keys that are not in use, and this one is.
    MustBeSuspended {
        /// The state that it is in.
        state: KeyState,
    },
    /// The key was used too short a time ago.
    RecentlyUsed {
        /// When it was last used.
        last: UnixMillis,
        /// From then on it may be destroyed, if it is not used again.
        until: UnixMillis,
    },
    /// The requester destroyed as many keys within the hour as the policy lets them.
    RateLimited {
        /// So many in an hour.
        limit: u32,
    },
    /// The request does not repeat the key's id or name.
    NotConfirmed {
        /// The key.
        key: KeyId,
    },
    /// Too few others agreed.
    ApprovalsMissing {
        /// The request for approval that was named, if one was.
        request: Option<ApprovalId>,
        /// So many must agree.
        required: u8,
        /// So many did.
        valid: u8,
    },
    /// The request for approval that was named is worth nothing here.
    ApprovalUnusable {
        /// Which.
        request: ApprovalId,
        /// Why.
        why: Unusable,
    },
    /// Live keys are derived from the key.
    HasDependants {
        /// The first of them, ascending, at most 16.
        keys: Vec<KeyId>,
        /// How many there are.
        total: usize,
    },
}

/// Why a request for approval is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unusable {
    /// Its time is over.
    Expired,
    /// It is about another key.
    OtherKey,
    /// Somebody else asked for it.
    OtherRequester,
    /// A destruction was asked for with it before.
    Used,
    /// It was ended by who asked for it, or by who may approve.
    Withdrawn,
}

impl Unusable {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::Expired, Self::OtherKey, Self::OtherRequester, Self::Used, Self::Withdrawn];

    /// The reason's stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::OtherKey => "other_key",
            Self::OtherRequester => "other_requester",
            Self::Used => "used",
            Self::Withdrawn => "withdrawn",
        }
    }

    const fn in_words(self) -> &'static str {
        match self {
            Self::Expired => "has expired",
            Self::OtherKey => "is about another key",
            Self::OtherRequester => "is somebody else's",
            Self::Used => "was used before",
            Self::Withdrawn => "was withdrawn",
        }
    }
}

impl Refusal {
    /// The stable code of the rule that refuses. Never changed, never used for another rule.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Permission(_) => "permission_denied",
            Self::Destroyed { .. } => "object_destroyed",
            Self::AlreadyPending { .. } => "already_pending",
            Self::NotPending { .. } => "not_pending",
            Self::NotDue { .. } => "not_due",
            Self::Held { .. } => "held",
            Self::Protected { .. } => "protected",
            Self::WindowRunning { .. } => "window_running",
            Self::WindowTooShort { .. } => "window_too_short",
            Self::WindowTooLong { .. } => "window_too_long",
            Self::WindowMissing => "window_missing",
            Self::MustBeSuspended { .. } => "must_be_suspended",
            Self::RecentlyUsed { .. } => "recently_used",
            Self::RateLimited { .. } => "rate_limited",
            Self::NotConfirmed { .. } => "not_confirmed",
            Self::ApprovalsMissing { .. } => "approvals_missing",
            Self::ApprovalUnusable { .. } => "approval_unusable",
            Self::HasDependants { .. } => "has_dependants",
        }
    }

    /// What would satisfy the rule, in the engine's words. May be that nothing would.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Permission(permission) => format!(
                "have `{permission}` granted on the realm, the vault or the key \
                 (`principals.manage`)"
            ),
            Self::Destroyed { .. } => {
                "none is needed: the key is gone for good, and its receipt proves it".to_owned()
            }
            Self::AlreadyPending { due } => format!(
                "wait until {due}, or cancel the destruction (`keys.destroy.cancel`) and schedule \
                 it anew; to end the wait, ask for the destruction at once (`keys.destroy`)"
            ),
            Self::NotPending { .. } => {
                "schedule the destruction first (`keys.destroy.schedule`)".to_owned()
            }
            Self::NotDue { due } => format!("wait until {due}"),
            Self::Held { holds, .. } => remedy_of_holds(holds),
            Self::Protected { .. } => "lower the key's protection (`keys.update`)".to_owned(),
            Self::WindowRunning { due } => format!(
                "wait until {due}, when the key is destroyed, or cancel the destruction \
                 (`keys.destroy.cancel`)"
            ),
            Self::WindowTooShort { minimum } => {
                format!("name a waiting time of at least {}, or none", Span(*minimum))
            }
            Self::WindowTooLong { maximum } => {
                format!("name a waiting time of at most {}", Span(*maximum))
            }
            Self::WindowMissing => "name a waiting time, or ask for the destruction at once \
                                    (`keys.destroy`)"
                .to_owned(),
            Self::MustBeSuspended { state } => remedy_of_use(*state),
            Self::RecentlyUsed { until, .. } => {
                format!("ask again from {until} on, if the key is not used until then")
            }
            Self::RateLimited { limit: 0 } => {
                "the policy lets nobody destroy keys; change it (`vaults.admin`)".to_owned()
            }
            Self::RateLimited { limit } => format!(
                "ask again when you destroyed or scheduled fewer than {limit} keys in the hour \
                 before"
            ),
            Self::NotConfirmed { key } => {
                format!("repeat the key's id, `{key}`, or its exact name as confirmation")
            }
            Self::ApprovalsMissing { request: None, required, .. } => format!(
                "make a request for approval of this destruction, have {required} others agree to \
                 it (`keys.destroy.approve`), and name it"
            ),
            Self::ApprovalsMissing { request: Some(request), required, valid } => format!(
                "have {} more agree to the request for approval {request} \
                 (`keys.destroy.approve`)",
                required.saturating_sub(*valid)
            ),
            Self::ApprovalUnusable { .. } => {
                "make a request for approval of your own for this key, have others agree to it \
                 (`keys.destroy.approve`), and name that one"
                    .to_owned()
            }
            Self::HasDependants { .. } => "destroy the keys that are derived from it first, or \
                                           have the policies of realm and vault say what becomes \
                                           of them (`vaults.admin`)"
                .to_owned(),
        }
    }
}

fn remedy_of_holds(holds: &[Hold]) -> String {
    // All must be gone: the last one to end by itself says when, and one that never does, never.
    let ends: Option<Vec<UnixMillis>> = holds.iter().map(|hold| hold.expires).collect();
    match ends.and_then(|ends| ends.into_iter().max()) {
        Some(last) => format!("lift every hold (`holds.manage`), or wait until {last}"),
        None => "lift every hold (`holds.manage`)".to_owned(),
    }
}

fn remedy_of_use(state: KeyState) -> String {
    match state {
        KeyState::PendingDestruction { .. } => "cancel the destruction (`keys.destroy.cancel`), \
                                                suspend or deactivate the key (`keys.state`), and \
                                                ask again"
            .to_owned(),
        KeyState::Stable(_) | KeyState::Destroyed | KeyState::DestroyedCompromised => {
            "suspend or deactivate the key (`keys.state`)".to_owned()
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission(permission) => write!(f, "permission `{permission}` is lacking"),
            Self::Destroyed { key } => write!(f, "key {key} is destroyed"),
            Self::AlreadyPending { due } => {
                write!(f, "the key waits already: it is destroyed at {due}")
            }
            Self::NotPending { state } => {
                write!(f, "the key is {}: it does not wait for its destruction", state.as_str())
            }
            Self::NotDue { due } => write!(f, "the destruction is not due before {due}"),
            Self::Held { key, holds } => write_holds(f, *key, holds),
            Self::Protected { key } => write!(f, "key {key} is protected against destruction"),
            Self::WindowRunning { due } => {
                write!(f, "the wait until {due} may not end early")
            }
            Self::WindowTooShort { minimum } => {
                write!(f, "a destruction here waits at least {}", Span(*minimum))
            }
            Self::WindowTooLong { maximum } => {
                write!(f, "a destruction waits at most {}", Span(*maximum))
            }
            Self::WindowMissing => f.write_str("a scheduled destruction needs a waiting time"),
            Self::MustBeSuspended { state: KeyState::PendingDestruction { .. } } => {
                f.write_str("the key was in use when its destruction was scheduled")
            }
            Self::MustBeSuspended { state } => {
                write!(f, "the key is {}: only a key that is not in use may go", state.as_str())
            }
            Self::RecentlyUsed { last, until } => {
                write!(f, "the key was used at {last}: it may not go before {until}")
            }
            Self::RateLimited { limit } => {
                write!(f, "at most {limit} destructions in an hour are allowed to one principal")
            }
            Self::NotConfirmed { key } => {
                write!(f, "the destruction of key {key} is not confirmed by its id or exact name")
            }
            Self::ApprovalsMissing { required, valid, .. } => {
                write!(f, "{valid} of {required} others agreed to the destruction")
            }
            Self::ApprovalUnusable { request, why } => {
                write!(f, "request for approval {request} {}", why.in_words())
            }
            Self::HasDependants { keys, total } => {
                write!(f, "live keys are derived from the key, {total} in all: ")?;
                write_list(f, keys, *total)
            }
        }
    }
}

impl core::error::Error for Refusal {}

fn write_holds(f: &mut fmt::Formatter<'_>, key: KeyId, holds: &[Hold]) -> fmt::Result {
    write!(f, "key {key} is held: ")?;
    let texts: Vec<String> =
        holds.iter().map(|hold| format!("{} hold {}", hold.kind.as_str(), hold.id)).collect();
    write_list(f, &texts, texts.len())
}

fn write_list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    total: usize,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        write!(f, "{separator}{item}")?;
    }
    match total.saturating_sub(items.len()) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

/// A duration in the largest unit that says it exactly.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
        let seconds = self.0.as_secs();
        if self.0.subsec_nanos() == 0 && seconds > 0 {
            let exact = UNITS.into_iter().find(|(length, _)| seconds.is_multiple_of(*length));
            if let Some((length, unit)) = exact {
                return write!(f, "{} {unit}", seconds / length);
            }
        }
        write!(f, "{} ms", self.0.as_millis())
    }
}
