//! Where the children of a key are, and what its store is called.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_engine::{Caller, EngineError, KeyEntry, KeyFilter};
use lethe_types::limits::PAGE_KEYS_MAX;
use lethe_types::{KeyId, RealmId};
use parking_lot::Mutex;

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

/// The numbers after the last children of keys. Whoever finds theirs used takes the next one.
#[derive(Debug, Default)]
pub(crate) struct NextChildren(Mutex<BTreeMap<KeyId, u32>>);

/// Most keys whose next child is remembered; over it all are sought anew.
const REMEMBERED_MAX: usize = 65_536;

/// A number that no child was derived with in one step, unless somebody named it since.
///
/// # Errors
/// The engine's; 400 if there is none left.
pub(crate) fn next_index(state: &State, parent: KeyId) -> Result<u32, Refusal> {
    let known = state.next_children.0.lock().get(&parent).copied();
    let next = match known {
        Some(next) => next,
        None => {
            let children = children(state, &state.system()?, parent, true)?;
            let used = children.iter().filter_map(|child| {
                let path = &child.record().details().derivation.as_ref()?.path;
                path.strip_prefix("m/")?.parse::<u32>().ok()
            });
            used.max().map_or(0, |last| last.saturating_add(1))
        }
    };
    let mut all = state.next_children.0.lock();
    if all.len() >= REMEMBERED_MAX {
        all.clear();
    }
    // Two at a time each take another one.
    let place = all.entry(parent).or_insert(next);
    let next = (*place).max(next);
    *place = next.saturating_add(1);
    match next < HARDENED {
        true => Ok(next),
        false => Err(Refusal::field("deriveFrom.path", "must be named: the last one is used")),
    }
}

/// Numbers from here on are of children that are not derived here.
const HARDENED: u32 = 1 << 31;

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
