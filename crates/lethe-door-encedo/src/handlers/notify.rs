//! What clients and authenticators say to the device's own broker. Served if `local_broker` is set,
//! for this device alone; otherwise nothing is here.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use http::header::HOST;
use lethe_engine::{Collection, DocumentChange, DoorOperation, Expected};
use serde_json::{Value, json};

use crate::b64;
use crate::broker::{Approval, Pairing, Registration, Session, Verdict};
use crate::call::{Answer, Call, Outcome, Work};
use crate::ejwt::Ejwt;
use crate::error::Failure;
use crate::handlers::auth::anonymous;
use crate::kid::Kid;
use crate::state::State;

/// Authenticators that get no questions any more although their key is here, by pairing.
const UNSUBSCRIBED: Collection = Collection::named("unsubscribed");
/// Most pairings that an authenticator asks about at once.
const PIDS_MAX: usize = 64;
/// Bytes of a nonce that a MAC is made over.
const NONCE_BYTES: usize = 32;
/// Characters of a host that a link is made of.
const HOST_CHARACTERS_MAX: usize = 260;

type Handler = fn(&State, &Call) -> Outcome;

/// One answer of the broker, if there is a broker.
fn served(state: &Arc<State>, call: &Arc<Call>, handler: Handler) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::blocking(move || {
        must_serve(&state)?;
        // Who proves nothing to the broker is in the audit trail, as who proves nothing elsewhere.
        handler(&state, &call).map_err(|why| anonymous(&state, &call, why))
    })
}

fn must_serve(state: &State) -> Result<(), Failure> {
    if state.settings.local_broker { Ok(()) } else { Err(Failure::NotHere) }
}

/// The public key of the device.
fn eid(state: &State) -> Result<[u8; 32], Failure> {
    b64::decode_array(&state.device().eid_public).ok_or(Failure::Internal)
}

/// Nothing can be done about it any more.
fn gone(reason: &str) -> Outcome {
    Ok(Answer::json(&json!({ "reason": reason })).with_status(StatusCode::GONE))
}

fn pending() -> Outcome {
    Ok(Answer::empty().with_status(StatusCode::ACCEPTED))
}

/// A key for one exchange; with `eid` or `aid`, for somebody who is known here.
pub(crate) fn session(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        let subscribed = subscribed(state)?;
        let is_known = |name: &str| -> Result<bool, Failure> {
            let key = call.body.x25519(name)?;
            let kid = Kid::of_public_key(&key);
            Ok(eid(state)? == key || state.pairings.lock().contains_key(&kid))
        };
        for name in ["eid", "aid"] {
            if call.body.value(name).is_some() && !is_known(name)? {
                return Err(Failure::NotHere);
            }
        }
        let epk = state.broker.open(&*state.entropy, state.clock.now())?;
        Ok(Answer::json(&json!({ "epk": b64::encode(&epk), "paired": !subscribed.is_empty() })))
    })
}

/// The exchange of the key that a request names; used by this.
fn taken(state: &State, call: &Call) -> Result<Session, Failure> {
    let epk = call.body.x25519("epk")?;
    state.broker.take(&epk, state.clock.now())
}

/// A message of the device under the key of an exchange, not over.
fn of_device<'a>(
    state: &State,
    session: &Session,
    text: &'a str,
) -> Result<(Ejwt<'a>, u64), Failure> {
    let refused = Failure::Unauthorized;
    let message = Ejwt::parse(text).ok_or(refused)?;
    let (eid, epk) = (eid(state)?, session.epk);
    let is_meant = message.public_key("iss") == Some(eid) && message.public_key("aud") == Some(epk);
    let exp = message.number("exp").ok_or(refused)?;
    let is_fresh = exp > state.clock.now().seconds();
    if !is_meant || !is_fresh || !message.is_keyed_by(&session.agree(&eid)?) {
        return Err(refused);
    }
    Ok((message, exp))
}

/// Begins a pairing.
pub(crate) fn register(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        let (request, eid_named) = (call.body.required("request")?, call.body.x25519("eid")?);
        let session = taken(state, call)?;
        if eid_named != eid(state)? {
            return Err(Failure::Unauthorized);
        }
        let (message, _) = of_device(state, &session, request)?;
        let jti = message.text("jti").ok_or(Failure::Unauthorized)?;
        let registration = Registration::new(session, (request, jti));
        let now = state.clock.now();
        let rid = state.broker.register(registration, &*state.entropy, now)?;
        let link = format!("{}/notify/pairing/{rid}", base(state, call)?);
        Ok(Answer::json(&json!({ "rid": rid, "link": link })))
    })
}

/// Where the broker is, as its client sees it.
fn base(state: &State, call: &Call) -> Result<String, Failure> {
    let head = &call.request.head;
    let host = match head.headers.get(HOST) {
        Some(host) => host.to_str().map_err(|_| Failure::BadArgument)?.to_owned(),
        None => state.device().config().map(|config| config.hostname.clone()).unwrap_or_default(),
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    let fits = (1..=HOST_CHARACTERS_MAX).contains(&host.len());
    if !fits || !host.bytes().all(is_host) {
        return Err(Failure::BadArgument);
    }
    let scheme = if head.is_tls { "https" } else { "http" };
    Ok(format!("{scheme}://{host}"))
}

/// Whether an authenticator answered.
pub(crate) fn registered(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        state.broker.registration(call.param("rid"), state.clock.now(), |found| {
            match &found.answer {
                Pairing::Asked => pending(),
                Pairing::Accepted { pid, reply } => {
                    Ok(Answer::json(&json!({ "pid": b64::encode(pid), "reply": reply })))
                }
                Pairing::Refused => gone("refused"),
            }
        })
    })
}

/// Ends a pairing that the device confirms.
pub(crate) fn finalise(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        let kid = call.body.kid("kid")?.ok_or(Failure::BadArgument)?;
        let code = call.body.required_bytes("code", 32)?;
        let (rid, eid) = (call.param("rid"), eid(state)?);
        let pid = state.broker.registration(rid, state.clock.now(), |found| {
            let Pairing::Accepted { pid, reply } = &found.answer else {
                return Err(Failure::NotDone);
            };
            match found.session.is_proven(&eid, reply.as_bytes(), code.expose()) {
                true => Ok(*pid),
                false => Err(Failure::Unauthorized),
            }
        })?;
        if state.pairings.lock().get(&kid) != Some(&pid) {
            return Err(Failure::NotDone);
        }
        state.broker.end_registration(rid);
        Ok(Answer::json(&json!({ "paired": true })))
    })
}

/// What an authenticator is to answer, which has the link.
pub(crate) fn offer(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        state.broker.registration(call.param("rid"), state.clock.now(), |found| {
            match found.answer {
                Pairing::Asked => {
                    let from = nowhere();
                    Ok(Answer::json(&json!({ "request": found.request, "ipinfo_eid": from })))
                }
                Pairing::Accepted { .. } | Pairing::Refused => gone("handled"),
            }
        })
    })
}

/// Where a client is, which this broker does not look up; authenticators expect the words.
fn nowhere() -> Value {
    json!({ "city": "", "country": "", "ip": "" })
}

/// An authenticator's answer to a pairing, which gets its identifier by this.
pub(crate) fn accept(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        let text = call.body.required("reply")?;
        let reply = Ejwt::parse(text).ok_or(Failure::BadArgument)?;
        reply.public_key("iss").ok_or(Failure::BadArgument)?;
        let eid = eid(state)?;
        let mut pid = [0; 32];
        state.entropy.fill(&mut pid).map_err(lethe_engine::EngineError::from)?;
        state.broker.registration(call.param("rid"), state.clock.now(), |found| {
            if !matches!(found.answer, Pairing::Asked) {
                return gone("handled");
            }
            // Whether its key is its own only the device can tell.
            let is_meant = reply.public_key("aud") == Some(eid)
                && reply.public_key("epk") == Some(found.session.epk)
                && reply.text("jti") == Some(found.jti.as_str());
            if !is_meant {
                return Err(Failure::Unauthorized);
            }
            found.answer = Pairing::Accepted { pid, reply: text.to_owned() };
            Ok(Answer::json(&json!({ "pid": b64::encode(&pid) })))
        })
    })
}

/// An authenticator will not be paired.
pub(crate) fn refuse(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        state.broker.registration(call.param("rid"), state.clock.now(), |found| {
            if !matches!(found.answer, Pairing::Asked) {
                return gone("handled");
            }
            found.answer = Pairing::Refused;
            Ok(Answer::json(&json!({})))
        })
    })
}

/// Puts a question of the device to its authenticators.
pub(crate) fn ask(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        let text = call.body.required("authreq")?;
        let session = taken(state, call)?;
        let (message, exp) = of_device(state, &session, text)?;
        let jti = message.text("jti").ok_or(Failure::Unauthorized)?;
        let asked = message.claim("scope").and_then(Value::as_object);
        let asked = asked.ok_or(Failure::Unauthorized)?;
        let mut scopes = BTreeMap::new();
        for (_, pid) in subscribed(state)? {
            let sealed = asked.get(&b64::encode(&pid)).and_then(Value::as_str);
            sealed.map(|sealed| scopes.insert(pid, sealed.to_owned()));
        }
        let count = scopes.len();
        let approval = Approval::new(session, (jti, exp), scopes);
        let id = state.broker.ask(approval, &*state.entropy, state.clock.now())?;
        Ok(Answer::json(&json!({ "eventid": id, "sentcnt": count })))
    })
}

/// Whether an authenticator answered.
pub(crate) fn asked(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        state.broker.approval(call.param("event"), state.clock.now(), |found| match &found.answer {
            Verdict::Asked => pending(),
            Verdict::Approved(reply) => Ok(Answer::json(&json!({ "authreply": reply }))),
            Verdict::Cancelled => gone("cancelled"),
            Verdict::Denied => Ok(Answer::json(&json!({ "deny": true }))),
        })
    })
}

/// Takes a question back, and an answer with it that nobody came for.
pub(crate) fn cancel(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        state.broker.approval(call.param("event"), state.clock.now(), |found| {
            found.answer = Verdict::Cancelled;
            Ok(Answer::json(&json!({ "deleted": true })))
        })
    })
}

/// The questions that wait for some authenticators.
pub(crate) fn waiting(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        let pids = call.body.value("pid").and_then(Value::as_array).ok_or(Failure::BadArgument)?;
        if pids.len() > PIDS_MAX {
            return Err(Failure::BadArgument);
        }
        let decoded = |pid: &Value| pid.as_str().and_then(b64::decode_array::<32>);
        let pids: Option<Vec<_>> = pids.iter().map(decoded).collect();
        let found = state.broker.waiting(&pids.ok_or(Failure::BadArgument)?, state.clock.now());
        // None are an empty list, for authenticators that know nothing else.
        let found = if found.is_empty() { json!([]) } else { json!(found) };
        Ok(Answer::json(&json!({ "eventid": found })))
    })
}

/// Does something with a question as the authenticator that the path names.
fn as_asked(
    state: &State,
    call: &Call,
    see: impl FnOnce(&mut Approval, [u8; 32]) -> Outcome,
) -> Outcome {
    let pid = b64::decode_array(call.param("pid")).ok_or(Failure::BadArgument)?;
    state.broker.approval(call.param("event"), state.clock.now(), |found| {
        if !found.scopes.contains_key(&pid) {
            return Err(Failure::NotHere);
        }
        match found.answer {
            Verdict::Asked => see(found, pid),
            Verdict::Cancelled => gone("cancelled"),
            Verdict::Approved(_) | Verdict::Denied => gone("handled"),
        }
    })
}

/// What an authenticator is asked.
pub(crate) fn question(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        as_asked(state, call, |found, pid| {
            Ok(Answer::json(&json!({
                "jti": found.jti,
                "scope": found.scopes.get(&pid),
                "epk": b64::encode(&found.session.epk),
                "exp": found.exp,
                "ipinfo_eid": nowhere(),
            })))
        })
    })
}

/// An authenticator approves, and proves to the broker that it is the one.
pub(crate) fn approve(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        let text = call.body.required("authreply")?;
        let mac = call.body.required_bytes("mac", 32)?;
        let reply = Ejwt::parse(text).ok_or(Failure::BadArgument)?;
        let aid = reply.public_key("iss").ok_or(Failure::BadArgument)?;
        let paired = state.pairings.lock().get(&Kid::of_public_key(&aid)).copied();
        let eid = eid(state)?;
        as_asked(state, call, |found, pid| {
            let says = |name: &str| reply.text(name).and_then(b64::decode_array::<32>);
            let is_meant = says("aud") == Some(eid)
                && says("pid") == Some(pid)
                && reply.text("jti") == Some(found.jti.as_str());
            let is_proven = found.session.is_proven(&aid, text.as_bytes(), mac.expose());
            if paired != Some(pid) || !is_meant || !is_proven {
                return Err(Failure::Unauthorized);
            }
            found.answer = Verdict::Approved(text.to_owned());
            Ok(Answer::json(&json!({})))
        })
    })
}

/// An authenticator says no.
pub(crate) fn deny(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        as_asked(state, call, |found, _| {
            found.answer = Verdict::Denied;
            Ok(Answer::json(&json!({})))
        })
    })
}

/// The device, or an authenticator with `aid`, proved itself under the key of an exchange.
fn prover(state: &State, call: &Call) -> Result<[u8; 32], Failure> {
    let nonce = call.body.required_bytes("nonce", NONCE_BYTES)?;
    let mac = call.body.required_bytes("mac", 32)?;
    let who = if call.body.value("aid").is_some() { "aid" } else { "eid" };
    let who = call.body.x25519(who)?;
    if nonce.len() != NONCE_BYTES {
        return Err(Failure::BadArgument);
    }
    let session = taken(state, call)?;
    match session.is_proven(&who, nonce.expose(), mac.expose()) {
        true => Ok(who),
        false => Err(Failure::Unauthorized),
    }
}

/// The authenticators that get questions, for the device.
pub(crate) fn subscribers(state: &Arc<State>, call: &Arc<Call>) -> Work {
    served(state, call, |state, call| {
        if prover(state, call)? != eid(state)? {
            return Err(Failure::Unauthorized);
        }
        let shown: Vec<Value> = subscribed(state)?
            .into_iter()
            .map(|(kid, pid)| {
                let label = state.key(kid).map(|key| key.label);
                json!({ "pid": b64::encode(&pid), "kid": kid.to_string(), "label": label })
            })
            .collect();
        Ok(Answer::json(&Value::Array(shown)))
    })
}

/// The pairings whose authenticators get questions. Blocks for reads of the store, one a pairing.
fn subscribed(state: &State) -> Result<Vec<(Kid, [u8; 32])>, Failure> {
    let pairings = state.pairings.lock().clone();
    let mut found = Vec::new();
    for (kid, pid) in pairings {
        let id = b64::encode_url(&pid);
        if state.engine.document(&state.own, UNSUBSCRIBED, &id)?.is_none() {
            found.push((kid, pid));
        }
    }
    Ok(found)
}

/// An authenticator gets no questions any more, as the device or itself wishes. Its key stays: that
/// is deleted as any key.
pub(crate) fn unsubscribe(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        must_serve(&state)?;
        let pid: [u8; 32] =
            b64::decode_array(call.body.required("pid")?).ok_or(Failure::BadArgument)?;
        let who = prover(&state, &call).map_err(|why| anonymous(&state, &call, why))?;
        let paired = state.pairings.lock().get(&Kid::of_public_key(&who)).copied();
        if who != eid(&state)? && paired != Some(pid) {
            return Err(anonymous(&state, &call, Failure::Unauthorized));
        }
        if !subscribed(&state)?.iter().any(|(_, known)| *known == pid) {
            return Err(Failure::NotHere);
        }
        let change = DocumentChange {
            collection: UNSUBSCRIBED,
            id: b64::encode_url(&pid),
            expected: Expected::Anything,
            body: Some(Vec::new()),
        };
        let operation = DoorOperation::named("encedo.broker.unsubscribe");
        state.engine.write_documents(&state.own, operation, vec![change]).await?;
        Ok(Answer::json(&json!({ "deleted": b64::encode(&pid) })))
    })
}
