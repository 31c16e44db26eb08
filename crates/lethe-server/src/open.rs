//! Opens store, slot and engine, in the order in which a crash between them is told from a loss.

use std::path::PathBuf;
use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_engine::{Engine, Parts, StoreState};
use lethe_erasure::slot::ErasableSlot;
use lethe_slot::Seals;
use lethe_store::Store;
use lethe_store_embedded::{EmbeddedStore, OpenMode};
use lethe_types::Clock;

use crate::ServeError;
use crate::audit_file::AuditFile;
use crate::config::{Config, SlotConfig, StoreConfig};
use crate::head_file::HeadFile;
use crate::private_files::ensure_private_dir;
use crate::seal::SystemSurroundings;
use crate::slot_tool;
use crate::slots::{self, Occasion};

/// The store of the configuration, made if nothing speaks of an earlier one.
pub(crate) fn store(config: &Config) -> Result<Arc<EmbeddedStore>, ServeError> {
    let StoreConfig::Embedded { path } = &config.store;
    let opened = EmbeddedStore::open(path, OpenMode::OpenExisting);
    let missing = matches!(opened, Err(lethe_store_embedded::OpenError::Missing { .. }));
    if missing {
        // A slot without a store: the store was lost or the paths are wrong. A new store beside an
        // old root would hide that.
        if let Some(slot) = config.slot.paths().iter().find(|path| path.exists()) {
            let why = "the store is missing but its slot exists; put the store back";
            return Err(ServeError::SlotMismatch { path: slot.clone(), why });
        }
        return Ok(Arc::new(EmbeddedStore::open(path, OpenMode::CreateNew)?));
    }
    Ok(Arc::new(opened?))
}

/// The store of the configuration, which must be there.
pub(crate) fn existing_store(config: &Config) -> Result<Arc<EmbeddedStore>, ServeError> {
    let StoreConfig::Embedded { path } = &config.store;
    Ok(Arc::new(EmbeddedStore::open(path, OpenMode::OpenExisting)?))
}

/// The slot that belongs to `store`: made for a new one, opened for an old one.
///
/// With `--dev` any file system will do: it is for trials, whose keys protect nothing.
pub(crate) fn slot(
    config: &Config,
    store: &EmbeddedStore,
    dev: bool,
) -> Result<Box<dyn ErasableSlot>, ServeError> {
    for parent in config.slot.paths().iter().filter_map(|path| path.parent()) {
        ensure_private_dir(parent)?;
    }
    let occasion = match lethe_engine::prepare(store, &SystemEntropy)? {
        // An existing slot is looked at by the engine, which touches it only if it is its own.
        StoreState::New | StoreState::Unfinished => {
            if any_exists(&config.slot) {
                Occasion::Open
            } else {
                Occasion::Create
            }
        }
        StoreState::Ready => Occasion::Open,
    };
    if occasion == Occasion::Open {
        slot_tool::check_not_moved(&config.slot)?;
    }
    let seal = slots::seal(&config.seal, occasion, &mut SystemSurroundings)?;
    let opened = slots::slot(&config.slot, &Seals::only(seal), occasion, dev)?;
    if let Some(notice) = slot_tool::unfinished_move(&config.slot) {
        eprintln!("lethe: {notice}");
    }
    for notice in opened.notices() {
        eprintln!("lethe: {notice}");
    }
    Ok(opened.into_slot())
}

fn any_exists(slot: &SlotConfig) -> bool {
    slot.paths().iter().any(|path| path.exists())
}

/// The slot of a lost installation, for a new store.
pub(crate) fn slot_of_restored(
    config: &Config,
    dev: bool,
) -> Result<Box<dyn ErasableSlot>, ServeError> {
    slot_tool::check_not_moved(&config.slot)?;
    let seal = slots::seal(&config.seal, Occasion::Open, &mut SystemSurroundings)?;
    let opened = slots::slot(&config.slot, &Seals::only(seal), Occasion::Open, dev)?;
    for notice in opened.notices() {
        eprintln!("lethe: {notice}");
    }
    Ok(opened.into_slot())
}

/// The engine over store and slot: recovered, loaded, ready.
pub(crate) fn engine(
    config: &Config,
    store: Arc<EmbeddedStore>,
    slot: Box<dyn ErasableSlot>,
    clock: Arc<dyn Clock>,
    audit: Arc<AuditFile>,
) -> Result<Engine, ServeError> {
    Ok(Engine::start(parts(config, store, slot, clock, audit))?)
}

/// What an engine over store and slot is made of.
pub(crate) fn parts(
    config: &Config,
    store: Arc<EmbeddedStore>,
    slot: Box<dyn ErasableSlot>,
    clock: Arc<dyn Clock>,
    audit: Arc<AuditFile>,
) -> Parts {
    let store: Arc<dyn Store> = store;
    let mut heads: Vec<PathBuf> = Vec::new();
    for head in config.slot.paths().iter().map(|path| path.with_file_name("log.head")) {
        if !heads.contains(&head) {
            heads.push(head);
        }
    }
    Parts {
        store,
        slot,
        guard: Box::new(HeadFile::new(heads)),
        clock,
        entropy: Arc::new(SystemEntropy),
        audit,
        origin: config.log.origin.clone(),
    }
}
