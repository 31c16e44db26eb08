//! A small door, a server on a free port, and a client that speaks bytes.

use core::future::Future;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};
use lethe_types::{Clock, Entropy, EntropyError, UnixMillis};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::metrics::Registry;
use crate::*;

/// No test waits longer for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// What the handlers of the test door do, seen from a test.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) entered: watch::Sender<usize>,
    pub(super) is_open: watch::Sender<bool>,
    pub(super) finished: watch::Sender<usize>,
    pub(super) dropped: watch::Sender<usize>,
    pub(super) calls: AtomicUsize,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            entered: watch::Sender::new(0),
            is_open: watch::Sender::new(false),
            finished: watch::Sender::new(0),
            dropped: watch::Sender::new(0),
            calls: AtomicUsize::new(0),
        })
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Enters, waits for the gate to open, finishes.
    async fn pass(self: Arc<Self>) -> Response {
        let _guard = CountDrop(Arc::clone(&self));
        self.entered.send_modify(|n| *n += 1);
        reach(&self.is_open, |is_open| *is_open).await;
        self.finished.send_modify(|n| *n += 1);
        text("passed")
    }
}

struct CountDrop(Arc<Gate>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.dropped.send_modify(|n| *n += 1);
    }
}

/// Waits until `condition` holds of the watched value.
pub(super) async fn reach<T>(watched: &watch::Sender<T>, condition: impl FnMut(&T) -> bool) {
    patiently(watched.subscribe().wait_for(condition)).await.expect("the sender lives");
}

pub(super) async fn patiently<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it happens in time")
}

pub(super) fn text(body: impl Into<Body>) -> Response {
    Response::new(body.into())
}

/// A door with one route for every kind of reply.
pub(super) struct TestDoor {
    name: &'static str,
    rules: DoorRules,
    routes: Vec<RouteSpec>,
}

pub(super) fn route(method: Method, path: &'static str, kind: Kind, handler: Handler) -> RouteSpec {
    RouteSpec {
        method,
        path,
        op: "test",
        body_bytes_max: 16,
        deadline: Duration::from_secs(5),
        kind,
        authentication: Authentication::Public,
        handler,
    }
}

impl TestDoor {
    pub(super) fn new() -> (Self, Arc<Gate>) {
        let gate = Gate::new();
        let calls = Arc::clone(&gate);
        let echo = Handler::new(move |request: Request| {
            calls.calls.fetch_add(1, Ordering::SeqCst);
            text(request.body)
        });
        let pass = |gate: &Arc<Gate>| {
            let gate = Arc::clone(gate);
            Handler::new(move |_| Reply::pending(Arc::clone(&gate).pass()))
        };
        let soon = Duration::from_millis(30);
        let shown = |r: Request| text(format!("{}|{}", r.param("id"), r.param("rest")));
        let secure = |request: Request| {
            let mut response = text("");
            if !request.head.is_tls {
                *response.status_mut() = StatusCode::IM_A_TEAPOT;
                response = with_reason_phrase(response, "");
            }
            response
        };
        let routes = vec![
            route(Method::GET, "/ping", Kind::Use, Handler::new(|_| text("pong"))),
            route(Method::POST, "/echo", Kind::Use, echo.clone()),
            route(Method::PUT, "/echo", Kind::Use, echo.clone()),
            RouteSpec {
                body_bytes_max: 1_000_000,
                ..route(Method::POST, "/large", Kind::Use, echo.clone())
            },
            RouteSpec {
                body_bytes_max: 1_000_000,
                authentication: Authentication::Required,
                ..route(Method::POST, "/guarded", Kind::Use, echo)
            },
            RouteSpec {
                body_bytes_max: 1_000_000,
                ..route(Method::POST, "/hold", Kind::Mutation, pass(&gate))
            },
            route(Method::GET, "/items/{id}/{*rest}", Kind::Read, Handler::new(shown)),
            route(Method::GET, "/secure", Kind::Use, Handler::new(secure)),
            route(Method::GET, "/use", Kind::Use, pass(&gate)),
            RouteSpec { deadline: soon, ..route(Method::GET, "/use-soon", Kind::Use, pass(&gate)) },
            route(Method::DELETE, "/mutate", Kind::Mutation, pass(&gate)),
            RouteSpec {
                deadline: soon,
                ..route(Method::DELETE, "/mutate-soon", Kind::Mutation, pass(&gate))
            },
            route(Method::GET, "/panic/ready", Kind::Use, Handler::new(|_| -> Reply { panic!() })),
            route(
                Method::GET,
                "/panic/pending",
                Kind::Use,
                Handler::new(|_| Reply::pending(async { panic!() })),
            ),
            route(
                Method::GET,
                "/panic/detached",
                Kind::Mutation,
                Handler::new(|_| Reply::pending(async { panic!() })),
            ),
            route(
                Method::GET,
                "/panic/blocking",
                Kind::Use,
                Handler::new(|_| Reply::blocking(|| panic!())),
            ),
            route(
                Method::GET,
                "/blocking",
                Kind::Use,
                Handler::new(|_| Reply::blocking(|| text("slow"))),
            ),
            route(Method::GET, "/stream/{end}", Kind::Read, Handler::new(stream)),
            route(Method::GET, "/large", Kind::Read, Handler::new(|_| text(vec![b'x'; LARGE]))),
        ];
        (Self { name: "test", rules: DoorRules::default(), routes }, gate)
    }

    pub(super) fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(super) fn with_rules(mut self, rules: DoorRules) -> Self {
        self.rules = rules;
        self
    }

    pub(super) fn with_routes(mut self, routes: Vec<RouteSpec>) -> Self {
        self.routes = routes;
        self
    }
}

/// More than the socket buffers of both sides hold.
pub(super) const LARGE: usize = 32 << 20;

fn stream(request: Request) -> Response {
    let (sender, body) = Body::channel(1);
    let ends = request.param("end") == "whole";
    tokio::spawn(async move {
        sender.send("one,".into()).await.expect("the client reads");
        sender.send("two".into()).await.expect("the client reads");
        if ends {
            sender.finish().await.expect("the client reads");
        }
    });
    text(body)
}

impl Door for TestDoor {
    fn name(&self) -> &'static str {
        self.name
    }

    fn routes(&self) -> &[RouteSpec] {
        &self.routes
    }

    fn rules(&self) -> DoorRules {
        self.rules
    }

    fn screen(&self, head: &RequestHead) -> Option<Response> {
        match head.header("x-screen") {
            Some("panic") => panic!("screened"),
            Some(_) => Some(text("screened")),
            None => None,
        }
    }

    fn admit_large_body(&self, head: &RequestHead) -> Option<Response> {
        match head.header("x-admit") {
            Some("panic") => panic!("admitting"),
            Some(_) => None,
            None => Some(text("a stranger")),
        }
    }

    fn fallback(&self, cause: Fallback, head: &RequestHead) -> Response {
        assert!(head.header("x-fallback-panics").is_none(), "the door fails to refuse");
        let mut response = text(format!("{cause:?}"));
        *response.status_mut() = cause.status();
        response
    }

    fn finish(&self, head: &RequestHead, response: &mut Response) {
        assert!(head.header("x-finish-panics").is_none(), "the door fails to finish");
        response.headers_mut().insert("x-door", HeaderValue::from_static(self.name));
    }
}

#[derive(Debug, Default)]
struct StepClock(AtomicU64);

impl Clock for StepClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(0)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

#[derive(Debug, Default)]
struct StepEntropy(AtomicU64);

impl Entropy for StepEntropy {
    fn fill(&self, buf: &mut [u8]) -> Result<(), EntropyError> {
        let step = self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        for (byte, value) in buf.iter_mut().zip(step.iter().cycle()) {
            *byte = *value;
        }
        Ok(())
    }
}

/// A running server and the means to look into it.
pub(super) struct Server {
    pub(super) running: Running,
    pub(super) gate: Arc<Gate>,
    registry: Arc<Registry>,
}

pub(super) fn environment(registry: &Arc<Registry>) -> Environment {
    Environment {
        clock: Arc::new(StepClock::default()),
        entropy: Arc::new(StepEntropy::default()),
        metrics: Arc::clone(registry),
    }
}

pub(super) fn listener(door: TestDoor, transport: Transport, options: ListenerOptions) -> Listener {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Listener { hosts: HostRouter::only(Arc::new(door)), address, transport, options }
}

impl Server {
    pub(super) async fn start(options: ListenerOptions) -> Self {
        Self::start_with(Transport::Plain, options, DoorRules::default()).await
    }

    pub(super) async fn start_with(
        transport: Transport,
        options: ListenerOptions,
        rules: DoorRules,
    ) -> Self {
        let (door, gate) = TestDoor::new();
        Self::start_door(transport, options, door.with_rules(rules), gate).await
    }

    /// A server with these routes instead of those of the test door.
    pub(super) async fn start_with_routes(
        options: ListenerOptions,
        routes: Vec<RouteSpec>,
    ) -> Self {
        let (door, gate) = TestDoor::new();
        Self::start_door(Transport::Plain, options, door.with_routes(routes), gate).await
    }

    async fn start_door(
        transport: Transport,
        options: ListenerOptions,
        door: TestDoor,
        gate: Arc<Gate>,
    ) -> Self {
        let registry = Arc::new(Registry::new());
        let listener = listener(door, transport, options);
        let running = serve(vec![listener], environment(&registry)).await.expect("it serves");
        Self { running, gate, registry }
    }

    pub(super) fn address(&self) -> SocketAddr {
        *self.running.addresses().first().expect("one listener")
    }

    pub(super) async fn connect(&self) -> Client<TcpStream> {
        connect(self.address()).await
    }

    /// Waits until this many connections are open.
    pub(super) async fn connections_are(&self, count: i64) {
        self.gauge_is("lethe_http_connections", count).await;
    }

    /// Waits until a metric of the listener has this value.
    pub(super) async fn gauge_is(&self, name: &str, value: i64) {
        let address = self.address().to_string();
        let gauge = self.registry.gauge(name, "", &[("listener", &address)]).expect("it exists");
        patiently(async {
            while gauge.value() != value {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub(super) fn metrics(&self) -> String {
        self.registry.render()
    }
}

pub(super) async fn connect(address: SocketAddr) -> Client<TcpStream> {
    Client::new(TcpStream::connect(address).await.expect("the server listens"))
}

/// A client that writes and reads bytes, so that malformed ones can be sent too.
pub(super) struct Client<S> {
    pub(super) stream: S,
    unread: Vec<u8>,
}

/// An HTTP/1.1 answer as received.
#[derive(Debug)]
pub(super) struct Answer {
    /// Status line and headers, as sent.
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    #[track_caller]
    pub(super) fn check(&self, status: u16, body: &str) {
        assert_eq!((self.status(), self.body.as_str()), (status, body), "{}", self.head);
    }

    pub(super) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).expect("a status line").parse().expect("a status")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    pub(super) async fn write(&mut self, bytes: &str) {
        patiently(self.stream.write_all(bytes.as_bytes())).await.expect("the server reads");
        patiently(self.stream.flush()).await.expect("the server reads");
    }

    /// Sends a request without body.
    pub(super) async fn get(&mut self, method: &str, path: &str) -> Answer {
        self.write(&format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        self.read_answer(method == "HEAD").await
    }

    pub(super) async fn answer(&mut self) -> Answer {
        self.read_answer(false).await
    }

    async fn read_answer(&mut self, is_head: bool) -> Answer {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.fill().await, "closed within a head: {:?}", self.unread_text());
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let mut answer =
            Answer { head: String::from_utf8(head).expect("ASCII"), body: String::new() };
        if answer.status() == 100 {
            return answer;
        }
        let length = answer.header("content-length").map_or(0, |n| n.parse().expect("a length"));
        if !is_head {
            while self.unread.len() < length {
                assert!(self.fill().await, "closed within a body");
            }
            let body = self.unread.drain(..length).collect();
            answer.body = String::from_utf8(body).expect("UTF-8");
        }
        answer
    }

    /// All that comes until the server closes; a reset counts as a close.
    pub(super) async fn rest(&mut self) -> String {
        while self.fill().await {}
        self.unread_text()
    }

    pub(super) fn unread_text(&self) -> String {
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    /// Reads once; false at the end.
    pub(super) async fn fill(&mut self) -> bool {
        let mut buf = vec![0; 65_536];
        let count = patiently(self.stream.read(&mut buf)).await.unwrap_or(0);
        self.unread.extend_from_slice(buf.get(..count).expect("what was read"));
        count > 0
    }
}
