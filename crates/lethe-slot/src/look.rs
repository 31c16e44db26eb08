//! What can be seen of a slot file without its seal and without its lock.

use std::io::{self, Read as _};
use std::path::Path;

use lethe_erasure::erased::holds_nothing;
use lethe_erasure::seal::{SEAL_SALT_BYTES, SealDevice, SealKind, salt_of, sealed_with};
use lethe_erasure::slot::SLOT_IMAGE_BYTES;

use crate::file_slot::FILE_SLOT_BYTES;
use crate::files::{Access, open_existing};
use crate::replicas::{LostReplica, recorded_lost};

/// What a sector looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectorLook {
    /// Neither empty nor a sealed sector.
    Damaged,
    /// Zeros, or what an erasure leaves.
    Empty,
    /// A sealed sector; nobody knows yet whether it opens.
    Sealed {
        /// Whose key beside that of the seal opens it.
        device: SealDevice,
        /// The kind of its seal.
        seal: SealKind,
    },
}

/// The two sectors of the slot file at `path`. A server that writes to it meanwhile can make them
/// look damaged.
///
/// # Errors
/// The file cannot be read, or it does not have the size of a slot.
pub fn look_at_slot_file(path: &Path) -> io::Result<[SectorLook; 2]> {
    let mut file = open_existing(path, Access::Read)?;
    if file.metadata()?.len() != FILE_SLOT_BYTES {
        let why = format!("it does not have {FILE_SLOT_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let mut looks = [SectorLook::Empty; 2];
    for look in &mut looks {
        let mut bytes = Box::new([0; SLOT_IMAGE_BYTES]);
        file.read_exact(&mut *bytes)?;
        *look = match sealed_with(&bytes) {
            Some((device, seal)) => SectorLook::Sealed { device, seal },
            None if holds_nothing(&bytes) => SectorLook::Empty,
            None => SectorLook::Damaged,
        };
    }
    Ok(looks)
}

/// The salt of the sectors in the slot file at `path`; `None` if none of them is sealed.
///
/// # Errors
/// As [`look_at_slot_file`].
pub fn salt_of_slot_file(path: &Path) -> io::Result<Option<[u8; SEAL_SALT_BYTES]>> {
    let mut file = open_existing(path, Access::Read)?;
    let mut bytes = Box::new([0; SLOT_IMAGE_BYTES]);
    for _ in 0..2 {
        file.read_exact(&mut *bytes)?;
        if let Some(salt) = salt_of(&bytes) {
            return Ok(Some(salt));
        }
    }
    Ok(None)
}

/// The replicas that the record beside the slot file at `path` names as lost; none if it has none.
#[must_use]
pub fn lost_replicas(path: &Path) -> Vec<LostReplica> {
    recorded_lost(path)
}

/// The number of the file system that `path` lies on, in `statfs(2)`.
///
/// # Errors
/// The system's.
pub fn filesystem_of(path: &Path) -> io::Result<u64> {
    Ok(u64::from_ne_bytes(rustix::fs::statfs(path)?.f_type.to_ne_bytes()))
}
