//! What has to be done at its time without anybody asking: destructions and rotations that are due,
//! import keys whose time is over, the next piece of a bulk destruction, last uses that are to
//! survive a restart.
//!
//! One thread, which does everything through the operations that everybody uses. Whatever it does
//! not get done it finds again after a restart: the due date, the job and the last uses are rows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lethe_types::{KeyId, UnixMillis};
use parking_lot::{Condvar, Mutex};

use crate::Engine;

/// How long it rests when there is nothing to do: the most that a due date is missed by, and the
/// most uses, in time, that a crash forgets.
const REST: Duration = Duration::from_secs(1);

/// The thread, and how to wake and end it.
#[derive(Default)]
pub(crate) struct Caretaker {
    thread: Mutex<Option<JoinHandle<()>>>,
    signal: Arc<Signal>,
}

#[derive(Default)]
struct Signal {
    stop: AtomicBool,
    work: Mutex<bool>,
    woken: Condvar,
}

/// What it remembers between two rounds.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    /// Due keys that a guard keeps, told once.
    pub(crate) kept: BTreeSet<KeyId>,
    /// Keys whose rotation is due and that have no room for a version, told once.
    pub(crate) full: BTreeSet<KeyId>,
    /// The clock of the round before.
    pub(crate) clock_seen: Option<UnixMillis>,
}

impl Caretaker {
    /// Starts the thread over `engine`, which must not be the one that owns this. `rounds` is what
    /// the start remembers.
    ///
    /// # Errors
    /// The operating system's, if it gives no thread.
    pub(crate) fn start(&self, engine: Engine, mut rounds: Rounds) -> std::io::Result<()> {
        let signal = self.signal.clone();
        let thread =
            std::thread::Builder::new().name("lethe-caretaker".to_owned()).spawn(move || {
                while !signal.stop.load(Ordering::Acquire) {
                    if !engine.tend(&mut rounds) {
                        signal.rest();
                    }
                }
                engine.flush_usage();
            })?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// There is something to do.
    pub(crate) fn wake(&self) {
        *self.signal.work.lock() = true;
        self.signal.woken.notify_one();
    }

    /// Ends the thread after what it is at, and waits for it.
    pub(crate) fn stop(&self) {
        self.signal.stop.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread was reported when it happened; there is nothing to add here.
            let _ended = thread.join();
        }
    }
}

impl Drop for Caretaker {
    /// Its thread holds the committer's queue open; nobody else would end it.
    fn drop(&mut self) {
        self.stop();
    }
}

impl Signal {
    fn rest(&self) {
        let mut work = self.work.lock();
        if !*work {
            let _timed_out = self.woken.wait_for(&mut work, REST);
        }
        *work = false;
    }
}

impl std::fmt::Debug for Caretaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Caretaker(..)")
    }
}

impl Engine {
    /// One round; whether there is more to do at once.
    pub(crate) fn tend(&self, rounds: &mut Rounds) -> bool {
        if self.shared.is_halted() {
            return false;
        }
        // What fails here is found again in the next round: it is all in the store.
        let more_due = self.destroy_due(rounds).unwrap_or(false);
        self.remove_expired_import_keys();
        let more_rotations = self.rotate_due(rounds).unwrap_or(false);
        self.flush_usage();
        let more_jobs = self.advance_jobs().unwrap_or(false);
        more_due || more_rotations || more_jobs
    }
}
