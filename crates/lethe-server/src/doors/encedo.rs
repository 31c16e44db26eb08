//! The door for clients of the Encedo HEM.

use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_door_encedo::provision::Owner;
use lethe_door_encedo::{DOOR, EncedoDoor, Parts, SettingValue, Settings};
use lethe_http::HeaderCase;
use lethe_types::{Entropy, SecretVec};
use serde_json::{Map, Value};
use toml::Value as TomlValue;

use super::{Opened, Site};
use crate::ServeError;

/// Bytes of a refused body that are read and thrown away.
const BODY_DISCARD_BYTES_MAX: usize = 65_536;
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const PASSPHRASE_CHARACTERS: usize = 32;
const USER_PASSPHRASE: &str = "user_passphrase";
const MASTER_PASSPHRASE: &str = "master_passphrase";

pub(super) async fn open(site: &Site<'_>) -> Result<Opened, ServeError> {
    let settings = settings(site)?;
    let header_case =
        if settings.title_case_headers { HeaderCase::Title } else { HeaderCase::Lower };
    let parts = Parts {
        engine: site.engine.clone(),
        realm: site.realm,
        clock: site.clock.clone(),
        entropy: site.entropy.clone(),
        settings,
    };
    let door = Arc::new(EncedoDoor::open(parts).await?);
    let mut opened = Opened::new(site, door.clone());
    opened.options.header_case = header_case;
    // One request a connection, over HTTP/1.1, as the device has it.
    opened.options.keep_alive = false;
    opened.options.http2 = false;
    opened.options.body_discard_bytes_max = BODY_DISCARD_BYTES_MAX;
    opened.device = Some(door);
    Ok(opened)
}

fn settings(site: &Site<'_>) -> Result<Settings, ServeError> {
    let mut settings = Settings::default();
    if site.is_dev {
        // Clients then read the log, and check in.
        settings.hwv = "SOFT PPA rev 1.0".to_owned();
        settings.local_broker = true;
    }
    for (name, value) in &site.config.settings {
        let given = match value {
            TomlValue::Boolean(flag) => Ok(SettingValue::Bool(*flag)),
            TomlValue::Integer(number) => Ok(SettingValue::Integer(*number)),
            TomlValue::String(text) => Ok(SettingValue::Text(text)),
            TomlValue::Array(_)
            | TomlValue::Datetime(_)
            | TomlValue::Float(_)
            | TomlValue::Table(_) => Err(format!("setting `{name}` takes no such value")),
        };
        let set = given.and_then(|given| settings.set(name, given));
        set.map_err(|why| ServeError::Door { dialect: DOOR, why })?;
    }
    Ok(settings)
}

/// `user_passphrase` and `master_passphrase`; nothing for a device that is to be without an owner.
pub(super) async fn provision_dev(
    site: &Site<'_>,
    opened: &Opened,
    before: Option<&Value>,
) -> Result<Map<String, Value>, ServeError> {
    let Some(door) = opened.device.as_ref().filter(|_| is_to_be_owned(site)) else {
        return Ok(Map::new());
    };
    let kept = |name: &str| before.and_then(|before| before.get(name)?.as_str());
    let secret = |text: &str| SecretVec::copy_from(text.as_bytes());
    let (user, master) = match (kept(USER_PASSPHRASE), kept(MASTER_PASSPHRASE)) {
        (Some(user), Some(master)) if door.is_owned_by(&secret(user), &secret(master))? => {
            (user.to_owned(), master.to_owned())
        }
        _ => {
            let (user, master) = (drawn()?, drawn()?);
            let owner = Owner {
                user: "Lethe",
                hostname: &site.config.listen.ip().to_string(),
                origin: "*",
                user_passphrase: &secret(&user),
                master_passphrase: &secret(&master),
            };
            door.give_to(&owner).await?;
            (user, master)
        }
    };
    let members = [(USER_PASSPHRASE, user), (MASTER_PASSPHRASE, master)];
    let text = |(name, text): (&str, String)| (name.to_owned(), Value::String(text));
    Ok(members.into_iter().map(text).collect())
}

fn is_to_be_owned(site: &Site<'_>) -> bool {
    site.config.settings.get("initialised").and_then(TomlValue::as_bool).unwrap_or(true)
}

fn drawn() -> Result<String, ServeError> {
    let mut bytes = [0; PASSPHRASE_CHARACTERS];
    SystemEntropy.fill(&mut bytes).map_err(lethe_engine::EngineError::from)?;
    let character = |byte: &u8| char::from(LETTERS[usize::from(byte % 32)]);
    Ok(bytes.iter().map(character).collect())
}
