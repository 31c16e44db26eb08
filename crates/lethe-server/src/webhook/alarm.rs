//! Waiting in a thread for events, for time to pass, and for the end.

use core::task::{Context, Waker};
use core::time::Duration;
use std::sync::Arc;
use std::task::Wake;

use lethe_engine::EventWatch;
use lethe_types::Clock;
use parking_lot::{Condvar, Mutex};

/// What a thread sleeps on.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_woken: bool,
    is_stopped: bool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.state.lock().is_woken = true;
        self.changed.notify_all();
    }
}

impl Alarm {
    /// Ends every wait, now and later.
    pub(super) fn stop(&self) {
        self.state.lock().is_stopped = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state.lock().is_stopped
    }

    /// Waits for events or the end.
    pub(super) fn wait_for_events(self: &Arc<Self>, watch: &mut EventWatch) {
        let waker = Waker::from(self.clone());
        let mut context = Context::from_waker(&waker);
        if watch.poll_changed(&mut context).is_ready() {
            return;
        }
        let mut state = self.state.lock();
        while !state.is_woken && !state.is_stopped {
            self.changed.wait(&mut state);
        }
        state.is_woken = false;
    }

    /// Waits until `length` has passed, or for the end.
    pub(super) fn pause(&self, clock: &dyn Clock, length: Duration) {
        let end = clock.monotonic().saturating_add(length);
        let mut state = self.state.lock();
        while !state.is_stopped {
            let rest = end.saturating_sub(clock.monotonic());
            if rest.is_zero() {
                return;
            }
            self.changed.wait_for(&mut state, rest);
        }
    }
}
