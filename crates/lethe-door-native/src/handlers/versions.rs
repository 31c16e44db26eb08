//! Suspend, resume and destroy one version of a key, and fetch the receipt of its end.

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use lethe_engine::record::VersionState;
use lethe_engine::{DestroyVersionRequest, Revision};
use lethe_http::{Reply, Request};

use super::{caller_without_query, destroy, key_id, keys};
use crate::error::Refusal;
use crate::state::State;
use crate::{auth, body, headers, reply, wire};

pub(crate) fn suspend(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    change(state, &request, VersionState::Suspended)
}

pub(crate) fn resume(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    change(state, &request, VersionState::Enabled)
}

fn change(state: &Arc<State>, request: &Request, to: VersionState) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, request)?;
    let (key, version) = (key_id(request)?, version(request)?);
    let wire::Nothing {} = body::parse_optional(request)?;
    let expected = headers::if_match(&request.head.headers)?.map(Revision);
    let state = Arc::clone(state);
    Ok(reply::pending(request, async move {
        let changed = state.engine.change_version_state(&caller, key, version, to, expected);
        Ok(keys::key_response(StatusCode::OK, &*changed.await?))
    }))
}

pub(crate) fn destroy(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let [reason, confirm] = headers::query(&request.head, ["reason", "confirm"])?;
    let wanted = DestroyVersionRequest {
        reason: reason.unwrap_or_default().into_owned(),
        confirm: confirm.map(Cow::into_owned),
        expected: headers::if_match(&request.head.headers)?.map(Revision),
        ..DestroyVersionRequest::new(key_id(&request)?, version(&request)?)
    };
    let head = Arc::clone(&request.head);
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        let ended = state.engine.destroy_version(&caller, &wanted).await?;
        destroy::receipt_response(&ended.receipt, &head)
    }))
}

/// Reads the store.
pub(crate) fn receipt(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let (key, version) = (key_id(&request)?, version(&request)?);
    let state = Arc::clone(state);
    Ok(reply::blocking(request, move |request| {
        let receipt = state.engine.version_receipt(&caller, key, version)?;
        destroy::receipt_response(&receipt, &request.head)
    }))
}

fn version(request: &Request) -> Result<u32, Refusal> {
    let number = headers::decimal(request.param("version"));
    number.ok_or_else(|| Refusal::invalid("version", "must be a number"))
}
