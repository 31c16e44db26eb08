//! The audit trail as JSON lines in a file: one event, one line.
//!
//! [`AuditFile::record`] formats the event on the caller's thread and copies it into a shared
//! buffer under one short lock; a writer thread swaps that buffer for an empty one, writes it with
//! one call and syncs it, so that one sync serves all events of some milliseconds. Nothing is
//! allocated and no thread is woken for an event while the writer is busy anyway.
//!
//! An event that was taken is never dropped. When the file cannot be written the trail is
//! *unavailable*: it takes no event, and the engine therefore refuses, until the writer, which
//! keeps trying, has written all that waits.
//!
//! The writer thread also chains the lines ([`chain`]): one hash a line, none on a request's
//! thread. [`verify`] checks the chain, [`read`] shows its events.
//!
//! Must not know what operations do; it only knows which of them are uses.

pub mod chain;
mod directory;
mod line;
mod lines;
mod names;
pub mod read;
mod resume;
mod text;
pub mod verify;
mod writer;

use core::fmt;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use lethe_engine::audit::{AuditEvent, AuditSink, AuditUnavailable};
use lethe_types::Clock;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::config::{AuditConfig, AuditedEvents};
use crate::private_files::{PrivateFileError, ensure_private_dir};

pub use directory::{AuditDirectory, LogFile, RealDirectory};
pub use line::REQUEST_BYTES_MAX;
pub use names::{CURRENT_FILE_NAME, HEAD_FILE_NAME};

/// Most bytes of events that wait for the file.
pub const QUEUE_BYTES_MAX: usize = 32 * 1_048_576;

/// The operations that use a key; `events = "management"` leaves them out when they are allowed.
pub const USE_OPERATIONS: [&str; 7] = [
    "key.agree",
    "key.decrypt",
    "key.encrypt",
    "key.mac",
    "key.mac_verify",
    "key.sign",
    "key.verify",
];

/// How long the writer gathers events for one sync. An event is durable about this time, and one
/// sync, after it was taken.
pub const GATHER_TIME: Duration = Duration::from_millis(10);

/// Longest wait of a request for room in the queue.
pub const ROOM_WAIT_TIME: Duration = Duration::from_millis(500);

/// How long the writer waits after a failure before it tries again.
pub const RETRY_TIME: Duration = Duration::from_secs(1);

/// How often the writer looks after its files while nothing is recorded, and about how long the
/// head may stay behind the trail.
pub const CHECK_TIME: Duration = Duration::from_secs(1);

/// Bounds and times of one audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditOptions {
    /// Which events are written.
    pub events: AuditedEvents,
    /// Most events that wait for the file.
    pub queue_events_max: usize,
    /// Most bytes that wait for the file.
    pub queue_bytes_max: usize,
    /// How long a caller waits for room in a full queue. It is load that fills it as a rule, and the
    /// writer is about to empty it; whoever asks in vain is followed by others who are refused at
    /// once, until the writer comes on.
    pub room_wait_time: Duration,
    /// Size at which a file is put aside, in bytes; far more than one line.
    pub rotate_bytes: u64,
    /// Age at which a file that has events is put aside; `None` for never.
    pub rotate_after: Option<Duration>,
    /// Most files that are kept beside the current one; `None` for all.
    pub keep_files: Option<u64>,
    /// How long the writer gathers events for one sync.
    pub gather_time: Duration,
    /// How long the writer waits after a failure before it tries again.
    pub retry_time: Duration,
    /// How often the writer looks after its files, and how long the head may stay behind.
    pub check_time: Duration,
}

impl AuditOptions {
    /// What `config` says, and the constants of this module.
    #[must_use]
    pub fn from_config(config: &AuditConfig) -> Self {
        Self {
            events: config.events,
            queue_events_max: config.queue,
            queue_bytes_max: QUEUE_BYTES_MAX,
            room_wait_time: ROOM_WAIT_TIME,
            rotate_bytes: config.rotate_bytes,
            rotate_after: config.rotate_after,
            keep_files: config.keep_files,
            gather_time: GATHER_TIME,
            retry_time: RETRY_TIME,
            check_time: CHECK_TIME,
        }
    }
}

/// The audit trail of a server. Share it as `Arc<AuditFile>`.
pub struct AuditFile {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What an operator is told about the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHealth {
    /// Why it takes no events; `None` if it does, or could if the queue had room.
    pub failure: Option<String>,
    /// Events that were taken since the start.
    pub recorded_events: u64,
    /// Events that were taken and are not durable yet.
    pub queued_events: u64,
    /// Events that were refused since the start, because the queue was full or the file failed.
    pub refused_events: u64,
}

/// The events taken so far could not be made durable; says why.
///
/// They are kept and written as soon as that is possible, unless the trail was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditWriteError {
    /// What failed.
    pub why: String,
    /// How many events wait.
    pub queued_events: u64,
}

impl fmt::Display for AuditWriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} audit events are not written: {}", self.queued_events, self.why)
    }
}

impl core::error::Error for AuditWriteError {}

/// Why an audit trail could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AuditOpenError {
    /// Its directory cannot be used.
    #[error("cannot use the directory of the audit trail")]
    Directory(#[source] PrivateFileError),
    /// Its file cannot be opened.
    #[error("cannot open the audit trail in `{}`", path.display())]
    File {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no thread for the writer.
    #[error("cannot start the writer of the audit trail")]
    Thread(#[source] std::io::Error),
}

impl AuditFile {
    /// Opens the trail in the directory that `config` names and creates it if needed. Existing
    /// events stay, and the chain goes on from the last of them; a file that ends within a line,
    /// after a crash, is put aside as it is.
    ///
    /// There must be one `AuditFile` for a directory: the caller holds the lock of the data
    /// directory.
    ///
    /// # Errors
    /// [`AuditOpenError`]. No event was changed.
    pub fn open(config: &AuditConfig, clock: Arc<dyn Clock>) -> Result<Self, AuditOpenError> {
        ensure_private_dir(&config.path).map_err(AuditOpenError::Directory)?;
        let directory = RealDirectory::new(config.path.clone(), Arc::clone(&clock));
        let options = AuditOptions::from_config(config);
        Self::start(Box::new(directory), clock, options).map_err(|error| match error {
            StartError::File(source) => AuditOpenError::File { path: config.path.clone(), source },
            StartError::Thread(source) => AuditOpenError::Thread(source),
        })
    }

    /// Starts the writer over any directory.
    pub(crate) fn start(
        directory: Box<dyn AuditDirectory>,
        clock: Arc<dyn Clock>,
        options: AuditOptions,
    ) -> Result<Self, StartError> {
        let shared = Arc::new(Shared {
            options,
            queue: Mutex::new(Queue::default()),
            work: Condvar::new(),
            progress: Condvar::new(),
        });
        let mut writer = writer::Writer::open(directory, clock, Arc::clone(&shared))
            .map_err(StartError::File)?;
        let thread = thread::Builder::new()
            .name("lethe-audit".to_owned())
            .spawn(move || writer.run())
            .map_err(StartError::Thread)?;
        Ok(Self { shared, writer: Mutex::new(Some(thread)) })
    }

    /// Waits until all events recorded before this call are durable. Blocks the thread for about
    /// one sync: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`AuditWriteError`] as soon as the writer fails; the events stay queued.
    pub fn flush(&self) -> Result<(), AuditWriteError> {
        let mut queue = self.shared.queue.lock();
        let target = queue.recorded;
        while queue.durable < target {
            if let Some(why) = &queue.failure {
                return Err(AuditWriteError { why: why.clone(), queued_events: queue.queued() });
            }
            queue.is_urgent = true;
            self.shared.work.notify_one();
            self.shared.progress.wait(&mut queue);
        }
        Ok(())
    }

    /// Takes no more events, writes what waits, and ends the writer. A second call does nothing.
    ///
    /// # Errors
    /// [`AuditWriteError`] if the last attempt failed too: these events are lost.
    pub fn close(&self) -> Result<(), AuditWriteError> {
        self.shared.queue.lock().is_closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.writer.lock().take() {
            // A writer that panicked has left its reason in the queue.
            let _ = thread.join();
        }
        let queue = self.shared.queue.lock();
        match (&queue.failure, queue.queued()) {
            (_, 0) => Ok(()),
            (failure, queued_events) => {
                let why = failure.clone().unwrap_or_else(|| WRITER_ENDED.to_owned());
                Err(AuditWriteError { why, queued_events })
            }
        }
    }

    /// How it goes.
    #[must_use]
    pub fn health(&self) -> AuditHealth {
        let queue = self.shared.queue.lock();
        AuditHealth {
            failure: queue.failure.clone(),
            recorded_events: queue.recorded,
            queued_events: queue.queued(),
            refused_events: queue.refused,
        }
    }
}

impl AuditSink for AuditFile {
    fn ready(&self) -> Result<(), AuditUnavailable> {
        self.shared.has_room()
    }

    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditUnavailable> {
        let is_left_out = self.shared.options.events == AuditedEvents::Management
            && event.refusal.is_none()
            && USE_OPERATIONS.contains(&event.operation);
        if is_left_out {
            return Ok(());
        }
        line::with_line(event, |line| self.shared.push(line))
    }
}

impl Drop for AuditFile {
    fn drop(&mut self) {
        // Whoever wants to know the outcome calls `close` first.
        let _ = self.close();
    }
}

impl fmt::Debug for AuditFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditFile").field("health", &self.health()).finish_non_exhaustive()
    }
}

/// Why the writer did not start.
#[derive(Debug)]
pub(crate) enum StartError {
    File(std::io::Error),
    Thread(std::io::Error),
}

/// An event's line is rarely longer.
const LINE_BYTES_ORDINARY: usize = 512;

const WRITER_ENDED: &str = "the writer of the audit trail ended unexpectedly";

/// What recorders and the writer share.
struct Shared {
    options: AuditOptions,
    queue: Mutex<Queue>,
    /// The writer waits here.
    work: Condvar,
    /// Those who flush wait here, and those who find the queue full.
    progress: Condvar,
}

/// Events on their way to the file. `durable <= recorded`; the lines of the events between are in
/// `lines` or with the writer.
#[derive(Default)]
struct Queue {
    lines: Vec<u8>,
    /// Bytes that the writer has taken and not yet made durable.
    bytes_in_writer: usize,
    recorded: u64,
    durable: u64,
    refused: u64,
    failure: Option<String>,
    /// The writer waits for the first event.
    is_writer_idle: bool,
    /// Somebody waits for durability, or the queue is half full: do not gather any longer.
    is_urgent: bool,
    /// Somebody waited in vain for room, and nothing became durable since.
    is_stuck: bool,
    is_closing: bool,
}

impl Queue {
    fn queued(&self) -> u64 {
        self.recorded - self.durable
    }
}

impl Shared {
    /// Whether a line of ordinary length would be taken now.
    fn has_room(&self) -> Result<(), AuditUnavailable> {
        self.wait_for_room(&mut self.queue.lock(), LINE_BYTES_ORDINARY)
    }

    /// Waits for a moment if the queue is full: a full queue is load, and slowing down those who
    /// make it is the answer to that. A trail that fails, or does not come on, refuses.
    fn wait_for_room(
        &self,
        queue: &mut MutexGuard<'_, Queue>,
        line_bytes: usize,
    ) -> Result<(), AuditUnavailable> {
        let takes_events = |queue: &Queue| queue.failure.is_none() && !queue.is_closing;
        let is_full = |queue: &Queue| {
            let bytes = queue.lines.len() + queue.bytes_in_writer + line_bytes;
            queue.queued() >= self.queue_events_max() || bytes > self.options.queue_bytes_max
        };
        if is_full(queue) && takes_events(queue) && !queue.is_stuck {
            queue.is_urgent = true;
            self.work.notify_one();
            let waits = |queue: &mut Queue| is_full(queue) && takes_events(queue);
            let wait_time = self.options.room_wait_time;
            queue.is_stuck |= self.progress.wait_while_for(queue, waits, wait_time).timed_out();
        }
        if is_full(queue) || !takes_events(queue) { Err(AuditUnavailable) } else { Ok(()) }
    }

    fn queue_events_max(&self) -> u64 {
        u64::try_from(self.options.queue_events_max).unwrap_or(u64::MAX)
    }

    /// Queues the line of one event. This is the lock that every request takes: keep it short.
    fn push(&self, line: &[u8]) -> Result<(), AuditUnavailable> {
        let mut queue = self.queue.lock();
        if let Err(refused) = self.wait_for_room(&mut queue, line.len()) {
            queue.refused += 1;
            return Err(refused);
        }
        let queued = queue.queued();
        queue.lines.extend_from_slice(line);
        queue.recorded += 1;
        let bytes = queue.lines.len() + queue.bytes_in_writer;
        let is_half_full = !queue.is_urgent
            && (queued >= self.queue_events_max() / 2 || bytes >= self.options.queue_bytes_max / 2);
        let must_wake = queue.is_writer_idle || is_half_full;
        queue.is_writer_idle = false;
        queue.is_urgent |= is_half_full;
        drop(queue);
        if must_wake {
            self.work.notify_one();
        }
        Ok(())
    }

    fn set_failure(&self, why: String) {
        self.queue.lock().failure = Some(why);
        self.progress.notify_all();
    }
}
