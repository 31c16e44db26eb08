//! Make, see, change and revoke principals.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lethe_log::EntryType;
use lethe_types::limits::{
    ATTRIBUTES_BYTES_MAX, ATTRIBUTES_MAX, BOUND_PRINCIPALS_MAX, CREDENTIALS_MAX, GRANTS_MAX,
    NAME_BYTES_MAX, PRINCIPALS_MAX,
};
use lethe_types::{
    CredentialId, KeyId, Permissions, PrincipalId, PrincipalName, SecretVec, UnixMillis,
};

use super::credentials::{MadeCredential, NewCredential};
use super::{Planned, Touched};
use crate::authz::{
    self, Caller, CreatePrincipal, Operation, PrincipalEntry, ReadPrincipal, RevokePrincipal,
    UpdatePrincipal,
};
use crate::committer::{Change, Committed, PrincipalUpdate, Step};
use crate::record::{Grant, PrincipalKind, PrincipalRecord, Scope};
use crate::{Engine, EngineError};

/// What a new principal is to be.
#[derive(Debug)]
pub struct CreatePrincipalRequest {
    /// A label for people.
    pub name: PrincipalName,
    /// What kind of actor.
    pub kind: PrincipalKind,
    /// The name to sign in with, if it signs in by name.
    pub login: Option<Box<str>>,
    /// What it may do; nothing that the caller may not do.
    pub grants: Vec<Grant>,
    /// The key that it acts for, if it is to die with it.
    pub bound_to: Option<KeyId>,
    /// What doors keep with it.
    pub attributes: BTreeMap<Box<str>, Box<[u8]>>,
    /// How it proves itself.
    pub credentials: Vec<NewCredential>,
}

impl CreatePrincipalRequest {
    /// A service account with a bearer token, good for `lifetime` or for ever.
    #[must_use]
    pub fn service(name: PrincipalName, grants: Vec<Grant>, lifetime: Option<Duration>) -> Self {
        Self {
            name,
            kind: PrincipalKind::ServiceAccount,
            login: None,
            grants,
            bound_to: None,
            attributes: BTreeMap::new(),
            credentials: vec![NewCredential::bearer(lifetime)],
        }
    }
}

/// A new principal, and the bearer tokens that are shown this once and kept only as hashes.
#[derive(Debug)]
pub struct NewPrincipal {
    /// The principal.
    pub entry: Arc<PrincipalEntry>,
    /// The tokens of its bearer credentials, in their order.
    pub tokens: Vec<(CredentialId, SecretVec)>,
}

/// What is to change in a principal; what is not named stays.
#[derive(Debug, Default)]
pub struct PrincipalChange {
    /// A new label.
    pub name: Option<PrincipalName>,
    /// New grants, in the place of all old ones.
    pub grants: Option<Vec<Grant>>,
    /// Whether it is refused for the time being.
    pub suspended: Option<bool>,
    /// A new name to sign in with, or none any more.
    pub login: Option<Option<Box<str>>>,
    /// Attributes to set, or to take away where there is no value.
    pub attributes: BTreeMap<Box<str>, Option<Box<[u8]>>>,
}

impl Engine {
    /// Makes a principal. None of its credentials outlives the caller's own.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`] also if a grant holds what the caller lacks itself;
    /// [`EngineError::ItemNotFound`] for a vault or key that is not in the caller's realm;
    /// [`EngineError::NameTaken`].
    pub async fn create_principal(
        &self,
        caller: &Caller,
        request: CreatePrincipalRequest,
    ) -> Result<NewPrincipal, EngineError> {
        let now = self.shared.clock.now();
        let result = self.create_principal_unaudited(caller, request).await;
        match &result {
            Ok(new) => {
                let subject = Some(new.entry.record().id.0);
                let touched = Touched { subject, ..Touched::default() };
                self.audit_done::<CreatePrincipal>(caller, now, touched);
            }
            Err(error) => self.audit::<CreatePrincipal>(caller, now, None, Some(error))?,
        }
        result
    }

    async fn create_principal_unaudited(
        &self,
        caller: &Caller,
        request: CreatePrincipalRequest,
    ) -> Result<NewPrincipal, EngineError> {
        authz::check_realm::<CreatePrincipal>(caller, None)?;
        if self.shared.catalogue.principals_count(caller.realm()) >= PRINCIPALS_MAX {
            return Err(EngineError::ServerLimitExceeded("principals of one realm"));
        }
        self.check_grants(caller, &[], &request.grants)?;
        if let Some(key) = request.bound_to {
            let key = self.load(key)?;
            if key.record().realm != caller.realm() {
                return Err(EngineError::ItemNotFound("key"));
            }
            // All of them stand in the key's receipt.
            let others = self.shared.catalogue.bound_to(key.record().id).len();
            if others >= BOUND_PRINCIPALS_MAX {
                return Err(EngineError::ServerLimitExceeded("principals that act for one key"));
            }
        }
        let entropy = &*self.shared.entropy;
        let now = self.shared.clock.now();
        let id = PrincipalId::random(entropy)?;
        let mut record = PrincipalRecord::new(id, caller.realm(), request.kind, request.name, now);
        entropy.fill(record.salt.as_mut_slice())?;
        record.login = request.login;
        record.grants = request.grants;
        record.bound_to = request.bound_to;
        record.attributes = request.attributes.into();
        let (mut tokens, mut secrets) = (Vec::new(), Vec::new());
        for new in request.credentials {
            let MadeCredential { credential, token, secret } =
                self.make_credential(caller, new, now)?;
            tokens.extend(token.map(|token| (credential.id, token)));
            secrets.extend(secret);
            record.credentials.push(credential);
        }
        check_principal(&record)?;
        let mut new = Some((record, secrets));
        self.change(caller, None, |returned| {
            if let Some(change) = returned {
                self.still_named(&change)?;
                return Ok(Planned::Change(change));
            }
            let (record, secrets) =
                new.take().ok_or(EngineError::Internal("a principal that vanished"))?;
            self.check_principal_names(&record)?;
            let kind = EntryType::PrincipalCreated;
            let update = PrincipalUpdate { seen: None, record, kind, secrets };
            Ok(Planned::Change(Change::one(Step::PutPrincipal(Box::new(update)))))
        })
        .await?;
        let entry = self.find_principal(caller, id)?;
        Ok(NewPrincipal { entry, tokens })
    }

    pub(super) fn still_named(&self, change: &Change) -> Result<(), EngineError> {
        for step in &change.steps {
            if let Step::PutPrincipal(update) = step {
                self.check_principal_names(&update.record)?;
            }
        }
        Ok(())
    }

    /// Whether nobody else signs in by these names, and the key it acts for is there.
    pub(super) fn check_principal_names(
        &self,
        record: &PrincipalRecord,
    ) -> Result<(), EngineError> {
        let catalogue = &self.shared.catalogue;
        let other = |entry: &Arc<PrincipalEntry>| entry.record().id != record.id;
        let login = record.login.as_deref();
        let login = login.and_then(|login| catalogue.by_login(record.realm, login));
        if login.is_some_and(|holder| other(&holder)) {
            return Err(EngineError::NameTaken("the login"));
        }
        let mut own = BTreeSet::new();
        for external in record.credentials.iter().filter_map(|credential| credential.external()) {
            let holder = catalogue.by_external(record.realm, external);
            if !own.insert(external) || holder.is_some_and(|(holder, _)| other(&holder)) {
                return Err(EngineError::NameTaken("the name of the credential"));
            }
        }
        match record.bound_to.and_then(|key| catalogue.key(key)) {
            Some(key) if record.revoked.is_none() && key.record().state.is_destroyed() => {
                Err(EngineError::ObjectDestroyed(key.record().id))
            }
            _ => Ok(()),
        }
    }

    /// Whether the caller may give somebody who has the grants `before` the new ones: what stays is
    /// not given.
    pub(super) fn check_grants(
        &self,
        caller: &Caller,
        before: &[Grant],
        grants: &[Grant],
    ) -> Result<(), EngineError> {
        if grants.len() > GRANTS_MAX {
            return Err(EngineError::ServerLimitExceeded("grants of one principal"));
        }
        for grant in grants {
            let old = before.iter().filter(|old| old.scope == grant.scope);
            let old = old.fold(Permissions::NONE, |all, old| all.union(old.permissions));
            if old.contains_all(grant.permissions) {
                continue;
            }
            self.scope_exists(caller, grant.scope)?;
            let given = grant.permissions.iter().filter(|one| !old.contains(*one)).collect();
            if let Some(lacking) = caller.lacks(given, grant.scope) {
                return Err(EngineError::PermissionDenied(lacking));
            }
        }
        Ok(())
    }

    fn scope_exists(&self, caller: &Caller, scope: Scope) -> Result<(), EngineError> {
        let catalogue = &self.shared.catalogue;
        let (what, exists) = match scope {
            Scope::Realm => ("realm", true),
            Scope::Vault(vault) => ("vault", catalogue.vault(caller.realm(), vault).is_some()),
            Scope::Key(key) => {
                let found = catalogue.key(key);
                ("key", found.is_some_and(|entry| entry.record().realm == caller.realm()))
            }
        };
        if exists { Ok(()) } else { Err(EngineError::ItemNotFound(what)) }
    }

    /// Changes a principal. Nobody gives more than they have.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`], [`EngineError::ItemNotFound`],
    /// [`EngineError::NameTaken`].
    pub async fn update_principal(
        &self,
        caller: &Caller,
        principal: PrincipalId,
        change: &PrincipalChange,
    ) -> Result<Arc<PrincipalEntry>, EngineError> {
        self.change_principal::<UpdatePrincipal>(caller, principal, |seen, _| {
            let mut record = seen.record().clone();
            let mut kind = EntryType::PrincipalChanged;
            if let Some(grants) = &change.grants {
                self.check_grants(caller, &record.grants, grants)?;
                record.grants.clone_from(grants);
                kind = EntryType::GrantChanged;
            }
            if let Some(name) = &change.name {
                record.name = name.clone();
            }
            if let Some(suspended) = change.suspended {
                record.suspended = suspended;
            }
            if let Some(login) = &change.login {
                record.login.clone_from(login);
            }
            for (name, value) in &change.attributes {
                match value {
                    Some(value) => drop(record.attributes.insert(name.clone(), value.clone())),
                    None => drop(record.attributes.remove(name)),
                }
            }
            Ok(Some((record, kind, Vec::new())))
        })
        .await
    }

    /// Takes every right and credential from a principal, at once. Secrets of its credentials are
    /// erased.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] if there is no such principal in the caller's realm.
    pub async fn revoke_principal(
        &self,
        caller: &Caller,
        principal: PrincipalId,
    ) -> Result<Arc<PrincipalEntry>, EngineError> {
        self.change_principal::<RevokePrincipal>(caller, principal, |seen, now| {
            if seen.record().revoked.is_some() {
                return Ok(None);
            }
            let mut record = seen.record().clone();
            record.revoked = Some(now);
            record.credentials.clear();
            Ok(Some((record, EntryType::PrincipalRevoked, Vec::new())))
        })
        .await
    }

    /// Plans, commits and audits a change of a principal; the principal as it is then.
    pub(super) async fn change_principal<Op: Operation>(
        &self,
        caller: &Caller,
        principal: PrincipalId,
        mut plan: impl FnMut(
            &Arc<PrincipalEntry>,
            UnixMillis,
        ) -> Result<Option<PrincipalPlan>, EngineError>,
    ) -> Result<Arc<PrincipalEntry>, EngineError> {
        let result = self
            .change(caller, None, |_| {
                authz::check_realm::<Op>(caller, None)?;
                let seen = self.find_principal(caller, principal)?;
                let Some((record, kind, secrets)) = plan(&seen, self.shared.clock.now())? else {
                    return Ok(Planned::Done(Committed::nothing()));
                };
                check_principal(&record)?;
                self.check_principal_names(&record)?;
                let update = PrincipalUpdate { seen: Some(seen), record, kind, secrets };
                Ok(Planned::Change(Change::one(Step::PutPrincipal(Box::new(update)))))
            })
            .await;
        self.principal_changed::<Op>(caller, principal, result)
    }

    /// Records what became of a change of a principal; the principal as it is then.
    pub(super) fn principal_changed<Op: Operation>(
        &self,
        caller: &Caller,
        principal: PrincipalId,
        result: Result<Committed, EngineError>,
    ) -> Result<Arc<PrincipalEntry>, EngineError> {
        let now = self.shared.clock.now();
        let touched = Touched { subject: Some(principal.0), ..Touched::default() };
        match result {
            Ok(committed) => {
                let log_index = committed.log_index();
                self.audit_done::<Op>(caller, now, Touched { log_index, ..touched });
                self.find_principal(caller, principal)
            }
            Err(error) => {
                self.record::<Op>(caller, now, touched, Some(&error))?;
                Err(error)
            }
        }
    }

    /// One principal of the caller's realm.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`], [`EngineError::PermissionDenied`].
    pub fn read_principal(
        &self,
        caller: &Caller,
        principal: PrincipalId,
    ) -> Result<Arc<PrincipalEntry>, EngineError> {
        let result = authz::check_realm::<ReadPrincipal>(caller, None)
            .and_then(|()| self.find_principal(caller, principal));
        let now = self.shared.clock.now();
        self.audit::<ReadPrincipal>(caller, now, None, result.as_ref().err())?;
        result
    }

    /// The principals of the caller's realm.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`].
    pub fn list_principals(
        &self,
        caller: &Caller,
    ) -> Result<Vec<Arc<PrincipalEntry>>, EngineError> {
        let result = authz::check_realm::<ReadPrincipal>(caller, None)
            .map(|()| self.shared.catalogue.principals(caller.realm()));
        let now = self.shared.clock.now();
        self.audit::<ReadPrincipal>(caller, now, None, result.as_ref().err())?;
        result
    }

    pub(super) fn find_principal(
        &self,
        caller: &Caller,
        principal: PrincipalId,
    ) -> Result<Arc<PrincipalEntry>, EngineError> {
        let found = self.shared.catalogue.principal(caller.realm(), principal);
        found.ok_or(EngineError::ItemNotFound("principal"))
    }
}

/// A principal as it is to be, its entry in the log, and the secrets that are to be sealed.
pub(super) type PrincipalPlan = (PrincipalRecord, EntryType, Vec<SecretVec>);

pub(super) fn check_principal(record: &PrincipalRecord) -> Result<(), EngineError> {
    let sizes = record.attributes.iter().map(|(name, value)| name.len() + value.len());
    if record.credentials.len() > CREDENTIALS_MAX {
        return Err(EngineError::ServerLimitExceeded("credentials of one principal"));
    }
    if record.attributes.len() > ATTRIBUTES_MAX || sizes.sum::<usize>() > ATTRIBUTES_BYTES_MAX {
        return Err(EngineError::ServerLimitExceeded("attributes of one principal"));
    }
    let sized = |login: &str| (1..=NAME_BYTES_MAX).contains(&login.len());
    if !record.login.as_deref().is_none_or(sized) {
        let why = format!("must have 1 to {NAME_BYTES_MAX} bytes");
        return Err(EngineError::InvalidField { field: "login", why });
    }
    Ok(())
}
