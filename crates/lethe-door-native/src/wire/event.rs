//! Events on the wire: the same object on pages, in streams and, as `data`, in webhooks.

use lethe_types::PrincipalId;
use serde::Serialize;
use utoipa::ToSchema;

/// One change in the life of a key, vault or principal. Identifiers only: no name, no secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct Event {
    /// Index of the change's entry in the log: unique, ascending, the same for ever. Numbers are
    /// left out where you may not see the change.
    pub id: u64,
    /// When it was decided, by the server's clock.
    #[schema(format = DateTime)]
    pub time: String,
    /// Id of the realm.
    pub realm: String,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "key.destroyed")]
    pub kind: &'static str,
    /// Id of the key that it happened to.
    #[schema(required)]
    pub key: Option<String>,
    /// Id of the vault or principal that it happened to, if it is no key.
    #[schema(required)]
    pub subject: Option<String>,
    /// Id of the principal that asked for it; `null` if the event had to be read back from the log.
    #[schema(required)]
    pub by: Option<String>,
    /// Through which door.
    #[schema(example = "native")]
    pub door: String,
    /// When the key is going to be destroyed, if that is scheduled.
    #[schema(required, format = DateTime)]
    pub due: Option<String>,
}

/// Some events, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Events {
    /// Those that you may see.
    pub events: Vec<Event>,
    /// `after` of the next request, whether there are more or not.
    pub next: u64,
    /// Events between `after` and the first of these are no longer kept: list the keys again.
    pub gap: bool,
    /// There may be more already.
    pub more: bool,
}

impl Event {
    /// The event of the engine.
    #[must_use]
    pub fn of(event: &lethe_engine::Event) -> Self {
        Self {
            id: event.id,
            time: event.time.to_string(),
            realm: event.realm.to_string(),
            kind: event.kind,
            key: event.key.map(|key| key.to_string()),
            // All identifiers are written the same.
            subject: event.subject.map(|subject| PrincipalId(subject).to_string()),
            by: event.by.map(|by| by.to_string()),
            door: event.door.to_string(),
            due: event.due.map(|due| due.to_string()),
        }
    }
}

impl Events {
    /// The page of the engine.
    #[must_use]
    pub fn of(page: &lethe_engine::EventPage) -> Self {
        Self {
            events: page.events.iter().map(Event::of).collect(),
            next: page.next,
            gap: page.gap,
            more: page.more,
        }
    }
}
