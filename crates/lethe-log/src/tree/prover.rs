//! Inclusion and consistency proofs, from the edge in memory and stored full tiles.

use std::collections::BTreeMap;

use super::{FullTile, LogTree, ReadError, TILE_HEIGHT, TileReader};
use crate::hash::{Hash, node_hash};

/// Most tiles whose inner nodes a [`Prover`] keeps: 16 KiB each. Over it, it starts afresh.
pub const PROVER_TILES_MAX: usize = 128;

/// Makes proofs about one state of the tree.
///
/// The inner nodes of a tile are computed once and kept while the prover lives: the proofs of a
/// batch of neighbouring entries cost a few hashes each instead of a whole tile each.
pub struct Prover<'a> {
    tree: &'a LogTree,
    reader: &'a dyn TileReader,
    tiles: BTreeMap<(u8, u64), TileNodes>,
}

impl core::fmt::Debug for Prover<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Prover(size {}, {} tiles)", self.tree.size, self.tiles.len())
    }
}

impl<'a> Prover<'a> {
    /// A prover for `tree`; full tiles come from `reader`.
    #[must_use]
    pub fn new(tree: &'a LogTree, reader: &'a dyn TileReader) -> Self {
        Self { tree, reader, tiles: BTreeMap::new() }
    }

    /// Takes over a tile that was just completed, so that it need not be read back.
    pub fn remember(&mut self, tile: &FullTile) {
        self.keep((tile.level, tile.index), TileNodes::of(tile.hashes.as_slice()));
    }

    /// The hashes from the sibling of leaf `index` up to a child of the root, in the tree of the
    /// first `size` entries: `PATH(index, D[size])` of RFC 6962 section 2.1.1.
    ///
    /// # Errors
    /// [`ReadError`] of the reader, or `Malformed` unless `index < size <= ` the tree's size.
    pub fn inclusion(&mut self, index: u64, size: u64) -> Result<Vec<Hash>, ReadError> {
        if index >= size || size > self.tree.size {
            return Err(ReadError::Malformed);
        }
        let (mut low, mut high) = (0, size);
        let mut path = Vec::new();
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                path.push(self.range(middle, high)?);
                high = middle;
            } else {
                path.push(self.range(low, middle)?);
                low = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The hashes that show that the tree of the first `old_size` entries is a prefix of the tree
    /// of the first `size`: `PROOF(old_size, D[size])` of RFC 6962 section 2.1.2. Empty if the
    /// sizes are equal or the old tree was empty.
    ///
    /// # Errors
    /// [`ReadError`] of the reader, or `Malformed` unless `old_size <= size <= ` the tree's size.
    pub fn consistency(&mut self, old_size: u64, size: u64) -> Result<Vec<Hash>, ReadError> {
        if old_size > size || size > self.tree.size {
            return Err(ReadError::Malformed);
        }
        if old_size == 0 {
            return Ok(Vec::new());
        }
        let (mut low, mut high) = (0, size);
        let mut path = Vec::new();
        while high != old_size {
            let middle = low + split(high - low);
            if old_size <= middle {
                path.push(self.range(middle, high)?);
                high = middle;
            } else {
                path.push(self.range(low, middle)?);
                low = middle;
            }
        }
        // The verifier knows the old root; it lacks the last subtree only if that is not it.
        if low != 0 {
            path.push(self.range(low, high)?);
        }
        path.reverse();
        Ok(path)
    }

    /// `MTH(D[low:high])` for a range as RFC 6962 splits it.
    fn range(&mut self, low: u64, high: u64) -> Result<Hash, ReadError> {
        let mut parts = Vec::new();
        let mut at = low;
        while at < high {
            let height = at.trailing_zeros().min((high - at).ilog2());
            parts.push(self.node(height, at >> height)?);
            at += 1 << height;
        }
        let root = parts.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
        root.ok_or(ReadError::Malformed)
    }

    /// The root of the complete subtree `index` of `2^height` leaves.
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, ReadError> {
        let level = u8::try_from(height / TILE_HEIGHT).map_err(|_| ReadError::Malformed)?;
        let row = height % TILE_HEIGHT;
        let columns_log2 = TILE_HEIGHT - row;
        let key = (level, index >> columns_log2);
        let column = index & ((1 << columns_log2) - 1);
        if !self.tiles.contains_key(&key) {
            let nodes = self.load(key)?;
            self.keep(key, nodes);
        }
        let nodes = self.tiles.get(&key).and_then(|nodes| nodes.get(row, column));
        nodes.ok_or(ReadError::Malformed)
    }

    fn load(&self, (level, index): (u8, u64)) -> Result<TileNodes, ReadError> {
        let full_tiles = self.tree.size >> (TILE_HEIGHT * (u32::from(level) + 1)).min(63);
        if index < full_tiles {
            Ok(TileNodes::of(self.reader.tile(level, index)?.as_slice()))
        } else {
            Ok(TileNodes::of(self.tree.edge(level)))
        }
    }

    fn keep(&mut self, key: (u8, u64), nodes: TileNodes) {
        if self.tiles.len() >= PROVER_TILES_MAX {
            self.tiles.clear();
        }
        self.tiles.insert(key, nodes);
    }
}

/// The largest power of two below `size`, which is at least 2: `k` of RFC 6962 section 2.1.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The complete subtrees of a tile: row 0 its hashes, each further row half as many.
struct TileNodes(Vec<Vec<Hash>>);

impl TileNodes {
    fn of(hashes: &[Hash]) -> Self {
        let mut rows = vec![hashes.to_vec()];
        while let Some(below) = rows.last().filter(|row| row.len() > 1) {
            let (pairs, _) = below.as_chunks::<2>();
            let row = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
            rows.push(row);
        }
        Self(rows)
    }

    fn get(&self, row: u32, column: u64) -> Option<Hash> {
        let row = self.0.get(usize::try_from(row).ok()?)?;
        row.get(usize::try_from(column).ok()?).copied()
    }
}
