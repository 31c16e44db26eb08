//! What the committer does for backups: it keeps their roots in the slot and the journal beside it,
//! and lets both go at their time.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use lethe_erasure::slot::{Replacement, SlotImage};
use lethe_erasure::tree::Staged;
use lethe_log::{BackupNote, Entry, EntryType, Hash, leaf_hash};
use lethe_store::Write;
use lethe_types::{BackupId, UnixMillis};

use super::Committer;
use super::batch::{Batch, SOFTWARE, leaves_that_go, put};
use super::log_writes;
use crate::followers::Awaited;
use crate::journal::{JournalSegment, RootChange};
use crate::ops::BackupError;
use crate::shared::SignedHead;
use crate::{EngineError, failpoint, keys};

/// How often a step of slot or journal is tried before the committer halts.
const ATTEMPTS_MAX: usize = 3;
/// A segment of the journal that is larger is replaced while a copy follows.
const JOURNAL_ROLL_BYTES: u64 = 16 * 1_048_576;

/// A backup whose root is kept; nothing is copied yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackupBegun {
    pub(crate) backup: BackupId,
    pub(crate) epoch: u64,
    pub(crate) log_size: u64,
    pub(crate) log_root: Hash,
    pub(crate) created: UnixMillis,
    pub(crate) restorable_until: Option<UnixMillis>,
}

impl Committer {
    /// Settles, makes the log say that a backup is taken, begins a segment of the journal and, with
    /// a window, keeps the root of this epoch. What the store shows now is what the root opens.
    pub(crate) fn begin_backup(
        &mut self,
        window: Option<Duration>,
    ) -> Result<BackupBegun, BackupError> {
        if self.journal.is_none() {
            return Err(BackupError::NoJournal);
        }
        self.settle_when_idle();
        if self.shared.is_halted() || self.has_unsettled() {
            return Err(EngineError::StorageUnavailable.into());
        }
        let now = self.shared.clock.now();
        let backup = BackupId::random(&*self.shared.entropy).map_err(EngineError::from)?;
        // Whole seconds, as the slot has them; never shorter than asked for.
        let until_s = window.map(|window| now.saturating_add(window).0.div_ceil(1_000));
        let retaining = until_s
            .map(|until_s| self.image.retaining(backup.0, until_s, now.seconds()))
            .transpose()
            .map_err(BackupError::Slot)?;
        self.commit_entry(EntryType::BackupTaken)?;
        let epoch = self.shared.tree.read().epoch();
        let (log_size, log_root) = {
            let log = self.shared.log.read();
            (log.size(), log.root())
        };
        self.begin_segment(JournalSegment { epoch, log_size })?;
        failpoint::hit("backup.journal_begun");
        if let Some(image) = retaining {
            self.replace_image(image)?;
            failpoint::hit("backup.root_kept");
        }
        let restorable_until = until_s.map(|until_s| UnixMillis(until_s.saturating_mul(1_000)));
        Ok(BackupBegun { backup, epoch, log_size, log_root, created: now, restorable_until })
    }

    /// Waits until the copy shows the state of now: nothing is committed before.
    pub(crate) fn wait_until_pinned(pinned: &Receiver<()>) {
        const LONGEST: Duration = Duration::from_secs(30);
        // Past the time the copy may show a later state, whose root may not be kept; whoever
        // copies compares the epochs.
        let _pinned_or_given_up = pinned.recv_timeout(LONGEST);
    }

    /// The signed note that ends a backup.
    pub(crate) fn sign_backup(&self, note: &BackupNote) -> Result<String, BackupError> {
        note.sign(&self.signer).map_err(|_| BackupError::Note)
    }

    /// Lets the root of a backup go before its time; whether there was one.
    pub(crate) fn forget_backup(&mut self, backup: BackupId) -> Result<bool, BackupError> {
        match self.image.without_backup(backup.0).map_err(BackupError::Slot)? {
            Some(image) => self.replace_image(image).map(|()| true),
            None => Ok(false),
        }
    }

    /// The roots that the slot keeps: backup, epoch, end.
    pub(crate) fn retained(&self) -> Vec<(BackupId, u64, UnixMillis)> {
        let entries = self.image.retained.iter();
        entries
            .map(|entry| {
                let until = UnixMillis(entry.not_after_s.saturating_mul(1_000));
                (BackupId(entry.tag), entry.epoch, until)
            })
            .collect()
    }

    /// Until when a kept root opens what is cut in a change from `epoch`.
    pub(super) fn recoverable_until(&self, epoch: u64) -> Option<UnixMillis> {
        let until_s = self.image.recoverable_until_s(epoch)?;
        Some(UnixMillis(until_s.saturating_mul(1_000)))
    }

    /// At a start: roots whose time came while nobody served, and a journal that nothing needs.
    pub(crate) fn drop_what_no_backup_needs(&mut self) {
        self.drop_expired_roots();
        self.drop_idle_journal();
    }

    /// Erases the roots whose time has come. A failure halts: what receipts say would not hold.
    pub(super) fn drop_expired_roots(&mut self) {
        if self.shared.is_halted() || self.image.retained.is_empty() {
            return;
        }
        let seconds = self.shared.clock.now().seconds();
        match self.image.without_expired(seconds) {
            Ok(None) => {}
            Ok(Some(image)) => {
                // It has halted if it failed.
                let _replaced_or_halted = self.replace_image(image);
            }
            Err(_) => self.halt("the slot's image does not go on"),
        }
    }

    /// Puts `image` in place of the one in the slot and erases that one.
    fn replace_image(&mut self, image: SlotImage) -> Result<(), BackupError> {
        let mut step = Replacement::by(image);
        let mut attempts = 1..ATTEMPTS_MAX;
        let mut replaced = loop {
            match step.put(&mut *self.slot) {
                Ok(replaced) => break replaced,
                Err(failed) if attempts.next().is_some() => step = failed.step,
                Err(_) => return Err(self.halted_for_backup("the slot takes no new image")),
            }
        };
        failpoint::hit("slot.image_put");
        let mut attempts = 1..ATTEMPTS_MAX;
        let (image, _evidence) = loop {
            match replaced.erase_old(&mut *self.slot) {
                Ok(done) => break done,
                Err(failed) if attempts.next().is_some() => replaced = failed.step,
                Err(_) => return Err(self.halted_for_backup("the slot does not erase a root")),
            }
        };
        self.image = image;
        self.root_changed();
        self.shared.note_retained(&self.image);
        failpoint::hit("slot.image_replaced");
        self.drop_idle_journal();
        Ok(())
    }

    fn halted_for_backup(&self, why: &'static str) -> BackupError {
        self.halt(why);
        EngineError::StorageUnavailable.into()
    }

    /// One entry of the log that no record belongs to.
    fn commit_entry(&mut self, entry_type: EntryType) -> Result<(), BackupError> {
        let now = self.shared.clock.now();
        self.last_entry_time = self.last_entry_time.max(now);
        let entry = Entry {
            entry_type,
            time: now,
            tree_id: self.shared.tree_id,
            revision: self.revision.0 + 1,
            software: SOFTWARE.to_owned(),
            door: None,
            subject: None,
            detail: None,
            erasure: None,
        };
        let text = entry.to_json().map_err(|_| EngineError::Internal("a log entry"))?;
        let append = self.shared.log.read().stage(&[leaf_hash(text.as_bytes())]);
        let mut writes: Vec<Write> = log_writes(&append);
        writes.push(put(keys::leaf(append.first_index), text.clone().into_bytes()));
        self.commit(writes)?;
        self.journal_committed(None, false, vec![text.into_bytes()])?;
        let head = self.sign_head(&append);
        let applied = self.shared.log.write().apply(append);
        applied.map_err(|_| self.halted_for_backup("the log grew beside the committer"))?;
        self.show_head(head);
        Ok(())
    }
}

/// Copies that follow.
impl Committer {
    /// What was committed last is held by every copy that follows, before anybody is answered and,
    /// if the root changes, before the old one goes. One that is late is dropped.
    pub(super) fn wait_for_followers(&mut self, root_changes: bool) {
        let awaited = self.shared.followers.wait_for(self.revision, || self.shared.clock.now());
        if root_changes {
            self.is_followed = awaited == Awaited::Held;
        }
    }

    /// Begins a new segment of the journal once the old one is large: a copy that follows needs
    /// what comes after the state that it has. What fails is tried again.
    pub(super) fn roll_followed_journal(&mut self) {
        let epoch = self.image.current.epoch;
        let is_due = self.journal.as_ref().is_some_and(|journal| {
            journal.length_bytes() > JOURNAL_ROLL_BYTES
                && journal.newest().is_some_and(|segment| segment.epoch < epoch)
        });
        if !is_due || self.has_unsettled() || !self.shared.followers.hold(self.revision) {
            return;
        }
        let log_size = self.shared.log.read().size();
        if self.begin_segment(JournalSegment { epoch, log_size }).is_ok() {
            self.drop_idle_journal();
        }
    }
}

/// The journal.
impl Committer {
    /// Whether some backup could be restored, so that destructions have to be told.
    pub(super) fn is_journaling(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.newest().is_some())
    }

    fn begin_segment(&mut self, segment: JournalSegment) -> Result<(), BackupError> {
        let journal = self.journal.as_mut().ok_or(BackupError::NoJournal)?;
        journal.write(None).and_then(|()| journal.begin(segment)).map_err(BackupError::Journal)?;
        self.show_hidden_head();
        Ok(())
    }

    /// What the journal has to tell of a batch; `None` if nothing is journaled or the root stays.
    /// Takes the entries of the log that go with it.
    pub(super) fn journaled_change(
        &self,
        batch: &Batch,
        staged: &Staged,
        told: &mut Vec<Vec<u8>>,
    ) -> Option<RootChange> {
        if !self.is_journaling() || !staged.needs_root_change() {
            return None;
        }
        let (mut cuts, mut rows) = (Vec::new(), Vec::new());
        for item in &batch.items {
            let steps = &item.submission.change.steps;
            let gone: Vec<u64> = steps.iter().flat_map(leaves_that_go).collect();
            if gone.is_empty() {
                continue;
            }
            cuts.extend(gone);
            // With what is destroyed goes what the same change did, as to the principals of a key.
            let writes = item.drafted.iter().flat_map(|drafted| &drafted.writes);
            rows.extend(writes.filter_map(|write| match write {
                Write::Put { key, value } => Some((key.clone(), value.clone())),
                Write::Delete { .. } => None,
            }));
        }
        let (epoch_to, entries) = (staged.epoch_to(), std::mem::take(told));
        Some(RootChange { epoch_to, cuts, rows, entries })
    }

    /// The batch is durable in the store; `change` is in the journal already if `is_written`.
    pub(super) fn journal_committed(
        &mut self,
        change: Option<&RootChange>,
        is_written: bool,
        told: Vec<Vec<u8>>,
    ) -> Result<(), EngineError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let mut is_kept = true;
        if let Some(change) = change {
            let mut attempts = 0..ATTEMPTS_MAX;
            is_kept = is_written || attempts.any(|_| journal.write(Some(change)).is_ok());
            journal.made(u64::try_from(change.entries.len()).unwrap_or(u64::MAX));
        }
        if is_kept && journal.take(told.into_iter()) {
            return Ok(());
        }
        self.halt("the tombstone journal beside the slot cannot be written");
        Err(EngineError::StorageUnavailable)
    }

    /// Shows a signed head to everybody, or keeps it back until the journal has what it covers: a
    /// restore must be able to continue every log that anybody saw.
    pub(super) fn show_head(&mut self, head: Arc<SignedHead>) {
        if self.journal.as_ref().is_some_and(|journal| journal.is_behind()) {
            self.hidden_head = Some(head);
        } else {
            self.hidden_head = None;
            self.shared.head.store(head);
        }
    }

    fn show_hidden_head(&mut self) {
        if let Some(head) = self.hidden_head.take() {
            self.show_head(head);
        }
    }

    /// Writes what waits for the journal; whether nothing waits any more.
    pub(super) fn flush_journal(&mut self) -> bool {
        if let Some(journal) = &mut self.journal
            && journal.write(None).is_err()
        {
            return false;
        }
        self.show_hidden_head();
        true
    }

    /// Drops what no backup needs any more. What fails is tried with the next change.
    pub(super) fn drop_idle_journal(&mut self) {
        let oldest_kept = self.image.retained.iter().map(|entry| entry.epoch).min();
        let Some(journal) = &mut self.journal else { return };
        // A backup without a window lasts until the root changes, and a copy that follows, longer.
        let lasting = journal.newest().map(|segment| segment.epoch);
        let lasting =
            lasting.filter(|epoch| self.is_followed || *epoch == self.image.current.epoch);
        let oldest = oldest_kept.into_iter().chain(lasting).min();
        // A segment that stays costs space alone.
        let _dropped_or_later = journal.keep_from(oldest);
        if journal.newest().is_none() {
            self.show_hidden_head();
        }
    }
}
