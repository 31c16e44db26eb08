//! The Merkle tree of the log (RFC 6962), of which only the right edge is in memory.
//!
//! Per tile level the tree keeps the at most 255 hashes of the tile that is not full yet. A full
//! tile never changes again; it is handed out once, to be stored, and read back through
//! [`TileReader`] for proofs about old entries. Appending is staged: the caller writes the staged
//! tiles and entries in its store transaction and only then applies the stage, so that the tree
//! in memory never runs ahead of what is durable.
//!
//! Must not know: where tiles are stored, what an entry means, who signs the root.

mod prover;
mod verify;

use core::fmt;

pub use prover::{PROVER_TILES_MAX, ProofTiles, Prover};
pub use verify::{PROOF_HASHES_MAX, ProofError, verify_consistency, verify_inclusion};

use crate::hash::{HASH_BYTES, Hash, empty_root, node_hash};

/// Hashes in a full tile.
pub const TILE_HASHES: usize = 256;
/// Bytes of a full tile.
pub const TILE_BYTES: usize = TILE_HASHES * HASH_BYTES;
/// Most entries of a log: its size is written as a JSON integer.
pub const LOG_ENTRIES_MAX: u64 = (1 << 53) - 1;

/// log2 of [`TILE_HASHES`].
const TILE_HEIGHT: u32 = 8;

/// Where full tiles are read back from.
pub trait TileReader {
    /// The hashes of the full tile `index` of `level`, exactly as they were handed out.
    ///
    /// # Errors
    /// [`ReadError`]; the caller makes no proof then.
    fn tile(&self, level: u8, index: u64) -> Result<Box<[Hash; TILE_HASHES]>, ReadError>;
}

/// Why a tile could not be used.
#[derive(Debug)]
pub enum ReadError {
    /// The store failed; the source says how.
    Failed(Box<dyn core::error::Error + Send + Sync>),
    /// The bytes are no full tile, or the hashes given do not belong to a tree of that size.
    Malformed,
    /// There is no such tile.
    Missing {
        /// Tile level.
        level: u8,
        /// Tile index within its level.
        index: u64,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(_) => f.write_str("cannot read a tile of the log"),
            Self::Malformed => f.write_str("the stored hashes do not form a tree of that size"),
            Self::Missing { level, index } => {
                write!(f, "tile `{index}` of level `{level}` is missing")
            }
        }
    }
}

impl core::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Failed(source) => Some(source.as_ref()),
            Self::Malformed | Self::Missing { .. } => None,
        }
    }
}

/// A tile that has just become full and will never change: to be stored under (level, index).
#[derive(Clone, PartialEq, Eq)]
pub struct FullTile {
    /// Tile level; 0 holds the leaf hashes.
    pub level: u8,
    /// Tile index within its level.
    pub index: u64,
    /// The [`TILE_HASHES`] hashes.
    pub hashes: Box<[Hash; TILE_HASHES]>,
}

impl FullTile {
    /// The [`TILE_BYTES`] bytes that are stored and served.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        concatenate(self.hashes.as_slice())
    }
}

impl fmt::Debug for FullTile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FullTile(level {}, index {})", self.level, self.index)
    }
}

/// The hashes of a stored full tile: the inverse of [`FullTile::bytes`].
///
/// # Errors
/// [`ReadError::Malformed`] unless `bytes` has [`TILE_BYTES`] bytes.
pub fn tile_hashes(bytes: &[u8]) -> Result<Box<[Hash; TILE_HASHES]>, ReadError> {
    let (chunks, rest) = bytes.as_chunks::<HASH_BYTES>();
    if !rest.is_empty() {
        return Err(ReadError::Malformed);
    }
    let hashes: Vec<Hash> = chunks.iter().copied().map(Hash).collect();
    hashes.into_boxed_slice().try_into().map_err(|_| ReadError::Malformed)
}

/// The right edge of the log's tree: enough to append, to give the root and to serve what is not
/// a full tile yet. At most 8 KiB per tile level.
#[derive(Clone, Debug, Default)]
pub struct LogTree {
    size: u64,
    levels: Vec<EdgeTile>,
}

impl LogTree {
    /// The tree without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of `size` entries, from its stored full tiles and the leaf hashes of the entries
    /// behind the last full tile of level 0 (`size % 256` of them, oldest first).
    ///
    /// Reads at most 255 tiles per level. The caller compares [`LogTree::root`] with the root it
    /// stored beside the entries: a difference means that the store lost or changed something.
    ///
    /// # Errors
    /// [`ReadError`] of the reader, or `Malformed` if `partial` has the wrong length.
    pub fn rebuild(
        size: u64,
        reader: &dyn TileReader,
        partial: &[Hash],
    ) -> Result<Self, ReadError> {
        if size > LOG_ENTRIES_MAX || u64::try_from(partial.len()) != Ok(size % TILE_COUNT) {
            return Err(ReadError::Malformed);
        }
        let mut tree = Self { size, levels: vec![EdgeTile::of(partial)] };
        for level in 1_u8.. {
            // The edge of this level is made of the roots of the last full tiles one level below.
            let count = size >> (TILE_HEIGHT * u32::from(level));
            if count == 0 {
                break;
            }
            let mut edge = EdgeTile::default();
            for index in count - count % TILE_COUNT..count {
                let below = reader.tile(level - 1, index)?;
                edge.push(EdgeTile::of(below.as_slice()).peaks[0]);
            }
            tree.levels.push(edge);
        }
        Ok(tree)
    }

    /// Entries in the tree.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root hash, RFC 6962 section 2.1. Costs at most one hash per set bit of the size.
    #[must_use]
    pub fn root(&self) -> Hash {
        let peaks = self.levels.iter().flat_map(|edge| edge.peaks.iter().rev());
        peaks.copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
    }

    /// What the tree would be after `leaves` (leaf hashes, see [`crate::leaf_hash`]). Changes
    /// nothing; the result can itself be asked for proofs, or staged upon.
    ///
    /// # Panics
    /// If the log would have more than [`LOG_ENTRIES_MAX`] entries, 28,000 years at 10,000/s.
    #[must_use]
    pub fn stage(&self, leaves: &[Hash]) -> StagedAppend {
        let mut tree = self.clone();
        let mut full_tiles = Vec::new();
        for leaf in leaves {
            tree.append(*leaf, &mut full_tiles);
        }
        let new_root = tree.root();
        StagedAppend { first_index: self.size, new_root, full_tiles, tree }
    }

    /// Makes a stage the tree. To be called once the transaction with the stage's entries and
    /// full tiles is durable: a crash before it leaves the old tree, a crash after it rebuilds
    /// the new one.
    ///
    /// # Errors
    /// [`StaleStage`] if the tree has grown since the stage was made; the tree is unchanged.
    pub fn apply(&mut self, staged: StagedAppend) -> Result<(), StaleStage> {
        if self.size != staged.first_index {
            return Err(StaleStage);
        }
        *self = staged.tree;
        Ok(())
    }

    /// The hashes of the tile that is not full yet at `level`, oldest first; empty if its level
    /// just has full tiles, or none.
    #[must_use]
    pub fn edge(&self, level: u8) -> &[Hash] {
        self.levels.get(usize::from(level)).map_or(&[], |edge| edge.hashes.as_slice())
    }

    /// The bytes of the partial tile (`level`, `index`) of `width` hashes, or `None` if that is
    /// not the edge of its level or the edge is narrower. `width` is 1 to 255.
    #[must_use]
    pub fn partial_tile_bytes(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
        let hashes = self.edge(level).get(..usize::from(width))?;
        let shift = TILE_HEIGHT * (u32::from(level) + 1);
        let is_edge = self.size.checked_shr(shift).unwrap_or(0) == index;
        (is_edge && width > 0).then(|| concatenate(hashes))
    }

    fn append(&mut self, leaf: Hash, full_tiles: &mut Vec<FullTile>) {
        assert!(self.size < LOG_ENTRIES_MAX, "the log is not full");
        let mut hash = leaf;
        for level in 0_u8.. {
            if self.levels.len() == usize::from(level) {
                self.levels.push(EdgeTile::default());
            }
            let edge = &mut self.levels[usize::from(level)];
            edge.push(hash);
            let Some((hashes, root)) = edge.take_if_full() else { break };
            let index = self.size >> (TILE_HEIGHT * (u32::from(level) + 1));
            full_tiles.push(FullTile { level, index, hashes });
            hash = root;
        }
        self.size += 1;
    }
}

/// An append that has been computed but not yet made durable.
#[derive(Clone, Debug)]
pub struct StagedAppend {
    /// Index of the first new entry; the others follow.
    pub first_index: u64,
    /// Root after the append.
    pub new_root: Hash,
    /// Tiles that the append completes, to be stored in the same transaction as the entries.
    pub full_tiles: Vec<FullTile>,
    tree: LogTree,
}

impl StagedAppend {
    /// Entries after the append.
    #[must_use]
    pub fn new_size(&self) -> u64 {
        self.tree.size
    }

    /// The tree after the append, for proofs or for a further stage.
    #[must_use]
    pub fn tree(&self) -> &LogTree {
        &self.tree
    }
}

/// The tree has grown since the stage was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleStage;

impl fmt::Display for StaleStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the log has grown since this append was staged")
    }
}

impl core::error::Error for StaleStage {}

/// The hashes of one tile that is not full yet, and the roots of the complete subtrees among
/// them (largest first), so that neither appending nor the root hashes the tile again.
#[derive(Clone, Debug, Default)]
struct EdgeTile {
    hashes: Vec<Hash>,
    peaks: Vec<Hash>,
}

impl EdgeTile {
    fn of(hashes: &[Hash]) -> Self {
        let mut edge = Self::default();
        for hash in hashes {
            edge.push(*hash);
        }
        edge
    }

    fn push(&mut self, hash: Hash) {
        // One carry of a binary counter per subtree that becomes complete.
        let mut node = hash;
        for _ in 0..self.hashes.len().trailing_ones() {
            let left = self.peaks.pop().expect("each set bit of the width has its peak");
            node = node_hash(&left, &node);
        }
        self.peaks.push(node);
        self.hashes.push(hash);
    }

    fn take_if_full(&mut self) -> Option<(Box<[Hash; TILE_HASHES]>, Hash)> {
        if self.hashes.len() < TILE_HASHES {
            return None;
        }
        let full = core::mem::take(self);
        let hashes = full.hashes.into_boxed_slice().try_into().expect("a full tile is 256 wide");
        Some((hashes, full.peaks[0]))
    }
}

fn concatenate(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// [`TILE_HASHES`] as a number of entries.
const TILE_COUNT: u64 = 1 << TILE_HEIGHT;
