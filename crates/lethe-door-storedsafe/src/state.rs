//! What all handlers share.

use core::fmt;
use std::sync::Arc;

use lethe_engine::{
    Caller, Collection, DocumentChange, DoorOperation, Engine, EngineError, Expected,
};
use lethe_types::limits::PAGE_DOCUMENTS_MAX;
use lethe_types::{Clock, Entropy, RealmId};

use crate::DOOR;
use crate::sessions::{Sessions, StoredLogin, TokenHash, hash_text, parse_hash};
use crate::settings::Settings;

/// Logins that outlive the server, by the hash of their token.
const LOGINS: Collection = Collection::named("login");

/// What all handlers share.
pub(crate) struct State {
    pub(crate) engine: Arc<Engine>,
    pub(crate) realm: RealmId,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) sessions: Sessions,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl State {
    /// The door itself, for what it keeps.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn own_caller(&self) -> Result<Caller, EngineError> {
        self.engine.system_caller(self.realm, DOOR)
    }

    /// Takes the logins that were stored. Blocks for reads of the store.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn restore_logins(&self) -> Result<(), EngineError> {
        let (caller, now) = (self.own_caller()?, self.clock.now());
        let mut after: Option<String> = None;
        loop {
            let page =
                self.engine.documents(&caller, LOGINS, "", after.as_deref(), PAGE_DOCUMENTS_MAX)?;
            for document in &page.documents {
                let stored: Option<StoredLogin> = serde_json::from_slice(&document.body).ok();
                if let (Some(hash), Some(stored)) = (parse_hash(&document.id), stored) {
                    self.sessions.restore(hash, &stored, now);
                }
            }
            match page.documents.last() {
                Some(last) if page.more => after = Some(last.id.clone()),
                Some(_) | None => return Ok(()),
            }
        }
    }

    /// Stores a login, and forgets others.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) async fn store_login(
        &self,
        caller: &Caller,
        hash: &TokenHash,
        ended: &[TokenHash],
    ) -> Result<(), EngineError> {
        let stored = self.sessions.to_store(hash);
        let body = stored.map(|stored| serde_json::to_vec(&stored).expect("a login is JSON"));
        let mut changes = vec![change(hash, body)];
        changes.extend(ended.iter().map(|hash| change(hash, None)));
        self.write_logins(caller, "storedsafe.login.store", changes).await
    }

    /// Forgets logins that ended.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) async fn forget_logins(
        &self,
        caller: &Caller,
        ended: &[TokenHash],
    ) -> Result<(), EngineError> {
        let changes = ended.iter().map(|hash| change(hash, None)).collect();
        self.write_logins(caller, "storedsafe.login.forget", changes).await
    }

    async fn write_logins(
        &self,
        caller: &Caller,
        name: &'static str,
        changes: Vec<DocumentChange>,
    ) -> Result<(), EngineError> {
        if !self.sessions.are_stored() || changes.is_empty() {
            return Ok(());
        }
        self.engine.write_documents(caller, DoorOperation::named(name), changes).await
    }
}

fn change(hash: &TokenHash, body: Option<Vec<u8>>) -> DocumentChange {
    DocumentChange { collection: LOGINS, id: hash_text(hash), expected: Expected::Anything, body }
}
