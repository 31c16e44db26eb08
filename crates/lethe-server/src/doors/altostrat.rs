//! The door for API keys as Altostrat has them.

use std::sync::Arc;
use std::time::Duration;

use lethe_door_altostrat::{AltostratDoor, Settings};
use lethe_engine::record::{Grant, PrincipalKind, Scope};
use lethe_engine::{CreatePrincipalRequest, EngineError};
use lethe_types::{Permission, Permissions, PrincipalId};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::{Opened, Site};
use crate::ServeError;

const DIALECT: &str = "altostrat";
/// The person whose token is in `dev.json`.
const DEV_USER: &str = "altostrat-dev";
/// The service whose token is in `dev.json`.
const DEV_RESOURCE_SERVER: &str = "altostrat-resource-server";
/// How long the token of the person is good for: longer than anybody keeps a demo.
const DEV_TOKEN_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
/// What the person can give to API keys beside the engine's own permissions.
const DEV_GRANTABLE: [&str; 2] = ["sites:read", "scripts:write"];

pub(super) async fn open(site: &Site<'_>) -> Result<Opened, ServeError> {
    let door = door(site).await?;
    Ok(Opened::new(site, Arc::new(door)))
}

async fn door(site: &Site<'_>) -> Result<AltostratDoor, ServeError> {
    let settings = settings(site).map_err(|why| ServeError::Door { dialect: DIALECT, why })?;
    let site = lethe_door_altostrat::Site {
        engine: site.engine.clone(),
        clock: site.clock.clone(),
        entropy: site.entropy.clone(),
        realm: site.realm,
        settings,
    };
    Ok(AltostratDoor::open(site).await?)
}

fn settings(site: &Site<'_>) -> Result<Settings, String> {
    let mut table = site.config.settings.clone();
    if site.is_dev {
        let grantable = DEV_GRANTABLE.map(toml::Value::from).to_vec();
        let defaults = [
            ("rate_limit_per_minute", toml::Value::Integer(0)),
            ("leak_reports_per_hour", toml::Value::Integer(0)),
            ("grantable_permissions", toml::Value::Array(grantable)),
        ];
        for (name, value) in defaults {
            table.entry(name).or_insert(value);
        }
    }
    let settings = Settings::deserialize(table).map_err(|error| error.message().to_owned())?;
    settings.check()?;
    Ok(settings)
}

/// `bearer`: the access token of a person with every permission; `internal_token`: that of a
/// service that exchanges secrets and asks about tokens.
pub(super) async fn provision_dev(
    site: &Site<'_>,
    before: Option<&Value>,
) -> Result<Map<String, Value>, ServeError> {
    let text = |name: &str| before.and_then(|before| before.get(name)?.as_str());
    let door = door(site).await?;
    let bearer = match text("bearer").filter(|token| door.takes_user_token(token)) {
        Some(token) => token.to_owned(),
        None => {
            let user = dev_user(site).await?;
            let end = site.clock.now().saturating_add(DEV_TOKEN_LIFETIME);
            door.user_token(user, end)
                .map_err(|error| ServeError::Door { dialect: DIALECT, why: error.to_string() })?
        }
    };
    let kept = text("internal_token").filter(|token| {
        let caller = site.engine.authenticate_bearer(DIALECT, [0; 16], token);
        caller.is_ok_and(|caller| caller.realm() == site.realm)
    });
    let internal = match kept {
        Some(token) => token.to_owned(),
        None => dev_resource_server(site).await?,
    };
    let members = [("bearer", bearer), ("internal_token", internal)];
    Ok(members.map(|(name, text)| (name.to_owned(), Value::String(text))).into_iter().collect())
}

/// The person of the last start, or a new one.
async fn dev_user(site: &Site<'_>) -> Result<PrincipalId, ServeError> {
    let caller = site.engine.system_caller(site.realm, DIALECT)?;
    let known = site.engine.list_principals(&caller)?;
    let is_user = |kind, name: &str| kind == PrincipalKind::User && name == DEV_USER;
    let found = known.iter().map(|entry| entry.record()).find(|record| {
        is_user(record.kind, record.name.as_str()) && record.is_live(site.clock.now())
    });
    if let Some(record) = found {
        return Ok(record.id);
    }
    let grants = vec![Grant { permissions: Permissions::all(), scope: Scope::Realm }];
    let request = CreatePrincipalRequest {
        kind: PrincipalKind::User,
        credentials: Vec::new(),
        ..CreatePrincipalRequest::service(name(DEV_USER)?, grants, None)
    };
    Ok(site.engine.create_principal(&caller, request).await?.entry.record().id)
}

async fn dev_resource_server(site: &Site<'_>) -> Result<String, ServeError> {
    let caller = site.engine.system_caller(site.realm, DIALECT)?;
    let permissions = [Permission::KeysRead].into_iter().collect();
    let grants = vec![Grant { permissions, scope: Scope::Realm }];
    let request = CreatePrincipalRequest::service(name(DEV_RESOURCE_SERVER)?, grants, None);
    let new = site.engine.create_principal(&caller, request).await?;
    let token = new.tokens.first().map(|(_, token)| token.expose().to_vec());
    let token = token.and_then(|token| String::from_utf8(token).ok());
    Ok(token.ok_or(EngineError::Internal("a principal without its token"))?)
}

fn name(text: &str) -> Result<lethe_types::PrincipalName, ServeError> {
    Ok(text.parse().map_err(|_| EngineError::Internal("name of a principal"))?)
}
