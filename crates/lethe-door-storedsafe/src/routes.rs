//! Every operation of the door.

use http::Method;
use lethe_http::Kind::{self, Mutation, Read, Use};

use crate::handlers::{auth, egress, keys, members, unserved, users, uses, utils, vaults};
use crate::route::{Authenticates, Operation, Route};

/// A row: method, path below the version, name in metrics and the audit trail, kind, handler.
type Row = (&'static str, [&'static str; 2], &'static str, Kind, Operation);

/// A path in the version that there is, and the same with a slash at its end, which clients of old
/// versions send.
macro_rules! at {
    ($path:literal) => {
        [concat!("/api/1.0", $path), concat!("/api/1.0", $path, "/")]
    };
}

/// The paths of one key, and those that have none where its name should be.
const KEYS: [&str; 2] = at!("/transparent/{vaultid}/keys");

const ENCRYPTION: &[Row] = &[
    ("LIST", KEYS, "storedsafe.key.list", Read, keys::list),
    ("GET", [KEYS[0], ""], "storedsafe.key.list", Read, keys::list),
    ("GET", [KEYS[1], ""], "storedsafe.key.read", Read, keys::read),
    ("POST", [KEYS[1], ""], "storedsafe.key.create", Mutation, keys::create),
    ("DELETE", [KEYS[1], ""], "storedsafe.key.delete", Mutation, keys::delete),
    ("POST", KEY, "storedsafe.key.create", Mutation, keys::create),
    ("GET", KEY, "storedsafe.key.read", Read, keys::read),
    ("DELETE", KEY, "storedsafe.key.delete", Mutation, keys::delete),
    ("POST", ROTATE, "storedsafe.key.rotate", Mutation, keys::rotate),
    // It may make the key.
    ("POST", ENCRYPT, "storedsafe.key.encrypt", Mutation, uses::encrypt),
    ("POST", DECRYPT, "storedsafe.key.decrypt", Use, uses::decrypt),
    ("POST", REWRAP, "storedsafe.key.rewrap", Use, uses::rewrap),
    ("POST", REWRAP_SWAPPED, "storedsafe.key.rewrap", Use, uses::rewrap),
    ("POST", DATA_KEY, "storedsafe.key.data_key", Use, uses::data_key),
    // What leaves is marked first.
    ("GET", EXPORT, "storedsafe.key.export", Mutation, egress::export),
    ("GET", EXPORT_VERSION, "storedsafe.key.export", Mutation, egress::export),
    ("GET", BACKUP, "storedsafe.key.backup", Mutation, egress::back_up),
    ("POST", RESTORE, "storedsafe.key.restore", Mutation, egress::restore),
];

const KEY: [&str; 2] = at!("/transparent/{vaultid}/keys/{name}");
const ROTATE: [&str; 2] = at!("/transparent/{vaultid}/keys/{name}/rotate");
const ENCRYPT: [&str; 2] = at!("/transparent/{vaultid}/encrypt/{name}");
const DECRYPT: [&str; 2] = at!("/transparent/{vaultid}/decrypt/{name}");
const REWRAP: [&str; 2] = at!("/transparent/rewrap/{vaultid}/{name}");
const REWRAP_SWAPPED: [&str; 2] = at!("/transparent/{vaultid}/rewrap/{name}");
const EXPORT: [&str; 2] = at!("/transparent/export/{vaultid}/{name}");
const EXPORT_VERSION: [&str; 2] = at!("/transparent/export/{vaultid}/{name}/{key_version}");
const BACKUP: [&str; 2] = at!("/transparent/backup/{vaultid}/{name}");
const RESTORE: [&str; 2] = at!("/transparent/restore/{vaultid}/{name}");
const DATA_KEY: [&str; 2] = at!("/transparent/{vaultid}/datakey/{type}/{name}");

const AUTH: &[Row] = &[
    ("POST", at!("/auth/check"), "storedsafe.auth.check", Read, auth::check),
    ("GET", at!("/auth/check"), "storedsafe.auth.check", Read, auth::check),
    ("GET", at!("/auth/logout"), "storedsafe.auth.logout", Mutation, auth::log_out),
    ("POST", at!("/auth/logout"), "storedsafe.auth.logout", Mutation, auth::log_out),
];

const GROUP: &[Row] = &[
    ("GET", at!("/vault"), "storedsafe.vault.list", Read, vaults::list),
    ("GET", at!("/vault/{vaultid}"), "storedsafe.vault.read", Read, vaults::read),
    ("DELETE", at!("/vault/{vaultid}"), "storedsafe.vault.delete", Mutation, vaults::delete),
];

const VAULT: &[Row] = &[
    ("POST", at!("/vault"), "storedsafe.vault.create", Mutation, vaults::create),
    ("PUT", at!("/vault/{vaultid}"), "storedsafe.vault.edit", Mutation, vaults::edit),
];

const MEMBER: [&str; 2] = at!("/vault/{vaultid}/member/{userid}");
const MEMBERS: &[Row] = &[
    ("GET", at!("/vault/{vaultid}/members"), "storedsafe.member.list", Read, members::list),
    ("POST", MEMBER, "storedsafe.member.add", Mutation, members::add),
    ("PUT", MEMBER, "storedsafe.member.edit", Mutation, members::edit),
    ("DELETE", MEMBER, "storedsafe.member.remove", Mutation, members::remove),
];

const CERTIFICATE: [&str; 2] = at!("/usercert/{userid}");
const USER: &[Row] = &[
    ("GET", at!("/user"), "storedsafe.user.list", Read, users::list),
    ("GET", at!("/user/{userid}"), "storedsafe.user.list", Read, users::list),
    ("POST", at!("/user"), "storedsafe.user.create", Mutation, users::create),
    ("PUT", at!("/user/{userid}"), "storedsafe.user.edit", Mutation, users::edit),
    ("DELETE", at!("/user/{userid}"), "storedsafe.user.deactivate", Mutation, users::deactivate),
];

const UTILS: &[Row] = &[
    ("GET", at!("/utils/version"), "storedsafe.utils.version", Read, utils::version),
    ("GET", at!("/utils/statusvalues"), "storedsafe.utils.status", Read, utils::status_values),
    ("GET", at!("/utils/policies"), "storedsafe.utils.policies", Read, utils::policies),
    ("GET", at!("/utils/pwgen"), "storedsafe.utils.generate", Read, utils::generate),
];

/// Lists of what there is none of.
const EMPTY: &[Row] = &[
    ("GET", at!("/template"), "storedsafe.template.list", Read, unserved::templates),
    ("GET", at!("/find"), "storedsafe.find", Read, unserved::find),
];

/// What there is in the protocol and not here.
const UNSERVED: &[(&str, [&str; 2])] = &[
    ("GET", at!("/object")),
    ("POST", at!("/object")),
    ("GET", at!("/object/{objectid}")),
    ("POST", at!("/object/{objectid}")),
    ("PUT", at!("/object/{objectid}")),
    ("DELETE", at!("/object/{objectid}")),
    ("GET", at!("/template/{templateid}")),
    ("POST", at!("/filecollect")),
    ("GET", CERTIFICATE),
    ("POST", CERTIFICATE),
    ("DELETE", CERTIFICATE),
    ("POST", at!("/utils/checkpolicy")),
    ("POST", at!("/utils/get_mime_type")),
];

/// All routes.
pub(crate) fn all() -> Vec<Route> {
    let tables = [
        ("EncryptionHandler", ENCRYPTION),
        ("AuthHandler", AUTH),
        ("GroupHandler", GROUP),
        ("VaultHandler", VAULT),
        ("VaultmembersHandler", MEMBERS),
        ("UserHandler", USER),
        ("UtilsHandler", UTILS),
        ("ObjectHandler", EMPTY),
    ];
    let mut all = Vec::new();
    for (handler, rows) in tables {
        for (method, paths, op, kind, call) in rows {
            for path in paths.iter().filter(|path| !path.is_empty()) {
                all.push(route(method, path, (op, *kind), handler, *call));
            }
        }
    }
    for (method, paths) in UNSERVED {
        for path in paths {
            let handler = handler_of(path);
            let op = ("storedsafe.unserved", Read);
            let refusing = route(method, path, op, handler, unserved::refuse);
            all.push(Route { reads_body: false, ..refusing });
        }
    }
    for path in at!("/auth") {
        let op = ("storedsafe.auth.login", Mutation);
        let login = route("POST", path, op, "AuthHandler", auth::log_in);
        all.push(Route { authenticates: Authenticates::Itself, ..login });
    }
    all
}

fn route(
    method: &str,
    path: &'static str,
    (op, kind): (&'static str, Kind),
    handler: &'static str,
    call: Operation,
) -> Route {
    Route {
        method: Method::from_bytes(method.as_bytes()).expect("the table has names of methods"),
        path,
        op,
        kind,
        authenticates: Authenticates::Token,
        reads_body: true,
        handler,
        params: params_of(path),
        call,
    }
}

/// The names between braces.
fn params_of(path: &'static str) -> Vec<&'static str> {
    path.split('{').skip(1).filter_map(|piece| piece.split('}').next()).collect()
}

/// The handler that would speak for a path, if it were one.
pub(crate) fn handler_of(path: &str) -> &'static str {
    match path.split('/').nth(3).unwrap_or_default() {
        "auth" => "AuthHandler",
        "transparent" => "EncryptionHandler",
        "user" | "usercert" => "UserHandler",
        "utils" => "UtilsHandler",
        "vault" => "GroupHandler",
        _ => "ObjectHandler",
    }
}
