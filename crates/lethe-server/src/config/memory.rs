//! `[memory]`: what may happen to the pages in which keys lie.

use serde::Deserialize;
use toml::Spanned;

use super::source::Invalid;

/// The memory of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryConfig {
    /// Whether pages are kept out of swap.
    pub lock: MemoryLock,
    /// Whether the kernel may write the memory to a core file, and other processes of the same
    /// user may read it. Default false.
    pub allow_dumps: bool,
}

/// Whether pages are kept out of swap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryLock {
    /// `"auto"`, the default: if the system lets the process lock all its memory; else it says so.
    #[default]
    Auto,
    /// `"off"`: not.
    Off,
    /// `"required"`: the server does not start without it.
    Required,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    lock: Option<Spanned<String>>,
    allow_dumps: bool,
}

pub(super) fn resolve(written: Written) -> Result<MemoryConfig, Invalid> {
    let lock = match &written.lock {
        None => MemoryLock::default(),
        Some(lock) => match lock.get_ref().as_str() {
            "auto" => MemoryLock::Auto,
            "off" => MemoryLock::Off,
            "required" => MemoryLock::Required,
            _ => return Err(Invalid::new(lock, "it is \"auto\", \"off\" or \"required\"")),
        },
    };
    Ok(MemoryConfig { lock, allow_dumps: written.allow_dumps })
}
