//! Configuration and wiring: the only crate that knows everything.
//!
//! Layer 6. Holds the adapters of the machine (clock, files, signals, terminal) that the layers
//! below take as arguments.

pub mod audit_file;
pub mod clock;
pub mod config;
pub mod dev_tls;
pub mod private_files;
pub mod seal;
pub mod signals;

#[cfg(test)]
mod tests;
