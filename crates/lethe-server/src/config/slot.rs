//! `[slot]`: where the root key lives, apart from the data that it opens.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lethe_slot::{Pkcs11Place, REPLICAS_MAX};
use serde::Deserialize;
use toml::Spanned;

use super::secret::{self, SecretFrom};
use super::source::Invalid;
use super::{duration, optional_path, path_of, refuse};
use crate::seal::PassphraseSource;

/// The slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotConfig {
    /// `kind = "file"`, the default: one small file that is overwritten in place, or several that
    /// hold the same.
    File {
        /// The files, at least one. Default DATA/slot/root.slot.
        paths: Vec<PathBuf>,
        /// Whether to use them also on a file system that may keep what was overwritten, such as
        /// one that copies on write. Default false: the server refuses to start there.
        accept_filesystem: bool,
    },
    /// `kind = "pkcs11"`: a key in a token for each root, destroyed with it. The files open with it
    /// only.
    Pkcs11 {
        /// The files.
        paths: Vec<PathBuf>,
        /// `module`, `token`, and `name`, by default `lethe`.
        place: Pkcs11Place,
        /// `pin_from`, and what belongs to it.
        pin: PassphraseSource,
    },
    /// `kind = "tpm"`: a key in the non-volatile memory of a TPM 2.0 for each root.
    Tpm {
        /// The files.
        paths: Vec<PathBuf>,
        /// How the TPM is reached. Default `device:/dev/tpmrm0`.
        tcti: String,
        /// The first of the two indices: even, so that two slots have both or none in common.
        /// Default 0x01804c54.
        index: u32,
        /// How long the root stays at least before it is changed again: the memory wears out.
        /// Default 25 s; 0 for no limit.
        rest: Duration,
    },
}

impl SlotConfig {
    /// The files of the slot: the first one, and its replicas.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        match self {
            Self::File { paths, .. } | Self::Pkcs11 { paths, .. } | Self::Tpm { paths, .. } => {
                paths
            }
        }
    }

    /// The word of the configuration.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Pkcs11 { .. } => "pkcs11",
            Self::Tpm { .. } => "tpm",
        }
    }
}

/// How a TPM is reached if nothing else is said: the kernel's resource manager.
pub(super) const TCTI_DEFAULT: &str = "device:/dev/tpmrm0";

/// At two writes a change, a memory that stands 100,000 of them lasts two weeks of nothing but
/// destructions, and years of what people do. The doors answer within 30 s, so that whoever comes
/// just after a change hears of the next one.
const REST_DEFAULT: Duration = Duration::from_secs(25);
/// Longer than any client waits.
const REST_MAX: Duration = Duration::from_secs(3_600);

/// In the range that the TCG leaves to owners.
const INDEX_DEFAULT: u32 = 0x0180_4C54;
const INDEX_MIN: i64 = 0x0180_0000;
const INDEX_MAX: i64 = 0x01BF_FFFE;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    kind: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    paths: Option<Spanned<Vec<Spanned<String>>>>,
    accept_filesystem: Option<Spanned<bool>>,
    module: Option<Spanned<String>>,
    token: Option<Spanned<String>>,
    name: Option<Spanned<String>>,
    pin_from: Option<Spanned<String>>,
    pin_path: Option<Spanned<String>>,
    pin_credential: Option<Spanned<String>>,
    pin_fd: Option<Spanned<i64>>,
    tcti: Option<Spanned<String>>,
    index: Option<Spanned<i64>>,
    rest: Option<Spanned<String>>,
}

pub(super) fn resolve(written: Written, data: &Path) -> Result<SlotConfig, Invalid> {
    let kind = written.kind.as_ref().map_or("file", |kind| kind.get_ref().as_str()).to_owned();
    let paths = match written.paths {
        None => vec![optional_path(written.path)?.unwrap_or_else(|| data.join("slot/root.slot"))],
        Some(paths) => {
            refuse(written.path.as_ref(), "either `path` or `paths`")?;
            replicas(paths)?
        }
    };
    if kind != "pkcs11" {
        let why = "belongs to kind \"pkcs11\"";
        for field in [&written.module, &written.token, &written.name, &written.pin_from] {
            refuse(field.as_ref(), why)?;
        }
        refuse(written.pin_path.as_ref(), why)?;
        refuse(written.pin_credential.as_ref(), why)?;
        refuse(written.pin_fd.as_ref(), why)?;
    }
    if kind != "tpm" {
        refuse(written.tcti.as_ref(), "belongs to kind \"tpm\"")?;
        refuse(written.index.as_ref(), "belongs to kind \"tpm\"")?;
        refuse(written.rest.as_ref(), "belongs to kind \"tpm\"")?;
    }
    if kind != "file" {
        let why = "belongs to kind \"file\": the files of this one may be copied";
        refuse(written.accept_filesystem.as_ref(), why)?;
    }
    match (kind.as_str(), written.kind) {
        ("file", _) | (_, None) => {
            let accept_filesystem = written.accept_filesystem.is_some_and(Spanned::into_inner);
            Ok(SlotConfig::File { paths, accept_filesystem })
        }
        ("pkcs11", Some(at)) => {
            let place = pkcs11_place(&at, written.module, written.token, written.name)?;
            let pin = SecretFrom {
                from: written.pin_from,
                path: written.pin_path,
                credential: written.pin_credential,
                fd: written.pin_fd,
            };
            Ok(SlotConfig::Pkcs11 { paths, place, pin: secret::resolve(&at, pin, "pin_")? })
        }
        ("tpm", Some(_)) => {
            let index = match written.index {
                None => INDEX_DEFAULT,
                Some(at) => tpm_index(&at)?,
            };
            let rest = match written.rest {
                None => REST_DEFAULT,
                Some(at) => duration(&at, REST_MAX)?,
            };
            Ok(SlotConfig::Tpm { paths, tcti: tcti(written.tcti)?, index, rest })
        }
        (other, Some(at)) => {
            let why = format!("there is no slot `{other}`: \"file\", \"pkcs11\" or \"tpm\"");
            Err(Invalid::new(&at, why))
        }
    }
}

pub(super) fn pkcs11_place(
    kind: &Spanned<String>,
    module: Option<Spanned<String>>,
    token: Option<Spanned<String>>,
    name: Option<Spanned<String>>,
) -> Result<Pkcs11Place, Invalid> {
    let missing = |field| Invalid::new(kind, format!("set `{field}` beside it"));
    let module = path_of(module.ok_or_else(|| missing("module"))?)?;
    let token = token.ok_or_else(|| missing("token"))?;
    if token.get_ref().is_empty() || token.get_ref().len() > TOKEN_LABEL_BYTES_MAX {
        let why = format!("a token's label has 1 to {TOKEN_LABEL_BYTES_MAX} bytes");
        return Err(Invalid::new(&token, why));
    }
    let name = match name {
        None => "lethe".to_owned(),
        Some(name) if is_plain_name(name.get_ref()) => name.into_inner(),
        Some(name) => return Err(Invalid::new(&name, PLAIN_NAME)),
    };
    Ok(Pkcs11Place { module, token: token.into_inner(), name })
}

pub(super) fn tcti(written: Option<Spanned<String>>) -> Result<String, Invalid> {
    match written {
        None => Ok(TCTI_DEFAULT.to_owned()),
        Some(tcti) if tcti.get_ref().is_empty() || tcti.get_ref().contains('\0') => {
            Err(Invalid::new(&tcti, "as in \"device:/dev/tpmrm0\""))
        }
        Some(tcti) => Ok(tcti.into_inner()),
    }
}

/// Whether `name` can be part of labels and file names.
pub(super) fn is_plain_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.chars().all(is_plain)
        && !name.starts_with('.')
}

pub(super) const PLAIN_NAME: &str =
    "1 to 64 letters, digits, `-`, `_` and `.`, which does not come first";

/// Longest name of a credential and of keys in a token, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Longest label of a token, in bytes (PKCS #11, `CK_TOKEN_INFO`).
const TOKEN_LABEL_BYTES_MAX: usize = 32;

fn tpm_index(written: &Spanned<i64>) -> Result<u32, Invalid> {
    let index = *written.get_ref();
    u32::try_from(index)
        .ok()
        .filter(|_| (INDEX_MIN..=INDEX_MAX).contains(&index) && index % 2 == 0)
        .ok_or_else(|| Invalid::new(written, "an even NV index from 0x01800000 to 0x01BFFFFE"))
}

fn replicas(written: Spanned<Vec<Spanned<String>>>) -> Result<Vec<PathBuf>, Invalid> {
    if written.get_ref().is_empty() || written.get_ref().len() > REPLICAS_MAX {
        return Err(Invalid::new(&written, format!("1 to {REPLICAS_MAX} paths")));
    }
    let mut paths = Vec::new();
    for path in written.into_inner() {
        let twice = Invalid::new(&path, "the same file twice");
        let path = path_of(path)?;
        if paths.contains(&path) {
            return Err(twice);
        }
        paths.push(path);
    }
    Ok(paths)
}
