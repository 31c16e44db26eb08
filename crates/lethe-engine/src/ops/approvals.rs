//! Ask others to agree to a destruction, and agree.

use std::sync::Arc;
use std::time::Duration;

use lethe_crypto::registry::{Algorithm, SignatureScheme};
use lethe_log::{ClientKey, is_person_present, signed_bytes};
use lethe_types::limits::{APPROVAL_REQUESTS_MAX, APPROVALS_MAX};
use lethe_types::{ApprovalId, CredentialId, KeyId, Permission, UnixMillis};

use super::destroy::SignedRequest;
use super::{Planned, Touched};
use crate::authz::{
    self, Approve, Caller, Operation, ReadApproval, RequestApproval, WithdrawApproval,
};
use crate::catalogue::KeyEntry;
use crate::committer::{Change, Step};
use crate::lifecycle;
use crate::record::{
    Approval, ApprovalRecord, ApprovalState, CredentialKind, Evidence, EvidenceRole,
};
use crate::{Engine, EngineError};

/// How long a request is good for where no policy says it.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(7 * 24 * 3_600);

impl Engine {
    /// Asks for approval of the destruction of `key`. What approvers sign is
    /// [`ApprovalRecord::statement`].
    ///
    /// # Errors
    /// [`EngineError::ServerLimitExceeded`] if too many requests are open in the realm.
    pub async fn request_approval(
        &self,
        caller: &Caller,
        key: KeyId,
        reason: &str,
    ) -> Result<Arc<ApprovalRecord>, EngineError> {
        let id = ApprovalId::random(&*self.shared.entropy)?;
        self.change_approval::<RequestApproval>(caller, id, |now| {
            lifecycle::check_reason(reason)?;
            let proof = authz::check::<RequestApproval>(caller, self.load(key)?)?;
            let entry = proof.entry();
            if entry.record().state.is_destroyed() {
                return Err(EngineError::ObjectDestroyed(key));
            }
            let others = self.shared.catalogue.approvals(caller.realm());
            let open = others.iter().filter(|other| is_open(other, now)).count();
            if open >= APPROVAL_REQUESTS_MAX {
                return Err(EngineError::ServerLimitExceeded("open requests for approval"));
            }
            let rule = self.policy_of(entry.record()).approvals;
            let lifetime = rule.map_or(LIFETIME_DEFAULT, |rule| rule.lifetime);
            let record = ApprovalRecord {
                id,
                realm: caller.realm(),
                key,
                requester: caller.principal(),
                reason: reason.into(),
                created: now,
                expires: now.saturating_add(lifetime),
                state: ApprovalState::Open,
                approvals: Vec::new(),
            };
            Ok((None, record))
        })
        .await
    }

    /// Agrees to a request, with a signature by a signing key of the caller's over the request's
    /// statement.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`] also for the requester, who never counts;
    /// [`EngineError::EvidenceNotValid`] for a signature that does not hold, or a request that is
    /// used, withdrawn, over, or was approved by the caller before.
    pub async fn approve(
        &self,
        caller: &Caller,
        approval: ApprovalId,
        credential: CredentialId,
        signature: &[u8],
    ) -> Result<Arc<ApprovalRecord>, EngineError> {
        self.change_approval::<Approve>(caller, approval, |now| {
            let (seen, key) = self.find_approval::<Approve>(caller, approval)?;
            drop(key);
            if seen.requester == caller.principal() {
                return Err(EngineError::PermissionDenied(Permission::KeysDestroyApprove));
            }
            let refused = |why| Err(EngineError::EvidenceNotValid(why));
            match seen.state {
                ApprovalState::Open if now >= seen.expires => {
                    return refused("the request's time is over");
                }
                ApprovalState::Open => {}
                ApprovalState::Used => return refused("the request was used"),
                ApprovalState::Withdrawn => return refused("the request was withdrawn"),
            }
            let by = caller.principal();
            if seen.approvals.iter().any(|other| other.evidence.principal == by) {
                return refused("you approved it before");
            }
            if seen.approvals.len() >= usize::from(APPROVALS_MAX) {
                return Err(EngineError::ServerLimitExceeded("approvals of one request"));
            }
            let signed = SignedRequest::plain(credential, seen.statement(), signature);
            let evidence = signed_by(caller, EvidenceRole::Approver, &signed, now)?;
            let mut record = (*seen).clone();
            record.approvals.push(Approval { at: now, credential, evidence });
            Ok((Some(seen), record))
        })
        .await
    }

    /// Ends a request: its requester may, and who may approve.
    ///
    /// # Errors
    /// [`EngineError::EvidenceNotValid`] if it is not open.
    pub async fn withdraw_approval(
        &self,
        caller: &Caller,
        approval: ApprovalId,
    ) -> Result<Arc<ApprovalRecord>, EngineError> {
        self.change_approval::<WithdrawApproval>(caller, approval, |_| {
            let (seen, key) = self.find_approval::<WithdrawApproval>(caller, approval)?;
            let approver = caller.may(Permission::KeysDestroyApprove, key.record());
            if seen.requester != caller.principal() && !approver {
                return Err(EngineError::PermissionDenied(Permission::KeysDestroyApprove));
            }
            if seen.state != ApprovalState::Open {
                return Err(EngineError::EvidenceNotValid("the request is not open"));
            }
            let mut record = (*seen).clone();
            record.state = ApprovalState::Withdrawn;
            Ok((Some(seen), record))
        })
        .await
    }

    /// One request for approval.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`].
    pub fn read_approval(
        &self,
        caller: &Caller,
        approval: ApprovalId,
    ) -> Result<Arc<ApprovalRecord>, EngineError> {
        let result = self.find_approval::<ReadApproval>(caller, approval).map(|(seen, _)| seen);
        self.audit_approval::<ReadApproval>(caller, approval, result.as_ref().err())?;
        result
    }

    /// The requests for approval that the caller may see, newest first, at most `limit`; of one key
    /// if one is named, and only those that can still be approved if `open`.
    ///
    /// # Errors
    /// [`EngineError::AuditUnavailable`].
    pub fn list_approvals(
        &self,
        caller: &Caller,
        key: Option<KeyId>,
        open: bool,
        limit: usize,
    ) -> Result<Vec<Arc<ApprovalRecord>>, EngineError> {
        let now = self.shared.clock.now();
        let catalogue = &self.shared.catalogue;
        let mut found = match key {
            Some(key) => catalogue.approvals_of(key),
            None => catalogue.approvals(caller.realm()),
        };
        found.retain(|record| {
            let readable =
                || catalogue.key(record.key).is_some_and(|key| caller.may_read(key.record()));
            record.realm == caller.realm() && (!open || is_open(record, now)) && readable()
        });
        found.sort_by_key(|record| core::cmp::Reverse((record.created, record.id)));
        found.truncate(limit);
        self.audit::<ReadApproval>(caller, now, key, None)?;
        Ok(found)
    }

    /// The request and its key, if the caller may do `Op` to that key.
    fn find_approval<Op: Operation>(
        &self,
        caller: &Caller,
        approval: ApprovalId,
    ) -> Result<(Arc<ApprovalRecord>, Arc<KeyEntry>), EngineError> {
        let unknown = EngineError::ItemNotFound("request for approval");
        let found = self.shared.catalogue.approval(caller.realm(), approval).ok_or(unknown)?;
        let proof = authz::check::<Op>(caller, self.load(found.key)?)?;
        Ok((found, proof.entry().clone()))
    }

    async fn change_approval<Op: Operation>(
        &self,
        caller: &Caller,
        id: ApprovalId,
        mut plan: impl FnMut(
            UnixMillis,
        )
            -> Result<(Option<Arc<ApprovalRecord>>, ApprovalRecord), EngineError>,
    ) -> Result<Arc<ApprovalRecord>, EngineError> {
        let result = self
            .change(caller, None, |_| {
                let (seen, record) = plan(self.shared.clock.now())?;
                let step = Step::PutApproval { seen, record: Box::new(record) };
                Ok(Planned::Change(Change::one(step)))
            })
            .await;
        self.audit_approval::<Op>(caller, id, result.as_ref().err())?;
        result?;
        let made = self.shared.catalogue.approval(caller.realm(), id);
        made.ok_or(EngineError::Internal("a request for approval that vanished"))
    }

    fn audit_approval<Op: Operation>(
        &self,
        caller: &Caller,
        approval: ApprovalId,
        refusal: Option<&EngineError>,
    ) -> Result<(), EngineError> {
        let key = self.shared.catalogue.approval(caller.realm(), approval).map(|record| record.key);
        let touched = Touched { key, subject: Some(approval.0), ..Touched::default() };
        self.record::<Op>(caller, self.shared.clock.now(), touched, refusal)
    }
}

fn is_open(record: &ApprovalRecord, now: UnixMillis) -> bool {
    record.state == ApprovalState::Open && now < record.expires
}

/// What `caller` proves by a signature with a signing key of theirs.
///
/// # Errors
/// [`EngineError::EvidenceNotValid`].
pub(crate) fn signed_by(
    caller: &Caller,
    role: EvidenceRole,
    signed: &SignedRequest,
    now: UnixMillis,
) -> Result<Evidence, EngineError> {
    let credentials = &caller.principal.record.credentials;
    let found =
        credentials.iter().find(|other| other.id == signed.credential && other.is_live(now));
    let kind = found.map(|credential| &credential.kind);
    let Some(CredentialKind::PublicKey { scheme, spki_der, .. }) = kind else {
        return Err(EngineError::EvidenceNotValid("you have no such signing key"));
    };
    let scheme: &str = signed.scheme.map_or(scheme, |scheme| scheme.as_str());
    let authenticator_data = signed.authenticator_data.as_deref();
    let message = signed_bytes(&signed.statement, authenticator_data);
    if !signature_holds(scheme, spki_der, &message, &signed.signature) {
        return Err(EngineError::EvidenceNotValid("the signature does not hold"));
    }
    if !authenticator_data.is_none_or(is_person_present) {
        return Err(EngineError::EvidenceNotValid("nobody was present"));
    }
    if let Some(request) = &signed.request {
        let is_own = (request.realm, request.principal) == (caller.realm(), caller.principal());
        let kind = ClientKey::of(authenticator_data);
        if !is_own || request.is_challenge_of(&signed.statement, kind) != Ok(true) {
            return Err(EngineError::EvidenceNotValid("what was signed is another request"));
        }
    }
    let evidence = Evidence {
        role,
        principal: caller.principal(),
        statement: signed.statement.clone(),
        scheme: scheme.to_owned(),
        public_key_der: spki_der.clone(),
        signature: signed.signature.as_slice().into(),
        request: signed.request.as_ref().map(|request| request.to_text().into()),
        authenticator_data: signed.authenticator_data.as_deref().map(Into::into),
    };
    // Now, since later nothing could be destroyed with it any more.
    let fits = evidence.to_statement().check();
    fits.map_err(|_| EngineError::EvidenceNotValid("it is empty, or too long for a receipt"))?;
    Ok(evidence)
}

/// Whether `signature` is of `message` by the public key. A scheme or key that this build does not
/// know proves nothing.
pub(crate) fn signature_holds(
    scheme: &str,
    spki_der: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    let Ok(scheme) = scheme.parse::<SignatureScheme>() else { return false };
    let candidates = Algorithm::all().filter(|algorithm| algorithm.schemes().contains(&scheme));
    let mut keys = candidates.filter_map(|algorithm| algorithm.load_public(spki_der).ok());
    keys.any(|key| key.verify(Some(scheme), message, signature).unwrap_or(false))
}
