//! Destroy a key, see what that would do, and fetch the receipt of a destruction.

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use lethe_engine::{Caller, DestroyOutcome, DestroyRequest, DestroyWhen, EngineError, Revision};
use lethe_http::{Reply, Request, RequestHead, Response};
use lethe_log::Receipt;
use lethe_types::KeyId;

use super::{key_id, keys, parsed};
use crate::error::Refusal;
use crate::headers::{self, X_DELETION_RECEIPT};
use crate::state::State;
use crate::{auth, render, reply, wire};

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
    let names = ["reason", "window", "confirm", "approval"];
    let [reason, window, confirm, approval] = headers::query(&request.head, names)?;
    let reason = reason.unwrap_or_default().into_owned();
    let expected = headers::if_match(&request.head.headers)?;
    // One that is empty is as good as none here: it is refused below, or satisfies no rule.
    let given = [&window, &confirm, &approval];
    let given = given.map(|text| text.as_deref().unwrap_or_default().to_owned());
    let parameters = [
        key.as_bytes().as_slice(),
        reason.as_bytes(),
        given[0].as_bytes(),
        given[1].as_bytes(),
        given[2].as_bytes(),
    ];
    let wanted = with_conditions(DestroyRequest::new(key), window, confirm, approval)?;
    Ok(DestroyRequest {
        expected: expected.map(Revision),
        idempotency: keys::idempotency(caller, request, "key.destroy", &parameters)?,
        reason,
        ..wanted
    })
}

/// `wanted` with what a destruction and its preview are both asked with.
fn with_conditions(
    wanted: DestroyRequest,
    window: Option<Cow<'_, str>>,
    confirm: Option<Cow<'_, str>>,
    approval: Option<Cow<'_, str>>,
) -> Result<DestroyRequest, Refusal> {
    let when = match window {
        None => DestroyWhen::AsSoonAsAllowed,
        Some(text) => {
            let window = wire::parse_span(&text);
            let window = window.ok_or_else(|| Refusal::invalid("window", wire::SPAN_RULE))?;
            DestroyWhen::Scheduled { window: Some(window), cancel_to: None }
        }
    };
    Ok(DestroyRequest {
        when,
        confirm: confirm.map(Cow::into_owned),
        approval: approval.map(|text| parsed("approval", &text)).transpose()?,
        ..wanted
    })
}

pub(crate) fn preview(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let key = key_id(&request)?;
    let names = ["window", "confirm", "approval"];
    let [window, confirm, approval] = headers::query(&request.head, names)?;
    let wanted = with_conditions(DestroyRequest::new(key), window, confirm, approval)?;
    let preview = state.engine.preview_destruction(&caller, &wanted)?;
    Ok(render::json(StatusCode::OK, &wire::DestructionPreview::of(&preview)).into())
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
pub(super) fn receipt_response(receipt: &Receipt, head: &RequestHead) -> Result<Response, Refusal> {
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
