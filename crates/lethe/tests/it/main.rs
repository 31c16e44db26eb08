//! Tests of the real executable over real sockets. Everything else is tested inside its crate.
//!
//! A test starts its own server in its own folder and shares neither with any other test.

#[expect(dead_code, reason = "waits for the tests of a running server")]
mod client;
mod harness;
#[expect(dead_code, reason = "waits for the tests of a running server")]
mod process;
