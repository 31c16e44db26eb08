//! Work that goes on without its connection: counted, so that shutdown can wait for it.

use tokio::sync::watch;

/// Counts detached work.
#[derive(Debug)]
pub(crate) struct Tracker {
    running: watch::Sender<usize>,
}

impl Tracker {
    pub(crate) fn new() -> Self {
        Self { running: watch::Sender::new(0) }
    }

    /// Counts one piece of work until the returned value is dropped, also by a panic.
    pub(crate) fn begin(&self) -> Tracked {
        self.running.send_modify(|running| *running += 1);
        Tracked { running: self.running.clone() }
    }

    pub(crate) fn running(&self) -> usize {
        *self.running.borrow()
    }

    /// Returns when nothing is running.
    pub(crate) async fn idle(&self) {
        // An error would mean that the sender is gone, which `self` holds.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }
}

/// One piece of detached work.
#[derive(Debug)]
pub(crate) struct Tracked {
    running: watch::Sender<usize>,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.running.send_modify(|running| *running -= 1);
    }
}
