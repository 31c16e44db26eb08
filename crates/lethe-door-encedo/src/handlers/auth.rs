//! Logins by passphrase: a challenge, and a message that proves a private key.

use core::time::Duration;
use std::sync::Arc;

use lethe_engine::Proof;
use lethe_types::UnixMillis;
use serde_json::json;

use crate::boot::Purpose;
use crate::call::{Answer, Call, Outcome, Work};
use crate::device::Role;
use crate::ejwt::Ejwt;
use crate::error::Failure;
use crate::event::{Actor, Ended, Event, Kind};
use crate::kid::Kid;
use crate::scope::Scope;
use crate::state::{Holder, State};
use crate::{DOOR, b64};

/// Bytes of an opaque context must be fewer.
const CTX_CHARACTERS_END: usize = 64;

/// What a login answers to.
pub(crate) fn challenge(state: &Arc<State>, _call: &Arc<Call>) -> Work {
    Work::Now(challenge_now(state))
}

fn challenge_now(state: &State) -> Outcome {
    let device = state.device();
    let config = device.config().ok_or(Failure::WrongState)?;
    let (boot, now) = (state.boot(), state.clock.now());
    let nonce = boot.nonce(Purpose::Login, &*state.entropy, now)?;
    let exp = now.saturating_add(state.settings.challenge_ttl).seconds();
    Ok(Answer::json(&json!({
        "exp": exp,
        "spk": boot.spk_public,
        "jti": b64::encode(&nonce),
        "lbl": config.user,
        "eid": device.eid_public,
    })))
}

/// A login. Its answer takes a while, whatever it is.
pub(crate) fn login(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let wait = state.throttle.wait(&*state.clock);
        let outcome = log_in(&state, &call);
        slowed(&state, wait, outcome).await
    })
}

/// `outcome`, not before `wait` is over; failures are remembered.
pub(crate) async fn slowed(state: &State, wait: Duration, outcome: Outcome) -> Outcome {
    match outcome {
        Ok(_) => state.throttle.ended(&*state.clock, true),
        Err(Failure::Unauthorized | Failure::NotDone) => {
            state.throttle.ended(&*state.clock, false);
        }
        Err(
            Failure::BadArgument
            | Failure::Forbidden
            | Failure::Internal
            | Failure::NeedsTls
            | Failure::NotHere
            | Failure::WrongState,
        ) => {}
    }
    #[cfg(not(test))]
    tokio::time::sleep(wait).await;
    #[cfg(test)]
    state.slept.lock().push(wait);
    outcome
}

fn log_in(state: &State, call: &Call) -> Outcome {
    let device = state.device();
    if device.config().is_none() {
        return Err(Failure::WrongState);
    }
    let text = call.body.required("auth")?;
    let message = Ejwt::parse(text);
    if let Some(message) = &message {
        check_lengths(message)?;
    }
    let message =
        message.ok_or(Failure::Unauthorized).map_err(|why| anonymous(state, call, why))?;
    let now = state.clock.now();
    let proven = proven(state, &message, Purpose::Login, now);
    let key = proven.map_err(|why| anonymous(state, call, why))?;
    let exp = expiry(state, &message, now).map_err(|why| anonymous(state, call, why))?;
    let scope = message.text("scope").and_then(Scope::parse).ok_or(Failure::BadArgument)?;
    let holder = role_of(state, call, &key)?;
    let token = issue(state, holder, &scope, exp)?;
    tell_login(state, Kind::AUTH_INTERNAL, holder.actor(), &scope);
    Ok(Answer::json(&json!({ "token": token })))
}

fn check_lengths(message: &Ejwt<'_>) -> Result<(), Failure> {
    let scope = message.text("scope").and_then(Scope::parse);
    scope.ok_or(Failure::BadArgument)?;
    match message.claim("ctx") {
        None => Ok(()),
        Some(_) => {
            let ctx = message.text("ctx").filter(|ctx| ctx.len() < CTX_CHARACTERS_END);
            ctx.map(|_| ()).ok_or(Failure::BadArgument)
        }
    }
}

/// The public key whose holder wrote a message that answers a challenge of this start.
pub(crate) fn proven(
    state: &State,
    message: &Ejwt<'_>,
    purpose: Purpose,
    now: UnixMillis,
) -> Result<[u8; 32], Failure> {
    let boot = state.boot();
    let key = message.public_key("iss").ok_or(Failure::Unauthorized)?;
    // A key of low order agrees on nothing.
    let shared = boot.agree(&key).map_err(|_| Failure::Unauthorized)?;
    let is_meant = message.text("aud") == Some(boot.spk_public.as_str());
    if !message.is_keyed_by(&shared) || !is_meant {
        return Err(Failure::Unauthorized);
    }
    let nonce = message.text("jti").ok_or(Failure::Unauthorized)?;
    let is_fresh = boot.use_nonce(purpose, nonce, now);
    if is_fresh { Ok(key) } else { Err(Failure::Unauthorized) }
}

/// When a token ends: when the message says, but not too late.
pub(crate) fn expiry(state: &State, message: &Ejwt<'_>, now: UnixMillis) -> Result<u64, Failure> {
    let exp = message.number("exp").ok_or(Failure::Unauthorized)?;
    if exp <= now.seconds() {
        return Err(Failure::Unauthorized);
    }
    Ok(exp.min(now.saturating_add(state.settings.max_token_lifetime).seconds()))
}

/// Which role's key it is. Both are compared, whichever it is.
fn role_of(state: &State, call: &Call, key: &[u8; 32]) -> Result<Holder, Failure> {
    let device = state.device();
    let is = |role: &Option<Role>| role.as_ref().is_some_and(|role| role.public_key.ct_eq(key));
    let (is_user, is_master) = (is(&device.user), is(&device.master));
    let (holder, role) = match (is_user, is_master) {
        (false, true) => (Holder::Master, &device.master),
        (true | false, true | false) => (Holder::User, &device.user),
    };
    let role = role.as_ref().ok_or(Failure::WrongState)?;
    let check = |proof: &Proof<'_>| match proof {
        Proof::SharedSecret(known) => known.ct_eq(key),
        Proof::PublicKey { .. } => false,
    };
    let request = call.request.head.request_id.to_bytes();
    let (engine, realm) = (&state.engine, state.realm);
    let proven = engine.authenticate_external(DOOR, request, realm, &role.external, check);
    Ok(proven.map(|_| holder)?)
}

/// A token of the holder.
pub(crate) fn issue(
    state: &State,
    holder: Holder,
    scope: &Scope,
    exp: u64,
) -> Result<String, Failure> {
    let times = (state.clock.now(), exp);
    let (boot, entropy) = (state.boot(), &*state.entropy);
    Ok(boot.token(&holder.sub(), scope.as_str(), times, entropy)?)
}

/// A login, and the use of a key that it was for.
pub(crate) fn tell_login(state: &State, kind: Kind, actor: Actor, scope: &Scope) {
    let event = Event::new(kind, Ended::Ok, actor);
    state.journal.tell(&event.about(scope.as_str().as_bytes()));
    if let Some(kid) = scope.used_key().and_then(Kid::parse) {
        state.journal.tell(&Event::new(Kind::KEY_USAGE, Ended::Ok, actor).about(&kid.0));
    }
}

/// `why`, after the audit trail knows that somebody proved nothing.
pub(crate) fn anonymous(state: &State, call: &Call, why: Failure) -> Failure {
    if why != Failure::Unauthorized {
        return why;
    }
    let request = call.request.head.request_id.to_bytes();
    match state.engine.refuse_anonymous(DOOR, request) {
        Ok(_) => why,
        Err(error) => error.into(),
    }
}
