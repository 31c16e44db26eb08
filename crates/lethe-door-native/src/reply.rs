//! The three ways in which handlers answer, with their refusals turned into problems.

use core::future::Future;
use std::sync::Arc;

pub(crate) use lethe_http::block_on;
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
