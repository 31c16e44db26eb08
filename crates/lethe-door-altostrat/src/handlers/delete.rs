//! Delete API keys: one, several together, or those whose secrets were found somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use lethe_engine::{
    Caller, DestroyOutcome, DestroyRequest, DestroyWhen, Destroyed, EngineError, KeyEntry,
};
use lethe_http::{Reply, Request, Response};
use lethe_log::Receipt;
use lethe_types::limits::{DESTROY_TOGETHER_KEYS_MAX, PAGE_KEYS_MAX};
use lethe_types::{KeyId, PrincipalId, UnixMillis};
use serde_json::{Value, json};

use super::{blocking, key_of_path, live_key, pending};
use crate::auth::{Manager, manager};
use crate::error::{Refusal, empty, json_response};
use crate::identifiers::is_secret;
use crate::state::State;
use crate::wire::key_id_of;

const DELETE: &str = "altostrat.key.delete";
const BULK_DELETE: &str = "altostrat.key.bulk_delete";
const LEAK_REPORT: &str = "leak-report";
/// The receipt of a destruction: the base64 of its `.tlog-proof` file.
const X_DELETION_RECEIPT: HeaderName = HeaderName::from_static("x-deletion-receipt");
/// Longest receipt in a header, in bytes; a longer one is left to the native interface.
const RECEIPT_HEADER_BYTES_MAX: usize = 60_000;
/// Most credentials of one leak report.
const LEAKED_MAX: usize = 1_000;

/// At once or not at all: the dialect has no waiting.
fn at_once(key: KeyId, reason: &str) -> DestroyRequest {
    DestroyRequest {
        reason: reason.to_owned(),
        when: DestroyWhen::AtOnce,
        ..DestroyRequest::new(key)
    }
}

/// Never refused for a rate limit: a stolen key must be stoppable.
pub(crate) fn delete(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let manager = manager(state, &request.head, &state.settings.permission_delete, DELETE)?;
    let entry = key_of_path(state, &manager, &request, DELETE)?;
    let wanted = at_once(entry.record().id, "");
    let state = Arc::clone(state);
    Ok(pending(async move {
        match state.engine.destroy_key(&manager.caller, wanted).await? {
            DestroyOutcome::Destroyed(destroyed) => Ok(deleted(&destroyed.receipt)),
            DestroyOutcome::Scheduled { .. } => {
                Err(EngineError::Internal("a destruction at once that waits").into())
            }
        }
    }))
}

fn deleted(receipt: &Receipt) -> Response {
    let mut response = empty(StatusCode::NO_CONTENT);
    if let Some(text) = receipt_text(receipt).filter(|text| text.len() <= RECEIPT_HEADER_BYTES_MAX)
        && let Ok(value) = HeaderValue::try_from(text)
    {
        response.headers_mut().insert(X_DELETION_RECEIPT, value);
    }
    response
}

/// The base64 of the receipt's file. The destruction is made: what fails here is only the answer.
fn receipt_text(receipt: &Receipt) -> Option<String> {
    receipt.write().ok()?.header().ok()
}

/// Which keys a bulk delete is about.
enum Selection {
    Ids(Vec<String>),
    Creator(PrincipalId),
    UnusedSince(UnixMillis),
}

pub(crate) fn bulk_delete(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let manager = manager(state, &request.head, &state.settings.permission_delete, BULK_DELETE)?;
    let (selection, is_dry) = parse_bulk(&request.body, state.clock.now())?;
    let state = Arc::clone(state);
    Ok(pending(async move {
        let keys = select(&state, &manager, selection)?;
        let ids: BTreeMap<KeyId, String> =
            keys.iter().map(|key| (*key, key_id_of(&state, *key))).collect();
        if is_dry {
            let keys: Vec<Value> = keys.iter().map(|key| json!({"id": ids.get(key)})).collect();
            return Ok(bulk_answer(true, keys));
        }
        let requests = keys.iter().map(|key| at_once(*key, "bulk-delete")).collect();
        let destroyed = state.engine.destroy_keys_together(&manager.caller, requests).await?;
        let keys = destroyed.iter().map(|one: &Destroyed| {
            let id = ids.get(&one.entry.record().id);
            json!({"id": id, "receipt": receipt_text(&one.receipt)})
        });
        Ok(bulk_answer(false, keys.collect()))
    }))
}

fn bulk_answer(is_dry: bool, keys: Vec<Value>) -> Response {
    let data = json!({"dry_run": is_dry, "count": keys.len(), "keys": keys});
    json_response(StatusCode::OK, &json!({"status": "success", "data": data}))
}

const BULK_RULE: &str = "The request body must be an object with `dry_run` and one of `ids`, \
                         `creator` and `unused_for_days`.";

fn parse_bulk(body: &[u8], now: UnixMillis) -> Result<(Selection, bool), Refusal> {
    let refused = || Refusal::Malformed(BULK_RULE);
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return Err(refused()) };
    // It destroys many: whoever wants that says so.
    let is_dry = members.get("dry_run").and_then(Value::as_bool).ok_or_else(refused)?;
    let given = ["ids", "creator", "unused_for_days"].map(|name| members.get(name));
    let selection = match given {
        [Some(Value::Array(ids)), None, None] => {
            let id = |value: &Value| value.as_str().map(str::to_owned);
            Selection::Ids(ids.iter().map(id).collect::<Option<_>>().ok_or_else(refused)?)
        }
        [None, Some(Value::String(creator)), None] => {
            Selection::Creator(creator.parse().map_err(|_| refused())?)
        }
        [None, None, Some(days)] => {
            let days = days.as_u64().filter(|days| *days > 0).ok_or_else(refused)?;
            let age = Duration::from_secs(days.saturating_mul(86_400));
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            Selection::UnusedSince(UnixMillis(now.0.saturating_sub(age)))
        }
        _ => return Err(refused()),
    };
    Ok((selection, is_dry))
}

const TOO_MANY: Refusal = Refusal::Malformed("At most 256 API keys are deleted together.");

fn select(state: &State, manager: &Manager, selection: Selection) -> Result<Vec<KeyId>, Refusal> {
    let mut keys = Vec::new();
    let wanted: Box<dyn Fn(&KeyEntry) -> bool> = match selection {
        Selection::Ids(ids) => {
            let mut seen = BTreeSet::new();
            for id in ids {
                let entry = live_key(state, &id).ok_or(Refusal::NotFound)?;
                if seen.insert(entry.record().id) {
                    keys.push(entry.record().id);
                }
            }
            return if keys.len() > DESTROY_TOGETHER_KEYS_MAX { Err(TOO_MANY) } else { Ok(keys) };
        }
        Selection::Creator(creator) => Box::new(move |entry| entry.record().created_by == creator),
        Selection::UnusedSince(since) => Box::new(move |entry| {
            let last = entry.used().map_or(entry.record().created, |used| used.last);
            last < since
        }),
    };
    let mut before: Option<String> = None;
    loop {
        let (entries, more) =
            state.engine.aliased_keys(&manager.caller, before.as_deref(), PAGE_KEYS_MAX)?;
        keys.extend(entries.iter().filter(|entry| wanted(entry)).map(|entry| entry.record().id));
        if keys.len() > DESTROY_TOGETHER_KEYS_MAX {
            return Err(TOO_MANY);
        }
        before = entries.last().map(|entry| key_id_of(state, entry.record().id));
        if !more {
            return Ok(keys);
        }
    }
}

/// Whoever holds a secret may end it: no other authority is asked for, and the answer tells
/// nothing.
pub(crate) fn report_leak(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let counted = state.leak_reports.count(request.head.peer.ip(), state.clock.monotonic());
    let limit = state.leak_reports.limit();
    counted
        .map_err(|retry_after_seconds| Refusal::TooManyRequests { limit, retry_after_seconds })?;
    let refused = || Refusal::Malformed("The request body must be an object with `credentials`.");
    let Ok(Value::Object(members)) = serde_json::from_slice(&request.body) else {
        return Err(refused());
    };
    let Some(Value::Array(all)) = members.get("credentials") else { return Err(refused()) };
    let texts: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
    let texts = texts.filter(|texts| texts.len() <= LEAKED_MAX).ok_or_else(refused)?;
    let keys: BTreeSet<KeyId> = texts
        .into_iter()
        .filter(|text| is_secret(text))
        .filter_map(|text| state.engine.key_of_api_secret(text))
        .filter(|entry| entry.record().realm == state.realm)
        .map(|entry| entry.record().id)
        .collect();
    let (state, system) = (Arc::clone(state), state.system()?);
    Ok(pending(async move {
        for key in keys {
            end_leaked(&state, &system, key).await?;
        }
        Ok(empty(StatusCode::ACCEPTED))
    }))
}

/// Destroys the key; where a rule stands before that, it is at least refused from now on.
async fn end_leaked(state: &State, system: &Caller, key: KeyId) -> Result<(), Refusal> {
    match state.engine.destroy_key(system, at_once(key, LEAK_REPORT)).await {
        Ok(_) | Err(EngineError::ObjectDestroyed(_)) => Ok(()),
        Err(EngineError::GuardRefused(_)) => {
            state.engine.suspend_api_key(system, key, true).await?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The receipt of a deleted key once more.
pub(crate) fn receipt(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let manager = manager(state, &request.head, &state.settings.permission_view, DELETE)?;
    let id = request.param("id").to_owned();
    let state = Arc::clone(state);
    Ok(blocking(move || {
        let found = state.engine.key_with_alias(state.realm, crate::DOOR, &id);
        let key = found.ok_or(Refusal::NotFound)?.record().id;
        let receipt = state.engine.receipt(&manager.caller, key)?;
        let body = json!({"status": "success", "data": {"receipt": receipt_text(&receipt)}});
        Ok(json_response(StatusCode::OK, &body))
    }))
}
