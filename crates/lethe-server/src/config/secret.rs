//! Where a passphrase or PIN comes from: four settings that belong together.

use toml::Spanned;

use super::slot::{PLAIN_NAME, is_plain_name};
use super::source::Invalid;
use super::{path_of, refuse};
use crate::seal::PassphraseSource;

/// `from` and what belongs to it; in `[slot]` each has `pin_` before it.
pub(super) struct SecretFrom {
    pub(super) from: Option<Spanned<String>>,
    pub(super) path: Option<Spanned<String>>,
    pub(super) credential: Option<Spanned<String>>,
    pub(super) fd: Option<Spanned<i64>>,
}

/// The source; `kind` is what needs it and `prefix` stands before the names of the settings.
pub(super) fn resolve(
    kind: &Spanned<String>,
    written: SecretFrom,
    prefix: &str,
) -> Result<PassphraseSource, Invalid> {
    let SecretFrom { from, path, credential, fd } = written;
    let Some(from) = from else {
        return Err(Invalid::new(kind, format!("set `{prefix}from` beside it: {FROM}")));
    };
    let word = from.get_ref().as_str();
    let missing = |field| Invalid::new(&from, format!("set `{prefix}{field}` beside it"));
    let foreign = |of| format!("belongs to {prefix}from \"{of}\"");
    if word != "file" {
        refuse(path.as_ref(), &foreign("file"))?;
    }
    if word != "credential" {
        refuse(credential.as_ref(), &foreign("credential"))?;
    }
    if word != "fd" {
        refuse(fd.as_ref(), &foreign("fd"))?;
    }
    match word {
        "environment" => Ok(PassphraseSource::Environment),
        "prompt" => Ok(PassphraseSource::Prompt),
        "file" => path_of(path.ok_or_else(|| missing("path"))?).map(PassphraseSource::File),
        "credential" => credential_name(credential.ok_or_else(|| missing("credential"))?)
            .map(PassphraseSource::Credential),
        "fd" => {
            let fd = fd.ok_or_else(|| missing("fd"))?;
            match u32::try_from(*fd.get_ref()) {
                Ok(number @ (0 | 3..=FD_MAX)) => Ok(PassphraseSource::Descriptor(number)),
                Ok(_) | Err(_) => Err(Invalid::new(&fd, "0, or an open file descriptor from 3 on")),
            }
        }
        _ => Err(Invalid::new(&from, format!("it comes from {FROM}"))),
    }
}

/// The name of a credential of the service manager.
pub(super) fn credential_name(written: Spanned<String>) -> Result<String, Invalid> {
    if is_plain_name(written.get_ref()) {
        Ok(written.into_inner())
    } else {
        Err(Invalid::new(&written, PLAIN_NAME))
    }
}

pub(super) const FROM: &str = "\"environment\", \"file\", \"prompt\", \"fd\" or \"credential\"";

/// Greatest file descriptor that is looked at.
const FD_MAX: u32 = 65_535;
