//! Backups: a copy of all rows at one revision, whose root the slot keeps for a while.
//!
//! A copy is noise by itself. [`Engine::begin_backup`] keeps the root of the epoch in the slot for
//! the window that the operator chose; until it ends, whoever has slot *and* copy can bring back
//! what is destroyed meanwhile, and every receipt says so. Without a window the copy lasts until
//! the next destruction.
//!
//! For the operator of the installation alone: nothing here asks for permissions.

use core::fmt;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use lethe_erasure::slot::SlotError;
use lethe_log::{BackupNote, BackupNoteError, Hash, VerifierKey};
use lethe_store::{Revision, StoreError};
use lethe_types::limits::{BACKUP_WINDOW_MAX, BACKUP_WINDOW_MIN};
use lethe_types::{BackupId, TreeId, UnixMillis};

use crate::committer::{BackupBegun, Committer, Work};
use crate::{Engine, EngineError, JournalFault, keys};

/// A backup that was begun: its root is kept, and nothing is committed until the copy has begun or
/// this is dropped.
#[derive(Debug)]
pub struct Backup {
    begun: BackupBegun,
    tree_id: TreeId,
    base: Option<(BackupId, Revision)>,
    /// Tells the committer that the copy shows the state of the root.
    pin: SyncSender<()>,
}

/// What a backup holds of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupRow<'a> {
    /// The row is there as it was in the base, if that has it.
    Kept,
    /// The row is new, or has this value now.
    Value(&'a [u8]),
}

/// Where a copy goes: space, key and row, by space and key.
pub type BackupVisit<'a> = dyn FnMut(&str, &[u8], BackupRow<'_>) -> Result<(), StoreError> + 'a;

/// A root that the slot keeps for a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptRoot {
    /// The backup.
    pub backup: BackupId,
    /// The epoch that it opens.
    pub epoch: u64,
    /// When it goes.
    pub until: UnixMillis,
}

/// Why a backup was not made. Unless a variant says otherwise, nothing was changed.
#[derive(Debug)]
pub enum BackupError {
    /// The backup that this one should continue is not one of this installation.
    Base(&'static str),
    /// A change of the installation failed.
    Engine(EngineError),
    /// As many copies follow the installation as can.
    Followers,
    /// The journal beside the slot failed; the log may say that a backup was taken.
    Journal(JournalFault),
    /// The installation has no place for a tombstone journal.
    NoJournal,
    /// The note could not be written.
    Note,
    /// The slot refused.
    Slot(SlotError),
    /// The store failed, or whoever takes the rows.
    Store(StoreError),
    /// The window is not from [`BACKUP_WINDOW_MIN`] to [`BACKUP_WINDOW_MAX`].
    Window,
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base(why) => write!(f, "the backup to continue is refused: {why}"),
            Self::Engine(error) => error.fmt(f),
            Self::Followers => f.write_str("as many copies follow the installation as can"),
            Self::Journal(_) => f.write_str("the tombstone journal beside the slot failed"),
            Self::NoJournal => {
                f.write_str("there is no place for a tombstone journal, so no backup can be taken")
            }
            Self::Note => f.write_str("the note of the backup cannot be written"),
            Self::Slot(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Window => write!(
                f,
                "a window is 0 or from {} to {} seconds",
                BACKUP_WINDOW_MIN.as_secs(),
                BACKUP_WINDOW_MAX.as_secs()
            ),
        }
    }
}

impl core::error::Error for BackupError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Engine(error) => error.source(),
            Self::Journal(error) => Some(error.as_ref()),
            Self::Slot(error) => error.source(),
            Self::Store(error) => error.source(),
            Self::Base(_) | Self::Followers | Self::NoJournal | Self::Note | Self::Window => None,
        }
    }
}

impl From<EngineError> for BackupError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Backup {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> BackupId {
        self.begun.backup
    }

    /// When it was begun.
    #[must_use]
    pub fn created(&self) -> UnixMillis {
        self.begun.created
    }

    /// When it can no longer be restored; `None` if the next destruction ends it.
    #[must_use]
    pub fn restorable_until(&self) -> Option<UnixMillis> {
        self.begun.restorable_until
    }

    /// What its note says of a copy of this revision, of so many rows and bytes with this digest.
    #[must_use]
    pub fn note(&self, revision: Revision, rows: u64, bytes: u64, digest: Hash) -> BackupNote {
        BackupNote {
            tree_id: self.tree_id,
            backup: self.begun.backup,
            base: self.base.map(|(base, _)| base),
            epoch: self.begun.epoch,
            revision: revision.0,
            base_revision: self.base.map_or(0, |(_, revision)| revision.0),
            log_size: self.begun.log_size,
            log_root: self.begun.log_root,
            created: self.begun.created,
            restorable_until: self.begun.restorable_until,
            rows,
            bytes,
            digest,
        }
    }
}

impl Engine {
    /// Begins a backup: the log says so, the journal of destructions begins, and the slot keeps the
    /// root for `window`; without one the backup lasts until the next destruction. `base` is the
    /// signed note of the backup that this one continues, so that it holds only what changed since.
    ///
    /// Waits for the committer. Changes wait until [`Engine::copy_backup`] has begun.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn begin_backup(
        &self,
        window: Option<Duration>,
        base: Option<&str>,
    ) -> Result<Backup, BackupError> {
        if window.is_some_and(|it| !(BACKUP_WINDOW_MIN..=BACKUP_WINDOW_MAX).contains(&it)) {
            return Err(BackupError::Window);
        }
        let base = base.map(|note| self.base_of(note)).transpose()?;
        let (pin, pinned) = sync_channel(1);
        let begun = self.errand(move |committer, reply| {
            let begun = committer.begin_backup(window);
            let is_begun = begun.is_ok();
            reply(begun);
            if is_begun {
                Committer::wait_until_pinned(&pinned);
            }
        })??;
        Ok(Backup { begun, tree_id: self.shared.tree_id, base, pin })
    }

    /// Shows every row of a backup to `visit`. Changes go on meanwhile and are not seen. Gives the
    /// revision that was shown.
    ///
    /// # Errors
    /// [`BackupError::Store`]; the root is still kept: [`Engine::forget_backup`].
    pub fn copy_backup(
        &self,
        backup: &Backup,
        visit: &mut BackupVisit<'_>,
    ) -> Result<Revision, BackupError> {
        let base_revision = backup.base.map(|(_, revision)| revision);
        let mut is_pinned = false;
        let revision = self.shared.store.snapshot(&mut |space, key, row| {
            if !is_pinned {
                // The committer may have given up to wait; the epoch below tells.
                let _waiting_or_gone = backup.pin.try_send(());
                is_pinned = true;
            }
            if space == keys::META && key == b"epoch" {
                let shown = row.value.as_slice().try_into().map(u64::from_be_bytes).ok();
                if shown != Some(backup.begun.epoch) {
                    let reason = "the copy began too late: a key was destroyed before".to_owned();
                    return Err(StoreError::Unavailable { reason });
                }
            }
            match base_revision.filter(|base| row.revision <= *base) {
                None => visit(space.name(), key, BackupRow::Value(&row.value)),
                Some(_) if keys::NEVER_REMOVED.contains(&space) => Ok(()),
                Some(_) => visit(space.name(), key, BackupRow::Kept),
            }
        })?;
        Ok(revision)
    }

    /// The note of a backup, signed by the key of the log.
    ///
    /// # Errors
    /// [`BackupError::Note`].
    pub fn sign_backup(&self, note: BackupNote) -> Result<String, BackupError> {
        self.errand(move |committer, reply| reply(committer.sign_backup(&note)))?
    }

    /// Lets the root of a backup go now: what was destroyed since cannot be brought back by it any
    /// more, and it cannot be restored. Whether there was one.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn forget_backup(&self, backup: BackupId) -> Result<bool, BackupError> {
        self.errand(move |committer, reply| reply(committer.forget_backup(backup)))?
    }

    /// The roots that the slot keeps for backups, oldest first.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn kept_roots(&self) -> Result<Vec<KeptRoot>, BackupError> {
        let retained = self.errand(|committer, reply| reply(committer.retained()))?;
        let roots = retained.into_iter();
        Ok(roots.map(|(backup, epoch, until)| KeptRoot { backup, epoch, until }).collect())
    }

    fn base_of(&self, note: &str) -> Result<(BackupId, Revision), BackupError> {
        let key: VerifierKey = self.shared.vkey.parse().map_err(|_| BackupError::Note)?;
        let note = BackupNote::open(note, &key).map_err(|error| match error {
            BackupNoteError::Malformed => BackupError::Base("its note cannot be read"),
            BackupNoteError::Note(_)
            | BackupNoteError::NotSignedByLog
            | BackupNoteError::Signer(_) => BackupError::Base("its note is not of this log"),
        })?;
        if note.tree_id != self.shared.tree_id {
            return Err(BackupError::Base("it is of another erasure tree"));
        }
        // What was restored since lacks rows that the base has.
        let restored = self.shared.store.get(&keys::meta("restored"))?;
        let at = restored.and_then(|row| row.value.try_into().ok().map(u64::from_be_bytes));
        if at.is_some_and(|log_size| note.log_size <= log_size) {
            return Err(BackupError::Base("the data was restored since"));
        }
        if Revision(note.revision) > self.shared.store.revision()? {
            return Err(BackupError::Base("it is newer than the data"));
        }
        Ok((note.backup, Revision(note.revision)))
    }

    /// Has the committer do something between two batches, and waits for what it replies.
    pub(super) fn errand<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Committer, &mut dyn FnMut(T)) + Send + 'static,
    ) -> Result<T, BackupError> {
        let (sender, receiver) = sync_channel(1);
        self.send(Work::Errand(Box::new(move |committer| {
            work(committer, &mut |answer| {
                // Whoever asked may have gone.
                let _taken_or_gone = sender.try_send(answer);
            });
        })))?;
        receiver.recv().map_err(|_| EngineError::ShuttingDown.into())
    }
}
