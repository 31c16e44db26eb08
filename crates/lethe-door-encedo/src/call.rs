//! One request on its way: what has to hold before its operation, and what is said after it.
//!
//! `Origin` and tokens that are not good were refused before its path was looked at (`lib.rs`).
//! Then, as far as the route asks for it: encryption, the state of the device, who calls, role and
//! scope, the body. Every operation has its own order of these, which is that of [`Guard`].

use core::future::Future;
use core::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use lethe_engine::{DoorOperation, EngineError};
use lethe_http::{Body as HttpBody, Reply, Request, Response, with_reason_phrase};
use lethe_types::Permission;
use parking_lot::Mutex;
use serde_json::Value;

use crate::body::Body;
use crate::error::Failure;
use crate::event::{Actor, Ended, Event, Kind};
use crate::kid::Kid;
use crate::route::{Guard, Route};
use crate::state::{Holder, Session, State};

/// What an operation comes to.
pub(crate) enum Work {
    /// Done already.
    Now(Outcome),
    /// Slow: for the pool of threads that may block.
    Blocking(Box<dyn FnOnce() -> Outcome + Send>),
    /// Waits for something.
    Later(Pin<Box<dyn Future<Output = Outcome> + Send>>),
}

pub(crate) type Outcome = Result<Answer, Failure>;

impl Work {
    pub(crate) fn blocking(work: impl FnOnce() -> Outcome + Send + 'static) -> Self {
        Self::Blocking(Box::new(work))
    }

    pub(crate) fn later(work: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self::Later(Box::pin(work))
    }
}

impl From<Outcome> for Work {
    fn from(outcome: Outcome) -> Self {
        Self::Now(outcome)
    }
}

/// What a successful request is answered.
pub(crate) struct Answer {
    status: StatusCode,
    kind: &'static str,
    body: Bytes,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

const JSON: &str = "application/json";

impl Answer {
    pub(crate) fn empty() -> Self {
        Self { status: StatusCode::OK, kind: JSON, body: Bytes::new(), headers: Vec::new() }
    }

    /// The same with another status than success has.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same with the status of an argument that was refused, where the body says more.
    pub(crate) fn refused(self) -> Self {
        self.with_status(StatusCode::BAD_REQUEST)
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self { body: value.to_string().into(), ..Self::empty() }
    }

    /// JSON that is written already.
    pub(crate) fn raw_json(json: &[u8]) -> Self {
        Self { body: Bytes::copy_from_slice(json), ..Self::empty() }
    }

    pub(crate) fn text(text: String) -> Self {
        Self { kind: "text/plain", body: text.into(), ..Self::empty() }
    }

    fn response(self) -> Response {
        let mut response = response(self.status, self.kind, self.body);
        response.headers_mut().extend(self.headers);
        response
    }
}

/// A response with the headers that every one has.
pub(crate) fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(HttpBody::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_LENGTH, length);
    }
    response
}

/// A refusal: its status says all.
pub(crate) fn refusal(status: StatusCode) -> Response {
    let refused = response(status, JSON, Bytes::new());
    match status == StatusCode::IM_A_TEAPOT {
        true => with_reason_phrase(refused, ""),
        false => refused,
    }
}

/// A request that may be answered.
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) body: Body,
    session: Option<Session>,
    /// The key that its event in the log is about.
    about: Mutex<Option<Kid>>,
}

impl Call {
    /// Who calls.
    ///
    /// # Errors
    /// [`Failure::Unauthorized`] if the route let nobody in particular through.
    pub(crate) fn session(&self) -> Result<&Session, Failure> {
        self.session.as_ref().ok_or(Failure::Unauthorized)
    }

    pub(crate) fn maybe_session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    pub(crate) fn actor(&self) -> Actor {
        self.session.as_ref().map_or(Actor::Nobody, |session| session.holder.actor())
    }

    /// From now on its event is about this key.
    pub(crate) fn is_about(&self, kid: Kid) {
        *self.about.lock() = Some(kid);
    }

    pub(crate) fn about(&self) -> Option<Kid> {
        *self.about.lock()
    }

    pub(crate) fn param(&self, name: &str) -> &str {
        self.request.param(name)
    }

    /// Whether one of the scopes is the session's.
    pub(crate) fn opens(&self, scopes: &[&str]) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| scopes.iter().any(|scope| session.scope.opens(scope)))
    }
}

/// Answers one request.
pub(crate) fn answer(state: &Arc<State>, route: &'static Route, request: Request) -> Reply {
    let session = match state.session(&request.head) {
        Ok(session) => session,
        Err(failure) => return Reply::Ready(refusal(failure.status())),
    };
    let mut call = Call { request, body: Body::default(), session, about: Mutex::default() };
    if let Err(failure) = admit(state, route, &mut call) {
        return Reply::Ready(finish(state, route, &call, Err(failure)));
    }
    let call = Arc::new(call);
    let work = (route.call)(state, &call);
    let state = Arc::clone(state);
    match work {
        Work::Now(outcome) => Reply::Ready(finish(&state, route, &call, outcome)),
        Work::Blocking(work) => Reply::blocking(move || finish(&state, route, &call, work())),
        Work::Later(work) => Reply::pending(async move {
            let outcome = work.await;
            finish(&state, route, &call, outcome)
        }),
    }
}

/// What has to hold before the operation, in its order.
fn admit(state: &State, route: &Route, call: &mut Call) -> Result<(), Failure> {
    let encrypted = match call.request.head.is_tls {
        true => Ok(()),
        false => Err(Failure::NeedsTls),
    };
    match route.guard {
        Guard::Open => {}
        Guard::Search => {
            encrypted?;
            state.check_ready()?;
        }
        Guard::Keys(scopes) => {
            encrypted?;
            state.check_ready()?;
            may(call, scopes, &[Reach::User, Reach::External])?;
        }
        Guard::Use => {
            encrypted?;
            state.check_ready()?;
            call.session()?;
            call.body = Body::parse(&call.request.body)?;
            let kid = call.body.kid("kid")?.ok_or(Failure::BadArgument)?;
            call.is_about(kid);
            may(call, &[&format!("keymgmt:use:{kid}")], &[Reach::User, Reach::External])?;
            return Ok(());
        }
        Guard::Pairing => {
            state.check_ready()?;
            may(call, &["auth:ext:pair", "system:config"], &[Reach::User])?;
        }
        Guard::System { scopes, roles, fresh } => {
            // A device that belongs to nobody yet asks nobody.
            if !(fresh && state.device().config().is_none()) {
                may(call, scopes, roles)?;
            }
        }
    }
    if call.request.head.method == Method::POST {
        call.body = Body::parse(&call.request.body)?;
    }
    Ok(())
}

/// Which holders an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    User,
    Master,
    External,
}

fn may(call: &Call, scopes: &[&str], roles: &[Reach]) -> Result<(), Failure> {
    let reach = match call.session()?.holder {
        Holder::User => Reach::User,
        Holder::Master => Reach::Master,
        Holder::External(_) => Reach::External,
    };
    // No scopes: whoever has a token.
    let is_open = scopes.is_empty() || call.opens(scopes);
    if is_open && roles.contains(&reach) { Ok(()) } else { Err(Failure::Forbidden) }
}

/// The response, after what the log is told.
fn finish(state: &State, route: &Route, call: &Call, outcome: Outcome) -> Response {
    tell(state, route, call, outcome.as_ref().err().copied());
    match outcome {
        Ok(answer) => answer.response(),
        Err(failure) => refusal(failure.status()),
    }
}

fn tell(state: &State, route: &Route, call: &Call, failure: Option<Failure>) {
    let actor = call.actor();
    if failure == Some(Failure::Forbidden) {
        let event = Event::new(Kind::FAILED_SCOPE_CHECK, Ended::Failed, actor);
        state.journal.tell(&event.about(call.request.head.path().as_bytes()));
        audit_refused(state, route, call);
        return;
    }
    let Some(kind) = route.event else { return };
    let ended = match failure {
        None if route.tells_success => Ended::Ok,
        Some(Failure::BadArgument) => Ended::Error,
        Some(Failure::NotDone) => route.not_done,
        None
        | Some(
            Failure::Forbidden
            | Failure::Internal
            | Failure::NeedsTls
            | Failure::NotHere
            | Failure::Unauthorized
            | Failure::WrongState,
        ) => return,
    };
    let kid = call.about().map(|kid| kid.0);
    let event = Event::new(kind, ended, actor);
    state.journal.tell(&event.about(kid.as_ref().map_or(&[], |kid| kid.as_slice())));
}

/// The door's own refusals are in the audit trail, too.
fn audit_refused(state: &State, route: &Route, call: &Call) {
    let Some(session) = &call.session else { return };
    let refused = EngineError::PermissionDenied(Permission::RealmRead);
    let operation = DoorOperation {
        key: call.about().and_then(|kid| state.id_of(kid)),
        ..DoorOperation::named(route.op)
    };
    // The refusal stands whether or not the trail takes it.
    let _told_by_health = state.engine.decide(&session.unbounded, operation, Some(refused));
}
