//! Listeners: bind, accept, and shut down so that nothing that began is lost.

use core::fmt;
use core::pin::pin;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use lethe_types::{Clock, Entropy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::connection::watchdog::CROWD_REST_TIME;
use crate::connection::{ConnectionState, Socket, serve_connection};
use crate::detached::Tracker;
use crate::dispatch::{ListenerState, Phase, Site, SiteError};
use crate::door::Door;
use crate::metrics::{HttpMetrics, Registry, RegistryError};
use crate::options::ListenerOptions;
use crate::routes::RouteTableError;
use crate::tls::without_http2;

/// One address and what is served there.
#[derive(Debug)]
pub struct Listener {
    /// The doors behind the address.
    pub hosts: HostRouter,
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether connections are encrypted.
    pub transport: Transport,
    /// Limits and manners.
    pub options: ListenerOptions,
}

/// Chooses the door by the host name that the client asked for.
pub struct HostRouter {
    default: Arc<dyn Door>,
    named: Vec<(String, Arc<dyn Door>)>,
}

impl HostRouter {
    /// Every host leads to `door`.
    #[must_use]
    pub fn only(door: Arc<dyn Door>) -> Self {
        Self { default: door, named: Vec::new() }
    }

    /// Requests for `host` (a name or address without port, in any case) lead to `door`.
    #[must_use]
    pub fn with(mut self, host: &str, door: Arc<dyn Door>) -> Self {
        self.named.push((host.to_ascii_lowercase(), door));
        self
    }
}

impl fmt::Debug for HostRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.named.iter().map(|(host, door)| (host, door.name()));
        f.debug_map().entry(&"*", &self.default.name()).entries(named).finish()
    }
}

/// Whether the connections of a listener are encrypted.
#[derive(Clone)]
pub enum Transport {
    /// Never.
    Plain,
    /// As the client begins: its first byte tells. For clients that change scheme but not port.
    PlainOrTls(Arc<rustls::ServerConfig>),
    /// Always.
    Tls(Arc<rustls::ServerConfig>),
}

impl Transport {
    /// Itself, without HTTP/2 unless `is_spoken`.
    fn with_http2(self, is_spoken: bool) -> Self {
        match self {
            Self::PlainOrTls(config) if !is_spoken => Self::PlainOrTls(without_http2(&config)),
            Self::Tls(config) if !is_spoken => Self::Tls(without_http2(&config)),
            same @ (Self::Plain | Self::PlainOrTls(_) | Self::Tls(_)) => same,
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::PlainOrTls(_) => "PlainOrTls(..)",
            Self::Tls(_) => "Tls(..)",
        })
    }
}

/// What the listeners take from outside.
#[derive(Clone)]
pub struct Environment {
    /// For durations and `RequestHead::received`. Timeouts run on the timers of the runtime.
    pub clock: Arc<dyn Clock>,
    /// For request identifiers: twelve bytes a connection.
    pub entropy: Arc<dyn Entropy>,
    /// Where the HTTP metrics are registered.
    pub metrics: Arc<Registry>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment(..)")
    }
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address as configured.
        address: SocketAddr,
        /// Why, in the words of the system.
        source: io::Error,
    },
    /// A metric cannot be registered.
    #[error("cannot register the metrics of a listener")]
    Metrics(#[source] RegistryError),
    /// A setting cannot be served.
    #[error("cannot listen on {address} with these options: {fault}")]
    Options {
        /// The address as configured.
        address: SocketAddr,
        /// Which setting, and what about it.
        fault: &'static str,
    },
    /// A door has a route table that cannot be served.
    #[error("cannot serve the routes of a door")]
    Routes(#[source] RouteTableError),
}

/// Listens on all addresses, or on none. Must run inside a tokio runtime with timers and I/O.
///
/// # Errors
/// [`ServeError`]; then nothing listens.
pub async fn serve(
    listeners: Vec<Listener>,
    environment: Environment,
) -> Result<Running, ServeError> {
    let http_metrics = HttpMetrics::new(Arc::clone(&environment.metrics));
    let detached = Arc::new(Tracker::default());
    let (phase, phase_seen) = watch::channel(Phase::Serving);
    let mut bound = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let address = listener.address;
        if let Some(fault) = listener.options.fault() {
            return Err(ServeError::Options { address, fault });
        }
        let socket = TcpListener::bind(address).await;
        let socket = socket.map_err(|source| ServeError::Bind { address, source })?;
        let local = socket.local_addr();
        let local = local.map_err(|source| ServeError::Bind { address, source })?;
        let metrics = http_metrics.listener(&local.to_string()).map_err(ServeError::Metrics)?;
        let mut hosts = Vec::new();
        for (host, door) in listener.hosts.named {
            hosts.push((host.into_boxed_str(), Site::new(door, &http_metrics)?));
        }
        let state = ListenerState {
            site: Site::new(listener.hosts.default, &http_metrics)?,
            hosts,
            options: listener.options.clone(),
            clock: Arc::clone(&environment.clock),
            metrics,
            detached: Arc::clone(&detached),
            phase: phase_seen.clone(),
            crowd: watch::Sender::default(),
        };
        let acceptor = Acceptor {
            socket,
            transport: listener.transport.with_http2(listener.options.http2),
            entropy: Arc::clone(&environment.entropy),
            state: Arc::new(state),
        };
        bound.push((local, acceptor));
    }
    let addresses = bound.iter().map(|(address, _)| *address).collect();
    let acceptors = bound.into_iter().map(|(_, acceptor)| tokio::spawn(acceptor.run())).collect();
    Ok(Running { addresses, acceptors, phase, detached })
}

impl From<SiteError> for ServeError {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Metrics(error) => Self::Metrics(error),
            SiteError::Routes(error) => Self::Routes(error),
        }
    }
}

/// Listeners at work. Dropping it cuts all connections at once, but not detached mutations.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    acceptors: Vec<JoinHandle<usize>>,
    phase: watch::Sender<Phase>,
    detached: Arc<Tracker>,
}

/// What a shutdown did not wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shutdown {
    /// Connections that were closed in the middle of a request or answer.
    pub connections_cut: usize,
    /// Detached pieces of work that still run. They are not stopped; what becomes of them when
    /// the process exits is up to the commit that they wait for.
    pub work_abandoned: usize,
}

impl Running {
    /// The addresses listened on, in the order of the listeners, with the ports taken.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops: takes no more connections or requests, lets what began end, detached mutations
    /// included, for at most `grace`, then closes what is left.
    pub async fn shutdown(self, grace: Duration) -> Shutdown {
        self.phase.send_replace(Phase::Draining);
        let mut acceptors = self.acceptors;
        let finished = timeout(grace, async {
            while let Some(acceptor) = acceptors.last_mut() {
                // The task neither panics nor is aborted; if it did, its connections are gone.
                let _ = acceptor.await;
                acceptors.pop();
            }
            self.detached.idle().await;
        });
        if finished.await.is_ok() {
            return Shutdown::default();
        }
        self.phase.send_replace(Phase::Cut);
        let mut connections_cut = 0;
        for acceptor in acceptors {
            connections_cut += acceptor.await.unwrap_or_default();
        }
        Shutdown { connections_cut, work_abandoned: self.detached.running() }
    }
}

/// Accepts the connections of one listener, and owns them.
struct Acceptor {
    socket: TcpListener,
    transport: Transport,
    entropy: Arc<dyn Entropy>,
    state: Arc<ListenerState>,
}

impl Acceptor {
    /// Runs until a shutdown; returns how many connections had to be cut.
    async fn run(self) -> usize {
        let mut connections = JoinSet::new();
        let slots = Arc::new(Semaphore::new(self.state.options.connections_max));
        let mut phase = self.state.phase.clone();
        tokio::select! {
            biased;
            _ = phase.changed() => {}
            () = self.accept_all(&slots, &mut connections) => {}
        }
        // Closed before the connections end, so that clients are refused and try elsewhere.
        drop(self.socket);
        // An error is a dropped `Running`: cut as well.
        let is_cut = async { drop(phase.wait_for(|phase| *phase == Phase::Cut).await) };
        tokio::select! {
            biased;
            () = async { while connections.join_next().await.is_some() {} } => return 0,
            () = is_cut => {}
        }
        let cut = connections.len();
        connections.shutdown().await;
        cut
    }

    async fn accept_all(&self, slots: &Arc<Semaphore>, connections: &mut JoinSet<()>) {
        let mut pause = Duration::ZERO;
        loop {
            // Finished tasks stay in the set until asked for.
            while connections.try_join_next().is_some() {}
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    pause = Duration::ZERO;
                    let Some(slot) = self.slot(slots).await else { return };
                    self.start(stream, peer, slot, connections);
                }
                Err(error) => {
                    self.state.metrics.count_accept_error();
                    pause = pause_after(&error, pause);
                    sleep(pause).await;
                }
            }
        }
    }

    /// A place for a connection. While none is free those that say nothing are asked to go.
    async fn slot(&self, slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let mut free = pin!(Arc::clone(slots).acquire_owned());
        loop {
            tokio::select! {
                biased;
                slot = free.as_mut() => return slot.ok(),
                () = sleep(CROWD_LOOK_INTERVAL) => {
                    self.state.crowd.send_modify(|looks| *looks = looks.wrapping_add(1));
                }
            }
        }
    }

    fn start(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
        connections: &mut JoinSet<()>,
    ) {
        let mut id = [0; 12];
        // Without chance there are no request identifiers: the connection is dropped. The same
        // failure stops every other work of the server, which reports it.
        if self.entropy.fill(&mut id).is_err() {
            self.state.metrics.count_accept_error();
            return;
        }
        let transport = self.transport.clone();
        let state = Arc::clone(&self.state);
        connections.spawn(async move {
            let _slot = slot;
            let _open = state.metrics.count_connection();
            let Some(socket) = open(stream, transport, &state).await else { return };
            let is_tls = matches!(socket, Socket::Tls(_));
            let connection = ConnectionState::new(state, peer, is_tls, id);
            serve_connection(socket, Arc::new(connection)).await;
        });
    }
}

/// Makes the byte stream of a connection; `None` if the handshake fails, takes too long or a
/// shutdown begins.
async fn open(stream: TcpStream, transport: Transport, state: &ListenerState) -> Option<Socket> {
    // Fails only on a socket that is gone already. Answers are written whole: waiting to fill a
    // packet would only delay them.
    let _ = stream.set_nodelay(true);
    let mut phase = state.phase.clone();
    let handshake = timeout(state.options.tls_handshake_timeout, async {
        let config = match transport {
            Transport::Plain => return Ok(Socket::Plain(stream)),
            Transport::Tls(config) => config,
            Transport::PlainOrTls(config) => {
                let mut first = [0];
                stream.peek(&mut first).await?;
                if first != [TLS_HANDSHAKE_RECORD] {
                    return Ok(Socket::Plain(stream));
                }
                config
            }
        };
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        Ok::<_, io::Error>(Socket::Tls(Box::new(stream)))
    });
    tokio::select! {
        biased;
        result = handshake => {
            let socket = result.ok().and_then(Result::ok);
            if socket.is_none() {
                state.metrics.count_handshake_failure();
            }
            socket
        }
        _ = phase.changed() => None,
        () = crowded_out(state) => None,
    }
}

/// Ends when a client waits for a place, and this one had [`CROWD_REST_TIME`].
async fn crowded_out(state: &ListenerState) {
    let mut crowd = state.crowd.subscribe();
    sleep(CROWD_REST_TIME).await;
    crowd.mark_unchanged();
    // The sender lives as long as the state.
    let _ = crowd.changed().await;
}

/// How long to wait after a failed accept. A connection that its client gave up needs none; when
/// descriptors or memory are short, trying again at once would only spin.
pub(crate) fn pause_after(error: &io::Error, last: Duration) -> Duration {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    let harmless = [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted];
    if harmless.contains(&error.kind()) {
        return Duration::ZERO;
    }
    last.saturating_mul(2).clamp(ACCEPT_PAUSE_MIN, ACCEPT_PAUSE_MAX)
}

/// First byte of every TLS connection: a record of type handshake (RFC 8446 section 5.1).
const TLS_HANDSHAKE_RECORD: u8 = 0x16;

/// How often, while all connections are taken and a client waits, the others are looked at.
const CROWD_LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// First pause after accept failed for want of resources.
pub(crate) const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(5);

/// Longest pause after accept failed for want of resources.
pub(crate) const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
