//! `[audit]`: the audit trail.

use core::time::Duration;
use std::path::{Path, PathBuf};

use lethe_types::limits::AUDIT_QUEUE_EVENTS_MAX;
use serde::Deserialize;
use toml::Spanned;

use super::source::Invalid;
use super::{duration, number, optional_path};
use crate::clock::DURATION_MAX;

/// Default of [`AuditConfig::rotate_bytes`].
pub const ROTATE_BYTES_DEFAULT: u64 = 256 * 1_048_576;

/// Least [`AuditConfig::rotate_bytes`]: far more than one event.
pub const ROTATE_BYTES_MIN: u64 = 65_536;

/// Greatest [`AuditConfig::rotate_bytes`].
pub const ROTATE_BYTES_MAX: u64 = 1 << 40;

/// Least [`AuditConfig::rotate_after`].
pub const ROTATE_AFTER_MIN: Duration = Duration::from_secs(60);

/// Greatest [`AuditConfig::keep_files`].
pub const KEEP_FILES_MAX: u64 = 1_000_000;

/// The audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// The directory of its files. Default DATA/audit.
    pub path: PathBuf,
    /// Which events are written. Default `all`.
    pub events: AuditedEvents,
    /// Size at which a file is put aside and a new one begun, in bytes. Default 268,435,456.
    pub rotate_bytes: u64,
    /// Age at which a file that has events is put aside, a text such as `7d`, at least a minute.
    /// Default `None`: never.
    pub rotate_after: Option<Duration>,
    /// Most files that are kept beside the current one; older ones are removed when a file is
    /// begun. Default `None`: all are kept.
    pub keep_files: Option<u64>,
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
    rotate_after: Option<Spanned<String>>,
    keep_files: Option<Spanned<i64>>,
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
        rotate_after: written.rotate_after.as_ref().map(rotate_after).transpose()?,
        keep_files: match written.keep_files {
            None => None,
            written => Some(number(written, KEEP_FILES_MAX, 1, KEEP_FILES_MAX)?),
        },
        queue: usize::try_from(queue).expect("it is within the bound"),
    })
}

fn rotate_after(written: &Spanned<String>) -> Result<Duration, Invalid> {
    let age = duration(written, DURATION_MAX)?;
    if age < ROTATE_AFTER_MIN {
        return Err(Invalid::new(written, format!("at least {}s", ROTATE_AFTER_MIN.as_secs())));
    }
    Ok(age)
}
