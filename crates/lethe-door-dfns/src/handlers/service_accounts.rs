//! Service accounts: programs, each with one token and the key that signs for it.

use std::sync::Arc;

use lethe_engine::record::{PrincipalKind, PrincipalRecord};
use lethe_engine::{EngineError, PrincipalChange, PrincipalEntry};
use serde_json::{Map, Value, json};

use super::people::{self, NAME_CHARACTERS_MAX, token_told, user_told};
use super::permissions;
use crate::account::{self, attribute, is_ours};
use crate::call::{Call, Outcome};
use crate::error::Refusal;
use crate::factors::{NewKey, PEM_CHARACTERS_MAX};
use crate::provision::{self, Given, NewServiceAccount, TOKEN_DAYS_DEFAULT};
use crate::state::State;

/// Longest life of a token, in days.
pub(crate) const TOKEN_DAYS_MAX: u64 = 730;
pub(crate) const DAY_SECONDS: u64 = 24 * 3_600;
/// Longest identifier that a client gives, in characters.
pub(crate) const EXTERNAL_CHARACTERS_MAX: usize = 200;

/// To give a permission along is to assign it.
pub(crate) fn more_to_create(body: &Map<String, Value>) -> Vec<&'static str> {
    if body.contains_key("permissionId") { vec!["Permissions:Assign"] } else { Vec::new() }
}

/// The public key of a body.
pub(crate) fn public_key(members: &mut crate::body::Members) -> Result<NewKey, Refusal> {
    let pem = members.sized_text("publicKey", 1, PEM_CHARACTERS_MAX)?;
    let pem = pem.ok_or_else(|| members.refuse("publicKey", "is required"))?;
    NewKey::parse(&pem)
        .ok_or_else(|| members.refuse("publicKey", "is no public key that signs here"))
}

pub(crate) async fn create(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let name = members.sized_text("name", 1, NAME_CHARACTERS_MAX)?;
    let name = name.ok_or_else(|| members.refuse("name", "is required"))?;
    let key = public_key(&mut members)?;
    let permission = members.text("permissionId")?;
    let external_id = members.sized_text("externalId", 1, EXTERNAL_CHARACTERS_MAX)?;
    let days = members.integer("daysValid", 1, TOKEN_DAYS_MAX)?.unwrap_or(TOKEN_DAYS_DEFAULT);
    members.finish()?;
    let permission = permission.map(|id| permissions::find(&state, &id)).transpose()?;
    let _one_at_a_time = state.granting.lock().await;
    let new = NewServiceAccount {
        name: &name,
        external_id: external_id.as_deref(),
        key,
        given: Given { permission: permission.as_ref(), is_immutable: false },
        lifetime_seconds: days * DAY_SECONDS,
    };
    let made = provision::service_account(&state, call.caller()?, new).await?;
    let entry = crate::grants::find(&state, made.user);
    let entry = entry.ok_or(EngineError::Internal("a service account that vanished"))?;
    Ok(told(&state, entry.record(), Some(&made.token)).into())
}

/// A service account with its token; the token itself only when it was just made.
fn told(state: &State, record: &PrincipalRecord, token: Option<&str>) -> Value {
    let tokens = record.credentials.iter().filter(|one| account::token_kind(one).is_some());
    let tokens: Vec<Value> = tokens.map(|one| token_told(state, record, one, token)).collect();
    json!({"userInfo": user_told(state, record), "accessTokens": tokens})
}

/// The service account that the path names.
fn named(state: &State, call: &Call) -> Result<Arc<PrincipalEntry>, Refusal> {
    people::named(state, call.param("account"), |record| {
        record.kind == PrincipalKind::ServiceAccount
    })
}

pub(crate) async fn list(state: Arc<State>, _call: Arc<Call>) -> Outcome {
    let is_one =
        |record: &PrincipalRecord| is_ours(record) && record.kind == PrincipalKind::ServiceAccount;
    let mut all = state.engine.find_principals(state.realm, is_one);
    all.sort_by_key(|entry| (entry.record().created, entry.record().id));
    let items: Vec<Value> = all.iter().map(|entry| told(&state, entry.record(), None)).collect();
    Ok(json!({"items": items}).into())
}

pub(crate) async fn read(state: Arc<State>, call: Arc<Call>) -> Outcome {
    Ok(told(&state, named(&state, &call)?.record(), None).into())
}

pub(crate) async fn update(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let name = members.sized_text("name", 1, NAME_CHARACTERS_MAX)?;
    let external = members.sized_text("externalId", 1, EXTERNAL_CHARACTERS_MAX)?;
    members.finish()?;
    let entry = named(&state, &call)?;
    let mut change = PrincipalChange::default();
    if let Some(name) = name {
        change.name = Some(provision::principal_name(&name)?);
        change.login = Some(Some(name.as_str().into()));
        change.attributes.insert(account::NAME.into(), Some(attribute(&name)));
    }
    if let Some(external) = external {
        change.attributes.insert(account::EXTERNAL_ID.into(), Some(attribute(&external)));
    }
    changed(&state, &call, &entry, change).await
}

async fn changed(
    state: &State,
    call: &Call,
    entry: &PrincipalEntry,
    change: PrincipalChange,
) -> Outcome {
    let user = entry.record().id;
    let changed = state.engine.update_principal(call.caller()?, user, &change).await;
    let changed = changed.map_err(people::taken)?;
    Ok(told(state, changed.record(), None).into())
}

pub(crate) async fn activate(state: Arc<State>, call: Arc<Call>) -> Outcome {
    call.no_members()?;
    let entry = named(&state, &call)?;
    let change = PrincipalChange { suspended: Some(false), ..PrincipalChange::default() };
    changed(&state, &call, &entry, change).await
}

pub(crate) async fn deactivate(state: Arc<State>, call: Arc<Call>) -> Outcome {
    people::force(&call)?;
    let entry = named(&state, &call)?;
    let change = PrincipalChange { suspended: Some(true), ..PrincipalChange::default() };
    changed(&state, &call, &entry, change).await
}

pub(crate) async fn delete(state: Arc<State>, call: Arc<Call>) -> Outcome {
    call.no_members()?;
    let entry = named(&state, &call)?;
    let mut value = told(&state, entry.record(), None);
    let user = entry.record().id;
    state.engine.revoke_principal(call.caller()?, user).await?;
    value["userInfo"]["isActive"] = json!(false);
    if let Some(tokens) = value["accessTokens"].as_array_mut() {
        tokens.iter_mut().for_each(|token| token["isActive"] = json!(false));
    }
    Ok(value.into())
}
