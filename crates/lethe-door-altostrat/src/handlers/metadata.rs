//! What anybody may know: the public keys, the endpoints, the document of this interface.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use lethe_http::{Body, Reply, Request, Response};
use lethe_types::Permission;
use serde_json::json;

use super::blocking;
use crate::error::{JSON, Refusal};
use crate::state::State;

/// As long as clients keep the set by themselves.
const SHORT: HeaderValue = HeaderValue::from_static("public, max-age=60");

static OPENAPI: &[u8] = include_bytes!("../openapi.json");

pub(crate) fn jwks(state: &Arc<State>, _: Request) -> Result<Reply, Refusal> {
    if let Some(written) = state.jwks.get() {
        return Ok(public(written.clone()).into());
    }
    let state = Arc::clone(state);
    Ok(blocking(move || {
        let set = Bytes::from(state.issuer.jwks()?.to_string());
        Ok(public(state.jwks.get_or_init(|| set).clone()))
    }))
}

/// RFC 8414 and OpenID Connect Discovery, as far as both speak of what is served here. The
/// endpoints are where the client found this document.
pub(crate) fn server(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let scheme = if request.head.is_tls { "https" } else { "http" };
    let base = format!("{scheme}://{}", request.head.host().unwrap_or("localhost"));
    let mut scopes: Vec<&str> = Permission::ALL.iter().map(|name| name.as_str()).collect();
    scopes.extend(state.settings.grantable_permissions.iter().map(String::as_str));
    let methods = ["client_secret_basic", "client_secret_post"];
    let body = json!({
        "issuer": state.issuer.issuer(),
        "token_endpoint": format!("{base}/oauth/token"),
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "introspection_endpoint": format!("{base}/oauth/introspect"),
        "revocation_endpoint": format!("{base}/oauth/revoke"),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "scopes_supported": scopes,
    });
    Ok(public(Bytes::from(body.to_string())).into())
}

pub(crate) fn openapi(_: &Arc<State>, _: Request) -> Result<Reply, Refusal> {
    Ok(public(Bytes::from_static(OPENAPI)).into())
}

fn public(body: Bytes) -> Response {
    let mut response = http::Response::new(Body::from(body));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.headers_mut().insert(CACHE_CONTROL, SHORT);
    response
}
