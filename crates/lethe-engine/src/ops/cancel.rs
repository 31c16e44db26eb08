//! Call off a destruction that waits.

use std::sync::Arc;

use lethe_log::EntryType;
use lethe_store::Revision;
use lethe_types::{KeyId, KeyState, StableState, Transition};

use crate::authz::{Caller, CancelDestroy};
use crate::catalogue::KeyEntry;
use crate::committer::{Change, push_history};
use crate::lifecycle;
use crate::{Engine, EngineError};

impl Engine {
    /// Ends the waiting time of a destruction without a destruction. The key is then as it was
    /// before, or suspended if that is what the schedule said.
    ///
    /// # Errors
    /// [`EngineError::WrongKeyLifecycleState`] if no destruction waits,
    /// [`EngineError::ObjectDestroyed`] if it came first.
    pub async fn cancel_destruction(
        &self,
        caller: &Caller,
        key: KeyId,
        expected: Option<Revision>,
    ) -> Result<Arc<KeyEntry>, EngineError> {
        self.change_key::<CancelDestroy>(caller, key, |seen| {
            lifecycle::expect_revision(seen, expected)?;
            let mut record = seen.record().clone();
            record.state = record.state.after(Transition::CancelDestruction)?;
            let pending = record.details_mut().pending.take();
            let cancel_to = pending.and_then(|pending| pending.cancel_to);
            if cancel_to == Some(StableState::Suspended) && record.state == KeyState::ACTIVE {
                record.state = record.state.after(Transition::Suspend)?;
            }
            let now = self.shared.clock.now();
            let transition = Transition::CancelDestruction;
            push_history(&mut record, transition, now, caller.principal(), caller.door);
            let kind = EntryType::KeyDestructionCancelled;
            let facts = vec![("state", record.state.as_str().to_owned())];
            let seen = seen.clone();
            Ok(Some(Change::of_record(seen, record, kind, facts)))
        })
        .await
    }
}
