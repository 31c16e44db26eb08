//! Make an API key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use lethe_engine::record::{Alias, Grant, Scope};
use lethe_engine::{
    CreateApiKeyRequest, CreateKeyRequest, EngineError, NETWORKS, Network, api_key_algorithm,
};
use lethe_http::{Reply, Request};
use lethe_types::limits::{LABELS_MAX, NETWORK_ENTRIES_MAX};
use lethe_types::{LabelName, LabelValue, Permission, UnixMillis};
use serde_json::{Map, Value};

use super::pending;
use crate::DOOR;
use crate::auth::{Manager, count, manager, record_refusal};
use crate::error::{FieldErrors, Refusal};
use crate::identifiers::{new_client_id, new_key_id, new_secret};
use crate::permissions::{PERMISSIONS, granted};
use crate::state::State;
use crate::wire::{ApiKey, NAME, engine_name, parse_time, with_secret};

const OPERATION: &str = "altostrat.key.create";
const MESSAGE: &str =
    "API Key created successfully. This is the only time the secret key will be shown.";
const NAME_CHARACTERS_MIN: usize = 3;
const NAME_CHARACTERS_MAX: usize = 100;
const PERMISSIONS_MAX: usize = 200;
const PERMISSION_CHARACTERS_MAX: usize = 100;

/// What a create asks for, checked.
struct Wanted {
    name: String,
    permissions: Vec<String>,
    extensions: Extensions,
}

#[derive(Default)]
struct Extensions {
    expires: Option<UnixMillis>,
    networks: Option<String>,
    labels: BTreeMap<LabelName, LabelValue>,
    protected: bool,
}

pub(crate) fn create(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let manager = manager(state, &request.head, &state.settings.permission_create, OPERATION)?;
    count(state, &manager.caller)?;
    check_content_type(&request)?;
    let wanted = parse(state, &request.body)?;
    check_held(state, &manager, &wanted.permissions)?;
    let most = state.settings.keys_max;
    if most > 0 && state.engine.live_keys_in(state.vault) >= most {
        let limit = EngineError::ServerLimitExceeded("API keys of the organization");
        record_refusal(state, &manager.caller, OPERATION, limit)?;
        let why = "The organization has reached its maximum number of API keys.";
        return Err(Refusal::Forbidden(why, FieldErrors::new()));
    }
    let (state, secret) = (Arc::clone(state), new_secret(&*state.entropy).map_err(failed)?);
    let kept = lethe_types::SecretVec::copy_from(secret.expose());
    let creation = creation(&state, wanted, kept)?;
    Ok(pending(async move {
        let made = state.engine.create_api_key(&manager.caller, creation).await?;
        let key = ApiKey::of(&state, &made.key);
        let key = key.ok_or(EngineError::Internal("an API key without its parts"))?;
        Ok(with_secret(StatusCode::CREATED, MESSAGE, &key, &secret, ""))
    }))
}

fn failed(_: lethe_types::EntropyError) -> EngineError {
    EngineError::EntropyUnavailable
}

/// Whether the caller holds everything that it gives.
fn check_held(state: &State, manager: &Manager, wanted: &[String]) -> Result<(), Refusal> {
    let lacking: Vec<String> =
        wanted.iter().filter(|name| !manager.held.contains(name)).cloned().collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let denied = EngineError::PermissionDenied(Permission::ApikeysManage);
    record_refusal(state, &manager.caller, OPERATION, denied)?;
    let why = "You can only give permissions that you have.";
    Err(Refusal::Forbidden(why, FieldErrors::from([("permissions".to_owned(), lacking)])))
}

fn creation(
    state: &State,
    wanted: Wanted,
    secret: lethe_types::SecretVec,
) -> Result<CreateApiKeyRequest, Refusal> {
    let Wanted { name: given, permissions, extensions } = wanted;
    let name = engine_name(&given);
    let id = new_key_id(&*state.entropy, state.clock.now()).map_err(failed)?;
    let invalid = |_| EngineError::Internal("a name that was made to fit");
    let mut attributes: BTreeMap<Box<str>, Box<[u8]>> = BTreeMap::new();
    let names = serde_json::to_vec(&permissions).unwrap_or_default();
    attributes.insert(PERMISSIONS.into(), names.into());
    if name != given {
        attributes.insert(NAME.into(), given.into_bytes().into());
    }
    if let Some(networks) = extensions.networks {
        attributes.insert(NETWORKS.into(), networks.into_bytes().into());
    }
    let own = granted(&permissions);
    let grants = match own.is_empty() {
        true => Vec::new(),
        false => vec![Grant { permissions: own, scope: Scope::Realm }],
    };
    let key = CreateKeyRequest {
        vault: Some(state.vault),
        protected: extensions.protected,
        labels: extensions.labels,
        // For ever: an id is never given again.
        aliases: vec![Alias { door: DOOR.to_owned(), text: id, reserved: true }],
        ..CreateKeyRequest::new(name.parse().map_err(invalid)?, api_key_algorithm())
    };
    Ok(CreateApiKeyRequest {
        key,
        name: name.parse().map_err(invalid)?,
        client: new_client_id(&*state.entropy).map_err(failed)?.into(),
        grants,
        attributes,
        expires: extensions.expires,
        secret,
    })
}

fn check_content_type(request: &Request) -> Result<(), Refusal> {
    let mut values = request.head.headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Refusal::UnsupportedMediaType);
    };
    let essence = value.to_str().ok().and_then(|text| text.split(';').next()).unwrap_or_default();
    if essence.trim().eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Refusal::UnsupportedMediaType)
    }
}

fn parse(state: &State, body: &[u8]) -> Result<Wanted, Refusal> {
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
        return Err(Refusal::Malformed("The request body must be a JSON object."));
    };
    let mut errors = FieldErrors::new();
    let name = name(&members, &mut errors);
    let permissions = permissions(&members, &mut errors);
    let extensions = match state.settings.extensions {
        true => extensions(&members, state.clock.now(), &mut errors),
        false => Extensions::default(),
    };
    if errors.is_empty() {
        return Ok(Wanted { name, permissions, extensions });
    }
    let status = StatusCode::from_u16(state.settings.validation_status);
    Err(Refusal::Fields(errors, status.unwrap_or(StatusCode::BAD_REQUEST)))
}

fn name(members: &Map<String, Value>, errors: &mut FieldErrors) -> String {
    let rule = match members.get("name") {
        None | Some(Value::Null) => "The name field is required.",
        Some(Value::String(name)) => match name.chars().count() {
            NAME_CHARACTERS_MIN..=NAME_CHARACTERS_MAX => return name.clone(),
            0..NAME_CHARACTERS_MIN => "The name must be at least 3 characters.",
            _ => "The name must not be greater than 100 characters.",
        },
        Some(Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            "The name must be a string."
        }
    };
    errors.insert("name".to_owned(), vec![rule.to_owned()]);
    String::new()
}

/// The permissions: each once, in the order of the request.
fn permissions(members: &Map<String, Value>, errors: &mut FieldErrors) -> Vec<String> {
    let rule = match members.get("permissions") {
        None | Some(Value::Null) => "The permissions field is required.",
        Some(Value::Array(all)) => match all.len() {
            0 => "The permissions must have at least 1 item.",
            1..=PERMISSIONS_MAX => return permission_texts(all, errors),
            _ => "The permissions must not have more than 200 items.",
        },
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::String(_)) => {
            "The permissions must be an array."
        }
    };
    errors.insert("permissions".to_owned(), vec![rule.to_owned()]);
    Vec::new()
}

fn permission_texts(all: &[Value], errors: &mut FieldErrors) -> Vec<String> {
    let (mut texts, mut seen) = (Vec::new(), BTreeSet::new());
    for (index, value) in all.iter().enumerate() {
        let sized = |text: &&str| (1..=PERMISSION_CHARACTERS_MAX).contains(&text.chars().count());
        match value.as_str().filter(sized) {
            Some(text) if seen.insert(text) => texts.push(text.to_owned()),
            Some(_) => {}
            None => {
                let rule = "The permission must be a string of 1 to 100 characters.".to_owned();
                errors.insert(format!("permissions.{index}"), vec![rule]);
            }
        }
    }
    texts
}

fn extensions(
    members: &Map<String, Value>,
    now: UnixMillis,
    errors: &mut FieldErrors,
) -> Extensions {
    let mut wanted = Extensions::default();
    let given = |name: &str| members.get(name).filter(|value| !value.is_null());
    let mut broken = |name: &str, rule: &str| {
        errors.insert(name.to_owned(), vec![rule.to_owned()]);
    };
    if let Some(value) = given("expires_at") {
        wanted.expires = value.as_str().and_then(parse_time).filter(|end| *end > now);
        if wanted.expires.is_none() {
            broken("expires_at", "The expires at must be a date after now.");
        }
    }
    if let Some(value) = given("allowed_cidrs") {
        wanted.networks = networks(value);
        if wanted.networks.is_none() {
            broken("allowed_cidrs", "The allowed cidrs must be 1 to 64 blocks of addresses.");
        }
    }
    if let Some(value) = given("labels") {
        match labels(value) {
            Some(labels) => wanted.labels = labels,
            None => broken("labels", "The labels must be an object of short texts."),
        }
    }
    if let Some(value) = given("protected") {
        match value.as_bool() {
            Some(protected) => wanted.protected = protected,
            None => broken("protected", "The protected must be true or false."),
        }
    }
    wanted
}

/// The blocks of addresses in the form that the engine keeps.
fn networks(value: &Value) -> Option<String> {
    let texts = value.as_array().filter(|all| (1..=NETWORK_ENTRIES_MAX).contains(&all.len()))?;
    let network = |text: &Value| text.as_str()?.parse::<Network>().ok();
    let networks: Vec<Network> = texts.iter().map(network).collect::<Option<_>>()?;
    let texts: Vec<String> = networks.iter().map(ToString::to_string).collect();
    Some(texts.join(","))
}

fn labels(value: &Value) -> Option<BTreeMap<LabelName, LabelValue>> {
    let members = value.as_object().filter(|members| members.len() <= LABELS_MAX)?;
    let label = |(name, value): (&String, &Value)| {
        Some((name.parse().ok()?, value.as_str()?.parse().ok()?))
    };
    members.iter().map(label).collect()
}
