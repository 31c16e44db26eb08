//! Make and see vaults.

use std::sync::Arc;

use http::StatusCode;
use lethe_engine::VaultRequest;
use lethe_http::{Reply, Request};
use lethe_types::VaultName;

use super::parsed;
use crate::error::Refusal;
use crate::state::State;
use crate::{auth, body, render, reply, wire};

pub(crate) fn create(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let wanted: wire::CreateVault<'_> = body::parse(&request)?;
    let name: VaultName = parsed("name", &wanted.name)?;
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        let vault = state.engine.create_vault(&caller, VaultRequest::new(name)).await?;
        Ok(render::json(StatusCode::CREATED, &wire::Vault::of(&vault)))
    }))
}

pub(crate) fn list(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let vaults = state.engine.list_vaults(&caller)?;
    let vaults = vaults.iter().map(|vault| wire::Vault::of(vault)).collect();
    Ok(render::json(StatusCode::OK, &wire::Vaults { vaults }).into())
}
