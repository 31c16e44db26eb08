//! How principals prove themselves: make, suspend and remove credentials.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lethe_log::EntryType;
use lethe_types::limits::{ALIAS_BYTES_MAX, SHARED_SECRET_BYTES_MAX};
use lethe_types::{CredentialId, PrincipalId, Secret, SecretVec, UnixMillis};

use super::authenticate::token_text;
use crate::authz::{AddCredential, Caller, PrincipalEntry, RemoveCredential};
use crate::record::{Credential, CredentialKind, Grant, OwnedSecret};
use crate::{Engine, EngineError};

/// What a new credential is to be.
#[derive(Debug)]
pub struct NewCredential {
    /// A label for people. May be empty.
    pub name: Box<str>,
    /// How long it is good for; for ever if `None`.
    pub lifetime: Option<Duration>,
    /// What doors keep with it.
    pub attributes: BTreeMap<Box<str>, Box<[u8]>>,
    /// Which proof.
    pub kind: NewCredentialKind,
}

/// Which proof a new credential is.
#[derive(Debug)]
pub enum NewCredentialKind {
    /// A bearer secret that Lethe draws and shows once.
    Bearer,
    /// A passphrase, and the shared secret of one-time passwords if there is one.
    Passphrase {
        /// What the principal knows.
        passphrase: SecretVec,
        /// The secret of RFC 6238.
        totp: Option<SecretVec>,
    },
    /// A public key whose private half the principal has.
    PublicKey {
        /// The name under which doors look it up.
        external: Box<str>,
        /// How its signatures are made, or `x25519`.
        scheme: Box<str>,
        /// SubjectPublicKeyInfo (RFC 5280).
        spki_der: Box<[u8]>,
    },
    /// A secret that both sides hold.
    SharedSecret {
        /// The name under which doors look it up.
        external: Box<str>,
        /// The secret.
        secret: SecretVec,
    },
}

impl NewCredential {
    /// A bearer token without a label.
    #[must_use]
    pub fn bearer(lifetime: Option<Duration>) -> Self {
        let kind = NewCredentialKind::Bearer;
        Self { name: "".into(), lifetime, attributes: BTreeMap::new(), kind }
    }
}

/// A credential that is not stored yet.
pub(super) struct MadeCredential {
    pub(super) credential: Credential,
    /// The text of a bearer token.
    pub(super) token: Option<SecretVec>,
    /// What the committer is to seal.
    pub(super) secret: Option<SecretVec>,
}

impl Engine {
    /// Gives a principal a further credential; the text of it if it is a bearer token.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`] also if the principal may do what the caller may not;
    /// [`EngineError::NameTaken`] if another credential is looked up by its name;
    /// [`EngineError::InvalidField`].
    pub async fn add_credential(
        &self,
        caller: &Caller,
        principal: PrincipalId,
        new: NewCredential,
    ) -> Result<(Arc<PrincipalEntry>, CredentialId, Option<SecretVec>), EngineError> {
        let made = self.make_credential(caller, new, self.shared.clock.now());
        let MadeCredential { credential, token, secret } = match made {
            Ok(made) => made,
            Err(error) => {
                let now = self.shared.clock.now();
                self.audit::<AddCredential>(caller, now, None, Some(&error))?;
                return Err(error);
            }
        };
        let id = credential.id;
        let entry = self
            .change_principal::<AddCredential>(caller, principal, |seen, _| {
                let mut record = seen.record().clone();
                if record.revoked.is_some() {
                    return Err(EngineError::ItemNotFound("principal"));
                }
                // Whoever gives somebody a credential can act as them.
                let lacking = |grant: &Grant| caller.lacks(grant.permissions, grant.scope);
                if let Some(lacking) = record.grants.iter().find_map(lacking) {
                    return Err(EngineError::PermissionDenied(lacking));
                }
                record.credentials.push(credential.clone());
                let secrets = secret.iter().map(|secret| SecretVec::copy_from(secret.expose()));
                Ok(Some((record, EntryType::PrincipalChanged, secrets.collect())))
            })
            .await?;
        Ok((entry, id, token))
    }

    /// Gives a principal these public keys in the place of all credentials of which `is_gone` says
    /// so: all of it or nothing. What a principal proves themselves with is never half changed.
    ///
    /// # Errors
    /// As [`Engine::add_credential`]; [`EngineError::InvalidField`] for a credential that is no
    /// public key.
    pub async fn replace_credentials(
        &self,
        caller: &Caller,
        principal: PrincipalId,
        is_gone: impl Fn(&Credential) -> bool,
        new: Vec<NewCredential>,
    ) -> Result<(Arc<PrincipalEntry>, Vec<CredentialId>), EngineError> {
        let now = self.shared.clock.now();
        let made: Result<Vec<Credential>, EngineError> = new
            .into_iter()
            .map(|new| {
                if !matches!(new.kind, NewCredentialKind::PublicKey { .. }) {
                    let why = "must be a public key".to_owned();
                    return Err(EngineError::InvalidField { field: "credential", why });
                }
                Ok(self.make_credential(caller, new, now)?.credential)
            })
            .collect();
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                self.audit::<AddCredential>(caller, now, None, Some(&error))?;
                return Err(error);
            }
        };
        let ids = made.iter().map(|credential| credential.id).collect();
        let entry = self
            .change_principal::<AddCredential>(caller, principal, |seen, _| {
                let mut record = seen.record().clone();
                if record.revoked.is_some() {
                    return Err(EngineError::ItemNotFound("principal"));
                }
                let lacking = |grant: &Grant| caller.lacks(grant.permissions, grant.scope);
                if let Some(lacking) = record.grants.iter().find_map(lacking) {
                    return Err(EngineError::PermissionDenied(lacking));
                }
                record.credentials.retain(|credential| !is_gone(credential));
                record.credentials.extend(made.iter().cloned());
                Ok(Some((record, EntryType::PrincipalChanged, Vec::new())))
            })
            .await?;
        Ok((entry, ids))
    }

    /// Takes a credential away; a secret of it is erased.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`].
    pub async fn remove_credential(
        &self,
        caller: &Caller,
        principal: PrincipalId,
        credential: CredentialId,
    ) -> Result<Arc<PrincipalEntry>, EngineError> {
        self.change_principal::<RemoveCredential>(caller, principal, |seen, _| {
            let mut record = seen.record().clone();
            let before = record.credentials.len();
            record.credentials.retain(|other| other.id != credential);
            if record.credentials.len() == before {
                return Err(EngineError::ItemNotFound("credential"));
            }
            Ok(Some((record, EntryType::PrincipalChanged, Vec::new())))
        })
        .await
    }

    /// Refuses a credential for the time being, or takes it back into use.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`].
    pub async fn suspend_credential(
        &self,
        caller: &Caller,
        principal: PrincipalId,
        credential: CredentialId,
        suspended: bool,
    ) -> Result<Arc<PrincipalEntry>, EngineError> {
        self.change_principal::<RemoveCredential>(caller, principal, |seen, _| {
            let mut record = seen.record().clone();
            let found = record.credentials.iter_mut().find(|other| other.id == credential);
            found.ok_or(EngineError::ItemNotFound("credential"))?.suspended = suspended;
            Ok(Some((record, EntryType::PrincipalChanged, Vec::new())))
        })
        .await
    }

    /// A credential with its identity, nothing stored. It does not outlive the caller's own.
    pub(super) fn make_credential(
        &self,
        caller: &Caller,
        new: NewCredential,
        now: UnixMillis,
    ) -> Result<MadeCredential, EngineError> {
        let entropy = &*self.shared.entropy;
        let id = CredentialId::random(entropy)?;
        let (mut token, mut secret) = (None, None);
        let kind = match new.kind {
            NewCredentialKind::Bearer => {
                let drawn = Secret::<32>::random(entropy)?;
                token = Some(token_text(id, drawn.expose()));
                CredentialKind::Bearer { hash: self.shared.pepper.hash(drawn.expose()) }
            }
            NewCredentialKind::Passphrase { passphrase, totp } => {
                let place = totp.as_ref().map(|_| OwnedSecret::unsealed("totp", 1));
                if let Some(totp) = totp {
                    sized("totp", totp.len(), SHARED_SECRET_BYTES_MAX)?;
                    secret = Some(totp);
                }
                let hash = self.hash_passphrase(passphrase.expose())?;
                CredentialKind::Passphrase { hash, totp: place }
            }
            NewCredentialKind::PublicKey { external, scheme, spki_der } => {
                sized("external", external.len(), ALIAS_BYTES_MAX)?;
                sized("public_key", spki_der.len(), SHARED_SECRET_BYTES_MAX)?;
                CredentialKind::PublicKey { external, scheme, spki_der }
            }
            NewCredentialKind::SharedSecret { external, secret: shared } => {
                sized("external", external.len(), ALIAS_BYTES_MAX)?;
                sized("secret", shared.len(), SHARED_SECRET_BYTES_MAX)?;
                secret = Some(shared);
                let place = OwnedSecret::unsealed("shared", 1);
                CredentialKind::SharedSecret { external, secret: place }
            }
        };
        let end = new.lifetime.map(|lifetime| now.saturating_add(lifetime));
        let credential = Credential {
            id,
            name: new.name,
            kind,
            created: now,
            expires: earlier(end, caller.credential_expires()),
            suspended: false,
            attributes: new.attributes.into(),
        };
        Ok(MadeCredential { credential, token, secret })
    }
}

fn sized(field: &'static str, bytes: usize, most: usize) -> Result<(), EngineError> {
    if (1..=most).contains(&bytes) {
        return Ok(());
    }
    Err(EngineError::InvalidField { field, why: format!("must have 1 to {most} bytes") })
}

/// The earlier of two ends, either of which may be never.
fn earlier(one: Option<UnixMillis>, other: Option<UnixMillis>) -> Option<UnixMillis> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
