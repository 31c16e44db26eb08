//! Signatures on elliptic curves.

use std::sync::Arc;

use lethe_crypto::registry::{CONTEXT_BYTES_MAX, SignRequest, SignatureScheme};
use lethe_types::SecretVec;
use serde_json::json;

use crate::b64;
use crate::call::{Answer, Call, Work};
use crate::error::Failure;
use crate::handlers::MESSAGE_BYTES_MAX;
use crate::key::Key;
use crate::state::State;

/// Longest signature: ECDSA's on P-521, in DER.
const SIGNATURE_BYTES_MAX: usize = 144;

pub(crate) fn sign(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let work = || {
        let wanted = Wanted::of(call)?;
        let key = wanted.key(state, call)?;
        let (caller, id) = (&call.session()?.caller, key.entry.record().id);
        let (_, signature) = state.engine.sign_with(caller, id, None, &wanted.request())?;
        Ok(Answer::json(&json!({ "sign": b64::encode(&signature.bytes) })))
    };
    Work::Now(work())
}

pub(crate) fn verify(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let work = || {
        let wanted = Wanted::of(call)?;
        let signature = call.body.required_bytes("sign", SIGNATURE_BYTES_MAX)?;
        let key = wanted.key(state, call)?;
        let (caller, id) = (&call.session()?.caller, key.entry.record().id);
        let request = wanted.request();
        let is_right = state.engine.verify_with(caller, id, None, &request, signature.expose())?;
        if is_right { Ok(Answer::empty()) } else { Err(Failure::NotDone) }
    };
    Work::Now(work())
}

struct Wanted {
    message: SecretVec,
    scheme: SignatureScheme,
    ctx: Option<SecretVec>,
}

/// The names of schemes.
const SCHEMES: [(&str, SignatureScheme); 8] = [
    ("SHA256WithECDSA", SignatureScheme::EcdsaSha256),
    ("SHA384WithECDSA", SignatureScheme::EcdsaSha384),
    ("SHA512WithECDSA", SignatureScheme::EcdsaSha512),
    ("Ed25519", SignatureScheme::Ed25519),
    ("Ed25519ph", SignatureScheme::Ed25519ph),
    ("Ed25519ctx", SignatureScheme::Ed25519ctx),
    ("Ed448", SignatureScheme::Ed448),
    ("Ed448ph", SignatureScheme::Ed448ph),
];

impl Wanted {
    fn of(call: &Call) -> Result<Self, Failure> {
        let message = call.body.required_bytes("msg", MESSAGE_BYTES_MAX)?;
        let name = call.body.required("alg")?;
        let scheme = SCHEMES.iter().find(|(known, _)| *known == name);
        let (_, scheme) = *scheme.ok_or(Failure::BadArgument)?;
        let ctx = call.body.bytes("ctx", CONTEXT_BYTES_MAX)?;
        Ok(Self { message, scheme, ctx })
    }

    fn request(&self) -> SignRequest<'_> {
        let request = SignRequest::message(self.message.expose()).by(self.scheme);
        match &self.ctx {
            // Without one and with an empty one is the same where there is a choice.
            Some(ctx) if !ctx.is_empty() => request.with_context(ctx.expose()),
            Some(_) | None => request,
        }
    }

    fn key(&self, state: &State, call: &Call) -> Result<Key, Failure> {
        let kid = call.about().ok_or(Failure::BadArgument)?;
        let key = state.key(kid).ok_or(Failure::NotDone)?;
        if key.has_flag("ExDSA") { Ok(key) } else { Err(Failure::NotDone) }
    }
}
