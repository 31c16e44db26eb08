//! `[log]`: the transparency log.

use lethe_types::TreeId;
use serde::Deserialize;
use toml::Spanned;

use super::source::Invalid;

/// Longest origin, in bytes. It stands in every checkpoint and in every receipt.
pub const ORIGIN_BYTES_MAX: usize = 255;

/// The transparency log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// The origin line of checkpoints and the name of the log's key (C2SP tlog-checkpoint,
    /// signed-note): without white space, `+` and control characters. It cannot change once the log
    /// exists. Default: [`derived_origin`] of the installation's tree.
    pub origin: Option<String>,
}

/// The origin of an installation that names none: `lethe.local/` and the first 16 hexadecimal
/// digits of its tree id.
#[must_use]
pub fn derived_origin(tree: TreeId) -> String {
    let digits = tree.to_string();
    format!("lethe.local/{}", &digits[..16])
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    origin: Option<Spanned<String>>,
}

/// The signer's name of the erasure construction, whose signatures must not be the log's.
const RESERVED_ORIGIN: &str = "lethe-erasure/v1";

pub(super) fn resolve(written: Written) -> Result<LogConfig, Invalid> {
    let Some(origin) = written.origin else { return Ok(LogConfig::default()) };
    let text = origin.get_ref();
    let unfit = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if text.is_empty() || text.len() > ORIGIN_BYTES_MAX || text.chars().any(unfit) {
        let why = format!(
            "an origin has 1 to {ORIGIN_BYTES_MAX} bytes without white space, `+` and control \
             characters"
        );
        return Err(Invalid::new(&origin, why));
    }
    if text == RESERVED_ORIGIN {
        return Err(Invalid::new(&origin, "this origin is reserved"));
    }
    Ok(LogConfig { origin: Some(origin.into_inner()) })
}
