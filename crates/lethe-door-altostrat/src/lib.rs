//! The front door that speaks Altostrat SDX's API-keys dialect: keys are managed by people, used by
//! machines, and exchanged for short-lived tokens.
//!
//! Layer 5. It turns requests into one call of the engine each; it decides nothing that the engine
//! can decide. It must not know a store, a slot, a socket or another door.
//!
//! Read in this order: `routes.rs` (what is served), `auth.rs` (who asks), `handlers/`, `wire.rs`,
//! `error.rs`.

mod auth;
mod error;
mod form;
mod handlers;
mod identifiers;
mod limiter;
mod permissions;
mod routes;
mod settings;
mod state;
mod wire;

use std::sync::Arc;

use lethe_engine::{Engine, EngineError};
use lethe_http::{Door, Fallback, RequestHead, Response, RouteSpec};
use lethe_token::IssuerError;
use lethe_types::{Clock, Entropy, PrincipalId, RealmId, UnixMillis};

pub use settings::{ResourceServer, Settings};
use state::State;

/// The door's name in audit events, receipts and metrics.
pub const DOOR: &str = "altostrat";

/// What the door needs of the server.
#[derive(Clone)]
pub struct Site {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Time, for identifiers, tokens and limits.
    pub clock: Arc<dyn Clock>,
    /// Chance, for identifiers and secrets.
    pub entropy: Arc<dyn Entropy>,
    /// The tenant whose door it is.
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
pub struct AltostratDoor {
    state: Arc<State>,
    routes: Vec<RouteSpec>,
}

impl AltostratDoor {
    /// The door of the site. Makes the realm's signing key if there is none yet, which takes about
    /// a second.
    ///
    /// # Errors
    /// The engine's.
    pub async fn open(site: Site) -> Result<Self, EngineError> {
        let state = Arc::new(State::open(site).await?);
        let routes = routes::all(&state);
        Ok(Self { state, routes })
    }

    /// An access token of a person, good until `expires`, with every permission that the person
    /// holds here.
    ///
    /// # Errors
    /// [`IssuerError`]; among others if there is no such principal.
    pub fn user_token(
        &self,
        user: PrincipalId,
        expires: UnixMillis,
    ) -> Result<String, IssuerError> {
        auth::user_token(&self.state, user, expires)
    }

    /// Whether the text is an access token of a person that this door takes now.
    #[must_use]
    pub fn takes_user_token(&self, token: &str) -> bool {
        auth::takes_user_token(&self.state, token)
    }
}

impl Door for AltostratDoor {
    fn name(&self) -> &'static str {
        DOOR
    }

    fn routes(&self) -> &[RouteSpec] {
        &self.routes
    }

    fn fallback(&self, cause: Fallback, _head: &RequestHead) -> Response {
        error::fallback(&cause)
    }
}

#[cfg(test)]
mod tests;
