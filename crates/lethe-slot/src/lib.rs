//! The slot as one file or several, alone or with keys in a device, and what seals it.
//!
//! Layer 3: the real I/O behind `lethe_erasure::slot`. Where to read: [`FileSlot`] is one file,
//! [`ReplicatedSlot`] several that hold the same, [`DeviceSlot`] those with a key a generation in a
//! [`KeyDevice`], as [`Pkcs11Token`]; [`migrate_seal`] changes the seal.
//!
//! What a file can promise is *overwriting*:
//! the bytes of the old root are written over, synced, and read back. Flash that
//! remaps blocks, snapshots of the volume or of the virtual machine may keep a copy; so the slot
//! belongs on a volume without snapshots, and receipts say `file overwrite` and no more.

mod device;
mod error;
mod file_slot;
mod files;
mod filesystem;
mod key_file;
mod look;
mod medium;
mod migrate;
mod pkcs11;
mod replicas;
mod seals;
mod sector;
mod shares;
mod shares_record;
#[cfg(feature = "tpm")]
mod tpm;

pub use device::{DeviceError, DeviceSlot, KeyDevice, SharedDevice};
pub use error::{FileSlotError, KeyFileError};
pub use file_slot::{FILE_SLOT_BYTES, FileSlot};
pub use filesystem::{FilesystemPolicy, RefusedFilesystem, refused_filesystem};
pub use key_file::{KEY_FILE_BYTES, create_key_file, destroy_key_file, read_key_file};
pub use look::{SectorLook, filesystem_of, look_at_slot_file, lost_replicas, salt_of_slot_file};
pub use migrate::{MigrateError, Migrated, migrate_seal};
pub use pkcs11::{IfMissing, Pkcs11Place, Pkcs11Token};
pub use replicas::{LOST_REPLICAS_MAX, LostReplica, REPLICAS_MAX, ReplicaError, ReplicatedSlot};
pub use seals::Seals;
pub use shares::{RecoveredSeal, SHARE_BYTES_MAX, SHARES_MAX, ShareError, join_shares, split_seal};
pub use shares_record::{shares_line, shares_of_slot, shares_record};
#[cfg(feature = "tpm")]
pub use tpm::{TpmNv, tpm_seal};

#[cfg(test)]
mod tests;
