//! The front door that speaks the dialect of the Dfns Keys API: keys that sign, and deletions that
//! the one who ordered them has signed.
//!
//! Layer 5. It turns requests into calls of the engine; it decides nothing that the engine can
//! decide. It must not know a store, a slot, a socket or another door.

pub mod shares;
pub mod signing;

/// The door's name in audit events, receipts and metrics.
pub const DOOR: &str = "dfns";
