//! What is served.

use core::time::Duration;
use std::sync::Arc;

use http::Method;
use lethe_http::Authentication::{self, Public, Required};
use lethe_http::Kind::{self, Mutation, Read, Use};
use lethe_http::{Handler, Reply, Request, RouteSpec};

use crate::error::Refusal;
use crate::handlers::{create, delete, exchange, feed, gateway, keys, metadata, oauth, operate};
use crate::state::State;

/// Largest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 65_536;
/// Longest wait for an answer; a long poll of the deny feed ends before.
const DEADLINE: Duration = Duration::from_secs(30);

type Call = fn(&Arc<State>, Request) -> Result<Reply, Refusal>;

/// Method, path, name, kind, authentication, handler.
type Route = (Method, &'static str, &'static str, Kind, Authentication, Call);

/// The five operations of the dialect, which also answer under the prefix that is set.
const KEYS: [Route; 5] = [
    (Method::POST, "/api/keys", "key.create", Mutation, Required, create::create),
    (Method::GET, "/api/keys", "key.list", Read, Required, keys::list),
    (Method::GET, "/api/keys/{id}", "key.read", Read, Required, keys::retrieve),
    (Method::DELETE, "/api/keys/{id}", "key.delete", Mutation, Required, delete::delete),
    (Method::POST, "/api/keys/{id}/rotate", "key.rotate", Mutation, Required, keys::rotate),
];

const OTHERS: [Route; 16] = [
    (Method::POST, "/oauth/token", "oauth.token", Use, Required, oauth::token),
    (Method::POST, "/oauth/introspect", "oauth.introspect", Use, Required, oauth::introspect),
    (Method::POST, "/oauth/revoke", "oauth.revoke", Mutation, Required, oauth::revoke),
    (Method::GET, "/v1/forward-auth", "forward_auth", Use, Required, gateway::forward_auth),
    (Method::GET, "/v1/revocations", "revocations", Read, Required, feed::revocations),
    (
        Method::POST,
        "/v1/api-keys/bulk-delete",
        "key.bulk_delete",
        Mutation,
        Required,
        delete::bulk_delete,
    ),
    (
        Method::POST,
        "/v1/api-keys/{id}/disable",
        "key.disable",
        Mutation,
        Required,
        operate::disable,
    ),
    (Method::POST, "/v1/api-keys/{id}/enable", "key.enable", Mutation, Required, operate::enable),
    (
        Method::POST,
        "/v1/api-keys/{id}/protect",
        "key.protect",
        Mutation,
        Required,
        operate::protect,
    ),
    (
        Method::POST,
        "/v1/api-keys/{id}/unprotect",
        "key.unprotect",
        Mutation,
        Required,
        operate::unprotect,
    ),
    (Method::GET, "/v1/api-keys/{id}/receipt", "key.receipt", Read, Required, delete::receipt),
    (Method::POST, "/v1/credentials/revoke", "leak.report", Mutation, Public, delete::report_leak),
    (Method::GET, "/.well-known/jwks.json", "jwks", Read, Public, metadata::jwks),
    (
        Method::GET,
        "/.well-known/oauth-authorization-server",
        "oauth.metadata",
        Read,
        Public,
        metadata::server,
    ),
    (
        Method::GET,
        "/.well-known/openid-configuration",
        "openid.metadata",
        Read,
        Public,
        metadata::server,
    ),
    (Method::GET, "/openapi.json", "openapi", Read, Public, metadata::openapi),
];

/// Every route, with the paths that the settings change.
pub(crate) fn all(state: &Arc<State>) -> Vec<RouteSpec> {
    let mut routes: Vec<RouteSpec> =
        KEYS.iter().chain(&OTHERS).map(|route| spec(state, route, route.1)).collect();
    let exchange: Route = (Method::POST, "", "key.exchange", Use, Required, exchange::exchange);
    routes.push(spec(state, &exchange, lasting(state.settings.exchange_path.clone())));
    if !state.settings.path_prefix.is_empty() {
        let prefix = &state.settings.path_prefix;
        let prefixed =
            KEYS.iter().map(|route| spec(state, route, lasting(format!("{prefix}{}", route.1))));
        routes.extend(prefixed);
    }
    routes
}

/// A path that lives as long as the process, as the doors do: there are a handful.
fn lasting(path: String) -> &'static str {
    path.leak()
}

fn spec(state: &Arc<State>, route: &Route, path: &'static str) -> RouteSpec {
    let (method, _, op, kind, authentication, call) = route;
    let (call, state) = (*call, Arc::clone(state));
    RouteSpec {
        method: method.clone(),
        path,
        op,
        body_bytes_max: BODY_BYTES_MAX,
        deadline: DEADLINE,
        kind: *kind,
        authentication: *authentication,
        handler: Handler::new(move |request: Request| {
            call(&state, request).unwrap_or_else(|refusal| refusal.into_response().into())
        }),
    }
}
