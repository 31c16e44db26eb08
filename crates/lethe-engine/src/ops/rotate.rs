//! Add a version to a key: new data is protected by it, older versions still open what they
//! protected.

use std::sync::Arc;

use lethe_store::Revision;
use lethe_types::KeyId;

use super::{Planned, Touched};
use crate::authz::{self, Caller, RotateKey};
use crate::catalogue::KeyEntry;
use crate::committer::{Change, Committed};
use crate::lifecycle;
use crate::{Engine, EngineError};

impl Engine {
    /// Adds a version to `key`. `expected` is the revision that the caller saw, if it cares.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn rotate_key(
        &self,
        caller: &Caller,
        key: KeyId,
        expected: Option<Revision>,
    ) -> Result<Arc<KeyEntry>, EngineError> {
        let result = self
            .change(caller, None, |_| {
                let entry = self.load(key)?;
                let proof = authz::check::<RotateKey>(caller, entry)?;
                let seen = proof.entry().clone();
                lifecycle::expect_revision(&seen, expected)?;
                lifecycle::may_rotate(seen.record())?;
                if !lifecycle::has_room_for_a_version(seen.record()) {
                    return Err(EngineError::ServerLimitExceeded("versions of one key"));
                }
                let material = seen.record().algorithm.generate(&*self.shared.entropy)?;
                Ok(Planned::Change(Box::new(Change::AddVersion { seen, material })))
            })
            .await;
        let now = self.shared.clock.now();
        match result {
            Ok(Committed::Key { entry, log_index }) => {
                let touched = Touched { key: Some(key), log_index, ..Touched::default() };
                self.audit_done::<RotateKey>(caller, now, touched);
                Ok(entry)
            }
            Ok(Committed::Destroyed(_) | Committed::Done) => {
                Err(EngineError::Internal("a rotation with another outcome"))
            }
            Err(error) => {
                self.audit::<RotateKey>(caller, now, Some(key), Some(&error))?;
                Err(error)
            }
        }
    }

    pub(super) fn load(&self, key: KeyId) -> Result<Arc<KeyEntry>, EngineError> {
        self.shared.catalogue.key(key).ok_or(EngineError::ItemNotFound("key"))
    }
}
