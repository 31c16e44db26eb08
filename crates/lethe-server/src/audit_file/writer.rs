//! The thread that writes the audit trail.

use core::mem;
use std::io;
use std::sync::Arc;

use super::directory::{AuditDirectory, LogFile};
use super::{Queue, Shared, WRITER_ENDED};

/// Owns the directory and the lines that are on their way to it.
pub(super) struct Writer {
    directory: Box<dyn AuditDirectory>,
    shared: Arc<Shared>,
    /// `None` after a failure and after the current file was put aside.
    file: Option<Box<dyn LogFile>>,
    /// Length up to which the current file is durable; what a failed write left behind it is cut
    /// off before the next one. `None` if the current file is not one that this writer knows.
    durable_length: Option<u64>,
    /// Lines taken from the queue, of which the first `written` bytes are durable.
    batch: Vec<u8>,
    written: usize,
    /// The queue's count of events up to the end of `batch`.
    batch_end: u64,
}

impl Writer {
    /// Opens the current file.
    pub(super) fn open(
        directory: Box<dyn AuditDirectory>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let mut writer = Self {
            directory,
            shared,
            file: None,
            durable_length: None,
            batch: Vec::new(),
            written: 0,
            batch_end: 0,
        };
        writer.open_file()?;
        Ok(writer)
    }

    /// Writes until the trail is closed.
    pub(super) fn run(&mut self) {
        let on_panic = OnPanic(Arc::clone(&self.shared));
        while self.take_batch() {
            let mut is_last_attempt = false;
            while let Err(error) = self.write_batch() {
                // Whatever is half written is found by the next attempt, through a new handle: an
                // old one may already have told its error and now claim success.
                self.file = None;
                self.shared.set_failure(format!("cannot write the audit trail: {error}"));
                if is_last_attempt {
                    mem::forget(on_panic);
                    return;
                }
                is_last_attempt = self.wait_for_retry();
            }
            self.finish_batch();
        }
        mem::forget(on_panic);
    }

    /// Waits for events, gathers for a while, and takes them; false when there will be no more.
    fn take_batch(&mut self) -> bool {
        let shared = &self.shared;
        let mut queue = shared.queue.lock();
        while queue.lines.is_empty() {
            if queue.is_closing {
                return false;
            }
            queue.is_writer_idle = true;
            shared.work.wait(&mut queue);
        }
        queue.is_writer_idle = false;
        if !queue.is_urgent && !queue.is_closing {
            let gather_time = shared.options.gather_time;
            let is_gathering = |queue: &mut Queue| !queue.is_urgent && !queue.is_closing;
            shared.work.wait_while_for(&mut queue, is_gathering, gather_time);
        }
        queue.is_urgent = false;
        mem::swap(&mut queue.lines, &mut self.batch);
        queue.bytes_in_writer = self.batch.len();
        self.batch_end = queue.recorded;
        self.written = 0;
        true
    }

    /// Makes the rest of the batch durable, in as many files as it takes.
    ///
    /// This is the one place through which every line passes, in order: what a line gets from its
    /// predecessors would be added here.
    fn write_batch(&mut self) -> io::Result<()> {
        while self.written < self.batch.len() {
            if !self.directory.is_current() {
                // Put aside, or moved or removed behind our back: go on in the file that has the
                // name now rather than write where nobody will look.
                self.file = None;
                self.durable_length = None;
            }
            let length = self.open_file()?;
            let rest = &self.batch[self.written..];
            let room = self.shared.options.rotate_bytes.saturating_sub(length);
            match whole_lines(rest, room) {
                0 if length > 0 => self.put_aside()?,
                // An empty file takes one line of any length.
                0 => self.append(first_line(rest))?,
                chunk => self.append(chunk)?,
            }
        }
        Ok(())
    }

    /// Opens the current file if it is not, without what a failed write left. Answers its length.
    fn open_file(&mut self) -> io::Result<u64> {
        if let (Some(file), Some(length)) = (&self.file, self.durable_length) {
            if file.length()? == length {
                return Ok(length);
            }
            // Somebody cut it or wrote into it: what is there now is not ours to change.
            self.durable_length = None;
        }
        let mut file = self.directory.open_current()?;
        let mut length = file.length()?;
        match self.durable_length {
            Some(durable) if length >= durable => {
                file.truncate(durable)?;
                length = durable;
            }
            Some(_) | None if file.last_byte()?.is_none_or(|byte| byte == b'\n') => {}
            Some(_) | None => {
                // A crash ended this file within a line. Evidence is not repaired: it stays as it
                // is, and the next line starts in a file of its own.
                self.directory.put_aside()?;
                file = self.directory.open_current()?;
                length = file.length()?;
            }
        }
        self.file = Some(file);
        self.durable_length = Some(length);
        Ok(length)
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.file = None;
        self.directory.put_aside()?;
        self.durable_length = None;
        Ok(())
    }

    fn append(&mut self, chunk: usize) -> io::Result<()> {
        let file = self.file.as_mut().ok_or_else(|| io::Error::other(WRITER_ENDED))?;
        let bytes = &self.batch[self.written..self.written + chunk];
        file.append(bytes)?;
        // A crash before the sync may lose the events of the last moments, or tear the last line;
        // their operations are then at most answered, and changes are in the log on their own.
        file.sync()?;
        self.written += chunk;
        let length = u64::try_from(chunk).map_err(io::Error::other)?;
        self.durable_length = self.durable_length.map(|durable| durable + length);
        Ok(())
    }

    fn finish_batch(&mut self) {
        self.batch.clear();
        self.batch.shrink_to(BUFFER_BYTES_KEPT);
        let mut queue = self.shared.queue.lock();
        queue.bytes_in_writer = 0;
        queue.durable = self.batch_end;
        queue.failure = None;
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

/// The longest run of whole lines at the start of `lines` with at most `room` bytes.
fn whole_lines(lines: &[u8], room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(lines.len());
    lines[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1)
}

fn first_line(lines: &[u8]) -> usize {
    lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |newline| newline + 1)
}
