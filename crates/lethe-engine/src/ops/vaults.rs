//! Make and see vaults and realms.

use std::sync::Arc;

use lethe_types::limits::VAULTS_MAX;
use lethe_types::{RealmId, RealmName, VaultId, VaultName};

use super::{Planned, Touched};
use crate::authz::{self, Caller, CreateVault, ReadVault};
use crate::committer::{Change, Committed};
use crate::record::{DeletionPolicy, RealmRecord, VaultRecord};
use crate::{Engine, EngineError, system};

impl Engine {
    /// The realm of that name, made with a default vault if it is not there yet. For the server's
    /// set-up.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn ensure_realm(&self, name: &RealmName) -> Result<RealmId, EngineError> {
        if let Some(realm) = self.shared.catalogue.realm_by_name(name) {
            return Ok(realm.id);
        }
        let entropy = &*self.shared.entropy;
        let now = self.shared.clock.now();
        let mut salt = Box::new([0; 32]);
        entropy.fill(salt.as_mut_slice())?;
        let realm = RealmRecord {
            id: RealmId::random(entropy)?,
            name: name.clone(),
            created: now,
            default_vault: VaultId::random(entropy)?,
            policy: DeletionPolicy::default(),
            attributes: Default::default(),
            salt,
        };
        let id = realm.id;
        let vault = self.new_vault(id, realm.default_vault, "default".parse().expect("a name"))?;
        let caller = Caller {
            principal: Arc::new(system::principal(id)),
            credential: None,
            door: "server",
            request: [0; 16],
        };
        let mut change = Some(Box::new(Change::CreateRealm { realm, vault }));
        self.change(&caller, None, |_| {
            if let Some(change) = change.take() {
                return Ok(Planned::Change(change));
            }
            // Lost a race: somebody else made a realm of this name.
            Ok(Planned::Done(Committed::Done))
        })
        .await?;
        let touched = Touched { subject: Some(id.0), ..Touched::default() };
        self.audit_done::<CreateVault>(&caller, now, touched);
        let realm = self.shared.catalogue.realm_by_name(name);
        realm.map(|realm| realm.id).ok_or(EngineError::Internal("a realm that vanished"))
    }

    /// Makes a vault.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] if the realm has a vault of that name.
    pub async fn create_vault(
        &self,
        caller: &Caller,
        name: VaultName,
    ) -> Result<Arc<VaultRecord>, EngineError> {
        let now = self.shared.clock.now();
        let result = self.create_vault_unaudited(caller, name).await;
        match &result {
            Ok(vault) => {
                let touched = Touched { subject: Some(vault.id.0), ..Touched::default() };
                self.audit_done::<CreateVault>(caller, now, touched);
            }
            Err(error) => self.audit::<CreateVault>(caller, now, None, Some(error))?,
        }
        result
    }

    async fn create_vault_unaudited(
        &self,
        caller: &Caller,
        name: VaultName,
    ) -> Result<Arc<VaultRecord>, EngineError> {
        authz::check_realm::<CreateVault>(caller, None)?;
        let id = VaultId::random(&*self.shared.entropy)?;
        let vault = self.new_vault(caller.realm(), id, name)?;
        self.change(caller, None, |_| {
            let taken = self.shared.catalogue.vaults(caller.realm());
            if taken.len() >= VAULTS_MAX {
                return Err(EngineError::ServerLimitExceeded("vaults of one realm"));
            }
            if taken.iter().any(|other| other.name == vault.name) {
                let why = "there is a vault of that name already".to_owned();
                return Err(EngineError::InvalidField { field: "name", why });
            }
            Ok(Planned::Change(Box::new(Change::CreateVault(vault.clone()))))
        })
        .await?;
        self.shared
            .catalogue
            .vault(caller.realm(), id)
            .ok_or(EngineError::Internal("a vault that vanished"))
    }

    /// The vaults of the caller's realm.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`].
    pub fn list_vaults(&self, caller: &Caller) -> Result<Vec<Arc<VaultRecord>>, EngineError> {
        let result = authz::check_realm::<ReadVault>(caller, None)
            .map(|()| self.shared.catalogue.vaults(caller.realm()));
        let now = self.shared.clock.now();
        self.audit::<ReadVault>(caller, now, None, result.as_ref().err())?;
        result
    }

    fn new_vault(
        &self,
        realm: RealmId,
        id: VaultId,
        name: VaultName,
    ) -> Result<VaultRecord, EngineError> {
        let mut vault = VaultRecord::new(id, realm, name, self.shared.clock.now());
        self.shared.entropy.fill(vault.salt.as_mut_slice())?;
        Ok(vault)
    }
}
