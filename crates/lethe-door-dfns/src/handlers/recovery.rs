//! How users come back who lost their keys: with a recovery key, which signs the new keys. With it
//! everything ends that they had before.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_engine::record::{Credential, PrincipalKind, PrincipalRecord};
use lethe_types::CredentialId;
use serde_json::{Value, json};

use super::proof::unless_proven;
use super::registration::{CHALLENGE, NewKeys, begun};
use super::sessions::{USER_NOT_FOUND, by_name, live_person};
use crate::account::{
    self, ENCRYPTED, KeyKind, attribute, cred_id, is_called, key_kind, text_of, token_kind,
};
use crate::auth::refuse;
use crate::body::{Members, canonical};
use crate::call::{Call, Outcome};
use crate::codes::{self, CodeKind};
use crate::error::Refusal;
use crate::factors::{Assertion, BASE64URL, NO_RECOVERY_FACTOR};
use crate::state::State;
use crate::tokens::TokenKind;
use crate::{grants, ids, passkeys};

/// Attribute of a token: the recovery key that it was begun for.
const RECOVERY_KEY: &str = "dfns.recovery_key";

/// The recovery key of that name, which is good.
///
/// # Errors
/// 401.
fn recovery_key<'a>(
    state: &State,
    record: &'a PrincipalRecord,
    name: &str,
) -> Result<&'a Credential, Refusal> {
    let now = state.clock.now();
    let is_it = |one: &&Credential| {
        is_called(one, name) && key_kind(one) == Some(KeyKind::RecoveryKey) && one.is_live(now)
    };
    let found = record.credentials.iter().find(is_it);
    found.ok_or_else(|| Refusal::unauthorized(NO_RECOVERY_FACTOR))
}

/// Begins a recovery with this key.
async fn begin(state: &State, record: &PrincipalRecord, name: &str) -> Outcome {
    let key = recovery_key(state, record, name)?;
    let id = ids::credential(key.id);
    let more = BTreeMap::from([(RECOVERY_KEY.into(), attribute(&id))]);
    let mut value = begun(state, record, TokenKind::Recovery, more).await?;
    value["allowedRecoveryCredentials"] = json!([{
        "id": cred_id(key).unwrap_or_default(),
        "encryptedRecoveryKey": text_of(&key.attributes, ENCRYPTED).unwrap_or_default(),
    }]);
    Ok(value.into())
}

pub(crate) async fn delegated(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let name = members.needed_text("username")?;
    let key = members.needed_text("credentialId")?;
    members.finish()?;
    let found = by_name(&state, &name).filter(|entry| {
        let record = entry.record();
        record.kind == PrincipalKind::EndUser && record.is_live(state.clock.now())
    });
    let entry = found.ok_or_else(|| Refusal::unauthorized(USER_NOT_FOUND))?;
    begin(&state, entry.record(), &key).await
}

/// Begins the recovery of somebody who has a code. Whether there is such a user, and which keys
/// they have, a wrong code does not tell.
pub(crate) async fn init(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let name = members.needed_text("username")?;
    let code = members.needed_text("verificationCode")?;
    let org = members.needed_text("orgId")?;
    let key = members.needed_text("credentialId")?;
    members.finish()?;
    let found = live_person(&state, &org, &name);
    let user = found.as_ref().map(|entry| entry.record().id);
    codes::take(&state, user, CodeKind::Recovery, &code).await?;
    let entry = found.ok_or_else(Refusal::not_authorized)?;
    begin(&state, entry.record(), &key).await
}

pub(crate) async fn recover(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let identity = call.identity()?;
    let (caller, record) = (&identity.caller, identity.caller.record());
    let token = identity.token_credential()?;
    let kept = |name: &str| text_of(&token.attributes, name).ok_or_else(Refusal::not_authorized);
    let (challenge, begun_for) = (kept(CHALLENGE)?, kept(RECOVERY_KEY)?);
    let mut members = call.members()?;
    let recovery = members.needed_object("recovery")?;
    let new = members.needed_value("newCredentials")?;
    members.finish()?;
    let assertion = Assertion::parse_recovery(recovery)?;
    let Value::Object(map) = new.clone() else {
        return Err(Refusal::field("newCredentials", "must be an object"));
    };
    let keys = NewKeys::parse(&state, Members::of_map("newCredentials", map), challenge)?;
    let refused = || Refusal::unauthorized(NO_RECOVERY_FACTOR);
    let key = recovery_key(&state, record, begun_for)?;
    let scheme = account::public_key(key).and_then(|(own, _)| assertion.scheme(own));
    let Some(scheme) = scheme.filter(|_| is_called(key, &assertion.cred_id)) else {
        return refuse(&state, caller, call.op, refused());
    };
    if !is_about(&assertion, &new) {
        return refuse(&state, caller, call.op, refused());
    }
    let message = assertion.client_data.as_bytes();
    let signature = &assertion.signature;
    let checked =
        state.engine.verify_signature_of(caller, key.id, Some(scheme), message, signature);
    checked.map_err(|error| unless_proven(error, refused()))?;
    // Of what is there now, and of what comes until it is done: nothing outlives a recovery.
    let answer = keys.give(&state, record, |_| true).await?;
    forget(&state, record).await;
    Ok(answer)
}

/// Whether the challenge that the recovery key signed is the base64url of the new keys, whose JSON
/// is compared by value, as payloads are.
fn is_about(assertion: &Assertion, new: &Value) -> bool {
    let challenge = assertion.challenge();
    let signed = challenge.and_then(|text| base64::Engine::decode(&BASE64URL, text).ok());
    let signed = signed.and_then(|text| canonical(&text).ok());
    signed.is_some() && signed == canonical(new.to_string().as_bytes()).ok()
}

/// What speaks of credentials that are gone. If it does not work, nothing is said of anything that
/// is there.
async fn forget(state: &State, before: &PrincipalRecord) {
    let gone: Vec<CredentialId> = before.credentials.iter().map(|one| one.id).collect();
    passkeys::forget(state, &gone).await;
    let tokens = before.credentials.iter();
    for token in tokens.filter(|one| token_kind(one) == Some(TokenKind::Pat)) {
        let id = ids::token(token.id);
        let _grants_nothing = grants::forget_token(state, before.id, &id).await;
    }
}
