//! Personal access tokens: of a user, with a key of their own and never more rights than the user.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lethe_engine::record::{Credential, PrincipalRecord};
use lethe_engine::{DoorOperation, EngineError, PrincipalChange, PrincipalEntry};
use lethe_types::{CredentialId, Permission};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::people::{NAME_CHARACTERS_MAX, token_told};
use super::permissions;
use super::service_accounts::{DAY_SECONDS, EXTERNAL_CHARACTERS_MAX, TOKEN_DAYS_MAX, public_key};
use crate::account::{self, token_kind};
use crate::call::{Call, Outcome};
use crate::error::Refusal;
use crate::grants::{self, Identity};
use crate::ids;
use crate::provision::{TOKEN_DAYS_DEFAULT, key_of_token, new_cred_id, token_of_key};
use crate::state::State;
use crate::tokens::{Named, TokenKind};

/// Attribute of principals: what was changed in their tokens.
const TOKENS: &str = "dfns.tokens";

/// What a client may change in a token.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Changed {
    name: Option<String>,
    external_id: Option<String>,
}

fn changes(record: &PrincipalRecord) -> BTreeMap<String, Changed> {
    let stored = record.attributes.get(TOKENS);
    stored.and_then(|stored| serde_json::from_slice(stored).ok()).unwrap_or_default()
}

/// The name of a token.
pub(crate) fn name_of(record: &PrincipalRecord, token: &Credential) -> String {
    let changed = changes(record).remove(&ids::token(token.id));
    changed.and_then(|changed| changed.name).unwrap_or_else(|| token.name.to_string())
}

pub(crate) fn more_to_create(body: &Map<String, Value>) -> Vec<&'static str> {
    super::service_accounts::more_to_create(body)
}

pub(crate) async fn create(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let identity = call.identity()?;
    if identity.token_kind == TokenKind::Pat || identity.is_end_user() {
        return Err(Refusal::forbidden("a personal access token is made by its user"));
    }
    let mut members = call.members()?;
    let name = members.sized_text("name", 1, NAME_CHARACTERS_MAX)?;
    let name = name.ok_or_else(|| members.refuse("name", "is required"))?;
    let key = public_key(&mut members)?;
    let permission = members.text("permissionId")?;
    let external = members.sized_text("externalId", 1, EXTERNAL_CHARACTERS_MAX)?;
    let days = members.integer("daysValid", 1, TOKEN_DAYS_MAX)?.unwrap_or(TOKEN_DAYS_DEFAULT);
    let seconds = members.integer("secondsValid", 1, TOKEN_DAYS_MAX * DAY_SECONDS)?;
    members.finish()?;
    let permission = permission.map(|id| permissions::find(&state, &id)).transpose()?;
    let user = identity.caller.principal();
    let operation = DoorOperation {
        subject: Some(user.0),
        ..DoorOperation::named(call.op).needing(Permission::ApikeysManage)
    };
    state.engine.decide(&identity.caller, operation, None)?;
    let caller = state.system()?;
    let cred_id = new_cred_id(&state)?;
    // The key first: without its token it signs nothing.
    state.engine.add_credential(&caller, user, key_of_token(&cred_id, key)).await?;
    let lifetime = Duration::from_secs(seconds.unwrap_or(days * DAY_SECONDS));
    let new = token_of_key(&cred_id, &name, TokenKind::Pat, lifetime);
    let (entry, token, _) = state.engine.add_credential(&caller, user, new).await?;
    if let Some(external) = external {
        let changed = Changed { name: None, external_id: Some(external) };
        change(&state, entry.record(), token, changed).await?;
    }
    if let Some(permission) = permission {
        let to = Identity { user, token: Some(ids::token(token)) };
        grants::assign(&state, &caller, &to, &permission.id).await?;
    }
    let now = state.clock.now();
    let end = account::find(entry.record(), token).and_then(|token| token.expires);
    let end = end.unwrap_or_else(|| now.saturating_add(lifetime));
    let text = state.issuer.mint(Named { user, token }, TokenKind::Pat, now, end)?;
    let entry = own(&state, &call)?;
    told(&state, entry.record(), token, Some(&text))
}

/// The caller's own record, as it is now.
fn own(state: &State, call: &Call) -> Result<Arc<PrincipalEntry>, Refusal> {
    let found = grants::find(state, call.caller()?.principal());
    found.ok_or_else(Refusal::not_authorized)
}

fn told(
    state: &State,
    record: &PrincipalRecord,
    token: CredentialId,
    text: Option<&str>,
) -> Outcome {
    let token = account::find(record, token);
    let token = token.ok_or(EngineError::Internal("a token that vanished"))?;
    Ok(token_told(state, record, token, text).into())
}

/// The token of the caller that the path names.
fn named(state: &State, call: &Call) -> Result<(Arc<PrincipalEntry>, CredentialId), Refusal> {
    let entry = own(state, call)?;
    let id = call.param("token");
    let found = ids::parse_token(id).filter(|token| {
        let credential = account::find(entry.record(), *token);
        credential.and_then(token_kind) == Some(TokenKind::Pat)
    });
    let details = json!({"tokenId": id, "orgId": ids::org(state.realm)});
    let token = found.ok_or_else(|| Refusal::not_found("token not found", details))?;
    Ok((entry, token))
}

pub(crate) async fn list(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let entry = own(&state, &call)?;
    let record = entry.record();
    let tokens = record.credentials.iter();
    let tokens = tokens.filter(|one| token_kind(one) == Some(TokenKind::Pat));
    let items: Vec<Value> = tokens.map(|one| token_told(&state, record, one, None)).collect();
    Ok(json!({"items": items}).into())
}

pub(crate) async fn read(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let (entry, token) = named(&state, &call)?;
    told(&state, entry.record(), token, None)
}

pub(crate) async fn update(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let name = members.sized_text("name", 1, NAME_CHARACTERS_MAX)?;
    let external_id = members.sized_text("externalId", 1, EXTERNAL_CHARACTERS_MAX)?;
    members.finish()?;
    let (entry, token) = named(&state, &call)?;
    change(&state, entry.record(), token, Changed { name, external_id }).await?;
    told(&state, own(&state, &call)?.record(), token, None)
}

/// Stores what is to change in a token.
async fn change(
    state: &State,
    record: &PrincipalRecord,
    token: CredentialId,
    wanted: Changed,
) -> Result<(), Refusal> {
    let _one_at_a_time = state.granting.lock().await;
    let mut all = changes(record);
    // Those of tokens that are gone go.
    let is_there =
        |id: &str| ids::parse_token(id).is_some_and(|id| account::find(record, id).is_some());
    all.retain(|id, _| is_there(id));
    let changed = all.entry(ids::token(token)).or_default();
    changed.name = wanted.name.or(changed.name.take());
    changed.external_id = wanted.external_id.or(changed.external_id.take());
    let stored = serde_json::to_vec(&all).expect("names are JSON");
    let change = PrincipalChange {
        attributes: BTreeMap::from([(TOKENS.into(), Some(stored.into()))]),
        ..PrincipalChange::default()
    };
    state.engine.update_principal(&state.system()?, record.id, &change).await?;
    Ok(())
}

async fn suspended(state: &State, call: &Call, suspended: bool) -> Outcome {
    let (entry, token) = named(state, call)?;
    let (caller, user) = (state.system()?, entry.record().id);
    let changed = state.engine.suspend_credential(&caller, user, token, suspended).await?;
    told(state, changed.record(), token, None)
}

pub(crate) async fn activate(state: Arc<State>, call: Arc<Call>) -> Outcome {
    call.no_members()?;
    suspended(&state, &call, false).await
}

pub(crate) async fn deactivate(state: Arc<State>, call: Arc<Call>) -> Outcome {
    super::people::force(&call)?;
    suspended(&state, &call, true).await
}

pub(crate) async fn delete(state: Arc<State>, call: Arc<Call>) -> Outcome {
    call.no_members()?;
    let (entry, token) = named(&state, &call)?;
    let (record, caller) = (entry.record(), state.system()?);
    let credential = account::find(record, token);
    let credential = credential.ok_or(EngineError::ItemNotFound("token"))?;
    let mut value = token_told(&state, record, credential, None);
    let cred_id = account::key_of_token(credential);
    let is_key = |one: &&Credential| cred_id.is_some() && account::cred_id(one) == cred_id;
    let key = record.credentials.iter().find(is_key);
    state.engine.remove_credential(&caller, record.id, token).await?;
    if let Some(key) = key {
        state.engine.remove_credential(&caller, record.id, key.id).await?;
    }
    grants::forget_token(&state, record.id, &ids::token(token)).await?;
    value["isActive"] = json!(false);
    Ok(value.into())
}
