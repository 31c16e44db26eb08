//! Inclusion and consistency proofs, from the edge in memory and stored full tiles.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{FullTile, LogTree, ReadError, TILE_HASHES, TILE_HEIGHT, TileReader};
use crate::hash::{Hash, node_hash};

/// Most tiles whose inner nodes [`ProofTiles`] keeps: 16 KiB each. Over it, it starts afresh.
pub const PROVER_TILES_MAX: usize = 128;

/// Inner nodes of tiles, which cost 255 hashes a tile, kept from proof to proof.
///
/// To be used with one log only. What it keeps of a full tile is taken for true for ever, so a
/// tile that may yet be taken back must not come here; of the edge it keeps nothing that is not
/// compared with the edge of the tree in question.
#[derive(Default)]
pub struct ProofTiles(Mutex<BTreeMap<(u8, u64), Arc<TileNodes>>>);

impl core::fmt::Debug for ProofTiles {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let tiles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "ProofTiles({} tiles)", tiles.len())
    }
}

impl ProofTiles {
    fn get(&self, key: (u8, u64)) -> Option<Arc<TileNodes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    fn keep(&self, key: (u8, u64), nodes: Arc<TileNodes>) {
        let mut tiles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tiles.len() >= PROVER_TILES_MAX && !tiles.contains_key(&key) {
            tiles.clear();
        }
        tiles.insert(key, nodes);
    }
}

/// Makes proofs about one state of the tree.
///
/// The inner nodes of a tile are computed once and kept while the prover lives, or longer if they
/// are [`ProofTiles`] of the caller: the proofs of neighbouring entries cost a few hashes each
/// instead of a whole tile each.
pub struct Prover<'a> {
    tree: &'a LogTree,
    reader: &'a dyn TileReader,
    /// What this prover has used. What it took from `kept` was compared with the tree.
    tiles: BTreeMap<(u8, u64), Arc<TileNodes>>,
    kept: Option<&'a ProofTiles>,
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
        Self { tree, reader, tiles: BTreeMap::new(), kept: None }
    }

    /// The same, which looks for tiles in `kept` first and leaves there what it computes.
    #[must_use]
    pub fn with_tiles(tree: &'a LogTree, reader: &'a dyn TileReader, kept: &'a ProofTiles) -> Self {
        Self { kept: Some(kept), ..Self::new(tree, reader) }
    }

    /// Takes over a tile that was just completed, so that it need not be read back. Not for others:
    /// it may yet be taken back.
    pub fn remember(&mut self, tile: &FullTile) {
        self.keep((tile.level, tile.index), TileNodes::of(tile.hashes.as_slice()).into());
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

    fn load(&self, key: (u8, u64)) -> Result<Arc<TileNodes>, ReadError> {
        let (level, index) = key;
        let full_tiles = self.tree.size >> (TILE_HEIGHT * (u32::from(level) + 1)).min(63);
        let known = self.kept.and_then(|kept| kept.get(key));
        let nodes = if index < full_tiles {
            match known {
                Some(known) if known.hashes().len() == TILE_HASHES => return Ok(known),
                Some(_) | None => TileNodes::of(self.reader.tile(level, index)?.as_slice()),
            }
        } else {
            let edge = self.tree.edge(level);
            match known {
                Some(known) if known.hashes() == edge => return Ok(known),
                Some(known) if edge.starts_with(known.hashes()) => known.extended(edge),
                Some(_) | None => TileNodes::of(edge),
            }
        };
        let nodes = Arc::new(nodes);
        if let Some(kept) = self.kept {
            kept.keep(key, nodes.clone());
        }
        Ok(nodes)
    }

    fn keep(&mut self, key: (u8, u64), nodes: Arc<TileNodes>) {
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
#[derive(Clone, Default)]
struct TileNodes(Vec<Vec<Hash>>);

impl TileNodes {
    fn of(hashes: &[Hash]) -> Self {
        Self::default().extended(hashes)
    }

    /// The tile that has become `hashes`, which begin with those that it has.
    fn extended(&self, hashes: &[Hash]) -> Self {
        let mut rows = self.0.clone();
        let mut below = hashes.to_vec();
        let mut height = 0;
        loop {
            let (pairs, _) = below.as_chunks::<2>();
            let known = rows.get(height + 1).map_or(&[][..], Vec::as_slice);
            let new = pairs.iter().skip(known.len()).map(|[left, right]| node_hash(left, right));
            let above: Vec<Hash> = known.iter().copied().chain(new).collect();
            match rows.get_mut(height) {
                Some(row) => *row = below,
                None => rows.push(below),
            }
            if above.is_empty() {
                return Self(rows);
            }
            below = above;
            height += 1;
        }
    }

    fn hashes(&self) -> &[Hash] {
        self.0.first().map_or(&[], Vec::as_slice)
    }

    fn get(&self, row: u32, column: u64) -> Option<Hash> {
        let row = self.0.get(usize::try_from(row).ok()?)?;
        row.get(usize::try_from(column).ok()?).copied()
    }
}
