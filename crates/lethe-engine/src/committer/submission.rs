//! What requests hand to the committer.

use std::sync::Arc;

use futures_channel::oneshot;
use lethe_crypto::registry::Material;
use lethe_types::{KeyId, UnixMillis};

use super::Committed;
use crate::EngineError;
use crate::authz::PrincipalEntry;
use crate::catalogue::KeyEntry;
use crate::idempotency::IdempotencyKey;
use crate::record::{KeyRecord, PrincipalRecord, RealmRecord, VaultRecord};

/// A change, authorised and planned against the entries that it names.
#[derive(Debug)]
pub(crate) enum Change {
    AddVersion { seen: Arc<KeyEntry>, material: Material },
    CreateKey { record: KeyRecord, material: Material },
    CreatePrincipal(PrincipalRecord),
    CreateRealm { realm: RealmRecord, vault: VaultRecord },
    CreateVault(VaultRecord),
    DestroyKey { seen: Arc<KeyEntry>, requested: UnixMillis, reason: String },
    RevokePrincipal { record: PrincipalRecord, seen: Arc<PrincipalEntry> },
}

impl Change {
    /// Whether key material goes.
    pub(crate) fn destroys(&self) -> bool {
        matches!(self, Self::DestroyKey { .. })
    }

    /// The key that it changes, made or not.
    pub(crate) fn key(&self) -> Option<KeyId> {
        match self {
            Self::AddVersion { seen, .. } | Self::DestroyKey { seen, .. } => Some(seen.record().id),
            Self::CreateKey { record, .. } => Some(record.id),
            Self::CreatePrincipal(_)
            | Self::CreateRealm { .. }
            | Self::CreateVault(_)
            | Self::RevokePrincipal { .. } => None,
        }
    }

    /// The principal or vault that it is about, if it is about no key.
    pub(crate) fn subject(&self) -> Option<[u8; 16]> {
        match self {
            Self::CreatePrincipal(record) | Self::RevokePrincipal { record, .. } => {
                Some(record.id.0)
            }
            Self::CreateRealm { vault, .. } | Self::CreateVault(vault) => Some(vault.id.0),
            Self::AddVersion { .. } | Self::CreateKey { .. } | Self::DestroyKey { .. } => None,
        }
    }
}

/// Why a submission was not committed.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// What it was planned against has changed: plan again, or send the change again if it still
    /// stands.
    Conflict(Box<Change>),
    /// It failed, and nothing was changed unless the error says otherwise.
    Refused(EngineError),
}

/// Where an answer goes.
pub(crate) type ReplySender = oneshot::Sender<Result<Committed, CommitError>>;

/// A change, who asked for it, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) change: Change,
    pub(crate) principal: Arc<PrincipalEntry>,
    pub(crate) door: &'static str,
    pub(crate) idempotency: Option<IdempotencyKey>,
    pub(crate) reply: ReplySender,
}

impl Submission {
    pub(crate) fn refuse(self, error: EngineError) {
        let _gone = self.reply.send(Err(CommitError::Refused(error)));
    }

    pub(crate) fn conflict(self) {
        let _gone = self.reply.send(Err(CommitError::Conflict(Box::new(self.change))));
    }
}
