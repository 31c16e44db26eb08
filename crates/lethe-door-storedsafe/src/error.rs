//! Every refusal of the door: status, code and text, and which errors of the engine they stand for.

use http::{HeaderValue, StatusCode};
use lethe_engine::{EngineError, Refusal};
use lethe_http::{BadRequest, Fallback};

/// Why a request was not answered with success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    /// The one entry of `ERRORCODES`.
    pub(crate) code: (&'static str, &'static str),
    /// The one entry of `ERRORS`.
    pub(crate) text: String,
    pub(crate) retry_after_seconds: Option<u64>,
    pub(crate) allow: Option<HeaderValue>,
}

/// What clients look for in `ERRORCODES`: the text is in `ERRORS`.
const SEE_ERRORS: (&str, &str) = ("2000", "Errormessages exists");

impl Failure {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status, code: SEE_ERRORS, text, retry_after_seconds: None, allow: None }
    }

    /// A state of things in which the request cannot be served.
    pub(crate) fn refused(text: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// Somebody or something does not allow it.
    pub(crate) fn forbidden(text: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, text)
    }

    pub(crate) fn parameter(name: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("INVALID PARAMETER: {name}"))
    }

    pub(crate) fn permission_denied() -> Self {
        Self::forbidden("PERMISSION DENIED")
    }

    pub(crate) fn no_such_key() -> Self {
        Self::refused("NO SUCH KEY")
    }

    pub(crate) fn no_such_version() -> Self {
        Self::refused("NO SUCH KEY VERSION")
    }

    pub(crate) fn invalid_ciphertext() -> Self {
        Self::refused("INVALID CIPHERTEXT")
    }

    pub(crate) fn invalid_json() -> Self {
        Self::refused("INVALID JSON")
    }

    pub(crate) fn not_supported() -> Self {
        Self::refused("NOT SUPPORTED")
    }

    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL ERROR")
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE")
    }

    pub(crate) fn token_invalid() -> Self {
        let code = ("1200", "Token invalid");
        Self { code, ..Self::new(StatusCode::FORBIDDEN, "Token invalid") }
    }

    pub(crate) fn login_failed() -> Self {
        let code = ("1001", "Login failed");
        Self { code, ..Self::new(StatusCode::FORBIDDEN, "Login failed") }
    }

    fn too_many(retry_after_seconds: u64) -> Self {
        let refused = Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO MANY REQUESTS");
        Self { retry_after_seconds: Some(retry_after_seconds), ..refused }
    }

    /// The text for programs: small letters, digits and `_`.
    pub(crate) fn reason(&self) -> String {
        let words = self.text.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<String> =
            words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
        words.join("_")
    }
}

impl From<Fallback> for Failure {
    fn from(cause: Fallback) -> Self {
        let status = cause.status();
        match cause {
            Fallback::BadRequest(BadRequest::InvalidPathEncoding { parameter }) => {
                Self::parameter(parameter)
            }
            Fallback::BadRequest(_) => Self::refused("INVALID REQUEST"),
            Fallback::BodyTimeout => Self::new(status, "REQUEST TIMEOUT"),
            Fallback::BodyTooLarge { .. } => Self::new(status, "REQUEST TOO LARGE"),
            Fallback::HandlerPanicked => Self::internal(),
            Fallback::HeadersTooLarge | Fallback::UriTooLong => {
                Self::new(status, "REQUEST TOO LARGE")
            }
            Fallback::LengthRequired => Self::new(status, "LENGTH REQUIRED"),
            Fallback::MethodNotAllowed { allow } => {
                Self { allow: Some(allow), ..Self::new(status, "METHOD NOT ALLOWED") }
            }
            Fallback::NotFound => Self::new(status, "NO SUCH ENDPOINT"),
            Fallback::Overloaded | Fallback::ShuttingDown | Fallback::Timeout => {
                Self::unavailable()
            }
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::AlgorithmNotAvailable(_)
            | EngineError::IncompatibleUse { .. }
            | EngineError::UnknownAlgorithm(_) => Self::parameter("type"),
            EngineError::AuthenticationNotSuccessful => Self::token_invalid(),
            EngineError::AuditUnavailable
            | EngineError::EntropyUnavailable
            | EngineError::ShuttingDown
            | EngineError::StorageFull
            | EngineError::StorageUnavailable => Self::unavailable(),
            EngineError::ExportRefused(_) => Self::forbidden("KEY NOT EXPORTABLE"),
            EngineError::CryptographicFailure => Self::refused("DECRYPTION FAILED"),
            EngineError::DestructionInProgress(_) | EngineError::ObjectDestroyed(_) => {
                Self::no_such_key()
            }
            EngineError::GuardRefused(refusal) => Self::from_guard(&refusal),
            EngineError::InvalidField { field, .. } => Self::parameter(field),
            EngineError::ItemNotFound("key") => Self::no_such_key(),
            EngineError::ItemNotFound("principal") => Self::parameter("userid"),
            EngineError::ItemNotFound("vault") | EngineError::PermissionDenied(_) => {
                Self::permission_denied()
            }
            EngineError::ItemNotFound(_) => Self::no_such_version(),
            EngineError::NameTaken(_) => Self::refused("KEY EXISTS"),
            EngineError::ReimportRefused => Self::refused("KEY WAS DELETED"),
            EngineError::ServerLimitExceeded(_) => Self::refused("LIMIT REACHED"),
            EngineError::TooManyAttempts { retry_after_seconds } => {
                Self::too_many(retry_after_seconds)
            }
            EngineError::VaultNotEmpty { .. } => Self::refused("VAULT NOT EMPTY"),
            // The operator limited the key through another door.
            EngineError::UseNotAllowed { .. }
            | EngineError::VersionRefused { .. }
            | EngineError::WrongKeyLifecycleState(_)
            | EngineError::WrongStateForUse { .. } => Self::forbidden("KEY IS LOCKED"),
            EngineError::EvidenceNotValid(_)
            | EngineError::IdempotencyKeyReused
            | EngineError::Internal(_)
            | EngineError::RevisionMismatch => Self::internal(),
        }
    }
}

impl Failure {
    /// The protocol knows two rules; every other one of the engine is a lock to its clients.
    fn from_guard(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Destroyed { .. } => Self::no_such_key(),
            Refusal::Permission(_) => Self::permission_denied(),
            Refusal::Protected { .. } => Self::forbidden("KEY NOT DELETEABLE"),
            Refusal::AlreadyPending { .. }
            | Refusal::ApprovalUnusable { .. }
            | Refusal::ApprovalsMissing { .. }
            | Refusal::HasDependants { .. }
            | Refusal::Held { .. }
            | Refusal::MustBeSuspended { .. }
            | Refusal::NotConfirmed { .. }
            | Refusal::NotDue { .. }
            | Refusal::NotPending { .. }
            | Refusal::RateLimited { .. }
            | Refusal::RecentlyUsed { .. }
            | Refusal::WindowMissing
            | Refusal::WindowRunning { .. }
            | Refusal::WindowTooLong { .. }
            | Refusal::WindowTooShort { .. } => Self::forbidden("KEY IS LOCKED"),
        }
    }
}
