//! Opening a stored tree: which states of which nodes are the tree at an epoch, and whether all
//! of it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use lethe_types::{Secret, TreeId};

use super::node::{self, Children, Shape};
use super::{DuplicateNode, LEVELS_MAX, Node, NodeAddress, NodeFault, NodeId, OpenError, Tree};

/// Every node that the store holds, of all epochs. Blobs are shared with the tree, not copied.
#[derive(Default)]
pub struct StoredNodes {
    blobs: BTreeMap<NodeAddress, Arc<[u8]>>,
}

impl StoredNodes {
    /// No node yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what the store holds at `address`.
    ///
    /// # Errors
    /// [`DuplicateNode`] if the address was added before; the first blob stays.
    pub fn insert(
        &mut self,
        address: NodeAddress,
        blob: impl Into<Arc<[u8]>>,
    ) -> Result<(), DuplicateNode> {
        if self.blobs.contains_key(&address) {
            return Err(DuplicateNode(address));
        }
        self.blobs.insert(address, blob.into());
        Ok(())
    }

    /// Number of stored nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blobs.len()
    }

    /// Whether nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty()
    }

    /// The greatest epoch of any node, finished or not; `None` without nodes.
    #[must_use]
    pub fn epoch_max(&self) -> Option<u64> {
        self.blobs.keys().map(|address| address.epoch).max()
    }

    /// The state of `node` that a reader at `epoch` sees: the youngest that is not of the future.
    fn at(&self, node: NodeId, epoch: u64) -> Option<(NodeAddress, &Arc<[u8]>)> {
        let range = NodeAddress { node, epoch: 0 }..=NodeAddress { node, epoch };
        self.blobs.range(range).next_back().map(|(address, blob)| (*address, blob))
    }

    /// The root at `epoch`: its key is drawn or confirmed in every epoch, so only one of exactly
    /// this epoch counts, and the highest is the one that growth left on top.
    fn root_at(&self, epoch: u64) -> Option<(NodeAddress, &Arc<[u8]>)> {
        let roots = (1..=LEVELS_MAX).rev().map(|level| NodeId { level, index: 0 });
        let mut seen = roots.filter_map(|node| self.at(node, epoch));
        seen.next().filter(|(address, _)| address.epoch == epoch)
    }
}

impl fmt::Debug for StoredNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredNodes({})", self.len())
    }
}

impl FromIterator<super::NodeWrite> for StoredNodes {
    /// The nodes of a creation or stage as a store would hold them; the last of an address stays.
    fn from_iter<T: IntoIterator<Item = super::NodeWrite>>(writes: T) -> Self {
        Self { blobs: writes.into_iter().map(|write| (write.address, write.blob)).collect() }
    }
}

/// A complete tree, and what else the store holds.
#[derive(Debug)]
pub struct Opened {
    tree: Tree,
    leftover: Vec<NodeAddress>,
}

impl Opened {
    /// The tree, for reading. It refuses to be staged while there are leftovers.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Stored nodes outside the tree: superseded ones, and pending ones of a batch that did not
    /// finish. A pending one would shadow a node of the batch that is run next, so all of them must
    /// be removed in a durable transaction *before* that.
    #[must_use]
    pub fn leftover(&self) -> &[NodeAddress] {
        &self.leftover
    }

    /// The tree for use. The caller asserts that [`Opened::leftover`] is durably removed.
    #[must_use]
    pub fn leftovers_dropped(self) -> Tree {
        Tree { has_leftovers: false, ..self.tree }
    }
}

impl Tree {
    /// The tree at `epoch` under `root`, every node of it opened once.
    ///
    /// # Errors
    /// [`OpenError`] names the first node that is missing or does not open.
    pub fn open(
        tree_id: TreeId,
        epoch: u64,
        root: &Secret<32>,
        nodes: &StoredNodes,
    ) -> Result<Opened, OpenError> {
        let (address, blob) = nodes.root_at(epoch).ok_or(OpenError::NoRoot { epoch })?;
        let malformed = OpenError::Node { node: address.node, epoch, fault: NodeFault::Malformed };
        let arity_log2 = node::claimed_arity_log2(blob).ok_or(malformed)?;
        let shape = Shape::new(arity_log2).ok_or(OpenError::Arity(arity_log2))?;
        let height = address.node.level;
        let mut levels = Vec::new();
        levels.resize_with(usize::from(height), BTreeMap::new);
        let mut walk = Walk { tree_id, shape, epoch, nodes, levels, used: BTreeSet::new() };
        walk.descend(address.node, root)?;
        let Walk { levels, used, .. } = walk;
        let leftover: Vec<NodeAddress> =
            nodes.blobs.keys().filter(|address| !used.contains(address)).copied().collect();
        let tree = Self {
            tree_id,
            shape,
            epoch,
            height,
            root: root.duplicate(),
            levels,
            revision: 0,
            has_leftovers: !leftover.is_empty(),
        };
        Ok(Opened { tree, leftover })
    }
}

/// One pass over a tree, depth first, so that only one path of keys is in the open at a time.
struct Walk<'a> {
    tree_id: TreeId,
    shape: Shape,
    epoch: u64,
    nodes: &'a StoredNodes,
    levels: Vec<BTreeMap<u64, Node>>,
    used: BTreeSet<NodeAddress>,
}

impl Walk<'_> {
    /// Recursion is as deep as the tree is high, at most [`LEVELS_MAX`].
    fn descend(&mut self, id: NodeId, key: &Secret<32>) -> Result<(), OpenError> {
        let epoch = self.epoch;
        let faulty = |fault| OpenError::Node { node: id, epoch, fault };
        let (address, blob) = self.nodes.at(id, epoch).ok_or(faulty(NodeFault::Missing))?;
        let children = node::open(self.tree_id, self.shape, address, key, blob).map_err(faulty)?;
        if id.level > 1 {
            self.descend_into_children(id, &children)?;
        }
        let used = children.used();
        let seals = AtomicU32::new(1);
        let node = Node { epoch: address.epoch, seals, used, blob: Arc::clone(blob) };
        self.levels[usize::from(id.level) - 1].insert(id.index, node);
        self.used.insert(address);
        Ok(())
    }

    fn descend_into_children(&mut self, id: NodeId, children: &Children) -> Result<(), OpenError> {
        let first = id.index << self.shape.arity_log2();
        for (slot, index) in (0..self.shape.arity()).zip(first..) {
            if let Some(key) = children.key(slot) {
                self.descend(NodeId { level: id.level - 1, index }, &key)?;
            }
        }
        Ok(())
    }
}
