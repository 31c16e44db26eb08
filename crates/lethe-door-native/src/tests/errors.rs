//! The table of refusals: every one has its type, status, page and members.

use http::StatusCode;
use lethe_engine::{EngineError as E, Refusal as Guard, Unusable, VersionFault};
use lethe_http::{BadRequest, Fallback};
use lethe_types::{ApprovalId, KeyId, KeyState, Permission, StableState, Transition, UnixMillis};

use super::support::Api;
use crate::error::{engine_problem, fallback_type, problem_type, retry_after_seconds};
use crate::problems::{ALL, ProblemType};

/// One of each, with the status that the contract gives it.
fn engine_errors() -> Vec<(E, u16)> {
    let suspended = KeyState::Stable(StableState::Suspended);
    let no_edge = suspended.after(Transition::Suspend).unwrap_err();
    vec![
        (E::AlgorithmNotAvailable("x".into()), 501),
        (E::AuditUnavailable, 503),
        (E::AuthenticationNotSuccessful, 401),
        (E::CryptographicFailure, 422),
        (E::DestructionInProgress(KeyId([0; 16])), 409),
        (E::EntropyUnavailable, 503),
        (E::ExportRefused("x"), 403),
        (E::IdempotencyKeyReused, 422),
        (E::IncompatibleUse { algorithm: "x", operation: "y" }, 422),
        (E::Internal("secret detail"), 500),
        (E::InvalidField { field: "x", why: "y".into() }, 422),
        (E::ItemNotFound("key"), 404),
        (E::ObjectDestroyed(KeyId([0; 16])), 410),
        (E::PermissionDenied(Permission::KeysRead), 403),
        (E::RevisionMismatch, 412),
        (E::ServerLimitExceeded("versions of one key"), 429),
        (E::ShuttingDown, 503),
        (E::StorageFull, 507),
        (E::StorageUnavailable, 503),
        (E::TooManyAttempts { retry_after_seconds: 30 }, 429),
        (E::UnknownAlgorithm("x".into()), 422),
        (E::UseNotAllowed { operation: "x" }, 409),
        (E::VersionRefused { version: 1, why: VersionFault::Destroyed }, 410),
        (E::VersionRefused { version: 1, why: VersionFault::LastEnabled }, 409),
        (E::VersionRefused { version: 1, why: VersionFault::Suspended }, 409),
        (E::VersionRefused { version: 1, why: VersionFault::BelowMinimum { minimum: 2 } }, 409),
        (E::WrongStateForUse { state: suspended, operation: "encrypt" }, 409),
        (E::WrongKeyLifecycleState(no_edge), 409),
    ]
}

/// One of each rule before a destruction, with the status and the member that it has.
fn guard_refusals() -> Vec<(Guard, u16, Option<&'static str>)> {
    let (key, due) = (KeyId([0; 16]), UnixMillis(1_800_000_000_000));
    let (state, request) = (KeyState::ACTIVE, ApprovalId([0; 16]));
    let day = core::time::Duration::from_secs(86_400);
    vec![
        (Guard::Permission(Permission::KeysDestroy), 403, Some("permission")),
        (Guard::Destroyed { key }, 410, Some("key")),
        (Guard::AlreadyPending { due }, 409, Some("due")),
        (Guard::NotPending { state }, 409, Some("state")),
        (Guard::NotDue { due }, 409, Some("due")),
        (Guard::Held { key, holds: Vec::new() }, 409, Some("key")),
        (Guard::Protected { key }, 409, Some("key")),
        (Guard::WindowRunning { due }, 409, Some("due")),
        (Guard::WindowTooShort { minimum: day }, 409, None),
        (Guard::WindowTooLong { maximum: day }, 409, None),
        (Guard::WindowMissing, 409, None),
        (Guard::MustBeSuspended { state }, 409, Some("state")),
        (Guard::RecentlyUsed { last: due, until: due }, 409, None),
        (Guard::RateLimited { limit: 5 }, 429, None),
        (Guard::NotConfirmed { key }, 409, Some("key")),
        (Guard::ApprovalsMissing { request: None, required: 2, valid: 0 }, 403, None),
        (Guard::ApprovalUnusable { request, why: Unusable::Expired }, 403, None),
        (Guard::HasDependants { keys: vec![key], total: 1 }, 409, None),
    ]
}

#[test]
fn every_rule_before_a_destruction_says_which_it_is_and_what_satisfies_it() {
    for (guard, status, member) in guard_refusals() {
        let error = E::GuardRefused(Box::new(guard.clone()));
        let problem = problem_type(&error);
        assert_eq!(problem.code, error.code().replace('_', "-"), "{guard:?}");
        let answer = engine_problem(&error).to_json();
        assert_eq!(answer["status"], status, "{guard:?}");
        let mut names: Vec<&str> = vec!["detail", "remedy", "rule", "status", "title", "type"];
        names.extend(member);
        names.sort_unstable();
        let found: Vec<&String> = answer.as_object().unwrap().keys().collect();
        assert_eq!(found, names, "{guard:?}");
        assert_eq!(answer["type"], problem.uri);
        assert_eq!(answer["rule"], guard.rule());
        assert_eq!(answer["remedy"], guard.remedy());
        assert_eq!(answer["detail"], guard.to_string());
    }
}

#[test]
fn every_refusal_of_the_engine_has_the_type_of_its_code() {
    for (error, status) in engine_errors() {
        let problem = problem_type(&error);
        assert_eq!(problem.code, error.code().replace('_', "-"), "{error:?}");
        assert_eq!(problem.status.as_u16(), status, "{error:?}");
    }
}

#[test]
fn refusals_that_pass_by_themselves_say_when() {
    for (error, _) in engine_errors() {
        let want = match error.code() {
            "destruction_in_progress" => Some(1),
            "too_many_attempts" => Some(30),
            _ => None,
        };
        assert_eq!(retry_after_seconds(&error), want, "{error:?}");
    }
    assert_eq!(retry_after_seconds(&E::ServerLimitExceeded("changes that wait")), Some(1));
}

#[test]
fn every_fallback_has_a_type_with_the_status_of_http() {
    let allow = http::HeaderValue::from_static("GET");
    for cause in [
        Fallback::BadRequest(BadRequest::BrokenBody),
        Fallback::BodyTimeout,
        Fallback::BodyTooLarge { limit_bytes: 1 },
        Fallback::HandlerPanicked,
        Fallback::HeadersTooLarge,
        Fallback::LengthRequired,
        Fallback::MethodNotAllowed { allow },
        Fallback::NotFound,
        Fallback::Overloaded,
        Fallback::ShuttingDown,
        Fallback::Timeout,
        Fallback::UriTooLong,
    ] {
        assert_eq!(fallback_type(&cause).status, cause.status(), "{cause:?}");
    }
}

#[test]
fn the_list_is_sorted_and_each_entry_is_whole() {
    assert!(ALL.is_sorted_by(|one, other| one.code < other.code));
    for problem in ALL {
        assert_eq!(problem.uri, format!("/problems/{}", problem.code));
        assert!(problem.status.is_client_error() || problem.status.is_server_error());
        assert!(!problem.title.is_empty() && problem.explanation.ends_with('.'));
        assert_eq!(problem.explanation.matches('`').count() % 2, 0, "{}", problem.code);
        assert!(problem.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
        assert_eq!(ProblemType::find(problem.code), Some(*problem));
    }
    assert_eq!(ProblemType::find("nonsense"), None);
}

#[tokio::test]
async fn every_problem_has_a_page() {
    let api = Api::new().await;
    for problem in ALL {
        let answer = api.get(problem.uri).await;
        assert_eq!(answer.head.status, StatusCode::OK, "{}", problem.code);
        let page = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(page.contains(problem.title) && page.contains(problem.code), "{page}");
        assert!(!page.contains('`'), "{page}");
    }
    super::support::problem(&api.get("/problems/nonsense").await, 404, "not-found");
}
