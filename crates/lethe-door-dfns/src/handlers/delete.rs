//! Delete a key: at once, for good, and only because somebody signed exactly this.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use lethe_engine::{
    DestroyOutcome, DestroyRequest, DestroyWhen, Destroyed, EngineError, Refusal as Guard,
};
use lethe_log::Receipt;
use serde_json::json;

use super::keys::key_answer;
use super::{active_key, delegate, of_key};
use crate::call::{Answer, Call, Outcome};
use crate::error::Refusal;
use crate::keys_made::children;
use crate::state::State;
use crate::wire::key_id;

/// The receipt of a destruction: the base64 of its `.tlog-proof` file.
const X_DELETION_RECEIPT: HeaderName = HeaderName::from_static("x-deletion-receipt");
/// Longest receipt in a header, in bytes: the runtime of one client reads 16 KiB of headers. A
/// longer one is left to the native interface.
const RECEIPT_HEADER_BYTES_MAX: usize = 14_000;

pub(crate) async fn delete(state: Arc<State>, call: Arc<Call>) -> Outcome {
    call.no_members()?;
    let entry = active_key(&state, &call, call.param("key"))?;
    let action = call.action().ok_or(EngineError::Internal("a deletion that nobody signed"))?;
    let request = DestroyRequest {
        when: DestroyWhen::AtOnce,
        signed: Some(action.signed.clone()),
        ..DestroyRequest::new(entry.record().id)
    };
    match state.engine.destroy_key(call.caller()?, request).await {
        Ok(DestroyOutcome::Destroyed(destroyed)) => {
            delegate::forget(&state, &destroyed.entry).await;
            deleted(&state, &destroyed)
        }
        Ok(DestroyOutcome::Scheduled { .. }) => {
            Err(EngineError::Internal("a destruction at once that waits").into())
        }
        Err(EngineError::GuardRefused(refusal)) if is_about_children(&refusal) => {
            let caller = state.system()?;
            let children = children(&state, &caller, entry.record().id, false)?;
            let children: Vec<&str> = children.iter().map(|child| key_id(child.record())).collect();
            let details = json!({"keyId": key_id(entry.record()), "childKeyIds": children});
            Err(Refusal::conflict("key has derived keys", details))
        }
        Err(error) => Err(of_key(&state, &entry, error)),
    }
}

fn is_about_children(refusal: &Guard) -> bool {
    matches!(refusal, Guard::HasDependants { .. })
}

/// The key as it remains, and the evidence. The deletion is made: what fails here is only the
/// answer.
fn deleted(state: &State, destroyed: &Destroyed) -> Outcome {
    let mut answer = Answer::from(key_answer(state, &destroyed.entry)?);
    let receipt = receipt_text(&destroyed.receipt);
    let receipt = receipt.filter(|text| text.len() <= RECEIPT_HEADER_BYTES_MAX);
    if let Some(value) = receipt.and_then(|text| HeaderValue::try_from(text).ok()) {
        answer.headers.push((X_DELETION_RECEIPT, value));
    }
    Ok(answer)
}

fn receipt_text(receipt: &Receipt) -> Option<String> {
    receipt.write().ok()?.header().ok()
}
