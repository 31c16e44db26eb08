//! A device gets its owner: once, until it is wiped.

use std::sync::Arc;

use lethe_engine::{EngineError, Expected};
use serde_json::{Map, Value, json};

use crate::b64;
use crate::boot::Purpose;
use crate::call::{Answer, Call, Outcome, Work};
use crate::device::{self, Config, Which};
use crate::ejwt::Ejwt;
use crate::error::Failure;
use crate::event::{Actor, Ended, Event, Kind};
use crate::handlers::auth::{anonymous, expiry, issue, proven};
use crate::handlers::config::{flag_of, text_of_bytes};
use crate::scope::Scope;
use crate::state::{Holder, State};

/// How long the first token lives.
const FIRST_TOKEN_SECONDS: u64 = 8 * 3_600;
/// What the first token opens.
const FIRST_SCOPE: &str = "system:config";

/// What an owner answers to.
pub(crate) fn challenge(state: &Arc<State>, _call: &Arc<Call>) -> Work {
    Work::Now(challenge_now(state))
}

fn challenge_now(state: &State) -> Outcome {
    check_fresh(state)?;
    let (boot, now) = (state.boot(), state.clock.now());
    let nonce = boot.nonce(Purpose::Init, &*state.entropy, now)?;
    Ok(Answer::json(&json!({
        "exp": now.saturating_add(state.settings.challenge_ttl).seconds(),
        "spk": boot.spk_public,
        "jti": b64::encode(&nonce),
        "genuine": "",
        "eid": state.device().eid_public,
    })))
}

fn check_fresh(state: &State) -> Result<(), Failure> {
    if state.device().config().is_some() {
        return Err(Failure::NotDone);
    }
    if state.fail_state() != 0 {
        return Err(Failure::WrongState);
    }
    Ok(())
}

/// The owner's keys and first configuration.
pub(crate) fn init(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        check_fresh(&state)?;
        let text = call.body.required("init")?;
        let message = Ejwt::parse(text).ok_or(Failure::Unauthorized);
        let message = message.map_err(|why| anonymous(&state, &call, why))?;
        let cfg = message.claim("cfg").and_then(Value::as_object).ok_or(Failure::BadArgument)?;
        let (config, keys) = configuration(cfg, state.clock.now().seconds())?;
        let now = state.clock.now();
        let proven = proven(&state, &message, Purpose::Init, now);
        let key = proven.map_err(|why| anonymous(&state, &call, why))?;
        expiry(&state, &message, now).map_err(|why| anonymous(&state, &call, why))?;
        if key != keys.master {
            return Err(anonymous(&state, &call, Failure::Unauthorized));
        }
        let instanceid = give(&state, config, keys).await?;
        let scope = Scope::parse(FIRST_SCOPE).ok_or(Failure::Internal)?;
        let exp = now.seconds().saturating_add(FIRST_TOKEN_SECONDS);
        let token = issue(&state, Holder::User, &scope, exp)?;
        state.journal.tell(&Event::new(Kind::DEVICE_INITED, Ended::Ok, Actor::Master));
        Ok(Answer::json(&json!({ "instanceid": instanceid, "token": token, "genuine": "" })))
    })
}

/// The public keys of both roles.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    pub(crate) user: [u8; 32],
    pub(crate) master: [u8; 32],
}

/// The nine members that have to be there, and those of the others that mean something here.
fn configuration(cfg: &Map<String, Value>, now: u64) -> Result<(Config, Keys), Failure> {
    let refused = Failure::BadArgument;
    let text = |name: &str, most: usize| -> Result<String, Failure> {
        let value = cfg.get(name).ok_or(refused)?;
        text_of_bytes(value, most).map(str::to_owned).ok_or(refused)
    };
    let flag = |name: &str| cfg.get(name).and_then(flag_of).ok_or(refused);
    let key = |name: &str| -> Result<[u8; 32], Failure> {
        let text = cfg.get(name).and_then(Value::as_str).ok_or(refused)?;
        b64::decode_array(text).ok_or(refused)
    };
    let keys = Keys { user: key("userkey")?, master: key("masterkey")? };
    let config = Config {
        iat: now,
        uts: now,
        user: text("user", 32)?,
        email: text("email", 128)?,
        hostname: text("hostname", 253)?,
        origin: text("origin", 253)?,
        trusted_ts: flag("trusted_ts")?,
        trusted_backend: flag("trusted_backend")?,
        allow_keysearch: flag("allow_keysearch")?,
        ctx: match cfg.get("ctx") {
            None => 0,
            Some(ctx) => ctx.as_u64().ok_or(refused)?,
        },
        // With or without the length of its prefix: documents and clients differ.
        ip: match cfg.get("ip") {
            None => String::new(),
            Some(ip) => text_of_bytes(ip, 64).ok_or(refused)?.to_owned(),
        },
        dnsd: match cfg.get("dnsd") {
            None => false,
            Some(dnsd) => flag_of(dnsd).ok_or(refused)?,
        },
        http_option_hsts: false,
        http_option_dosprot_mode: 0,
    };
    Ok((config, keys))
}

/// Makes the roles, in the place of those that there are, and keeps the configuration; the
/// identifier of the instance.
pub(crate) async fn give(state: &State, config: Config, keys: Keys) -> Result<String, EngineError> {
    let device = state.device();
    let mut stored = device.stored.clone();
    stored.generation += 1;
    let (engine, own, number) = (&state.engine, &state.own, stored.generation);
    let user = device::make_role(engine, own, Which::User, (number, &keys.user)).await?;
    let master = device::make_role(engine, own, Which::Master, (number, &keys.master)).await?;
    stored.user = Some(user);
    stored.master = Some(master);
    stored.config = Some(config);
    let expected = Expected::Revision(device.revision);
    let written = device::write(engine, own, "encedo.device.initialise", &stored, expected).await;
    // Whoever lost against another owner, or is replaced, must not stay.
    let gone = match &written {
        Ok(()) => [&device.stored.user, &device.stored.master],
        Err(_) => [&stored.user, &stored.master],
    };
    for role in gone.into_iter().flatten() {
        if let Ok(principal) = role.principal.parse() {
            engine.revoke_principal(own, principal).await?;
        }
    }
    written?;
    state.reload()?;
    Ok(stored.instanceid)
}
