//! Add a version to a key: new data is protected by it, older versions still open what they
//! protected.

use std::sync::Arc;

use lethe_store::Revision;
use lethe_types::KeyId;

use crate::authz::{Caller, RotateKey};
use crate::catalogue::KeyEntry;
use crate::committer::{Change, Step};
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
        self.change_key::<RotateKey>(caller, key, |seen| {
            lifecycle::expect_revision(seen, expected)?;
            lifecycle::may_rotate(seen.record())?;
            if !lifecycle::has_room_for_a_version(seen.record()) {
                return Err(EngineError::ServerLimitExceeded("versions of one key"));
            }
            let material = seen.record().algorithm.generate(&*self.shared.entropy)?;
            Ok(Some(Change::one(Step::AddVersion {
                seen: seen.clone(),
                material,
                retires: Vec::new(),
            })))
        })
        .await
    }

    pub(super) fn load(&self, key: KeyId) -> Result<Arc<KeyEntry>, EngineError> {
        self.shared.catalogue.key(key).ok_or(EngineError::ItemNotFound("key"))
    }
}
