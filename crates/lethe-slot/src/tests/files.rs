use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_erasure::slot::ErasableSlot;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Folder, NoEntropy, create, image, open, seal, seals, try_create};
use crate::files;
use crate::{
    FileSlot, FileSlotError, FilesystemPolicy, KeyFileError, create_key_file, read_key_file,
};

#[test]
fn slots_of_the_wrong_shape_are_refused() {
    let folder = Folder::new();
    assert!(matches!(open(&folder, seal(1)), Err(FileSlotError::Missing(_))));
    drop(create(&folder));
    assert!(matches!(try_create(&folder), Err(FileSlotError::AlreadyExists(_))));
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
    fs::remove_file(folder.slot()).unwrap();
    mknodat(CWD, folder.slot(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert!(matches!(open(&folder, seal(1)), Err(FileSlotError::Size(_))), "a pipe");
    fs::remove_file(folder.slot()).unwrap();
    fs::create_dir(folder.slot()).unwrap();
    assert!(matches!(open(&folder, seal(1)), Err(FileSlotError::Io { .. })), "a folder");
}

#[test]
fn links_are_not_followed() {
    let folder = Folder::new();
    let target = folder.0.join("elsewhere");
    for is_there in [false, true] {
        for path in [folder.slot(), folder.key()] {
            symlink(&target, path).unwrap();
        }
        let opened = open(&folder, seal(1));
        assert!(matches!(opened, Err(FileSlotError::SymbolicLink(_))), "{is_there}");
        assert!(matches!(try_create(&folder), Err(FileSlotError::AlreadyExists(_))));
        let read = read_key_file(&folder.key());
        assert!(matches!(read, Err(KeyFileError::SymbolicLink(_))), "{is_there}");
        let made = create_key_file(&folder.key(), &SystemEntropy);
        assert!(matches!(made, Err(KeyFileError::AlreadyExists(_))), "{is_there}");
        assert_eq!(target.exists(), is_there, "nothing was made through the link");
        for path in [folder.slot(), folder.key()] {
            fs::remove_file(path).unwrap();
        }
        // For the second round there is something that would do, were the link followed.
        if !is_there {
            create_key_file(&target, &SystemEntropy).unwrap();
        }
    }
    symlink(&target, folder.key()).unwrap();
    assert!(read_key_file(&target).is_ok() && read_key_file(&folder.key()).is_err());
}

#[test]
fn a_slot_has_one_user() {
    let folder = Folder::new();
    let mut made = create(&folder);
    let text = open(&folder, seal(1)).unwrap_err().to_string();
    assert!(text.contains("another process uses this slot"), "{text}");
    assert!(matches!(open(&folder, seal(1)), Err(FileSlotError::InUse(_))));
    made.put_new(&image(1)).unwrap();
    drop(made);
    let opened = open(&folder, seal(1)).unwrap();
    assert!(matches!(open(&folder, seal(1)), Err(FileSlotError::InUse(_))));
    drop(opened);
    assert_eq!(open(&folder, seal(1)).unwrap().load().unwrap().images.len(), 1);
}

#[test]
fn what_is_made_and_not_finished_is_removed() {
    let folder = Folder::new();
    let accept = FilesystemPolicy::Accept;
    let made = FileSlot::create(&folder.slot(), seals(1), Arc::new(NoEntropy), accept);
    assert!(matches!(made, Err(FileSlotError::Entropy)));
    assert!(!folder.slot().exists());
    let made = create_key_file(&folder.key(), &NoEntropy);
    assert!(matches!(made, Err(KeyFileError::Entropy)));
    assert!(!folder.key().exists());
    let made = files::make(
        &folder.key(),
        |error| error,
        |_| {
            assert!(folder.key().exists());
            Err::<(), _>(io::ErrorKind::StorageFull.into())
        },
    );
    assert_eq!(made.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(!folder.key().exists());
    // And the next try is not hindered.
    drop(create(&folder));
    create_key_file(&folder.key(), &SystemEntropy).unwrap();
    // What was there before is never removed.
    let before = fs::read(folder.slot()).unwrap();
    assert!(matches!(try_create(&folder), Err(FileSlotError::AlreadyExists(_))));
    assert_eq!(fs::read(folder.slot()).unwrap(), before);
}

#[test]
fn key_files_are_made_once_read_back_and_refused_when_wrong() {
    let folder = Folder::new();
    let path = folder.key();
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
    fs::remove_file(&path).unwrap();
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert!(matches!(read_key_file(&path), Err(KeyFileError::Size(_))), "a pipe, no waiting");
}
