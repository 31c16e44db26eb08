//! What is served.

use core::time::Duration;
use std::sync::Arc;

use http::Method;
use lethe_http::{Authentication, Handler, Kind, Request, RouteSpec};
use serde_json::{Map, Value};

use crate::auth::Identity;
use crate::call::{Call, Work, answer};
use crate::error::Refusal;
use crate::handlers::{
    actions, codes, credentials, delegate, delete, keys, logs, organization, pats, people,
    permissions, recovery, registration, service_accounts, sessions, shares, signatures, stores,
};
use crate::state::State;

/// Largest body of most requests, in bytes.
const BODY_BYTES_MAX: usize = 131_072;
/// Largest body that announces another one, in bytes: it holds that as a text, escaped.
const ANNOUNCEMENT_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;
/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// Whose request is looked at at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone's.
    Public,
    /// Of somebody who recovers their account.
    Recovery,
    /// Of somebody who registers.
    Temporary,
    /// Of the holder of any other token.
    Token,
}

/// One operation.
#[derive(Clone, Copy)]
pub(crate) struct Route {
    method: &'static str,
    path: &'static str,
    /// Its name in metrics and the audit trail.
    pub(crate) op: &'static str,
    pub(crate) access: Access,
    /// Whether the request needs a signed user action.
    pub(crate) is_signed: bool,
    /// What the caller needs.
    pub(crate) operations: &'static [&'static str],
    /// What the caller needs besides, by the body.
    pub(crate) more: fn(&Map<String, Value>) -> Vec<&'static str>,
    /// Whether it is for this kind of caller.
    pub(crate) who: fn(&Identity) -> Result<(), Refusal>,
    body_bytes_max: usize,
    pub(crate) call: fn(Arc<State>, Arc<Call>) -> Work,
}

impl Route {
    /// Whether what the engine does for it is in the audit trail by itself: what is about a key,
    /// and the proof that a challenge asks for.
    pub(crate) fn is_told_by_engine(&self) -> bool {
        let own = ["dfns.signature.list", "dfns.signature.read", "dfns.signer.list"];
        let of_engine = ["dfns.action.", "dfns.key.", "dfns.signature."];
        !own.contains(&self.op) && of_engine.iter().any(|start| self.op.starts_with(start))
    }
}

/// A row that reads: method, path, name, operations, handler.
macro_rules! reads {
    ($method:literal, $path:expr, $op:literal, [$($name:literal),*], $($call:ident)::+) => {
        Route {
            method: $method,
            path: $path,
            op: $op,
            access: Access::Token,
            is_signed: false,
            operations: &[$($name),*],
            more: |_| Vec::new(),
            who: |_| Ok(()),
            body_bytes_max: BODY_BYTES_MAX,
            call: |state, call| Box::pin($($call)::+(state, call)),
        }
    };
}

/// The same for a row that changes something, which the caller signs.
macro_rules! signed {
    ($method:literal, $path:expr, $op:literal, [$($name:literal),*], $($call:ident)::+) => {
        Route {
            is_signed: true,
            ..reads!($method, $path, $op, [$($name),*], $($call)::+)
        }
    };
}

const ACTIONS: &[Route] = &[
    Route {
        body_bytes_max: ANNOUNCEMENT_BYTES_MAX,
        ..reads!("POST", "/auth/action/init", "dfns.action.init", [], actions::init)
    },
    reads!("POST", "/auth/action", "dfns.action.sign", [], actions::sign),
];

const KEYS: &[Route] = &[
    Route {
        more: keys::more_to_create,
        ..signed!("POST", "/keys", "dfns.key.create", ["Keys:Create"], keys::create)
    },
    reads!("GET", "/keys", "dfns.key.list", ["Keys:Read"], keys::list),
    reads!("GET", "/keys/{key}", "dfns.key.read", ["Keys:Read"], keys::read),
    signed!("PUT", "/keys/{key}", "dfns.key.update", ["Keys:Update"], keys::update),
    signed!("DELETE", "/keys/{key}", "dfns.key.delete", ["Keys:Delete"], delete::delete),
    signed!(
        "POST",
        "/keys/{key}/delegate",
        "dfns.key.delegate",
        ["Keys:Delegate"],
        delegate::delegate
    ),
];

/// The paths of signatures.
const SIGNATURES: &[Route] = &[
    signed!(
        "POST",
        "/keys/{key}/signatures",
        "dfns.signature.create",
        ["Keys:Signatures:Create"],
        signatures::create
    ),
    reads!(
        "GET",
        "/keys/{key}/signatures",
        "dfns.signature.list",
        ["Keys:Signatures:Read"],
        signatures::list
    ),
    reads!(
        "GET",
        "/keys/{key}/signatures/{signature}",
        "dfns.signature.read",
        ["Keys:Signatures:Read"],
        signatures::read
    ),
];

/// Material that comes and goes.
const SHARES: &[Route] = &[
    reads!("GET", "/signers", "dfns.signer.list", ["Signers:ListSigners"], shares::signers),
    signed!("POST", "/keys/import", "dfns.key.import", ["Keys:Import"], shares::import),
    signed!("POST", "/keys/{key}/export", "dfns.key.export", ["Keys:Export"], shares::export),
    signed!("POST", "/keys/{key}/derive", "dfns.key.derive", ["Keys:Derive"], shares::derive),
];

const ELSE: &[Route] = &[
    reads!("GET", "/key-stores", "dfns.store.list", ["KeyStores:Read"], stores::key_stores),
    reads!("GET", "/v2/policies", "dfns.policy.list", ["Policies:Read"], stores::policies),
    reads!("GET", "/auth/action/logs", "dfns.log.list", ["Auth:Logs:Read"], logs::list),
    reads!("GET", "/auth/action/logs/{log}", "dfns.log.read", ["Auth:Logs:Read"], logs::read),
];

const PERMISSIONS: &[Route] = &[
    reads!("GET", "/permissions", "dfns.permission.list", ["Permissions:Read"], permissions::list),
    signed!(
        "POST",
        "/permissions",
        "dfns.permission.create",
        ["Permissions:Create"],
        permissions::create
    ),
    reads!("GET", PERMISSION, "dfns.permission.read", ["Permissions:Read"], permissions::read),
    signed!(
        "PUT",
        PERMISSION,
        "dfns.permission.update",
        ["Permissions:Update"],
        permissions::update
    ),
    signed!(
        "PUT",
        "/permissions/{permission}/archive",
        "dfns.permission.archive",
        ["Permissions:Archive"],
        permissions::archive
    ),
    reads!(
        "GET",
        "/permissions/{permission}/assignments",
        "dfns.assignment.list",
        ["Permissions:Assignments:Read"],
        permissions::assignments
    ),
    signed!(
        "POST",
        "/permissions/{permission}/assignments",
        "dfns.assignment.create",
        ["Permissions:Assign"],
        permissions::assign
    ),
    signed!(
        "DELETE",
        "/permissions/{permission}/assignments/{assignment}",
        "dfns.assignment.delete",
        ["Permissions:Revoke"],
        permissions::revoke
    ),
];
const PERMISSION: &str = "/permissions/{permission}";

const ACCOUNTS: &[Route] = &[
    Route {
        who: sessions::no_personal_token,
        more: service_accounts::more_to_create,
        ..signed!(
            "POST",
            "/auth/service-accounts",
            "dfns.service_account.create",
            ["Auth:ServiceAccounts:Create"],
            service_accounts::create
        )
    },
    reads!(
        "GET",
        "/auth/service-accounts",
        "dfns.service_account.list",
        ["Auth:ServiceAccounts:Read"],
        service_accounts::list
    ),
    reads!(
        "GET",
        ACCOUNT,
        "dfns.service_account.read",
        ["Auth:ServiceAccounts:Read"],
        service_accounts::read
    ),
    signed!(
        "PUT",
        ACCOUNT,
        "dfns.service_account.update",
        ["Auth:ServiceAccounts:Update"],
        service_accounts::update
    ),
    signed!(
        "PUT",
        "/auth/service-accounts/{account}/activate",
        "dfns.service_account.activate",
        ["Auth:ServiceAccounts:Activate"],
        service_accounts::activate
    ),
    signed!(
        "PUT",
        "/auth/service-accounts/{account}/deactivate",
        "dfns.service_account.deactivate",
        ["Auth:ServiceAccounts:Deactivate"],
        service_accounts::deactivate
    ),
    signed!(
        "DELETE",
        ACCOUNT,
        "dfns.service_account.delete",
        ["Auth:ServiceAccounts:Delete"],
        service_accounts::delete
    ),
];
const ACCOUNT: &str = "/auth/service-accounts/{account}";

const TOKENS: &[Route] = &[
    Route {
        more: pats::more_to_create,
        ..signed!("POST", "/auth/pats", "dfns.pat.create", ["Auth:Pats:Create"], pats::create)
    },
    reads!("GET", "/auth/pats", "dfns.pat.list", [], pats::list),
    reads!("GET", TOKEN, "dfns.pat.read", [], pats::read),
    signed!("PUT", TOKEN, "dfns.pat.update", [], pats::update),
    signed!("PUT", "/auth/pats/{token}/activate", "dfns.pat.activate", [], pats::activate),
    signed!("PUT", "/auth/pats/{token}/deactivate", "dfns.pat.deactivate", [], pats::deactivate),
    signed!("DELETE", TOKEN, "dfns.pat.delete", [], pats::delete),
];
const TOKEN: &str = "/auth/pats/{token}";

const USERS: &[Route] = &[
    signed!("POST", "/auth/users", "dfns.user.create", ["Auth:Users:Create"], people::create),
    reads!("GET", "/auth/users", "dfns.user.list", ["Auth:Users:Read"], people::list),
    reads!("GET", USER, "dfns.user.read", ["Auth:Users:Read"], people::read),
    signed!("PUT", USER, "dfns.user.update", ["Auth:Users:Update"], people::update),
    signed!(
        "PUT",
        "/auth/users/{user}/activate",
        "dfns.user.activate",
        ["Auth:Users:Activate"],
        people::activate
    ),
    signed!(
        "PUT",
        "/auth/users/{user}/deactivate",
        "dfns.user.deactivate",
        ["Auth:Users:Deactivate"],
        people::deactivate
    ),
    signed!("DELETE", USER, "dfns.user.delete", ["Auth:Users:Delete"], people::delete),
];
const USER: &str = "/auth/users/{user}";

/// A row that anyone may ask.
macro_rules! public {
    ($method:literal, $path:expr, $op:literal, $($call:ident)::+) => {
        Route { access: Access::Public, ..reads!($method, $path, $op, [], $($call)::+) }
    };
}

const REGISTRATION: &[Route] = &[
    Route {
        who: sessions::service_accounts_only,
        ..signed!(
            "POST",
            "/auth/registration/delegated",
            "dfns.registration.delegated",
            ["Auth:Register:Delegated"],
            registration::delegated
        )
    },
    public!("POST", "/auth/registration/init", "dfns.registration.init", registration::init),
    public!("PUT", "/auth/registration/code", "dfns.registration.code", codes::ask),
    Route {
        access: Access::Temporary,
        ..reads!("POST", "/auth/registration", "dfns.registration", [], registration::register)
    },
    Route {
        who: sessions::service_accounts_only,
        ..signed!(
            "POST",
            "/auth/recover/user/delegated",
            "dfns.recovery.delegated",
            ["Auth:Recover:Delegated"],
            recovery::delegated
        )
    },
    public!("POST", "/auth/recover/user/init", "dfns.recovery.init", recovery::init),
    public!("POST", RECOVERY_CODE, "dfns.recovery.code", codes::ask),
    // As older clients ask.
    public!("PUT", RECOVERY_CODE, "dfns.recovery.code.put", codes::ask),
    Route {
        access: Access::Recovery,
        ..reads!("POST", "/auth/recover/user", "dfns.recovery", [], recovery::recover)
    },
    // Not of the protocol: how an organization begins, and who hands out codes.
    public!("POST", "/lethe/organization", "dfns.organization", organization::create),
    public!("POST", "/lethe/codes", "dfns.code", codes::create),
];
const RECOVERY_CODE: &str = "/auth/recover/user/code";

const SESSIONS: &[Route] = &[
    Route {
        who: sessions::service_accounts_only,
        ..signed!(
            "POST",
            "/auth/login/delegated",
            "dfns.login.delegated",
            ["Auth:Login:Delegated"],
            sessions::log_in_delegated
        )
    },
    public!("POST", "/auth/login/code", "dfns.login.code", codes::ask),
    public!("POST", "/auth/login/init", "dfns.login.init", sessions::log_in_init),
    public!("POST", "/auth/login", "dfns.login", sessions::log_in),
    reads!("PUT", "/auth/logout", "dfns.logout", [], sessions::log_out),
    Route {
        who: sessions::people_only,
        ..reads!("GET", "/auth/credentials", "dfns.credential.list", [], credentials::list)
    },
    Route {
        who: sessions::people_only,
        ..reads!("POST", "/auth/credentials/init", "dfns.credential.init", [], credentials::init)
    },
    Route {
        who: sessions::people_only,
        ..signed!("POST", "/auth/credentials", "dfns.credential.create", [], credentials::create)
    },
    Route {
        who: sessions::people_only,
        ..signed!(
            "PUT",
            "/auth/credentials/activate",
            "dfns.credential.activate",
            [],
            credentials::activate
        )
    },
    Route {
        who: sessions::people_only,
        ..signed!(
            "PUT",
            "/auth/credentials/deactivate",
            "dfns.credential.deactivate",
            [],
            credentials::deactivate
        )
    },
];

/// Every route.
pub(crate) fn all(state: &Arc<State>) -> Vec<RouteSpec> {
    let tables = [
        ACTIONS,
        KEYS,
        SIGNATURES,
        SHARES,
        ELSE,
        PERMISSIONS,
        ACCOUNTS,
        TOKENS,
        USERS,
        REGISTRATION,
        SESSIONS,
    ];
    tables.into_iter().flatten().map(|route| spec(state, *route)).collect()
}

fn spec(state: &Arc<State>, route: Route) -> RouteSpec {
    let state = Arc::clone(state);
    let method = Method::from_bytes(route.method.as_bytes());
    let authentication = match route.access {
        Access::Public => Authentication::Public,
        Access::Recovery | Access::Temporary | Access::Token => Authentication::Required,
    };
    RouteSpec {
        method: method.expect("the table has names of methods"),
        path: route.path,
        op: route.op,
        body_bytes_max: route.body_bytes_max,
        deadline: DEADLINE,
        kind: if route.method == "GET" { Kind::Read } else { Kind::Mutation },
        authentication,
        handler: Handler::new(move |request: Request| answer(&state, &route, request)),
    }
}
