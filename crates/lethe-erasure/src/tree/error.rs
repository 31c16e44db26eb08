//! What can go wrong in the tree, and what state each failure leaves.

use core::fmt;

use lethe_crypto::CryptoError;
use lethe_types::EntropyError;

use super::{NodeAddress, NodeId};

/// Why the tree refused. The tree is unchanged after every one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureError {
    /// The arity is not a power of two from 2 to 64; carries its logarithm.
    ArityOutOfRange(u8),
    /// The cryptographic library failed.
    Crypto(CryptoError),
    /// A leaf is named twice in one stage.
    DuplicateLeaf(u64),
    /// The random source failed.
    Entropy,
    /// The epoch to reach is not greater than the tree's own.
    EpochNotGreater {
        /// The tree's epoch.
        tree: u64,
        /// The epoch that was asked for.
        asked: u64,
    },
    /// A leaf to cut is free.
    LeafFree(u64),
    /// A leaf is at or over [`super::LEAVES_MAX`].
    LeafOutOfRange(u64),
    /// A leaf to assign is taken, also when the same stage cuts it.
    LeafTaken(u64),
    /// The tree was opened with leftovers in the store, and nobody said that they are gone.
    LeftoversNotDropped,
    /// A node in memory does not open. The process must stop: its memory is damaged.
    NodeDamaged(NodeId),
    /// The stage was made from another state of the tree, or from another tree.
    StaleStage,
    /// More leaves than [`super::STAGE_LEAVES_MAX`] in one stage; carries their number.
    TooManyLeaves(usize),
}

impl fmt::Display for ErasureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ArityOutOfRange(log2) => {
                write!(f, "the arity of a tree is 2 to 64, not 2 to the power of {log2}")
            }
            Self::Crypto(error) => error.fmt(f),
            Self::DuplicateLeaf(leaf) => write!(f, "leaf {leaf} is named twice"),
            Self::Entropy => EntropyError.fmt(f),
            Self::EpochNotGreater { tree, asked } => {
                write!(f, "the tree is at epoch {tree} and cannot go to epoch {asked}")
            }
            Self::LeafFree(leaf) => write!(f, "leaf {leaf} is free and cannot be cut"),
            Self::LeafOutOfRange(leaf) => write!(f, "leaf {leaf} is over the bound of the tree"),
            Self::LeafTaken(leaf) => write!(f, "leaf {leaf} is taken and cannot be assigned"),
            Self::LeftoversNotDropped => {
                f.write_str("leftover nodes must be removed from the store before the tree changes")
            }
            Self::NodeDamaged(node) => write!(f, "{node} does not open in memory"),
            Self::StaleStage => f.write_str("the stage belongs to another state of the tree"),
            Self::TooManyLeaves(leaves) => write!(f, "{leaves} leaves are too many for one stage"),
        }
    }
}

impl core::error::Error for ErasureError {}

impl From<EntropyError> for ErasureError {
    fn from(_: EntropyError) -> Self {
        Self::Entropy
    }
}

impl From<CryptoError> for ErasureError {
    fn from(error: CryptoError) -> Self {
        match error {
            CryptoError::Entropy => Self::Entropy,
            CryptoError::Authentication
            | CryptoError::Invalid(_)
            | CryptoError::Library(_)
            | CryptoError::Unsupported(_) => Self::Crypto(error),
        }
    }
}

/// Why a stored node does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeFault {
    /// Not the layout of a node, or the header names another place, epoch or arity.
    Malformed,
    /// Its parent holds a key for it, and the store has no state of it for this epoch.
    Missing,
    /// The bytes do not open under the key that the parent holds.
    NotAuthentic,
}

impl fmt::Display for NodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "has a malformed or foreign header",
            Self::Missing => "is missing",
            Self::NotAuthentic => "does not open under the key that leads to it",
        })
    }
}

/// Why stored nodes are not a complete tree at an epoch. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The tree's only root at this epoch has an unusable arity.
    Arity(u8),
    /// A node of the tree is missing or not authentic.
    Node {
        /// Which.
        node: NodeId,
        /// The epoch at which the tree was read.
        epoch: u64,
        /// What is wrong with it.
        fault: NodeFault,
    },
    /// No root was drawn in this epoch: the nodes are older or newer than the root key.
    NoRoot {
        /// The epoch at which the tree was read.
        epoch: u64,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arity(log2) => ErasureError::ArityOutOfRange(*log2).fmt(f),
            Self::Node { node, epoch, fault } => write!(f, "at epoch {epoch} {node} {fault}"),
            Self::NoRoot { epoch } => {
                write!(f, "the stored nodes have no root of epoch {epoch}")
            }
        }
    }
}

impl core::error::Error for OpenError {}

/// The store gave two blobs for one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplicateNode(pub NodeAddress);

impl fmt::Display for DuplicateNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is stored twice for epoch {}", self.0.node, self.0.epoch)
    }
}

impl core::error::Error for DuplicateNode {}
