//! Delete a key: request it, call it off, carry it out. The wait and what stands before it are the
//! engine's; here is what this service demands of it.

use core::time::Duration;

use http::HeaderValue;
use lethe_engine::record::{DeletionPolicy, Window};
use lethe_engine::{DestroyOutcome, DestroyRequest, DestroyWhen, EngineError, Refusal as Guard};
use lethe_http::{Reply, Response};
use lethe_types::{Permission, StableState};

use super::life::Changed;
use crate::body;
use crate::error::Refusal;
use crate::kept::Status;
use crate::route::Ask;
use crate::visit::{CONFLICTS_MAX, Visit, Who, visit};

/// How long a requested deletion waits. Nobody can choose it.
const WAIT: Duration = Duration::from_secs(72 * 3_600);

/// The receipt of a destruction: the base64 of its `.tlog-proof` file.
const RECEIPT_HEADER: &str = "x-deletion-receipt";

/// Longest receipt that is sent as a header, in bytes. Common clients give up on longer lines, and
/// would lose the body with it. A receipt is longer only if its key had hundreds of versions; the
/// native interface has it then too.
const RECEIPT_HEADER_BYTES_MAX: usize = 60_000;

/// What this service demands of a deletion: the wait, which `DELETE` ends.
fn policy() -> DeletionPolicy {
    let window = Window { minimum: WAIT, may_end_early: true };
    DeletionPolicy { window: Some(window), ..DeletionPolicy::default() }
}

pub(crate) fn request(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.pending(async |visit| {
        body::nothing(&visit.request)?;
        let request = DestroyRequest {
            // The wait of the policy.
            when: DestroyWhen::Scheduled { window: None, cancel_to: Some(StableState::Suspended) },
            policy: policy(),
            ..DestroyRequest::new(visit.key())
        };
        match visit.state.engine.destroy_key(&visit.caller, request).await? {
            DestroyOutcome::Scheduled { entry, .. } => Ok(visit.data(&Changed::of(entry.record()))),
            DestroyOutcome::Destroyed(_) => {
                Err(EngineError::Internal("a scheduled destruction did not wait").into())
            }
        }
    })
}

pub(crate) fn cancel(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.pending(async |visit| {
        body::nothing(&visit.request)?;
        let engine = &visit.state.engine;
        let changed = engine.cancel_destruction(&visit.caller, visit.key(), None).await?;
        Ok(visit.data(&Changed::of(changed.record())))
    })
}

/// Only a key that waits for its deletion is deleted.
pub(crate) fn delete(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.pending(async |visit| {
        body::nothing(&visit.request)?;
        delete_now(&visit).await
    })
}

async fn delete_now(visit: &Visit) -> Result<Response, Refusal> {
    let mut entry = visit.entry.clone();
    for _ in 0..CONFLICTS_MAX {
        let state = entry.record().state;
        let is_waiting = Status::of(state) == Some(Status::Revoked);
        // Who may not destroy keys is told so by the engine, whatever the key's state.
        if !is_waiting && visit.caller.may_on(Permission::KeysDestroy, &entry) {
            let refused = EngineError::from(Guard::NotPending { state });
            return Err(visit.refused("key.destroy", refused));
        }
        let request = DestroyRequest {
            when: DestroyWhen::AtOnce,
            policy: policy(),
            // A cancellation that comes first makes another revision, and then nothing happens.
            expected: Some(entry.revision()),
            ..DestroyRequest::new(visit.key())
        };
        match visit.state.engine.destroy_key(&visit.caller, request).await {
            Ok(DestroyOutcome::Destroyed(destroyed)) => {
                let mut response = visit.data(&());
                let text = destroyed.receipt.to_header().ok();
                let text = text.filter(|text| text.len() <= RECEIPT_HEADER_BYTES_MAX);
                let value = text.and_then(|text| HeaderValue::try_from(text).ok());
                if let Some(value) = value {
                    response.headers_mut().insert(RECEIPT_HEADER, value);
                }
                return Ok(response);
            }
            Ok(DestroyOutcome::Scheduled { .. }) => {
                return Err(EngineError::Internal("a destruction at once that waits").into());
            }
            Err(EngineError::RevisionMismatch) => entry = visit.now()?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(EngineError::RevisionMismatch.into())
}
