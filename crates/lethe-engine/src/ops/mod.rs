//! The operations, one file each: load, authorise, plan, commit, answer.

mod authenticate;
mod create;
mod destroy;
mod principals;
mod read;
mod rotate;
mod vaults;

pub use create::{CreateKeyRequest, PreparedKey};
pub use destroy::{DestroyRequest, Destroyed};
pub use principals::{CreatePrincipalRequest, NewPrincipal};
pub use read::{KeyFilter, KeyPage};

use futures_channel::oneshot;
use lethe_types::limits::CONFLICT_RETRIES_MAX;
use lethe_types::{KeyId, UnixMillis};

use crate::audit::{AuditEvent, hex};
use crate::authz::{Caller, Operation};
use crate::committer::{Change, CommitError, Committed, Submission};
use crate::idempotency::IdempotencyKey;
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
        self.audit_change::<Op>(caller, now, key, refusal, None)
    }

    fn audit_change<Op: Operation>(
        &self,
        caller: &Caller,
        now: UnixMillis,
        key: Option<KeyId>,
        refusal: Option<&EngineError>,
        log_index: Option<u64>,
    ) -> Result<(), EngineError> {
        let mut digits = [0; 32];
        let event = AuditEvent {
            time: now,
            realm: Some(caller.realm()),
            principal: Some(caller.principal()),
            credential: caller.credential,
            door: caller.door,
            operation: Op::NAME,
            key,
            refusal: refusal.map(EngineError::code),
            request: hex(&caller.request, &mut digits),
            log_index,
        };
        self.shared.audit.record(&event).map_err(|_| EngineError::AuditUnavailable)
    }

    /// Hands changes to the committer until one is not lost to a race. `plan` is called again with
    /// every try, so that it sees what the winner of the race left.
    async fn change(
        &self,
        caller: &Caller,
        idempotency: Option<&IdempotencyKey>,
        mut plan: impl FnMut() -> Result<Planned, EngineError>,
    ) -> Result<Committed, EngineError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let change = match plan()? {
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
            // The committer answers everything it took; a dropped sender means that it ended.
            match answer.await.unwrap_or(Err(CommitError::Refused(EngineError::ShuttingDown))) {
                Ok(committed) => return Ok(committed),
                Err(CommitError::Refused(error)) => return Err(error),
                Err(CommitError::Conflict) => {}
            }
        }
        Err(EngineError::ServerLimitExceeded("retries of an operation that loses every race"))
    }
}

/// What an operation's plan says.
enum Planned {
    /// Commit this.
    Change(Box<Change>),
    /// It was done before; nothing is to be committed.
    Done(Committed),
}
