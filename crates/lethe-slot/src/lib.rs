//! The slot as a file, and the key file of its seal.
//!
//! Layer 3: the real I/O behind `lethe_erasure::slot`. What a file can promise is *overwriting*:
//! the bytes of the old root are written over, twice, each time synced, and read back. Flash that
//! remaps blocks, snapshots of the volume or of the virtual machine may keep a copy; so the slot
//! belongs on a volume without snapshots, and receipts say `file overwrite` and no more.

mod error;
mod file_slot;
mod files;
mod filesystem;
mod key_file;
mod medium;
mod sector;

pub use error::{FileSlotError, KeyFileError};
pub use file_slot::{FILE_SLOT_BYTES, FileSlot};
pub use filesystem::{FilesystemPolicy, RefusedFilesystem, refused_filesystem};
pub use key_file::{KEY_FILE_BYTES, create_key_file, read_key_file};

#[cfg(test)]
mod tests;
