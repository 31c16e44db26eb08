//! Named points of the destroy and create paths at which a crash test can stop the process.
//!
//! Compiled into debug builds only; in a release build `hit` is empty.

/// The points, in the order in which a destroying commit passes them (journal and slot run beside
/// the store's transaction); then those of a backup and of a restore.
pub const POINTS: &[&str] = &[
    "commit.planned",
    "commit.staged",
    "commit.journaled",
    "slot.root_ahead",
    "commit.durable",
    "slot.root_written",
    "slot.old_root_erased",
    "commit.published",
    "commit.answered",
    "settle.durable",
    "backup.journal_begun",
    "slot.image_put",
    "slot.image_replaced",
    "backup.root_kept",
    "restore.destroyed_again",
    "restore.journaled",
    "restore.root_written",
    "restore.old_root_erased",
    "restore.settled",
    "restore.ready",
];

/// Called with the name of each point that is passed.
#[cfg(debug_assertions)]
static HOOK: std::sync::OnceLock<fn(&'static str)> = std::sync::OnceLock::new();

/// Sets the function that `hit` calls; the first call of a process wins. Debug builds only.
#[cfg(debug_assertions)]
pub fn set_hook(hook: fn(&'static str)) {
    let _already_set = HOOK.set(hook);
}

#[cfg(debug_assertions)]
pub(crate) fn hit(point: &'static str) {
    debug_assert!(POINTS.contains(&point), "{point} is not in the list of points");
    if let Some(hook) = HOOK.get() {
        hook(point);
    }
}

#[cfg(not(debug_assertions))]
#[inline]
pub(crate) fn hit(_point: &'static str) {}
