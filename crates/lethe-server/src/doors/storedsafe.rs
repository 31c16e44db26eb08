//! The door for clients of StoredSafe.

use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_door_storedsafe::provision::{FirstUser, is_provisioned, provision};
use lethe_door_storedsafe::{SettingValue, Settings, StoredSafeDoor};
use lethe_types::{Entropy, SecretVec};
use serde_json::{Map, Value};
use toml::Value as TomlValue;

use super::{Opened, Site};
use crate::ServeError;

/// Bytes of a refused body that are read and thrown away: one a little over the door's limit.
const BODY_DISCARD_BYTES_MAX: usize = 8 * 1_048_576;

const USERNAME: &str = "developer";
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Bytes of the secret of one-time passwords, and its characters.
const TOTP_BYTES: usize = 20;
const TOTP_CHARACTERS: usize = 32;
const SECRET_CHARACTERS: usize = 32;

pub(super) fn open(site: &Site<'_>) -> Result<Opened, ServeError> {
    let settings = settings(site)?;
    let (clock, entropy) = (site.clock.clone(), Arc::new(SystemEntropy));
    let door = StoredSafeDoor::open(site.engine.clone(), site.realm, clock, entropy, settings)?;
    let mut opened = Opened::new(site, Arc::new(door));
    opened.options.body_discard_bytes_max = BODY_DISCARD_BYTES_MAX;
    Ok(opened)
}

fn settings(site: &Site<'_>) -> Result<Settings, ServeError> {
    let mut settings = Settings::default();
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
        set.map_err(|why| ServeError::Door { dialect: "storedsafe", why })?;
    }
    Ok(settings)
}

/// `username`, `passphrase`, `apikey`, `totp_secret` in base32, `vaultid`.
pub(super) async fn provision_dev(
    site: &Site<'_>,
    before: Option<&Value>,
) -> Result<Map<String, Value>, ServeError> {
    if let Some(kept) = kept(site, before)? {
        return Ok(kept);
    }
    let [passphrase, api_key] =
        [drawn(LETTERS, SECRET_CHARACTERS)?, drawn(LETTERS, SECRET_CHARACTERS)?];
    let totp = drawn(BASE32, TOTP_CHARACTERS)?;
    let user = FirstUser {
        username: USERNAME,
        passphrase: SecretVec::copy_from(passphrase.as_bytes()),
        totp_secret: from_base32(&totp),
        api_key: SecretVec::copy_from(api_key.as_bytes()),
    };
    let vault = provision(site.engine, site.realm, user).await?;
    let members = [
        ("username", USERNAME.to_owned()),
        ("passphrase", passphrase),
        ("apikey", api_key),
        ("totp_secret", totp),
        ("vaultid", vault),
    ];
    let text = |(name, text): (&str, String)| (name.to_owned(), Value::String(text));
    Ok(members.into_iter().map(text).collect())
}

/// What the last start made, if it is still good.
fn kept(site: &Site<'_>, before: Option<&Value>) -> Result<Option<Map<String, Value>>, ServeError> {
    let names = ["username", "passphrase", "apikey", "totp_secret", "vaultid"];
    let Some(before) = before.and_then(Value::as_object) else { return Ok(None) };
    let mut kept = Map::new();
    for name in names {
        let Some(text) = before.get(name).filter(|text| text.is_string()) else {
            return Ok(None);
        };
        kept.insert(name.to_owned(), text.clone());
    }
    let text = |name: &str| kept[name].as_str().unwrap_or_default();
    let is_good = is_provisioned(site.engine, site.realm, text("username"), text("vaultid"))?;
    Ok(is_good.then_some(kept))
}

/// So many characters of 32.
fn drawn(alphabet: &[u8; 32], characters: usize) -> Result<String, ServeError> {
    let mut bytes = vec![0; characters];
    SystemEntropy.fill(&mut bytes).map_err(lethe_engine::EngineError::from)?;
    let character = |byte: &u8| char::from(alphabet[usize::from(byte % 32)]);
    Ok(bytes.iter().map(character).collect())
}

/// The bytes of [`TOTP_CHARACTERS`] characters of base32 (RFC 4648 section 6).
fn from_base32(text: &str) -> SecretVec {
    let mut bytes = Vec::with_capacity(TOTP_BYTES);
    let (mut bits, mut waiting) = (0_u32, 0);
    for character in text.bytes() {
        let value = BASE32.iter().position(|known| *known == character).unwrap_or_default();
        bits = bits << 5 | u32::try_from(value).expect("there are 32 characters");
        waiting += 5;
        if waiting >= 8 {
            waiting -= 8;
            bytes.push(u8::try_from(bits >> waiting).expect("fewer than 8 bits wait before it"));
            bits &= (1 << waiting) - 1;
        }
    }
    SecretVec::from_vec(bytes)
}
