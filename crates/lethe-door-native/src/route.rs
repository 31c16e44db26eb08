//! One line of the route table: what the door serves, and what it says about it.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use http::Method;
use lethe_http::{Authentication, Handler, Kind, Reply, Request, RouteSpec};

use crate::error::Refusal;
use crate::state::State;

/// Longest wait for a reply that is not ready at once. Generous: the search for the primes of a
/// large RSA key takes seconds on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// Most query parameters or headers that one operation documents.
const PARAMETERS_MAX: usize = 11;

type Call = fn(&Arc<State>, Request) -> Result<Reply, Refusal>;

/// One operation of the native door.
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, as `lethe_http::RouteSpec` has it.
    pub path: &'static str,
    /// Its name in metrics and in the OpenAPI document.
    pub op: &'static str,
    /// What becomes of the work when the client hangs up.
    pub kind: Kind,
    /// Whether it answers without a credential.
    pub authentication: Authentication,
    /// In a few words.
    pub summary: &'static str,
    /// In some sentences.
    pub description: &'static str,
    pub(crate) takes: Takes,
    pub(crate) gives: Gives,
    queries: [Option<Parameter>; PARAMETERS_MAX],
    headers: [Option<Parameter>; PARAMETERS_MAX],
    body_bytes_max: usize,
    call: Call,
}

/// A query parameter or header: its name and what it is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
}

/// What an operation takes as body; names the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// One of them, or a batch.
    Items(&'static str),
    Json(&'static str),
    Nothing,
    Optional(&'static str),
}

/// What an operation answers with; names the schema or the content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    Accepted(&'static str),
    Bytes,
    Created(&'static str),
    Events,
    /// One of them, or a batch.
    Items(&'static str),
    Json(&'static str),
    /// One or the other, as a parameter asks.
    JsonOf(&'static str, &'static str),
    Receipt,
    /// A receipt, or 202 and the key that is destroyed later.
    ReceiptOrKey,
    /// A public key, in one of its forms.
    PublicKey,
    Text(&'static str),
}

/// An operation that needs a credential.
pub(crate) const fn route(
    method: Method,
    path: &'static str,
    op: &'static str,
    kind: Kind,
    call: Call,
) -> Route {
    Route {
        method,
        path,
        op,
        kind,
        authentication: Authentication::Required,
        summary: "",
        description: "",
        takes: Takes::Nothing,
        gives: Gives::Bytes,
        queries: [None; PARAMETERS_MAX],
        headers: [None; PARAMETERS_MAX],
        body_bytes_max: 0,
        call,
    }
}

/// A reading operation that anyone may call.
pub(crate) const fn public(path: &'static str, op: &'static str, call: Call) -> Route {
    let mut public = route(Method::GET, path, op, Kind::Read, call);
    public.authentication = Authentication::Public;
    public
}

impl Route {
    pub(crate) const fn says(mut self, summary: &'static str, description: &'static str) -> Self {
        self.summary = summary;
        self.description = description;
        self
    }

    pub(crate) const fn takes(mut self, takes: Takes, body_bytes_max: usize) -> Self {
        self.takes = takes;
        self.body_bytes_max = body_bytes_max;
        self
    }

    pub(crate) const fn gives(mut self, gives: Gives) -> Self {
        self.gives = gives;
        self
    }

    pub(crate) const fn query(mut self, name: &'static str, description: &'static str) -> Self {
        let mut place = 0;
        while self.queries[place].is_some() {
            place += 1;
        }
        self.queries[place] = Some(Parameter { name, description });
        self
    }

    pub(crate) const fn header(mut self, name: &'static str, description: &'static str) -> Self {
        let mut place = 0;
        while self.headers[place].is_some() {
            place += 1;
        }
        self.headers[place] = Some(Parameter { name, description });
        self
    }

    pub(crate) fn queries(&self) -> impl Iterator<Item = &Parameter> {
        self.queries.iter().flatten()
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = &Parameter> {
        self.headers.iter().flatten()
    }

    /// The route as `lethe-http` serves it.
    pub(crate) fn spec(&self, state: &Arc<State>) -> RouteSpec {
        let (call, state) = (self.call, Arc::clone(state));
        RouteSpec {
            method: self.method.clone(),
            path: self.path,
            op: self.op,
            body_bytes_max: self.body_bytes_max,
            deadline: DEADLINE,
            kind: self.kind,
            authentication: self.authentication,
            handler: Handler::new(move |request: Request| {
                let head = Arc::clone(&request.head);
                call(&state, request).unwrap_or_else(|refusal| refusal.into_response(&head).into())
            }),
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({} {})", self.method, self.path)
    }
}
