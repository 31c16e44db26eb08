//! A future beside a busy one, in the same task, that costs nothing until it is woken itself.

use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::Arc;
use std::task::Wake;

/// Polls its future only when that future has been woken.
///
/// A connection's task wakes for every request, and would each time poll the futures that wait
/// for a shutdown or a timer too; theirs take a lock that all connections share.
pub(crate) struct Quiet<F> {
    future: F,
    bell: Option<(Arc<Bell>, Waker)>,
}

struct Bell {
    has_rung: AtomicBool,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Before the task is woken, which then sees it.
        self.has_rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl<F: Future + Unpin> Quiet<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future, bell: None }
    }
}

impl<F: Future + Unpin> Future for Quiet<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        // A new bell, already rung, for the first poll and for a move to another task.
        this.bell.take_if(|(bell, _)| !bell.task.will_wake(context.waker()));
        let (bell, waker) = this.bell.get_or_insert_with(|| {
            let has_rung = AtomicBool::new(true);
            let bell = Arc::new(Bell { has_rung, task: context.waker().clone() });
            (Arc::clone(&bell), Waker::from(bell))
        });
        if !bell.has_rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        // Before the poll: whoever rings during it is heard at the next.
        bell.has_rung.store(false, Ordering::Release);
        Pin::new(&mut this.future).poll(&mut Context::from_waker(waker))
    }
}
