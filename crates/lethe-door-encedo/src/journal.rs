//! What the device log is made of: events, kept as documents of the door, and for each start of the
//! device a key for the MACs of its log.
//!
//! A request only puts an event into memory; a thread writes what waits. A deletion is different:
//! its event is a document of its own, written in the transaction of the deletion. What a crash
//! loses is the last instant of the view; the audit trail of the engine has every decision.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use lethe_engine::{
    Caller, Collection, Document, DocumentChange, DoorOperation, Engine, EngineError, Expected,
};
use lethe_http::block_on;
use lethe_types::Clock;
use lethe_types::limits::PAGE_DOCUMENTS_MAX;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use crate::b64;
use crate::event::Event;

/// How long events may wait to be written, so that many are written at once.
const WRITE_INTERVAL: Duration = Duration::from_millis(200);
/// Most events that wait; only a store that fails lets so many wait. What comes then is dropped.
const WAITING_MAX: usize = 100_000;
/// Most events in one document: each has fewer than 300 bytes.
const EVENTS_OF_DOCUMENT_MAX: usize = 500;
/// Most documents in one change.
const DOCUMENTS_OF_CHANGE_MAX: usize = 16;
/// After so many events of one start its uses of keys are left to the audit trail.
const EVENTS_OF_BOOT_MAX: u64 = 200_000;
/// Logs that are kept.
pub(crate) const LOGS_KEPT: usize = 128;

const BOOTS: Collection = Collection::named("boot");
const EVENTS: Collection = Collection::named("event");
const WRITE: DoorOperation = DoorOperation::named("encedo.log.write");
const BEGIN: DoorOperation = DoorOperation::named("encedo.log.begin");

/// A start of the device, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredBoot {
    /// The key of the MACs. Not a secret: the log shows it.
    pub(crate) mac_key: String,
    /// The device's signature over it.
    pub(crate) signature: String,
    /// In seconds since 1970.
    pub(crate) started: u64,
}

/// The journal of a device.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    engine: Arc<Engine>,
    own: Caller,
    clock: Arc<dyn Clock>,
    waiting: Mutex<Waiting>,
    /// Something waits, or the journal is to end.
    moved: Condvar,
    /// Everything that waited is written.
    settled: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// The log of now, the place of an event in it, and the event.
    events: VecDeque<(String, u64, String)>,
    log: String,
    next: u64,
    is_asked: bool,
    ends: bool,
}

impl Journal {
    /// # Errors
    /// [`EngineError::Internal`] if no thread can be started.
    pub(crate) fn open(
        engine: Arc<Engine>,
        own: Caller,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EngineError> {
        let shared = Arc::new(Shared {
            engine,
            own,
            clock,
            waiting: Mutex::default(),
            moved: Condvar::new(),
            settled: Condvar::new(),
        });
        let written = Arc::clone(&shared);
        let writer = thread::Builder::new().name("encedo-journal".to_owned());
        let writer = writer.spawn(move || written.write_until_end());
        let writer = writer.map_err(|_| EngineError::Internal("no thread for the journal"))?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Remembers an event of now.
    pub(crate) fn tell(&self, event: &Event) {
        let fields = event.fields(self.shared.clock.now().seconds());
        let mut waiting = self.shared.waiting.lock();
        let is_much = waiting.next >= EVENTS_OF_BOOT_MAX && event.kind.is_use();
        if waiting.events.len() >= WAITING_MAX || is_much {
            return;
        }
        let (log, place) = waiting.take_place();
        waiting.events.push_back((log, place, fields));
        if waiting.events.len() == 1 {
            self.shared.moved.notify_one();
        }
    }

    /// The document of an event that is written elsewhere, in the transaction of what it tells of.
    pub(crate) fn document(&self, event: &Event) -> DocumentChange {
        let fields = event.fields(self.shared.clock.now().seconds());
        let (log, place) = self.shared.waiting.lock().take_place();
        put(EVENTS, event_id(&log, place), format!("{place:x} {fields}\n"))
    }

    /// From now on events belong to the log of that name. Those before are written.
    pub(crate) async fn begin(&self, log: &str, boot: &StoredBoot) -> Result<(), EngineError> {
        let body = serde_json::to_string(boot)
            .map_err(|_| EngineError::Internal("a start that is no JSON"))?;
        let shared = &self.shared;
        let changes = vec![put(BOOTS, log.to_owned(), body)];
        shared.engine.write_documents(&shared.own, BEGIN, changes).await?;
        let mut waiting = shared.waiting.lock();
        log.clone_into(&mut waiting.log);
        waiting.next = 1;
        Ok(())
    }

    /// Waits until what was told is written, or cannot be. Blocks.
    pub(crate) fn flush(&self) {
        let mut waiting = self.shared.waiting.lock();
        waiting.is_asked = true;
        self.shared.moved.notify_one();
        while waiting.is_asked && !waiting.ends {
            self.shared.settled.wait(&mut waiting);
        }
    }

    /// The names of all logs, oldest first. Blocks for reads of the store.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn logs(&self) -> Result<Vec<String>, EngineError> {
        let shared = &self.shared;
        let page = shared.engine.documents(&shared.own, BOOTS, "", None, PAGE_DOCUMENTS_MAX)?;
        Ok(page.documents.into_iter().map(|document| document.id).collect())
    }

    /// A start of the device. Blocks for a read of the store.
    ///
    /// # Errors
    /// The store's; [`EngineError::Internal`] if it cannot be read.
    pub(crate) fn boot(&self, log: &str) -> Result<Option<StoredBoot>, EngineError> {
        let shared = &self.shared;
        let Some(document) = shared.engine.document(&shared.own, BOOTS, log)? else {
            return Ok(None);
        };
        let boot = serde_json::from_slice(&document.body);
        boot.map(Some).map_err(|_| EngineError::Internal("a start that is no JSON"))
    }

    /// The events of a log in their order: their fields. Blocks for reads of the store.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn events(&self, log: &str) -> Result<Vec<String>, EngineError> {
        let mut events = Vec::new();
        self.each_document(log, |document| {
            let text = String::from_utf8_lossy(&document.body).into_owned();
            events.extend(text.lines().filter_map(|line| {
                let (place, fields) = line.split_once(' ')?;
                Some((u64::from_str_radix(place, 16).ok()?, fields.to_owned()))
            }));
        })?;
        events.sort_by_key(|(place, _)| *place);
        Ok(events.into_iter().map(|(_, fields)| fields).collect())
    }

    /// Forgets the oldest logs, so that there is room for one more. Blocks for reads of the store.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn forget_oldest(&self) -> Result<(), EngineError> {
        let logs = self.logs()?;
        let shared = &self.shared;
        for log in logs.iter().take((logs.len() + 1).saturating_sub(LOGS_KEPT)) {
            let mut gone = Vec::new();
            self.each_document(log, |document| gone.push((EVENTS, document.id)))?;
            gone.push((BOOTS, log.clone()));
            for some in gone.chunks(DOCUMENTS_OF_CHANGE_MAX) {
                let remove = |(collection, id): &(Collection, String)| DocumentChange {
                    collection: *collection,
                    id: id.clone(),
                    expected: Expected::Anything,
                    body: None,
                };
                let changes = some.iter().map(remove).collect();
                shared.engine.write_documents(&shared.own, WRITE, changes).await?;
            }
        }
        Ok(())
    }

    fn each_document(&self, log: &str, mut see: impl FnMut(Document)) -> Result<(), EngineError> {
        let (shared, prefix) = (&self.shared, format!("{log}/"));
        let mut after: Option<String> = None;
        loop {
            let (own, from) = (&shared.own, after.as_deref());
            let page =
                shared.engine.documents(own, EVENTS, &prefix, from, DOCUMENTS_OF_CHANGE_MAX)?;
            after = page.documents.last().map(|document| document.id.clone());
            page.documents.into_iter().for_each(&mut see);
            if !page.more {
                return Ok(());
            }
        }
    }
}

impl Waiting {
    fn take_place(&mut self) -> (String, u64) {
        let place = self.next;
        self.next = place.saturating_add(1);
        (self.log.clone(), place)
    }
}

impl Shared {
    fn write_until_end(&self) {
        loop {
            let mut waiting = self.waiting.lock();
            while waiting.events.is_empty() && !waiting.ends && !waiting.is_asked {
                self.moved.wait(&mut waiting);
            }
            if !waiting.ends && !waiting.is_asked {
                self.moved.wait_for(&mut waiting, WRITE_INTERVAL);
            }
            let ends = waiting.ends;
            drop(waiting);
            let is_written = self.write();
            let mut waiting = self.waiting.lock();
            if waiting.events.is_empty() || !is_written {
                waiting.is_asked = false;
                self.settled.notify_all();
            }
            if ends && (!is_written || waiting.events.is_empty()) {
                return;
            }
            if !is_written && !waiting.ends {
                self.moved.wait_for(&mut waiting, WRITE_INTERVAL);
            }
        }
    }

    /// Writes what waits, up to a bound. Whether it is stored; what is not goes on waiting.
    fn write(&self) -> bool {
        let taken: Vec<(String, u64, String)> = {
            let mut waiting = self.waiting.lock();
            let most = EVENTS_OF_DOCUMENT_MAX * DOCUMENTS_OF_CHANGE_MAX / 2;
            let count = waiting.events.len().min(most);
            waiting.events.drain(..count).collect()
        };
        let mut documents: Vec<(String, String, String, usize)> = Vec::new();
        for (log, place, fields) in &taken {
            let line = format!("{place:x} {fields}\n");
            match documents.last_mut() {
                Some((of, _, body, count)) if of == log && *count < EVENTS_OF_DOCUMENT_MAX => {
                    body.push_str(&line);
                    *count += 1;
                }
                Some(_) | None => documents.push((log.clone(), event_id(log, *place), line, 1)),
            }
        }
        if documents.is_empty() {
            return true;
        }
        let changes = documents.into_iter().map(|(_, id, body, _)| put(EVENTS, id, body)).collect();
        if block_on(self.engine.write_documents(&self.own, WRITE, changes)).is_err() {
            let mut waiting = self.waiting.lock();
            taken.into_iter().rev().for_each(|event| waiting.events.push_front(event));
            return false;
        }
        true
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.waiting.lock().ends = true;
        self.shared.moved.notify_one();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has written what it could.
            let _ended = writer.join();
        }
    }
}

fn put(collection: Collection, id: String, body: String) -> DocumentChange {
    let body = Some(body.into_bytes());
    DocumentChange { collection, id, expected: Expected::Anything, body }
}

/// In the order of their places.
fn event_id(log: &str, place: u64) -> String {
    format!("{log}/{place:016x}")
}

/// The key of the MACs of a log, from what is kept.
pub(crate) fn mac_key(boot: &StoredBoot) -> Option<[u8; 32]> {
    b64::decode_array(&boot.mac_key)
}
