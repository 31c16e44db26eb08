//! For gateways: look at the credential of a request that somebody else serves.

use std::sync::Arc;

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use lethe_engine::EngineError;
use lethe_http::{Reply, Request, Response};

use super::blocking;
use crate::auth::{application_of_secret, application_permissions, application_token, caller_of};
use crate::error::{FieldErrors, Refusal, UNAUTHORIZED, empty};
use crate::identifiers::SECRET_PREFIX;
use crate::state::State;

const X_CLIENT_ID: HeaderName = HeaderName::from_static("x-client-id");

/// 200 if the credential is good now and has every `permission` of the query. A secret is answered
/// with an access token in `Authorization`, so that what stands behind the gateway never sees the
/// secret; an access token is answered with itself.
pub(crate) fn forward_auth(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let mut values = request.head.headers.get_all(AUTHORIZATION).iter();
    let given = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    };
    let given = given.and_then(|text| text.split_once(' '));
    let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = given.map(|(_, token)| token.trim_start().to_owned());
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        let was_sent = request.head.headers.contains_key(AUTHORIZATION);
        return match state.engine.refuse_anonymous(crate::DOOR, request.head.request_id.to_bytes())
        {
            Ok(_) => Err(Refusal::Unauthorized { was_sent }),
            Err(error) => Err(error.into()),
        };
    };
    let needed = needed(&request);
    if token.starts_with(SECRET_PREFIX) {
        let caller = application_of_secret(state, &request.head, &token)?;
        let permissions = application_permissions(caller.record());
        check(&needed, &permissions)?;
        let state = Arc::clone(state);
        return Ok(blocking(move || {
            let (token, _) = application_token(&state, &caller, None, permissions)?;
            Ok(passed(&token, caller.record().login.as_deref()))
        }));
    }
    let opened = lethe_token::open(&state.engine, &token);
    let opened = opened.filter(|opened| opened.realm == state.realm && opened.is_for_own_service());
    let opened = opened.ok_or(EngineError::AuthenticationNotSuccessful)?;
    caller_of(state, &request.head, &opened)?;
    check(&needed, &opened.claims.permissions)?;
    Ok(passed(&token, opened.claims.client_id.as_deref()).into())
}

/// The permissions that the gateway asks for.
fn needed(request: &Request) -> Vec<String> {
    let pairs = request.head.query_pairs().pairs_lenient();
    let named = pairs.into_iter().filter(|pair| pair.name == "permission");
    named.map(|pair| pair.value.into_owned()).collect()
}

/// By exact membership: no wildcards, no hierarchy.
fn check(needed: &[String], held: &[String]) -> Result<(), Refusal> {
    if needed.iter().all(|name| held.contains(name)) {
        return Ok(());
    }
    let why = "This action is unauthorized.";
    Err(Refusal::Forbidden(why, FieldErrors::new()))
}

fn passed(token: &str, client: Option<&str>) -> Response {
    let mut response = empty(StatusCode::OK);
    let Ok(mut value) = HeaderValue::try_from(format!("Bearer {token}")) else {
        return crate::error::message(StatusCode::UNAUTHORIZED, UNAUTHORIZED);
    };
    value.set_sensitive(true);
    response.headers_mut().insert(AUTHORIZATION, value);
    if let Some(client) = client.and_then(|client| HeaderValue::try_from(client).ok()) {
        response.headers_mut().insert(X_CLIENT_ID, client);
    }
    response
}
