//! Credentials that doors look up by a name of their own: public keys, and secrets that both sides
//! hold. The door computes what its protocol demands; the engine finds the credential, opens the
//! secret, and decides.

use std::sync::Arc;

use lethe_crypto::hash::hmac_sha256;
use lethe_crypto::registry::{Algorithm, SignatureScheme};
use lethe_types::limits::{EXTERNAL_NAME_BYTES_MAX, MESSAGE_BYTES_MAX};
use lethe_types::{CredentialId, RealmId, SecretVec, UnixMillis};

use crate::authz::{Caller, PrincipalEntry};
use crate::ops::Attempted;
use crate::record::{Credential, CredentialKind, OwnedSecret};
use crate::{Engine, EngineError};

/// What a door checks a request against.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// The secret that the client holds too.
    SharedSecret(&'a SecretVec),
    /// The client's public key.
    PublicKey {
        /// A signature scheme's stable name; `x25519` for agreement.
        scheme: &'a str,
        /// SubjectPublicKeyInfo (RFC 5280).
        spki_der: &'a [u8],
    },
}

impl Proof<'_> {
    /// Whether `signature` is the client's over `message`: by the credential's signature scheme, or
    /// HMAC-SHA-256 at full length for a shared secret. Keys for agreement sign nothing.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::SharedSecret(secret) => {
                let tag = SecretVec::copy_from(&hmac_sha256(secret.expose(), &[message]));
                tag.ct_eq(signature)
            }
            Self::PublicKey { scheme, spki_der } => {
                scheme.parse().is_ok_and(|scheme| verify(scheme, spki_der, message, signature))
            }
        }
    }
}

/// Whether the signature is valid by `scheme` under a public key of an algorithm that has it.
fn verify(scheme: SignatureScheme, spki_der: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let mut algorithms = Algorithm::all().filter(|algorithm| algorithm.schemes().contains(&scheme));
    let key = algorithms.find_map(|algorithm| algorithm.load_public(spki_der).ok());
    key.is_some_and(|key| key.verify(Some(scheme), message, signature).unwrap_or(false))
}

impl Engine {
    /// The principal of `realm` whose credential has the name `external`, if `check` accepts it.
    ///
    /// `check` is called once in any case: for a name that there is not, over a made-up secret and
    /// without effect, so that the time does not tell which names there are.
    ///
    /// # Errors
    /// [`EngineError::AuthenticationNotSuccessful`] for every cause, without saying which;
    /// [`EngineError::AuditUnavailable`]; [`EngineError::Internal`] if the erasure tree does not
    /// open. The attempt is in the audit trail, unless the trail takes nothing.
    pub fn authenticate_external(
        &self,
        door: &'static str,
        request: [u8; 16],
        realm: RealmId,
        external: &str,
        check: impl FnOnce(&Proof<'_>) -> bool,
    ) -> Result<Caller, EngineError> {
        let now = self.shared.clock.now();
        let found = self.find_external(realm, external);
        let subject = found.as_ref().map(|(entry, _)| entry.record().id);
        let result = self.check_external(found, check, now).map(|(entry, id)| Caller {
            principal: entry,
            credential: Some(id),
            door,
            request,
        });
        let caller = result.as_ref().ok();
        let told = Attempted { door, request, now, realm: Some(realm), caller, subject };
        self.audit_attempt(&told, result.as_ref().err())?;
        result
    }

    fn check_external(
        &self,
        found: Option<(Arc<PrincipalEntry>, CredentialId)>,
        check: impl FnOnce(&Proof<'_>) -> bool,
        now: UnixMillis,
    ) -> Result<(Arc<PrincipalEntry>, CredentialId), EngineError> {
        let refused = EngineError::AuthenticationNotSuccessful;
        let made_up = || SecretVec::from_vec(vec![0; 32]);
        let Some((entry, id)) = found else {
            let _ = check(&Proof::SharedSecret(&made_up()));
            return Err(refused);
        };
        let credential = credential(&entry, id).ok_or(refused.clone())?;
        let is_right = match &credential.kind {
            CredentialKind::SharedSecret { secret, .. } => {
                let opened = self.open_owned(id, secret)?;
                let is_right = check(&Proof::SharedSecret(opened.as_ref().unwrap_or(&made_up())));
                is_right && opened.is_some()
            }
            CredentialKind::PublicKey { scheme, spki_der, .. } => {
                check(&Proof::PublicKey { scheme, spki_der })
            }
            CredentialKind::Bearer { .. } | CredentialKind::Passphrase { .. } => false,
        };
        let is_live = credential.is_live(now) && entry.record().is_live(now);
        if is_right && is_live { Ok((entry, id)) } else { Err(refused) }
    }

    /// Whether the caller's principal made `signature` over `message` with the public key of its
    /// credential: a second proof, for one operation. `scheme` is the credential's own if `None`;
    /// otherwise one that a key of its kind has.
    ///
    /// The credential is looked up anew: one that ended since the caller came in proves nothing.
    ///
    /// # Errors
    /// [`EngineError::AuthenticationNotSuccessful`] for every cause, a message over
    /// [`MESSAGE_BYTES_MAX`] included; [`EngineError::AuditUnavailable`]. The attempt is in the
    /// audit trail, unless the trail takes nothing.
    pub fn verify_signature_of(
        &self,
        caller: &Caller,
        credential_id: CredentialId,
        scheme: Option<SignatureScheme>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), EngineError> {
        let now = self.shared.clock.now();
        let entry = self.shared.catalogue.principal(caller.realm(), caller.principal());
        let is_right = entry.filter(|entry| entry.record().is_live(now)).is_some_and(|entry| {
            let found = credential(&entry, credential_id);
            let found = found.filter(|credential| credential.is_live(now));
            found.is_some_and(|credential| match &credential.kind {
                CredentialKind::PublicKey { scheme: own, spki_der, .. } => {
                    // A key for agreement signs nothing, whatever is asked.
                    let own: Option<SignatureScheme> = own.parse().ok();
                    let by = own.map(|own| scheme.unwrap_or(own));
                    by.is_some_and(|by| {
                        message.len() <= MESSAGE_BYTES_MAX
                            && verify(by, spki_der, message, signature)
                    })
                }
                CredentialKind::Bearer { .. }
                | CredentialKind::Passphrase { .. }
                | CredentialKind::SharedSecret { .. } => false,
            })
        });
        let used = Caller { credential: Some(credential_id), ..caller.clone() };
        let refused = EngineError::AuthenticationNotSuccessful;
        let told = Attempted {
            door: caller.door,
            request: caller.request,
            now,
            realm: Some(caller.realm()),
            caller: Some(if is_right { &used } else { caller }),
            subject: Some(caller.principal()),
        };
        self.audit_attempt(&told, (!is_right).then_some(&refused))?;
        if is_right { Ok(()) } else { Err(refused) }
    }

    /// The secret of one of the caller's own credentials, where a door has to compute with it.
    ///
    /// # Errors
    /// [`EngineError::AuthenticationNotSuccessful`] if the caller's principal has no such live
    /// credential with a shared secret now; the refusal is in the audit trail.
    /// [`EngineError::AuditUnavailable`]; [`EngineError::Internal`] if the erasure tree does not
    /// open.
    pub fn open_shared_secret(
        &self,
        caller: &Caller,
        credential_id: CredentialId,
    ) -> Result<SecretVec, EngineError> {
        let now = self.shared.clock.now();
        let opened = self.open_own_secret(caller, credential_id, now)?;
        let refused = EngineError::AuthenticationNotSuccessful;
        let told = Attempted {
            door: caller.door,
            request: caller.request,
            now,
            realm: Some(caller.realm()),
            caller: Some(caller),
            subject: Some(caller.principal()),
        };
        match opened {
            Some(secret) => Ok(secret),
            None => {
                self.audit_attempt(&told, Some(&refused))?;
                Err(refused)
            }
        }
    }

    fn open_own_secret(
        &self,
        caller: &Caller,
        id: CredentialId,
        now: UnixMillis,
    ) -> Result<Option<SecretVec>, EngineError> {
        let entry = self.shared.catalogue.principal(caller.realm(), caller.principal());
        let entry = entry.filter(|entry| entry.record().is_live(now));
        let Some(entry) = entry else { return Ok(None) };
        let found = credential(&entry, id).filter(|credential| credential.is_live(now));
        match found.map(|credential| &credential.kind) {
            Some(CredentialKind::SharedSecret { secret, .. }) => self.open_owned(id, secret),
            Some(
                CredentialKind::Bearer { .. }
                | CredentialKind::Passphrase { .. }
                | CredentialKind::PublicKey { .. },
            )
            | None => Ok(None),
        }
    }

    /// The secret of a credential; `None` if the erasure tree no longer has its record key, as just
    /// after its principal was revoked, or has another's.
    pub(super) fn open_owned(
        &self,
        credential: CredentialId,
        secret: &OwnedSecret,
    ) -> Result<Option<SecretVec>, EngineError> {
        let record_key = self
            .shared
            .tree
            .read()
            .record_key(secret.leaf)
            .map_err(|_| EngineError::Internal("the erasure tree does not open"))?;
        Ok(record_key.and_then(|record_key| {
            crate::seal::open_secret(self.shared.tree_id, credential.0, secret, &record_key)
        }))
    }

    /// The credential of that name, which no other one has.
    fn find_external(
        &self,
        realm: RealmId,
        external: &str,
    ) -> Option<(Arc<PrincipalEntry>, CredentialId)> {
        if external.len() > EXTERNAL_NAME_BYTES_MAX {
            return None;
        }
        self.shared.catalogue.by_external(realm, external)
    }
}

/// The principal's credential of that identity.
pub(super) fn credential(entry: &PrincipalEntry, id: CredentialId) -> Option<&Credential> {
    entry.record().credentials.iter().find(|credential| credential.id == id)
}
