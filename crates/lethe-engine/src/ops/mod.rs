//! The operations, one file each: load, authorise, plan, commit, answer.

mod api_keys;
mod approvals;
mod authenticate;
mod backup;
mod bulk;
mod cancel;
mod create;
mod credentials;
mod destroy;
mod documents;
mod door_keys;
pub(crate) mod due;
mod events;
mod export;
mod find;
mod follow;
mod given;
mod holds;
mod import;
mod members;
mod policy;
mod preview;
mod principals;
mod read;
mod rotate;
mod rules;
mod state;
mod update;
mod usage;
mod vaults;
mod versions;

pub use api_keys::{ApiKey, CreateApiKeyRequest, api_key_algorithm};
pub(crate) use authenticate::Attempted;
pub use backup::{Backup, BackupError, BackupRow, BackupVisit, KeptRoot};
pub use bulk::{BulkRequest, LeftKey, Selection};
pub use create::{CreateKeyRequest, GivenMaterial, PreparedKey};
pub use credentials::{NewCredential, NewCredentialKind};
pub use destroy::{DestroyOutcome, DestroyRequest, DestroyWhen, Destroyed, SignedRequest};
pub use documents::{Collection, Document, DocumentChange, DocumentPage, DoorOperation, Expected};
pub use door_keys::{NumberedPage, TokensChange};
pub use events::EventReader;
pub use export::{ExportRequest, ExportTo, Exported, PlainExport, PlainExportRule};
pub use follow::{Follow, FollowVisit};
pub use given::GivenVersion;
pub use holds::HoldRequest;
pub use import::{ImportKeyRequest, ImportSource};
pub use preview::{DestructionPreview, PreviewVerdict};
pub use principals::{CreatePrincipalRequest, NewPrincipal, PrincipalChange};
pub use read::KeyPage;
pub(crate) use read::ListCursors;
pub use update::KeyChange;
pub use vaults::{VaultChange, VaultRequest};
pub use versions::{DestroyVersionRequest, EndedVersion};

use std::sync::Arc;

use futures_channel::oneshot;
use lethe_types::limits::CONFLICT_RETRIES_MAX;
use lethe_types::{KeyId, UnixMillis};

use crate::audit::{AuditEvent, hex};
use crate::authz::{self, Caller, Operation};
use crate::catalogue::KeyEntry;
use crate::committer::{Change, CommitError, Committed, Submission};
use crate::idempotency::IdempotencyKey;
use crate::shared::Shared;
use crate::{Engine, EngineError};

impl Engine {
    /// Queues one event: `operation` by `caller`, allowed if there is no `refusal`.
    pub(crate) fn audit<Op: Operation>(
        &self,
        caller: &Caller,
        now: UnixMillis,
        key: Option<KeyId>,
        refusal: Option<&EngineError>,
    ) -> Result<(), EngineError> {
        self.record::<Op>(caller, now, Touched { key, ..Touched::default() }, refusal)
    }

    /// Queues the event of a change that is made. It cannot be undone any more, so that a trail
    /// that fails just now does not change the answer; the trail's health tells of it.
    pub(crate) fn audit_done<Op: Operation>(
        &self,
        caller: &Caller,
        now: UnixMillis,
        touched: Touched,
    ) {
        let _told_by_health = self.record::<Op>(caller, now, touched, None);
    }

    pub(crate) fn record<Op: Operation>(
        &self,
        caller: &Caller,
        now: UnixMillis,
        touched: Touched,
        refusal: Option<&EngineError>,
    ) -> Result<(), EngineError> {
        record::<Op>(&self.shared, caller, now, touched, refusal)
    }

    /// Plans, commits and audits an operation on one key that is there; the key as it is then.
    pub(crate) async fn change_key<Op: Operation>(
        &self,
        caller: &Caller,
        key: KeyId,
        mut plan: impl FnMut(&Arc<KeyEntry>) -> Result<Option<Box<Change>>, EngineError>,
    ) -> Result<Arc<KeyEntry>, EngineError> {
        let result = self
            .change(caller, None, |_| {
                let proof = authz::check::<Op>(caller, self.load(key)?)?;
                let seen = proof.entry();
                if seen.record().state.is_destroyed() {
                    return Err(EngineError::ObjectDestroyed(key));
                }
                Ok(match plan(seen)? {
                    Some(change) => Planned::Change(change),
                    None => Planned::Done(Committed::already(seen.clone())),
                })
            })
            .await;
        let now = self.shared.clock.now();
        match result {
            Ok(committed) => {
                let log_index = committed.log_index();
                self.audit_done::<Op>(
                    caller,
                    now,
                    Touched { key: Some(key), log_index, ..Touched::default() },
                );
                let entry = committed.key().cloned();
                entry.ok_or(EngineError::Internal("a change of a key with another outcome"))
            }
            Err(error) => {
                self.audit::<Op>(caller, now, Some(key), Some(&error))?;
                Err(error)
            }
        }
    }

    /// Hands changes to the committer until one is not lost to a race. `plan` is called again with
    /// every try, so that it sees what the winner of the race left; it gets back the change that
    /// lost.
    pub(crate) async fn change(
        &self,
        caller: &Caller,
        idempotency: Option<&IdempotencyKey>,
        mut plan: impl FnMut(Option<Box<Change>>) -> Result<Planned, EngineError>,
    ) -> Result<Committed, EngineError> {
        let mut returned = None;
        for _ in 0..CONFLICT_RETRIES_MAX {
            // No change without a trail: what cannot be recorded is not begun.
            self.shared.audit.ready().map_err(|_| EngineError::AuditUnavailable)?;
            let change = match plan(returned.take())? {
                Planned::Change(change) => *change,
                Planned::Done(committed) => return Ok(committed),
            };
            let (reply, answer) = oneshot::channel();
            self.submit(Submission {
                change,
                principal: caller.principal.clone(),
                door: caller.door,
                idempotency: idempotency.cloned(),
                reply,
            })?;
            match answer.await {
                Ok(Ok(committed)) => return Ok(committed),
                Ok(Err(CommitError::Refused(error))) => return Err(error),
                Ok(Err(CommitError::Conflict(change))) => returned = Some(change),
                // The committer answers everything it took, unless it ended.
                Err(_) if self.shared.is_halted() => return Err(EngineError::StorageUnavailable),
                Err(_) => return Err(EngineError::ShuttingDown),
            }
        }
        Err(EngineError::ServerLimitExceeded("retries of an operation that loses every race"))
    }
}

/// Queues one event: `Op` by `caller` on what it touched, allowed if there is no `refusal`.
fn record<Op: Operation>(
    shared: &Shared,
    caller: &Caller,
    now: UnixMillis,
    touched: Touched,
    refusal: Option<&EngineError>,
) -> Result<(), EngineError> {
    record_named(shared, Op::NAME, caller, now, touched, refusal)
}

/// Queues the event of an operation of that name.
fn record_named(
    shared: &Shared,
    operation: &'static str,
    caller: &Caller,
    now: UnixMillis,
    touched: Touched,
    refusal: Option<&EngineError>,
) -> Result<(), EngineError> {
    let mut digits = [0; 32];
    let event = AuditEvent {
        time: now,
        realm: Some(caller.realm()),
        principal: Some(caller.principal()),
        credential: caller.credential,
        door: caller.door,
        operation,
        key: touched.key,
        subject: touched.subject,
        refusal: refusal.map(EngineError::code),
        request: hex(&caller.request, &mut digits),
        log_index: touched.log_index,
    };
    shared.audit.record(&event).map_err(|_| EngineError::AuditUnavailable)
}

/// What a decision was about.
#[derive(Clone, Copy, Default)]
pub(crate) struct Touched {
    pub(crate) key: Option<KeyId>,
    /// A principal, a vault, an approval, a job.
    pub(crate) subject: Option<[u8; 16]>,
    pub(crate) log_index: Option<u64>,
}

/// What an operation's plan says.
pub(crate) enum Planned {
    /// Commit this.
    Change(Box<Change>),
    /// It was done before; nothing is to be committed.
    Done(Committed),
}
