//! The history of keys: what was asked of them through this door, by whom and from where.
//!
//! A request only puts a record into memory; a thread of the journal writes what waits, in chunks
//! of many records, as documents of the door. The newest chunks are kept. What a crash loses is the
//! last seconds of a history for people: the audit trail has every decision.

use core::time::Duration;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use lethe_engine::{
    Caller, Collection, DocumentChange, DoorOperation, Engine, EngineError, Expected,
};
use lethe_http::block_on;
use lethe_types::RealmId;
use parking_lot::{Condvar, Mutex};

use crate::DOOR;

/// How long records may wait to be written, so that many are written at once.
const WRITE_INTERVAL: Duration = Duration::from_secs(2);
/// Records that are not left to wait for the interval.
const WAITING_MANY: usize = 2_000;
/// Most records that wait; what comes then is dropped. Only a store that fails lets so many wait.
const WAITING_MAX: usize = 100_000;
/// A chunk that is so long is followed by the next one, in bytes. The last one is written anew
/// whenever records are added to it.
const CHUNK_BYTES: usize = 65_536;
/// Chunks that are kept: some hundred thousand records.
const CHUNKS_KEPT: u64 = 1_024;
/// Most records in one commit. The longest (names of credentials have 256 bytes) fill 30 chunks,
/// and push out as many: what one change of documents may hold.
const RECORDS_WRITTEN_MAX: usize = 4_000;

const CHUNKS: Collection = Collection::named("activity");
const INDEX: Collection = Collection::named("activity_index");
const INDEX_ID: &str = "chunks";
const WRITE: DoorOperation = DoorOperation::named("ncloud.activity.write");

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Account,
    Token,
}

/// One request about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// In milliseconds.
    pub(crate) at: u64,
    pub(crate) tag: String,
    pub(crate) source: Source,
    /// By which access key.
    pub(crate) id: String,
    pub(crate) address: String,
    /// What was asked for.
    pub(crate) title: Cow<'static, str>,
    pub(crate) is_use: bool,
    /// Why it was refused, if it was.
    pub(crate) refused: Option<Cow<'static, str>>,
}

impl Record {
    /// One line, its parts apart by tabs.
    fn write(&self, out: &mut String) {
        let source = match self.source {
            Source::Account => "A",
            Source::Token => "T",
        };
        let kind = if self.is_use { "U" } else { "C" };
        let refused = self.refused.as_deref().unwrap_or_default();
        let parts = [
            &self.at.to_string(),
            self.tag.as_str(),
            source,
            &self.id,
            &self.address,
            &self.title,
            kind,
            refused,
        ];
        for (place, part) in parts.iter().enumerate() {
            if place > 0 {
                out.push('\t');
            }
            // Names of credentials may hold anything.
            out.extend(part.chars().map(|one| if one.is_control() { '?' } else { one }));
        }
        out.push('\n');
    }

    /// `None` for what [`Record::write`] does not write.
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split('\t');
        let at = parts.next()?.parse().ok()?;
        let tag = parts.next()?.to_owned();
        let source = match parts.next()? {
            "A" => Source::Account,
            "T" => Source::Token,
            _ => return None,
        };
        let (id, address) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let title = Cow::Owned(parts.next()?.to_owned());
        let is_use = parts.next()? == "U";
        let refused = parts.next().filter(|text| !text.is_empty());
        let refused = refused.map(|text| Cow::Owned(text.to_owned()));
        Some(Self { at, tag, source, id, address, title, is_use, refused })
    }
}

/// The journal of a door.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    engine: Arc<Engine>,
    system: Caller,
    waiting: Mutex<Waiting>,
    /// Something waits, or the journal is to end.
    moved: Condvar,
    /// Held while records go from memory to the store, so that a reader finds each once.
    stored: Mutex<Stored>,
}

#[derive(Default)]
struct Waiting {
    records: VecDeque<Record>,
    ends: bool,
}

/// Which chunks there are, and the text of the last one.
struct Stored {
    first: u64,
    last: u64,
    text: String,
}

impl Journal {
    /// Goes on where the last start ended. Blocks for reads of the store.
    ///
    /// # Errors
    /// The store's; [`EngineError::Internal`] if no thread can be started.
    pub(crate) fn open(engine: Arc<Engine>, realm: RealmId) -> Result<Self, EngineError> {
        let system = engine.system_caller(realm, DOOR)?;
        let stored = Stored::read(&engine, &system)?;
        let shared = Arc::new(Shared {
            engine,
            system,
            waiting: Mutex::default(),
            moved: Condvar::new(),
            stored: Mutex::new(stored),
        });
        let written = Arc::clone(&shared);
        let writer = thread::Builder::new().name("ncloud-journal".to_owned());
        let writer = writer.spawn(move || written.write_until_end());
        let writer = writer.map_err(|_| EngineError::Internal("no thread for the journal"))?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Remembers a record.
    pub(crate) fn tell(&self, record: Record) {
        let mut waiting = self.shared.waiting.lock();
        if waiting.records.len() >= WAITING_MAX {
            return;
        }
        waiting.records.push_back(record);
        if matches!(waiting.records.len(), 1 | WAITING_MANY) {
            self.shared.moved.notify_one();
        }
    }

    /// Calls `see` with every record from `from` (in milliseconds) on, newest first, until it
    /// returns `false`. Blocks for reads of the store.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn look_back(
        &self,
        from: u64,
        mut see: impl FnMut(Record) -> bool,
    ) -> Result<(), EngineError> {
        let shared = &self.shared;
        let stored = shared.stored.lock();
        let waiting: Vec<Record> = shared.waiting.lock().records.iter().rev().cloned().collect();
        for record in waiting {
            if record.at >= from && !see(record) {
                return Ok(());
            }
        }
        let (first, last, text) = (stored.first, stored.last, stored.text.clone());
        drop(stored);
        let mut text = Some(text);
        for number in (first..=last).rev() {
            let chunk = match text.take() {
                Some(text) => text,
                None => match shared.engine.document(&shared.system, CHUNKS, &chunk_id(number))? {
                    Some(document) => String::from_utf8_lossy(&document.body).into_owned(),
                    // Dropped meanwhile: so are all before it.
                    None => return Ok(()),
                },
            };
            let mut newest = 0;
            for record in chunk.lines().rev().filter_map(Record::parse) {
                newest = newest.max(record.at);
                if record.at >= from && !see(record) {
                    return Ok(());
                }
            }
            // Some clock may have stepped back within a chunk, not over whole ones.
            if newest < from && !chunk.is_empty() {
                return Ok(());
            }
        }
        Ok(())
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

impl core::fmt::Debug for Journal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

impl Shared {
    fn write_until_end(&self) {
        loop {
            let mut waiting = self.waiting.lock();
            while waiting.records.is_empty() && !waiting.ends {
                self.moved.wait(&mut waiting);
            }
            if !waiting.ends && waiting.records.len() < WAITING_MANY {
                self.moved.wait_for(&mut waiting, WRITE_INTERVAL);
            }
            let ends = waiting.ends;
            drop(waiting);
            let is_written = self.write();
            if ends && (!is_written || self.waiting.lock().records.is_empty()) {
                return;
            }
            if !is_written {
                let mut waiting = self.waiting.lock();
                if !waiting.ends {
                    self.moved.wait_for(&mut waiting, WRITE_INTERVAL);
                }
            }
        }
    }

    /// Writes what waits. Whether it is stored; what is not goes on waiting.
    fn write(&self) -> bool {
        let mut stored = self.stored.lock();
        let taken: Vec<Record> = {
            let mut waiting = self.waiting.lock();
            let count = waiting.records.len().min(RECORDS_WRITTEN_MAX);
            waiting.records.drain(..count).collect()
        };
        if taken.is_empty() {
            return true;
        }
        let mut chunks = vec![(stored.last, stored.text.clone())];
        for record in &taken {
            let (number, text) = chunks.last_mut().expect("there is one from the beginning");
            if text.len() < CHUNK_BYTES {
                record.write(text);
            } else {
                let mut text = String::new();
                record.write(&mut text);
                let number = *number + 1;
                chunks.push((number, text));
            }
        }
        let last = chunks.last().map_or(stored.last, |(number, _)| *number);
        let first = stored.first.max((last + 1).saturating_sub(CHUNKS_KEPT));
        let put = |collection, id: String, body: Option<String>| DocumentChange {
            collection,
            id,
            expected: Expected::Anything,
            body: body.map(String::into_bytes),
        };
        let written =
            chunks.iter().map(|(at, text)| put(CHUNKS, chunk_id(*at), Some(text.clone())));
        let dropped = (stored.first..first).map(|at| put(CHUNKS, chunk_id(at), None));
        let index = put(INDEX, INDEX_ID.to_owned(), Some(format!("{first} {last}")));
        let changes = written.chain(dropped).chain([index]).collect();
        if block_on(self.engine.write_documents(&self.system, WRITE, changes)).is_err() {
            let mut waiting = self.waiting.lock();
            taken.into_iter().rev().for_each(|record| waiting.records.push_front(record));
            return false;
        }
        stored.first = first;
        stored.last = last;
        stored.text = chunks.pop().map(|(_, text)| text).unwrap_or_default();
        true
    }
}

impl Stored {
    fn read(engine: &Engine, system: &Caller) -> Result<Self, EngineError> {
        let Some(index) = engine.document(system, INDEX, INDEX_ID)? else {
            return Ok(Self { first: 0, last: 0, text: String::new() });
        };
        let parse = |body: &[u8]| {
            let (first, last) = core::str::from_utf8(body).ok()?.split_once(' ')?;
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        let broken = EngineError::Internal("the index of the journal");
        let (first, last): (u64, u64) = parse(&index.body).ok_or(broken)?;
        let chunk = engine.document(system, CHUNKS, &chunk_id(last))?;
        let text = chunk.map(|chunk| String::from_utf8_lossy(&chunk.body).into_owned());
        Ok(Self { first, last, text: text.unwrap_or_default() })
    }
}

/// In the order of their numbers.
fn chunk_id(number: u64) -> String {
    format!("{number:020}")
}
