//! The erasable slot: the few bytes that can be destroyed for certain, and what they hold.
//!
//! A slot keeps up to two images, so that a new one is durable before the old one goes. Image `g`
//! lives in sector `g mod 2`.

mod image;
mod mem;
mod replacement;

use core::error::Error;
use core::fmt;
use core::time::Duration;

pub use image::{
    ImageFault, RETAINED_ENTRIES_MAX, SLOT_ENTRIES_MAX, SLOT_IMAGE_BYTES, SlotEntry, SlotImage,
};
pub use mem::MemSlot;
pub use replacement::{Replaced, Replacement};

use lethe_types::UnixMillis;

use crate::seal::{SealError, SectorFault};

/// A place for at most two images that can forget one of them for certain.
///
/// One owner; every call that changes something is durable when it returns `Ok`.
pub trait ErasableSlot: Send {
    /// What it is made of.
    fn kind(&self) -> SlotKind;

    /// What its erasure is worth.
    fn class(&self) -> ErasureClass;

    /// Every image that can still be read, and why the rest of the slot cannot. A slot that was
    /// never written gives neither.
    ///
    /// # Errors
    /// [`SlotError::Backend`] if the slot cannot be read at all.
    fn load(&self) -> Result<Loaded, SlotError>;

    /// Writes `image` durably and keeps the one before.
    ///
    /// A call that failed may be repeated: the same generation is written over. One that succeeded
    /// may not, since after an erasure its image can be the only one left; the types
    /// [`crate::tree::NewRoot`] and [`Replacement`] see to that.
    ///
    /// # Errors
    /// [`SlotError::SectorInUse`] if that would overwrite an image of another generation. After
    /// [`SlotError::Backend`] the new image may or may not be there, the old one is.
    fn put_new(&mut self, image: &SlotImage) -> Result<(), SlotError>;

    /// Erases durably whatever is not the image of `generation`, readable or not, and reads back.
    /// May be repeated.
    ///
    /// # Errors
    /// [`SlotError::NoSuchImage`], with nothing erased, if `generation` is not there for certain.
    /// After [`SlotError::Backend`] and [`SlotError::NotClean`] the old image may still be there.
    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError>;

    /// What an erasure that comes to its end now does not reach. For receipts.
    fn remnants(&self) -> Remnants {
        Remnants::default()
    }

    /// How long the root should stay at least before it is changed again, since the medium wears
    /// out. Most media do not.
    fn rest(&self) -> Duration {
        Duration::ZERO
    }
}

/// What a slot gives at start.
#[derive(Debug, Default)]
pub struct Loaded {
    /// 0 to 2 images, in no order.
    pub images: Vec<SlotImage>,
    /// Sectors that are neither empty nor an image: torn by a crash, damaged, or not ours.
    pub faults: Vec<SectorFault>,
}

/// What a slot is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// Parts of the root on different media.
    Composed,
    /// Two sectors of a file.
    File,
    /// Memory of a process: for tests.
    Memory,
    /// A share of the root on each node of a cluster.
    PeerShare,
    /// An object in a PKCS#11 token.
    Pkcs11,
    /// Non-volatile indices of a TPM 2.0.
    TpmNv,
}

impl SlotKind {
    /// The word for receipts and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Composed => "composed",
            Self::File => "file",
            Self::Memory => "memory",
            Self::PeerShare => "peer_share",
            Self::Pkcs11 => "pkcs11",
            Self::TpmNv => "tpm_nv",
        }
    }
}

/// What the erasure of a slot is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureClass {
    /// A key in hardware was destroyed.
    Hardware,
    /// Bytes were overwritten where they were; media that remap blocks may keep a copy.
    Overwrite,
}

impl ErasureClass {
    /// The word for receipts and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hardware => "hardware",
            Self::Overwrite => "overwrite",
        }
    }
}

/// How a slot erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EraseMethod {
    /// An object of a token was destroyed.
    ObjectDestroyed,
    /// Random bytes, made durable.
    Random,
    /// Zeros.
    Zero,
}

impl EraseMethod {
    /// The word for receipts and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ObjectDestroyed => "object_destroyed",
            Self::Random => "random",
            Self::Zero => "zero",
        }
    }
}

/// What a slot says about an erasure that it finished. The moment is the caller's to add when the
/// call returns: this layer has no clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EraseEvidence {
    /// What the slot is made of.
    pub kind: SlotKind,
    /// What its erasure is worth.
    pub class: ErasureClass,
    /// Which device or object, in the words of the slot.
    pub device_id: String,
    /// The generation that was erased; `None` if there was no readable one.
    pub generation_erased: Option<u64>,
    /// How.
    pub method: EraseMethod,
    /// Whether reading after it found nothing.
    pub is_read_back_clean: bool,
}

/// What lies elsewhere and is not reached by an erasure, or could be thought not to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remnants {
    /// Replicas that went away with an image that was not erased.
    pub lost: Option<LostImages>,
    /// Shares of the key of the seal.
    pub shares: Option<SealShares>,
}

/// Replicas of a slot that are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostImages {
    /// How many, at least one.
    pub replicas: u32,
    /// The newest generation that one of them can hold.
    pub up_to_generation: u64,
}

/// Recovery shares of the seal's key. They hold no root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealShares {
    /// How many are enough; 0 if what is recorded of them cannot be read.
    pub needed: u8,
    /// How many there are; 0 likewise.
    pub number: u8,
    /// When they were made, if that is known.
    pub made: Option<UnixMillis>,
}

/// Why a slot did not do what it was asked.
#[derive(Debug)]
pub enum SlotError {
    /// A root was to be retained until a moment that has passed. Nothing was written.
    AlreadyExpired,
    /// The medium failed; the source says how and what to do.
    Backend(Box<dyn Error + Send + Sync>),
    /// The random source failed. Nothing was written.
    Entropy,
    /// The image has no room for another retained root. Nothing was written.
    Full,
    /// The slot does not hold this generation for certain. Nothing was erased.
    NoSuchImage {
        /// The generation that was to stay.
        generation: u64,
    },
    /// Reading after the erasure found something. The old root may be alive.
    NotClean,
    /// The new image does not follow the one in the slot: other tree, or an epoch that does not
    /// grow. Nothing was written.
    NotASuccessor,
    /// The sector still holds another image. Nothing was written.
    SectorInUse {
        /// The generation that is there.
        generation: u64,
    },
    /// The seal gave no key. Nothing was written.
    Seal(SealError),
}

impl fmt::Display for SlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyExpired => f.write_str("the backup's window has already ended"),
            Self::Backend(error) => error.fmt(f),
            Self::Entropy => f.write_str("the random source failed while writing the slot"),
            Self::Full => write!(
                f,
                "the slot already keeps {RETAINED_ENTRIES_MAX} roots for backups: let some expire"
            ),
            Self::NoSuchImage { generation } => {
                write!(f, "the slot does not hold generation {generation}; nothing was erased")
            }
            Self::NotClean => f.write_str("the slot still reads something where it was erased"),
            Self::NotASuccessor => {
                f.write_str("the new slot image does not follow the one in the slot")
            }
            Self::SectorInUse { generation } => {
                write!(f, "the slot still holds generation {generation} where the new one belongs")
            }
            Self::Seal(error) => error.fmt(f),
        }
    }
}

impl Error for SlotError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Backend(error) => error.source(),
            Self::Seal(error) => error.source(),
            Self::AlreadyExpired
            | Self::Entropy
            | Self::Full
            | Self::NoSuchImage { .. }
            | Self::NotClean
            | Self::NotASuccessor
            | Self::SectorInUse { .. } => None,
        }
    }
}

impl From<SealError> for SlotError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Entropy => Self::Entropy,
            SealError::Crypto(_) | SealError::Device(_) | SealError::NoKey => Self::Seal(error),
        }
    }
}

/// The sector of an image.
#[must_use]
pub fn sector_of(generation: u64) -> usize {
    usize::from(!generation.is_multiple_of(2))
}
