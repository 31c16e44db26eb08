//! What needs no private key: random bytes, hashes, public keys.

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use http::header::HeaderValue;
use lethe_crypto::hash::HashAlgorithm;
use lethe_crypto::registry::PublicFormat;
use lethe_engine::{Caller, EngineError};
use lethe_http::{Reply, Request};

use super::{key_id, one_of, parse_format};
use crate::answer::{Answer, Value};
use crate::error::Refusal;
use crate::state::State;
use crate::{auth, body, headers, render, wire};

/// A JSON Web Key (RFC 7517 section 8.5.1).
const JWK: HeaderValue = HeaderValue::from_static("application/jwk+json");

/// Digits of the Merkle root of a taproot key.
const MERKLE_ROOT_BYTES: usize = 32;

pub(super) fn random(
    state: &State,
    caller: &Caller,
    _: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let wanted: wire::Random = body::parse_bytes(body)?;
    let bytes = state.engine.random(caller, wanted.bytes)?;
    Ok(Answer::secret(&[("random", Value::Bytes(bytes.expose()))]))
}

pub(super) fn hash(
    state: &State,
    caller: &Caller,
    _: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let wanted: wire::Hash<'_> = body::parse_bytes(body)?;
    let algorithm = parse_hash("algorithm", &wanted.algorithm)?;
    let message = wanted.message.decode("message")?;
    let hash = state.engine.hash(caller, algorithm, message.expose())?;
    Ok(Answer::open(&[("hash", Value::Bytes(hash.as_slice()))]))
}

pub(super) fn parse_hash(field: &'static str, name: &str) -> Result<HashAlgorithm, Refusal> {
    let found = HashAlgorithm::from_name(name);
    found.ok_or_else(|| one_of(field, HashAlgorithm::ALL, HashAlgorithm::as_str))
}

pub(crate) fn public_key(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let [version, format] = headers::query(&request.head, ["version", "format"])?;
    let version = parse_version(version)?;
    let format = match &format {
        Some(name) => parse_format(Some(name))?,
        None => PublicFormat::SpkiPem,
    };
    let key = key_id(&request)?;
    let (_, public) = state.engine.public_key(&caller, key, version)?;
    let (content_type, bytes) = match format {
        PublicFormat::SpkiPem => (headers::PEM, public.to_pem().into_bytes()),
        PublicFormat::SpkiDer => (headers::BYTES, public.spki_der().to_vec()),
        PublicFormat::Raw => (headers::BYTES, public.raw().to_vec()),
        PublicFormat::Jwk => {
            let gone = EngineError::ItemNotFound("key");
            let algorithm = state.engine.algorithm_of(key).ok_or(gone)?;
            let jwk = algorithm.public_jwk(&public);
            (JWK, jwk.map_err(|error| Refusal::invalid("format", error.to_string()))?.into_bytes())
        }
    };
    Ok(render::with_body(StatusCode::OK, content_type, bytes).into())
}

pub(crate) fn taproot_key(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let [version, root] = headers::query(&request.head, ["version", "merkle_root"])?;
    let version = parse_version(version)?;
    let root = root.map(|text| parse_root(&text)).transpose()?;
    let root = root.as_ref().map_or([].as_slice(), |root| root.as_slice());
    let key = key_id(&request)?;
    let (version, output) = state.engine.taproot_output_key(&caller, key, version, root)?;
    let members = [("output_key", Value::Bytes(&output)), ("version", Value::Number(version))];
    Ok(Answer::open(&members).into_response().into())
}

fn parse_version(text: Option<Cow<'_, str>>) -> Result<Option<u32>, Refusal> {
    text.map(|text| headers::decimal::<u32>(&text))
        .map(|number| number.ok_or_else(|| Refusal::invalid("version", "must be a number")))
        .transpose()
}

fn parse_root(text: &str) -> Result<[u8; MERKLE_ROOT_BYTES], Refusal> {
    let refused = || Refusal::invalid("merkle_root", "must be 64 hexadecimal digits");
    let mut root = [0; MERKLE_ROOT_BYTES];
    if text.len() != 2 * MERKLE_ROOT_BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(refused());
    }
    for (position, byte) in root.iter_mut().enumerate() {
        let digits = text.get(2 * position..2 * position + 2).ok_or_else(refused)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| refused())?;
    }
    Ok(root)
}
