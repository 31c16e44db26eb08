//! A door in-process: requests go the whole way but for the socket. For tests.

use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use lethe_types::{Clock, UnixMillis};
use tokio::sync::watch;

use crate::body::{Body, BrokenBody, Response};
use crate::connection::ConnectionState;
use crate::detached::Tracker;
use crate::dispatch::{ListenerState, Phase, Site, SiteError, respond};
use crate::door::Door;
use crate::metrics::{HttpMetrics, Registry};
use crate::options::ListenerOptions;

/// A door and what a listener would hold for it. Use inside a tokio runtime.
pub struct DoorUnderTest {
    connection: Arc<ConnectionState>,
    phase: watch::Sender<Phase>,
    registry: Arc<Registry>,
}

/// An answer with its body read.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status and headers.
    pub head: http::response::Parts,
    /// The whole body.
    pub body: Bytes,
}

impl DoorUnderTest {
    /// A door behind an encrypted connection, with default options.
    ///
    /// # Panics
    /// If its route table cannot be served.
    #[must_use]
    pub fn new(door: Arc<dyn Door>) -> Self {
        Self::with(door, ListenerOptions::default(), true)
    }

    /// A door behind a connection that is encrypted or not.
    ///
    /// # Panics
    /// If its route table cannot be served.
    #[must_use]
    pub fn with(door: Arc<dyn Door>, options: ListenerOptions, is_tls: bool) -> Self {
        let registry = Arc::new(Registry::new());
        let metrics = HttpMetrics::new(Arc::clone(&registry));
        let site = match Site::new(door, &metrics) {
            Ok(site) => site,
            Err(SiteError::Routes(error)) => panic!("{error}"),
            Err(SiteError::Metrics(error)) => panic!("{error}"),
        };
        let (phase, phase_seen) = watch::channel(Phase::Serving);
        let listener = ListenerState {
            site,
            hosts: Vec::new(),
            options,
            clock: Arc::new(CountingClock::default()),
            metrics: metrics.listener("test").expect("a fresh registry takes it"),
            detached: Arc::new(Tracker::default()),
            phase: phase_seen,
            crowd: watch::Sender::default(),
        };
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
        let connection = ConnectionState::new(Arc::new(listener), peer, is_tls, [0x5a; 12]);
        Self { connection: Arc::new(connection), phase, registry }
    }

    /// Sends one request; `Host: localhost` is added if it has none.
    ///
    /// # Panics
    /// If a streaming response breaks off.
    pub async fn send<T: Into<Body>>(&self, request: http::Request<T>) -> Answer {
        let mut request = request.map(|body| RequestBody(body.into()));
        let host = http::HeaderValue::from_static("localhost");
        request.headers_mut().entry(http::header::HOST).or_insert(host);
        let response = respond(Arc::clone(&self.connection), request).await;
        read(response).await
    }

    /// From now on the server shuts down.
    pub fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// The metrics so far, as text.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.registry.render()
    }
}

impl core::fmt::Debug for DoorUnderTest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DoorUnderTest(..)")
    }
}

async fn read(response: Response) -> Answer {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) =
        core::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        let frame = frame.expect("the response is whole");
        bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    Answer { head, body: bytes.into() }
}

/// A body as if from a client.
struct RequestBody(Body);

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// A clock that moves by a microsecond at each look, so that tests replay.
#[derive(Debug, Default)]
struct CountingClock(AtomicU64);

impl Clock for CountingClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(1_700_000_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.0.fetch_add(1, Ordering::Relaxed))
    }
}
