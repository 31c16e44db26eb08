//! Make and see vaults and realms.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_types::limits::{ATTRIBUTES_BYTES_MAX, ATTRIBUTES_MAX, LABELS_MAX, VAULTS_MAX};
use lethe_types::{
    LabelName, LabelValue, Permission, Permissions, RealmId, RealmName, UnixMillis, VaultId,
    VaultName,
};

use super::policy::check_policy;
use super::{Planned, Touched};
use crate::authz::{self, Caller, CreateVault, Operation, ReadVault, RemoveVault, UpdateVault};
use crate::committer::{Change, Committed, Step};
use crate::record::{DeletionPolicy, NameRule, RealmRecord, Scope, VaultRecord};
use crate::{Engine, EngineError, system};

/// What a new vault is to be.
#[derive(Clone, Debug)]
pub struct VaultRequest {
    /// Unique in the realm.
    pub name: VaultName,
    /// When its keys may be destroyed, beside what the realm demands.
    pub policy: DeletionPolicy,
    /// How names of its keys may be used.
    pub names: NameRule,
    /// For people and selectors.
    pub labels: BTreeMap<LabelName, LabelValue>,
    /// What doors keep with it.
    pub attributes: BTreeMap<Box<str>, Box<[u8]>>,
    /// What its maker may do in it from then on, if that has to be given.
    pub maker: Permissions,
}

impl VaultRequest {
    /// A vault with a name and no rules.
    #[must_use]
    pub fn new(name: VaultName) -> Self {
        Self {
            name,
            policy: DeletionPolicy::default(),
            names: NameRule::default(),
            labels: BTreeMap::new(),
            attributes: BTreeMap::new(),
            maker: Permissions::NONE,
        }
    }
}

/// A vault as it was seen, and as it is to be.
type VaultPlan = (Option<Arc<VaultRecord>>, VaultRecord);

/// What is to change in a vault; what is not named stays.
#[derive(Clone, Debug, Default)]
pub struct VaultChange {
    /// A new name.
    pub name: Option<VaultName>,
    /// A new policy, in the place of the whole old one.
    pub policy: Option<DeletionPolicy>,
    /// A new rule; it speaks of names that are given from now on.
    pub names: Option<NameRule>,
    /// New labels, in the place of all old ones.
    pub labels: Option<BTreeMap<LabelName, LabelValue>>,
    /// Attributes to set, or to take away where there is no value.
    pub attributes: BTreeMap<Box<str>, Option<Box<[u8]>>>,
}

impl VaultChange {
    fn apply(&self, record: &mut VaultRecord) {
        if let Some(name) = &self.name {
            record.name = name.clone();
        }
        if let Some(policy) = &self.policy {
            record.policy = policy.clone();
        }
        if let Some(names) = self.names {
            record.names = names;
        }
        if let Some(labels) = &self.labels {
            record.labels = labels.clone();
        }
        for (name, value) in &self.attributes {
            match value {
                Some(value) => drop(record.attributes.insert(name.clone(), value.clone())),
                None => drop(record.attributes.remove(name)),
            }
        }
    }
}

/// Whether the caller may make a vault and get these rights on it.
fn may_make_vault(caller: &Caller, maker: Permissions) -> Result<(), EngineError> {
    if caller.may_in(Permission::VaultsCreate, None) {
        return Ok(());
    }
    authz::check_realm::<CreateVault>(caller, None)?;
    // Nobody gives themselves what they lack, not even here.
    caller
        .lacks(maker, Scope::Realm)
        .map_or(Ok(()), |lacks| Err(EngineError::PermissionDenied(lacks)))
}

fn check_vault(record: &VaultRecord) -> Result<(), EngineError> {
    check_policy(&record.policy)?;
    let sizes = record.attributes.iter().map(|(name, value)| name.len() + value.len());
    if record.labels.len() > LABELS_MAX {
        return Err(EngineError::ServerLimitExceeded("labels of one vault"));
    }
    if record.attributes.len() > ATTRIBUTES_MAX || sizes.sum::<usize>() > ATTRIBUTES_BYTES_MAX {
        return Err(EngineError::ServerLimitExceeded("attributes of one vault"));
    }
    Ok(())
}

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
            plain_export: false,
            attributes: Default::default(),
            salt,
        };
        let id = realm.id;
        let vault = self.new_vault(id, realm.default_vault, "default".parse().expect("a name"))?;
        let caller = Caller::new(Arc::new(system::principal(id)), None, "server", [0; 16]);
        let mut change = Some(Change::all(vec![
            Step::PutRealm { seen: None, record: Box::new(realm) },
            Step::PutVault { seen: None, record: Box::new(vault) },
        ]));
        self.change(&caller, None, |_| {
            if let Some(change) = change.take() {
                return Ok(Planned::Change(change));
            }
            // Lost a race: somebody else made a realm of this name.
            Ok(Planned::Done(Committed::nothing()))
        })
        .await?;
        let touched = Touched { subject: Some(id.0), ..Touched::default() };
        self.audit_done::<CreateVault>(&caller, now, touched);
        let realm = self.shared.catalogue.realm_by_name(name);
        realm.map(|realm| realm.id).ok_or(EngineError::Internal("a realm that vanished"))
    }

    /// Makes a vault. Needs `vaults.admin` on the realm, or `vaults.create`, which is enough to get
    /// any right on the new vault: there is nothing in it.
    ///
    /// # Errors
    /// [`EngineError::NameTaken`] if the realm has a vault of that name.
    pub async fn create_vault(
        &self,
        caller: &Caller,
        request: VaultRequest,
    ) -> Result<Arc<VaultRecord>, EngineError> {
        let id = VaultId::random(&*self.shared.entropy)?;
        let mut vault = self.new_vault(caller.realm(), id, request.name)?;
        vault.policy = request.policy;
        vault.names = request.names;
        vault.labels = request.labels;
        vault.attributes = request.attributes;
        let result = self
            .change(caller, None, |_| {
                may_make_vault(caller, request.maker)?;
                if self.shared.catalogue.vaults(caller.realm()).len() >= VAULTS_MAX {
                    return Err(EngineError::ServerLimitExceeded("vaults of one realm"));
                }
                self.check_new_vault(&vault)?;
                let record = Box::new(vault.clone());
                let mut steps = vec![Step::PutVault { seen: None, record }];
                if !request.maker.is_empty() {
                    steps.push(self.grant_step(caller, caller.principal(), id, request.maker)?);
                }
                Ok(Planned::Change(Change::all(steps)))
            })
            .await;
        self.vault_done::<CreateVault>(caller, id, result)
    }

    /// Changes a vault's name, policy, labels or attributes.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`], [`EngineError::NameTaken`], [`EngineError::InvalidField`].
    pub async fn update_vault(
        &self,
        caller: &Caller,
        vault: VaultId,
        change: &VaultChange,
    ) -> Result<Arc<VaultRecord>, EngineError> {
        self.change_vault::<UpdateVault>(caller, vault, |now| {
            let seen = self.find_vault(caller, vault)?;
            let mut record = (*seen).clone();
            record.changed = now;
            change.apply(&mut record);
            Ok((Some(seen), record))
        })
        .await
    }

    /// Removes a vault that has no live key. Its tombstones stay, and its name is free again.
    ///
    /// # Errors
    /// [`EngineError::VaultNotEmpty`] while keys live in it; [`EngineError::InvalidField`] for the
    /// realm's default vault.
    pub async fn remove_vault(
        &self,
        caller: &Caller,
        vault: VaultId,
    ) -> Result<Arc<VaultRecord>, EngineError> {
        self.change_vault::<RemoveVault>(caller, vault, |now| {
            let seen = self.find_vault(caller, vault)?;
            let realm = self.shared.catalogue.realm(caller.realm());
            if realm.is_some_and(|realm| realm.default_vault == vault) {
                let why = "is the realm's default vault".to_owned();
                return Err(EngineError::InvalidField { field: "vault", why });
            }
            let live = self.shared.catalogue.live_keys_in(vault);
            if live > 0 {
                return Err(EngineError::VaultNotEmpty { live });
            }
            let mut record = (*seen).clone();
            record.changed = now;
            record.removed = Some(now);
            Ok((Some(seen), record))
        })
        .await
    }

    /// One vault.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`].
    pub fn read_vault(
        &self,
        caller: &Caller,
        vault: VaultId,
    ) -> Result<Arc<VaultRecord>, EngineError> {
        let result = authz::check_realm::<ReadVault>(caller, Some(vault))
            .and_then(|()| self.find_vault(caller, vault));
        let touched = Touched { subject: Some(vault.0), ..Touched::default() };
        let refusal = result.as_ref().err();
        self.record::<ReadVault>(caller, self.shared.clock.now(), touched, refusal)?;
        result
    }

    pub(super) fn find_vault(
        &self,
        caller: &Caller,
        vault: VaultId,
    ) -> Result<Arc<VaultRecord>, EngineError> {
        let found = self.shared.catalogue.vault(caller.realm(), vault);
        let found = found.filter(|record| record.removed.is_none());
        found.ok_or(EngineError::ItemNotFound("vault"))
    }

    async fn change_vault<Op: Operation>(
        &self,
        caller: &Caller,
        vault: VaultId,
        mut plan: impl FnMut(UnixMillis) -> Result<VaultPlan, EngineError>,
    ) -> Result<Arc<VaultRecord>, EngineError> {
        let result = self
            .change(caller, None, |_| {
                authz::check_realm::<Op>(caller, Some(vault))?;
                let (seen, record) = plan(self.shared.clock.now())?;
                self.check_new_vault(&record)?;
                let step = Step::PutVault { seen, record: Box::new(record) };
                Ok(Planned::Change(Change::one(step)))
            })
            .await;
        self.vault_done::<Op>(caller, vault, result)
    }

    fn check_new_vault(&self, record: &VaultRecord) -> Result<(), EngineError> {
        check_vault(record)?;
        let other = self.shared.catalogue.vault_by_name(record.realm, &record.name);
        if record.removed.is_none() && other.is_some_and(|other| other.id != record.id) {
            return Err(EngineError::NameTaken("the name"));
        }
        Ok(())
    }

    /// The vault as it is now, after the audit event of what was done to it.
    fn vault_done<Op: Operation>(
        &self,
        caller: &Caller,
        vault: VaultId,
        result: Result<Committed, EngineError>,
    ) -> Result<Arc<VaultRecord>, EngineError> {
        let now = self.shared.clock.now();
        match result {
            Ok(committed) => {
                let (subject, log_index) = (Some(vault.0), committed.log_index());
                let touched = Touched { subject, log_index, ..Touched::default() };
                self.audit_done::<Op>(caller, now, touched);
                let made = self.shared.catalogue.vault(caller.realm(), vault);
                made.ok_or(EngineError::Internal("a vault that vanished"))
            }
            Err(error) => {
                let known = self.shared.catalogue.vault(caller.realm(), vault);
                let subject = known.map(|vault| vault.id.0);
                let touched = Touched { subject, ..Touched::default() };
                self.record::<Op>(caller, now, touched, Some(&error))?;
                Err(error)
            }
        }
    }

    /// The vaults of the caller's realm.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`].
    pub fn list_vaults(&self, caller: &Caller) -> Result<Vec<Arc<VaultRecord>>, EngineError> {
        let result = authz::check_realm::<ReadVault>(caller, None)
            .map(|()| self.shared.catalogue.vaults(caller.realm()))
            .map(|vaults| vaults.into_iter().filter(|vault| vault.removed.is_none()).collect());
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
