//! Makes a batch durable, and its destructions final.

use std::sync::Arc;

use lethe_erasure::slot::Remnants;
use lethe_erasure::tree::{
    Committed, Erased, NewRoot, RootAhead, RootWritten, RootWrittenAhead, Staged,
};
use lethe_log::{
    ErasureNote, FullTile, Hash, LostReplicas, ProofTiles, Prover, ReadError, RecoveryShares,
    StagedAppend, TILE_HASHES, TileReader, leaf_hash,
};
use lethe_store::{Batch as StoreBatch, Revision, StoreError, Write};
use lethe_types::{BatchId, RealmId};

use super::batch::{Batch, leaves_that_come, leaves_that_go, put, reopen};
use super::draft::Effect;
use super::outcome::{Committed as Outcome, Made, ReceiptParts};
use super::settle::Epoch;
use super::{Committer, Step};
use crate::catalogue::{KeyEntry, Usage};
use crate::journal::RootChange;
use crate::log_view::StoredTiles;
use crate::shared::SignedHead;
use crate::start::LogHead;
use crate::{EngineError, failpoint, keys};

/// How often the store is asked whether a commit of unknown outcome was applied.
const RESOLVE_ATTEMPTS_MAX: usize = 3;
/// How often a step of the slot is tried before the committer halts.
const SLOT_ATTEMPTS_MAX: usize = 3;

/// A batch that is durable and, if it destroys, final.
pub(super) struct Durable {
    revision: Revision,
    first_index: u64,
    head: Arc<SignedHead>,
    erasure_note: Option<Arc<str>>,
    proofs: Vec<Vec<Hash>>,
}

impl Committer {
    /// Steps 2 to 4, and the signatures of step 5.
    ///
    /// # Errors
    /// Whatever failed. If the outcome is unknown, or the slot failed after the commit, the
    /// committer has halted: the next start completes what was begun.
    pub(super) fn make_durable(
        &mut self,
        batch: &mut Batch,
        staged: Staged,
    ) -> Result<Durable, EngineError> {
        let entries = || batch.drafts().filter_map(|draft| draft.entry.as_ref());
        let hashes: Vec<Hash> = entries().map(|entry| leaf_hash(entry)).collect();
        let mut told: Vec<Vec<u8>> = Vec::new();
        if self.is_journaling() {
            told.extend(entries().cloned());
        }
        let append = self.shared.log.read().stage(&hashes);
        let mut writes = Vec::new();
        for (index, entry) in (append.first_index..).zip(entries()) {
            writes.push(put(keys::leaf(index), entry.clone()));
        }
        writes.extend(listed_cuts(batch, staged.epoch_to()));
        let remembered = batch.items.iter().filter_map(|item| item.remembered.as_ref());
        writes.extend(
            remembered.map(|(place, answer)| put(keys::idempotent(place), answer.encode())),
        );
        let change = self.journaled_change(batch, &staged, &mut told);
        let pieces = change.as_ref().map(RootChange::pieces).transpose();
        let pieces = pieces.map_err(|_| EngineError::Internal("a batch past its bounds"))?;
        let pieces = pieces.unwrap_or_default();
        let pieces_count = pieces.len();
        writes.extend(pieces.into_iter().map(|(key, piece)| put(key, piece)));
        for drafted in batch.items.iter_mut().flat_map(|item| &mut item.drafted) {
            writes.append(&mut drafted.writes);
        }
        let settled = self.unsettled.writes();
        let forgotten = self.forget_expired(batch, &mut writes);
        writes.extend(staged_writes(&staged, &append));
        writes.extend(settled);
        let mut proofs = None;
        let (revision, ahead) =
            self.commit_beside_slot(&staged, writes, change.as_ref(), |tiles| {
                // Without the store, which is busy: what memory lacks is proven after the commit.
                proofs = prove(&NoTiles, tiles, batch, &append).ok();
            })?;
        failpoint::hit("commit.durable");
        self.journal_committed(change.as_ref(), ahead.is_some(), told)?;
        self.wait_for_followers(staged.needs_root_change());
        self.settled();
        self.shared.idempotency.forget(&forgotten);
        let erasure_note = self.finish_tree(batch, staged, ahead, pieces_count)?;
        let head = self.sign_head(&append);
        let stored = StoredTiles(&*self.shared.store);
        let proofs = match proofs {
            Some(proofs) => proofs,
            None => prove(&stored, &self.proof_tiles, batch, &append)
                .map_err(|_| self.halted_by("a full tile of the log does not come back"))?,
        };
        let first_index = append.first_index;
        let applied = self.shared.log.write().apply(append);
        applied.map_err(|_| self.halted_by("the log grew beside the committer"))?;
        self.show_head(head.clone());
        Ok(Durable { revision, first_index, head, erasure_note, proofs })
    }

    fn forget_expired(&self, batch: &Batch, writes: &mut Vec<Write>) -> Vec<[u8; 32]> {
        const AT_ONCE: usize = 256;
        let mut expired = self.shared.idempotency.expired(self.shared.clock.now(), AT_ONCE);
        // A key that comes again after its time is written anew by this batch.
        let places = || batch.items.iter().filter_map(|item| item.submission.idempotency.as_ref());
        expired.retain(|place| !places().any(|written| written.place == *place));
        writes.extend(expired.iter().map(|place| Write::Delete { key: keys::idempotent(place) }));
        expired
    }

    /// Commits; if the root changes, the slot takes the new one at the same time, and then comes
    /// `meanwhile`, which must change nothing. The two may come in either order, so that one sync
    /// need not wait for the other: nothing ends before the third.
    fn commit_beside_slot(
        &mut self,
        staged: &Staged,
        writes: Vec<Write>,
        change: Option<&RootChange>,
        meanwhile: impl FnOnce(&ProofTiles),
    ) -> Result<(Revision, Option<RootWrittenAhead>), EngineError> {
        if !staged.needs_root_change() {
            return Ok((self.commit(writes)?, None));
        }
        let batch = BatchId::random(&*self.shared.entropy)?;
        let seconds = self.shared.clock.now().seconds();
        let ahead = RootAhead::of(staged, &self.image, batch, seconds)
            .map_err(|_| EngineError::Internal("the slot's image does not go on"))?;
        let (store, slot) = (&*self.shared.store, &mut *self.slot);
        let mut journal = self.journal.as_mut();
        let mut ahead = ahead;
        let mut write = || {
            // What a restore must destroy again is known before the root that it needs is. If
            // journal or slot fail, both are written after the commit.
            if let (Some(journal), Some(change)) = (journal.as_deref_mut(), change) {
                if journal.write(Some(change)).is_err() {
                    return None;
                }
                failpoint::hit("commit.journaled");
            }
            let written = ahead.take().and_then(|ahead| ahead.write(slot).ok());
            failpoint::hit("slot.root_ahead");
            written
        };
        let (mut meanwhile, mut written) = (Some(meanwhile), None);
        let mut beside = || {
            written = write();
            if let Some(meanwhile) = meanwhile.take() {
                meanwhile(&self.proof_tiles);
            }
        };
        let committed = store.commit_beside(batch_of(writes), &mut beside);
        Ok((self.settle_outcome(committed)?, written))
    }

    /// Commits, and finds out what happened if the store does not know.
    pub(super) fn commit(&mut self, writes: Vec<Write>) -> Result<Revision, EngineError> {
        let committed = self.shared.store.commit(batch_of(writes));
        self.settle_outcome(committed)
    }

    fn settle_outcome(
        &mut self,
        committed: Result<Revision, StoreError>,
    ) -> Result<Revision, EngineError> {
        match committed {
            Ok(revision) => {
                self.revision = revision;
                Ok(revision)
            }
            Err(StoreError::Full) => Err(EngineError::StorageFull),
            Err(StoreError::Unavailable { .. }) => self.resolve(),
            Err(
                StoreError::Closed
                | StoreError::Conflict { .. }
                | StoreError::Corrupt { .. }
                | StoreError::Invalid { .. }
                | StoreError::TooLarge { .. }
                | StoreError::WatchLost,
            ) => Err(EngineError::StorageUnavailable),
        }
    }

    /// The commit may or may not have been applied. This thread is the store's only writer, so
    /// the store's revision tells.
    fn resolve(&mut self) -> Result<Revision, EngineError> {
        for _ in 0..RESOLVE_ATTEMPTS_MAX {
            match self.shared.store.revision() {
                Ok(revision) if revision == self.revision => {
                    return Err(EngineError::StorageUnavailable);
                }
                Ok(revision) => {
                    self.revision = revision;
                    return Ok(revision);
                }
                Err(_) => {}
            }
        }
        Err(self.halted_by("the store does not tell whether a commit was applied"))
    }

    fn halted_by(&self, what: &'static str) -> EngineError {
        self.halt(what);
        EngineError::StorageUnavailable
    }

    /// Brings the tree in memory to the state that is durable now. With destructions this is where
    /// the old root ends; the answer is the signed note about it.
    fn finish_tree(
        &mut self,
        batch: &Batch,
        staged: Staged,
        ahead: Option<RootWrittenAhead>,
        journal_pieces: usize,
    ) -> Result<Option<Arc<str>>, EngineError> {
        let (epoch_from, epoch_to) = (staged.epoch_from(), staged.epoch_to());
        let beside = "the erasure tree changed beside the committer";
        let new_root = match staged.committed() {
            Committed::SameRoot(same) => {
                let applied = self.shared.tree.write().apply_same_root(same);
                return applied.map(|_| None).map_err(|_| self.halted_by(beside));
            }
            Committed::NewRoot(new_root) => new_root,
        };
        let erased = self.change_root(new_root, ahead)?;
        failpoint::hit("slot.old_root_erased");
        let applied = self.shared.tree.write().apply(erased);
        let applied = applied.map_err(|_| self.halted_by(beside))?;
        self.image = applied.image;
        self.root_changed();
        self.shared.note_retained(&self.image);
        self.drop_idle_journal();
        let note = self.sign_erasure(epoch_from, epoch_to)?;
        let lists_cuts = listed_cuts(batch, epoch_to).is_some();
        self.unsettled.add(Epoch {
            epoch_to,
            drops: applied.drops,
            note: note.clone(),
            lists_cuts,
            journal_pieces,
            freed: freed_by(batch),
        });
        Ok(Some(note))
    }

    /// The two steps of the slot, each tried a few times.
    fn change_root(
        &mut self,
        new_root: NewRoot,
        ahead: Option<RootWrittenAhead>,
    ) -> Result<Erased, EngineError> {
        let joined = match ahead {
            Some(ahead) => new_root.join(ahead),
            None => Err(Box::new(new_root)),
        };
        let written = match joined {
            Ok(written) => written,
            Err(new_root) => self.write_root(*new_root)?,
        };
        failpoint::hit("slot.root_written");
        let mut step = written;
        let mut attempts = 1..SLOT_ATTEMPTS_MAX;
        loop {
            match step.erase_old(&mut *self.slot) {
                Ok(erased) => return Ok(erased),
                Err(failed) if attempts.next().is_some() => step = failed.step,
                Err(_) => return Err(self.halted_by("the slot does not erase the old root")),
            }
        }
    }

    fn write_root(&mut self, new_root: NewRoot) -> Result<RootWritten, EngineError> {
        let batch = BatchId::random(&*self.shared.entropy);
        let batch = batch.map_err(|_| self.halted_by("the random source failed"))?;
        let seconds = self.shared.clock.now().seconds();
        let mut step = new_root;
        let mut attempts = 1..SLOT_ATTEMPTS_MAX;
        loop {
            match step.write_root(&mut *self.slot, &self.image, batch, seconds) {
                Ok(written) => return Ok(written),
                Err(failed) if attempts.next().is_some() => step = failed.step,
                Err(_) => return Err(self.halted_by("the slot does not take the new root")),
            }
        }
    }

    /// The note that the root of `epoch_from` is gone. The time is now, but not before the entries
    /// that it speaks of: the clock may have stepped back.
    pub(super) fn sign_erasure(
        &self,
        epoch_from: u64,
        epoch_to: u64,
    ) -> Result<Arc<str>, EngineError> {
        let (lost_replicas, recovery_shares) = told_of(self.slot.remnants());
        let note = ErasureNote {
            tree_id: self.shared.tree_id,
            epoch_from,
            epoch_to,
            irrecoverable_since: self.shared.clock.now().max(self.last_entry_time),
            slot: self.slot_fact(self.image.generation),
            recoverable_from_backups_until: self.recoverable_until(epoch_from),
            lost_replicas,
            recovery_shares,
        };
        let text = note.sign(&self.signer);
        let text: Arc<str> = text.map_err(|_| self.halted_by("an erasure note"))?.into();
        self.shared.unsettled_notes.lock().insert(epoch_to, text.clone());
        Ok(text)
    }

    pub(super) fn sign_head(&self, append: &StagedAppend) -> Arc<SignedHead> {
        let size = append.new_size();
        let text = self.signer.checkpoint(size, append.new_root).into();
        Arc::new(SignedHead { size, text })
    }

    /// Step 5: every later request sees the batch. Returns what to answer to whom.
    pub(super) fn publish(
        &self,
        batch: Batch,
        durable: Durable,
    ) -> Vec<(super::submission::ReplySender, Outcome)> {
        let mut answers = Vec::with_capacity(batch.items.len());
        let mut events = Vec::with_capacity(batch.items.len());
        let mut indexes = durable.first_index..;
        let mut proofs = durable.proofs.into_iter();
        for item in batch.items {
            if let Some((place, remembered)) = item.remembered {
                self.shared.idempotency.insert(place, remembered);
            }
            let mut made = Vec::with_capacity(item.drafted.len());
            for (step, drafted) in item.submission.change.steps.iter().zip(item.drafted) {
                let log_index = drafted.entry.as_ref().and_then(|_| indexes.next());
                events.extend(drafted.event);
                let entry = self.publish_effect(drafted.effect, step, durable.revision);
                let receipt = drafted.told.zip(durable.erasure_note.as_ref()).zip(log_index);
                made.push(match (entry, receipt) {
                    (Some(entry), Some(((told, note), index))) => {
                        Made::Destroyed(Box::new(ReceiptParts {
                            entry,
                            told,
                            index,
                            proof: proofs.next().unwrap_or_default(),
                            checkpoint: durable.head.text.clone(),
                            erasure_note: note.clone(),
                        }))
                    }
                    (Some(entry), None) => Made::Key { entry, log_index },
                    (None, _) => Made::Other { log_index },
                });
            }
            answers.push((item.submission.reply, Outcome { made }));
        }
        self.shared.events.publish(events, durable.head.size);
        answers
    }

    /// Puts a record where everybody looks; the entry, if it is a key's.
    fn publish_effect(
        &self,
        effect: Effect,
        step: &Step,
        revision: Revision,
    ) -> Option<Arc<KeyEntry>> {
        let catalogue = &self.shared.catalogue;
        match effect {
            Effect::Key(mut record) => {
                if let Some(destruction) = &mut record.destruction {
                    // Only recovery needs the leaves, and receipts read the detail back.
                    destruction.leaves = Vec::new();
                    destruction.detail = Box::default();
                }
                let entry = Arc::new(KeyEntry::new(*record, revision, usage_of(step)));
                catalogue.publish_key(entry.clone());
                return Some(entry);
            }
            Effect::Approval(record) => catalogue.publish_approval(*record),
            Effect::ImportKey(record) => catalogue.publish_import_key(*record),
            Effect::ImportKeyGone(id) => catalogue.remove_import_key(id),
            Effect::Job(record) => catalogue.publish_job(*record),
            Effect::Principal(record) => {
                catalogue
                    .publish_principal(Arc::new(crate::PrincipalEntry::new(*record, revision)));
            }
            Effect::Realm(record) => catalogue.publish_realm(*record),
            Effect::Vault(record) => catalogue.publish_vault(*record),
            Effect::Nothing => {}
        }
        None
    }

    /// Nothing of the batch was made, or its outcome is unknown and the committer has halted.
    ///
    /// A batch that certainly failed may have failed for one of its changes: each is tried alone.
    pub(super) fn give_up(&mut self, batch: Batch, error: &EngineError) {
        let halted = self.shared.is_halted();
        let alone = batch.items.len() == 1 || *error == EngineError::StorageFull;
        let mut again = Vec::new();
        for item in batch.items {
            if !halted {
                for (realm, leaf) in item.leaves {
                    // A leaf that is not taken any more needs no release.
                    let _forgotten = self.allocator.forget(realm, leaf);
                }
                // Nothing is durable: the keys are as live as before.
                reopen(&item.submission);
            }
            if halted || alone {
                item.submission.refuse(error.clone());
            } else {
                again.push(item.submission);
            }
        }
        for submission in again {
            self.commit_paced(vec![submission]);
        }
    }
}

/// For proofs from memory alone.
struct NoTiles;

impl TileReader for NoTiles {
    fn tile(&self, level: u8, index: u64) -> Result<Box<[Hash; TILE_HASHES]>, ReadError> {
        Err(ReadError::Missing { level, index })
    }
}

/// Inclusion proofs for the destructions of the batch that somebody waits for. Full tiles of the
/// batch itself are looked for in `append`: they may not be in the store yet.
fn prove(
    reader: &dyn TileReader,
    tiles: &ProofTiles,
    batch: &Batch,
    append: &StagedAppend,
) -> Result<Vec<Vec<Hash>>, ReadError> {
    let mut prover = Prover::with_tiles(append.tree(), reader, tiles);
    append.full_tiles.iter().for_each(|tile| prover.remember(tile));
    (append.first_index..)
        .zip(batch.drafts().filter(|draft| draft.entry.is_some()))
        .filter(|(_, draft)| draft.told.is_some())
        .map(|(index, _)| prover.inclusion(index, append.new_size()))
        .collect()
}

/// What an erasure note tells of what the slot could not reach.
pub(crate) fn told_of(remnants: Remnants) -> (Option<LostReplicas>, Option<RecoveryShares>) {
    let lost = remnants
        .lost
        .map(|lost| LostReplicas { count: lost.replicas, up_to_generation: lost.up_to_generation });
    let shares = remnants.shares.map(|shares| RecoveryShares {
        needed: shares.needed,
        number: shares.number,
        made: shares.made,
    });
    (lost, shares)
}

/// The leaves that a batch cuts and no tombstone lists, for a start that has to cut them again.
fn listed_cuts(batch: &Batch, epoch_to: u64) -> Option<Write> {
    let steps = batch.items.iter().flat_map(|item| &item.submission.change.steps);
    let others = steps.filter(|step| !step.destroys()).flat_map(leaves_that_go);
    let bytes: Vec<u8> = others.flat_map(u64::to_be_bytes).collect();
    (!bytes.is_empty()).then(|| put(keys::cut(epoch_to), bytes))
}

/// The leaves whose contents a batch erases.
fn freed_by(batch: &Batch) -> Vec<(RealmId, u64)> {
    let steps = batch.items.iter().flat_map(|item| &item.submission.change.steps);
    steps
        .flat_map(|step| {
            let (realm, _) = leaves_that_come(step);
            leaves_that_go(step).into_iter().map(move |leaf| (realm, leaf))
        })
        .collect()
}

fn batch_of(writes: Vec<Write>) -> StoreBatch {
    let mut batch = StoreBatch::new();
    writes.into_iter().for_each(|write| batch.push(write));
    batch
}

fn staged_writes(staged: &Staged, append: &StagedAppend) -> Vec<Write> {
    let mut writes = Vec::new();
    for node in staged.writes() {
        writes.push(put(keys::node(&node.address), node.blob.to_vec()));
    }
    writes.extend(log_writes(append));
    if !staged.needs_root_change() {
        // Superseded under a root that stays: nothing leads to them any more.
        writes.extend(staged.drops().iter().map(|drop| Write::Delete { key: keys::node(drop) }));
    }
    writes
}

/// What the log writes beside its entries: full tiles and its head.
pub(crate) fn log_writes(append: &StagedAppend) -> Vec<Write> {
    let tiles = append.full_tiles.iter().map(|FullTile { level, index, hashes }| {
        let bytes = hashes.iter().flat_map(|hash| hash.0).collect();
        put(keys::tile(*level, *index), bytes)
    });
    let head = LogHead { size: append.new_size(), root: append.new_root };
    tiles.chain([put(keys::meta("log"), head.encode())]).collect()
}

fn usage_of(step: &Step) -> Arc<Usage> {
    match step {
        Step::AddVersion { seen, .. } => seen.usage().clone(),
        Step::DestroyKey(destroy) => destroy.seen.usage().clone(),
        Step::DestroyVersion(destroy) => destroy.seen.usage().clone(),
        Step::UpdateKey(update) => update.seen.usage().clone(),
        Step::CreateKey(_)
        | Step::PutApproval { .. }
        | Step::PutDocuments(_)
        | Step::PutImportKey(_)
        | Step::PutJob(_)
        | Step::PutPrincipal(_)
        | Step::PutRealm { .. }
        | Step::PutRows(_)
        | Step::PutVault { .. } => Arc::default(),
    }
}
