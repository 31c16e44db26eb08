//! Place and lift holds: blocks on the destruction of one key.

use std::sync::Arc;

use lethe_log::EntryType;
use lethe_types::limits::HOLDS_MAX;
use lethe_types::{HoldId, KeyId, UnixMillis};

use crate::authz::{Caller, LiftHold, PlaceHold};
use crate::catalogue::KeyEntry;
use crate::committer::Change;
use crate::lifecycle;
use crate::record::{Hold, HoldKind};
use crate::{Engine, EngineError};

/// What a new hold is to be.
#[derive(Clone, Debug)]
pub struct HoldRequest {
    /// Why, in kind.
    pub kind: HoldKind,
    /// Why, in words; shown to whom it refuses.
    pub reason: String,
    /// When it ends by itself, if it does.
    pub expires: Option<UnixMillis>,
}

impl Engine {
    /// Blocks the destruction of a key until the hold is lifted or ends. A destruction that waits
    /// goes on waiting past its time while the hold stands.
    ///
    /// # Errors
    /// [`EngineError::ServerLimitExceeded`], [`EngineError::InvalidField`].
    pub async fn place_hold(
        &self,
        caller: &Caller,
        key: KeyId,
        request: &HoldRequest,
    ) -> Result<(Arc<KeyEntry>, HoldId), EngineError> {
        let id = HoldId::random(&*self.shared.entropy)?;
        let entry = self
            .change_key::<PlaceHold>(caller, key, |seen| {
                lifecycle::check_reason(&request.reason)?;
                let now = self.shared.clock.now();
                if request.expires.is_some_and(|end| end <= now) {
                    let why = "must be in the future".to_owned();
                    return Err(EngineError::InvalidField { field: "expires", why });
                }
                let mut record = seen.record().clone();
                let holds = &mut record.details_mut().holds;
                holds.retain(|hold| hold.stands(now));
                if holds.len() >= HOLDS_MAX {
                    return Err(EngineError::ServerLimitExceeded("holds on one key"));
                }
                holds.push(Hold {
                    id,
                    kind: request.kind,
                    reason: request.reason.clone(),
                    placed: now,
                    by: caller.principal(),
                    expires: request.expires,
                });
                let facts = vec![("hold_placed", id.to_string())];
                let (seen, kind) = (seen.clone(), EntryType::KeyChanged);
                Ok(Some(Change::of_record(seen, record, kind, facts)))
            })
            .await?;
        Ok((entry, id))
    }

    /// Lifts a hold.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] if the key has no such hold.
    pub async fn lift_hold(
        &self,
        caller: &Caller,
        key: KeyId,
        hold: HoldId,
    ) -> Result<Arc<KeyEntry>, EngineError> {
        self.change_key::<LiftHold>(caller, key, |seen| {
            let mut record = seen.record().clone();
            let holds = &mut record.details_mut().holds;
            let before = holds.len();
            holds.retain(|other| other.id != hold);
            if holds.len() == before {
                return Err(EngineError::ItemNotFound("hold"));
            }
            let facts = vec![("hold_lifted", hold.to_string())];
            let (seen, kind) = (seen.clone(), EntryType::KeyChanged);
            Ok(Some(Change::of_record(seen, record, kind, facts)))
        })
        .await
    }
}
