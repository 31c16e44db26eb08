//! Requests for approval and bulk destructions.

use lethe_types::{ApprovalId, CredentialId, JobId, KeyId, PrincipalId, RealmId, UnixMillis};
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};

use super::details::{StoredEvidence, evidence_from_stored, evidence_to_stored};
use super::{Undecodable, decode, encode};
use crate::record::{Approval, ApprovalRecord, ApprovalState, Bulk, JobRecord, JobState};

/// States: 1 open, 2 used, 3 withdrawn.
#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredApprovalRecord {
    #[n(0)]
    id: ByteArray<16>,
    #[n(1)]
    realm: ByteArray<16>,
    #[n(2)]
    key: ByteArray<16>,
    #[n(3)]
    requester: ByteArray<16>,
    #[n(4)]
    reason: String,
    #[n(5)]
    created: u64,
    #[n(6)]
    expires: u64,
    #[n(7)]
    state: u8,
    #[n(8)]
    approvals: Vec<StoredApproval>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredApproval {
    #[n(0)]
    at: u64,
    #[n(1)]
    credential: ByteArray<16>,
    #[n(2)]
    evidence: StoredEvidence,
}

/// States: 1 cancelled, 2 done, 3 failed, 4 running.
#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredJob {
    #[n(0)]
    id: ByteArray<16>,
    #[n(1)]
    realm: ByteArray<16>,
    #[n(2)]
    by: ByteArray<16>,
    #[n(3)]
    door: String,
    #[n(4)]
    created: u64,
    #[n(5)]
    changed: u64,
    #[n(6)]
    selection: String,
    #[n(7)]
    reason: String,
    #[n(8)]
    state: u8,
    #[n(9)]
    total: u64,
    #[n(10)]
    position: u64,
    #[n(11)]
    destroyed: u64,
    #[n(12)]
    refused: u64,
    #[n(13)]
    failure: Option<String>,
    #[n(14)]
    scheduled: u64,
}

/// A record as stored.
#[must_use]
pub(crate) fn encode_approval(record: &ApprovalRecord) -> Vec<u8> {
    encode(&StoredApprovalRecord {
        id: record.id.0.into(),
        realm: record.realm.0.into(),
        key: record.key.0.into(),
        requester: record.requester.0.into(),
        reason: record.reason.to_string(),
        created: record.created.0,
        expires: record.expires.0,
        state: match record.state {
            ApprovalState::Open => 1,
            ApprovalState::Used => 2,
            ApprovalState::Withdrawn => 3,
        },
        approvals: record
            .approvals
            .iter()
            .map(|approval| StoredApproval {
                at: approval.at.0,
                credential: approval.credential.0.into(),
                evidence: evidence_to_stored(&approval.evidence),
            })
            .collect(),
    })
}

/// A record from its stored form.
///
/// # Errors
/// [`Undecodable`].
pub(crate) fn decode_approval(bytes: &[u8]) -> Result<ApprovalRecord, Undecodable> {
    let stored: StoredApprovalRecord = decode(bytes)?;
    let approval = |stored: StoredApproval| {
        Ok(Approval {
            at: UnixMillis(stored.at),
            credential: CredentialId(*stored.credential),
            evidence: evidence_from_stored(stored.evidence)?,
        })
    };
    Ok(ApprovalRecord {
        id: ApprovalId(*stored.id),
        realm: RealmId(*stored.realm),
        key: KeyId(*stored.key),
        requester: PrincipalId(*stored.requester),
        reason: stored.reason.into(),
        created: UnixMillis(stored.created),
        expires: UnixMillis(stored.expires),
        state: match stored.state {
            1 => ApprovalState::Open,
            2 => ApprovalState::Used,
            3 => ApprovalState::Withdrawn,
            _ => return Err(Undecodable("state of a request for approval")),
        },
        approvals: stored.approvals.into_iter().map(approval).collect::<Result<_, _>>()?,
    })
}

/// A record as stored.
#[must_use]
pub(crate) fn encode_job(record: &JobRecord) -> Vec<u8> {
    encode(&StoredJob {
        id: record.id.0.into(),
        realm: record.realm.0.into(),
        by: record.by.0.into(),
        door: record.door.to_string(),
        created: record.created.0,
        changed: record.changed.0,
        selection: record.bulk.selection.to_string(),
        reason: record.bulk.reason.to_string(),
        state: match record.state {
            JobState::Cancelled => 1,
            JobState::Done => 2,
            JobState::Failed => 3,
            JobState::Running => 4,
        },
        total: record.total,
        position: record.position,
        destroyed: record.destroyed,
        refused: record.refused,
        failure: record.failure.as_deref().map(str::to_owned),
        scheduled: record.scheduled,
    })
}

/// A record from its stored form.
///
/// # Errors
/// [`Undecodable`].
pub(crate) fn decode_job(bytes: &[u8]) -> Result<JobRecord, Undecodable> {
    let stored: StoredJob = decode(bytes)?;
    Ok(JobRecord {
        id: JobId(*stored.id),
        realm: RealmId(*stored.realm),
        by: PrincipalId(*stored.by),
        door: stored.door.into(),
        created: UnixMillis(stored.created),
        changed: UnixMillis(stored.changed),
        bulk: Bulk { selection: stored.selection.into(), reason: stored.reason.into() },
        state: match stored.state {
            1 => JobState::Cancelled,
            2 => JobState::Done,
            3 => JobState::Failed,
            4 => JobState::Running,
            _ => return Err(Undecodable("state of a bulk destruction")),
        },
        total: stored.total,
        position: stored.position,
        destroyed: stored.destroyed,
        scheduled: stored.scheduled,
        refused: stored.refused,
        failure: stored.failure.map(Into::into),
    })
}
