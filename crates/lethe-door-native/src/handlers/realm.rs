//! The caller's realm and its deletion policy.

use std::sync::Arc;

use http::StatusCode;
use lethe_engine::EngineError;
use lethe_http::{Reply, Request};

use super::caller_without_query;
use crate::error::Refusal;
use crate::state::State;
use crate::{body, render, reply, wire};

pub(crate) fn read(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let realm = state.engine.read_realm(&caller)?;
    Ok(render::json(StatusCode::OK, &wire::Realm::of(&realm)).into())
}

pub(crate) fn set_policy(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let wanted: wire::Policy = body::parse(&request)?;
    let policy = wanted.parse("")?;
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        let changed = state.engine.set_realm_policy(&caller, &policy).await;
        let realm = changed.map_err(in_this_body)?;
        Ok(render::json(StatusCode::OK, &wire::Realm::of(&realm)))
    }))
}

/// The engine names members of a policy as those of a vault; here the policy is the whole body.
fn in_this_body(error: EngineError) -> EngineError {
    let EngineError::InvalidField { field, why } = error else { return error };
    EngineError::InvalidField { field: field.strip_prefix("policy.").unwrap_or(field), why }
}
