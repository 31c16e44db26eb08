//! On which file systems overwriting a file reaches the old bytes.
//!
//! The numbers are the `f_type` of Linux' `statfs(2)`: from `linux/magic.h`, and for those that are
//! not in it (JFS, ZFS, bcachefs, UBIFS, GFS2, Lustre) from the file system's own source.

use core::fmt;

/// Whether to use a file system that may keep what was overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilesystemPolicy {
    /// Use it all the same: for trials and tests, or where the operator knows better.
    Accept,
    /// Refuse it, and likewise one that nobody has looked at.
    Refuse,
}

/// A file system that keeps what was overwritten, shares it over a network, forgets it at a
/// restart, or is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedFilesystem {
    /// Its number in `statfs(2)`.
    pub magic: u32,
    /// Its name; [`RefusedFilesystem::UNKNOWN`] for one that is not known.
    pub name: &'static str,
    /// Why a slot does not belong there.
    pub why: &'static str,
}

impl RefusedFilesystem {
    /// The name of every file system that is neither known to overwrite nor known not to.
    pub const UNKNOWN: &'static str = "unknown";
}

impl fmt::Display for RefusedFilesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (type {:#x}) {}", self.name, self.magic, self.why)
    }
}

/// The file system of this `statfs` number, if a slot does not belong there: whatever is not known
/// to overwrite a file's blocks where they are.
#[must_use]
pub fn refused_filesystem(magic: u64) -> Option<RefusedFilesystem> {
    // The kernel's type is signed on some machines: only the low 32 bits mean something.
    let [_, _, _, _, low @ ..] = magic.to_be_bytes();
    let magic = u32::from_be_bytes(low);
    if OVERWRITES_IN_PLACE.iter().any(|(number, _)| *number == magic) {
        return None;
    }
    let refused = REFUSED.iter().find(|(number, ..)| *number == magic);
    let (name, why) =
        refused.map_or((RefusedFilesystem::UNKNOWN, NOT_KNOWN), |(_, name, why)| (*name, *why));
    Some(RefusedFilesystem { magic, name, why })
}

/// On XFS that holds as long as nobody makes a shared copy (`cp --reflink`) of the slot: it would
/// keep the blocks, like any other copy.
pub(crate) const OVERWRITES_IN_PLACE: &[(u32, &str)] =
    &[(0x0000_EF53, "ext2, ext3, ext4"), (0x3153_464A, "JFS"), (0x5846_5342, "XFS")];

pub(crate) const REFUSED: &[(u32, &str, &str)] = &[
    (0x0102_1997, "9p", ELSEWHERE),
    (0x5346_414F, "AFS", ELSEWHERE),
    (0x6B41_4653, "AFS", ELSEWHERE),
    (0xCA45_1A4E, "bcachefs", COPIES),
    (0x9123_683E, "btrfs", COPIES),
    (0x00C3_6400, "Ceph", ELSEWHERE),
    (0xFF53_4D42, "CIFS", ELSEWHERE),
    (0x7375_7245, "Coda", ELSEWHERE),
    (0x0000_F15F, "eCryptfs", COVERS),
    (0x2011_BAB0, "exFAT", NO_OWNERS),
    (0xF2F5_2010, "F2FS", APPENDS),
    (0x0000_4D44, "FAT", NO_OWNERS),
    (0x6573_5546, "FUSE", HIDDEN),
    (0x0116_1970, "GFS2", ELSEWHERE),
    (0x00C0_FFEE, "hostfs", COVERS),
    (0x9584_58F6, "hugetlbfs", FORGETS),
    (0x0000_72B6, "JFFS2", APPENDS),
    (0x0BD0_0BD0, "Lustre", ELSEWHERE),
    (0x0000_564C, "NCP", ELSEWHERE),
    (0x0000_6969, "NFS", ELSEWHERE),
    (0x0000_3434, "NILFS", APPENDS),
    (0x7461_636F, "OCFS2", ELSEWHERE),
    (0x794C_7630, "overlayfs", COVERS),
    (0x8584_58F6, "ramfs", FORGETS),
    (0x0000_517B, "SMB", ELSEWHERE),
    (0xFE53_4D42, "SMB2", ELSEWHERE),
    (0x0102_1994, "tmpfs", FORGETS),
    (0x2405_1905, "UBIFS", APPENDS),
    (0x2FC1_2FC1, "ZFS", COPIES),
];

const APPENDS: &str = "appends to a log instead of overwriting";
const COPIES: &str = "writes a copy instead of overwriting";
const COVERS: &str = "hides which file system lies below it";
const ELSEWHERE: &str = "keeps the bytes on other machines";
const FORGETS: &str = "forgets everything at a restart";
const HIDDEN: &str = "is a program that may do anything with the bytes";
const NO_OWNERS: &str = "keeps no owners and permissions of files";
const NOT_KNOWN: &str = "is not on the list of those that overwrite in place";
