//! The route table.

use http::Method;
use lethe_http::Kind as Work;

use crate::call::Reach;
use crate::event::{Ended, Kind};
use crate::handlers::{
    auth, checkin, cipher, config, create, delete, ecdh, external, init, keys, lattice, logger,
    mac, notify, sign, system,
};
use crate::route::{Guard, Operation, Route};

const ALL: &[Reach] = &[Reach::User, Reach::Master, Reach::External];
/// Who may change the configuration.
const OWNERS: &[Reach] = &[Reach::User, Reach::Master];

const LOGGER: Guard = Guard::System { scopes: &["logger:get"], roles: ALL, fresh: false };
const CONFIG_READ: Guard = Guard::System {
    scopes: &["system:config", "logger:get", "auth:ext:pair"],
    roles: ALL,
    fresh: false,
};
const CONFIG_WRITE: Guard =
    Guard::System { scopes: &["system:config"], roles: OWNERS, fresh: true };
const ANY_TOKEN: Guard = Guard::System { scopes: &[], roles: ALL, fresh: true };
const REBOOT: Guard = Guard::System {
    scopes: &["system:config", "system:upgrade", "system:shutdown"],
    roles: ALL,
    fresh: true,
};
const SHUTDOWN: Guard =
    Guard::System { scopes: &["system:config", "system:shutdown"], roles: ALL, fresh: false };

const fn read(path: &'static str, op: &'static str, guard: Guard, call: Operation) -> Route {
    Route::new(Method::GET, path, op, Work::Read, guard, call)
}

const fn post(path: &'static str, op: &'static str, guard: Guard, call: Operation) -> Route {
    Route::new(Method::POST, path, op, Work::Mutation, guard, call)
}

const fn remove(path: &'static str, op: &'static str, call: Operation) -> Route {
    Route::new(Method::DELETE, path, op, Work::Mutation, Guard::Open, call)
}

/// A use of one key.
const fn usage(path: &'static str, op: &'static str, event: Kind, call: Operation) -> Route {
    Route::new(Method::POST, path, op, Work::Use, Guard::Use, call).told_as(event)
}

static ROUTES: [Route; 65] = [
    read("/api/auth/token", "encedo.auth.challenge", Guard::Open, auth::challenge),
    post("/api/auth/token", "encedo.auth.login", Guard::Open, auth::login),
    read("/api/auth/init", "encedo.init.challenge", Guard::Open, init::challenge),
    post("/api/auth/init", "encedo.init", Guard::Open, init::init),
    post("/api/auth/ext/init", "encedo.external.pair", Guard::Pairing, external::pair),
    post("/api/auth/ext/validate", "encedo.external.validate", Guard::Pairing, external::validate)
        .told_as(Kind::PAIRED),
    post("/api/auth/ext/mac", "encedo.external.prove", Guard::Pairing, external::prove),
    post("/api/auth/ext/request", "encedo.external.request", Guard::Open, external::request),
    post("/api/auth/ext/token", "encedo.external.token", Guard::Open, external::token),
    read("/api/system/status", "encedo.system.status", Guard::Open, system::status),
    read("/api/system/version", "encedo.system.version", Guard::Open, system::version),
    read("/api/system/checkin", "encedo.checkin.ask", Guard::Open, checkin::ask),
    post("/api/system/checkin", "encedo.checkin.answer", Guard::Open, checkin::answer),
    post("/checkin", "encedo.broker.checkin", Guard::Open, checkin::broker),
    read("/notify/session", "encedo.broker.session", Guard::Open, notify::session),
    post("/notify/session", "encedo.broker.session_of", Guard::Open, notify::session),
    post("/notify/register/init", "encedo.broker.register", Guard::Open, notify::register),
    read(
        "/notify/register/check/{rid}",
        "encedo.broker.registered",
        Guard::Open,
        notify::registered,
    ),
    post(
        "/notify/register/finalise/{rid}",
        "encedo.broker.finalise",
        Guard::Open,
        notify::finalise,
    ),
    read("/notify/pairing/{rid}", "encedo.broker.offer", Guard::Open, notify::offer),
    post("/notify/pairing/{rid}", "encedo.broker.accept", Guard::Open, notify::accept),
    remove("/notify/pairing/{rid}", "encedo.broker.refuse", notify::refuse),
    post("/notify/event/new", "encedo.broker.ask", Guard::Open, notify::ask),
    read("/notify/event/check/{event}", "encedo.broker.asked", Guard::Open, notify::asked),
    remove("/notify/event/{event}", "encedo.broker.cancel", notify::cancel),
    post("/notify/event/data/allbypid", "encedo.broker.waiting", Guard::Open, notify::waiting),
    read(
        "/notify/event/data/{event}/{pid}",
        "encedo.broker.question",
        Guard::Open,
        notify::question,
    ),
    post("/notify/event/data/{event}/{pid}", "encedo.broker.approve", Guard::Open, notify::approve),
    remove("/notify/event/data/{event}/{pid}", "encedo.broker.deny", notify::deny),
    post("/notify/subscribers/list", "encedo.broker.subscribers", Guard::Open, notify::subscribers),
    post(
        "/notify/subscribers/delete",
        "encedo.broker.unsubscribe",
        Guard::Open,
        notify::unsubscribe,
    ),
    read("/api/system/config", "encedo.config.read", CONFIG_READ, config::read),
    post("/api/system/config", "encedo.config.change", CONFIG_WRITE, config::change)
        .told_as(Kind::CONFIG_UPDATED)
        .writing_success(),
    read(
        "/api/system/config/attestation",
        "encedo.config.attestation",
        Guard::Open,
        system::attestation,
    ),
    post(
        "/api/system/config/provisioning",
        "encedo.config.provisioning",
        Guard::Open,
        system::provisioning,
    ),
    read("/api/system/selftest", "encedo.system.selftest", ANY_TOKEN, system::selftest),
    Route::new(
        Method::GET,
        "/api/system/reboot",
        "encedo.system.reboot",
        Work::Mutation,
        REBOOT,
        system::reboot,
    ),
    read("/api/system/shutdown", "encedo.system.shutdown", SHUTDOWN, system::shutdown),
    read("/api/keymgmt/list", "encedo.key.list", Guard::Keys(&["keymgmt:list"]), keys::list),
    read(
        "/api/keymgmt/list/{offset}",
        "encedo.key.list_from",
        Guard::Keys(&["keymgmt:list"]),
        keys::list_from,
    ),
    read(
        "/api/keymgmt/list/{offset}/{count}",
        "encedo.key.list_some",
        Guard::Keys(&["keymgmt:list"]),
        keys::list_some,
    ),
    Route::new(
        Method::POST,
        "/api/keymgmt/search",
        "encedo.key.search",
        Work::Read,
        Guard::Search,
        keys::search,
    ),
    read("/api/keymgmt/get/{kid}", "encedo.key.get", Guard::Search, keys::get),
    post("/api/keymgmt/create", "encedo.key.create", Guard::Keys(&["keymgmt:gen"]), create::create)
        .told_as(Kind::KEY_GENERATION),
    post("/api/keymgmt/import", "encedo.key.import", Guard::Keys(&["keymgmt:imp"]), create::import)
        .told_as(Kind::KEY_IMPORT),
    post(
        "/api/keymgmt/derive",
        "encedo.key.derive",
        Guard::Keys(&["keymgmt:derive", "keymgmt:gen"]),
        create::derive,
    )
    .told_as(Kind::KEY_DERIVE)
    .failing_as(Ended::Error),
    post("/api/keymgmt/update", "encedo.key.update", Guard::Keys(&["keymgmt:upd"]), keys::update)
        .told_as(Kind::KEY_CHANGED),
    Route::new(
        Method::DELETE,
        "/api/keymgmt/delete/{kid}",
        "encedo.key.delete",
        Work::Mutation,
        Guard::Keys(&["keymgmt:del"]),
        delete::delete,
    )
    .told_as(Kind::KEY_DELETE)
    .writing_success(),
    usage("/api/crypto/hmac/hash", "encedo.hmac.hash", Kind::HMAC_HASH, mac::hash),
    usage("/api/crypto/hmac/verify", "encedo.hmac.verify", Kind::HMAC_VERIFY, mac::verify),
    usage("/api/crypto/exdsa/sign", "encedo.exdsa.sign", Kind::SIGN, sign::sign),
    usage("/api/crypto/exdsa/verify", "encedo.exdsa.verify", Kind::VERIFY, sign::verify),
    usage("/api/crypto/cipher/encrypt", "encedo.cipher.encrypt", Kind::ENCRYPT, cipher::encrypt),
    usage("/api/crypto/cipher/decrypt", "encedo.cipher.decrypt", Kind::DECRYPT, cipher::decrypt),
    usage("/api/crypto/cipher/wrap", "encedo.cipher.wrap", Kind::WRAP, cipher::wrap),
    usage("/api/crypto/cipher/unwrap", "encedo.cipher.unwrap", Kind::UNWRAP, cipher::unwrap),
    usage("/api/crypto/ecdh", "encedo.ecdh", Kind::ECDH, ecdh::ecdh),
    usage(
        "/api/crypto/pqc/mlkem/encaps",
        "encedo.mlkem.encaps",
        Kind::MLKEM_ENCAPS,
        lattice::encapsulate,
    ),
    usage(
        "/api/crypto/pqc/mlkem/decaps",
        "encedo.mlkem.decaps",
        Kind::MLKEM_DECAPS,
        lattice::decapsulate,
    ),
    usage("/api/crypto/pqc/mldsa/sign", "encedo.mldsa.sign", Kind::MLDSA_SIGN, lattice::sign),
    usage(
        "/api/crypto/pqc/mldsa/verify",
        "encedo.mldsa.verify",
        Kind::MLDSA_VERIFY,
        lattice::verify,
    ),
    read("/api/logger/key", "encedo.logger.key", LOGGER, logger::key),
    read("/api/logger/list", "encedo.logger.list", LOGGER, logger::list),
    read("/api/logger/list/{offset}", "encedo.logger.list_from", LOGGER, logger::list_from),
    read("/api/logger/{id}", "encedo.logger.read", LOGGER, logger::read),
];

/// All of them.
pub(crate) fn all() -> &'static [Route] {
    &ROUTES
}

/// How the paths begin that only hardware has.
const HARDWARE: [&str; 5] = [
    "/api/storage/",
    "/api/system/upgrade/",
    "/api/system/config/attestation",
    "/api/diag/",
    "/api/logger/",
];

/// Whether a path is one that devices have and this one does not.
pub(crate) fn is_of_hardware(path: &str) -> bool {
    HARDWARE.iter().any(|start| path.starts_with(start))
}
