//! How this door says no. No text here is of the request, and none holds the word by which clients
//! recognise that an operation went well.

use http::header::{ALLOW, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use lethe_engine::{EngineError, Refusal as Guard, VersionFault};
use lethe_http::{Fallback, RequestHead, Response};
use serde::Serialize;

use crate::render;

/// Why a handler gives no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Malformed or out of range, or of the wrong type for the key.
    BadInput(&'static str),
    /// The engine refused or failed.
    Engine(EngineError),
    /// Authenticated, but not permitted.
    Forbidden(&'static str),
    /// There is no such key, or part of it.
    NotFound(&'static str),
    /// The token is missing, invalid or expired.
    TokenRefused,
    /// A rule forbids it in the state in which the key is.
    WrongState(&'static str),
}

/// One of the service's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: &'static str,
}

const fn cause(status: StatusCode, code: &'static str, message: &'static str) -> Cause {
    Cause { status, code, message }
}

const INVALID_REQUEST: Cause = cause(StatusCode::BAD_REQUEST, "INVALID_REQUEST", "Invalid request");
const UNAUTHORIZED: Cause = cause(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "Unauthorized");
const FORBIDDEN: Cause = cause(StatusCode::FORBIDDEN, "FORBIDDEN", "Forbidden");
const NOT_FOUND: Cause = cause(StatusCode::NOT_FOUND, "NOT_FOUND", "Not found");
const INVALID_STATUS: Cause =
    cause(StatusCode::UNPROCESSABLE_ENTITY, "UNPROCESSABLE_ENTITY", "Invalid status");
const INTERNAL: Cause =
    cause(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_SERVER_ERROR", "Server internal error");
// Those of the gateway, which stands before the service.
const GATEWAY_BAD_REQUEST: Cause = cause(StatusCode::BAD_REQUEST, "100", "Bad Request Exception");
const GATEWAY_UNSIGNED: Cause = cause(StatusCode::UNAUTHORIZED, "200", "Authentication Failed");
const GATEWAY_NO_PATH: Cause = cause(StatusCode::NOT_FOUND, "300", "Not Found Exception");
const GATEWAY_NO_METHOD: Cause =
    cause(StatusCode::METHOD_NOT_ALLOWED, "300", "Not Found Exception");
const GATEWAY_THROTTLED: Cause = cause(StatusCode::TOO_MANY_REQUESTS, "410", "Throttle Limited");
const GATEWAY_RATE: Cause = cause(StatusCode::TOO_MANY_REQUESTS, "420", "Rate Limited");
const GATEWAY_TOO_LARGE: Cause =
    cause(StatusCode::PAYLOAD_TOO_LARGE, "430", "Request Entity Too Large");
const GATEWAY_ENDPOINT: Cause = cause(StatusCode::SERVICE_UNAVAILABLE, "500", "Endpoint Error");
const GATEWAY_TIMEOUT: Cause = cause(StatusCode::GATEWAY_TIMEOUT, "510", "Endpoint Timeout");
const GATEWAY_UNEXPECTED: Cause =
    cause(StatusCode::INTERNAL_SERVER_ERROR, "900", "Unexpected Error");

/// Of everything that a ciphertext can have wrong: who tries ciphertexts learns nothing.
pub(crate) const UNDECRYPTABLE: Refusal = Refusal::BadInput("ciphertext cannot be decrypted");

/// What a client reads whose key is in the way of what it wants.
const PENDING: &str = "key is pending deletion";
const NOT_IN_THIS_STATE: &str = "key status does not allow this";

impl Refusal {
    /// The answer to the request of `head`.
    pub(crate) fn into_response(self, head: &RequestHead) -> Response {
        let (cause, details) = self.told();
        let mut response = error_response(cause, details, head);
        let wait = match &self {
            Self::Engine(EngineError::TooManyAttempts { retry_after_seconds }) => {
                Some(*retry_after_seconds)
            }
            Self::Engine(_) if cause == GATEWAY_ENDPOINT || cause == GATEWAY_THROTTLED => Some(1),
            Self::BadInput(_)
            | Self::Engine(_)
            | Self::Forbidden(_)
            | Self::NotFound(_)
            | Self::TokenRefused
            | Self::WrongState(_) => None,
        };
        if let Some(seconds) = wait {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// What stands in the history of the key.
    pub(crate) fn message(&self) -> &'static str {
        self.told().0.message
    }

    fn told(&self) -> (Cause, &'static str) {
        match self {
            Self::BadInput(details) => (INVALID_REQUEST, details),
            Self::Engine(error) => told_of_engine(error),
            Self::Forbidden(details) => (FORBIDDEN, details),
            Self::NotFound(details) => (NOT_FOUND, details),
            Self::TokenRefused => (UNAUTHORIZED, "token is missing, invalid or expired"),
            Self::WrongState(details) => (INVALID_STATUS, details),
        }
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// What each refusal of the engine is in the service's words. The one table.
fn told_of_engine(error: &EngineError) -> (Cause, &'static str) {
    match error {
        EngineError::AlgorithmNotAvailable(_) | EngineError::UnknownAlgorithm(_) => {
            (INVALID_REQUEST, "key type is not available")
        }
        EngineError::AuditUnavailable
        | EngineError::EntropyUnavailable
        | EngineError::Internal(_)
        | EngineError::StorageFull
        | EngineError::StorageUnavailable => (INTERNAL, "the request failed inside the server"),
        EngineError::AuthenticationNotSuccessful => {
            (GATEWAY_UNSIGNED, "Invalid authentication information.")
        }
        EngineError::CryptographicFailure => (INVALID_REQUEST, "ciphertext cannot be decrypted"),
        EngineError::DestructionInProgress(_) => (INVALID_STATUS, PENDING),
        EngineError::EvidenceNotValid(_) => (FORBIDDEN, "the proof is not valid"),
        EngineError::GuardRefused(refusal) => told_of_guard(refusal),
        EngineError::IdempotencyKeyReused | EngineError::InvalidField { .. } => {
            (INVALID_REQUEST, "a value is out of range")
        }
        EngineError::ExportRefused(_) => (FORBIDDEN, "the material may not leave"),
        EngineError::IncompatibleUse { .. } | EngineError::UseNotAllowed { .. } => {
            (INVALID_REQUEST, "key type does not support this operation")
        }
        EngineError::ItemNotFound(_) | EngineError::ObjectDestroyed(_) => {
            (NOT_FOUND, "there is no such key or version")
        }
        EngineError::NameTaken(_) => (INVALID_STATUS, "key name is already in use"),
        EngineError::PermissionDenied(_) => (FORBIDDEN, "no permission for this operation"),
        EngineError::ReimportRefused => (INVALID_STATUS, "this material was deleted here"),
        EngineError::RevisionMismatch => (INVALID_STATUS, "key was changed at the same time"),
        EngineError::ServerLimitExceeded(LIMIT_OF_WAITING) => {
            (GATEWAY_ENDPOINT, "too many requests are waiting")
        }
        EngineError::ServerLimitExceeded(_) => (INVALID_STATUS, "a limit is reached"),
        EngineError::ShuttingDown => (GATEWAY_ENDPOINT, "the server is stopping"),
        EngineError::TooManyAttempts { .. } => (GATEWAY_RATE, "too many attempts"),
        EngineError::VersionRefused { why: VersionFault::LastEnabled, .. } => {
            (INVALID_STATUS, "the most recent version cannot be disabled")
        }
        EngineError::VersionRefused { .. } => (INVALID_STATUS, "key version is disabled"),
        EngineError::VaultNotEmpty { .. } => (INVALID_STATUS, "the keystore has keys"),
        EngineError::WrongStateForUse { state, .. } => {
            let is_pending = state.due().is_some();
            (INVALID_STATUS, if is_pending { PENDING } else { NOT_IN_THIS_STATE })
        }
        EngineError::WrongKeyLifecycleState(error) => {
            let is_pending = error.state.due().is_some();
            (INVALID_STATUS, if is_pending { PENDING } else { NOT_IN_THIS_STATE })
        }
    }
}

/// The limit that passes by itself, in the engine's words.
const LIMIT_OF_WAITING: &str = "changes that wait";

/// Rules before a deletion that this service does not have come as the refusal that is nearest.
fn told_of_guard(refusal: &Guard) -> (Cause, &'static str) {
    match refusal {
        Guard::AlreadyPending { .. } => (INVALID_STATUS, PENDING),
        Guard::ApprovalUnusable { .. } | Guard::ApprovalsMissing { .. } => {
            (INVALID_STATUS, "others must approve this deletion")
        }
        Guard::Destroyed { .. } => (NOT_FOUND, "there is no such key"),
        Guard::HasDependants { .. } => (INVALID_STATUS, "other keys depend on this key"),
        Guard::Held { .. } => (INVALID_STATUS, "a hold forbids this deletion"),
        Guard::MustBeSuspended { .. } => (INVALID_STATUS, "key must be disabled first"),
        Guard::NotConfirmed { .. } => (INVALID_STATUS, "this deletion must be confirmed"),
        Guard::NotDue { .. } | Guard::NotPending { .. } => {
            (INVALID_STATUS, "key is not pending deletion")
        }
        Guard::Permission(_) => (FORBIDDEN, "no permission for this operation"),
        Guard::Protected { .. } => (INVALID_STATUS, "key is protected from deletion"),
        Guard::RateLimited { .. } => (GATEWAY_THROTTLED, "too many deletions in this hour"),
        Guard::RecentlyUsed { .. } => (INVALID_STATUS, "key was used too recently"),
        Guard::WindowMissing
        | Guard::WindowRunning { .. }
        | Guard::WindowTooLong { .. }
        | Guard::WindowTooShort { .. } => (INVALID_STATUS, "a policy demands another waiting time"),
    }
}

/// The answer where no handler answered.
pub(crate) fn fallback_response(cause: &Fallback, head: &RequestHead) -> Response {
    let told = match cause {
        Fallback::BadRequest(_) | Fallback::LengthRequired => GATEWAY_BAD_REQUEST,
        Fallback::BodyTimeout | Fallback::HeadersTooLarge | Fallback::UriTooLong => {
            Cause { status: cause.status(), ..GATEWAY_BAD_REQUEST }
        }
        Fallback::BodyTooLarge { .. } => GATEWAY_TOO_LARGE,
        Fallback::HandlerPanicked => GATEWAY_UNEXPECTED,
        Fallback::MethodNotAllowed { .. } => GATEWAY_NO_METHOD,
        Fallback::NotFound => GATEWAY_NO_PATH,
        Fallback::Overloaded | Fallback::ShuttingDown => GATEWAY_ENDPOINT,
        Fallback::Timeout => GATEWAY_TIMEOUT,
    };
    let details = match cause {
        Fallback::MethodNotAllowed { .. } => "The path does not have this method.",
        Fallback::NotFound => "There is no such path.",
        Fallback::BadRequest(_)
        | Fallback::BodyTimeout
        | Fallback::BodyTooLarge { .. }
        | Fallback::HandlerPanicked
        | Fallback::HeadersTooLarge
        | Fallback::LengthRequired
        | Fallback::Overloaded
        | Fallback::ShuttingDown
        | Fallback::Timeout
        | Fallback::UriTooLong => "",
    };
    let mut response = error_response(told, details, head);
    if let Fallback::MethodNotAllowed { allow } = cause {
        response.headers_mut().insert(ALLOW, allow.clone());
    }
    if told == GATEWAY_ENDPOINT {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(1_u64));
    }
    response
}

fn error_response(cause: Cause, details: &'static str, head: &RequestHead) -> Response {
    #[derive(Serialize)]
    struct Body {
        // Clients of API 1.0 look for these two.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        msg: Option<&'static str>,
        error: Told,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        error_code: &'static str,
        message: &'static str,
        details: &'static str,
    }
    let Cause { status, code, message } = cause;
    let is_old = render::is_old(head);
    let body = Body {
        code: is_old.then_some(code),
        msg: is_old.then_some(message),
        error: Told { error_code: code, message, details },
    };
    render::json(status, &body)
}
