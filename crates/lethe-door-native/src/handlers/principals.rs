//! Make, see, change and revoke principals.

use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use lethe_engine::record::{Grant, PrincipalKind, Scope};
use lethe_engine::{CreatePrincipalRequest, NewCredential, PrincipalChange, PrincipalEntry};
use lethe_http::{Reply, Request, Response};
use lethe_types::limits::CREDENTIALS_MAX;
use lethe_types::{Permission, Permissions, PrincipalId};

use super::{caller_without_query, credentials, parsed};
use crate::error::Refusal;
use crate::render::Member;
use crate::state::State;
use crate::{auth, body, render, reply, wire};

/// Stands for every permission.
const EVERY_PERMISSION: &str = "*";

pub(crate) fn create(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let wanted = parse_create(&request)?;
    let is_slow = wanted.credentials.iter().any(credentials::is_slow);
    let state = Arc::clone(state);
    let answer = async move {
        let made = state.engine.create_principal(&caller, wanted).await?;
        let principal = wire::Principal::of(made.entry.record());
        let status = StatusCode::CREATED;
        Ok(match made.tokens.as_slice() {
            [] => render::json(status, &principal),
            [(_, token)] => {
                render::json_with_secret(status, &principal, Member::TOKEN, token.expose())
            }
            tokens => render::json_with_tokens(status, &principal, tokens),
        })
    };
    Ok(if is_slow {
        reply::blocking(request, |_| reply::block_on(answer))
    } else {
        reply::pending(&request, answer)
    })
}

fn parse_create(request: &Request) -> Result<CreatePrincipalRequest, Refusal> {
    let wanted: wire::CreatePrincipal<'_> = body::parse(request)?;
    let token_lifetime = match wanted.token_lifetime_seconds {
        Some(0) => return Err(Refusal::invalid("token_lifetime_seconds", "must be at least 1")),
        Some(_) if wanted.credentials.is_some() => {
            let why = "must not be there together with `credentials`";
            return Err(Refusal::invalid("token_lifetime_seconds", why));
        }
        seconds => seconds.map(Duration::from_secs),
    };
    let kind = wanted.kind.as_deref().map(parse_kind).transpose()?;
    let credentials = match &wanted.credentials {
        None => vec![NewCredential::bearer(token_lifetime)],
        Some(all) if all.len() > CREDENTIALS_MAX => {
            let why = format!("may be {CREDENTIALS_MAX}");
            return Err(Refusal::invalid("credentials", why));
        }
        Some(all) => {
            let all = all.iter().enumerate();
            all.map(|(index, one)| credentials::parse(&one.0, &format!("credentials[{index}].")))
                .collect::<Result<_, _>>()?
        }
    };
    let name = parsed("name", &wanted.name)?;
    let grants = parse_grants(&wanted.grants)?;
    Ok(CreatePrincipalRequest {
        kind: kind.unwrap_or(PrincipalKind::ServiceAccount),
        login: wanted.login.as_deref().map(Into::into),
        credentials,
        ..CreatePrincipalRequest::service(name, grants, None)
    })
}

fn parse_kind(text: &str) -> Result<PrincipalKind, Refusal> {
    let found = PrincipalKind::ALL.iter().copied().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| {
        let all: Vec<String> =
            PrincipalKind::ALL.iter().map(|kind| format!("`{}`", kind.as_str())).collect();
        Refusal::invalid("kind", format!("must be one of {}", all.join(", ")))
    })
}

fn parse_grants(grants: &[wire::Object<wire::GrantRequest>]) -> Result<Vec<Grant>, Refusal> {
    let grants = grants.iter().enumerate();
    grants.map(|(index, grant)| parse_grant(&grant.0).map_err(|fault| fault.at(index))).collect()
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
    let entry = state.engine.read_principal(&caller, principal_id(&request)?)?;
    Ok(response(&entry).into())
}

pub(crate) fn update(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let id = principal_id(&request)?;
    let wanted: wire::ChangePrincipal<'_> = body::parse(&request)?;
    let change = PrincipalChange {
        name: wanted.name.as_deref().map(|name| parsed("name", name)).transpose()?,
        grants: wanted.grants.as_deref().map(parse_grants).transpose()?,
        suspended: wanted.suspended,
        login: wanted.login.map(|login| login.map(Into::into)),
        ..PrincipalChange::default()
    };
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        Ok(response(&*state.engine.update_principal(&caller, id, &change).await?))
    }))
}

pub(crate) fn revoke(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let id = principal_id(&request)?;
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        Ok(response(&*state.engine.revoke_principal(&caller, id).await?))
    }))
}

pub(super) fn principal_id(request: &Request) -> Result<PrincipalId, Refusal> {
    parsed("id", request.param("id"))
}

pub(super) fn response(entry: &PrincipalEntry) -> Response {
    render::json(StatusCode::OK, &wire::Principal::of(entry.record()))
}
