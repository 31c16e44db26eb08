//! Chance that replays, a store of nodes, and an attacker who kept everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lethe_crypto::hash::sha256;
use lethe_types::{BatchId, Entropy, EntropyError, Secret, TreeId};

use crate::slot::{MemSlot, Replacement, SlotImage};
use crate::tree::{Applied, Committed, NodeAddress, NodeId, NodeWrite, Staged, StoredNodes, Tree};

pub(crate) const TREE: TreeId = TreeId([7; 16]);
pub(crate) const BATCH: BatchId = BatchId([9; 16]);

/// SHA-256 of a seed and a counter.
#[derive(Debug)]
pub(crate) struct Seeded {
    seed: u64,
    drawn: AtomicU64,
}

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(0) }
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes).unwrap();
        u64::from_be_bytes(bytes) % bound
    }
}

impl Entropy for Seeded {
    fn fill(&self, buf: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in buf.chunks_mut(32) {
            let count = self.drawn.fetch_add(1, Ordering::Relaxed);
            let block = sha256(&[&self.seed.to_be_bytes(), &count.to_be_bytes()]);
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

/// The same byte for ever: for published vectors, whose nonce is one.
#[derive(Debug)]
pub(crate) struct Constant(pub(crate) u8);

impl Entropy for Constant {
    fn fill(&self, buf: &mut [u8]) -> Result<(), EntropyError> {
        buf.fill(self.0);
        Ok(())
    }
}

/// A source that has failed.
#[derive(Debug)]
pub(crate) struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

pub(crate) fn secret(byte: u8) -> Secret<32> {
    Secret::init_with(|bytes| bytes.fill(byte))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a store holds of a tree, and everything it ever held.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nodes {
    pub(crate) now: BTreeMap<NodeAddress, Arc<[u8]>>,
    pub(crate) ever: BTreeSet<(NodeAddress, Arc<[u8]>)>,
}

impl Nodes {
    pub(crate) fn put(&mut self, writes: &[NodeWrite]) {
        for NodeWrite { address, blob } in writes {
            self.now.insert(*address, Arc::clone(blob));
            self.ever.insert((*address, Arc::clone(blob)));
        }
    }

    pub(crate) fn remove(&mut self, drops: &[NodeAddress]) {
        for address in drops {
            assert!(self.now.remove(address).is_some(), "{address:?} is dropped but not stored");
        }
    }

    pub(crate) fn stored(&self) -> StoredNodes {
        let writes = self.now.iter().map(|(address, blob)| (*address, Arc::clone(blob)));
        writes.map(|(address, blob)| NodeWrite { address, blob }).collect()
    }
}

/// A tree with its store and slot, driven in the right order.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) tree: Tree,
    pub(crate) nodes: Nodes,
    pub(crate) slot: MemSlot,
    pub(crate) image: SlotImage,
    pub(crate) entropy: Seeded,
}

impl Rig {
    pub(crate) fn new(arity_log2: u8, seed: u64) -> Self {
        let entropy = Seeded::new(seed);
        let (tree, writes) = Tree::create(TREE, arity_log2, &entropy).unwrap();
        let mut nodes = Nodes::default();
        nodes.put(&writes);
        let mut slot = MemSlot::new();
        let first = Replacement::by(tree.first_image(BATCH)).put(&mut slot).unwrap();
        let (image, _) = first.erase_old(&mut slot).unwrap();
        Self { tree, nodes, slot, image, entropy }
    }

    pub(crate) fn change(&mut self, cuts: &[u64], assigns: &[u64]) -> Vec<[u8; 32]> {
        let staged = self.tree.stage(cuts, assigns, &self.entropy).unwrap();
        let keys = (0..assigns.len()).map(|i| *staged.record_key(i).expose()).collect();
        self.carry_out(staged);
        keys
    }

    pub(crate) fn carry_out(&mut self, staged: Staged) {
        self.nodes.put(staged.writes());
        let drops = match staged.committed() {
            Committed::SameRoot(stage) => self.tree.apply_same_root(stage).unwrap(),
            Committed::NewRoot(stage) => {
                let written = stage.write_root(&mut self.slot, &self.image, BATCH, 0).unwrap();
                let erased = written.erase_old(&mut self.slot).unwrap();
                let Applied { image, drops, .. } = self.tree.apply(erased).unwrap();
                self.image = image;
                drops
            }
        };
        self.nodes.remove(&drops);
    }

    /// The tree as a new process would open it; there must be nothing left over.
    pub(crate) fn reopened(&self) -> Tree {
        let current = &self.image.current;
        let opened = Tree::open(TREE, current.epoch, &current.root, &self.nodes.stored()).unwrap();
        assert_eq!(opened.leftover(), [], "nodes of the store that the tree does not need");
        opened.leftovers_dropped()
    }
}

/// Every record key that opens from `roots` with every blob that was ever written.
pub(crate) fn attack(
    arity_log2: u8,
    ever: &BTreeSet<(NodeAddress, Arc<[u8]>)>,
    roots: &[Secret<32>],
) -> BTreeSet<[u8; 32]> {
    let mut states: BTreeMap<NodeId, Vec<(NodeAddress, &[u8])>> = BTreeMap::new();
    for (address, blob) in ever {
        states.entry(address.node).or_default().push((*address, blob));
    }
    let tops: Vec<NodeId> = states.keys().filter(|id| id.index == 0).copied().collect();
    let mut todo: Vec<(NodeId, Secret<32>)> = Vec::new();
    for root in roots {
        todo.extend(tops.iter().map(|id| (*id, root.duplicate())));
    }
    let mut tried: BTreeSet<(NodeId, [u8; 32])> = BTreeSet::new();
    let mut found = BTreeSet::new();
    while let Some((id, key)) = todo.pop() {
        if !tried.insert((id, *key.expose())) {
            continue;
        }
        for (address, blob) in states.get(&id).into_iter().flatten() {
            let children = crate::tree::open_for_test(TREE, arity_log2, *address, &key, blob);
            for (index, child) in children.unwrap_or_default() {
                if id.level == 1 {
                    found.insert(*child.expose());
                } else {
                    todo.push((NodeId { level: id.level - 1, index }, child));
                }
            }
        }
    }
    found
}
