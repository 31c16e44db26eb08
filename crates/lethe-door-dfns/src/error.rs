//! Every refusal of the door: its status, and the one envelope that all of them have.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response as HttpResponse, StatusCode};
use lethe_engine::{EngineError, Refusal as Guard};
use lethe_http::{Body, Fallback, RequestId, Response};
use lethe_types::EntropyError;
use serde_json::{Map, Value, json};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

pub(crate) const KEY_NOT_FOUND: &str = "key not found";
const NOT_AUTHORIZED: &str = "Not Authorized.";
const INTERNAL: &str = "Internal Server Error";

/// Why a request was refused or failed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// With this status, message and details.
    Told { status: StatusCode, message: String, details: Option<Value> },
    /// The engine's.
    Engine(EngineError),
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<EntropyError> for Refusal {
    fn from(error: EntropyError) -> Self {
        Self::Engine(error.into())
    }
}

impl Refusal {
    pub(crate) fn told(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Told { status, message: message.into(), details: None }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::told(StatusCode::BAD_REQUEST, message)
    }

    /// A member of a body or query that breaks a rule.
    pub(crate) fn field(field: &str, why: &str) -> Self {
        let message = format!("`{field}`: {why}");
        Self::bad(message).with(json!({"field": field, "reason": why}))
    }

    pub(crate) fn unauthorized(message: &str) -> Self {
        Self::told(StatusCode::UNAUTHORIZED, message)
    }

    /// Nobody proved themselves.
    pub(crate) fn not_authorized() -> Self {
        Self::unauthorized(NOT_AUTHORIZED)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::told(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn not_found(message: &str, details: Value) -> Self {
        Self::told(StatusCode::NOT_FOUND, message).with(details)
    }

    pub(crate) fn conflict(message: &str, details: Value) -> Self {
        Self::told(StatusCode::CONFLICT, message).with(details)
    }

    /// The same with details; a refusal of the engine has none.
    pub(crate) fn with(self, details: Value) -> Self {
        match self {
            Self::Told { status, message, .. } => {
                Self::Told { status, message, details: Some(details) }
            }
            Self::Engine(error) => Self::Engine(error),
        }
    }

    /// What the caller is told.
    pub(crate) fn status(&self) -> StatusCode {
        self.parts().0
    }

    pub(crate) fn message(&self) -> String {
        self.parts().1
    }

    /// The engine's error, for where nobody is answered.
    pub(crate) fn into_engine(self) -> EngineError {
        match self {
            Self::Engine(error) => error,
            Self::Told { .. } => EngineError::Internal("a refusal where nobody asked"),
        }
    }

    fn parts(&self) -> (StatusCode, String, Option<Value>) {
        match self {
            Self::Told { status, message, details } => (*status, message.clone(), details.clone()),
            Self::Engine(error) => of_engine(error),
        }
    }

    pub(crate) fn into_response(self, request: RequestId) -> Response {
        let (status, message, details) = self.parts();
        let mut response = envelope(request, status, &message, details);
        if let Self::Engine(EngineError::TooManyAttempts { retry_after_seconds }) = self {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds));
        }
        response
    }
}

/// The body of every error.
fn envelope(
    request: RequestId,
    status: StatusCode,
    message: &str,
    details: Option<Value>,
) -> Response {
    let mut error = Map::new();
    error.insert("id".to_owned(), json!(support_number(request)));
    error.insert("status".to_owned(), json!(status.as_u16()));
    error.insert("message".to_owned(), json!(message));
    if let Some(details) = details {
        error.insert("details".to_owned(), details);
    }
    json_response(status, &json!({"error": error}))
}

/// The decimal number of a request, for support: of the random part of its identifier and its
/// place on the connection.
fn support_number(request: RequestId) -> String {
    let bytes = request.to_bytes();
    let number = bytes
        .iter()
        .fold(0_u64, |all, byte| all.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(*byte)));
    number.to_string()
}

pub(crate) fn json_response(status: StatusCode, value: &Value) -> Response {
    let bytes = serde_json::to_vec(value).expect("a value is JSON");
    let mut response = HttpResponse::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    response
}

/// The answer where no handler answered.
pub(crate) fn fallback(cause: &Fallback, request: RequestId) -> Response {
    let status = match cause {
        // A path that is known has no other method: to clients it is not there.
        Fallback::MethodNotAllowed { .. } | Fallback::NotFound => StatusCode::NOT_FOUND,
        Fallback::BadRequest(_)
        | Fallback::BodyTimeout
        | Fallback::BodyTooLarge { .. }
        | Fallback::HandlerPanicked
        | Fallback::HeadersTooLarge
        | Fallback::LengthRequired
        | Fallback::Overloaded
        | Fallback::ShuttingDown
        | Fallback::Timeout
        | Fallback::UriTooLong => cause.status(),
    };
    let has_panicked = *cause == Fallback::HandlerPanicked;
    let message = if has_panicked { INTERNAL.to_owned() } else { cause.to_string() };
    let mut response = envelope(request, status, &message, None);
    if let Fallback::MethodNotAllowed { allow } = cause {
        response.headers_mut().insert(ALLOW, allow.clone());
    }
    response
}

fn of_engine(error: &EngineError) -> (StatusCode, String, Option<Value>) {
    let told = |status: StatusCode| (status, error.to_string(), None);
    match error {
        EngineError::AuthenticationNotSuccessful => {
            (StatusCode::UNAUTHORIZED, NOT_AUTHORIZED.to_owned(), None)
        }
        EngineError::InvalidField { field, why } => {
            let details = json!({"field": field, "reason": why});
            (StatusCode::BAD_REQUEST, error.to_string(), Some(details))
        }
        EngineError::AlgorithmNotAvailable(_)
        | EngineError::CryptographicFailure
        | EngineError::EvidenceNotValid(_)
        | EngineError::IncompatibleUse { .. }
        | EngineError::UnknownAlgorithm(_)
        | EngineError::UseNotAllowed { .. }
        | EngineError::VersionRefused { .. }
        | EngineError::WrongKeyLifecycleState(_)
        | EngineError::WrongStateForUse { .. } => told(StatusCode::BAD_REQUEST),
        EngineError::ExportRefused(_)
        | EngineError::PermissionDenied(_)
        | EngineError::ReimportRefused => told(StatusCode::FORBIDDEN),
        EngineError::DestructionInProgress(_) | EngineError::ObjectDestroyed(_) => {
            (StatusCode::NOT_FOUND, KEY_NOT_FOUND.to_owned(), None)
        }
        EngineError::ItemNotFound(what) => {
            (StatusCode::NOT_FOUND, format!("{what} not found"), None)
        }
        EngineError::GuardRefused(refusal) => of_guard(refusal),
        EngineError::IdempotencyKeyReused
        | EngineError::NameTaken(_)
        | EngineError::RevisionMismatch
        | EngineError::VaultNotEmpty { .. } => told(StatusCode::CONFLICT),
        EngineError::ServerLimitExceeded(_) => told(StatusCode::BAD_REQUEST),
        EngineError::TooManyAttempts { .. } => told(StatusCode::TOO_MANY_REQUESTS),
        EngineError::AuditUnavailable
        | EngineError::ShuttingDown
        | EngineError::StorageFull
        | EngineError::StorageUnavailable => told(StatusCode::SERVICE_UNAVAILABLE),
        EngineError::EntropyUnavailable | EngineError::Internal(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, INTERNAL.to_owned(), None)
        }
    }
}

/// The dialect knows one rule, about derived keys, which the handler of the deletion answers
/// itself. Stricter ones come as a conflict with the engine's words.
fn of_guard(refusal: &Guard) -> (StatusCode, String, Option<Value>) {
    let status = match refusal {
        Guard::Permission(_) => StatusCode::FORBIDDEN,
        Guard::Destroyed { .. } => StatusCode::NOT_FOUND,
        Guard::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        Guard::AlreadyPending { .. }
        | Guard::ApprovalUnusable { .. }
        | Guard::ApprovalsMissing { .. }
        | Guard::HasDependants { .. }
        | Guard::Held { .. }
        | Guard::MustBeSuspended { .. }
        | Guard::NotConfirmed { .. }
        | Guard::NotDue { .. }
        | Guard::NotPending { .. }
        | Guard::Protected { .. }
        | Guard::RecentlyUsed { .. }
        | Guard::WindowMissing
        | Guard::WindowRunning { .. }
        | Guard::WindowTooLong { .. }
        | Guard::WindowTooShort { .. } => StatusCode::CONFLICT,
    };
    let details = json!({"rule": refusal.rule(), "remedy": refusal.remedy()});
    (status, refusal.to_string(), Some(details))
}
