//! Two sectors of 4,096 bytes in a file that never grows, shrinks or moves.
//!
//! Image `g` lies in sector `g mod 2`. The file stays open; every change is one `pwrite` and one
//! `fdatasync`, and an erasure is two of them, random bytes and then zeros, and a read back.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lethe_erasure::seal::{SEAL_SALT_BYTES, Seal, decode_sector, encode_sector, salt_of};
use lethe_erasure::slot::{
    ErasableSlot, EraseEvidence, EraseMethod, ErasureClass, Loaded, SLOT_IMAGE_BYTES, SlotError,
    SlotImage, SlotKind, sector_of,
};
use lethe_types::Entropy;
use rustix::fs::{OFlags, fstatfs};

use crate::filesystem::{FilesystemPolicy, RefusedFilesystem, refused_filesystem};
use crate::key_file::{OWNER_ONLY, sync_parent};

/// Bytes of a slot file.
pub const FILE_SLOT_BYTES: u64 = 8_192;

const SECTOR_BYTES: u64 = 4_096;
const SECTORS: [usize; 2] = [0, 1];

/// Why a slot file cannot be used. Nothing was overwritten.
#[derive(Debug)]
pub enum FileSlotError {
    /// There is a file already, and a new one was asked for.
    AlreadyExists(PathBuf),
    /// The random source failed.
    Entropy,
    /// The file system does not erase by overwriting.
    Filesystem {
        /// The file.
        path: PathBuf,
        /// Which file system, and why not.
        refused: RefusedFilesystem,
    },
    /// The operating system refused.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no file.
    Missing(PathBuf),
    /// Others than the owner may read or write it.
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It does not have [`FILE_SLOT_BYTES`] bytes, or is no plain file.
    Size(PathBuf),
}

impl core::fmt::Display for FileSlotError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::AlreadyExists(path) => {
                write!(f, "the slot `{}` exists and is not overwritten", path.display())
            }
            Self::Entropy => f.write_str("the random source failed while making a slot"),
            Self::Filesystem { path, refused } => write!(
                f,
                "the slot `{}` would lie on a file system that cannot erase: {refused}; put it \
                 elsewhere, or set `slot.accept_filesystem = true`",
                path.display()
            ),
            Self::Io { path, .. } => write!(f, "cannot use the slot `{}`", path.display()),
            Self::Missing(path) => write!(
                f,
                "the slot `{}` is missing: put it back, nothing opens without it",
                path.display()
            ),
            Self::Permissions { path, mode } => write!(
                f,
                "the slot `{}` has mode {mode:04o}: others may use it; make it 0600",
                path.display()
            ),
            Self::Size(path) => write!(
                f,
                "the slot `{}` is damaged: it is not a file of {FILE_SLOT_BYTES} bytes",
                path.display()
            ),
        }
    }
}

impl core::error::Error for FileSlotError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::AlreadyExists(_)
            | Self::Entropy
            | Self::Filesystem { .. }
            | Self::Missing(_)
            | Self::Permissions { .. }
            | Self::Size(_) => None,
        }
    }
}

/// The slot in a file.
pub struct FileSlot {
    file: File,
    path: PathBuf,
    seal: Box<dyn Seal>,
    salt: [u8; SEAL_SALT_BYTES],
    entropy: Arc<dyn Entropy>,
    device_id: String,
}

impl FileSlot {
    /// Makes an empty slot at `path`, 0600, durably.
    ///
    /// # Errors
    /// [`FileSlotError`]. A file that was made but not filled, by a crash in between, is refused
    /// later as damaged; it never held a root and can be removed.
    pub fn create(
        path: &Path,
        seal: Box<dyn Seal>,
        entropy: Arc<dyn Entropy>,
        policy: FilesystemPolicy,
    ) -> Result<Self, FileSlotError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => FileSlotError::AlreadyExists(path.to_owned()),
            _ => FileSlotError::Io { path: path.to_owned(), source },
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(OWNER_ONLY);
        let file = options.open(path).map_err(failed)?;
        if let Err(error) = check_filesystem(&file, path, policy) {
            // Ours and still empty: it would only be in the way of the next try.
            let _stays = std::fs::remove_file(path);
            return Err(error);
        }
        // Written out, so that the blocks are there and no later write needs new ones.
        file.write_all_at(&[0; 2 * SLOT_IMAGE_BYTES], 0).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        sync_parent(path).map_err(failed)?;
        let mut salt = [0; SEAL_SALT_BYTES];
        entropy.fill(&mut salt).map_err(|_| FileSlotError::Entropy)?;
        Self::new(file, path, seal, salt, entropy)
    }

    /// Opens the slot at `path`.
    ///
    /// # Errors
    /// [`FileSlotError`].
    pub fn open(
        path: &Path,
        seal: Box<dyn Seal>,
        entropy: Arc<dyn Entropy>,
        policy: FilesystemPolicy,
    ) -> Result<Self, FileSlotError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => FileSlotError::Missing(path.to_owned()),
            _ => FileSlotError::Io { path: path.to_owned(), source },
        };
        // A link could lead the erasure to another place than the one that was written.
        let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(no_follow);
        let file = options.open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.len() != FILE_SLOT_BYTES {
            return Err(FileSlotError::Size(path.to_owned()));
        }
        let mode = metadata.mode() & 0o7777;
        if mode & !OWNER_ONLY != 0 {
            return Err(FileSlotError::Permissions { path: path.to_owned(), mode });
        }
        check_filesystem(&file, path, policy)?;
        let mut salt = None;
        for sector in SECTORS {
            let mut bytes = [0; SLOT_IMAGE_BYTES];
            file.read_exact_at(&mut bytes, offset(sector)).map_err(failed)?;
            salt = salt.or(salt_of(&bytes));
        }
        let salt = match salt {
            Some(salt) => salt,
            None => {
                let mut fresh = [0; SEAL_SALT_BYTES];
                entropy.fill(&mut fresh).map_err(|_| FileSlotError::Entropy)?;
                fresh
            }
        };
        Self::new(file, path, seal, salt, entropy)
    }

    fn new(
        file: File,
        path: &Path,
        seal: Box<dyn Seal>,
        salt: [u8; SEAL_SALT_BYTES],
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, FileSlotError> {
        let failed = |source| FileSlotError::Io { path: path.to_owned(), source };
        let metadata = file.metadata().map_err(failed)?;
        let device_id = format!("device {} inode {}", metadata.dev(), metadata.ino());
        Ok(Self { file, path: path.to_owned(), seal, salt, entropy, device_id })
    }

    fn read(&self, sector: usize) -> Result<Box<[u8; SLOT_IMAGE_BYTES]>, SlotError> {
        let mut bytes = Box::new([0; SLOT_IMAGE_BYTES]);
        self.file.read_exact_at(&mut *bytes, offset(sector)).map_err(|e| self.broken(e))?;
        Ok(bytes)
    }

    fn write(&self, sector: usize, bytes: &[u8; SLOT_IMAGE_BYTES]) -> Result<(), SlotError> {
        self.file.write_all_at(bytes, offset(sector)).map_err(|e| self.broken(e))?;
        self.file.sync_data().map_err(|e| self.broken(e))
    }

    fn broken(&self, source: io::Error) -> SlotError {
        SlotError::Backend(Box::new(FileSlotError::Io { path: self.path.clone(), source }))
    }

    /// The generation of the image in `sector`, if there is one.
    fn generation_in(&self, sector: usize) -> Result<Option<u64>, SlotError> {
        let bytes = self.read(sector)?;
        let image = decode_sector(&bytes, number(sector), &*self.seal);
        Ok(image.ok().flatten().map(|image| image.generation))
    }
}

impl ErasableSlot for FileSlot {
    fn kind(&self) -> SlotKind {
        SlotKind::File
    }

    fn class(&self) -> ErasureClass {
        ErasureClass::Overwrite
    }

    fn load(&self) -> Result<Loaded, SlotError> {
        let mut loaded = Loaded::default();
        for sector in SECTORS {
            match decode_sector(&*self.read(sector)?, number(sector), &*self.seal) {
                Ok(Some(image)) => loaded.images.push(image),
                Ok(None) => {}
                Err(fault) => loaded.faults.push(fault),
            }
        }
        Ok(loaded)
    }

    fn put_new(&mut self, image: &SlotImage) -> Result<(), SlotError> {
        let sector = sector_of(image.generation);
        // The same generation again is a call that is repeated after a failure.
        if let Some(generation) = self.generation_in(sector)?
            && generation != image.generation
        {
            return Err(SlotError::SectorInUse { generation });
        }
        let bytes = encode_sector(image, number(sector), &*self.seal, &self.salt, &*self.entropy)?;
        // A crash within the write leaves a torn sector, which does not open, and the other one.
        self.write(sector, &bytes)
    }

    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError> {
        let kept = sector_of(generation);
        if self.generation_in(kept)? != Some(generation) {
            return Err(SlotError::NoSuchImage { generation });
        }
        let erased = 1 - kept;
        let generation_erased = self.generation_in(erased)?;
        let mut noise = Box::new([0; SLOT_IMAGE_BYTES]);
        self.entropy.fill(&mut *noise).map_err(|_| SlotError::Entropy)?;
        self.write(erased, &noise)?;
        self.write(erased, &[0; SLOT_IMAGE_BYTES])?;
        let is_read_back_clean = self.read(erased)?.iter().all(|byte| *byte == 0);
        Ok(EraseEvidence {
            kind: self.kind(),
            class: self.class(),
            device_id: self.device_id.clone(),
            generation_erased,
            method: EraseMethod::RandomThenZero,
            is_read_back_clean,
        })
    }
}

impl core::fmt::Debug for FileSlot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "FileSlot({})", self.path.display())
    }
}

fn check_filesystem(
    file: &File,
    path: &Path,
    policy: FilesystemPolicy,
) -> Result<(), FileSlotError> {
    let failed = |source| FileSlotError::Io { path: path.to_owned(), source };
    let stat = fstatfs(file).map_err(|error| failed(error.into()))?;
    let magic = u64::from_ne_bytes(stat.f_type.to_ne_bytes());
    match (refused_filesystem(magic), policy) {
        (Some(refused), FilesystemPolicy::Refuse) => {
            Err(FileSlotError::Filesystem { path: path.to_owned(), refused })
        }
        (Some(_), FilesystemPolicy::Accept) | (None, _) => Ok(()),
    }
}

fn offset(sector: usize) -> u64 {
    SECTOR_BYTES * u64::from(number(sector))
}

fn number(sector: usize) -> u8 {
    u8::from(sector != 0)
}
