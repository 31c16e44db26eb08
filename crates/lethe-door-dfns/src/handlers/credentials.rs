//! The keys of a user who is logged in: list them, add one, refuse one for the time being.

use std::sync::Arc;

use lethe_engine::record::Credential;
use lethe_types::CredentialId;
use serde_json::{Value, json};

use super::people::NAME_CHARACTERS_MAX;
use super::registration::{add_key, new_key_challenge, of_new_key, of_new_passkey};
use crate::account::{self, KeyKind, OF_TOKEN, ORIGIN, PEM, key_kind, text_of};
use crate::actions::{Challenge, Purpose};
use crate::call::{Call, Outcome};
use crate::error::Refusal;
use crate::factors::{Attested, NOT_VALID};
use crate::ids;
use crate::state::State;

/// A key as it is told.
fn told(state: &State, one: &Credential, kind: KeyKind) -> Value {
    json!({
        "kind": kind.as_str(),
        "credentialId": account::cred_id(one),
        "credentialUuid": ids::credential(one.id),
        "dateCreated": one.created.to_string(),
        "isActive": one.is_live(state.clock.now()),
        "name": one.name,
        "publicKey": text_of(&one.attributes, PEM),
        "relyingPartyId": state.settings.relying_party,
        "origin": text_of(&one.attributes, ORIGIN).unwrap_or_default(),
    })
}

/// The keys of the caller.
pub(crate) async fn list(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let record = call.caller()?.record();
    let keys = record.credentials.iter().filter_map(|one| Some((one, key_kind(one)?)));
    let own = keys.filter(|(one, _)| one.attributes.get(OF_TOKEN).is_none());
    let items: Vec<Value> = own.map(|(one, kind)| told(&state, one, kind)).collect();
    Ok(json!({"items": items}).into())
}

pub(crate) async fn init(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let kind = members.needed_text("kind")?;
    let kind = KeyKind::named(&kind).ok_or_else(|| {
        let why = "must be Fido2, Key, PasswordProtectedKey or RecoveryKey at this server";
        members.refuse("kind", why)
    })?;
    members.finish()?;
    let identity = call.identity()?;
    let text = new_key_challenge(&state)?;
    let challenge =
        Challenge { token: Some(identity.token), text: text.clone(), purpose: Purpose::NewKey };
    let identifier = state.actions.challenge(challenge, &*state.entropy, state.clock.now())?;
    let record = identity.caller.record();
    let mut value = of_new_key(&state, record, &text);
    if kind == KeyKind::Fido2 {
        of_new_passkey(&state, record, &mut value);
    }
    value["kind"] = json!(kind.as_str());
    value["challengeIdentifier"] = json!(identifier);
    value["temporaryAuthenticationToken"] = json!("");
    Ok(value.into())
}

pub(crate) async fn create(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let identity = call.identity()?;
    let mut members = call.members()?;
    let name = members.sized_text("credentialName", 1, NAME_CHARACTERS_MAX)?;
    let name = name.ok_or_else(|| members.refuse("credentialName", "is required"))?;
    let identifier = members.needed_text("challengeIdentifier")?;
    let is_own = |challenge: &Challenge| {
        challenge.token == Some(identity.token) && matches!(challenge.purpose, Purpose::NewKey)
    };
    let challenge = state.actions.take_challenge(&identifier, is_own, state.clock.now());
    let challenge = challenge.ok_or_else(|| Refusal::bad(NOT_VALID))?;
    let key = Attested::parse(&mut members, &state.settings.party(), &challenge.text)?;
    members.finish()?;
    let (kind, user) = (key.kind, identity.caller.principal());
    let made: CredentialId = add_key(&state, user, key, &name).await?;
    let entry = state.engine.read_principal(&state.system()?, user)?;
    let made = account::find(entry.record(), made);
    let details = || json!({"credentialName": name});
    let made = made.ok_or_else(|| Refusal::not_found("credential not found", details()))?;
    Ok(told(&state, made, kind).into())
}

async fn suspended(state: &State, call: &Call, suspended: bool) -> Outcome {
    let mut members = call.members()?;
    let uuid = members.needed_text("credentialUuid")?;
    members.finish()?;
    let record = call.caller()?.record();
    let found = ids::parse_credential(&uuid).and_then(|id| account::find(record, id));
    let found =
        found.filter(|one| key_kind(one).is_some() && one.attributes.get(OF_TOKEN).is_none());
    let details = json!({"credentialUuid": uuid});
    let found = found.ok_or_else(|| Refusal::not_found("credential not found", details))?;
    let caller = state.system()?;
    state.engine.suspend_credential(&caller, record.id, found.id, suspended).await?;
    Ok(json!({"message": "success"}).into())
}

pub(crate) async fn activate(state: Arc<State>, call: Arc<Call>) -> Outcome {
    suspended(&state, &call, false).await
}

pub(crate) async fn deactivate(state: Arc<State>, call: Arc<Call>) -> Outcome {
    suspended(&state, &call, true).await
}
