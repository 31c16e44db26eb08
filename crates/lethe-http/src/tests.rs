//! What the crate promises, over real sockets where sockets matter.

mod body;
mod decode;
mod dispatch;
mod encrypted;
mod events;
mod json;
mod limits;
mod metrics;
mod mutations;
mod problem;
mod quiet;
mod routes;
mod sockets;
mod support;
mod tls;
mod watchdog;
