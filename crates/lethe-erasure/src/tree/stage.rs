//! Staging: the new sealed nodes of a change, worked out beside the tree.
//!
//! Two passes over a work set of opened nodes. The first assigns leaves under the keys of the
//! current epoch. The second, if anything is cut, gives every node on the touched paths a new key,
//! from the bottom up, so that a parent seals the new keys of its children.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use lethe_types::{Defence, Entropy, Secret, TreeId};

use super::node::{self, Children};
use super::{
    Committed, ErasureError, LEAVES_MAX, NODE_SEALS_MAX, NewRoot, Node, NodeAddress, NodeId,
    NodeWrite, STAGE_LEAVES_MAX, SameRoot, Tree,
};

/// A change that is worked out and not made. Dropping it leaves no trace.
///
/// It fits the state of the tree it was staged from: stage, commit and apply one after the other.
pub struct Staged {
    pub(super) tree_id: TreeId,
    pub(super) revision: u64,
    pub(super) epoch_from: u64,
    pub(super) epoch_to: u64,
    pub(super) height: u8,
    /// `None`: the root stays.
    pub(crate) new_root: Option<Secret<32>>,
    /// What applying changes; `None` takes the node away.
    pub(super) changes: BTreeMap<NodeId, Option<Node>>,
    pub(super) drops: Vec<NodeAddress>,
    writes: Vec<NodeWrite>,
    record_keys: Vec<Secret<32>>,
}

impl Staged {
    /// The nodes to put in the transaction T1, together with everything that the change means to
    /// the caller (intents, records). No address occurs twice.
    #[must_use]
    pub fn writes(&self) -> &[NodeWrite] {
        &self.writes
    }

    /// The stored nodes that the change supersedes. If the root changes they may only be removed
    /// in T2, after the old root is erased; until then they are the way back. If the root stays
    /// they may go in the same transaction as the writes. Forgetting them costs space alone.
    #[must_use]
    pub fn drops(&self) -> &[NodeAddress] {
        &self.drops
    }

    /// The epoch of the tree before the change.
    #[must_use]
    pub fn epoch_from(&self) -> u64 {
        self.epoch_from
    }

    /// The epoch after it; the same if the root stays.
    #[must_use]
    pub fn epoch_to(&self) -> u64 {
        self.epoch_to
    }

    /// Whether the slot takes part.
    #[must_use]
    pub fn needs_root_change(&self) -> bool {
        self.new_root.is_some()
    }

    /// The fresh record key of the `i`th assigned leaf, in the order of the call.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn record_key(&self, i: usize) -> &Secret<32> {
        &self.record_keys[i]
    }

    /// The next step. The caller asserts that T1 is durable: **all** of [`Staged::writes`] in one
    /// transaction with the intents. If its outcome is unknown, read the store before deciding.
    pub fn committed(self) -> Committed {
        if self.needs_root_change() {
            Committed::NewRoot(NewRoot::new(self))
        } else {
            Committed::SameRoot(SameRoot::new(self))
        }
    }

    pub(super) fn tree_id(&self) -> TreeId {
        self.tree_id
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged")
            .field("epoch_from", &self.epoch_from)
            .field("epoch_to", &self.epoch_to)
            .field("writes", &self.writes.len())
            .field("drops", &self.drops.len())
            .finish_non_exhaustive()
    }
}

impl Tree {
    /// Works out one change: `cuts` lose their record keys, `assigns` get fresh ones.
    ///
    /// The root changes if anything is cut, or if a node was sealed [`NODE_SEALS_MAX`] times.
    ///
    /// # Errors
    /// [`ErasureError`]; the tree is as before in any case.
    pub fn stage(
        &self,
        cuts: &[u64],
        assigns: &[u64],
        entropy: &dyn Entropy,
    ) -> Result<Staged, ErasureError> {
        let mut work = Work::new(self, cuts, assigns, entropy)?;
        let record_keys = work.assign(assigns)?;
        let sealed_too_often = work.seal_in_place()?;
        let epoch_to = self.epoch + 1;
        if !cuts.is_empty() || !sealed_too_often.is_empty() {
            work.rekey(cuts, sealed_too_often, epoch_to)?;
        }
        Ok(work.finish(record_keys))
    }

    /// Works out a change of the root to `epoch_to`, which also cuts `cuts` (maybe none).
    ///
    /// For a restored tree: its old root is known outside, and epochs of the lost tree must not be
    /// used again.
    ///
    /// # Errors
    /// [`ErasureError`]; the tree is as before in any case.
    pub fn stage_new_epoch(
        &self,
        cuts: &[u64],
        epoch_to: u64,
        entropy: &dyn Entropy,
    ) -> Result<Staged, ErasureError> {
        if epoch_to <= self.epoch {
            return Err(ErasureError::EpochNotGreater { tree: self.epoch, asked: epoch_to });
        }
        let mut work = Work::new(self, cuts, &[], entropy)?;
        work.rekey(cuts, BTreeSet::new(), epoch_to)?;
        Ok(work.finish(Vec::new()))
    }
}

/// A node in the open. Its keys are wiped when it is dropped.
struct OpenNode {
    key: Secret<32>,
    children: Children,
    epoch: u64,
    is_changed: bool,
}

/// The nodes that a stage has opened so far, and what came out of it.
struct Work<'a> {
    tree: &'a Tree,
    entropy: &'a dyn Entropy,
    height: u8,
    epoch_to: u64,
    new_root: Option<Secret<32>>,
    nodes: BTreeMap<NodeId, OpenNode>,
    changes: BTreeMap<NodeId, Option<Node>>,
    writes: Vec<NodeWrite>,
    drops: Vec<NodeAddress>,
}

impl<'a> Work<'a> {
    fn new(
        tree: &'a Tree,
        cuts: &[u64],
        assigns: &[u64],
        entropy: &'a dyn Entropy,
    ) -> Result<Self, ErasureError> {
        if tree.has_leftovers {
            return Err(ErasureError::LeftoversNotDropped);
        }
        check_leaves(cuts)?;
        check_leaves(assigns)?;
        if let Some(leaf) = cuts.iter().find(|leaf| !tree.is_taken(**leaf)) {
            return Err(ErasureError::LeafFree(*leaf));
        }
        if let Some(leaf) = assigns.iter().find(|leaf| tree.is_taken(**leaf)) {
            return Err(ErasureError::LeafTaken(*leaf));
        }
        Ok(Self {
            tree,
            entropy,
            height: tree.height,
            epoch_to: tree.epoch,
            new_root: None,
            nodes: BTreeMap::new(),
            changes: BTreeMap::new(),
            writes: Vec::new(),
            drops: Vec::new(),
        })
    }

    fn finish(self, record_keys: Vec<Secret<32>>) -> Staged {
        Staged {
            tree_id: self.tree.tree_id,
            revision: self.tree.revision,
            epoch_from: self.tree.epoch,
            epoch_to: self.epoch_to,
            height: self.height,
            new_root: self.new_root,
            changes: self.changes,
            drops: self.drops,
            writes: self.writes,
            record_keys,
        }
    }

    fn root_id(&self) -> NodeId {
        NodeId { level: self.height, index: 0 }
    }

    /// Pass 1: fresh record keys into free leaves.
    fn assign(&mut self, assigns: &[u64]) -> Result<Vec<Secret<32>>, ErasureError> {
        let shape = self.tree.shape;
        let mut record_keys = Vec::with_capacity(assigns.len());
        for &leaf in assigns {
            while leaf >= shape.capacity(self.height) {
                self.grow()?;
            }
            self.open_path(leaf)?;
            let key = node::draw_key(self.entropy)?;
            let slot = shape.slot_towards(leaf, 1);
            let bottom = self.open_at(shape.node_above(leaf, 1));
            bottom.children.set(slot, &key);
            bottom.is_changed = true;
            record_keys.push(key);
        }
        Ok(record_keys)
    }

    /// A new root node on top, under the root key as it is; the old one gets a key of its own.
    fn grow(&mut self) -> Result<(), ErasureError> {
        let old_id = self.root_id();
        self.open_root()?;
        let child_key = node::draw_key(self.entropy)?;
        let epoch = self.tree.epoch;
        let old = self.open_at(old_id);
        let root_key = core::mem::replace(&mut old.key, child_key.duplicate());
        let old_epoch = core::mem::replace(&mut old.epoch, epoch);
        old.is_changed = true;
        // The root's epoch is the tree's, so the old state is overwritten at its own address.
        assert_eq!(old_epoch, epoch, "the key of a root is of the tree's epoch");
        let mut children = Children::none(self.tree.shape);
        children.set(0, &child_key);
        self.height += 1;
        let root = OpenNode { key: root_key, children, epoch, is_changed: true };
        self.nodes.insert(self.root_id(), root);
        Ok(())
    }

    /// Opens the nodes from the root to `leaf`; where there are none yet, makes empty ones.
    fn open_path(&mut self, leaf: u64) -> Result<(), ErasureError> {
        self.open_root()?;
        let (tree, epoch) = (self.tree, self.tree.epoch);
        for level in (1..self.height).rev() {
            let id = tree.shape.node_above(leaf, level);
            if self.nodes.contains_key(&id) {
                continue;
            }
            let slot = tree.shape.slot_of(id.index);
            let parent = self.open_at(tree.shape.parent(id));
            let node = match parent.children.key(slot) {
                Some(key) => self.open_stored(id, key)?,
                None => {
                    let key = node::draw_key(self.entropy)?;
                    let parent = self.open_at(tree.shape.parent(id));
                    parent.children.set(slot, &key);
                    parent.is_changed = true;
                    let children = Children::none(tree.shape);
                    OpenNode { key, children, epoch, is_changed: true }
                }
            };
            self.nodes.insert(id, node);
        }
        Ok(())
    }

    fn open_root(&mut self) -> Result<(), ErasureError> {
        let id = self.root_id();
        if !self.nodes.contains_key(&id) {
            let root = self.open_stored(id, self.tree.root.duplicate())?;
            self.nodes.insert(id, root);
        }
        Ok(())
    }

    fn open_stored(&self, id: NodeId, key: Secret<32>) -> Result<OpenNode, ErasureError> {
        let children = self.tree.open_node(id, &key)?;
        let epoch = self.tree.node(id).ok_or(ErasureError::NodeDamaged(id))?.epoch;
        Ok(OpenNode { key, children, epoch, is_changed: false })
    }

    fn open_at(&mut self, id: NodeId) -> &mut OpenNode {
        self.nodes.get_mut(&id).expect("a path is opened before it is worked on")
    }

    /// Seals what pass 1 changed under the keys of the current epoch. Names the nodes that were
    /// sealed too often for that to go on.
    fn seal_in_place(&mut self) -> Result<BTreeSet<NodeId>, ErasureError> {
        let mut sealed_too_often = BTreeSet::new();
        let nodes = core::mem::take(&mut self.nodes);
        for (&id, node) in nodes.iter().filter(|(_, node)| node.is_changed) {
            // Growth moves the root key up: its count goes with the key, not with the place.
            let is_root = id == self.root_id();
            let counted = if is_root { NodeId { level: self.tree.height, index: 0 } } else { id };
            let has_same_key = is_root || id.level < self.tree.height;
            let seals = match self.tree.node(counted).filter(|_| has_same_key) {
                Some(known) => known.count_seal(),
                None => 0,
            };
            if seals >= NODE_SEALS_MAX {
                sealed_too_often.insert(id);
            }
            self.write(id, node, seals.saturating_add(1))?;
        }
        self.nodes = nodes;
        Ok(sealed_too_often)
    }

    /// Pass 2: free the leaves in `cuts`, and new keys for all nodes above them, for those in
    /// `forced` and above these, and for the root.
    fn rekey(
        &mut self,
        cuts: &[u64],
        forced: BTreeSet<NodeId>,
        epoch_to: u64,
    ) -> Result<(), ErasureError> {
        let shape = self.tree.shape;
        self.open_root()?;
        let mut touched = BTreeSet::from([self.root_id()]);
        for &leaf in cuts {
            self.open_path(leaf)?;
            let bottom = shape.node_above(leaf, 1);
            self.open_at(bottom).children.clear(shape.slot_towards(leaf, 1));
            touched.insert(bottom);
        }
        touched.extend(forced);
        let mut below = touched.clone();
        while !below.is_empty() {
            let not_root = below.into_iter().filter(|id| id.level < self.height);
            below = not_root.map(|id| shape.parent(id)).collect();
            touched.extend(&below);
        }
        self.epoch_to = epoch_to;
        // Ascending order is bottom up: a node is sealed after all its children have their keys.
        for id in touched {
            self.rekey_node(id)?;
        }
        Ok(())
    }

    /// A new key for one node, handed to its parent; a node without children goes altogether.
    fn rekey_node(&mut self, id: NodeId) -> Result<(), ErasureError> {
        let mut node = self.nodes.remove(&id).expect("a path is opened before it is re-keyed");
        self.drops.push(NodeAddress { node: id, epoch: node.epoch });
        let is_root = id == self.root_id();
        let slot = self.tree.shape.slot_of(id.index);
        if !is_root && node.children.used() == 0 {
            self.open_at(self.tree.shape.parent(id)).children.clear(slot);
            self.changes.insert(id, None);
            return Ok(());
        }
        if !is_root && Defence::Rekey.is_off() {
            // The control of the attacks: the node is sealed again under the key that it has.
            self.drops.pop();
            return self.write(id, &node, 1);
        }
        node.key = node::draw_key(self.entropy)?;
        node.epoch = self.epoch_to;
        self.write(id, &node, 1)?;
        if is_root {
            self.new_root = Some(node.key);
        } else {
            self.open_at(self.tree.shape.parent(id)).children.set(slot, &node.key);
        }
        Ok(())
    }

    /// Seals `node` as it is now: a write for the store and a node for the tree.
    fn write(&mut self, id: NodeId, node: &OpenNode, seals: u32) -> Result<(), ErasureError> {
        let Tree { tree_id, shape, .. } = *self.tree;
        let address = NodeAddress { node: id, epoch: node.epoch };
        let blob = node::seal(tree_id, shape, address, &node.key, &node.children, self.entropy)?;
        let used = node.children.used();
        let stored =
            Node { epoch: node.epoch, seals: AtomicU32::new(seals), used, blob: Arc::clone(&blob) };
        self.changes.insert(id, Some(stored));
        self.writes.push(NodeWrite { address, blob });
        Ok(())
    }
}

/// In range, not too many, none twice.
fn check_leaves(leaves: &[u64]) -> Result<(), ErasureError> {
    if leaves.len() > STAGE_LEAVES_MAX {
        return Err(ErasureError::TooManyLeaves(leaves.len()));
    }
    let mut seen = BTreeSet::new();
    for &leaf in leaves {
        if leaf >= LEAVES_MAX {
            return Err(ErasureError::LeafOutOfRange(leaf));
        }
        if !seen.insert(leaf) {
            return Err(ErasureError::DuplicateLeaf(leaf));
        }
    }
    Ok(())
}
