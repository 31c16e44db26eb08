//! Ask for the approval of a destruction, see requests, agree and withdraw.

use std::sync::Arc;

use http::StatusCode;
use lethe_engine::record::ApprovalRecord;
use lethe_http::{Reply, Request, Response};
use lethe_types::{ApprovalId, CredentialId, KeyId};

use super::{caller_without_query, key_id, page_limit, parsed};
use crate::error::Refusal;
use crate::state::State;
use crate::{auth, body, headers, render, reply, wire};

pub(crate) fn request(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let key = key_id(&request)?;
    let wanted: wire::RequestApproval<'_> = body::parse(&request)?;
    let reason = wanted.reason.into_owned();
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        let made = state.engine.request_approval(&caller, key, &reason).await?;
        let view = wire::ApprovalRequest::of(&made);
        Ok(render::created(&format!("/v1/approvals/{}", made.id), &view))
    }))
}

pub(crate) fn list(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let [key, open, limit] = headers::query(&request.head, ["key", "open", "limit"])?;
    let key: Option<KeyId> = key.map(|text| parsed("key", &text)).transpose()?;
    let open = open.map(|text| parsed("open", &text)).transpose()?.unwrap_or(false);
    let limit = page_limit(limit.as_deref())?;
    let state = Arc::clone(state);
    // On the pool for blocking work: it may look at every request of the realm.
    Ok(reply::blocking(request, move |_| {
        let found = state.engine.list_approvals(&caller, key, open, limit)?;
        let approvals = found.iter().map(|one| wire::ApprovalRequest::of(one)).collect();
        Ok(render::json(StatusCode::OK, &wire::ApprovalRequests { approvals }))
    }))
}

pub(crate) fn read(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let found = state.engine.read_approval(&caller, approval_id(&request)?)?;
    Ok(response(&found).into())
}

/// On the pool for blocking work: checking a signature may take RSA's time.
pub(crate) fn approve(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let approval = approval_id(&request)?;
    let wanted: wire::Approve<'_> = body::parse(&request)?;
    let credential: CredentialId = parsed("credential", &wanted.credential)?;
    let signature = wanted.signature.decode("signature")?;
    drop(wanted);
    let state = Arc::clone(state);
    Ok(reply::blocking(request, move |_| {
        let change = state.engine.approve(&caller, approval, credential, signature.expose());
        Ok(response(&*reply::block_on(change)?))
    }))
}

pub(crate) fn withdraw(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let approval = approval_id(&request)?;
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        Ok(response(&*state.engine.withdraw_approval(&caller, approval).await?))
    }))
}

fn approval_id(request: &Request) -> Result<ApprovalId, Refusal> {
    parsed("id", request.param("id"))
}

fn response(record: &ApprovalRecord) -> Response {
    render::json(StatusCode::OK, &wire::ApprovalRequest::of(record))
}
