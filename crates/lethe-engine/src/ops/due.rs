//! Carry out the destructions whose time has come.

use std::sync::Arc;

use lethe_types::{KeyId, UnixMillis};

use super::{Planned, Touched};
use crate::authz::Destroy;
use crate::block_on::block_on;
use crate::caretaker::Rounds;
use crate::catalogue::KeyEntry;
use crate::committer::{Change, Committed, Preconditions, Step};
use crate::guards::{Approvals, Asked, Facts, Verdict, Wish, decide};
use crate::{Caller, Engine, EngineError};

/// The door's name in records of what Lethe does by itself.
pub(crate) const SCHEDULER: &str = "scheduler";

/// Due keys that are destroyed in one commit.
const DUE_AT_ONCE: usize = 256;

impl Engine {
    /// Destroys what is due, up to a bound; whether there is more. Keys that a guard keeps go on
    /// waiting; the refusal is in the audit trail once.
    ///
    /// # Errors
    /// What kept a destruction that no guard keeps from being carried out.
    pub(crate) fn destroy_due(&self, rounds: &mut Rounds) -> Result<bool, EngineError> {
        let now = self.shared.clock.now();
        let mut after = None;
        let mut kept = std::collections::BTreeSet::new();
        loop {
            let due = self.shared.catalogue.due(after, now, DUE_AT_ONCE);
            let Some(&last) = due.last() else { break };
            after = Some(last);
            for (_, key) in due {
                match block_on(self.destroy_one_due(key, now)) {
                    Ok(()) => {}
                    Err(error @ EngineError::GuardRefused(_)) => {
                        if !rounds.kept.contains(&key) {
                            self.audit_due(key, Some(&error))?;
                        }
                        kept.insert(key);
                    }
                    // Somebody cancelled it or was faster.
                    Err(EngineError::ObjectDestroyed(_) | EngineError::ItemNotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        rounds.kept = kept;
        Ok(false)
    }

    pub(crate) async fn destroy_one_due(
        &self,
        key: KeyId,
        now: UnixMillis,
    ) -> Result<(), EngineError> {
        let entry = self.load(key)?;
        let caller = self.system_caller(entry.record().realm, SCHEDULER)?;
        let committed = self
            .change(&caller, None, |_| {
                let entry = self.load(key)?;
                let still = entry.record().state.due().is_some_and(|due| due <= now);
                if !still {
                    return Ok(Planned::Done(Committed::nothing()));
                }
                let steps = self.plan_due(&entry, now)?;
                Ok(Planned::Change(Box::new(Change { steps, receipts: false })))
            })
            .await?;
        if let Some(log_index) = committed.log_index() {
            let touched =
                Touched { key: Some(key), log_index: Some(log_index), ..Touched::default() };
            self.audit_done::<Destroy>(&caller, self.shared.clock.now(), touched);
        }
        Ok(())
    }

    fn plan_due(&self, entry: &Arc<KeyEntry>, now: UnixMillis) -> Result<Vec<Step>, EngineError> {
        let record = entry.record();
        let dependants = self.shared.catalogue.live_dependants(record.id);
        let facts = Facts {
            record,
            lacking: None,
            last_used: entry.usage().last(),
            destroys_last_hour: 0,
            approvals: Approvals::NotAsked,
            dependants: &dependants,
            now,
        };
        let asked = Asked { wish: Wish::Due, confirm: None };
        let under = self.under(record);
        match decide(&under.policy(), &facts, &asked)? {
            Verdict::Destroy { with } => {
                let under = Some(under);
                let preconditions = Preconditions { dependants, under, ..Default::default() };
                self.destroy_steps(entry, with, (now, ""), Vec::new(), preconditions)
            }
            Verdict::Schedule { .. } => {
                Err(EngineError::Internal("a due destruction that is scheduled again"))
            }
        }
    }

    fn audit_due(&self, key: KeyId, refusal: Option<&EngineError>) -> Result<(), EngineError> {
        let realm = self.load(key)?.record().realm;
        let caller: Caller = self.system_caller(realm, SCHEDULER)?;
        self.audit::<Destroy>(&caller, self.shared.clock.now(), Some(key), refusal)
    }
}
