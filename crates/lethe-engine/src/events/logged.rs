//! Events that are no longer in memory, read back from the log.
//!
//! A log entry hides whom it concerns behind a salted commitment. The engine holds the salts, so it
//! can tell: the commitment of every record of a realm is computed and looked for among the
//! entries.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use lethe_log::{Commitment, Entry, EntryType, Salt, Subject};
use lethe_types::limits::SCAN_ENTRIES_MAX;
use lethe_types::{KeyId, PrincipalId, RealmId};

use super::Event;
use crate::shared::Shared;
use crate::{EngineError, keys};

/// Whom an entry concerns.
#[derive(Clone, Copy)]
struct Resolved {
    key: Option<KeyId>,
    subject: Option<[u8; 16]>,
    /// Who destroyed the key, and at which index of the log.
    destroyed: Option<(u64, PrincipalId)>,
}

/// The events of `realm` with ids from `from` to below `end`, and the id to go on from. At most
/// [`SCAN_ENTRIES_MAX`] entries are read at a time.
///
/// Costs a read of the store and a hash of every key of the realm: for who was away, not for every
/// request.
///
/// # Errors
/// [`EngineError::StorageUnavailable`], [`EngineError::Internal`] for an entry that is missing or
/// damaged.
pub(crate) fn read(
    shared: &Shared,
    realm: RealmId,
    from: u64,
    end: u64,
) -> Result<(Vec<Event>, u64), EngineError> {
    let wanted = end.saturating_sub(from).min(u64::try_from(SCAN_ENTRIES_MAX).unwrap_or(u64::MAX));
    let mut entries = Vec::new();
    let mut next = from;
    let rows = u32::try_from(wanted).unwrap_or(u32::MAX).max(1);
    let page = shared.store.range(keys::LEAF, &from.to_be_bytes(), rows);
    for row in page.map_err(|_| EngineError::StorageUnavailable)?.rows {
        let damaged = || EngineError::Internal("an entry of the log");
        let bytes: [u8; 8] = row.key.bytes().try_into().map_err(|_| damaged())?;
        let index = u64::from_be_bytes(bytes);
        if index >= end {
            break;
        }
        if index != next {
            return Err(damaged());
        }
        let text = core::str::from_utf8(&row.versioned.value).map_err(|_| damaged())?;
        entries.push((index, Entry::parse(text).map_err(|_| damaged())?));
        next = index + 1;
    }
    if next == from {
        return Err(EngineError::Internal("an entry of the log"));
    }
    let subjects = resolve(shared, realm, &entries);
    let events = entries.iter().filter_map(|(index, entry)| {
        let resolved = subjects.get(&entry.subject?.0)?.as_ref()?;
        Some(event(*index, realm, entry, resolved))
    });
    Ok((events.collect(), next))
}

fn event(id: u64, realm: RealmId, entry: &Entry, resolved: &Resolved) -> Event {
    let by = resolved.destroyed.filter(|(index, _)| *index == id).map(|(_, by)| by);
    Event {
        id,
        time: entry.time,
        realm,
        kind: entry.entry_type.as_str(),
        key: resolved.key,
        subject: resolved.subject,
        by: by.filter(|_| entry.entry_type == EntryType::KeyDestroyed),
        door: entry.door.as_ref().map_or(Cow::Borrowed(""), |door| Cow::Owned(door.to_string())),
        due: None,
    }
}

/// By commitment, whom the entries concern; `None` for what is of another realm.
fn resolve(
    shared: &Shared,
    realm: RealmId,
    entries: &[(u64, Entry)],
) -> BTreeMap<[u8; 32], Option<Resolved>> {
    let wanted = entries.iter().filter_map(|(_, entry)| Some((entry.subject?.0, None)));
    let found: RefCell<BTreeMap<[u8; 32], Option<Resolved>>> = RefCell::new(wanted.collect());
    let look = |salt: &[u8; 32], subject: Subject, resolved: Resolved| {
        let commitment = Commitment::to_subject(&Salt(*salt), &subject);
        if let Some(place) = found.borrow_mut().get_mut(&commitment.0) {
            *place = Some(resolved);
        }
    };
    let of = |subject| Resolved { key: None, subject: Some(subject), destroyed: None };
    if let Some(record) = shared.catalogue.realm(realm) {
        look(&record.salt, Subject::Realm { realm }, of(realm.0));
    }
    for vault in shared.catalogue.all_vaults(realm) {
        look(&vault.salt, Subject::Vault { realm, vault: vault.id }, of(vault.id.0));
    }
    shared.catalogue.visit_principals(realm, |record| {
        let subject = Subject::Principal { principal: record.id, realm };
        look(&record.salt, subject, of(record.id.0));
    });
    shared.catalogue.visit(realm, |entry| {
        let record = entry.record();
        let destroyed = record.destruction.as_deref().map(|end| (end.log_index, end.by));
        let resolved = Resolved { key: Some(record.id), subject: None, destroyed };
        look(&record.salt, Subject::Key { key: record.id, realm }, resolved);
    });
    found.into_inner()
}
