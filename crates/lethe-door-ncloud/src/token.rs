//! Tokens: compact JWTs (RFC 7519) with HMAC-SHA-256, under a secret that was made with the token
//! generator of the key and dies with it. Opaque to clients.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lethe_crypto::hash::hmac_sha256;
use lethe_engine::{Caller, EngineError, KeyEntry};
use lethe_http::RequestHead;
use lethe_types::{SecretVec, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::DOOR;
use crate::error::Refusal;
use crate::kept::{self, AddressList, Generator, TOKEN_SECRET};
use crate::state::State;
use crate::visit::refused_in_trail;

/// `{"alg":"HS256","typ":"JWT"}`: the one header that is made and taken.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
const ISSUER: &str = "kms";
/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 2_048;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Purpose {
    /// To use the key.
    Access,
    /// To get further tokens.
    Refresh,
}

/// What a token says. In this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    #[serde(rename = "iss")]
    pub(crate) issuer: String,
    /// The access key of the account whose permissions it carries.
    #[serde(rename = "sub")]
    pub(crate) subject: String,
    #[serde(rename = "kt")]
    pub(crate) tag: String,
    #[serde(rename = "gen")]
    pub(crate) generator: String,
    #[serde(rename = "use")]
    pub(crate) purpose: Purpose,
    /// Tells tokens apart that are the same otherwise.
    #[serde(rename = "jti")]
    pub(crate) id: String,
    /// In seconds.
    #[serde(rename = "iat")]
    pub(crate) issued: u64,
    /// In seconds; never if there is none.
    #[serde(rename = "exp", skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<u64>,
}

impl Claims {
    pub(crate) fn new(
        (subject, tag, generator): (&str, &str, &str),
        purpose: Purpose,
        id: String,
        issued: UnixMillis,
        expires: Option<u64>,
    ) -> Self {
        Self {
            issuer: ISSUER.to_owned(),
            subject: subject.to_owned(),
            tag: tag.to_owned(),
            generator: generator.to_owned(),
            purpose,
            id,
            issued: issued.seconds(),
            expires,
        }
    }

    /// The token.
    pub(crate) fn sign(&self, secret: &SecretVec) -> String {
        let payload = serde_json::to_vec(self).expect("claims are JSON");
        let signed = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(payload));
        let tag = hmac_sha256(secret.expose(), &[signed.as_bytes()]);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// What `token` says; `None` if [`Claims::sign`] did not make it with this secret.
    pub(crate) fn open(token: &str, secret: &SecretVec) -> Option<Self> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, tag) = token.rsplit_once('.')?;
        let payload = signed.strip_prefix(HEADER)?.strip_prefix('.')?;
        let wanted = SecretVec::copy_from(&hmac_sha256(secret.expose(), &[signed.as_bytes()]));
        if !wanted.ct_eq(&URL_SAFE_NO_PAD.decode(tag).ok()?) {
            return None;
        }
        let claims: Self = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        (claims.issuer == ISSUER).then_some(claims)
    }

    fn is_over(&self, now: UnixMillis) -> bool {
        self.expires.is_some_and(|end| now.seconds() >= end)
    }
}

/// What a token of the key's current generator says, and whether it is over.
///
/// # Errors
/// [`Refusal::TokenRefused`] for every other text.
pub(crate) fn open(state: &State, entry: &KeyEntry, text: &str) -> Result<(Claims, bool), Refusal> {
    let refused = Refusal::TokenRefused;
    let Some(generator) = Generator::of(entry).filter(|one| one.disabled.is_none()) else {
        return Err(refused);
    };
    let secret = state.engine.open_key_secret(entry, TOKEN_SECRET)?;
    let claims = secret.and_then(|secret| Claims::open(text, &secret));
    let ours = claims.filter(|claims| {
        kept::tag(entry.record()) == Some(&*claims.tag) && claims.generator == generator.id
    });
    let claims = ours.ok_or(refused)?;
    let is_over = claims.is_over(state.clock.now());
    Ok((claims, is_over))
}

/// Whether tokens of the key may be used from where the request of `head` comes.
///
/// # Errors
/// [`Refusal::Forbidden`], which the audit trail then holds.
pub(crate) fn check_address(
    state: &State,
    head: &RequestHead,
    entry: &KeyEntry,
) -> Result<(), Refusal> {
    let list = AddressList::of(entry.record());
    let peer = head.peer.ip().to_canonical();
    if !list.enabled || list.addresses.iter().any(|address| *address == peer) {
        return Ok(());
    }
    state.engine.refuse_anonymous(DOOR, head.request_id.to_bytes())?;
    Err(Refusal::Forbidden("the address is not on the ACL of the key"))
}

/// The account whose token it is, and its access key.
///
/// # Errors
/// In this order: the token is not a live one of this key and purpose; the address may not use it;
/// the account can no longer act.
pub(crate) fn guest(
    state: &State,
    head: &RequestHead,
    entry: &KeyEntry,
    text: &str,
    purpose: Purpose,
) -> Result<(Caller, String), Refusal> {
    let opened = open(state, entry, text).and_then(|(claims, is_over)| {
        let is_right = !is_over && claims.purpose == purpose;
        if is_right { Ok(claims) } else { Err(Refusal::TokenRefused) }
    });
    let claims = refused_in_trail(state, head, opened)?;
    check_address(state, head, entry)?;
    let holder = state.engine.holder_of(state.realm, &claims.subject);
    let holder = holder.ok_or(Refusal::TokenRefused);
    let (principal, credential) = refused_in_trail(state, head, holder)?;
    let request = head.request_id.to_bytes();
    let caller = state.engine.caller_of(state.realm, principal, Some(credential), DOOR, request);
    match caller {
        Ok(caller) => Ok((caller, claims.subject)),
        Err(EngineError::AuthenticationNotSuccessful) => Err(Refusal::TokenRefused),
        Err(error) => Err(error.into()),
    }
}
