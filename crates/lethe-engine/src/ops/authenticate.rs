//! Bearer tokens: `lethe_` and the unpadded base64url of credential id (16 bytes) and secret (32
//! bytes).
//!
//! The id finds the credential without a search; the secret is compared with its keyed hash in
//! constant time.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lethe_types::{CredentialId, PrincipalId, RealmId, SecretVec, UnixMillis};
use zeroize::Zeroizing;

use crate::audit::{AuditEvent, hex};
use crate::authz::{self, Caller};
use crate::record::CredentialKind;
use crate::{Engine, EngineError};

/// What every bearer token starts with, so that scanners can find leaked ones.
pub(crate) const TOKEN_PREFIX: &str = "lethe_";
const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
/// 48 bytes in base64.
const TOKEN_BODY_BYTES: usize = 64;

/// The text of a token.
pub(crate) fn token_text(id: CredentialId, secret: &[u8; SECRET_BYTES]) -> SecretVec {
    let mut raw = Zeroizing::new([0; ID_BYTES + SECRET_BYTES]);
    raw[..ID_BYTES].copy_from_slice(id.as_bytes());
    raw[ID_BYTES..].copy_from_slice(secret);
    let mut text = vec![0; TOKEN_PREFIX.len() + TOKEN_BODY_BYTES];
    text[..TOKEN_PREFIX.len()].copy_from_slice(TOKEN_PREFIX.as_bytes());
    URL_SAFE_NO_PAD
        .encode_slice(raw.as_slice(), &mut text[TOKEN_PREFIX.len()..])
        .expect("48 bytes are 64 characters of base64");
    SecretVec::from_vec(text)
}

fn parse(token: &str) -> Option<(CredentialId, Zeroizing<[u8; SECRET_BYTES]>)> {
    let body = token.strip_prefix(TOKEN_PREFIX)?;
    let mut raw = Zeroizing::new([0; ID_BYTES + SECRET_BYTES]);
    let length = URL_SAFE_NO_PAD.decode_slice(body, raw.as_mut_slice()).ok()?;
    let (id, secret) = raw.get(..length)?.split_first_chunk::<ID_BYTES>()?;
    Some((CredentialId(*id), Zeroizing::new(secret.try_into().ok()?)))
}

/// What an attempt to prove an identity was about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempted<'a> {
    pub(crate) door: &'static str,
    pub(crate) request: [u8; 16],
    pub(crate) now: UnixMillis,
    /// Where the identity is to be; `None` if the attempt does not say.
    pub(crate) realm: Option<RealmId>,
    /// Who proved themselves.
    pub(crate) caller: Option<&'a Caller>,
    /// Who somebody tried to be.
    pub(crate) subject: Option<PrincipalId>,
}

impl Engine {
    /// The principal whose bearer token `token` is.
    ///
    /// # Errors
    /// [`EngineError::AuthenticationNotSuccessful`] for every token that is not valid now, without
    /// saying why; the refusal is in the audit trail. [`EngineError::AuditUnavailable`].
    pub fn authenticate_bearer(
        &self,
        door: &'static str,
        request: [u8; 16],
        token: &str,
    ) -> Result<Caller, EngineError> {
        let now = self.shared.clock.now();
        match self.find_bearer(token, now) {
            Some((principal, credential)) => {
                Ok(Caller::new(principal, Some(credential), door, request))
            }
            None => Err(self.refuse_authentication(door, request, now)?),
        }
    }

    /// Records that nobody proved themselves; returns the error to answer with.
    ///
    /// # Errors
    /// [`EngineError::AuditUnavailable`].
    pub fn refuse_anonymous(
        &self,
        door: &'static str,
        request: [u8; 16],
    ) -> Result<EngineError, EngineError> {
        self.refuse_authentication(door, request, self.shared.clock.now())
    }

    fn refuse_authentication(
        &self,
        door: &'static str,
        request: [u8; 16],
        now: UnixMillis,
    ) -> Result<EngineError, EngineError> {
        let error = EngineError::AuthenticationNotSuccessful;
        let told = Attempted { door, request, now, realm: None, caller: None, subject: None };
        self.audit_attempt(&told, Some(&error))?;
        Ok(error)
    }

    /// Queues the event of one attempt to prove an identity.
    ///
    /// # Errors
    /// [`EngineError::AuditUnavailable`]; the attempt must then not succeed.
    pub(crate) fn audit_attempt(
        &self,
        told: &Attempted<'_>,
        refusal: Option<&EngineError>,
    ) -> Result<(), EngineError> {
        let mut digits = [0; 32];
        let event = AuditEvent {
            time: told.now,
            realm: told.realm,
            principal: told.caller.map(Caller::principal),
            credential: told.caller.and_then(|caller| caller.credential),
            door: told.door,
            operation: "authenticate",
            key: None,
            subject: told.subject.map(|principal| principal.0),
            refusal: refusal.map(EngineError::code),
            request: hex(&told.request, &mut digits),
            log_index: None,
        };
        self.shared.audit.record(&event).map_err(|_| EngineError::AuditUnavailable)
    }

    fn find_bearer(
        &self,
        token: &str,
        now: UnixMillis,
    ) -> Option<(Arc<authz::PrincipalEntry>, CredentialId)> {
        let (id, secret) = parse(token)?;
        let principal = self.shared.catalogue.by_credential(id)?;
        let record = principal.record();
        let credential = record.credentials.iter().find(|credential| credential.id == id)?;
        let genuine = match &credential.kind {
            CredentialKind::Bearer { hash } => self.shared.pepper.verify(secret.as_slice(), hash),
            CredentialKind::ApiSecret { .. }
            | CredentialKind::Passphrase { .. }
            | CredentialKind::PublicKey { .. }
            | CredentialKind::SharedSecret { .. } => false,
        };
        let live = credential.is_live(now) && record.is_live(now);
        (genuine && live).then_some((principal, id))
    }

    /// Lethe itself acting in `realm`, with every permission: for the server's own set-up and
    /// scheduler.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] if there is no such realm.
    pub fn system_caller(&self, realm: RealmId, door: &'static str) -> Result<Caller, EngineError> {
        self.shared.catalogue.realm(realm).ok_or(EngineError::ItemNotFound("realm"))?;
        Ok(Caller::new(Arc::new(crate::system::principal(realm)), None, door, [0; 16]))
    }
}
