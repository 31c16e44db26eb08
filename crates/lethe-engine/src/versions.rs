//! Which version of a key a use gets, and whether the key has the use at all: pure decisions over
//! an entry. Every use goes through here.
//!
//! Protecting (SP 800-57 section 7: encrypt, sign, authenticate, agree) takes the newest enabled
//! version, or one that is named; processing (decrypt, verify) takes the one that made the data.
//! Suspended versions do neither, and the key's minimums bound both.

use core::fmt;

use lethe_crypto::registry::Use;

use crate::EngineError;
use crate::catalogue::KeyEntry;
use crate::record::{KeyRecord, KeyVersion, VersionState};

/// Why a version is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionFault {
    /// The key's minimum is a later one.
    BelowMinimum {
        /// The oldest version that the key allows for this.
        minimum: u32,
    },
    /// Its material is gone, while the key goes on.
    Destroyed,
    /// Without it the key would have no version that protects new data.
    LastEnabled,
    /// It is suspended.
    Suspended,
}

impl VersionFault {
    /// The refusal's stable code, for audit events.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::BelowMinimum { .. } => "version_below_minimum",
            Self::Destroyed => "version_destroyed",
            Self::LastEnabled => "version_last_enabled",
            Self::Suspended => "version_suspended",
        }
    }
}

impl fmt::Display for VersionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BelowMinimum { minimum } => {
                write!(f, "is older than version {minimum}, the key's minimum for this")
            }
            Self::Destroyed => f.write_str("is destroyed"),
            Self::LastEnabled => f.write_str(
                "is the only one that protects new data: rotate the key first, or destroy it whole",
            ),
            Self::Suspended => f.write_str("is suspended"),
        }
    }
}

/// Whether the key has the use: its algorithm, and what it is limited to.
///
/// # Errors
/// [`EngineError::IncompatibleUse`], [`EngineError::UseNotAllowed`].
pub(crate) fn has_use(
    record: &KeyRecord,
    needed: Use,
    operation: &'static str,
) -> Result<(), EngineError> {
    if !record.algorithm.has(needed) {
        let algorithm = record.algorithm.name();
        return Err(EngineError::IncompatibleUse { algorithm, operation });
    }
    if record.uses().contains(needed) {
        Ok(())
    } else {
        Err(EngineError::UseNotAllowed { operation })
    }
}

/// The version that protects new data, with its position: the newest enabled one, or the one that
/// is `wanted`.
///
/// # Errors
/// [`EngineError::VersionRefused`]; [`EngineError::ItemNotFound`] for one that never was;
/// [`EngineError::DestructionInProgress`].
pub(crate) fn to_protect(
    entry: &KeyEntry,
    wanted: Option<u32>,
) -> Result<(usize, &KeyVersion), EngineError> {
    let record = entry.record();
    let mut newest_first = record.versions.iter().enumerate().rev();
    let (position, version) = match wanted {
        Some(number) => {
            let found = newest_first.find(|(_, version)| version.number == number);
            found.ok_or_else(|| absent(record, number))?
        }
        None => {
            let is_enabled = |version: &KeyVersion| version.state == VersionState::Enabled;
            let found = newest_first.find(|(_, version)| is_enabled(version));
            found.ok_or(EngineError::Internal("a live key without an enabled version"))?
        }
    };
    may_be_used(entry, version, protects_from(record))?;
    Ok((position, version))
}

/// The version of that number, to process what it protected; `None` if it never was.
///
/// # Errors
/// As [`to_protect`].
pub(crate) fn to_process(
    entry: &KeyEntry,
    number: u32,
) -> Result<Option<(usize, &KeyVersion)>, EngineError> {
    let record = entry.record();
    // From the newest: it is nearly always the one.
    let mut all = record.versions.iter().enumerate().rev();
    let Some((position, version)) = all.find(|(_, version)| version.number == number) else {
        return if was_destroyed(record, number) {
            Err(EngineError::VersionRefused { version: number, why: VersionFault::Destroyed })
        } else {
            Ok(None)
        };
    };
    may_be_used(entry, version, record.life().process_from)?;
    Ok(Some((position, version)))
}

/// The versions that may process data, the newest first: for data that does not name its version.
/// Those that may not have made nothing that counts.
pub(crate) fn all_to_process(entry: &KeyEntry) -> impl Iterator<Item = (usize, &KeyVersion)> {
    let minimum = entry.record().life().process_from;
    let all = entry.record().versions.iter().enumerate().rev();
    all.filter(move |(_, version)| may_be_used(entry, version, minimum).is_ok())
}

/// The oldest version that may protect new data. What may not be opened any more is not worth
/// making.
pub(crate) fn protects_from(record: &KeyRecord) -> u32 {
    record.life().protect_from.max(record.life().process_from)
}

/// Whether the key has a version that protects new data beside that of `number`.
///
/// # Errors
/// [`VersionFault::LastEnabled`].
pub(crate) fn another_protects(record: &KeyRecord, number: u32) -> Result<(), EngineError> {
    let from = protects_from(record);
    let protects = |version: &KeyVersion| {
        version.number != number && version.number >= from && version.state == VersionState::Enabled
    };
    if record.versions.iter().any(protects) {
        Ok(())
    } else {
        Err(EngineError::VersionRefused { version: number, why: VersionFault::LastEnabled })
    }
}

/// A version that has material, whatever its state.
///
/// # Errors
/// [`EngineError::VersionRefused`] if it was destroyed, [`EngineError::ItemNotFound`] if it never
/// was.
pub(crate) fn find(record: &KeyRecord, number: u32) -> Result<&KeyVersion, EngineError> {
    let found = record.versions.iter().find(|version| version.number == number);
    found.ok_or_else(|| absent(record, number))
}

fn may_be_used(entry: &KeyEntry, version: &KeyVersion, minimum: u32) -> Result<(), EngineError> {
    let number = version.number;
    let refused = |why| Err(EngineError::VersionRefused { version: number, why });
    if entry.is_closing_version(number) {
        return Err(EngineError::DestructionInProgress(entry.record().id));
    }
    match version.state {
        VersionState::Suspended => refused(VersionFault::Suspended),
        VersionState::Enabled if number < minimum => {
            refused(VersionFault::BelowMinimum { minimum })
        }
        VersionState::Enabled => Ok(()),
    }
}

fn absent(record: &KeyRecord, number: u32) -> EngineError {
    if was_destroyed(record, number) {
        EngineError::VersionRefused { version: number, why: VersionFault::Destroyed }
    } else {
        EngineError::ItemNotFound("version")
    }
}

fn was_destroyed(record: &KeyRecord, number: u32) -> bool {
    record.life().destroyed_versions.iter().any(|version| version.number == number)
}
