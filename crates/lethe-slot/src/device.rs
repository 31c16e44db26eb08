//! A slot whose images open only with a key that a device keeps: one key a generation, destroyed in
//! the device with its root.
//!
//! The images lie in files ([`ReplicatedSlot`]), sealed under a key that is derived from the seal's
//! and from what the device computes with its key of that generation. Once that key is destroyed no
//! copy of the files opens any more, wherever it lies: so the files may be copied and lost replicas
//! do not matter, and losing the device loses everything.
//!
//! ```text
//! put_new        key g in the device, then image g in every file
//! erase_all_but  image g whole in every file, then every other key destroyed in the device and
//!                looked for: this is the instant of erasure
//! ```

use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lethe_crypto::kdf::hkdf_sha256;
use lethe_erasure::seal::{
    SEAL_SALT_BYTES, Seal, SealDevice, SealError, SealKind, SectorFault, SectorProblem,
};
use lethe_erasure::slot::{
    ErasableSlot, EraseEvidence, EraseMethod, ErasureClass, Loaded, Remnants, SlotError, SlotImage,
    SlotKind, sector_of,
};
use lethe_types::Secret;
use zeroize::Zeroizing;

use crate::replicas::ReplicatedSlot;
use crate::seals::Seals;
use crate::sector::sector_number;

/// A device that keeps one key a generation. All that changes something is durable when it returns.
pub trait KeyDevice: Send {
    /// What it is, for sealed sectors.
    fn device(&self) -> SealDevice;

    /// What its erasure is worth.
    fn class(&self) -> ErasureClass;

    /// Which device, in words.
    fn name(&self) -> String;

    /// How it destroys.
    fn method(&self) -> EraseMethod;

    /// The generations whose keys are there.
    ///
    /// # Errors
    /// [`DeviceError`].
    fn generations(&self) -> Result<Vec<u64>, DeviceError>;

    /// Draws a key for `generation`, in place of one that is there already.
    ///
    /// # Errors
    /// [`DeviceError`]: the new key may or may not be there. Those of other generations are.
    fn draw(&mut self, generation: u64) -> Result<(), DeviceError>;

    /// A pseudo-random function of `input` under the key of `generation`: HMAC-SHA-256 (RFC 2104)
    /// or HKDF of it (RFC 5869).
    ///
    /// # Errors
    /// [`DeviceError`].
    fn evaluate(&self, generation: u64, input: &[u8]) -> Result<Secret<32>, DeviceError>;

    /// Destroys the key of `generation`, if there is one.
    ///
    /// # Errors
    /// [`DeviceError`]: the key may or may not be there.
    fn destroy(&mut self, generation: u64) -> Result<(), DeviceError>;
}

/// A device that several parts of one slot ask, one at a time.
#[derive(Clone)]
pub struct SharedDevice(Arc<Mutex<Box<dyn KeyDevice>>>);

impl SharedDevice {
    /// The only way to `device` from now on.
    #[must_use]
    pub fn new(device: Box<dyn KeyDevice>) -> Self {
        Self(Arc::new(Mutex::new(device)))
    }

    /// The seal that also needs the device.
    #[must_use]
    pub fn seal(&self, inner: Arc<dyn Seal>) -> Arc<dyn Seal> {
        Arc::new(DeviceSeal { device: self.clone(), inner })
    }

    /// Destroys every key of the slot in the device; gives how many there were.
    ///
    /// # Errors
    /// [`DeviceError`]: some may be left; it may be called again.
    pub fn destroy_all(&self) -> Result<usize, DeviceError> {
        self.destroy_all_but(&[])
    }

    /// Destroys the keys of all generations that are not among `kept`; gives how many there were.
    ///
    /// # Errors
    /// As [`SharedDevice::destroy_all`].
    pub fn destroy_all_but(&self, kept: &[u64]) -> Result<usize, DeviceError> {
        let mut device = self.lock();
        let mut generations = device.generations()?;
        generations.retain(|generation| !kept.contains(generation));
        generations.iter().try_for_each(|generation| device.destroy(*generation))?;
        let left = device.generations()?;
        match left.iter().find(|generation| !kept.contains(generation)) {
            None => Ok(generations.len()),
            Some(left) => Err(DeviceError::Failed {
                doing: "destroy a key",
                why: format!("that of generation {left} is still there"),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn KeyDevice>> {
        // It keeps nothing in memory that a panic could leave half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedDevice(..)")
    }
}

struct DeviceSeal {
    device: SharedDevice,
    inner: Arc<dyn Seal>,
}

impl Seal for DeviceSeal {
    fn kind(&self) -> SealKind {
        self.inner.kind()
    }

    fn key(&self, salt: &[u8; SEAL_SALT_BYTES]) -> Result<Secret<32>, SealError> {
        self.inner.key(salt)
    }

    fn device(&self) -> SealDevice {
        self.device.lock().device()
    }

    fn sector_key(
        &self,
        salt: &[u8; SEAL_SALT_BYTES],
        sector: u8,
    ) -> Result<Secret<32>, SealError> {
        let device = self.device.lock();
        let generations =
            device.generations().map_err(|_| SealError::Device("list the slot's keys"))?;
        let of_sector = |one: &u64| sector_number(sector_of(*one)) == sector;
        let generation = generations.into_iter().find(of_sector).ok_or(SealError::NoKey)?;
        let of_device = device
            .evaluate(generation, &[b"lethe/slot-root/v1".as_slice(), salt].concat())
            .map_err(|_| SealError::Device("use the slot's key"))?;
        let of_seal = self.inner.key(salt)?;
        let mut both = Zeroizing::new([0; 64]);
        both[..32].copy_from_slice(of_seal.expose());
        both[32..].copy_from_slice(of_device.expose());
        let info = [b"lethe/slot-device/v1/".as_slice(), &generation.to_be_bytes()];
        hkdf_sha256(salt, &*both, &info).map_err(SealError::from)
    }
}

/// A slot in files and a device.
#[derive(Debug)]
pub struct DeviceSlot {
    files: ReplicatedSlot,
    device: SharedDevice,
    rest: Duration,
}

impl DeviceSlot {
    /// The slot in `files`, which were opened with seals of [`SharedDevice::seal`].
    #[must_use]
    pub fn new(files: ReplicatedSlot, device: SharedDevice) -> Self {
        Self { files, device, rest: Duration::ZERO }
    }

    /// The same slot, whose device is to be left alone for `rest` after each change.
    #[must_use]
    pub fn resting(self, rest: Duration) -> Self {
        Self { rest, ..self }
    }

    /// Those seals: `seals`, each of which also needs the device.
    #[must_use]
    pub fn seals(seals: &Seals, device: &SharedDevice) -> Seals {
        seals.with(|seal| device.seal(seal))
    }

    /// The slot's files alone, for [`ReplicatedSlot::retire`]; the device is let go.
    #[must_use]
    pub fn into_files(self) -> ReplicatedSlot {
        self.files
    }

    /// The slot's files.
    #[must_use]
    pub fn files(&self) -> &ReplicatedSlot {
        &self.files
    }
}

impl ErasableSlot for DeviceSlot {
    fn kind(&self) -> SlotKind {
        match self.device.lock().device() {
            SealDevice::None => SlotKind::File,
            SealDevice::Pkcs11 => SlotKind::Pkcs11,
            SealDevice::TpmNv => SlotKind::TpmNv,
        }
    }

    fn class(&self) -> ErasureClass {
        self.device.lock().class()
    }

    fn load(&self) -> Result<Loaded, SlotError> {
        // The device is asked first: if it is gone, that is the answer, and not damaged files.
        let keys = self.device.lock().generations()?;
        let mut loaded = self.files.load()?;
        if loaded.images.is_empty() && loaded.faults.is_empty() {
            // Files that never held anything: a creation that was cut short after its first key.
            return Ok(loaded);
        }
        for key in keys {
            if !loaded.images.iter().any(|image| image.generation == key) {
                let sector = sector_number(sector_of(key));
                loaded.faults.push(SectorFault { sector, problem: SectorProblem::KeyWithoutImage });
            }
        }
        Ok(loaded)
    }

    fn put_new(&mut self, image: &SlotImage) -> Result<(), SlotError> {
        let generation = image.generation;
        {
            let mut device = self.device.lock();
            let sector = sector_of(generation);
            let keys = device.generations()?;
            let other =
                keys.into_iter().find(|one| sector_of(*one) == sector && *one != generation);
            if let Some(generation) = other {
                return Err(SlotError::SectorInUse { generation });
            }
            // A crash from here on leaves a key without an image, or with one in some files: the
            // next start takes the image before, or this one, and erases the other with its key.
            device.draw(generation)?;
        }
        self.files.put_new(image)
    }

    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError> {
        let keys = self.device.lock().generations()?;
        if !keys.contains(&generation) {
            return Err(SlotError::NoSuchImage { generation });
        }
        // First, since it makes certain that what stays is whole in every file.
        let of_files = self.files.erase_all_but(generation)?;
        let mut device = self.device.lock();
        let mut erased = of_files.generation_erased;
        for other in keys.into_iter().filter(|one| *one != generation) {
            device.destroy(other)?;
            erased = erased.max(Some(other));
        }
        let is_gone = device.generations()? == [generation];
        Ok(EraseEvidence {
            kind: match device.device() {
                SealDevice::None => SlotKind::File,
                SealDevice::Pkcs11 => SlotKind::Pkcs11,
                SealDevice::TpmNv => SlotKind::TpmNv,
            },
            class: device.class(),
            device_id: device.name(),
            generation_erased: erased,
            method: device.method(),
            is_read_back_clean: is_gone && of_files.is_read_back_clean,
        })
    }

    fn rest(&self) -> Duration {
        self.rest
    }

    /// Lost replicas open no more: the device destroyed its key.
    fn remnants(&self) -> Remnants {
        Remnants { lost: None, shares: self.files.seal_shares() }
    }
}

/// Why a device did not do what it was asked, in words for the operator.
#[derive(Debug)]
pub enum DeviceError {
    /// Whatever the library or the device answered.
    Failed {
        /// What was asked of it.
        doing: &'static str,
        /// Its answer.
        why: String,
    },
    /// A key that should be there is not.
    KeyMissing(String),
    /// There is a key already where a new one was to be made.
    KeyExists(String),
    /// Too many wrong PINs: the device takes none any more.
    Locked,
    /// There is no such device.
    Missing(String),
    /// The module that talks to the device cannot be loaded.
    Module(String),
    /// The PIN is wrong.
    Pin,
    /// Another slot, or something that is not ours, is where the slot should be.
    Unusable(String),
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { doing, why } => write!(f, "the slot's device failed to {doing}: {why}"),
            Self::KeyMissing(what) => {
                write!(f, "{what} is not in the device: it is another one, or it was cleared")
            }
            Self::KeyExists(what) => {
                write!(f, "{what} is in the device already: choose another name")
            }
            Self::Locked => f.write_str(
                "the device is locked after too many wrong PINs: its officer can unlock it",
            ),
            Self::Missing(what) => write!(f, "there is no {what}"),
            Self::Module(why) => write!(f, "the module of the device cannot be used: {why}"),
            Self::Pin => f.write_str("the device refuses the PIN"),
            Self::Unusable(why) => f.write_str(why),
        }
    }
}

impl core::error::Error for DeviceError {}

impl From<DeviceError> for SlotError {
    fn from(error: DeviceError) -> Self {
        Self::Backend(Box::new(error))
    }
}
