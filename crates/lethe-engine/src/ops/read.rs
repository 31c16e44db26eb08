//! See keys.

use std::sync::Arc;

use lethe_types::limits::PAGE_KEYS_MAX;
use lethe_types::{KeyId, UnixMillis, VaultId};

use crate::authz::{self, Caller, ReadKey};
use crate::catalogue::KeyEntry;
use crate::{Engine, EngineError};

/// Which keys a list shows.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// Only keys of this vault.
    pub vault: Option<VaultId>,
    /// Only keys of exactly this name.
    pub name: Option<String>,
    /// Destroyed keys (tombstones) too.
    pub destroyed: bool,
    pub labels: Vec<(lethe_types::LabelName, Option<lethe_types::LabelValue>)>,
}

/// One page of a list, oldest key first.
#[derive(Debug)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<Arc<KeyEntry>>,
    /// Where the next page starts, if there may be one.
    pub next: Option<(UnixMillis, KeyId)>,
}

impl Engine {
    /// The key's metadata, or its tombstone.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn read_key(&self, caller: &Caller, key: KeyId) -> Result<Arc<KeyEntry>, EngineError> {
        let result = self
            .load(key)
            .and_then(|entry| authz::check::<ReadKey>(caller, entry))
            .map(|proof| proof.entry().clone());
        let now = self.shared.clock.now();
        self.audit::<ReadKey>(caller, now, Some(key), result.as_ref().err())?;
        result
    }

    /// Up to `limit` (at most [`PAGE_KEYS_MAX`]) keys that the caller may see, oldest first, after
    /// `after`.
    ///
    /// Keys that the caller may not see are left out, as if they were not there.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for a limit of 0 or over the bound.
    pub fn list_keys(
        &self,
        caller: &Caller,
        filter: &KeyFilter,
        after: Option<(UnixMillis, KeyId)>,
        limit: usize,
    ) -> Result<KeyPage, EngineError> {
        let now = self.shared.clock.now();
        if !(1..=PAGE_KEYS_MAX).contains(&limit) {
            let error = EngineError::InvalidField {
                field: "limit",
                why: format!("must be 1 to {PAGE_KEYS_MAX}"),
            };
            self.audit::<ReadKey>(caller, now, None, Some(&error))?;
            return Err(error);
        }
        let mut keys = self.shared.catalogue.page(caller.realm(), after, limit + 1, |entry| {
            let record = entry.record();
            (filter.destroyed || !record.state.is_destroyed())
                && filter.vault.is_none_or(|vault| vault == record.vault)
                && filter.name.as_deref().is_none_or(|name| name == record.name.as_str())
                && caller.may_read(record)
        });
        self.audit::<ReadKey>(caller, now, None, None)?;
        let next = (keys.len() > limit).then(|| {
            keys.truncate(limit);
            keys.last().map(|entry| (entry.record().created, entry.record().id))
        });
        Ok(KeyPage { keys, next: next.flatten() })
    }
}
