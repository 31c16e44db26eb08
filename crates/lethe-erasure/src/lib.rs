//! Where "gone" is decided: the tree of node keys, its erasable root, and the order of the steps.
//!
//! Every key version is sealed under a random record key of its own. Record keys live in the leaves
//! of a tree in which each node is sealed under a key that only its parent holds, up to one root
//! key. The root key lives in an erasable slot and nowhere else. A destruction re-keys the touched
//! paths, writes the new root and erases the old one: whatever was ever written to a store opens
//! nothing that was cut (key-disclosure graphs: Di Crescenzo et al. 1999, Reardon et al. 2013).
//!
//! Layer 2. Promises: staging changes nothing; the write order T1, L1, L2, T2 is a chain of types
//! that cannot be walked in another order; nothing counts as erased before the slot said so.
//! Must not know: files, sockets, clocks, stores. It hands out bytes to write and keys to remove.

pub mod allocator;
pub mod erased;
pub mod recovery;
pub mod seal;
pub mod slot;
pub mod tree;

#[cfg(test)]
mod tests;
