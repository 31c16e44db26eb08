//! What all doors of one organization have in common: several of them may be open in a server, with
//! settings of their own, and each must know what was changed or begun through another.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use lethe_engine::{Caller, Engine, EngineError};
use lethe_types::RealmId;
use parking_lot::Mutex;

use crate::actions::Actions;
use crate::keys_made::NextChildren;
use crate::permissions::PermissionTable;

/// The part of the state that the doors of an organization share.
pub(crate) struct Shared {
    /// So that no other engine comes to be where this one is.
    engine: Arc<Engine>,
    pub(crate) permissions: PermissionTable,
    pub(crate) actions: Actions,
    pub(crate) next_children: NextChildren,
    /// Changes of who may do what, one at a time: each reads what it writes.
    pub(crate) granting: tokio::sync::Mutex<()>,
}

/// By where the engine is, and the organization.
type Place = (usize, [u8; 16]);

static SHARED: Mutex<BTreeMap<Place, Weak<Shared>>> = Mutex::new(BTreeMap::new());

impl Shared {
    /// That of the organization; the first door of it loads what is stored. Blocks for reads of
    /// the store.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn of(
        engine: &Arc<Engine>,
        realm: RealmId,
        caller: &Caller,
    ) -> Result<Arc<Self>, EngineError> {
        let place = (Arc::as_ptr(engine).addr(), realm.0);
        let mut all = SHARED.lock();
        all.retain(|_, shared| shared.strong_count() > 0);
        if let Some(there) = all.get(&place).and_then(Weak::upgrade) {
            return Ok(there);
        }
        let shared = Arc::new(Self {
            engine: engine.clone(),
            permissions: PermissionTable::load(engine, caller)?,
            actions: Actions::default(),
            next_children: NextChildren::default(),
            granting: tokio::sync::Mutex::new(()),
        });
        all.insert(place, Arc::downgrade(&shared));
        Ok(shared)
    }
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let engine = Arc::as_ptr(&self.engine);
        f.debug_struct("Shared").field("engine", &engine).finish_non_exhaustive()
    }
}
