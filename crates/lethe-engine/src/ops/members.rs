//! Who may do what in one vault, and how doors find what they know by names of their own.
//!
//! The rights on a vault are grants of its principals. They change here without a right on the
//! principals themselves: who manages a vault need not manage the realm.

use std::sync::Arc;

use lethe_log::EntryType;
use lethe_types::limits::GRANTS_MAX;
use lethe_types::{KeyId, Permission, Permissions, PrincipalId, RealmId, VaultId};

use super::{Planned, Touched};
use crate::authz::{self, Caller, GrantOnVault, PrincipalEntry, ReadMembers};
use crate::committer::{Change, PrincipalUpdate, Step};
use crate::record::{Grant, PrincipalRecord, Scope, VaultRecord};
use crate::{Engine, EngineError};

impl Engine {
    /// Gives a principal exactly these rights on a vault, in place of those it has on it; none if
    /// the set is empty. Rights on the whole realm or on single keys stay as they are.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`] without `principals.manage` on the vault, or for a right
    /// that the caller lacks there; [`EngineError::ItemNotFound`];
    /// [`EngineError::InvalidField`] with the field `grants` if nobody who can act would be left
    /// who was given `principals.manage` on the vault;
    /// [`EngineError::ServerLimitExceeded`].
    pub async fn grant_on_vault(
        &self,
        caller: &Caller,
        vault: VaultId,
        principal: PrincipalId,
        permissions: Permissions,
    ) -> Result<Arc<PrincipalEntry>, EngineError> {
        let result = self
            .change(caller, None, |_| {
                authz::check_realm::<GrantOnVault>(caller, Some(vault))?;
                let seen = self.find_vault(caller, vault)?;
                if let Some(lacking) = caller.lacks(permissions, Scope::Vault(vault)) {
                    return Err(EngineError::PermissionDenied(lacking));
                }
                self.keeps_a_manager(caller, vault, principal, permissions)?;
                let mut record = (*seen).clone();
                record.changed = self.shared.clock.now();
                let granted = self.grant_step(caller, principal, vault, permissions)?;
                // The vault is a step too, so that of two changes of its members one is planned
                // again: both could take what they believe is the last manager but one.
                let vault = Step::PutVault { seen: Some(seen), record: Box::new(record) };
                Ok(Planned::Change(Change::all(vec![granted, vault])))
            })
            .await;
        self.principal_changed::<GrantOnVault>(caller, principal, result)
    }

    fn keeps_a_manager(
        &self,
        caller: &Caller,
        vault: VaultId,
        principal: PrincipalId,
        permissions: Permissions,
    ) -> Result<(), EngineError> {
        let now = self.shared.clock.now();
        let manages = |entry: &Arc<PrincipalEntry>| {
            let given = given_on(entry.record(), vault);
            given.contains(Permission::PrincipalsManage) && entry.record().is_live(now)
        };
        let managers = self.shared.catalogue.principals(caller.realm()).into_iter();
        let managers: Vec<PrincipalId> =
            managers.filter(manages).map(|entry| entry.record().id).collect();
        let is_last = managers == [principal];
        if is_last && !permissions.contains(Permission::PrincipalsManage) {
            let why = "nobody would be left who manages the vault".to_owned();
            return Err(EngineError::InvalidField { field: "grants", why });
        }
        Ok(())
    }

    /// The step that gives a principal exactly these rights on a vault. Grants on vaults that are
    /// gone go with it.
    pub(super) fn grant_step(
        &self,
        caller: &Caller,
        principal: PrincipalId,
        vault: VaultId,
        permissions: Permissions,
    ) -> Result<Step, EngineError> {
        let seen = self.find_principal(caller, principal)?;
        let mut record = seen.record().clone();
        if record.revoked.is_some() {
            return Err(EngineError::ItemNotFound("principal"));
        }
        let catalogue = &self.shared.catalogue;
        record.grants.retain(|grant| match grant.scope {
            Scope::Vault(other) => {
                let found = catalogue.vault(caller.realm(), other);
                other != vault && found.is_some_and(|found| found.removed.is_none())
            }
            Scope::Key(_) | Scope::Realm => true,
        });
        if !permissions.is_empty() {
            record.grants.push(Grant { permissions, scope: Scope::Vault(vault) });
        }
        if record.grants.len() > GRANTS_MAX {
            return Err(EngineError::ServerLimitExceeded("grants of one principal"));
        }
        let kind = EntryType::GrantChanged;
        let update = PrincipalUpdate { seen: Some(seen), record, kind, secrets: Vec::new() };
        Ok(Step::PutPrincipal(Box::new(update)))
    }

    /// The principals that were given rights on the vault itself, revoked ones not.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`] without `principals.read` on the vault;
    /// [`EngineError::ItemNotFound`].
    pub fn vault_members(
        &self,
        caller: &Caller,
        vault: VaultId,
    ) -> Result<Vec<Arc<PrincipalEntry>>, EngineError> {
        let is_member = |entry: &Arc<PrincipalEntry>| {
            let record = entry.record();
            record.revoked.is_none() && !given_on(record, vault).is_empty()
        };
        let result = authz::check_realm::<ReadMembers>(caller, Some(vault))
            .and_then(|()| self.find_vault(caller, vault))
            .map(|_| self.shared.catalogue.principals(caller.realm()).into_iter())
            .map(|all| all.filter(is_member).collect());
        let touched = Touched { subject: Some(vault.0), ..Touched::default() };
        let refusal = result.as_ref().err();
        self.record::<ReadMembers>(caller, self.shared.clock.now(), touched, refusal)?;
        result
    }

    /// The vaults that the caller may see. Not in the audit trail: for a door that has to find the
    /// vault of a request, whose operation then is.
    #[must_use]
    pub fn visible_vaults(&self, caller: &Caller) -> Vec<Arc<VaultRecord>> {
        let catalogue = &self.shared.catalogue;
        let all: Vec<Arc<VaultRecord>> = if caller.may_in(Permission::VaultsRead, None) {
            catalogue.vaults(caller.realm())
        } else {
            let granted = caller.record().grants.iter().filter_map(|grant| match grant.scope {
                Scope::Vault(vault) => catalogue.vault(caller.realm(), vault),
                Scope::Key(_) | Scope::Realm => None,
            });
            granted.collect()
        };
        let mut seen: Vec<Arc<VaultRecord>> = all
            .into_iter()
            .filter(|vault| vault.removed.is_none())
            .filter(|vault| caller.may_in(Permission::VaultsRead, Some(vault.id)))
            .collect();
        // A principal may have several grants on one vault.
        seen.sort_by_key(|vault| vault.id);
        seen.dedup_by_key(|vault| vault.id);
        seen
    }

    /// The principals of a realm that `wanted` accepts, revoked ones not. Asks nobody's permission
    /// and is not in the audit trail: for a door that knows them by names of its own, and asks for
    /// an operation on them next.
    #[must_use]
    pub fn find_principals(
        &self,
        realm: RealmId,
        wanted: impl Fn(&PrincipalRecord) -> bool,
    ) -> Vec<Arc<PrincipalEntry>> {
        let all = self.shared.catalogue.principals(realm).into_iter();
        let fits = |entry: &Arc<PrincipalEntry>| {
            entry.record().revoked.is_none() && wanted(entry.record())
        };
        all.filter(fits).collect()
    }

    /// Whether the installation destroyed a key of that identity, in whatever realm. Asks nobody's
    /// permission: for a door that is given a key back.
    #[must_use]
    pub fn is_destroyed(&self, key: KeyId) -> bool {
        self.shared.catalogue.key(key).is_some_and(|entry| entry.record().state.is_destroyed())
    }
}

impl Caller {
    /// What it may do everywhere in a vault.
    #[must_use]
    pub fn permissions_in(&self, vault: VaultId) -> Permissions {
        let may = |permission: &Permission| self.may_in(*permission, Some(vault));
        Permission::ALL.iter().copied().filter(may).collect()
    }
}

/// What a principal was given on the vault itself.
fn given_on(record: &PrincipalRecord, vault: VaultId) -> Permissions {
    let on_vault = record.grants.iter().filter(|grant| grant.scope == Scope::Vault(vault));
    on_vault.fold(Permissions::NONE, |all, grant| all.union(grant.permissions))
}
