//! Configuration and wiring: the only crate that knows everything.
//!
//! Layer 6. Holds the adapters of the machine (clock, files, signals, terminal) that the layers
//! below take as arguments.

pub mod audit_file;
pub mod backup;
pub mod clock;
pub mod config;
mod crash_points;
mod data_dir;
mod defences;
mod dev;
pub mod dev_tls;
pub mod doctor;
mod doors;
mod error;
mod head_file;
mod journal_file;
mod journal_replicas;
mod memory;
mod open;
mod principals;
pub mod private_files;
pub mod seal;
pub mod seal_tool;
mod serve;
mod service;
pub mod signals;
pub mod slot_tool;
mod slots;
mod webhook;

pub use error::ServeError;
pub use serve::{ServeOptions, configuration, serve};

#[cfg(test)]
mod tests;
