//! The door for clients of the Encedo HEM: the REST API of a hardware module, served by software.
//!
//! Layer 5. It turns requests into calls of the engine. Keys are the engine's keys, the roles of
//! the device are principals, authenticators are principals bound to their keys; configuration and
//! device log are documents. It must not know a store, a slot, a socket or another door.
//!
//! Read in this order: `routes.rs`, `call.rs` (the way of one request), `handlers/delete.rs`,
//! `boot.rs` and `ejwt.rs` (logins and tokens), `journal.rs` and `device_log.rs`.

mod b64;
mod body;
mod boot;
mod broker;
mod call;
mod device;
mod device_log;
mod ejwt;
mod error;
mod event;
mod handlers;
mod index;
mod journal;
mod key;
mod kid;
pub mod provision;
mod route;
mod routes;
mod scope;
pub mod settings;
mod state;
mod throttle;
mod wipe;

use core::fmt;
use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::{Method, StatusCode};
use lethe_engine::{Engine, EngineError};
use lethe_http::{Door, DoorRules, Fallback, RequestHead, Response, RouteSpec};
use lethe_types::{Clock, Entropy, RealmId};

pub use ejwt::Ejwt;
pub use scope::Scope;
pub use settings::{SettingValue, Settings};

use error::{Failure, status_of};
use state::State;

/// The door's name in audit events, receipts and metrics.
pub const DOOR: &str = "encedo";

/// Says why something is not here, to whoever looks.
const X_HEM_REASON: HeaderName = HeaderName::from_static("x-hem-reason");
const NOT_AVAILABLE: HeaderValue = HeaderValue::from_static("not-available-on-this-device");

/// The door: one device.
pub struct EncedoDoor {
    routes: Vec<RouteSpec>,
    state: Arc<State>,
}

/// What the door is opened with.
pub struct Parts {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The realm that is the device.
    pub realm: RealmId,
    /// The clock of the engine.
    pub clock: Arc<dyn Clock>,
    /// Where nonces and keys come from.
    pub entropy: Arc<dyn Entropy>,
    /// What the operator set.
    pub settings: Settings,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl EncedoDoor {
    /// The door to the realm, which is a device: its identity is made now if there is none, and a
    /// log of this start is begun. Blocks for reads of the store.
    ///
    /// # Errors
    /// The engine's.
    pub async fn open(parts: Parts) -> Result<Self, EngineError> {
        let Parts { engine, realm, clock, entropy, settings } = parts;
        let seeds = (None, None);
        let parts = state::Parts { engine, realm, clock, entropy, settings, seeds };
        Ok(Self::of(State::open(parts).await?))
    }

    fn of(state: State) -> Self {
        let state = Arc::new(state);
        let routes = routes::all().iter().map(|route| route.spec(&state)).collect();
        Self { routes, state }
    }

    fn check_origin(&self, head: &RequestHead) -> Result<(), Failure> {
        let mut sent = head.headers.get_all(ORIGIN).iter();
        let Some(origin) = sent.next() else { return Ok(()) };
        let device = self.state.device();
        // A device without an owner has nothing to keep from other sites.
        let Some(config) = device.config() else { return Ok(()) };
        let allowed = config.origin.as_str();
        let is_allowed = origin.to_str().is_ok_and(|origin| is_allowed(allowed, origin));
        // The refusal has a status that no other has; the screen gives it.
        if is_allowed && sent.next().is_none() { Ok(()) } else { Err(Failure::Forbidden) }
    }
}

/// Whether an origin is what the configuration names: all, one, or those below a domain.
fn is_allowed(allowed: &str, origin: &str) -> bool {
    if allowed == "*" || allowed == origin {
        return true;
    }
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    if allowed == host {
        return true;
    }
    let below = allowed.strip_prefix('*').filter(|domain| domain.starts_with('.'));
    let without_port = host.split(':').next().unwrap_or_default();
    below.is_some_and(|domain| without_port.len() > domain.len() && without_port.ends_with(domain))
}

impl Door for EncedoDoor {
    fn name(&self) -> &'static str {
        DOOR
    }

    fn routes(&self) -> &[RouteSpec] {
        &self.routes
    }

    fn rules(&self) -> DoorRules {
        DoorRules { requires_content_length: true, ..DoorRules::default() }
    }

    fn screen(&self, head: &RequestHead) -> Option<Response> {
        if head.method == Method::OPTIONS {
            return Some(preflight());
        }
        if self.check_origin(head).is_err() {
            return Some(call::refusal(StatusCode::PRECONDITION_FAILED));
        }
        // A token that is not good is refused on every path, also on those that need none.
        match self.state.session(head) {
            Ok(_) => None,
            Err(failure) => {
                let request = head.request_id.to_bytes();
                let _told_by_health = self.state.engine.refuse_anonymous(DOOR, request);
                Some(call::refusal(failure.status()))
            }
        }
    }

    fn fallback(&self, cause: Fallback, head: &RequestHead) -> Response {
        let mut response = call::refusal(status_of(&cause));
        if routes::is_of_hardware(head.path()) {
            response.headers_mut().insert(X_HEM_REASON, NOT_AVAILABLE);
        }
        response
    }

    fn finish(&self, head: &RequestHead, response: &mut Response) {
        if response.status() == StatusCode::NOT_FOUND && routes::is_of_hardware(head.path()) {
            response.headers_mut().insert(X_HEM_REASON, NOT_AVAILABLE);
        }
        let origin = head.headers.get(ORIGIN);
        if let (Some(origin), Ok(())) = (origin, self.check_origin(head)) {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(VARY, HeaderValue::from_static("Origin"));
        }
    }
}

fn preflight() -> Response {
    let mut response = call::refusal(StatusCode::NO_CONTENT);
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "Content-Type, Cache-Control, Pragma, Expires, Authorization, Content-Disposition",
        ),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
        (ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

impl fmt::Debug for EncedoDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncedoDoor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
