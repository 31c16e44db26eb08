//! API keys as the dialect writes them.

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use lethe_engine::record::{Credential, PrincipalRecord};
use lethe_engine::{KeyEntry, NETWORKS};
use lethe_http::{Body, Response};
use lethe_types::limits::NAME_BYTES_MAX;
use lethe_types::{KeyId, KeyState, SecretVec, StableState, UnixMillis};
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::DOOR;
use crate::error::{JSON, NO_STORE};
use crate::identifiers;
use crate::permissions::of_application;
use crate::state::State;

/// The attribute of an application with the key's name, where the engine's names are narrower.
pub(crate) const NAME: &str = "altostrat.name";

/// One API key. Never its secret.
#[derive(Debug, Serialize)]
pub(crate) struct ApiKey {
    id: String,
    object: &'static str,
    name: String,
    key_prefix: String,
    client_id: String,
    created_at: String,
    status: &'static str,
    permissions: Vec<String>,
    last_used_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_cidrs: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protected: Option<bool>,
}

impl ApiKey {
    /// The API key, if it is one of this door's.
    pub(crate) fn of(state: &State, entry: &KeyEntry) -> Option<Self> {
        let application = state.engine.application_of(entry.record().id)?;
        Self::of_both(entry, application.record(), state.clock.now())
    }

    fn of_both(entry: &KeyEntry, application: &PrincipalRecord, now: UnixMillis) -> Option<Self> {
        let record = entry.record();
        let id = record.aliases.iter().find(|alias| alias.door == DOOR)?.text.clone();
        let newest = application
            .credentials
            .iter()
            .max_by_key(|credential| credential.api_secret().map_or(0, |(_, number)| number))?;
        let (prefix, _) = newest.api_secret()?;
        let labels = &record.details().labels;
        let label_text = |text: &str| Value::String(text.to_owned());
        Some(Self {
            object: "api_key",
            name: name_of(application),
            key_prefix: prefix.to_owned(),
            client_id: application.login.as_deref()?.to_owned(),
            // By definition the time in the id; the record's may be a moment later.
            created_at: seconds(identifiers::time_of(&id).unwrap_or(record.created)),
            status: status(record.state, application, newest, now),
            permissions: of_application(application),
            last_used_at: entry.used().map(|used| seconds(used.last)),
            expires_at: newest.expires.map(seconds),
            allowed_cidrs: networks_of(application),
            labels: (!labels.is_empty()).then(|| {
                let pairs = labels.iter();
                pairs.map(|(name, value)| (name.to_string(), label_text(value.as_str()))).collect()
            }),
            protected: record.details().protected.then_some(true),
            id,
        })
    }

    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

fn status(
    state: KeyState,
    application: &PrincipalRecord,
    newest: &Credential,
    now: UnixMillis,
) -> &'static str {
    let is_active = state == KeyState::Stable(StableState::Active);
    if application.suspended || !is_active {
        "disabled"
    } else if newest.is_live(now) {
        "active"
    } else {
        "expired"
    }
}

fn networks_of(application: &PrincipalRecord) -> Option<Vec<String>> {
    let stored = application.attributes.get(NETWORKS)?;
    let text = core::str::from_utf8(stored).ok()?;
    Some(text.split(',').map(str::to_owned).collect())
}

/// The name of an API key as it was given.
pub(crate) fn name_of(application: &PrincipalRecord) -> String {
    let stored = application.attributes.get(NAME);
    let given = stored.and_then(|bytes| core::str::from_utf8(bytes).ok());
    given.unwrap_or(application.name.as_str()).to_owned()
}

/// A name that the engine takes, as near to the given one as can be.
pub(crate) fn engine_name(given: &str) -> String {
    let mut name = String::new();
    for character in given.chars().filter(|character| !character.is_control()) {
        if name.len() + character.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        name.push(character);
    }
    let name = name.trim();
    if name.is_empty() { "api key".to_owned() } else { name.to_owned() }
}

/// The id of the API key, or the engine's own identifier if it has none here.
pub(crate) fn key_id_of(state: &State, key: KeyId) -> String {
    state.engine.alias_of(key, DOOR).unwrap_or_else(|| key.to_string())
}

/// RFC 3339 in UTC with whole seconds.
pub(crate) fn seconds(time: UnixMillis) -> String {
    let second = i64::try_from(time.seconds()).ok();
    let moment = second.and_then(|second| jiff::Timestamp::from_second(second).ok());
    format!("{:.0}", moment.unwrap_or(jiff::Timestamp::MAX))
}

/// A time in RFC 3339, to the millisecond.
pub(crate) fn parse_time(text: &str) -> Option<UnixMillis> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok().map(UnixMillis)
}

/// The one answer with a secret in it; wiped when it is sent. `more` goes after it, as
/// `"member":value` with a comma before.
pub(crate) fn with_secret(
    status: StatusCode,
    message: &str,
    key: &ApiKey,
    secret: &SecretVec,
    more: &str,
) -> Response {
    let message = Value::String(message.to_owned()).to_string();
    let key = serde_json::to_vec(key).expect("wire types are JSON");
    let parts: [&[u8]; 8] = [
        b"{\"status\":\"success\",\"data\":{\"message\":",
        message.as_bytes(),
        b",\"key\":",
        &key,
        b",\"secret\":\"",
        secret.expose(),
        b"\"",
        more.as_bytes(),
    ];
    // All at once: growing would leave an unwiped copy behind.
    let length = parts.iter().map(|part| part.len()).sum::<usize>() + 2;
    let mut out = Zeroizing::new(Vec::with_capacity(length));
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(b"}}");
    let mut response = http::Response::new(Body::from(bytes::Bytes::from_owner(out)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}
