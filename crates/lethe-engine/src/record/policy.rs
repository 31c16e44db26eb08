//! When the keys of a vault may be destroyed, and how their names may be used.

use core::time::Duration;

/// What a destruction must satisfy. The default demands nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletionPolicy {
    /// How long a destruction waits before it is carried out.
    pub window: Option<Window>,
    /// Only keys that are not in use: suspended, deactivated, compromised or never activated.
    pub must_be_suspended: bool,
    /// Only keys that were not used for so long.
    pub not_used_within: Option<Duration>,
    /// Most keys that one principal may destroy or schedule for destruction in an hour.
    pub destroys_per_hour: Option<u32>,
    /// The request must repeat the key's identifier or name.
    pub confirm: bool,
    /// Other principals must have agreed.
    pub approvals: Option<ApprovalRule>,
    /// What happens to keys that depend on the one to be destroyed; refused if nobody says.
    pub dependants: Option<Dependants>,
    /// Material that was destroyed here is refused when it is imported again. Keyed digests of
    /// material are kept for it.
    pub refuse_reimport: bool,
}

/// A waiting time before a destruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// At least so long.
    pub minimum: Duration,
    /// Whether a destruction that waits may be carried out before its time, by a second, explicit
    /// request.
    pub may_end_early: bool,
}

/// How many others must agree to a destruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApprovalRule {
    /// So many; the requester never counts.
    pub required: u8,
    /// A request for approval ends after so long.
    pub lifetime: Duration,
}

/// What happens to keys that depend on the one to be destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependants {
    /// They stay; those without material of their own can never be used again.
    Orphan,
    /// They are destroyed with it, in the same instant.
    Cascade,
    /// The destruction is refused while there are any.
    #[default]
    Refuse,
}

impl Dependants {
    /// The choice's stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Orphan => "orphan",
            Self::Cascade => "cascade",
            Self::Refuse => "refuse",
        }
    }
}

/// How names of keys may be used in a vault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameRule {
    /// As often as anybody likes.
    #[default]
    Free,
    /// Once among keys that have their material.
    UniqueAmongLive,
    /// Once and for ever: not even a destroyed key's name comes again.
    NeverAgain,
}

impl NameRule {
    /// The rule's stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::UniqueAmongLive => "unique_among_live",
            Self::NeverAgain => "never_again",
        }
    }
}

impl DeletionPolicy {
    /// What satisfies both: each rule from whichever is the stricter. A vault adds to its realm's
    /// policy and never takes from it.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            window: stricter(self.window, other.window, |one, two| Window {
                minimum: one.minimum.max(two.minimum),
                may_end_early: one.may_end_early && two.may_end_early,
            }),
            must_be_suspended: self.must_be_suspended || other.must_be_suspended,
            not_used_within: stricter(self.not_used_within, other.not_used_within, Duration::max),
            destroys_per_hour: stricter(self.destroys_per_hour, other.destroys_per_hour, u32::min),
            confirm: self.confirm || other.confirm,
            approvals: stricter(self.approvals, other.approvals, |one, two| ApprovalRule {
                required: one.required.max(two.required),
                lifetime: one.lifetime.min(two.lifetime),
            }),
            dependants: stricter(self.dependants, other.dependants, Dependants::max),
            refuse_reimport: self.refuse_reimport || other.refuse_reimport,
        }
    }
}

fn stricter<T: Copy>(one: Option<T>, other: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(both(one, other)),
        (one, other) => one.or(other),
    }
}
