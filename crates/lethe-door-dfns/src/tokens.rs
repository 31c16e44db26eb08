//! Bearer tokens: JSON Web Tokens (RFC 7519) that a key of the engine signs with EdDSA (RFC 8037).
//!
//! A token stands for a credential of its principal, which holds no secret that anybody has: the
//! signature proves the token, and the credential says whether it is still good. So a token opens
//! this door alone, and ends with its credential at once.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lethe_crypto::hash::sha256;
use lethe_crypto::registry::{Algorithm, SignatureScheme};
use lethe_engine::record::Alias;
use lethe_engine::{CreateKeyRequest, Engine, EngineError, TOKEN_REALM};
use lethe_types::{CredentialId, KeyId, PrincipalId, RealmId, UnixMillis};
use serde_json::{Map, Value, json};

use crate::{DOOR, ids};

const SIGNING_ALGORITHM: &str = "ed25519";
const SCHEME: SignatureScheme = SignatureScheme::Ed25519;
/// Where clients look for the organization of a token.
const METADATA: &str = "https://custom/app_metadata";
/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 8_192;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A personal access token.
    Pat,
    /// Of a service account.
    ServiceAccount,
    /// To finish a recovery with, and nothing else.
    Recovery,
    /// To finish a registration with, and nothing else.
    Temporary,
    /// Of a login.
    Login,
}

impl TokenKind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Pat, Self::Recovery, Self::ServiceAccount, Self::Temporary, Self::Login];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pat => "Pat",
            Self::Recovery => "Recovery",
            Self::ServiceAccount => "ServiceAccount",
            Self::Temporary => "Temp",
            Self::Login => "Token",
        }
    }

    pub(crate) fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Signs the tokens of one organization.
#[derive(Debug)]
pub(crate) struct Issuer {
    engine: Arc<Engine>,
    realm: RealmId,
    key: KeyId,
    issuer: String,
}

/// What a genuine token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) user: PrincipalId,
    pub(crate) token: CredentialId,
}

impl Issuer {
    /// Who signs the tokens of the realm; makes the key if there is none yet.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) async fn ensure(
        engine: &Arc<Engine>,
        realm: RealmId,
        issuer: &str,
    ) -> Result<Self, EngineError> {
        let alias = realm.to_string();
        let key = match engine.signing_key_named(DOOR, &alias) {
            Some(entry) => entry.record().id,
            None => {
                let name = TOKEN_REALM.parse();
                let name = name.map_err(|_| EngineError::Internal("name of a realm"))?;
                let home = engine.ensure_realm(&name).await?;
                let caller = engine.system_caller(home, DOOR)?;
                let name = format!("token signing key of realm {realm}");
                let name = name.parse().map_err(|_| EngineError::Internal("name of a key"))?;
                let algorithm = Algorithm::from_name(SIGNING_ALGORITHM)
                    .map_err(|_| EngineError::Internal("an algorithm that is not there"))?;
                let request = CreateKeyRequest {
                    aliases: vec![Alias { door: DOOR.to_owned(), text: alias, reserved: false }],
                    ..CreateKeyRequest::new(name, algorithm)
                };
                let prepared = engine.prepare_key(&caller, request)?;
                engine.create_key(&caller, prepared).await?.record().id
            }
        };
        Ok(Self { engine: engine.clone(), realm, key, issuer: issuer.to_owned() })
    }

    /// The token of a credential.
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn mint(
        &self,
        named: Named,
        kind: TokenKind,
        now: UnixMillis,
        expires: UnixMillis,
    ) -> Result<String, EngineError> {
        let entry = self.engine.signing_key(self.key);
        let entry = entry.ok_or(EngineError::Internal("a token signing key that is gone"))?;
        let (user, token) = (ids::user(named.user), ids::token(named.token));
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": self.key.to_string()});
        let claims = json!({
            "iss": self.issuer,
            "sub": user,
            "jti": token,
            "iat": now.seconds(),
            "exp": expires.seconds(),
            (METADATA): {
                "userId": user,
                "orgId": ids::org(self.realm),
                "tokenId": token,
                "tokenKind": kind.as_str(),
            },
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let caller = self.engine.system_caller(entry.record().realm, DOOR)?;
        let (_, signature) =
            self.engine.sign(&caller, self.key, Some(SCHEME), signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// 32 bytes that follow from a text, are the same at every start, and that nobody else knows:
    /// the hash of a signature of the token key, which Ed25519 makes in one way (RFC 8032).
    ///
    /// # Errors
    /// The engine's.
    pub(crate) fn derived(&self, text: &str) -> Result<[u8; 32], EngineError> {
        let entry = self.engine.signing_key(self.key);
        let entry = entry.ok_or(EngineError::Internal("a token signing key that is gone"))?;
        let caller = self.engine.system_caller(entry.record().realm, DOOR)?;
        // No token begins like this: theirs begin with base64url.
        let message = format!("lethe-dfns-derived/v1\n{text}");
        let (_, signature) =
            self.engine.sign(&caller, self.key, Some(SCHEME), message.as_bytes())?;
        Ok(sha256(&[&signature]))
    }

    /// What the token names, if it is one of this organization. Whether that is still good, the
    /// engine says.
    pub(crate) fn open(&self, token: &str) -> Option<Named> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (_, payload) = signed.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        // There is one key and one algorithm: what the header says chooses nothing.
        let entry = self.engine.signing_key(self.key)?;
        let version = entry.record().current_version()?.number;
        let message = signed.as_bytes();
        if !self.engine.is_signed_by(self.key, version, SCHEME, message, &signature) {
            return None;
        }
        let claims: Map<String, Value> =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let user = ids::parse_user(text("sub")?)?;
        Some(Named { user, token: ids::parse_token(text("jti")?)? })
    }
}
