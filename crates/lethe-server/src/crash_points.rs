//! Debug builds only: lets a test stop the process at a named point of a commit, as a crash would.
//!
//! `LETHE_CRASH_AT=slot.root_written` stops at the first pass of that point, `…:3` at the third.

/// Arms the point that the environment names; in a release build there are none.
#[cfg(not(debug_assertions))]
pub(crate) fn arm() {}

/// A point of a backup's file, of the migration of a seal, or of a move of the slot, is passed.
#[cfg(not(debug_assertions))]
pub(crate) fn hit(_point: &'static str) {}

#[cfg(debug_assertions)]
pub(crate) use armed::{arm, pass_point as hit};

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    const VARIABLE: &str = "LETHE_CRASH_AT";

    /// The points of a backup's file and of the migration of a seal, in their order.
    const OWN_POINTS: [&str; 6] = [
        "backup.segment_synced",
        "backup.segment_named",
        "seal.key_made",
        "seal.image_written",
        "seal.old_erased",
        "seal.old_key_destroyed",
    ];

    /// The points of a move of the slot, in their order.
    const SLOT_POINTS: [&str; 6] = [
        "slot.move_begun",
        "slot.move_written",
        "slot.move_erased",
        "slot.move_brought",
        "slot.move_retired",
        "slot.move_destroyed",
    ];

    static POINT: OnceLock<(String, AtomicU32)> = OnceLock::new();

    pub(crate) fn arm() {
        let Ok(text) = std::env::var(VARIABLE) else { return };
        let (point, pass) = text.split_once(':').unwrap_or((&text, "1"));
        let known = || {
            lethe_engine::failpoint::POINTS.iter().chain(&OWN_POINTS).chain(&SLOT_POINTS).copied()
        };
        let pass = pass.parse().ok().filter(|pass| *pass > 0);
        let (true, Some(pass)) = (known().any(|one| one == point), pass) else {
            let known: Vec<&str> = known().collect();
            eprintln!("lethe: {VARIABLE}={text} names no point; there are {}", known.join(" "));
            std::process::exit(3);
        };
        let _armed_before = POINT.set((point.to_owned(), AtomicU32::new(pass)));
        lethe_engine::failpoint::set_hook(pass_point);
    }

    pub(crate) fn pass_point(point: &'static str) {
        let Some((wanted, left)) = POINT.get() else { return };
        if wanted == point && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // As sudden as a crash: no destructor runs, nothing is flushed.
            let process = rustix::process::getpid();
            let _never_returns =
                rustix::process::kill_process(process, rustix::process::Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }
}
