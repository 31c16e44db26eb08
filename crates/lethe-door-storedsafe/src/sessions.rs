//! Who is logged in: tokens, of which only a hash is kept.
//!
//! A login is a family of tokens: one, or with rotation the newest and those that are still good.
//! Who holds one of them acts as the user who logged in, as long as user, credential and API key
//! are in force, which is asked with every request and not here.
//!
//! Without rotation a login is also a document, so that it outlives the server. What is stored says
//! when the login was used last, up to a sixth of the idle time: after a restart a token ends that
//! much early, never late. With rotation a stored token would come to life again that was replaced
//! since; so nothing is stored, and who is logged in logs in anew after a restart.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use lethe_crypto::hash::sha256;
use lethe_types::{CredentialId, Entropy, EntropyError, PrincipalId, SecretVec, UnixMillis};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::settings::{Settings, TokenRotation};

/// Characters of a token. Clients read tokens back by a pattern of letters and digits alone.
const TOKEN_CHARACTERS: usize = 36;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Most logins at a time; over it the one that was used longest ago ends.
const LOGINS_MAX: usize = 100_000;
/// Most logins of one user at a time, likewise.
const LOGINS_OF_USER_MAX: usize = 64;
/// Most tokens of one login that are good at a time, likewise.
const TOKENS_OF_LOGIN_MAX: usize = 64;

/// What is kept of a token.
pub(crate) type TokenHash = [u8; 32];

/// Who logged in, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) principal: PrincipalId,
    pub(crate) credential: CredentialId,
    pub(crate) api_key: (PrincipalId, CredentialId),
}

/// A login that a token belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Login {
    pub(crate) id: u64,
    pub(crate) who: Who,
    pub(crate) hash: TokenHash,
    /// Whether what is stored of it has to be written anew.
    pub(crate) is_stale: bool,
}

#[derive(Debug)]
struct Family {
    who: Who,
    started: UnixMillis,
    used: UnixMillis,
    stored: UnixMillis,
    /// Each with its end, if it was replaced.
    tokens: BTreeMap<TokenHash, Option<UnixMillis>>,
}

#[derive(Debug, Default)]
struct Table {
    families: BTreeMap<u64, Family>,
    by_hash: BTreeMap<TokenHash, u64>,
    /// By user and by the holder of the API key.
    by_principal: BTreeSet<(PrincipalId, u64)>,
    next: u64,
}

/// All logins.
#[derive(Debug)]
pub(crate) struct Sessions {
    table: Mutex<Table>,
    rotation: TokenRotation,
    idle: Duration,
    lifetime: Duration,
    grace: Duration,
}

impl Sessions {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            table: Mutex::default(),
            rotation: settings.token_rotation,
            idle: settings.token_idle,
            lifetime: settings.token_lifetime,
            grace: settings.token_grace,
        }
    }

    /// Whether logins are stored.
    pub(crate) fn are_stored(&self) -> bool {
        self.rotation == TokenRotation::Off
    }

    /// A new login, and those that ended for it.
    pub(crate) fn begin(&self, who: Who, token: &SecretVec, now: UnixMillis) -> Vec<TokenHash> {
        let hash = hash_of(token.expose());
        self.put(who, hash, now, now)
    }

    /// A login that was stored.
    pub(crate) fn restore(&self, hash: TokenHash, stored: &StoredLogin, now: UnixMillis) -> bool {
        let Some(who) = stored.who() else { return false };
        let (started, used) = (UnixMillis(stored.started_ms), UnixMillis(stored.used_ms));
        if !self.are_stored() || self.is_over(started, used, now) {
            return false;
        }
        self.put(who, hash, started, used);
        true
    }

    fn put(
        &self,
        who: Who,
        hash: TokenHash,
        started: UnixMillis,
        used: UnixMillis,
    ) -> Vec<TokenHash> {
        let mut table = self.table.lock();
        let mut ended = Vec::new();
        let of_user = table.of(who.principal);
        if of_user.len() >= LOGINS_OF_USER_MAX {
            ended.extend(table.end_oldest(&of_user));
        }
        if table.families.len() >= LOGINS_MAX {
            let all: Vec<u64> = table.families.keys().copied().collect();
            ended.extend(table.end_oldest(&all));
        }
        let id = table.next;
        table.next += 1;
        let tokens = BTreeMap::from([(hash, None)]);
        table.families.insert(id, Family { who, started, used, stored: used, tokens });
        for principal in [who.principal, who.api_key.0] {
            table.by_principal.insert((principal, id));
        }
        table.by_hash.insert(hash, id);
        ended
    }

    /// The login that a token belongs to, which is then used now.
    pub(crate) fn find(&self, token: &[u8], now: UnixMillis) -> Option<Login> {
        let hash = hash_of(token);
        let mut table = self.table.lock();
        let id = *table.by_hash.get(&hash)?;
        let family = table.families.get(&id)?;
        let (started, used) = (family.started, family.used);
        let end = family.tokens.get(&hash).copied().flatten();
        if self.is_over(started, used, now) {
            table.end(id);
            return None;
        }
        if end.is_some_and(|end| now >= end) {
            table.end_token(id, &hash);
            return None;
        }
        let family = table.families.get_mut(&id)?;
        family.used = now.max(family.used);
        let is_stale = self.are_stored() && now.since(family.stored) >= self.idle / 6;
        if is_stale {
            family.stored = now;
        }
        Some(Login { id, who: family.who, hash, is_stale })
    }

    fn is_over(&self, started: UnixMillis, used: UnixMillis, now: UnixMillis) -> bool {
        now >= used.saturating_add(self.idle) || now >= started.saturating_add(self.lifetime)
    }

    /// Replaces the token that a request came with, if that is the setting.
    ///
    /// # Errors
    /// [`EntropyError`]; the token is then as it was.
    pub(crate) fn rotate(
        &self,
        login: &Login,
        entropy: &dyn Entropy,
        now: UnixMillis,
    ) -> Result<Option<SecretVec>, EntropyError> {
        if self.rotation == TokenRotation::Off {
            return Ok(None);
        }
        let token = draw_token(entropy)?;
        let hash = hash_of(token.expose());
        let mut table = self.table.lock();
        let grace_ends = now.saturating_add(self.grace);
        let Some(family) = table.families.get_mut(&login.id) else { return Ok(None) };
        match self.rotation {
            TokenRotation::Grace => {
                if let Some(end) = family.tokens.get_mut(&login.hash) {
                    end.get_or_insert(grace_ends);
                }
            }
            TokenRotation::Off | TokenRotation::Strict => {
                family.tokens.remove(&login.hash);
            }
        }
        let mut dead: Vec<TokenHash> = (family.tokens.iter())
            .filter(|(_, end)| end.is_some_and(|end| now >= end))
            .map(|(hash, _)| *hash)
            .collect();
        if family.tokens.len() - dead.len() >= TOKENS_OF_LOGIN_MAX {
            let first = family.tokens.iter().filter(|(_, end)| end.is_some());
            dead.extend(first.min_by_key(|(_, end)| **end).map(|(hash, _)| *hash));
        }
        family.tokens.retain(|hash, _| !dead.contains(hash));
        family.tokens.insert(hash, None);
        dead.push(login.hash);
        for hash in dead {
            let is_gone =
                table.families.get(&login.id).is_none_or(|f| !f.tokens.contains_key(&hash));
            if is_gone {
                table.by_hash.remove(&hash);
            }
        }
        table.by_hash.insert(hash, login.id);
        Ok(Some(token))
    }

    /// Ends a login: all its tokens.
    pub(crate) fn end(&self, id: u64) {
        self.table.lock().end(id);
    }

    /// Ends the logins of a user, or those with an API key of theirs; the tokens that were good.
    pub(crate) fn end_of(&self, principal: PrincipalId) -> Vec<TokenHash> {
        let mut table = self.table.lock();
        let all: BTreeSet<(PrincipalId, u64)> =
            table.by_principal.range((principal, 0)..=(principal, u64::MAX)).copied().collect();
        all.into_iter().map(|(_, id)| id).flat_map(|id| table.end(id)).collect()
    }

    /// What is to be stored of a login.
    pub(crate) fn to_store(&self, hash: &TokenHash) -> Option<StoredLogin> {
        let table = self.table.lock();
        let family = table.families.get(table.by_hash.get(hash)?)?;
        Some(StoredLogin {
            principal: family.who.principal.to_string(),
            credential: family.who.credential.to_string(),
            api_key_principal: family.who.api_key.0.to_string(),
            api_key_credential: family.who.api_key.1.to_string(),
            started_ms: family.started.0,
            used_ms: family.used.0,
        })
    }
}

impl Table {
    fn end(&mut self, id: u64) -> Vec<TokenHash> {
        let Some(family) = self.families.remove(&id) else { return Vec::new() };
        for principal in [family.who.principal, family.who.api_key.0] {
            self.by_principal.remove(&(principal, id));
        }
        for hash in family.tokens.keys() {
            self.by_hash.remove(hash);
        }
        family.tokens.into_keys().collect()
    }

    /// The logins of a user.
    fn of(&self, principal: PrincipalId) -> Vec<u64> {
        let held = self.by_principal.range((principal, 0)..=(principal, u64::MAX));
        let is_user =
            |id: &u64| self.families.get(id).is_some_and(|f| f.who.principal == principal);
        held.map(|(_, id)| *id).filter(is_user).collect()
    }

    fn end_token(&mut self, id: u64, hash: &TokenHash) {
        self.by_hash.remove(hash);
        if let Some(family) = self.families.get_mut(&id) {
            family.tokens.remove(hash);
        }
    }

    fn end_oldest(&mut self, of: &[u64]) -> Vec<TokenHash> {
        let used = |id: &u64| self.families.get(id).map(|family| family.used);
        let oldest = of.iter().copied().min_by_key(|id| used(id));
        oldest.map(|id| self.end(id)).unwrap_or_default()
    }
}

/// A login as it is stored, under the hash of its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredLogin {
    principal: String,
    credential: String,
    api_key_principal: String,
    api_key_credential: String,
    started_ms: u64,
    used_ms: u64,
}

impl StoredLogin {
    fn who(&self) -> Option<Who> {
        Some(Who {
            principal: self.principal.parse().ok()?,
            credential: self.credential.parse().ok()?,
            api_key: (self.api_key_principal.parse().ok()?, self.api_key_credential.parse().ok()?),
        })
    }
}

pub(crate) fn hash_of(token: &[u8]) -> TokenHash {
    sha256(&[token])
}

/// The hash as the name of a document.
pub(crate) fn hash_text(hash: &TokenHash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash that a document is named by.
pub(crate) fn parse_hash(text: &str) -> Option<TokenHash> {
    let mut hash = [0; 32];
    if text.len() != 2 * hash.len() || !text.is_ascii() {
        return None;
    }
    for (place, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// A token that nobody can guess: 36 of 62 characters are 214 bits.
///
/// # Errors
/// [`EntropyError`].
pub(crate) fn draw_token(entropy: &dyn Entropy) -> Result<SecretVec, EntropyError> {
    draw(TOKEN_CHARACTERS, ALPHABET, entropy)
}

/// So many characters, each drawn evenly from an alphabet of at most 256.
///
/// # Errors
/// [`EntropyError`].
pub(crate) fn draw(
    characters: usize,
    alphabet: &[u8],
    entropy: &dyn Entropy,
) -> Result<SecretVec, EntropyError> {
    // Bytes from here on would make the first characters likelier.
    let fair = 256 / alphabet.len() * alphabet.len();
    SecretVec::try_init_with(characters, |out| {
        let mut place = 0;
        while place < out.len() {
            let mut byte = [0];
            entropy.fill(&mut byte)?;
            let number = usize::from(byte[0]);
            if number < fair {
                out[place] = alphabet[number % alphabet.len()];
                place += 1;
            }
        }
        Ok(())
    })
}
