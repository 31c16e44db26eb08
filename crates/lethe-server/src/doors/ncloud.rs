//! The door for clients of NAVER Cloud KMS.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_door_ncloud::{DOOR, NcloudDoor, Parts, Settings};
use lethe_engine::record::{Grant, Scope};
use lethe_engine::{CreatePrincipalRequest, EngineError, NewCredential, NewCredentialKind, Proof};
use lethe_types::limits::KEY_VERSIONS_MAX;
use lethe_types::{Permission, Permissions, SecretVec};
use serde_json::{Map, Value};
use toml::Table;

use super::{Opened, Site};
use crate::ServeError;

/// Characters of names in resource names, and of addresses.
const TEXT_BYTES_MAX: usize = 256;
/// Bytes of an access key and of an API key, each written as two digits.
const ACCESS_KEY_BYTES: usize = 10;
/// Bytes of a secret key, each written as two digits.
const SECRET_KEY_BYTES: usize = 20;

pub(super) async fn open(site: &Site<'_>) -> Result<Opened, ServeError> {
    let settings =
        settings(&site.config.settings).map_err(|why| ServeError::Door { dialect: DOOR, why })?;
    let door = NcloudDoor::open(Parts {
        engine: site.engine.clone(),
        realm: site.realm,
        clock: site.clock.clone(),
        entropy: site.entropy.clone(),
        settings,
        url: site.url.clone(),
    });
    Ok(Opened::new(site, Arc::new(door.await?)))
}

/// The settings of the door. Each has a default.
fn settings(written: &Table) -> Result<Settings, String> {
    let mut settings = Settings::default();
    for (name, value) in written {
        match name.as_str() {
            "base_url" => {
                let url = text(name, value)?;
                if !(url.starts_with("https://") || url.starts_with("http://")) {
                    return Err(format!("`{name}` must be an address with http:// or https://"));
                }
                settings.base_url = Some(url.trim_end_matches('/').to_owned());
            }
            "region" => settings.region = text(name, value)?,
            "account_no" => settings.account_no = text(name, value)?,
            "keystore_id" => settings.keystore_id = number(name, value, u32::MAX)?,
            "key_versions_max" => {
                let most = u32::try_from(KEY_VERSIONS_MAX).unwrap_or(u32::MAX);
                settings.key_versions_max = number(name, value, most)?;
            }
            other => return Err(format!("it has no setting `{}`", other.escape_debug())),
        }
    }
    Ok(settings)
}

fn text(name: &str, value: &toml::Value) -> Result<String, String> {
    let is_plain = |text: &&str| (1..=TEXT_BYTES_MAX).contains(&text.len()) && text.is_ascii();
    let text = value.as_str().filter(is_plain);
    let rule = || format!("`{name}` must be a text of 1 to {TEXT_BYTES_MAX} ASCII characters");
    text.map(str::to_owned).ok_or_else(rule)
}

fn number(name: &str, value: &toml::Value, most: u32) -> Result<u32, String> {
    let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
    let number = number.filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("`{name}` must be a number from 1 to {most}"))
}

/// An account that may do everything, one that may only look, and an API key.
pub(super) async fn provision_dev(
    site: &Site<'_>,
    before: Option<&Value>,
) -> Result<Map<String, Value>, ServeError> {
    let mut members = Map::new();
    let viewer = [Permission::KeysRead, Permission::AuditRead];
    let accounts = [
        ("access_key", "secret_key", "dev", Permissions::all()),
        ("viewer_access_key", "viewer_secret_key", "dev-viewer", viewer.into_iter().collect()),
    ];
    let kept = |name: &str| before.and_then(|before| before.get(name)?.as_str());
    for (access_name, secret_name, name, permissions) in accounts {
        let good = kept(access_name)
            .zip(kept(secret_name))
            .filter(|(access_key, secret_key)| is_good(site, access_key, secret_key));
        let (access_key, secret_key) = match good {
            Some((access_key, secret_key)) => (access_key.to_owned(), secret_key.to_owned()),
            None => make_account(site, name, permissions).await?,
        };
        members.insert(access_name.to_owned(), Value::String(access_key));
        members.insert(secret_name.to_owned(), Value::String(secret_key));
    }
    let api_key = match kept("api_key") {
        Some(api_key) => api_key.to_owned(),
        None => digits::<ACCESS_KEY_BYTES>(site)?,
    };
    members.insert("api_key".to_owned(), Value::String(api_key));
    Ok(members)
}

fn is_good(site: &Site<'_>, access_key: &str, secret_key: &str) -> bool {
    let proven = |proof: &Proof<'_>| match proof {
        Proof::SharedSecret(secret) => secret.ct_eq(secret_key.as_bytes()),
        Proof::PublicKey { .. } => false,
    };
    site.engine.authenticate_external(DOOR, [0; 16], site.realm, access_key, proven).is_ok()
}

async fn make_account(
    site: &Site<'_>,
    name: &str,
    permissions: Permissions,
) -> Result<(String, String), ServeError> {
    let access_key = digits::<ACCESS_KEY_BYTES>(site)?;
    let secret_key = digits::<SECRET_KEY_BYTES>(site)?;
    let credential = NewCredential {
        name: "access key".into(),
        lifetime: None,
        attributes: BTreeMap::new(),
        kind: NewCredentialKind::SharedSecret {
            external: access_key.as_str().into(),
            secret: SecretVec::copy_from(secret_key.as_bytes()),
        },
    };
    let name = name.parse().map_err(|_| EngineError::Internal("name of an account"))?;
    let grants = vec![Grant { permissions, scope: Scope::Realm }];
    let request = CreatePrincipalRequest {
        credentials: vec![credential],
        ..CreatePrincipalRequest::service(name, grants, None)
    };
    let system = site.engine.system_caller(site.realm, DOOR)?;
    site.engine.create_principal(&system, request).await?;
    Ok((access_key, secret_key))
}

/// Random bytes in upper-case hexadecimal digits, as these keys are.
fn digits<const BYTES: usize>(site: &Site<'_>) -> Result<String, ServeError> {
    let mut random = [0; BYTES];
    site.entropy.fill(&mut random).map_err(EngineError::from)?;
    Ok(random.iter().map(|byte| format!("{byte:02X}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, expected: Result<Settings, &str>) {
        let written: Table = written.parse().expect("the case is TOML");
        match (settings(&written), expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{written}"),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (got, expected) => panic!("{written}: {got:?}, not {expected:?}"),
        }
    }

    #[test]
    fn settings_are_read_strictly() {
        check("", Ok(Settings::default()));
        let given = Settings {
            base_url: Some("https://kms.example.test".to_owned()),
            region: "JP".to_owned(),
            account_no: "42".to_owned(),
            keystore_id: 7,
            key_versions_max: 3,
        };
        check(
            "base_url = 'https://kms.example.test/'\nregion = 'JP'\naccount_no = '42'\n\
             keystore_id = 7\nkey_versions_max = 3",
            Ok(given),
        );
        check("base_url = 'kms.example.test'", Err("`base_url`"));
        check("base_url = 7", Err("`base_url`"));
        check("region = ''", Err("`region`"));
        check("region = 'Zürich'", Err("`region`"));
        check("account_no = 42", Err("`account_no`"));
        check("keystore_id = 0", Err("`keystore_id`"));
        check("keystore_id = -1", Err("`keystore_id`"));
        check("keystore_id = 4294967296", Err("`keystore_id`"));
        check("keystore_id = '1'", Err("`keystore_id`"));
        check("key_versions_max = 0", Err("`key_versions_max`"));
        check("key_versions_max = 1001", Err("`key_versions_max`"));
        check("versions = 3", Err("no setting `versions`"));
    }
}
