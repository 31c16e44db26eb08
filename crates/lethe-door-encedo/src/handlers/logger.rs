//! The device log, as far as clients read it.

use std::sync::Arc;

use lethe_engine::EngineError;
use serde_json::json;

use crate::b64;
use crate::call::{Answer, Call, Outcome, Work};
use crate::device_log;
use crate::error::Failure;
use crate::event::{Ended, Event, Kind};
use crate::journal::LOGS_KEPT;
use crate::state::State;

/// The key under which the keys of logs are signed, with a proof that it is the device's.
pub(crate) fn key(state: &Arc<State>, _call: &Arc<Call>) -> Work {
    let work = || {
        state.check_ready()?;
        let mut nonce = [0; 32];
        state.entropy.fill(&mut nonce).map_err(EngineError::from)?;
        let device = state.device();
        let (_, signature) = state.engine.sign(&state.own, device.eid_sign, None, &nonce)?;
        Ok(Answer::json(&json!({
            "key": device.eid_sign_public,
            "nonce": b64::encode(&nonce),
            "nonce_signed": b64::encode(&signature),
        })))
    };
    Work::Now(work())
}

/// The names of logs: the portable form alone has them.
pub(crate) fn list(state: &Arc<State>, call: &Arc<Call>) -> Work {
    listed(state, call, "0".to_owned())
}

pub(crate) fn list_from(state: &Arc<State>, call: &Arc<Call>) -> Work {
    listed(state, call, call.param("offset").to_owned())
}

fn listed(state: &Arc<State>, call: &Arc<Call>, offset: String) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::blocking(move || {
        check_portable(&state)?;
        state.check_ready()?;
        let is_number = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(Failure::NotDone);
        }
        let offset: usize = offset.parse().unwrap_or(usize::MAX);
        let logs = state.journal.logs()?;
        let some: Vec<&String> = logs.iter().skip(offset).take(LOGS_KEPT).collect();
        tell(&state, &call, Kind::LOGGER_LIST, Ended::Ok, "");
        Ok(Answer::json(&json!({ "total": logs.len(), "id": some })))
    })
}

/// A log of an earlier start.
pub(crate) fn read(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::blocking(move || {
        check_portable(&state)?;
        state.check_ready()?;
        let id = call.param("id").to_owned();
        let outcome = read_now(&state, &id);
        match &outcome {
            Ok(_) => tell(&state, &call, Kind::LOGGER_READ, Ended::Ok, &id),
            Err(Failure::NotHere) => tell(&state, &call, Kind::LOGGER_READ, Ended::Failed, &id),
            Err(
                Failure::BadArgument
                | Failure::Forbidden
                | Failure::Internal
                | Failure::NeedsTls
                | Failure::NotDone
                | Failure::Unauthorized
                | Failure::WrongState,
            ) => {}
        }
        outcome
    })
}

fn read_now(state: &State, id: &str) -> Outcome {
    let is_id = id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = id.to_ascii_lowercase();
    if !is_id {
        return Err(Failure::NotHere);
    }
    if id == state.boot().log_id {
        return Err(Failure::NotDone);
    }
    let boot = state.journal.boot(&id)?.ok_or(Failure::NotHere)?;
    let events = state.journal.events(&id)?;
    let checkpoint = state.engine.log_checkpoint();
    let text = device_log::render(&state.settings.fwv, &boot, &events, &checkpoint);
    Ok(Answer::text(text.ok_or(Failure::Internal)?))
}

fn check_portable(state: &State) -> Result<(), Failure> {
    if state.settings.is_portable() { Ok(()) } else { Err(Failure::NotHere) }
}

fn tell(state: &State, call: &Call, kind: Kind, ended: Ended, id: &str) {
    state.journal.tell(&Event::new(kind, ended, call.actor()).about(id.as_bytes()));
}
