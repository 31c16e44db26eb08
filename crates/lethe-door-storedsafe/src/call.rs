//! One request on its way: who calls, what they sent, and how the answer is made.
//!
//! The order is the protocol's: path and method (before this), the token, the body, the operation.

use core::future::Future;
use core::pin::Pin;
use std::sync::Arc;

use http::header::HeaderName;
use lethe_engine::{Caller, EngineError};
use lethe_http::{Reply, Request, Response};
use lethe_types::SecretVec;

use crate::DOOR;
use crate::body::{Member, RequestBody};
use crate::echo::{Echoed, Sent};
use crate::envelope::{Answer, Frame};
use crate::error::Failure;
use crate::route::{Authenticates, Route};
use crate::sessions::{Login, Who};
use crate::state::State;

/// Where clients put the token, if they can.
pub(crate) const X_HTTP_TOKEN: HeaderName = HeaderName::from_static("x-http-token");

/// What an operation comes to.
pub(crate) enum Work {
    /// Done already.
    Now(Outcome),
    /// Slow: for the pool of threads that may block.
    Blocking(Box<dyn FnOnce() -> Outcome + Send>),
    /// Waits for a commit.
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

/// A request that may be answered, and what its answer needs of it.
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) body: RequestBody,
    pub(crate) query: Vec<(String, String)>,
    handler: &'static str,
    op: &'static str,
    /// Who calls, for operations that need to know.
    session: Option<Session>,
    params: Vec<(&'static str, String)>,
}

/// Somebody who is logged in.
pub(crate) struct Session {
    pub(crate) caller: Caller,
    pub(crate) login: Login,
    token: SecretVec,
}

impl Call {
    /// Who calls.
    ///
    /// # Errors
    /// Only if the route asks for nobody.
    pub(crate) fn caller(&self) -> Result<&Caller, Failure> {
        self.session().map(|session| &session.caller)
    }

    pub(crate) fn session(&self) -> Result<&Session, Failure> {
        self.session.as_ref().ok_or_else(Failure::token_invalid)
    }

    pub(crate) fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, text)| text)
    }

    /// The first value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The name of the operation in the audit trail.
    pub(crate) fn op(&self) -> &'static str {
        self.op
    }

    /// The identifier of this request in the audit trail.
    pub(crate) fn request_id(&self) -> [u8; 16] {
        self.request.head.request_id.to_bytes()
    }
}

/// Answers one request.
pub(crate) fn answer(state: &Arc<State>, route: &Route, request: Request) -> Reply {
    let query = request.head.query_pairs().pairs_lenient();
    let query: Vec<(String, String)> =
        (query.into_iter()).map(|pair| (pair.name.into_owned(), pair.value.into_owned())).collect();
    let params = route.params.iter().map(|name| (*name, param(&request, name))).collect();
    let (parsed, body) = match RequestBody::parse(&request.body) {
        Ok(body) => (Ok(()), body),
        Err(failure) => (Err(failure), RequestBody::default()),
    };
    let mut call =
        Call { request, body, query, handler: route.handler, op: route.op, session: None, params };
    if route.authenticates == Authenticates::Token {
        match authenticate(state, &call) {
            Ok(session) => call.session = Some(session),
            Err(failure) => return Reply::Ready(failed_to_prove(state, &call, &failure)),
        }
    }
    let call = Arc::new(call);
    let work = match parsed {
        Err(failure) if route.reads_body => Work::Now(Err(failure)),
        Err(_) | Ok(()) => (route.call)(state, &call),
    };
    let state = Arc::clone(state);
    let stale = call.session.as_ref().filter(|session| session.login.is_stale);
    let stale = stale.map(|session| (session.caller.clone(), session.login.hash));
    match work {
        Work::Now(outcome) => match stale {
            None => Reply::Ready(finish(&state, &call, outcome)),
            Some((caller, hash)) => Reply::pending(async move {
                store_again(&state, &caller, &hash).await;
                finish(&state, &call, outcome)
            }),
        },
        // What was used is stored with a later request.
        Work::Blocking(work) => Reply::blocking(move || finish(&state, &call, work())),
        Work::Later(work) => Reply::pending(async move {
            let outcome = work.await;
            if let Some((caller, hash)) = stale {
                store_again(&state, &caller, &hash).await;
            }
            finish(&state, &call, outcome)
        }),
    }
}

fn param(request: &Request, name: &str) -> String {
    request.param(name).to_owned()
}

/// Stores when a login was used last. If it cannot, the login only ends early after a restart.
async fn store_again(state: &State, caller: &Caller, hash: &[u8; 32]) {
    let _told_by_the_trail = state.store_login(caller, hash, &[]).await;
}

/// The answer with what follows from it for the token.
fn finish(state: &State, call: &Call, outcome: Outcome) -> Response {
    let outcome = outcome.map_err(|failure| unless_changed(state, call, failure));
    let rotated = match &call.session {
        Some(session) => {
            let (now, entropy) = (state.clock.now(), &*state.entropy);
            state.sessions.rotate(&session.login, entropy, now)
        }
        None => Ok(None),
    };
    let (outcome, rotated) = match rotated {
        Ok(rotated) => (outcome, rotated),
        // What was done is done; the client keeps its token, which still is good.
        Err(_) => (outcome, None),
    };
    let token = call.session.as_ref().map(|session| &session.token);
    // A successful login has its token among its own members.
    let has_failed = call.session.is_none() && outcome.is_err();
    let echoed = echo(state, call, token, has_failed);
    let frame = Frame { handler: call.handler, token: rotated.as_ref().or(token), echoed: &echoed };
    match outcome {
        Ok(answer) => frame.success(answer),
        Err(failure) => frame.failure(&failure),
    }
}

/// The engine carries out nothing for somebody whose rights changed meanwhile. Their token is good
/// all the same, and clients that hear otherwise log out: they are to ask again.
fn unless_changed(state: &State, call: &Call, failure: Failure) -> Failure {
    let Some(session) = call.session.as_ref().filter(|_| failure == Failure::token_invalid())
    else {
        return failure;
    };
    let Who { principal, credential, .. } = session.login.who;
    let request = call.request_id();
    let still = state.engine.caller_of(state.realm, principal, Some(credential), DOOR, request);
    if still.is_ok() { Failure::unavailable() } else { failure }
}

fn failed_to_prove(state: &State, call: &Call, failure: &Failure) -> Response {
    let echoed = echo(state, call, None, true);
    Frame { handler: call.handler, token: None, echoed: &echoed }.failure(failure)
}

fn echo(state: &State, call: &Call, token: Option<&SecretVec>, has_failed: bool) -> Echoed {
    let sent = Sent {
        head: &call.request.head,
        query: &call.query,
        body: &call.body,
        params: &call.params,
        token,
        has_failed,
    };
    Echoed::of(&sent, state.settings.echo)
}

/// Who calls: the token of the header, or of the body, or of the query; the first that is there
/// counts.
fn authenticate(state: &State, call: &Call) -> Result<Session, Failure> {
    let request = call.request_id();
    let token = presented(call);
    let now = state.clock.now();
    let found = token.as_deref().and_then(|token| state.sessions.find(token, now));
    let (Some(token), Some(login)) = (token, found) else {
        let refused = state.engine.refuse_anonymous(DOOR, request).unwrap_or_else(|error| error);
        return Err(refused.into());
    };
    let of = |(principal, credential)| {
        state.engine.caller_of(state.realm, principal, Some(credential), DOOR, request)
    };
    let who = login.who;
    let caller = of(who.api_key).and_then(|_| of((who.principal, who.credential)));
    match caller {
        Ok(caller) => {
            let token = SecretVec::copy_from(&token);
            Ok(Session { caller, login, token })
        }
        Err(EngineError::AuthenticationNotSuccessful) => {
            state.sessions.end(login.id);
            Err(Failure::token_invalid())
        }
        Err(error) => Err(error.into()),
    }
}

fn presented(call: &Call) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    let owned = |bytes: &[u8]| zeroize::Zeroizing::new(bytes.to_vec());
    if let Some(value) = call.request.head.headers.get(X_HTTP_TOKEN) {
        return Some(owned(value.as_bytes()));
    }
    let in_body = call.body.members().find(|(name, _)| *name == "token");
    match in_body {
        Some((_, Member::Secret(text))) => return Some(owned(text.as_bytes())),
        Some((_, Member::NotText)) => return Some(owned(b"")),
        Some((_, Member::Json(_))) | None => {}
    }
    call.query("token").map(|token| owned(token.as_bytes()))
}
