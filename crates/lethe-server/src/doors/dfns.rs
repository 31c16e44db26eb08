//! The door for clients of the Dfns Keys API.

use std::sync::Arc;
use std::time::Duration;

use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::{Algorithm, KeyFormat};
use lethe_door_dfns::{DfnsDoor, Settings};
use lethe_engine::EngineError;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::{Opened, Site};
use crate::ServeError;

const DIALECT: &str = "dfns";
/// The service account whose token is in `dev.json`; one more is made when its token ends.
const DEV_ACCOUNT: &str = "developer";
/// For how long a token must still be good to be kept.
const DEV_TOKEN_REST: Duration = Duration::from_secs(24 * 3_600);
/// Most service accounts that are tried until one has a name that is free.
const DEV_ACCOUNTS_MAX: u32 = 1_000;

pub(super) async fn open(site: &Site<'_>) -> Result<Opened, ServeError> {
    let door = door(site).await?;
    Ok(Opened::new(site, Arc::new(door)))
}

async fn door(site: &Site<'_>) -> Result<DfnsDoor, ServeError> {
    let settings = settings(site).map_err(|why| ServeError::Door { dialect: DIALECT, why })?;
    let site = lethe_door_dfns::Site {
        engine: site.engine.clone(),
        clock: site.clock.clone(),
        entropy: site.entropy.clone(),
        realm: site.realm,
        settings,
    };
    Ok(DfnsDoor::open(site).await?)
}

fn settings(site: &Site<'_>) -> Result<Settings, String> {
    let mut table = site.config.settings.clone();
    if site.is_dev {
        for name in ["import", "export"] {
            table.entry(name).or_insert(toml::Value::Boolean(true));
        }
    }
    let settings = Settings::deserialize(table).map_err(|error| error.message().to_owned())?;
    settings.check()?;
    Ok(settings)
}

/// `org_id`; `auth_token` of a service account that may do everything; `credential_id` and
/// `private_key_pem` of the key that signs its actions.
pub(super) async fn provision_dev(
    site: &Site<'_>,
    before: Option<&Value>,
) -> Result<Map<String, Value>, ServeError> {
    let door = door(site).await?;
    if let Some(kept) = kept(&door, before) {
        return Ok(kept);
    }
    let (private, public) = key_pair()?;
    let free = (1..DEV_ACCOUNTS_MAX).map(|number| match number {
        1 => DEV_ACCOUNT.to_owned(),
        number => format!("{DEV_ACCOUNT}-{number}"),
    });
    let name = free.into_iter().find(|name| !door.has_account(name));
    let name = name.ok_or(EngineError::ServerLimitExceeded("service accounts of developers"))?;
    let made = door.first_account(&name, &public).await;
    let made = made.map_err(|why| ServeError::Door { dialect: DIALECT, why })?;
    let members = [
        ("org_id", made.org_id),
        ("auth_token", made.auth_token),
        ("credential_id", made.credential_id),
        ("private_key_pem", private),
    ];
    Ok(members.map(|(name, text)| (name.to_owned(), Value::String(text))).into_iter().collect())
}

/// What the last start made, if it is still good.
fn kept(door: &DfnsDoor, before: Option<&Value>) -> Option<Map<String, Value>> {
    let before = before?.as_object()?;
    let names = ["org_id", "auth_token", "credential_id", "private_key_pem"];
    let text = |name: &str| before.get(name)?.as_str();
    let kept = names.map(|name| Some((name.to_owned(), Value::from(text(name)?))));
    let is_good = door.takes_token(text("auth_token")?, DEV_TOKEN_REST);
    is_good.then(|| kept.into_iter().collect()).flatten()
}

/// A key pair in PEM: PKCS#8 and `SubjectPublicKeyInfo`.
fn key_pair() -> Result<(String, String), ServeError> {
    let algorithm = Algorithm::from_name("ed25519")
        .map_err(|_| EngineError::Internal("an algorithm that is not there"))?;
    let material = algorithm.generate(&SystemEntropy).map_err(EngineError::from)?;
    let public =
        material.public_key().ok_or(EngineError::Internal("a pair without a public key"))?;
    let private = algorithm.export(material.secret(), KeyFormat::Pkcs8Pem);
    let private = private.map_err(EngineError::from)?.expose().to_vec();
    let private = String::from_utf8(private)
        .map_err(|_| EngineError::Internal("a private key that is no text"))?;
    Ok((private, public.to_pem()))
}
