//! One connection: handshake, HTTP, and the watch over clients that stall.

use core::convert::Infallible;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use core::task::{Context, Poll};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::server::TlsStream;

use crate::body::{Body, BrokenBody};
use crate::connection::quiet::Quiet;
use crate::connection::watchdog::{Activity, Verdict, Watchdog};
use crate::dispatch::{ListenerState, respond};
use crate::options::{HEADER_BYTES_HARD_MAX, HeaderCase};
use crate::request::RequestId;

pub(crate) mod quiet;
pub(crate) mod watchdog;

/// What the requests of one connection share.
pub(crate) struct ConnectionState {
    pub(crate) listener: Arc<ListenerState>,
    pub(crate) peer: SocketAddr,
    pub(crate) is_tls: bool,
    /// Asks the connection to take no further requests.
    pub(crate) close: Notify,
    /// Streams of events that are open.
    pub(crate) event_streams: AtomicUsize,
    id: [u8; 12],
    requests: AtomicU32,
    activity: Activity,
}

impl ConnectionState {
    pub(crate) fn new(
        listener: Arc<ListenerState>,
        peer: SocketAddr,
        is_tls: bool,
        id: [u8; 12],
    ) -> Self {
        let (close, requests) = (Notify::new(), AtomicU32::new(0));
        let (event_streams, activity) = (AtomicUsize::new(0), Activity::default());
        Self { listener, peer, is_tls, close, event_streams, id, requests, activity }
    }

    pub(crate) fn next_request_id(&self) -> RequestId {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        RequestId { connection: self.id, number }
    }

    /// Whether no request may follow the one with this number.
    pub(crate) fn is_last(&self, number: u32) -> bool {
        number.saturating_add(1) >= self.listener.options.requests_per_connection_max
    }
}

/// The byte stream of a connection.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    fn speaks_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

/// Most bytes that are read from a connection in one turn: others have theirs after some tens of
/// microseconds. No less than a head can have.
const READ_BYTES_MAX: usize = 2 * HEADER_BYTES_HARD_MAX;

/// Serves requests until either side closes.
pub(crate) async fn serve_connection(socket: Socket, state: Arc<ConnectionState>) {
    let options = &state.listener.options;
    let is_http2 = socket.speaks_http2();
    let io = TokioIo::new(Monitored { socket, state: Arc::clone(&state) });
    let service = {
        let state = Arc::clone(&state);
        service_fn(move |request: http::Request<Incoming>| {
            let active = ActiveRequest::begin(&state);
            let connection = Arc::clone(&state);
            async move {
                let response = respond(connection, request).await;
                Ok::<_, Infallible>(response.map(|body| ActiveBody { body, _active: active }))
            }
        })
    };
    if is_http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(options.http2_streams_max)
            .max_header_list_size(u32::try_from(HEADER_BYTES_HARD_MAX).unwrap_or(u32::MAX))
            .serve_connection(io, service);
        drive(connection, &state, Watchdog::new(options, is_http2)).await;
    } else {
        let connection = http1::Builder::new()
            .keep_alive(options.keep_alive)
            .title_case_headers(options.header_case == HeaderCase::Title)
            .max_header_size(HEADER_BYTES_HARD_MAX)
            .max_buf_size(READ_BYTES_MAX)
            // The watchdog does this, with one timer a connection instead of one a request.
            .header_read_timeout(None)
            .serve_connection(io, service);
        drive(connection, &state, Watchdog::new(options, is_http2)).await;
    }
}

/// Runs a connection to its end, or until it stalls. After a shutdown began it serves what it has
/// begun to read.
async fn drive<C: GracefulConnection>(
    connection: C,
    state: &ConnectionState,
    mut watchdog: Watchdog,
) {
    let mut connection = pin!(connection);
    let mut phase = state.listener.phase.clone();
    let mut crowd = state.listener.crowd.subscribe();
    let mut is_crowded = false;
    let mut ticks = interval(watchdog.tick());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let start = ticks.tick().await;
    let mut is_closing = false;
    loop {
        let now = {
            let call = pin!(async {
                tokio::select! {
                    biased;
                    _ = phase.changed(), if !is_closing => None,
                    () = state.close.notified(), if !is_closing => None,
                    now = ticks.tick() => Some(now),
                    Ok(()) = crowd.changed() => {
                        is_crowded = true;
                        ticks.reset_immediately();
                        Some(ticks.tick().await)
                    }
                }
            });
            tokio::select! {
                biased;
                // A broken connection is nobody's failure: its own socket tells the client.
                _ = connection.as_mut() => return,
                now = Quiet::new(call) => now,
            }
        };
        let age = now.map(|now| now.duration_since(start));
        let is_crowded = core::mem::take(&mut is_crowded);
        match age.map(|age| watchdog.examine(age, state.activity.snapshot(), is_crowded)) {
            Some(Verdict::Cut) => return,
            Some(Verdict::Keep) => {}
            Some(Verdict::Close) | None => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// A socket that tells the watchdog what it does.
struct Monitored {
    socket: Socket,
    state: Arc<ConnectionState>,
}

impl AsyncRead for Monitored {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let poll = match &mut this.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_read(context, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_read(context, buf),
        };
        if buf.filled().len() > before {
            this.state.activity.note_read();
        }
        poll
    }
}

impl AsyncWrite for Monitored {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = match &mut this.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write(context, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_write(context, buf),
        };
        this.state.activity.note_write(poll.is_pending());
        poll
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = match &mut this.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write_vectored(context, bufs),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(context, bufs),
        };
        this.state.activity.note_write(poll.is_pending());
        poll
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(stream) => stream.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.socket {
            // A TCP stream has nothing to flush.
            Socket::Plain(stream) => Pin::new(stream).poll_flush(context),
            Socket::Tls(stream) => {
                let poll = Pin::new(stream).poll_flush(context);
                this.state.activity.note_write(poll.is_pending());
                poll
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// Marks its connection as busy, from a complete head until hyper has the whole response.
struct ActiveRequest(Arc<ConnectionState>);

impl ActiveRequest {
    fn begin(state: &Arc<ConnectionState>) -> Self {
        state.activity.note_request_begun();
        Self(Arc::clone(state))
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.activity.note_request_ended();
    }
}

/// A response body that keeps its connection busy until it is handed over.
struct ActiveBody {
    body: Body,
    _active: ActiveRequest,
}

impl HttpBody for ActiveBody {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
