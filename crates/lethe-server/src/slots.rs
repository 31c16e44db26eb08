//! Opens the slot and the seal that a configuration names: for a start, a migration, a look.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lethe_crypto::SystemEntropy;
use lethe_erasure::seal::{KeyFileSeal, PassphraseSeal, Seal, SealKind, SecretSeal};
use lethe_erasure::slot::ErasableSlot;
use lethe_slot::{
    DeviceError, DeviceSlot, FilesystemPolicy, IfMissing, KeyDevice, Pkcs11Token, ReplicatedSlot,
    Seals, SharedDevice, create_key_file, read_key_file,
};
use lethe_types::{Entropy, Secret};

use crate::ServeError;
use crate::config::{SealConfig, SlotConfig};
use crate::private_files::ensure_private_dir;
use crate::seal::{
    PassphrasePurpose, PassphraseSource, Surroundings, read_passphrase, read_seal_credential,
};

/// What a slot and its seal are opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// For a new store: what is not there is made.
    Create,
    /// To seal an existing slot anew: what the new seal needs is made.
    Migrate,
    /// As it is.
    Open,
}

impl Occasion {
    fn if_missing(self) -> IfMissing {
        match self {
            Self::Create | Self::Migrate => IfMissing::Make,
            Self::Open => IfMissing::Refuse,
        }
    }
}

/// The seal of the configuration.
pub(crate) fn seal(
    config: &SealConfig,
    occasion: Occasion,
    surroundings: &mut dyn Surroundings,
) -> Result<Arc<dyn Seal>, ServeError> {
    Ok(match config {
        SealConfig::KeyFile { path } => Arc::new(KeyFileSeal::new(key_file(path, occasion)?)),
        SealConfig::Passphrase(source) => {
            let purpose = match occasion {
                Occasion::Create => PassphrasePurpose::Create,
                Occasion::Migrate => PassphrasePurpose::Migrate,
                Occasion::Open => PassphrasePurpose::Open,
            };
            Arc::new(PassphraseSeal::new(read_passphrase(source, purpose, surroundings)?))
        }
        SealConfig::Credential { name } => {
            let secret = read_seal_credential(name, surroundings)?;
            Arc::new(SecretSeal::new(SealKind::Credential, secret))
        }
        SealConfig::Pkcs11 { place, pin } => {
            let pin = read_passphrase(pin, PassphrasePurpose::Pin, surroundings)?;
            Arc::new(Pkcs11Token::open(place, &pin)?.seal(occasion.if_missing())?)
        }
        SealConfig::Tpm2 { path, tcti, pin } => {
            let pin = pin
                .as_ref()
                .map(|source| read_passphrase(source, PassphrasePurpose::Pin, surroundings))
                .transpose()?;
            tpm::seal(path, tcti, pin.as_ref(), occasion)?
        }
    })
}

/// The key of the key file; made with a new slot unless the operator put one there.
fn key_file(path: &Path, occasion: Occasion) -> Result<Secret<32>, ServeError> {
    if occasion.if_missing() == IfMissing::Make && !path.exists() {
        if let Some(parent) = path.parent() {
            ensure_private_dir(parent)?;
        }
        return Ok(create_key_file(path, &SystemEntropy)?);
    }
    Ok(read_key_file(path)?)
}

/// An open slot.
pub(crate) enum OpenedSlot {
    /// In files alone.
    Files(ReplicatedSlot),
    /// In files and a device.
    Device(DeviceSlot),
}

impl OpenedSlot {
    /// What an operator must hear.
    pub(crate) fn notices(&self) -> &[String] {
        match self {
            Self::Files(slot) => slot.notices(),
            Self::Device(slot) => slot.files().notices(),
        }
    }

    /// The slot itself.
    pub(crate) fn into_slot(self) -> Box<dyn ErasableSlot> {
        match self {
            Self::Files(slot) => Box::new(slot),
            Self::Device(slot) => Box::new(slot),
        }
    }
}

/// The slot of the configuration, made for a new store. `any_filesystem`: also where overwriting
/// may not erase.
pub(crate) fn slot(
    config: &SlotConfig,
    seals: &Seals,
    occasion: Occasion,
    any_filesystem: bool,
) -> Result<OpenedSlot, ServeError> {
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let files = |seals: &Seals, policy| match occasion {
        Occasion::Create => ReplicatedSlot::create(config.paths(), seals, &entropy, policy),
        Occasion::Migrate | Occasion::Open => {
            ReplicatedSlot::open(config.paths(), seals, &entropy, policy)
        }
    };
    let Some(device) = device(config)? else {
        return Ok(OpenedSlot::Files(files(seals, policy_of(config, any_filesystem))?));
    };
    if occasion == Occasion::Create && !device.generations()?.is_empty() {
        return Err(DeviceError::KeyExists("a root of another slot".to_owned()).into());
    }
    let device = SharedDevice::new(device);
    let seals = DeviceSlot::seals(seals, &device);
    let files = files(&seals, policy_of(config, any_filesystem))?;
    Ok(OpenedSlot::Device(DeviceSlot::new(files, device).resting(rest_of(config))))
}

/// The device of the slot; `None` for one in files alone.
pub(crate) fn device(config: &SlotConfig) -> Result<Option<Box<dyn KeyDevice>>, ServeError> {
    Ok(match config {
        SlotConfig::File { .. } => None,
        SlotConfig::Pkcs11 { place, pin, .. } => {
            let pin = pin_of(pin)?;
            Some(Box::new(Pkcs11Token::open(place, &pin)?))
        }
        SlotConfig::Tpm { tcti, index, .. } => Some(tpm::device(tcti, *index)?),
    })
}

/// How long the root stays at least before it is changed again.
fn rest_of(config: &SlotConfig) -> Duration {
    match config {
        SlotConfig::File { .. } | SlotConfig::Pkcs11 { .. } => Duration::ZERO,
        SlotConfig::Tpm { rest, .. } => *rest,
    }
}

/// On which file systems the slot's files may lie.
pub(crate) fn policy_of(config: &SlotConfig, any_filesystem: bool) -> FilesystemPolicy {
    match config {
        SlotConfig::File { accept_filesystem: false, .. } if !any_filesystem => {
            FilesystemPolicy::Refuse
        }
        // Once its key is destroyed an image opens no more, wherever a copy of it lies.
        SlotConfig::File { .. } | SlotConfig::Pkcs11 { .. } | SlotConfig::Tpm { .. } => {
            FilesystemPolicy::Accept
        }
    }
}

fn pin_of(source: &PassphraseSource) -> Result<lethe_types::SecretVec, ServeError> {
    let mut surroundings = crate::seal::SystemSurroundings;
    Ok(read_passphrase(source, PassphrasePurpose::Pin, &mut surroundings)?)
}

#[cfg(feature = "tpm")]
mod tpm {
    use std::path::Path;
    use std::sync::Arc;

    use lethe_erasure::seal::Seal;
    use lethe_slot::{KeyDevice, TpmNv, tpm_seal};
    use lethe_types::SecretVec;

    use super::Occasion;
    use crate::ServeError;
    use crate::private_files::ensure_private_dir;

    pub(super) fn seal(
        path: &Path,
        tcti: &str,
        pin: Option<&SecretVec>,
        occasion: Occasion,
    ) -> Result<Arc<dyn Seal>, ServeError> {
        if let Some(parent) = path.parent() {
            ensure_private_dir(parent)?;
        }
        Ok(Arc::new(tpm_seal(path, tcti, pin, occasion.if_missing())?))
    }

    pub(super) fn device(tcti: &str, index: u32) -> Result<Box<dyn KeyDevice>, ServeError> {
        Ok(Box::new(TpmNv::open(tcti, index)?))
    }
}

/// Without the feature nothing of a TPM is in the executable.
#[cfg(not(feature = "tpm"))]
mod tpm {
    use std::path::Path;
    use std::sync::Arc;

    use lethe_erasure::seal::Seal;
    use lethe_slot::KeyDevice;
    use lethe_types::SecretVec;

    use super::Occasion;
    use crate::ServeError;

    pub(super) fn seal(
        _path: &Path,
        _tcti: &str,
        _pin: Option<&SecretVec>,
        _occasion: Occasion,
    ) -> Result<Arc<dyn Seal>, ServeError> {
        Err(ServeError::NotBuilt { what: "the seal `tpm2`", feature: "tpm" })
    }

    pub(super) fn device(_tcti: &str, _index: u32) -> Result<Box<dyn KeyDevice>, ServeError> {
        Err(ServeError::NotBuilt { what: "the slot `tpm`", feature: "tpm" })
    }
}
