//! Who signs the tokens of one tenant: a key pair of the engine, in a realm where nobody signs in.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lethe_crypto::registry::{Algorithm, SignatureScheme};
use lethe_engine::record::Alias;
use lethe_engine::{CreateKeyRequest, Engine, EngineError, KeyChange, KeyEntry, TOKEN_REALM};
use lethe_types::{Entropy, KeyId, RealmId, UnixMillis};
use serde_json::Value;

use crate::jws::{self, Claims};

/// The name of this crate where doors have theirs: in audit events and aliases.
pub(crate) const ORIGIN: &str = "token";
/// The algorithm of signing keys. RS256 wants RSA of at least 2,048 bits (RFC 7518 section 3.3).
const SIGNING_ALGORITHM: &str = "rsa-2048";
pub(crate) const SCHEME: SignatureScheme = SignatureScheme::RsaPkcs1Sha256;

/// Attributes of a signing key: whose tokens it signs, as whom, and for which service.
pub(crate) const OF_REALM: &str = "token.realm";
pub(crate) const OF_ISSUER: &str = "token.issuer";
pub(crate) const OF_AUDIENCE: &str = "token.audience";

/// Signs the tokens of one tenant.
#[derive(Clone)]
pub struct Issuer {
    engine: Arc<Engine>,
    entropy: Arc<dyn Entropy>,
    key: KeyId,
    issuer: Arc<str>,
    audience: Arc<str>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({}, {})", self.issuer, self.key)
    }
}

/// Why a token could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerError {
    /// The engine's refusal.
    Engine(EngineError),
    /// The random source failed.
    Entropy,
    /// The claims cannot be written, or the key is not what it was.
    Malformed,
}

impl fmt::Display for IssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::Entropy => f.write_str("the random source failed"),
            Self::Malformed => f.write_str("the token cannot be written"),
        }
    }
}

impl core::error::Error for IssuerError {}

impl From<EngineError> for IssuerError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// What a new token is to say, beside who signs it.
#[derive(Debug)]
pub struct NewToken {
    /// For which service; the issuer's own if `None`.
    pub audience: Option<String>,
    /// Whose it is: for a person its identifier.
    pub subject: String,
    /// The name that an application signs in with, and the number of its secret.
    pub application: Option<(String, u32)>,
    /// When it is made.
    pub now: UnixMillis,
    /// How long it is good for.
    pub lifetime: Duration,
    /// What it may be used for.
    pub permissions: Vec<String>,
    /// What the dialect adds.
    pub others: BTreeMap<String, Value>,
}

impl Issuer {
    /// Who signs the tokens of `realm` as `issuer`, for the service `audience`. Makes the key if
    /// there is none yet, which takes a second: only where blocking is allowed. A token that was
    /// signed under another name of the issuer is no longer taken.
    ///
    /// # Errors
    /// The engine's.
    pub async fn ensure(
        engine: &Arc<Engine>,
        entropy: Arc<dyn Entropy>,
        realm: RealmId,
        issuer: &str,
        audience: &str,
    ) -> Result<Self, EngineError> {
        let name = TOKEN_REALM.parse().map_err(|_| EngineError::Internal("name of a realm"))?;
        let home = engine.ensure_realm(&name).await?;
        let caller = engine.system_caller(home, ORIGIN)?;
        let alias = realm.to_string();
        let wanted: BTreeMap<Box<str>, Box<[u8]>> = BTreeMap::from([
            (OF_REALM.into(), realm.0.into()),
            (OF_ISSUER.into(), issuer.as_bytes().into()),
            (OF_AUDIENCE.into(), audience.as_bytes().into()),
        ]);
        let key = match engine.signing_key_named(ORIGIN, &alias) {
            Some(entry) if entry.record().details().attributes == wanted => entry.record().id,
            Some(entry) => {
                let attributes =
                    wanted.into_iter().map(|(name, value)| (name, Some(value))).collect();
                let change = KeyChange { attributes, ..KeyChange::default() };
                engine.update_key(&caller, entry.record().id, &change, None).await?.record().id
            }
            None => {
                let name = format!("token signing key of realm {realm}");
                let name = name.parse().map_err(|_| EngineError::Internal("name of a key"))?;
                let algorithm = Algorithm::from_name(SIGNING_ALGORITHM)
                    .map_err(|_| EngineError::Internal("an algorithm that is not there"))?;
                let request = CreateKeyRequest {
                    attributes: wanted,
                    aliases: vec![Alias { door: ORIGIN.to_owned(), text: alias, reserved: false }],
                    ..CreateKeyRequest::new(name, algorithm)
                };
                let prepared = engine.prepare_key(&caller, request)?;
                engine.create_key(&caller, prepared).await?.record().id
            }
        };
        let engine = engine.clone();
        Ok(Self { engine, entropy, key, issuer: issuer.into(), audience: audience.into() })
    }

    /// As whom it signs.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// For which service, unless a token says otherwise.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// A signed token, and what it says. About a millisecond of computation.
    ///
    /// # Errors
    /// [`IssuerError`]; no token was made.
    pub fn mint(&self, new: NewToken) -> Result<(String, Claims), IssuerError> {
        let mut token = [0; 16];
        self.entropy.fill(&mut token).map_err(|_| IssuerError::Entropy)?;
        let iat = new.now.0 / 1_000;
        let (client_id, generation) = new.application.unzip();
        let claims = Claims {
            iss: self.issuer.to_string(),
            aud: new.audience.unwrap_or_else(|| self.audience.to_string()),
            sub: new.subject,
            iat,
            exp: iat.saturating_add(new.lifetime.as_secs()),
            jti: jws::jti(&token),
            client_id,
            generation,
            permissions: new.permissions,
            others: new.others,
        };
        let entry = self.key()?;
        let version = entry.record().current_version().ok_or(IssuerError::Malformed)?.number;
        let signed = jws::signing_input(&jws::kid(self.key, version), &claims);
        let signed = signed.ok_or(IssuerError::Malformed)?;
        let caller = self.engine.system_caller(entry.record().realm, ORIGIN)?;
        let (by, signature) =
            self.engine.sign(&caller, self.key, Some(SCHEME), signed.as_bytes())?;
        if by != version {
            return Err(IssuerError::Malformed);
        }
        Ok((jws::with_signature(&signed, &signature), claims))
    }

    pub(crate) fn key(&self) -> Result<Arc<KeyEntry>, IssuerError> {
        self.engine.signing_key(self.key).ok_or(IssuerError::Malformed)
    }

    /// A signature of the key over `message`, for its certificate.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, IssuerError> {
        let caller = self.engine.system_caller(self.key()?.record().realm, ORIGIN)?;
        Ok(self.engine.sign(&caller, self.key, Some(SCHEME), message)?.1)
    }
}
