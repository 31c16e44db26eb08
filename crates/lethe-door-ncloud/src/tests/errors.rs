//! Every refusal of the engine has an answer, and no answer says that it went well.

use std::time::Duration;

use lethe_engine::{EngineError, Refusal as Guard, VersionFault};
use lethe_types::{KeyId, KeyState, Permission, UnixMillis};

use crate::error::Refusal;

#[track_caller]
fn check(error: EngineError, message: &str) {
    let refusal = Refusal::Engine(error);
    assert_eq!(refusal.message(), message, "{refusal:?}");
}

#[test]
fn refusals_of_the_engine_have_the_words_of_this_service() {
    let key = KeyId([7; 16]);
    let invalid = "Invalid request";
    let status = "Invalid status";
    let missing = "Not found";
    let internal = "Server internal error";
    check(EngineError::AlgorithmNotAvailable("SUCCESS".to_owned()), invalid);
    check(EngineError::UnknownAlgorithm("SUCCESS".to_owned()), invalid);
    check(EngineError::CryptographicFailure, invalid);
    check(EngineError::InvalidField { field: "a", why: "SUCCESS".to_owned() }, invalid);
    check(EngineError::IncompatibleUse { algorithm: "a", operation: "b" }, invalid);
    check(EngineError::IdempotencyKeyReused, invalid);
    check(EngineError::UseNotAllowed { operation: "a" }, invalid);
    check(EngineError::ExportRefused("SUCCESS"), "Forbidden");
    check(EngineError::VersionRefused { version: 1, why: VersionFault::Suspended }, status);
    check(EngineError::AuthenticationNotSuccessful, "Authentication Failed");
    check(EngineError::PermissionDenied(Permission::KeysRead), "Forbidden");
    check(EngineError::EvidenceNotValid("SUCCESS"), "Forbidden");
    check(EngineError::ItemNotFound("SUCCESS"), missing);
    check(EngineError::ObjectDestroyed(key), missing);
    check(EngineError::NameTaken("SUCCESS"), status);
    check(EngineError::ReimportRefused, status);
    check(EngineError::RevisionMismatch, status);
    check(EngineError::DestructionInProgress(key), status);
    check(EngineError::VaultNotEmpty { live: 1 }, status);
    check(EngineError::ServerLimitExceeded("versions of one key"), status);
    check(EngineError::WrongStateForUse { state: KeyState::Destroyed, operation: "a" }, status);
    check(EngineError::ServerLimitExceeded("changes that wait"), "Endpoint Error");
    check(EngineError::ShuttingDown, "Endpoint Error");
    check(EngineError::TooManyAttempts { retry_after_seconds: 3 }, "Rate Limited");
    check(EngineError::AuditUnavailable, internal);
    check(EngineError::EntropyUnavailable, internal);
    check(EngineError::Internal("SUCCESS"), internal);
    check(EngineError::StorageFull, internal);
    check(EngineError::StorageUnavailable, internal);
    let due = UnixMillis(1);
    for guard in [
        Guard::AlreadyPending { due },
        Guard::Held { key, holds: Vec::new() },
        Guard::MustBeSuspended { state: KeyState::ACTIVE },
        Guard::NotConfirmed { key },
        Guard::NotDue { due },
        Guard::NotPending { state: KeyState::ACTIVE },
        Guard::Protected { key },
        Guard::WindowMissing,
        Guard::WindowRunning { due },
        Guard::WindowTooShort { minimum: Duration::ZERO },
    ] {
        check(EngineError::GuardRefused(Box::new(guard)), status);
    }
}
