//! What may be done to a key in its state: pure decisions over a record.

use lethe_store::Revision;
use lethe_types::limits::{KEY_VERSIONS_MAX, REASON_BYTES_MAX, RECORD_BYTES_MAX};
use lethe_types::{KeyState, Transition};

use crate::EngineError;
use crate::catalogue::KeyEntry;
use crate::record::{KeyRecord, KeyVersion};

/// Whether the entry is still the one that the caller saw.
///
/// # Errors
/// [`EngineError::RevisionMismatch`].
pub(crate) fn expect_revision(
    entry: &KeyEntry,
    expected: Option<Revision>,
) -> Result<(), EngineError> {
    if expected.is_none_or(|expected| expected == entry.revision()) {
        Ok(())
    } else {
        Err(EngineError::RevisionMismatch)
    }
}

/// The state of the key after its destruction.
///
/// # Errors
/// [`EngineError::ObjectDestroyed`] if it is destroyed already,
/// [`EngineError::WrongKeyLifecycleState`] if the table has no such edge.
pub(crate) fn after_destroy(record: &KeyRecord) -> Result<KeyState, EngineError> {
    if record.state.is_destroyed() {
        return Err(EngineError::ObjectDestroyed(record.id));
    }
    Ok(record.state.after(Transition::Destroy)?)
}

/// Whether a version may be added.
///
/// # Errors
/// [`EngineError::ObjectDestroyed`], or [`EngineError::WrongStateForUse`] unless the key is active;
/// [`EngineError::IncompatibleUse`] for a public key alone.
pub(crate) fn may_rotate(record: &KeyRecord) -> Result<(), EngineError> {
    if record.state.is_destroyed() {
        Err(EngineError::ObjectDestroyed(record.id))
    } else if record.life().public_only {
        let algorithm = record.algorithm.name();
        Err(EngineError::IncompatibleUse { algorithm, operation: "rotate without its private key" })
    } else if record.state.may_protect() {
        Ok(())
    } else {
        Err(EngineError::WrongStateForUse { state: record.state, operation: "rotate" })
    }
}

/// Whether one more version keeps the record within what the store takes as one value.
pub(crate) fn has_room_for_a_version(record: &KeyRecord) -> bool {
    let bytes = |version: &KeyVersion| {
        let public = version.public_key_der.as_ref().map_or(0, |der| der.len());
        version.sealed.len() + public + VERSION_OVERHEAD_BYTES
    };
    let held: usize = record.versions.iter().map(bytes).sum();
    let ended = record.life().destroyed_versions.len() * DESTROYED_VERSION_BYTES;
    let next = record.versions.iter().map(bytes).max().unwrap_or(0);
    record.versions.len() < KEY_VERSIONS_MAX && held + next + ended <= RECORD_BYTES_MAX
}

/// What a stored version has beside its sealed material and public key, at most.
const VERSION_OVERHEAD_BYTES: usize = 64;

/// What remains of a version that was destroyed alone, at most, as stored.
const DESTROYED_VERSION_BYTES: usize = 64;

/// Whether `reason` can stand in a log entry's detail.
///
/// # Errors
/// [`EngineError::InvalidField`].
pub(crate) fn check_reason(reason: &str) -> Result<(), EngineError> {
    if reason.len() > REASON_BYTES_MAX {
        let why = format!("has {} bytes, at most {REASON_BYTES_MAX} are allowed", reason.len());
        return Err(EngineError::InvalidField { field: "reason", why });
    }
    if reason.chars().any(char::is_control) {
        let why = "must not hold control characters".to_owned();
        return Err(EngineError::InvalidField { field: "reason", why });
    }
    Ok(())
}
