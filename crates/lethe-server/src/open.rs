//! Opens store, slot and engine, in the order in which a crash between them is told from a loss.

use std::path::Path;
use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_engine::{Engine, Parts, StoreState};
use lethe_erasure::seal::{KeyFileSeal, PassphraseSeal, Seal};
use lethe_slot::{FileSlot, FilesystemPolicy, create_key_file, read_key_file};
use lethe_store::Store;
use lethe_store_embedded::{EmbeddedStore, OpenMode};
use lethe_types::Clock;

use crate::ServeError;
use crate::audit_file::AuditFile;
use crate::config::{Config, SealConfig, SlotConfig, StoreConfig};
use crate::head_file::HeadFile;
use crate::private_files::ensure_private_dir;
use crate::seal::{PassphrasePurpose, SystemSurroundings, read_passphrase};

/// The store of the configuration, made if nothing speaks of an earlier one.
pub(crate) fn store(config: &Config) -> Result<Arc<EmbeddedStore>, ServeError> {
    let StoreConfig::Embedded { path } = &config.store;
    let SlotConfig::File { path: slot, .. } = &config.slot;
    let opened = EmbeddedStore::open(path, OpenMode::OpenExisting);
    let missing = matches!(opened, Err(lethe_store_embedded::OpenError::Missing { .. }));
    if missing {
        // A slot without a store: the store was lost or the paths are wrong. A new store beside an
        // old root would hide that.
        if slot.exists() {
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
) -> Result<FileSlot, ServeError> {
    let SlotConfig::File { path, accept_filesystem } = &config.slot;
    let policy =
        if *accept_filesystem || dev { FilesystemPolicy::Accept } else { FilesystemPolicy::Refuse };
    if let Some(parent) = path.parent() {
        ensure_private_dir(parent)?;
    }
    let make = match lethe_engine::prepare(store, &SystemEntropy)? {
        // An existing slot is looked at by the engine, which touches it only if it is its own.
        StoreState::New | StoreState::Unfinished => !path.exists(),
        StoreState::Ready => false,
    };
    let seal = seal(&config.seal, make)?;
    let entropy = Arc::new(SystemEntropy);
    if make {
        Ok(FileSlot::create(path, seal, entropy, policy)?)
    } else {
        Ok(FileSlot::open(path, seal, entropy, policy)?)
    }
}

/// The slot of a lost installation, for a new store.
pub(crate) fn slot_of_restored(config: &Config, dev: bool) -> Result<FileSlot, ServeError> {
    let SlotConfig::File { path, accept_filesystem } = &config.slot;
    let policy =
        if *accept_filesystem || dev { FilesystemPolicy::Accept } else { FilesystemPolicy::Refuse };
    let seal = seal(&config.seal, false)?;
    Ok(FileSlot::open(path, seal, Arc::new(SystemEntropy), policy)?)
}

fn seal(config: &SealConfig, make: bool) -> Result<Box<dyn Seal>, ServeError> {
    match config {
        SealConfig::KeyFile { path } => Ok(Box::new(KeyFileSeal::new(key_file(path, make)?))),
        SealConfig::Passphrase(source) => {
            let purpose = if make { PassphrasePurpose::Create } else { PassphrasePurpose::Open };
            let passphrase = read_passphrase(source, purpose, &mut SystemSurroundings)?;
            Ok(Box::new(PassphraseSeal::new(passphrase)))
        }
    }
}

/// The key of the key file; made with a new slot unless the operator put one there.
fn key_file(path: &Path, make: bool) -> Result<lethe_types::Secret<32>, ServeError> {
    if make && !path.exists() {
        if let Some(parent) = path.parent() {
            ensure_private_dir(parent)?;
        }
        return Ok(create_key_file(path, &SystemEntropy)?);
    }
    Ok(read_key_file(path)?)
}

/// The engine over store and slot: recovered, loaded, ready.
pub(crate) fn engine(
    config: &Config,
    store: Arc<EmbeddedStore>,
    slot: FileSlot,
    clock: Arc<dyn Clock>,
    audit: Arc<AuditFile>,
) -> Result<Engine, ServeError> {
    Ok(Engine::start(parts(config, store, slot, clock, audit))?)
}

/// What an engine over store and slot is made of.
pub(crate) fn parts(
    config: &Config,
    store: Arc<EmbeddedStore>,
    slot: FileSlot,
    clock: Arc<dyn Clock>,
    audit: Arc<AuditFile>,
) -> Parts {
    let store: Arc<dyn Store> = store;
    let SlotConfig::File { path, .. } = &config.slot;
    let head_path = path.with_file_name("log.head");
    Parts {
        store,
        slot: Box::new(slot),
        guard: Box::new(HeadFile::new(head_path)),
        clock,
        entropy: Arc::new(SystemEntropy),
        audit,
        origin: config.log.origin.clone(),
    }
}
