//! The front door that speaks the dialect of the Dfns Keys API: keys that sign, and deletions that
//! the one who ordered them has signed.
//!
//! Layer 5. It turns requests into calls of the engine; it decides nothing that the engine can
//! decide. It must not know a store, a slot, a socket or another door.
//!
//! Read in this order: `routes.rs` (what is served), `call.rs` (the way of a request), `auth.rs`
//! and `tokens.rs` (who asks), `actions.rs` and `factors.rs` (what they signed), `handlers/`,
//! `wire.rs`, `error.rs`.

mod account;
mod actions;
mod auth;
mod body;
mod call;
mod codes;
mod error;
mod factors;
mod grants;
mod handlers;
mod ids;
mod keys_made;
mod log;
mod operations;
mod passkeys;
mod permissions;
mod provision;
mod routes;
mod settings;
mod shared;
pub mod shares;
pub mod signing;
mod state;
mod tokens;
mod webauthn;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use lethe_engine::{Engine, EngineError};
use lethe_http::{Door, Fallback, RequestHead, Response, RouteSpec};
use lethe_types::{Clock, Entropy, RealmId};

pub use provision::NewAccount;
pub use settings::{Settings, UserVerification};
use state::State;

/// The door's name in audit events, receipts and metrics.
pub const DOOR: &str = "dfns";

/// Names a request in logs and for support.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the door needs of the server.
#[derive(Clone)]
pub struct Site {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Time, for identifiers, tokens and challenges.
    pub clock: Arc<dyn Clock>,
    /// Chance, for identifiers and challenges.
    pub entropy: Arc<dyn Entropy>,
    /// The organization whose door it is.
    pub realm: RealmId,
    /// What the operator set; checked.
    pub settings: Settings,
}

impl core::fmt::Debug for Site {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Site").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// The door.
#[derive(Debug)]
pub struct DfnsDoor {
    state: Arc<State>,
    routes: Vec<RouteSpec>,
}

impl DfnsDoor {
    /// The door of the site. Makes the realm's signing key for tokens if there is none yet.
    ///
    /// # Errors
    /// The engine's.
    pub async fn open(site: Site) -> Result<Self, EngineError> {
        let state = Arc::new(State::open(site).await?);
        // There from the beginning, so that everybody who loads the permissions has it.
        provision::full_access(&state).await.map_err(error::Refusal::into_engine)?;
        grants::reconcile(&state).await.map_err(error::Refusal::into_engine)?;
        log::prune(&state).await?;
        let routes = routes::all(&state);
        Ok(Self { state, routes })
    }

    /// Makes a service account that may do everything: the beginning of an organization. Its
    /// actions are signed by the key whose public half is `pem`.
    ///
    /// # Errors
    /// In words: the key is none that signs, the name is taken, or the engine refuses.
    pub async fn first_account(&self, name: &str, pem: &str) -> Result<NewAccount, String> {
        let key = factors::NewKey::parse(pem);
        let key = key.ok_or_else(|| "the public key is none that signs here".to_owned())?;
        let caller = self.state.system().map_err(|error| error.to_string())?;
        let made = provision::first_account(&self.state, &caller, name, key).await;
        made.map_err(|refusal| refusal.message())
    }

    /// Whether the token is one that this door takes, now and for `time` to come.
    #[must_use]
    pub fn takes_token(&self, token: &str, time: Duration) -> bool {
        let until = self.state.clock.now().saturating_add(time);
        provision::is_good(&self.state, token, until)
    }

    /// Whether a service account of that name is there.
    #[must_use]
    pub fn has_account(&self, name: &str) -> bool {
        handlers::sessions::by_name(&self.state, name).is_some()
    }
}

impl Door for DfnsDoor {
    fn name(&self) -> &'static str {
        DOOR
    }

    fn routes(&self) -> &[RouteSpec] {
        &self.routes
    }

    fn fallback(&self, cause: Fallback, head: &RequestHead) -> Response {
        error::fallback(&cause, head.request_id)
    }

    fn finish(&self, head: &RequestHead, response: &mut Response) {
        if let Ok(id) = HeaderValue::try_from(head.request_id.to_string()) {
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
    }
}

#[cfg(test)]
mod tests;
