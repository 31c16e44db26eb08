//! What all handlers share.

use core::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use lethe_engine::{Caller, Engine, EngineError, Network, VaultRequest};
use lethe_token::Issuer;
use lethe_types::{Clock, Entropy, PrincipalId, RealmId, VaultId};

use crate::identifiers::opaque;
use crate::limiter::Limiter;
use crate::settings::{Settings, networks};
use crate::{DOOR, Site};

/// The vault of the API keys of a realm: so they can be counted, and have a policy of their own.
const VAULT: &str = "api-keys";

/// What all handlers share.
pub(crate) struct State {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) realm: RealmId,
    pub(crate) vault: VaultId,
    pub(crate) issuer: Issuer,
    pub(crate) settings: Settings,
    pub(crate) tenant: Tenant,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) management: Limiter<PrincipalId>,
    pub(crate) leak_reports: Limiter<core::net::IpAddr>,
    /// The public keys, written once: a key has always the same certificate.
    pub(crate) jwks: OnceLock<Bytes>,
}

/// Whose tokens these are, in the dialect's words.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) organization: String,
    pub(crate) owner: String,
    pub(crate) workspace: String,
}

impl State {
    pub(crate) async fn open(site: Site) -> Result<Self, EngineError> {
        let Site { engine, clock, entropy, realm, settings } = site;
        let vault = ensure_vault(&engine, realm).await?;
        let (issuer, audience) = (&settings.issuer, &settings.audience);
        let issuer = Issuer::ensure(&engine, entropy.clone(), realm, issuer, audience).await?;
        let minute = Duration::from_secs(60);
        let hour = Duration::from_secs(3_600);
        Ok(Self {
            engine,
            clock,
            entropy,
            realm,
            vault,
            issuer,
            tenant: Tenant {
                organization: settings
                    .organization_id
                    .clone()
                    .unwrap_or_else(|| format!("org_{}", opaque(&realm.0, 16))),
                owner: settings.owner_id.clone().unwrap_or_else(|| uuid(&realm.0)),
                workspace: settings
                    .workspace_id
                    .clone()
                    .unwrap_or_else(|| format!("ws_{}", opaque(&realm.0, 18))),
            },
            trusted_proxies: networks(&settings.trusted_proxies),
            management: Limiter::new(settings.rate_limit_per_minute, minute),
            leak_reports: Limiter::new(settings.leak_reports_per_hour, hour),
            settings,
            jwks: OnceLock::new(),
        })
    }

    /// Lethe itself, for what a door does without being asked by a principal.
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

async fn ensure_vault(engine: &Engine, realm: RealmId) -> Result<VaultId, EngineError> {
    let caller = engine.system_caller(realm, DOOR)?;
    let found = || -> Result<Option<VaultId>, EngineError> {
        let vaults = engine.list_vaults(&caller)?;
        Ok(vaults.iter().find(|vault| vault.name.as_str() == VAULT).map(|vault| vault.id))
    };
    if let Some(vault) = found()? {
        return Ok(vault);
    }
    let name = VAULT.parse().map_err(|_| EngineError::Internal("name of a vault"))?;
    match engine.create_vault(&caller, VaultRequest::new(name)).await {
        Ok(vault) => Ok(vault.id),
        // Another door to the same realm was faster.
        Err(EngineError::NameTaken(_)) => found()?.ok_or(EngineError::ItemNotFound("vault")),
        Err(error) => Err(error),
    }
}

/// The bytes as the text of a UUID (RFC 9562), for clients that want one.
fn uuid(bytes: &[u8; 16]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}
