//! The StoredSafe door: the REST-like API of StoredSafe, as far as transparent encryption needs it.
//!
//! Layer 5. It turns requests into calls of the engine and results into the protocol's envelope.
//! Users are principals, levels in vaults are grants, keys are the engine's keys; what is left
//! (logins, counters) are documents. It must not know a store, a slot, a socket or another door.
//!
//! Read in this order: `routes.rs`, `call.rs` (the way of one request), `handlers/keys.rs`
//! (delete), `error.rs` (every refusal), `envelope.rs`, `echo.rs`.

mod account;
mod body;
mod call;
mod ciphertext;
mod echo;
mod envelope;
mod error;
mod handlers;
mod ids;
mod login;
pub mod provision;
mod route;
mod routes;
mod sessions;
pub mod settings;
mod state;
mod yubikey;

use core::fmt;
use std::sync::Arc;

use lethe_engine::{Engine, EngineError};
use lethe_http::{Door, Fallback, RequestHead, Response, RouteSpec};
use lethe_types::{Clock, Entropy, RealmId};

pub use settings::{SettingValue, Settings};

use body::RequestBody;
use echo::{Echoed, Sent};
use envelope::Frame;
use error::Failure;
use sessions::Sessions;
use state::State;

/// The door's name in audit events, receipts and metrics.
pub const DOOR: &str = "storedsafe";

/// The StoredSafe door.
pub struct StoredSafeDoor {
    routes: Vec<RouteSpec>,
    settings: Settings,
}

impl StoredSafeDoor {
    /// The door to the realm. Takes the logins that the last one left: blocks for reads of the
    /// store.
    ///
    /// # Errors
    /// The engine's, if they cannot be read.
    pub fn open(
        engine: Arc<Engine>,
        realm: RealmId,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
    ) -> Result<Self, EngineError> {
        let sessions = Sessions::new(&settings);
        let shared = settings.clone();
        let state = State { engine, realm, settings: shared, clock, entropy, sessions };
        state.restore_logins()?;
        let state = Arc::new(state);
        let routes = routes::all().into_iter().map(|route| route.spec(&state)).collect();
        Ok(Self { routes, settings })
    }
}

impl Door for StoredSafeDoor {
    fn name(&self) -> &'static str {
        DOOR
    }

    fn routes(&self) -> &[RouteSpec] {
        &self.routes
    }

    /// Nobody proved who they are: nothing is repeated that could have.
    fn fallback(&self, cause: Fallback, head: &RequestHead) -> Response {
        let query: Vec<(String, String)> = (head.query_pairs().pairs_lenient().into_iter())
            .map(|pair| (pair.name.into_owned(), pair.value.into_owned()))
            .collect();
        let body = RequestBody::default();
        let sent =
            Sent { head, query: &query, body: &body, params: &[], token: None, has_failed: true };
        let echoed = Echoed::of(&sent, self.settings.echo);
        let handler = routes::handler_of(head.path());
        Frame { handler, token: None, echoed: &echoed }.failure(&Failure::from(cause))
    }
}

impl fmt::Debug for StoredSafeDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSafeDoor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
