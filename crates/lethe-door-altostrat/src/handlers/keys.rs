//! List, see and rotate API keys.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use lethe_engine::EngineError;
use lethe_http::{Reply, Request, RequestHead};
use serde_json::{Value, json};

use super::{blocking, key_of_path, pending};
use crate::auth::{count, manager};
use crate::error::{FieldErrors, Refusal, json_response};
use crate::identifiers::{KEY_ID_PREFIX, is_cursor, new_secret};
use crate::state::State;
use crate::wire::{ApiKey, seconds, with_secret};

const LIST: &str = "altostrat.key.list";
const READ: &str = "altostrat.key.read";
const ROTATE: &str = "altostrat.key.rotate";
const ROTATED: &str =
    "API Key rotated successfully. This is the only time the new secret key will be shown.";
/// Most keys on one page, and those of a page that does not say.
const PAGE_KEYS_MAX: usize = 100;
/// Most keys that are answered without pages.
const BARE_KEYS_MAX: usize = 10_000;
/// Longest time for which a rotated secret stays good, in seconds.
const GRACE_S_MAX: u64 = 86_400;

/// Which page of the list is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    limit: usize,
    cursor: Option<String>,
}

pub(crate) fn list(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let manager = manager(state, &request.head, &state.settings.permission_view, LIST)?;
    count(state, &manager.caller)?;
    let page = page(&request.head)?;
    let state = Arc::clone(state);
    Ok(blocking(move || {
        let (limit, cursor) = match &page {
            Some(page) => (page.limit, page.cursor.as_deref()),
            None => (BARE_KEYS_MAX, None),
        };
        let before = cursor.map(|cursor| format!("{KEY_ID_PREFIX}{cursor}"));
        let (entries, more) =
            state.engine.aliased_keys(&manager.caller, before.as_deref(), limit)?;
        let keys: Vec<ApiKey> =
            entries.iter().filter_map(|entry| ApiKey::of(&state, entry)).collect();
        if page.is_none() {
            if more {
                return Err(Refusal::Malformed("Too many API keys: ask for pages with `limit`."));
            }
            return Ok(json_response(StatusCode::OK, &json!(keys)));
        }
        let last = keys.last().filter(|_| more);
        let cursor = last.and_then(|key| key.id().strip_prefix(KEY_ID_PREFIX));
        let pagination =
            json!({"count": keys.len(), "limit": limit, "cursor": cursor, "has_more": more});
        let body = json!({"status": "success", "data": keys, "pagination": pagination});
        Ok(json_response(StatusCode::OK, &body))
    }))
}

/// The page that the query asks for, if it asks for one. Other parameters are ignored.
fn page(head: &RequestHead) -> Result<Option<Page>, Refusal> {
    let pairs = head.query_pairs().pairs_lenient();
    let value = |name: &str| -> Option<Cow<'_, str>> {
        pairs.iter().find(|pair| pair.name == name).map(|pair| pair.value.clone())
    };
    let (limit, cursor) = (value("limit"), value("cursor"));
    if limit.is_none() && cursor.is_none() {
        return Ok(None);
    }
    let limit = match limit {
        None => PAGE_KEYS_MAX,
        Some(text) => {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            let number: Option<usize> = is_plain.then(|| text.parse().ok()).flatten();
            let number = number.filter(|number| (1..=PAGE_KEYS_MAX).contains(number));
            number.ok_or(Refusal::Malformed("The limit must be a number from 1 to 100."))?
        }
    };
    let cursor = match cursor {
        None => None,
        Some(text) if is_cursor(&text) => Some(text.into_owned()),
        Some(_) => return Err(Refusal::Malformed("The cursor is not one of this list.")),
    };
    Ok(Some(Page { limit, cursor }))
}

pub(crate) fn retrieve(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let manager = manager(state, &request.head, &state.settings.permission_view, READ)?;
    count(state, &manager.caller)?;
    key_of_path(state, &manager, &request, READ)?;
    let entry = state.engine.read_aliased(&manager.caller, request.param("id"))?;
    let key = ApiKey::of(state, &entry).ok_or(Refusal::NotFound)?;
    Ok(json_response(StatusCode::OK, &json!(key)).into())
}

pub(crate) fn rotate(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let manager = manager(state, &request.head, &state.settings.permission_update, ROTATE)?;
    count(state, &manager.caller)?;
    let grace = if state.settings.rotation_grace { grace(state, &request.body)? } else { None };
    let entry = key_of_path(state, &manager, &request, ROTATE)?;
    let secret = new_secret(&*state.entropy).map_err(|_| EngineError::EntropyUnavailable)?;
    let state = Arc::clone(state);
    Ok(pending(async move {
        let key = entry.record().id;
        let made = state.engine.rotate_api_key(&manager.caller, key, &secret, grace).await?;
        let key = ApiKey::of(&state, &made.key);
        let key = key.ok_or(EngineError::Internal("an API key without its parts"))?;
        let newest = made.current().map(|newest| newest.id);
        let mut credentials = made.application.record().credentials.iter();
        let previous = credentials.find(|credential| Some(credential.id) != newest);
        let end = previous.and_then(|credential| credential.expires).map(seconds);
        let more = end.map_or_else(String::new, |end| {
            format!(",\"previous_secret_expires_at\":{}", Value::String(end))
        });
        Ok(with_secret(StatusCode::OK, ROTATED, &key, &secret, &more))
    }))
}

/// For how long the secret before stays good; none if the body does not ask for it.
fn grace(state: &State, body: &[u8]) -> Result<Option<Duration>, Refusal> {
    if body.is_empty() {
        return Ok(None);
    }
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
        return Err(Refusal::Malformed("The request body must be a JSON object."));
    };
    let Some(value) = members.get("grace_period_seconds").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    match value.as_u64().filter(|seconds| *seconds <= GRACE_S_MAX) {
        Some(0) => Ok(None),
        Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
        None => {
            let rule = "The grace period seconds must be a number from 0 to 86400.".to_owned();
            let errors = FieldErrors::from([("grace_period_seconds".to_owned(), vec![rule])]);
            let status = StatusCode::from_u16(state.settings.validation_status);
            Err(Refusal::Fields(errors, status.unwrap_or(StatusCode::BAD_REQUEST)))
        }
    }
}
