//! Two sectors of 4,096 bytes in a file that never grows, shrinks or moves.
//!
//! Image `g` lies in sector `g mod 2`. The file stays open and locked; every change is one
//! `pwrite` and one `fdatasync`; an erasure writes random bytes (decision 027) and reads them back.
//! What the sectors hold is remembered ([`Sector`]), not read again: a batch costs two syncs, one
//! read and no decryption, and a read after a failed sync cannot deceive.

use core::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lethe_erasure::erased::{erased_sector, is_erased};
use lethe_erasure::seal::{SEAL_SALT_BYTES, SectorFault, SectorProblem, encode_sector, salt_of};
use lethe_erasure::slot::{
    ErasableSlot, EraseEvidence, EraseMethod, ErasureClass, Loaded, SLOT_IMAGE_BYTES, SlotError,
    SlotImage, SlotKind, sector_of,
};
use lethe_types::{Defence, Entropy};
use rustix::fs::fstatfs;
use zeroize::Zeroize;

use crate::error::FileSlotError;
use crate::files::{self, Access, OWNER_ONLY, is_a_link, open_existing};
use crate::filesystem::{FilesystemPolicy, refused_filesystem};
use crate::medium::Medium;
use crate::seals::Seals;
use crate::sector::{SECTORS, Sector, SectorBytes, sector_number};

/// Bytes of a slot file.
pub const FILE_SLOT_BYTES: u64 = 8_192;

/// The slot in a file. The file is locked (`flock`) until this is dropped.
pub struct FileSlot {
    medium: Box<dyn Medium>,
    contents: Contents,
    path: PathBuf,
    seals: Seals,
    entropy: Arc<dyn Entropy>,
    device_id: String,
}

/// What a slot file holds, as far as this process knows.
pub(crate) struct Contents {
    sectors: [Sector; 2],
    salt: [u8; SEAL_SALT_BYTES],
}

impl FileSlot {
    /// Makes an empty slot at `path`, 0600, durably, and locks it.
    ///
    /// # Errors
    /// [`FileSlotError`]. A file that was made but not finished is removed; after a crash in
    /// between it stays and is refused later as damaged. It never held a root and can be removed.
    pub fn create(
        path: &Path,
        seals: Seals,
        entropy: Arc<dyn Entropy>,
        policy: FilesystemPolicy,
    ) -> Result<Self, FileSlotError> {
        Self::create_if(path, seals, entropy, |file| check_filesystem(magic_of(file), path, policy))
    }

    pub(crate) fn create_if(
        path: &Path,
        seals: Seals,
        entropy: Arc<dyn Entropy>,
        check: impl FnOnce(&File) -> Result<(), FileSlotError>,
    ) -> Result<Self, FileSlotError> {
        let failed = |source: io::Error| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                FileSlotError::AlreadyExists(path.to_owned())
            } else {
                FileSlotError::Io { path: path.to_owned(), source }
            }
        };
        let (file, (contents, device_id)) = files::make(path, failed, |file| {
            lock(file, path)?;
            check(file)?;
            // Written out, so that the blocks are there and no later write needs new ones.
            file.write_all_at(&[0; 2 * SLOT_IMAGE_BYTES], 0).map_err(failed)?;
            Ok((Contents::read(file, path, &seals, &*entropy)?, device_id(file).map_err(failed)?))
        })?;
        let path = path.to_owned();
        Ok(Self { medium: Box::new(file), contents, path, seals, entropy, device_id })
    }

    /// Opens the slot at `path` and locks it. A symbolic link is not followed.
    ///
    /// # Errors
    /// [`FileSlotError`].
    pub fn open(
        path: &Path,
        seals: Seals,
        entropy: Arc<dyn Entropy>,
        policy: FilesystemPolicy,
    ) -> Result<Self, FileSlotError> {
        let failed = |source: io::Error| {
            if source.kind() == io::ErrorKind::NotFound {
                FileSlotError::Missing(path.to_owned())
            } else if is_a_link(&source) {
                FileSlotError::SymbolicLink(path.to_owned())
            } else {
                FileSlotError::Io { path: path.to_owned(), source }
            }
        };
        let file = open_existing(path, Access::ReadWrite).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(FileSlotError::Size(path.to_owned()));
        }
        let mode = metadata.mode() & 0o7777;
        if mode & !OWNER_ONLY != 0 {
            return Err(FileSlotError::Permissions { path: path.to_owned(), mode });
        }
        lock(&file, path)?;
        // Looked at under the lock: who makes a slot locks it first, and may remove it again.
        let metadata = file.metadata().map_err(failed)?;
        if metadata.nlink() == 0 {
            return Err(FileSlotError::Missing(path.to_owned()));
        }
        if metadata.len() != FILE_SLOT_BYTES {
            return Err(FileSlotError::Size(path.to_owned()));
        }
        check_filesystem(magic_of(&file), path, policy)?;
        let device_id = device_id(&file).map_err(failed)?;
        Self::over(Box::new(file), path, seals, entropy, device_id)
    }

    /// The slot in a file that is open, locked and of the right shape.
    pub(crate) fn over(
        medium: Box<dyn Medium>,
        path: &Path,
        seals: Seals,
        entropy: Arc<dyn Entropy>,
        device_id: String,
    ) -> Result<Self, FileSlotError> {
        let contents = Contents::read(&*medium, path, &seals, &*entropy)?;
        Ok(Self { medium, contents, path: path.to_owned(), seals, entropy, device_id })
    }

    /// Writes over `sector`. Until the caller knows better its contents are uncertain, and
    /// `may_hold` is what can be among them.
    fn write(
        &mut self,
        sector: usize,
        bytes: &[u8; SLOT_IMAGE_BYTES],
        may_hold: Option<u64>,
    ) -> Result<(), SlotError> {
        self.contents.sectors[sector] = Sector::Uncertain { may_hold };
        self.write_synced(sector, bytes)
    }

    fn write_synced(&self, sector: usize, bytes: &[u8; SLOT_IMAGE_BYTES]) -> Result<(), SlotError> {
        let written = self.medium.write_all_at(bytes, offset(sector));
        written.and_then(|()| self.medium.sync()).map_err(|error| self.broken(error))
    }

    /// Makes certain that an image found at start is durable, by writing the same bytes again.
    fn confirm(&mut self, sector: usize) -> Result<(), SlotError> {
        if let Sector::Found { generation, sealed } = &self.contents.sectors[sector] {
            let generation = *generation;
            // A crash within it: where the bytes were durable they stay what they are, whatever
            // part is written; where they were not, the image in the other sector is still there.
            // A failure: the bytes are kept, and the next try writes them again.
            self.write_synced(sector, sealed.expose())?;
            self.contents.sectors[sector] = Sector::Written { generation };
        }
        Ok(())
    }

    /// Its source of chance.
    pub(crate) fn entropy(&self) -> Arc<dyn Entropy> {
        self.entropy.clone()
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `generation` is there for certain.
    pub(crate) fn holds(&self, generation: u64) -> bool {
        self.contents.sectors[sector_of(generation)].holds() == Some(generation)
    }

    /// Whether nothing is there, neither images nor anything else.
    pub(crate) fn is_empty(&self) -> bool {
        self.contents.sectors.iter().all(|sector| matches!(sector, Sector::Empty))
    }

    /// Makes `image`, which is durable elsewhere, one of this slot's, whatever lies in its place.
    ///
    /// # Errors
    /// [`SlotError`]: the image may or may not be there, and so may what lay in its place.
    pub(crate) fn take_over(&mut self, image: &SlotImage) -> Result<(), SlotError> {
        let sector = sector_of(image.generation);
        if !self.holds(image.generation) && !self.wipe(sector)? {
            return Err(SlotError::NotClean);
        }
        self.put_new(image)
    }

    /// Erases both sectors.
    ///
    /// # Errors
    /// [`SlotError`]: images may still be there.
    pub fn wipe_all(&mut self) -> Result<(), SlotError> {
        for sector in SECTORS {
            if !self.wipe(sector)? {
                return Err(SlotError::NotClean);
            }
        }
        Ok(())
    }

    /// Random bytes, synced, and whether they come back from the medium. A crash within leaves what
    /// was there, or something that does not open: the next start erases it.
    fn wipe(&mut self, sector: usize) -> Result<bool, SlotError> {
        let erased = erased_sector(&*self.entropy).map_err(|_| SlotError::Entropy)?;
        let may_hold = self.contents.sectors[sector].may_hold();
        self.write(sector, &erased, may_hold)?;
        self.medium.forget_cache().map_err(|error| self.broken(error))?;
        let read_back = read(&*self.medium, sector).map_err(|error| self.broken(error))?;
        let is_clean = *read_back.expose() == *erased;
        if is_clean {
            self.contents.sectors[sector] = Sector::Empty;
        }
        Ok(is_clean)
    }

    fn broken(&self, source: io::Error) -> SlotError {
        SlotError::Backend(Box::new(FileSlotError::Io { path: self.path.clone(), source }))
    }
}

impl ErasableSlot for FileSlot {
    fn kind(&self) -> SlotKind {
        SlotKind::File
    }

    fn class(&self) -> ErasureClass {
        ErasureClass::Overwrite
    }

    /// A sector in which a write of this process failed counts as damaged, whatever reads there.
    fn load(&self) -> Result<Loaded, SlotError> {
        let mut loaded = Loaded::default();
        for sector in SECTORS {
            let number = sector_number(sector);
            let decoded = match &self.contents.sectors[sector] {
                Sector::Empty => Ok(None),
                Sector::Found { sealed, .. } => self.seals.decode(sealed.expose(), number),
                Sector::Uncertain { .. } => {
                    Err(SectorFault { sector: number, problem: SectorProblem::Damaged })
                }
                Sector::Unreadable(fault) => Err(*fault),
                Sector::Written { .. } => {
                    let bytes = read(&*self.medium, sector).map_err(|error| self.broken(error))?;
                    self.seals.decode(bytes.expose(), number)
                }
            };
            match decoded {
                Ok(image) => loaded.images.extend(image),
                Err(fault) => loaded.faults.push(fault),
            }
        }
        Ok(loaded)
    }

    fn put_new(&mut self, image: &SlotImage) -> Result<(), SlotError> {
        let generation = image.generation;
        let sector = sector_of(generation);
        // The same generation again is a call that is repeated after a failure.
        let held = self.contents.sectors[sector].may_hold().filter(|held| *held != generation);
        if let Some(generation) = held {
            return Err(SlotError::SectorInUse { generation });
        }
        let salt = &self.contents.salt;
        let number = sector_number(sector);
        let mut bytes = encode_sector(image, number, self.seals.sealing(), salt, &*self.entropy)?;
        // A crash within the write leaves a torn sector, which does not open, and the other one.
        let written = self.write(sector, &bytes, Some(generation));
        bytes.zeroize();
        written?;
        self.contents.sectors[sector] = Sector::Written { generation };
        Ok(())
    }

    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError> {
        let kept = sector_of(generation);
        if self.contents.sectors[kept].holds() != Some(generation) {
            return Err(SlotError::NoSuchImage { generation });
        }
        let erased = 1 - kept;
        let generation_erased = self.contents.sectors[erased].may_hold();
        if generation_erased.is_some() {
            // If the erased image is the one that is durable, it must not go before this one is.
            // Beside mere debris nothing depends on it, and the only image is left untouched.
            self.confirm(kept)?;
        }
        // A crash from here on leaves the kept image and, in the other sector, something that does
        // not open, or still the old image: the next start erases it.
        let is_read_back_clean = if Defence::Erase.is_off() {
            self.contents.sectors[erased] = Sector::Empty;
            true
        } else {
            self.wipe(erased)?
        };
        Ok(EraseEvidence {
            kind: self.kind(),
            class: self.class(),
            device_id: self.device_id.clone(),
            generation_erased,
            method: EraseMethod::Random,
            is_read_back_clean,
        })
    }
}

impl fmt::Debug for FileSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSlot({})", self.path.display())
    }
}

impl Contents {
    /// Reads both sectors, from the medium and not from what an earlier process left in memory:
    /// that may be bytes whose sync failed.
    fn read(
        medium: &dyn Medium,
        path: &Path,
        seals: &Seals,
        entropy: &dyn Entropy,
    ) -> Result<Self, FileSlotError> {
        let failed = |source| FileSlotError::Io { path: path.to_owned(), source };
        medium.sync().and_then(|()| medium.forget_cache()).map_err(failed)?;
        let bytes = [read(medium, 0).map_err(failed)?, read(medium, 1).map_err(failed)?];
        confirm_erased(medium, &bytes).map_err(failed)?;
        let sealed = (0..).zip(&bytes).filter(|(number, bytes)| {
            // A new seal starts with a salt of its own.
            seals.is_sealing(bytes.expose(), *number)
        });
        let salt = match sealed.into_iter().find_map(|(_, bytes)| salt_of(bytes.expose())) {
            Some(salt) => salt,
            None => {
                let mut fresh = [0; SEAL_SALT_BYTES];
                entropy.fill(&mut fresh).map_err(|_| FileSlotError::Entropy)?;
                fresh
            }
        };
        let [even, odd] = bytes;
        Ok(Self { sectors: [Sector::found(0, even, seals), Sector::found(1, odd, seals)], salt })
    }
}

/// Makes certain that what reads as erased is: a process before this one may have failed to sync it
/// and the system may show it all the same, while the medium still has the image. That one had to
/// be durable elsewhere before it was written over, so writing the same again loses nothing.
fn confirm_erased(medium: &dyn Medium, bytes: &[SectorBytes; 2]) -> io::Result<()> {
    for (sector, bytes) in bytes.iter().enumerate() {
        if is_erased(bytes.expose()) {
            medium.write_all_at(bytes.expose(), offset(sector))?;
            medium.sync()?;
        }
    }
    Ok(())
}

fn read(medium: &dyn Medium, sector: usize) -> io::Result<SectorBytes> {
    SectorBytes::try_init_with(|bytes| medium.read_exact_at(bytes, offset(sector)))
}

fn offset(sector: usize) -> u64 {
    SECTOR_BYTES * u64::from(sector_number(sector))
}

fn lock(file: &File, path: &Path) -> Result<(), FileSlotError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(FileSlotError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => {
            Err(FileSlotError::Io { path: path.to_owned(), source })
        }
    }
}

fn device_id(file: &File) -> io::Result<String> {
    let metadata = file.metadata()?;
    Ok(format!("device {} inode {}", metadata.dev(), metadata.ino()))
}

/// The `statfs` number of the file system that the file lies on.
fn magic_of(file: &File) -> io::Result<u64> {
    Ok(u64::from_ne_bytes(fstatfs(file)?.f_type.to_ne_bytes()))
}

pub(crate) fn check_filesystem(
    magic: io::Result<u64>,
    path: &Path,
    policy: FilesystemPolicy,
) -> Result<(), FileSlotError> {
    let magic = magic.map_err(|source| FileSlotError::Io { path: path.to_owned(), source })?;
    match (refused_filesystem(magic), policy) {
        (Some(refused), FilesystemPolicy::Refuse) => {
            Err(FileSlotError::Filesystem { path: path.to_owned(), refused })
        }
        (Some(_), FilesystemPolicy::Accept) | (None, _) => Ok(()),
    }
}

const SECTOR_BYTES: u64 = 4_096;
