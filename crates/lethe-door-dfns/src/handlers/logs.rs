//! The audit log of signed user actions.

use std::sync::Arc;

use http::HeaderValue;
use http::header::{ACCEPT, HeaderName};
use lethe_types::UnixMillis;
use serde_json::{Value, json};

use crate::call::{Answer, Call, Outcome};
use crate::error::Refusal;
use crate::ids;
use crate::log::{self, LogEntry};
use crate::state::State;

/// Most entries of one answer.
const ENTRIES_MAX: usize = 100_000;
const TRUNCATED: HeaderName = HeaderName::from_static("x-dfns-result-truncated");
const CSV: HeaderValue = HeaderValue::from_static("text/csv; charset=utf-8");
const HEAD: &str =
    "Date Performed,Audit Log ID,User ID,Username,Primary Credential ID,Action Path,Summary\n";

pub(crate) async fn list(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let start = time(&call, "startTime")?;
    let end = time(&call, "endTime")?;
    if end < start {
        return Err(Refusal::field("endTime", "must not be before startTime"));
    }
    let user = call.query("userId");
    let is_wanted = |entry: &LogEntry| user.as_ref().is_none_or(|user| *user == entry.user);
    let (entries, is_more) = log::between(&state, (start, end), is_wanted, ENTRIES_MAX)?;
    let mut text = HEAD.to_owned();
    for entry in &entries {
        let fields = [
            UnixMillis(entry.performed).to_string(),
            entry.id.clone(),
            entry.user.clone(),
            entry.username.clone(),
            entry.credential.clone(),
            entry.path.clone(),
            entry.summary(),
        ];
        let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    if is_more {
        text.push_str(&format!("# TRUNCATED after {ENTRIES_MAX} entries\n"));
    }
    let accepts = call.request.head.header(ACCEPT.as_str()).unwrap_or_default();
    let mut answer = Answer::from(json!(text));
    if accepts.contains("text/csv") {
        answer.plain = Some((CSV, text));
    }
    if is_more {
        answer.headers.push((TRUNCATED, HeaderValue::from_static("true")));
    }
    Ok(answer)
}

/// A field of RFC 4180, which no spreadsheet takes for a formula.
fn quoted(field: &str) -> String {
    let is_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field = if is_formula { format!("'{field}") } else { field.to_owned() };
    if field.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field
}

/// A needed time of the query: RFC 3339 in UTC, with or without a fraction.
fn time(call: &Call, name: &str) -> Result<UnixMillis, Refusal> {
    let text = call.query(name).ok_or_else(|| Refusal::field(name, "is required"))?;
    let parsed: Option<jiff::Timestamp> = text.parse().ok();
    let parsed = parsed.and_then(|time| u64::try_from(time.as_millisecond()).ok());
    parsed.map(UnixMillis).ok_or_else(|| Refusal::field(name, "must be a time in UTC"))
}

pub(crate) async fn read(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let id = call.param("log");
    let found = log::get(&state, id)?;
    let details = json!({"id": id, "orgId": ids::org(state.realm)});
    let entry = found.ok_or_else(|| Refusal::not_found("audit log not found", details))?;
    Ok(told(&entry).into())
}

fn told(entry: &LogEntry) -> Value {
    let action = json!({
        "method": entry.method,
        "path": entry.path,
        "payload": entry.payload,
        "summary": entry.summary(),
        "record": entry.record,
    });
    json!({
        "id": entry.id,
        "action": action.to_string(),
        "actionToken": entry.action_token.clone().unwrap_or_default(),
        "userId": entry.user,
        "username": entry.username,
        "datePerformed": UnixMillis(entry.performed).to_string(),
        "firstFactorCredential": {
            "id": entry.credential,
            "kind": entry.kind,
            "publicKey": entry.public_key,
            "assertion": {
                "authenticatorData": entry.authenticator_data,
                "clientData": entry.client_data,
                "signature": entry.signature,
            },
        },
    })
}
