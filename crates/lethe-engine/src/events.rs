//! Events of the life of keys, vaults and principals: what was changed, in the order of the log.
//!
//! The committer publishes them after a change is durable and, if it destroys, final. They are kept
//! in a ring of bounded size: who reads too slowly misses events and is told so, and can neither
//! hold up the committer nor make memory grow. After a start the ring is empty; [`logged`] reads
//! older events back from the log.
//!
//! An event holds identifiers only: no name, no reason, no secret. Must not know who listens.

pub(crate) mod logged;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use lethe_types::limits::RECENT_EVENTS_MAX;
use lethe_types::{KeyId, PrincipalId, RealmId, UnixMillis};
use parking_lot::Mutex;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Index of the change's entry in the log: unique, ascending, the same after a restart. Not
    /// every number is an event that a reader may see.
    pub id: u64,
    /// When it was decided, by the server's clock.
    pub time: UnixMillis,
    /// In which realm.
    pub realm: RealmId,
    /// What happened: the type of the log entry, as in `key.destroyed`.
    pub kind: &'static str,
    /// To which key.
    pub key: Option<KeyId>,
    /// To which principal or vault, if to no key; the kind tells which of them.
    pub subject: Option<[u8; 16]>,
    /// Who asked for it. `None` for an event that was read back from the log, which keeps it as a
    /// commitment only; but destructions always have it.
    pub by: Option<PrincipalId>,
    /// Through which door.
    pub door: Cow<'static, str>,
    /// When a scheduled destruction is carried out, if one was pending after the change. `None` for
    /// an event that was read back from the log.
    pub due: Option<UnixMillis>,
}

/// Some events, oldest first, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// The events that the reader may see.
    pub events: Vec<Event>,
    /// What to ask for next: events after this one.
    pub next: u64,
    /// Events were missed between what was asked for and the first of this page: they are no longer
    /// kept, or the log never gave out what was asked for. List the keys again.
    pub gap: bool,
    /// There may be further events now; else wait for them.
    pub more: bool,
}

/// The newest events, and who waits for further ones.
#[derive(Debug)]
pub(crate) struct Events(Mutex<Ring>);

#[derive(Debug)]
struct Ring {
    kept_max: usize,
    kept: VecDeque<Event>,
    /// Every event with this id or a higher one is kept.
    floor: u64,
    /// Every event with a lower id was published: the size of the log.
    end: u64,
    waiting: BTreeMap<u64, Waker>,
    next_watch: u64,
}

/// A copy of some kept events, not filtered yet.
pub(crate) struct Piece {
    pub(crate) events: Vec<Event>,
    pub(crate) floor: u64,
    pub(crate) end: u64,
}

impl Events {
    /// No events yet, beside a log of `log_size` entries.
    pub(crate) fn new(log_size: u64) -> Self {
        Self::keeping(log_size, RECENT_EVENTS_MAX)
    }

    pub(crate) fn keeping(log_size: u64, kept_max: usize) -> Self {
        Self(Mutex::new(Ring {
            kept_max,
            kept: VecDeque::new(),
            floor: log_size,
            end: log_size,
            waiting: BTreeMap::new(),
            next_watch: 0,
        }))
    }

    /// Adds the events of a batch that is durable and final, after which the log has `log_size`
    /// entries; wakes who waits.
    pub(crate) fn publish(&self, events: impl IntoIterator<Item = Event>, log_size: u64) {
        let woken = {
            let mut ring = self.0.lock();
            for event in events {
                if ring.kept.len() >= ring.kept_max
                    && let Some(dropped) = ring.kept.pop_front()
                {
                    ring.floor = dropped.id + 1;
                }
                ring.kept.push_back(event);
            }
            ring.end = ring.end.max(log_size);
            std::mem::take(&mut ring.waiting)
        };
        // Outside of the lock: who is woken reads at once.
        woken.into_values().for_each(Waker::wake);
    }

    /// Up to `limit` events with the id `from` or a higher one.
    pub(crate) fn piece(&self, from: u64, limit: usize) -> Piece {
        let ring = self.0.lock();
        let start = ring.kept.partition_point(|event| event.id < from);
        Piece {
            events: ring.kept.iter().skip(start).take(limit).cloned().collect(),
            floor: ring.floor,
            end: ring.end,
        }
    }

    /// The oldest id of which every later event is kept, and the size of the log.
    pub(crate) fn bounds(&self) -> (u64, u64) {
        let ring = self.0.lock();
        (ring.floor, ring.end)
    }

    pub(crate) fn watch(self: &Arc<Self>) -> EventWatch {
        let mut ring = self.0.lock();
        let id = ring.next_watch;
        ring.next_watch += 1;
        EventWatch { events: self.clone(), id, seen: ring.end }
    }
}

/// Tells of new events, under any executor or none.
///
/// Costs nothing while nobody waits. What comes between two looks counts once.
#[derive(Debug)]
pub struct EventWatch {
    events: Arc<Events>,
    id: u64,
    seen: u64,
}

impl EventWatch {
    /// Ready if something was published since the last time this was ready, or since the watch was
    /// made; else the task is woken when something is.
    pub fn poll_changed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut ring = self.events.0.lock();
        if ring.end == self.seen {
            ring.waiting.insert(self.id, context.waker().clone());
            return Poll::Pending;
        }
        self.seen = ring.end;
        Poll::Ready(())
    }

    /// Waits as [`Self::poll_changed`] does.
    pub async fn changed(&mut self) {
        poll_fn(|context| self.poll_changed(context)).await;
    }
}

impl Drop for EventWatch {
    fn drop(&mut self) {
        // The waker may hold the last reference to a task, whose drop must not find the lock taken.
        let waker = self.events.0.lock().waiting.remove(&self.id);
        drop(waker);
    }
}
