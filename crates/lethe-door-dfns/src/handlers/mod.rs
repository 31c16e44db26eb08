//! One function for each operation: parse, ask the engine, render.

pub(crate) mod actions;
pub(crate) mod codes;
pub(crate) mod credentials;
pub(crate) mod delegate;
pub(crate) mod delete;
pub(crate) mod keys;
pub(crate) mod logs;
pub(crate) mod organization;
pub(crate) mod pats;
pub(crate) mod people;
pub(crate) mod permissions;
pub(crate) mod proof;
pub(crate) mod recovery;
pub(crate) mod registration;
pub(crate) mod service_accounts;
pub(crate) mod sessions;
pub(crate) mod shares;
pub(crate) mod signatures;
pub(crate) mod stores;

use std::sync::Arc;

use lethe_engine::{EngineError, KeyEntry};
use lethe_types::Permission;
use serde_json::{Value, json};

use crate::auth::refuse;
use crate::call::Call;
use crate::error::{KEY_NOT_FOUND, Refusal};
use crate::ids::{self, Prefix};
use crate::state::State;
use crate::{DOOR, wire};

/// The key of that identifier, an archived one too.
///
/// # Errors
/// 404, the same for a key that never was, that is another organization's, or that an end user was
/// not given.
pub(crate) fn known_key(state: &State, call: &Call, id: &str) -> Result<Arc<KeyEntry>, Refusal> {
    let identity = call.identity()?;
    let found = ids::parse(Prefix::Key, id)
        .and_then(|_| state.engine.key_with_alias(state.realm, DOOR, id))
        .filter(|entry| {
            let may_see = identity.caller.may_on(Permission::KeysRead, entry);
            may_see || !identity.is_end_user()
        });
    match found {
        Some(entry) => Ok(entry),
        None => {
            let details = json!({"keyId": id, "orgId": ids::org(state.realm)});
            let refusal = Refusal::not_found(KEY_NOT_FOUND, details);
            refuse(state, &identity.caller, call.op, refusal)
        }
    }
}

/// The same for a key that is not archived.
///
/// # Errors
/// 404 also for an archived one, which says so.
pub(crate) fn active_key(state: &State, call: &Call, id: &str) -> Result<Arc<KeyEntry>, Refusal> {
    let entry = known_key(state, call, id)?;
    if !entry.record().state.is_destroyed() {
        return Ok(entry);
    }
    refuse(state, call.caller()?, call.op, archived(state, &entry))
}

/// The refusal of everything that is asked of an archived key.
pub(crate) fn archived(state: &State, entry: &KeyEntry) -> Refusal {
    let mut details = json!({
        "keyId": wire::key_id(entry.record()),
        "orgId": ids::org(state.realm),
        "status": "Archived",
    });
    if let (Some(end), Some(members)) = (&entry.record().destruction, details.as_object_mut()) {
        let deleted = Value::String(end.unusable_since.to_string());
        members.insert("dateDeleted".to_owned(), deleted);
    }
    Refusal::not_found(KEY_NOT_FOUND, details)
}

/// What the engine refuses about a key, in the words of the dialect.
pub(crate) fn of_key(state: &State, key: &KeyEntry, error: EngineError) -> Refusal {
    let is_gone =
        matches!(error, EngineError::DestructionInProgress(_) | EngineError::ObjectDestroyed(_));
    if !is_gone {
        return error.into();
    }
    let now = state.engine.key_with_alias(state.realm, DOOR, wire::key_id(key.record()));
    archived(state, now.as_deref().unwrap_or(key))
}

/// The page that the query asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) limit: usize,
    pub(crate) token: Option<String>,
}

const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 500;

impl Page {
    /// # Errors
    /// 400.
    pub(crate) fn of(call: &Call) -> Result<Self, Refusal> {
        let limit = match call.query("limit") {
            None => PAGE_DEFAULT,
            Some(text) => {
                let is_plain =
                    (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
                let number: Option<usize> = is_plain.then(|| text.parse().ok()).flatten();
                let number = number.filter(|number| (1..=PAGE_MAX).contains(number));
                number.ok_or_else(|| Refusal::field("limit", "must be an integer from 1 to 500"))?
            }
        };
        // A library writes it so.
        let token = call.query("paginationToken").or_else(|| call.query("pagination_token"));
        if token.as_ref().is_some_and(String::is_empty) {
            return Err(bad_page_token());
        }
        Ok(Self { limit, token })
    }
}

pub(crate) fn bad_page_token() -> Refusal {
    Refusal::field("paginationToken", "is not one of this list")
}

/// A list with the way to its next page.
pub(crate) fn page_of(items: Vec<Value>, next: Option<String>) -> Value {
    let mut value = json!({"items": items});
    if let (Some(next), Some(members)) = (next, value.as_object_mut()) {
        members.insert("nextPageToken".to_owned(), Value::String(next));
    }
    value
}
