//! From sockets to handlers and back: listeners, TLS, limits, deadlines and detached mutations.
//!
//! A [`Door`] brings a table of routes and its own words for every refusal; this crate does the
//! rest, the same way for all of them. It promises:
//! * a request reaches its handler only with all of its body, within the limits of its route;
//! * a mutation, once its handler has returned, runs to its end: neither a client that hangs up
//!   nor a deadline stops it, and [`Running::shutdown`] waits for it;
//! * every answer to a request that is HTTP at all comes from the door, also when there is no
//!   such path, the server is overloaded or a handler panics;
//! * every queue, body, header and wait has a limit ([`ListenerOptions`], [`RouteSpec`]).
//!
//! What it leaves to hyper: answers to bytes that are not HTTP, or past the hard limits
//! ([`HEADER_BYTES_HARD_MAX`]). It must not know a vendor, a key or a store.
//!
//! Read in this order: `door.rs` (what a door gives), `dispatch.rs` (the way of one request),
//! `connection.rs`, `serve.rs`.

mod block_on;
mod body;
mod connection;
mod decode;
mod detached;
mod dispatch;
mod door;
mod events;
pub mod json;
pub mod metrics;
mod options;
pub mod problem;
mod request;
mod routes;
mod serve;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tls;

pub use block_on::block_on;
pub use body::{Body, BodySender, BrokenBody, ClientGone, Response};
pub use decode::{InvalidEncoding, Query, QueryPair, percent_decode};
pub use door::{
    Authentication, BadRequest, Door, DoorRules, Fallback, Handler, Kind, Reply, RouteSpec,
    with_reason_phrase,
};
pub use events::EventSource;
pub use options::{
    HEADER_BYTES_HARD_MAX, HEADERS_HARD_MAX, HeaderCase, ListenerOptions, SMALL_BODY_BYTES,
};
pub use request::{Request, RequestHead, RequestId};
pub use routes::RouteTableError;
pub use serve::{
    Environment, HostRouter, Listener, Running, ServeError, Shutdown, Transport, serve,
};

#[cfg(test)]
mod tests;
