//! What somebody can do who holds bytes of an installation: old copies, the slot, its key, the
//! memory of the process.
//!
//! Layer 6, for `lethe demo --attack` and the tests; no server uses it. Where to read: a [`Hoard`]
//! is the bytes that an attacker kept, [`Finds`] the sealed nodes and records in them wherever they
//! lie (pages in use and free, write-ahead logs, backups), [`open_all`] what some roots open of
//! them. [`ProcessMemory`] looks into a running process, [`forge`] alters a stopped store.
//!
//! Promises: it reads the published formats and nothing else, with a reader of its own, so that a
//! fault of the server's reader cannot hide a key. It cannot tell that a key is gone: it can only
//! fail to find one, and so each attack needs a control in which it does not fail.
//! Must not know: the engine, servers, clients.

mod carve;
pub mod forge;
mod hoard;
mod memory;
mod opening;

pub use carve::{Finds, RecordPlace};
pub use hoard::{HOARD_BYTES_MAX, Hoard};
pub use memory::{Mapping, ProcessMemory};
pub use opening::{Loot, open_all, roots_in_slot};

#[cfg(test)]
mod tests;
