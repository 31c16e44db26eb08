//! A request that owns what [`Facts`] and [`Asked`] borrow.

use core::time::Duration;

use lethe_crypto::registry::Algorithm;
use lethe_types::{
    HoldId, KeyId, KeyState, Permission, PrincipalId, RealmId, StableState, UnixMillis, VaultId,
};
use smallvec::SmallVec;

use crate::guards::{Approvals, Asked, Facts, Refusal, Verdict, Wish, all, decide};
use crate::record::{DeletionPolicy, Dependants, Hold, HoldKind, KeyRecord, Window};

pub(super) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(super) const KEY: KeyId = KeyId([0xab; 16]);
pub(super) const NAME: &str = "Payroll 2026";
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);

/// One request. The default is of an active key without anything special, which nobody guards.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) policy: DeletionPolicy,
    pub(super) record: KeyRecord,
    pub(super) lacking: Option<Permission>,
    pub(super) last_used: Option<UnixMillis>,
    pub(super) destroys_last_hour: u32,
    pub(super) approvals: Approvals,
    pub(super) dependants: Vec<KeyId>,
    pub(super) now: UnixMillis,
    pub(super) wish: Wish,
    pub(super) confirm: Option<String>,
}

impl Request {
    pub(super) fn new(wish: Wish) -> Self {
        Self {
            policy: DeletionPolicy::default(),
            record: record(),
            lacking: None,
            last_used: None,
            destroys_last_hour: 0,
            approvals: Approvals::NotAsked,
            dependants: Vec::new(),
            now: NOW,
            wish,
            confirm: None,
        }
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            record: &self.record,
            lacking: self.lacking,
            last_used: self.last_used,
            destroys_last_hour: self.destroys_last_hour,
            approvals: self.approvals,
            dependants: &self.dependants,
            now: self.now,
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked { wish: self.wish, confirm: self.confirm.as_deref() }
    }

    pub(super) fn decide(&self) -> Result<Verdict, Refusal> {
        decide(&self.policy, &self.facts(), &self.asked())
    }

    pub(super) fn all(&self) -> Vec<Refusal> {
        all(&self.policy, &self.facts(), &self.asked())
    }

    /// The same request under another policy.
    pub(super) fn under(&self, policy: &DeletionPolicy) -> Self {
        self.clone().with(|request| request.policy = policy.clone())
    }
}

/// Of one request: the only thing that stands in its way, or nothing, and what is done then.
#[track_caller]
pub(super) fn check(request: &Request, expected: Result<Verdict, Refusal>) {
    let listed: Vec<Refusal> = expected.as_ref().err().cloned().into_iter().collect();
    assert_eq!(request.all(), listed, "{request:?}");
    assert_eq!(request.decide(), expected, "{request:?}");
}

pub(super) fn destroy() -> Result<Verdict, Refusal> {
    Ok(Verdict::Destroy { with: Vec::new() })
}

pub(super) fn schedule(wait: Duration) -> Result<Verdict, Refusal> {
    Ok(Verdict::Schedule { due: NOW.saturating_add(wait) })
}

pub(super) fn pending(due: UnixMillis, return_to: StableState) -> KeyState {
    KeyState::PendingDestruction { due, return_to }
}

pub(super) fn window(minimum: Duration, may_end_early: bool) -> Option<Window> {
    Some(Window { minimum, may_end_early })
}

pub(super) fn hold(number: u8, kind: HoldKind, expires: Option<UnixMillis>) -> Hold {
    Hold {
        id: HoldId([number; 16]),
        kind,
        reason: "court order".to_owned(),
        placed: UnixMillis(NOW.0 - 1),
        by: PrincipalId([3; 16]),
        expires,
    }
}

pub(super) fn before(time: UnixMillis, by: Duration) -> UnixMillis {
    UnixMillis(time.0 - u64::try_from(by.as_millis()).unwrap())
}

pub(super) fn record() -> KeyRecord {
    KeyRecord {
        id: KEY,
        realm: RealmId([1; 16]),
        vault: VaultId([2; 16]),
        name: NAME.parse().unwrap(),
        algorithm: Algorithm::from_name("aes256-gcm").unwrap(),
        state: KeyState::ACTIVE,
        created: UnixMillis(1),
        created_by: PrincipalId([3; 16]),
        changed: UnixMillis(1),
        salt: [0; 32],
        aliases: Vec::new(),
        versions: SmallVec::new(),
        next_version: 2,
        imported: false,
        exported: false,
        details: None,
        destruction: None,
    }
}

/// A policy with every rule, each of which refuses [`breaks_everything`].
pub(super) fn demands_everything() -> DeletionPolicy {
    DeletionPolicy {
        window: window(72 * HOUR, false),
        must_be_suspended: true,
        not_used_within: Some(24 * HOUR),
        destroys_per_hour: Some(5),
        confirm: true,
        approvals: Some(crate::record::ApprovalRule { required: 2, lifetime: HOUR }),
        dependants: Some(Dependants::Refuse),
        refuse_reimport: true,
    }
}

/// A request that every rule refuses but those about permission and state.
pub(super) fn breaks_everything(wish: Wish) -> Request {
    Request::new(wish).with(|request| {
        request.policy = demands_everything();
        request.record.details_mut().holds = vec![hold(1, HoldKind::Legal, None)];
        request.record.details_mut().protected = true;
        request.last_used = Some(NOW);
        request.destroys_last_hour = 5;
        request.dependants = vec![KeyId([9; 16])];
    })
}
