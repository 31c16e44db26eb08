//! Who asks: a person who manages API keys, a resource server, or an application.

use core::net::IpAddr;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use lethe_engine::record::{Credential, PrincipalKind, PrincipalRecord};
use lethe_engine::{Caller, DoorOperation, EngineError};
use lethe_http::{RequestHead, percent_decode};
use lethe_token::{IssuerError, NewToken, Opened};
use lethe_types::{Permission, PrincipalId, UnixMillis};
use serde_json::{Value, json};

use crate::DOOR;
use crate::error::{OAuthError, Refusal};
use crate::form::Form;
use crate::identifiers::{SECRET_PREFIX, is_secret};
use crate::permissions::{bound_of, held, of_application};
use crate::settings::networks;
use crate::state::State;

/// What a bearer token of the engine's own form begins with.
const ENGINE_TOKEN_PREFIX: &str = "lethe_";

/// Somebody who manages API keys.
#[derive(Debug)]
pub(crate) struct Manager {
    pub(crate) caller: Caller,
    /// The permissions that they hold, and can give.
    pub(crate) held: Vec<String>,
}

/// The token of the one `Authorization: Bearer` header.
fn bearer(head: &RequestHead) -> Option<&str> {
    let mut values = head.headers.get_all(AUTHORIZATION).iter();
    // Of two credentials neither is taken: a proxy may have looked at the other one.
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The answer to somebody who did not prove themselves, which the audit trail then holds.
fn anonymous(state: &State, head: &RequestHead) -> Refusal {
    match state.engine.refuse_anonymous(DOOR, head.request_id.to_bytes()) {
        Ok(_) => Refusal::Unauthorized { was_sent: head.headers.contains_key(AUTHORIZATION) },
        Err(error) => error.into(),
    }
}

/// Who makes the request, if it is somebody who may manage API keys with `needed`, one of the four
/// permissions for that; `operation` names the attempt in the audit trail.
///
/// # Errors
/// 401 without a valid token; 403 for applications and those who lack the permission, before
/// anything is looked up.
pub(crate) fn manager(
    state: &State,
    head: &RequestHead,
    needed: &str,
    operation: &'static str,
) -> Result<Manager, Refusal> {
    let (caller, held) = person(state, head, operation)?;
    if held.iter().any(|name| name == needed) {
        return Ok(Manager { caller, held });
    }
    Err(refused(state, &caller, operation))
}

fn person(
    state: &State,
    head: &RequestHead,
    operation: &'static str,
) -> Result<(Caller, Vec<String>), Refusal> {
    let request = head.request_id.to_bytes();
    let Some(token) = bearer(head) else { return Err(anonymous(state, head)) };
    if token.starts_with(SECRET_PREFIX) {
        // Keys cannot manage keys, whatever they may do elsewhere.
        let caller = application_of_secret(state, head, token)?;
        return Err(refused(state, &caller, operation));
    }
    if token.starts_with(ENGINE_TOKEN_PREFIX) {
        let caller = state.engine.authenticate_bearer(DOOR, request, token)?;
        if caller.realm() != state.realm {
            return Err(anonymous(state, head));
        }
        let held = held(&state.settings, &caller);
        return Ok((caller, held));
    }
    let Some(opened) = open_own(state, token) else { return Err(anonymous(state, head)) };
    let caller = caller_of(state, head, &opened)?;
    if opened.claims.client_id.is_some() {
        return Err(refused(state, &caller, operation));
    }
    let mut held = held(&state.settings, &caller);
    held.retain(|name| opened.claims.permissions.contains(name));
    Ok((caller, held))
}

/// An access token of this realm and for its own service.
fn open_own(state: &State, token: &str) -> Option<Opened> {
    let opened = lethe_token::open(&state.engine, token)?;
    (opened.realm == state.realm && opened.is_for_own_service()).then_some(opened)
}

/// Who has the token, bounded by what it says.
pub(crate) fn caller_of(
    state: &State,
    head: &RequestHead,
    opened: &Opened,
) -> Result<Caller, Refusal> {
    let request = head.request_id.to_bytes();
    let bound = bound_of(&state.settings, &opened.claims.permissions);
    let from = Some(client_address(state, head));
    Ok(opened.caller(&state.engine, DOOR, request, bound, from)?)
}

/// Records the refusal of an operation that the caller may not do.
fn refused(state: &State, caller: &Caller, operation: &'static str) -> Refusal {
    let denied = EngineError::PermissionDenied(Permission::ApikeysManage);
    let decided = state.engine.decide(caller, DoorOperation::named(operation), Some(denied));
    decided.err().map_or(Refusal::NotFound, Refusal::Engine)
}

/// Records a refusal that the door itself gives.
///
/// # Errors
/// That the audit trail takes nothing.
pub(crate) fn record_refusal(
    state: &State,
    caller: &Caller,
    operation: &'static str,
    error: EngineError,
) -> Result<(), Refusal> {
    match state.engine.decide(caller, DoorOperation::named(operation), Some(error.clone())) {
        Err(other) if other != error => Err(other.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Counts one request of the caller.
///
/// # Errors
/// [`Refusal::TooManyRequests`].
pub(crate) fn count(state: &State, caller: &Caller) -> Result<(), Refusal> {
    let counted = state.management.count(caller.principal(), state.clock.monotonic());
    let limit = state.management.limit();
    counted.map_err(|retry_after_seconds| Refusal::TooManyRequests { limit, retry_after_seconds })
}

/// A service that exchanges secrets and asks about tokens.
#[derive(Debug)]
pub(crate) struct ResourceServer {
    /// For which services it may have tokens, its own first.
    pub(crate) audiences: Vec<String>,
}

/// The resource server that makes the request: a service account of the realm that may read keys.
///
/// # Errors
/// 401.
pub(crate) fn resource_server(
    state: &State,
    head: &RequestHead,
) -> Result<ResourceServer, Refusal> {
    let request = head.request_id.to_bytes();
    let token = bearer(head).filter(|token| token.starts_with(ENGINE_TOKEN_PREFIX));
    let Some(token) = token else { return Err(anonymous(state, head)) };
    let caller = state.engine.authenticate_bearer(DOOR, request, token)?;
    let record = caller.record();
    let set = state.settings.resource_servers.get(record.name.as_str());
    let set = set.cloned().unwrap_or_default();
    let allowed = networks(&set.addresses);
    let is_one = caller.realm() == state.realm
        && record.kind == PrincipalKind::ServiceAccount
        && caller.realm_permissions().contains(Permission::KeysRead)
        && (allowed.is_empty() || allowed.iter().any(|net| net.contains(head.peer.ip())));
    if !is_one {
        return Err(anonymous(state, head));
    }
    let audiences = match set.audiences.is_empty() {
        true => vec![state.settings.audience.clone()],
        false => set.audiences,
    };
    Ok(ResourceServer { audiences })
}

/// Where the request comes from: what the last proxy said, if it is one that is trusted.
pub(crate) fn client_address(state: &State, head: &RequestHead) -> IpAddr {
    let peer = head.peer.ip();
    if state.trusted_proxies.iter().any(|proxy| proxy.contains(peer)) {
        return forwarded(head).unwrap_or(peer);
    }
    peer
}

/// Where a secret was used, as the resource server that brings it tells; it proved who it is.
pub(crate) fn told_address(head: &RequestHead) -> IpAddr {
    forwarded(head).unwrap_or_else(|| head.peer.ip())
}

/// The last entry of `X-Forwarded-For`.
fn forwarded(head: &RequestHead) -> Option<IpAddr> {
    let value = head.headers.get_all("x-forwarded-for").iter().next_back()?;
    value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

/// The application whose secret it is.
///
/// # Errors
/// 401.
pub(crate) fn application_of_secret(
    state: &State,
    head: &RequestHead,
    secret: &str,
) -> Result<Caller, Refusal> {
    application_from(state, head, secret, client_address(state, head))
        .map_err(|error| Refusal::Engine(error.unwrap_or(EngineError::AuthenticationNotSuccessful)))
}

/// The application whose secret it is, used from there; the error is the engine's, if it is more
/// than that the secret is not good.
pub(crate) fn application_from(
    state: &State,
    head: &RequestHead,
    secret: &str,
    from: IpAddr,
) -> Result<Caller, Option<EngineError>> {
    let request = head.request_id.to_bytes();
    if !is_secret(secret) {
        return Err(state.engine.refuse_anonymous(DOOR, request).err());
    }
    match state.engine.authenticate_api_secret(DOOR, request, secret, Some(from)) {
        Ok(caller) if caller.realm() == state.realm => Ok(caller),
        Ok(_) | Err(EngineError::AuthenticationNotSuccessful) => Err(None),
        Err(error) => Err(Some(error)),
    }
}

/// The application that proves itself as an OAuth client: by Basic (RFC 6749 section 2.3.1) or in
/// the body, with the API key's secret as client secret.
///
/// # Errors
/// `invalid_client`; `invalid_request` if it uses both ways.
pub(crate) fn oauth_client(
    state: &State,
    head: &RequestHead,
    form: &Form<'_>,
) -> Result<Caller, Refusal> {
    let basic = head.headers.get(AUTHORIZATION);
    let by_basic = basic.is_some();
    let in_body = form.get("client_secret").is_some();
    if by_basic && in_body {
        return Err(Refusal::OAuth(OAuthError::InvalidRequest));
    }
    let given = match basic {
        Some(value) => value.to_str().ok().and_then(basic_credentials),
        None => form
            .get("client_id")
            .zip(form.get("client_secret"))
            .map(|(id, secret)| (id.to_owned(), zeroize::Zeroizing::new(secret.to_owned()))),
    };
    let invalid = || Refusal::OAuth(OAuthError::InvalidClient { by_basic });
    let (client, secret) = given.ok_or_else(invalid)?;
    let from = client_address(state, head);
    let caller = application_from(state, head, &secret, from)
        .map_err(|error| error.map_or_else(invalid, Refusal::Engine))?;
    let is_own = caller.record().login.as_deref() == Some(client.as_str());
    let is_same = form.get("client_id").is_none_or(|id| id == client);
    if is_own && is_same { Ok(caller) } else { Err(invalid()) }
}

fn basic_credentials(value: &str) -> Option<(String, zeroize::Zeroizing<String>)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let text = zeroize::Zeroizing::new(text);
    let (client, secret) = text.split_once(':')?;
    let decode = |part: &str| Some(percent_decode(part).ok()?.into_owned());
    Some((decode(client)?, zeroize::Zeroizing::new(decode(secret)?)))
}

/// The credential that an application came with.
pub(crate) fn credential_of(caller: &Caller) -> Option<&Credential> {
    let id = caller.credential()?;
    caller.record().credentials.iter().find(|credential| credential.id == id)
}

/// An access token for the application that proved itself, and how many seconds it is good for.
///
/// # Errors
/// The engine's. About a millisecond of computation.
pub(crate) fn application_token(
    state: &State,
    caller: &Caller,
    audience: Option<String>,
    permissions: Vec<String>,
) -> Result<(String, u64), Refusal> {
    let gone = EngineError::AuthenticationNotSuccessful;
    let record = caller.record();
    let credential = credential_of(caller).ok_or_else(|| gone.clone())?;
    let (_, version) = credential.api_secret().ok_or_else(|| gone.clone())?;
    let client = record.login.as_deref().ok_or_else(|| gone.clone())?;
    let key = record.bound_to.ok_or(gone)?;
    let others = json!({
        "azp": client,
        "scope": permissions.join(" "),
        "id": state.tenant.owner,
        "org_id": state.tenant.organization,
        "workspace_id": state.tenant.workspace,
        "name": crate::wire::name_of(record),
        "gty": "client-credentials",
        "key_id": crate::wire::key_id_of(state, key),
    });
    let now = state.clock.now();
    let lifetime = core::time::Duration::from_secs(state.settings.token_lifetime_seconds);
    // No token outlives the secret that it was made from.
    let lifetime = credential.expires.map_or(lifetime, |end| lifetime.min(end.since(now)));
    let (token, claims) = state.issuer.mint(NewToken {
        audience,
        subject: format!("{client}@clients"),
        application: Some((client.to_owned(), version)),
        now,
        lifetime,
        permissions,
        others: members(others),
    })?;
    Ok((token, claims.exp.saturating_sub(claims.iat)))
}

fn members(value: Value) -> BTreeMap<String, Value> {
    match value {
        Value::Object(members) => members.into_iter().collect(),
        Value::Array(_) | Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => {
            BTreeMap::new()
        }
    }
}

/// The permissions of an application that proved itself, or those of its token.
pub(crate) fn application_permissions(record: &PrincipalRecord) -> Vec<String> {
    of_application(record)
}

/// See [`crate::AltostratDoor::user_token`].
pub(crate) fn user_token(
    state: &State,
    user: PrincipalId,
    expires: UnixMillis,
) -> Result<String, IssuerError> {
    let caller = state.engine.caller_of(state.realm, user, None, DOOR, [0; 16])?;
    let permissions = held(&state.settings, &caller);
    let now = state.clock.now();
    let others = json!({
        "scope": permissions.join(" "),
        "id": state.tenant.owner,
        "user_id": user.to_string(),
        "org_id": state.tenant.organization,
        "workspace_id": state.tenant.workspace,
        "name": caller.record().name.as_str(),
    });
    let (token, _) = state.issuer.mint(NewToken {
        audience: None,
        subject: user.to_string(),
        application: None,
        now,
        lifetime: expires.since(now),
        permissions,
        others: members(others),
    })?;
    Ok(token)
}

/// See [`crate::AltostratDoor::takes_user_token`].
pub(crate) fn takes_user_token(state: &State, token: &str) -> bool {
    let Some(opened) = open_own(state, token) else { return false };
    let bound = bound_of(&state.settings, &opened.claims.permissions);
    let caller = opened.caller(&state.engine, DOOR, [0; 16], bound, None);
    opened.claims.client_id.is_none()
        && caller.is_ok_and(|caller| held(&state.settings, &caller) == opened.claims.permissions)
}
