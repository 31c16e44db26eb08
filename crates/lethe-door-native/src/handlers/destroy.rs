//! Destroy a key, and fetch the receipt of a destruction.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use lethe_engine::{Caller, DestroyOutcome, DestroyRequest, EngineError, Revision};
use lethe_http::{Reply, Request, RequestHead, Response};
use lethe_log::Receipt;
use lethe_types::KeyId;

use super::{key_id, keys};
use crate::error::Refusal;
use crate::headers::{self, X_DELETION_RECEIPT};
use crate::state::State;
use crate::{auth, render, reply};

/// Longest receipt that is also sent as a header, in bytes. Common clients give up on longer lines,
/// and would lose the body with it. A receipt is longer only if its key had hundreds of versions.
const RECEIPT_HEADER_BYTES_MAX: usize = 60_000;

pub(crate) fn destroy(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let wanted = parse_destroy(&caller, &request)?;
    let head = Arc::clone(&request.head);
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        match state.engine.destroy_key(&caller, wanted).await? {
            DestroyOutcome::Destroyed(destroyed) => receipt_response(&destroyed.receipt, &head),
            DestroyOutcome::Scheduled { entry, .. } => Ok(keys::scheduled(&entry)),
        }
    }))
}

fn parse_destroy(caller: &Caller, request: &Request) -> Result<DestroyRequest, Refusal> {
    let key: KeyId = key_id(request)?;
    let [reason, window] = headers::query(&request.head, ["reason", "window"])?;
    if window.is_some() {
        return Err(Refusal::WindowNotAvailable);
    }
    let reason = reason.unwrap_or_default().into_owned();
    let expected = headers::if_match(&request.head.headers)?;
    let parameters = [key.as_bytes().as_slice(), reason.as_bytes()];
    Ok(DestroyRequest {
        expected: expected.map(Revision),
        idempotency: keys::idempotency(caller, request, "key.destroy", &parameters)?,
        reason,
        ..DestroyRequest::new(key)
    })
}

/// Reads the store.
pub(crate) fn receipt(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let key = key_id(&request)?;
    let state = Arc::clone(state);
    Ok(reply::blocking(request, move |request| {
        receipt_response(&state.engine.receipt(&caller, key)?, &request.head)
    }))
}

/// The receipt as JSON or, if the client prefers that, as the `.tlog-proof` file.
fn receipt_response(receipt: &Receipt, head: &RequestHead) -> Result<Response, Refusal> {
    // The destruction is made: what fails here is only the answer, and the receipt can be asked
    // for again.
    let failed = |_| EngineError::Internal("a receipt that cannot be written");
    let written = receipt.write().map_err(failed)?;
    let text = written.header().map_err(failed)?;
    let mut response = if headers::prefers_text(&head.headers) {
        render::with_body(StatusCode::OK, headers::TEXT, written.into_proof())
    } else {
        let json = written.json().map_err(failed)?;
        render::with_body(StatusCode::OK, headers::JSON, json)
    };
    response.headers_mut().insert(CACHE_CONTROL, headers::NO_STORE);
    if text.len() <= RECEIPT_HEADER_BYTES_MAX {
        let value = HeaderValue::try_from(text).expect("base64 is visible ASCII");
        response.headers_mut().insert(X_DELETION_RECEIPT, value);
    }
    Ok(response)
}
