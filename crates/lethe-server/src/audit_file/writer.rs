//! The thread that writes the audit trail.
//!
//! It alone knows where the chain ends. What is durable moves forward only after a sync; whatever
//! fails is done again from there, so that no event is lost or doubled.

use core::mem;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use lethe_types::{Clock, UnixMillis};

use super::chain::{Because, Head, Header, Link, Torn, push_event};
use super::directory::{AuditDirectory, FileReader, LogFile, header_of};
use super::lines::{Lines, Next};
use super::resume::resume;
use super::text::line_length;
use super::{Queue, Shared, WRITER_ENDED};

/// Owns the directory and the lines that are on their way to it.
pub(super) struct Writer {
    directory: Box<dyn AuditDirectory>,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    /// `None` after a failure and after the current file was put aside.
    file: Option<Box<dyn LogFile>>,
    trail: Trail,
    /// Events taken from the queue, of which the first `written` bytes are durable.
    batch: Vec<u8>,
    written: usize,
    /// The queue's count of events up to the end of `batch`.
    batch_end: u64,
    /// Chained lines on their way to the file.
    lines: Vec<u8>,
    /// Monotonic time of the last head.
    anchored_at: Duration,
    /// Number of the last line that the head names.
    anchored_seq: u64,
}

/// The durable end of the trail.
struct Trail {
    last: Link,
    /// Number of the last file.
    number: u64,
    /// When the last file was begun.
    opened: UnixMillis,
    kept_from: u64,
    /// Length up to which the current file is durable; what a failed write left behind it is cut
    /// off before the next one. `None` if there is no current file of this writer.
    length: Option<u64>,
    /// Length of the header of the current file.
    header_length: u64,
    /// For the header of the next file.
    because: Because,
    /// The same.
    torn: Option<Torn>,
    /// The header of a file whose making failed, perhaps only in its last step.
    attempted: Option<Vec<u8>>,
}

impl Writer {
    /// Finds the end of the trail and opens its file.
    pub(super) fn open(
        mut directory: Box<dyn AuditDirectory>,
        clock: Arc<dyn Clock>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let resumed = resume(&mut *directory)?;
        let trail = Trail {
            last: resumed.last,
            number: resumed.number,
            opened: clock.now(),
            kept_from: resumed.kept_from,
            length: None,
            header_length: 0,
            because: resumed.because,
            torn: resumed.torn,
            attempted: None,
        };
        let mut writer = Self {
            directory,
            clock,
            shared,
            file: None,
            trail,
            batch: Vec::new(),
            written: 0,
            batch_end: 0,
            lines: Vec::new(),
            anchored_at: Duration::ZERO,
            // Not written again at every start, so that one is possible with a full disk.
            anchored_seq: if resumed.is_anchored { resumed.last.seq } else { 0 },
        };
        match resumed.current {
            Some(header) if resumed.goes_on => {
                let file = writer.directory.open_current()?;
                let file = file.ok_or(io::ErrorKind::NotFound)?;
                writer.trail.length = Some(file.length()?);
                writer.trail.header_length = length_of(&header.line())? + 1;
                writer.trail.opened = header.opened;
                writer.file = Some(file);
            }
            // Evidence is not repaired: the file stays as it is, and the next line starts in a
            // file of its own, whose header tells of it.
            Some(header) => writer.directory.put_aside(header.file)?,
            None => {}
        }
        writer.ensure_file()?;
        writer.anchor()?;
        Ok(writer)
    }

    /// Writes until the trail is closed.
    pub(super) fn run(&mut self) {
        let on_panic = OnPanic(Arc::clone(&self.shared));
        loop {
            let is_last = self.take_batch();
            let mut is_last_attempt = false;
            while let Err(error) = self.advance(is_last) {
                // Whatever is half written is found by the next attempt, through a new handle: an
                // old one may already have told its error and now claim success.
                self.file = None;
                if self.written == self.batch.len() {
                    self.tell_durable();
                }
                self.shared.set_failure(format!("cannot write the audit trail: {error}"));
                if is_last_attempt {
                    mem::forget(on_panic);
                    return;
                }
                is_last_attempt = self.wait_for_retry();
            }
            self.finish_batch();
            if is_last {
                mem::forget(on_panic);
                return;
            }
        }
    }

    /// Waits for events, gathers for a while, and takes them; or takes none, when it is time to
    /// look after the files. Answers whether nothing follows.
    fn take_batch(&mut self) -> bool {
        let shared = &self.shared;
        let mut queue = shared.queue.lock();
        if queue.lines.is_empty() && !queue.is_closing {
            queue.is_writer_idle = true;
            let is_waiting = |queue: &mut Queue| queue.lines.is_empty() && !queue.is_closing;
            let check_time = shared.options.check_time;
            shared.work.wait_while_for(&mut queue, is_waiting, check_time);
            queue.is_writer_idle = false;
        }
        if !queue.lines.is_empty() && !queue.is_urgent && !queue.is_closing {
            let gather_time = shared.options.gather_time;
            let is_gathering = |queue: &mut Queue| !queue.is_urgent && !queue.is_closing;
            shared.work.wait_while_for(&mut queue, is_gathering, gather_time);
        }
        queue.is_urgent = false;
        mem::swap(&mut queue.lines, &mut self.batch);
        queue.bytes_in_writer = self.batch.len();
        self.batch_end = queue.recorded;
        self.written = 0;
        // No event is taken once it is closing, so that this batch is the last one.
        queue.is_closing
    }

    /// Makes the rest of the batch durable, in as many files as it takes, and the head if it is
    /// time for it.
    fn advance(&mut self, is_last: bool) -> io::Result<()> {
        self.ensure_file()?;
        if self.is_old() {
            self.rotate(Because::Age)?;
        }
        while self.written < self.batch.len() {
            if !self.write_lines()? {
                self.rotate(Because::Size)?;
            }
        }
        let since = self.clock.monotonic().saturating_sub(self.anchored_at);
        // A batch without events is taken when there was time to wait for one.
        let is_due = is_last || self.batch.is_empty() || since >= self.shared.options.check_time;
        if is_due { self.anchor() } else { Ok(()) }
    }

    /// Whether the current file has its age, and events.
    fn is_old(&self) -> bool {
        let age = self.clock.now().since(self.trail.opened);
        let has_events = self.trail.length.is_some_and(|length| length > self.trail.header_length);
        has_events && self.shared.options.rotate_after.is_some_and(|most| age >= most)
    }

    /// Opens the current file if it is not, without what a failed write left, or begins one.
    fn ensure_file(&mut self) -> io::Result<()> {
        if self.trail.length.is_some() && !self.directory.is_current() {
            // Moved or removed behind our back: go on in a new file rather than write where nobody
            // will look.
            self.forget_file(Because::Missing);
        }
        if let (Some(file), Some(length)) = (&self.file, self.trail.length) {
            if file.length()? == length {
                return Ok(());
            }
            // Somebody cut it or wrote into it: what is there now is not ours to change.
            self.forget_file(Because::Changed);
        }
        let Some(mut file) = self.directory.open_current()? else {
            self.forget_file(self.trail.because);
            return self.begin_file();
        };
        match self.trail.length {
            Some(durable) if file.length()? >= durable => {
                file.truncate(durable)?;
                self.file = Some(file);
                return Ok(());
            }
            None if self.is_attempted(&*file)? => {
                self.file = Some(file);
                return self.begun();
            }
            Some(_) | None => {}
        }
        let header = header_of(&*file)?;
        if header.is_some_and(|header| header.file == self.trail.number) {
            self.directory.put_aside(self.trail.number)?;
        } else {
            self.directory.put_apart()?;
        }
        self.forget_file(Because::Changed);
        self.begin_file()
    }

    fn forget_file(&mut self, because: Because) {
        self.file = None;
        self.trail.length = None;
        self.trail.because = because;
    }

    /// Whether `file` is the one whose making seemed to fail.
    fn is_attempted(&self, file: &dyn LogFile) -> io::Result<bool> {
        let Some(attempted) = &self.trail.attempted else { return Ok(false) };
        let is_alone = file.length()? == length_of(attempted)?;
        let mut lines = Lines::new(FileReader::new(file, 0), 0);
        let is_it = match lines.next()? {
            Next::Line(line) => attempted.strip_suffix(b"\n") == Some(line),
            Next::TooLong | Next::End(_) => false,
        };
        Ok(is_alone && is_it)
    }

    /// Puts the current file aside and begins the next one.
    fn rotate(&mut self, because: Because) -> io::Result<()> {
        self.file = None;
        self.directory.put_aside(self.trail.number)?;
        // A crash here leaves no current file; the next start finds the end of the trail in the
        // file that was put aside, and begins the next one.
        self.forget_file(because);
        self.begin_file()
    }

    /// Makes the next file with its header.
    fn begin_file(&mut self) -> io::Result<()> {
        let number = self.trail.number + 1;
        let kept = self.shared.options.keep_files.map_or(0, |files| number.saturating_sub(files));
        let header = Header {
            file: number,
            opened: self.clock.now(),
            because: self.trail.because,
            kept_from: self.trail.kept_from.max(kept).max(1),
            torn: self.trail.torn,
            prev: self.trail.last,
        };
        let mut line = header.line();
        line.push(b'\n');
        let made = self.directory.create_current(&line);
        self.trail.attempted = Some(line);
        self.file = Some(made?);
        self.begun()
    }

    /// The file whose header was attempted is there.
    fn begun(&mut self) -> io::Result<()> {
        let attempted = self.trail.attempted.take().unwrap_or_default();
        let line = attempted.strip_suffix(b"\n").unwrap_or_default();
        let header = Header::parse(line).ok_or_else(|| io::Error::other(HEADER_UNREADABLE))?;
        let length = length_of(&attempted)?;
        self.trail = Trail {
            last: header.link(),
            number: header.file,
            opened: header.opened,
            kept_from: header.kept_from,
            length: Some(length),
            header_length: length,
            because: Because::Missing,
            torn: None,
            attempted: None,
        };
        if self.shared.options.keep_files.is_some() {
            // After the header that allows it. What cannot be removed now is tried again with the
            // next file; no event depends on it.
            if let Err(error) = self.directory.remove_before(header.kept_from) {
                eprintln!("lethe: cannot remove old files of the audit trail: {error}");
            }
        }
        // The head leads into the new file from now on.
        self.anchor()
    }

    /// Appends as much of the batch as the current file takes, and syncs it. Answers whether it
    /// took any.
    fn write_lines(&mut self) -> io::Result<bool> {
        let file = self.file.as_mut().ok_or_else(|| io::Error::other(WRITER_ENDED))?;
        let length = self.trail.length.ok_or_else(|| io::Error::other(WRITER_ENDED))?;
        let has_events = length > self.trail.header_length;
        let room = self.shared.options.rotate_bytes.saturating_sub(length);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let (mut last, mut written, mut appended) = (self.trail.last, self.written, 0_usize);
        self.lines.clear();
        let mut rest = &self.batch[self.written..];
        while !rest.is_empty() {
            let (event, behind) = rest.split_at(line_length(rest));
            rest = behind;
            let before = self.lines.len();
            let link = push_event(&mut self.lines, event, last);
            // A file takes one line of any length.
            if appended + self.lines.len() > room && (has_events || appended + before > 0) {
                self.lines.truncate(before);
                break;
            }
            last = link;
            written += event.len();
            if self.lines.len() >= APPEND_BYTES {
                file.append(&self.lines)?;
                appended += self.lines.len();
                self.lines.clear();
            }
        }
        if written == self.written {
            return Ok(false);
        }
        file.append(&self.lines)?;
        appended += self.lines.len();
        // A crash before the sync may lose the events of the last moments, or tear the last line;
        // their operations are then at most answered, and changes are in the log on their own.
        file.sync()?;
        self.written = written;
        self.trail.last = last;
        self.trail.length = Some(length + u64::try_from(appended).map_err(io::Error::other)?);
        Ok(true)
    }

    /// Has the head name the last durable line.
    fn anchor(&mut self) -> io::Result<()> {
        let Some(bytes) = self.trail.length else { return Ok(()) };
        if self.anchored_seq != self.trail.last.seq {
            let head = Head { file: self.trail.number, bytes, link: self.trail.last };
            self.directory.write_head(&head.content())?;
            self.anchored_seq = self.trail.last.seq;
        }
        self.anchored_at = self.clock.monotonic();
        Ok(())
    }

    fn finish_batch(&mut self) {
        self.batch.clear();
        self.batch.shrink_to(BUFFER_BYTES_KEPT);
        self.lines.clear();
        self.lines.shrink_to(BUFFER_BYTES_KEPT);
        self.written = 0;
        self.shared.queue.lock().failure = None;
        self.tell_durable();
    }

    /// The events of the batch are durable.
    fn tell_durable(&self) {
        let mut queue = self.shared.queue.lock();
        queue.bytes_in_writer = 0;
        queue.durable = self.batch_end;
        queue.is_stuck = false;
        drop(queue);
        self.shared.progress.notify_all();
    }

    /// Waits after a failure. Answers whether the trail is closing, so that the next attempt is
    /// the last.
    fn wait_for_retry(&self) -> bool {
        let mut queue = self.shared.queue.lock();
        // An urgent flush does not make a disk come back sooner, but closing ends the wait.
        let is_waiting = |queue: &mut Queue| !queue.is_closing;
        let retry_time = self.shared.options.retry_time;
        self.shared.work.wait_while_for(&mut queue, is_waiting, retry_time);
        queue.is_closing
    }
}

/// Tells of a writer that did not end by itself, so that nobody waits for it and no event is taken.
struct OnPanic(Arc<Shared>);

impl Drop for OnPanic {
    fn drop(&mut self) {
        self.0.set_failure(WRITER_ENDED.to_owned());
    }
}

/// Most memory that a buffer keeps after a burst, in bytes.
const BUFFER_BYTES_KEPT: usize = 4 * 1_048_576;

/// Chained lines are appended in pieces of about this many bytes, with one sync for all of them.
const APPEND_BYTES: usize = 1_048_576;

const HEADER_UNREADABLE: &str = "the header of the new file of the audit trail is unreadable";

fn length_of(bytes: &[u8]) -> io::Result<u64> {
    u64::try_from(bytes.len()).map_err(io::Error::other)
}
