//! Change what a key carries, move it through its life, and call off a destruction that waits.

use core::time::Duration;
use std::sync::Arc;

use http::StatusCode;
use lethe_engine::{KeyChange, Revision};
use lethe_http::{Reply, Request};
use lethe_types::Transition;

use super::{caller_without_query, key_id, keys, parsed};
use crate::error::Refusal;
use crate::state::State;
use crate::{body, headers, reply, wire};

pub(crate) fn update(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let key = key_id(&request)?;
    let expected = expected(&request)?;
    let wanted: wire::ChangeKey<'_> = body::parse(&request)?;
    let change = KeyChange {
        name: wanted.name.as_deref().map(|name| parsed("name", name)).transpose()?,
        labels: wire::label_changes(wanted.labels.as_ref())?,
        protected: wanted.protected,
        uses: wanted.allowed_uses.as_deref().map(wire::parse_uses).transpose()?,
        exportable: wanted.exportable,
        rotation_period: rotation_period(wanted.rotation_period.as_ref())?,
        protect_from: wanted.protect_from_version,
        process_from: wanted.process_from_version,
        ..KeyChange::default()
    };
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        let entry = state.engine.update_key(&caller, key, &change, expected).await?;
        Ok(keys::key_response(StatusCode::OK, &entry))
    }))
}

pub(crate) fn activate(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    change_state(state, &request, Transition::Activate)
}

pub(crate) fn suspend(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    change_state(state, &request, Transition::Suspend)
}

pub(crate) fn resume(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    change_state(state, &request, Transition::Resume)
}

pub(crate) fn deactivate(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    change_state(state, &request, Transition::Deactivate)
}

pub(crate) fn compromise(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    change_state(state, &request, Transition::Compromise)
}

fn change_state(
    state: &Arc<State>,
    request: &Request,
    transition: Transition,
) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, request)?;
    let key = key_id(request)?;
    let wire::Nothing {} = body::parse_optional(request)?;
    let expected = expected(request)?;
    let state = Arc::clone(state);
    Ok(reply::pending(request, async move {
        let entry = state.engine.change_state(&caller, key, transition, expected).await?;
        Ok(keys::key_response(StatusCode::OK, &entry))
    }))
}

pub(crate) fn cancel_destruction(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let key = key_id(&request)?;
    let wire::Nothing {} = body::parse_optional(&request)?;
    let expected = expected(&request)?;
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        let entry = state.engine.cancel_destruction(&caller, key, expected).await?;
        Ok(keys::key_response(StatusCode::OK, &entry))
    }))
}

/// A new period, the end of the rotation where it is `null`, or nothing.
fn rotation_period(wanted: Option<&Option<String>>) -> Result<Option<Option<Duration>>, Refusal> {
    let parse = |text: &String| wire::parse_span_of("rotation_period", text);
    wanted.map(|text| text.as_ref().map(parse).transpose()).transpose()
}

fn expected(request: &Request) -> Result<Option<Revision>, Refusal> {
    Ok(headers::if_match(&request.head.headers)?.map(Revision))
}
