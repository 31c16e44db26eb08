//! Encrypt, decrypt, sign, verify, compute and check codes, agree: what most requests are for.
//!
//! Each is answered on the thread that serves the connection, unless its body is large, or it signs
//! or checks with a key of RSA.

use std::sync::Arc;

use lethe_crypto::registry::SignatureScheme;
use lethe_http::{Reply, Request, Response};
use lethe_types::SecretVec;

use super::key_id;
use crate::error::Refusal;
use crate::render::{self, Member};
use crate::state::State;
use crate::{auth, body, reply, wire};

pub(crate) fn encrypt(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let state = Arc::clone(state);
    reply::by_size(request, move |request| encrypt_now(&state, request))
}

fn encrypt_now(state: &State, request: &Request) -> Result<Response, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let key = key_id(request)?;
    let wanted: wire::Encrypt<'_> = body::parse(request)?;
    let plaintext = wanted.plaintext.decode("plaintext")?;
    let aad = decode_optional(wanted.aad.as_ref(), "aad")?;
    let mut ciphertext = Vec::with_capacity(plaintext.len() + CIPHERTEXT_OVERHEAD_BYTES);
    let (plaintext, aad) = (plaintext.expose(), exposed(aad.as_ref()));
    let version = state.engine.encrypt(&caller, key, plaintext, aad, &mut ciphertext)?;
    Ok(render::bytes_and_version(Member::CIPHERTEXT, &ciphertext, version))
}

pub(crate) fn decrypt(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let state = Arc::clone(state);
    reply::by_size(request, move |request| decrypt_now(&state, request))
}

fn decrypt_now(state: &State, request: &Request) -> Result<Response, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let key = key_id(request)?;
    let wanted: wire::Decrypt<'_> = body::parse(request)?;
    let ciphertext = wanted.ciphertext.decode("ciphertext")?;
    let aad = decode_optional(wanted.aad.as_ref(), "aad")?;
    let plaintext =
        state.engine.decrypt(&caller, key, ciphertext.expose(), exposed(aad.as_ref()))?;
    Ok(render::secret_bytes(Member::PLAINTEXT, plaintext.expose()))
}

pub(crate) fn sign(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    by_key(state, request, sign_now)
}

fn sign_now(state: &State, request: &Request) -> Result<Response, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let key = key_id(request)?;
    let wanted: wire::Sign<'_> = body::parse(request)?;
    let scheme = parse_scheme(wanted.scheme.as_deref())?;
    let message = wanted.message.decode("message")?;
    let (version, signature) = state.engine.sign(&caller, key, scheme, message.expose())?;
    Ok(render::bytes_and_version(Member::SIGNATURE, &signature, version))
}

pub(crate) fn verify(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    by_key(state, request, verify_now)
}

fn verify_now(state: &State, request: &Request) -> Result<Response, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let key = key_id(request)?;
    let wanted: wire::Verify<'_> = body::parse(request)?;
    let scheme = parse_scheme(wanted.scheme.as_deref())?;
    let message = wanted.message.decode("message")?;
    let signature = wanted.signature.decode("signature")?;
    let (message, signature) = (message.expose(), signature.expose());
    let is_valid = state.engine.verify(&caller, key, wanted.version, scheme, message, signature)?;
    Ok(render::validity(is_valid))
}

pub(crate) fn mac(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let state = Arc::clone(state);
    reply::by_size(request, move |request| mac_now(&state, request))
}

fn mac_now(state: &State, request: &Request) -> Result<Response, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let key = key_id(request)?;
    let wanted: wire::Mac<'_> = body::parse(request)?;
    let message = wanted.message.decode("message")?;
    let (version, code) = state.engine.mac(&caller, key, message.expose())?;
    Ok(render::bytes_and_version(Member::MAC, &code, version))
}

pub(crate) fn mac_verify(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    by_key(state, request, mac_verify_now)
}

fn mac_verify_now(state: &State, request: &Request) -> Result<Response, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let key = key_id(request)?;
    let wanted: wire::MacVerify<'_> = body::parse(request)?;
    let message = wanted.message.decode("message")?;
    let code = wanted.mac.decode("mac")?;
    let is_valid =
        state.engine.mac_verify(&caller, key, wanted.version, message.expose(), code.expose())?;
    Ok(render::validity(is_valid))
}

pub(crate) fn agree(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let key = key_id(&request)?;
    let wanted: wire::Agree<'_> = body::parse(&request)?;
    let public_key = wanted.public_key.decode("public_key")?;
    let secret = state.engine.agree(&caller, key, public_key.expose())?;
    Ok(render::secret_bytes(Member::SHARED_SECRET, secret.expose()).into())
}

/// Runs `work` on the pool for blocking work if the key is slow or the body large, and else here.
fn by_key(
    state: &Arc<State>,
    request: Request,
    work: fn(&State, &Request) -> Result<Response, Refusal>,
) -> Result<Reply, Refusal> {
    let state = Arc::clone(state);
    if is_slow(&state, &request) {
        return Ok(reply::blocking(request, move |request| work(&state, request)));
    }
    reply::by_size(request, move |request| work(&state, request))
}

/// Whether the key is one of RSA. Its private operation takes milliseconds; so does the expanding
/// of a version for its first use, and a check that names no version may expand all of them.
fn is_slow(state: &State, request: &Request) -> bool {
    // A key that is unknown, or named wrongly, is refused at once.
    let key = key_id(request).ok();
    let algorithm = key.and_then(|key| state.engine.algorithm_of(key));
    // Only RSA is slow to generate, for the same reason.
    algorithm.is_some_and(|algorithm| algorithm.is_slow_to_generate())
}

fn decode_optional(
    text: Option<&wire::Base64Text<'_>>,
    field: &'static str,
) -> Result<Option<SecretVec>, Refusal> {
    text.map(|text| text.decode(field)).transpose()
}

fn exposed(bytes: Option<&SecretVec>) -> &[u8] {
    bytes.map_or(&[], SecretVec::expose)
}

fn parse_scheme(name: Option<&str>) -> Result<Option<SignatureScheme>, Refusal> {
    name.map(|name| super::parsed("scheme", name)).transpose()
}

/// Format, version, nonce and tag: what a ciphertext has more than its plaintext. Only room that is
/// set aside; with less the buffer would grow.
const CIPHERTEXT_OVERHEAD_BYTES: usize = 33;
