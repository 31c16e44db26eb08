//! Permissions: named sets of operations, and who has them.

use std::sync::Arc;

use lethe_engine::{DoorOperation, EngineError};
use lethe_types::Permission as Right;
use serde_json::{Value, json};

use super::{Page, bad_page_token, page_of};
use crate::body::Members;
use crate::call::{Call, Outcome};
use crate::error::Refusal;
use crate::grants;
use crate::ids::{self, Prefix};
use crate::operations::{self, permissions_of};
use crate::permissions::{PERMISSIONS_MAX, Permission};
use crate::state::State;

/// Longest name of a permission, in characters.
const NAME_CHARACTERS_MAX: usize = 100;

fn told(permission: &Permission) -> Value {
    let date = |ms| lethe_types::UnixMillis(ms).to_string();
    let operations: Vec<&str> = permission.named().into_iter().collect();
    json!({
        "id": permission.id,
        "name": permission.name,
        "operations": operations,
        "status": "Active",
        "isImmutable": permission.is_everything,
        "isArchived": permission.archived,
        "dateCreated": date(permission.created),
        "dateUpdated": date(permission.updated),
    })
}

/// The permission that the path names.
fn named(state: &State, call: &Call) -> Result<Permission, Refusal> {
    find(state, call.param("permission"))
}

/// The permission of that identifier.
///
/// # Errors
/// 404.
pub(crate) fn find(state: &State, id: &str) -> Result<Permission, Refusal> {
    let details = json!({"permissionId": id, "orgId": ids::org(state.realm)});
    let found = state.permissions.get(id);
    found.ok_or_else(|| Refusal::not_found("permission not found", details))
}

/// The operations of a body, which must all be known.
fn operations_of(members: &mut Members) -> Result<Option<Vec<String>>, Refusal> {
    let Some(mut names) = members.texts("operations")? else { return Ok(None) };
    if names.is_empty() {
        return Err(members.refuse("operations", "must not be empty"));
    }
    if let Some(unknown) = names.iter().find(|name| operations::named(name).is_none()) {
        let why = format!("has the unknown operation {}", unknown.escape_debug());
        return Err(members.refuse("operations", &why));
    }
    names.sort();
    names.dedup();
    Ok(Some(names))
}

/// That the caller has all rights that the permission would give.
fn may_give(call: &Call, permission: &Permission) -> Result<(), Refusal> {
    let given = permissions_of(&permission.operations());
    let held = call.caller()?.realm_permissions();
    match given.without(held).iter().next() {
        None => Ok(()),
        Some(lacking) => Err(EngineError::PermissionDenied(lacking).into()),
    }
}

async fn put(state: &State, call: &Call, permission: Permission) -> Result<Value, Refusal> {
    let operation = DoorOperation::named(call.op).needing(Right::PrincipalsManage);
    let value = told(&permission);
    state.permissions.put(&state.engine, call.caller()?, operation, permission).await?;
    Ok(value)
}

pub(crate) async fn create(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let name = members.sized_text("name", 1, NAME_CHARACTERS_MAX)?;
    let name = name.ok_or_else(|| members.refuse("name", "is required"))?;
    let operations = operations_of(&mut members)?;
    let operations = operations.ok_or_else(|| members.refuse("operations", "is required"))?;
    members.finish()?;
    let all = state.permissions.all();
    if all.len() >= PERMISSIONS_MAX {
        return Err(EngineError::ServerLimitExceeded("permissions of one organization").into());
    }
    unused(&all, &name, "")?;
    let now = state.clock.now().0;
    let permission = Permission {
        id: ids::id(Prefix::Permission, &ids::random(&*state.entropy)?),
        name,
        operations,
        is_everything: false,
        archived: false,
        created: now,
        updated: now,
    };
    may_give(&call, &permission)?;
    Ok(put(&state, &call, permission).await?.into())
}

/// That no other permission has the name.
fn unused(all: &[Permission], name: &str, own: &str) -> Result<(), Refusal> {
    let other = all.iter().find(|one| one.name == name && one.id != own && !one.archived);
    match other {
        None => Ok(()),
        Some(other) => {
            let details = json!({"duplicate": {"id": other.id}});
            Err(Refusal::conflict("a permission has this name", details))
        }
    }
}

pub(crate) async fn list(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let page = Page::of(&call)?;
    let all = state.permissions.all();
    let from = match &page.token {
        None => 0,
        Some(token) => {
            let at = all.iter().position(|one| one.id == *token);
            at.ok_or_else(bad_page_token)? + 1
        }
    };
    let shown: Vec<&Permission> = all.iter().skip(from).take(page.limit).collect();
    let is_more = from + shown.len() < all.len();
    let next = shown.last().filter(|_| is_more).map(|last| last.id.clone());
    Ok(page_of(shown.into_iter().map(told).collect(), next).into())
}

pub(crate) async fn read(state: Arc<State>, call: Arc<Call>) -> Outcome {
    Ok(told(&named(&state, &call)?).into())
}

pub(crate) async fn update(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let name = members.sized_text("name", 1, NAME_CHARACTERS_MAX)?;
    let operations = operations_of(&mut members)?;
    members.finish()?;
    let _one_at_a_time = state.granting.lock().await;
    let mut permission = changeable(&state, &call)?;
    if let Some(name) = name {
        unused(&state.permissions.all(), &name, &permission.id)?;
        permission.name = name;
    }
    if let Some(operations) = operations {
        permission.operations = operations;
    }
    changed(&state, &call, permission).await
}

pub(crate) async fn archive(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let archived = members.boolean("isArchived")?.unwrap_or(true);
    members.finish()?;
    let _one_at_a_time = state.granting.lock().await;
    let mut permission = changeable(&state, &call)?;
    permission.archived = archived;
    changed(&state, &call, permission).await
}

fn changeable(state: &State, call: &Call) -> Result<Permission, Refusal> {
    let permission = named(state, call)?;
    match permission.is_everything {
        true => Err(Refusal::bad("permission is immutable")),
        false => Ok(permission),
    }
}

/// Stores a changed permission, and grants what follows from it.
async fn changed(state: &State, call: &Call, mut permission: Permission) -> Outcome {
    may_give(call, &permission)?;
    permission.updated = state.clock.now().0;
    let id = permission.id.clone();
    let value = put(state, call, permission).await?;
    // Whoever may change it has what it gives, and takes from others what it no longer does.
    grants::grant_anew(state, &state.system()?, &id).await?;
    Ok(value.into())
}

pub(crate) async fn assign(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let wanted = members.needed_text("identityId")?;
    members.finish()?;
    let permission = named(&state, &call)?;
    if permission.archived {
        return Err(Refusal::bad("permission is archived"));
    }
    let identity = grants::identity(&state, &wanted).ok_or_else(|| {
        let details = json!({"identityId": wanted, "orgId": ids::org(state.realm)});
        Refusal::not_found("identity not found", details)
    })?;
    may_give(&call, &permission)?;
    let made = grants::assign(&state, call.caller()?, &identity, &permission.id).await?;
    Ok(grants::told(identity.user, &made).into())
}

pub(crate) async fn assignments(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let permission = named(&state, &call)?;
    let all = grants::assigned(&state, &permission.id);
    Ok(page_of(all.iter().map(|(user, one)| grants::told(*user, one)).collect(), None).into())
}

pub(crate) async fn revoke(state: Arc<State>, call: Arc<Call>) -> Outcome {
    call.no_members()?;
    let permission = named(&state, &call)?;
    let id = call.param("assignment");
    let (user, gone) = grants::revoke(&state, call.caller()?, &permission.id, id).await?;
    Ok(grants::told(user, &gone).into())
}
