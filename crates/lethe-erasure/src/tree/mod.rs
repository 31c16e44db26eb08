//! The fixed-radix key-disclosing tree: leaves hold record keys, the root key opens everything.
//!
//! * Node `(1, i >> a)` holds the record key of leaf `i`, `(2, i >> 2a)` that node's key, and so
//!   on; `a` is the logarithm of the arity. Each node is sealed under a random key of its own that
//!   only its parent holds; the root's key is in the slot and in memory alone.
//! * **Assign** writes a fresh record key into a free leaf and reseals the nodes under the keys
//!   they have. The root stays.
//! * **Cut** zeroes leaves and gives every node on the touched paths a new key; the new root key
//!   must reach the slot and the old one must be erased there before anything counts as gone.
//! * **Growth** keeps the root key: the old root node gets a fresh key and becomes child 0 of a new
//!   root node, which is sealed under the root key as it was. One store transaction decides between
//!   the two heights, both open under the same root, so no step with the slot is needed. Nothing
//!   is disclosed by it, since no key was cut in the epoch in which that root key is valid.
//! * **A stage that both assigns and cuts** writes the assignments twice: into the nodes of the
//!   current epoch, and into the re-keyed ones. So a crash that falls back to the old root loses
//!   none of the keys that the same transaction brought.
//!
//! Sealed nodes stay in memory as they are stored (35 MB for a million leaves at arity 32); only
//! the root key is there in the open, and what one call decrypts is wiped when it returns.

mod address;
mod commit;
mod error;
mod node;
mod open;
mod record;
mod stage;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lethe_types::{BatchId, Entropy, Secret, TreeId};

pub(crate) use address::u64_at;
pub use address::{InvalidNodeAddress, NODE_ADDRESS_BYTES, NodeAddress, NodeId};
pub(crate) use commit::erase_others;
pub use commit::{
    Applied, Committed, Erased, Failed, NewRoot, RootAhead, RootWritten, RootWrittenAhead, SameRoot,
};
pub use error::{DuplicateNode, ErasureError, NodeFault, OpenError};
pub use open::{Opened, StoredNodes};
pub use record::{RECORD_OVERHEAD_BYTES, RecordError, RecordHeader, open_record, seal_record};
pub use stage::Staged;

use crate::slot::{SlotEntry, SlotImage};
use node::{Children, Shape};

/// A complete tree at one epoch.
pub struct Tree {
    tree_id: TreeId,
    shape: Shape,
    epoch: u64,
    height: u8,
    root: Secret<32>,
    /// Level 1 first; only nodes that the root leads to.
    levels: Vec<BTreeMap<u64, Node>>,
    /// Counts what was applied, so that a stage of an earlier state is refused.
    revision: u64,
    /// Nodes that are in the store but not in the tree, and could shadow later ones.
    has_leftovers: bool,
}

/// One sealed node in memory.
struct Node {
    epoch: u64,
    /// Seals under the node's key that this process tried; also those that were never committed.
    seals: AtomicU32,
    /// A bit for each used child.
    used: u64,
    blob: Arc<[u8]>,
}

/// One node to store: put `blob` at `address`, in the transaction T1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeWrite {
    /// The store key, by [`NodeAddress::to_bytes`].
    pub address: NodeAddress,
    /// The sealed node.
    pub blob: Arc<[u8]>,
}

impl Tree {
    /// An empty tree of epoch 1 with a fresh root key, and the nodes to store for it.
    ///
    /// Store them durably first, then put [`Tree::first_image`] into the slot: a crash between the
    /// two leaves a store without a slot, which holds no key yet and can be created again.
    ///
    /// # Errors
    /// [`ErasureError::ArityOutOfRange`], [`ErasureError::Entropy`], [`ErasureError::Crypto`].
    pub fn create(
        tree_id: TreeId,
        arity_log2: u8,
        entropy: &dyn Entropy,
    ) -> Result<(Self, Vec<NodeWrite>), ErasureError> {
        let shape = Shape::new(arity_log2).ok_or(ErasureError::ArityOutOfRange(arity_log2))?;
        let root = node::draw_key(entropy)?;
        let id = NodeId { level: 1, index: 0 };
        let address = NodeAddress { node: id, epoch: FIRST_EPOCH };
        let blob = node::seal(tree_id, shape, address, &root, &Children::none(shape), entropy)?;
        let node =
            Node { epoch: FIRST_EPOCH, seals: AtomicU32::new(1), used: 0, blob: Arc::clone(&blob) };
        let levels = vec![BTreeMap::from([(id.index, node)])];
        let tree = Self {
            tree_id,
            shape,
            epoch: FIRST_EPOCH,
            height: 1,
            root,
            levels,
            revision: 0,
            has_leftovers: false,
        };
        Ok((tree, vec![NodeWrite { address, blob }]))
    }

    /// The first image of a slot: generation 1, the root key of this tree and no other.
    #[must_use]
    pub fn first_image(&self, batch: BatchId) -> SlotImage {
        let root = self.root.duplicate();
        let current = SlotEntry { epoch: self.epoch, not_after_s: 0, tag: batch.0, root };
        SlotImage { generation: 1, tree_id: self.tree_id, current, retained: Vec::new() }
    }

    /// The record key that `leaf` holds; `None` if the leaf is free.
    ///
    /// Decrypts one node a level: microseconds. Nothing is cached.
    ///
    /// # Errors
    /// [`ErasureError::NodeDamaged`].
    pub fn record_key(&self, leaf: u64) -> Result<Option<Secret<32>>, ErasureError> {
        if !self.is_taken(leaf) {
            return Ok(None);
        }
        let mut key = self.root.duplicate();
        for level in (1..=self.height).rev() {
            let id = self.shape.node_above(leaf, level);
            let children = self.open_node(id, &key)?;
            match children.key(self.shape.slot_towards(leaf, level)) {
                Some(child) => key = child,
                None => return Err(ErasureError::NodeDamaged(id)),
            }
        }
        Ok(Some(key))
    }

    /// Whether `leaf` holds a record key.
    #[must_use]
    pub fn is_taken(&self, leaf: u64) -> bool {
        if leaf >= LEAVES_MAX {
            return false;
        }
        let slot = self.shape.slot_towards(leaf, 1);
        self.node(self.shape.node_above(leaf, 1)).is_some_and(|node| node.used >> slot & 1 == 1)
    }

    /// The tree's identifier.
    #[must_use]
    pub fn tree_id(&self) -> TreeId {
        self.tree_id
    }

    /// The epoch: it grows with every change of the root key.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Number of levels, from 1.
    #[must_use]
    pub fn height(&self) -> u8 {
        self.height
    }

    /// Logarithm of the number of children of a node.
    #[must_use]
    pub fn arity_log2(&self) -> u8 {
        self.shape.arity_log2()
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.levels.iter().map(BTreeMap::len).sum()
    }

    /// Number of taken leaves.
    #[must_use]
    pub fn leaves_taken(&self) -> u64 {
        self.levels[0].values().map(|node| u64::from(node.used.count_ones())).sum()
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.levels.get(usize::from(id.level) - 1)?.get(&id.index)
    }

    fn open_node(&self, id: NodeId, key: &Secret<32>) -> Result<Children, ErasureError> {
        let node = self.node(id).ok_or(ErasureError::NodeDamaged(id))?;
        let address = NodeAddress { node: id, epoch: node.epoch };
        node::open(self.tree_id, self.shape, address, key, &node.blob)
            .map_err(|_| ErasureError::NodeDamaged(id))
    }

    /// Makes `staged` the state of this tree. The caller has made sure that it may.
    fn install(&mut self, staged: Staged) -> Result<Vec<NodeAddress>, ErasureError> {
        if staged.tree_id != self.tree_id || staged.revision != self.revision {
            return Err(ErasureError::StaleStage);
        }
        self.levels.resize_with(usize::from(staged.height), BTreeMap::new);
        for (id, node) in staged.changes {
            let level = &mut self.levels[usize::from(id.level) - 1];
            match node {
                Some(node) => level.insert(id.index, node),
                None => level.remove(&id.index),
            };
        }
        self.height = staged.height;
        self.epoch = staged.epoch_to;
        if let Some(root) = staged.new_root {
            self.root = root;
        }
        self.revision += 1;
        Ok(staged.drops)
    }

    /// Says that the nodes have been sealed this often already. For the test of the bound.
    #[cfg(test)]
    pub(crate) fn set_seals(&self, id: NodeId, seals: u32) {
        self.node(id).expect("the test names a node of the tree").count_as(seals);
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree")
            .field("tree_id", &self.tree_id)
            .field("epoch", &self.epoch)
            .field("height", &self.height)
            .field("nodes", &self.nodes())
            .finish_non_exhaustive()
    }
}

impl Node {
    /// One more seal under this node's key; says how many there were before.
    fn count_seal(&self) -> u32 {
        self.seals.fetch_add(1, Ordering::Relaxed)
    }

    #[cfg(test)]
    fn count_as(&self, seals: u32) {
        self.seals.store(seals, Ordering::Relaxed);
    }
}

/// The arity of new trees, as a logarithm: 32 children. Four levels carry a million leaves.
pub const ARITY_LOG2_DEFAULT: u8 = 5;

/// Leaves of the largest tree. Every shift of a leaf index stays inside 64 bits.
pub const LEAVES_MAX: u64 = 1 << 40;

/// Levels of the highest tree: [`LEAVES_MAX`] leaves at arity 2.
pub const LEVELS_MAX: u8 = 40;

/// Most leaves in the cuts and in the assignments of one stage: bounds its memory, about 1 KB each.
pub const STAGE_LEAVES_MAX: usize = 131_072;

/// Seals under one node key after which the node is re-keyed, far below the 2^32 that random
/// nonces of 96 bits allow (SP 800-38D section 8.3). A slot that was filled is only emptied by
/// a cut, which re-keys; so stages that are never committed are the one way to get there. The
/// count starts anew with the process.
pub const NODE_SEALS_MAX: u32 = 1 << 20;

const FIRST_EPOCH: u64 = 1;

/// The keys of a node's children with their indexes, for an attacker in a test.
#[cfg(test)]
pub(crate) fn open_for_test(
    tree_id: TreeId,
    arity_log2: u8,
    address: NodeAddress,
    key: &Secret<32>,
    blob: &[u8],
) -> Option<Vec<(u64, Secret<32>)>> {
    let shape = Shape::new(arity_log2)?;
    let children = node::open(tree_id, shape, address, key, blob).ok()?;
    let indexes = address.node.index << arity_log2..;
    let keys = (0..shape.arity()).zip(indexes).map(|(slot, index)| (index, children.key(slot)));
    Some(keys.filter_map(|(index, key)| Some((index, key?))).collect())
}

/// A sealed node with these children's keys, for vectors and forgeries in a test.
#[cfg(test)]
pub(crate) fn seal_for_test(
    tree_id: TreeId,
    arity_log2: u8,
    address: NodeAddress,
    key: &Secret<32>,
    keys: &[Secret<32>],
    entropy: &dyn Entropy,
) -> Arc<[u8]> {
    let shape = Shape::new(arity_log2).expect("the test asks for a valid arity");
    let mut children = Children::none(shape);
    for (slot, child) in keys.iter().enumerate() {
        children.set(slot, child);
    }
    node::seal(tree_id, shape, address, key, &children, entropy).expect("sealing works")
}
