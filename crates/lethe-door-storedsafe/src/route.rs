//! One line of the route table.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use http::Method;
use lethe_http::{Authentication, Handler, Kind, Request, RouteSpec};

use crate::call::{self, Call, Work};
use crate::state::State;

/// Largest body of a request, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// What answers.
pub(crate) type Operation = fn(&Arc<State>, &Arc<Call>) -> Work;

/// How an operation learns who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authenticates {
    /// By the token.
    Token,
    /// By itself: the login.
    Itself,
}

/// One operation of the door.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// Below `/api/1.0`.
    pub(crate) path: &'static str,
    pub(crate) op: &'static str,
    pub(crate) kind: Kind,
    pub(crate) authenticates: Authenticates,
    /// Whether a body has to be a JSON object.
    pub(crate) reads_body: bool,
    /// The name of the handler in the envelope.
    pub(crate) handler: &'static str,
    /// The parameters in the path.
    pub(crate) params: Vec<&'static str>,
    pub(crate) call: Operation,
}

impl Route {
    /// The route as `lethe-http` serves it.
    pub(crate) fn spec(self, state: &Arc<State>) -> RouteSpec {
        let state = Arc::clone(state);
        RouteSpec {
            method: self.method.clone(),
            path: self.path,
            op: self.op,
            body_bytes_max: BODY_BYTES_MAX,
            deadline: DEADLINE,
            kind: self.kind,
            authentication: match self.authenticates {
                Authenticates::Token => Authentication::Required,
                Authenticates::Itself => Authentication::Public,
            },
            handler: Handler::new(move |request: Request| call::answer(&state, &self, request)),
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({} {})", self.method, self.path)
    }
}
