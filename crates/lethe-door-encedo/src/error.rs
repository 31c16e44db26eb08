//! Every refusal, and its status. Bodies of refusals are empty.

use http::StatusCode;
use lethe_engine::EngineError;
use lethe_http::Fallback;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// 400: an argument, or the body, is not what it must be.
    BadArgument,
    /// 401: nobody proved who they are.
    Unauthorized,
    /// 403: scope or role do not open it.
    Forbidden,
    /// 404: not on this device.
    NotHere,
    /// 406: it could not be done.
    NotDone,
    /// 409: the device is in no state for it.
    WrongState,
    /// 418: not over a connection that is not encrypted.
    NeedsTls,
    /// 500: something that cannot happen did.
    Internal,
}

impl Failure {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::BadArgument => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotHere => StatusCode::NOT_FOUND,
            Self::NotDone => StatusCode::NOT_ACCEPTABLE,
            Self::WrongState => StatusCode::CONFLICT,
            Self::NeedsTls => StatusCode::IM_A_TEAPOT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::AuthenticationNotSuccessful | EngineError::TooManyAttempts { .. } => {
                Self::Unauthorized
            }
            EngineError::PermissionDenied(_) => Self::Forbidden,
            EngineError::Internal(_) => Self::Internal,
            EngineError::AlgorithmNotAvailable(_)
            | EngineError::AuditUnavailable
            | EngineError::CryptographicFailure
            | EngineError::DestructionInProgress(_)
            | EngineError::EntropyUnavailable
            | EngineError::EvidenceNotValid(_)
            | EngineError::ExportRefused(_)
            | EngineError::GuardRefused(_)
            | EngineError::IdempotencyKeyReused
            | EngineError::IncompatibleUse { .. }
            | EngineError::InvalidField { .. }
            | EngineError::ItemNotFound(_)
            | EngineError::NameTaken(_)
            | EngineError::ObjectDestroyed(_)
            | EngineError::ReimportRefused
            | EngineError::RevisionMismatch
            | EngineError::ServerLimitExceeded(_)
            | EngineError::ShuttingDown
            | EngineError::StorageFull
            | EngineError::StorageUnavailable
            | EngineError::UnknownAlgorithm(_)
            | EngineError::UseNotAllowed { .. }
            | EngineError::VaultNotEmpty { .. }
            | EngineError::VersionRefused { .. }
            | EngineError::WrongKeyLifecycleState(_)
            | EngineError::WrongStateForUse { .. } => Self::NotDone,
        }
    }
}

/// The status of what was refused before a handler saw it.
pub(crate) fn status_of(cause: &Fallback) -> StatusCode {
    match cause {
        // The device looks for path and method together.
        Fallback::MethodNotAllowed { .. } | Fallback::NotFound => StatusCode::NOT_FOUND,
        Fallback::HandlerPanicked => StatusCode::INTERNAL_SERVER_ERROR,
        Fallback::BadRequest(_)
        | Fallback::BodyTimeout
        | Fallback::BodyTooLarge { .. }
        | Fallback::HeadersTooLarge
        | Fallback::LengthRequired
        | Fallback::Overloaded
        | Fallback::ShuttingDown
        | Fallback::Timeout
        | Fallback::UriTooLong => cause.status(),
    }
}
