//! What is served.

use core::time::Duration;
use std::sync::Arc;

use http::Method;
use lethe_http::{Authentication, Handler, Kind, Request, RouteSpec};
use serde_json::{Map, Value};

use crate::auth::Identity;
use crate::call::{Call, Work, answer};
use crate::error::Refusal;
use crate::handlers::{actions, delegate, delete, keys, logs, signatures, stores};
use crate::state::State;

/// Largest body of most requests, in bytes.
const BODY_BYTES_MAX: usize = 131_072;
/// Largest body that announces another one, in bytes: it holds that as a text, escaped.
const ANNOUNCEMENT_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;
/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Whose request is looked at at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone's.
    Public,
    /// Of somebody who registers.
    Temporary,
    /// Of the holder of any other token.
    Token,
}

/// One operation.
#[derive(Clone, Copy)]
pub(crate) struct Route {
    method: &'static str,
    path: &'static str,
    /// Its name in metrics and the audit trail.
    pub(crate) op: &'static str,
    pub(crate) access: Access,
    /// Whether the request needs a signed user action.
    pub(crate) is_signed: bool,
    /// What the caller needs.
    pub(crate) operations: &'static [&'static str],
    /// What the caller needs besides, by the body.
    pub(crate) more: fn(&Map<String, Value>) -> Vec<&'static str>,
    /// Whether it is for this kind of caller.
    pub(crate) who: fn(&Identity) -> Result<(), Refusal>,
    body_bytes_max: usize,
    pub(crate) call: fn(Arc<State>, Arc<Call>) -> Work,
}

/// A row that reads: method, path, name, operations, handler.
macro_rules! reads {
    ($method:literal, $path:literal, $op:literal, [$($name:literal),*], $($call:ident)::+) => {
        Route {
            method: $method,
            path: $path,
            op: $op,
            access: Access::Token,
            is_signed: false,
            operations: &[$($name),*],
            more: |_| Vec::new(),
            who: |_| Ok(()),
            body_bytes_max: BODY_BYTES_MAX,
            call: |state, call| Box::pin($($call)::+(state, call)),
        }
    };
}

/// The same for a row that changes something, which the caller signs.
macro_rules! signed {
    ($method:literal, $path:literal, $op:literal, [$($name:literal),*], $($call:ident)::+) => {
        Route {
            is_signed: true,
            ..reads!($method, $path, $op, [$($name),*], $($call)::+)
        }
    };
}

const ACTIONS: &[Route] = &[
    Route {
        body_bytes_max: ANNOUNCEMENT_BYTES_MAX,
        ..reads!("POST", "/auth/action/init", "dfns.action.init", [], actions::init)
    },
    reads!("POST", "/auth/action", "dfns.action.sign", [], actions::sign),
];

const KEYS: &[Route] = &[
    Route {
        more: keys::more_to_create,
        ..signed!("POST", "/keys", "dfns.key.create", ["Keys:Create"], keys::create)
    },
    reads!("GET", "/keys", "dfns.key.list", ["Keys:Read"], keys::list),
    reads!("GET", "/keys/{key}", "dfns.key.read", ["Keys:Read"], keys::read),
    signed!("PUT", "/keys/{key}", "dfns.key.update", ["Keys:Update"], keys::update),
    signed!("DELETE", "/keys/{key}", "dfns.key.delete", ["Keys:Delete"], delete::delete),
    signed!(
        "POST",
        "/keys/{key}/delegate",
        "dfns.key.delegate",
        ["Keys:Delegate"],
        delegate::delegate
    ),
];

/// The paths of signatures.
const SIGNATURES: &[Route] = &[
    signed!(
        "POST",
        "/keys/{key}/signatures",
        "dfns.signature.create",
        ["Keys:Signatures:Create"],
        signatures::create
    ),
    reads!(
        "GET",
        "/keys/{key}/signatures",
        "dfns.signature.list",
        ["Keys:Signatures:Read"],
        signatures::list
    ),
    reads!(
        "GET",
        "/keys/{key}/signatures/{signature}",
        "dfns.signature.read",
        ["Keys:Signatures:Read"],
        signatures::read
    ),
];

const ELSE: &[Route] = &[
    reads!("GET", "/key-stores", "dfns.store.list", ["KeyStores:Read"], stores::key_stores),
    reads!("GET", "/v2/policies", "dfns.policy.list", ["Policies:Read"], stores::policies),
    reads!("GET", "/auth/action/logs", "dfns.log.list", ["Auth:Logs:Read"], logs::list),
    reads!("GET", "/auth/action/logs/{log}", "dfns.log.read", ["Auth:Logs:Read"], logs::read),
];

/// Every route.
pub(crate) fn all(state: &Arc<State>) -> Vec<RouteSpec> {
    let tables = [ACTIONS, KEYS, SIGNATURES, ELSE];
    tables.into_iter().flatten().map(|route| spec(state, *route)).collect()
}

fn spec(state: &Arc<State>, route: Route) -> RouteSpec {
    let state = Arc::clone(state);
    let method = Method::from_bytes(route.method.as_bytes());
    let authentication = match route.access {
        Access::Public => Authentication::Public,
        Access::Temporary | Access::Token => Authentication::Required,
    };
    RouteSpec {
        method: method.expect("the table has names of methods"),
        path: route.path,
        op: route.op,
        body_bytes_max: route.body_bytes_max,
        deadline: DEADLINE,
        kind: if route.method == "GET" { Kind::Read } else { Kind::Mutation },
        authentication,
        handler: Handler::new(move |request: Request| answer(&state, &route, request)),
    }
}
