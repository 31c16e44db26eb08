//! The closed set of ways in which an operation can be refused or fail.
//!
//! Not `#[non_exhaustive]` on purpose: a new variant stops the build of every door until that door
//! has decided on its status and body.

use core::fmt;

use lethe_crypto::CryptoError;
use lethe_types::{EntropyError, KeyId, KeyState, Permission, WrongKeyLifecycleState};

use crate::{Refusal, VersionFault};

/// Why an operation was refused or failed. Unless a variant says otherwise, nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineError {
    /// The algorithm is planned but not in this build.
    AlgorithmNotAvailable(String),
    /// The audit trail cannot take the event of this operation, so that it was not carried out.
    AuditUnavailable,
    /// No principal proved itself.
    AuthenticationNotSuccessful,
    /// The ciphertext, signature or associated data do not belong to this key.
    CryptographicFailure,
    /// The key is being destroyed at this moment.
    DestructionInProgress(KeyId),
    /// What was given does not prove what it must prove.
    EvidenceNotValid(&'static str),
    /// The random source or the cryptographic library failed.
    EntropyUnavailable,
    /// A rule stands before the destruction.
    GuardRefused(Box<Refusal>),
    /// The idempotency key came before with another request.
    IdempotencyKeyReused,
    /// The algorithm has no such use.
    IncompatibleUse {
        /// Name of the key's algorithm.
        algorithm: &'static str,
        /// The use that was asked for.
        operation: &'static str,
    },
    /// The key's material may not leave; says why.
    ExportRefused(&'static str),
    /// Something that cannot happen did; says what, for the operator's log only.
    Internal(&'static str),
    /// A field has a value that is not allowed.
    InvalidField {
        /// The field.
        field: &'static str,
        /// Which rule it breaks.
        why: String,
    },
    /// There is no such thing in the caller's realm.
    ItemNotFound(&'static str),
    /// The key's material is gone.
    ObjectDestroyed(KeyId),
    /// Somebody else has this name, or had it and it is not given again.
    NameTaken(&'static str),
    /// The caller lacks a permission.
    PermissionDenied(Permission),
    /// This material was destroyed here, and the policy does not let it come back.
    ReimportRefused,
    /// The thing changed since the revision that the caller named.
    RevisionMismatch,
    /// A bound of the server is reached; says which.
    ServerLimitExceeded(&'static str),
    /// The server is stopping.
    ShuttingDown,
    /// The disk is full.
    StorageFull,
    /// The store or the slot failed. The change may or may not have been made; asking again tells.
    StorageUnavailable,
    /// Too many attempts to prove an identity failed; this one was not looked at.
    TooManyAttempts {
        /// When the next may be made, in seconds from now; at least 1.
        retry_after_seconds: u64,
    },
    /// The text names no algorithm.
    UnknownAlgorithm(String),
    /// The key is limited to other uses.
    UseNotAllowed {
        /// The use that was asked for.
        operation: &'static str,
    },
    /// The vault still has keys.
    VaultNotEmpty {
        /// How many have their material.
        live: u64,
    },
    /// This version of the key does not allow it.
    VersionRefused {
        /// Its number.
        version: u32,
        /// Why.
        why: VersionFault,
    },
    /// The key's state does not allow the use.
    WrongStateForUse {
        /// The key's state.
        state: KeyState,
        /// The use that was asked for.
        operation: &'static str,
    },
    /// The key's state does not allow the transition.
    WrongKeyLifecycleState(WrongKeyLifecycleState),
}

impl EngineError {
    /// The refusal's stable code, for audit events.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AlgorithmNotAvailable(_) => "algorithm_not_available",
            Self::AuditUnavailable => "audit_unavailable",
            Self::AuthenticationNotSuccessful => "authentication_not_successful",
            Self::CryptographicFailure => "cryptographic_failure",
            Self::DestructionInProgress(_) => "destruction_in_progress",
            Self::EntropyUnavailable => "entropy_unavailable",
            Self::EvidenceNotValid(_) => "evidence_not_valid",
            Self::ExportRefused(_) => "export_refused",
            Self::GuardRefused(refusal) => refusal.rule(),
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::IncompatibleUse { .. } => "incompatible_use",
            Self::Internal(_) => "internal",
            Self::InvalidField { .. } => "invalid_field",
            Self::ItemNotFound(_) => "item_not_found",
            Self::NameTaken(_) => "name_taken",
            Self::ObjectDestroyed(_) => "object_destroyed",
            Self::PermissionDenied(_) => "permission_denied",
            Self::ReimportRefused => "reimport_refused",
            Self::RevisionMismatch => "revision_mismatch",
            Self::ServerLimitExceeded(_) => "server_limit_exceeded",
            Self::ShuttingDown => "shutting_down",
            Self::StorageFull => "storage_full",
            Self::StorageUnavailable => "storage_unavailable",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::UnknownAlgorithm(_) => "unknown_algorithm",
            Self::UseNotAllowed { .. } => "use_not_allowed",
            Self::VaultNotEmpty { .. } => "vault_not_empty",
            Self::VersionRefused { why, .. } => why.code(),
            Self::WrongStateForUse { .. } => "wrong_state_for_use",
            Self::WrongKeyLifecycleState(_) => "wrong_key_lifecycle_state",
        }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlgorithmNotAvailable(name) => {
                write!(f, "algorithm `{name}` is not available in this version of Lethe")
            }
            Self::AuditUnavailable => {
                f.write_str("the audit trail cannot be written, so that nothing is carried out")
            }
            Self::AuthenticationNotSuccessful => f.write_str("the credential is not valid"),
            Self::CryptographicFailure => {
                f.write_str("the data is not authentic under this key and associated data")
            }
            Self::DestructionInProgress(key) => write!(f, "key {key} is being destroyed"),
            Self::EntropyUnavailable => f.write_str("the random source failed"),
            Self::EvidenceNotValid(why) => write!(f, "this does not prove it: {why}"),
            Self::ExportRefused(why) => write!(f, "the material may not leave: {why}"),
            Self::GuardRefused(refusal) => refusal.fmt(f),
            Self::IdempotencyKeyReused => {
                f.write_str("this idempotency key came before with another request")
            }
            Self::IncompatibleUse { algorithm, operation } => {
                write!(f, "a key of algorithm `{algorithm}` cannot {operation}")
            }
            Self::Internal(what) => write!(f, "internal error: {what}"),
            Self::InvalidField { field, why } => write!(f, "`{field}`: {why}"),
            Self::ItemNotFound(what) => write!(f, "there is no such {what}"),
            Self::NameTaken(what) => write!(f, "{what} is taken, or is never given again"),
            Self::ObjectDestroyed(key) => write!(f, "key {key} is destroyed"),
            Self::PermissionDenied(permission) => {
                write!(f, "this needs the permission `{permission}`")
            }
            Self::ReimportRefused => f.write_str(
                "this material was destroyed here, and the policy does not let it come back",
            ),
            Self::RevisionMismatch => f.write_str("it changed since the revision you named"),
            Self::ServerLimitExceeded(limit) => write!(f, "limit reached: {limit}"),
            Self::ShuttingDown => f.write_str("the server is stopping"),
            Self::StorageFull => f.write_str("the disk of the store is full"),
            Self::StorageUnavailable => {
                f.write_str("the store failed; ask again to learn whether the change was made")
            }
            Self::TooManyAttempts { retry_after_seconds } => {
                write!(f, "too many attempts; the next may be made in {retry_after_seconds} s")
            }
            Self::UnknownAlgorithm(name) => write!(f, "`{name}` names no algorithm"),
            Self::UseNotAllowed { operation } => {
                write!(f, "this key is limited to other uses: it may not {operation}")
            }
            Self::VaultNotEmpty { live } => write!(f, "the vault still has {live} keys"),
            Self::VersionRefused { version, why } => write!(f, "version {version} {why}"),
            Self::WrongStateForUse { state, operation } => {
                write!(f, "cannot {operation} with a key that is {}", state.as_str())
            }
            Self::WrongKeyLifecycleState(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for EngineError {}

impl From<Refusal> for EngineError {
    /// Two of the rules have errors of their own, which other operations answer as well.
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Permission(permission) => Self::PermissionDenied(permission),
            Refusal::Destroyed { key } => Self::ObjectDestroyed(key),
            other @ (Refusal::AlreadyPending { .. }
            | Refusal::ApprovalUnusable { .. }
            | Refusal::ApprovalsMissing { .. }
            | Refusal::HasDependants { .. }
            | Refusal::Held { .. }
            | Refusal::MustBeSuspended { .. }
            | Refusal::NotConfirmed { .. }
            | Refusal::NotDue { .. }
            | Refusal::NotPending { .. }
            | Refusal::Protected { .. }
            | Refusal::RateLimited { .. }
            | Refusal::RecentlyUsed { .. }
            | Refusal::WindowMissing
            | Refusal::WindowRunning { .. }
            | Refusal::WindowTooLong { .. }
            | Refusal::WindowTooShort { .. }) => Self::GuardRefused(Box::new(other)),
        }
    }
}

impl From<WrongKeyLifecycleState> for EngineError {
    fn from(error: WrongKeyLifecycleState) -> Self {
        Self::WrongKeyLifecycleState(error)
    }
}

impl From<EntropyError> for EngineError {
    fn from(_: EntropyError) -> Self {
        Self::EntropyUnavailable
    }
}

impl From<CryptoError> for EngineError {
    fn from(error: CryptoError) -> Self {
        match error {
            CryptoError::Authentication => Self::CryptographicFailure,
            CryptoError::Entropy => Self::EntropyUnavailable,
            CryptoError::Invalid(_) | CryptoError::Unsupported(_) => {
                Self::InvalidField { field: "data", why: error.to_string() }
            }
            CryptoError::Library(what) => Self::Internal(what),
        }
    }
}
