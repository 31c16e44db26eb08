//! The door over an engine in memory: requests go the whole way but for the socket.

mod access;
mod approvals;
mod batches;
mod bodies;
mod bulk;
mod destruction;
mod docs;
mod errors;
mod events;
mod guards;
mod headers;
mod keys;
mod life;
mod more_uses;
mod policies;
mod principals;
mod support;
mod texts;
mod uses;
mod versions;
