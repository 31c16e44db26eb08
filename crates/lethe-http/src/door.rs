//! What a front door gives: its routes, its handlers and its words for every refusal.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};
use hyper::ext::ReasonPhrase;

use crate::body::Response;
use crate::events::EventSource;
use crate::request::{Request, RequestHead};

/// A dialect bound to its realm, as this crate sees it.
pub trait Door: Send + Sync + 'static {
    /// Short name for metrics, as in `native`.
    fn name(&self) -> &'static str;

    /// Every operation that this door serves. Read once, when the listener starts.
    fn routes(&self) -> &[RouteSpec];

    /// The connection and path manners of this dialect. Read once, when the listener starts.
    fn rules(&self) -> DoorRules {
        DoorRules::default()
    }

    /// First look at every request, before its route is sought: `Some` is the answer. For what a
    /// dialect decides on any path, such as a bad credential or a foreign `Origin`.
    fn screen(&self, _head: &RequestHead) -> Option<Response> {
        None
    }

    /// Look at a request whose body is larger than [`SMALL_BODY_BYTES`](crate::SMALL_BODY_BYTES)
    /// and whose route needs a credential, before more of the body is taken: `Some` is the answer.
    /// So that a stranger cannot make the server hold what it will refuse anyway.
    fn admit_large_body(&self, _head: &RequestHead) -> Option<Response> {
        None
    }

    /// The answer where no handler answered. Must not block.
    fn fallback(&self, cause: Fallback, head: &RequestHead) -> Response;

    /// Last look at every response, fall-backs included, such as for security headers.
    fn finish(&self, _head: &RequestHead, _response: &mut Response) {}
}

/// Manners in which dialects differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoorRules {
    /// One `/` at the end of a path is ignored. Default: it makes a different path.
    pub ignores_trailing_slash: bool,
    /// POST, PUT and PATCH without `Content-Length` get [`Fallback::LengthRequired`]
    /// (RFC 9110 section 15.5.12). Default: chunked bodies are read.
    pub requires_content_length: bool,
}

/// One operation at one path and method.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// Also serves HEAD if it is GET and the path has no HEAD of its own.
    pub method: Method,
    /// Path with parameters of one segment, `/keys/{id}`, or of all the rest, `/tile/{*rest}`.
    pub path: &'static str,
    /// Name of the operation in metrics, audit and coverage tests.
    pub op: &'static str,
    /// Largest request body, in bytes. Over it: [`Fallback::BodyTooLarge`], and no handler runs.
    pub body_bytes_max: usize,
    /// Longest wait for a reply that is not ready at once. Over it: [`Fallback::Timeout`].
    pub deadline: Duration,
    /// What becomes of the work when the client hangs up or the deadline passes.
    pub kind: Kind,
    /// Whether the handler answers without a credential.
    pub authentication: Authentication,
    /// What answers.
    pub handler: Handler,
}

/// What an operation does, as far as its connection is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Changes something: runs detached from the connection, to its end.
    Mutation,
    /// Reads metadata or the log: dropped when the client hangs up or the deadline passes.
    Read,
    /// Uses a key: dropped when the client hangs up or the deadline passes.
    Use,
}

/// Whether a route answers a caller without credential; read by the coverage test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Answers anyone.
    Public,
    /// Refuses a caller without a valid credential.
    Required,
}

/// A shared function from requests to replies.
#[derive(Clone)]
pub struct Handler(Arc<dyn Fn(Request) -> Reply + Send + Sync>);

impl Handler {
    /// Wraps `function`. It is called on a thread that serves connections, so it must not block:
    /// what takes longer than some hundred microseconds belongs in [`Reply::Blocking`].
    pub fn new<F, R>(function: F) -> Self
    where
        F: Fn(Request) -> R + Send + Sync + 'static,
        R: Into<Reply>,
    {
        Self(Arc::new(move |request| function(request).into()))
    }

    pub(crate) fn call(&self, request: Request) -> Reply {
        (self.0)(request)
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler(..)")
    }
}

/// How a handler answers.
pub enum Reply {
    /// Slow computation, run on the pool for blocking work. Always runs to its end.
    Blocking(Box<dyn FnOnce() -> Response + Send>),
    /// A stream of events: no deadline, no request in flight, a limit of its own.
    Events(Box<dyn EventSource>),
    /// Waits for something, such as a commit.
    Pending(Pin<Box<dyn Future<Output = Response> + Send>>),
    /// Computed already: no task, no timer.
    Ready(Response),
}

impl Reply {
    /// A reply that runs `work` on the pool for blocking work.
    pub fn blocking(work: impl FnOnce() -> Response + Send + 'static) -> Self {
        Self::Blocking(Box::new(work))
    }

    /// A reply that streams `source` as `text/event-stream`, until the source or the server ends or
    /// the client goes. As many streams as the listener allows: [`Fallback::Overloaded`] instead.
    pub fn events(source: impl EventSource) -> Self {
        Self::Events(Box::new(source))
    }

    /// A reply that waits for `response`.
    pub fn pending(response: impl Future<Output = Response> + Send + 'static) -> Self {
        Self::Pending(Box::pin(response))
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Ready(response)
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocking(_) => f.write_str("Blocking(..)"),
            Self::Events(_) => f.write_str("Events(..)"),
            Self::Pending(_) => f.write_str("Pending(..)"),
            Self::Ready(response) => write!(f, "Ready({})", response.status()),
        }
    }
}

/// Why no handler answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The request cannot be understood.
    BadRequest(BadRequest),
    /// The body did not arrive within `ListenerOptions::body_read_timeout`. Nothing was done.
    BodyTimeout,
    /// The body is, or says it is, larger than its route allows. Nothing was done.
    BodyTooLarge {
        /// The limit of the route, in bytes.
        limit_bytes: usize,
    },
    /// The handler panicked. A mutation may or may not have happened.
    HandlerPanicked,
    /// Too many headers, or too large ones.
    HeadersTooLarge,
    /// A body without `Content-Length` where [`DoorRules::requires_content_length`] holds.
    LengthRequired,
    /// The path is known, but not with this method.
    MethodNotAllowed {
        /// Value for the `Allow` header.
        allow: HeaderValue,
    },
    /// No route has this path.
    NotFound,
    /// As many requests as the listener allows are being worked on. Nothing was done.
    Overloaded,
    /// The server no longer takes requests. Nothing was done.
    ShuttingDown,
    /// The deadline of the route passed. A mutation goes on, and may still succeed.
    Timeout,
    /// The request target is longer than `ListenerOptions::uri_bytes_max`.
    UriTooLong,
}

/// What cannot be understood about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// The body broke off or its chunks are malformed.
    BrokenBody,
    /// A path parameter has a `%` without two hexadecimal digits, or is not UTF-8.
    InvalidPathEncoding {
        /// Name of the parameter in the route.
        parameter: &'static str,
    },
    /// HTTP/1.1 or later without `Host` (RFC 9112 section 3.2).
    MissingHost,
    /// More than one `Host` (RFC 9112 section 3.2).
    SeveralHosts,
}

impl Fallback {
    /// The status that HTTP has for this cause. Dialects may differ.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HandlerPanicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Overloaded | Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
        }
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(what) => what.fmt(f),
            Self::BodyTimeout => f.write_str("the request body did not arrive in time"),
            Self::BodyTooLarge { limit_bytes } => {
                write!(f, "the request body is larger than {limit_bytes} bytes")
            }
            Self::HandlerPanicked => f.write_str("the request failed inside the server"),
            Self::HeadersTooLarge => f.write_str("the request headers are too many or too large"),
            Self::LengthRequired => f.write_str("the request needs a `Content-Length`"),
            Self::MethodNotAllowed { .. } => f.write_str("the path does not have this method"),
            Self::NotFound => f.write_str("there is no such path"),
            Self::Overloaded => f.write_str("the server has too many requests to work on"),
            Self::ShuttingDown => f.write_str("the server is shutting down"),
            Self::Timeout => f.write_str("the request took too long; it may still take effect"),
            Self::UriTooLong => f.write_str("the request target is too long"),
        }
    }
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BrokenBody => f.write_str("the request body broke off or is malformed"),
            Self::InvalidPathEncoding { parameter } => {
                write!(f, "the path parameter `{parameter}` is not percent-encoded UTF-8")
            }
            Self::MissingHost => f.write_str("the request has no `Host` header"),
            Self::SeveralHosts => f.write_str("the request has more than one `Host` header"),
        }
    }
}

/// `response` with `reason` in its HTTP/1.1 status line instead of the standard phrase; may be
/// empty. HTTP/2 has no reason phrase.
#[must_use]
pub fn with_reason_phrase(mut response: Response, reason: &'static str) -> Response {
    // A phrase with a line break is refused, and then the standard phrase stays.
    if let Ok(phrase) = ReasonPhrase::try_from(reason.as_bytes()) {
        response.extensions_mut().insert(phrase);
    }
    response
}
