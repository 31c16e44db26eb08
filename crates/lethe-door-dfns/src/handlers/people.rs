//! Users, as they and their tokens are told, and what can be done to those who are no programs.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_engine::record::{Credential, PrincipalKind, PrincipalRecord};
use lethe_engine::{CreatePrincipalRequest, EngineError, PrincipalChange, PrincipalEntry};
use serde_json::{Map, Value, json};

use super::service_accounts::EXTERNAL_CHARACTERS_MAX;
use super::{Page, bad_page_token, page_of};
use crate::account::{
    self, Assignment, PEM, assignments, attribute, is_ours, key_kind, kind_word, text_of,
    token_kind, username,
};
use crate::call::{Call, Outcome};
use crate::error::Refusal;
use crate::ids;
use crate::provision::principal_name;
use crate::state::State;

/// Longest name of a user, in characters; in bytes the engine bounds it.
pub(crate) const NAME_CHARACTERS_MAX: usize = 256;

/// A user as they are told.
pub(crate) fn user_told(state: &State, record: &PrincipalRecord) -> Value {
    let now = state.clock.now();
    let all = assignments(record);
    let key = record.credentials.iter().find(|one| key_kind(one).is_some());
    let own: Vec<&Assignment> = all.iter().filter(|one| one.identity.is_none()).collect();
    let given: Vec<Value> = own.iter().map(|one| assignment_told(state, one)).collect();
    let is_service = record.kind == PrincipalKind::ServiceAccount;
    let mut told = Map::new();
    let mut put = |name: &str, value: Value| drop(told.insert(name.to_owned(), value));
    put("username", json!(username(record)));
    put("name", json!(text_of(&record.attributes, account::NAME)));
    put("userId", json!(ids::user(record.id)));
    put("kind", json!(kind_word(record)));
    put("credentialUuid", json!(key.map(|key| ids::credential(key.id)).unwrap_or_default()));
    put("orgId", json!(ids::org(state.realm)));
    put("permissions", json!(own.iter().map(|one| &one.permission).collect::<Vec<_>>()));
    put("isActive", json!(record.is_live(now)));
    put("isServiceAccount", json!(is_service));
    put("isRegistered", json!(key.is_some()));
    put("permissionAssignments", json!(given));
    put("dateCreated", json!(record.created.to_string()));
    if let Some(external) = text_of(&record.attributes, account::EXTERNAL_ID) {
        put("externalId", json!(external));
    }
    Value::Object(told)
}

fn assignment_told(state: &State, assignment: &Assignment) -> Value {
    let permission = state.permissions.get(&assignment.permission);
    let operations: Vec<&str> =
        permission.as_ref().map(|one| one.operations().into_iter().collect()).unwrap_or_default();
    json!({
        "permissionName": permission.map(|one| one.name).unwrap_or_default(),
        "permissionId": assignment.permission,
        "assignmentId": assignment.id,
        "operations": operations,
    })
}

/// A token as it is told; its text only when it was just made.
pub(crate) fn token_told(
    state: &State,
    record: &PrincipalRecord,
    token: &Credential,
    text: Option<&str>,
) -> Value {
    let now = state.clock.now();
    let id = ids::token(token.id);
    let all = assignments(record);
    let own = all.iter().filter(|one| one.identity.as_deref() == Some(id.as_str()));
    let given: Vec<Value> = own.map(|one| assignment_told(state, one)).collect();
    let cred_id = account::key_of_token(token).unwrap_or_default();
    let key = record.credentials.iter().find(|one| account::cred_id(one) == Some(cred_id));
    let pem = key.and_then(|key| text_of(&key.attributes, PEM));
    let kind = token_kind(token).map(|kind| kind.as_str()).unwrap_or_default();
    let mut told = json!({
        "dateCreated": token.created.to_string(),
        "credId": cred_id,
        "isActive": token.is_live(now) && record.is_live(now),
        "kind": kind,
        "linkedUserId": ids::user(record.id),
        "linkedAppId": "",
        "name": super::pats::name_of(record, token),
        "orgId": ids::org(state.realm),
        "permissionAssignments": given,
        "publicKey": pem.unwrap_or_default(),
        "tokenId": id,
    });
    if let Some(text) = text {
        told["accessToken"] = json!(text);
    }
    told
}

/// The user of that identifier, if it is one of these.
///
/// # Errors
/// 404.
pub(crate) fn named(
    state: &State,
    id: &str,
    is_one: impl Fn(&PrincipalRecord) -> bool,
) -> Result<Arc<PrincipalEntry>, Refusal> {
    let found = ids::parse_user(id).and_then(|user| crate::grants::find(state, user));
    let found = found.filter(|entry| is_one(entry.record()));
    let details = json!({"userId": id, "orgId": ids::org(state.realm)});
    found.ok_or_else(|| Refusal::not_found("user not found", details))
}

/// The one refusal for a name that somebody has.
pub(crate) fn taken(error: EngineError) -> Refusal {
    if matches!(error, EngineError::NameTaken(_)) {
        return Refusal::unauthorized("User already exists.");
    }
    error.into()
}

/// The body of a deactivation.
///
/// # Errors
/// 400.
pub(crate) fn force(call: &Call) -> Result<(), Refusal> {
    let mut members = call.members()?;
    members.boolean("force")?;
    members.finish()
}

/// Whether it is no program.
pub(crate) fn is_person(record: &PrincipalRecord) -> bool {
    matches!(record.kind, PrincipalKind::EndUser | PrincipalKind::User)
}

fn person(state: &State, call: &Call) -> Result<Arc<PrincipalEntry>, Refusal> {
    named(state, call.param("user"), is_person)
}

/// A user without a credential.
///
/// # Errors
/// 401 if somebody has the name.
pub(crate) async fn new_user(
    state: &State,
    caller: &lethe_engine::Caller,
    kind: PrincipalKind,
    email: &str,
    external: Option<&str>,
) -> Result<Arc<PrincipalEntry>, Refusal> {
    let mut attributes = BTreeMap::from([(account::NAME.into(), attribute(email))]);
    if let Some(external) = external {
        attributes.insert(account::EXTERNAL_ID.into(), attribute(external));
    }
    let request = CreatePrincipalRequest {
        name: principal_name(email)?,
        kind,
        login: Some(email.into()),
        grants: Vec::new(),
        bound_to: None,
        attributes,
        credentials: Vec::new(),
    };
    let made = state.engine.create_principal(caller, request).await.map_err(taken)?;
    Ok(made.entry)
}

pub(crate) async fn create(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let email = members.sized_text("email", 1, NAME_CHARACTERS_MAX)?;
    let email = email.ok_or_else(|| members.refuse("email", "is required"))?;
    if members.needed_text("kind")? != "CustomerEmployee" {
        return Err(members.refuse("kind", "must be CustomerEmployee"));
    }
    let external = members.sized_text("externalId", 1, EXTERNAL_CHARACTERS_MAX)?;
    if members.boolean("isSSORequired")? == Some(true) {
        return Err(members.refuse("isSSORequired", "is not supported by this server"));
    }
    members.finish()?;
    let kind = PrincipalKind::User;
    let made = new_user(&state, call.caller()?, kind, &email, external.as_deref()).await?;
    Ok(user_told(&state, made.record()).into())
}

pub(crate) async fn list(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let page = Page::of(&call)?;
    let kind = call.query("kind");
    let is_wanted = |record: &PrincipalRecord| {
        let is_kind = kind.as_ref().is_none_or(|kind| kind == kind_word(record));
        is_ours(record) && is_person(record) && is_kind
    };
    let mut all = state.engine.find_principals(state.realm, is_wanted);
    all.sort_by_key(|entry| (entry.record().created, entry.record().id));
    let from = match &page.token {
        None => 0,
        Some(token) => {
            let at = all.iter().position(|entry| ids::user(entry.record().id) == *token);
            at.ok_or_else(bad_page_token)? + 1
        }
    };
    let shown: Vec<&Arc<PrincipalEntry>> = all.iter().skip(from).take(page.limit).collect();
    let is_more = from + shown.len() < all.len();
    let next = shown.last().filter(|_| is_more).map(|last| ids::user(last.record().id));
    let items = shown.iter().map(|entry| user_told(&state, entry.record())).collect();
    Ok(page_of(items, next).into())
}

pub(crate) async fn read(state: Arc<State>, call: Arc<Call>) -> Outcome {
    Ok(user_told(&state, person(&state, &call)?.record()).into())
}

pub(crate) async fn update(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let name = members.sized_text("name", 1, NAME_CHARACTERS_MAX)?;
    let external = members.sized_text("externalId", 1, EXTERNAL_CHARACTERS_MAX)?;
    members.finish()?;
    let mut change = PrincipalChange::default();
    for (attribute_name, text) in [(account::NAME, name), (account::EXTERNAL_ID, external)] {
        if let Some(text) = text {
            change.attributes.insert(attribute_name.into(), Some(attribute(&text)));
        }
    }
    changed(&state, &call, change).await
}

async fn changed(state: &State, call: &Call, change: PrincipalChange) -> Outcome {
    let user = person(state, call)?.record().id;
    let changed = state.engine.update_principal(call.caller()?, user, &change).await;
    Ok(user_told(state, changed.map_err(taken)?.record()).into())
}

pub(crate) async fn activate(state: Arc<State>, call: Arc<Call>) -> Outcome {
    call.no_members()?;
    let change = PrincipalChange { suspended: Some(false), ..PrincipalChange::default() };
    changed(&state, &call, change).await
}

pub(crate) async fn deactivate(state: Arc<State>, call: Arc<Call>) -> Outcome {
    force(&call)?;
    let change = PrincipalChange { suspended: Some(true), ..PrincipalChange::default() };
    changed(&state, &call, change).await
}

pub(crate) async fn delete(state: Arc<State>, call: Arc<Call>) -> Outcome {
    call.no_members()?;
    let entry = person(&state, &call)?;
    let mut value = user_told(&state, entry.record());
    state.engine.revoke_principal(call.caller()?, entry.record().id).await?;
    value["isActive"] = json!(false);
    Ok(value.into())
}
