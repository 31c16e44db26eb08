//! One function for each route: parse, one call of the engine, render.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod exchange;
pub(crate) mod feed;
pub(crate) mod gateway;
pub(crate) mod keys;
pub(crate) mod metadata;
pub(crate) mod oauth;
pub(crate) mod operate;

use core::future::Future;
use std::sync::Arc;

use lethe_engine::record::PrincipalKind;
use lethe_engine::{DoorOperation, EngineError, KeyEntry};
use lethe_http::{Reply, Request, Response};

use crate::DOOR;
use crate::auth::Manager;
use crate::error::Refusal;
use crate::identifiers::is_key_id;
use crate::state::State;

/// Waits for `answer`.
fn pending(answer: impl Future<Output = Result<Response, Refusal>> + Send + 'static) -> Reply {
    Reply::pending(async move { answer.await.unwrap_or_else(Refusal::into_response) })
}

/// Runs `work` on the pool for blocking work.
fn blocking(work: impl FnOnce() -> Result<Response, Refusal> + Send + 'static) -> Reply {
    Reply::blocking(move || work().unwrap_or_else(Refusal::into_response))
}

/// The API key that the path names, if it is there.
///
/// # Errors
/// [`Refusal::NotFound`], the same for every cause; the attempt is then in the audit trail.
fn key_of_path(
    state: &Arc<State>,
    manager: &Manager,
    request: &Request,
    operation: &'static str,
) -> Result<Arc<KeyEntry>, Refusal> {
    let id = request.param("id");
    let found = live_key(state, id);
    if found.is_none() {
        let missing = Some(EngineError::ItemNotFound("API key"));
        let decided =
            state.engine.decide(&manager.caller, DoorOperation::named(operation), missing);
        if let Err(EngineError::AuditUnavailable) = decided {
            return Err(Refusal::Engine(EngineError::AuditUnavailable));
        }
    }
    found.ok_or(Refusal::NotFound)
}

/// The API key of that id, unless it is destroyed.
pub(crate) fn live_key(state: &State, id: &str) -> Option<Arc<KeyEntry>> {
    if !is_key_id(id) {
        return None;
    }
    let entry = state.engine.key_with_alias(state.realm, DOOR, id)?;
    let application = state.engine.application_of(entry.record().id)?;
    let is_live = !entry.record().state.is_destroyed()
        && application.record().kind == PrincipalKind::Application
        && application.record().revoked.is_none();
    is_live.then_some(entry)
}
