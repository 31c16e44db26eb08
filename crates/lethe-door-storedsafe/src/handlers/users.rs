//! Users: list, search, create, edit, deactivate.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use lethe_engine::record::{PrincipalKind, PrincipalRecord};
use lethe_engine::{
    Caller, CreatePrincipalRequest, DoorOperation, EngineError, NewCredential, NewCredentialKind,
    PrincipalChange, PrincipalEntry,
};
use lethe_http::block_on;
use lethe_types::{Permission, SecretVec};
use serde_json::{Value, json};

use super::refuse;
use crate::account::{
    EMAIL, FULL_NAME, OTP_PREFIX, STATUS, Status, USER_ID, attribute, find_user, is_user, text_of,
    user_id,
};
use crate::call::{Call, Outcome, Work};
use crate::envelope::{Answer, Field};
use crate::error::Failure;
use crate::ids;
use crate::login::is_name;
use crate::sessions::draw;
use crate::state::State;
use crate::yubikey::{OTP_CHARACTERS, PREFIX_CHARACTERS, YubikeyOtp};

/// Longest text that is searched for, in characters.
const SEARCH_CHARACTERS_MAX: usize = 15;
/// Most Yubikeys of one user.
const YUBIKEYS_MAX: usize = 3;
/// The alphabet of secrets of one-time passwords (RFC 4648 section 6).
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Characters of such a secret: 160 bits, as RFC 4226 section 4 recommends.
const TOTP_CHARACTERS: usize = 32;

pub(crate) fn list(state: &Arc<State>, call: &Arc<Call>) -> Work {
    list_now(state, call).into()
}

fn list_now(state: &State, call: &Call) -> Outcome {
    let caller = call.caller()?;
    let may = caller.realm_permissions();
    let sees_all = may.contains(Permission::PrincipalsManage);
    let denied = EngineError::PermissionDenied(Permission::PrincipalsRead);
    let refused = (!sees_all && !may.contains(Permission::VaultsCreate)).then_some(denied);
    state.engine.decide(caller, DoorOperation::named(call.op()), refused)?;
    let wanted = match call.param("userid") {
        "" => call.query("searchstring").unwrap_or_default(),
        wanted => wanted,
    };
    if wanted.chars().count() > SEARCH_CHARACTERS_MAX && !is_number(wanted) {
        return Err(Failure::parameter("searchstring"));
    }
    let mut found: Vec<Arc<PrincipalEntry>> = if is_number(wanted) {
        find_user(&state.engine, state.realm, wanted).into_iter().collect()
    } else {
        let fits = |record: &PrincipalRecord| is_user(record) && is_sought(record, wanted);
        state.engine.find_principals(state.realm, fits)
    };
    // By number.
    found.sort_by_cached_key(|user| {
        let id = user_id(user.record());
        (id.len(), id)
    });
    let shown: Vec<Value> = (found.iter())
        .map(|user| if sees_all { shown(user.record()) } else { shown_short(user.record()) })
        .collect();
    Ok(Answer::ok().info("users", json!(shown)))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What is no number is searched for in names.
fn is_sought(record: &PrincipalRecord, wanted: &str) -> bool {
    if wanted.is_empty() {
        return true;
    }
    let wanted = wanted.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let text = |name| text_of(record.attributes.get(name)).unwrap_or_default();
    has(record.login.as_deref().unwrap_or_default()) || has(text(FULL_NAME)) || has(text(EMAIL))
}

/// A user as somebody sees them who may create vaults.
pub(crate) fn shown_short(record: &PrincipalRecord) -> Value {
    let text = |name| text_of(record.attributes.get(name));
    json!({
        "id": user_id(record),
        "fullname": text(FULL_NAME).unwrap_or(record.name.as_str()),
        "email": text(EMAIL).unwrap_or_default(),
    })
}

fn shown(record: &PrincipalRecord) -> Value {
    let mut user = shown_short(record);
    user["status"] = json!(status_text(record));
    user["username"] = json!(record.login.as_deref().unwrap_or_default());
    let prefixes = text_of(record.attributes.get(OTP_PREFIX)).unwrap_or_default();
    user["otpprefix"] = json!(prefixes);
    user["fingerprint"] = json!("");
    user
}

pub(crate) fn status_text(record: &PrincipalRecord) -> String {
    Status::of(record).0.to_string()
}

/// Refuses, recorded, who has not the Admin capability.
fn administrator<'a>(state: &State, call: &'a Call) -> Result<&'a Caller, Failure> {
    let caller = call.caller()?;
    if caller.realm_permissions().contains(Permission::PrincipalsManage) {
        return Ok(caller);
    }
    let error = EngineError::PermissionDenied(Permission::PrincipalsManage);
    Err(refuse(state, call, None, error))
}

/// What a request says of a user.
struct Wanted<'a> {
    username: Option<&'a str>,
    fullname: Option<&'a str>,
    email: Option<&'a str>,
    status: Option<Status>,
    prefixes: Option<String>,
}

impl<'a> Wanted<'a> {
    fn of(call: &'a Call) -> Result<Self, Failure> {
        let text = |name: &str, least: usize, most: usize| {
            let text = call.body.text(name)?;
            let fits = |text: &str| {
                (least..=most).contains(&text.chars().count())
                    && !text.chars().any(char::is_control)
            };
            match text {
                Some(text) if !fits(text) => Err(Failure::parameter(name)),
                other => Ok(other),
            }
        };
        let username = text("username", 5, 32)?;
        if username.is_some_and(|name| !is_name(name, b"-_.@")) {
            return Err(Failure::parameter("username"));
        }
        Ok(Self {
            username,
            fullname: text("fullname", 5, 64)?,
            email: text("email", 5, 128)?,
            status: status(call)?,
            prefixes: prefixes(call)?,
        })
    }

    fn attributes(&self) -> BTreeMap<Box<str>, Option<Box<[u8]>>> {
        let kept = self.status.map(Status::to_keep);
        let texts = [
            (FULL_NAME, self.fullname),
            (EMAIL, self.email),
            (STATUS, kept.as_deref()),
            (OTP_PREFIX, self.prefixes.as_deref()),
        ];
        let set = texts.into_iter().filter_map(|(name, text)| Some((name, text?)));
        set.map(|(name, text)| (name.into(), Some(attribute(text)))).collect()
    }
}

/// The sum of the bits that are given by number.
fn status(call: &Call) -> Result<Option<Status>, Failure> {
    let refused = || Failure::parameter("status");
    let Some(value) = call.body.json("status") else { return Ok(None) };
    let bits = value.as_array().ok_or_else(refused)?;
    let bits: Option<Vec<u64>> = (bits.iter())
        .map(|bit| bit.as_u64().or_else(|| bit.as_str().and_then(crate::body::decimal)))
        .collect();
    bits.as_deref().and_then(Status::of_bits).map(Some).ok_or_else(refused)
}

/// The public identifiers of Yubikeys: that of a password, or up to three with commas between.
fn prefixes(call: &Call) -> Result<Option<String>, Failure> {
    if let Some(otp) = call.body.text("yubikey")? {
        let otp = YubikeyOtp::parse(otp).filter(|_| otp.len() == OTP_CHARACTERS);
        let otp = otp.ok_or_else(|| Failure::parameter("yubikey"))?;
        return Ok(Some(otp.prefix.to_owned()));
    }
    let Some(text) = call.body.text("otpprefix")? else { return Ok(None) };
    let parts: Vec<&str> = text.split(',').filter(|part| !part.is_empty()).collect();
    let fits = |part: &&str| part.len() == PREFIX_CHARACTERS && is_name(part, b"");
    if parts.len() > YUBIKEYS_MAX || !parts.iter().all(fits) {
        return Err(Failure::parameter("otpprefix"));
    }
    Ok(Some(parts.join(",")))
}

pub(crate) fn create(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    // Passphrases are hashed.
    Work::blocking(move || {
        let caller = administrator(&state, &call)?;
        let wanted = Wanted::of(&call)?;
        let needed = |text: Option<&'_ str>, name: &str| {
            text.map(str::to_owned).ok_or_else(|| Failure::parameter(name))
        };
        let username = needed(wanted.username, "username")?;
        needed(wanted.fullname, "fullname")?;
        needed(wanted.email, "email")?;
        let status = wanted.status.ok_or_else(|| Failure::parameter("status"))?;
        let passphrase = call.body.needed("passphrase")?;
        let totp = match call.body.flag("totp", false)? {
            true => Some(draw(TOTP_CHARACTERS, BASE32, &*state.entropy)?),
            false => None,
        };
        let passphrase = SecretVec::copy_from(passphrase.as_bytes());
        let credential = sign_in(passphrase, totp.as_ref())?;
        let made = block_on(make(&state, caller, &username, &wanted, status, credential))?;
        let answer = Answer::new(StatusCode::CREATED)
            .info("calculated_status", status.0)
            .info("user", json!([shown(made.record())]))
            .info("user_created", username);
        Ok(match totp {
            Some(totp) => answer.info("totp_secret", Field::Secret(totp)),
            None => answer,
        })
    })
}

impl From<lethe_types::EntropyError> for Failure {
    fn from(_: lethe_types::EntropyError) -> Self {
        Self::unavailable()
    }
}

/// A passphrase, and the secret of one-time passwords that is given in base32.
fn sign_in(passphrase: SecretVec, totp: Option<&SecretVec>) -> Result<NewCredential, Failure> {
    let totp = match totp {
        None => None,
        Some(text) => Some(decode_base32(text.expose()).ok_or_else(Failure::internal)?),
    };
    Ok(NewCredential {
        name: "storedsafe".into(),
        lifetime: None,
        attributes: BTreeMap::new(),
        kind: NewCredentialKind::Passphrase { passphrase, totp },
    })
}

/// The bytes of base32 without padding, of whole groups.
fn decode_base32(text: &[u8]) -> Option<SecretVec> {
    SecretVec::try_init_with(text.len() * 5 / 8, |out| {
        let (mut bits, mut waiting, mut place) = (0_u32, 0, 0);
        for character in text {
            let value = BASE32.iter().position(|known| known == character);
            bits = bits << 5 | value.and_then(|value| u32::try_from(value).ok()).ok_or(())?;
            waiting += 5;
            if waiting >= 8 {
                waiting -= 8;
                *out.get_mut(place).ok_or(())? = u8::try_from(bits >> waiting).map_err(|_| ())?;
                bits &= (1 << waiting) - 1;
                place += 1;
            }
        }
        Ok::<(), ()>(())
    })
    .ok()
}

/// One who is not to be active gets the means to sign in last, when they are suspended.
async fn make(
    state: &State,
    caller: &Caller,
    username: &str,
    wanted: &Wanted<'_>,
    status: Status,
    credential: NewCredential,
) -> Result<Arc<PrincipalEntry>, Failure> {
    let is_active = status.has(Status::ACTIVE);
    let number = ids::take(&state.engine, caller).await?;
    let mut attributes: BTreeMap<Box<str>, Box<[u8]>> =
        (wanted.attributes().into_iter()).filter_map(|(name, text)| Some((name, text?))).collect();
    attributes.insert(USER_ID.into(), attribute(&number));
    let (now, later) = if is_active { (Some(credential), None) } else { (None, Some(credential)) };
    let request = CreatePrincipalRequest {
        name: username.parse().map_err(|_| Failure::parameter("username"))?,
        kind: PrincipalKind::User,
        login: Some(username.into()),
        grants: status.grants(&[]),
        bound_to: None,
        attributes,
        credentials: now.into_iter().collect(),
    };
    let made = state.engine.create_principal(caller, request).await;
    let made = made.map_err(of_name)?.entry;
    let Some(credential) = later else { return Ok(made) };
    let id = made.record().id;
    let change = PrincipalChange { suspended: Some(true), ..PrincipalChange::default() };
    state.engine.update_principal(caller, id, &change).await?;
    let (made, _, _) = state.engine.add_credential(caller, id, credential).await?;
    Ok(made)
}

fn of_name(error: EngineError) -> Failure {
    if matches!(error, EngineError::NameTaken(_)) {
        return Failure::parameter("username");
    }
    error.into()
}

pub(crate) fn edit(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        administrator(&state, &call)?;
        let user = one(&state, &call)?;
        let wanted = Wanted::of(&call)?;
        let name = wanted.username.map(str::parse).transpose();
        let status = wanted.status.unwrap_or_else(|| Status::of(user.record()));
        let change = PrincipalChange {
            name: name.map_err(|_| Failure::parameter("username"))?,
            login: wanted.username.map(|name| Some(name.into())),
            grants: wanted.status.map(|status| status.grants(&user.record().grants)),
            suspended: wanted.status.map(|status| !status.has(Status::ACTIVE)),
            attributes: wanted.attributes(),
        };
        change_user(&state, &call, &user, &change).await?;
        Ok(Answer::ok().info("calculated_status", status.0))
    })
}

/// Users are never deleted, only put out of action.
pub(crate) fn deactivate(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        administrator(&state, &call)?;
        let user = one(&state, &call)?;
        let change = PrincipalChange { suspended: Some(true), ..PrincipalChange::default() };
        let changed = change_user(&state, &call, &user, &change).await?;
        Ok(Answer::ok().info("calculated_status", Status::of(changed.record()).0))
    })
}

/// Changes a user; who is put out of action is logged out everywhere.
async fn change_user(
    state: &State,
    call: &Call,
    user: &PrincipalEntry,
    change: &PrincipalChange,
) -> Result<Arc<PrincipalEntry>, Failure> {
    let (caller, id) = (call.caller()?, user.record().id);
    let changed = state.engine.update_principal(caller, id, change).await.map_err(of_name)?;
    if changed.record().suspended {
        // The tokens are refused already, since their user is.
        let ended = state.sessions.end_of(id);
        for some in ended.chunks(lethe_types::limits::CHANGE_DOCUMENTS_MAX) {
            state.forget_logins(caller, some).await?;
        }
    }
    Ok(changed)
}

/// The user of the path, by number.
fn one(state: &State, call: &Call) -> Result<Arc<PrincipalEntry>, Failure> {
    let wanted = call.param("userid");
    find_user(&state.engine, state.realm, wanted)
        .ok_or_else(|| refuse(state, call, None, EngineError::ItemNotFound("principal")))
}
