//! Makes what the journal tells true in restored rows: tombstones as they were, and out of records
//! that went on whatever was cut from them.
//!
//! A record that went on may name things that came after the backup and are lost. So it is the
//! backup's record that stays, less what was cut.

use std::collections::{BTreeMap, BTreeSet};

use lethe_store::limits::PAGE_ROWS_MAX;
use lethe_store::{Batch, Store, StoreKey, Write};

use super::super::StartError;
use super::super::load::rows;
use super::RestoreError;
use crate::journal::RootChange;
use crate::keys;
use crate::record::codec::{
    decode_import_key, decode_key, decode_principal, encode_key, encode_principal,
};
use crate::record::{Credential, KeyRecord, PrincipalRecord};

/// Writes of one transaction.
const WRITES_AT_ONCE: usize = 4_096;

/// Applies the rows of all changes, oldest first.
pub(super) fn destroy_again(
    store: &dyn Store,
    changes: &BTreeMap<u64, RootChange>,
    cuts: &BTreeSet<u64>,
) -> Result<(), RestoreError> {
    let mut pending = Pending { store, batch: Batch::new(), keys: BTreeSet::new() };
    for (key, value) in changes.values().flat_map(|change| &change.rows) {
        // One row may come several times: each is merged with what the one before left.
        if pending.keys.contains(key) {
            pending.flush()?;
        }
        if let Some(value) = merged(store, key, value, cuts)? {
            pending.push(Write::Put { key: key.clone(), value })?;
        }
    }
    pending.flush()?;
    drop_import_keys(store, cuts)
}

/// What the row is to hold; `None` if it stays as it is.
fn merged(
    store: &dyn Store,
    key: &StoreKey,
    journaled: &[u8],
    cuts: &BTreeSet<u64>,
) -> Result<Option<Vec<u8>>, RestoreError> {
    let damaged = |what| StartError::Damaged(what);
    let space = key.space();
    if space == keys::VERSION_END {
        return Ok(Some(journaled.to_vec()));
    }
    if space == keys::KEY {
        let then = decode_key(journaled).map_err(|error| damaged(error.0))?;
        if then.destruction.is_some() {
            return Ok(Some(journaled.to_vec()));
        }
        let Some(row) = store.get(key)? else { return Ok(None) };
        let mut record = decode_key(&row.value).map_err(|error| damaged(error.0))?;
        cut_key(&mut record, &then, cuts);
        return Ok(Some(encode_key(&record)));
    }
    if space == keys::PRINCIPAL {
        let then = decode_principal(journaled).map_err(|_| damaged("a principal"))?;
        let Some(row) = store.get(key)? else { return Ok(None) };
        let mut record = decode_principal(&row.value).map_err(|_| damaged("a principal"))?;
        cut_principal(&mut record, &then, cuts);
        return Ok(Some(encode_principal(&record)));
    }
    Ok(None)
}

/// Versions and secrets of `record` that were cut go; what `then` says of their end stays.
fn cut_key(record: &mut KeyRecord, then: &KeyRecord, cuts: &BTreeSet<u64>) {
    if record.destruction.is_some() {
        return;
    }
    record.versions.retain(|version| !cuts.contains(&version.leaf));
    record.next_version = record.next_version.max(then.next_version);
    let is_cut = |leaf: u64| cuts.contains(&leaf);
    if record.details().secrets.iter().any(|secret| is_cut(secret.leaf)) {
        record.details_mut().secrets.retain(|secret| !is_cut(secret.leaf));
    }
    let known = &record.life().destroyed_versions;
    let ended = then.life().destroyed_versions.iter();
    let is_new = |number: u32| !known.iter().any(|version| version.number == number);
    let ended: Vec<_> = ended.filter(|version| is_new(version.number)).copied().collect();
    if !ended.is_empty() {
        let life = record.life_mut();
        for version in &ended {
            life.changed_versions.remove(&version.number);
        }
        life.destroyed_versions.extend(ended);
        life.destroyed_versions.sort_by_key(|version| version.number);
    }
}

/// Credentials whose secret was cut go, and with them the right to act if that was taken.
fn cut_principal(record: &mut PrincipalRecord, then: &PrincipalRecord, cuts: &BTreeSet<u64>) {
    let is_cut = |credential: &Credential| {
        let secret = credential.secret().filter(|secret| secret.is_sealed());
        secret.is_some_and(|secret| cuts.contains(&secret.leaf))
    };
    record.credentials.retain(|credential| !is_cut(credential));
    record.revoked = record.revoked.or(then.revoked);
    record.suspended |= then.suspended;
}

/// Import keys that were used or whose time was over: their rows were removed.
fn drop_import_keys(store: &dyn Store, cuts: &BTreeSet<u64>) -> Result<(), RestoreError> {
    let mut gone = Vec::new();
    rows(store, keys::IMPORT_KEY, |_, row| {
        let record = decode_import_key(&row.value);
        let record = record.map_err(|_| StartError::Damaged("an import key"))?;
        if cuts.contains(&record.secret.leaf) {
            gone.push(keys::import_key(record.id));
        }
        Ok(())
    })?;
    let page = usize::try_from(PAGE_ROWS_MAX).unwrap_or(usize::MAX);
    for piece in gone.chunks(page) {
        store.commit(piece.iter().cloned().fold(Batch::new(), Batch::delete))?;
    }
    Ok(())
}

/// Writes that are collected into transactions.
struct Pending<'a> {
    store: &'a dyn Store,
    batch: Batch,
    keys: BTreeSet<StoreKey>,
}

impl Pending<'_> {
    fn push(&mut self, write: Write) -> Result<(), RestoreError> {
        self.keys.insert(write.key().clone());
        self.batch.push(write);
        if self.keys.len() >= WRITES_AT_ONCE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), RestoreError> {
        if !self.keys.is_empty() {
            self.store.commit(std::mem::take(&mut self.batch))?;
            self.keys.clear();
        }
        Ok(())
    }
}
