//! ML-KEM and ML-DSA.

use std::sync::Arc;

use lethe_crypto::registry::{CONTEXT_BYTES_MAX, SignRequest};
use lethe_types::SecretVec;
use serde_json::json;

use crate::b64;
use crate::call::{Answer, Call, Work};
use crate::error::Failure;
use crate::handlers::MESSAGE_BYTES_MAX;
use crate::key::{Family, Key};
use crate::state::State;

/// Longest ciphertext: ML-KEM-1024's.
const CIPHERTEXT_BYTES_MAX: usize = 1_568;
/// Longest signature: ML-DSA-87's.
const SIGNATURE_BYTES_MAX: usize = 4_627;

fn key(state: &State, call: &Call, family: Family) -> Result<Key, Failure> {
    let kid = call.about().ok_or(Failure::BadArgument)?;
    let key = state.key(kid).filter(|key| key.key_type.family == family);
    key.ok_or(Failure::NotDone)
}

pub(crate) fn encapsulate(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let work = || {
        let key = key(state, call, Family::MlKem)?;
        let (caller, id) = (&call.session()?.caller, key.entry.record().id);
        let (_, made) = state.engine.encapsulate(caller, id, None)?;
        Ok(Answer::json(&json!({
            "alg": key.key_type.name,
            "ss": b64::encode(made.shared_secret.expose()),
            "ct": b64::encode(&made.ciphertext),
        })))
    };
    Work::Now(work())
}

pub(crate) fn decapsulate(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let work = || {
        let ciphertext = call.body.required("ct")?;
        let ciphertext = b64::decode(ciphertext).ok_or(Failure::BadArgument)?;
        let key = key(state, call, Family::MlKem)?;
        if ciphertext.len() > CIPHERTEXT_BYTES_MAX {
            return Err(Failure::NotDone);
        }
        let (caller, id) = (&call.session()?.caller, key.entry.record().id);
        let (_, secret) = state.engine.decapsulate(caller, id, None, &ciphertext)?;
        let secret = b64::encode(secret.expose());
        Ok(Answer::json(&json!({ "alg": key.key_type.name, "ss": secret })))
    };
    Work::Now(work())
}

struct Wanted {
    message: SecretVec,
    ctx: Option<SecretVec>,
}

impl Wanted {
    fn of(call: &Call) -> Result<Self, Failure> {
        let message = call.body.required_bytes("msg", MESSAGE_BYTES_MAX)?;
        Ok(Self { message, ctx: call.body.bytes("ctx", CONTEXT_BYTES_MAX)? })
    }

    fn request(&self) -> SignRequest<'_> {
        let request = SignRequest::message(self.message.expose());
        match &self.ctx {
            Some(ctx) if !ctx.is_empty() => request.with_context(ctx.expose()),
            Some(_) | None => request,
        }
    }
}

pub(crate) fn sign(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let work = || {
        let wanted = Wanted::of(call)?;
        let key = key(state, call, Family::MlDsa)?;
        let (caller, id) = (&call.session()?.caller, key.entry.record().id);
        let (_, made) = state.engine.sign_with(caller, id, None, &wanted.request())?;
        let signature = b64::encode(&made.bytes);
        Ok(Answer::json(&json!({ "alg": key.key_type.name, "sign": signature })))
    };
    Work::Now(work())
}

pub(crate) fn verify(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let work = || {
        let wanted = Wanted::of(call)?;
        let signature = call.body.required_bytes("sign", SIGNATURE_BYTES_MAX)?;
        let key = key(state, call, Family::MlDsa)?;
        let (caller, id) = (&call.session()?.caller, key.entry.record().id);
        let request = wanted.request();
        let is_right = state.engine.verify_with(caller, id, None, &request, signature.expose())?;
        if is_right { Ok(Answer::empty()) } else { Err(Failure::NotDone) }
    };
    Work::Now(work())
}
