//! The seal around a slot image, so that a stolen slot alone opens nothing. A sealed sector is as
//! long as the image.
//!
//! ```text
//!  0 "KSE1" | 4 u16 version = 1 | 6 u8 device | 7 u8 seal kind | 8 salt (16) | 24 nonce (12)
//! 36 tag (16)
//! 52 reserved, zero (12) | 64 AES-256-GCM ciphertext (4,032)
//! AAD = "KSLOT" || u8 sector number || bytes 0..24
//! ```
//! The device is 0, or says whose key of this generation is part of the sealing key (a TPM, a
//! PKCS#11 token): the sector then opens no more once that key is destroyed.
//!
//! The plaintext is the image without 64 bytes of its fill (4,000 to 4,063), which are always zero.

use core::fmt;
use std::sync::{Mutex, PoisonError};

use lethe_crypto::CryptoError;
use lethe_crypto::aead::{SealKey, TAG_BYTES};
use lethe_crypto::kdf::{Argon2Params, argon2id, hkdf_sha256};
use lethe_types::{Entropy, EntropyError, Secret, SecretVec};
use zeroize::Zeroizing;

use crate::erased::holds_nothing;
use crate::slot::{ImageFault, SLOT_IMAGE_BYTES, SlotError, SlotImage};

/// What the key of a seal comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealKind {
    /// 32 bytes that the service manager hands to the process.
    Credential,
    /// 32 random bytes in a file.
    KeyFile,
    /// A passphrase that someone enters at start.
    Passphrase,
    /// A key in a PKCS#11 token, which never leaves it.
    Pkcs11,
    /// A secret that a TPM 2.0 gives out on this machine only.
    Tpm2,
}

impl SealKind {
    const ALL: [Self; 5] =
        [Self::KeyFile, Self::Passphrase, Self::Credential, Self::Pkcs11, Self::Tpm2];

    /// The number in a sealed sector.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::KeyFile => 1,
            Self::Passphrase => 2,
            Self::Credential => 3,
            Self::Pkcs11 => 4,
            Self::Tpm2 => 5,
        }
    }

    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The word of configurations and programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::KeyFile => "key-file",
            Self::Passphrase => "passphrase",
            Self::Pkcs11 => "pkcs11",
            Self::Tpm2 => "tpm2",
        }
    }
}

impl fmt::Display for SealKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Credential => "a credential of the service manager",
            Self::KeyFile => "a key file",
            Self::Passphrase => "a passphrase",
            Self::Pkcs11 => "a key in a PKCS#11 token",
            Self::Tpm2 => "a TPM 2.0",
        })
    }
}

/// Whose key is part of the sealing key, beside that of the seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealDevice {
    /// Nobody's.
    None,
    /// A PKCS#11 token.
    Pkcs11,
    /// Non-volatile memory of a TPM 2.0.
    TpmNv,
}

impl SealDevice {
    /// The number in a sealed sector.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Pkcs11 => 1,
            Self::TpmNv => 2,
        }
    }

    /// The device with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::None, Self::Pkcs11, Self::TpmNv].into_iter().find(|one| one.number() == number)
    }
}

impl fmt::Display for SealDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "file",
            Self::Pkcs11 => "pkcs11",
            Self::TpmNv => "tpm",
        })
    }
}

/// A source of the key that seals slot images.
pub trait Seal: Send + Sync {
    /// What it is.
    fn kind(&self) -> SealKind;

    /// The sealing key for a slot with this salt.
    ///
    /// # Errors
    /// [`SealError`] if it could not be derived.
    fn key(&self, salt: &[u8; SEAL_SALT_BYTES]) -> Result<Secret<32>, SealError>;

    /// Whose key of the sector's generation is part of [`Seal::sector_key`].
    fn device(&self) -> SealDevice {
        SealDevice::None
    }

    /// The sealing key for one sector.
    ///
    /// # Errors
    /// [`SealError`] if it could not be derived; [`SealError::NoKey`] if the device has none for
    /// it.
    fn sector_key(
        &self,
        salt: &[u8; SEAL_SALT_BYTES],
        _sector: u8,
    ) -> Result<Secret<32>, SealError> {
        self.key(salt)
    }
}

/// A seal whose key comes from 32 secret bytes that something keeps or derives: a credential, a
/// token, a TPM.
#[derive(Debug)]
pub struct SecretSeal {
    kind: SealKind,
    secret: Secret<32>,
}

impl SecretSeal {
    /// A seal of this kind from its secret.
    #[must_use]
    pub fn new(kind: SealKind, secret: Secret<32>) -> Self {
        Self { kind, secret }
    }
}

impl Seal for SecretSeal {
    fn kind(&self) -> SealKind {
        self.kind
    }

    fn key(&self, salt: &[u8; SEAL_SALT_BYTES]) -> Result<Secret<32>, SealError> {
        let info: [&[u8]; 2] = [b"lethe/slot-seal/v1/", self.kind.as_str().as_bytes()];
        hkdf_sha256(salt, self.secret.expose(), &info).map_err(SealError::from)
    }
}

/// A seal whose key comes from 32 random bytes that were read from a file.
#[derive(Debug)]
pub struct KeyFileSeal(Secret<32>);

impl KeyFileSeal {
    /// A seal from the bytes of the key file.
    #[must_use]
    pub fn new(key: Secret<32>) -> Self {
        Self(key)
    }
}

impl Seal for KeyFileSeal {
    fn kind(&self) -> SealKind {
        SealKind::KeyFile
    }

    fn key(&self, salt: &[u8; SEAL_SALT_BYTES]) -> Result<Secret<32>, SealError> {
        hkdf_sha256(salt, self.0.expose(), &[b"lethe/slot-seal/v1"]).map_err(SealError::from)
    }
}

/// A seal whose key comes from a passphrase by Argon2id with the default parameters (RFC 9106).
///
/// The keys of the last salts are kept, since a slot has one salt for as long as it has one seal
/// and a derivation costs 64 MiB and a tenth of a second.
#[derive(Debug)]
pub struct PassphraseSeal {
    passphrase: SecretVec,
    kept: Mutex<Vec<([u8; SEAL_SALT_BYTES], Secret<32>)>>,
}

impl PassphraseSeal {
    /// A seal from a passphrase, exactly as entered.
    #[must_use]
    pub fn new(passphrase: SecretVec) -> Self {
        Self { passphrase, kept: Mutex::default() }
    }
}

impl Seal for PassphraseSeal {
    fn kind(&self) -> SealKind {
        SealKind::Passphrase
    }

    fn key(&self, salt: &[u8; SEAL_SALT_BYTES]) -> Result<Secret<32>, SealError> {
        // What is kept is whole at every moment, also if another holder of the lock panicked.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = kept.iter().find(|(kept_for, _)| kept_for == salt) {
            return Ok(key.duplicate());
        }
        let key = argon2id(Argon2Params::default(), salt, self.passphrase.expose())?;
        if kept.len() >= SALTS_KEPT_MAX {
            kept.remove(0);
        }
        kept.push((*salt, key.duplicate()));
        Ok(key)
    }
}

/// Why a seal gave no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// The cryptographic library failed.
    Crypto(CryptoError),
    /// The device of the slot did not answer as it should; carries what was asked of it.
    Device(&'static str),
    /// The random source failed.
    Entropy,
    /// The device holds no key for this sector: it was destroyed, as it must be after an erasure,
    /// or it is another device.
    NoKey,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crypto(_) => f.write_str("the key of the slot's seal could not be derived"),
            Self::Device(doing) => write!(f, "the device of the slot failed to {doing}"),
            Self::Entropy => EntropyError.fmt(f),
            Self::NoKey => f.write_str("the device of the slot holds no key for it"),
        }
    }
}

impl core::error::Error for SealError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Crypto(error) => Some(error),
            Self::Device(_) | Self::Entropy | Self::NoKey => None,
        }
    }
}

impl From<CryptoError> for SealError {
    fn from(error: CryptoError) -> Self {
        Self::Crypto(error)
    }
}

impl From<EntropyError> for SealError {
    fn from(_: EntropyError) -> Self {
        Self::Entropy
    }
}

/// A sector that gave no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectorFault {
    /// Which.
    pub sector: u8,
    /// What is wrong with it.
    pub problem: SectorProblem,
}

/// Why a sector gave no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectorProblem {
    /// A replica of the slot lacks the newest image, or holds an older one: it was lost, rolled
    /// back or cut short by a crash.
    Behind,
    /// Not a sealed sector: a write was torn, or something else overwrote it.
    Damaged,
    /// It opened, and what was inside is no slot image.
    Image(ImageFault),
    /// It does not open under this key: wrong key file or passphrase, or a torn write.
    NotAuthentic,
    /// The device holds a key of a generation that no sector has: a crash came before its image.
    KeyWithoutImage,
    /// Of a slot of another kind than the configured one.
    OtherDevice {
        /// The device whose key is part of the seal.
        sealed_with: SealDevice,
        /// The one that is configured.
        configured: SealDevice,
    },
    /// Sealed with another kind of seal than the configured one.
    OtherSeal {
        /// The kind that sealed it.
        sealed_with: SealKind,
        /// The kind that is configured.
        configured: SealKind,
    },
    /// The configured seal gave no key.
    Seal(SealError),
    /// Sealed with a kind that this program does not know; carries its number.
    UnknownSeal(u16),
    /// A version of the layout that this program does not know.
    Version(u16),
}

impl fmt::Display for SectorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sector {}: {}", self.sector, self.problem)
    }
}

impl core::error::Error for SectorFault {}

impl fmt::Display for SectorProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind => f.write_str("a replica that is behind the others"),
            Self::Damaged => f.write_str("damaged: not a sealed slot sector"),
            Self::Image(fault) => fault.fmt(f),
            Self::KeyWithoutImage => f.write_str("the device holds a key without an image"),
            Self::NotAuthentic => {
                f.write_str("does not open: the key file or passphrase is wrong, or it is damaged")
            }
            Self::OtherDevice { sealed_with, configured } => {
                write!(f, "of a slot of kind \"{sealed_with}\", but \"{configured}\" is configured")
            }
            Self::OtherSeal { sealed_with, configured } => {
                write!(f, "sealed with {sealed_with}, but {configured} is configured")
            }
            Self::Seal(error) => error.fmt(f),
            Self::UnknownSeal(number) => {
                write!(f, "sealed with kind {number}, which this program does not know")
            }
            Self::Version(version) => {
                write!(f, "sealed in layout version {version}, this program knows 1")
            }
        }
    }
}

/// The bytes of `sector` with `image` in it.
///
/// # Errors
/// [`SlotError::Entropy`], [`SlotError::Seal`], or those of [`SlotImage::encode`].
pub fn encode_sector(
    image: &SlotImage,
    sector: u8,
    seal: &dyn Seal,
    salt: &[u8; SEAL_SALT_BYTES],
    entropy: &dyn Entropy,
) -> Result<Box<[u8; SLOT_IMAGE_BYTES]>, SlotError> {
    let plain = image.encode()?;
    let mut body = Zeroizing::new(Vec::with_capacity(BODY_BYTES));
    body.extend_from_slice(&plain.expose()[..LEFT_OUT.start]);
    body.extend_from_slice(&plain.expose()[LEFT_OUT.end..]);
    assert!(plain.expose()[LEFT_OUT].iter().all(|byte| *byte == 0), "an image's fill is zero");
    let mut bytes = Box::new([0; SLOT_IMAGE_BYTES]);
    bytes[..4].copy_from_slice(MAGIC);
    bytes[4..6].copy_from_slice(&VERSION.to_be_bytes());
    bytes[6] = seal.device().number();
    bytes[7] = seal.kind().number();
    bytes[SALT].copy_from_slice(salt);
    let mut nonce = [0; 12];
    entropy.fill(&mut nonce).map_err(|_| SlotError::Entropy)?;
    bytes[NONCE].copy_from_slice(&nonce);
    let key = SealKey::new(&seal.sector_key(salt, sector)?);
    let tag = key
        .seal_in_place(nonce, &aad(sector, &bytes), &mut body)
        .map_err(|error| SlotError::Seal(error.into()))?;
    bytes[TAG].copy_from_slice(&tag);
    bytes[ENVELOPE_BYTES..].copy_from_slice(&body);
    Ok(bytes)
}

/// The image in the bytes of `sector`; `None` if the sector is empty or erased.
///
/// # Errors
/// [`SectorFault`]: the sector holds something that gives no image under this seal.
pub fn decode_sector(
    bytes: &[u8; SLOT_IMAGE_BYTES],
    sector: u8,
    seal: &dyn Seal,
) -> Result<Option<SlotImage>, SectorFault> {
    if holds_nothing(bytes) {
        return Ok(None);
    }
    match open_sector(bytes, sector, seal) {
        Ok(image) => Ok(Some(image)),
        Err(problem) => Err(SectorFault { sector, problem }),
    }
}

/// The salt of a sector that looks sealed, for the next write to keep it.
#[must_use]
pub fn salt_of(bytes: &[u8; SLOT_IMAGE_BYTES]) -> Option<[u8; SEAL_SALT_BYTES]> {
    (bytes[..4] == *MAGIC).then(|| salt_in(bytes))
}

fn open_sector(
    bytes: &[u8; SLOT_IMAGE_BYTES],
    sector: u8,
    seal: &dyn Seal,
) -> Result<SlotImage, SectorProblem> {
    if bytes[..4] != *MAGIC {
        return Err(SectorProblem::Damaged);
    }
    let version = u16::from_be_bytes([bytes[4], bytes[5]]);
    if version != VERSION {
        return Err(SectorProblem::Version(version));
    }
    let (device, kind) = sealed_by(bytes)?;
    if device != seal.device() {
        let configured = seal.device();
        return Err(SectorProblem::OtherDevice { sealed_with: device, configured });
    }
    if kind != seal.kind() {
        return Err(SectorProblem::OtherSeal { sealed_with: kind, configured: seal.kind() });
    }
    if bytes[RESERVED].iter().any(|byte| *byte != 0) {
        return Err(SectorProblem::Damaged);
    }
    let key = seal.sector_key(&salt_in(bytes), sector).map_err(SectorProblem::Seal)?;
    let key = SealKey::new(&key);
    let mut nonce = [0; 12];
    nonce.copy_from_slice(&bytes[NONCE]);
    let mut body = Zeroizing::new(Vec::with_capacity(BODY_BYTES + TAG_BYTES));
    body.extend_from_slice(&bytes[ENVELOPE_BYTES..]);
    body.extend_from_slice(&bytes[TAG]);
    let plain = key
        .open_in_place(nonce, &aad(sector, bytes), &mut body)
        .map_err(|_| SectorProblem::NotAuthentic)?;
    let image: Secret<SLOT_IMAGE_BYTES> = Secret::init_with(|image| {
        image[..LEFT_OUT.start].copy_from_slice(&plain[..LEFT_OUT.start]);
        image[LEFT_OUT.end..].copy_from_slice(&plain[LEFT_OUT.start..]);
    });
    SlotImage::decode(image.expose()).map_err(SectorProblem::Image)
}

/// Whose keys seal what looks like a sealed sector; `None` for one that is empty or damaged.
#[must_use]
pub fn sealed_with(bytes: &[u8; SLOT_IMAGE_BYTES]) -> Option<(SealDevice, SealKind)> {
    if bytes[..4] == *MAGIC { sealed_by(bytes).ok() } else { None }
}

fn sealed_by(bytes: &[u8; SLOT_IMAGE_BYTES]) -> Result<(SealDevice, SealKind), SectorProblem> {
    let number = u16::from_be_bytes([bytes[6], bytes[7]]);
    let known = SealDevice::from_number(bytes[6]).zip(SealKind::from_number(bytes[7]));
    known.ok_or(SectorProblem::UnknownSeal(number))
}

fn salt_in(bytes: &[u8; SLOT_IMAGE_BYTES]) -> [u8; SEAL_SALT_BYTES] {
    let mut salt = [0; SEAL_SALT_BYTES];
    salt.copy_from_slice(&bytes[SALT]);
    salt
}

fn aad(sector: u8, bytes: &[u8; SLOT_IMAGE_BYTES]) -> [u8; 30] {
    let mut aad = [0; 30];
    aad[..5].copy_from_slice(b"KSLOT");
    aad[5] = sector;
    aad[6..].copy_from_slice(&bytes[..NONCE.start]);
    aad
}

/// Bytes of a slot's salt.
pub const SEAL_SALT_BYTES: usize = 16;

/// Most salts whose key a passphrase's seal keeps: a migration reads two of them in turn.
const SALTS_KEPT_MAX: usize = 2;

const MAGIC: &[u8; 4] = b"KSE1";
const VERSION: u16 = 1;
const SALT: core::ops::Range<usize> = 8..24;
const NONCE: core::ops::Range<usize> = 24..36;
const TAG: core::ops::Range<usize> = 36..52;
const RESERVED: core::ops::Range<usize> = 52..64;
const ENVELOPE_BYTES: usize = 64;
const BODY_BYTES: usize = SLOT_IMAGE_BYTES - ENVELOPE_BYTES;
const LEFT_OUT: core::ops::Range<usize> = 4_000..4_064;
