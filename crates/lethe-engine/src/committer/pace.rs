//! Slots that wear out: the root is changed no more often than the slot's rest allows, and what has
//! to change it waits meanwhile, together. The answer waits with it, so that it still comes after
//! the erasure. Everything else goes on.

use std::time::Duration;

use lethe_types::limits::RESTING_PLANS_MAX;

use super::batch::leaves_that_go;
use super::{Committer, Submission};
use crate::EngineError;

/// What every door answers with 503 and `Retry-After`.
const LIMIT_OF_WAITING: &str = "changes that wait";

/// Plans that change the root and may not yet.
#[derive(Debug, Default)]
pub(super) struct Pace {
    waiting: Vec<Submission>,
    /// When the root was changed last, on the monotonic clock.
    changed: Option<Duration>,
}

impl Committer {
    /// Those of `submissions` that can be committed now, and everything that waited if the slot has
    /// rested. Of the others as many wait as one commit takes, and the rest is refused.
    pub(super) fn paced(&mut self, submissions: Vec<Submission>) -> Vec<Submission> {
        let rest = self.slot.rest();
        if rest.is_zero() || self.has_rested(rest) {
            let mut ready = std::mem::take(&mut self.pace.waiting);
            ready.extend(submissions);
            return ready;
        }
        let (changing, mut ready): (Vec<_>, Vec<_>) =
            submissions.into_iter().partition(changes_root);
        for submission in changing {
            if self.shared.is_halted() {
                ready.push(submission);
            } else if self.pace.waiting.len() < RESTING_PLANS_MAX {
                self.pace.waiting.push(submission);
            } else {
                submission.refuse(EngineError::ServerLimitExceeded(LIMIT_OF_WAITING));
            }
        }
        ready
    }

    /// Whether something waits and may go now.
    pub(super) fn is_rested_work(&self) -> bool {
        !self.pace.waiting.is_empty()
            && (self.shared.is_halted() || self.has_rested(self.slot.rest()))
    }

    /// What waits, for the end: what was taken is finished.
    pub(super) fn take_resting(&mut self) -> Vec<Submission> {
        std::mem::take(&mut self.pace.waiting)
    }

    /// The slot got another root.
    pub(super) fn root_changed(&mut self) {
        self.pace.changed = Some(self.shared.clock.monotonic());
    }

    fn has_rested(&self, rest: Duration) -> bool {
        let now = self.shared.clock.monotonic();
        self.pace.changed.is_none_or(|changed| now.saturating_sub(changed) >= rest)
    }
}

/// Whether a plan cuts anything from the erasure tree.
fn changes_root(submission: &Submission) -> bool {
    submission.change.steps.iter().any(|step| !leaves_that_go(step).is_empty())
}
