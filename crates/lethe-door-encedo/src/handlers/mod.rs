//! The operations, by family.

pub(crate) mod auth;
pub(crate) mod checkin;
pub(crate) mod cipher;
pub(crate) mod config;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod ecdh;
pub(crate) mod external;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod lattice;
pub(crate) mod logger;
pub(crate) mod mac;
pub(crate) mod notify;
pub(crate) mod peer;
pub(crate) mod sign;
pub(crate) mod system;

/// Most bytes of what is signed, encrypted or authenticated.
pub(crate) const MESSAGE_BYTES_MAX: usize = 2_048;
