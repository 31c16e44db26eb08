//! The operations: parse, ask whether the caller may, one call of the engine, answer.

pub(crate) mod auth;
pub(crate) mod egress;
pub(crate) mod keys;
pub(crate) mod members;
pub(crate) mod unserved;
pub(crate) mod users;
pub(crate) mod uses;
pub(crate) mod utils;
pub(crate) mod vaults;

use std::sync::Arc;

use lethe_engine::record::VaultRecord;
use lethe_engine::{DoorOperation, EngineError, KeyEntry};
use lethe_types::{Permission, VaultId};

use crate::DOOR;
use crate::account::{Level, level_in, vault_id};
use crate::call::Call;
use crate::ciphertext::KeyType;
use crate::error::Failure;
use crate::state::State;

/// Longest name of a key, in bytes.
const KEY_NAME_BYTES_MAX: usize = 128;

/// The vault of the path and the caller's level in it.
///
/// # Errors
/// The same for a vault that there is not and for one that the caller is no member of, as for a
/// level below `needed`; recorded.
pub(crate) fn vault(
    state: &State,
    call: &Call,
    needed: Level,
) -> Result<(Arc<VaultRecord>, Level), Failure> {
    let caller = call.caller()?;
    let wanted = call.param("vaultid");
    let found = state.engine.visible_vaults(caller).into_iter();
    let found = found.filter(|vault| vault_id(vault) == wanted);
    let mut members = found.filter_map(|vault| Some((level_in(caller, vault.id)?, vault)));
    match members.next() {
        Some((level, vault)) if level >= needed => Ok((vault, level)),
        other => {
            let vault = other.map(|(_, vault)| vault.id);
            let lacking = match needed {
                Level::Read => Permission::KeysRead,
                Level::Write => Permission::KeysCreate,
                Level::Admin => Permission::VaultsAdmin,
            };
            Err(refuse(state, call, vault, EngineError::PermissionDenied(lacking)))
        }
    }
}

/// The failure for what the door itself refuses, recorded.
pub(crate) fn refuse(
    state: &State,
    call: &Call,
    vault: Option<VaultId>,
    error: EngineError,
) -> Failure {
    let Ok(caller) = call.caller() else { return Failure::token_invalid() };
    let subject = vault.map(|vault| vault.0);
    let operation = DoorOperation { subject, ..DoorOperation::named(call.op()) };
    match state.engine.decide(caller, operation, Some(error)) {
        Ok(()) => Failure::internal(),
        Err(error) => error.into(),
    }
}

/// The name of the path, if it is one.
pub(crate) fn key_name<'a>(state: &State, call: &'a Call) -> Result<&'a str, Failure> {
    let name = call.param("name");
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if begins && name.len() <= KEY_NAME_BYTES_MAX && name.bytes().all(fits) {
        return Ok(name);
    }
    let why = "letters, digits, `.`, `_` and `-`".to_owned();
    Err(refuse(state, call, None, EngineError::InvalidField { field: "name", why }))
}

/// What a name in a vault stands for.
pub(crate) enum Named {
    Live(Arc<KeyEntry>, KeyType),
    /// It was deleted.
    Gone,
    Never,
}

/// How the door finds a key by its name.
pub(crate) fn alias(vault: VaultId, name: &str) -> String {
    format!("{vault}/{name}")
}

pub(crate) fn named(state: &State, vault: VaultId, name: &str) -> Named {
    let text = alias(vault, name);
    let Some(entry) = state.engine.key_with_alias(state.realm, DOOR, &text) else {
        return Named::Never;
    };
    let record = entry.record();
    match KeyType::of(record.algorithm) {
        _ if record.state.is_destroyed() => Named::Gone,
        Some(key_type) => Named::Live(entry, key_type),
        None => Named::Never,
    }
}

/// The key of the path, in a vault in which the caller has at least this level.
///
/// # Errors
/// In the order of the protocol: name, vault and level, key; recorded.
pub(crate) fn key(
    state: &State,
    call: &Call,
    needed: Level,
) -> Result<(Arc<KeyEntry>, KeyType), Failure> {
    let name = key_name(state, call)?;
    let (vault, _) = vault(state, call, needed)?;
    match named(state, vault.id, name) {
        Named::Live(entry, key_type) => Ok((entry, key_type)),
        Named::Gone | Named::Never => {
            Err(refuse(state, call, Some(vault.id), EngineError::ItemNotFound("key")))
        }
    }
}
