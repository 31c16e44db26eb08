//! Move a key through its life, short of destruction. Suspend is the reversible stop.

use std::sync::Arc;

use lethe_log::EntryType;
use lethe_store::Revision;
use lethe_types::{KeyId, Transition};

use crate::authz::{Caller, ChangeState};
use crate::catalogue::KeyEntry;
use crate::committer::{Change, push_history};
use crate::lifecycle;
use crate::{Engine, EngineError};

impl Engine {
    /// Carries out `transition`, as the state table has it: activate, suspend, resume, deactivate
    /// or compromise.
    ///
    /// # Errors
    /// [`EngineError::WrongKeyLifecycleState`] if the table has no such edge.
    /// [`EngineError::InvalidField`] for a transition that has an operation of its own.
    pub async fn change_state(
        &self,
        caller: &Caller,
        key: KeyId,
        transition: Transition,
        expected: Option<Revision>,
    ) -> Result<Arc<KeyEntry>, EngineError> {
        self.change_key::<ChangeState>(caller, key, |seen| {
            lifecycle::expect_revision(seen, expected)?;
            match transition {
                Transition::Activate
                | Transition::Compromise
                | Transition::Deactivate
                | Transition::Resume
                | Transition::Suspend => {}
                Transition::CancelDestruction
                | Transition::Destroy
                | Transition::ScheduleDestruction { .. } => {
                    let why = "has an operation of its own".to_owned();
                    return Err(EngineError::InvalidField { field: "transition", why });
                }
            }
            let mut record = seen.record().clone();
            record.state = record.state.after(transition)?;
            let now = self.shared.clock.now();
            push_history(&mut record, transition, now, caller.principal(), caller.door);
            let facts = vec![("transition", transition.as_str().to_owned())];
            let kind = EntryType::KeyStateChanged;
            let seen = seen.clone();
            Ok(Some(Change::of_record(seen, record, kind, facts)))
        })
        .await
    }
}
