//! Every refusal of the door: its status and its body.

use std::collections::BTreeMap;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::header::{CONTENT_LENGTH, WWW_AUTHENTICATE};
use http::{Response as HttpResponse, StatusCode};
use lethe_engine::{EngineError, Refusal as Guard};
use lethe_http::{BadRequest, Body, Fallback, Response};
use lethe_token::IssuerError;
use serde_json::{Value, json};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"altostrat\"");
const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"altostrat\"");
const BEARER_INVALID: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"altostrat\", error=\"invalid_token\"");

/// One text for every cause.
pub(crate) const UNAUTHORIZED: &str = "Unauthorized or invalid token provided.";
const NOT_FOUND: &str = "API key not found.";
const INVALID_DATA: &str = "The given data was invalid.";

/// What the fields of a body break: field to rules.
pub(crate) type FieldErrors = BTreeMap<String, Vec<String>>;

/// Why a request was refused or failed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The engine's.
    Engine(EngineError),
    /// Fields of the body break rules, with the status that is set for that.
    Fields(FieldErrors, StatusCode),
    /// A permission is missing, or a bound of the organization is reached.
    Forbidden(&'static str, FieldErrors),
    /// The secret is not good, whatever the reason.
    InvalidApiKey,
    /// The body or a parameter cannot be read.
    Malformed(&'static str),
    /// There is no such API key for the caller.
    NotFound,
    /// In the words of OAuth 2.0 (RFC 6749 section 5.2).
    OAuth(OAuthError),
    /// More requests than allowed: per minute, and seconds to wait.
    TooManyRequests { limit: u32, retry_after_seconds: u64 },
    /// Nobody proved themselves; whether a token was sent.
    Unauthorized { was_sent: bool },
    /// The body is not declared as JSON.
    UnsupportedMediaType,
}

/// The errors of the OAuth endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OAuthError {
    InvalidClient { by_basic: bool },
    InvalidRequest,
    InvalidScope,
    UnsupportedGrantType,
    UnsupportedTokenType,
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<IssuerError> for Refusal {
    fn from(error: IssuerError) -> Self {
        Self::Engine(match error {
            IssuerError::Engine(error) => error,
            IssuerError::Entropy => EngineError::EntropyUnavailable,
            IssuerError::Malformed => EngineError::Internal("a token that cannot be made"),
        })
    }
}

impl Refusal {
    pub(crate) fn into_response(self) -> Response {
        match self {
            Self::Engine(error) => engine_response(&error),
            Self::Fields(errors, status) => with_errors(status, INVALID_DATA, &errors),
            Self::Forbidden(why, errors) => with_errors(StatusCode::FORBIDDEN, why, &errors),
            Self::InvalidApiKey => message(StatusCode::FORBIDDEN, "The API key is not valid."),
            Self::Malformed(why) => message(StatusCode::BAD_REQUEST, why),
            Self::NotFound => message(StatusCode::NOT_FOUND, NOT_FOUND),
            Self::OAuth(error) => oauth_response(error),
            Self::TooManyRequests { limit, retry_after_seconds } => {
                let mut response = message(StatusCode::TOO_MANY_REQUESTS, "Too Many Attempts.");
                let headers = response.headers_mut();
                headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds.max(1)));
                headers.insert(RATE_LIMIT, HeaderValue::from(limit));
                headers.insert(RATE_REMAINING, HeaderValue::from(0));
                response
            }
            Self::Unauthorized { was_sent } => {
                let mut response = message(StatusCode::UNAUTHORIZED, UNAUTHORIZED);
                let challenge = if was_sent { BEARER_INVALID } else { BEARER };
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
            Self::UnsupportedMediaType => message(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The request body must be declared as application/json.",
            ),
        }
    }
}

fn oauth_response(error: OAuthError) -> Response {
    let (status, code) = match error {
        OAuthError::InvalidClient { .. } => (StatusCode::UNAUTHORIZED, "invalid_client"),
        OAuthError::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request"),
        OAuthError::InvalidScope => (StatusCode::BAD_REQUEST, "invalid_scope"),
        OAuthError::UnsupportedGrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        OAuthError::UnsupportedTokenType => (StatusCode::BAD_REQUEST, "unsupported_token_type"),
    };
    let mut response = json_response(status, &json!({ "error": code }));
    if error == (OAuthError::InvalidClient { by_basic: true }) {
        response.headers_mut().insert(WWW_AUTHENTICATE, BASIC);
    }
    response
}

/// The answer to what the engine refused. Of those that no operation of this door can meet the
/// status is that of their kind.
fn engine_response(error: &EngineError) -> Response {
    match error {
        EngineError::AuthenticationNotSuccessful => {
            Refusal::Unauthorized { was_sent: true }.into_response()
        }
        EngineError::ItemNotFound(_) | EngineError::ObjectDestroyed(_) => {
            message(StatusCode::NOT_FOUND, NOT_FOUND)
        }
        EngineError::PermissionDenied(_) => {
            message(StatusCode::FORBIDDEN, "You do not have permission to manage API keys.")
        }
        EngineError::GuardRefused(guard) => message(StatusCode::FORBIDDEN, &guard_message(guard)),
        EngineError::WrongStateForUse { .. }
        | EngineError::WrongKeyLifecycleState(_)
        | EngineError::UseNotAllowed { .. }
        | EngineError::VersionRefused { .. } => {
            message(StatusCode::FORBIDDEN, "The API key is disabled.")
        }
        EngineError::ServerLimitExceeded(what) => {
            message(StatusCode::SERVICE_UNAVAILABLE, &format!("Limit reached: {what}."))
        }
        EngineError::InvalidField { .. }
        | EngineError::NameTaken(_)
        | EngineError::AlgorithmNotAvailable(_)
        | EngineError::CryptographicFailure
        | EngineError::EvidenceNotValid(_)
        | EngineError::ExportRefused(_)
        | EngineError::IdempotencyKeyReused
        | EngineError::IncompatibleUse { .. }
        | EngineError::ReimportRefused
        | EngineError::RevisionMismatch
        | EngineError::UnknownAlgorithm(_)
        | EngineError::VaultNotEmpty { .. } => message(StatusCode::BAD_REQUEST, INVALID_DATA),
        EngineError::TooManyAttempts { retry_after_seconds } => {
            let retry_after_seconds = *retry_after_seconds;
            Refusal::TooManyRequests { limit: 0, retry_after_seconds }.into_response()
        }
        EngineError::AuditUnavailable
        | EngineError::DestructionInProgress(_)
        | EngineError::EntropyUnavailable
        | EngineError::ShuttingDown
        | EngineError::StorageFull
        | EngineError::StorageUnavailable => unavailable(),
        EngineError::Internal(_) => message(StatusCode::INTERNAL_SERVER_ERROR, "Server Error"),
    }
}

fn guard_message(guard: &Guard) -> String {
    match guard {
        Guard::Protected { .. } => "The API key is protected from deletion.".to_owned(),
        other @ (Guard::AlreadyPending { .. }
        | Guard::ApprovalUnusable { .. }
        | Guard::ApprovalsMissing { .. }
        | Guard::Destroyed { .. }
        | Guard::HasDependants { .. }
        | Guard::Held { .. }
        | Guard::MustBeSuspended { .. }
        | Guard::NotConfirmed { .. }
        | Guard::NotDue { .. }
        | Guard::NotPending { .. }
        | Guard::Permission(_)
        | Guard::RateLimited { .. }
        | Guard::RecentlyUsed { .. }
        | Guard::WindowMissing
        | Guard::WindowRunning { .. }
        | Guard::WindowTooLong { .. }
        | Guard::WindowTooShort { .. }) => {
            format!("The API key cannot be deleted by its policy ({}).", other.rule())
        }
    }
}

fn unavailable() -> Response {
    let mut response = message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The answer where no handler answered.
pub(crate) fn fallback(cause: &Fallback) -> Response {
    match cause {
        Fallback::MethodNotAllowed { allow } => {
            let mut response = message(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            response.headers_mut().insert(ALLOW, without_head(allow));
            response
        }
        // An id that cannot be decoded is an id that nobody has.
        Fallback::NotFound | Fallback::BadRequest(BadRequest::InvalidPathEncoding { .. }) => {
            message(StatusCode::NOT_FOUND, "Not Found")
        }
        Fallback::Overloaded | Fallback::ShuttingDown => unavailable(),
        Fallback::BadRequest(
            BadRequest::BrokenBody | BadRequest::MissingHost | BadRequest::SeveralHosts,
        )
        | Fallback::BodyTimeout
        | Fallback::BodyTooLarge { .. }
        | Fallback::HandlerPanicked
        | Fallback::HeadersTooLarge
        | Fallback::LengthRequired
        | Fallback::Timeout
        | Fallback::UriTooLong => {
            let status = cause.status();
            message(status, status.canonical_reason().unwrap_or("Error"))
        }
    }
}

/// HEAD is served with GET, and the dialect does not name it.
fn without_head(allow: &HeaderValue) -> HeaderValue {
    let text = allow.to_str().unwrap_or_default();
    let methods: Vec<&str> = text.split(", ").filter(|method| *method != "HEAD").collect();
    HeaderValue::try_from(methods.join(", ")).unwrap_or_else(|_| allow.clone())
}

pub(crate) fn message(status: StatusCode, message: &str) -> Response {
    json_response(status, &json!({ "message": message }))
}

fn with_errors(status: StatusCode, text: &str, errors: &FieldErrors) -> Response {
    if errors.is_empty() {
        return message(status, text);
    }
    json_response(status, &json!({ "message": text, "errors": errors }))
}

pub(crate) fn json_response(status: StatusCode, value: &Value) -> Response {
    let mut response = HttpResponse::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// A response without a body, and without what speaks of one.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = HttpResponse::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}
