//! The deny feed: which clients, and which of their older tokens, a cache outside must forget.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use lethe_http::{Reply, Request, Response};
use serde_json::{Value, json};

use super::pending;
use crate::DOOR;
use crate::auth::resource_server;
use crate::error::{Refusal, json_response};
use crate::state::State;
use crate::wire::seconds;

/// Longest wait for something to tell, in seconds.
const WAIT_S_MAX: u64 = 25;
/// Most changes that are looked at for one answer.
const CHANGES_MAX: usize = 1_000;

/// Entries after the number `after`; without any, waits for the first up to `wait` seconds.
pub(crate) fn revocations(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    resource_server(state, &request.head)?;
    let pairs = request.head.query_pairs().pairs_lenient();
    let number = |name: &str, otherwise: u64| match pairs.iter().find(|pair| pair.name == name) {
        None => Ok(otherwise),
        Some(pair) => {
            let refused = Refusal::Malformed("`after` and `wait` must be numbers.");
            pair.value.parse::<u64>().map_err(|_| refused)
        }
    };
    let after = number("after", 0)?;
    let wait = Duration::from_secs(number("wait", WAIT_S_MAX)?.min(WAIT_S_MAX));
    let state = Arc::clone(state);
    Ok(pending(async move {
        let deadline = tokio::time::Instant::now() + wait;
        let mut after = after;
        loop {
            // The watch first: what comes in between is then seen twice rather than never.
            let mut watch = state.engine.watch_events();
            let (reader, from) = (Arc::clone(&state), after);
            let read = tokio::task::spawn_blocking(move || read(&reader, from)).await;
            let read = read.map_err(|_| lethe_engine::EngineError::ShuttingDown)??;
            let is_over = tokio::time::Instant::now() >= deadline;
            if !read.entries.is_empty() || (is_over && !read.more) {
                return Ok(answer(&state, read));
            }
            after = read.next;
            if !read.more {
                // What ends first: the wait, or that there is nothing new.
                let _ended = tokio::time::timeout_at(deadline, watch.changed()).await;
            }
        }
    }))
}

struct Read {
    entries: Vec<Value>,
    next: u64,
    more: bool,
}

fn read(state: &State, after: u64) -> Result<Read, Refusal> {
    let page = state.engine.realm_events_after(state.realm, after, CHANGES_MAX)?;
    let entries = page.events.iter().filter_map(|event| {
        let is_end = match event.kind {
            "key.destroyed" => true,
            "key.rotated" => false,
            _ => return None,
        };
        let key = event.key?;
        let id = state.engine.alias_of(key, DOOR)?;
        let application = state.engine.application_of(key)?;
        let record = application.record();
        let live = record.credentials.iter().filter_map(|credential| credential.api_secret());
        let least = live.map(|(_, number)| number).min();
        let deleted_at = is_end.then(|| seconds(event.time));
        Some(json!({
            "seq": event.id,
            "client_id": record.login,
            "key_id": id,
            // Tokens of older secrets are refused; without a number all are.
            "min_gen": least,
            "deleted_at": deleted_at,
        }))
    });
    Ok(Read { entries: entries.collect(), next: page.next, more: page.more })
}

/// The head is the log's newest signed checkpoint, which covers every entry.
fn answer(state: &State, read: Read) -> Response {
    let body = json!({
        "status": "success",
        "data": read.entries,
        "next": read.next,
        "has_more": read.more,
        "head": state.engine.log_checkpoint(),
    });
    json_response(StatusCode::OK, &body)
}
