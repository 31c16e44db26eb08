//! What lives from one start of the device to the next, in memory alone: the key pair that logins
//! are keyed with, and the key of its tokens and nonces. A restart kills every token.

use core::time::Duration;
use std::collections::BTreeMap;

use lethe_crypto::CryptoError;
use lethe_crypto::hash::hmac_sha256;
use lethe_crypto::registry::{Algorithm, KeyFormat, Material, UsableKey};
use lethe_engine::EngineError;
use lethe_types::{Entropy, Secret, SecretVec, UnixMillis};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::b64;
use crate::ejwt;

/// The header of a bearer token. Clients compare its text.
const TOKEN_HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;
/// The same in the encoding of a token.
const TOKEN_HEADER_ENCODED: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9";
/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 4_096;
/// Bytes at the beginning of a nonce that say when it was made.
const TIME_BYTES: usize = 4;
/// Random bytes of a nonce that is answered.
const NONCE_RANDOM_BYTES: usize = 12;
/// Most nonces that were used and are not over; only who proved a key uses one.
const USED_NONCES_MAX: usize = 65_536;

/// What a nonce is for. One for one purpose is worth nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// An answer to the challenge of a login.
    Login,
    /// An answer to the challenge of the initialisation.
    Init,
    /// A new key of the user.
    UserKey,
    /// A pairing.
    Pairing,
    /// A remote approval.
    Remote,
    /// A check-in.
    CheckIn,
}

impl Purpose {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Login => b"login",
            Self::Init => b"init",
            Self::UserKey => b"user key",
            Self::Pairing => b"pairing",
            Self::Remote => b"remote",
            Self::CheckIn => b"check-in",
        }
    }

    /// How long an answer may take.
    pub(crate) const fn lifetime(self) -> Duration {
        match self {
            Self::Login | Self::Init => Duration::from_secs(60),
            Self::UserKey | Self::Remote | Self::CheckIn => Duration::from_secs(3_600),
            Self::Pairing => Duration::from_secs(86_400),
        }
    }

    /// Challenges are longer than the other nonces.
    const fn bytes(self) -> usize {
        match self {
            Self::Login | Self::Init => 36,
            Self::UserKey | Self::Pairing | Self::Remote | Self::CheckIn => 32,
        }
    }
}

/// What a bearer token says, in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenClaims {
    pub(crate) scope: String,
    pub(crate) sub: String,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
    pub(crate) jti: String,
}

/// One start of the device.
pub(crate) struct Boot {
    spk: UsableKey,
    /// The public half, in base64.
    pub(crate) spk_public: String,
    /// The broker that the device brings along, and its public key.
    pub(crate) broker: UsableKey,
    pub(crate) broker_public: [u8; 32],
    key: Secret<32>,
    /// The name of its log: the time in eight hexadecimal digits.
    pub(crate) log_id: String,
    /// On the monotonic clock.
    pub(crate) started: Duration,
    next_token: Mutex<u64>,
    used: Mutex<BTreeMap<Vec<u8>, UnixMillis>>,
    /// Nonces of published vectors, which no device made.
    #[cfg(test)]
    pub(crate) known: Mutex<Vec<String>>,
}

/// A fresh pair of X25519, or the one of that private key.
pub(crate) fn x25519(
    entropy: &dyn Entropy,
    private: Option<&[u8; 32]>,
) -> Result<(UsableKey, [u8; 32]), EngineError> {
    let algorithm =
        Algorithm::from_name("x25519").map_err(|_| EngineError::Internal("no X25519 here"))?;
    let material: Material = match private {
        Some(private) => algorithm.import(KeyFormat::Raw, private)?,
        None => algorithm.generate(entropy)?,
    };
    let missing = || EngineError::Internal("a pair without a public key");
    let public = material.public_key().ok_or_else(missing)?;
    let public = public.raw().try_into().map_err(|_| missing())?;
    Ok((algorithm.load(material.secret())?, public))
}

impl Boot {
    pub(crate) fn new(
        entropy: &dyn Entropy,
        log_id: String,
        started: Duration,
        spk: Option<&[u8; 32]>,
    ) -> Result<Self, EngineError> {
        let (spk, public) = x25519(entropy, spk)?;
        let (broker, broker_public) = x25519(entropy, None)?;
        Ok(Self {
            spk,
            spk_public: b64::encode(&public),
            broker,
            broker_public,
            key: Secret::random(entropy)?,
            log_id,
            started,
            next_token: Mutex::new(1),
            used: Mutex::default(),
            #[cfg(test)]
            known: Mutex::default(),
        })
    }

    /// The secret of a login: that of this start's key and `peer`.
    ///
    /// # Errors
    /// For a public key of low order.
    pub(crate) fn agree(&self, peer: &[u8; 32]) -> Result<SecretVec, CryptoError> {
        self.spk.agree(peer)
    }

    /// A nonce that [`Boot::use_nonce`] knows again: time, random bytes, and what only this start
    /// of the device can compute of both. Nothing has to be remembered of those that are given out.
    pub(crate) fn nonce(
        &self,
        purpose: Purpose,
        entropy: &dyn Entropy,
        now: UnixMillis,
    ) -> Result<Vec<u8>, EngineError> {
        let mut nonce = time_bytes(now).to_vec();
        let mut random = [0; NONCE_RANDOM_BYTES];
        entropy.fill(&mut random)?;
        nonce.extend_from_slice(&random);
        let tag = hmac_sha256(self.key.expose(), &[purpose.name(), &nonce]);
        nonce.extend_from_slice(&tag);
        nonce.truncate(purpose.bytes());
        Ok(nonce)
    }

    /// Takes a nonce that came back. Whether it is one of this start for this purpose, not over,
    /// and not used before; it is used from then on.
    pub(crate) fn use_nonce(&self, purpose: Purpose, text: &str, now: UnixMillis) -> bool {
        let Some(nonce) = b64::decode(text) else { return false };
        #[cfg(test)]
        let is_known = self.known.lock().iter().any(|known| known == text);
        #[cfg(not(test))]
        let is_known = false;
        if !is_known && !self.made(purpose, &nonce) {
            return false;
        }
        let Some(made) = nonce.first_chunk::<TIME_BYTES>() else { return false };
        // Times of 32 bits go round in 2106; only the distance counts.
        let age = time_of(now).wrapping_sub(u32::from_le_bytes(*made));
        let lifetime = purpose.lifetime();
        if u64::from(age) > lifetime.as_secs() {
            return false;
        }
        let mut used = self.used.lock();
        if used.len() >= USED_NONCES_MAX {
            used.retain(|_, until| *until > now);
        }
        if used.len() >= USED_NONCES_MAX || used.contains_key(&nonce) {
            return false;
        }
        // A second longer: the nonce knows whole seconds alone.
        let until = now.saturating_add(lifetime).saturating_add(Duration::from_secs(1));
        used.insert(nonce, until);
        true
    }

    /// Nonces of published vectors serve several purposes.
    #[cfg(test)]
    pub(crate) fn forget_used(&self) {
        self.used.lock().clear();
    }

    fn made(&self, purpose: Purpose, nonce: &[u8]) -> bool {
        let (head, tag) = match nonce.split_at_checked(TIME_BYTES + NONCE_RANDOM_BYTES) {
            Some(parts) if nonce.len() == purpose.bytes() => parts,
            Some(_) | None => return false,
        };
        let mut expected = hmac_sha256(self.key.expose(), &[purpose.name(), head]).to_vec();
        expected.truncate(tag.len());
        SecretVec::from_vec(expected).ct_eq(tag)
    }

    /// A bearer token.
    pub(crate) fn token(
        &self,
        sub: &str,
        scope: &str,
        (now, exp): (UnixMillis, u64),
        entropy: &dyn Entropy,
    ) -> Result<String, EngineError> {
        let mut random = [0; 20];
        entropy.fill(&mut random)?;
        let number = {
            let mut next = self.next_token.lock();
            let number = *next;
            *next = number.saturating_add(1);
            number
        };
        let mut jti = time_bytes(now).to_vec();
        jti.extend_from_slice(&(number ^ self.mask(&random)).to_be_bytes());
        jti.extend_from_slice(&random);
        let claims = TokenClaims {
            scope: scope.to_owned(),
            sub: sub.to_owned(),
            iat: now.seconds(),
            exp,
            jti: b64::encode(&jti),
        };
        let key = self.token_key();
        ejwt::write_with(TOKEN_HEADER, &claims, key.expose())
            .ok_or(EngineError::Internal("a token that is no JSON"))
    }

    /// What a token says, and its number among those of this start, if it is one and not over.
    pub(crate) fn open_token(&self, token: &str, now: UnixMillis) -> Option<(TokenClaims, u64)> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, tag) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        if header != TOKEN_HEADER_ENCODED {
            return None;
        }
        let key = self.token_key();
        let expected = SecretVec::copy_from(&hmac_sha256(key.expose(), &[signed.as_bytes()]));
        if !expected.ct_eq(&b64::decode_url(tag)?) {
            return None;
        }
        let claims: TokenClaims = serde_json::from_slice(&b64::decode_url(claims)?).ok()?;
        if now.seconds() >= claims.exp {
            return None;
        }
        let jti = b64::decode_array::<32>(&claims.jti)?;
        let (_, rest) = jti.split_first_chunk::<TIME_BYTES>()?;
        let (number, random) = rest.split_first_chunk::<8>()?;
        let number = u64::from_be_bytes(*number) ^ self.mask(random);
        Some((claims, number))
    }

    /// The number that the next token will have: all that were given out have a lower one.
    pub(crate) fn tokens_before(&self) -> u64 {
        *self.next_token.lock()
    }

    /// Hides the numbers of tokens: a nonce is to look random.
    fn mask(&self, random: &[u8]) -> u64 {
        let mask = hmac_sha256(self.key.expose(), &[b"number", random]);
        u64::from_be_bytes(*mask.first_chunk().unwrap_or(&[0; 8]))
    }

    fn token_key(&self) -> Secret<32> {
        let derived = hmac_sha256(self.key.expose(), &[b"token"]);
        Secret::init_with(|key| key.copy_from_slice(&derived))
    }
}

fn time_of(now: UnixMillis) -> u32 {
    let bytes = now.seconds().to_le_bytes();
    u32::from_le_bytes(*bytes.first_chunk().unwrap_or(&[0; 4]))
}

fn time_bytes(now: UnixMillis) -> [u8; TIME_BYTES] {
    time_of(now).to_le_bytes()
}
