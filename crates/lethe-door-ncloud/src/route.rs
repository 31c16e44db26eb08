//! One line of the route table.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use http::Method;
use lethe_http::{Authentication, Handler, Kind, Reply, Request, RouteSpec};

use crate::error::Refusal;
use crate::state::State;

/// Longest wait for a reply that is not ready at once. Generous: the search for the primes of an
/// RSA key takes seconds on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// Largest body, in bytes. Those of operations that take none are read and, for GET, not looked at.
const BODY_BYTES_MAX: usize = 1_048_576;

pub(crate) type Call = fn(Ask) -> Result<Reply, Refusal>;

/// One operation of the door.
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, as `lethe_http::RouteSpec` has it.
    pub path: &'static str,
    /// Its name in metrics.
    pub op: &'static str,
    /// What becomes of the work when the client hangs up.
    pub kind: Kind,
    /// What stands in the history of the key, if anything does.
    title: Option<&'static str>,
    is_use: bool,
    call: Call,
}

/// A request for one operation.
pub(crate) struct Ask {
    pub(crate) state: Arc<State>,
    pub(crate) request: Request,
    /// What stands in the history of the key.
    pub(crate) title: Option<&'static str>,
    /// Whether it is a use of the key, as last uses are told.
    pub(crate) is_use: bool,
}

pub(crate) const fn route(
    method: Method,
    path: &'static str,
    op: &'static str,
    kind: Kind,
    call: Call,
) -> Route {
    Route { method, path, op, kind, title: None, is_use: false, call }
}

impl Route {
    /// The same, told in the history of the key as `title`.
    pub(crate) const fn titled(mut self, title: &'static str) -> Self {
        self.title = Some(title);
        self
    }

    /// The same, told in the history of the key as a use of it.
    pub(crate) const fn used(mut self, title: &'static str) -> Self {
        self.is_use = true;
        self.titled(title)
    }

    /// The route as `lethe-http` serves it.
    pub(crate) fn spec(&self, state: &Arc<State>) -> RouteSpec {
        let (call, title, is_use, state) = (self.call, self.title, self.is_use, Arc::clone(state));
        RouteSpec {
            method: self.method.clone(),
            path: self.path,
            op: self.op,
            body_bytes_max: BODY_BYTES_MAX,
            deadline: DEADLINE,
            kind: self.kind,
            authentication: Authentication::Required,
            handler: Handler::new(move |request: Request| {
                let head = Arc::clone(&request.head);
                let ask = Ask { state: Arc::clone(&state), request, title, is_use };
                call(ask).unwrap_or_else(|refusal| refusal.into_response(&head).into())
            }),
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({} {})", self.method, self.path)
    }
}
