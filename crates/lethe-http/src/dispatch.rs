//! The way of one request: limits, screen, route, body, handler, last look.
//!
//! Generic over the request body, so that the same code answers a socket and a test.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST};
use http::{HeaderValue, Method, StatusCode, Version};
use hyper::body::Body as HttpBody;
use lethe_types::Clock;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::body::{Body, ReadError, Reader, Response};
use crate::connection::ConnectionState;
use crate::detached::Tracker;
use crate::door::{Authentication, BadRequest, Door, DoorRules, Fallback, Kind, Reply};
use crate::events;
use crate::metrics::{HttpMetrics, ListenerMetrics, RegistryError, RouteMetrics};
use crate::options::{ListenerOptions, SMALL_BODY_BYTES};
use crate::request::{Request, RequestHead};
use crate::routes::{Route, RouteTable, RouteTableError};

/// A door, compiled.
pub(crate) struct Site {
    door: Arc<dyn Door>,
    rules: DoorRules,
    routes: RouteTable,
    /// For requests that reached no route.
    unrouted: Arc<RouteMetrics>,
}

impl Site {
    pub(crate) fn new(door: Arc<dyn Door>, metrics: &HttpMetrics) -> Result<Self, SiteError> {
        let routes = RouteTable::new(&*door, metrics).map_err(SiteError::Routes)?;
        let unrouted = metrics.route(door.name(), UNROUTED_OP).map_err(SiteError::Metrics)?;
        Ok(Self { rules: door.rules(), door, routes, unrouted })
    }
}

pub(crate) enum SiteError {
    Metrics(RegistryError),
    Routes(RouteTableError),
}

/// What all connections of a listener share.
pub(crate) struct ListenerState {
    pub(crate) site: Site,
    /// Sites by host name in lower case, without port.
    pub(crate) hosts: Vec<(Box<str>, Site)>,
    pub(crate) options: ListenerOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<ListenerMetrics>,
    pub(crate) detached: Arc<Tracker>,
    pub(crate) phase: watch::Receiver<Phase>,
    /// Counts on while a client waits because all connections are taken.
    pub(crate) crowd: watch::Sender<u64>,
}

/// Where the server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// No new connections or requests; what began may end.
    Draining,
    /// What has not ended is cut.
    Cut,
}

impl ListenerState {
    fn site_of(&self, head: &RequestHead) -> &Site {
        if self.hosts.is_empty() {
            return &self.site;
        }
        let wanted = host_name(head.host().unwrap_or_default());
        let hit = self.hosts.iter().find(|(host, _)| host.eq_ignore_ascii_case(wanted));
        hit.map_or(&self.site, |(_, site)| site)
    }
}

/// A host without its port: `[::1]:80` is `[::1]`.
pub(crate) fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

/// One request being worked on, counted against `requests_in_flight_max`, and its body, if it is
/// large, against `large_bodies_bytes_max`.
struct InFlight {
    connection: Arc<ConnectionState>,
    held_bytes: i64,
}

impl InFlight {
    fn begin(connection: &Arc<ConnectionState>) -> Result<Self, Fallback> {
        let listener = &connection.listener;
        let before = listener.metrics.in_flight.add(1);
        // Made first, so that its drop takes the refused request off again.
        let permit = Self { connection: Arc::clone(connection), held_bytes: 0 };
        let in_flight_max = listener.options.requests_in_flight_max;
        let has_room = usize::try_from(before).is_ok_and(|before| before < in_flight_max);
        if has_room { Ok(permit) } else { Err(Fallback::Overloaded) }
    }

    /// Counts the body of the request as so long; `false` if there is no room for it.
    fn hold(&mut self, bytes: usize) -> bool {
        if bytes <= SMALL_BODY_BYTES {
            return true;
        }
        let listener = &self.connection.listener;
        let (Ok(bytes), Ok(most)) =
            (i64::try_from(bytes), i64::try_from(listener.options.large_bodies_bytes_max))
        else {
            return false;
        };
        let more = bytes - self.held_bytes;
        self.held_bytes = bytes;
        // Counted first and given back by the drop, so that two cannot take the same room.
        listener.metrics.large_bodies_bytes.add(more) + more <= most
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let metrics = &self.connection.listener.metrics;
        metrics.in_flight.add(-1);
        if self.held_bytes > 0 {
            metrics.large_bodies_bytes.add(-self.held_bytes);
        }
    }
}

/// Answers one request.
pub(crate) async fn respond<B>(
    connection: Arc<ConnectionState>,
    request: http::Request<B>,
) -> Response
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let listener = &connection.listener;
    let (parts, body) = request.into_parts();
    let head = Arc::new(RequestHead {
        method: parts.method,
        uri: parts.uri,
        version: parts.version,
        headers: parts.headers,
        peer: connection.peer,
        is_tls: connection.is_tls,
        request_id: connection.next_request_id(),
        received: listener.clock.monotonic(),
    });
    let site = listener.site_of(&head);
    let mut counted: &RouteMetrics = &site.unrouted;
    let mut body = Reader::new(body);
    let outcome = answer(&connection, site, &head, &mut body, &mut counted).await;
    let mut response = match outcome {
        Ok(response) => response,
        Err(fallback) => {
            let refusal = fall_back(site, &head, fallback.clone());
            if !body.is_done() && fallback != Fallback::Overloaded {
                discard(listener, &head, &mut body).await;
            }
            refusal
        }
    };
    if catch_unwind(AssertUnwindSafe(|| site.door.finish(&head, &mut response))).is_err() {
        response = bare_failure();
    }
    complete(&connection, &head, &mut response);
    let elapsed = listener.clock.monotonic().saturating_sub(head.received);
    counted.record(response.status(), elapsed, response.body().bytes_known());
    response
}

/// Everything up to and with the handler.
async fn answer<'a, B>(
    connection: &'a Arc<ConnectionState>,
    site: &'a Site,
    head: &Arc<RequestHead>,
    body: &mut Reader<B>,
    counted: &mut &'a RouteMetrics,
) -> Result<Response, Fallback>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let listener = &connection.listener;
    // Nobody marks this receiver's value as seen: any change is the end of serving. Cheaper than
    // a look at the value, which takes a lock that all connections share.
    if !matches!(listener.phase.has_changed(), Ok(false)) {
        return Err(Fallback::ShuttingDown);
    }
    let mut permit = InFlight::begin(connection)?;
    check_head(&listener.options, head)?;
    if let Some(response) = unless_panics(|| site.door.screen(head))? {
        discard(listener, head, body).await;
        return Ok(response);
    }
    let (route, params) = site.routes.find(&head.method, head.path())?;
    *counted = &route.metrics;
    let bytes = match read_body(&mut permit, site, route, head, body).await? {
        Ok(bytes) => bytes,
        Err(refusal) => {
            discard(listener, head, body).await;
            return Ok(refusal);
        }
    };
    route.metrics.count_request_bytes(bytes.len());
    let request = Request::new(Arc::clone(head), params, bytes);
    let reply = unless_panics(|| route.spec.handler.call(request))?;
    match reply {
        Reply::Ready(response) => Ok(response),
        Reply::Blocking(_) | Reply::Events(_) | Reply::Pending(_) => {
            wait(listener, route, reply, permit).await
        }
    }
}

fn check_head(options: &ListenerOptions, head: &RequestHead) -> Result<(), Fallback> {
    if head.target().len() > options.uri_bytes_max {
        return Err(Fallback::UriTooLong);
    }
    let sizes = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    if head.headers.len() > options.headers_max || sizes.sum::<usize>() > options.header_bytes_max {
        return Err(Fallback::HeadersTooLarge);
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Fallback::BadRequest(BadRequest::SeveralHosts));
    }
    // HTTP/1.1 demands the header even beside an absolute target; HTTP/2 has `:authority`.
    let has_authority = head.version == Version::HTTP_2 && head.uri.authority().is_some();
    if first.is_none() && !has_authority && head.version >= Version::HTTP_11 {
        return Err(Fallback::BadRequest(BadRequest::MissingHost));
    }
    Ok(())
}

/// The body, or what the door answers instead of taking so large a one.
async fn read_body<B>(
    permit: &mut InFlight,
    site: &Site,
    route: &Route,
    head: &RequestHead,
    body: &mut Reader<B>,
) -> Result<Result<Bytes, Response>, Fallback>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let (rules, connection) = (site.rules, Arc::clone(&permit.connection));
    let listener = &connection.listener;
    let takes_body = [Method::POST, Method::PUT, Method::PATCH].contains(&head.method);
    if rules.requires_content_length && takes_body && !head.headers.contains_key(CONTENT_LENGTH) {
        return Err(Fallback::LengthRequired);
    }
    if body.is_done() {
        return Ok(Ok(Bytes::new()));
    }
    let bytes_max = route.spec.body_bytes_max;
    let too_large = Fallback::BodyTooLarge { limit_bytes: bytes_max };
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    if body.declared_bytes().is_some_and(|declared| declared > limit) {
        return Err(too_large);
    }
    let is_guarded = route.spec.authentication == Authentication::Required;
    let mut refusal = None;
    let mut is_admitted = !is_guarded || bytes_max <= SMALL_BODY_BYTES;
    let has_room = |bytes: usize| {
        if !is_admitted && bytes > SMALL_BODY_BYTES {
            // The door's code is called between pieces of the body; a panic is a refusal.
            match unless_panics(|| site.door.admit_large_body(head)) {
                Ok(None) => is_admitted = true,
                answer => {
                    refusal = Some(answer);
                    return false;
                }
            }
        }
        permit.hold(bytes)
    };
    let read = within(listener.options.body_read_timeout, body.read(bytes_max, has_room)).await;
    match refusal {
        Some(Ok(Some(response))) => return Ok(Err(response)),
        Some(Err(panicked)) => return Err(panicked),
        Some(Ok(None)) | None => {}
    }
    match read {
        Some(Ok(bytes)) => Ok(Ok(bytes)),
        Some(Err(ReadError::NoRoom)) => Err(Fallback::Overloaded),
        Some(Err(ReadError::Broken)) => Err(Fallback::BadRequest(BadRequest::BrokenBody)),
        Some(Err(ReadError::TooLarge)) => Err(too_large),
        None => Err(Fallback::BodyTimeout),
    }
}

/// Waits for a reply that is not ready, at most until the deadline of its route.
async fn wait(
    listener: &ListenerState,
    route: &Route,
    reply: Reply,
    permit: InFlight,
) -> Result<Response, Fallback> {
    let deadline = route.spec.deadline;
    let detached = match reply {
        Reply::Ready(response) => return Ok(response),
        Reply::Events(source) => return events::open(&permit.connection, source),
        Reply::Pending(future) => match route.spec.kind {
            Kind::Read | Kind::Use => {
                let result = within(deadline, CatchPanic(future)).await;
                return result.unwrap_or(Err(Fallback::Timeout));
            }
            Kind::Mutation => {
                // From here on the work does not depend on this future, which hyper drops when
                // the client hangs up. There is no await between the handler and this line.
                let tracked = listener.detached.begin();
                tokio::spawn(async move {
                    let _held = (tracked, permit);
                    future.await
                })
            }
        },
        Reply::Blocking(work) => {
            let tracked = listener.detached.begin();
            tokio::task::spawn_blocking(move || {
                let _held = (tracked, permit);
                work()
            })
        }
    };
    match within(deadline, detached).await {
        Some(Ok(response)) => Ok(response),
        // The runtime reports a panic, or that it stops, in which case nobody reads the answer.
        Some(Err(_)) => Err(Fallback::HandlerPanicked),
        None => Err(Fallback::Timeout),
    }
}

/// The result of `future`, or `None` if it takes longer than `limit`. Sets up no timer for a
/// future that is ready at once.
async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let at_once = poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    });
    match at_once.await {
        Some(output) => Some(output),
        None => timeout(limit, future).await.ok(),
    }
}

/// A future whose panic is a fall-back.
struct CatchPanic(Pin<Box<dyn Future<Output = Response> + Send>>);

impl Future for CatchPanic {
    type Output = Result<Response, Fallback>;

    fn poll(mut self: Pin<&mut Self>, context: &mut core::task::Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Fallback::HandlerPanicked)),
        }
    }
}

// A panic cannot leave this crate's own state half changed: the closures below hold only the
// door's and the request's. What the door shares is the engine's to keep whole.
fn unless_panics<T>(work: impl FnOnce() -> T) -> Result<T, Fallback> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Fallback::HandlerPanicked)
}

fn fall_back(site: &Site, head: &RequestHead, cause: Fallback) -> Response {
    catch_unwind(AssertUnwindSafe(|| site.door.fallback(cause, head)))
        .unwrap_or_else(|_| bare_failure())
}

/// The answer of a door that panics even while it refuses.
fn bare_failure() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// Reads the rest of a body that nobody wants: closing a socket with unread bytes would reset the
/// connection and could take the answer with it. Not if the client waits for `100 Continue`,
/// since reading would tell it to go on.
async fn discard<B>(listener: &ListenerState, head: &RequestHead, body: &mut Reader<B>)
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let bytes_max = listener.options.body_discard_bytes_max;
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let is_hopeless = body.declared_bytes().is_some_and(|declared| declared > limit);
    if body.is_done() || is_hopeless || head.headers.contains_key(EXPECT) {
        return;
    }
    let _ = within(listener.options.body_read_timeout, body.discard(bytes_max)).await;
}

/// What HTTP itself asks of the response.
fn complete(connection: &ConnectionState, head: &RequestHead, response: &mut Response) {
    if head.method == Method::HEAD {
        let body = core::mem::take(response.body_mut());
        if let (Body::Full(bytes), false) = (&body, response.headers().contains_key(CONTENT_LENGTH))
        {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
    }
    if connection.is_last(head.request_id.number) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        connection.close.notify_one();
    }
}

/// The operation that metrics name for requests that reached no route.
const UNROUTED_OP: &str = "unrouted";
