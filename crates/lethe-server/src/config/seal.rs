//! `[seal]`: what the root key in the slot is wrapped with.

use std::path::{Path, PathBuf};

use lethe_slot::Pkcs11Place;
use serde::Deserialize;
use toml::Spanned;

use super::secret::{self, SecretFrom, credential_name};
use super::slot::{SlotConfig, pkcs11_place, tcti};
use super::source::Invalid;
use super::{optional_path, refuse};
use crate::seal::PassphraseSource;

/// The seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealConfig {
    /// `kind = "key-file"`, the default: a file that only its owner may read.
    KeyFile {
        /// The file. Default DATA/slot/root.key.
        path: PathBuf,
    },
    /// `kind = "passphrase"`, with `from`, and what belongs to it.
    Passphrase(PassphraseSource),
    /// `kind = "credential"`: 32 bytes from the service manager.
    Credential {
        /// `credential`, its name. Default `lethe-seal`.
        name: String,
    },
    /// `kind = "pkcs11"`: a key in a token, which never leaves it.
    Pkcs11 {
        /// `module`, `token`, and `name`, by default `lethe`.
        place: Pkcs11Place,
        /// `from`, and what belongs to it: the PIN.
        pin: PassphraseSource,
    },
    /// `kind = "tpm2"`: a secret that this machine's TPM gives out.
    Tpm2 {
        /// The sealed secret. Default DATA/slot/root.tpm2.
        path: PathBuf,
        /// How the TPM is reached. Default `device:/dev/tpmrm0`.
        tcti: String,
        /// `from`, and what belongs to it: a PIN, which the TPM checks. Default none.
        pin: Option<PassphraseSource>,
    },
}

impl SealConfig {
    /// The word of the configuration.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::KeyFile { .. } => "key-file",
            Self::Passphrase(_) => "passphrase",
            Self::Credential { .. } => "credential",
            Self::Pkcs11 { .. } => "pkcs11",
            Self::Tpm2 { .. } => "tpm2",
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    kind: Option<Spanned<String>>,
    from: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    credential: Option<Spanned<String>>,
    fd: Option<Spanned<i64>>,
    module: Option<Spanned<String>>,
    token: Option<Spanned<String>>,
    name: Option<Spanned<String>>,
    tcti: Option<Spanned<String>>,
    pin_path: Option<Spanned<String>>,
}

pub(super) fn resolve(
    written: Written,
    data: &Path,
    slot: &SlotConfig,
) -> Result<SealConfig, Invalid> {
    let kind = written.kind.as_ref().map_or("key-file", |kind| kind.get_ref().as_str()).to_owned();
    check_fields(&kind, &written)?;
    match (kind.as_str(), written.kind) {
        ("key-file", _) | (_, None) => {
            let path = own_file(written.path, data.join("slot/root.key"), slot)?;
            Ok(SealConfig::KeyFile { path })
        }
        ("passphrase", Some(at)) => {
            let Written { from, path, credential, fd, .. } = written;
            let source = SecretFrom { from, path, credential, fd };
            secret::resolve(&at, source, "").map(SealConfig::Passphrase)
        }
        ("credential", Some(_)) => {
            let name = written.credential.map(credential_name).transpose()?;
            Ok(SealConfig::Credential { name: name.unwrap_or_else(|| "lethe-seal".to_owned()) })
        }
        ("pkcs11", Some(at)) => {
            let place = pkcs11_place(&at, written.module, written.token, written.name)?;
            let Written { from, path, credential, fd, .. } = written;
            let pin = secret::resolve(&at, SecretFrom { from, path, credential, fd }, "")?;
            Ok(SealConfig::Pkcs11 { place, pin })
        }
        ("tpm2", Some(at)) => {
            let path = own_file(written.path, data.join("slot/root.tpm2"), slot)?;
            let Written { from, pin_path, credential, fd, .. } = written;
            let pin = match from {
                None => {
                    refuse(pin_path.as_ref(), "set `from = \"file\"` beside it")?;
                    refuse(credential.as_ref(), "set `from = \"credential\"` beside it")?;
                    refuse(fd.as_ref(), "set `from = \"fd\"` beside it")?;
                    None
                }
                Some(_) => {
                    let source = SecretFrom { from, path: pin_path, credential, fd };
                    Some(secret::resolve(&at, source, "")?)
                }
            };
            Ok(SealConfig::Tpm2 { path, tcti: tcti(written.tcti)?, pin })
        }
        (other, Some(at)) => {
            let known = "\"key-file\", \"passphrase\", \"credential\", \"pkcs11\" or \"tpm2\"";
            Err(Invalid::new(&at, format!("there is no seal `{other}`: {known}")))
        }
    }
}

/// Refuses what belongs to other kinds.
fn check_fields(kind: &str, written: &Written) -> Result<(), Invalid> {
    let has_secret = matches!(kind, "passphrase" | "pkcs11" | "tpm2");
    if !has_secret {
        let why = "belongs to kinds \"passphrase\", \"pkcs11\" and \"tpm2\"";
        refuse(written.from.as_ref(), why)?;
        refuse(written.fd.as_ref(), why)?;
    }
    if !has_secret && kind != "credential" {
        refuse(written.credential.as_ref(), "belongs to kind \"credential\"")?;
    }
    if kind == "credential" {
        refuse(written.path.as_ref(), "the service manager knows where it is")?;
    }
    if kind != "pkcs11" {
        let why = "belongs to kind \"pkcs11\"";
        for field in [&written.module, &written.token, &written.name] {
            refuse(field.as_ref(), why)?;
        }
    }
    if kind != "tpm2" {
        refuse(written.tcti.as_ref(), "belongs to kind \"tpm2\"")?;
        refuse(written.pin_path.as_ref(), "belongs to kind \"tpm2\"")?;
    }
    Ok(())
}

/// A file of the seal, which is not one of the slot's.
fn own_file(
    written: Option<Spanned<String>>,
    default: PathBuf,
    slot: &SlotConfig,
) -> Result<PathBuf, Invalid> {
    let is_slot = |at: &&Spanned<String>| {
        slot.paths().iter().any(|path| path.as_path() == Path::new(at.get_ref()))
    };
    if let Some(at) = written.as_ref().filter(is_slot) {
        return Err(Invalid::new(at, "the key file cannot be the file of the slot"));
    }
    Ok(optional_path(written)?.unwrap_or(default))
}
