//! Make a key.

use std::sync::Arc;

use lethe_crypto::registry::{Algorithm, Material};
use lethe_types::{KeyId, KeyName, KeyState, VaultId};

use super::{Planned, Touched};
use crate::authz::{self, Caller, CreateKey};
use crate::catalogue::KeyEntry;
use crate::committer::{Change, Committed};
use crate::idempotency::IdempotencyKey;
use crate::record::KeyRecord;
use crate::{Engine, EngineError};

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct CreateKeyRequest {
    /// A label for people; need not be unique.
    pub name: KeyName,
    /// What kind of key.
    pub algorithm: Algorithm,
    /// In which vault; the realm's default vault if `None`.
    pub vault: Option<VaultId>,
    /// Makes a retry answer with the key that the first try made.
    pub idempotency: Option<IdempotencyKey>,
}

/// An authorised request with its material made; nothing is stored yet.
#[derive(Debug)]
#[must_use]
pub struct PreparedKey {
    step: Step,
    idempotency: Option<IdempotencyKey>,
}

#[derive(Debug)]
enum Step {
    Existing(Arc<KeyEntry>),
    New(Box<(KeyRecord, Material)>),
}

impl Engine {
    /// Authorises the request and makes the key's material. Slow for RSA: see
    /// [`Algorithm::is_slow_to_generate`].
    ///
    /// # Errors
    /// See [`EngineError`]; a refusal is in the audit trail.
    pub fn prepare_key(
        &self,
        caller: &Caller,
        request: CreateKeyRequest,
    ) -> Result<PreparedKey, EngineError> {
        let result = self.prepare_key_unaudited(caller, request);
        if let Err(error) = &result {
            self.audit::<CreateKey>(caller, self.shared.clock.now(), None, Some(error))?;
        }
        result
    }

    fn prepare_key_unaudited(
        &self,
        caller: &Caller,
        request: CreateKeyRequest,
    ) -> Result<PreparedKey, EngineError> {
        let CreateKeyRequest { name, algorithm, vault, idempotency } = request;
        let now = self.shared.clock.now();
        let realm = self
            .shared
            .catalogue
            .realm(caller.realm())
            .ok_or(EngineError::Internal("a caller without a realm"))?;
        let vault = vault.unwrap_or(realm.default_vault);
        authz::check_realm::<CreateKey>(caller, Some(vault))?;
        self.shared.catalogue.vault(realm.id, vault).ok_or(EngineError::ItemNotFound("vault"))?;
        if let Some(entry) = self.remembered(idempotency.as_ref())? {
            return Ok(PreparedKey { step: Step::Existing(entry), idempotency });
        }
        let entropy = &*self.shared.entropy;
        let mut salt = Box::new([0; 32]);
        entropy.fill(salt.as_mut_slice())?;
        let record = KeyRecord {
            id: KeyId::random(entropy)?,
            realm: realm.id,
            vault,
            name,
            algorithm,
            state: KeyState::ACTIVE,
            created: now,
            created_by: caller.principal(),
            changed: now,
            salt,
            aliases: Vec::new(),
            versions: Vec::new(),
            next_version: 1,
            imported: false,
            exported: false,
            details: None,
            destruction: None,
        };
        let material = algorithm.generate(entropy)?;
        Ok(PreparedKey { step: Step::New(Box::new((record, material))), idempotency })
    }

    /// Stores a prepared key. When it returns `Ok` the key is durable and every later request sees
    /// it.
    ///
    /// # Errors
    /// See [`EngineError`]. [`EngineError::StorageUnavailable`]: the key may exist; it has no user.
    pub async fn create_key(
        &self,
        caller: &Caller,
        prepared: PreparedKey,
    ) -> Result<Arc<KeyEntry>, EngineError> {
        let PreparedKey { step, idempotency } = prepared;
        let mut new = match step {
            Step::Existing(entry) => {
                let id = entry.record().id;
                self.audit::<CreateKey>(caller, self.shared.clock.now(), Some(id), None)?;
                return Ok(entry);
            }
            Step::New(new) => Some(new),
        };
        let result = self
            .change(caller, idempotency.as_ref(), |returned| {
                if let Some(entry) = self.remembered(idempotency.as_ref())? {
                    return Ok(Planned::Done(Committed::Key { entry, log_index: None }));
                }
                // It lost to the same idempotency key, and that one was not committed either.
                if let Some(change) = returned {
                    return Ok(Planned::Change(change));
                }
                let (record, material) =
                    *new.take().ok_or(EngineError::Internal("a creation that vanished"))?;
                Ok(Planned::Change(Box::new(Change::CreateKey { record, material })))
            })
            .await;
        let now = self.shared.clock.now();
        match result {
            Ok(Committed::Key { entry, log_index }) => {
                let id = entry.record().id;
                let touched = Touched { key: Some(id), log_index, ..Touched::default() };
                self.audit_done::<CreateKey>(caller, now, touched);
                Ok(entry)
            }
            Ok(Committed::Destroyed(_) | Committed::Done) => {
                Err(EngineError::Internal("a creation with another outcome"))
            }
            Err(error) => {
                self.audit::<CreateKey>(caller, now, None, Some(&error))?;
                Err(error)
            }
        }
    }

    pub(super) fn remembered(
        &self,
        idempotency: Option<&IdempotencyKey>,
    ) -> Result<Option<Arc<KeyEntry>>, EngineError> {
        let Some(idempotency) = idempotency else { return Ok(None) };
        let key = self.shared.idempotency.find(idempotency, self.shared.clock.now())?;
        Ok(key.and_then(|key| self.shared.catalogue.key(key)))
    }
}
