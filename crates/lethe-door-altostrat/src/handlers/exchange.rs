//! Exchange a secret for a short-lived token.

use std::sync::Arc;

use http::StatusCode;
use lethe_http::{Reply, Request};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::blocking;
use crate::auth::{
    application_from, application_permissions, application_token, resource_server, told_address,
};
use crate::error::{Refusal, json_response};
use crate::state::State;

pub(crate) fn exchange(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let server = resource_server(state, &request.head)?;
    let secret = parse(&request.body)?;
    let from = told_address(&request.head);
    let caller = application_from(state, &request.head, &secret, from)
        .map_err(|error| error.map_or(Refusal::InvalidApiKey, Refusal::Engine))?;
    let state = Arc::clone(state);
    Ok(blocking(move || {
        let permissions = application_permissions(caller.record());
        let audience = server.audiences.into_iter().next();
        let (token, expires_in) = application_token(&state, &caller, audience, permissions)?;
        let data = json!({"access_token": token, "token_type": "Bearer", "expires_in": expires_in});
        Ok(json_response(StatusCode::OK, &json!({"status": "success", "data": data})))
    }))
}

fn parse(body: &[u8]) -> Result<Zeroizing<String>, Refusal> {
    let refused = || Refusal::Malformed("The api_key field is required and must be a string.");
    let Ok(Value::Object(mut members)) = serde_json::from_slice(body) else {
        return Err(refused());
    };
    match members.remove("api_key") {
        Some(Value::String(secret)) => Ok(Zeroizing::new(secret)),
        Some(
            Value::Array(_) | Value::Bool(_) | Value::Null | Value::Number(_) | Value::Object(_),
        )
        | None => Err(refused()),
    }
}
