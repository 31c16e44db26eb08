//! Uses one by one or many at once: `{"items": [ … ]}` instead of a body has one body an item.
//!
//! An item is what its operation takes alone, with the same checks, its own audit event and its own
//! answer; one that is refused does not touch the others. What lies in the key or the caller is
//! told of the whole request, if no item was done before it was noticed: a thousand items are not a
//! way to a thousand refusals.

use std::sync::Arc;

use http::StatusCode;
use lethe_engine::{Caller, EngineError};
use lethe_http::{Reply, Request, Response};
use lethe_types::limits::BATCH_ITEMS_MAX;
use lethe_types::{KeyId, Permission};
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::answer::Answer;
use crate::body;
use crate::error::Refusal;
use crate::handlers::key_id;
use crate::headers::{self, JSON};
use crate::render::{secret_response, with_body};
use crate::state::State;
use crate::{auth, reply};

/// One use: of the request all but the body, which is given.
pub(crate) type One = fn(&State, &Caller, &Request, &[u8]) -> Result<Answer, Refusal>;

/// What a refusal must be about to be one of all items.
#[derive(Clone, Copy)]
pub(crate) enum Scope {
    /// The key of the path, which needs this permission.
    Key(Permission),
    /// Nothing but the caller, who needs this permission.
    Caller(Permission),
    /// The key of the path, which needs this permission, and another one in the body.
    TwoKeys(Permission),
}

/// Answers `request`, which holds one use or many.
pub(crate) fn run(
    state: &Arc<State>,
    request: Request,
    scope: Scope,
    one: One,
) -> Result<Reply, Refusal> {
    let state = Arc::clone(state);
    let work = move |request: &Request| answer(&state, request, scope, one);
    if body::is_batch(&request.body) {
        Ok(reply::blocking(request, work))
    } else {
        reply::by_size(request, work)
    }
}

/// As [`run`], for work that takes milliseconds: on the pool for blocking work.
pub(crate) fn run_blocking(
    state: &Arc<State>,
    request: Request,
    scope: Scope,
    one: One,
) -> Result<Reply, Refusal> {
    let state = Arc::clone(state);
    Ok(reply::blocking(request, move |request| answer(&state, request, scope, one)))
}

fn answer(state: &State, request: &Request, scope: Scope, one: One) -> Result<Response, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    headers::check_content_type(&request.head.headers)?;
    match scope {
        Scope::Caller(_) => {}
        Scope::Key(_) | Scope::TwoKeys(_) => drop(key_id(request)?),
    }
    if !body::is_batch(&request.body) {
        return one(state, &caller, request, &request.body).map(Answer::into_response);
    }
    let items = items(&request.body)?;
    let mut answers = Vec::with_capacity(items.len());
    let mut is_any_done = false;
    for item in items {
        answers.push(match one(state, &caller, request, item) {
            Ok(answer) => {
                is_any_done = true;
                answer
            }
            Err(refusal) if !is_any_done && is_of_all(&refusal, request, scope) => {
                return Err(refusal);
            }
            Err(refusal) => Answer::Open(refused(&refusal, request)),
        });
    }
    Ok(joined(&answers))
}

/// Whether every other item would be refused for the same reason.
fn is_of_all(refusal: &Refusal, request: &Request, scope: Scope) -> bool {
    let Refusal::Engine(error) = refusal else { return false };
    let (permission, is_one_key) = match scope {
        Scope::Key(permission) => (permission, true),
        Scope::Caller(permission) | Scope::TwoKeys(permission) => (permission, false),
    };
    let is_of_path = |key: &KeyId| request.param("id").parse() == Ok(*key);
    match error {
        EngineError::AuditUnavailable
        | EngineError::AuthenticationNotSuccessful
        | EngineError::EntropyUnavailable
        | EngineError::ShuttingDown => true,
        EngineError::PermissionDenied(denied) => *denied == permission,
        EngineError::DestructionInProgress(key) | EngineError::ObjectDestroyed(key) => {
            is_of_path(key)
        }
        // Which of two keys it is about is not said.
        EngineError::IncompatibleUse { .. }
        | EngineError::UseNotAllowed { .. }
        | EngineError::WrongStateForUse { .. } => is_one_key,
        EngineError::ItemNotFound(what) => is_one_key && *what == "key",
        EngineError::AlgorithmNotAvailable(_)
        | EngineError::CryptographicFailure
        | EngineError::EvidenceNotValid(_)
        | EngineError::ExportRefused(_)
        | EngineError::GuardRefused(_)
        | EngineError::IdempotencyKeyReused
        | EngineError::Internal(_)
        | EngineError::InvalidField { .. }
        | EngineError::NameTaken(_)
        | EngineError::ReimportRefused
        | EngineError::RevisionMismatch
        | EngineError::ServerLimitExceeded(_)
        | EngineError::StorageFull
        | EngineError::StorageUnavailable
        | EngineError::TooManyAttempts { .. }
        | EngineError::UnknownAlgorithm(_)
        | EngineError::VaultNotEmpty { .. }
        | EngineError::VersionRefused { .. }
        | EngineError::WrongKeyLifecycleState(_) => false,
    }
}

/// `{"error":{…}}` with the problem that the item alone would have had as answer.
fn refused(refusal: &Refusal, request: &Request) -> Vec<u8> {
    let problem = refusal.problem().member("request_id", request.head.request_id.to_string());
    format!("{{\"error\":{}}}", problem.to_json()).into_bytes()
}

/// `{"items":[…]}`.
fn joined(answers: &[Answer]) -> Response {
    const OPEN: &[u8] = b"{\"items\":[";
    const CLOSE: &[u8] = b"]}";
    let length: usize = answers.iter().map(|answer| answer.as_slice().len() + 1).sum();
    // All at once: growing would leave an unwiped copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(OPEN.len() + length + CLOSE.len()));
    out.extend_from_slice(OPEN);
    for (position, answer) in answers.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(answer.as_slice());
    }
    out.extend_from_slice(CLOSE);
    if answers.iter().any(Answer::is_secret) {
        secret_response(StatusCode::OK, out)
    } else {
        with_body(StatusCode::OK, JSON, core::mem::take(&mut *out))
    }
}

/// The items of a batch, each as it stands in `body`.
///
/// # Errors
/// [`Refusal::MalformedJson`] for anything but one object with the one member `items`, an array;
/// [`Refusal::InvalidField`] for none or more than [`BATCH_ITEMS_MAX`].
fn items(body: &[u8]) -> Result<Vec<&[u8]>, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Batch {
        items: Vec<IgnoredAny>,
    }
    let Batch { items } = body::parse_bytes(body)?;
    if !(1..=BATCH_ITEMS_MAX).contains(&items.len()) {
        let why = format!("must have 1 to {BATCH_ITEMS_MAX} items");
        return Err(Refusal::invalid("items", why));
    }
    let slices = body::array_items(body);
    if slices.len() == items.len() {
        Ok(slices)
    } else {
        Err(Refusal::Engine(EngineError::Internal("items of a batch that were not all found")))
    }
}
