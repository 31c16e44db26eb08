//! Which key of the engine a key of the dialect is, and where its children are.

use std::sync::Arc;

use lethe_engine::{Caller, EngineError, KeyEntry, KeyFilter};
use lethe_types::limits::PAGE_KEYS_MAX;
use lethe_types::{KeyId, RealmId};

use crate::error::Refusal;
use crate::ids::{self, Prefix};
use crate::state::State;
use crate::wire::{Curve, Scheme};

/// The algorithm of a pair of scheme and curve; `None` for a pair that does not go together, or
/// for a master key that is not served.
pub(crate) fn algorithm(scheme: Scheme, curve: Curve, is_master: bool) -> Option<&'static str> {
    match (scheme, curve, is_master) {
        (Scheme::Ecdsa, Curve::Secp256k1, false) => Some("ecdsa-secp256k1"),
        (Scheme::Schnorr, Curve::Secp256k1, false) => Some("bip340-secp256k1"),
        (Scheme::Ecdsa | Scheme::Schnorr, Curve::Secp256k1, true) => Some("bip32-secp256k1"),
        (Scheme::Dh, Curve::Secp256k1, false) => Some("ecdh-secp256k1"),
        (Scheme::EdDsa, Curve::Ed25519, false) => Some("ed25519"),
        (Scheme::Ecdsa, Curve::Stark, false) => Some("stark"),
        _ => None,
    }
}

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
pub(crate) fn next_index(
    state: &State,
    caller: &Caller,
    parent: KeyId,
    from: u32,
) -> Result<u32, Refusal> {
    if from > 0 {
        return Ok(from);
    }
    let _ = caller;
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
