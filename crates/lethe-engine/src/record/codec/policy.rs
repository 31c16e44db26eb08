//! Deletion policies and name rules.

use core::time::Duration;

use minicbor::{Decode, Encode};

use super::Undecodable;
use crate::record::{ApprovalRule, DeletionPolicy, Dependants, NameRule, Window};

/// Durations in milliseconds. Dependants: 0 unsaid, 1 orphan, 2 cascade, 3 refuse.
#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct StoredPolicy {
    #[n(0)]
    window: Option<(u64, bool)>,
    #[n(1)]
    must_be_suspended: bool,
    #[n(2)]
    not_used_within: Option<u64>,
    #[n(3)]
    destroys_per_hour: Option<u32>,
    #[n(4)]
    confirm: bool,
    #[n(5)]
    approvals: Option<(u8, u64)>,
    #[n(6)]
    dependants: u8,
    #[n(7)]
    refuse_reimport: bool,
}

pub(super) fn policy_to_stored(policy: &DeletionPolicy) -> StoredPolicy {
    StoredPolicy {
        window: policy.window.map(|window| (millis(window.minimum), window.may_end_early)),
        must_be_suspended: policy.must_be_suspended,
        not_used_within: policy.not_used_within.map(millis),
        destroys_per_hour: policy.destroys_per_hour,
        confirm: policy.confirm,
        approvals: policy.approvals.map(|rule| (rule.required, millis(rule.lifetime))),
        dependants: match policy.dependants {
            None => 0,
            Some(Dependants::Orphan) => 1,
            Some(Dependants::Cascade) => 2,
            Some(Dependants::Refuse) => 3,
        },
        refuse_reimport: policy.refuse_reimport,
    }
}

pub(super) fn policy_from_stored(stored: &StoredPolicy) -> Result<DeletionPolicy, Undecodable> {
    Ok(DeletionPolicy {
        window: stored.window.map(|(minimum, may_end_early)| Window {
            minimum: Duration::from_millis(minimum),
            may_end_early,
        }),
        must_be_suspended: stored.must_be_suspended,
        not_used_within: stored.not_used_within.map(Duration::from_millis),
        destroys_per_hour: stored.destroys_per_hour,
        confirm: stored.confirm,
        approvals: stored.approvals.map(|(required, lifetime)| ApprovalRule {
            required,
            lifetime: Duration::from_millis(lifetime),
        }),
        dependants: match stored.dependants {
            0 => None,
            1 => Some(Dependants::Orphan),
            2 => Some(Dependants::Cascade),
            3 => Some(Dependants::Refuse),
            _ => return Err(Undecodable("a rule about dependants")),
        },
        refuse_reimport: stored.refuse_reimport,
    })
}

pub(super) fn name_rule_code(rule: NameRule) -> u8 {
    match rule {
        NameRule::Free => 1,
        NameRule::UniqueAmongLive => 2,
        NameRule::NeverAgain => 3,
    }
}

pub(super) fn name_rule_from_code(code: u8) -> Result<NameRule, Undecodable> {
    match code {
        1 => Ok(NameRule::Free),
        2 => Ok(NameRule::UniqueAmongLive),
        3 => Ok(NameRule::NeverAgain),
        _ => Err(Undecodable("a rule about names")),
    }
}

/// Durations come from milliseconds or from settings with an upper bound far below.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
