//! What a handler is given.

use core::fmt;
use core::ops::Range;
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, HeaderMap};
use http::{Method, Uri, Version};

use crate::decode::Query;

/// A complete request: its whole body is there.
#[derive(Clone)]
pub struct Request {
    /// Everything but the body.
    pub head: Arc<RequestHead>,
    /// The body, at most `RouteSpec::body_bytes_max` bytes.
    pub body: Bytes,
    params: Params,
}

impl Request {
    pub(crate) fn new(head: Arc<RequestHead>, params: Params, body: Bytes) -> Self {
        Self { head, body, params }
    }

    /// The percent-decoded value of the path parameter `name`. Not empty; may hold any character.
    ///
    /// # Panics
    /// If the path of the route has no parameter of this name.
    #[must_use]
    #[track_caller]
    pub fn param(&self, name: &str) -> &str {
        match self.params.0.iter().flatten().find(|param| param.name == name) {
            Some(Param { value: Value::Plain(range), .. }) => {
                self.head.uri.path().get(range.clone()).expect("the range was cut from this path")
            }
            Some(Param { value: Value::Decoded(text), .. }) => text,
            None => panic!("the route has no path parameter `{name}`"),
        }
    }
}

impl fmt::Debug for Request {
    /// Never the bytes of the body: they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {} bytes", self.head, self.body.len())
    }
}

/// Most parameters in the path of one route.
pub(crate) const PARAMS_MAX: usize = 4;

/// The parameters of one path. Kept as ranges into it, since most need no decoding.
#[derive(Clone, Default)]
pub(crate) struct Params(pub(crate) [Option<Param>; PARAMS_MAX]);

#[derive(Clone)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) value: Value,
}

#[derive(Clone)]
pub(crate) enum Value {
    Decoded(Box<str>),
    Plain(Range<usize>),
}

/// A request without its body.
#[derive(Clone)]
pub struct RequestHead {
    /// The method as sent, also HEAD where GET answers.
    pub method: Method,
    /// The target as sent: nothing is decoded or normalised.
    pub uri: Uri,
    /// The version of HTTP.
    pub version: Version,
    /// All headers; a name may occur more than once.
    pub headers: HeaderMap,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// Names this request in logs and answers.
    pub request_id: RequestId,
    /// When the head was complete, on `Clock::monotonic`.
    pub received: Duration,
}

impl RequestHead {
    /// The path as sent, percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The query as sent, percent-encoded, without `?`; empty if there is none.
    #[must_use]
    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// The query, split but not yet decoded.
    #[must_use]
    pub fn query_pairs(&self) -> Query<'_> {
        Query::new(self.query())
    }

    /// Path and query exactly as on the request line: what signatures are made over.
    #[must_use]
    pub fn target(&self) -> &str {
        self.uri.path_and_query().map_or("", |target| target.as_str())
    }

    /// The host that the client asked for, with its port if it named one. An absolute target or
    /// `:authority` goes before the `Host` header (RFC 9112 section 3.2.2, RFC 9113 section 8.3.1).
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match self.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => self.header(HOST.as_str()),
        }
    }

    /// The first header of this name (in lower case) if its value is visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl fmt::Debug for RequestHead {
    /// Neither headers nor query: both may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.request_id, self.method, self.path())
    }
}

/// Names one request: 96 random bits of its connection and a number within it, so that it tells
/// a client nothing about the traffic of others. Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    pub(crate) connection: [u8; 12],
    pub(crate) number: u32,
}

impl RequestId {
    /// The name as 16 bytes: those of its connection, then the number, big-endian. What
    /// [`fmt::Display`] shows is their hexadecimal text.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (connection, number) = bytes.split_at_mut(self.connection.len());
        connection.copy_from_slice(&self.connection);
        number.copy_from_slice(&self.number.to_be_bytes());
        bytes
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.connection {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "{:08x}", self.number)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
