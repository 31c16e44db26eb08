mod device;
mod fault;
mod files;
mod filesystem;
mod measuring;
mod medium;
mod migrate;
mod pkcs11;
mod replicas;
mod shares;
mod slot;
#[cfg(feature = "tpm")]
mod tpm;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lethe_crypto::SystemEntropy;
use lethe_erasure::erased::holds_nothing;
use lethe_erasure::seal::{KeyFileSeal, Seal};
use lethe_erasure::slot::{SLOT_IMAGE_BYTES, SlotEntry, SlotImage};
use lethe_types::{Entropy, EntropyError, Secret, TreeId};

use crate::{FileSlot, FileSlotError, FilesystemPolicy, Seals};

/// A folder of its own for each test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("lethe-slot-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn slot(&self) -> PathBuf {
        self.0.join("root.slot")
    }

    fn key(&self) -> PathBuf {
        self.0.join("root.key")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(&self.0);
    }
}

/// A random source that has failed.
struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

/// Whether no sector of `bytes` holds anything of an image.
fn is_erased(bytes: &[u8]) -> bool {
    let (sectors, rest) = bytes.as_chunks::<SLOT_IMAGE_BYTES>();
    assert!(!sectors.is_empty() && rest.is_empty(), "whole sectors");
    sectors.iter().all(holds_nothing)
}

fn seal(byte: u8) -> Arc<dyn Seal> {
    Arc::new(KeyFileSeal::new(Secret::init_with(|key| key.fill(byte))))
}

fn seals(byte: u8) -> Seals {
    Seals::only(seal(byte))
}

fn try_create(folder: &Folder) -> Result<FileSlot, FileSlotError> {
    let accept = FilesystemPolicy::Accept;
    FileSlot::create(&folder.slot(), seals(1), Arc::new(SystemEntropy), accept)
}

fn create(folder: &Folder) -> FileSlot {
    try_create(folder).unwrap()
}

fn open(folder: &Folder, seal: Arc<dyn Seal>) -> Result<FileSlot, FileSlotError> {
    FileSlot::open(
        &folder.slot(),
        Seals::only(seal),
        Arc::new(SystemEntropy),
        FilesystemPolicy::Accept,
    )
}

fn image(generation: u64) -> SlotImage {
    let root = Secret::init_with(|root| root.fill(0xA5));
    let current = SlotEntry { epoch: generation, not_after_s: 0, tag: [3; 16], root };
    SlotImage { generation, tree_id: TreeId([9; 16]), current, retained: Vec::new() }
}
