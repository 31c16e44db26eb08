//! What a destruction would do, and what stands in its way, without doing anything.

use std::sync::Arc;
use std::time::Duration;

use lethe_types::limits::PREVIEW_DEPENDANTS_MAX;
use lethe_types::{KeyId, PrincipalId, UnixMillis};

use super::destroy::{DestroyRequest, DestroyWhen, before, lacking, wish};
use crate::authz::{self, Caller, PreviewDestroy};
use crate::catalogue::{KeyEntry, UsageRow};
use crate::guards::{Asked, Facts, Refusal, Verdict, all, cascaded, decide};
use crate::record::{ApprovalRecord, ApprovalState, DeletionPolicy, Hold};
use crate::{Engine, EngineError};

/// What a destruction would do, at the moment it was asked.
#[derive(Debug)]
pub struct DestructionPreview {
    /// The key.
    pub entry: Arc<KeyEntry>,
    /// What would become of the request.
    pub verdict: PreviewVerdict,
    /// Everything that stands in the way, in the order of the guards.
    pub refusals: Vec<Refusal>,
    /// The last use, by whom, and how many there were; `None` if it was never used.
    pub used: Option<UsageRow>,
    /// Live keys that cannot live without it, the first of them.
    pub dependants: Vec<KeyId>,
    /// How many of these there are.
    pub dependants_total: usize,
    /// Principals that act for it, and die with it: their tokens are refused from then on.
    pub principals: Vec<PrincipalId>,
    /// Names of the secrets that die with it.
    pub secrets: Vec<String>,
    /// What stands against its destruction now.
    pub holds: Vec<Hold>,
    /// How many others must agree.
    pub approvals_required: u8,
    /// The requests for approval that can still be approved or used.
    pub approvals: Vec<Arc<ApprovalRecord>>,
    /// Until when a backup that was taken before could bring it back; `None` if none could.
    pub backups_until: Option<UnixMillis>,
}

/// What would become of a request for destruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreviewVerdict {
    /// The key would be destroyed.
    Destroy,
    /// It would be refused.
    Refused,
    /// It would wait.
    Schedule {
        /// Until then.
        due: UnixMillis,
    },
}

impl Engine {
    /// What [`Engine::destroy_key`] would do with `request`. The key's confirmation counts as
    /// given, since a preview is not yet the request.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`], [`EngineError::PermissionDenied`],
    /// [`EngineError::ObjectDestroyed`].
    pub fn preview_destruction(
        &self,
        caller: &Caller,
        request: &DestroyRequest,
    ) -> Result<DestructionPreview, EngineError> {
        let result = self.preview_unaudited(caller, request);
        let now = self.shared.clock.now();
        self.audit::<PreviewDestroy>(caller, now, Some(request.key), result.as_ref().err())?;
        result
    }

    fn preview_unaudited(
        &self,
        caller: &Caller,
        request: &DestroyRequest,
    ) -> Result<DestructionPreview, EngineError> {
        let proof = authz::check::<PreviewDestroy>(caller, self.load(request.key)?)?;
        let entry = proof.entry().clone();
        let record = entry.record();
        if record.state.is_destroyed() {
            return Err(EngineError::ObjectDestroyed(record.id));
        }
        let catalogue = &self.shared.catalogue;
        let now = self.shared.clock.now();
        let policy = self.policy_of(record).and(&request.policy);
        let approval = request.approval.and_then(|id| catalogue.approval(caller.realm(), id));
        let dependants = catalogue.live_dependants(record.id);
        let facts = Facts {
            record,
            lacking: lacking(caller, &entry, request.when),
            last_used: entry.usage().last(),
            destroys_last_hour: catalogue
                .destroys_since(caller.principal(), before(now, Duration::from_secs(3_600))),
            approvals: self.approvals_given(caller, request, approval.as_deref(), now),
            dependants: &dependants,
            now,
        };
        let confirm = record.id.to_string();
        let confirm = request.confirm.as_deref().unwrap_or(&confirm);
        let asked = Asked { wish: wish(request.when), confirm: Some(confirm) };
        let (verdict, refusals) = self.foresee(&policy, &facts, &asked, request.when);
        let mut approvals = catalogue.approvals_of(record.id);
        approvals.retain(|open| open.state == ApprovalState::Open && now < open.expires);
        let holds = record.details().holds.iter().filter(|hold| hold.stands(now));
        let secrets = record.details().secrets.iter().map(|secret| secret.name.to_string());
        let bound = catalogue.bound_to(record.id);
        Ok(DestructionPreview {
            verdict,
            refusals,
            used: entry.used(),
            dependants_total: dependants.len(),
            dependants: dependants.iter().copied().take(PREVIEW_DEPENDANTS_MAX).collect(),
            principals: bound.iter().map(|principal| principal.record().id).collect(),
            secrets: secrets.collect(),
            holds: holds.cloned().collect(),
            approvals_required: policy.approvals.map_or(0, |rule| rule.required),
            approvals,
            backups_until: self.shared.backups_until(),
            entry,
        })
    }

    fn foresee(
        &self,
        policy: &DeletionPolicy,
        facts: &Facts<'_>,
        asked: &Asked<'_>,
        when: DestroyWhen,
    ) -> (PreviewVerdict, Vec<Refusal>) {
        let mut refusals = all(policy, facts, asked);
        match decide(policy, facts, asked) {
            Ok(Verdict::Destroy { with }) => {
                let going = self.going_with(with);
                refusals
                    .extend(cascaded(going.iter().map(|other| other.entry.record()), facts.now));
                if refusals.is_empty() {
                    return (PreviewVerdict::Destroy, refusals);
                }
            }
            Ok(Verdict::Schedule { due }) if when != DestroyWhen::AtOnce => {
                return (PreviewVerdict::Schedule { due }, refusals);
            }
            Ok(Verdict::Schedule { .. }) => {
                let minimum = policy.window.map(|window| window.minimum).unwrap_or_default();
                refusals.push(Refusal::WindowTooShort { minimum });
            }
            Err(_) => {}
        }
        (PreviewVerdict::Refused, refusals)
    }
}
