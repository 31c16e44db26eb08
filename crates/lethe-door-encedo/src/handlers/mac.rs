//! Message authentication codes: by a key of that kind, or by a secret that is agreed on.

use std::sync::Arc;

use lethe_engine::{AgreedForm, EngineError};
use lethe_types::{Permission, SecretVec};
use serde_json::json;

use crate::b64;
use crate::call::{Answer, Call, Work};
use crate::error::Failure;
use crate::handlers::MESSAGE_BYTES_MAX;
use crate::handlers::peer::{self, Named};
use crate::key::{Family, Key, KeyType};
use crate::state::State;

/// Longest code: SHA-512's.
const MAC_BYTES_MAX: usize = 64;

pub(crate) fn hash(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    let work = move || {
        let wanted = Wanted::of(&call)?;
        let key = wanted.key(&state, &call)?;
        let caller = &call.session()?.caller;
        let mac = match &wanted.other {
            None => {
                check_kind(&key)?;
                state.engine.mac(caller, key.entry.record().id, wanted.message.expose())?.1
            }
            Some(other) => {
                let usable = wanted.agreed(&state, &call, &key, other)?;
                usable.mac(wanted.message.expose()).map_err(EngineError::from)?
            }
        };
        Ok(Answer::json(&json!({ "mac": b64::encode(&mac) })))
    };
    Work::Now(work())
}

pub(crate) fn verify(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    let work = move || {
        let wanted = Wanted::of(&call)?;
        let mac = call.body.required_bytes("mac", MAC_BYTES_MAX)?;
        let key = wanted.key(&state, &call)?;
        let caller = &call.session()?.caller;
        let is_right = match &wanted.other {
            None => {
                check_kind(&key)?;
                let (id, message) = (key.entry.record().id, wanted.message.expose());
                state.engine.mac_verify(caller, id, None, message, mac.expose())?
            }
            Some(other) => {
                let usable = wanted.agreed(&state, &call, &key, other)?;
                let checked = usable.mac_verify(wanted.message.expose(), mac.expose());
                checked.map_err(EngineError::from)?
            }
        };
        if is_right { Ok(Answer::empty()) } else { Err(Failure::NotDone) }
    };
    Work::Now(work())
}

struct Wanted {
    message: SecretVec,
    hash: Option<&'static KeyType>,
    other: Option<Named>,
}

impl Wanted {
    fn of(call: &Call) -> Result<Self, Failure> {
        let message = call.body.required_bytes("msg", MESSAGE_BYTES_MAX)?;
        let other = Named::of(call)?;
        // A key of that kind knows its hash, and whatever is named beside it means nothing.
        let hash = match &other {
            None => None,
            Some(_) => call.body.text("alg")?.map(hash_named).transpose()?,
        };
        Ok(Self { message, hash, other })
    }

    fn key(&self, state: &State, call: &Call) -> Result<Key, Failure> {
        let kid = call.about().ok_or(Failure::BadArgument)?;
        state.key(kid).ok_or(Failure::NotDone)
    }

    /// A key of the secret itself: the hash has to be named then.
    fn agreed(
        &self,
        state: &State,
        call: &Call,
        key: &Key,
        other: &Named,
    ) -> Result<lethe_crypto::registry::UsableKey, Failure> {
        let caller = &call.session()?.caller;
        if !caller.may_on(Permission::KeysUseMac, &key.entry) {
            return Err(Failure::Forbidden);
        }
        let hash = self.hash.ok_or(Failure::NotDone)?;
        let secret = peer::agree(state, caller, (key, other), &AgreedForm::Raw)?;
        Ok(hash.algorithm()?.load(&secret).map_err(EngineError::from)?)
    }
}

/// The type of the hash of that name.
pub(crate) fn hash_named(name: &str) -> Result<&'static KeyType, Failure> {
    let found = KeyType::named(name).filter(|found| found.family == Family::Hmac);
    found.ok_or(Failure::BadArgument)
}

fn check_kind(key: &Key) -> Result<(), Failure> {
    if key.key_type.family == Family::Hmac { Ok(()) } else { Err(Failure::NotDone) }
}
