//! The door over an engine in memory.

mod bodies;
mod delete;
mod egress;
mod envelope;
mod keys;
mod login;
mod sessions;
mod settings;
mod support;
mod tokens;
mod users;
mod vaults;
mod yubikey;
