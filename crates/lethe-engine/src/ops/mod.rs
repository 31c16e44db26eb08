//! The operations, one file each: load, authorise, plan, commit, answer.

mod authenticate;
mod create;
mod destroy;
mod principals;
mod read;
mod rotate;
mod vaults;

pub(crate) use authenticate::Attempted;
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
        self.record::<Op>(caller, now, Touched { key, ..Touched::default() }, refusal)
    }

    /// Queues the event of a change that is made. It cannot be undone any more, so that a trail
    /// that fails just now does not change the answer; the trail's health tells of it.
    fn audit_done<Op: Operation>(&self, caller: &Caller, now: UnixMillis, touched: Touched) {
        let _told_by_health = self.record::<Op>(caller, now, touched, None);
    }

    fn record<Op: Operation>(
        &self,
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
            operation: Op::NAME,
            key: touched.key,
            subject: touched.subject,
            refusal: refusal.map(EngineError::code),
            request: hex(&caller.request, &mut digits),
            log_index: touched.log_index,
        };
        self.shared.audit.record(&event).map_err(|_| EngineError::AuditUnavailable)
    }

    /// Hands changes to the committer until one is not lost to a race. `plan` is called again with
    /// every try, so that it sees what the winner of the race left; it gets back the change that
    /// lost.
    async fn change(
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

/// What a decision was about.
#[derive(Clone, Copy, Default)]
struct Touched {
    key: Option<KeyId>,
    /// A principal or vault.
    subject: Option<[u8; 16]>,
    log_index: Option<u64>,
}

/// What an operation's plan says.
enum Planned {
    /// Commit this.
    Change(Box<Change>),
    /// It was done before; nothing is to be committed.
    Done(Committed),
}
