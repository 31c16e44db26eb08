//! What a key can have beside its material.

use lethe_types::{HoldId, KeyId, LabelName, LabelValue, PrincipalId, Transition, UnixMillis};
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

use super::key::{stable_code, stable_from_code};
use super::life::{StoredLife, life_from_stored, life_to_stored};
use super::{StoredAttribute, Undecodable, attributes_from_stored, attributes_to_stored};
use crate::record::{
    ChangedState, Derivation, Evidence, EvidenceRole, Hold, HoldKind, KeyDetails, OwnedSecret,
    Pending,
};

#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct StoredDetails {
    #[n(0)]
    protected: bool,
    #[n(1)]
    labels: Vec<StoredLabel>,
    #[n(2)]
    holds: Vec<StoredHold>,
    #[n(3)]
    attributes: Vec<StoredAttribute>,
    #[n(4)]
    derivation: Option<StoredDerivation>,
    #[n(5)]
    history: Vec<StoredChange>,
    #[n(6)]
    secrets: Vec<StoredSecret>,
    #[n(7)]
    fingerprints: Vec<ByteArray<32>>,
    #[n(8)]
    pending: Option<StoredPending>,
    #[n(9)]
    life: Option<StoredLife>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct StoredLabel {
    #[n(0)]
    name: String,
    #[n(1)]
    value: String,
}

/// Kinds: 1 legal, 2 operational.
#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredHold {
    #[n(0)]
    id: ByteArray<16>,
    #[n(1)]
    kind: u8,
    #[n(2)]
    reason: String,
    #[n(3)]
    placed: u64,
    #[n(4)]
    by: ByteArray<16>,
    #[n(5)]
    expires: Option<u64>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredDerivation {
    #[n(0)]
    parent: ByteArray<16>,
    #[n(1)]
    path: String,
    #[n(2)]
    depends: bool,
}

/// Transitions: 1 activate, 2 suspend, 3 resume, 4 deactivate, 5 compromise, 6 schedule
/// destruction, 7 cancel destruction, 8 destroy.
#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredChange {
    #[n(0)]
    transition: u8,
    #[n(1)]
    due: Option<u64>,
    #[n(2)]
    at: u64,
    #[n(3)]
    by: ByteArray<16>,
    #[n(4)]
    door: String,
}

#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct StoredSecret {
    #[n(0)]
    name: String,
    #[n(1)]
    leaf: u64,
    #[n(2)]
    number: u32,
    #[n(3)]
    sealed: ByteVec,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredPending {
    #[n(0)]
    requested: u64,
    #[n(1)]
    by: ByteArray<16>,
    #[n(2)]
    door: String,
    #[n(3)]
    reason: String,
    #[n(4)]
    cancel_to: Option<u8>,
    #[n(5)]
    evidence: Vec<StoredEvidence>,
}

/// Roles: 1 approver, 2 requester.
#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct StoredEvidence {
    #[n(0)]
    role: u8,
    #[n(1)]
    principal: ByteArray<16>,
    #[n(2)]
    statement: String,
    #[n(3)]
    scheme: String,
    #[n(4)]
    public_key_der: ByteVec,
    #[n(5)]
    signature: ByteVec,
    #[n(6)]
    request: Option<String>,
    #[n(7)]
    authenticator_data: Option<ByteVec>,
}

pub(super) fn details_to_stored(details: &KeyDetails) -> StoredDetails {
    StoredDetails {
        protected: details.protected,
        labels: labels_to_stored(&details.labels),
        holds: details.holds.iter().map(hold_to_stored).collect(),
        attributes: attributes_to_stored(&details.attributes),
        derivation: details.derivation.as_ref().map(|derivation| StoredDerivation {
            parent: derivation.parent.0.into(),
            path: derivation.path.to_string(),
            depends: derivation.depends,
        }),
        history: details.history.iter().map(change_to_stored).collect(),
        secrets: details.secrets.iter().map(secret_to_stored).collect(),
        fingerprints: details.fingerprints.iter().map(|digest| (*digest).into()).collect(),
        pending: details.pending.as_ref().map(|pending| StoredPending {
            requested: pending.requested.0,
            by: pending.by.0.into(),
            door: pending.door.to_string(),
            reason: pending.reason.to_string(),
            cancel_to: pending.cancel_to.map(stable_code),
            evidence: pending.evidence.iter().map(evidence_to_stored).collect(),
        }),
        life: details.life.as_deref().map(life_to_stored),
    }
}

pub(super) fn details_from_stored(stored: StoredDetails) -> Result<KeyDetails, Undecodable> {
    Ok(KeyDetails {
        protected: stored.protected,
        labels: labels_from_stored(stored.labels)?,
        holds: stored.holds.into_iter().map(hold_from_stored).collect::<Result<_, _>>()?,
        attributes: attributes_from_stored(stored.attributes),
        derivation: stored.derivation.map(|derivation| Derivation {
            parent: KeyId(*derivation.parent),
            path: derivation.path.into(),
            depends: derivation.depends,
        }),
        history: stored.history.into_iter().map(change_from_stored).collect::<Result<_, _>>()?,
        secrets: stored.secrets.into_iter().map(secret_from_stored).collect(),
        fingerprints: stored.fingerprints.into_iter().map(|digest| *digest).collect(),
        pending: stored.pending.map(pending_from_stored).transpose()?,
        life: stored.life.map(life_from_stored).transpose()?.map(Box::new),
    })
}

fn pending_from_stored(stored: StoredPending) -> Result<Pending, Undecodable> {
    let cancel_to = match stored.cancel_to {
        Some(code) => Some(stable_from_code(code).ok_or(Undecodable("key state"))?),
        None => None,
    };
    Ok(Pending {
        requested: UnixMillis(stored.requested),
        by: PrincipalId(*stored.by),
        door: stored.door.into(),
        reason: stored.reason.into(),
        cancel_to,
        evidence: stored
            .evidence
            .into_iter()
            .map(evidence_from_stored)
            .collect::<Result<_, _>>()?,
    })
}

pub(super) fn labels_to_stored(
    labels: &std::collections::BTreeMap<LabelName, LabelValue>,
) -> Vec<StoredLabel> {
    labels
        .iter()
        .map(|(name, value)| StoredLabel { name: name.to_string(), value: value.to_string() })
        .collect()
}

pub(super) fn labels_from_stored(
    stored: Vec<StoredLabel>,
) -> Result<std::collections::BTreeMap<LabelName, LabelValue>, Undecodable> {
    let label = |stored: StoredLabel| {
        let name = stored.name.parse().map_err(|_| Undecodable("label name"))?;
        Ok((name, stored.value.parse().map_err(|_| Undecodable("label value"))?))
    };
    stored.into_iter().map(label).collect()
}

fn hold_to_stored(hold: &Hold) -> StoredHold {
    StoredHold {
        id: hold.id.0.into(),
        kind: match hold.kind {
            HoldKind::Legal => 1,
            HoldKind::Operational => 2,
        },
        reason: hold.reason.clone(),
        placed: hold.placed.0,
        by: hold.by.0.into(),
        expires: hold.expires.map(|time| time.0),
    }
}

fn hold_from_stored(stored: StoredHold) -> Result<Hold, Undecodable> {
    Ok(Hold {
        id: HoldId(*stored.id),
        kind: match stored.kind {
            1 => HoldKind::Legal,
            2 => HoldKind::Operational,
            _ => return Err(Undecodable("kind of a hold")),
        },
        reason: stored.reason,
        placed: UnixMillis(stored.placed),
        by: PrincipalId(*stored.by),
        expires: stored.expires.map(UnixMillis),
    })
}

fn change_to_stored(change: &ChangedState) -> StoredChange {
    let (transition, due) = match change.transition {
        Transition::Activate => (1, None),
        Transition::Suspend => (2, None),
        Transition::Resume => (3, None),
        Transition::Deactivate => (4, None),
        Transition::Compromise => (5, None),
        Transition::ScheduleDestruction { due } => (6, Some(due.0)),
        Transition::CancelDestruction => (7, None),
        Transition::Destroy => (8, None),
    };
    StoredChange {
        transition,
        due,
        at: change.at.0,
        by: change.by.0.into(),
        door: change.door.to_string(),
    }
}

fn change_from_stored(stored: StoredChange) -> Result<ChangedState, Undecodable> {
    let transition = match (stored.transition, stored.due) {
        (1, None) => Transition::Activate,
        (2, None) => Transition::Suspend,
        (3, None) => Transition::Resume,
        (4, None) => Transition::Deactivate,
        (5, None) => Transition::Compromise,
        (6, Some(due)) => Transition::ScheduleDestruction { due: UnixMillis(due) },
        (7, None) => Transition::CancelDestruction,
        (8, None) => Transition::Destroy,
        _ => return Err(Undecodable("a state change")),
    };
    Ok(ChangedState {
        transition,
        at: UnixMillis(stored.at),
        by: PrincipalId(*stored.by),
        door: stored.door.into(),
    })
}

pub(super) fn secret_to_stored(secret: &OwnedSecret) -> StoredSecret {
    StoredSecret {
        name: secret.name.to_string(),
        leaf: secret.leaf,
        number: secret.number,
        sealed: secret.sealed.to_vec().into(),
    }
}

pub(super) fn secret_from_stored(stored: StoredSecret) -> OwnedSecret {
    OwnedSecret {
        name: stored.name.into(),
        leaf: stored.leaf,
        number: stored.number,
        sealed: Vec::from(stored.sealed).into(),
    }
}

pub(super) fn evidence_to_stored(evidence: &Evidence) -> StoredEvidence {
    StoredEvidence {
        role: match evidence.role {
            EvidenceRole::Approver => 1,
            EvidenceRole::Requester => 2,
        },
        principal: evidence.principal.0.into(),
        statement: evidence.statement.clone(),
        scheme: evidence.scheme.clone(),
        public_key_der: evidence.public_key_der.to_vec().into(),
        signature: evidence.signature.to_vec().into(),
        request: evidence.request.as_deref().map(str::to_owned),
        authenticator_data: evidence.authenticator_data.as_ref().map(|data| data.to_vec().into()),
    }
}

pub(super) fn evidence_from_stored(stored: StoredEvidence) -> Result<Evidence, Undecodable> {
    Ok(Evidence {
        role: match stored.role {
            1 => EvidenceRole::Approver,
            2 => EvidenceRole::Requester,
            _ => return Err(Undecodable("role of a signature")),
        },
        principal: PrincipalId(*stored.principal),
        statement: stored.statement,
        scheme: stored.scheme,
        public_key_der: Vec::from(stored.public_key_der).into(),
        signature: Vec::from(stored.signature).into(),
        request: stored.request.map(Into::into),
        authenticator_data: stored.authenticator_data.map(|data| Vec::from(data).into()),
    })
}
