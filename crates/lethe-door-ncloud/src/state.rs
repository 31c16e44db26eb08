//! What all handlers share.

use core::fmt;
use std::sync::{Arc, OnceLock};

use lethe_engine::{Engine, EngineError};
use lethe_types::{Clock, Entropy, RealmId, VaultId};

use crate::ids::KeyNumbers;
use crate::journal::Journal;
use crate::{Parts, Settings};

/// What all handlers share.
pub(crate) struct State {
    pub(crate) engine: Arc<Engine>,
    pub(crate) realm: RealmId,
    /// The vault of the door's keys.
    pub(crate) keystore: VaultId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: Settings,
    pub(crate) numbers: KeyNumbers,
    pub(crate) journal: Journal,
    url: Arc<OnceLock<String>>,
}

impl State {
    /// # Errors
    /// [`EngineError::Internal`] if the realm is unknown or no thread can be started.
    pub(crate) fn new(parts: Parts, keystore: VaultId) -> Result<Self, EngineError> {
        let Parts { engine, realm, clock, entropy, settings, url } = parts;
        let journal = Journal::open(engine.clone(), realm)?;
        let numbers = KeyNumbers::default();
        Ok(Self { engine, realm, keystore, clock, entropy, settings, numbers, journal, url })
    }

    /// The address that clients are told.
    pub(crate) fn base_url(&self) -> &str {
        let own = || self.url.get().map_or("", String::as_str);
        self.settings.base_url.as_deref().unwrap_or_else(own)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}
