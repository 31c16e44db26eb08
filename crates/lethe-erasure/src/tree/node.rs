//! The sealed node: its byte layout, and its children's keys in the open.
//!
//! ```text
//!  0  u8  format = 1     1 u8 aead = 1     2 u8 log2(arity)     3 u8 level
//!  4  u64 index         12 u64 epoch in which this node's key was drawn
//! 20  12  nonce         32 ciphertext (arity × 32)   last 16 tag
//! AAD = "KDT1" || tree_id(16) || bytes 0..19
//! ```

use std::sync::Arc;

use lethe_crypto::aead::{NONCE_BYTES, SealKey, TAG_BYTES};
use lethe_types::{Defence, Entropy, EntropyError, Secret, TreeId};
use zeroize::Zeroizing;

use super::{ErasureError, NodeAddress, NodeFault, NodeId};

/// Number of children of every node, as its logarithm; 1 to 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    arity_log2: u8,
}

impl Shape {
    /// `None` unless the arity is 2 to 64. 64 is the most that one word of used slots can count.
    pub(crate) fn new(arity_log2: u8) -> Option<Self> {
        (1..=6).contains(&arity_log2).then_some(Self { arity_log2 })
    }

    pub(crate) fn arity_log2(self) -> u8 {
        self.arity_log2
    }

    pub(crate) fn arity(self) -> usize {
        1 << self.arity_log2
    }

    /// Bytes of a sealed node: 48 + 32 × arity.
    pub(crate) fn blob_bytes(self) -> usize {
        HEADER_BYTES + NONCE_BYTES + self.arity() * CHILD_KEY_BYTES + TAG_BYTES
    }

    /// Leaves under a root of level `height`.
    pub(crate) fn capacity(self, height: u8) -> u64 {
        1 << (u32::from(self.arity_log2) * u32::from(height))
    }

    /// The node of `level` on the path to `leaf`.
    pub(crate) fn node_above(self, leaf: u64, level: u8) -> NodeId {
        NodeId { level, index: leaf >> (u32::from(self.arity_log2) * u32::from(level)) }
    }

    /// Which child of [`Shape::node_above`] leads to `leaf`.
    pub(crate) fn slot_towards(self, leaf: u64, level: u8) -> usize {
        let below = leaf >> (u32::from(self.arity_log2) * u32::from(level - 1));
        self.slot_of(below)
    }

    /// Which child of its parent the node (or leaf) with this index is.
    pub(crate) fn slot_of(self, index: u64) -> usize {
        let last_child = (1 << self.arity_log2) - 1;
        usize::try_from(index & last_child).expect("a slot is less than 64")
    }

    /// The parent of `node`.
    pub(crate) fn parent(self, node: NodeId) -> NodeId {
        NodeId { level: node.level + 1, index: node.index >> self.arity_log2 }
    }
}

/// The keys of a node's children in the open; a free slot is 32 zero bytes. Wiped on drop.
pub(crate) struct Children(Zeroizing<Vec<u8>>);

impl Children {
    pub(crate) fn none(shape: Shape) -> Self {
        Self(Zeroizing::new(vec![0; shape.arity() * CHILD_KEY_BYTES]))
    }

    /// The key in `slot`; `None` if it is free.
    pub(crate) fn key(&self, slot: usize) -> Option<Secret<32>> {
        let bytes = &self.0[Self::range(slot)];
        is_used(bytes).then(|| Secret::init_with(|key| key.copy_from_slice(bytes)))
    }

    pub(crate) fn set(&mut self, slot: usize, key: &Secret<32>) {
        self.0[Self::range(slot)].copy_from_slice(key.expose());
    }

    pub(crate) fn clear(&mut self, slot: usize) {
        self.0[Self::range(slot)].fill(0);
    }

    /// A bit for each used slot.
    pub(crate) fn used(&self) -> u64 {
        let slots = self.0.chunks_exact(CHILD_KEY_BYTES).enumerate();
        slots.filter(|(_, bytes)| is_used(bytes)).fold(0, |bits, (slot, _)| bits | 1 << slot)
    }

    fn range(slot: usize) -> core::ops::Range<usize> {
        slot * CHILD_KEY_BYTES..(slot + 1) * CHILD_KEY_BYTES
    }
}

/// Whether a slot is not all zero, in time that depends on nothing.
fn is_used(slot: &[u8]) -> bool {
    slot.iter().fold(0, |seen, byte| seen | byte) != 0
}

/// A fresh random key. An all-zero one would read as a free slot, and is a broken source besides.
pub(crate) fn draw_key(entropy: &dyn Entropy) -> Result<Secret<32>, EntropyError> {
    let key = Secret::random(entropy)?;
    if is_used(key.expose()) { Ok(key) } else { Err(EntropyError) }
}

/// Seals `children` under `key` with a fresh random nonce.
pub(crate) fn seal(
    tree_id: TreeId,
    shape: Shape,
    address: NodeAddress,
    key: &Secret<32>,
    children: &Children,
    entropy: &dyn Entropy,
) -> Result<Arc<[u8]>, ErasureError> {
    let header = header(shape, address);
    let mut nonce = [0; NONCE_BYTES];
    entropy.fill(&mut nonce)?;
    let mut keys = Zeroizing::new(children.0.to_vec());
    let tag = SealKey::new(key).seal_in_place(nonce, &aad(tree_id, &header), &mut keys)?;
    let mut blob = Vec::with_capacity(shape.blob_bytes());
    for part in [header.as_slice(), &nonce, &keys, &tag] {
        blob.extend_from_slice(part);
    }
    assert_eq!(blob.len(), shape.blob_bytes(), "the layout of a node has one size");
    Ok(blob.into())
}

/// Opens the blob of `address`.
pub(crate) fn open(
    tree_id: TreeId,
    shape: Shape,
    address: NodeAddress,
    key: &Secret<32>,
    blob: &[u8],
) -> Result<Children, NodeFault> {
    let header = header(shape, address);
    if blob.len() != shape.blob_bytes() || blob[..HEADER_BYTES] != header {
        return Err(NodeFault::Malformed);
    }
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&blob[HEADER_BYTES..SEALED_AT]);
    let mut keys = Zeroizing::new(blob[SEALED_AT..].to_vec());
    SealKey::new(key)
        .open_in_place(nonce, &aad(tree_id, &header), &mut keys)
        .map_err(|_| NodeFault::NotAuthentic)?;
    keys.truncate(shape.arity() * CHILD_KEY_BYTES);
    Ok(Children(keys))
}

/// The logarithm of the arity that a blob claims, if it is long enough to claim one.
pub(crate) fn claimed_arity_log2(blob: &[u8]) -> Option<u8> {
    blob.get(ARITY_AT).copied()
}

fn header(shape: Shape, address: NodeAddress) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[0] = FORMAT;
    header[1] = AEAD_AES_256_GCM;
    header[ARITY_AT] = shape.arity_log2;
    header[3] = address.node.level;
    header[4..12].copy_from_slice(&address.node.index.to_be_bytes());
    header[12..].copy_from_slice(&address.epoch.to_be_bytes());
    header
}

pub(crate) fn aad(tree_id: TreeId, header: &[u8; HEADER_BYTES]) -> [u8; 40] {
    let mut aad = [0; 40];
    if Defence::Place.is_off() {
        return aad;
    }
    aad[..4].copy_from_slice(b"KDT1");
    aad[4..20].copy_from_slice(tree_id.as_bytes());
    aad[20..].copy_from_slice(header);
    aad
}

/// Version of this layout.
pub(crate) const FORMAT: u8 = 1;
/// AES-256-GCM with a nonce of 96 and a tag of 128 bits.
pub(crate) const AEAD_AES_256_GCM: u8 = 1;
const CHILD_KEY_BYTES: usize = 32;
const ARITY_AT: usize = 2;
const HEADER_BYTES: usize = 20;
const SEALED_AT: usize = HEADER_BYTES + NONCE_BYTES;
