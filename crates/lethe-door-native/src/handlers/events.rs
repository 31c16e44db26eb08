//! What was changed: a page of events, or a stream of them (WHATWG HTML section 9.2).

use core::task::{Context, Poll, ready};
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use lethe_engine::{EventPage, EventReader};
use lethe_http::{EventSource, Reply, Request};
use lethe_types::limits::PAGE_EVENTS_MAX;

use crate::error::Refusal;
use crate::headers::{self, LAST_EVENT_ID};
use crate::state::State;
use crate::{auth, render, reply, wire};

/// Events on a page whose request does not say how many.
const PAGE_EVENTS_DEFAULT: usize = 100;
/// Most events of one piece of a stream: bounds what a stream holds in memory.
const PIECE_EVENTS_MAX: usize = 64;

/// A stream if the client accepts one, else a page.
pub(crate) fn read(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let [after, limit] = headers::query(&request.head, ["after", "limit"])?;
    let after = after.map(|text| event_id("after", &text)).transpose()?;
    let last = headers::single(&request.head.headers, &LAST_EVENT_ID, "Last-Event-ID")?;
    let last = last.map(|text| event_id("Last-Event-ID", text)).transpose()?;
    if headers::accepts_event_stream(&request.head.headers) {
        if limit.is_some() {
            return Err(Refusal::invalid("limit", "is for pages; a stream has no end"));
        }
        // A client that comes back sends the same query as at first, and how far it has got since.
        let reader = state.engine.follow_events(&caller, last.or(after))?;
        return Ok(Reply::events(Source::new(reader)));
    }
    let limit = match limit {
        Some(text) => headers::decimal(&text).ok_or_else(|| {
            Refusal::invalid("limit", format!("must be a number from 1 to {PAGE_EVENTS_MAX}"))
        })?,
        None => PAGE_EVENTS_DEFAULT,
    };
    let state = Arc::clone(state);
    Ok(reply::blocking(request, move |_| {
        let page = state.engine.events_after(&caller, last.or(after), limit)?;
        Ok(render::json(StatusCode::OK, &wire::Events::of(&page)))
    }))
}

fn event_id(field: &'static str, text: &str) -> Result<u64, Refusal> {
    headers::decimal(text).ok_or_else(|| Refusal::invalid(field, "must be the `id` of an event"))
}

/// The events of one reader in the form of `text/event-stream`.
struct Source {
    reader: EventReader,
    has_begun: bool,
    is_ended: bool,
}

impl Source {
    fn new(reader: EventReader) -> Self {
        Self { reader, has_begun: false, is_ended: false }
    }
}

impl EventSource for Source {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !core::mem::replace(&mut self.has_begun, true) {
            // An event without data moves only the client's place: a client that comes back before
            // its first event misses none.
            let text = format!("retry: {RETRY_MILLIS}\nid: {}\n\n", self.reader.position());
            return Poll::Ready(Some(text.into()));
        }
        if self.is_ended {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match ready!(self.reader.poll_page(context, PIECE_EVENTS_MAX)) {
            Ok(page) => text_of(&page),
            Err(error) => {
                self.is_ended = true;
                format!(": {error}\n\n").into()
            }
        }))
    }

    fn heartbeat(&mut self) -> Bytes {
        format!(":\nid: {}\n\n", self.reader.position()).into()
    }
}

fn text_of(page: &EventPage) -> Bytes {
    let mut text = String::new();
    if page.gap {
        let before = page.events.first().map_or(page.next, |event| event.id.saturating_sub(1));
        text.push_str(&format!("id: {before}\nevent: gap\ndata: {{\"next\":{before}}}\n\n"));
    }
    for event in &page.events {
        let data = serde_json::to_string(&wire::Event::of(event)).expect("wire types are JSON");
        let (id, kind) = (event.id, event.kind);
        text.push_str(&format!("id: {id}\nevent: {kind}\ndata: {data}\n\n"));
    }
    text.into()
}

/// How long a client waits before it comes back.
const RETRY_MILLIS: u32 = 1_000;
