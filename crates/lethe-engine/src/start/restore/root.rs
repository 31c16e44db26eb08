//! Which root opens a backup, or why none does: pure.

use lethe_erasure::slot::{Loaded, SlotImage};
use lethe_log::BackupNote;
use lethe_types::{Secret, UnixMillis};

use super::RestoreError;

/// The roots that may open a backup.
#[derive(Debug)]
pub(super) struct Found {
    /// Epoch and root, the likelier one first.
    pub(super) roots: Vec<(u64, Secret<32>)>,
    /// The image of the newest epoch that the slot has reached.
    pub(super) newest: SlotImage,
}

/// Looks for the root of `note` among what the slot holds. The rows of the backup were settled at
/// `settled_epoch`: that of the note, or, in a copy that followed, the one before, if the root was
/// about to change. Then either root may be the one, as after any crash.
pub(super) fn find(
    loaded: Loaded,
    note: &BackupNote,
    settled_epoch: u64,
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
    let current = || images.iter().map(|image| &image.current);
    let settled =
        current().filter(|entry| entry.epoch == settled_epoch && settled_epoch != note.epoch);
    let current = current().filter(|entry| entry.epoch == note.epoch);
    let roots: Vec<(u64, Secret<32>)> = kept
        .chain(current)
        .chain(settled)
        .map(|entry| (entry.epoch, entry.root.duplicate()))
        .collect();
    let newest = images.pop().ok_or(RestoreError::SlotEmpty)?;
    if roots.is_empty() {
        let until = note.restorable_until;
        return Err(RestoreError::RootGone { backup: note.backup, until });
    }
    // The slot's word counts; a backup whose root is still the current one needs no window.
    let is_current = roots.iter().any(|(epoch, _)| *epoch == newest.current.epoch);
    let ended = until_s.map(|until_s| UnixMillis(until_s.saturating_mul(1_000)));
    match ended.or(note.restorable_until).filter(|until| *until <= now && !is_current) {
        Some(until) => Err(RestoreError::WindowPassed { until }),
        None => Ok(Found { roots, newest }),
    }
}
