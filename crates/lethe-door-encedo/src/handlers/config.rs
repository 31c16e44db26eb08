//! The configuration: read, changed, and wiped with everything else.

use std::sync::Arc;

use lethe_crypto::hash::hmac_sha256;
use lethe_engine::{Caller, Expected};
use lethe_types::{Permission, SecretVec};
use serde_json::{Value, json};

use crate::b64;
use crate::boot::Purpose;
use crate::call::{Answer, Call, Outcome, Work};
use crate::device::{self, Config, Stored, Which};
use crate::error::Failure;
use crate::event::{Ended, Event, Kind};
use crate::state::{Holder, State};

/// Longest name of the owner.
const USER_CHARACTERS_MAX: usize = 32;
const EMAIL_CHARACTERS_MAX: usize = 128;
const ORIGIN_CHARACTERS_MAX: usize = 253;
/// The strictest of the modes against floods, which mean nothing here.
const DOSPROT_MODE_MAX: u64 = 4;

pub(crate) fn read(state: &Arc<State>, _call: &Arc<Call>) -> Work {
    Work::Now(shown(state))
}

fn shown(state: &State) -> Outcome {
    let device = state.device();
    let config = device.config().ok_or(Failure::WrongState)?;
    let (boot, now) = (state.boot(), state.clock.now());
    let nonce = boot.nonce(Purpose::UserKey, &*state.entropy, now)?;
    let mut shown = json!({
        "iat": config.iat,
        "uts": config.uts,
        "devid": device.stored.devid,
        "instanceid": device.stored.instanceid,
        "eid": device.eid_public,
        "eid_sign": device.eid_sign_public,
        "user": config.user,
        "email": config.email,
        "hostname": config.hostname,
        "dnsd": config.dnsd,
        "trusted_ts": config.trusted_ts,
        "trusted_backend": config.trusted_backend,
        "allow_keysearch": config.allow_keysearch,
        "origin": config.origin,
        "ctx": config.ctx,
        "ip": config.ip,
        "http_option_hsts": config.http_option_hsts,
        "http_option_dosprot_mode": config.http_option_dosprot_mode,
        "spk": boot.spk_public,
        "nonce": b64::encode(&nonce),
    });
    if let (true, Some(members)) = (state.settings.is_portable(), shown.as_object_mut()) {
        for name in ["storage_mode", "storage_disk0size", "storage_capacity"] {
            members.insert(name.to_owned(), json!(0));
        }
    }
    Ok(Answer::json(&shown))
}

/// A text of printable characters, at most so many bytes.
pub(crate) fn text_of_bytes(value: &Value, most: usize) -> Option<&str> {
    let text = value.as_str()?;
    let is_plain = !text.chars().any(char::is_control);
    (text.len() <= most && is_plain).then_some(text)
}

/// A truth value.
pub(crate) fn flag_of(value: &Value) -> Option<bool> {
    value.as_bool()
}

pub(crate) fn change(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let caller = call.maybe_session().map_or(&state.own, |session| &session.caller).clone();
        match call.body.value("wipeout") {
            Some(Value::Bool(true)) => return wipe(&state, &call, &caller).await,
            Some(Value::Bool(false)) | None => {}
            Some(_) => return Ok(not_updated().refused()),
        }
        let device = state.device();
        let mut stored = device.stored.clone();
        let mut config = stored.config.clone().unwrap_or_default();
        let Ok(is_changed) = apply(&call, &mut config) else { return Ok(not_updated().refused()) };
        let new_key = match new_user_key(&state, &call) {
            Ok(new_key) => new_key,
            Err(Failure::BadArgument) => return Ok(not_updated().refused()),
            Err(other) => return Err(other),
        };
        if !is_changed && new_key.is_none() {
            return Ok(not_updated());
        }
        // A device without an owner has nothing to set.
        if device.config().is_none() {
            return Err(Failure::WrongState);
        }
        config.uts = state.clock.now().seconds().max(config.uts.saturating_add(1));
        stored.config = Some(config);
        let expected = Expected::Revision(device.revision);
        match new_key {
            Some(key) => replace_user(&state, &caller, stored, (key, expected)).await?,
            None => {
                let (engine, name) = (&state.engine, "encedo.config.update");
                device::write(engine, &caller, name, &stored, expected).await?;
            }
        }
        state.reload()?;
        state.journal.tell(&Event::new(Kind::CONFIG_UPDATED, Ended::Ok, call.actor()));
        Ok(Answer::json(&json!({ "updated": true })))
    })
}

fn not_updated() -> Answer {
    Answer::json(&json!({ "updated": false }))
}

/// Whether anything is set. Names that mean nothing here are passed over.
fn apply(call: &Call, config: &mut Config) -> Result<bool, Failure> {
    let mut is_changed = false;
    for name in call.body.names() {
        let Some(value) = call.body.value(name) else { continue };
        let text = |most| text_of_bytes(value, most).map(str::to_owned).ok_or(Failure::BadArgument);
        let flag = || flag_of(value).ok_or(Failure::BadArgument);
        let number = || value.as_u64().ok_or(Failure::BadArgument);
        match name {
            "user" => config.user = text(USER_CHARACTERS_MAX)?,
            "email" => config.email = text(EMAIL_CHARACTERS_MAX)?,
            "origin" => config.origin = text(ORIGIN_CHARACTERS_MAX)?,
            "trusted_ts" => config.trusted_ts = flag()?,
            "trusted_backend" => config.trusted_backend = flag()?,
            "allow_keysearch" => config.allow_keysearch = flag()?,
            "ctx" => config.ctx = number()?,
            "http_option_hsts" => config.http_option_hsts = flag()?,
            "http_option_dosprot_mode" => {
                let mode = number()?;
                let mode = u8::try_from(mode).ok().filter(|_| mode <= DOSPROT_MODE_MAX);
                config.http_option_dosprot_mode = mode.ok_or(Failure::BadArgument)?;
            }
            _ => continue,
        }
        is_changed = true;
    }
    Ok(is_changed)
}

/// A new key of the user, proven by who has its private half.
fn new_user_key(state: &State, call: &Call) -> Result<Option<[u8; 32]>, Failure> {
    if call.body.value("userkey").is_none() {
        return Ok(None);
    }
    let key = call.body.x25519("userkey")?;
    let mac = call.body.required_bytes("userkey_hmac", 32)?;
    let nonce = call.body.required("userkey_nonce")?;
    let (boot, refused) = (state.boot(), Failure::BadArgument);
    let shared = boot.agree(&key).map_err(|_| refused)?;
    let bytes = b64::decode(nonce).ok_or(refused)?;
    let expected = SecretVec::copy_from(&hmac_sha256(shared.expose(), &[&bytes]));
    let is_proven = expected.ct_eq(mac.expose());
    let is_fresh = is_proven && boot.use_nonce(Purpose::UserKey, nonce, state.clock.now());
    if is_fresh { Ok(Some(key)) } else { Err(refused) }
}

/// Another user: who was it loses every token and credential.
async fn replace_user(
    state: &State,
    caller: &Caller,
    mut stored: Stored,
    (key, expected): ([u8; 32], Expected),
) -> Result<(), Failure> {
    let (engine, own) = (&state.engine, &state.own);
    let before = state.device().user.as_ref().map(|role| role.principal);
    stored.generation += 1;
    let user = device::make_role(engine, own, Which::User, (stored.generation, &key)).await?;
    let made = user.principal.clone();
    stored.user = Some(user);
    let written = device::write(engine, caller, "encedo.config.user_key", &stored, expected).await;
    if let Err(error) = written {
        // Nobody knows the new role: it must not stay.
        if let Ok(principal) = made.parse() {
            let _left_without_use = engine.revoke_principal(own, principal).await;
        }
        return Err(error.into());
    }
    if let Some(before) = before {
        engine.revoke_principal(own, before).await?;
    }
    state.revoke_holder(Holder::User);
    Ok(())
}

/// Destroys every key and the identity; the device belongs to nobody afterwards.
async fn wipe(state: &State, call: &Call, caller: &Caller) -> Outcome {
    if !caller.permissions_in(state.vault).contains(Permission::KeysDestroy) {
        return Err(Failure::Forbidden);
    }
    state.wipe(caller).await?;
    // In the log of the device that it is from now on.
    state.journal.tell(&Event::new(Kind::CONFIG_UPDATED, Ended::Ok, call.actor()));
    Ok(Answer::empty())
}
