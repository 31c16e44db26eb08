//! The tombstone journal at a start: what a crash kept from it is written now.

use lethe_store::{Batch, Store, StoreKey};

use super::StartError;
use super::load::{Loaded, rows};
use crate::journal::{Journal, JournalPlace, RootChange};
use crate::keys;

/// The journal beside the slot, with everything that is durable in the store; `None` if the
/// installation has no place for one.
pub(super) fn resume(
    place: Option<Box<dyn JournalPlace>>,
    store: &dyn Store,
    loaded: &Loaded,
) -> Result<Option<Journal>, StartError> {
    let Some(place) = place else { return Ok(None) };
    let mut journal = Journal::new(place, crate::journal::mac(&loaded.pepper));
    let Some(next_index) = journal.resume().map_err(StartError::Journal)? else {
        return Ok(Some(journal));
    };
    for change in unsettled(store)? {
        journal.write(Some(&change)).map_err(StartError::Journal)?;
    }
    // The entries of a change that was made are among them.
    let size = loaded.log.size();
    for first in (next_index..size).step_by(ENTRIES_AT_ONCE) {
        let mut entries = Vec::new();
        for index in first..size.min(first.saturating_add(AT_ONCE)) {
            let row = store.get(&keys::leaf(index))?;
            let row = row.ok_or(StartError::Damaged("an entry of the log"))?;
            entries.push(row.value);
        }
        journal.take(entries.into_iter());
        journal.write(None).map_err(StartError::Journal)?;
    }
    Ok(Some(journal))
}

/// The changes of the root that the store has and that are not settled, oldest first.
pub(super) fn unsettled(store: &dyn Store) -> Result<Vec<RootChange>, StartError> {
    let mut changes: Vec<(u64, Vec<u8>)> = Vec::new();
    rows(store, keys::JOURNAL, |key, row| {
        let damaged = StartError::Damaged("a row of the tombstone journal");
        let Some((epoch, _piece)) = key.split_first_chunk::<8>() else { return Err(damaged) };
        let epoch = u64::from_be_bytes(*epoch);
        match changes.last_mut().filter(|(last, _)| *last == epoch) {
            Some((_, bytes)) => bytes.extend_from_slice(&row.value),
            None => changes.push((epoch, row.value)),
        }
        Ok(())
    })?;
    let changes = changes.into_iter().map(|(_, bytes)| {
        RootChange::from_pieces(&bytes)
            .map_err(|_| StartError::Damaged("a row of the tombstone journal"))
    });
    changes.collect()
}

/// Removes what the journal was told above: the destructions of it are complete.
pub(super) fn drop_told(store: &dyn Store) -> Result<(), StartError> {
    let mut told = Vec::new();
    rows(store, keys::JOURNAL, |key, _| {
        let key = StoreKey::new(keys::JOURNAL, key);
        told.push(key.map_err(|_| StartError::Damaged("a row of the tombstone journal"))?);
        Ok(())
    })?;
    if !told.is_empty() {
        store.commit(told.into_iter().fold(Batch::new(), Batch::delete))?;
    }
    Ok(())
}

/// Log entries of one record.
const AT_ONCE: u64 = 4_096;
/// The same, as a step.
const ENTRIES_AT_ONCE: usize = 4_096;
