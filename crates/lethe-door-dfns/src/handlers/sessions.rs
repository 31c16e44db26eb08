//! How users come in: registered and logged in by a service account that speaks for them, or by
//! their own key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lethe_engine::record::{PrincipalKind, PrincipalRecord};
use lethe_engine::{EngineError, NewCredential, NewCredentialKind, PrincipalEntry};
use lethe_types::PrincipalId;
use serde_json::{Value, json};

use super::actions::{answer_of, unless_proven, written};
use super::people::{NAME_CHARACTERS_MAX, new_user};
use super::service_accounts::EXTERNAL_CHARACTERS_MAX;
use crate::account::{
    self, ENCRYPTED, KEY_KIND, KeyKind, OF_TOKEN, PEM, TOKEN_KIND, attribute, is_ours, key_kind,
    text_of, token_kind, username,
};
use crate::actions::{Challenge, Purpose, random_text};
use crate::auth::Identity;
use crate::call::{Call, Outcome};
use crate::error::Refusal;
use crate::factors::{Attested, BASE64URL};
use crate::ids::{self, Prefix};
use crate::state::State;
use crate::tokens::{Named, TokenKind};
use crate::{DOOR, account as accounts};

/// How long a registration can be finished.
const REGISTRATION: Duration = Duration::from_secs(3_600);
/// Most logins of one user at a time; over it the oldest ends.
const LOGINS_MAX: usize = 16;
/// Attribute of a temporary token: what a new key has to sign.
const CHALLENGE: &str = "dfns.challenge";
const NOT_FOUND: &str = "User not found";
const NO_CREDENTIAL: &str = "User does not have a credential that can be used for the application.";

/// Only programs speak for others.
pub(crate) fn service_accounts_only(identity: &Identity) -> Result<(), Refusal> {
    match identity.token_kind {
        TokenKind::ServiceAccount => Ok(()),
        TokenKind::Login | TokenKind::Pat | TokenKind::Temporary => {
            Err(Refusal::forbidden("only a service account may do this"))
        }
    }
}

/// Only people have credentials to manage.
pub(crate) fn people_only(identity: &Identity) -> Result<(), Refusal> {
    match identity.token_kind {
        TokenKind::Login => Ok(()),
        TokenKind::Pat | TokenKind::ServiceAccount | TokenKind::Temporary => {
            Err(Refusal::forbidden("only a user who is logged in may do this"))
        }
    }
}

/// What a new key has to sign: the base64url of an identifier.
pub(crate) fn new_key_challenge(state: &State) -> Result<String, Refusal> {
    let id = ids::id(Prefix::Cluster, &ids::random(&*state.entropy)?).replacen("cl-", "ch-", 1);
    Ok(base64::Engine::encode(&BASE64URL, id))
}

/// Makes a token of a user, and ends the oldest of their logins if there are too many.
async fn token_for(
    state: &State,
    user: PrincipalId,
    kind: TokenKind,
    lifetime: Duration,
    more: BTreeMap<Box<str>, Box<[u8]>>,
) -> Result<String, Refusal> {
    let caller = state.system()?;
    let now = state.clock.now();
    let entry = state.engine.read_principal(&caller, user)?;
    let same = entry.record().credentials.iter().filter(|one| token_kind(one) == Some(kind));
    let mut same: Vec<_> = same.collect();
    same.sort_by_key(|one| (one.is_live(now), one.created));
    let ended = same.len().saturating_sub(LOGINS_MAX - 1);
    for old in same.iter().take(ended) {
        state.engine.remove_credential(&caller, user, old.id).await?;
    }
    let mut attributes = more;
    attributes.insert(TOKEN_KIND.into(), attribute(kind.as_str()));
    let new = NewCredential {
        name: kind.as_str().into(),
        lifetime: Some(lifetime),
        attributes,
        kind: NewCredentialKind::Bearer,
    };
    let (_, token, _) = state.engine.add_credential(&caller, user, new).await?;
    let end = now.saturating_add(lifetime);
    Ok(state.issuer.mint(Named { user, token }, kind, now, end)?)
}

fn by_name(state: &State, name: &str) -> Option<Arc<PrincipalEntry>> {
    let is_it = |record: &PrincipalRecord| is_ours(record) && username(record) == name;
    state.engine.find_principals(state.realm, is_it).into_iter().next()
}

pub(crate) async fn register_delegated(state: Arc<State>, call: Arc<Call>) -> Outcome {
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
    let user = made.record().id;
    let challenge = new_key_challenge(&state)?;
    let more = BTreeMap::from([(CHALLENGE.into(), attribute(&challenge))]);
    let token = token_for(&state, user, TokenKind::Temporary, REGISTRATION, more).await?;
    let factors = json!(["Key", "PasswordProtectedKey"]);
    Ok(json!({
        "user": {"id": ids::user(user), "displayName": email, "name": email},
        "temporaryAuthenticationToken": token,
        "challenge": challenge,
        "rp": {"id": state.settings.relying_party, "name": state.settings.issuer},
        "supportedCredentialKinds": {"firstFactor": factors, "secondFactor": []},
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": true,
            "userVerification": "required",
        },
        "attestation": "none",
        "pubKeyCredParams": [
            {"type": "public-key", "alg": -7},
            {"type": "public-key", "alg": -257},
        ],
        "excludeCredentials": [],
        "otpUrl": "",
    })
    .into())
}

pub(crate) async fn register(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let identity = call.identity()?;
    let mut members = call.members()?;
    let mut first = members.needed_object("firstFactorCredential")?;
    let recovery = members.object("recoveryCredential")?;
    if members.has("secondFactorCredential") {
        return Err(members.refuse("secondFactorCredential", "is not asked for at this server"));
    }
    members.finish()?;
    let token = identity.token_credential()?;
    let challenge = text_of(&token.attributes, CHALLENGE).ok_or_else(Refusal::not_authorized)?;
    let key = Attested::parse(&mut first, challenge)?;
    first.finish()?;
    if key.kind == KeyKind::RecoveryKey {
        return Err(Refusal::field("firstFactorCredential", "must not be a recovery key"));
    }
    let recovery = recovery
        .map(|mut members| {
            let key = Attested::parse(&mut members, challenge)?;
            members.finish()?;
            match key.kind {
                KeyKind::RecoveryKey => Ok(key),
                KeyKind::Key | KeyKind::PasswordProtectedKey => {
                    Err(Refusal::unauthorized("Credential cannot be used as a recovery factor."))
                }
            }
        })
        .transpose()?;
    let user = identity.caller.principal();
    let kind = key.kind;
    let made = add_key(&state, user, key, "Default Credential").await?;
    if let Some(recovery) = recovery {
        add_key(&state, user, recovery, "Recovery Credential").await?;
    }
    // It is good for one registration.
    state.engine.remove_credential(&state.system()?, user, identity.token).await?;
    let uuid = ids::credential(made);
    let record = identity.caller.record();
    Ok(json!({
        "credential": {"uuid": uuid, "kind": kind.as_str(), "name": "Default Credential"},
        "user": {
            "id": ids::user(user),
            "username": username(record),
            "orgId": ids::org(state.realm),
        },
    })
    .into())
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
) -> Result<lethe_types::CredentialId, Refusal> {
    let mut attributes = BTreeMap::from([
        (KEY_KIND.into(), attribute(key.kind.as_str())),
        (PEM.into(), attribute(&key.key.pem)),
    ]);
    if let Some(encrypted) = &key.encrypted_private_key {
        attributes.insert(ENCRYPTED.into(), attribute(encrypted));
    }
    let new = NewCredential {
        name: name.into(),
        lifetime: None,
        attributes,
        kind: NewCredentialKind::PublicKey {
            external: account::external(&key.cred_id),
            scheme: key.key.scheme.as_str().into(),
            spki_der: key.key.spki_der.into(),
        },
    };
    let made = state.engine.add_credential(&state.system()?, user, new).await;
    let (_, id, _) = made.map_err(|error| {
        if !matches!(error, EngineError::NameTaken(_)) {
            return error.into();
        }
        Refusal::conflict("a credential has this credId", json!({"credId": key.cred_id}))
    })?;
    Ok(id)
}

pub(crate) async fn log_in_delegated(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let name = members.needed_text("username")?;
    members.finish()?;
    let found = by_name(&state, &name).filter(|entry| {
        let record = entry.record();
        record.kind == PrincipalKind::EndUser && record.is_live(state.clock.now())
    });
    let user = found.ok_or_else(|| Refusal::unauthorized(NOT_FOUND))?.record().id;
    Ok(json!({"token": login(&state, user).await?}).into())
}

async fn login(state: &State, user: PrincipalId) -> Result<String, Refusal> {
    let lifetime = Duration::from_secs(state.settings.login_lifetime_seconds);
    token_for(state, user, TokenKind::Login, lifetime, BTreeMap::new()).await
}

/// The keys that a user logs in with.
fn keys_of(
    record: &PrincipalRecord,
    now: lethe_types::UnixMillis,
) -> impl Iterator<Item = (&lethe_engine::record::Credential, KeyKind)> {
    record.credentials.iter().filter_map(move |credential| {
        let kind = key_kind(credential).filter(|_| credential.is_live(now))?;
        let is_free = credential.attributes.get(OF_TOKEN).is_none();
        // What its owner encrypted is shown to nobody who has proven nothing.
        (is_free && kind == KeyKind::Key).then_some((credential, kind))
    })
}

pub(crate) async fn log_in_init(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let org = members.needed_text("orgId")?;
    let name = members.needed_text("username")?;
    if members.has("loginCode") {
        return Err(members.refuse("loginCode", "is not supported by this server"));
    }
    members.finish()?;
    let now = state.clock.now();
    let found = by_name(&state, &name).filter(|entry| {
        let is_person = entry.record().kind != PrincipalKind::ServiceAccount;
        org == ids::org(state.realm) && is_person && entry.record().is_live(now)
    });
    let entry = found.ok_or_else(|| Refusal::unauthorized(NOT_FOUND))?;
    let text = base64::Engine::encode(&BASE64URL, random_text(&*state.entropy)?);
    let challenge = Challenge {
        user: entry.record().id,
        token: None,
        text: text.clone(),
        purpose: Purpose::Login,
    };
    let identifier = state.actions.login(challenge, &*state.entropy, now)?;
    Ok(written(&state, keys_of(entry.record(), now), &text, &identifier).into())
}

pub(crate) async fn log_in(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let (identifier, assertion) = answer_of(call.members()?)?;
    let now = state.clock.now();
    let challenge = state.actions.take_login(&identifier, now);
    let challenge = challenge.ok_or_else(|| Refusal::bad("Challenge token is not valid."))?;
    let request = call.request.head.request_id.to_bytes();
    let caller = state.engine.caller_of(state.realm, challenge.user, None, DOOR, request)?;
    let refused = || Refusal::unauthorized(NO_CREDENTIAL);
    let key = keys_of(caller.record(), now)
        .find(|(key, kind)| account::is_called(key, &assertion.cred_id) && *kind == assertion.kind);
    let (key, _) = key.filter(|_| assertion.answers(&challenge.text)).ok_or_else(refused)?;
    let scheme = accounts::public_key(key).and_then(|(own, _)| assertion.scheme(own));
    let message = assertion.client_data.as_bytes();
    let scheme = Some(scheme.ok_or_else(refused)?);
    let checked =
        state.engine.verify_signature_of(&caller, key.id, scheme, message, &assertion.signature);
    checked.map_err(|error| unless_proven(error, refused()))?;
    Ok(json!({"token": login(&state, challenge.user).await?}).into())
}

pub(crate) async fn log_out(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let identity = call.identity()?;
    let mut members = call.members()?;
    let all = members.boolean("allSessions")?.unwrap_or(false);
    members.finish()?;
    people_only(identity)?;
    let (caller, user) = (state.system()?, identity.caller.principal());
    let record = identity.caller.record();
    let logins = record.credentials.iter().filter(|one| token_kind(one) == Some(TokenKind::Login));
    for one in logins.filter(|one| all || one.id == identity.token) {
        state.engine.remove_credential(&caller, user, one.id).await?;
    }
    Ok(json!({"message": "success"}).into())
}

/// The keys of the caller.
pub(crate) async fn credentials(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let record = call.caller()?.record();
    let keys = record.credentials.iter().filter_map(|one| Some((one, key_kind(one)?)));
    let own = keys.filter(|(one, _)| one.attributes.get(OF_TOKEN).is_none());
    let now = state.clock.now();
    let items: Vec<Value> = own
        .map(|(one, kind)| {
            json!({
                "kind": kind.as_str(),
                "credentialId": account::cred_id(one),
                "credentialUuid": ids::credential(one.id),
                "dateCreated": one.created.to_string(),
                "isActive": one.is_live(now),
                "name": one.name,
                "publicKey": text_of(&one.attributes, PEM),
                "relyingPartyId": state.settings.relying_party,
                "origin": "",
            })
        })
        .collect();
    Ok(json!({"items": items}).into())
}

pub(crate) async fn new_credential_init(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let kind = members.needed_text("kind")?;
    let kind = KeyKind::named(&kind).ok_or_else(|| {
        members.refuse("kind", "must be Key, PasswordProtectedKey or RecoveryKey at this server")
    })?;
    members.finish()?;
    let identity = call.identity()?;
    let now = state.clock.now();
    let text = new_key_challenge(&state)?;
    let challenge = Challenge {
        user: identity.caller.principal(),
        token: Some(identity.token),
        text: text.clone(),
        purpose: Purpose::NewKey,
    };
    let identifier = state.actions.challenge(challenge, &*state.entropy, now)?;
    let name = username(identity.caller.record());
    Ok(json!({
        "kind": kind.as_str(),
        "challenge": text,
        "challengeIdentifier": identifier,
        "user": {"id": identity.user_id(), "displayName": name, "name": name},
        "rp": {"id": state.settings.relying_party, "name": state.settings.issuer},
        "attestation": "none",
        "otpUrl": "",
        "temporaryAuthenticationToken": "",
    })
    .into())
}

pub(crate) async fn new_credential(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let identity = call.identity()?;
    let mut members = call.members()?;
    let name = members.sized_text("credentialName", 1, NAME_CHARACTERS_MAX)?;
    let name = name.ok_or_else(|| members.refuse("credentialName", "is required"))?;
    let identifier = members.needed_text("challengeIdentifier")?;
    let is_own = |challenge: &Challenge| {
        challenge.token == Some(identity.token) && matches!(challenge.purpose, Purpose::NewKey)
    };
    let challenge = state.actions.take_challenge(&identifier, is_own, state.clock.now());
    let challenge = challenge.ok_or_else(|| Refusal::bad("Challenge token is not valid."))?;
    let key = Attested::parse(&mut members, &challenge.text)?;
    members.finish()?;
    let kind = key.kind;
    let cred_id = key.cred_id.clone();
    let made = add_key(&state, identity.caller.principal(), key, &name).await?;
    Ok(json!({
        "kind": kind.as_str(),
        "credentialId": cred_id,
        "credentialUuid": ids::credential(made),
        "dateCreated": state.clock.now().to_string(),
        "isActive": true,
        "name": name,
        "relyingPartyId": state.settings.relying_party,
        "origin": "",
    })
    .into())
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

pub(crate) async fn activate_credential(state: Arc<State>, call: Arc<Call>) -> Outcome {
    suspended(&state, &call, false).await
}

pub(crate) async fn deactivate_credential(state: Arc<State>, call: Arc<Call>) -> Outcome {
    suspended(&state, &call, true).await
}
