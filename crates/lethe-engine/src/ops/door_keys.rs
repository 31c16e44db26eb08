//! What doors need that know keys by identifiers of their own and give out tokens to use them:
//! a key by its identifier, numbered pages, and the secrets and attributes behind tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_store::Revision;
use lethe_types::limits::PAGE_KEYS_MAX;
use lethe_types::{CredentialId, KeyId, Permission, PrincipalId, RealmId, SecretVec, VaultId};

use super::KeyChange;
use crate::authz::{Caller, ManageTokens, ReadKey};
use crate::catalogue::KeyEntry;
use crate::{Engine, EngineError};

/// What is to change in the tokens that a door gave out for a key; what is not named stays.
#[derive(Debug, Default)]
pub struct TokensChange {
    /// Attributes to set, or to take away where there is no value.
    pub attributes: BTreeMap<Box<str>, Option<Box<[u8]>>>,
    /// Secrets that die with the key: to set (what the name held before is erased), or to erase
    /// where there is no value.
    pub secrets: Vec<(Box<str>, Option<SecretVec>)>,
}

/// Keys of a vault around one page of them.
#[derive(Debug)]
pub struct NumberedPage {
    /// The keys, oldest first: those of the page, and all that were made in the same milliseconds
    /// as its first and its last one, so that a door can have its own order among them.
    pub keys: Vec<Arc<KeyEntry>>,
    /// How many of them stand before the page.
    pub before: usize,
    /// How many there are on all pages.
    pub total: usize,
}

impl Engine {
    /// Whose the identifier is at a door: the key that has its material, or the newest that had.
    ///
    /// Asks nobody's permission: for doors whose callers name keys by identifiers that are no
    /// secret. Whether the caller may do anything with the key, the operation decides.
    #[must_use]
    pub fn key_with_alias(&self, realm: RealmId, door: &str, text: &str) -> Option<Arc<KeyEntry>> {
        self.shared.catalogue.alias(realm, door, text)
    }

    /// The principal of `realm` that has a credential with the name `external`, and that
    /// credential. Proves nothing: see [`Engine::caller_of`].
    #[must_use]
    pub fn holder_of(&self, realm: RealmId, external: &str) -> Option<(PrincipalId, CredentialId)> {
        let (entry, credential) = self.shared.catalogue.by_external(realm, external)?;
        Some((entry.record().id, credential))
    }

    /// Up to `limit` (at most [`PAGE_KEYS_MAX`]) keys of `vault` that have their material and that
    /// the caller may see, oldest first, without the first `from`; what stands beside them, and how
    /// many there are. Looks only at the keys that it returns, or at those that the caller's grants
    /// name.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for a limit of 0 or over the bound;
    /// [`EngineError::AuditUnavailable`]. Audited as a read.
    pub fn numbered_keys(
        &self,
        caller: &Caller,
        vault: VaultId,
        from: usize,
        limit: usize,
    ) -> Result<NumberedPage, EngineError> {
        let result = if (1..=PAGE_KEYS_MAX).contains(&limit) {
            Ok(self.numbered_unaudited(caller, vault, from, limit))
        } else {
            let why = format!("must be 1 to {PAGE_KEYS_MAX}");
            Err(EngineError::InvalidField { field: "limit", why })
        };
        let now = self.shared.clock.now();
        self.audit::<ReadKey>(caller, now, None, result.as_ref().err())?;
        result
    }

    fn numbered_unaudited(
        &self,
        caller: &Caller,
        vault: VaultId,
        from: usize,
        limit: usize,
    ) -> NumberedPage {
        if caller.may_in(Permission::KeysRead, Some(vault)) {
            let (keys, before, total) =
                self.shared.catalogue.numbered(caller.realm(), vault, from, limit);
            return NumberedPage { keys, before, total };
        }
        let named = caller.keys_with(Permission::KeysRead);
        let mut keys: Vec<_> = named.filter_map(|key| self.shared.catalogue.key(key)).collect();
        keys.retain(|entry| {
            let record = entry.record();
            record.vault == vault && !record.state.is_destroyed() && caller.may_read(record)
        });
        keys.sort_by_key(|entry| (entry.record().created, entry.record().id));
        let total = keys.len();
        // They are few: all of them stand beside the page.
        NumberedPage { keys, before: from, total }
    }

    /// The secret of that name that dies with the key; `None` if the key has none, or it is gone.
    ///
    /// Asks nobody's permission and leaves no event: for doors, which check proofs with it.
    ///
    /// # Errors
    /// [`EngineError::Internal`] if the erasure tree does not open.
    pub fn open_key_secret(
        &self,
        entry: &KeyEntry,
        name: &str,
    ) -> Result<Option<SecretVec>, EngineError> {
        let record = entry.record();
        let secret = record.details().secrets.iter().find(|secret| &*secret.name == name);
        let Some(secret) = secret.filter(|_| !entry.is_closing()) else { return Ok(None) };
        let record_key = self
            .shared
            .tree
            .read()
            .record_key(secret.leaf)
            .map_err(|_| EngineError::Internal("the erasure tree does not open"))?;
        Ok(record_key.and_then(|record_key| {
            crate::seal::open_secret(self.shared.tree_id, record.id.0, secret, &record_key)
        }))
    }

    /// Changes what a door keeps with a key for the tokens that it gives out. `expected` is the
    /// revision that the caller saw, if it cares.
    ///
    /// # Errors
    /// As [`Engine::update_key`]; it needs `apikeys.manage` on the key instead of `keys.update`.
    pub async fn change_key_tokens(
        &self,
        caller: &Caller,
        key: KeyId,
        change: TokensChange,
        expected: Option<Revision>,
    ) -> Result<Arc<KeyEntry>, EngineError> {
        let TokensChange { attributes, secrets } = change;
        let change = KeyChange { attributes, secrets, ..KeyChange::default() };
        self.update_key_as::<ManageTokens>(caller, key, &change, expected).await
    }
}
