//! `[seal]`: what the root key in the slot is wrapped with.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::slot::SlotConfig;
use super::source::Invalid;
use super::{optional_path, path_of, refuse};
use crate::seal::PassphraseSource;

/// The seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealConfig {
    /// `kind = "key-file"`, the default: a file that only its owner may read.
    KeyFile {
        /// The file. Default DATA/slot/root.key.
        path: PathBuf,
    },
    /// `kind = "passphrase"`, with `from = "environment"`, `"file"` (and `path`) or `"prompt"`.
    Passphrase(PassphraseSource),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    kind: Option<Spanned<String>>,
    from: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
}

pub(super) fn resolve(
    written: Written,
    data: &Path,
    slot: &SlotConfig,
) -> Result<SealConfig, Invalid> {
    let kind = written.kind.as_ref().map_or("key-file", |kind| kind.get_ref().as_str());
    match (kind, &written.kind) {
        ("passphrase", Some(kind)) => match written.from {
            Some(from) => passphrase(&from, written.path).map(SealConfig::Passphrase),
            None => Err(Invalid::new(kind, format!("set `from` beside it: {FROM}"))),
        },
        ("key-file", _) => {
            refuse(written.from.as_ref(), "`from` belongs to kind \"passphrase\"")?;
            key_file(written.path, data, slot)
        }
        (other, Some(at)) => {
            let known = "it has \"key-file\" and \"passphrase\"";
            Err(Invalid::new(at, format!("seal `{other}` is not in this version; {known}")))
        }
        (_, None) => key_file(written.path, data, slot),
    }
}

const FROM: &str = "\"environment\", \"file\" or \"prompt\"";

fn passphrase(
    from: &Spanned<String>,
    path: Option<Spanned<String>>,
) -> Result<PassphraseSource, Invalid> {
    let source = match from.get_ref().as_str() {
        "environment" => PassphraseSource::Environment,
        "file" => {
            let path = path.ok_or_else(|| Invalid::new(from, "set `path` beside it"))?;
            return path_of(path).map(PassphraseSource::File);
        }
        "prompt" => PassphraseSource::Prompt,
        _ => return Err(Invalid::new(from, format!("a passphrase comes from {FROM}"))),
    };
    refuse(path.as_ref(), "`path` belongs to from \"file\"")?;
    Ok(source)
}

fn key_file(
    written: Option<Spanned<String>>,
    data: &Path,
    slot: &SlotConfig,
) -> Result<SealConfig, Invalid> {
    let SlotConfig::File { path: slot_path, .. } = slot;
    if let Some(at) = written.as_ref().filter(|at| Path::new(at.get_ref()) == slot_path) {
        return Err(Invalid::new(at, "the key file cannot be the file of the slot"));
    }
    let path = optional_path(written)?.unwrap_or_else(|| data.join("slot/root.key"));
    Ok(SealConfig::KeyFile { path })
}
