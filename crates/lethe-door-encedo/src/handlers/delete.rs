//! Delete a key: at once, for good, with a receipt.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use lethe_engine::{DestroyOutcome, DestroyRequest, DestroyWhen};

use crate::call::{Answer, Call, Outcome, Work};
use crate::error::Failure;
use crate::event::{Ended, Event, Kind};
use crate::kid::Kid;
use crate::state::{Holder, State};

/// Carries the receipt: the only place where clients of this protocol do not stumble over it.
const X_DELETION_RECEIPT: HeaderName = HeaderName::from_static("x-deletion-receipt");
/// Longest value of that header that every client reads.
const RECEIPT_HEADER_BYTES_MAX: usize = 32_768;
/// What the receipt says of a public key: others have it.
const PUBLIC_KEY_REASON: &str = "a public key: it is removed here, and lives on elsewhere";

/// When this answers with success, the key cannot be used any more, nothing that could bring it
/// back is left, and its event is in the log.
pub(crate) fn delete(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move { delete_now(&state, &call).await })
}

async fn delete_now(state: &State, call: &Call) -> Outcome {
    let kid = Kid::parse(call.param("kid")).ok_or(Failure::BadArgument)?;
    call.is_about(kid);
    let session = call.session()?;
    let key = state.key(kid).ok_or(Failure::NotDone)?;
    let record = key.entry.record();
    let event = Event::new(Kind::KEY_DELETE, Ended::Ok, call.actor()).about(&kid.0);
    let public = record.life().public_only;
    let reason = if public { PUBLIC_KEY_REASON.to_owned() } else { String::new() };
    // At once or not at all: the protocol has no word for a key that waits.
    let request = DestroyRequest {
        when: DestroyWhen::AtOnce,
        reason,
        documents: vec![state.journal.document(&event)],
        ..DestroyRequest::new(record.id)
    };
    let destroyed = match state.engine.destroy_key(&session.caller, request).await {
        Ok(DestroyOutcome::Destroyed(destroyed)) => destroyed,
        Ok(DestroyOutcome::Scheduled { .. }) => return Err(Failure::Internal),
        Err(error) => {
            // Who may delete was decided; what the engine says now is why it cannot be done.
            let why = Failure::from(error);
            return Err(if why == Failure::Internal { Failure::NotDone } else { why });
        }
    };
    state.revoke_uses(kid);
    if state.pairings.lock().remove(&kid).is_some() {
        state.revoke_holder(Holder::External(kid));
    }
    let mut answer = Answer::empty();
    // The key is gone, so that the answer is success. A receipt that cannot be written now can be
    // asked for again elsewhere.
    let written = destroyed.receipt.write().and_then(|written| written.header());
    if let Ok(receipt) = written
        && receipt.len() <= RECEIPT_HEADER_BYTES_MAX
        && let Ok(value) = HeaderValue::try_from(receipt)
    {
        answer.headers.push((X_DELETION_RECEIPT, value));
    }
    Ok(answer)
}
