//! How users come in: logged in by a service account that speaks for them, or by their own key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lethe_engine::PrincipalEntry;
use lethe_engine::record::{Credential, PrincipalKind, PrincipalRecord};
use lethe_types::{PrincipalId, UnixMillis};
use serde_json::{Value, json};

use super::actions::{answer_of, written};
use super::people::is_person;
use super::proof::{Claim, NO_CREDENTIAL, prove};
use crate::DOOR;
use crate::account::{
    self, KeyKind, OF_TOKEN, TOKEN_KIND, attribute, is_ours, key_kind, token_kind,
};
use crate::actions::{Login, random_text};
use crate::auth::Identity;
use crate::call::{Call, Outcome};
use crate::codes::{self, CodeKind};
use crate::error::Refusal;
use crate::factors::{Assertion, BASE64URL, NOT_VALID};
use crate::ids;
use crate::state::State;
use crate::tokens::{Named, TokenKind};

/// Most logins of one user at a time; over it the oldest ends.
const LOGINS_MAX: usize = 16;
/// Most registrations, or recoveries, of one user that are begun at a time.
const BEGUN_MAX: usize = 4;
pub(crate) const USER_NOT_FOUND: &str = "User not found";
/// With what people log in. What its owner encrypted is shown to nobody who has proven nothing.
const OPEN_KINDS: &[KeyKind] = &[KeyKind::Fido2, KeyKind::Key];
/// The same for who has brought a code.
const KINDS_WITH_CODE: &[KeyKind] = &[KeyKind::Fido2, KeyKind::Key, KeyKind::PasswordProtectedKey];

/// Only programs speak for others.
pub(crate) fn service_accounts_only(identity: &Identity) -> Result<(), Refusal> {
    match identity.token_kind {
        TokenKind::ServiceAccount => Ok(()),
        TokenKind::Login | TokenKind::Pat | TokenKind::Recovery | TokenKind::Temporary => {
            Err(Refusal::forbidden("only a service account may do this"))
        }
    }
}

/// Who makes programs does so in person, or is one.
pub(crate) fn no_personal_token(identity: &Identity) -> Result<(), Refusal> {
    match identity.token_kind {
        TokenKind::Login | TokenKind::ServiceAccount => Ok(()),
        TokenKind::Pat | TokenKind::Recovery | TokenKind::Temporary => {
            Err(Refusal::forbidden("a personal access token may not do this"))
        }
    }
}

/// Only people have credentials to manage.
pub(crate) fn people_only(identity: &Identity) -> Result<(), Refusal> {
    match identity.token_kind {
        TokenKind::Login => Ok(()),
        TokenKind::Pat | TokenKind::Recovery | TokenKind::ServiceAccount | TokenKind::Temporary => {
            Err(Refusal::forbidden("only a user who is logged in may do this"))
        }
    }
}

/// Makes a token of a user, and ends the oldest of that kind if there are too many.
///
/// # Errors
/// The engine's.
pub(crate) async fn token_for(
    state: &State,
    user: PrincipalId,
    kind: TokenKind,
    lifetime: Duration,
    more: account::Attributes,
) -> Result<String, Refusal> {
    let caller = state.system()?;
    let now = state.clock.now();
    let entry = state.engine.read_principal(&caller, user)?;
    let same = entry.record().credentials.iter().filter(|one| token_kind(one) == Some(kind));
    let mut same: Vec<_> = same.collect();
    same.sort_by_key(|one| (one.is_live(now), one.created));
    let most = match kind {
        TokenKind::Login | TokenKind::Pat | TokenKind::ServiceAccount => LOGINS_MAX,
        TokenKind::Recovery | TokenKind::Temporary => BEGUN_MAX,
    };
    let ended = same.len().saturating_sub(most - 1);
    for old in same.iter().take(ended) {
        state.engine.remove_credential(&caller, user, old.id).await?;
    }
    let mut attributes = more;
    attributes.insert(TOKEN_KIND.into(), attribute(kind.as_str()));
    let new = lethe_engine::NewCredential {
        name: kind.as_str().into(),
        lifetime: Some(lifetime),
        attributes,
        kind: lethe_engine::NewCredentialKind::Bearer,
    };
    let (_, token, _) = state.engine.add_credential(&caller, user, new).await?;
    let end = now.saturating_add(lifetime);
    Ok(state.issuer.mint(Named { user, token }, kind, now, end)?)
}

/// The user of that name.
pub(crate) fn by_name(state: &State, name: &str) -> Option<Arc<PrincipalEntry>> {
    let found = state.engine.principal_by_login(state.realm, name);
    found.filter(|entry| is_ours(entry.record()))
}

/// The person of that name who may come in, if the organization is this one.
pub(crate) fn live_person(state: &State, org: &str, name: &str) -> Option<Arc<PrincipalEntry>> {
    let found = by_name(state, name).filter(|_| org == ids::org(state.realm));
    found.filter(|entry| is_person(entry.record()) && entry.record().is_live(state.clock.now()))
}

/// Whether somebody has a key of their own already.
pub(crate) fn has_key(record: &PrincipalRecord) -> bool {
    record.credentials.iter().any(|one| key_kind(one).is_some())
}

pub(crate) async fn log_in_delegated(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let name = members.needed_text("username")?;
    members.finish()?;
    let found = by_name(&state, &name).filter(|entry| {
        let record = entry.record();
        record.kind == PrincipalKind::EndUser && record.is_live(state.clock.now())
    });
    let user = found.ok_or_else(|| Refusal::unauthorized(USER_NOT_FOUND))?.record().id;
    Ok(json!({"token": login(&state, user).await?}).into())
}

async fn login(state: &State, user: PrincipalId) -> Result<String, Refusal> {
    let lifetime = Duration::from_secs(state.settings.login_lifetime_seconds);
    token_for(state, user, TokenKind::Login, lifetime, BTreeMap::new()).await
}

/// The keys of these kinds that a user logs in with.
fn keys_of<'a>(
    record: &'a PrincipalRecord,
    kinds: &[KeyKind],
    now: UnixMillis,
) -> Vec<(&'a Credential, KeyKind)> {
    let own = record.credentials.iter().filter_map(|credential| {
        let kind = key_kind(credential).filter(|_| credential.is_live(now))?;
        let is_free = credential.attributes.get(OF_TOKEN).is_none();
        (is_free && kinds.contains(&kind)).then_some((credential, kind))
    });
    own.collect()
}

/// Whether there is such a user, the answer does not tell: for a name that nobody has, it holds a
/// key that nobody has, always the same one.
pub(crate) async fn log_in_init(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let org = members.needed_text("orgId")?;
    let name = members.text("username")?;
    let code = members.text("loginCode")?;
    members.finish()?;
    let now = state.clock.now();
    let Some(name) = name else {
        if code.is_some() {
            return Err(Refusal::field("username", "is required with a loginCode"));
        }
        return challenge(&state, Login::Anybody, Vec::new(), None);
    };
    let found = live_person(&state, &org, &name);
    let kinds = match &code {
        None => OPEN_KINDS,
        Some(code) => {
            let user = found.as_ref().map(|entry| entry.record().id);
            codes::take(&state, user, CodeKind::Login, code).await?;
            KINDS_WITH_CODE
        }
    };
    // For everybody, so that the time that it takes tells nothing.
    let decoy = Decoy::of(&state, &org, &name)?;
    let Some(entry) = found else {
        return challenge(&state, Login::Nobody, Vec::new(), Some(&decoy));
    };
    let keys = keys_of(entry.record(), kinds, now);
    let login = Login::User { user: entry.record().id, kinds };
    challenge(&state, login, keys, Some(&decoy))
}

/// The answer that holds the challenge of a login; the decoy stands where a user has no key.
fn challenge(
    state: &State,
    login: Login,
    keys: Vec<(&Credential, KeyKind)>,
    decoy: Option<&Decoy>,
) -> Outcome {
    let text = base64::Engine::encode(&BASE64URL, random_text(&*state.entropy)?);
    let now = state.clock.now();
    let identifier = state.actions.login(login, text.clone(), &*state.entropy, now)?;
    let is_empty = keys.is_empty();
    let mut value = written(state, keys.into_iter(), &text, &identifier);
    match decoy {
        Some(decoy) if is_empty => decoy.put(&mut value),
        Some(_) => {}
        // Any passkey of this relying party: the browser asks which.
        None => value["supportedCredentialKinds"] = supported("Fido2"),
    }
    Ok(value.into())
}

fn supported(kind: &str) -> Value {
    json!([{"kind": kind, "factor": "first", "requiresSecondFactor": false}])
}

/// A key that nobody has, which looks like one.
struct Decoy {
    kind: KeyKind,
    cred_id: String,
}

impl Decoy {
    fn of(state: &State, org: &str, name: &str) -> Result<Self, Refusal> {
        let bytes = state.issuer.derived(&json!(["login", org, name]).to_string())?;
        // Half of those who are not there have passkeys.
        let kind = if bytes[0] & 1 == 0 { KeyKind::Fido2 } else { KeyKind::Key };
        let id = lethe_crypto::hash::sha256(&[b"credId", &bytes]);
        Ok(Self { kind, cred_id: base64::Engine::encode(&BASE64URL, id) })
    }

    fn put(&self, value: &mut Value) {
        let list = if self.kind == KeyKind::Fido2 { "webauthn" } else { "key" };
        value["allowCredentials"][list] = json!([{"type": "public-key", "id": self.cred_id}]);
        value["supportedCredentialKinds"] = supported(self.kind.as_str());
    }
}

pub(crate) async fn log_in(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let (identifier, assertion) = answer_of(call.members()?)?;
    let now = state.clock.now();
    let taken = state.actions.take_login(&identifier, now);
    let (login_of, text) = taken.ok_or_else(|| Refusal::bad(NOT_VALID))?;
    let request = call.request.head.request_id.to_bytes();
    let Some((user, kinds)) = who(&state, login_of, &assertion) else {
        state.engine.refuse_anonymous(DOOR, request)?;
        return Err(Refusal::unauthorized(NO_CREDENTIAL));
    };
    let caller = state.engine.caller_of(state.realm, user, None, DOOR, request)?;
    let keys = keys_of(caller.record(), kinds, now);
    let claim = Claim { caller: &caller, op: call.op, assertion: &assertion, challenge: &text };
    prove(&state, &claim, keys).await?;
    Ok(json!({"token": login(&state, user).await?}).into())
}

/// Who says that they log in, and with which kinds of keys they may.
fn who(
    state: &State,
    login: Login,
    assertion: &Assertion,
) -> Option<(PrincipalId, &'static [KeyKind])> {
    match login {
        Login::Nobody => None,
        Login::User { user, kinds } => Some((user, kinds)),
        Login::Anybody => {
            let said = assertion.authenticator.as_ref()?;
            // Without it nothing says whose passkey that is.
            said.user_handle.as_ref().filter(|handle| !handle.is_empty())?;
            let name = account::external(&assertion.cred_id);
            let (user, _) = state.engine.holder_of(state.realm, &name)?;
            let entry = crate::grants::find(state, user)?;
            is_person(entry.record()).then_some((user, &[KeyKind::Fido2]))
        }
    }
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
