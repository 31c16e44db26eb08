//! The device as a whole: what it is, how it is, and starting it anew.

use std::sync::Arc;

use jiff::Timestamp;
use lethe_crypto::hash::{hmac_sha256, sha256};
use serde_json::{Map, Value, json};

use crate::boot::x25519;
use crate::call::{Answer, Call, Outcome, Work};
use crate::error::Failure;
use crate::event::{Ended, Event, Kind};
use crate::kid::Kid;
use crate::state::State;

/// Bit of the fail state: a known answer did not come out.
const FAULT_KNOWN_ANSWER: u32 = 0x01;

pub(crate) fn status(state: &Arc<State>, call: &Arc<Call>) -> Work {
    Work::Now(Ok(status_now(state, call)))
}

fn status_now(state: &State, call: &Call) -> Answer {
    let (device, head) = (state.device(), &call.request.head);
    let now = state.clock.now().seconds();
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
    let uptime = state.clock.monotonic().saturating_sub(state.boot().started).as_secs();
    put("ctx", json!(device.config().map_or(0, |config| config.ctx)));
    put("uptime", json!(uptime));
    put("temp", json!(0));
    put("fls_state", json!(state.fail_state()));
    put("time", json!(now));
    let seconds = i64::try_from(now).unwrap_or(i64::MAX);
    if let Ok(time) = Timestamp::from_second(seconds) {
        put("ts", json!(time.to_string()));
    }
    if !head.is_tls {
        put("https", json!(true));
    }
    match device.config() {
        // There or not there is what clients look for.
        None => put("inited", json!(false)),
        Some(config) => {
            let host = head.host().map(without_port).unwrap_or_default();
            if !host.eq_ignore_ascii_case(&config.hostname) {
                put("hostname", json!(config.hostname));
            }
            if !config.trusted_ts {
                put("tts", json!(false));
            }
        }
    }
    Answer::json(&Value::Object(shown))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

pub(crate) fn version(state: &Arc<State>, _call: &Arc<Call>) -> Work {
    let settings = &state.settings;
    Work::Now(Ok(Answer::json(&json!({
        "hwv": settings.hwv,
        "fwv": settings.fwv,
        "fwk": settings.fwk,
        "fws": settings.fws,
        "blv": settings.blv,
    }))))
}

/// Tries known answers and looks whether store and trail are well.
pub(crate) fn selftest(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::blocking(move || {
        let known = if known_answers(&state) { 0 } else { FAULT_KNOWN_ANSWER };
        let (now, faults) = (state.clock.now().seconds(), state.fail_state() | known);
        let last = state.last_selftest.lock().replace((now, faults));
        if faults == 0 {
            state.journal.tell(&Event::new(Kind::SELFTEST_PASSED, Ended::Ok, call.actor()));
        }
        let total = state.key_count();
        let mut shown = json!({
            "fls_state": faults,
            "selftest_ts": now,
            "repo_stats": {
                "total": total,
                "deleted": state.engine.key_counts().1,
                "invalid": 0,
                "fragmented": 0,
                "freeslots": state.settings.keys_max.saturating_sub(total),
            },
            "kat_busy": false,
        });
        if let (Some((at, faults)), Some(members)) = (last, shown.as_object_mut()) {
            members.insert("last_selftest_ts".to_owned(), json!(at));
            members.insert("last_fls_state".to_owned(), json!(faults));
        }
        Ok(Answer::json(&shown))
    })
}

/// FIPS 180-4 (SHA-256 of "abc"), RFC 4231 test case 2, the protocol's own vector of an
/// identity, SHA-1 of nothing, and a signature of the device's own.
fn known_answers(state: &State) -> bool {
    const ABC: [u8; 4] = [0xba, 0x78, 0x16, 0xbf];
    const JEFE: [u8; 4] = [0x5b, 0xdc, 0xc1, 0x46];
    const PRIVATE: [u8; 32] = [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
        25, 26, 27, 28, 29, 30, 31,
    ];
    const PUBLIC: [u8; 4] = [0x8f, 0x40, 0xc5, 0xad];
    let hash = sha256(&[b"abc"]).starts_with(&ABC);
    let mac = hmac_sha256(b"Jefe", &[b"what do ya want for nothing?"]).starts_with(&JEFE);
    let curve = x25519(&*state.entropy, Some(&PRIVATE));
    let curve = curve.is_ok_and(|(_, public)| public.starts_with(&PUBLIC));
    let kid = Kid::of_public_key(&[]).to_string() == "da39a3ee5e6b4b0d3255bfef95601890";
    let (engine, own, key) = (&state.engine, &state.own, state.device().eid_sign);
    let signed = engine.sign(own, key, None, b"selftest").is_ok_and(|(_, signature)| {
        engine.verify(own, key, None, None, b"selftest", &signature).unwrap_or(false)
    });
    hash && mac && curve && kid && signed
}

/// Starts the device anew: every token so far is worth nothing.
pub(crate) fn reboot(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        state.journal.tell(&Event::new(Kind::REBOOT, Ended::Ok, call.actor()));
        state.journal.flush();
        state.restart().await?;
        Ok(Answer::empty())
    })
}

/// Takes no more requests that need the device, until it is started anew.
pub(crate) fn shutdown(state: &Arc<State>, call: &Arc<Call>) -> Work {
    Work::Now(shut_down(state, call))
}

fn shut_down(state: &State, call: &Call) -> Outcome {
    if !state.settings.allow_shutdown {
        return Err(Failure::Forbidden);
    }
    state.journal.tell(&Event::new(Kind::SHUTDOWN, Ended::Ok, call.actor()));
    state.shut_down();
    Ok(Answer::empty())
}

/// Proofs that the maker gives a device. This one has none, and the portable form says so.
pub(crate) fn attestation(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let is_owned = state.device().config().is_some();
    Work::Now(if !state.settings.is_portable() {
        Err(Failure::NotHere)
    } else if is_owned && call.maybe_session().is_none() {
        Err(Failure::Unauthorized)
    } else {
        Ok(Answer::json(&json!({ "genuine": "", "crt": "" })))
    })
}

/// What only the portable form has, and only before it has an owner.
pub(crate) fn provisioning(state: &Arc<State>, _call: &Arc<Call>) -> Work {
    let is_owned = state.device().config().is_some();
    Work::Now(Err(match state.settings.is_portable() {
        true if is_owned => Failure::Forbidden,
        true => Failure::NotDone,
        false => Failure::NotHere,
    }))
}
