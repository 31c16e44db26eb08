//! Give a key to an end user, for good.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_engine::record::{Grant, PrincipalKind, Scope};
use lethe_engine::{DoorOperation, EngineError, KeyChange, KeyEntry, PrincipalChange};
use lethe_types::limits::GRANTS_MAX;
use lethe_types::{KeyId, Permission, Permissions, PrincipalId};
use serde_json::json;

use super::keys::{owner_label, owner_value};
use super::{active_key, of_key};
use crate::account::{attribute, text_of};
use crate::call::{Call, Outcome};
use crate::error::Refusal;
use crate::ids;
use crate::state::State;
use crate::wire;

/// What an end user may do with a key of theirs, as far as their operations let them.
const OF_OWNERS: [Permission; 5] = [
    Permission::KeysRead,
    Permission::KeysUpdate,
    Permission::KeysUseSign,
    Permission::KeysUseDerive,
    Permission::KeysExport,
];

/// The end user of that identifier.
///
/// # Errors
/// 404 for one that there is not; 400 for somebody who is none.
pub(crate) fn end_user(state: &State, id: &str) -> Result<PrincipalId, Refusal> {
    let wanted = ids::parse_user(id);
    let found = wanted.and_then(|wanted| state.engine.principal_by_id(state.realm, wanted));
    let Some(entry) = found else {
        let details = json!({"userId": id, "orgId": ids::org(state.realm)});
        return Err(Refusal::not_found("user not found", details));
    };
    match entry.record().kind {
        PrincipalKind::EndUser if entry.record().grants.len() >= GRANTS_MAX => {
            Err(EngineError::ServerLimitExceeded("keys of one end user").into())
        }
        PrincipalKind::EndUser => Ok(entry.record().id),
        PrincipalKind::Application
        | PrincipalKind::DeviceRole
        | PrincipalKind::ServiceAccount
        | PrincipalKind::User => Err(Refusal::field("delegateTo", "is not an end user")),
    }
}

/// Lets an end user act on a key.
///
/// # Errors
/// The engine's, as for more keys than one user can have.
pub(crate) async fn grant(state: &State, owner: PrincipalId, key: KeyId) -> Result<(), Refusal> {
    let _one_at_a_time = state.granting.lock().await;
    let caller = state.system()?;
    let entry = state.engine.read_principal(&caller, owner)?;
    let mut grants = entry.record().grants.clone();
    let scope = Scope::Key(key);
    if grants.iter().any(|grant| grant.scope == scope) {
        return Ok(());
    }
    let permissions: Permissions = OF_OWNERS.into_iter().collect();
    grants.push(Grant { permissions, scope });
    let change = PrincipalChange { grants: Some(grants), ..PrincipalChange::default() };
    state.engine.update_principal(&caller, owner, &change).await?;
    Ok(())
}

/// Takes the grants on a key that is gone from its owner, who may have only so many. If it does
/// not work, a grant on nothing remains.
pub(crate) async fn forget(state: &State, gone: &KeyEntry) {
    let record = gone.record();
    let owner = text_of(&record.details().attributes, wire::OWNER).and_then(ids::parse_user);
    let (Some(owner), Ok(caller)) = (owner, state.system()) else { return };
    let _one_at_a_time = state.granting.lock().await;
    let Ok(entry) = state.engine.read_principal(&caller, owner) else { return };
    let mut grants = entry.record().grants.clone();
    grants.retain(|grant| grant.scope != Scope::Key(record.id));
    let change = PrincipalChange { grants: Some(grants), ..PrincipalChange::default() };
    let _told_by_the_trail = state.engine.update_principal(&caller, owner, &change).await;
}

pub(crate) async fn delegate(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let wanted = members.needed_text("delegateTo")?;
    members.finish()?;
    let entry = active_key(&state, &call, call.param("key"))?;
    let owner = end_user(&state, &wanted)?;
    let record = entry.record();
    if wire::flag(record, wire::OWNER) {
        return Err(Refusal::bad("key is delegated already"));
    }
    if !wire::flag(record, wire::IS_DELAYED) {
        return Err(Refusal::bad("key was not created with delayDelegation"));
    }
    let operation = DoorOperation {
        key: Some(record.id),
        subject: Some(owner.0),
        ..DoorOperation::named(call.op).needing(Permission::KeysDelegate)
    };
    state.engine.decide(call.caller()?, operation, None)?;
    // First, so that after a crash in between it can be asked for once more.
    grant(&state, owner, record.id).await?;
    let change = KeyChange {
        attributes: BTreeMap::from([(wire::OWNER.into(), Some(attribute(&ids::user(owner))))]),
        labels: BTreeMap::from([(owner_label()?, Some(owner_value(owner)?))]),
        ..KeyChange::default()
    };
    let seen = Some(entry.revision());
    let changed = state.engine.update_key(&state.system()?, record.id, &change, seen).await;
    changed.map_err(|error| of_key(&state, &entry, error))?;
    Ok(json!({"keyId": wire::key_id(record), "status": "Delegated"}).into())
}
