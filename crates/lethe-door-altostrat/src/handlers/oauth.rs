//! The OAuth 2.0 endpoints: tokens (RFC 6749), introspection (RFC 7662), revocation (RFC 7009).

use std::collections::BTreeSet;
use std::sync::Arc;

use http::StatusCode;
use lethe_engine::EngineError;
use lethe_http::{Reply, Request};
use lethe_token::Opened;
use serde_json::{Map, Value, json};

use super::{blocking, pending};
use crate::auth::{
    ResourceServer, application_from, application_permissions, application_token, caller_of,
    credential_of, oauth_client, resource_server, told_address,
};
use crate::error::{OAuthError, Refusal, empty, json_response};
use crate::form::Form;
use crate::identifiers::SECRET_PREFIX;
use crate::state::State;
use crate::wire::key_id_of;

pub(crate) fn token(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let form = Form::of(&request)?;
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(_) => return Err(Refusal::OAuth(OAuthError::UnsupportedGrantType)),
        None => return Err(Refusal::OAuth(OAuthError::InvalidRequest)),
    }
    let caller = oauth_client(state, &request.head, &form)?;
    let own = application_permissions(caller.record());
    let granted = match form.get("scope") {
        None => own,
        Some(scope) => {
            let wanted: BTreeSet<&str> = scope.split(' ').filter(|name| !name.is_empty()).collect();
            if !wanted.iter().all(|name| own.iter().any(|other| other == name)) {
                return Err(Refusal::OAuth(OAuthError::InvalidScope));
            }
            own.into_iter().filter(|name| wanted.contains(name.as_str())).collect()
        }
    };
    let state = Arc::clone(state);
    Ok(blocking(move || {
        let scope = granted.join(" ");
        let (token, expires_in) = application_token(&state, &caller, None, granted)?;
        let body = json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": expires_in,
            "scope": scope,
        });
        Ok(json_response(StatusCode::OK, &body))
    }))
}

pub(crate) fn introspect(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let server = resource_server(state, &request.head)?;
    let form = Form::of(&request)?;
    let token = form.get("token").ok_or(Refusal::OAuth(OAuthError::InvalidRequest))?;
    let told = if token.starts_with(SECRET_PREFIX) {
        of_secret(state, &request, &server, token)?
    } else {
        of_token(state, &request, &server, token)?
    };
    // Of what is not active nothing is told.
    let body = told.unwrap_or_else(|| json!({ "active": false }));
    Ok(json_response(StatusCode::OK, &body).into())
}

fn of_secret(
    state: &State,
    request: &Request,
    server: &ResourceServer,
    secret: &str,
) -> Result<Option<Value>, Refusal> {
    let from = told_address(&request.head);
    let caller = match application_from(state, &request.head, secret, from) {
        Ok(caller) => caller,
        Err(None) => return Ok(None),
        Err(Some(error)) => return Err(error.into()),
    };
    let record = caller.record();
    let (Some(client), Some(key)) = (record.login.as_deref(), record.bound_to) else {
        return Ok(None);
    };
    let mut told = json!({
        "active": true,
        "client_id": client,
        "scope": application_permissions(record).join(" "),
        "sub": format!("{client}@clients"),
        "aud": server.audiences.first(),
        "iss": state.issuer.issuer(),
        "token_type": "Bearer",
        "key_id": key_id_of(state, key),
    });
    if let (Some(credential), Some(members)) = (credential_of(&caller), told.as_object_mut()) {
        members.insert("iat".to_owned(), json!(credential.created.seconds()));
        if let Some(end) = credential.expires {
            members.insert("exp".to_owned(), json!(end.seconds()));
        }
    }
    Ok(Some(told))
}

fn of_token(
    state: &State,
    request: &Request,
    server: &ResourceServer,
    token: &str,
) -> Result<Option<Value>, Refusal> {
    let Some(opened) = lethe_token::open(&state.engine, token) else { return Ok(None) };
    let is_for_caller = server.audiences.contains(&opened.claims.aud);
    if opened.realm != state.realm || !is_for_caller {
        return Ok(None);
    }
    match caller_of(state, &request.head, &opened) {
        Ok(_) => Ok(Some(told_of(&opened))),
        Err(Refusal::Engine(EngineError::AuthenticationNotSuccessful)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn told_of(opened: &Opened) -> Value {
    let claims = &opened.claims;
    let mut told = Map::new();
    let mut tell = |name: &str, value: Value| drop(told.insert(name.to_owned(), value));
    tell("active", json!(true));
    tell("scope", json!(claims.permissions.join(" ")));
    tell("sub", json!(claims.sub));
    tell("aud", json!(claims.aud));
    tell("iss", json!(claims.iss));
    tell("exp", json!(claims.exp));
    tell("iat", json!(claims.iat));
    tell("jti", json!(claims.jti));
    tell("token_type", json!("Bearer"));
    if let Some(client) = &claims.client_id {
        tell("client_id", json!(client));
    }
    if let Some(key) = claims.others.get("key_id") {
        tell("key_id", key.clone());
    }
    Value::Object(told)
}

pub(crate) fn revoke(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let form = Form::of(&request)?;
    let caller = oauth_client(state, &request.head, &form)?;
    let token = form.get("token").ok_or(Refusal::OAuth(OAuthError::InvalidRequest))?;
    if token.starts_with(SECRET_PREFIX) {
        return Err(Refusal::OAuth(OAuthError::UnsupportedTokenType));
    }
    let opened = lethe_token::open(&state.engine, token);
    // Another client's token is left alone, and nobody learns whether there is one.
    let own = opened.filter(|opened| {
        opened.realm == state.realm
            && opened.claims.client_id.as_deref() == caller.record().login.as_deref()
    });
    let denied = own.and_then(|opened| Some((opened.token_id()?, opened.expires())));
    let (Some((token, expires)), Some(key)) = (denied, caller.record().bound_to) else {
        return Ok(empty(StatusCode::OK).into());
    };
    let (state, system) = (Arc::clone(state), state.system()?);
    Ok(pending(async move {
        state.engine.deny_token(&system, key, token, expires).await?;
        Ok(empty(StatusCode::OK))
    }))
}
