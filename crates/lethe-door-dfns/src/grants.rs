//! Who was given which permission, kept with the principal, and the grants of the engine that
//! follow from it.

use std::sync::Arc;

use lethe_engine::record::{Grant, PrincipalKind, PrincipalRecord, Scope};
use lethe_engine::{Caller, EngineError, PrincipalChange, PrincipalEntry};
use lethe_types::PrincipalId;
use serde_json::{Value, json};

use crate::account::{self, ASSIGNMENTS, Assignment, assignments, assignments_attribute, is_ours};
use crate::error::Refusal;
use crate::ids::{self, Prefix};
use crate::operations::{Operations, permissions_of};
use crate::provision::realm_grants;
use crate::state::State;

/// Most assignments of one user and their tokens.
const ASSIGNMENTS_MAX: usize = 128;

/// Whom a permission is given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: PrincipalId,
    /// The personal access token, if it is one.
    pub(crate) token: Option<String>,
}

/// The user or personal access token of that identifier.
pub(crate) fn identity(state: &State, id: &str) -> Option<Identity> {
    let entry = match (ids::parse_user(id), ids::parse_token(id)) {
        (Some(user), _) => find(state, user)?,
        (None, Some(token)) => {
            let has = |record: &PrincipalRecord| {
                is_ours(record) && account::find(record, token).is_some()
            };
            state.engine.find_principals(state.realm, has).into_iter().next()?
        }
        (None, None) => return None,
    };
    let token = ids::parse_token(id).map(|_| id.to_owned());
    Some(Identity { user: entry.record().id, token })
}

/// The user of that identity, if it is there.
pub(crate) fn find(state: &State, user: PrincipalId) -> Option<Arc<PrincipalEntry>> {
    let found = state.engine.principal_by_id(state.realm, user);
    found.filter(|entry| is_ours(entry.record()))
}

/// What somebody with these assignments may do, their tokens left out.
fn operations_of(state: &State, all: &[Assignment]) -> Operations {
    let own = all.iter().filter(|assignment| assignment.identity.is_none());
    own.flat_map(|assignment| state.permissions.operations(&assignment.permission)).collect()
}

/// The grants that follow from the assignments. Those on single keys stay; end users have no
/// others.
fn grants_of(state: &State, record: &PrincipalRecord, all: &[Assignment]) -> Vec<Grant> {
    let on_keys = |grant: &&Grant| matches!(grant.scope, Scope::Key(_));
    let mut grants: Vec<Grant> = record.grants.iter().filter(on_keys).copied().collect();
    if record.kind != PrincipalKind::EndUser {
        grants.extend(realm_grants(permissions_of(&operations_of(state, all))));
    }
    grants
}

/// Changes the assignments of a user, and the grants with them. Nobody gives more than they have.
///
/// # Errors
/// The engine's; 404 for a user that is gone.
async fn change(
    state: &State,
    caller: &Caller,
    user: PrincipalId,
    all: &[Assignment],
) -> Result<(), Refusal> {
    let entry = find(state, user).ok_or(EngineError::ItemNotFound("user"))?;
    let mut change = PrincipalChange {
        grants: Some(grants_of(state, entry.record(), all)),
        ..PrincipalChange::default()
    };
    change.attributes.insert(ASSIGNMENTS.into(), Some(assignments_attribute(all)));
    state.engine.update_principal(caller, user, &change).await?;
    Ok(())
}

/// Gives a permission.
///
/// # Errors
/// 409 if it is given already; 403 for what the caller does not have.
pub(crate) async fn assign(
    state: &State,
    caller: &Caller,
    to: &Identity,
    permission: &str,
) -> Result<Assignment, Refusal> {
    let _one_at_a_time = state.granting.lock().await;
    let entry = find(state, to.user).ok_or(EngineError::ItemNotFound("user"))?;
    let mut all = assignments(entry.record());
    let is_there = |one: &&Assignment| one.permission == permission && one.identity == to.token;
    if let Some(there) = all.iter().find(is_there) {
        let details = json!({"duplicate": {"id": there.id}});
        return Err(Refusal::conflict("permission is assigned already", details));
    }
    if all.len() >= ASSIGNMENTS_MAX {
        return Err(EngineError::ServerLimitExceeded("assignments of one user").into());
    }
    let made = Assignment {
        id: ids::id(Prefix::Assignment, &ids::random(&*state.entropy)?),
        permission: permission.to_owned(),
        identity: to.token.clone(),
        created: state.clock.now().0,
        immutable: false,
    };
    all.push(made.clone());
    change(state, caller, to.user, &all).await?;
    Ok(made)
}

/// Takes an assignment back.
///
/// # Errors
/// 404; 400 for one that stays.
pub(crate) async fn revoke(
    state: &State,
    caller: &Caller,
    permission: &str,
    id: &str,
) -> Result<(PrincipalId, Assignment), Refusal> {
    let _one_at_a_time = state.granting.lock().await;
    let found = assigned(state, permission).into_iter().find(|(_, one)| one.id == id);
    let Some((user, gone)) = found else {
        let details = json!({"permissionId": permission, "assignmentId": id});
        return Err(Refusal::not_found("assignment not found", details));
    };
    if gone.immutable {
        return Err(Refusal::bad("assignment is immutable"));
    }
    let entry = find(state, user).ok_or(EngineError::ItemNotFound("user"))?;
    let mut all = assignments(entry.record());
    all.retain(|one| one.id != id);
    change(state, caller, user, &all).await?;
    Ok((user, gone))
}

/// Forgets what a token was given that is gone.
///
/// # Errors
/// The engine's.
pub(crate) async fn forget_token(
    state: &State,
    user: PrincipalId,
    token: &str,
) -> Result<(), Refusal> {
    let _one_at_a_time = state.granting.lock().await;
    let Some(entry) = find(state, user) else { return Ok(()) };
    let mut all = assignments(entry.record());
    all.retain(|one| one.identity.as_deref() != Some(token));
    change(state, &state.system()?, user, &all).await
}

/// Who was given the permission.
pub(crate) fn assigned(state: &State, permission: &str) -> Vec<(PrincipalId, Assignment)> {
    let all = state.engine.find_principals(state.realm, is_ours);
    let of = |entry: &Arc<PrincipalEntry>| {
        let user = entry.record().id;
        let given = assignments(entry.record()).into_iter();
        given.filter(|one| one.permission == permission).map(move |one| (user, one)).collect()
    };
    let mut found: Vec<(PrincipalId, Assignment)> =
        all.iter().flat_map(|entry| -> Vec<_> { of(entry) }).collect();
    found.sort_by(|one, other| (one.1.created, &one.1.id).cmp(&(other.1.created, &other.1.id)));
    found
}

/// Grants anew what follows from a permission that changed.
///
/// # Errors
/// The engine's; those before the first that failed are changed.
pub(crate) async fn grant_anew(
    state: &State,
    caller: &Caller,
    permission: &str,
) -> Result<(), Refusal> {
    let mut users: Vec<PrincipalId> =
        assigned(state, permission).into_iter().map(|(user, _)| user).collect();
    users.dedup();
    for user in users {
        let Some(entry) = find(state, user) else { continue };
        change(state, caller, user, &assignments(entry.record())).await?;
    }
    Ok(())
}

/// Grants that do not follow from the assignments, as after a crash between the two, are made
/// right.
///
/// # Errors
/// The engine's.
pub(crate) async fn reconcile(state: &State) -> Result<(), Refusal> {
    let caller = state.system()?;
    for entry in state.engine.find_principals(state.realm, is_ours) {
        let record = entry.record();
        let all = assignments(record);
        let set = |grants: &[Grant]| -> Vec<(Scope, u64)> {
            let mut set: Vec<_> =
                grants.iter().map(|one| (one.scope, one.permissions.to_bits())).collect();
            set.sort_unstable();
            set
        };
        if set(&record.grants) != set(&grants_of(state, record, &all)) {
            change(state, &caller, record.id, &all).await?;
        }
    }
    Ok(())
}

/// An assignment as it is told.
pub(crate) fn told(user: PrincipalId, assignment: &Assignment) -> Value {
    let date = lethe_types::UnixMillis(assignment.created).to_string();
    json!({
        "id": assignment.id,
        "permissionId": assignment.permission,
        "identityId": assignment.identity.clone().unwrap_or_else(|| ids::user(user)),
        "isImmutable": assignment.immutable,
        "dateCreated": date,
        "dateUpdated": date,
    })
}
