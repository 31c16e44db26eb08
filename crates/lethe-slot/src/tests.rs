use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lethe_crypto::SystemEntropy;
use lethe_erasure::seal::{KeyFileSeal, PassphraseSeal, Seal};
use lethe_erasure::slot::{ErasableSlot, SlotEntry, SlotError, SlotImage};
use lethe_types::{Secret, SecretVec, TreeId};

use super::*;

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
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(&self.0);
    }
}

fn seal(byte: u8) -> Box<dyn Seal> {
    Box::new(KeyFileSeal::new(Secret::init_with(|key| key.fill(byte))))
}

fn create(folder: &Folder) -> FileSlot {
    let accept = FilesystemPolicy::Accept;
    FileSlot::create(&folder.slot(), seal(1), Arc::new(SystemEntropy), accept).unwrap()
}

fn open(folder: &Folder, seal: Box<dyn Seal>) -> Result<FileSlot, FileSlotError> {
    FileSlot::open(&folder.slot(), seal, Arc::new(SystemEntropy), FilesystemPolicy::Accept)
}

fn image(generation: u64) -> SlotImage {
    let root = Secret::init_with(|root| root.fill(0xA5));
    let current = SlotEntry { epoch: generation, not_after_s: 0, tag: [3; 16], root };
    SlotImage { generation, tree_id: TreeId([9; 16]), current, retained: Vec::new() }
}

#[test]
fn the_old_image_is_gone_from_the_file_once_erased() {
    let folder = Folder::new();
    let mut slot = create(&folder);
    slot.put_new(&image(1)).unwrap();
    slot.put_new(&image(2)).unwrap();
    let both = fs::read(folder.slot()).unwrap();
    assert_eq!(slot.load().unwrap().images.len(), 2);
    let evidence = slot.erase_all_but(2).unwrap();
    assert!(evidence.is_read_back_clean);
    assert_eq!(evidence.generation_erased, Some(1));
    let now = fs::read(folder.slot()).unwrap();
    assert_eq!(now.len(), 8_192);
    assert!(now[4_096..].iter().all(|byte| *byte == 0), "sector 1 held generation 1");
    assert_eq!(now[..4_096], both[..4_096]);
    assert!(!both.windows(32).any(|window| window == [0xA5; 32]), "sealed, never in the open");
    let reopened = open(&folder, seal(1)).unwrap();
    let images = reopened.load().unwrap().images;
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].current.root.expose(), &[0xA5; 32]);
}

#[test]
fn images_are_neither_overwritten_nor_erased_by_mistake() {
    let folder = Folder::new();
    let mut slot = create(&folder);
    slot.put_new(&image(1)).unwrap();
    assert!(matches!(slot.put_new(&image(3)), Err(SlotError::SectorInUse { generation: 1 })));
    slot.put_new(&image(1)).unwrap();
    assert!(matches!(slot.erase_all_but(2), Err(SlotError::NoSuchImage { generation: 2 })));
    assert!(matches!(slot.erase_all_but(3), Err(SlotError::NoSuchImage { generation: 3 })));
    assert_eq!(slot.load().unwrap().images.len(), 1);
}

#[test]
fn a_torn_sector_is_a_fault_beside_the_good_one() {
    for kept in [0, 1, 40, 64, 100, 4_095] {
        let folder = Folder::new();
        let mut slot = create(&folder);
        slot.put_new(&image(1)).unwrap();
        slot.put_new(&image(2)).unwrap();
        let mut bytes = fs::read(folder.slot()).unwrap();
        bytes[kept..4_096].fill(0xEE);
        fs::write(folder.slot(), &bytes).unwrap();
        let mut slot = open(&folder, seal(1)).unwrap();
        let loaded = slot.load().unwrap();
        assert_eq!((loaded.images.len(), loaded.faults.len()), (1, 1), "{kept}");
        assert_eq!(loaded.images[0].generation, 1);
        slot.erase_all_but(1).unwrap();
        assert!(slot.load().unwrap().faults.is_empty());
    }
}

#[test]
fn another_seal_opens_nothing_and_changes_nothing() {
    let folder = Folder::new();
    create(&folder).put_new(&image(1)).unwrap();
    let before = fs::read(folder.slot()).unwrap();
    let passphrase = PassphraseSeal::new(SecretVec::copy_from(b"a passphrase"));
    for other in [seal(2), Box::new(passphrase)] {
        let loaded = open(&folder, other).unwrap().load().unwrap();
        assert_eq!((loaded.images.len(), loaded.faults.len()), (0, 1), "{loaded:?}");
    }
    assert_eq!(fs::read(folder.slot()).unwrap(), before);
}

#[test]
fn slots_of_the_wrong_shape_are_refused() {
    let folder = Folder::new();
    assert!(matches!(open(&folder, seal(1)), Err(FileSlotError::Missing(_))));
    create(&folder);
    let again = FileSlot::create(
        &folder.slot(),
        seal(1),
        Arc::new(SystemEntropy),
        FilesystemPolicy::Accept,
    );
    assert!(matches!(again, Err(FileSlotError::AlreadyExists(_))));
    for mode in [0o640, 0o604, 0o660, 0o700] {
        fs::set_permissions(folder.slot(), fs::Permissions::from_mode(mode)).unwrap();
        let refused = open(&folder, seal(1));
        assert!(matches!(refused, Err(FileSlotError::Permissions { .. })), "{mode:o}");
    }
    fs::set_permissions(folder.slot(), fs::Permissions::from_mode(0o600)).unwrap();
    for size in [0, 8_191, 8_193] {
        fs::write(folder.slot(), vec![0; size]).unwrap();
        assert!(matches!(open(&folder, seal(1)), Err(FileSlotError::Size(_))), "{size}");
    }
    let target = folder.0.join("elsewhere");
    fs::rename(folder.slot(), &target).unwrap();
    fs::write(&target, vec![0; 8_192]).unwrap();
    std::os::unix::fs::symlink(&target, folder.slot()).unwrap();
    assert!(matches!(open(&folder, seal(1)), Err(FileSlotError::Io { .. })), "a link");
}

#[test]
fn file_systems_that_keep_old_bytes_are_refused_by_number() {
    for (magic, name) in [
        (0x9123_683E, "btrfs"),
        (0x2FC1_2FC1, "ZFS"),
        (0xCA45_1A4E, "bcachefs"),
        (0x794C_7630, "overlayfs"),
        (0x0102_1994, "tmpfs"),
        (0x6969, "NFS"),
        (0xFFFF_FFFF_9123_683E, "btrfs"),
    ] {
        assert_eq!(refused_filesystem(magic).unwrap().name, name);
    }
    for (magic, name) in [(0xEF53, "ext4"), (0x5846_5342, "XFS"), (0, "unknown")] {
        assert_eq!(refused_filesystem(magic), None, "{name}");
    }
}

#[test]
fn key_files_are_made_once_read_back_and_refused_when_wrong() {
    let folder = Folder::new();
    let path = folder.0.join("root.key");
    assert!(matches!(read_key_file(&path), Err(KeyFileError::Missing(_))));
    let made = create_key_file(&path, &SystemEntropy).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(read_key_file(&path).unwrap().ct_eq(&made));
    let again = create_key_file(&path, &SystemEntropy);
    assert!(matches!(again, Err(KeyFileError::AlreadyExists(_))));
    for mode in [0o644, 0o640, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let refused = read_key_file(&path);
        assert!(matches!(refused, Err(KeyFileError::Permissions { .. })), "{mode:o}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for size in [0, 31, 33] {
        fs::write(&path, vec![7; size]).unwrap();
        assert!(matches!(read_key_file(&path), Err(KeyFileError::Size(_))), "{size}");
    }
}
