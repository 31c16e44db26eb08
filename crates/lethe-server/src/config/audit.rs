//! `[audit]`: the audit trail.

use std::path::{Path, PathBuf};

use lethe_types::limits::AUDIT_QUEUE_EVENTS_MAX;
use serde::Deserialize;
use toml::Spanned;

use super::source::Invalid;
use super::{number, optional_path};

/// Default of [`AuditConfig::rotate_bytes`].
pub const ROTATE_BYTES_DEFAULT: u64 = 256 * 1_048_576;

/// Least [`AuditConfig::rotate_bytes`]: far more than one event.
pub const ROTATE_BYTES_MIN: u64 = 65_536;

/// Greatest [`AuditConfig::rotate_bytes`].
pub const ROTATE_BYTES_MAX: u64 = 1 << 40;

/// The audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// The directory of its files. Default DATA/audit.
    pub path: PathBuf,
    /// Which events are written. Default `all`.
    pub events: AuditedEvents,
    /// Size at which a file is put aside and a new one begun, in bytes. Default 268,435,456.
    pub rotate_bytes: u64,
    /// Most events that wait for the file; over it requests are refused. Default and most 65,536.
    pub queue: usize,
}

/// Which events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditedEvents {
    /// `"all"`: every decision, uses included.
    All,
    /// `"management"`: everything but uses of keys that were allowed.
    Management,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    path: Option<Spanned<String>>,
    events: Option<Spanned<String>>,
    rotate_bytes: Option<Spanned<i64>>,
    queue: Option<Spanned<i64>>,
}

pub(super) fn resolve(written: Written, data: &Path) -> Result<AuditConfig, Invalid> {
    let events = match written.events {
        None => AuditedEvents::All,
        Some(events) => match events.get_ref().as_str() {
            "all" => AuditedEvents::All,
            "management" => AuditedEvents::Management,
            _ => return Err(Invalid::new(&events, "events are \"all\" or \"management\"")),
        },
    };
    let most = u64::try_from(AUDIT_QUEUE_EVENTS_MAX).expect("the bound is small");
    let queue = number(written.queue, most, 1, most)?;
    Ok(AuditConfig {
        path: optional_path(written.path)?.unwrap_or_else(|| data.join("audit")),
        events,
        rotate_bytes: number(
            written.rotate_bytes,
            ROTATE_BYTES_DEFAULT,
            ROTATE_BYTES_MIN,
            ROTATE_BYTES_MAX,
        )?,
        queue: usize::try_from(queue).expect("it is within the bound"),
    })
}
