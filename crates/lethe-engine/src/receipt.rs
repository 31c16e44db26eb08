//! Puts receipts together: at once for a destruction that was just made, later from the tombstone.

use std::sync::Arc;

use lethe_log::{DestroyedDetail, Entry, Prover, Receipt, Salt, Subject};

use crate::catalogue::KeyEntry;
use crate::committer::ReceiptParts;
use crate::record::{Destruction, KeyRecord};
use crate::{Engine, EngineError, keys};

const BROKEN: EngineError =
    EngineError::Internal("a tombstone without what its receipt is made of");

/// The receipt of a destruction that was just made.
pub(crate) fn from_parts(parts: ReceiptParts) -> (Arc<KeyEntry>, Receipt) {
    let record = parts.entry.record();
    let receipt = Receipt {
        entry: parts.told.entry,
        subject: Subject::Key { key: record.id, realm: record.realm },
        detail: parts.told.detail,
        salt: Salt(record.salt),
        erasure: parts.erasure_note.to_string(),
        index: parts.index,
        inclusion: parts.proof,
        checkpoint: parts.checkpoint.to_string(),
    };
    (parts.entry, receipt)
}

impl Engine {
    /// The receipt of a tombstone against the newest checkpoint. Reads the store.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] if the key is not destroyed.
    pub(crate) fn receipt_of(&self, entry: &KeyEntry) -> Result<Receipt, EngineError> {
        let record = entry.record();
        let destruction =
            record.destruction.as_deref().ok_or(EngineError::ItemNotFound("receipt"))?;
        let detail = self.detail_of(record, destruction)?;
        self.receipt_at(record, destruction.epoch, destruction.log_index, detail)
    }

    /// The receipt of a version that was destroyed while its key went on. Reads the store.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] if there is none.
    pub(crate) fn receipt_of_version(
        &self,
        entry: &KeyEntry,
        number: u32,
    ) -> Result<Receipt, EngineError> {
        let record = entry.record();
        let mut ended = record.life().destroyed_versions.iter();
        let end = ended.find(|version| version.number == number);
        let end = end.ok_or(EngineError::ItemNotFound("receipt"))?;
        let detail = self.stored(&keys::version_end(record.id, number))?;
        let detail = core::str::from_utf8(&detail).map_err(|_| BROKEN)?;
        let detail = DestroyedDetail::parse(detail).map_err(|_| BROKEN)?;
        self.receipt_at(record, end.epoch, end.log_index, detail)
    }

    fn receipt_at(
        &self,
        record: &KeyRecord,
        epoch: u64,
        index: u64,
        detail: DestroyedDetail,
    ) -> Result<Receipt, EngineError> {
        let leaf = self.stored(&keys::leaf(index))?;
        let erasure = self.erasure_note(epoch)?;
        let (inclusion, checkpoint) = self.prove(index)?;
        Ok(Receipt {
            entry: parse_entry(&leaf)?,
            subject: Subject::Key { key: record.id, realm: record.realm },
            detail,
            salt: Salt(record.salt),
            erasure,
            index,
            inclusion,
            checkpoint,
        })
    }

    /// Inclusion of entry `index` in the newest signed checkpoint, and that checkpoint.
    fn prove(&self, index: u64) -> Result<(Vec<lethe_log::Hash>, String), EngineError> {
        // The head first: the tree may be ahead of it, never behind. The tree is cloned so that no
        // reader holds up the committer while tiles are read.
        let head = self.shared.head.load_full();
        let tree = self.shared.log.read().clone();
        let reader = crate::log_view::StoredTiles(&*self.shared.store);
        let inclusion = Prover::with_tiles(&tree, &reader, &self.shared.proof_tiles)
            .inclusion(index, head.size)
            .map_err(|_| EngineError::StorageUnavailable)?;
        Ok((inclusion, head.text.to_string()))
    }

    fn erasure_note(&self, epoch: u64) -> Result<String, EngineError> {
        if let Some(note) = self.shared.unsettled_notes.lock().get(&epoch) {
            return Ok(note.to_string());
        }
        String::from_utf8(self.stored(&keys::erased(epoch))?).map_err(|_| BROKEN)
    }

    /// The detail is not kept in memory once a tombstone was loaded from the store.
    fn detail_of(
        &self,
        record: &KeyRecord,
        destruction: &Destruction,
    ) -> Result<DestroyedDetail, EngineError> {
        if !destruction.detail.is_empty() {
            return parse_detail(destruction);
        }
        let stored = self.stored(&keys::key(record.created, record.id))?;
        let record = crate::record::codec::decode_key(&stored).map_err(|_| BROKEN)?;
        parse_detail(record.destruction.as_deref().ok_or(BROKEN)?)
    }

    pub(crate) fn stored(&self, key: &lethe_store::StoreKey) -> Result<Vec<u8>, EngineError> {
        let found = self.shared.store.get(key).map_err(|_| EngineError::StorageUnavailable)?;
        found.map(|versioned| versioned.value).ok_or(BROKEN)
    }
}

fn parse_entry(leaf: &[u8]) -> Result<Entry, EngineError> {
    let text = core::str::from_utf8(leaf).map_err(|_| BROKEN)?;
    Entry::parse(text).map_err(|_| BROKEN)
}

fn parse_detail(destruction: &Destruction) -> Result<DestroyedDetail, EngineError> {
    DestroyedDetail::parse(&destruction.detail).map_err(|_| BROKEN)
}
