//! The public face of the log: checkpoint, tiles and entries, as C2SP tlog-tiles serves them.

use lethe_log::{
    Hash, ReadError, TILE_HASHES, TileContent, TileName, TileReader, encode_bundle, tile_hashes,
};
use lethe_store::Store;

use crate::{Engine, EngineError, keys};

/// Full tiles as the store holds them.
pub(crate) struct StoredTiles<'a>(pub(crate) &'a dyn Store);

impl TileReader for StoredTiles<'_> {
    fn tile(&self, level: u8, index: u64) -> Result<Box<[Hash; TILE_HASHES]>, ReadError> {
        let found = self.0.get(&keys::tile(level, index));
        match found.map_err(|error| ReadError::Failed(Box::new(error)))? {
            Some(versioned) => tile_hashes(&versioned.value),
            None => Err(ReadError::Missing { level, index }),
        }
    }
}

impl Engine {
    /// The newest signed checkpoint.
    #[must_use]
    pub fn log_checkpoint(&self) -> String {
        self.shared.head.load().text.to_string()
    }

    /// The log's verifier key (C2SP signed-note).
    #[must_use]
    pub fn log_vkey(&self) -> &str {
        &self.shared.vkey
    }

    /// The tile or entry bundle of that name. Reads the store.
    ///
    /// Only what the newest checkpoint covers is served: a tile never runs ahead of a signature.
    /// What was served once never changes.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] if the log is not that large, or the partial tile's width is
    /// not that of the newest checkpoint or narrower.
    pub fn log_tile(&self, name: &TileName) -> Result<Vec<u8>, EngineError> {
        let head = self.shared.head.load_full();
        let first = name.index().checked_mul(256).ok_or(EngineError::ItemNotFound("tile"))?;
        let level = match name.content() {
            TileContent::Entries => 0,
            TileContent::Hashes { level } => level,
        };
        let span = 8 * u32::from(level);
        let reach = head.size.checked_shr(span).unwrap_or(0);
        let end = first.saturating_add(u64::from(name.width()));
        if end > reach {
            return Err(EngineError::ItemNotFound("tile"));
        }
        match name.content() {
            TileContent::Entries => self.bundle(first, end),
            TileContent::Hashes { level } => self.tile_bytes(level, name),
        }
    }

    fn bundle(&self, first: u64, end: u64) -> Result<Vec<u8>, EngineError> {
        let mut entries = Vec::new();
        for index in first..end {
            entries.push(self.stored(&keys::leaf(index))?);
        }
        encode_bundle(entries.iter().map(Vec::as_slice))
            .map_err(|_| EngineError::Internal("a bundle of log entries"))
    }

    fn tile_bytes(&self, level: u8, name: &TileName) -> Result<Vec<u8>, EngineError> {
        let edge = {
            let tree = self.shared.log.read();
            tree.partial_tile_bytes(level, name.index(), name.width())
        };
        if let Some(bytes) = edge {
            return Ok(bytes);
        }
        // The tile has become full since; its beginning is the partial tile that was asked for.
        let mut bytes = self.stored(&keys::tile(level, name.index()))?;
        bytes.truncate(usize::from(name.width()) * lethe_log::HASH_BYTES);
        Ok(bytes)
    }
}
