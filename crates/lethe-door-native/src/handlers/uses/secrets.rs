//! Agree on secrets, encapsulate them, and wrap bytes.

use lethe_crypto::hash::HashAlgorithm;
use lethe_crypto::kdf::KdfHash;
use lethe_engine::{AgreedForm, Caller, PeerKey};
use lethe_http::Request;

use super::plain::parse_hash;
use super::{decode_optional, exposed, key_id, parse_format};
use crate::answer::{Answer, Value};
use crate::error::Refusal;
use crate::state::State;
use crate::{body, wire};

pub(super) fn agree(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::Agree<'_> = body::parse_bytes(body)?;
    let public_key = wanted.public_key.decode("public_key")?;
    let format = parse_format(wanted.format.as_deref())?;
    let hash: Option<HashAlgorithm> =
        wanted.hash.as_deref().map(|name| parse_hash("hash", name)).transpose()?;
    let hkdf = wanted.hkdf.as_ref().map(|hkdf| &hkdf.0);
    let salt = decode_optional(hkdf.and_then(|hkdf| hkdf.salt.as_ref()), "hkdf.salt")?;
    let info = decode_optional(hkdf.and_then(|hkdf| hkdf.info.as_ref()), "hkdf.info")?;
    let form = match (hash, hkdf) {
        (None, None) => AgreedForm::Raw,
        (Some(hash), None) => AgreedForm::Hash(hash),
        (None, Some(hkdf)) => AgreedForm::Hkdf {
            hash: parse_kdf_hash(&hkdf.hash)?,
            salt: exposed(salt.as_ref()),
            info: exposed(info.as_ref()),
            bytes: hkdf.bytes,
        },
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid("hash", "cannot stand beside `hkdf`"));
        }
    };
    let peer = PeerKey { format, bytes: public_key.expose() };
    let (_, secret) = state.engine.agree_with(caller, key, wanted.version, &peer, &form)?;
    Ok(Answer::secret(&[("shared_secret", Value::Bytes(secret.expose()))]))
}

pub(super) fn agree_hashed(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::AgreeHashed<'_> = body::parse_bytes(body)?;
    let (domain, message) = (wanted.domain.decode("domain")?, wanted.message.decode("message")?);
    let (domain, message) = (domain.expose(), message.expose());
    let engine = &state.engine;
    let (_, point) = engine.agree_with_hashed(caller, key, wanted.version, domain, message)?;
    Ok(Answer::secret(&[("point", Value::Bytes(point.expose()))]))
}

pub(super) fn encapsulate(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::Encapsulate =
        if body.is_empty() { wire::Encapsulate::default() } else { body::parse_bytes(body)? };
    let (version, made) = state.engine.encapsulate(caller, key, wanted.version)?;
    Ok(Answer::secret(&[
        ("ciphertext", Value::Bytes(&made.ciphertext)),
        ("version", Value::Number(version)),
        ("shared_secret", Value::Bytes(made.shared_secret.expose())),
    ]))
}

pub(super) fn decapsulate(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::Decapsulate<'_> = body::parse_bytes(body)?;
    let ciphertext = wanted.ciphertext.decode("ciphertext")?;
    let (_, secret) = state.engine.decapsulate(caller, key, wanted.version, ciphertext.expose())?;
    Ok(Answer::secret(&[("shared_secret", Value::Bytes(secret.expose()))]))
}

pub(super) fn wrap(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::Wrap<'_> = body::parse_bytes(body)?;
    let plaintext = wanted.plaintext.decode("plaintext")?;
    let (version, wrapped) = state.engine.wrap(caller, key, wanted.version, plaintext.expose())?;
    Ok(Answer::open(&[("wrapped", Value::Bytes(&wrapped)), ("version", Value::Number(version))]))
}

pub(super) fn unwrap(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::Unwrap<'_> = body::parse_bytes(body)?;
    let wrapped = wanted.wrapped.decode("wrapped")?;
    let plaintext = state.engine.unwrap(caller, key, wanted.version, wrapped.expose())?;
    Ok(Answer::secret(&[("plaintext", Value::Bytes(plaintext.expose()))]))
}

fn parse_kdf_hash(name: &str) -> Result<KdfHash, Refusal> {
    match name {
        "sha256" => Ok(KdfHash::Sha256),
        "sha384" => Ok(KdfHash::Sha384),
        "sha512" => Ok(KdfHash::Sha512),
        _ => Err(Refusal::invalid("hkdf.hash", "must be one of sha256, sha384, sha512")),
    }
}
