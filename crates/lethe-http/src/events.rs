//! Streams of server-sent events (WHATWG HTML section 9.2): how one begins, goes on and ends.
//!
//! Nothing is buffered here: the source is asked for the next piece when the client has taken the
//! one before, so that a slow client costs the source's patience and no memory. A stream is not a
//! request in flight and has no deadline; it has a limit of its own, for its connection and for its
//! listener.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use hyper::body::{Body as HttpBody, Frame};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::body::{Body, BrokenBody, Response};
use crate::connection::ConnectionState;
use crate::door::Fallback;

/// Where the events of one stream come from.
pub trait EventSource: Send + 'static {
    /// The next piece of the stream, whole events in the form of `text/event-stream`; `None` ends
    /// it. Asked when the client has taken the last piece, when the waker was woken, and every
    /// `ListenerOptions::event_look_interval`. Must not block.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>>;

    /// What is sent when there was nothing to send for a while.
    fn heartbeat(&mut self) -> Bytes {
        Bytes::from_static(b":\n\n")
    }
}

/// The response that streams `source`.
///
/// # Errors
/// [`Fallback::Overloaded`] if the connection or its listener has as many streams as it may.
pub(crate) fn open(
    connection: &Arc<ConnectionState>,
    source: Box<dyn EventSource>,
) -> Result<Response, Fallback> {
    let permit = Permit::take(connection).ok_or(Fallback::Overloaded)?;
    let mut phase = connection.listener.phase.clone();
    let mut looks = interval(connection.listener.options.event_look_interval);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stream = EventStream {
        source,
        looks,
        // An error is a dropped server: an end as well.
        stopping: Box::pin(async move { drop(phase.changed().await) }),
        quiet_looks: 0,
        is_ended: false,
        permit,
    };
    let mut response = Response::new(Body::Stream(Box::pin(stream)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that collect answers before they pass them on heed this one.
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

struct EventStream {
    source: Box<dyn EventSource>,
    looks: Interval,
    stopping: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Looks since something was sent.
    quiet_looks: u32,
    is_ended: bool,
    permit: Permit,
}

impl HttpBody for EventStream {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        let piece = match self.poll_piece(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(piece) => piece,
        };
        self.quiet_looks = 0;
        Poll::Ready(piece.map(|bytes| {
            let sent = &self.permit.0.listener.metrics.event_stream_bytes;
            sent.add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            Ok(Frame::data(bytes))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.is_ended
    }
}

impl EventStream {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        if self.stopping.as_mut().poll(context).is_ready() {
            self.is_ended = true;
            return Poll::Ready(Some(Bytes::from_static(LAST_WORDS)));
        }
        loop {
            let source = &mut self.source;
            // A source that panics ends its own stream and nothing else.
            match catch_unwind(AssertUnwindSafe(|| source.poll_piece(context))) {
                Ok(Poll::Ready(Some(bytes))) => return Poll::Ready(Some(bytes)),
                Ok(Poll::Ready(None)) | Err(_) => {
                    self.is_ended = true;
                    return Poll::Ready(None);
                }
                Ok(Poll::Pending) => {}
            }
            if self.looks.poll_tick(context).is_pending() {
                return Poll::Pending;
            }
            self.quiet_looks += 1;
            // The first tick comes at once.
            if self.quiet_looks > HEARTBEAT_LOOKS {
                return Poll::Ready(Some(self.source.heartbeat()));
            }
        }
    }
}

/// One stream of a connection and of its listener, until it is dropped.
struct Permit(Arc<ConnectionState>);

impl Permit {
    fn take(connection: &Arc<ConnectionState>) -> Option<Self> {
        let (options, metrics) = (&connection.listener.options, &connection.listener.metrics);
        let before = connection.event_streams.fetch_add(1, Ordering::AcqRel);
        let all_before = metrics.event_streams.add(1);
        // Made first, so that its drop takes a refused stream off again.
        let permit = Self(Arc::clone(connection));
        let has_room = before < options.event_streams_per_connection_max
            && usize::try_from(all_before).is_ok_and(|all| all < options.event_streams_max);
        let counter =
            if has_room { &metrics.event_streams_total } else { &metrics.event_streams_refused };
        counter.add(1);
        has_room.then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.listener.metrics.event_streams.add(-1);
        self.0.event_streams.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventStream(..)")
    }
}

/// Sent before the end that a shutdown brings; clients come back by themselves.
const LAST_WORDS: &[u8] = b": the server is stopping\n\n";

/// Looks in which nothing was sent before a heartbeat is.
const HEARTBEAT_LOOKS: u32 = 15;

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
