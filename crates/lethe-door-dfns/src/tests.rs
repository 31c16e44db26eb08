//! The door in one process, over an engine whose store, slot, clock and audit trail are in memory.

mod actions;
mod authenticator;
mod codes;
mod delete;
mod doors;
mod factors;
mod forms;
mod keys;
mod logs;
mod passkeys;
mod people;
mod recovery;
mod rights;
mod signatures;
pub(crate) mod support;
mod webauthn;
