//! How this door says no: every refusal of the engine, the transport and its own as a problem.

use std::borrow::Cow;

use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use lethe_engine::Refusal as Guard;
use lethe_engine::{EngineError, VersionFault};
use lethe_http::problem::Problem;
use lethe_http::{Fallback, RequestHead, Response};

use crate::problems::{self, ProblemType};

/// Why a handler gives no answer.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The engine refused or failed.
    Engine(EngineError),
    /// A member, parameter or header has a value that is not allowed.
    InvalidField { field: Cow<'static, str>, why: String },
    /// The body is not the JSON that the operation takes; names the member if it is known.
    MalformedJson { field: Option<String>, why: String },
    /// There is no such path.
    NotFound,
    /// `Content-Type` is not JSON.
    UnsupportedMediaType,
}

impl Refusal {
    /// A value that breaks a rule of `field`.
    pub(crate) fn invalid(field: &'static str, why: impl Into<String>) -> Self {
        Self::InvalidField { field: Cow::Borrowed(field), why: why.into() }
    }

    /// The answer to the request of `head`.
    pub(crate) fn into_response(self, head: &RequestHead) -> Response {
        match self {
            Self::Engine(error) => engine_response(&error, head),
            Self::NotFound => fallback_response(&Fallback::NotFound, head),
            Self::InvalidField { .. } | Self::MalformedJson { .. } | Self::UnsupportedMediaType => {
                finish(self.problem(), head)
            }
        }
    }

    /// The problem that it is, without what names the request.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Engine(error) => engine_problem(error),
            Self::InvalidField { field, why } => {
                let problem = begin(&problems::INVALID_FIELD).detail(format!("`{field}`: {why}"));
                problem.member("field", field.as_ref())
            }
            Self::MalformedJson { field, why } => {
                let problem = begin(&problems::MALFORMED_JSON).detail(why);
                match field {
                    Some(field) => problem.member("field", field.as_str()),
                    None => problem,
                }
            }
            Self::NotFound => begin(fallback_type(&Fallback::NotFound)).detail(Fallback::NotFound),
            Self::UnsupportedMediaType => begin(&problems::UNSUPPORTED_MEDIA_TYPE)
                .detail("the body must be `application/json`"),
        }
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// The type of problem that each refusal of the engine is. The one table.
pub(crate) fn problem_type(error: &EngineError) -> &'static ProblemType {
    match error {
        EngineError::AlgorithmNotAvailable(_) => &problems::ALGORITHM_NOT_AVAILABLE,
        EngineError::AuditUnavailable => &problems::AUDIT_UNAVAILABLE,
        EngineError::AuthenticationNotSuccessful => &problems::AUTHENTICATION_NOT_SUCCESSFUL,
        EngineError::CryptographicFailure => &problems::CRYPTOGRAPHIC_FAILURE,
        EngineError::DestructionInProgress(_) => &problems::DESTRUCTION_IN_PROGRESS,
        EngineError::EntropyUnavailable => &problems::ENTROPY_UNAVAILABLE,
        EngineError::EvidenceNotValid(_) => &problems::EVIDENCE_NOT_VALID,
        EngineError::ExportRefused(_) => &problems::EXPORT_REFUSED,
        EngineError::GuardRefused(refusal) => guard_type(refusal),
        EngineError::IdempotencyKeyReused => &problems::IDEMPOTENCY_KEY_REUSED,
        EngineError::IncompatibleUse { .. } => &problems::INCOMPATIBLE_USE,
        EngineError::Internal(_) => &problems::INTERNAL,
        EngineError::InvalidField { .. } => &problems::INVALID_FIELD,
        EngineError::ItemNotFound(_) => &problems::ITEM_NOT_FOUND,
        EngineError::NameTaken(_) => &problems::NAME_TAKEN,
        EngineError::ObjectDestroyed(_) => &problems::OBJECT_DESTROYED,
        EngineError::PermissionDenied(_) => &problems::PERMISSION_DENIED,
        EngineError::ReimportRefused => &problems::REIMPORT_REFUSED,
        EngineError::RevisionMismatch => &problems::REVISION_MISMATCH,
        EngineError::ServerLimitExceeded(_) => &problems::SERVER_LIMIT_EXCEEDED,
        EngineError::ShuttingDown => &problems::SHUTTING_DOWN,
        EngineError::StorageFull => &problems::STORAGE_FULL,
        EngineError::StorageUnavailable => &problems::STORAGE_UNAVAILABLE,
        EngineError::TooManyAttempts { .. } => &problems::TOO_MANY_ATTEMPTS,
        EngineError::UnknownAlgorithm(_) => &problems::UNKNOWN_ALGORITHM,
        EngineError::UseNotAllowed { .. } => &problems::USE_NOT_ALLOWED,
        EngineError::VaultNotEmpty { .. } => &problems::VAULT_NOT_EMPTY,
        EngineError::VersionRefused { why, .. } => version_type(*why),
        EngineError::WrongKeyLifecycleState(_) => &problems::WRONG_KEY_LIFECYCLE_STATE,
        EngineError::WrongStateForUse { .. } => &problems::WRONG_STATE_FOR_USE,
    }
}

/// The type of problem that each reason to refuse a version is.
fn version_type(why: VersionFault) -> &'static ProblemType {
    match why {
        VersionFault::BelowMinimum { .. } => &problems::VERSION_BELOW_MINIMUM,
        VersionFault::Destroyed => &problems::VERSION_DESTROYED,
        VersionFault::LastEnabled => &problems::VERSION_LAST_ENABLED,
        VersionFault::Suspended => &problems::VERSION_SUSPENDED,
    }
}

/// The type of problem that each rule before a destruction is. A rule that other operations have as
/// well has the same type there.
fn guard_type(refusal: &Guard) -> &'static ProblemType {
    match refusal {
        Guard::AlreadyPending { .. } => &problems::ALREADY_PENDING,
        Guard::ApprovalUnusable { .. } => &problems::APPROVAL_UNUSABLE,
        Guard::ApprovalsMissing { .. } => &problems::APPROVALS_MISSING,
        Guard::Destroyed { .. } => &problems::OBJECT_DESTROYED,
        Guard::HasDependants { .. } => &problems::HAS_DEPENDANTS,
        Guard::Held { .. } => &problems::HELD,
        Guard::MustBeSuspended { .. } => &problems::MUST_BE_SUSPENDED,
        Guard::NotConfirmed { .. } => &problems::NOT_CONFIRMED,
        Guard::NotDue { .. } => &problems::NOT_DUE,
        Guard::NotPending { .. } => &problems::NOT_PENDING,
        Guard::Permission(_) => &problems::PERMISSION_DENIED,
        Guard::Protected { .. } => &problems::PROTECTED,
        Guard::RateLimited { .. } => &problems::RATE_LIMITED,
        Guard::RecentlyUsed { .. } => &problems::RECENTLY_USED,
        Guard::WindowMissing => &problems::WINDOW_MISSING,
        Guard::WindowRunning { .. } => &problems::WINDOW_RUNNING,
        Guard::WindowTooLong { .. } => &problems::WINDOW_TOO_LONG,
        Guard::WindowTooShort { .. } => &problems::WINDOW_TOO_SHORT,
    }
}

/// The type of problem that each fall-back of the transport is.
pub(crate) fn fallback_type(cause: &Fallback) -> &'static ProblemType {
    match cause {
        Fallback::BadRequest(_) => &problems::MALFORMED_REQUEST,
        Fallback::BodyTimeout => &problems::BODY_TIMEOUT,
        Fallback::BodyTooLarge { .. } => &problems::BODY_TOO_LARGE,
        Fallback::HandlerPanicked => &problems::INTERNAL,
        Fallback::HeadersTooLarge => &problems::HEADERS_TOO_LARGE,
        Fallback::LengthRequired => &problems::LENGTH_REQUIRED,
        Fallback::MethodNotAllowed { .. } => &problems::METHOD_NOT_ALLOWED,
        Fallback::NotFound => &problems::NOT_FOUND,
        Fallback::Overloaded => &problems::OVERLOADED,
        Fallback::ShuttingDown => &problems::SHUTTING_DOWN,
        Fallback::Timeout => &problems::TIMEOUT,
        Fallback::UriTooLong => &problems::URI_TOO_LONG,
    }
}

/// The answer where no handler answered.
pub(crate) fn fallback_response(cause: &Fallback, head: &RequestHead) -> Response {
    let mut response = finish(begin(fallback_type(cause)).detail(cause), head);
    match cause {
        Fallback::MethodNotAllowed { allow } => {
            response.headers_mut().insert(ALLOW, allow.clone());
        }
        Fallback::Overloaded | Fallback::ShuttingDown => try_again(&mut response),
        Fallback::BadRequest(_)
        | Fallback::BodyTimeout
        | Fallback::BodyTooLarge { .. }
        | Fallback::HandlerPanicked
        | Fallback::HeadersTooLarge
        | Fallback::LengthRequired
        | Fallback::NotFound
        | Fallback::Timeout
        | Fallback::UriTooLong => {}
    }
    response
}

fn engine_response(error: &EngineError, head: &RequestHead) -> Response {
    let mut response = finish(engine_problem(error), head);
    if matches!(error, EngineError::AuthenticationNotSuccessful) {
        response.headers_mut().insert(WWW_AUTHENTICATE, BEARER);
    }
    if let Some(seconds) = retry_after_seconds(error) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The problem that a refusal of the engine is, without what names the request.
pub(crate) fn engine_problem(error: &EngineError) -> Problem {
    let problem_type = problem_type(error);
    // The queue of the committer is short-lived: trying again helps, as with no other limit.
    let status =
        if is_waiting(error) { StatusCode::SERVICE_UNAVAILABLE } else { problem_type.status };
    let mut problem = Problem::new(problem_type.uri, problem_type.title, status);
    problem = if matches!(error, EngineError::Internal(_)) {
        // What went wrong inside is for the operator.
        problem.detail("the request failed inside the server")
    } else {
        problem.detail(error)
    };
    if let Some((name, value)) = member(error) {
        problem = problem.member(name, value);
    }
    if let EngineError::GuardRefused(refusal) = error {
        problem = problem.member("rule", refusal.rule()).member("remedy", refusal.remedy());
    }
    problem
}

fn is_waiting(error: &EngineError) -> bool {
    matches!(error, EngineError::ServerLimitExceeded(LIMIT_OF_WAITING))
}

/// When trying again helps, if it does.
pub(crate) fn retry_after_seconds(error: &EngineError) -> Option<u64> {
    if let EngineError::TooManyAttempts { retry_after_seconds } = error {
        return Some(*retry_after_seconds);
    }
    let is_short = matches!(
        error,
        EngineError::ServerLimitExceeded(LIMIT_OF_WAITING) | EngineError::DestructionInProgress(_)
    );
    is_short.then_some(1)
}

/// The extension member of each refusal of the engine.
fn member(error: &EngineError) -> Option<(&'static str, String)> {
    match error {
        EngineError::AlgorithmNotAvailable(_) | EngineError::UnknownAlgorithm(_) => {
            Some(("field", "algorithm".to_owned()))
        }
        EngineError::GuardRefused(refusal) => guard_member(refusal),
        EngineError::InvalidField { field, .. } => Some(("field", (*field).to_owned())),
        EngineError::DestructionInProgress(key) | EngineError::ObjectDestroyed(key) => {
            Some(("key", key.to_string()))
        }
        EngineError::PermissionDenied(permission) => {
            Some(("permission", permission.as_str().to_owned()))
        }
        EngineError::VersionRefused { version, .. } => Some(("version", version.to_string())),
        EngineError::WrongKeyLifecycleState(error) => {
            Some(("state", error.state.as_str().to_owned()))
        }
        EngineError::WrongStateForUse { state, .. } => Some(("state", state.as_str().to_owned())),
        EngineError::AuditUnavailable
        | EngineError::AuthenticationNotSuccessful
        | EngineError::CryptographicFailure
        | EngineError::EntropyUnavailable
        | EngineError::EvidenceNotValid(_)
        | EngineError::ExportRefused(_)
        | EngineError::UseNotAllowed { .. }
        | EngineError::NameTaken(_)
        | EngineError::ReimportRefused
        | EngineError::VaultNotEmpty { .. }
        | EngineError::IdempotencyKeyReused
        | EngineError::IncompatibleUse { .. }
        | EngineError::Internal(_)
        | EngineError::ItemNotFound(_)
        | EngineError::RevisionMismatch
        | EngineError::ServerLimitExceeded(_)
        | EngineError::ShuttingDown
        | EngineError::StorageFull
        | EngineError::StorageUnavailable
        | EngineError::TooManyAttempts { .. } => None,
    }
}

/// The extension member of each rule before a destruction, besides `rule` and `remedy`.
fn guard_member(refusal: &Guard) -> Option<(&'static str, String)> {
    match refusal {
        Guard::Destroyed { key }
        | Guard::Held { key, .. }
        | Guard::NotConfirmed { key }
        | Guard::Protected { key } => Some(("key", key.to_string())),
        Guard::MustBeSuspended { state } | Guard::NotPending { state } => {
            Some(("state", state.as_str().to_owned()))
        }
        Guard::AlreadyPending { due } | Guard::NotDue { due } | Guard::WindowRunning { due } => {
            Some(("due", due.to_string()))
        }
        Guard::Permission(permission) => Some(("permission", permission.as_str().to_owned())),
        Guard::ApprovalUnusable { .. }
        | Guard::ApprovalsMissing { .. }
        | Guard::HasDependants { .. }
        | Guard::RateLimited { .. }
        | Guard::RecentlyUsed { .. }
        | Guard::WindowMissing
        | Guard::WindowTooLong { .. }
        | Guard::WindowTooShort { .. } => None,
    }
}

fn begin(problem_type: &ProblemType) -> Problem {
    Problem::new(problem_type.uri, problem_type.title, problem_type.status)
}

fn finish(problem: Problem, head: &RequestHead) -> Response {
    problem.member("request_id", head.request_id.to_string()).into_response()
}

fn try_again(response: &mut Response) {
    response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_ONE_SECOND);
}

/// The limit that passes by itself, in the engine's words.
const LIMIT_OF_WAITING: &str = "changes that wait";
const BEARER: HeaderValue = HeaderValue::from_static("Bearer");
const RETRY_AFTER_ONE_SECOND: HeaderValue = HeaderValue::from_static("1");
