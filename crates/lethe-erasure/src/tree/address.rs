//! Names of nodes: the place in the tree, and the key under which a store keeps one sealed state.

use core::fmt;

use super::LEVELS_MAX;

/// A place in the tree. Level 1 holds record keys; node `i` of level `l` holds the keys of nodes
/// `i * arity ..` of level `l - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId {
    /// Height above the leaves, from 1.
    pub level: u8,
    /// Position in the level, from 0.
    pub index: u64,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} of level {}", self.index, self.level)
    }
}

/// One stored state of a node: its place and the epoch in which its key was drawn.
///
/// Sorts by place, then epoch, as its bytes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeAddress {
    /// The place.
    pub node: NodeId,
    /// The epoch in which the node's key was drawn, from 1.
    pub epoch: u64,
}

impl NodeAddress {
    /// The store key: level (1 byte), index (8), epoch (8), big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; NODE_ADDRESS_BYTES] {
        let mut bytes = [0; NODE_ADDRESS_BYTES];
        bytes[0] = self.node.level;
        bytes[1..9].copy_from_slice(&self.node.index.to_be_bytes());
        bytes[9..].copy_from_slice(&self.epoch.to_be_bytes());
        bytes
    }

    /// The address that [`NodeAddress::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`InvalidNodeAddress`] for any other length, a level outside `1..=`[`LEVELS_MAX`], epoch 0.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidNodeAddress> {
        let bytes: &[u8; NODE_ADDRESS_BYTES] = bytes.try_into().map_err(|_| InvalidNodeAddress)?;
        let level = bytes[0];
        let index = u64_at(bytes, 1);
        let epoch = u64_at(bytes, 9);
        if level == 0 || level > LEVELS_MAX || epoch == 0 {
            return Err(InvalidNodeAddress);
        }
        Ok(Self { node: NodeId { level, index }, epoch })
    }
}

/// Bytes of a node's store key.
pub const NODE_ADDRESS_BYTES: usize = 17;

/// Bytes that are no store key of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidNodeAddress;

impl fmt::Display for InvalidNodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the store key of a tree node (level, index, epoch: 17 bytes)")
    }
}

impl core::error::Error for InvalidNodeAddress {}

/// The big-endian number at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(number)
}
