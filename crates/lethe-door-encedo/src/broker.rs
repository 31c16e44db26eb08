//! The device's own broker: carries messages between clients of this device and its
//! authenticators, as the maker's service does for all devices. It can read none of them, and
//! believes only what is proven under the key that it gave out for the occasion.
//!
//! All of it is in memory, in tables of bounded size, each entry for a bounded time: what a restart
//! loses is begun again. Which authenticators there are the device knows, not the broker.

use core::time::Duration;
use std::collections::BTreeMap;

use lethe_crypto::hash::hmac_sha256;
use lethe_crypto::registry::UsableKey;
use lethe_engine::EngineError;
use lethe_types::{Entropy, SecretVec, UnixMillis};
use parking_lot::Mutex;

use crate::b64;
use crate::boot::x25519;
use crate::error::Failure;

/// Most keys that are given out and not used yet; the oldest gives way, since anybody may ask.
const SESSIONS_MAX: usize = 1_024;
/// How long a key that was given out waits for its use.
const SESSION_LIFETIME: Duration = Duration::from_secs(600);
/// Most pairings that are under way.
const REGISTRATIONS_MAX: usize = 32;
/// How long a pairing may take: people look for their telephone.
const REGISTRATION_LIFETIME: Duration = Duration::from_secs(900);
/// Most questions that are open, or were answered a moment ago.
const APPROVALS_MAX: usize = 256;
/// How long a question is shown; the device would take an answer for longer.
const APPROVAL_LIFETIME: Duration = Duration::from_secs(300);
/// Bytes of the name of a pairing or a question: who knows it takes part.
const ID_BYTES: usize = 16;

/// A key that was given out, whose private half proves what others say under it. For one use.
pub(crate) struct Session {
    pub(crate) epk: [u8; 32],
    key: UsableKey,
    until: UnixMillis,
}

impl Session {
    /// What the broker and `peer` agree on.
    ///
    /// # Errors
    /// [`Failure::Unauthorized`] for a key of low order.
    pub(crate) fn agree(&self, peer: &[u8; 32]) -> Result<SecretVec, Failure> {
        self.key.agree(peer).map_err(|_| Failure::Unauthorized)
    }

    /// Whether who has the private half of `peer` made `mac` over `message`.
    pub(crate) fn is_proven(&self, peer: &[u8; 32], message: &[u8], mac: &[u8]) -> bool {
        let made = |shared: SecretVec| hmac_sha256(shared.expose(), &[message]);
        self.agree(peer).is_ok_and(|shared| SecretVec::copy_from(&made(shared)).ct_eq(mac))
    }
}

/// A pairing that is under way.
pub(crate) struct Registration {
    pub(crate) session: Session,
    /// The device's message, and its nonce.
    pub(crate) request: String,
    pub(crate) jti: String,
    pub(crate) answer: Pairing,
    until: UnixMillis,
}

/// What an authenticator said to a pairing.
pub(crate) enum Pairing {
    Asked,
    Accepted { pid: [u8; 32], reply: String },
    Refused,
}

/// A question to authenticators.
pub(crate) struct Approval {
    pub(crate) session: Session,
    pub(crate) jti: String,
    /// In seconds: when the device no longer takes an answer.
    pub(crate) exp: u64,
    /// What each authenticator is asked for, sealed for it.
    pub(crate) scopes: BTreeMap<[u8; 32], String>,
    pub(crate) answer: Verdict,
    until: UnixMillis,
}

/// What became of a question.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Asked,
    Approved(String),
    Cancelled,
    Denied,
}

impl Registration {
    pub(crate) fn new(session: Session, (request, jti): (&str, &str)) -> Self {
        let (request, jti) = (request.to_owned(), jti.to_owned());
        Self { session, request, jti, answer: Pairing::Asked, until: UnixMillis(0) }
    }
}

impl Approval {
    pub(crate) fn new(
        session: Session,
        (jti, exp): (&str, u64),
        scopes: BTreeMap<[u8; 32], String>,
    ) -> Self {
        let (jti, answer, until) = (jti.to_owned(), Verdict::Asked, UnixMillis(0));
        Self { session, jti, exp, scopes, answer, until }
    }
}

/// What waits.
#[derive(Default)]
pub(crate) struct Broker(Mutex<Tables>);

#[derive(Default)]
struct Tables {
    sessions: BTreeMap<[u8; 32], Session>,
    registrations: BTreeMap<String, Registration>,
    approvals: BTreeMap<String, Approval>,
}

impl Tables {
    fn forget_old(&mut self, now: UnixMillis) {
        self.sessions.retain(|_, session| session.until > now);
        self.registrations.retain(|_, registration| registration.until > now);
        self.approvals.retain(|_, approval| approval.until > now);
    }
}

impl Broker {
    /// A key for one exchange.
    pub(crate) fn open(
        &self,
        entropy: &dyn Entropy,
        now: UnixMillis,
    ) -> Result<[u8; 32], EngineError> {
        let (key, epk) = x25519(entropy, None)?;
        let session = Session { epk, key, until: now.saturating_add(SESSION_LIFETIME) };
        let mut tables = self.0.lock();
        tables.forget_old(now);
        if tables.sessions.len() >= SESSIONS_MAX {
            let oldest = tables.sessions.values().min_by_key(|session| session.until);
            let oldest = oldest.map(|session| session.epk);
            oldest.map(|epk| tables.sessions.remove(&epk));
        }
        tables.sessions.insert(epk, session);
        Ok(epk)
    }

    /// The exchange of that key, which is used by this.
    ///
    /// # Errors
    /// [`Failure::Unauthorized`] for a key that was not given out, is over, or was used.
    pub(crate) fn take(&self, epk: &[u8; 32], now: UnixMillis) -> Result<Session, Failure> {
        let mut tables = self.0.lock();
        tables.forget_old(now);
        tables.sessions.remove(epk).ok_or(Failure::Unauthorized)
    }

    /// Begins a pairing; its name.
    ///
    /// # Errors
    /// [`Failure::NotDone`] while too many are under way.
    pub(crate) fn register(
        &self,
        registration: Registration,
        entropy: &dyn Entropy,
        now: UnixMillis,
    ) -> Result<String, Failure> {
        let id = fresh_id(entropy)?;
        let mut tables = self.0.lock();
        tables.forget_old(now);
        if tables.registrations.len() >= REGISTRATIONS_MAX {
            return Err(Failure::NotDone);
        }
        let until = now.saturating_add(REGISTRATION_LIFETIME);
        tables.registrations.insert(id.clone(), Registration { until, ..registration });
        Ok(id)
    }

    /// Looks at a pairing, or changes it.
    ///
    /// # Errors
    /// [`Failure::NotHere`] if there is none of that name any more; those of `see`.
    pub(crate) fn registration<T>(
        &self,
        id: &str,
        now: UnixMillis,
        see: impl FnOnce(&mut Registration) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut tables = self.0.lock();
        tables.forget_old(now);
        see(tables.registrations.get_mut(id).ok_or(Failure::NotHere)?)
    }

    pub(crate) fn end_registration(&self, id: &str) {
        self.0.lock().registrations.remove(id);
    }

    /// Puts a question; its name.
    ///
    /// # Errors
    /// [`Failure::NotDone`] while there are too many.
    pub(crate) fn ask(
        &self,
        approval: Approval,
        entropy: &dyn Entropy,
        now: UnixMillis,
    ) -> Result<String, Failure> {
        let id = fresh_id(entropy)?;
        let mut tables = self.0.lock();
        tables.forget_old(now);
        if tables.approvals.len() >= APPROVALS_MAX {
            return Err(Failure::NotDone);
        }
        let exp = UnixMillis(approval.exp.saturating_mul(1_000));
        let until = now.saturating_add(APPROVAL_LIFETIME).min(exp);
        tables.approvals.insert(id.clone(), Approval { until, ..approval });
        Ok(id)
    }

    /// Looks at a question, or changes it.
    ///
    /// # Errors
    /// [`Failure::NotHere`] if there is none of that name any more; those of `see`.
    pub(crate) fn approval<T>(
        &self,
        id: &str,
        now: UnixMillis,
        see: impl FnOnce(&mut Approval) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut tables = self.0.lock();
        tables.forget_old(now);
        see(tables.approvals.get_mut(id).ok_or(Failure::NotHere)?)
    }

    /// The open questions to some authenticators, each with those of them that it is put to.
    pub(crate) fn waiting(
        &self,
        pids: &[[u8; 32]],
        now: UnixMillis,
    ) -> BTreeMap<String, Vec<String>> {
        let mut tables = self.0.lock();
        tables.forget_old(now);
        let open = tables.approvals.iter().filter(|(_, one)| one.answer == Verdict::Asked);
        let asked = open.map(|(id, one)| {
            let asked = pids.iter().filter(|pid| one.scopes.contains_key(*pid));
            (id.clone(), asked.map(|pid| b64::encode(pid)).collect::<Vec<String>>())
        });
        asked.filter(|(_, pids)| !pids.is_empty()).collect()
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.0.lock() = Tables::default();
    }
}

fn fresh_id(entropy: &dyn Entropy) -> Result<String, EngineError> {
    let mut bytes = [0; ID_BYTES];
    entropy.fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
