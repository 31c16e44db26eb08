//! Sign and verify; compute and check message authentication codes.

use lethe_crypto::registry::{PssSalt, SignInput, SignRequest};
use lethe_engine::{Caller, PeerKey};
use lethe_http::Request;
use lethe_types::SecretVec;

use super::{decode_optional, key_id, parse_format, parse_scheme};
use crate::answer::{Answer, Value};
use crate::error::Refusal;
use crate::handlers::keys::parse_algorithm;
use crate::state::State;
use crate::{body, wire};

pub(super) fn sign(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::Sign<'_> = body::parse_bytes(body)?;
    let scheme = parse_scheme(wanted.scheme.as_deref())?;
    let input = Input::decode(wanted.message.as_ref(), wanted.digest.as_ref())?;
    let context = decode_optional(wanted.context.as_ref(), "context")?;
    let aux_random = decode_optional(wanted.aux_random.as_ref(), "aux_random")?;
    let aux_random = aux_random.as_ref().map(|bytes| bytes.expose().try_into()).transpose();
    let aux_random =
        aux_random.map_err(|_| Refusal::invalid("aux_random", "must have 32 bytes"))?;
    let how = SignRequest {
        scheme,
        input: input.as_input(),
        context: context.as_ref().map(SecretVec::expose),
        aux_random,
        pss_salt: wanted.salt_bytes.map_or(PssSalt::AsHash, PssSalt::Exactly),
    };
    let (version, made) = state.engine.sign_with(caller, key, wanted.version, &how)?;
    let members = [("signature", Value::Bytes(&made.bytes)), ("version", Value::Number(version))];
    Ok(match made.recovery_id {
        None => Answer::open(&members),
        Some(id) => {
            let [first, second] = members;
            Answer::open(&[first, second, ("recovery_id", Value::Number(u32::from(id)))])
        }
    })
}

pub(super) fn verify(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::Verify<'_> = body::parse_bytes(body)?;
    let scheme = parse_scheme(wanted.scheme.as_deref())?;
    let input = Input::decode(wanted.message.as_ref(), wanted.digest.as_ref())?;
    let signature = wanted.signature.decode("signature")?;
    let context = decode_optional(wanted.context.as_ref(), "context")?;
    let how = SignRequest {
        scheme,
        input: input.as_input(),
        context: context.as_ref().map(SecretVec::expose),
        aux_random: None,
        pss_salt: salt_to_check(wanted.salt_bytes, wanted.any_salt)?,
    };
    let engine = &state.engine;
    let is_valid = engine.verify_with(caller, key, wanted.version, &how, signature.expose())?;
    Ok(Answer::validity(is_valid))
}

pub(super) fn foreign_verify(
    state: &State,
    caller: &Caller,
    _: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let wanted: wire::ForeignVerify<'_> = body::parse_bytes(body)?;
    let algorithm = parse_algorithm(&wanted.algorithm)?;
    let public_key = wanted.public_key.decode("public_key")?;
    let format = parse_format(wanted.format.as_deref())?;
    let scheme = parse_scheme(wanted.scheme.as_deref())?;
    let input = Input::decode(wanted.message.as_ref(), wanted.digest.as_ref())?;
    let signature = wanted.signature.decode("signature")?;
    let context = decode_optional(wanted.context.as_ref(), "context")?;
    let how = SignRequest {
        scheme,
        input: input.as_input(),
        context: context.as_ref().map(SecretVec::expose),
        aux_random: None,
        pss_salt: salt_to_check(wanted.salt_bytes, wanted.any_salt)?,
    };
    let by = PeerKey { format, bytes: public_key.expose() };
    let engine = &state.engine;
    let is_valid = engine.verify_foreign(caller, algorithm, &by, &how, signature.expose())?;
    Ok(Answer::validity(is_valid))
}

pub(super) fn mac(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::Mac<'_> = body::parse_bytes(body)?;
    let message = wanted.message.decode("message")?;
    let wire::Mac { version, bytes, .. } = wanted;
    let (version, code) = state.engine.mac_with(caller, key, version, bytes, message.expose())?;
    Ok(Answer::open(&[("mac", Value::Bytes(&code)), ("version", Value::Number(version))]))
}

pub(super) fn mac_verify(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::MacVerify<'_> = body::parse_bytes(body)?;
    let message = wanted.message.decode("message")?;
    let code = wanted.mac.decode("mac")?;
    let wire::MacVerify { version, bytes, .. } = wanted;
    let (message, code) = (message.expose(), code.expose());
    let is_valid = state.engine.mac_verify_with(caller, key, version, bytes, message, code)?;
    Ok(Answer::validity(is_valid))
}

/// A message or its digest.
enum Input {
    Digest(SecretVec),
    Message(SecretVec),
}

impl Input {
    fn decode(
        message: Option<&wire::Base64Text<'_>>,
        digest: Option<&wire::Base64Text<'_>>,
    ) -> Result<Self, Refusal> {
        match (message, digest) {
            (Some(message), None) => message.decode("message").map(Self::Message),
            (None, Some(digest)) => digest.decode("digest").map(Self::Digest),
            (Some(_), Some(_)) => Err(Refusal::invalid("digest", "cannot stand beside `message`")),
            (None, None) => Err(Refusal::MalformedJson {
                field: Some("message".to_owned()),
                why: "the member `message` is missing, or `digest` in its place".to_owned(),
            }),
        }
    }

    fn as_input(&self) -> SignInput<'_> {
        match self {
            Self::Digest(digest) => SignInput::Digest(digest.expose()),
            Self::Message(message) => SignInput::Message(message.expose()),
        }
    }
}

fn salt_to_check(bytes: Option<u16>, any: Option<bool>) -> Result<PssSalt, Refusal> {
    match (bytes, any == Some(true)) {
        (None, false) => Ok(PssSalt::AsHash),
        (Some(bytes), false) => Ok(PssSalt::Exactly(bytes)),
        (None, true) => Ok(PssSalt::Any),
        (Some(_), true) => Err(Refusal::invalid("salt_bytes", "cannot stand beside `any_salt`")),
    }
}
