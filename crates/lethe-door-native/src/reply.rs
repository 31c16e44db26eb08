//! The three ways in which handlers answer, with their refusals turned into problems.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;
use std::task::Wake;
use std::thread::{self, Thread};

use lethe_http::{Reply, Request, Response};

use crate::error::Refusal;

/// Largest body of a use that is answered on the thread that serves its connection, in bytes. One
/// of this size takes about a hundred microseconds; larger ones go to the pool for blocking work.
pub(crate) const INLINE_BODY_BYTES_MAX: usize = 65_536;

/// Runs `work` on the pool for blocking work.
pub(crate) fn blocking(
    request: Request,
    work: impl FnOnce(&Request) -> Result<Response, Refusal> + Send + 'static,
) -> Reply {
    Reply::blocking(move || {
        work(&request).unwrap_or_else(|refusal| refusal.into_response(&request.head))
    })
}

/// Waits for `answer`, which is to the request of `head`.
pub(crate) fn pending(
    request: &Request,
    answer: impl Future<Output = Result<Response, Refusal>> + Send + 'static,
) -> Reply {
    let head = Arc::clone(&request.head);
    Reply::pending(async move {
        match answer.await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(&head),
        }
    })
}

/// Runs `work` here if the body is small, and else on the pool for blocking work.
pub(crate) fn by_size(
    request: Request,
    work: impl FnOnce(&Request) -> Result<Response, Refusal> + Send + 'static,
) -> Result<Reply, Refusal> {
    if request.body.len() <= INLINE_BODY_BYTES_MAX {
        work(&request).map(Reply::Ready)
    } else {
        Ok(blocking(request, work))
    }
}

/// The output of `future`, for which this thread waits. Only on the pool for blocking work: for a
/// change that begins with slow computation.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unparker(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            // A wake-up between the poll and here is not lost: `park` then returns at once. One
            // without cause only polls once more.
            Poll::Pending => thread::park(),
        }
    }
}

struct Unparker(Thread);

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
