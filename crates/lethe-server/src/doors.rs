//! The front doors of this version: one file each, which opens the door and, for `serve --dev`,
//! makes what a client of it needs.

mod altostrat;
mod dfns;
mod encedo;
mod native;
mod ncloud;
mod storedsafe;

use std::sync::{Arc, OnceLock};

use lethe_door_native::ServiceView;
use lethe_engine::Engine;
use lethe_http::{Door, ListenerOptions};
use lethe_types::{Clock, Entropy, RealmId};
use serde_json::{Map, Value};

use crate::ServeError;
use crate::config::DoorConfig;

/// What a door is opened with.
pub(crate) struct Site<'a> {
    pub(crate) config: &'a DoorConfig,
    /// The realm that the door is bound to.
    pub(crate) realm: RealmId,
    pub(crate) engine: &'a Arc<Engine>,
    pub(crate) service: &'a Arc<dyn ServiceView>,
    /// The clock of the engine.
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Whether this is `serve --dev`.
    pub(crate) is_dev: bool,
    /// `https://HOST:PORT` of the door's own listener: known an instant after it listens.
    pub(crate) url: Arc<OnceLock<String>>,
}

/// A door that is ready to be served.
pub(crate) struct Opened {
    pub(crate) door: Arc<dyn Door>,
    /// What is served at `http_listen`, where that is something else.
    pub(crate) plain_door: Option<Arc<dyn Door>>,
    /// The listener's limits and manners, as far as the dialect has its own.
    pub(crate) options: ListenerOptions,
    /// Of the site; set once the door listens.
    pub(crate) url: Arc<OnceLock<String>>,
    /// The door once more, where it is what makes its owner.
    pub(crate) device: Option<Arc<lethe_door_encedo::EncedoDoor>>,
}

impl Opened {
    fn new(site: &Site<'_>, door: Arc<dyn Door>) -> Self {
        let options = ListenerOptions::default();
        Self { door, plain_door: None, options, url: site.url.clone(), device: None }
    }
}

/// The door of the site.
///
/// # Errors
/// [`ServeError::Door`] if it does not take its settings; the engine's if it cannot make what it
/// needs.
pub(crate) async fn open(site: &Site<'_>) -> Result<Opened, ServeError> {
    match site.config.dialect {
        "altostrat" => altostrat::open(site).await,
        "dfns" => dfns::open(site).await,
        "encedo" => encedo::open(site).await,
        "native" => native::open(site),
        "ncloud" => ncloud::open(site).await,
        "storedsafe" => storedsafe::open(site),
        other => Err(ServeError::Door { dialect: other, why: "not in this version".to_owned() }),
    }
}

/// What a client of the door needs beside its address, for `dev.json`. `before` is what the last
/// start wrote: credentials that are still good stay the same.
pub(crate) async fn provision_dev(
    site: &Site<'_>,
    opened: &Opened,
    before: Option<&Value>,
) -> Result<Map<String, Value>, ServeError> {
    match site.config.dialect {
        "altostrat" => altostrat::provision_dev(site, before).await,
        "dfns" => dfns::provision_dev(site, before).await,
        "encedo" => encedo::provision_dev(site, opened, before).await,
        "native" => native::provision_dev(site, before).await,
        "ncloud" => ncloud::provision_dev(site, before).await,
        "storedsafe" => storedsafe::provision_dev(site, before).await,
        _ => Ok(Map::new()),
    }
}
