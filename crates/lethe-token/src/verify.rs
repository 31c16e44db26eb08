//! From a bearer credential to a caller.

use core::net::IpAddr;

use lethe_engine::{Caller, Engine, EngineError, TokenClaims, TokenSubject};
use lethe_types::{Permission, Permissions, RealmId, UnixMillis};

use crate::issuer::{OF_AUDIENCE, OF_ISSUER, OF_REALM, SCHEME};
use crate::jws::{self, Claims};

/// What a bearer token of the engine's own form begins with.
const ENGINE_TOKEN_PREFIX: &str = "lethe_";

/// A token whose signature and issuer are right. Whether what it stands for is still there is not
/// known yet.
#[derive(Debug)]
pub struct Opened {
    /// What it says.
    pub claims: Claims,
    /// The tenant whose token it is.
    pub realm: RealmId,
    /// The service whose tokens its key signs, unless they say otherwise.
    pub own_audience: String,
}

/// The token, if a signing key of this installation made it; `None` for everything else.
#[must_use]
pub fn open(engine: &Engine, token: &str) -> Option<Opened> {
    let parsed = jws::parse(token)?;
    let key = engine.signing_key(parsed.key)?;
    let signed = parsed.signed.as_bytes();
    if !engine.is_signed_by(parsed.key, parsed.version, SCHEME, signed, &parsed.signature) {
        return None;
    }
    let claims = jws::claims(parsed.payload)?;
    let attribute = |name: &str| key.record().details().attributes.get(name).map(|value| &**value);
    let text = |name: &str| core::str::from_utf8(attribute(name)?).ok();
    let realm = RealmId(attribute(OF_REALM)?.try_into().ok()?);
    let own_audience = text(OF_AUDIENCE)?.to_owned();
    (Some(claims.iss.as_str()) == text(OF_ISSUER)).then_some(Opened { claims, realm, own_audience })
}

impl Opened {
    /// Whether the token is for the issuer's own service.
    #[must_use]
    pub fn is_for_own_service(&self) -> bool {
        self.claims.aud == self.own_audience
    }

    /// Its own identity.
    #[must_use]
    pub fn token_id(&self) -> Option<[u8; 16]> {
        jws::token_id(&self.claims.jti)
    }

    /// When it ends by itself.
    #[must_use]
    pub fn expires(&self) -> UnixMillis {
        UnixMillis(self.claims.exp.saturating_mul(1_000))
    }

    /// Who has it, bounded by what it says; a service other than the issuer's own must have been
    /// looked at before. `permissions` are those that the claims give in the engine's vocabulary.
    ///
    /// # Errors
    /// [`EngineError::AuthenticationNotSuccessful`]; [`EngineError::AuditUnavailable`].
    pub fn caller(
        &self,
        engine: &Engine,
        door: &'static str,
        request: [u8; 16],
        permissions: Permissions,
        from: Option<IpAddr>,
    ) -> Result<Caller, EngineError> {
        let claims = &self.claims;
        let subject = match (&claims.client_id, claims.generation) {
            (Some(client), Some(version)) => Some(TokenSubject::Application { client, version }),
            (None, None) => claims.sub.parse().ok().map(TokenSubject::User),
            (Some(_), None) | (None, Some(_)) => None,
        };
        let (Some(subject), Some(token)) = (subject, self.token_id()) else {
            return Err(engine.refuse_anonymous(door, request)?);
        };
        let told = TokenClaims {
            realm: self.realm,
            subject,
            token,
            issued: UnixMillis(claims.iat.saturating_mul(1_000)),
            expires: self.expires(),
            permissions,
        };
        engine.caller_of_token(door, request, &told, from)
    }
}

/// Of names of permissions, those of the engine's vocabulary.
#[must_use]
pub(crate) fn known_permissions(names: &[String]) -> Permissions {
    names.iter().filter_map(|name| name.parse::<Permission>().ok()).collect()
}

/// Who sends the bearer credential: a token of the engine, an access token for its issuer's own
/// service, or the secret of an API key. `from` is where the request comes from.
///
/// # Errors
/// [`EngineError::AuthenticationNotSuccessful`] for everything that is not valid now, without
/// saying why; the refusal is in the audit trail. [`EngineError::AuditUnavailable`].
pub fn authenticate(
    engine: &Engine,
    door: &'static str,
    request: [u8; 16],
    credential: &str,
    from: IpAddr,
) -> Result<Caller, EngineError> {
    if credential.starts_with(ENGINE_TOKEN_PREFIX) {
        return engine.authenticate_bearer(door, request, credential);
    }
    if !credential.contains('.') {
        return engine.authenticate_api_secret(door, request, credential, Some(from));
    }
    match open(engine, credential).filter(Opened::is_for_own_service) {
        Some(opened) => {
            let permissions = known_permissions(&opened.claims.permissions);
            opened.caller(engine, door, request, permissions, Some(from))
        }
        None => Err(engine.refuse_anonymous(door, request)?),
    }
}
