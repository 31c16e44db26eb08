//! Encrypt and decrypt, in Lethe's format and without one; encrypt anew; keys for data.

use lethe_crypto::registry::{BlockPadding, DecryptParams, OaepHash};
use lethe_engine::{
    Binding, BoundContext, Caller, DecryptForm, DecryptRequest, EncryptForm, EncryptRequest,
    RawNonce,
};
use lethe_http::Request;
use lethe_types::SecretVec;

use super::{decode_optional, exposed, key_id, one_of};
use crate::answer::{Answer, Value};
use crate::error::Refusal;
use crate::handlers::parsed;
use crate::state::State;
use crate::{body, wire};

/// Bytes of a data key whose request does not say how many.
const DATA_KEY_BYTES: usize = 32;

/// Format, version, nonce and tag: what a ciphertext has more than its plaintext. Only room that is
/// set aside; with less the buffer would grow.
const CIPHERTEXT_OVERHEAD_BYTES: usize = 33;

pub(super) fn encrypt(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::Encrypt<'_> = body::parse_bytes(body)?;
    let plaintext = wanted.plaintext.decode("plaintext")?;
    let aad = decode_optional(wanted.aad.as_ref(), "aad")?;
    let context = bound_context(wanted.context)?;
    let mut out = Vec::with_capacity(plaintext.len() + CIPHERTEXT_OVERHEAD_BYTES);
    let how = bound_request(wanted.version, exposed(aad.as_ref()), context.as_ref());
    let made = state.engine.encrypt_with(caller, key, &how, plaintext.expose(), &mut out)?;
    Ok(ciphertext(&out, made.version))
}

pub(super) fn decrypt(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::Decrypt<'_> = body::parse_bytes(body)?;
    let ciphertext = wanted.ciphertext.decode("ciphertext")?;
    let aad = decode_optional(wanted.aad.as_ref(), "aad")?;
    let context = bound_context(wanted.context)?;
    let binding = Binding { aad: exposed(aad.as_ref()), context: context.as_ref() };
    let how = DecryptRequest { version: None, form: DecryptForm::Bound(binding) };
    let plaintext = state.engine.decrypt_with(caller, key, &how, ciphertext.expose())?;
    Ok(Answer::secret(&[("plaintext", Value::Bytes(plaintext.expose()))]))
}

pub(super) fn re_encrypt(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::ReEncrypt<'_> = body::parse_bytes(body)?;
    let sealed = wanted.ciphertext.decode("ciphertext")?;
    let old_aad = decode_optional(wanted.aad.as_ref(), "aad")?;
    let old_context = bound_context(wanted.context)?;
    let to = wanted.to.map(|to| to.0).unwrap_or_default();
    let to_key = to.key.as_deref().map(|id| parsed("to.key", id)).transpose()?.unwrap_or(key);
    let new_aad = decode_optional(to.aad.as_ref(), "to.aad")?;
    let new_context = match to.context {
        Some(context) => bound_context(Some(context))?,
        None => old_context.clone(),
    };
    let from = Binding { aad: exposed(old_aad.as_ref()), context: old_context.as_ref() };
    let from = DecryptRequest { version: None, form: DecryptForm::Bound(from) };
    let aad = exposed(new_aad.as_ref().or(old_aad.as_ref()));
    let new = bound_request(to.version, aad, new_context.as_ref());
    let mut out = Vec::with_capacity(sealed.len());
    let sides = ((key, &from), (to_key, &new));
    let made = state.engine.re_encrypt(caller, sides.0, sealed.expose(), sides.1, &mut out)?;
    Ok(ciphertext(&out, made.version))
}

pub(super) fn data_key(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::DataKey<'_> =
        if body.is_empty() { wire::DataKey::default() } else { body::parse_bytes(body)? };
    let bytes = wanted.bytes.unwrap_or(DATA_KEY_BYTES);
    let aad = decode_optional(wanted.aad.as_ref(), "aad")?;
    let context = bound_context(wanted.context)?;
    let how = bound_request(wanted.version, exposed(aad.as_ref()), context.as_ref());
    let mut out = Vec::new();
    let (made, plain) = state.engine.data_key(caller, key, &how, bytes, &mut out)?;
    let sealed = [("ciphertext", Value::Bytes(&out)), ("version", Value::Number(made.version))];
    Ok(if wanted.wrapped_only == Some(true) {
        Answer::open(&sealed)
    } else {
        let [first, second] = sealed;
        Answer::secret(&[first, second, ("plaintext", Value::Bytes(plain.expose()))])
    })
}

pub(super) fn raw_encrypt(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::RawEncrypt<'_> = body::parse_bytes(body)?;
    let plaintext = wanted.plaintext.decode("plaintext")?;
    let aad = decode_optional(wanted.aad.as_ref(), "aad")?;
    let given = decode_optional(wanted.nonce.as_ref(), "nonce")?;
    let context = decode_optional(wanted.nonce_context.as_ref(), "nonce_context")?;
    let nonce = match (&given, wanted.nonce_bytes, &context) {
        (None, None, None) => RawNonce::Random,
        (Some(nonce), None, None) => RawNonce::Explicit(nonce.expose()),
        (None, Some(bytes), None) => RawNonce::RandomOf(bytes),
        (None, None, Some(context)) => RawNonce::Derived { context: context.expose() },
        (Some(_), _, _) | (None, Some(_), Some(_)) => {
            let why = "can be only one of `nonce`, `nonce_bytes` and `nonce_context`";
            return Err(Refusal::invalid("nonce", why));
        }
    };
    let is_plain = matches!(nonce, RawNonce::Random);
    let padding = parse_padding(wanted.padding.as_deref())?;
    let aad = exposed(aad.as_ref());
    let form = match parse_oaep(wanted.oaep_hash.as_deref(), is_plain && padding.is_none())? {
        Some(hash) => EncryptForm::Oaep { hash, label: aad },
        None => EncryptForm::Raw(lethe_engine::RawEncrypt { nonce, aad, padding, mode: None }),
    };
    let how = EncryptRequest { version: wanted.version, form };
    let mut out = Vec::new();
    let made = state.engine.encrypt_with(caller, key, &how, plaintext.expose(), &mut out)?;
    let part = |range: &core::ops::Range<usize>| out.get(range.clone()).unwrap_or_default();
    let mut members = vec![("ciphertext", Value::Bytes(part(&made.parts.ciphertext)))];
    for (name, range) in [("nonce", &made.parts.nonce), ("tag", &made.parts.tag)] {
        if !range.is_empty() {
            members.push((name, Value::Bytes(part(range))));
        }
    }
    members.push(("version", Value::Number(made.version)));
    Ok(Answer::open(&members))
}

pub(super) fn raw_decrypt(
    state: &State,
    caller: &Caller,
    request: &Request,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let key = key_id(request)?;
    let wanted: wire::RawDecrypt<'_> = body::parse_bytes(body)?;
    let ciphertext = wanted.ciphertext.decode("ciphertext")?;
    let aad = decode_optional(wanted.aad.as_ref(), "aad")?;
    let nonce = decode_optional(wanted.nonce.as_ref(), "nonce")?;
    let tag = decode_optional(wanted.tag.as_ref(), "tag")?;
    let padding = parse_padding(wanted.padding.as_deref())?;
    let is_plain = nonce.is_none() && tag.is_none() && padding.is_none();
    let aad = exposed(aad.as_ref());
    let form = match parse_oaep(wanted.oaep_hash.as_deref(), is_plain)? {
        Some(hash) => DecryptForm::Oaep { hash, label: aad },
        None => DecryptForm::Raw(DecryptParams {
            nonce: nonce.as_ref().map(SecretVec::expose),
            tag: tag.as_ref().map(SecretVec::expose),
            aad,
            padding,
            mode: None,
        }),
    };
    let how = DecryptRequest { version: wanted.version, form };
    let plaintext = state.engine.decrypt_with(caller, key, &how, ciphertext.expose())?;
    Ok(Answer::secret(&[("plaintext", Value::Bytes(plaintext.expose()))]))
}

fn ciphertext(bytes: &[u8], version: u32) -> Answer {
    Answer::open(&[("ciphertext", Value::Bytes(bytes)), ("version", Value::Number(version))])
}

fn bound_request<'a>(
    version: Option<u32>,
    aad: &'a [u8],
    context: Option<&'a BoundContext>,
) -> EncryptRequest<'a> {
    EncryptRequest { version, form: EncryptForm::Bound(Binding { aad, context }) }
}

/// `{}` is no context.
fn bound_context(pairs: Option<wire::Map<String>>) -> Result<Option<BoundContext>, Refusal> {
    let pairs = pairs.filter(|pairs| !pairs.0.is_empty());
    Ok(pairs.map(|pairs| BoundContext::new(pairs.0)).transpose()?)
}

fn parse_padding(name: Option<&str>) -> Result<Option<BlockPadding>, Refusal> {
    match name {
        None => Ok(None),
        Some("pkcs7") => Ok(Some(BlockPadding::Pkcs7)),
        Some("none") => Ok(Some(BlockPadding::Unpadded)),
        Some(_) => Err(Refusal::invalid("padding", "must be `pkcs7` or `none`")),
    }
}

/// The hash of OAEP, which goes with nothing of a block or stream cipher.
fn parse_oaep(name: Option<&str>, is_plain: bool) -> Result<Option<OaepHash>, Refusal> {
    const ALL: [(&str, OaepHash); 4] = [
        ("sha1", OaepHash::Sha1),
        ("sha256", OaepHash::Sha256),
        ("sha384", OaepHash::Sha384),
        ("sha512", OaepHash::Sha512),
    ];
    let Some(name) = name else { return Ok(None) };
    let found = ALL.iter().find(|(known, _)| *known == name);
    let (_, hash) = found.ok_or_else(|| one_of("oaep_hash", &ALL, |(name, _)| name))?;
    if is_plain {
        Ok(Some(*hash))
    } else {
        let why = "goes with no nonce, tag or padding";
        Err(Refusal::invalid("oaep_hash", why))
    }
}
