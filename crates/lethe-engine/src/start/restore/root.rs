//! Which root opens a backup, or why none does: pure.

use lethe_erasure::slot::{Loaded, SlotImage};
use lethe_log::BackupNote;
use lethe_types::{Secret, UnixMillis};

use super::RestoreError;

/// The root of a backup.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) root: Secret<32>,
    /// The image of the newest epoch that the slot has reached.
    pub(super) newest: SlotImage,
}

/// Looks for the root of `note` among what the slot holds.
pub(super) fn find(
    loaded: Loaded,
    note: &BackupNote,
    now: UnixMillis,
) -> Result<Found, RestoreError> {
    let mut images = loaded.images;
    if let Some(other) = images.iter().find(|image| image.tree_id != note.tree_id) {
        return Err(RestoreError::OtherTree { slot: other.tree_id, backup: note.tree_id });
    }
    images.sort_by_key(|image| (image.current.epoch, image.generation));
    let kept = images.iter().flat_map(|image| &image.retained);
    let kept = kept.filter(|entry| entry.tag == note.backup.0 && entry.epoch == note.epoch);
    let until_s = kept.clone().map(|entry| entry.not_after_s).max();
    let current = images.iter().map(|image| &image.current);
    let current = current.filter(|entry| entry.epoch == note.epoch);
    let root = kept.chain(current).next().map(|entry| entry.root.duplicate());
    let newest = images.pop().ok_or(RestoreError::SlotEmpty)?;
    let gone = RestoreError::RootGone { backup: note.backup, until: note.restorable_until };
    let root = root.ok_or(gone)?;
    // The slot's word counts; a backup whose root is still the current one needs no window.
    let is_current = newest.current.epoch == note.epoch;
    let ended = until_s.map(|until_s| UnixMillis(until_s.saturating_mul(1_000)));
    match ended.or(note.restorable_until).filter(|until| *until <= now && !is_current) {
        Some(until) => Err(RestoreError::WindowPassed { until }),
        None => Ok(Found { root, newest }),
    }
}
