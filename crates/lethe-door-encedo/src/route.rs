//! One line of the route table.

use core::time::Duration;
use std::sync::Arc;

use http::Method;
use lethe_http::{Authentication, Handler, Kind as Work, Request, RouteSpec};

use crate::call::{self, Call, Reach};
use crate::event::{Ended, Kind};
use crate::state::State;

/// Largest body of a request, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 7_300;
/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// What answers.
pub(crate) type Operation = fn(&Arc<State>, &Arc<Call>) -> call::Work;

/// What has to hold before an operation, and in which order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guard {
    /// The operation looks for itself.
    Open,
    /// Encryption, state, a token of User or authenticator with one of the scopes.
    Keys(&'static [&'static str]),
    /// State, a token of the User for pairings.
    Pairing,
    /// Encryption and state; whether a token is needed depends on what is searched.
    Search,
    /// A token with one of the scopes, or with any if there are none. With `fresh`, no token on a
    /// device that belongs to nobody.
    System { scopes: &'static [&'static str], roles: &'static [Reach], fresh: bool },
    /// Encryption, state, a token; the body and its `kid`; the scope for that key.
    Use,
}

/// One operation of the door.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) op: &'static str,
    pub(crate) kind: Work,
    pub(crate) guard: Guard,
    /// Its event in the device log.
    pub(crate) event: Option<Kind>,
    /// Whether success is told after it; else the operation sees to it.
    pub(crate) tells_success: bool,
    /// What the log says of what could not be done.
    pub(crate) not_done: Ended,
    pub(crate) call: Operation,
}

impl Route {
    pub(crate) const fn new(
        method: Method,
        path: &'static str,
        op: &'static str,
        kind: Work,
        guard: Guard,
        call: Operation,
    ) -> Self {
        let (event, tells_success, not_done) = (None, true, Ended::Failed);
        Self { method, path, op, kind, guard, event, tells_success, not_done, call }
    }

    pub(crate) const fn told_as(mut self, event: Kind) -> Self {
        self.event = Some(event);
        self
    }

    /// The operation writes of its success itself.
    pub(crate) const fn writing_success(mut self) -> Self {
        self.tells_success = false;
        self
    }

    pub(crate) const fn failing_as(mut self, ended: Ended) -> Self {
        self.not_done = ended;
        self
    }

    /// The route as `lethe-http` serves it.
    pub(crate) fn spec(&'static self, state: &Arc<State>) -> RouteSpec {
        let state = Arc::clone(state);
        RouteSpec {
            method: self.method.clone(),
            path: self.path,
            op: self.op,
            body_bytes_max: BODY_BYTES_MAX,
            deadline: DEADLINE,
            kind: self.kind,
            authentication: match self.guard {
                Guard::Keys(_) | Guard::Pairing | Guard::Use | Guard::System { .. } => {
                    Authentication::Required
                }
                Guard::Open | Guard::Search => Authentication::Public,
            },
            handler: Handler::new(move |request: Request| call::answer(&state, self, request)),
        }
    }
}
