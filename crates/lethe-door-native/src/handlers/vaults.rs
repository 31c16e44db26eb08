//! Make, see, change and remove vaults.

use std::sync::Arc;

use http::StatusCode;
use lethe_engine::record::VaultRecord;
use lethe_engine::{VaultChange, VaultRequest};
use lethe_http::{Reply, Request, Response};
use lethe_types::{VaultId, VaultName};

use super::{caller_without_query, parsed};
use crate::error::Refusal;
use crate::state::State;
use crate::{auth, body, render, reply, wire};

/// What stands before the names of a policy's members in a vault's body.
const IN_VAULT: &str = "policy.";

pub(crate) fn create(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let wanted: wire::CreateVault<'_> = body::parse(&request)?;
    let name: VaultName = parsed("name", &wanted.name)?;
    let policy = wanted.policy.as_ref().map(|policy| policy.0.parse(IN_VAULT)).transpose()?;
    let names = wanted.names.as_deref().map(wire::parse_name_rule).transpose()?;
    let wanted = VaultRequest {
        policy: policy.unwrap_or_default(),
        names: names.unwrap_or_default(),
        labels: wire::labels(wanted.labels.as_ref())?,
        ..VaultRequest::new(name)
    };
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        let vault = state.engine.create_vault(&caller, wanted).await?;
        Ok(render::created(&format!("/v1/vaults/{}", vault.id), &wire::Vault::of(&vault)))
    }))
}

pub(crate) fn list(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let vaults = state.engine.list_vaults(&caller)?;
    let vaults = vaults.iter().map(|vault| wire::Vault::of(vault)).collect();
    Ok(render::json(StatusCode::OK, &wire::Vaults { vaults }).into())
}

pub(crate) fn read(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let vault = state.engine.read_vault(&caller, vault_id(&request)?)?;
    Ok(response(&vault).into())
}

pub(crate) fn update(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let vault = vault_id(&request)?;
    let wanted: wire::ChangeVault<'_> = body::parse(&request)?;
    let change = VaultChange {
        name: wanted.name.as_deref().map(|name| parsed("name", name)).transpose()?,
        policy: wanted.policy.as_ref().map(|policy| policy.0.parse(IN_VAULT)).transpose()?,
        names: wanted.names.as_deref().map(wire::parse_name_rule).transpose()?,
        labels: wanted.labels.as_ref().map(|labels| wire::labels(Some(labels))).transpose()?,
        ..VaultChange::default()
    };
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        Ok(response(&*state.engine.update_vault(&caller, vault, &change).await?))
    }))
}

pub(crate) fn remove(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let vault = vault_id(&request)?;
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        Ok(response(&*state.engine.remove_vault(&caller, vault).await?))
    }))
}

fn vault_id(request: &Request) -> Result<VaultId, Refusal> {
    parsed("id", request.param("id"))
}

fn response(vault: &VaultRecord) -> Response {
    render::json(StatusCode::OK, &wire::Vault::of(vault))
}
