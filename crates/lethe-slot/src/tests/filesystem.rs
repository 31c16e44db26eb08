use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::Arc;

use lethe_crypto::SystemEntropy;

use super::{Folder, open, seal, seals};
use crate::file_slot::check_filesystem;
use crate::filesystem::{OVERWRITES_IN_PLACE, REFUSED};
use crate::{FileSlot, FileSlotError, FilesystemPolicy, RefusedFilesystem, refused_filesystem};

#[test]
fn only_file_systems_known_to_overwrite_pass() {
    for magic in [0xEF53, 0x5846_5342, 0x3153_464A, 0xFFFF_FFFF_0000_EF53] {
        assert_eq!(refused_filesystem(magic), None, "{magic:x}");
    }
    for (magic, name) in [
        (0x9123_683E, "btrfs"),
        (0xFFFF_FFFF_9123_683E, "btrfs"),
        (0x2FC1_2FC1, "ZFS"),
        (0xCA45_1A4E, "bcachefs"),
        (0x794C_7630, "overlayfs"),
        (0x0102_1994, "tmpfs"),
        (0x8584_58F6, "ramfs"),
        (0xFFFF_FFFF_8584_58F6, "ramfs"),
        (0x6969, "NFS"),
        (0xFF53_4D42, "CIFS"),
        (0xFE53_4D42, "SMB2"),
        (0x517B, "SMB"),
        (0x0102_1997, "9p"),
        (0x6573_5546, "FUSE"),
        (0xF2F5_2010, "F2FS"),
        (0, RefusedFilesystem::UNKNOWN),
        (1, RefusedFilesystem::UNKNOWN),
        (0xEF52, RefusedFilesystem::UNKNOWN),
        (0xEF54, RefusedFilesystem::UNKNOWN),
        (0x0001_EF53, RefusedFilesystem::UNKNOWN),
        (0x53EF, RefusedFilesystem::UNKNOWN),
        (0x0000_EF53_0000_0000, RefusedFilesystem::UNKNOWN),
        // Real ones that nobody has looked at: ReiserFS, NTFS, a procfs.
        (0x5265_4973, RefusedFilesystem::UNKNOWN),
        (0x5346_544E, RefusedFilesystem::UNKNOWN),
        (0x9FA0, RefusedFilesystem::UNKNOWN),
        (u64::MAX, RefusedFilesystem::UNKNOWN),
    ] {
        let refused = refused_filesystem(magic).unwrap();
        assert_eq!(refused.name, name, "{magic:x}");
        let text = refused.to_string();
        assert!(text.contains(name) && text.contains(&format!("{:#x}", refused.magic)), "{text}");
    }
}

#[test]
fn no_number_is_on_both_lists_or_twice_on_one() {
    let good = OVERWRITES_IN_PLACE.iter().map(|(magic, _)| *magic);
    let all: Vec<u32> = good.chain(REFUSED.iter().map(|(magic, ..)| *magic)).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn the_operator_can_accept_what_is_refused() {
    let path = std::path::Path::new("root.slot");
    for magic in [0x9123_683E, 0, u64::MAX] {
        let refused = check_filesystem(Ok(magic), path, FilesystemPolicy::Refuse);
        assert!(matches!(refused, Err(FileSlotError::Filesystem { .. })), "{magic:x}");
        check_filesystem(Ok(magic), path, FilesystemPolicy::Accept).unwrap();
    }
    check_filesystem(Ok(0xEF53), path, FilesystemPolicy::Refuse).unwrap();
    // A number that could not be had is an error under both.
    for policy in [FilesystemPolicy::Refuse, FilesystemPolicy::Accept] {
        let unasked = check_filesystem(Err(io::ErrorKind::Unsupported.into()), path, policy);
        assert!(matches!(unasked, Err(FileSlotError::Io { .. })));
    }
}

#[test]
fn a_slot_refused_at_creation_leaves_no_file() {
    let folder = Folder::new();
    let path = folder.slot();
    let refused = FileSlot::create_if(&path, seals(1), Arc::new(SystemEntropy), |_| {
        assert!(path.exists(), "it is asked of the file itself");
        check_filesystem(Ok(0x9123_683E), &path, FilesystemPolicy::Refuse)
    });
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("btrfs") && text.contains("accept_filesystem"), "{text}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
    assert!(matches!(open(&folder, seal(1)), Err(FileSlotError::Missing(_))));
}
