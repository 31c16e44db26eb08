//! User actions: announce a request, get its challenge; sign the challenge, get a token for the
//! request.

use std::sync::Arc;

use http::Method;
use lethe_crypto::hash::sha256;
use lethe_engine::record::Credential;
use lethe_engine::{ChallengedRequest, SignedRequest};
use lethe_types::limits::MESSAGE_BYTES_MAX;
use serde_json::{Value, json};

use super::proof::{Claim, prove};
use crate::account::{ENCRYPTED, KeyKind, PEM, cred_id, keys_for, text_of, username};
use crate::actions::{Announced, Bound, Challenge, Purpose, Signed};
use crate::auth::{Identity, refuse};
use crate::body::Members;
use crate::call::{Call, Outcome};
use crate::error::Refusal;
use crate::factors::{Assertion, BASE64URL, NOT_VALID};
use crate::ids::{self, Prefix};
use crate::log::{self, LogEntry};
use crate::state::State;

/// Longest path that can be announced, in bytes.
const PATH_BYTES_MAX: usize = 1_024;

pub(crate) async fn init(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let identity = call.identity()?;
    let mut members = call.members()?;
    let payload = members.needed_text("userActionPayload")?;
    let method = members.needed_text("userActionHttpMethod")?;
    let path = members.needed_text("userActionHttpPath")?;
    if let Some(kind) = members.text("userActionServerKind")?
        && !["Api", "Staff"].contains(&kind.as_str())
    {
        return Err(members.refuse("userActionServerKind", "must be one of Api, Staff"));
    }
    let method = match method.as_str() {
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "DELETE" => Method::DELETE,
        "GET" => Method::GET,
        _ => {
            let why = "must be one of POST, PUT, DELETE, GET";
            return Err(members.refuse("userActionHttpMethod", why));
        }
    };
    if !(1..=PATH_BYTES_MAX).contains(&path.len()) {
        let why = format!("must have 1 to {PATH_BYTES_MAX} bytes");
        return Err(members.refuse("userActionHttpPath", &why));
    }
    members.finish()?;
    let bound = Bound::announced(method, &path, &payload)?;
    let now = state.clock.now();
    let mut nonce = [0; 32];
    state.entropy.fill(&mut nonce)?;
    let request = ChallengedRequest {
        realm: state.realm,
        principal: identity.caller.principal(),
        credential: identity.token,
        method: bound.method().to_string(),
        path: bound.path(),
        body_sha256: sha256(&[bound.payload().as_bytes()]),
        nonce,
        time: now,
    };
    let text = request.challenge();
    let challenge = Challenge {
        token: Some(identity.token),
        text: text.clone(),
        purpose: Purpose::Action(Box::new(Announced { bound, path, request })),
    };
    let identifier = state.actions.challenge(challenge, &*state.entropy, now)?;
    Ok(challenge_of(&state, identity, &text, &identifier)?.into())
}

/// What a client signs, and with which keys it may.
fn challenge_of(
    state: &State,
    identity: &Identity,
    challenge: &str,
    identifier: &str,
) -> Result<Value, Refusal> {
    let token = identity.token_credential()?;
    let record = identity.caller.record();
    let keys = keys_for(record, token, state.clock.now());
    Ok(written(state, keys, challenge, identifier))
}

/// The answer that holds a challenge for any of these keys.
pub(crate) fn written<'a>(
    state: &State,
    keys: impl Iterator<Item = (&'a Credential, KeyKind)>,
    challenge: &str,
    identifier: &str,
) -> Value {
    let (mut passkeys, mut plain, mut protected) = (Vec::new(), Vec::new(), Vec::new());
    for (credential, kind) in keys {
        let id = cred_id(credential).unwrap_or_default();
        match kind {
            KeyKind::Fido2 => passkeys.push(json!({"type": "public-key", "id": id})),
            KeyKind::Key => plain.push(json!({"type": "public-key", "id": id})),
            KeyKind::PasswordProtectedKey => protected.push(json!({
                "type": "public-key",
                "id": id,
                "encryptedPrivateKey": text_of(&credential.attributes, ENCRYPTED),
            })),
            KeyKind::RecoveryKey => {}
        }
    }
    let kinds = [("Fido2", &passkeys), ("Key", &plain), ("PasswordProtectedKey", &protected)];
    let kinds = kinds.into_iter().filter(|(_, keys)| !keys.is_empty());
    let supported: Vec<Value> = kinds
        .map(|(kind, _)| json!({"kind": kind, "factor": "first", "requiresSecondFactor": false}))
        .collect();
    json!({
        "challenge": challenge,
        "challengeIdentifier": identifier,
        "supportedCredentialKinds": supported,
        "userVerification": state.settings.user_verification.as_str(),
        "attestation": "none",
        "allowCredentials": {
            "key": plain,
            "passwordProtectedKey": protected,
            "webauthn": passkeys,
        },
        "externalAuthenticationUrl": "",
        "rp": {"id": state.settings.relying_party, "name": state.settings.issuer},
    })
}

pub(crate) async fn sign(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let identity = call.identity()?;
    let (identifier, assertion) = answer_of(call.members()?)?;
    let now = state.clock.now();
    let is_own = |challenge: &Challenge| {
        let is_action = matches!(challenge.purpose, Purpose::Action(_));
        challenge.token == Some(identity.token) && is_action
    };
    let challenge = state.actions.take_challenge(&identifier, is_own, now);
    let Some(Challenge { text, purpose: Purpose::Action(announced), .. }) = challenge else {
        return refuse(&state, &identity.caller, call.op, Refusal::bad(NOT_VALID));
    };
    let Announced { bound, path, request } = *announced;
    let token = identity.token_credential()?;
    let record = identity.caller.record();
    let keys = keys_for(record, token, now).collect();
    let claim =
        Claim { caller: &identity.caller, op: call.op, assertion: &assertion, challenge: &text };
    let (key, scheme) = prove(&state, &claim, keys).await?;
    let Assertion { kind, client_data, signature, authenticator, .. } = assertion;
    debug_assert!(client_data.len() <= MESSAGE_BYTES_MAX, "client data are bounded");
    let authenticator_data = authenticator.map(|said| said.data);
    let entry = LogEntry {
        id: ids::id(Prefix::Log, &ids::timed(now, &*state.entropy)?),
        performed: now.0,
        user: identity.user_id(),
        username: username(record).to_owned(),
        token: Some(ids::token(identity.token)),
        method: bound.method().to_string(),
        path,
        payload: LogEntry::payload_of(bound.payload()),
        credential: ids::credential(key.id),
        kind: kind.as_str().to_owned(),
        public_key: text_of(&key.attributes, PEM).unwrap_or_default().to_owned(),
        client_data: base64url(client_data.as_bytes()),
        signature: base64url(&signature),
        authenticator_data: authenticator_data.as_deref().map(base64url),
        record: request.to_text(),
        action_token: None,
        outcome: None,
    };
    log::begin(&state, &entry).await?;
    let signed = SignedRequest {
        credential: key.id,
        statement: client_data,
        signature,
        scheme: Some(scheme),
        request: Some(request),
        authenticator_data,
    };
    let signed = Signed::new(identity.token, bound, signed, entry);
    let token = state.actions.sign(signed, &*state.entropy, now)?;
    Ok(json!({"userAction": token}).into())
}

/// A challenge's identifier and the assertion that answers it, of a closed body.
///
/// # Errors
/// 400.
pub(crate) fn answer_of(mut members: Members) -> Result<(String, Assertion), Refusal> {
    let identifier = members.needed_text("challengeIdentifier")?;
    let first = members.needed_object("firstFactor")?;
    if members.has("secondFactor") {
        return Err(members.refuse("secondFactor", "is not asked for at this server"));
    }
    members.finish()?;
    Ok((identifier, Assertion::parse(first)?))
}

fn base64url(bytes: &[u8]) -> String {
    base64::Engine::encode(&BASE64URL, bytes)
}
