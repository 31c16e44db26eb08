//! File systems on which overwriting a file leaves the old bytes somewhere.

use core::fmt;

/// Whether to use a file system that is known to keep what was overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilesystemPolicy {
    /// Use it all the same: for trials and tests, or where the operator knows better.
    Accept,
    /// Refuse it.
    Refuse,
}

/// A file system that keeps what was overwritten, shares it over a network or forgets it at a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedFilesystem {
    /// Its name.
    pub name: &'static str,
    /// Why a slot does not belong there.
    pub why: &'static str,
}

impl fmt::Display for RefusedFilesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.why)
    }
}

const COPIES: &str = "writes a copy instead of overwriting";

/// The numbers are those of Linux' `statfs(2)` (`include/uapi/linux/magic.h` and the file systems' own).
const REFUSED: &[(u64, RefusedFilesystem)] = &[
    (0x9123_683E, RefusedFilesystem { name: "btrfs", why: COPIES }),
    (0x2FC1_2FC1, RefusedFilesystem { name: "ZFS", why: COPIES }),
    (0xCA45_1A4E, RefusedFilesystem { name: "bcachefs", why: COPIES }),
    (0x794C_7630, RefusedFilesystem { name: "overlayfs", why: "hides what lies below it" }),
    (0x0102_1994, RefusedFilesystem { name: "tmpfs", why: "forgets everything at a restart" }),
    (0x6969, RefusedFilesystem { name: "NFS", why: "keeps the bytes on another machine" }),
];

/// The file system of this `statfs` number, if a slot does not belong there.
#[must_use]
pub fn refused_filesystem(magic: u64) -> Option<RefusedFilesystem> {
    // The kernel's type is signed on some machines: compare the low 32 bits.
    let low = magic & 0xFFFF_FFFF;
    REFUSED.iter().find(|(number, _)| *number == low).map(|(_, refused)| *refused)
}
