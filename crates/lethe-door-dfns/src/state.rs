//! What all handlers share.

use core::fmt;
use core::ops::Deref;
use std::sync::Arc;

use lethe_engine::{Caller, Engine, EngineError};
use lethe_types::{Clock, Entropy, RealmId};

use crate::settings::Settings;
use crate::shared::Shared;
use crate::shares::Signers;
use crate::tokens::Issuer;
use crate::{DOOR, Site};

/// What all handlers share.
pub(crate) struct State {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) realm: RealmId,
    pub(crate) settings: Settings,
    pub(crate) issuer: Issuer,
    pub(crate) signers: Signers,
    shared: Arc<Shared>,
}

impl Deref for State {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl State {
    pub(crate) async fn open(site: Site) -> Result<Self, EngineError> {
        let Site { engine, clock, entropy, realm, settings } = site;
        let issuer = Issuer::ensure(&engine, realm, &settings.issuer).await?;
        let caller = engine.system_caller(realm, DOOR)?;
        let shared = Shared::of(&engine, realm, &caller)?;
        let signers = Signers::ensure(&engine, realm).await?;
        Ok(Self { engine, clock, entropy, realm, settings, issuer, signers, shared })
    }

    /// Lethe itself, for what the door does once it has decided who may have it done.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn system(&self) -> Result<Caller, EngineError> {
        self.engine.system_caller(self.realm, DOOR)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("realm", &self.realm).finish_non_exhaustive()
    }
}
