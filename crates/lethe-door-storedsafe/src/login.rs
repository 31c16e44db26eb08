//! Login: user name, passphrase, a one-time password, and the key of the application.
//!
//! One answer for every cause, and the work of one passphrase whatever is wrong: where the API key
//! or the Yubikey is not right, the passphrase that is tried is the empty one, which nobody has. So
//! every guess is charged to who makes it.

use lethe_engine::record::{Credential, CredentialKind, PrincipalRecord};
use lethe_engine::{
    Caller, Collection, DocumentChange, DoorOperation, EngineError, Expected, PassphraseClaim,
    Source,
};
use lethe_http::block_on;
use lethe_types::{CredentialId, PrincipalId, SecretVec, UnixMillis};

use crate::DOOR;
use crate::account::Status;
use crate::body::RequestBody;
use crate::call::Call;
use crate::error::Failure;
use crate::sessions::{Who, draw_token, hash_of};
use crate::state::State;
use crate::yubikey::{OTP_CHARACTERS, UseCount, YubikeyOtp};

/// The names of credentials: with what follows, of an application's key and of a Yubikey.
pub(crate) const API_KEY: &str = "storedsafe.apikey/";
pub(crate) const YUBIKEY: &str = "storedsafe.yubikey/";

/// How often each Yubikey was used, by its public identifier.
const YUBIKEY_USES: Collection = Collection::named("yubikey");

/// A credential and whose it is.
type Held = (PrincipalId, CredentialId);

/// Who logged in, and the token.
pub(crate) struct LoggedIn {
    pub(crate) caller: Caller,
    pub(crate) token: SecretVec,
}

/// What somebody claims to know and to have.
struct Claim<'a> {
    username: &'a str,
    passphrase: &'a str,
    api_key: ApiKey<'a>,
    second: Second<'a>,
}

enum ApiKey<'a> {
    Given(&'a str),
    /// At the end of the passphrase.
    Appended,
}

enum Second<'a> {
    Totp(&'a str),
    Yubikey(&'a str),
}

/// Logs somebody in. Slow: it hashes a passphrase and waits for a commit.
///
/// # Errors
/// One for every cause; another one for too many attempts.
pub(crate) fn log_in(state: &State, call: &Call) -> Result<LoggedIn, Failure> {
    let request = call.request_id();
    let Some(claim) = Claim::of(&call.body) else {
        let refused = state.engine.refuse_anonymous(DOOR, request)?;
        return Err(of_login(refused));
    };
    let source = Source::of(call.request.head.peer.ip());
    check(state, request, claim, source).map_err(of_login)
}

fn of_login(error: EngineError) -> Failure {
    if error == EngineError::AuthenticationNotSuccessful {
        return Failure::login_failed();
    }
    error.into()
}

impl<'a> Claim<'a> {
    /// What the body says, in any of the forms that clients have.
    fn of(body: &'a RequestBody) -> Option<Self> {
        let text = |name| body.text(name).ok().flatten();
        let username = text("username").filter(|name| is_name(name, b"-_.@"))?;
        match text("logintype") {
            Some(kind @ ("totp" | "yubikey_otp")) => {
                let otp = text("otp")?;
                let second = if kind == "totp" { Second::Totp(otp) } else { Second::Yubikey(otp) };
                let api_key = ApiKey::Given(text("apikey")?);
                Some(Self { username, passphrase: text("passphrase")?, api_key, second })
            }
            Some(_) => None,
            None if body.json("logintype").is_some() => None,
            None => {
                let keys = text("keys")?;
                let (rest, otp) = keys.split_at_checked(keys.len().checked_sub(OTP_CHARACTERS)?)?;
                let second = Second::Yubikey(otp);
                let Some(given) = text("apikey") else {
                    let api_key = ApiKey::Appended;
                    return Some(Self { username, passphrase: rest, api_key, second });
                };
                let passphrase = rest.strip_suffix(given)?;
                Some(Self { username, passphrase, api_key: ApiKey::Given(given), second })
            }
        }
    }
}

/// Whether a text has only letters, digits and these characters.
pub(crate) fn is_name(text: &str, others: &[u8]) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

fn check(
    state: &State,
    request: [u8; 16],
    claim: Claim<'_>,
    source: Source,
) -> Result<LoggedIn, EngineError> {
    let (api_key, passphrase) = match claim.api_key {
        ApiKey::Given(given) => {
            let found = find_api_key(state, request, |key| key.ct_eq(given.as_bytes()))?;
            (found.map(|(held, _)| held), claim.passphrase)
        }
        ApiKey::Appended => {
            let text = claim.passphrase;
            let ends = |key: &SecretVec| {
                let start = text.len().checked_sub(key.len());
                let end = start.and_then(|start| text.as_bytes().get(start..));
                key.ct_eq(end.unwrap_or_default())
            };
            let found = find_api_key(state, request, ends)?;
            let length = found.as_ref().map_or(0, |(_, length)| *length);
            let passphrase = text.get(..text.len() - length).unwrap_or_default();
            (found.map(|(held, _)| held), passphrase)
        }
    };
    let (one_time, uses) = match claim.second {
        Second::Totp(code) => (Some(code), None),
        Second::Yubikey(otp) => (None, Some(yubikey(state, request, claim.username, otp)?)),
    };
    let is_complete = api_key.is_some() && uses.as_ref().is_none_or(Option::is_some);
    let tried = if is_complete { passphrase.as_bytes() } else { b"" };
    let (realm, login) = (state.realm, claim.username);
    let claimed = PassphraseClaim { realm, login, passphrase: tried, one_time, source };
    let refused = EngineError::AuthenticationNotSuccessful;
    // Within the sign-in, so that who lacks the second proof is charged as one who guesses.
    let has_second = |caller: &Caller| {
        let credential = caller.credential().ok_or(refused.clone())?;
        let may = match &uses {
            _ if Status::of(caller.record()).has(Status::ESCROW) => false,
            Some(Some(uses)) => take_use(state, caller, uses)?,
            Some(None) => false,
            None => asks_for_code(caller.record(), credential),
        };
        if may { Ok(()) } else { Err(refused.clone()) }
    };
    let engine = &state.engine;
    let caller = engine.authenticate_passphrase_and(DOOR, request, claimed, has_second)?;
    let (Some(api_key), Some(credential)) = (api_key, caller.credential()) else {
        return Err(refused);
    };
    begin(state, caller, credential, api_key)
}

fn begin(
    state: &State,
    caller: Caller,
    credential: CredentialId,
    api_key: Held,
) -> Result<LoggedIn, EngineError> {
    let token = draw_token(&*state.entropy)?;
    let who = Who { principal: caller.principal(), credential, api_key };
    let now = state.clock.now();
    let ended = state.sessions.begin(who, &token, now);
    let hash = hash_of(token.expose());
    if let Err(error) = block_on(state.store_login(&caller, &hash, &ended)) {
        if let Some(login) = state.sessions.find(token.expose(), now) {
            state.sessions.end(login.id);
        }
        return Err(error);
    }
    Ok(LoggedIn { caller, token })
}

/// Whether the credential asks for a code beside the passphrase, which then was right.
fn asks_for_code(record: &PrincipalRecord, credential: CredentialId) -> bool {
    let found = record.credentials.iter().find(|known| known.id == credential);
    found.is_some_and(|credential| match &credential.kind {
        CredentialKind::Passphrase { totp, .. } => totp.is_some(),
        CredentialKind::ApiSecret { .. }
        | CredentialKind::Bearer { .. }
        | CredentialKind::PublicKey { .. }
        | CredentialKind::SharedSecret { .. } => false,
    })
}

/// The longest key of an application that `is_it` accepts, and its length. All are looked at.
fn find_api_key(
    state: &State,
    request: [u8; 16],
    is_it: impl Fn(&SecretVec) -> bool,
) -> Result<Option<(Held, usize)>, EngineError> {
    let now = state.clock.now();
    let mut found: Option<(Held, usize)> = None;
    for (holder, id) in state.engine.credentials_by_external_prefix(state.realm, API_KEY) {
        if live_credential(holder.record(), id, now).is_none() {
            continue;
        }
        let principal = holder.record().id;
        let secret = opened(state, request, principal, id)?;
        let fits = is_it(&secret);
        if fits && found.is_none_or(|(_, longest)| secret.len() > longest) {
            found = Some(((principal, id), secret.len()));
        }
    }
    Ok(found)
}

/// The credential, if it and its principal are in force.
fn live_credential(
    record: &PrincipalRecord,
    id: CredentialId,
    now: UnixMillis,
) -> Option<&Credential> {
    let found = record.credentials.iter().find(|credential| credential.id == id);
    found.filter(|credential| credential.is_live(now) && record.is_live(now))
}

fn opened(
    state: &State,
    request: [u8; 16],
    principal: PrincipalId,
    credential: CredentialId,
) -> Result<SecretVec, EngineError> {
    let holder = state.engine.caller_of(state.realm, principal, Some(credential), DOOR, request)?;
    state.engine.open_shared_secret(&holder, credential)
}

/// The public identifier of a Yubikey, and how often it was used.
type YubikeyUse = (String, UseCount);

/// What the password of a Yubikey says, if it is the user's and its secret is known here.
fn yubikey(
    state: &State,
    request: [u8; 16],
    username: &str,
    otp: &str,
) -> Result<Option<YubikeyUse>, EngineError> {
    let Some(otp) = YubikeyOtp::parse(otp) else { return Ok(None) };
    let now = state.clock.now();
    let external = format!("{YUBIKEY}{}", otp.prefix);
    let Some((holder, id)) = state.engine.holder_of(state.realm, &external) else {
        return Ok(None);
    };
    let Some(user) = state.engine.principal_by_id(state.realm, holder).filter(|user| {
        user.record().login.as_deref() == Some(username)
            && live_credential(user.record(), id, now).is_some()
    }) else {
        return Ok(None);
    };
    let secret = opened(state, request, user.record().id, id)?;
    Ok(otp.open(&secret).map(|uses| (otp.prefix.to_owned(), uses)))
}

/// Whether the Yubikey was used so often for the first time; from then on it was. Durable.
///
/// # Errors
/// The engine's, if that cannot be known or written.
fn take_use(
    state: &State,
    caller: &Caller,
    (prefix, uses): &YubikeyUse,
) -> Result<bool, EngineError> {
    let before = state.engine.document(caller, YUBIKEY_USES, prefix)?;
    let highest = before.as_ref().map(|before| {
        let text = core::str::from_utf8(&before.body).ok();
        // What cannot be read is taken for the highest there can be.
        text.and_then(|text| text.parse().ok()).map_or(UseCount(u32::MAX), UseCount)
    });
    if highest.is_some_and(|highest| *uses <= highest) {
        return Ok(false);
    }
    let expected = before.map_or(Expected::Nothing, |before| Expected::Revision(before.revision));
    let body = Some(uses.0.to_string().into_bytes());
    let change = DocumentChange { collection: YUBIKEY_USES, id: prefix.clone(), expected, body };
    let operation = DoorOperation::named("storedsafe.yubikey.use");
    match block_on(state.engine.write_documents(caller, operation, vec![change])) {
        Ok(()) => Ok(true),
        // The same password at the same time, and faster.
        Err(EngineError::RevisionMismatch) => Ok(false),
        Err(error) => Err(error),
    }
}
