//! `[slot]`: where the root key lives, apart from the data that it opens.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::optional_path;
use super::source::Invalid;

/// The slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotConfig {
    /// `kind = "file"`, the default: one small file that is overwritten in place.
    File {
        /// The file. Default DATA/slot/root.slot.
        path: PathBuf,
        /// Whether to use it also on a file system that may keep what was overwritten, such as one
        /// that copies on write. Default false: the server refuses to start there.
        accept_filesystem: bool,
    },
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    kind: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
    accept_filesystem: bool,
}

pub(super) fn resolve(written: Written, data: &Path) -> Result<SlotConfig, Invalid> {
    match &written.kind {
        None => {}
        Some(kind) if kind.get_ref() == "file" => {}
        Some(kind) => {
            let why = format!("slot `{}` is not in this version; it has \"file\"", kind.get_ref());
            return Err(Invalid::new(kind, why));
        }
    }
    let path = optional_path(written.path)?.unwrap_or_else(|| data.join("slot/root.slot"));
    Ok(SlotConfig::File { path, accept_filesystem: written.accept_filesystem })
}
