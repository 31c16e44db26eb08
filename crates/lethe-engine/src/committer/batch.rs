//! From submissions to one batch: which are still current, what the erasure tree does for them,
//! and what each writes.

use lethe_erasure::tree::{ErasureError, Staged};
use lethe_log::{ErasureFacts, Invalidation, Quorum, SlotFact, Word};
use lethe_store::Write;
use lethe_types::{RealmId, Secret};

use super::current::Taken;
use super::draft::{Draft, Drafted};
use super::submission::{ImportKeyUpdate, KeyUpdate};
use super::{Committer, Step, Submission};
use crate::idempotency::Remembered;
use crate::record::KeyRecord;
use crate::{EngineError, keys};

/// Name and version of this program in every log entry.
pub(crate) const SOFTWARE: &str = concat!("lethe/", env!("CARGO_PKG_VERSION"));

/// Submissions that are committed together.
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    /// Submissions that lost to another one of this batch or before; they plan again once the
    /// batch is published, so that they see what they lost to.
    pub(super) lost: Vec<Submission>,
}

/// One submission on its way.
pub(super) struct Item {
    pub(super) submission: Submission,
    /// The leaves of the erasure tree that were reserved for it, in the order of their use.
    pub(super) leaves: Vec<(RealmId, u64)>,
    /// What it writes, step by step; there from staging on.
    pub(super) drafted: Vec<Drafted>,
    /// What its idempotency key led to.
    pub(super) remembered: Option<([u8; 32], Remembered)>,
}

impl Batch {
    /// Every step's draft, in the order of the log.
    pub(super) fn drafts(&self) -> impl Iterator<Item = &Drafted> {
        self.items.iter().flat_map(|item| &item.drafted)
    }
}

impl Committer {
    /// Takes the submissions that are still current; tells the others to plan again. The keys that
    /// go are closed for use from here on.
    pub(super) fn plan(&self, submissions: Vec<Submission>) -> Batch {
        let mut taken = Taken::default();
        let mut items = Vec::with_capacity(submissions.len());
        let mut lost = Vec::new();
        for submission in submissions {
            if !self.may_still_act(&submission) {
                submission.refuse(EngineError::AuthenticationNotSuccessful);
            } else if self.is_current(&submission, &mut taken) {
                close(&submission);
                items.push(Item {
                    submission,
                    leaves: Vec::new(),
                    drafted: Vec::new(),
                    remembered: None,
                });
            } else {
                lost.push(submission);
            }
        }
        Batch { items, lost }
    }

    /// Reserves leaves, stages the erasure tree, and drafts every write of the batch.
    ///
    /// # Errors
    /// Whatever failed; nothing was written and the tree is as it was.
    pub(super) fn stage(&mut self, batch: &mut Batch) -> Result<Staged, EngineError> {
        let now = self.shared.clock.now();
        let (mut cuts, mut assigns) = (Vec::new(), Vec::new());
        for item in &mut batch.items {
            for step in &item.submission.change.steps {
                cuts.extend(leaves_that_go(step));
                let (realm, wanted) = leaves_that_come(step);
                for _ in 0..wanted {
                    let leaf = self.reserve(realm)?;
                    item.leaves.push((realm, leaf));
                    assigns.push(leaf);
                }
            }
        }
        let staged = self
            .shared
            .tree
            .read()
            .stage(&cuts, &assigns, &*self.shared.entropy)
            .map_err(tree_error)?;
        self.last_entry_time = self.last_entry_time.max(now);
        let facts = self.erasure_facts(&staged);
        let mut log_index = self.shared.log.read().size();
        let mut assigned = 0;
        for item in &mut batch.items {
            let leaves: Vec<(u64, &Secret<32>)> = (assigned..)
                .zip(&item.leaves)
                .map(|(position, (_, leaf))| (*leaf, staged.record_key(position)))
                .collect();
            assigned += item.leaves.len();
            let mut record_keys = leaves.into_iter();
            for step in &item.submission.change.steps {
                let draft = Draft::new(self, &item.submission, now, log_index, &facts);
                let drafted = draft.make(step, &mut record_keys)?;
                log_index += u64::from(drafted.entry.is_some());
                item.drafted.push(drafted);
            }
            item.remembered = remembered(&item.submission, now);
        }
        Ok(staged)
    }

    fn reserve(&mut self, realm: RealmId) -> Result<u64, EngineError> {
        let limit = EngineError::ServerLimitExceeded("secrets of the installation");
        self.allocator.reserve(realm).map_err(|_| limit)
    }

    fn erasure_facts(&self, staged: &Staged) -> ErasureFacts {
        ErasureFacts {
            epoch_from: staged.epoch_from(),
            epoch_to: staged.epoch_to(),
            slots: vec![self.slot_fact(self.image.generation + 1)],
            quorum: Quorum { erased: 1, n: 1, t: 1 },
            invalidation: Invalidation { acked: 1, evicted: 0 },
            backups_after: self.recoverable_until(staged.epoch_from()),
        }
    }

    pub(super) fn slot_fact(&self, generation: u64) -> SlotFact {
        let word = |text: &str| text.parse::<Word>().expect("kinds and classes are words");
        SlotFact {
            kind: word(self.slot.kind().as_str()),
            class: word(self.slot.class().as_str()),
            generation,
        }
    }
}

/// Closes the keys and versions that a submission destroys for use.
fn close(submission: &Submission) {
    for step in &submission.change.steps {
        match step {
            Step::DestroyKey(destroy) => destroy.seen.close(),
            Step::DestroyVersion(destroy) => destroy.seen.close_version(destroy.number),
            Step::AddVersion { .. }
            | Step::CreateKey(_)
            | Step::PutApproval { .. }
            | Step::PutDocuments(_)
            | Step::PutImportKey(_)
            | Step::PutJob(_)
            | Step::PutPrincipal(_)
            | Step::PutRealm { .. }
            | Step::PutRows(_)
            | Step::PutVault { .. }
            | Step::UpdateKey(_) => {}
        }
    }
}

/// Opens again what a submission would have destroyed.
pub(super) fn reopen(submission: &Submission) {
    for step in &submission.change.steps {
        if let Step::DestroyKey(destroy) = step {
            destroy.seen.reopen();
        }
        if let Step::DestroyVersion(destroy) = step {
            destroy.seen.reopen();
        }
    }
}

/// The leaves of the erasure tree whose contents nobody shall read again after the step.
pub(super) fn leaves_that_go(step: &Step) -> Vec<u64> {
    match step {
        Step::DestroyKey(destroy) => destroy.seen.record().leaves().collect(),
        Step::DestroyVersion(destroy) => {
            destroy.version().map(|version| version.leaf).into_iter().collect()
        }
        Step::PutImportKey(update) => match &**update {
            ImportKeyUpdate::Gone { seen } => vec![seen.secret.leaf],
            ImportKeyUpdate::Made { .. } => Vec::new(),
        },
        Step::UpdateKey(update) => leaves_that_go_from(update),
        Step::PutPrincipal(update) => match &update.seen {
            Some(seen) => {
                let after: Vec<u64> = update.record.leaves().collect();
                seen.record().leaves().filter(|leaf| !after.contains(leaf)).collect()
            }
            None => Vec::new(),
        },
        Step::AddVersion { seen, retires, .. } => retired(seen.record(), retires),
        Step::CreateKey(_)
        | Step::PutApproval { .. }
        | Step::PutDocuments(_)
        | Step::PutJob(_)
        | Step::PutRealm { .. }
        | Step::PutRows(_)
        | Step::PutVault { .. } => Vec::new(),
    }
}

/// The leaves of the versions of these numbers.
pub(super) fn retired(record: &KeyRecord, numbers: &[u32]) -> Vec<u64> {
    let retired = record.versions.iter().filter(|version| numbers.contains(&version.number));
    retired.map(|version| version.leaf).collect()
}

/// The leaves that an updated record no longer names.
pub(super) fn leaves_that_go_from(update: &KeyUpdate) -> Vec<u64> {
    let after: Vec<u64> = update.record.leaves().collect();
    update.seen.record().leaves().filter(|leaf| !after.contains(leaf)).collect()
}

/// The tenant of a step, where leaves count, and how many new ones it needs.
pub(super) fn leaves_that_come(step: &Step) -> (RealmId, usize) {
    match step {
        Step::AddVersion { seen, .. } => (seen.record().realm, 1),
        Step::CreateKey(new) => (new.record.realm, 1 + new.later.len() + new.secrets.len()),
        Step::DestroyKey(destroy) => (destroy.seen.record().realm, 0),
        Step::DestroyVersion(destroy) => (destroy.seen.record().realm, 0),
        Step::PutImportKey(update) => {
            let is_made = matches!(**update, ImportKeyUpdate::Made { .. });
            (update.record().realm, usize::from(is_made))
        }
        Step::UpdateKey(update) => (update.record.realm, update.secrets.len()),
        Step::PutPrincipal(update) => (update.record.realm, update.secrets.len()),
        Step::PutApproval { record, .. } => (record.realm, 0),
        Step::PutJob(update) => (update.record.realm, 0),
        Step::PutRealm { record, .. } => (record.id, 0),
        Step::PutVault { record, .. } => (record.realm, 0),
        Step::PutDocuments(_) | Step::PutRows(_) => (crate::system::REALM, 0),
    }
}

fn remembered(
    submission: &Submission,
    now: lethe_types::UnixMillis,
) -> Option<([u8; 32], Remembered)> {
    let key = submission.change.key()?;
    let idempotency = submission.idempotency.as_ref()?;
    Some((idempotency.place, Remembered { request: idempotency.request, key, at: now }))
}

pub(super) fn tree_error(error: ErasureError) -> EngineError {
    match error {
        ErasureError::Entropy | ErasureError::Crypto(_) => EngineError::EntropyUnavailable,
        ErasureError::ArityOutOfRange(_)
        | ErasureError::DuplicateLeaf(_)
        | ErasureError::EpochNotGreater { .. }
        | ErasureError::LeafFree(_)
        | ErasureError::LeafOutOfRange(_)
        | ErasureError::LeafTaken(_)
        | ErasureError::LeftoversNotDropped
        | ErasureError::NodeDamaged(_)
        | ErasureError::StaleStage
        | ErasureError::TooManyLeaves(_) => {
            EngineError::Internal("the erasure tree refuses a change")
        }
    }
}

pub(super) fn put(key: lethe_store::StoreKey, value: Vec<u8>) -> Write {
    Write::Put { key, value }
}

/// The row of a key.
pub(super) fn put_key(record: &KeyRecord) -> Write {
    put(keys::key(record.created, record.id), crate::record::codec::encode_key(record))
}
