//! Make, see and revoke principals.

use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use lethe_engine::record::{Grant, Scope};
use lethe_engine::{CreatePrincipalRequest, EngineError};
use lethe_http::{Reply, Request};
use lethe_types::{Permission, Permissions, PrincipalId};

use super::parsed;
use crate::error::Refusal;
use crate::render::Member;
use crate::state::State;
use crate::{auth, body, render, reply, wire};

/// Stands for every permission.
const EVERY_PERMISSION: &str = "*";

pub(crate) fn create(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let wanted = parse_create(&request)?;
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        let made = state.engine.create_principal(&caller, wanted).await?;
        let principal = wire::Principal::of(made.entry.record());
        let (_, token) =
            made.tokens.first().ok_or(EngineError::Internal("a principal without its token"))?;
        let token = token.expose();
        Ok(render::json_with_secret(StatusCode::CREATED, &principal, Member::TOKEN, token))
    }))
}

fn parse_create(request: &Request) -> Result<CreatePrincipalRequest, Refusal> {
    let wanted: wire::CreatePrincipal<'_> = body::parse(request)?;
    let grants = wanted.grants.iter().enumerate();
    let token_lifetime = match wanted.token_lifetime_seconds {
        Some(0) => return Err(Refusal::invalid("token_lifetime_seconds", "must be at least 1")),
        seconds => seconds.map(Duration::from_secs),
    };
    let grants = grants
        .map(|(index, grant)| parse_grant(&grant.0).map_err(|fault| fault.at(index)))
        .collect::<Result<_, _>>()?;
    let name = parsed("name", &wanted.name)?;
    Ok(CreatePrincipalRequest::service(name, grants, token_lifetime))
}

/// What is wrong with a grant: the member and the rule.
struct GrantFault(&'static str, String);

impl GrantFault {
    fn at(self, index: usize) -> Refusal {
        let Self(member, why) = self;
        Refusal::InvalidField { field: Cow::Owned(format!("grants[{index}].{member}")), why }
    }
}

fn parse_grant(grant: &wire::GrantRequest) -> Result<Grant, GrantFault> {
    let scope = match (&grant.vault, &grant.key) {
        (None, None) => Scope::Realm,
        (Some(vault), None) => {
            Scope::Vault(vault.parse().map_err(|e| GrantFault("vault", format!("{e}")))?)
        }
        (None, Some(key)) => {
            Scope::Key(key.parse().map_err(|e| GrantFault("key", format!("{e}")))?)
        }
        (Some(_), Some(_)) => {
            return Err(GrantFault("key", "must not be there together with `vault`".to_owned()));
        }
    };
    let permissions =
        parse_permissions(&grant.permissions).map_err(|why| GrantFault("permissions", why))?;
    Ok(Grant { permissions, scope })
}

fn parse_permissions(names: &[String]) -> Result<Permissions, String> {
    match names {
        [] => Err(format!("must name at least one permission, or be [\"{EVERY_PERMISSION}\"]")),
        [only] if only == EVERY_PERMISSION => Ok(Permissions::all()),
        names if names.len() > Permission::ALL.len() => Err(format!(
            "must name each permission at most once; there are {}",
            Permission::ALL.len()
        )),
        names => {
            let parse = |name: &String| {
                name.parse::<Permission>().map_err(|_| {
                    format!("`{}` names no permission", crate::headers::shortened(name))
                })
            };
            names.iter().map(parse).collect()
        }
    }
}

pub(crate) fn list(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let principals = state.engine.list_principals(&caller)?;
    let principals = principals.iter().map(|entry| wire::Principal::of(entry.record())).collect();
    Ok(render::json(StatusCode::OK, &wire::Principals { principals }).into())
}

pub(crate) fn read(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let id: PrincipalId = parsed("id", request.param("id"))?;
    let entry = state.engine.read_principal(&caller, id)?;
    Ok(render::json(StatusCode::OK, &wire::Principal::of(entry.record())).into())
}

pub(crate) fn revoke(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let id: PrincipalId = parsed("id", request.param("id"))?;
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        let entry = state.engine.revoke_principal(&caller, id).await?;
        Ok(render::json(StatusCode::OK, &wire::Principal::of(entry.record())))
    }))
}
