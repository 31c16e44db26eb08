//! How users get their first key: begun by a service account that speaks for them, or with a code
//! that they were given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lethe_engine::record::{PrincipalKind, PrincipalRecord};
use lethe_engine::{EngineError, NewCredential, NewCredentialKind};
use lethe_types::{CredentialId, PrincipalId};
use serde_json::{Value, json};

use super::people::{NAME_CHARACTERS_MAX, new_user};
use super::service_accounts::EXTERNAL_CHARACTERS_MAX;
use super::sessions::{has_key, live_person, token_for};
use crate::account::{
    self, BACKUP_ELIGIBLE, COUNTER, ENCRYPTED, KEY_KIND, KeyKind, ORIGIN, PEM, attribute, cred_id,
    key_kind, text_of, token_kind, username,
};
use crate::body::Members;
use crate::call::{Call, Outcome};
use crate::codes::{self, CodeKind};
use crate::error::Refusal;
use crate::factors::{Attested, BASE64URL, NO_RECOVERY_FACTOR};
use crate::ids::{self, Prefix};
use crate::state::State;
use crate::tokens::TokenKind;
use crate::webauthn::ALGORITHMS;

/// How long a registration or a recovery can be finished.
pub(crate) const REGISTRATION: Duration = Duration::from_secs(3_600);
/// Attribute of a temporary token: what a new key has to sign.
pub(crate) const CHALLENGE: &str = "dfns.challenge";
/// The name of a key that nobody named.
const NAME_DEFAULT: &str = "Default Credential";
const RECOVERY_NAME_DEFAULT: &str = "Recovery Credential";

/// What a new key has to sign: the base64url of an identifier.
pub(crate) fn new_key_challenge(state: &State) -> Result<String, Refusal> {
    let id = ids::id(Prefix::Cluster, &ids::random(&*state.entropy)?).replacen("cl-", "ch-", 1);
    Ok(base64::Engine::encode(&BASE64URL, id))
}

/// What an authenticator is asked for when it makes a key.
pub(crate) fn of_new_passkey(state: &State, record: &PrincipalRecord, value: &mut Value) {
    let keys = record.credentials.iter();
    let own = keys.filter(|one| key_kind(one) == Some(KeyKind::Fido2));
    let known: Vec<Value> = own
        .map(|one| json!({"type": "public-key", "id": cred_id(one).unwrap_or_default()}))
        .collect();
    value["authenticatorSelection"] = json!({
        "residentKey": "required",
        "requireResidentKey": true,
        "userVerification": state.settings.user_verification.as_str(),
    });
    value["excludeCredentials"] = json!(known);
}

/// What every new key of a user is asked for.
pub(crate) fn of_new_key(state: &State, record: &PrincipalRecord, challenge: &str) -> Value {
    let params: Vec<Value> =
        ALGORITHMS.iter().map(|alg| json!({"type": "public-key", "alg": alg})).collect();
    let name = username(record);
    json!({
        "user": {"id": ids::user(record.id), "displayName": name, "name": name},
        "challenge": challenge,
        "rp": {"id": state.settings.relying_party, "name": state.settings.issuer},
        "attestation": "none",
        "pubKeyCredParams": params,
        "otpUrl": "",
    })
}

/// Begins the registration of a user's keys: the challenge, and a token for nothing else.
///
/// # Errors
/// The engine's.
pub(crate) async fn begun(
    state: &State,
    record: &PrincipalRecord,
    kind: TokenKind,
    more: account::Attributes,
) -> Result<Value, Refusal> {
    let challenge = new_key_challenge(state)?;
    let mut attributes = more;
    attributes.insert(CHALLENGE.into(), attribute(&challenge));
    let token = token_for(state, record.id, kind, REGISTRATION, attributes).await?;
    let mut value = of_new_key(state, record, &challenge);
    of_new_passkey(state, record, &mut value);
    let factors = ["Fido2", "Key", "PasswordProtectedKey"];
    value["temporaryAuthenticationToken"] = json!(token);
    value["supportedCredentialKinds"] = json!({"firstFactor": factors, "secondFactor": []});
    Ok(value)
}

pub(crate) async fn delegated(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let email = members.sized_text("email", 1, NAME_CHARACTERS_MAX)?;
    let email = email.ok_or_else(|| members.refuse("email", "is required"))?;
    if members.needed_text("kind")? != "EndUser" {
        return Err(members.refuse("kind", "must be EndUser"));
    }
    let external = members.sized_text("externalId", 1, EXTERNAL_CHARACTERS_MAX)?;
    members.finish()?;
    let kind = PrincipalKind::EndUser;
    // Whoever may do this need not manage anybody else.
    let made = new_user(&state, &state.system()?, kind, &email, external.as_deref()).await?;
    Ok(begun(&state, made.record(), TokenKind::Temporary, BTreeMap::new()).await?.into())
}

/// Begins the registration of somebody who has a code. Whether there is such a user, a wrong code
/// does not tell.
pub(crate) async fn init(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let org = members.needed_text("orgId")?;
    let name = members.needed_text("username")?;
    let code = members.needed_text("registrationCode")?;
    members.finish()?;
    let found = live_person(&state, &org, &name);
    let user = found.as_ref().map(|entry| entry.record().id);
    codes::take(&state, user, CodeKind::Registration, &code).await?;
    let entry = found.ok_or_else(Refusal::not_authorized)?;
    if has_key(entry.record()) {
        return Err(Refusal::unauthorized("User already exists."));
    }
    Ok(begun(&state, entry.record(), TokenKind::Temporary, BTreeMap::new()).await?.into())
}

/// The keys that somebody brings at once: the first of them, by which they come in, and one to
/// recover with, if there is one.
pub(crate) struct NewKeys {
    first: (Attested, String),
    recovery: Option<(Attested, String)>,
}

impl NewKeys {
    /// Those of a registration or a recovery.
    ///
    /// # Errors
    /// 400; 401 for a key that recovers nothing.
    pub(crate) fn parse(
        state: &State,
        mut members: Members,
        challenge: &str,
    ) -> Result<Self, Refusal> {
        let first = members.needed_object("firstFactorCredential")?;
        let recovery = members.object("recoveryCredential")?;
        if members.has("secondFactorCredential") {
            let why = "is not asked for at this server";
            return Err(members.refuse("secondFactorCredential", why));
        }
        members.finish()?;
        let parse = |mut members: Members, name: &str| {
            let key = Attested::parse(&mut members, &state.settings.party(), challenge)?;
            let named = members.sized_text("credentialName", 1, NAME_CHARACTERS_MAX)?;
            members.finish()?;
            Ok::<_, Refusal>((key, named.unwrap_or_else(|| name.to_owned())))
        };
        let first = parse(first, NAME_DEFAULT)?;
        if first.0.kind == KeyKind::RecoveryKey {
            let why = "must not be a recovery key";
            return Err(Refusal::field("firstFactorCredential", why));
        }
        let recovery = recovery.map(|members| parse(members, RECOVERY_NAME_DEFAULT)).transpose()?;
        if recovery.as_ref().is_some_and(|(key, _)| key.kind != KeyKind::RecoveryKey) {
            return Err(Refusal::unauthorized(NO_RECOVERY_FACTOR));
        }
        Ok(Self { first, recovery })
    }

    /// Gives them to the user in the place of what is gone, all at once; the answer.
    ///
    /// # Errors
    /// 409 if some key has the name of one; the engine's.
    pub(crate) async fn give(
        self,
        state: &State,
        record: &PrincipalRecord,
        is_gone: impl Fn(&lethe_engine::record::Credential) -> bool,
    ) -> Outcome {
        let (key, name) = self.first;
        let (kind, id) = (key.kind, key.cred_id.clone());
        let mut new = vec![new_credential(key, &name)];
        new.extend(self.recovery.map(|(key, name)| new_credential(key, &name)));
        let caller = state.system()?;
        let made = state.engine.replace_credentials(&caller, record.id, is_gone, new).await;
        let (_, made) = made.map_err(|error| taken(error, &id))?;
        let first = made.first().copied();
        let first = first.ok_or(EngineError::Internal("a key that was given and is not there"))?;
        Ok(json!({
            "credential": {"uuid": ids::credential(first), "kind": kind.as_str(), "name": name},
            "user": {
                "id": ids::user(record.id),
                "username": username(record),
                "orgId": ids::org(state.realm),
            },
        })
        .into())
    }
}

pub(crate) async fn register(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let identity = call.identity()?;
    let token = identity.token_credential()?;
    let challenge = text_of(&token.attributes, CHALLENGE).ok_or_else(Refusal::not_authorized)?;
    let keys = NewKeys::parse(&state, call.members()?, challenge)?;
    // It is good for one registration, and so are others that were begun.
    let is_gone =
        |one: &lethe_engine::record::Credential| token_kind(one) == Some(TokenKind::Temporary);
    keys.give(&state, identity.caller.record(), is_gone).await
}

/// A key of a user as the engine keeps it.
fn new_credential(key: Attested, name: &str) -> NewCredential {
    let mut attributes = BTreeMap::from([
        (KEY_KIND.into(), attribute(key.kind.as_str())),
        (PEM.into(), attribute(&key.key.pem)),
    ]);
    if let Some(encrypted) = &key.encrypted_private_key {
        attributes.insert(ENCRYPTED.into(), attribute(encrypted));
    }
    if let Some(passkey) = &key.passkey {
        attributes.insert(COUNTER.into(), attribute(&passkey.counter.to_string()));
        attributes.insert(ORIGIN.into(), attribute(&passkey.origin));
        if passkey.is_backup_eligible {
            attributes.insert(BACKUP_ELIGIBLE.into(), attribute("1"));
        }
    }
    NewCredential {
        name: name.into(),
        lifetime: None,
        attributes,
        kind: NewCredentialKind::PublicKey {
            external: account::external(&key.cred_id),
            scheme: key.key.scheme.as_str().into(),
            spki_der: key.key.spki_der.into(),
        },
    }
}

/// Gives a user a key.
///
/// # Errors
/// 409 if some key has its name.
pub(crate) async fn add_key(
    state: &State,
    user: PrincipalId,
    key: Attested,
    name: &str,
) -> Result<CredentialId, Refusal> {
    let id = key.cred_id.clone();
    let new = new_credential(key, name);
    let made = state.engine.add_credential(&state.system()?, user, new).await;
    let (_, made, _) = made.map_err(|error| taken(error, &id))?;
    Ok(made)
}

fn taken(error: EngineError, cred_id: &str) -> Refusal {
    if !matches!(error, EngineError::NameTaken(_)) {
        return error.into();
    }
    Refusal::conflict("a credential has this credId", json!({"credId": cred_id}))
}
