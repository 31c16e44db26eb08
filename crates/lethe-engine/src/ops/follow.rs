//! Following: a backup without a window that never ends. After the copy of [`Engine::copy_backup`]
//! every commit is handed on, and the changes that come wait until the copy holds them.
//!
//! A destruction erases the old root only when the copy has what the new root opens. So the copy
//! opens at every instant with what the slot holds then, and still nothing that was destroyed can
//! be brought back: the copy has no root.
//!
//! For the operator of the installation alone: nothing here asks for permissions.

use core::fmt;
use std::sync::Arc;
use std::time::Duration;

use lethe_erasure::tree::NodeAddress;
use lethe_log::{BackupNote, Hash, LogSigner};
use lethe_store::{Commit, Revision, StoreError, Watch, Write};
use lethe_types::BackupId;

use super::backup::{Backup, BackupError};
use crate::followers::FollowerStatus;
use crate::shared::Shared;
use crate::start::LogHead;
use crate::{Engine, EngineError, keys};

/// Bytes of commits that are handed on together.
const TOGETHER_BYTES: usize = 4 * 1_048_576;

/// A copy elsewhere that takes every commit. Ends when it is dropped.
pub struct Follow {
    shared: Arc<Shared>,
    follower: u64,
    watch: Box<dyn Watch>,
    signer: Arc<LogSigner>,
    /// What the copy shows once it has what was handed on last.
    state: BackupNote,
}

/// Where a commit goes: each of its changes.
pub type FollowVisit<'a> = dyn FnMut(&Write) + 'a;

impl Engine {
    /// Follows from the copy of `backup` on, which has to be one without a window. `revision` is
    /// what [`Engine::copy_backup`] gave and `digest` what the note of the copy says: every later
    /// note continues it.
    ///
    /// Nobody waits for the follower before it has caught up.
    ///
    /// # Errors
    /// [`BackupError::Store`] with `WatchLost` if more was committed during the copy than is kept:
    /// take the backup again on top of this one. [`BackupError::Followers`] if there are too many.
    pub fn follow(&self, backup: &Backup, revision: Revision) -> Result<Follow, BackupError> {
        let watch = self.shared.store.watch(revision)?;
        let signer = self.errand(|committer, reply| reply(committer.signer()))?;
        let name = BackupId::random(&*self.shared.entropy).map_err(EngineError::from)?;
        let base = backup.note(revision, 0, 0, Hash([0; 32]));
        let follower = self.shared.followers.attach(revision).ok_or(BackupError::Followers)?;
        let state = BackupNote {
            backup: name,
            base: Some(base.backup),
            base_revision: base.revision,
            ..base
        };
        Ok(Follow { shared: self.shared.clone(), follower, watch, signer, state })
    }

    /// How the followers stand.
    #[must_use]
    pub fn followers(&self) -> FollowerStatus {
        self.shared.followers.status()
    }
}

impl Follow {
    /// The name of the copy that goes on.
    #[must_use]
    pub fn backup(&self) -> BackupId {
        self.state.backup
    }

    /// Waits for commits and shows their changes to `visit`, in order; gives the newest revision of
    /// them, `None` if none came within `timeout`.
    ///
    /// # Errors
    /// `WatchLost` if the copy is too far behind; `Closed` when the engine ended; `Corrupt` for a
    /// row that makes no sense; `Unavailable`.
    pub fn next(
        &mut self,
        timeout: Duration,
        visit: &mut FollowVisit<'_>,
    ) -> Result<Option<Revision>, StoreError> {
        let Some(first) = self.watch.next(timeout)? else { return Ok(None) };
        let mut bytes = self.take(&first, visit)?;
        while bytes < TOGETHER_BYTES {
            let Some(commit) = self.watch.next(Duration::ZERO)? else { break };
            bytes = bytes.saturating_add(self.take(&commit, visit)?);
        }
        self.state.created = self.shared.clock.now();
        Ok(Some(Revision(self.state.revision)))
    }

    /// The note of the copy as it is with everything that was handed on: so many changes and bytes
    /// since it follows, with this digest.
    ///
    /// # Errors
    /// [`BackupError::Note`].
    pub fn sign(&self, changes: u64, bytes: u64, digest: Hash) -> Result<String, BackupError> {
        let note = BackupNote { rows: changes, bytes, digest, ..self.state.clone() };
        note.sign(&self.signer).map_err(|_| BackupError::Note)
    }

    /// The copy holds everything up to `revision`, durably. `false` if it was dropped, since it was
    /// late: it has to be begun again on top of what it has.
    pub fn acknowledge(&self, revision: Revision) -> Result<bool, StoreError> {
        let newest = self.shared.store.revision()?;
        Ok(self.shared.followers.acknowledge(self.follower, revision, newest))
    }

    /// Whether changes wait for it; `None` if it was dropped.
    #[must_use]
    pub fn is_live(&self) -> Option<bool> {
        self.shared.followers.is_live(self.follower)
    }

    /// What a commit changes of the state that the next note tells.
    fn take(&mut self, commit: &Commit, visit: &mut FollowVisit<'_>) -> Result<usize, StoreError> {
        let strange = |what: &str| StoreError::Corrupt { what: what.to_owned() };
        let mut bytes = 0_usize;
        for write in &*commit.writes {
            bytes = bytes.saturating_add(write.bytes());
            visit(write);
            let Write::Put { key, value } = write else { continue };
            if key.space() == keys::NODE {
                let address = NodeAddress::parse(key.bytes()).map_err(|_| strange("a node"))?;
                // A change of the root rewrites the root's node.
                self.state.epoch = self.state.epoch.max(address.epoch);
            }
            if *key == keys::meta("log") {
                let head = LogHead::decode(value).ok_or_else(|| strange("the log's head"))?;
                (self.state.log_size, self.state.log_root) = (head.size, head.root);
            }
        }
        self.state.revision = commit.revision.0;
        Ok(bytes)
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.shared.followers.detach(self.follower, self.shared.clock.now());
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("state", &self.state).finish_non_exhaustive()
    }
}
