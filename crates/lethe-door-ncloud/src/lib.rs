//! The door for clients of NAVER Cloud Key Management Service: API 2.0 under `/kms/v1`, and the six
//! cryptographic operations of API 1.0 under `/keys/v1` and `/keys/v2`.
//!
//! Layer 5. It turns requests into calls of the engine and results into that service's JSON. What a
//! deletion demands it tells the engine as a policy; it decides nothing about one itself. It must
//! not know a store, a slot, a socket or another door.
//!
//! Read in this order: [`ROUTES`], `auth.rs` (who asks), `visit.rs` (what every request about a key
//! goes through), `handlers/`, `error.rs` (every refusal).

mod auth;
mod body;
mod error;
mod format;
mod handlers;
mod ids;
mod journal;
mod kept;
mod render;
mod route;
mod settings;
mod state;
mod token;
mod visit;

use std::sync::{Arc, OnceLock};

use http::{HeaderValue, Method};
use lethe_engine::record::NameRule;
use lethe_engine::{Engine, EngineError, VaultRequest};
use lethe_http::Kind::{Mutation, Read, Use};
use lethe_http::{Door, Fallback, RequestHead, Response, RouteSpec};
use lethe_types::{Clock, Entropy, RealmId, VaultId};

use handlers::{acl, crypto, deletion, generator, history, keys, life, rotation, tokens, versions};
pub use route::Route;
use route::route;
pub use settings::Settings;
use state::State;

/// The door's name in audit events, receipts and metrics; also that of its identifiers of keys.
pub const DOOR: &str = "ncloud";

/// The vault that holds the keys of the door.
const KEYSTORE: &str = "ncloud-keystore";

/// What the door is made of.
pub struct Parts {
    /// The engine that it speaks for.
    pub engine: Arc<Engine>,
    /// The realm that it is bound to.
    pub realm: RealmId,
    /// The clock of the engine.
    pub clock: Arc<dyn Clock>,
    /// The random source of the engine.
    pub entropy: Arc<dyn Entropy>,
    /// How it presents itself.
    pub settings: Settings,
    /// Its own address, where the settings give no other; known an instant after it listens.
    pub url: Arc<OnceLock<String>>,
}

impl core::fmt::Debug for Parts {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Parts").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// The door.
#[derive(Debug)]
pub struct NcloudDoor {
    routes: Vec<RouteSpec>,
}

impl NcloudDoor {
    /// The door made of `parts`, with a vault for its keys in the realm.
    ///
    /// # Errors
    /// The engine's, if it cannot make the vault.
    pub async fn open(parts: Parts) -> Result<Self, EngineError> {
        let keystore = ensure_keystore(&parts.engine, parts.realm).await?;
        let state = Arc::new(State::new(parts, keystore)?);
        Ok(Self { routes: ROUTES.iter().map(|route| route.spec(&state)).collect() })
    }
}

async fn ensure_keystore(engine: &Engine, realm: RealmId) -> Result<VaultId, EngineError> {
    let system = engine.system_caller(realm, DOOR)?;
    let vaults = engine.list_vaults(&system)?;
    if let Some(vault) = vaults.iter().find(|vault| vault.name.as_str() == KEYSTORE) {
        return Ok(vault.id);
    }
    let mut request = VaultRequest::new(KEYSTORE.parse().expect("the constant is a name"));
    // A name is free again once its key is gone.
    request.names = NameRule::UniqueAmongLive;
    Ok(engine.create_vault(&system, request).await?.id)
}

impl Door for NcloudDoor {
    fn name(&self) -> &'static str {
        DOOR
    }

    fn routes(&self) -> &[RouteSpec] {
        &self.routes
    }

    fn fallback(&self, cause: Fallback, head: &RequestHead) -> Response {
        error::fallback_response(&cause, head)
    }

    fn finish(&self, head: &RequestHead, response: &mut Response) {
        let id = HeaderValue::try_from(head.request_id.to_string());
        let id = id.expect("a request id is visible ASCII");
        response.headers_mut().insert("x-ncp-apigw-request-id", id);
    }
}

/// Every operation of the door: method, path, name in metrics, kind, title in histories.
pub static ROUTES: &[Route] = &[
    route(Method::POST, "/kms/v1/keys", "key.create", Mutation, keys::create).titled("Create Key"),
    route(Method::GET, "/kms/v1/keys", "key.list", Read, keys::list),
    route(Method::GET, "/kms/v1/keys/{tag}", "key.read", Read, keys::info),
    route(Method::PUT, "/kms/v1/keys/{tag}/name", "key.rename", Mutation, keys::rename)
        .titled("Change Key Name"),
    route(Method::PUT, "/kms/v1/keys/{tag}/memo", "key.memo", Mutation, keys::memo)
        .titled("Change Key Memo"),
    route(Method::POST, "/kms/v1/keys/{tag}/enable", "key.enable", Mutation, life::enable)
        .titled("Enable Key"),
    route(Method::POST, "/kms/v1/keys/{tag}/disable", "key.disable", Mutation, life::disable)
        .titled("Disable Key"),
    route(Method::POST, "/kms/v1/keys/{tag}/rotate", "key.rotate", Mutation, versions::rotate)
        .titled("Rotate Key"),
    route(Method::GET, "/kms/v1/keys/{tag}/versions", "version.list", Read, versions::list),
    route(
        Method::POST,
        "/kms/v1/keys/{tag}/versions/{version}/enable",
        "version.enable",
        Mutation,
        versions::enable,
    )
    .titled("Enable Key Version"),
    route(
        Method::POST,
        "/kms/v1/keys/{tag}/versions/{version}/disable",
        "version.disable",
        Mutation,
        versions::disable,
    )
    .titled("Disable Key Version"),
    route(
        Method::POST,
        "/kms/v1/keys/{tag}/enable-auto-rotation",
        "rotation.enable",
        Mutation,
        rotation::enable,
    )
    .titled("Enable Auto Rotation"),
    route(
        Method::POST,
        "/kms/v1/keys/{tag}/disable-auto-rotation",
        "rotation.disable",
        Mutation,
        rotation::disable,
    )
    .titled("Disable Auto Rotation"),
    route(
        Method::PUT,
        "/kms/v1/keys/{tag}/rotation-period",
        "rotation.period",
        Mutation,
        rotation::period,
    )
    .titled("Change Rotation Period"),
    route(
        Method::POST,
        "/kms/v1/keys/{tag}/request-deletion",
        "key.request_deletion",
        Mutation,
        deletion::request,
    )
    .titled("Request Key Deletion"),
    route(
        Method::POST,
        "/kms/v1/keys/{tag}/cancel-deletion",
        "key.cancel_deletion",
        Mutation,
        deletion::cancel,
    )
    .titled("Cancel Key Deletion"),
    route(Method::DELETE, "/kms/v1/keys/{tag}", "key.delete", Mutation, deletion::delete),
    route(
        Method::POST,
        "/kms/v1/keys/{tag}/get-pub-key",
        "key.public_key",
        Read,
        crypto::public_key,
    )
    .titled("Get Public Key"),
    route(Method::POST, "/kms/v1/keys/{tag}/acl/enable", "acl.enable", Mutation, acl::enable)
        .titled("Enable ACL"),
    route(Method::POST, "/kms/v1/keys/{tag}/acl/disable", "acl.disable", Mutation, acl::disable)
        .titled("Disable ACL"),
    route(Method::GET, "/kms/v1/keys/{tag}/acl", "acl.list", Read, acl::list),
    route(Method::POST, "/kms/v1/keys/{tag}/acl", "acl.add", Mutation, acl::add)
        .titled("Add ACL Rules"),
    route(Method::DELETE, "/kms/v1/keys/{tag}/acl", "acl.remove", Mutation, acl::remove)
        .titled("Delete ACL Rules"),
    route(
        Method::POST,
        "/kms/v1/keys/{tag}/token-generator",
        "generator.create",
        Mutation,
        generator::create,
    )
    .titled("Create Token Generator"),
    route(
        Method::GET,
        "/kms/v1/keys/{tag}/token-generator",
        "generator.read",
        Read,
        generator::read,
    ),
    route(
        Method::PUT,
        "/kms/v1/keys/{tag}/token-generator",
        "generator.replace",
        Mutation,
        generator::replace,
    )
    .titled("Replace Token Generator"),
    route(
        Method::DELETE,
        "/kms/v1/keys/{tag}/token-generator",
        "generator.delete",
        Mutation,
        generator::delete,
    )
    .titled("Delete Token Generator"),
    route(
        Method::POST,
        "/kms/v1/keys/{tag}/token-set",
        "token_set.create",
        Mutation,
        tokens::create_set,
    )
    .titled("Create Token Set"),
    route(
        Method::PUT,
        "/kms/v1/keys/{tag}/token-set",
        "token_set.renew",
        Mutation,
        tokens::renew_set,
    )
    .titled("Recreate Token Set"),
    route(
        Method::POST,
        "/kms/v1/keys/{tag}/access-token",
        "access_token.create",
        Mutation,
        tokens::create_access,
    )
    .titled("Create Access Token"),
    route(
        Method::GET,
        "/kms/v1/keys/{tag}/validate-token",
        "token.validate",
        Read,
        tokens::validate,
    ),
    route(Method::GET, "/kms/v1/keys/{tag}/activities", "activity.list", Read, history::activities),
    route(
        Method::GET,
        "/kms/v1/keys/{tag}/last-use-info",
        "activity.last_use",
        Read,
        history::last_use,
    ),
    use_of("/kms/v1/keys/{tag}/encrypt", "key.encrypt", crypto::encrypt).used("Encrypt"),
    use_of("/kms/v1/keys/{tag}/decrypt", "key.decrypt", crypto::decrypt).used("Decrypt"),
    use_of("/kms/v1/keys/{tag}/create-custom-key", "key.custom_key", crypto::custom_key)
        .used("Create Custom Key"),
    use_of("/kms/v1/keys/{tag}/createCustomKey", "key.custom_key.camel", crypto::custom_key)
        .used("Create Custom Key"),
    use_of("/kms/v1/keys/{tag}/re-encrypt", "key.re_encrypt", crypto::re_encrypt)
        .used("Re-encrypt"),
    use_of("/kms/v1/keys/{tag}/reencrypt", "key.re_encrypt.joined", crypto::re_encrypt)
        .used("Re-encrypt"),
    use_of("/kms/v1/keys/{tag}/sign", "key.sign", crypto::sign).used("Sign"),
    use_of("/kms/v1/keys/{tag}/verify", "key.verify", crypto::verify).used("Verify"),
    use_of("/keys/v1/{tag}/encrypt", "v1.encrypt", crypto::encrypt).used("Encrypt"),
    use_of("/keys/v1/{tag}/decrypt", "v1.decrypt", crypto::decrypt).used("Decrypt"),
    use_of("/keys/v1/{tag}/createCustomKey", "v1.custom_key.camel", crypto::custom_key)
        .used("Create Custom Key"),
    use_of("/keys/v1/{tag}/create-custom-key", "v1.custom_key", crypto::custom_key)
        .used("Create Custom Key"),
    use_of("/keys/v1/{tag}/reencrypt", "v1.re_encrypt.joined", crypto::re_encrypt)
        .used("Re-encrypt"),
    use_of("/keys/v1/{tag}/re-encrypt", "v1.re_encrypt", crypto::re_encrypt).used("Re-encrypt"),
    use_of("/keys/v1/{tag}/sign", "v1.sign", crypto::sign).used("Sign"),
    use_of("/keys/v1/{tag}/verify", "v1.verify", crypto::verify).used("Verify"),
    use_of("/keys/v2/{tag}/encrypt", "v2.encrypt", crypto::encrypt).used("Encrypt"),
    use_of("/keys/v2/{tag}/decrypt", "v2.decrypt", crypto::decrypt).used("Decrypt"),
    use_of("/keys/v2/{tag}/createCustomKey", "v2.custom_key.camel", crypto::custom_key)
        .used("Create Custom Key"),
    use_of("/keys/v2/{tag}/create-custom-key", "v2.custom_key", crypto::custom_key)
        .used("Create Custom Key"),
    use_of("/keys/v2/{tag}/reencrypt", "v2.re_encrypt.joined", crypto::re_encrypt)
        .used("Re-encrypt"),
    use_of("/keys/v2/{tag}/re-encrypt", "v2.re_encrypt", crypto::re_encrypt).used("Re-encrypt"),
    use_of("/keys/v2/{tag}/sign", "v2.sign", crypto::sign).used("Sign"),
    use_of("/keys/v2/{tag}/verify", "v2.verify", crypto::verify).used("Verify"),
];

const fn use_of(path: &'static str, op: &'static str, call: route::Call) -> Route {
    route(Method::POST, path, op, Use, call)
}

#[cfg(test)]
mod tests;
