//! Give principals credentials, and take them away for the time being or for good.

use core::time::Duration;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use lethe_crypto::hash::sha256;
use lethe_crypto::registry::{Algorithm, SignatureScheme};
use lethe_engine::{EngineError, NewCredential, NewCredentialKind};
use lethe_http::{Reply, Request};
use lethe_types::limits::{NAME_BYTES_MAX, PASSPHRASE_BYTES_MAX};
use lethe_types::{CredentialId, SecretVec};

use super::principals::{principal_id, response};
use super::{caller_without_query, parsed};
use crate::error::Refusal;
use crate::render::Member;
use crate::state::State;
use crate::{body, render, reply, wire};

/// The scheme of keys that agree on a secret and sign nothing.
const AGREEMENT: &str = "x25519";
/// What the SubjectPublicKeyInfo of an X25519 key begins with (RFC 8410 section 4): all but the key
/// itself, which may be any 32 bytes.
const X25519_SPKI: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21\x00";
const X25519_SPKI_BYTES: usize = 44;

pub(crate) fn add(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let principal = principal_id(&request)?;
    let wanted = parse(&body::parse(&request)?, "")?;
    let is_slow = is_slow(&wanted);
    let state = Arc::clone(state);
    let answer = async move {
        let (entry, id, token) = state.engine.add_credential(&caller, principal, wanted).await?;
        let made = entry.record().credentials.iter().find(|credential| credential.id == id);
        let made = made.ok_or(EngineError::Internal("a credential that vanished"))?;
        let made = wire::Credential::of(made);
        Ok(match token {
            Some(token) => {
                let (status, secret) = (StatusCode::CREATED, token.expose());
                render::json_with_secret(status, &made, Member::TOKEN, secret)
            }
            None => render::json(StatusCode::CREATED, &made),
        })
    };
    Ok(if is_slow {
        reply::blocking(request, |_| reply::block_on(answer))
    } else {
        reply::pending(&request, answer)
    })
}

pub(crate) fn remove(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let (principal, credential) = (principal_id(&request)?, credential_id(&request)?);
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        Ok(response(&*state.engine.remove_credential(&caller, principal, credential).await?))
    }))
}

pub(crate) fn suspend(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    set_suspended(state, &request, true)
}

pub(crate) fn resume(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    set_suspended(state, &request, false)
}

fn set_suspended(state: &Arc<State>, request: &Request, suspended: bool) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, request)?;
    let (principal, credential) = (principal_id(request)?, credential_id(request)?);
    let wire::Nothing {} = body::parse_optional(request)?;
    let state = Arc::clone(state);
    Ok(reply::pending(request, async move {
        let change = state.engine.suspend_credential(&caller, principal, credential, suspended);
        Ok(response(&*change.await?))
    }))
}

fn credential_id(request: &Request) -> Result<CredentialId, Refusal> {
    parsed("credential", request.param("credential"))
}

/// Whether making the credential takes long: a passphrase is hashed slowly on purpose.
pub(super) fn is_slow(credential: &NewCredential) -> bool {
    matches!(credential.kind, NewCredentialKind::Passphrase { .. })
}

/// The credential that `wanted` describes. `at` stands before the names of its members in refusals.
///
/// # Errors
/// [`Refusal::InvalidField`]; no value of a secret is in it.
pub(super) fn parse(
    wanted: &wire::CredentialRequest<'_>,
    at: &str,
) -> Result<NewCredential, Refusal> {
    let fields = Fields { wanted, at };
    let kind = match &*wanted.credential_type {
        "bearer" => fields.only(&[]).map(|()| NewCredentialKind::Bearer),
        "passphrase" => fields.passphrase(),
        "public_key" => fields.public_key(),
        "shared_secret" => fields.shared_secret(),
        _ => Err(fields.invalid(
            "type",
            "must be one of `bearer`, `passphrase`, `public_key`, `shared_secret`",
        )),
    }?;
    let lifetime = match wanted.lifetime_seconds {
        Some(0) => return Err(fields.invalid("lifetime_seconds", "must be at least 1")),
        seconds => seconds.map(Duration::from_secs),
    };
    let name = wanted.name.as_deref().unwrap_or_default();
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let why = format!("may have {NAME_BYTES_MAX} bytes without control characters");
        return Err(fields.invalid("name", why));
    }
    Ok(NewCredential { name: name.into(), lifetime, attributes: BTreeMap::new(), kind })
}

/// The members of one credential, and where they stand.
struct Fields<'a> {
    wanted: &'a wire::CredentialRequest<'a>,
    at: &'a str,
}

impl Fields<'_> {
    fn passphrase(&self) -> Result<NewCredentialKind, Refusal> {
        self.only(&["passphrase", "totp_secret"])?;
        let passphrase = self.wanted.passphrase.as_ref();
        let passphrase = passphrase.ok_or_else(|| self.missing("passphrase"))?.expose();
        if !(1..=PASSPHRASE_BYTES_MAX).contains(&passphrase.len()) {
            let why = format!("must have 1 to {PASSPHRASE_BYTES_MAX} bytes");
            return Err(self.invalid("passphrase", why));
        }
        let totp = self.wanted.totp_secret.as_ref().map(|text| {
            let why = "must be base32 (RFC 4648) in capitals, with whole padding or none";
            wire::decode_base32(text.expose()).ok_or_else(|| self.invalid("totp_secret", why))
        });
        let passphrase = SecretVec::copy_from(passphrase.as_bytes());
        Ok(NewCredentialKind::Passphrase { passphrase, totp: totp.transpose()? })
    }

    fn public_key(&self) -> Result<NewCredentialKind, Refusal> {
        self.only(&["external", "scheme", "public_key"])?;
        let scheme = self.wanted.scheme.as_deref().ok_or_else(|| self.missing("scheme"))?;
        let pem = self.wanted.public_key.as_deref().ok_or_else(|| self.missing("public_key"))?;
        let spki_der = wire::parse_spki_pem(pem);
        let spki_der = spki_der.ok_or_else(|| {
            self.invalid("public_key", "must be one SubjectPublicKeyInfo in PEM (RFC 7468)")
        })?;
        if !self.fits(scheme, &spki_der)? {
            let why = format!("is no public key that is used with `{scheme}`");
            return Err(self.invalid("public_key", why));
        }
        let external = match self.wanted.external.as_deref() {
            Some(external) => external.into(),
            None => hexadecimal(&sha256(&[&spki_der])).into(),
        };
        let (scheme, spki_der) = (scheme.into(), spki_der.into());
        Ok(NewCredentialKind::PublicKey { external, scheme, spki_der })
    }

    /// Whether the public key is one of the scheme's: with another it could never prove anything.
    fn fits(&self, scheme: &str, spki_der: &[u8]) -> Result<bool, Refusal> {
        if scheme == AGREEMENT {
            return Ok(spki_der.len() == X25519_SPKI_BYTES && spki_der.starts_with(X25519_SPKI));
        }
        let scheme: SignatureScheme = scheme.parse().map_err(|_| {
            let why = "must be a signature scheme of `GET /v1/algorithms`, or `x25519`";
            self.invalid("scheme", why)
        })?;
        let mut algorithms =
            Algorithm::all().filter(|algorithm| algorithm.schemes().contains(&scheme));
        Ok(algorithms.any(|algorithm| algorithm.load_public(spki_der).is_ok()))
    }

    fn shared_secret(&self) -> Result<NewCredentialKind, Refusal> {
        self.only(&["external", "secret"])?;
        let external = self.wanted.external.as_deref().ok_or_else(|| self.missing("external"))?;
        let secret = self.wanted.secret.as_ref().ok_or_else(|| self.missing("secret"))?;
        let secret = secret
            .decode("secret")
            .map_err(|_| self.invalid("secret", "must be standard base64 with padding"))?;
        Ok(NewCredentialKind::SharedSecret { external: external.into(), secret })
    }

    /// Whether no member is there that the type does not have.
    fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        let wanted = self.wanted;
        let members = [
            ("passphrase", wanted.passphrase.is_some()),
            ("totp_secret", wanted.totp_secret.is_some()),
            ("external", wanted.external.is_some()),
            ("scheme", wanted.scheme.is_some()),
            ("public_key", wanted.public_key.is_some()),
            ("secret", wanted.secret.is_some()),
        ];
        match members.into_iter().find(|(name, there)| *there && !known.contains(name)) {
            Some((name, _)) => {
                let why = format!("is no member of a credential `{}`", wanted.credential_type);
                Err(self.invalid(name, why))
            }
            None => Ok(()),
        }
    }

    fn missing(&self, member: &str) -> Refusal {
        let why = format!("must be there for a credential `{}`", self.wanted.credential_type);
        self.invalid(member, why)
    }

    fn invalid(&self, member: &str, why: impl Into<String>) -> Refusal {
        let field = Cow::Owned(format!("{}{member}", self.at));
        Refusal::InvalidField { field, why: why.into() }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
