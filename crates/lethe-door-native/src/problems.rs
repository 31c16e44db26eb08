//! Every type of problem that this door answers with: stable name, title, status and explanation.
//!
//! Clients compare the `type` of a problem as text, so that a name is never changed or reused. Each
//! has a page, at the path that its `type` is.

use http::StatusCode;

/// One type of problem (RFC 9457 section 4).
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemType {
    /// Its name: the last part of [`ProblemType::uri`].
    pub code: &'static str,
    /// The value of `type`, and the path of its page.
    pub uri: &'static str,
    /// The value of `title`.
    pub title: &'static str,
    /// The value of `status`.
    pub status: StatusCode,
    /// When it happens and what to do about it, for people.
    pub explanation: &'static str,
}

impl ProblemType {
    /// The type of that name.
    #[must_use]
    pub fn find(code: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|problem| problem.code == code)
    }
}

macro_rules! problems {
    ($($name:ident = $code:literal, $status:ident, $title:literal, $explanation:literal;)*) => {
        $(
            #[doc = concat!("`", $code, "`.")]
            pub static $name: ProblemType = ProblemType {
                code: $code,
                uri: concat!("/problems/", $code),
                title: $title,
                status: StatusCode::$status,
                explanation: $explanation,
            };
        )*

        /// Every type of problem, in the order of their names.
        pub static ALL: &[&ProblemType] = &[$(&$name),*];
    };
}

problems! {
    ALGORITHM_NOT_AVAILABLE = "algorithm-not-available", NOT_IMPLEMENTED,
        "Algorithm not available",
        "Lethe knows the algorithm by name, but this version does not have it. \
         `GET /v1/algorithms` lists those that it has.";
    ALREADY_PENDING = "already-pending", CONFLICT,
        "Destruction already scheduled",
        "The key waits for its destruction already, and cannot be scheduled once more. Nothing was \
         changed. To choose another time, cancel the destruction first.";
    APPROVAL_UNUSABLE = "approval-unusable", FORBIDDEN,
        "Approval not usable",
        "The request for approval that was named has expired, was used or withdrawn, is about \
         another key, or is somebody else's: `detail` says which. Nothing was done.";
    APPROVALS_MISSING = "approvals-missing", FORBIDDEN,
        "Approvals missing",
        "The policy asks for the approval of others, and too few agreed to this destruction. \
         Nothing was done. `remedy` says how many it takes.";
    AUDIT_UNAVAILABLE = "audit-unavailable", SERVICE_UNAVAILABLE,
        "Audit trail unavailable",
        "The audit trail cannot take the event of this operation, so that the operation was not \
         carried out. The operator has to make room for the trail or repair it; then try again.";
    AUTHENTICATION_NOT_SUCCESSFUL = "authentication-not-successful", UNAUTHORIZED,
        "Authentication not successful",
        "The request has no bearer token, or one that is not valid now: unknown, expired, or its \
         principal was revoked. Send `Authorization: Bearer lethe_…`.";
    BODY_TIMEOUT = "body-timeout", REQUEST_TIMEOUT,
        "Request body too slow",
        "The body of the request did not arrive in time. Nothing was done.";
    BODY_TOO_LARGE = "body-too-large", PAYLOAD_TOO_LARGE,
        "Request body too large",
        "The body of the request is larger than this operation takes. Nothing was done. Encrypt \
         large data with a data key of its own, and that key here.";
    CRYPTOGRAPHIC_FAILURE = "cryptographic-failure", UNPROCESSABLE_ENTITY,
        "Cryptographic failure",
        "The data is not authentic: it was not made with this key and this associated data, or it \
         was altered since. Which of these it is cannot be said.";
    DESTRUCTION_IN_PROGRESS = "destruction-in-progress", CONFLICT,
        "Destruction in progress",
        "The key is being destroyed at this moment. A moment later it is destroyed, or, if the \
         destruction failed, as it was before.";
    ENTROPY_UNAVAILABLE = "entropy-unavailable", SERVICE_UNAVAILABLE,
        "Random source unavailable",
        "The random source of the system failed, so that nothing was done.";
    EVIDENCE_NOT_VALID = "evidence-not-valid", FORBIDDEN,
        "Evidence not valid",
        "What was given does not prove what it must: a signature that does not hold, or a request \
         for approval that is used, withdrawn or over. Nothing was changed.";
    EXPORT_REFUSED = "export-refused", FORBIDDEN,
        "Export refused",
        "The key was not made `exportable`, or its material would leave in the clear, which the \
         realm does not allow. Nothing left the server.";
    HAS_DEPENDANTS = "has-dependants", CONFLICT,
        "Keys derived from the key",
        "Live keys are derived from the key, and the policy refuses to destroy it before them. \
         `detail` lists the first. Nothing was done.";
    HEADERS_TOO_LARGE = "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE,
        "Headers too large",
        "The request has too many headers, or too large ones. Nothing was done.";
    HELD = "held", CONFLICT,
        "Key held",
        "Holds on the key, or on one that would go with it, forbid its destruction: `detail` lists \
         them. Nothing was done. Who may manage holds can lift them.";
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused", UNPROCESSABLE_ENTITY,
        "Idempotency key reused",
        "The value of `Idempotency-Key` came before, with another request. Nothing was done. \
         Choose a fresh value for every new request and repeat it only with the same one.";
    INCOMPATIBLE_USE = "incompatible-use", UNPROCESSABLE_ENTITY,
        "Incompatible use",
        "Keys of this algorithm do not have this use. `GET /v1/algorithms` lists the uses of each.";
    INTERNAL = "internal", INTERNAL_SERVER_ERROR,
        "Internal error",
        "Something that cannot happen did. A change may or may not have been made. Give the \
         operator the `request_id`.";
    INVALID_FIELD = "invalid-field", UNPROCESSABLE_ENTITY,
        "Invalid field",
        "A member, parameter or header has a value that is not allowed: `field` says which one, \
         `detail` which rule it breaks. Nothing was done.";
    ITEM_NOT_FOUND = "item-not-found", NOT_FOUND,
        "Item not found",
        "There is no such thing in your realm. What is in another realm looks the same.";
    LENGTH_REQUIRED = "length-required", LENGTH_REQUIRED,
        "Length required",
        "The request needs a `Content-Length`. Nothing was done.";
    MALFORMED_JSON = "malformed-json", BAD_REQUEST,
        "Malformed JSON",
        "The body is not the JSON object that this operation takes: it is not JSON or not UTF-8, \
         or a member is missing, unknown, there twice or of the wrong type. `detail` says where, \
         `field` which member. Nothing was done.";
    MALFORMED_REQUEST = "malformed-request", BAD_REQUEST,
        "Malformed request",
        "The request breaks a rule of HTTP. `detail` says which. Nothing was done.";
    METHOD_NOT_ALLOWED = "method-not-allowed", METHOD_NOT_ALLOWED,
        "Method not allowed",
        "The path is there, but not with this method. The header `Allow` lists those it has.";
    MUST_BE_SUSPENDED = "must-be-suspended", CONFLICT,
        "Key in use",
        "The policy lets only keys go that are not in use. Nothing was done. Suspend or deactivate \
         the key first; a destruction that waits has to be cancelled before.";
    NAME_TAKEN = "name-taken", CONFLICT,
        "Name taken",
        "Another one has this name, or had it and it is never given again. Nothing was changed.";
    NOT_CONFIRMED = "not-confirmed", CONFLICT,
        "Destruction not confirmed",
        "The policy wants the key's id or its exact name repeated with the request, and it was \
         not. Nothing was done.";
    NOT_DUE = "not-due", CONFLICT,
        "Destruction not due",
        "The key waits for its destruction, and its time has not come. Nothing was done.";
    NOT_FOUND = "not-found", NOT_FOUND,
        "Not found",
        "There is no such path. `GET /v1/docs` describes those there are.";
    NOT_PENDING = "not-pending", CONFLICT,
        "No destruction waits",
        "The key does not wait for a destruction that could be carried out. Nothing was done. \
         Schedule one first.";
    OBJECT_DESTROYED = "object-destroyed", GONE,
        "Key destroyed",
        "The key is destroyed, for good. `GET /v1/keys/{id}` tells when, by whom and why, and \
         `GET /v1/keys/{id}/receipt` proves it.";
    OVERLOADED = "overloaded", SERVICE_UNAVAILABLE,
        "Server overloaded",
        "As many requests as the server allows are being worked on. Nothing was done; try again.";
    PERMISSION_DENIED = "permission-denied", FORBIDDEN,
        "Permission denied",
        "You lack a permission on the realm, vault or key that this needs. `permission` names it. \
         Nothing was done.";
    PROTECTED = "protected", CONFLICT,
        "Key protected",
        "The key, or one that would go with it, is protected against destruction. Nothing was \
         done. Lower the protection first.";
    RATE_LIMITED = "rate-limited", TOO_MANY_REQUESTS,
        "Too many destructions",
        "You destroyed or scheduled as many keys within the last hour as the policy allows to one \
         principal. Nothing was done.";
    RECENTLY_USED = "recently-used", CONFLICT,
        "Key used recently",
        "The policy lets only keys go that were not used for some time. Nothing was done. \
         `remedy` names the moment from which on the key may go.";
    REIMPORT_REFUSED = "reimport-refused", CONFLICT,
        "Re-import refused",
        "This material was destroyed here, and the deletion policy does not let it come back.";
    REVISION_MISMATCH = "revision-mismatch", PRECONDITION_FAILED,
        "Revision mismatch",
        "The thing changed since the revision that `If-Match` names. Nothing was done. Read it \
         again, and decide again.";
    SERVER_LIMIT_EXCEEDED = "server-limit-exceeded", TOO_MANY_REQUESTS,
        "Server limit exceeded",
        "A bound of the server is reached. `detail` says which. Nothing was done. If too many \
         changes wait, the status is 503 and trying again helps; else something has to go first.";
    SHUTTING_DOWN = "shutting-down", SERVICE_UNAVAILABLE,
        "Server shutting down",
        "The server is stopping and takes no more requests. Nothing was done.";
    STORAGE_FULL = "storage-full", INSUFFICIENT_STORAGE,
        "Storage full",
        "The disk of the store is full. Nothing was changed. The operator has to make room.";
    STORAGE_UNAVAILABLE = "storage-unavailable", SERVICE_UNAVAILABLE,
        "Storage unavailable",
        "The store or the slot of the root key failed. A change may or may not have been made: \
         asking for the thing again tells. A key whose destruction was asked for stays refused.";
    TIMEOUT = "timeout", GATEWAY_TIMEOUT,
        "Deadline passed",
        "The request took longer than allowed. A change that was begun goes on and may still be \
         made: asking for the thing again tells.";
    TOO_MANY_ATTEMPTS = "too-many-attempts", TOO_MANY_REQUESTS,
        "Too many attempts",
        "Too many attempts to sign in failed, for this login or from this address, or more are \
         being worked on than the server allows. This one was not looked at. `Retry-After` says \
         in how many seconds the next may be made.";
    UNKNOWN_ALGORITHM = "unknown-algorithm", UNPROCESSABLE_ENTITY,
        "Unknown algorithm",
        "The name is of no algorithm that Lethe knows. `GET /v1/algorithms` lists those there are.";
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE,
        "Unsupported media type",
        "The body of this operation is `application/json`, and `Content-Type`, if it is sent, must \
         say so. Nothing was done.";
    URI_TOO_LONG = "uri-too-long", URI_TOO_LONG,
        "Request target too long",
        "The path and query of the request are longer than the server takes.";
    USE_NOT_ALLOWED = "use-not-allowed", CONFLICT,
        "Use not allowed",
        "The key is limited to other uses than this one, for good. Its `allowed_uses` lists them.";
    VAULT_NOT_EMPTY = "vault-not-empty", CONFLICT,
        "Vault not empty",
        "A vault is removed only when no key in it has its material. Destroy them first.";
    VERSION_BELOW_MINIMUM = "version-below-minimum", CONFLICT,
        "Version below the minimum",
        "The key has a minimum version for this, and the version is an older one. \
         `protect_from_version` and `process_from_version` of the key are the minimums.";
    VERSION_DESTROYED = "version-destroyed", GONE,
        "Version destroyed",
        "This version of the key is destroyed, for good, while the key goes on. Its receipt is at \
         `GET /v1/keys/{id}/versions/{version}/receipt`.";
    VERSION_LAST_ENABLED = "version-last-enabled", CONFLICT,
        "Last enabled version",
        "Without this version nothing of the key would protect new data. Rotate the key first, or \
         destroy it whole. Nothing was done.";
    VERSION_SUSPENDED = "version-suspended", CONFLICT,
        "Version suspended",
        "This version of the key is suspended: it is refused for every use until it is resumed.";
    WINDOW_MISSING = "window-missing", CONFLICT,
        "Waiting time missing",
        "A later destruction was asked for without a waiting time, and the policy has none either. \
         Nothing was done.";
    WINDOW_RUNNING = "window-running", CONFLICT,
        "Waiting time not over",
        "The key waits for its destruction, and the policy does not let the wait end early. \
         Nothing was changed. The destruction can be cancelled until its time.";
    WINDOW_TOO_LONG = "window-too-long", CONFLICT,
        "Waiting time too long",
        "The waiting time is longer than any may be. Nothing was done.";
    WINDOW_TOO_SHORT = "window-too-short", CONFLICT,
        "Waiting time too short",
        "The waiting time is shorter than the policy's. Nothing was done. Without one the policy's \
         is taken.";
    WRONG_KEY_LIFECYCLE_STATE = "wrong-key-lifecycle-state", CONFLICT,
        "Wrong key state for this change",
        "A key in its present `state` cannot go the way that was asked for. Nothing was done.";
    WRONG_STATE_FOR_USE = "wrong-state-for-use", CONFLICT,
        "Wrong key state for this use",
        "A key in its present `state` may not be used like this. Nothing was done. Only active \
         keys protect new data; deactivated and compromised ones still process what they have.";
}
