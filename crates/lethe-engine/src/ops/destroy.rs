//! Destroy a key: at once, for good, with a receipt.

use std::sync::Arc;

use lethe_log::Receipt;
use lethe_store::Revision;
use lethe_types::KeyId;

use super::{Planned, Touched};
use crate::authz::{self, Caller, Destroy, ReadKey};
use crate::catalogue::KeyEntry;
use crate::committer::{Change, Committed};
use crate::idempotency::IdempotencyKey;
use crate::{Engine, EngineError, lifecycle};

/// Which key is to go, and why.
#[derive(Clone, Debug)]
pub struct DestroyRequest {
    /// The key.
    pub key: KeyId,
    /// Why, in the caller's words; part of the receipt. May be empty.
    pub reason: String,
    /// The revision that the caller saw, if it cares.
    pub expected: Option<Revision>,
    /// Makes a retry answer with the receipt of the first try.
    pub idempotency: Option<IdempotencyKey>,
}

/// A destruction that is final, and its evidence.
#[derive(Debug)]
pub struct Destroyed {
    /// The tombstone.
    pub entry: Arc<KeyEntry>,
    /// The evidence.
    pub receipt: Receipt,
}

impl Engine {
    /// Destroys a key. When it returns `Ok`, no later use succeeds, the old root is erased, and the
    /// receipt verifies.
    ///
    /// # Errors
    /// See [`EngineError`]. [`EngineError::ObjectDestroyed`] if it was destroyed before.
    /// [`EngineError::StorageUnavailable`]: the key is refused for every use; whether it is gone is
    /// known after the next start, which completes what was begun.
    pub async fn destroy_key(
        &self,
        caller: &Caller,
        request: DestroyRequest,
    ) -> Result<Destroyed, EngineError> {
        let key = request.key;
        let result = self.destroy_unaudited(caller, request).await;
        let now = self.shared.clock.now();
        match result {
            Ok((destroyed, log_index)) => {
                let touched = Touched { key: Some(key), log_index, ..Touched::default() };
                self.audit_done::<Destroy>(caller, now, touched);
                Ok(destroyed)
            }
            Err(error) => {
                self.audit::<Destroy>(caller, now, Some(key), Some(&error))?;
                Err(error)
            }
        }
    }

    async fn destroy_unaudited(
        &self,
        caller: &Caller,
        request: DestroyRequest,
    ) -> Result<(Destroyed, Option<u64>), EngineError> {
        let DestroyRequest { key, reason, expected, idempotency } = request;
        lifecycle::check_reason(&reason)?;
        let requested = self.shared.clock.now();
        let committed = self
            .change(caller, idempotency.as_ref(), |_| {
                let entry = self.load(key)?;
                let proof = authz::check::<Destroy>(caller, entry)?;
                let seen = proof.entry().clone();
                if let Some(entry) = self.remembered(idempotency.as_ref())? {
                    return Ok(Planned::Done(Committed::Key { entry, log_index: None }));
                }
                lifecycle::after_destroy(seen.record())?;
                lifecycle::expect_revision(&seen, expected)?;
                let reason = reason.clone();
                Ok(Planned::Change(Box::new(Change::DestroyKey { seen, requested, reason })))
            })
            .await?;
        match committed {
            Committed::Destroyed(parts) => {
                let index = parts.index;
                let (entry, receipt) = crate::receipt::from_parts(*parts);
                Ok((Destroyed { entry, receipt }, Some(index)))
            }
            Committed::Key { entry, .. } => {
                let receipt = self.receipt_of(&entry)?;
                Ok((Destroyed { entry, receipt }, None))
            }
            Committed::Done => Err(EngineError::Internal("a destruction with another outcome")),
        }
    }

    /// The receipt of a destroyed key, proven against the newest checkpoint.
    ///
    /// Reads the store: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] if the key is not destroyed, or not the caller's.
    pub fn receipt(&self, caller: &Caller, key: KeyId) -> Result<Receipt, EngineError> {
        let now = self.shared.clock.now();
        let result = self
            .load(key)
            .and_then(|entry| authz::check::<ReadKey>(caller, entry))
            .and_then(|proof| self.receipt_of(proof.entry()));
        self.audit::<ReadKey>(caller, now, Some(key), result.as_ref().err())?;
        result
    }
}
