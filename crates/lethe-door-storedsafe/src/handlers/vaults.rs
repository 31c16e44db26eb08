//! Vaults: list, see, create, edit, delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_engine::record::{DeletionPolicy, VaultRecord};
use lethe_engine::{EngineError, VaultChange, VaultRequest};
use lethe_types::Permission;
use serde_json::{Value, json};

use super::{refuse, vault};
use crate::account::{
    Level, POLICY_NONE, VAULT_DESCRIPTION, VAULT_ID, VAULT_NAME, VAULT_POLICY, attribute, level_in,
    text_of, vault_id,
};
use crate::call::{Call, Outcome, Work};
use crate::envelope::Answer;
use crate::error::Failure;
use crate::ids;
use crate::state::State;

/// Longest name of a vault, in bytes.
const NAME_BYTES_MAX: usize = 200;
/// Longest description of a vault, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 16_384;

pub(crate) fn list(state: &Arc<State>, call: &Arc<Call>) -> Work {
    list_now(state, call).into()
}

fn list_now(state: &State, call: &Call) -> Outcome {
    let caller = call.caller()?;
    let operation = lethe_engine::DoorOperation::named(call.op());
    state.engine.decide(caller, operation, None)?;
    let vaults = state.engine.visible_vaults(caller).into_iter();
    let shown: Vec<Value> =
        vaults.filter_map(|vault| Some(shown(&vault, level_in(caller, vault.id)?))).collect();
    Ok(Answer::ok().with("VAULTS", json!(shown)))
}

/// A vault without its content: there are no objects here, only keys.
pub(crate) fn read(state: &Arc<State>, call: &Arc<Call>) -> Work {
    read_now(state, call).into()
}

fn read_now(state: &State, call: &Call) -> Outcome {
    let (found, level) = vault(state, call, Level::Read)?;
    let found = state.engine.read_vault(call.caller()?, found.id)?;
    Ok(Answer::ok()
        .with("OBJECTS", json!([]))
        .with("TEMPLATES", json!([]))
        .with("VAULT", json!([shown(&found, level)])))
}

/// A vault as its member of that level sees it.
fn shown(vault: &VaultRecord, level: Level) -> Value {
    let text = |name| text_of(vault.attributes.get(name));
    let name = text(VAULT_NAME).unwrap_or(vault.name.as_str());
    json!({
        "id": vault_id(vault),
        "groupname": name,
        "policy": text(VAULT_POLICY).unwrap_or(POLICY_NONE),
        "description": text(VAULT_DESCRIPTION).unwrap_or(name),
        "status": level.number(),
        "statustext": level.name(),
    })
}

/// What a request says of a vault.
struct Wanted<'a> {
    name: Option<&'a str>,
    policy: Option<String>,
    description: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn of(call: &'a Call) -> Result<Self, Failure> {
        let body = &call.body;
        let name = match body.text("vaultname")? {
            Some(name) => Some(("vaultname", name)),
            None => body.text("groupname")?.map(|name| ("groupname", name)),
        };
        let fits = |text: &str, most: usize| {
            !text.trim().is_empty() && text.len() <= most && !text.chars().any(char::is_control)
        };
        if let Some((member, _)) = name.filter(|(_, name)| !fits(name, NAME_BYTES_MAX)) {
            return Err(Failure::parameter(member));
        }
        let description = body.text("description")?;
        if description.is_some_and(|text| text.len() > DESCRIPTION_BYTES_MAX) {
            return Err(Failure::parameter("description"));
        }
        let policy = body.number("policy")?.map(|policy| policy.to_string());
        Ok(Self { name: name.map(|(_, name)| name), policy, description })
    }
}

pub(crate) fn create(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let caller = call.caller()?;
        if !caller.realm_permissions().contains(Permission::VaultsCreate) {
            let error = EngineError::PermissionDenied(Permission::VaultsCreate);
            return Err(refuse(&state, &call, None, error));
        }
        let wanted = Wanted::of(&call)?;
        let name = wanted.name.ok_or_else(|| Failure::parameter("vaultname"))?;
        let number = ids::take(&state.engine, caller).await?;
        let made = make(&state, &call, &wanted, name, &number).await?;
        Ok(Answer::ok()
            .info("message", "Vault created")
            .with("VAULT", json!([shown(&made, Level::Admin)])))
    })
}

/// What was destroyed in it does not come back from a backup: the material is known again.
///
/// Names are not unique here, and other people's are nobody's business. They are in the engine: a
/// vault whose name is taken gets another one there.
async fn make(
    state: &State,
    call: &Call,
    wanted: &Wanted<'_>,
    name: &str,
    number: &str,
) -> Result<Arc<VaultRecord>, Failure> {
    let caller = call.caller()?;
    let own = format!("storedsafe-vault-{number}");
    let policy = wanted.policy.as_deref().unwrap_or(POLICY_NONE);
    let attributes = BTreeMap::from([
        (VAULT_ID.into(), attribute(number)),
        (VAULT_NAME.into(), attribute(name)),
        (VAULT_POLICY.into(), attribute(policy)),
        (VAULT_DESCRIPTION.into(), attribute(wanted.description.unwrap_or(name))),
    ]);
    for engine_name in [name, &own] {
        let Ok(engine_name) = engine_name.parse() else { continue };
        let request = VaultRequest {
            attributes: attributes.clone(),
            maker: Level::Admin.permissions(),
            policy: DeletionPolicy { refuse_reimport: true, ..DeletionPolicy::default() },
            ..VaultRequest::new(engine_name)
        };
        match state.engine.create_vault(caller, request).await {
            Err(EngineError::NameTaken(_)) => {}
            made => return Ok(made?),
        }
    }
    Err(Failure::internal())
}

pub(crate) fn edit(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let (found, level) = vault(&state, &call, Level::Admin)?;
        let wanted = Wanted::of(&call)?;
        let texts = [
            (VAULT_NAME, wanted.name),
            (VAULT_POLICY, wanted.policy.as_deref()),
            (VAULT_DESCRIPTION, wanted.description),
        ];
        let attributes = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name.into(), Some(attribute(text?)))))
            .collect();
        let change = VaultChange { attributes, ..VaultChange::default() };
        let changed = state.engine.update_vault(call.caller()?, found.id, &change).await?;
        Ok(Answer::ok()
            .info("message", "Vault updated")
            .with("VAULT", json!([shown(&changed, level)])))
    })
}

/// A vault with keys stays: its end would be that of its keys, whatever they allow.
pub(crate) fn delete(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let (found, _) = vault(&state, &call, Level::Admin)?;
        let caller = call.caller()?;
        if !caller.realm_permissions().contains(Permission::VaultsCreate) {
            let error = EngineError::PermissionDenied(Permission::VaultsCreate);
            return Err(refuse(&state, &call, Some(found.id), error));
        }
        state.engine.remove_vault(caller, found.id).await?;
        Ok(Answer::ok().info("message", "Vault deleted"))
    })
}
