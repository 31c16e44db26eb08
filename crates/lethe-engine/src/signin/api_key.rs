//! Secrets of API keys, and access tokens that were made from them.
//!
//! A secret is checked as a use of its key: catalogue → state → expanded key → constant-time
//! comparison. Nothing is remembered about an earlier success, so that nothing has to be forgotten
//! when the key goes. A token's form and signature are the token crate's; here is asked, with every
//! request, whether what it stands for is still there.

use core::net::IpAddr;
use std::sync::Arc;

use lethe_crypto::registry::SignatureScheme;
use lethe_types::limits::{API_SECRET_BYTES_MAX, API_SECRET_BYTES_MIN, API_SECRET_SHOWN_BYTES};
use lethe_types::{CredentialId, KeyId, Permissions, PrincipalId, RealmId, UnixMillis};

use super::network::Network;
use crate::authz::{Caller, PrincipalEntry};
use crate::catalogue::KeyEntry;
use crate::ops::Attempted;
use crate::record::{CredentialKind, KeyVersion, PrincipalRecord, VersionState};
use crate::{Engine, EngineError};

/// The attribute of an application with the networks from which its secret and tokens can be used,
/// in the form of [`Network::list`]. Without it from everywhere.
pub const NETWORKS: &str = "access.networks";

/// The realm of the keys that sign tokens. No door is bound to it.
pub const TOKEN_REALM: &str = "lethe-tokens";

/// The attribute of an application with the tokens that are refused one by one.
pub(crate) const DENIED_TOKENS: &str = "access.denied";

/// What a genuine access token says about who has it.
#[derive(Clone, Debug)]
pub struct TokenClaims<'a> {
    /// The tenant whose token it is.
    pub realm: RealmId,
    /// Whose it is.
    pub subject: TokenSubject<'a>,
    /// Its own identity.
    pub token: [u8; 16],
    /// When it was made.
    pub issued: UnixMillis,
    /// When it ends by itself.
    pub expires: UnixMillis,
    /// What it may be used for at the most.
    pub permissions: Permissions,
}

/// Whose a token is.
#[derive(Clone, Copy, Debug)]
pub enum TokenSubject<'a> {
    /// The application of an API key.
    Application {
        /// The name that it signs in with.
        client: &'a str,
        /// The number of the secret that the token was made from.
        version: u32,
    },
    /// A person.
    User(PrincipalId),
}

type Found = (Arc<PrincipalEntry>, CredentialId);

impl Engine {
    /// The application whose API key's secret `secret` is, for a request that comes `from` there.
    ///
    /// # Errors
    /// [`EngineError::AuthenticationNotSuccessful`] for every secret that is not valid now and
    /// there, without saying why; the refusal is in the audit trail.
    /// [`EngineError::AuditUnavailable`].
    pub fn authenticate_api_secret(
        &self,
        door: &'static str,
        request: [u8; 16],
        secret: &str,
        from: Option<IpAddr>,
    ) -> Result<Caller, EngineError> {
        match self.find_api_secret(secret, from) {
            Some((principal, credential)) => {
                Ok(Caller::new(principal, Some(credential), door, request))
            }
            None => Err(self.refuse_anonymous(door, request)?),
        }
    }

    /// The key whose secret `secret` is, also if it is refused just now: suspended, expired, or
    /// from the wrong place. For who finds a secret where it should not be.
    #[must_use]
    pub fn key_of_api_secret(&self, secret: &str) -> Option<Arc<KeyEntry>> {
        let (entry, id) = self
            .candidates(secret)
            .into_iter()
            .find(|(entry, id)| self.is_genuine(entry, *id, secret).is_some())?;
        self.is_genuine(&entry, id, secret)
    }

    fn find_api_secret(&self, secret: &str, from: Option<IpAddr>) -> Option<Found> {
        let now = self.shared.clock.now();
        self.candidates(secret).into_iter().find(|(entry, id)| {
            let record = entry.record();
            let credential = super::external::credential(entry, *id);
            let is_live = record.is_live(now)
                && credential.is_some_and(|credential| credential.is_live(now))
                && is_from(record, from);
            let key = self.is_genuine(entry, *id, secret).filter(|_| is_live);
            let key = key.filter(|key| is_open(key));
            if let Some(key) = &key {
                self.shared.catalogue.count_use(key, now, record.id);
            }
            key.is_some()
        })
    }

    fn candidates(&self, secret: &str) -> Vec<Found> {
        let is_sized = (API_SECRET_BYTES_MIN..=API_SECRET_BYTES_MAX).contains(&secret.len());
        match secret.as_bytes().first_chunk::<API_SECRET_SHOWN_BYTES>() {
            Some(shown) if is_sized => self.shared.catalogue.by_shown(*shown),
            Some(_) | None => Vec::new(),
        }
    }

    /// The key of the credential, if `secret` is its secret.
    fn is_genuine(
        &self,
        entry: &PrincipalEntry,
        id: CredentialId,
        secret: &str,
    ) -> Option<Arc<KeyEntry>> {
        let credential = super::external::credential(entry, id)?;
        let CredentialKind::ApiSecret { digest, version, .. } = &credential.kind else {
            return None;
        };
        let key = self.shared.catalogue.key(entry.record().bound_to?)?;
        let (position, version) = find_version(&key, *version)?;
        let usable = self.shared.usable(&key, position, version).ok()?;
        let is_right = usable.mac_verify(secret.as_bytes(), digest).unwrap_or(false);
        is_right.then_some(key)
    }

    /// The principal that a genuine token stands for, with no more than the token leaves of its
    /// rights. Whoever calls this has checked the token's signature.
    ///
    /// # Errors
    /// [`EngineError::AuthenticationNotSuccessful`] if the token has ended, was denied, or what it
    /// stands for is gone, suspended or has another secret by now; the refusal is in the audit
    /// trail. [`EngineError::AuditUnavailable`].
    pub fn caller_of_token(
        &self,
        door: &'static str,
        request: [u8; 16],
        claims: &TokenClaims<'_>,
        from: Option<IpAddr>,
    ) -> Result<Caller, EngineError> {
        let now = self.shared.clock.now();
        let found = match claims.subject {
            TokenSubject::Application { client, version } => {
                self.application_of_token(claims, (client, version), from, now)
            }
            TokenSubject::User(user) => {
                let entry = self.shared.catalogue.principal(claims.realm, user);
                entry.filter(|entry| !entry.record().is_application_of_key()).map(|e| (e, None))
            }
        };
        let found = found.filter(|(entry, _)| {
            entry.record().is_live(now) && now < claims.expires && claims.issued <= now
        });
        if let Some((entry, credential)) = found {
            let caller = Caller::new(entry, credential, door, request);
            return Ok(caller.bounded(claims.permissions, Some(claims.expires)));
        }
        let refused = EngineError::AuthenticationNotSuccessful;
        let realm = Some(claims.realm);
        let told = Attempted { door, request, now, realm, caller: None, subject: None };
        self.audit_attempt(&told, Some(&refused))?;
        Err(refused)
    }

    fn application_of_token(
        &self,
        claims: &TokenClaims<'_>,
        (client, version): (&str, u32),
        from: Option<IpAddr>,
        now: UnixMillis,
    ) -> Option<(Arc<PrincipalEntry>, Option<CredentialId>)> {
        let entry = self.shared.catalogue.by_login(claims.realm, client)?;
        let record = entry.record();
        let key = self.shared.catalogue.key(record.bound_to?)?;
        let credential = record.credentials.iter().find(|credential| {
            credential.api_secret().is_some_and(|(_, number)| number == version)
        })?;
        let stored = record.attributes.get(DENIED_TOKENS);
        let is_denied = stored.is_some_and(|stored| {
            DeniedTokens::decode(stored).contains(&claims.token, claims.issued)
        });
        let stands = record.is_application_of_key()
            && is_open(&key)
            && credential.is_live(now)
            && find_version(&key, version).is_some()
            && is_from(record, from)
            && !is_denied;
        let id = credential.id;
        if stands && record.is_live(now) {
            self.shared.catalogue.count_use(&key, now, record.id);
        }
        stands.then_some((entry, Some(id)))
    }

    /// The key, if it is one of those that Lethe signs tokens with: they are in the realm
    /// [`TOKEN_REALM`], where nobody signs in, so that no grant reaches them.
    #[must_use]
    pub fn signing_key(&self, key: KeyId) -> Option<Arc<KeyEntry>> {
        let realm = self.shared.catalogue.realm_by_name(&TOKEN_REALM.parse().ok()?)?;
        self.shared.catalogue.key(key).filter(|entry| entry.record().realm == realm.id)
    }

    /// The key in the realm [`TOKEN_REALM`] that has this alias and its material.
    #[must_use]
    pub fn signing_key_named(&self, alias_door: &str, text: &str) -> Option<Arc<KeyEntry>> {
        let realm = self.shared.catalogue.realm_by_name(&TOKEN_REALM.parse().ok()?)?;
        let found = self.shared.catalogue.alias(realm.id, alias_door, text);
        found.filter(|entry| !entry.record().state.is_destroyed())
    }

    /// The first identifier that the key has at a door. Asks nobody's permission.
    #[must_use]
    pub fn alias_of(&self, key: KeyId, door: &str) -> Option<String> {
        let entry = self.shared.catalogue.key(key)?;
        let alias = entry.record().aliases.iter().find(|alias| alias.door == door)?;
        Some(alias.text.clone())
    }

    /// Whether `signature` is that of the key's version `version` over `message`. No use of the
    /// key that is counted or recorded: for tokens that Lethe signed itself, checked with each
    /// request.
    #[must_use]
    pub fn is_signed_by(
        &self,
        key: KeyId,
        version: u32,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let Some(key) = self.shared.catalogue.key(key).filter(|key| is_open(key)) else {
            return false;
        };
        let found = find_version(&key, version);
        let usable = found.and_then(|(at, version)| self.shared.usable(&key, at, version).ok());
        usable
            .is_some_and(|usable| usable.verify(Some(scheme), message, signature).unwrap_or(false))
    }
}

/// Whether the key is good for new work and is not about to go.
fn is_open(key: &KeyEntry) -> bool {
    key.record().state.may_protect() && !key.is_closing()
}

/// The version of that number, if it can be used.
fn find_version(key: &KeyEntry, number: u32) -> Option<(usize, &KeyVersion)> {
    let mut versions = key.record().versions.iter().enumerate();
    versions.find(|(_, version)| version.number == number && version.state == VersionState::Enabled)
}

/// Whether the application may be used from there.
fn is_from(record: &PrincipalRecord, from: Option<IpAddr>) -> bool {
    let Some(stored) = record.attributes.get(NETWORKS) else { return true };
    // What cannot be read lets nobody in.
    let networks = core::str::from_utf8(stored).ok().and_then(Network::list);
    let within = |networks: &Vec<Network>| {
        from.is_some_and(|from| networks.iter().any(|network| network.contains(from)))
    };
    networks.as_ref().is_some_and(within)
}

/// The tokens of one application that are refused though they have not ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DeniedTokens {
    /// All that were made up to then.
    until: u64,
    /// Each with its end.
    tokens: Vec<([u8; 16], u64)>,
}

/// A token and its end.
const DENIED_BYTES: usize = 16 + 8;

impl DeniedTokens {
    /// `u64 until in ms | (16 token | u64 end in ms)*`, big-endian. What is none is empty.
    pub(crate) fn decode(stored: &[u8]) -> Self {
        let Some((until, rest)) = stored.split_first_chunk::<8>() else { return Self::default() };
        let tokens = rest.chunks_exact(DENIED_BYTES).filter_map(|pair| {
            let (token, end) = pair.split_first_chunk::<16>()?;
            Some((*token, u64::from_be_bytes(end.try_into().ok()?)))
        });
        Self { until: u64::from_be_bytes(*until), tokens: tokens.collect() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.until.to_be_bytes().to_vec();
        for (token, end) in &self.tokens {
            bytes.extend_from_slice(token);
            bytes.extend_from_slice(&end.to_be_bytes());
        }
        bytes
    }

    /// Adds one. If there is no room for it, everything that was made until now is refused.
    pub(crate) fn deny(
        &mut self,
        token: [u8; 16],
        expires: UnixMillis,
        now: UnixMillis,
        most: usize,
    ) {
        self.tokens.retain(|(other, end)| *other != token && *end > now.0);
        if self.tokens.len() < most {
            self.tokens.push((token, expires.0));
        } else {
            self.tokens.clear();
            self.until = now.0;
        }
    }

    fn contains(&self, token: &[u8; 16], issued: UnixMillis) -> bool {
        (self.until > 0 && issued.0 <= self.until)
            || self.tokens.iter().any(|(other, _)| other == token)
    }
}
