//! Destroy a key, for good and with a receipt: at once, or when its time has come.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lethe_crypto::registry::SignatureScheme;
use lethe_log::{ChallengedRequest, EVIDENCE_STATEMENTS_MAX, EntryType, Receipt};
use lethe_store::Revision;
use lethe_types::{
    ApprovalId, CredentialId, KeyId, Permission, StableState, Transition, UnixMillis,
};

use super::approvals::signed_by;
use super::documents::{self, DocumentChange};
use super::{Planned, Touched};
use crate::authz::{self, Caller, Destroy, Operation, PrincipalEntry, ReadKey, ScheduleDestroy};
use crate::catalogue::KeyEntry;
use crate::committer::{
    Change, Committed, Destroy as DestroyStep, KeyUpdate, Made, Preconditions, PrincipalUpdate,
    Rate, Step, push_history,
};
use crate::guards::{Approvals, Asked, Facts, Unusable, Verdict, Wish, cascaded, decide};
use crate::idempotency::IdempotencyKey;
use crate::record::{
    ApprovalRecord, ApprovalState, DeletionPolicy, Evidence, EvidenceRole, KeyRecord, Pending,
};
use crate::{Engine, EngineError, lifecycle};

/// What counts as an hour for the bound on destructions.
pub(super) const RATE_WINDOW: Duration = Duration::from_secs(3_600);

/// Which key is to go, when, and why.
#[derive(Clone, Debug)]
pub struct DestroyRequest {
    /// The key.
    pub key: KeyId,
    /// Why, in the caller's words; part of the receipt. May be empty.
    pub reason: String,
    /// When.
    pub when: DestroyWhen,
    /// The key's identifier or name once more, where a policy asks for it.
    pub confirm: Option<String>,
    /// The request for approval that others agreed to.
    pub approval: Option<ApprovalId>,
    /// The caller's own signature over the request, if the door demands one.
    pub signed: Option<SignedRequest>,
    /// What this door demands beside the policies of realm and vault.
    pub policy: DeletionPolicy,
    /// The revision that the caller saw, if it cares.
    pub expected: Option<Revision>,
    /// What the door writes down of it, in the same transaction: all of it is made, or nothing.
    /// At most [`lethe_types::limits::CHANGE_DOCUMENTS_MAX`]; only with a destruction at once.
    pub documents: Vec<DocumentChange>,
    /// Makes a retry answer with the receipt of the first try.
    pub idempotency: Option<IdempotencyKey>,
}

/// When a destruction is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestroyWhen {
    /// At once, or not at all.
    AtOnce,
    /// At once if the policy lets it, else when the policy's waiting time is over.
    AsSoonAsAllowed,
    /// After a waiting time: the given one, or the policy's.
    Scheduled {
        /// How long; the policy's minimum if `None`.
        window: Option<Duration>,
        /// Where a cancellation leads, if not to the state before.
        cancel_to: Option<StableState>,
    },
}

/// A signature of the caller over a text that names the request.
#[derive(Clone, Debug)]
pub struct SignedRequest {
    /// With which signing key of the caller's.
    pub credential: CredentialId,
    /// What was signed.
    pub statement: String,
    /// The signature.
    pub signature: Vec<u8>,
    /// How it was made, if not by the key's own scheme.
    pub scheme: Option<SignatureScheme>,
    /// The request that a challenge in the statement stands for, if the caller signed a challenge.
    pub request: Option<ChallengedRequest>,
    /// The authenticator data, if the caller signed a challenge with a passkey.
    pub authenticator_data: Option<Vec<u8>>,
}

impl SignedRequest {
    /// A signature over the very text, by the key's own scheme.
    #[must_use]
    pub fn plain(credential: CredentialId, statement: String, signature: &[u8]) -> Self {
        Self {
            credential,
            statement,
            signature: signature.to_vec(),
            scheme: None,
            request: None,
            authenticator_data: None,
        }
    }
}

impl DestroyRequest {
    /// As soon as the policies allow it, with no reason given.
    #[must_use]
    pub fn new(key: KeyId) -> Self {
        Self {
            key,
            reason: String::new(),
            when: DestroyWhen::AsSoonAsAllowed,
            confirm: None,
            approval: None,
            signed: None,
            policy: DeletionPolicy::default(),
            expected: None,
            documents: Vec::new(),
            idempotency: None,
        }
    }
}

/// What became of a request for destruction.
#[derive(Debug)]
pub enum DestroyOutcome {
    /// It is final.
    Destroyed(Box<Destroyed>),
    /// It waits.
    Scheduled {
        /// The key as it is now.
        entry: Arc<KeyEntry>,
        /// When it will be destroyed.
        due: UnixMillis,
    },
}

/// A destruction that is final, and its evidence.
#[derive(Debug)]
pub struct Destroyed {
    /// The tombstone.
    pub entry: Arc<KeyEntry>,
    /// The evidence.
    pub receipt: Receipt,
    /// The keys that went with it, each with its own evidence.
    pub dependants: Vec<Self>,
}

impl Engine {
    /// Destroys a key, or schedules its destruction. When it answers
    /// [`DestroyOutcome::Destroyed`], no later use succeeds, the old root is erased, and the
    /// receipt verifies.
    ///
    /// # Errors
    /// See [`EngineError`]. [`EngineError::ObjectDestroyed`] if it was destroyed before;
    /// [`EngineError::GuardRefused`] with the rule that stands in the way.
    /// [`EngineError::StorageUnavailable`]: the key is refused for every use; whether it is gone is
    /// known after the next start, which completes what was begun.
    pub async fn destroy_key(
        &self,
        caller: &Caller,
        request: DestroyRequest,
    ) -> Result<DestroyOutcome, EngineError> {
        match request.when {
            DestroyWhen::Scheduled { .. } => {
                self.destroy_audited::<ScheduleDestroy>(caller, request).await
            }
            DestroyWhen::AsSoonAsAllowed | DestroyWhen::AtOnce => {
                self.destroy_audited::<Destroy>(caller, request).await
            }
        }
    }

    async fn destroy_audited<Op: Operation>(
        &self,
        caller: &Caller,
        request: DestroyRequest,
    ) -> Result<DestroyOutcome, EngineError> {
        let key = request.key;
        let result = self.destroy_unaudited(caller, request).await;
        let now = self.shared.clock.now();
        match result {
            Ok((outcome, log_index)) => {
                let touched = Touched { key: Some(key), log_index, ..Touched::default() };
                self.audit_done::<Op>(caller, now, touched);
                Ok(outcome)
            }
            Err(error) => {
                self.audit::<Op>(caller, now, Some(key), Some(&error))?;
                Err(error)
            }
        }
    }

    async fn destroy_unaudited(
        &self,
        caller: &Caller,
        request: DestroyRequest,
    ) -> Result<(DestroyOutcome, Option<u64>), EngineError> {
        lifecycle::check_reason(&request.reason)?;
        let committed = self
            .change(caller, request.idempotency.as_ref(), |_| {
                let entry = self.load(request.key)?;
                if let Some(entry) = self.remembered(request.idempotency.as_ref())? {
                    return Ok(Planned::Done(Committed::already(entry)));
                }
                lifecycle::expect_revision(&entry, request.expected)?;
                Ok(Planned::Change(Change::all(self.plan_destroy(caller, &entry, &request, 0)?)))
            })
            .await?;
        let log_index = committed.log_index();
        Ok((self.outcome_of(committed)?, log_index))
    }

    pub(super) fn outcome_of(&self, committed: Committed) -> Result<DestroyOutcome, EngineError> {
        let mut destroyed = Vec::new();
        for made in committed.made {
            match made {
                Made::Destroyed(parts) => {
                    let (entry, receipt) = crate::receipt::from_parts(*parts);
                    destroyed.push(Destroyed { entry, receipt, dependants: Vec::new() });
                }
                Made::Key { entry, .. } if entry.record().state.is_destroyed() => {
                    let receipt = self.receipt_of(&entry)?;
                    destroyed.push(Destroyed { entry, receipt, dependants: Vec::new() });
                }
                Made::Key { entry, .. } => {
                    let state = entry.record().state;
                    return match state.due() {
                        Some(due) => Ok(DestroyOutcome::Scheduled { entry, due }),
                        // A retry, by its idempotency key, of a schedule that was cancelled since.
                        None => Err(crate::guards::Refusal::NotPending { state }.into()),
                    };
                }
                Made::Other { .. } => {}
            }
        }
        // The key that was named is the first step.
        let mut destroyed = destroyed.into_iter();
        let mut first =
            destroyed.next().ok_or(EngineError::Internal("a destruction with another outcome"))?;
        first.dependants = destroyed.collect();
        Ok(DestroyOutcome::Destroyed(Box::new(first)))
    }

    /// The steps of a destruction or of its schedule, if no guard stands in the way. `planned`
    /// destructions of the same caller are about to be committed with it.
    pub(crate) fn plan_destroy(
        &self,
        caller: &Caller,
        entry: &Arc<KeyEntry>,
        request: &DestroyRequest,
        planned: u32,
    ) -> Result<Vec<Step>, EngineError> {
        let record = entry.record();
        if record.realm != caller.realm() {
            return Err(EngineError::ItemNotFound("key"));
        }
        let now = self.shared.clock.now();
        let under = self.under(record);
        let policy = under.policy().and(&request.policy);
        let approval =
            request.approval.and_then(|id| self.shared.catalogue.approval(caller.realm(), id));
        let dependants = self.shared.catalogue.live_dependants(record.id);
        let facts = Facts {
            record,
            lacking: lacking(caller, entry, request.when),
            last_used: entry.usage().last(),
            destroys_last_hour: self
                .shared
                .catalogue
                .destroys_since(caller.principal(), before(now, RATE_WINDOW))
                .saturating_add(planned),
            approvals: self.approvals_given(caller, request, approval.as_deref(), now),
            dependants: &dependants,
            now,
        };
        // One that is worth nothing proves nothing, also where no rule asks for any.
        let approval = approval.filter(|_| matches!(facts.approvals, Approvals::Given { .. }));
        let asked = Asked { wish: wish(request.when), confirm: request.confirm.as_deref() };
        let verdict = decide(&policy, &facts, &asked)?;
        let mut evidence = requester_evidence(caller, record, request, now)?;
        let preconditions = Preconditions {
            dependants: Vec::new(),
            under: Some(under),
            approvers: self.approvers_of(approval.as_deref(), now),
            unused_since: policy.not_used_within.map(|time| before(now, time)),
            // What waits already was counted when it was scheduled.
            rate: policy.destroys_per_hour.filter(|_| record.state.due().is_none()).map(|most| {
                Rate { principal: caller.principal(), since: before(now, RATE_WINDOW), most }
            }),
        };
        let mut steps = match verdict {
            Verdict::Schedule { due } => {
                if request.when == DestroyWhen::AtOnce {
                    let window = policy.window.map(|window| window.minimum).unwrap_or_default();
                    return Err(crate::guards::Refusal::WindowTooShort { minimum: window }.into());
                }
                evidence.extend(approver_evidence(approval.as_deref()));
                vec![schedule_step(caller, entry, request, (now, due), evidence, preconditions)?]
            }
            Verdict::Destroy { with } => {
                evidence.extend(approver_evidence(approval.as_deref()));
                let preconditions = Preconditions { dependants, ..preconditions };
                let asked = (now, request.reason.as_str());
                self.destroy_steps(entry, with, asked, evidence, preconditions)?
            }
        };
        if !request.documents.is_empty() && steps.iter().any(Step::destroys) {
            let step = documents::steps(caller, request.documents.clone())?;
            if !step.is_current(&*self.shared.store)? {
                return Err(EngineError::RevisionMismatch);
            }
            steps.push(Step::PutDocuments(step));
        }
        if let Some(seen) = approval {
            let mut record = (*seen).clone();
            record.state = ApprovalState::Used;
            steps.push(Step::PutApproval { seen: Some(seen), record: Box::new(record) });
        }
        Ok(steps)
    }

    /// The destruction of a key, of what goes with it, and of the principals that act for them.
    pub(crate) fn destroy_steps(
        &self,
        entry: &Arc<KeyEntry>,
        with: Vec<KeyId>,
        (now, reason): (UnixMillis, &str),
        evidence: Vec<Evidence>,
        preconditions: Preconditions,
    ) -> Result<Vec<Step>, EngineError> {
        let (reason, requested) = match &entry.record().details().pending {
            // What was said when it was scheduled stands; a second request may add to it.
            Some(pending) if reason.is_empty() => (&*pending.reason, pending.requested),
            Some(pending) => (reason, pending.requested),
            None => (reason, now),
        };
        let mut steps = vec![self.destroy_step(entry, requested, reason, evidence, preconditions)];
        let going = self.going_with(with);
        let others = going.iter().map(|other| other.entry.record());
        if let Some(refusal) = cascaded(others, now).into_iter().next() {
            return Err(refusal.into());
        }
        for GoingWith { entry: dependant, dependants } in going {
            let preconditions = Preconditions { dependants, ..Preconditions::default() };
            let reason = format!("with key {}", entry.record().id);
            steps.push(self.destroy_step(&dependant, now, &reason, Vec::new(), preconditions));
        }
        let keys: Vec<KeyId> = steps.iter().filter_map(Step::key).collect();
        for key in keys {
            for seen in self.shared.catalogue.bound_to(key) {
                let mut record = seen.record().clone();
                record.revoked = Some(now);
                record.credentials.clear();
                let (seen, kind) = (Some(seen), EntryType::PrincipalRevoked);
                let update = PrincipalUpdate { seen, record, kind, secrets: Vec::new() };
                steps.push(Step::PutPrincipal(Box::new(update)));
            }
        }
        Ok(steps)
    }

    /// Live keys, what depends on them, and what depends on that: each once.
    pub(super) fn going_with(&self, with: Vec<KeyId>) -> Vec<GoingWith> {
        let catalogue = &self.shared.catalogue;
        let (mut seen, mut going, mut waiting) = (BTreeSet::new(), Vec::new(), with);
        while let Some(id) = waiting.pop() {
            if seen.insert(id)
                && let Some(entry) = catalogue.key(id)
            {
                let dependants = catalogue.live_dependants(id);
                waiting.extend(&dependants);
                going.push(GoingWith { entry, dependants });
            }
        }
        going
    }

    fn destroy_step(
        &self,
        entry: &Arc<KeyEntry>,
        requested: UnixMillis,
        reason: &str,
        evidence: Vec<Evidence>,
        preconditions: Preconditions,
    ) -> Step {
        let pending = entry.record().details().pending.as_ref();
        let before = pending.map(|pending| pending.evidence.clone()).unwrap_or_default();
        let step = DestroyStep {
            seen: entry.clone(),
            requested,
            reason: reason.into(),
            evidence: joined(before, evidence),
            fingerprints: self.fingerprints_of(entry),
            preconditions,
        };
        Step::DestroyKey(Box::new(step))
    }

    /// Keyed digests of the material that goes, where the policy wants to know it again.
    fn fingerprints_of(&self, entry: &KeyEntry) -> Vec<[u8; 32]> {
        let record = entry.record();
        if !self.policy_of(record).refuse_reimport {
            return Vec::new();
        }
        let versions = record.versions.iter().filter_map(|version| {
            let material = self.shared.material(record, version).ok()?;
            let public = version.public_key_der.as_deref();
            Some(self.shared.fingerprint(record.algorithm, public, &material))
        });
        versions.collect()
    }

    /// How far the approvals of the request that the caller names go.
    pub(super) fn approvals_given(
        &self,
        caller: &Caller,
        request: &DestroyRequest,
        approval: Option<&ApprovalRecord>,
        now: UnixMillis,
    ) -> Approvals {
        let Some(id) = request.approval else { return Approvals::NotAsked };
        let unusable = |why| Approvals::Unusable { request: id, why };
        let Some(record) = approval.filter(|record| record.realm == caller.realm()) else {
            return unusable(Unusable::OtherKey);
        };
        if record.key != request.key {
            return unusable(Unusable::OtherKey);
        }
        if record.requester != caller.principal() {
            return unusable(Unusable::OtherRequester);
        }
        match record.state {
            ApprovalState::Used => return unusable(Unusable::Used),
            ApprovalState::Withdrawn => return unusable(Unusable::Withdrawn),
            ApprovalState::Open if now >= record.expires => return unusable(Unusable::Expired),
            ApprovalState::Open => {}
        }
        let valid = self.approvers_of(approval, now).len();
        Approvals::Given { request: id, valid: u8::try_from(valid).unwrap_or(u8::MAX) }
    }

    /// Those who approved and still may: who lost the right in between no longer counts.
    fn approvers_of(
        &self,
        approval: Option<&ApprovalRecord>,
        now: UnixMillis,
    ) -> Vec<Arc<PrincipalEntry>> {
        let Some(record) = approval else { return Vec::new() };
        let catalogue = &self.shared.catalogue;
        let vault = catalogue.key(record.key).map(|key| key.record().vault);
        let approvers = record.approvals.iter().filter_map(|approval| {
            let approver = approval.evidence.principal;
            let entry = catalogue.principal(record.realm, approver)?;
            let counts = approver != record.requester
                && entry.record().is_live(now)
                && entry.may(Permission::KeysDestroyApprove, vault, Some(record.key));
            counts.then_some(entry)
        });
        approvers.collect()
    }

    /// The receipt of a destroyed key, proven against the newest checkpoint.
    ///
    /// Reads the store: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] if the key is not destroyed, or not the caller's.
    pub fn receipt(&self, caller: &Caller, key: KeyId) -> Result<Receipt, EngineError> {
        let now = self.shared.clock.now();
        let result = self
            .load(key)
            .and_then(|entry| authz::check::<ReadKey>(caller, entry))
            .and_then(|proof| self.receipt_of(proof.entry()));
        self.audit::<ReadKey>(caller, now, Some(key), result.as_ref().err())?;
        result
    }
}

/// What the caller signed, if it is about exactly this.
fn requester_evidence(
    caller: &Caller,
    record: &KeyRecord,
    request: &DestroyRequest,
    now: UnixMillis,
) -> Result<Vec<Evidence>, EngineError> {
    let Some(signed) = &request.signed else { return Ok(Vec::new()) };
    if let Some(ordered) = &signed.request {
        let named = ordered.path.rsplit_once('/').map_or("", |(_, name)| name);
        let is_named = record.aliases.iter().any(|alias| alias.text == named);
        // A receipt that holds it would be refused otherwise.
        if ordered.method != DELETE || !is_named || ordered.time > now {
            return Err(EngineError::EvidenceNotValid("what was signed is another request"));
        }
    }
    Ok(vec![signed_by(caller, EvidenceRole::Requester, signed, now)?])
}

/// The method of a request that orders a destruction.
const DELETE: &str = "DELETE";

/// A key that goes with another one, and what depends on it.
pub(super) struct GoingWith {
    pub(super) entry: Arc<KeyEntry>,
    dependants: Vec<KeyId>,
}

/// The step that makes a key wait for its destruction.
fn schedule_step(
    caller: &Caller,
    entry: &Arc<KeyEntry>,
    request: &DestroyRequest,
    (now, due): (UnixMillis, UnixMillis),
    evidence: Vec<Evidence>,
    preconditions: Preconditions,
) -> Result<Step, EngineError> {
    let mut record = entry.record().clone();
    let transition = Transition::ScheduleDestruction { due };
    record.state = record.state.after(transition)?;
    let cancel_to = match request.when {
        DestroyWhen::Scheduled { cancel_to, .. } => cancel_to,
        DestroyWhen::AsSoonAsAllowed | DestroyWhen::AtOnce => None,
    };
    record.details_mut().pending = Some(Pending {
        requested: now,
        by: caller.principal(),
        door: caller.door.into(),
        reason: request.reason.as_str().into(),
        cancel_to,
        evidence,
    });
    push_history(&mut record, transition, now, caller.principal(), caller.door);
    let facts = vec![("due", due.to_string()), ("reason", request.reason.clone())];
    let (seen, kind) = (entry.clone(), EntryType::KeyDestructionRequested);
    let update = KeyUpdate { seen, record, kind, facts, secrets: Vec::new(), preconditions };
    Ok(Step::UpdateKey(Box::new(update)))
}

/// What was signed when the destruction was scheduled, and since: whoever approved both counts
/// once, and of more than a receipt holds the earlier stand.
fn joined(before: Vec<Evidence>, since: Vec<Evidence>) -> Vec<Evidence> {
    let mut all = before;
    for evidence in since {
        let is_there =
            |other: &Evidence| (other.role, other.principal) == (evidence.role, evidence.principal);
        if !all.iter().any(is_there) && all.len() < EVIDENCE_STATEMENTS_MAX {
            all.push(evidence);
        }
    }
    all
}

fn approver_evidence(approval: Option<&ApprovalRecord>) -> Vec<Evidence> {
    let approvals = approval.into_iter().flat_map(|record| &record.approvals);
    approvals.map(|approval| approval.evidence.clone()).collect()
}

/// What the caller lacks for the operation. Who may destroy may also schedule it.
pub(super) fn lacking(caller: &Caller, entry: &KeyEntry, when: DestroyWhen) -> Option<Permission> {
    let needed = match when {
        DestroyWhen::AsSoonAsAllowed | DestroyWhen::AtOnce => Permission::KeysDestroy,
        DestroyWhen::Scheduled { .. } => Permission::KeysDestroySchedule,
    };
    let may =
        caller.may(needed, entry.record()) || caller.may(Permission::KeysDestroy, entry.record());
    (!may).then_some(needed)
}

pub(super) fn wish(when: DestroyWhen) -> Wish {
    match when {
        DestroyWhen::AsSoonAsAllowed | DestroyWhen::AtOnce => Wish::AtOnce,
        DestroyWhen::Scheduled { window, .. } => Wish::Scheduled { window },
    }
}

pub(super) fn before(now: UnixMillis, by: Duration) -> UnixMillis {
    UnixMillis(now.0.saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}
