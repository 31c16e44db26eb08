//! Tests of the real executable over real sockets. Everything else is tested inside its crate.
//!
//! A test starts its own server in its own folder and shares neither with any other test.

mod altostrat;
mod attacks;
mod audit;
mod backups;
mod bench;
mod client;
mod coverage;
mod crash;
mod data_dir;
mod dfns;
mod dfns_clients;
mod encedo;
mod events;
mod floods;
mod follow;
mod harness;
mod keylife;
mod keys;
mod native;
mod ncloud;
mod ncloud_clients;
mod policies;
mod process;
mod seals;
mod storedsafe;
mod tokens;
#[cfg(feature = "tpm")]
mod tpm;
mod uses;
