//! Place and lift holds.

use std::sync::Arc;

use http::StatusCode;
use lethe_engine::record::HoldKind;
use lethe_engine::{EngineError, HoldRequest};
use lethe_http::{Reply, Request};
use lethe_types::HoldId;

use super::{caller_without_query, key_id, keys, parsed};
use crate::error::Refusal;
use crate::state::State;
use crate::{body, render, reply, wire};

pub(crate) fn place(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let key = key_id(&request)?;
    let wanted: wire::PlaceHold<'_> = body::parse(&request)?;
    let kind = [HoldKind::Legal, HoldKind::Operational]
        .into_iter()
        .find(|kind| kind.as_str() == wanted.kind)
        .ok_or_else(|| Refusal::invalid("kind", "must be one of `legal`, `operational`"))?;
    let expires = wanted.expires.as_deref().map(|time| parsed("expires", time)).transpose()?;
    let wanted = HoldRequest { kind, reason: wanted.reason.into_owned(), expires };
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        let (entry, id) = state.engine.place_hold(&caller, key, &wanted).await?;
        let hold = entry.record().details().holds.iter().find(|hold| hold.id == id);
        let hold = hold.ok_or(EngineError::Internal("a hold that vanished"))?;
        Ok(render::json(StatusCode::CREATED, &wire::Hold::of(hold)))
    }))
}

pub(crate) fn lift(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let key = key_id(&request)?;
    let hold: HoldId = parsed("hold", request.param("hold"))?;
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        let entry = state.engine.lift_hold(&caller, key, hold).await?;
        Ok(keys::key_response(StatusCode::OK, &entry))
    }))
}
