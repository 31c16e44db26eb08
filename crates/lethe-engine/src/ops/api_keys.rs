//! API keys: a key, the application that acts for it, and the secret that opens the door for the
//! application. They are made together and end together.
//!
//! The secret itself is kept nowhere. What is kept is a digest of it, keyed with the material of
//! the key: that lies in the erasure tree and goes with the key, and with each rotation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lethe_crypto::hash::hmac_sha256;
use lethe_crypto::registry::Algorithm;
use lethe_log::EntryType;
use lethe_types::limits::{
    API_SECRET_BYTES_MAX, API_SECRET_BYTES_MIN, API_SECRET_SHOWN_BYTES, DENIED_TOKENS_MAX,
    DESTROY_TOGETHER_KEYS_MAX,
};
use lethe_types::{CredentialId, KeyId, PrincipalId, PrincipalName, SecretVec, UnixMillis};

use super::create::{CreateKeyRequest, Step as PreparedStep};
use super::destroy::{DestroyOutcome, DestroyRequest, Destroyed};
use super::principals::check_principal;
use super::{Planned, Touched};
use crate::authz::{
    self, Caller, ChangeApiKey, CreateApiKey, DenyToken, Destroy, Operation, PrincipalEntry,
    ReadKey, RotateApiKey, RotateKey,
};
use crate::catalogue::KeyEntry;
use crate::committer::{Change, NewKey, PrincipalUpdate, Step};
use crate::record::{
    Attributes, Credential, CredentialKind, Grant, PrincipalKind, PrincipalRecord,
};
use crate::signin::{DENIED_TOKENS, DeniedTokens};
use crate::{Engine, EngineError, lifecycle};

/// The algorithm of the keys that key the digests of secrets.
const DIGEST_ALGORITHM: &str = "hmac-sha256";

/// What a new API key is to be.
#[derive(Debug)]
pub struct CreateApiKeyRequest {
    /// The key; its algorithm must be `hmac-sha256`.
    pub key: CreateKeyRequest,
    /// A label for the application.
    pub name: PrincipalName,
    /// The name that the application signs in with; unique in the realm.
    pub client: Box<str>,
    /// What the application may do; nothing that the caller may not do. Making principals and API
    /// keys is withheld from it in any case.
    pub grants: Vec<Grant>,
    /// What doors keep with the application.
    pub attributes: BTreeMap<Box<str>, Box<[u8]>>,
    /// When the secret and its successors end by themselves, if they do.
    pub expires: Option<UnixMillis>,
    /// The secret: at least [`API_SECRET_BYTES_MIN`] bytes that nobody can guess. Its first
    /// [`API_SECRET_SHOWN_BYTES`] are not secret.
    pub secret: SecretVec,
}

/// An API key: both of its parts.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The key.
    pub key: Arc<KeyEntry>,
    /// The application that acts for it.
    pub application: Arc<PrincipalEntry>,
}

impl ApiKey {
    /// The credential of the newest secret.
    #[must_use]
    pub fn current(&self) -> Option<&Credential> {
        newest(self.application.record())
    }
}

impl PrincipalRecord {
    /// Of the newest secret of an API key: what may be shown of it, and its number.
    #[must_use]
    pub fn api_secret(&self) -> Option<(&str, u32)> {
        newest(self).and_then(Credential::api_secret)
    }
}

impl Credential {
    /// What may be shown of an API key's secret, and its number: the next secret has a higher one.
    #[must_use]
    pub fn api_secret(&self) -> Option<(&str, u32)> {
        match &self.kind {
            CredentialKind::ApiSecret { shown, version, .. } => {
                Some((core::str::from_utf8(shown).ok()?, *version))
            }
            CredentialKind::Bearer { .. }
            | CredentialKind::Passphrase { .. }
            | CredentialKind::PublicKey { .. }
            | CredentialKind::SharedSecret { .. } => None,
        }
    }
}

fn version_of(credential: &Credential) -> u32 {
    credential.api_secret().map_or(0, |(_, version)| version)
}

fn newest(record: &PrincipalRecord) -> Option<&Credential> {
    record.credentials.iter().max_by_key(|credential| version_of(credential))
}

impl Engine {
    /// Makes an API key: key, application and secret in one commit.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`] also if a grant holds what the caller lacks itself;
    /// [`EngineError::NameTaken`]; [`EngineError::InvalidField`]. A failure leaves nothing.
    pub async fn create_api_key(
        &self,
        caller: &Caller,
        request: CreateApiKeyRequest,
    ) -> Result<ApiKey, EngineError> {
        let now = self.shared.clock.now();
        let result = self.create_api_key_unaudited(caller, request).await;
        match &result {
            Ok((made, log_index)) => {
                let key = Some(made.key.record().id);
                let touched = Touched { key, log_index: *log_index, ..Touched::default() };
                self.audit_done::<CreateApiKey>(caller, now, touched);
            }
            Err(error) => self.audit::<CreateApiKey>(caller, now, None, Some(error))?,
        }
        result.map(|(made, _)| made)
    }

    async fn create_api_key_unaudited(
        &self,
        caller: &Caller,
        request: CreateApiKeyRequest,
    ) -> Result<(ApiKey, Option<u64>), EngineError> {
        authz::check_realm::<CreateApiKey>(caller, None)?;
        self.check_grants(caller, &[], &request.grants)?;
        if request.key.algorithm.name() != DIGEST_ALGORITHM {
            let why = format!("must be {DIGEST_ALGORITHM}");
            return Err(EngineError::InvalidField { field: "algorithm", why });
        }
        let prepared = self.prepare_key_unaudited(caller, request.key)?;
        let PreparedStep::New(new) = prepared.step else {
            return Err(EngineError::Internal("an API key that was there before"));
        };
        let (entropy, now) = (&*self.shared.entropy, self.shared.clock.now());
        let key = new.record.id;
        let credential = Credential {
            id: CredentialId::random(entropy)?,
            name: "".into(),
            kind: api_secret(new.material.secret(), &request.secret, new.record.next_version)?,
            created: now,
            // Not bounded by the session of who makes it: it is meant to outlive that.
            expires: request.expires,
            suspended: false,
            attributes: Attributes::new(),
        };
        let id = PrincipalId::random(entropy)?;
        let kind = PrincipalKind::Application;
        let mut record = PrincipalRecord::new(id, caller.realm(), kind, request.name, now);
        entropy.fill(record.salt.as_mut_slice())?;
        record.login = Some(request.client);
        record.grants = request.grants;
        record.bound_to = Some(key);
        record.attributes = request.attributes.into();
        record.credentials = vec![credential];
        check_principal(&record)?;
        let mut planned = Some((new, record));
        let committed = self
            .change(caller, None, |returned| {
                if let Some(mut change) = returned {
                    self.still_free(caller, &mut change)?;
                    self.still_named(&change)?;
                    return Ok(Planned::Change(change));
                }
                let (new, record): (Box<NewKey>, PrincipalRecord) =
                    planned.take().ok_or(EngineError::Internal("an API key that vanished"))?;
                self.check_principal_names(&record)?;
                let kind = EntryType::PrincipalCreated;
                let update = PrincipalUpdate { seen: None, record, kind, secrets: Vec::new() };
                Ok(Planned::Change(Change::all(vec![
                    Step::CreateKey(new),
                    Step::PutPrincipal(Box::new(update)),
                ])))
            })
            .await?;
        let log_index = committed.log_index();
        Ok((self.api_key(key)?, log_index))
    }

    /// Gives an API key another secret. Without `grace` the one before is refused from the commit
    /// on, and what could check it is erased; with it, the one before is good for that long. Older
    /// ones end in any case.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] if the key is no API key; as rotations of keys.
    pub async fn rotate_api_key(
        &self,
        caller: &Caller,
        key: KeyId,
        secret: &SecretVec,
        grace: Option<Duration>,
    ) -> Result<ApiKey, EngineError> {
        self.change_key::<RotateApiKey>(caller, key, |seen| {
            authz::check_realm::<RotateApiKey>(caller, None)?;
            let proof = authz::check::<RotateKey>(caller, seen.clone())?;
            let seen = proof.entry();
            lifecycle::may_rotate(seen.record())?;
            let application = self.find_application(key)?;
            let now = self.shared.clock.now();
            let material = seen.record().algorithm.generate(&*self.shared.entropy)?;
            let mut record = application.record().clone();
            let before = newest(&record).cloned();
            let before = before.ok_or(EngineError::ItemNotFound("API key"))?;
            let expires = before.expires;
            let kind = api_secret(material.secret(), secret, seen.record().next_version)?;
            record.credentials = vec![Credential {
                id: CredentialId::random(&*self.shared.entropy)?,
                kind,
                created: now,
                expires,
                ..before.clone()
            }];
            let mut keeps = None;
            if let Some(end) = grace.map(|grace| now.saturating_add(grace)) {
                keeps = Some(version_of(&before));
                let expires = Some(expires.map_or(end, |own| own.min(end)));
                record.credentials.push(Credential { expires, ..before });
            }
            let versions = seen.record().versions.iter().map(|version| version.number);
            let retires = versions.filter(|number| Some(*number) != keeps).collect();
            let kind = EntryType::PrincipalChanged;
            let update =
                PrincipalUpdate { seen: Some(application), record, kind, secrets: Vec::new() };
            Ok(Some(Change::all(vec![
                Step::AddVersion { seen: seen.clone(), material, rotation: None, retires },
                Step::PutPrincipal(Box::new(update)),
            ])))
        })
        .await?;
        self.api_key(key)
    }

    /// Refuses an API key and all its tokens for the time being, or takes it back into use.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`], [`EngineError::PermissionDenied`].
    pub async fn suspend_api_key(
        &self,
        caller: &Caller,
        key: KeyId,
        suspended: bool,
    ) -> Result<ApiKey, EngineError> {
        self.change_application::<ChangeApiKey>(caller, key, |record, _| {
            record.suspended = suspended;
        })
        .await?;
        self.api_key(key)
    }

    /// Refuses one access token of the application of `key` until it ends by itself at `expires`.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`], [`EngineError::PermissionDenied`].
    pub async fn deny_token(
        &self,
        caller: &Caller,
        key: KeyId,
        token: [u8; 16],
        expires: UnixMillis,
    ) -> Result<(), EngineError> {
        self.change_application::<DenyToken>(caller, key, |record, now| {
            let stored = record.attributes.get(DENIED_TOKENS);
            let mut denied = DeniedTokens::decode(stored.unwrap_or_default());
            denied.deny(token, expires, now, DENIED_TOKENS_MAX);
            record.attributes.insert(DENIED_TOKENS.into(), denied.encode().into());
        })
        .await
    }

    async fn change_application<Op: Operation>(
        &self,
        caller: &Caller,
        key: KeyId,
        mut change: impl FnMut(&mut PrincipalRecord, UnixMillis),
    ) -> Result<(), EngineError> {
        self.load(key)
            .ok()
            .filter(|entry| entry.record().realm == caller.realm())
            .ok_or(EngineError::ItemNotFound("API key"))?;
        let principal = self.find_application(key)?.record().id;
        self.change_principal::<Op>(caller, principal, |seen, now| {
            if seen.record().revoked.is_some() {
                return Err(EngineError::ItemNotFound("API key"));
            }
            let mut record = seen.record().clone();
            change(&mut record, now);
            Ok(Some((record, EntryType::PrincipalChanged, Vec::new())))
        })
        .await
        .map(|_| ())
    }

    /// The application that acts for an API key, a revoked one too. Asks nobody's permission: for
    /// doors that show the key.
    #[must_use]
    pub fn application_of(&self, key: KeyId) -> Option<Arc<PrincipalEntry>> {
        self.shared.catalogue.application_of(key)
    }

    fn find_application(&self, key: KeyId) -> Result<Arc<PrincipalEntry>, EngineError> {
        self.application_of(key).ok_or(EngineError::ItemNotFound("API key"))
    }

    fn api_key(&self, key: KeyId) -> Result<ApiKey, EngineError> {
        Ok(ApiKey { key: self.load(key)?, application: self.find_application(key)? })
    }

    /// The key that has this identifier at the caller's door, a destroyed one too.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`], [`EngineError::PermissionDenied`]; audited as a read.
    pub fn read_aliased(&self, caller: &Caller, text: &str) -> Result<Arc<KeyEntry>, EngineError> {
        let found = self.shared.catalogue.alias(caller.realm(), caller.door, text);
        let key = found.as_ref().map(|entry| entry.record().id);
        let result = found
            .ok_or(EngineError::ItemNotFound("key"))
            .and_then(|entry| authz::check::<ReadKey>(caller, entry))
            .map(|proof| proof.entry().clone());
        self.audit::<ReadKey>(caller, self.shared.clock.now(), key, result.as_ref().err())?;
        result
    }

    /// Up to `limit` keys with material that have an identifier at the caller's door and that the
    /// caller may see, the last identifier first, from before `before` on; whether there are more.
    ///
    /// # Errors
    /// [`EngineError::AuditUnavailable`]; audited as a read.
    pub fn aliased_keys(
        &self,
        caller: &Caller,
        before: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Arc<KeyEntry>>, bool), EngineError> {
        let (mut keys, mut before) = (Vec::new(), before.map(str::to_owned));
        loop {
            let wanted = limit.saturating_add(1).saturating_sub(keys.len());
            let (found, next) = self.shared.catalogue.aliased_backwards(
                caller.realm(),
                caller.door,
                before.as_deref(),
                wanted,
            );
            keys.extend(found.into_iter().filter(|entry| caller.may_read(entry.record())));
            if keys.len() > limit || next.is_none() {
                break;
            }
            before = next;
        }
        let more = keys.len() > limit;
        keys.truncate(limit);
        self.audit::<ReadKey>(caller, self.shared.clock.now(), None, None)?;
        Ok((keys, more))
    }

    /// Keys of the vault that have their material. Asks nobody's permission: for a door's own
    /// bounds.
    #[must_use]
    pub fn live_keys_in(&self, vault: lethe_types::VaultId) -> u64 {
        self.shared.catalogue.live_keys_in(vault)
    }

    /// Destroys several keys in one commit, each with its own receipt, in the order of the
    /// requests; or none of them, if one is refused or would have to wait.
    ///
    /// # Errors
    /// As [`Engine::destroy_key`]; [`EngineError::ServerLimitExceeded`] for more than
    /// [`DESTROY_TOGETHER_KEYS_MAX`].
    pub async fn destroy_keys_together(
        &self,
        caller: &Caller,
        requests: Vec<DestroyRequest>,
    ) -> Result<Vec<Destroyed>, EngineError> {
        let result = self.destroy_together_unaudited(caller, &requests).await;
        let now = self.shared.clock.now();
        match result {
            Ok(destroyed) => {
                for one in &destroyed {
                    let record = one.entry.record();
                    let log_index = record.destruction.as_deref().map(|end| end.log_index);
                    let touched = Touched { key: Some(record.id), log_index, subject: None };
                    self.audit_done::<Destroy>(caller, now, touched);
                }
                Ok(destroyed)
            }
            Err(error) => {
                for request in &requests {
                    self.audit::<Destroy>(caller, now, Some(request.key), Some(&error))?;
                }
                Err(error)
            }
        }
    }

    async fn destroy_together_unaudited(
        &self,
        caller: &Caller,
        requests: &[DestroyRequest],
    ) -> Result<Vec<Destroyed>, EngineError> {
        if requests.len() > DESTROY_TOGETHER_KEYS_MAX {
            return Err(EngineError::ServerLimitExceeded("keys that are destroyed together"));
        }
        for request in requests {
            lifecycle::check_reason(&request.reason)?;
        }
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let committed = self
            .change(caller, None, |_| {
                let mut steps = Vec::new();
                for (planned, request) in (0..).zip(requests) {
                    let entry = self.load(request.key)?;
                    lifecycle::expect_revision(&entry, request.expected)?;
                    steps.extend(self.plan_destroy(caller, &entry, request, planned)?);
                }
                Ok(Planned::Change(Change::all(steps)))
            })
            .await?;
        match self.outcome_of(committed)? {
            DestroyOutcome::Destroyed(mut first) => {
                let others = std::mem::take(&mut first.dependants);
                Ok(std::iter::once(*first).chain(others).collect())
            }
            DestroyOutcome::Scheduled { .. } => {
                Err(EngineError::Internal("a destruction at once that waits"))
            }
        }
    }
}

/// What is kept of `secret`, whose digest `material` keys.
fn api_secret(
    material: &SecretVec,
    secret: &SecretVec,
    version: u32,
) -> Result<CredentialKind, EngineError> {
    let bytes = secret.expose();
    let shown = bytes.first_chunk::<API_SECRET_SHOWN_BYTES>();
    let is_sized = (API_SECRET_BYTES_MIN..=API_SECRET_BYTES_MAX).contains(&bytes.len());
    match shown.filter(|shown| is_sized && shown.is_ascii()) {
        Some(shown) => Ok(CredentialKind::ApiSecret {
            shown: *shown,
            digest: hmac_sha256(material.expose(), &[bytes]),
            version,
        }),
        None => {
            let why = format!("must have {API_SECRET_BYTES_MIN} to {API_SECRET_BYTES_MAX} bytes");
            Err(EngineError::InvalidField { field: "secret", why })
        }
    }
}

/// The algorithm that [`CreateApiKeyRequest::key`] must have.
///
/// # Panics
/// Never: every build has it.
#[must_use]
pub fn api_key_algorithm() -> Algorithm {
    Algorithm::from_name(DIGEST_ALGORITHM).expect("every build has it")
}
