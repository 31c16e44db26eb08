//! Work that goes on without its connection: counted, so that shutdown can wait for it.

use core::pin::pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use tokio::sync::Notify;

/// Counts detached work.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    running: AtomicUsize,
    became_idle: Notify,
}

impl Tracker {
    /// Counts one piece of work until the returned value is dropped, also by a panic.
    pub(crate) fn begin(self: &Arc<Self>) -> Tracked {
        self.running.fetch_add(1, Ordering::AcqRel);
        Tracked(Arc::clone(self))
    }

    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    /// Returns when nothing is running.
    pub(crate) async fn idle(&self) {
        loop {
            // Enrolled before the look, so that the last piece of work cannot end in between.
            let mut became_idle = pin!(self.became_idle.notified());
            became_idle.as_mut().enable();
            if self.running() == 0 {
                return;
            }
            became_idle.await;
        }
    }
}

/// One piece of detached work.
#[derive(Debug)]
pub(crate) struct Tracked(Arc<Tracker>);

impl Drop for Tracked {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.became_idle.notify_waiters();
        }
    }
}
