//! The door in one process, over an engine whose store, slot, clock and audit trail are in memory.

mod actions;
mod delete;
mod factors;
mod forms;
mod keys;
mod people;
mod rights;
mod signatures;
pub(crate) mod support;
