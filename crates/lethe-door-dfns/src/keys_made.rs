//! Where the children of a key are, and what its store is called.

use std::sync::Arc;

use lethe_engine::{Caller, EngineError, KeyEntry, KeyFilter};
use lethe_types::limits::PAGE_KEYS_MAX;
use lethe_types::{KeyId, RealmId};

use crate::error::Refusal;
use crate::ids::{self, Prefix};
use crate::state::State;

/// The one store of an organization.
pub(crate) fn store_id(realm: RealmId) -> String {
    ids::id(Prefix::Store, &realm.0)
}

/// Every key that was ever derived from this one.
pub(crate) fn children(
    state: &State,
    caller: &Caller,
    parent: KeyId,
    with_archived: bool,
) -> Result<Vec<Arc<KeyEntry>>, EngineError> {
    let filter =
        KeyFilter { derived_from: Some(parent), destroyed: with_archived, ..KeyFilter::default() };
    let (mut all, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = state.engine.list_keys(caller, &filter, cursor.as_deref(), PAGE_KEYS_MAX)?;
        all.extend(page.keys);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(all),
        }
    }
}

/// The first number from `from` on that no child was ever derived with in one step.
pub(crate) fn next_index(state: &State, parent: KeyId, from: u32) -> Result<u32, Refusal> {
    if from > 0 {
        return Ok(from);
    }
    let children = children(state, &state.system()?, parent, true)?;
    let used = children.iter().filter_map(|child| {
        let path = &child.record().details().derivation.as_ref()?.path;
        path.strip_prefix("m/")?.parse::<u32>().ok()
    });
    Ok(used.max().map_or(0, |last| last.saturating_add(1)))
}

/// The child of that path.
pub(crate) fn child(
    state: &State,
    parent: KeyId,
    path: &str,
) -> Result<Option<Arc<KeyEntry>>, Refusal> {
    let children = children(state, &state.system()?, parent, true)?;
    Ok(children.into_iter().find(|child| {
        let derivation = child.record().details().derivation.as_ref();
        derivation.is_some_and(|derivation| &*derivation.path == path)
    }))
}
