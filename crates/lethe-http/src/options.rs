//! The limits and manners of one listener.

use core::time::Duration;

/// Most headers of a request that any listener can allow; past it hyper itself answers 431,
/// without a body. hyper keeps room for as many without an allocation.
pub const HEADERS_HARD_MAX: usize = 100;

/// Largest head of a request that any listener can allow, request line included, in bytes; past
/// it hyper itself answers 431, without a body.
pub const HEADER_BYTES_HARD_MAX: usize = 65_536;

/// Request bodies up to this size, in bytes, are read without more ado: nearly all are.
pub const SMALL_BODY_BYTES: usize = 65_536;

/// Limits and manners of one listener.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// How header names are written over HTTP/1.1. Default: lower case.
    pub header_case: HeaderCase,
    /// Whether HTTP/2 is spoken with clients that choose it in the TLS handshake. Default: yes.
    /// On a connection without TLS only HTTP/1 is spoken.
    pub http2: bool,
    /// Whether a connection serves more than one request. Default: yes. Else every answer says
    /// `Connection: close`.
    pub keep_alive: bool,
    /// Most open connections; one more is accepted and waits, others wait in the queue of the
    /// system. While one waits, connections that have rested for a second, or sent no whole head
    /// for as long, are closed. Default 10,000.
    pub connections_max: usize,
    /// Most requests that are worked on at once, detached work included; for more the answer is
    /// `Fallback::Overloaded`. Default 4,096.
    pub requests_in_flight_max: usize,
    /// Most bytes that are held of request bodies larger than [`SMALL_BODY_BYTES`], over all
    /// connections, until their requests are answered; for more the answer is
    /// `Fallback::Overloaded`. Small ones are bounded by `requests_in_flight_max`. Default
    /// 268,435,456.
    pub large_bodies_bytes_max: usize,
    /// Most concurrent requests of one HTTP/2 connection. Default 128.
    pub http2_streams_max: u32,
    /// Most streams of events that are open at once; for more the answer is
    /// `Fallback::Overloaded`. Default 256.
    pub event_streams_max: usize,
    /// Most streams of events of one connection. Default 8.
    pub event_streams_per_connection_max: usize,
    /// How often the source of a stream of events is asked at the least, so that it can end the
    /// stream in time. After fifteen looks in which there was nothing to send comes a heartbeat:
    /// proxies close what is silent. Default 1 s.
    pub event_look_interval: Duration,
    /// A connection is closed after this many requests. Default 1,000,000.
    pub requests_per_connection_max: u32,
    /// Most headers of a request. Default 64, at most [`HEADERS_HARD_MAX`].
    pub headers_max: usize,
    /// Largest sum of header names and values, in bytes. Default 16,384; at most half of
    /// [`HEADER_BYTES_HARD_MAX`], so that the door can still answer what is over it.
    pub header_bytes_max: usize,
    /// Longest request target, in bytes. Default 8,192; at most a quarter of
    /// [`HEADER_BYTES_HARD_MAX`].
    pub uri_bytes_max: usize,
    /// How much of a refused body is read and forgotten, in bytes, so that a client which sends
    /// all before it reads gets to see the answer. Default 262,144.
    pub body_discard_bytes_max: usize,
    /// Longest TLS handshake. Default 10 s.
    pub tls_handshake_timeout: Duration,
    /// Longest wait for a complete request head, from its first byte, or from the start of the
    /// connection for the first. Then the connection is closed. Default 10 s.
    pub header_read_timeout: Duration,
    /// Longest wait for a complete request body. Default 30 s.
    pub body_read_timeout: Duration,
    /// Longest time in which a client takes nothing of an answer. Then the connection is closed.
    /// Default 30 s.
    pub write_timeout: Duration,
    /// How long a connection is kept without a request. Default 75 s.
    pub idle_timeout: Duration,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            header_case: HeaderCase::Lower,
            http2: true,
            keep_alive: true,
            connections_max: 10_000,
            requests_in_flight_max: 4_096,
            large_bodies_bytes_max: 268_435_456,
            http2_streams_max: 128,
            event_streams_max: 256,
            event_streams_per_connection_max: 8,
            event_look_interval: Duration::from_secs(1),
            requests_per_connection_max: 1_000_000,
            headers_max: 64,
            header_bytes_max: 16_384,
            uri_bytes_max: 8_192,
            body_discard_bytes_max: 262_144,
            tls_handshake_timeout: Duration::from_secs(10),
            header_read_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
        }
    }
}

impl ListenerOptions {
    /// The first setting that cannot be served, in words.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let faults = [
            (self.connections_max == 0, "`connections_max` is zero"),
            (self.connections_max > CONNECTIONS_HARD_MAX, "`connections_max` is over 1,000,000"),
            (self.requests_in_flight_max == 0, "`requests_in_flight_max` is zero"),
            (self.http2_streams_max == 0, "`http2_streams_max` is zero"),
            (self.requests_per_connection_max == 0, "`requests_per_connection_max` is zero"),
            (self.headers_max > HEADERS_HARD_MAX, "`headers_max` is over 100"),
            (
                self.header_bytes_max > HEADER_BYTES_HARD_MAX / 2,
                "`header_bytes_max` is over 32,768",
            ),
            (self.uri_bytes_max > HEADER_BYTES_HARD_MAX / 4, "`uri_bytes_max` is over 16,384"),
            (self.tls_handshake_timeout.is_zero(), "`tls_handshake_timeout` is zero"),
            (self.header_read_timeout.is_zero(), "`header_read_timeout` is zero"),
            (self.body_read_timeout.is_zero(), "`body_read_timeout` is zero"),
            (self.write_timeout.is_zero(), "`write_timeout` is zero"),
            (self.event_look_interval.is_zero(), "`event_look_interval` is zero"),
            (self.idle_timeout.is_zero(), "`idle_timeout` is zero"),
        ];
        faults.into_iter().find_map(|(is_fault, words)| is_fault.then_some(words))
    }
}

/// How header names are written over HTTP/1.1. They mean the same (RFC 9110 section 5.1), but
/// some clients compare them as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderCase {
    /// `content-type`, as HTTP/2 has it.
    #[default]
    Lower,
    /// `Content-Type`.
    Title,
}

/// Most connections that a listener can be told to allow: past it the process has no descriptors.
const CONNECTIONS_HARD_MAX: usize = 1_000_000;
