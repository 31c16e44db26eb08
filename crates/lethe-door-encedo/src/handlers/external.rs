//! Authenticators elsewhere, such as phones: pairing, and approval of a scope from afar. The device
//! talks to nobody: clients carry the messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_crypto::hash::hmac_sha256;
use lethe_crypto::registry::{Algorithm, DecryptParams, EncryptParams, Nonce};
use lethe_engine::record::{Grant, PrincipalKind, Scope as GrantScope};
use lethe_engine::{
    CreatePrincipalRequest, DestroyRequest, EngineError, NewCredential, NewCredentialKind, Proof,
};
use lethe_types::{Permission, Permissions, SecretVec};
use serde::Serialize;
use serde_json::json;

use crate::boot::Purpose;
use crate::call::{Answer, Call, Outcome, Work};
use crate::device::USER;
use crate::ejwt::{self, Ejwt};
use crate::error::Failure;
use crate::event::{Actor, Kind};
use crate::handlers::auth::{anonymous, expiry, issue, slowed, tell_login};
use crate::handlers::create::{NewKey, import_public};
use crate::key::{Key, KeyType, PAIRING};
use crate::kid::Kid;
use crate::scope::Scope;
use crate::state::{Holder, State, external_of};
use crate::{DOOR, b64};

/// Most authenticators.
const PAIRINGS_MAX: usize = 8;
/// Bounds of what a client asks an authenticator for.
const SCOPE_CHARACTERS_MAX: usize = 1_023;
const CTX_CHARACTERS_MAX: usize = 64;
const NOTE_CHARACTERS_MAX: usize = 128;
/// How long a question stands.
const REQUEST_SECONDS: u64 = 3_600;
/// The same for the use of one key.
const USE_REQUEST_SECONDS: u64 = 900;
/// Bytes of the tag of a sealed scope.
const TAG_BYTES: usize = 32;

#[derive(Serialize)]
struct PairingClaims<'a> {
    jti: &'a str,
    exp: u64,
    aud: &'a str,
    iss: &'a str,
}

/// Begins a pairing.
pub(crate) fn pair(state: &Arc<State>, call: &Arc<Call>) -> Work {
    Work::Now(pair_now(state, call))
}

fn pair_now(state: &State, call: &Call) -> Outcome {
    let epk = call.body.x25519("epk")?;
    let shared = state.agree(&epk).map_err(|_| Failure::BadArgument)?;
    let (device, now) = (state.device(), state.clock.now());
    let nonce = state.boot().nonce(Purpose::Pairing, &*state.entropy, now)?;
    let claims = PairingClaims {
        jti: &b64::encode(&nonce),
        exp: now.saturating_add(Purpose::Pairing.lifetime()).seconds(),
        aud: &b64::encode(&epk),
        iss: &device.eid_public,
    };
    let request = ejwt::write(&claims, &shared).ok_or(Failure::Internal)?;
    Ok(Answer::json(&json!({ "request": request, "eid": device.eid_public })))
}

/// Ends a pairing: the authenticator's answer becomes a key and a principal that is bound to it.
pub(crate) fn validate(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let pid: [u8; 32] =
            b64::decode_array(call.body.required("pid")?).ok_or(Failure::BadArgument)?;
        let text = call.body.required("reply")?;
        let reply = reply_of(&state, text).map_err(|why| anonymous(&state, &call, why))?;
        let code = hmac_sha256(reply.keyed.expose(), &[text.as_bytes()]);
        if state.pairings.lock().len() >= PAIRINGS_MAX {
            return Err(Failure::NotDone);
        }
        let key = paired(&state, &call, &reply, &pid).await?;
        call.is_about(key.kid);
        // Whoever had the same key before, and lost it by another door, has nothing of it.
        state.revoke_holder(Holder::External(key.kid));
        state.pairings.lock().insert(key.kid, pid);
        let kid = key.kid.to_string();
        Ok(Answer::json(&json!({ "kid": kid, "code": b64::encode(&code) })))
    })
}

struct Reply {
    aid: [u8; 32],
    label: String,
    /// What the device and the broker's key for the answer agree on.
    keyed: SecretVec,
}

fn reply_of(state: &State, text: &str) -> Result<Reply, Failure> {
    let refused = Failure::Unauthorized;
    let reply = Ejwt::parse(text).ok_or(refused)?;
    let aid = reply.public_key("iss").ok_or(refused)?;
    let shared = state.agree(&aid).map_err(|_| refused)?;
    let is_meant = reply.text("aud") == Some(state.device().eid_public.as_str());
    if !reply.is_keyed_by(&shared) || !is_meant {
        return Err(refused);
    }
    let epk = reply.public_key("epk").ok_or(Failure::BadArgument)?;
    let label = reply.text("label").ok_or(Failure::BadArgument)?.to_owned();
    let keyed = state.agree(&epk).map_err(|_| Failure::BadArgument)?;
    let nonce = reply.text("jti").ok_or(refused)?;
    if !state.boot().use_nonce(Purpose::Pairing, nonce, state.clock.now()) {
        return Err(refused);
    }
    Ok(Reply { aid, label, keyed })
}

async fn paired(state: &State, call: &Call, reply: &Reply, pid: &[u8; 32]) -> Result<Key, Failure> {
    let session = call.session()?;
    let key_type = KeyType::named("CURVE25519").ok_or(Failure::Internal)?;
    let descr = [PAIRING.as_slice(), pid].concat();
    let new = NewKey::new(key_type, None, &reply.label, Some(descr))?;
    let key = import_public(state, &session.caller, new, &reply.aid).await?;
    let id = key.entry.record().id;
    let withheld: Permissions =
        [Permission::PrincipalsManage, Permission::RealmAdmin].into_iter().collect();
    let permissions: Permissions = USER.iter().copied().collect();
    let grants =
        vec![Grant { permissions: permissions.without(withheld), scope: GrantScope::Realm }];
    let credential = NewCredential {
        name: "".into(),
        lifetime: None,
        attributes: BTreeMap::new(),
        kind: NewCredentialKind::SharedSecret {
            external: external_of(key.kid).into(),
            secret: SecretVec::copy_from(&reply.aid),
        },
    };
    let request = CreatePrincipalRequest {
        name: "authenticator".parse().map_err(|_| Failure::Internal)?,
        kind: PrincipalKind::DeviceRole,
        login: None,
        grants,
        bound_to: Some(id),
        attributes: BTreeMap::new(),
        credentials: vec![credential],
    };
    match state.engine.create_principal(&session.unbounded, request).await {
        Ok(_) => Ok(key),
        Err(error) => {
            // A key that nobody can sign in with is no pairing.
            let undone = state.engine.destroy_key(&session.unbounded, DestroyRequest::new(id));
            let _left_as_a_key = undone.await;
            Err(error.into())
        }
    }
}

/// Proves the device's identity to a broker.
pub(crate) fn prove(state: &Arc<State>, call: &Arc<Call>) -> Work {
    Work::Now(prove_now(state, call))
}

fn prove_now(state: &State, call: &Call) -> Outcome {
    let epk = call.body.x25519("epk")?;
    let shared = state.agree(&epk).map_err(|_| Failure::BadArgument)?;
    let mut nonce = [0; 32];
    state.entropy.fill(&mut nonce).map_err(EngineError::from)?;
    Ok(Answer::json(&json!({
        "nonce": b64::encode(&nonce),
        "mac": b64::encode(&hmac_sha256(shared.expose(), &[&nonce])),
        "eid": state.device().eid_public,
    })))
}

#[derive(Serialize)]
struct RequestClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    scope: BTreeMap<String, String>,
}

/// What every authenticator is asked, each under its own key.
pub(crate) fn request(state: &Arc<State>, call: &Arc<Call>) -> Work {
    Work::Now(request_now(state, call))
}

fn request_now(state: &State, call: &Call) -> Outcome {
    state.check_ready()?;
    let epk = call.body.x25519("epk")?;
    let scope = Scope::bounded(call.body.required("scope")?, SCOPE_CHARACTERS_MAX);
    let scope = scope.ok_or(Failure::BadArgument)?;
    let bounded = |name: &str, most: usize| match call.body.text(name)? {
        Some(text) if text.len() > most => Err(Failure::BadArgument),
        other => Ok(other),
    };
    let (ctx, note) = (bounded("ctx", CTX_CHARACTERS_MAX)?, bounded("note", NOTE_CHARACTERS_MAX)?);
    let shared = state.agree(&epk).map_err(|_| Failure::BadArgument)?;
    let (device, now) = (state.device(), state.clock.now());
    let nonce = state.boot().nonce(Purpose::Remote, &*state.entropy, now)?;
    let (text, seconds) = asked(state, &scope);
    let mut scopes = BTreeMap::new();
    let pairings = state.pairings.lock().clone();
    for (kid, pid) in pairings {
        if let Some(aid) = authenticator_key(state, kid) {
            scopes.insert(b64::encode(&pid), seal(state, &aid, &nonce, &text)?);
        }
    }
    let (aud, jti) = (b64::encode(&epk), b64::encode(&nonce));
    let claims = RequestClaims {
        iss: &device.eid_public,
        aud: &aud,
        iat: now.seconds(),
        exp: now.seconds().saturating_add(seconds),
        jti: &jti,
        ctx,
        note,
        scope: scopes,
    };
    let authreq = ejwt::write(&claims, &shared).ok_or(Failure::Internal)?;
    Ok(Answer::json(&json!({ "authreq": authreq, "epk": aud })))
}

/// The scope as people see it, and how long the question stands.
fn asked(state: &State, scope: &Scope) -> (String, u64) {
    let kid = scope.used_key().filter(|kid| kid.len() == 32).and_then(Kid::parse);
    let Some(kid) = kid else { return (scope.as_str().to_owned(), REQUEST_SECONDS) };
    let about = state.key(kid).map_or_else(
        || json!({}),
        |key| {
            let number = key.key_type.number();
            let bits = number.map(|number| type_bits(&key) | number);
            json!({ "t": format!("{:x}", bits.unwrap_or(0)), "l": key.label })
        },
    );
    let about = b64::encode(about.to_string().as_bytes());
    (format!("{}#{about}", scope.as_str()), USE_REQUEST_SECONDS)
}

fn type_bits(key: &Key) -> u16 {
    let flags = [("ATT", 14), ("PKEY", 13), ("ECDH", 11), ("ExDSA", 10), ("CERT", 9)];
    let mut bits = 0;
    for (flag, bit) in flags {
        if key.has_flag(flag) {
            bits |= 1 << bit;
        }
    }
    // Pairs have a public half, and are marked as such.
    if key.key_type.is_pair() { bits | 1 << 15 | 1 << 12 } else { bits }
}

/// The public key of an authenticator; `None` once its key is deleted.
fn authenticator_key(state: &State, kid: Kid) -> Option<[u8; 32]> {
    let key = state.key(kid)?;
    let (_, public) = state.engine.public_key(&state.own, key.entry.record().id, None).ok()?;
    public.raw().try_into().ok()
}

/// Scheme "A": encrypted and tagged under keys that the authenticator's key and the nonce give.
pub(crate) fn seal(
    state: &State,
    aid: &[u8; 32],
    nonce: &[u8],
    scope: &str,
) -> Result<String, Failure> {
    let keys = SealKeys::new(&state.agree(aid)?, nonce);
    let mut sealed = Vec::new();
    let params = EncryptParams { nonce: Nonce::Explicit(&keys.iv), ..EncryptParams::default() };
    let parts = keys
        .cipher()?
        .encrypt_with(&*state.entropy, &params, scope.as_bytes(), &mut sealed)
        .map_err(EngineError::from)?;
    let mut out = sealed.get(parts.ciphertext).unwrap_or_default().to_vec();
    out.extend_from_slice(&hmac_sha256(keys.all.expose(), &[scope.as_bytes()]));
    Ok(format!("A{}", b64::encode(&out)))
}

/// What [`seal`] made; `None` for everything else.
pub(crate) fn open(shared: &SecretVec, nonce: &[u8], sealed: &str) -> Option<String> {
    let keys = SealKeys::new(shared, nonce);
    let bytes = b64::decode(sealed.strip_prefix('A')?)?;
    let (ciphertext, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
    let params = DecryptParams { nonce: Some(&keys.iv), ..DecryptParams::default() };
    let scope = keys.cipher().ok()?.decrypt_with(&params, ciphertext).ok()?;
    let expected = SecretVec::copy_from(&hmac_sha256(keys.all.expose(), &[scope.expose()]));
    let scope = expected.ct_eq(tag).then_some(scope)?;
    core::str::from_utf8(scope.expose()).ok().map(str::to_owned)
}

struct SealKeys {
    all: SecretVec,
    key: SecretVec,
    iv: [u8; 16],
}

impl SealKeys {
    fn new(shared: &SecretVec, nonce: &[u8]) -> Self {
        let all = hmac_sha256(shared.expose(), &[nonce]);
        let (key, rest) = all.split_at(16);
        let mut iv = [0; 16];
        iv.copy_from_slice(rest);
        Self { key: SecretVec::copy_from(key), iv, all: SecretVec::copy_from(&all) }
    }

    fn cipher(&self) -> Result<lethe_crypto::registry::UsableKey, Failure> {
        let algorithm = Algorithm::from_name("aes128-cbc").map_err(|_| Failure::Internal)?;
        Ok(algorithm.load(&self.key).map_err(EngineError::from)?)
    }
}

/// A token for what an authenticator approved.
pub(crate) fn token(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let wait = state.throttle.wait(&*state.clock);
        let outcome = approved(&state, &call);
        slowed(&state, wait, outcome).await
    })
}

fn approved(state: &State, call: &Call) -> Outcome {
    state.check_ready()?;
    let reply = Ejwt::parse(call.body.required("authreply")?).ok_or(Failure::BadArgument)?;
    let now = state.clock.now();
    let refused = |why| anonymous(state, call, why);
    let text = |name: &str| reply.text(name).ok_or(Failure::BadArgument);
    let (jti, pid, sealed) = (text("jti")?, text("pid")?, text("scope")?);
    let nonce = b64::decode(jti).ok_or(Failure::BadArgument)?;
    let aid = reply.public_key("iss").ok_or(Failure::BadArgument)?;
    let shared = state.agree(&aid).map_err(|_| refused(Failure::Unauthorized))?;
    let is_meant = reply.text("aud") == Some(state.device().eid_public.as_str());
    if !reply.is_keyed_by(&shared) || !is_meant {
        return Err(refused(Failure::Unauthorized));
    }
    let exp = expiry(state, &reply, now).map_err(refused)?;
    if !state.boot().use_nonce(Purpose::Remote, jti, now) {
        return Err(refused(Failure::Unauthorized));
    }
    let pid: [u8; 32] = b64::decode_array(pid).ok_or(Failure::BadArgument)?;
    let pairings = state.pairings.lock().clone();
    let known = pairings.into_iter().find(|(_, known)| *known == pid).map(|(kid, _)| kid);
    // The device says 406 of these, but they are proofs that failed.
    let unproven = || {
        let why = anonymous(state, call, Failure::Unauthorized);
        if why == Failure::Unauthorized { Failure::NotDone } else { why }
    };
    let kid = known.ok_or_else(unproven)?;
    check_authenticator(state, call, kid, &aid)?;
    let scope = open(&shared, &nonce, sealed).ok_or_else(unproven)?;
    let scope = Scope::bounded(&scope, SCOPE_CHARACTERS_MAX + NOTE_CHARACTERS_MAX);
    let scope = scope.and_then(|scope| scope.without_display()).ok_or(Failure::NotDone)?;
    let holder = Holder::External(kid);
    let token = issue(state, holder, &scope, exp)?;
    tell_login(state, Kind::AUTH_EXTERNAL, Actor::External(kid), &scope);
    Ok(Answer::json(&json!({ "token": token })))
}

fn check_authenticator(
    state: &State,
    call: &Call,
    kid: Kid,
    aid: &[u8; 32],
) -> Result<(), Failure> {
    let check = |proof: &Proof<'_>| match proof {
        Proof::SharedSecret(known) => known.ct_eq(aid),
        Proof::PublicKey { .. } => false,
    };
    let request = call.request.head.request_id.to_bytes();
    let (engine, realm) = (&state.engine, state.realm);
    let proven = engine.authenticate_external(DOOR, request, realm, &external_of(kid), check);
    match proven {
        Ok(_) => Ok(()),
        // Whose pairing it says it is, it is not.
        Err(EngineError::AuthenticationNotSuccessful) => Err(Failure::NotDone),
        Err(error) => Err(error.into()),
    }
}
