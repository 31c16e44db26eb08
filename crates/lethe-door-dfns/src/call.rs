//! One request on its way: who calls, what they signed, and how the answer is made.
//!
//! The order is the protocol's: the token, the operation, the user action (which is used up,
//! whatever comes after), the body, what the path names.

use core::future::Future;
use core::pin::Pin;
use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use lethe_engine::{Caller, DoorOperation, EngineError};
use lethe_http::{Reply, Request, Response};
use serde_json::{Map, Value};

use crate::actions::{Bound, Signed, Unusable};
use crate::auth::{Identity, authenticate, refuse};
use crate::body::Members;
use crate::error::{Refusal, json_response};
use crate::log::{self, LogEntry};
use crate::routes::{Access, Route};
use crate::state::State;
use crate::tokens::TokenKind;

/// Where clients put the token of a signed action.
const X_DFNS_USERACTION: HeaderName = HeaderName::from_static("x-dfns-useraction");
const ACTION_INVALID: &str = "user action signature is missing or invalid";
const ACTION_USED: &str = "user action has already been used";

/// What an operation comes to.
pub(crate) type Outcome = Result<Answer, Refusal>;

/// An operation that was begun.
pub(crate) type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The answer to a request that succeeded.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) value: Value,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// A body that is not JSON, with its media type.
    pub(crate) plain: Option<(HeaderValue, String)>,
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self { value, headers: Vec::new(), plain: None }
    }
}

impl Answer {
    fn into_response(self) -> Response {
        let Self { value, headers, plain } = self;
        let mut response = json_response(StatusCode::OK, &value);
        if let Some((media_type, text)) = plain {
            *response.body_mut() = text.into_bytes().into();
            response.headers_mut().insert(http::header::CONTENT_TYPE, media_type);
        }
        response.headers_mut().extend(headers);
        response
    }
}

/// A request that may be answered.
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) op: &'static str,
    identity: Option<Identity>,
    action: Option<Box<Signed>>,
}

impl Call {
    /// Who calls.
    ///
    /// # Errors
    /// Only where nobody has to.
    pub(crate) fn identity(&self) -> Result<&Identity, Refusal> {
        self.identity.as_ref().ok_or_else(Refusal::not_authorized)
    }

    pub(crate) fn caller(&self) -> Result<&Caller, Refusal> {
        self.identity().map(|identity| &identity.caller)
    }

    /// What the caller signed, where a signature was asked for.
    pub(crate) fn action(&self) -> Option<&Signed> {
        self.action.as_deref()
    }

    pub(crate) fn param(&self, name: &str) -> &str {
        self.request.param(name)
    }

    pub(crate) fn members(&self) -> Result<Members, Refusal> {
        Members::of_body(&self.request.body)
    }

    /// That the body says nothing.
    ///
    /// # Errors
    /// 400.
    pub(crate) fn no_members(&self) -> Result<(), Refusal> {
        self.members()?.finish()
    }

    /// The first value of a query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let pairs = self.request.head.query_pairs().pairs_lenient();
        let found = pairs.into_iter().find(|pair| pair.name == name);
        found.map(|pair| pair.value.into_owned())
    }
}

/// A request that is refused before its operation begins, and the action that it used up.
struct Turned {
    refusal: Refusal,
    action: Option<Box<Signed>>,
}

impl From<Refusal> for Turned {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, action: None }
    }
}

/// Answers one request.
pub(crate) fn answer(state: &Arc<State>, route: &Route, request: Request) -> Reply {
    let request_id = request.head.request_id;
    let state = Arc::clone(state);
    match admit(&state, route, request) {
        Err(Turned { refusal, action: None }) => Reply::Ready(refusal.into_response(request_id)),
        Err(Turned { refusal, action: Some(action) }) => Reply::pending(async move {
            tell(&state, action.entry, Err(&refusal)).await;
            refusal.into_response(request_id)
        }),
        Ok(call) => {
            let call = Arc::new(call);
            let work = (route.call)(Arc::clone(&state), Arc::clone(&call));
            Reply::pending(async move {
                let outcome = work.await;
                if let Some(action) = call.action() {
                    tell(&state, action.entry.clone(), outcome.as_ref().map(|_| ())).await;
                }
                match outcome {
                    Ok(answer) => answer.into_response(),
                    Err(refusal) => refusal.into_response(request_id),
                }
            })
        }
    }
}

fn admit(state: &State, route: &Route, request: Request) -> Result<Call, Turned> {
    let op = route.op;
    if route.access == Access::Public {
        return Ok(Call { request, op, identity: None, action: None });
    }
    let identity = authenticate(state, &request.head)?;
    let wanted = match identity.token_kind {
        TokenKind::Recovery => Access::Recovery,
        TokenKind::Temporary => Access::Temporary,
        TokenKind::Login | TokenKind::Pat | TokenKind::ServiceAccount => Access::Token,
    };
    if wanted != route.access {
        return refuse(state, &identity.caller, op, Refusal::not_authorized())
            .map_err(Turned::from);
    }
    let checked = identity.check(route.operations).and_then(|()| {
        let more = serde_json::from_slice::<Map<String, Value>>(&request.body).unwrap_or_default();
        identity.check(&(route.more)(&more))?;
        (route.who)(&identity)
    });
    if let Err(refusal) = checked {
        return refuse(state, &identity.caller, op, refusal).map_err(Turned::from);
    }
    if !route.is_told_by_engine() {
        let decided = state.engine.decide(&identity.caller, DoorOperation::named(op), None);
        decided.map_err(Refusal::from)?;
    }
    let action = match route.is_signed {
        true => Some(Box::new(consume(state, op, &identity, &request)?)),
        false => None,
    };
    Ok(Call { request, op, identity: Some(identity), action })
}

/// Uses up the action that the request was signed with.
fn consume(
    state: &State,
    op: &'static str,
    identity: &Identity,
    request: &Request,
) -> Result<Signed, Turned> {
    let head = &request.head;
    let mut values = head.headers.get_all(X_DFNS_USERACTION).iter();
    let (value, more) = (values.next(), values.next());
    let text = value.filter(|_| more.is_none()).and_then(|value| value.to_str().ok());
    let sent = Bound::sent(&head.method, head.path(), &request.body);
    let now = state.clock.now();
    let taken = match text {
        Some(text) => state.actions.consume(text, identity.token, sent.as_ref(), now),
        None => Err((Unusable::Invalid, None)),
    };
    taken.map_err(|(why, action)| {
        let refusal = match why {
            Unusable::Invalid => Refusal::forbidden(ACTION_INVALID),
            Unusable::Used => Refusal::bad(ACTION_USED),
        };
        let refused = refuse::<()>(state, &identity.caller, op, refusal);
        let refusal = refused.err().unwrap_or(Refusal::Engine(EngineError::AuditUnavailable));
        Turned { refusal, action }
    })
}

/// Stores what became of an action. The request is answered whether or not that works: it is in
/// the engine's trail, and a deletion's receipt holds the signature.
async fn tell(state: &State, mut entry: LogEntry, outcome: Result<(), &Refusal>) {
    entry.outcome = Some(match outcome {
        Ok(()) => (200, String::new()),
        Err(refusal) => (refusal.status().as_u16(), refusal.message()),
    });
    let _told_by_the_trail = log::finish(state, &entry).await;
}
