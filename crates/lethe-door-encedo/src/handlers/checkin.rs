//! Check-in: on the device a question to the maker's service. Here the device brings a broker
//! along, trusts nobody else, and does nothing that an answer says.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use crate::b64;
use crate::boot::Purpose;
use crate::call::{Answer, Call, Outcome, Work};
use crate::ejwt::{self, Ejwt};
use crate::error::Failure;
use crate::handlers::auth::anonymous;
use crate::state::State;

#[derive(Serialize)]
struct Check<'a> {
    jti: &'a str,
    iss: &'a str,
    aud: &'a str,
    fws: &'a str,
}

#[derive(Serialize)]
struct Checked<'a> {
    jti: &'a str,
    iat: u64,
    iss: &'a str,
    aud: &'a str,
    status: &'a str,
}

pub(crate) fn ask(state: &Arc<State>, _call: &Arc<Call>) -> Work {
    Work::Now(asked(state))
}

fn asked(state: &State) -> Outcome {
    let (boot, now) = (state.boot(), state.clock.now());
    let nonce = boot.nonce(Purpose::CheckIn, &*state.entropy, now)?;
    let shared = boot.agree(&boot.broker_public).map_err(|_| Failure::Internal)?;
    let claims = Check {
        jti: &b64::encode(&nonce),
        iss: &boot.spk_public,
        aud: &b64::encode(&boot.broker_public),
        fws: &state.settings.fws,
    };
    let check = ejwt::write(&claims, &shared).ok_or(Failure::Internal)?;
    Ok(Answer::json(&json!({ "check": check })))
}

pub(crate) fn answer(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let outcome = answered(state, call).map_err(|why| anonymous(state, call, why));
    Work::Now(outcome)
}

fn answered(state: &State, call: &Call) -> Outcome {
    let message = Ejwt::parse(call.body.required("checked")?).ok_or(Failure::Unauthorized)?;
    let boot = state.boot();
    let shared = boot.agree(&boot.broker_public).map_err(|_| Failure::Internal)?;
    let broker = b64::encode(&boot.broker_public);
    let says = |name: &str, wanted: &str| message.text(name) == Some(wanted);
    let is_meant = says("iss", &broker) && says("aud", &boot.spk_public);
    let nonce = message.text("jti").ok_or(Failure::Unauthorized)?;
    let is_right = message.is_keyed_by(&shared) && is_meant;
    if !is_right || !boot.use_nonce(Purpose::CheckIn, nonce, state.clock.now()) {
        return Err(Failure::Unauthorized);
    }
    Ok(Answer::json(&json!({ "status": "OK" })))
}

/// The broker's side.
pub(crate) fn broker(state: &Arc<State>, call: &Arc<Call>) -> Work {
    Work::Now(brokered(state, call))
}

fn brokered(state: &State, call: &Call) -> Outcome {
    if !state.settings.local_broker {
        return Err(Failure::NotHere);
    }
    let message = Ejwt::parse(call.body.required("check")?).ok_or(Failure::BadArgument)?;
    let boot = state.boot();
    let device = message.public_key("iss").ok_or(Failure::BadArgument)?;
    let shared = boot.broker.agree(&device).map_err(|_| Failure::BadArgument)?;
    if !message.is_keyed_by(&shared) {
        return Err(Failure::Unauthorized);
    }
    let claims = Checked {
        jti: message.text("jti").ok_or(Failure::BadArgument)?,
        iat: state.clock.now().seconds(),
        iss: &b64::encode(&boot.broker_public),
        aud: &b64::encode(&device),
        status: "OK",
    };
    let checked = ejwt::write(&claims, &shared).ok_or(Failure::Internal)?;
    Ok(Answer::json(&json!({ "checked": checked })))
}
