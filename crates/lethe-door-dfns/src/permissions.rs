//! Named sets of operations, which clients call permissions. They are documents; all of them are
//! also in memory, since every request asks for some.

use std::collections::BTreeMap;

use lethe_engine::{
    Caller, Collection, DocumentChange, DoorOperation, Engine, EngineError, Expected,
};
use lethe_types::limits::PAGE_DOCUMENTS_MAX;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use crate::operations::{self, Operations};

const PERMISSIONS: Collection = Collection::named("permission");

/// The name of the set of all operations.
pub(crate) const FULL_ACCESS: &str = "ManagedFullAdminAccess";
/// Most permissions of one organization.
pub(crate) const PERMISSIONS_MAX: usize = 10_000;

/// A permission as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Permission {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Empty where it is every operation that there is, those of later versions included.
    pub(crate) operations: Vec<String>,
    pub(crate) is_everything: bool,
    pub(crate) archived: bool,
    pub(crate) created: u64,
    pub(crate) updated: u64,
}

impl Permission {
    /// What it gives; nothing once it is archived.
    pub(crate) fn operations(&self) -> Operations {
        match (self.archived, self.is_everything) {
            (true, _) => Operations::new(),
            (false, true) => operations::all(),
            (false, false) => self.named(),
        }
    }

    /// The operations that it names.
    pub(crate) fn named(&self) -> Operations {
        match self.is_everything {
            true => operations::all(),
            false => self.operations.iter().filter_map(|name| operations::named(name)).collect(),
        }
    }
}

/// All permissions.
#[derive(Debug, Default)]
pub(crate) struct PermissionTable(RwLock<BTreeMap<String, Permission>>);

impl PermissionTable {
    /// Those that are stored. Blocks for reads of the store.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn load(engine: &Engine, caller: &Caller) -> Result<Self, EngineError> {
        let mut all = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let page =
                engine.documents(caller, PERMISSIONS, "", after.as_deref(), PAGE_DOCUMENTS_MAX)?;
            for document in &page.documents {
                let read: Permission = serde_json::from_slice(&document.body)
                    .map_err(|_| EngineError::Internal("a stored permission"))?;
                all.insert(document.id.clone(), read);
            }
            match page.documents.last() {
                Some(last) if page.more => after = Some(last.id.clone()),
                Some(_) | None => return Ok(Self(RwLock::new(all))),
            }
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<Permission> {
        self.0.read().get(id).cloned()
    }

    /// What the permission gives; nothing if there is none.
    pub(crate) fn operations(&self, id: &str) -> Operations {
        self.0.read().get(id).map(Permission::operations).unwrap_or_default()
    }

    /// In the order in which they were made.
    pub(crate) fn all(&self) -> Vec<Permission> {
        let mut all: Vec<Permission> = self.0.read().values().cloned().collect();
        all.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
        all
    }

    /// Stores a permission, new or changed.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) async fn put(
        &self,
        engine: &Engine,
        caller: &Caller,
        operation: DoorOperation,
        permission: Permission,
    ) -> Result<(), EngineError> {
        let body = serde_json::to_vec(&permission).expect("a permission is JSON");
        let change = DocumentChange {
            collection: PERMISSIONS,
            id: permission.id.clone(),
            expected: Expected::Anything,
            body: Some(body),
        };
        engine.write_documents(caller, operation, vec![change]).await?;
        self.0.write().insert(permission.id.clone(), permission);
        Ok(())
    }
}
