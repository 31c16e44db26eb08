//! Make, see and revoke principals.

use std::sync::Arc;
use std::time::Duration;

use lethe_types::limits::{GRANTS_MAX, PRINCIPALS_MAX};
use lethe_types::{CredentialId, PrincipalId, PrincipalName, Secret, SecretVec, UnixMillis};

use super::authenticate::token_text;
use super::{Planned, Touched};
use crate::authz::{self, Caller, CreatePrincipal, PrincipalEntry, ReadPrincipal, RevokePrincipal};
use crate::committer::Change;
use crate::record::{Credential, CredentialKind, Grant, PrincipalKind, PrincipalRecord, Scope};
use crate::{Engine, EngineError};

/// What a new principal is to be.
#[derive(Clone, Debug)]
pub struct CreatePrincipalRequest {
    /// A label for people.
    pub name: PrincipalName,
    /// What it may do; nothing that the caller may not do.
    pub grants: Vec<Grant>,
    /// How long its token is good for; for ever if `None`.
    pub token_lifetime: Option<Duration>,
}

/// A new principal and its only credential, which is shown once and kept only as a hash.
#[derive(Debug)]
pub struct NewPrincipal {
    /// The principal.
    pub entry: Arc<PrincipalEntry>,
    /// The bearer token, as text.
    pub token: SecretVec,
}

impl Engine {
    /// Makes a principal with a bearer token, which does not outlive the caller's own.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`] also if a grant holds what the caller lacks itself;
    /// [`EngineError::ItemNotFound`] for a vault or key that is not in the caller's realm.
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
        if self.shared.catalogue.principals(caller.realm()).len() >= PRINCIPALS_MAX {
            return Err(EngineError::ServerLimitExceeded("principals of one realm"));
        }
        if request.grants.len() > GRANTS_MAX {
            return Err(EngineError::ServerLimitExceeded("grants of one principal"));
        }
        for grant in &request.grants {
            self.scope_exists(caller, grant.scope)?;
            if let Some(lacking) = caller.lacks(grant.permissions, grant.scope) {
                return Err(EngineError::PermissionDenied(lacking));
            }
        }
        let entropy = &*self.shared.entropy;
        let now = self.shared.clock.now();
        let secret = Secret::<32>::random(entropy)?;
        let credential = Credential {
            id: CredentialId::random(entropy)?,
            name: "".into(),
            kind: CredentialKind::Bearer { hash: self.shared.pepper.hash(secret.expose()) },
            suspended: false,
            attributes: Default::default(),
            created: now,
            expires: earlier(
                request.token_lifetime.map(|lifetime| now.saturating_add(lifetime)),
                caller.credential_expires(),
            ),
        };
        let token = token_text(credential.id, secret.expose());
        let id = PrincipalId::random(entropy)?;
        let kind = PrincipalKind::ServiceAccount;
        let mut record = PrincipalRecord::new(id, caller.realm(), kind, request.name, now);
        entropy.fill(record.salt.as_mut_slice())?;
        record.grants = request.grants;
        record.credentials = vec![credential];
        self.change(caller, None, |_| {
            Ok(Planned::Change(Box::new(Change::CreatePrincipal(record.clone()))))
        })
        .await?;
        let entry = self
            .shared
            .catalogue
            .principal(caller.realm(), id)
            .ok_or(EngineError::Internal("a principal that vanished"))?;
        Ok(NewPrincipal { entry, token })
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

    /// Takes every right and credential from a principal, at once.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] if there is no such principal in the caller's realm.
    pub async fn revoke_principal(
        &self,
        caller: &Caller,
        principal: PrincipalId,
    ) -> Result<Arc<PrincipalEntry>, EngineError> {
        let now = self.shared.clock.now();
        let result = self.revoke_principal_unaudited(caller, principal).await;
        let touched = Touched { subject: Some(principal.0), ..Touched::default() };
        match &result {
            Ok(_) => self.audit_done::<RevokePrincipal>(caller, now, touched),
            Err(error) => self.record::<RevokePrincipal>(caller, now, touched, Some(error))?,
        }
        result
    }

    async fn revoke_principal_unaudited(
        &self,
        caller: &Caller,
        principal: PrincipalId,
    ) -> Result<Arc<PrincipalEntry>, EngineError> {
        authz::check_realm::<RevokePrincipal>(caller, None)?;
        let now = self.shared.clock.now();
        self.change(caller, None, |_| {
            let seen = self.find_principal(caller, principal)?;
            if !seen.record().is_live(now) {
                return Ok(Planned::Done(crate::committer::Committed::Done));
            }
            let mut record = seen.record().clone();
            record.revoked = Some(now);
            record.credentials.clear();
            Ok(Planned::Change(Box::new(Change::RevokePrincipal { record, seen })))
        })
        .await?;
        self.find_principal(caller, principal)
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

    fn find_principal(
        &self,
        caller: &Caller,
        principal: PrincipalId,
    ) -> Result<Arc<PrincipalEntry>, EngineError> {
        let found = self.shared.catalogue.principal(caller.realm(), principal);
        found.ok_or(EngineError::ItemNotFound("principal"))
    }
}

/// The earlier of two ends, either of which may be never.
fn earlier(one: Option<UnixMillis>, other: Option<UnixMillis>) -> Option<UnixMillis> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
