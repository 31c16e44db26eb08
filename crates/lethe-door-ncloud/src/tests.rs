//! Tests of the door over an engine in memory. Those over sockets are in `crates/lethe`.

mod access;
mod crypto;
mod deletion;
mod errors;
mod history;
mod inputs;
mod signatures;
mod support;
mod tokens;
mod vectors;
mod versions;
