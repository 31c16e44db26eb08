//! User actions: challenges that wait for a signature, and signed ones that wait for their request.
//!
//! A challenge is the SHA-256 of a text that names the request, who makes it and when: see
//! [`lethe_engine::ChallengedRequest`]. Both tables are in memory: a restart ends what was begun,
//! and a client begins anew. Nothing in them is good for longer than five minutes or for more than
//! one use.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use lethe_crypto::hash::sha256;
use lethe_engine::{ChallengedRequest, SignedRequest};
use lethe_http::percent_decode;
use lethe_types::{CredentialId, Entropy, EntropyError, PrincipalId, UnixMillis};
use parking_lot::Mutex;

use crate::account::KeyKind;
use crate::body::canonical;
use crate::error::Refusal;
use crate::log::LogEntry;

/// How long a challenge waits for its signature, and a signed action for its request.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Most challenges, and most signed actions, that wait at a time; over it the oldest go.
const WAITING_MAX: usize = 65_536;
/// Most of either that one token may have waiting: nobody drives out those of others.
const WAITING_OF_TOKEN_MAX: u32 = 2_048;
const TEXT_BYTES: usize = 32;

/// What one signature is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    method: Method,
    /// The segments of the path, decoded.
    path: Vec<String>,
    /// Canonical.
    payload: String,
}

impl Bound {
    /// What a client announced.
    ///
    /// # Errors
    /// 400 for a payload that is neither empty nor JSON.
    pub(crate) fn announced(method: Method, path: &str, payload: &str) -> Result<Self, Refusal> {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        Ok(Self { method, path: segments(path), payload: canonical(payload.as_bytes())? })
    }

    /// What a client sent; `None` for a body that is neither empty nor JSON, which nobody can have
    /// announced.
    pub(crate) fn sent(method: &Method, path: &str, body: &[u8]) -> Option<Self> {
        let payload = canonical(body).ok()?;
        Some(Self { method: method.clone(), path: segments(path), payload })
    }

    pub(crate) fn payload(&self) -> &str {
        &self.payload
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// The path in its one spelling: percent-encoded but for the unreserved characters.
    pub(crate) fn path(&self) -> String {
        let encoded: Vec<String> = self.path.iter().map(|part| encoded(part)).collect();
        encoded.join("/")
    }
}

/// RFC 3986 section 2.3.
fn encoded(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

fn segments(path: &str) -> Vec<String> {
    let decoded = |part: &str| percent_decode(part).map_or_else(|_| part.to_owned(), Into::into);
    path.split('/').map(decoded).collect()
}

/// A request that was announced.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    pub(crate) bound: Bound,
    /// In its one spelling.
    pub(crate) path: String,
    pub(crate) request: ChallengedRequest,
}

/// What a signature is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// A request that changes something.
    Action(Box<Announced>),
    /// A new key of a user who is logged in.
    NewKey,
}

/// Who may answer the challenge of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// Whoever has a passkey that says whose it is.
    Anybody,
    /// Nobody: there is no such user, and whoever asks is not told.
    Nobody,
    /// This user, with keys of these kinds.
    User { user: PrincipalId, kinds: &'static [KeyKind] },
}

/// A challenge that was given out.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    /// With which token it was asked for, if there was one.
    pub(crate) token: Option<CredentialId>,
    /// As the client must repeat it.
    pub(crate) text: String,
    pub(crate) purpose: Purpose,
}

/// A signed action.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) token: CredentialId,
    pub(crate) bound: Bound,
    pub(crate) signed: SignedRequest,
    pub(crate) entry: LogEntry,
    is_used: bool,
}

impl Signed {
    pub(crate) fn new(
        token: CredentialId,
        bound: Bound,
        signed: SignedRequest,
        entry: LogEntry,
    ) -> Self {
        Self { token, bound, signed, entry, is_used: false }
    }
}

/// Why a request does not get what it was signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Unknown, over, of somebody else, or for another request.
    Invalid,
    Used,
}

/// All that wait.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    challenges: Mutex<Waiting<Challenge>>,
    /// Apart, since anybody may ask for one.
    logins: Mutex<Waiting<(Login, String)>>,
    signed: Mutex<Waiting<Signed>>,
}

impl Actions {
    /// Keeps a challenge; its identifier.
    ///
    /// # Errors
    /// 429 if the token has too many; the random source.
    pub(crate) fn challenge(
        &self,
        challenge: Challenge,
        entropy: &dyn Entropy,
        now: UnixMillis,
    ) -> Result<String, Refusal> {
        let of = challenge.token;
        self.challenges.lock().put(challenge, of, entropy, now)
    }

    /// Takes a challenge: it is good for one try. One of another token, or of another purpose, is
    /// left where it is.
    pub(crate) fn take_challenge(
        &self,
        identifier: &str,
        may_take: impl FnOnce(&Challenge) -> bool,
        now: UnixMillis,
    ) -> Option<Challenge> {
        let mut waiting = self.challenges.lock();
        waiting.forget_old(now);
        let hash = hash_of(identifier);
        waiting.get(&hash).filter(|found| may_take(found))?;
        waiting.take(&hash)
    }

    /// Keeps the challenge of a login; its identifier.
    ///
    /// # Errors
    /// The random source.
    pub(crate) fn login(
        &self,
        login: Login,
        text: String,
        entropy: &dyn Entropy,
        now: UnixMillis,
    ) -> Result<String, Refusal> {
        self.logins.lock().put((login, text), None, entropy, now)
    }

    /// Takes the challenge of a login: it is good for one try.
    pub(crate) fn take_login(&self, identifier: &str, now: UnixMillis) -> Option<(Login, String)> {
        let mut waiting = self.logins.lock();
        waiting.forget_old(now);
        waiting.take(&hash_of(identifier))
    }

    /// Keeps a signed action; the token that it is used by.
    ///
    /// # Errors
    /// 429 if the token has too many; the random source.
    pub(crate) fn sign(
        &self,
        signed: Signed,
        entropy: &dyn Entropy,
        now: UnixMillis,
    ) -> Result<String, Refusal> {
        let of = Some(signed.token);
        self.signed.lock().put(signed, of, entropy, now)
    }

    /// Uses a signed action up, whether or not it is for this request.
    ///
    /// # Errors
    /// [`Unusable`], with the action if this used it up for nothing. An action of another token
    /// stays as it is.
    pub(crate) fn consume(
        &self,
        text: &str,
        presenter: CredentialId,
        sent: Option<&Bound>,
        now: UnixMillis,
    ) -> Result<Signed, (Unusable, Option<Box<Signed>>)> {
        let mut waiting = self.signed.lock();
        waiting.forget_old(now);
        let found = waiting.get_mut(&hash_of(text));
        let found = found.filter(|found| found.token == presenter);
        let found = found.ok_or((Unusable::Invalid, None))?;
        if found.is_used {
            return Err((Unusable::Used, None));
        }
        found.is_used = true;
        let mut taken = found.clone();
        // It is worth nothing any more, and may be shown.
        taken.entry.action_token = Some(text.to_owned());
        if sent == Some(&found.bound) {
            return Ok(taken);
        }
        Err((Unusable::Invalid, Some(Box::new(taken))))
    }
}

/// Things that wait, by the hash of the text that names each.
#[derive(Debug)]
struct Waiting<T> {
    items: BTreeMap<[u8; 32], Item<T>>,
    /// In the order of their ends.
    ends: VecDeque<(UnixMillis, [u8; 32])>,
    of_tokens: BTreeMap<CredentialId, u32>,
}

#[derive(Debug)]
struct Item<T> {
    value: T,
    of: Option<CredentialId>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), ends: VecDeque::new(), of_tokens: BTreeMap::new() }
    }
}

impl<T> Waiting<T> {
    fn put(
        &mut self,
        value: T,
        of: Option<CredentialId>,
        entropy: &dyn Entropy,
        now: UnixMillis,
    ) -> Result<String, Refusal> {
        self.forget_old(now);
        if let Some(of) = of {
            let count = self.of_tokens.entry(of).or_default();
            if *count >= WAITING_OF_TOKEN_MAX {
                let status = http::StatusCode::TOO_MANY_REQUESTS;
                return Err(Refusal::told(status, "too many user actions wait to be used"));
            }
            *count += 1;
        }
        if self.items.len() >= WAITING_MAX {
            self.forget_first();
        }
        let text = random_text(entropy)?;
        let hash = hash_of(&text);
        self.items.insert(hash, Item { value, of });
        self.ends.push_back((now.saturating_add(LIFETIME), hash));
        Ok(text)
    }

    fn get(&self, hash: &[u8; 32]) -> Option<&T> {
        self.items.get(hash).map(|item| &item.value)
    }

    fn get_mut(&mut self, hash: &[u8; 32]) -> Option<&mut T> {
        self.items.get_mut(hash).map(|item| &mut item.value)
    }

    fn take(&mut self, hash: &[u8; 32]) -> Option<T> {
        let item = self.items.remove(hash)?;
        if let Some(count) = item.of.and_then(|of| self.of_tokens.get_mut(&of)) {
            *count = count.saturating_sub(1);
        }
        Some(item.value)
    }

    fn forget_old(&mut self, now: UnixMillis) {
        while self.ends.front().is_some_and(|(end, _)| *end <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, hash)) = self.ends.pop_front() {
            self.take(&hash);
        }
        self.of_tokens.retain(|_, count| *count > 0);
    }
}

/// A text that nobody guesses.
///
/// # Errors
/// The random source failed.
pub(crate) fn random_text(entropy: &dyn Entropy) -> Result<String, EntropyError> {
    let mut bytes = [0; TEXT_BYTES];
    entropy.fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn hash_of(text: &str) -> [u8; 32] {
    sha256(&[text.as_bytes()])
}
