//! Replicas that go on purpose: erased, and then forgotten instead of counted as lost.

use std::path::PathBuf;

use lethe_erasure::slot::SlotError;

use super::{ReplicaError, ReplicatedSlot, Set, newest_record};
use crate::file_slot::FileSlot;

impl ReplicatedSlot {
    /// Erases every replica whose path is not among `keep` and lets it go: it is no longer one of
    /// the slot's, and not lost. Gives their paths; the files stay, empty, and what lies beside
    /// them, both for the caller to remove: until then they are refused as foreign.
    ///
    /// To be called once the others hold what is to stay, and may be repeated.
    ///
    /// # Errors
    /// [`ReplicaError`]. What was erased is empty, and gets what the others hold with the next
    /// [`ReplicatedSlot::open`].
    pub fn retire(&mut self, keep: &[PathBuf]) -> Result<Vec<PathBuf>, ReplicaError> {
        let stays = |replica: &FileSlot| keep.iter().any(|path| path == replica.path());
        let Some(first) = self.replicas.iter().find(|replica| stays(replica)) else {
            return Err(ReplicaError::Number(0));
        };
        let entropy = first.entropy();
        let newest = newest_record(&self.replicas)?;
        // Those that stay come first from here on; an error leaves all of them.
        self.replicas.sort_by_key(|replica| !stays(replica));
        let kept = self.replicas.iter().filter(|replica| stays(replica)).count();
        if kept == self.replicas.len() {
            return Ok(Vec::new());
        }
        let wiped: Result<(), SlotError> =
            self.replicas[kept..].iter_mut().try_for_each(FileSlot::wipe_all);
        wiped.map_err(ReplicaError::Slot)?;
        let mut set = Set::new(&self.replicas[..kept], newest.as_ref(), false, &*entropy)?;
        set.record.revision = newest.map_or(0, |record| record.revision) + 1;
        set.keep(&self.replicas[..kept])?;
        let retired = self.replicas.split_off(kept);
        Ok(retired.iter().map(|replica| replica.path().to_owned()).collect())
    }
}
