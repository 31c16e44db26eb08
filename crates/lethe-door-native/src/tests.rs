//! The door over an engine in memory: requests go the whole way but for the socket.

mod access;
mod bodies;
mod destruction;
mod docs;
mod errors;
mod events;
mod headers;
mod keys;
mod support;
mod uses;
