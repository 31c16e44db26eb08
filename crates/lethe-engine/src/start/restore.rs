//! From a backup to an installation: the rows, then everything that was destroyed since.
//!
//! Order, and what a crash after each step leaves:
//! 1. *rows*: the store is marked; a start refuses it. Remove it and restore again.
//! 2. *destroyed again*: tombstones from the journal, the log continued to where it was signed.
//! 3. *root*: for each piece of the cuts the re-keyed nodes, a record in the journal, a new root in
//!    the slot, the old one erased. Another restore finds this step in journal and slot.
//! 4. *ready*: the mark goes. From here on it is an installation like any other.
//!
//! The root of the backup stays in the slot until its window ends, so that a restore can be done
//! again. The root that the lost data had goes with step 3: from then on that data opens nowhere.

mod error;
mod loader;
mod merge;
mod root;

use std::collections::BTreeSet;

use lethe_erasure::slot::SlotImage;
use lethe_erasure::tree::{Committed, NodeAddress, StoredNodes, Tree};
use lethe_log::{
    BackupNote, Entry, EntryType, ErasureFacts, ErasureNote, Invalidation, LogSigner, LogTree,
    Quorum, SlotFact, Word, leaf_hash,
};
use lethe_store::Batch;
use lethe_types::{BackupId, BatchId, Secret, UnixMillis};

pub use error::RestoreError;
pub use loader::RestoreLoader;

use super::load::{load_log, rows};
use super::recover::{meta, secret};
use super::{FORMAT_READY, FORMAT_RESTORING, Parts, StartError};
use crate::committer::{SOFTWARE, log_writes, told_of};
use crate::head_guard::{self, GuardedHead};
use crate::journal::{self, Journal, JournalSegment, Replay, RootChange};
use crate::{failpoint, keys, system};

/// Leaves that are cut in one epoch: their nodes fit one transaction.
const CUTS_AT_ONCE: usize = 16_384;
/// Log entries that are stored in one transaction.
const ENTRIES_AT_ONCE: usize = 4_096;
/// How far the revisions of a restored store are ahead of its backup: further than the lost store
/// can have got, so that no revision is given twice.
const REVISIONS_AHEAD: u64 = 1 << 32;

/// What [`restore`] works on.
#[derive(Debug)]
pub struct RestoreParts {
    /// The store into which a [`RestoreLoader`] put the rows of the backup; its slot, what lies
    /// beside the slot, and the rest of an engine.
    pub parts: Parts,
    /// The signed note of the newest segment that was loaded.
    pub note: String,
}

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The backup.
    pub backup: BackupId,
    /// When it was taken.
    pub taken: UnixMillis,
    /// Keys and other secrets that were destroyed since and are destroyed again.
    pub destroyed_again: u64,
    /// Log entries since, which the journal had.
    pub log_entries_continued: u64,
    /// Entries of the log now.
    pub log_size: u64,
    /// The epoch of the erasure tree now.
    pub epoch: u64,
    /// The log's verification key.
    pub log_vkey: String,
}

/// The first revision of a store into which a backup with this note is to be restored.
#[must_use]
pub fn first_revision(note: &BackupNote) -> u64 {
    note.revision.saturating_add(REVISIONS_AHEAD)
}

/// Makes an installation of a store that holds the rows of a backup. It can be started then.
///
/// # Errors
/// [`RestoreError`]. The store is to be removed; slot and journal are as good as before for another
/// try.
pub fn restore(work: RestoreParts) -> Result<Restored, RestoreError> {
    let RestoreParts { mut parts, note: signed } = work;
    let note = BackupNote::parse_unverified(&signed).map_err(RestoreError::Note)?;
    let settled_epoch = check_rows(&parts, &note)?;
    let found = root::find(parts.slot.load()?, &note, settled_epoch, parts.clock.now())?;
    let mut tree = open_tree(&parts, &note, &found.roots)?;
    let signer = signer_of(&parts, &tree)?;
    // Only the log that is sealed under the root says who may sign a backup.
    let note = BackupNote::open(&signed, signer.verifier_key()).map_err(RestoreError::Note)?;
    let (mut log, newest_entry) = load_log(&parts)?;
    if (log.size(), log.root()) != (note.log_size, note.log_root) {
        return Err(RestoreError::Rows("its log is not the one of its note"));
    }
    let (_, pepper) = secret(&parts, &tree, system::PEPPER)?;
    let place = parts.guard.journal().ok_or(RestoreError::NoJournal)?;
    let mac = journal::mac(&pepper);
    let segment = JournalSegment { epoch: tree.epoch(), log_size: note.log_size };
    let mut replay = Replay::read(&*place, &mac, segment, found.newest.current.epoch)
        .map_err(|error| RestoreError::Replay(Box::new(error)))?;
    check_head(&parts, note.log_size, &replay)?;
    let begun = begun_in_copy(&parts, tree.epoch())?;

    let mut journal = Journal::new(place, mac);
    journal.resume().map_err(RestoreError::Journal)?;
    if journal.newest().is_none() {
        journal.begin(segment).map_err(RestoreError::Journal)?;
    }
    let continued = replay.entries.len();
    append_log(&parts, &mut log, &replay.entries)?;
    journal.continue_at(log.size());
    head_guard::check(&*parts.guard, &log, &*parts.store)?;
    for change in begun {
        // A backup that is older needs to be told of it too.
        journal.write(Some(&change)).map_err(RestoreError::Journal)?;
        replay.changes.entry(change.epoch_to).or_insert(change);
    }
    let cuts = cuts_of(&replay.changes, &tree);
    merge::destroy_again(&*parts.store, &replay.changes, &cuts)?;
    failpoint::hit("restore.destroyed_again");

    let before = found.newest.current.epoch;
    // A copy that followed may lack the note about its own epoch: it is stored after the change.
    let opened = tree.epoch();
    let lacks_note = opened > 1 && parts.store.get(&keys::erased(opened))?.is_none();
    let noted = replay.changes.keys().copied().chain(lacks_note.then_some(opened));
    let reached = replay.changes.keys().copied().max().unwrap_or(0).max(before);
    let change = Change { newest: found.newest, reached, cuts: &cuts };
    let image = change_root(&mut parts, &mut tree, change, &mut journal)?;
    let last = parts.clock.now().max(newest_entry);
    let ended = Ended { parts: &parts, tree: &tree, image: &image, signer: &signer, now: last };
    ended.sign_notes(noted)?;
    ended.append_entry(&mut log, &mut journal, before)?;
    failpoint::hit("restore.settled");
    let ready = Batch::new()
        .put(keys::meta("restored"), log.size().to_be_bytes().to_vec())
        .put(keys::meta("format"), FORMAT_READY.to_vec());
    parts.store.commit(ready)?;
    failpoint::hit("restore.ready");
    let head = GuardedHead { size: log.size(), root: log.root().0 };
    parts.guard.keep(head).map_err(StartError::HeadGuard)?;
    Ok(Restored {
        backup: note.backup,
        taken: note.created,
        destroyed_again: u64::try_from(cuts.len()).unwrap_or(u64::MAX),
        log_entries_continued: u64::try_from(continued).unwrap_or(u64::MAX),
        log_size: log.size(),
        epoch: tree.epoch(),
        log_vkey: signer.verifier_key().to_string(),
    })
}

/// The rows are those of the note's tree, and nothing else was made of them. Gives the epoch at
/// which they were settled: in a copy that followed it may be one behind that of the note.
fn check_rows(parts: &Parts, note: &BackupNote) -> Result<u64, RestoreError> {
    if meta(parts, "format")? != FORMAT_RESTORING {
        return Err(RestoreError::Rows("the store is not one that a backup was loaded into"));
    }
    let tree_id = super::recover::tree_id(parts)?;
    let epoch = meta(parts, "epoch")?.try_into().map(u64::from_be_bytes);
    let epoch = epoch.map_err(|_| RestoreError::Rows("its epoch cannot be read"))?;
    if tree_id != note.tree_id || !(epoch..=epoch.saturating_add(1)).contains(&note.epoch) {
        return Err(RestoreError::Rows("its rows are not those of its note"));
    }
    Ok(epoch)
}

/// Opens the erasure tree with the first root that does.
fn open_tree(
    parts: &Parts,
    note: &BackupNote,
    roots: &[(u64, Secret<32>)],
) -> Result<Tree, RestoreError> {
    let mut nodes = StoredNodes::new();
    rows(&*parts.store, keys::NODE, |key, row| {
        let damaged = || StartError::Damaged("a node of the erasure tree");
        let address = NodeAddress::parse(key).map_err(|_| damaged())?;
        nodes.insert(address, row.value).map_err(|_| damaged())
    })?;
    let mut opened = roots
        .iter()
        .filter_map(|(epoch, root)| Tree::open(note.tree_id, *epoch, root, &nodes).ok());
    let opened =
        opened.next().ok_or(RestoreError::Rows("its erasure tree does not open under its root"))?;
    let leftover = opened.leftover().iter();
    let batch = leftover.fold(Batch::new(), |batch, node| batch.delete(keys::node(node)));
    if !opened.leftover().is_empty() {
        parts.store.commit(batch)?;
    }
    Ok(opened.leftovers_dropped())
}

/// The changes of the root that a copy that followed has and whose root was not in the slot yet:
/// they are carried out, as after any crash. Takes the rows that tell of them.
fn begun_in_copy(parts: &Parts, opened_epoch: u64) -> Result<Vec<RootChange>, RestoreError> {
    let changes = super::journal::unsettled(&*parts.store)?;
    super::journal::drop_told(&*parts.store)?;
    Ok(changes.into_iter().filter(|change| change.epoch_to > opened_epoch).collect())
}

fn signer_of(parts: &Parts, tree: &Tree) -> Result<LogSigner, RestoreError> {
    let (_, seed) = secret(parts, tree, system::LOG_SEED)?;
    let origin = String::from_utf8(meta(parts, "origin")?);
    let origin = origin.map_err(|_| StartError::Damaged("the log's name"))?;
    let key = lethe_crypto::note_key::NoteSigningKey::from_seed(&seed)
        .map_err(|_| StartError::Damaged("the log's signing key"))?;
    Ok(LogSigner::new(&origin, key).map_err(|_| StartError::Damaged("the log's name"))?)
}

/// The journal reaches as far as the log was signed.
fn check_head(parts: &Parts, log_size: u64, replay: &Replay) -> Result<(), RestoreError> {
    let continued = u64::try_from(replay.entries.len()).unwrap_or(u64::MAX);
    let known = log_size.saturating_add(continued);
    match parts.guard.load().map_err(StartError::HeadGuard)? {
        Some(head) if head.size > known => Err(RestoreError::LogShort { signed: head.size, known }),
        Some(_) | None => Ok(()),
    }
}

fn append_log(parts: &Parts, log: &mut LogTree, entries: &[Vec<u8>]) -> Result<(), RestoreError> {
    for piece in entries.chunks(ENTRIES_AT_ONCE) {
        let hashes: Vec<_> = piece.iter().map(|entry| leaf_hash(entry)).collect();
        let append = log.stage(&hashes);
        let mut batch = Batch::new();
        for (index, entry) in (append.first_index..).zip(piece) {
            batch = batch.put(keys::leaf(index), entry.clone());
        }
        log_writes(&append).into_iter().for_each(|write| batch.push(write));
        parts.store.commit(batch)?;
        log.apply(append).map_err(|_| StartError::Damaged("the log"))?;
    }
    Ok(())
}

/// The leaves that were cut since and that the backup still has. Of a leaf that was cut and given
/// again, the first cut took what the backup has there.
fn cuts_of(changes: &std::collections::BTreeMap<u64, RootChange>, tree: &Tree) -> BTreeSet<u64> {
    let cuts = changes.values().flat_map(|change| change.cuts.iter().copied());
    cuts.filter(|leaf| tree.is_taken(*leaf)).collect()
}

/// What [`change_root`] is to do.
struct Change<'a> {
    /// What the slot holds.
    newest: SlotImage,
    /// The newest epoch that was given to any change.
    reached: u64,
    /// Leaves that go.
    cuts: &'a BTreeSet<u64>,
}

/// A new root, and everything in `cuts` gone under it. What the slot holds then.
fn change_root(
    parts: &mut Parts,
    tree: &mut Tree,
    change: Change<'_>,
    journal: &mut Journal,
) -> Result<SlotImage, RestoreError> {
    let Change { newest, mut reached, cuts } = change;
    // The root of a batch that was cut short, or what is no image at all, is in the way.
    parts.slot.erase_all_but(newest.generation)?;
    let cuts: Vec<u64> = cuts.iter().copied().collect();
    let mut pieces: Vec<&[u64]> = cuts.chunks(CUTS_AT_ONCE).collect();
    if pieces.is_empty() {
        // The root of a backup is known to whoever held it: it is never the current one again.
        pieces.push(&[]);
    }
    let mut image = newest;
    for piece in pieces {
        let epoch_to = reached.saturating_add(1);
        reached = epoch_to;
        let staged = tree.stage_new_epoch(piece, epoch_to, &*parts.entropy)?;
        let nodes = staged.writes().iter();
        let pending = nodes.fold(Batch::new(), |batch, node| {
            batch.put(keys::node(&node.address), node.blob.to_vec())
        });
        parts.store.commit(pending)?;
        let change = RootChange { epoch_to, cuts: piece.to_vec(), ..RootChange::default() };
        journal.write(Some(&change)).map_err(RestoreError::Journal)?;
        failpoint::hit("restore.journaled");
        let Committed::NewRoot(step) = staged.committed() else {
            return Err(StartError::Damaged("a change that leaves the root").into());
        };
        let batch = BatchId::random(&*parts.entropy)?;
        let seconds = parts.clock.now().seconds();
        let written = step.write_root(&mut *parts.slot, &image, batch, seconds);
        let written = written.map_err(|failed| failed.error)?;
        failpoint::hit("restore.root_written");
        let erased = written.erase_old(&mut *parts.slot).map_err(|failed| failed.error)?;
        failpoint::hit("restore.old_root_erased");
        let applied = tree.apply(erased)?;
        let drops = applied.drops.iter();
        let epoch = Batch::new().put(keys::meta("epoch"), tree.epoch().to_be_bytes().to_vec());
        parts.store.commit(drops.fold(epoch, |batch, node| batch.delete(keys::node(node))))?;
        image = applied.image;
    }
    Ok(image)
}

/// A restored tree whose old roots are gone, and what there is to say about it.
struct Ended<'a> {
    parts: &'a Parts,
    tree: &'a Tree,
    image: &'a SlotImage,
    signer: &'a LogSigner,
    now: UnixMillis,
}

impl Ended<'_> {
    fn slot_fact(&self) -> SlotFact {
        let word = |text: &str| text.parse::<Word>().expect("kinds and classes are words");
        SlotFact {
            kind: word(self.parts.slot.kind().as_str()),
            class: word(self.parts.slot.class().as_str()),
            generation: self.image.generation,
        }
    }

    fn until(&self, epoch: u64) -> Option<UnixMillis> {
        let until_s = self.image.recoverable_until_s(epoch)?;
        Some(UnixMillis(until_s.saturating_mul(1_000)))
    }

    /// The notes of the lost data are lost with it; what they said is true at the latest now.
    fn sign_notes(&self, epochs: impl Iterator<Item = u64>) -> Result<(), RestoreError> {
        let (lost_replicas, recovery_shares) = told_of(self.parts.slot.remnants());
        let mut batch = Batch::new();
        for epoch_to in epochs {
            let note = ErasureNote {
                tree_id: self.tree.tree_id(),
                epoch_from: epoch_to - 1,
                epoch_to,
                irrecoverable_since: self.now,
                slot: self.slot_fact(),
                recoverable_from_backups_until: self.until(epoch_to - 1),
                lost_replicas,
                recovery_shares,
            };
            let text = note.sign(self.signer);
            let text = text.map_err(|_| StartError::Damaged("an erasure note"))?;
            batch = batch.put(keys::erased(epoch_to), text.into_bytes());
        }
        if !batch.writes().is_empty() {
            self.parts.store.commit(batch)?;
        }
        Ok(())
    }

    fn append_entry(
        &self,
        log: &mut LogTree,
        journal: &mut Journal,
        epoch_from: u64,
    ) -> Result<(), RestoreError> {
        let entry = Entry {
            entry_type: EntryType::TreeRestored,
            time: self.now,
            tree_id: self.tree.tree_id(),
            revision: self.parts.store.revision()?.0 + 1,
            software: SOFTWARE.to_owned(),
            door: None,
            subject: None,
            detail: None,
            erasure: Some(ErasureFacts {
                epoch_from,
                epoch_to: self.tree.epoch(),
                slots: vec![self.slot_fact()],
                quorum: Quorum { erased: 1, n: 1, t: 1 },
                invalidation: Invalidation { acked: 1, evicted: 0 },
                backups_after: self.until(epoch_from),
            }),
        };
        let text = entry.to_json().map_err(|_| StartError::Damaged("a log entry"))?;
        let entries = [text.into_bytes()];
        append_log(self.parts, log, &entries)?;
        journal.take(entries.into_iter());
        journal.write(None).map_err(RestoreError::Journal)
    }
}
