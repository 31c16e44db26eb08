//! Everything that the store holds, into memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use lethe_erasure::allocator::Allocator;
use lethe_erasure::tree::Tree;
use lethe_log::{Entry, LogTree, leaf_hash};
use lethe_store::{Page, Space, Store, StoreError, Versioned};
use lethe_types::limits::SHARED_TEXTS_ENTRIES_MAX;
use lethe_types::{KeyId, LabelName, LabelValue, RealmId, Secret, UnixMillis};

use super::recover::{meta, secret};
use super::{LogHead, Parts, StartError};
use crate::catalogue::{Catalogue, KeyEntry, Usage, UsageRow};
use crate::idempotency::{Idempotency, Remembered};
use crate::log_view::StoredTiles;
use crate::record::KeyRecord;
use crate::record::codec::{
    Undecodable, decode_approval, decode_import_key, decode_job, decode_key, decode_principal,
    decode_realm, decode_vault,
};
use crate::{PrincipalEntry, keys, system};

/// Rows that are read at once.
const PAGE_ROWS: u32 = 4_096;
/// Pages that are read before they are asked for.
const PAGES_AHEAD: usize = 1;

/// What the store holds.
pub(super) struct Loaded {
    pub(super) catalogue: Catalogue,
    pub(super) idempotency: Idempotency,
    pub(super) log: LogTree,
    pub(super) log_seed: Secret<32>,
    pub(super) pepper: Secret<32>,
    pub(super) origin: String,
    /// Time of the newest log entry.
    pub(super) newest_entry: UnixMillis,
    /// What live versions, the secrets of keys and principals, and Lethe's own secrets claim. Bits,
    /// not a list: of ten million leaves that would be 240 MB.
    pub(super) leaves: Allocator,
    /// Epoch and leaves of every destruction.
    pub(super) destructions: Vec<(u64, Vec<u64>)>,
}

pub(super) fn load(parts: &Parts, tree: &Tree) -> Result<Loaded, StartError> {
    let origin = String::from_utf8(meta(parts, "origin")?);
    let (seed_leaf, log_seed) = secret(parts, tree, system::LOG_SEED)?;
    let (pepper_leaf, pepper) = secret(parts, tree, system::PEPPER)?;
    let (log, newest_entry) = load_log(parts)?;
    let mut loaded = Loaded {
        catalogue: Catalogue::default(),
        idempotency: Idempotency::default(),
        log,
        log_seed,
        pepper,
        origin: origin.map_err(|_| StartError::Damaged("the log's name"))?,
        newest_entry,
        leaves: Allocator::new(),
        destructions: Vec::new(),
    };
    claim(&mut loaded.leaves, system::REALM, [seed_leaf, pepper_leaf])?;
    load_owners(&*parts.store, &mut loaded)?;
    load_work(&*parts.store, &mut loaded)?;
    load_keys(&*parts.store, &mut loaded)?;
    load_idempotency(&*parts.store, &loaded)?;
    Ok(loaded)
}

/// Import keys, requests for approval, bulk destructions, and cuts that no tombstone lists.
fn load_work(store: &dyn Store, loaded: &mut Loaded) -> Result<(), StartError> {
    let Loaded { catalogue, destructions, leaves, .. } = loaded;
    rows(store, keys::IMPORT_KEY, |_, row| {
        let record = decode_import_key(&row.value).map_err(|_| damaged("an import key"))?;
        claim(leaves, record.realm, [record.secret.leaf])?;
        catalogue.publish_import_key(record);
        Ok(())
    })?;
    rows(store, keys::APPROVAL, |_, row| {
        let record = decode_approval(&row.value);
        catalogue.publish_approval(record.map_err(|_| damaged("a request for approval"))?);
        Ok(())
    })?;
    rows(store, keys::JOB, |_, row| {
        let record = decode_job(&row.value);
        catalogue.publish_job(record.map_err(|_| damaged("a bulk destruction"))?);
        Ok(())
    })?;
    rows(store, keys::CUT, |key, row| {
        let damaged = || damaged("a list of cuts");
        let epoch = key.try_into().map(u64::from_be_bytes).map_err(|_| damaged())?;
        let (leaves, []) = row.value.as_chunks::<8>() else { return Err(damaged()) };
        destructions.push((epoch, leaves.iter().copied().map(u64::from_be_bytes).collect()));
        Ok(())
    })
}

fn load_owners(store: &dyn Store, loaded: &mut Loaded) -> Result<(), StartError> {
    let Loaded { catalogue, leaves, .. } = loaded;
    rows(store, keys::REALM, |_, row| {
        catalogue.publish_realm(decode_realm(&row.value).map_err(|_| damaged("a realm"))?);
        Ok(())
    })?;
    rows(store, keys::VAULT, |_, row| {
        catalogue.publish_vault(decode_vault(&row.value).map_err(|_| damaged("a vault"))?);
        Ok(())
    })?;
    rows(store, keys::PRINCIPAL, |_, row| {
        let record = decode_principal(&row.value).map_err(|_| damaged("a principal"))?;
        claim(leaves, record.realm, record.leaves())?;
        catalogue.publish_principal(Arc::new(PrincipalEntry::new(record, row.revision)));
        Ok(())
    })
}

fn load_keys(store: &dyn Store, loaded: &mut Loaded) -> Result<(), StartError> {
    let Loaded { catalogue, leaves: claimed, destructions, .. } = loaded;
    let mut usage = load_usage(store)?;
    let (mut entries, mut texts) = (Vec::new(), SharedTexts::default());
    rows(store, keys::KEY, |_, row| {
        let mut record = decode_key(&row.value).map_err(|Undecodable(what)| damaged(what))?;
        claim(claimed, record.realm, record.leaves())?;
        if let Some(destruction) = &mut record.destruction {
            // Only recovery needs the leaves, and only receipts the detail, which they read back.
            destructions.push((destruction.epoch, std::mem::take(&mut destruction.leaves)));
            destruction.detail = Box::default();
        }
        texts.share(&mut record);
        let usage = usage.remove(&record.id).map(Usage::stored).unwrap_or_default();
        entries.push(Arc::new(KeyEntry::new(record, row.revision, Arc::new(usage))));
        Ok(())
    })?;
    if !catalogue.load_keys(entries) {
        return Err(damaged("a key that is there twice"));
    }
    Ok(())
}

/// Marks the leaves of one record.
fn claim(
    claimed: &mut Allocator,
    realm: RealmId,
    leaves: impl IntoIterator<Item = u64>,
) -> Result<(), StartError> {
    let mut leaves = leaves.into_iter();
    let claimed = leaves.try_for_each(|leaf| claimed.claim(realm, leaf));
    claimed.map_err(|_| damaged("two keys with one record key"))
}

/// Uses by key. A row without a key means nothing: keys and their uses are written apart.
fn load_usage(store: &dyn Store) -> Result<BTreeMap<KeyId, UsageRow>, StartError> {
    let mut usage = BTreeMap::new();
    rows(store, keys::USAGE, |key, row| {
        let key = key.try_into().map(KeyId).map_err(|_| damaged("the uses of a key"))?;
        let uses = UsageRow::decode(&row.value).ok_or(damaged("the uses of a key"))?;
        usage.insert(key, uses);
        Ok(())
    })?;
    Ok(usage)
}

/// Lets keys with the same labels share their texts.
#[derive(Default)]
struct SharedTexts {
    names: BTreeSet<LabelName>,
    values: BTreeSet<LabelValue>,
}

impl SharedTexts {
    fn share(&mut self, record: &mut KeyRecord) {
        if let Some(details) = &mut record.details {
            let labels = std::mem::take(&mut details.labels).into_iter();
            let shared = labels.map(|(name, value)| {
                (one_of(&mut self.names, name), one_of(&mut self.values, value))
            });
            details.labels = shared.collect();
        }
    }
}

fn one_of<T: Ord + Clone>(known: &mut BTreeSet<T>, text: T) -> T {
    if let Some(same) = known.get(&text) {
        return same.clone();
    }
    if known.len() < SHARED_TEXTS_ENTRIES_MAX {
        known.insert(text.clone());
    }
    text
}

fn load_idempotency(store: &dyn Store, loaded: &Loaded) -> Result<(), StartError> {
    rows(store, keys::IDEMPOTENT, |key, row| {
        let place: [u8; 32] = key.try_into().map_err(|_| damaged("an idempotency key"))?;
        let remembered = Remembered::decode(&row.value);
        loaded.idempotency.insert(place, remembered.ok_or(damaged("an idempotency key"))?);
        Ok(())
    })
}

pub(super) fn load_log(parts: &Parts) -> Result<(LogTree, UnixMillis), StartError> {
    let head = LogHead::decode(&meta(parts, "log")?).ok_or(damaged("the log's head"))?;
    let mut partial = Vec::new();
    let mut newest = Vec::new();
    for index in head.size - head.size % 256..head.size {
        newest = entry(parts, index)?;
        partial.push(leaf_hash(&newest));
    }
    if newest.is_empty() && head.size > 0 {
        newest = entry(parts, head.size - 1)?;
    }
    let tree = LogTree::rebuild(head.size, &StoredTiles(&*parts.store), &partial)
        .map_err(|_| damaged("a tile of the log"))?;
    if tree.root() != head.root {
        return Err(StartError::LogRoot);
    }
    let newest = String::from_utf8(newest).ok();
    let newest = newest.and_then(|text| Entry::parse(&text).ok());
    Ok((tree, newest.ok_or(damaged("an entry of the log"))?.time))
}

fn entry(parts: &Parts, index: u64) -> Result<Vec<u8>, StartError> {
    let found = parts.store.get(&keys::leaf(index))?;
    found.map(|row| row.value).ok_or(damaged("an entry of the log"))
}

fn damaged(what: &'static str) -> StartError {
    StartError::Damaged(what)
}

/// Calls `visit` for every row of `space`, in key order. The next rows are read while it works.
pub(super) fn rows(
    store: &dyn Store,
    space: Space,
    mut visit: impl FnMut(&[u8], Versioned) -> Result<(), StartError>,
) -> Result<(), StartError> {
    thread::scope(|scope| {
        let (sender, pages) = mpsc::sync_channel(PAGES_AHEAD);
        let reader = thread::Builder::new().name("lethe-load".to_owned());
        let reader = reader.spawn_scoped(scope, move || read_pages(store, space, &sender));
        reader.map_err(StartError::Thread)?;
        for page in pages {
            for row in page?.rows {
                visit(row.key.bytes(), row.versioned)?;
            }
        }
        Ok(())
    })
}

/// Sends every page of `space`, and an error as the last; ends if nobody listens any more.
fn read_pages(store: &dyn Store, space: Space, pages: &SyncSender<Result<Page, StoreError>>) {
    let mut from = Some(Vec::new());
    while let Some(key) = from {
        let page = store.range(space, &key, PAGE_ROWS);
        from = page.as_ref().ok().and_then(|page| page.next.clone());
        if pages.send(page).is_err() {
            return;
        }
    }
}
