//! Sign-in with a login, a passphrase and, if the credential has it, a one-time password.
//!
//! The order of the steps is the promise: the limiter and the gate do not know which logins there
//! are; then one hash is computed in any case; then one set of one-time codes. That unknown logins
//! take the same time is by construction, up to what differs after the hash: microseconds to open
//! a one-time secret, beside hundreds of milliseconds. The exception: stored hashes of another cost
//! than the present one.

use core::fmt;
use std::sync::Arc;
use std::time::Duration;

use lethe_crypto::otp::totp_verify;
use lethe_crypto::passphrase::{self, PassphraseHash};
use lethe_types::limits::{LOGIN_BYTES_MAX, PASSPHRASE_BYTES_MAX};
use lethe_types::{CredentialId, PrincipalId, RealmId, UnixMillis};

use super::limiter::{Limiter, RateLimited};
use super::{SignIn, SignInLimits, Source};
use crate::authz::{Caller, PrincipalEntry};
use crate::ops::Attempted;
use crate::record::{Credential, CredentialKind, OwnedSecret};
use crate::{Engine, EngineError};

/// What somebody claims to know, and from where.
#[derive(Clone, Copy)]
pub struct PassphraseClaim<'a> {
    /// The tenant.
    pub realm: RealmId,
    /// Who they say they are.
    pub login: &'a str,
    /// The passphrase.
    pub passphrase: &'a [u8],
    /// The one-time password, if one was given.
    pub one_time: Option<&'a str>,
    /// Who is charged for guesses.
    pub source: Source,
}

impl fmt::Debug for PassphraseClaim<'_> {
    /// Without what is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassphraseClaim").field("login", &self.login).finish_non_exhaustive()
    }
}

/// A passphrase credential, as it was when its hash was read.
struct Stored {
    entry: Arc<PrincipalEntry>,
    credential: CredentialId,
    hash: Box<str>,
}

impl Engine {
    /// The same engine with other limits on sign-ins; what was remembered of sign-ins is forgotten.
    #[must_use]
    pub fn with_sign_in_limits(mut self, limits: SignInLimits) -> Self {
        self.sign_in = SignIn::new(limits, &self.shared.pepper);
        self
    }

    /// The stored form of a new passphrase, at the present cost.
    ///
    /// Takes a good part of a second of processor time at the default cost, and may wait for
    /// others: call it on a thread that may block.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for an empty passphrase or one over
    /// [`PASSPHRASE_BYTES_MAX`]; [`EngineError::TooManyAttempts`] if too many are being hashed;
    /// [`EngineError::EntropyUnavailable`].
    pub fn hash_passphrase(&self, passphrase: &[u8]) -> Result<Box<str>, EngineError> {
        if passphrase.is_empty() || passphrase.len() > PASSPHRASE_BYTES_MAX {
            let why = format!("1 to {PASSPHRASE_BYTES_MAX} bytes");
            return Err(EngineError::InvalidField { field: "passphrase", why });
        }
        let of_server = Default::default();
        let permit = self.sign_in.gate.enter(of_server, true).ok_or(BUSY)?;
        let cost = self.sign_in.limits.cost;
        let text = passphrase::hash(cost, passphrase, &*self.shared.entropy);
        drop(permit);
        Ok(text?.into())
    }

    /// The principal of `realm` who has this login, passphrase and one-time password.
    ///
    /// A credential without a one-time secret does not look at `one_time`. Takes a good part of a
    /// second of processor time at the default cost, and may wait for other sign-ins: call it on a
    /// thread that may block.
    ///
    /// # Errors
    /// [`EngineError::AuthenticationNotSuccessful`] for every cause, without saying which;
    /// [`EngineError::TooManyAttempts`], for logins that there are and others alike;
    /// [`EngineError::AuditUnavailable`]; [`EngineError::Internal`] if the erasure tree does not
    /// open. The attempt is in the audit trail, unless the trail takes nothing.
    #[expect(clippy::too_many_arguments, reason = "each says another thing, and has its own type")]
    pub fn authenticate_passphrase(
        &self,
        door: &'static str,
        request: [u8; 16],
        realm: RealmId,
        login: &str,
        passphrase: &[u8],
        one_time: Option<&str>,
        source: Source,
    ) -> Result<Caller, EngineError> {
        let claim = PassphraseClaim { realm, login, passphrase, one_time, source };
        self.authenticate_passphrase_and(door, request, claim, |_| Ok(()))
    }

    /// The same, if `also` accepts who proved all that: for a door with a proof of its own beside
    /// the passphrase. `also` is asked last and may write; who it refuses with
    /// [`EngineError::AuthenticationNotSuccessful`] has guessed wrong like anybody else, and is
    /// charged for it.
    ///
    /// # Errors
    /// As [`Engine::authenticate_passphrase`]; those of `also`.
    pub fn authenticate_passphrase_and(
        &self,
        door: &'static str,
        request: [u8; 16],
        claim: PassphraseClaim<'_>,
        also: impl FnOnce(&Caller) -> Result<(), EngineError>,
    ) -> Result<Caller, EngineError> {
        // Before any work: without a trail nobody gets in, and nobody is charged for it.
        self.shared.audit.ready().map_err(|_| EngineError::AuditUnavailable)?;
        let mut subject = None;
        let result = self.check_claim(claim, &mut subject, |(entry, credential)| {
            let caller = Caller::new(entry, Some(credential), door, request);
            also(&caller).map(|()| caller)
        });
        let (now, realm) = (self.shared.clock.now(), claim.realm);
        let caller = result.as_ref().ok();
        let told = Attempted { door, request, now, realm: Some(realm), caller, subject };
        self.audit_attempt(&told, result.as_ref().err())?;
        result
    }

    /// Limiter and gate around [`Engine::verify_claim`].
    fn check_claim(
        &self,
        claim: PassphraseClaim<'_>,
        subject: &mut Option<PrincipalId>,
        accept: impl FnOnce((Arc<PrincipalEntry>, CredentialId)) -> Result<Caller, EngineError>,
    ) -> Result<Caller, EngineError> {
        let PassphraseClaim { realm, login, passphrase, source, .. } = claim;
        if login.len() > LOGIN_BYTES_MAX || passphrase.len() > PASSPHRASE_BYTES_MAX {
            // No credential can be like this: nothing was guessed.
            return Err(EngineError::AuthenticationNotSuccessful);
        }
        let began = self.shared.clock.monotonic();
        let attempt = self.sign_in.limiter.lock().begin(realm, login, source, began)?;
        let permit =
            self.sign_in.gate.enter(attempt.source, attempt.is_known).ok_or_else(|| {
                self.end_attempt(|limiter, now| limiter.take_back(&attempt, now));
                BUSY
            })?;
        let proven = self.verify_claim(claim, subject);
        drop(permit);
        let proven = proven?.ok_or(EngineError::AuthenticationNotSuccessful)?;
        match accept(proven) {
            Ok(caller) => {
                self.end_attempt(|limiter, now| limiter.succeeded(&attempt, now));
                Ok(caller)
            }
            Err(EngineError::AuthenticationNotSuccessful) => {
                Err(EngineError::AuthenticationNotSuccessful)
            }
            Err(error) => {
                self.end_attempt(|limiter, now| limiter.take_back(&attempt, now));
                Err(error)
            }
        }
    }

    fn end_attempt(&self, change: impl FnOnce(&mut Limiter, Duration)) {
        let now = self.shared.clock.monotonic();
        change(&mut self.sign_in.limiter.lock(), now);
    }

    /// Who the claim proves; the work is the same whoever there is.
    fn verify_claim(
        &self,
        claim: PassphraseClaim<'_>,
        subject: &mut Option<PrincipalId>,
    ) -> Result<Option<(Arc<PrincipalEntry>, CredentialId)>, EngineError> {
        let before = self.shared.clock.now();
        let found = self.shared.catalogue.by_login(claim.realm, claim.login);
        *subject = found.as_ref().map(|entry| entry.record().id);
        let stored = found.and_then(|entry| stored_passphrase(entry, before));
        let is_right = self.verify_hash(stored.as_ref(), claim.passphrase)?;

        // Everything may have changed while the hash was computed: look again.
        let now = self.shared.clock.now();
        let present = stored.and_then(|stored| self.still(claim.realm, &stored));
        let totp = present.as_ref().and_then(|(entry, id)| totp_of(entry, *id));
        let one_time = self.verify_one_time(totp, claim.one_time, now)?;
        let Some((entry, id)) = present else { return Ok(None) };
        let is_live = is_live(&entry, id, now);
        let accepted = match one_time {
            OneTime::NotAsked => is_right && is_live,
            OneTime::Wrong => false,
            // The step is used up only if all else is right.
            OneTime::Right(step) => {
                is_right && is_live && self.sign_in.one_time.lock().accept(id, step)
            }
        };
        Ok(accepted.then_some((entry, id)))
    }

    fn verify_hash(&self, stored: Option<&Stored>, given: &[u8]) -> Result<bool, EngineError> {
        let hash = stored.and_then(|stored| PassphraseHash::parse(&stored.hash).ok());
        match hash {
            Some(hash) => Ok(hash.verify(given)?),
            None => {
                passphrase::pretend(self.sign_in.limits.cost, given)?;
                Ok(false)
            }
        }
    }

    /// Without a secret the codes of a made-up one are computed, so that there is no difference.
    fn verify_one_time(
        &self,
        secret: Option<(CredentialId, &OwnedSecret)>,
        code: Option<&str>,
        now: UnixMillis,
    ) -> Result<OneTime, EngineError> {
        let Some((credential, secret)) = secret else {
            let _ = totp_verify(&[0; 20], now.seconds(), code.unwrap_or_default());
            return Ok(OneTime::NotAsked);
        };
        let step = self
            .open_owned(credential, secret)?
            .and_then(|secret| totp_verify(secret.expose(), now.seconds(), code?));
        Ok(step.map_or(OneTime::Wrong, OneTime::Right))
    }

    /// The principal as it is now, if it still has the credential with the same hash.
    fn still(
        &self,
        realm: RealmId,
        stored: &Stored,
    ) -> Option<(Arc<PrincipalEntry>, CredentialId)> {
        let entry = self.shared.catalogue.principal(realm, stored.entry.record().id)?;
        let is_same = passphrases(&entry)
            .any(|(credential, hash)| credential.id == stored.credential && *hash == *stored.hash);
        is_same.then_some((entry, stored.credential))
    }
}

/// What a one-time password says.
enum OneTime {
    /// The credential has no secret for one.
    NotAsked,
    Wrong,
    /// It is the code of this step.
    Right(u64),
}

/// The first passphrase that is live, or else the first.
fn stored_passphrase(entry: Arc<PrincipalEntry>, now: UnixMillis) -> Option<Stored> {
    let live = passphrases(&entry).find(|(credential, _)| credential.is_live(now));
    let (credential, hash) = live.or_else(|| passphrases(&entry).next())?;
    let (credential, hash) = (credential.id, hash.into());
    Some(Stored { entry, credential, hash })
}

fn passphrases(entry: &PrincipalEntry) -> impl Iterator<Item = (&Credential, &str)> {
    entry.record().credentials.iter().filter_map(|credential| match &credential.kind {
        CredentialKind::Passphrase { hash, .. } => Some((credential, &**hash)),
        CredentialKind::ApiSecret { .. }
        | CredentialKind::Bearer { .. }
        | CredentialKind::PublicKey { .. }
        | CredentialKind::SharedSecret { .. } => None,
    })
}

fn totp_of(entry: &PrincipalEntry, id: CredentialId) -> Option<(CredentialId, &OwnedSecret)> {
    let credential = super::external::credential(entry, id)?;
    credential.secret().map(|secret| (id, secret))
}

fn is_live(entry: &PrincipalEntry, id: CredentialId, now: UnixMillis) -> bool {
    let credential = super::external::credential(entry, id);
    entry.record().is_live(now) && credential.is_some_and(|credential| credential.is_live(now))
}

impl From<RateLimited> for EngineError {
    fn from(limited: RateLimited) -> Self {
        // Rounded up: who comes at the named second is not refused again.
        let seconds = limited.retry_after.as_millis().div_ceil(1_000);
        Self::TooManyAttempts { retry_after_seconds: u64::try_from(seconds).unwrap_or(u64::MAX) }
    }
}

/// As many passphrases are being hashed as may be; one takes well under a second.
const BUSY: EngineError = EngineError::TooManyAttempts { retry_after_seconds: 1 };
