//! Finds sealed nodes and records in any bytes, whatever file they are of and whether the file
//! still counts them as its own.
//!
//! A page of the store has 8,192 bytes and keeps a row of up to about 2,000 in one piece, so that a
//! node (1,072 bytes) always lies whole in a page, also in a freed one and in the write-ahead log.
//! Records of keys with longer material can lie across two pages: they are not found here.

use std::collections::{BTreeMap, BTreeSet};

use lethe_erasure::tree::{LEVELS_MAX, NodeAddress, NodeId, RECORD_OVERHEAD_BYTES, RecordHeader};
use memchr::memmem;

use crate::hoard::Hoard;

/// How both a node and a record begin: format 1, AES-256-GCM.
const START: [u8; 2] = [1, 1];

/// Bytes of a node before its nonce.
pub(crate) const NODE_HEADER_BYTES: usize = 20;

/// No tree of an attack gets to this epoch; bytes that say so are something else.
const EPOCH_MAX: u64 = 1 << 40;

/// Leaves past this one are never given out in an attack.
const LEAF_MAX: u64 = 1 << 35;

/// Everything in a hoard that looks like a part of an erasure tree.
#[derive(Debug)]
pub struct Finds<'a> {
    hoard: &'a Hoard,
    nodes: BTreeMap<NodeId, BTreeSet<&'a [u8]>>,
    records: BTreeMap<u64, Vec<RecordPlace>>,
}

/// Where something begins that looks like a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// What it says of itself.
    pub header: RecordHeader,
    piece: usize,
    at: usize,
}

impl<'a> Finds<'a> {
    /// Looks through all of `hoard`.
    #[must_use]
    pub fn of(hoard: &'a Hoard) -> Self {
        let mut finds = Self { hoard, nodes: BTreeMap::new(), records: BTreeMap::new() };
        for (piece, bytes) in hoard.pieces().iter().enumerate() {
            for at in starts(bytes) {
                finds.look_at(piece, at, &bytes[at..]);
            }
        }
        finds
    }

    fn look_at(&mut self, piece: usize, at: usize, bytes: &'a [u8]) {
        if let Some((address, blob)) = node(bytes) {
            self.nodes.entry(address.node).or_default().insert(blob);
        }
        if let Ok(header) = RecordHeader::parse(bytes)
            && header.leaf < LEAF_MAX
            && header.flags == 0
        {
            let place = RecordPlace { header, piece, at };
            self.records.entry(header.leaf).or_default().push(place);
        }
    }

    /// Different states of nodes.
    #[must_use]
    pub fn nodes_count(&self) -> usize {
        self.nodes.values().map(BTreeSet::len).sum()
    }

    /// Every state of a node.
    pub(crate) fn nodes(&self, id: NodeId) -> impl Iterator<Item = &'a [u8]> {
        self.nodes.get(&id).into_iter().flatten().copied()
    }

    /// The places of which the levels above the leaves are known.
    pub(crate) fn tops(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.keys().copied().filter(|id| id.index == 0)
    }

    /// Every record that says that its key is in `leaf`.
    pub fn records(&self, leaf: u64) -> impl Iterator<Item = RecordPlace> {
        self.records.get(&leaf).into_iter().flatten().copied()
    }

    /// The bytes from a record on: its end is not written in it.
    pub(crate) fn bytes_from(&self, place: RecordPlace) -> &'a [u8] {
        &self.hoard.pieces()[place.piece][place.at..]
    }
}

/// Every place where a node or a record can begin, in order.
fn starts(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let mut from = 0;
    core::iter::from_fn(move || {
        let at = from + memmem::find(bytes.get(from..)?, &START)?;
        // Starts may overlap: of three bytes 1, two are a start.
        from = at + 1;
        Some(at)
    })
}

/// The node that begins here, if one can.
fn node(bytes: &[u8]) -> Option<(NodeAddress, &[u8])> {
    let arity_log2 = *bytes.get(2).filter(|log2| (1..=6).contains(*log2))?;
    let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
    let (level, index, epoch) = (*bytes.get(3)?, number(4)?, number(12)?);
    let leaf_limit = LEAF_MAX >> (u32::from(arity_log2) * u32::from(level).min(6));
    let is_possible =
        (1..=LEVELS_MAX).contains(&level) && index <= leaf_limit && (1..EPOCH_MAX).contains(&epoch);
    let blob = bytes.get(..node_bytes(arity_log2))?;
    is_possible.then_some((NodeAddress { node: NodeId { level, index }, epoch }, blob))
}

/// Bytes of a sealed node.
pub(crate) fn node_bytes(arity_log2: u8) -> usize {
    NODE_HEADER_BYTES + 12 + 32 * (1 << arity_log2) + 16
}

/// Bytes of the shortest record.
pub(crate) const RECORD_BYTES_MIN: usize = RECORD_OVERHEAD_BYTES + 1;
