//! `[store]`: where records live.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::optional_path;
use super::source::Invalid;

/// The store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreConfig {
    /// `engine = "embedded"`, the default: one directory, no service to run.
    Embedded {
        /// The directory of its files. Default DATA/store.
        path: PathBuf,
    },
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    engine: Option<Spanned<String>>,
    path: Option<Spanned<String>>,
}

pub(super) fn resolve(written: Written, data: &Path) -> Result<StoreConfig, Invalid> {
    match &written.engine {
        None => {}
        Some(engine) if engine.get_ref() == "embedded" => {}
        Some(engine) if engine.get_ref() == "etcd" => {
            return Err(Invalid::new(engine, "engine `etcd` is not in this build"));
        }
        Some(engine) => return Err(Invalid::new(engine, "the engine is \"embedded\"")),
    }
    let path = optional_path(written.path)?.unwrap_or_else(|| data.join("store"));
    Ok(StoreConfig::Embedded { path })
}
