//! Members of vaults: list, add, edit, remove.

use std::sync::Arc;

use lethe_engine::record::{PrincipalRecord, VaultRecord};
use lethe_engine::{EngineError, PrincipalEntry};
use lethe_types::Permissions;
use serde_json::{Value, json};

use super::{refuse, users, vault};
use crate::account::{Level, find_user, is_user, level_given};
use crate::call::{Call, Outcome, Work};
use crate::envelope::Answer;
use crate::error::Failure;
use crate::state::State;

pub(crate) fn list(state: &Arc<State>, call: &Arc<Call>) -> Work {
    list_now(state, call).into()
}

fn list_now(state: &State, call: &Call) -> Outcome {
    let (found, _) = vault(state, call, Level::Admin)?;
    let members = state.engine.vault_members(call.caller()?, found.id)?;
    let shown: Vec<Value> =
        members.iter().filter_map(|member| shown(member.record(), &found)).collect();
    Ok(Answer::ok().info("vaultmembers", json!(shown)))
}

fn shown(record: &PrincipalRecord, vault: &VaultRecord) -> Option<Value> {
    let level = level_given(record, vault.id).filter(|_| is_user(record))?;
    let mut user = users::shown_short(record);
    user["groupstatus"] = json!(level.number());
    user["status"] = json!(users::status_text(record));
    user["username"] = json!(record.login.as_deref().unwrap_or_default());
    Some(user)
}

pub(crate) fn add(state: &Arc<State>, call: &Arc<Call>) -> Work {
    set(state, call, Set::Level { message: "User added" })
}

pub(crate) fn edit(state: &Arc<State>, call: &Arc<Call>) -> Work {
    set(state, call, Set::Level { message: "User updated" })
}

pub(crate) fn remove(state: &Arc<State>, call: &Arc<Call>) -> Work {
    set(state, call, Set::Nothing)
}

/// What becomes of a member.
#[derive(Clone, Copy)]
enum Set {
    /// They have the level of the request.
    Level { message: &'static str },
    /// They are none any more.
    Nothing,
}

fn set(state: &Arc<State>, call: &Arc<Call>, set: Set) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let (found, _) = vault(&state, &call, Level::Admin)?;
        let user = user(&state, &call)?;
        let is_member = level_given(user.record(), found.id).is_some();
        let (permissions, message) = match set {
            Set::Level { message } => {
                let number = call.body.number("status")?;
                let level = number.and_then(Level::of_number);
                let level = level.ok_or_else(|| Failure::parameter("status"))?;
                // To edit somebody who is no member is a mistake of the caller's.
                if message == "User updated" && !is_member {
                    return Err(Failure::parameter("userid"));
                }
                (level.permissions(), message)
            }
            Set::Nothing if !is_member => return Err(Failure::parameter("userid")),
            Set::Nothing => (Permissions::NONE, "User removed from vault"),
        };
        let (caller, id) = (call.caller()?, user.record().id);
        match state.engine.grant_on_vault(caller, found.id, id, permissions).await {
            Ok(_) => Ok(Answer::ok().info("message", message)),
            // The last one who can manage the vault.
            Err(EngineError::InvalidField { .. }) => Err(Failure::parameter(match set {
                Set::Level { .. } => "status",
                Set::Nothing => "userid",
            })),
            Err(error) => Err(error.into()),
        }
    })
}

/// The user of the path.
fn user(state: &State, call: &Call) -> Result<Arc<PrincipalEntry>, Failure> {
    let wanted = call.param("userid");
    find_user(&state.engine, state.realm, wanted)
        .ok_or_else(|| refuse(state, call, None, EngineError::ItemNotFound("principal")))
}
