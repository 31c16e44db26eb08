//! Switches of an operator: refuse an API key for a while, guard it against deletion.

use std::sync::Arc;

use http::StatusCode;
use lethe_engine::{EngineError, KeyChange};
use lethe_http::{Reply, Request};
use serde_json::json;

use super::{key_of_path, pending};
use crate::auth::{count, manager};
use crate::error::{Refusal, json_response};
use crate::state::State;
use crate::wire::ApiKey;

/// What a switch does.
#[derive(Clone, Copy)]
enum Switch {
    Disabled(bool),
    Protected(bool),
}

impl Switch {
    const fn operation(self) -> &'static str {
        match self {
            Self::Disabled(true) => "altostrat.key.disable",
            Self::Disabled(false) => "altostrat.key.enable",
            Self::Protected(true) => "altostrat.key.protect",
            Self::Protected(false) => "altostrat.key.unprotect",
        }
    }
}

pub(crate) fn disable(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    switch(state, &request, Switch::Disabled(true))
}

pub(crate) fn enable(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    switch(state, &request, Switch::Disabled(false))
}

pub(crate) fn protect(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    switch(state, &request, Switch::Protected(true))
}

pub(crate) fn unprotect(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    switch(state, &request, Switch::Protected(false))
}

fn switch(state: &Arc<State>, request: &Request, switch: Switch) -> Result<Reply, Refusal> {
    let operation = switch.operation();
    let manager = manager(state, &request.head, &state.settings.permission_update, operation)?;
    count(state, &manager.caller)?;
    let entry = key_of_path(state, &manager, request, operation)?;
    let key = entry.record().id;
    let state = Arc::clone(state);
    Ok(pending(async move {
        let entry = match switch {
            Switch::Disabled(disabled) => {
                state.engine.suspend_api_key(&manager.caller, key, disabled).await?.key
            }
            Switch::Protected(protected) => {
                let change = KeyChange { protected: Some(protected), ..KeyChange::default() };
                // The permission to manage API keys is what the dialect asks for here.
                state.engine.update_key(&state.system()?, key, &change, None).await?
            }
        };
        let key = ApiKey::of(&state, &entry);
        let key = key.ok_or(EngineError::Internal("an API key without its parts"))?;
        Ok(json_response(StatusCode::OK, &json!(key)))
    }))
}
