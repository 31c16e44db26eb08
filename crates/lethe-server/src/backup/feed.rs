//! The server's end of a copy that follows: the segment, then every commit, each acknowledged.
//!
//! After the line that answers come messages (`messages.rs`). The other end answers each but
//! [`SEGMENT`] with the eight bytes of the revision that it holds durably.

use std::io::{self, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lethe_engine::{BackupError, Engine, Follow, Revision};
use lethe_log::Hash;
use lethe_store::StoreError;
use lethe_types::limits::FOLLOWER_WAIT_MAX;

use super::BackupFailure;
use super::control::{answer, told};
use super::frames::FrameWriter;
use super::messages::{END, FRAME, IDLE, PIECE_BYTES, SEGMENT, SEGMENT_END, write_message};
use super::take::{Answer, begin, write_segment};

/// How long nothing is committed before the other end is told so.
const IDLE_AFTER: Duration = Duration::from_millis(500);
/// How often somebody who waits for an answer looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long an end that catches up may take to answer.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(600);

/// Serves a copy that follows, until it ends, is dropped, or the server stops.
pub(super) fn serve(
    stream: &UnixStream,
    engine: &Engine,
    base: Option<String>,
    is_stopping: &AtomicBool,
) -> io::Result<()> {
    let line = Line { stream, is_stopping };
    let backup = match begin(engine, None, base.as_deref()) {
        Ok(backup) => backup,
        Err(error) => {
            let base_refused = matches!(error, BackupFailure::Engine(BackupError::Base(_)));
            let refused = Some(told(&error));
            return answer(&mut &*stream, &Answer { refused, base_refused, ..Answer::default() });
        }
    };
    answer(&mut &*stream, &Answer::default())?;
    let mut out = BufWriter::with_capacity(PIECE_BYTES, Pieces(&line));
    let sent = write_segment(engine, &backup, &mut out);
    drop(out);
    let (revision, digest) = match sent {
        Ok(sent) => sent,
        Err(error) => return line.end(&told(&error)),
    };
    let follow = match engine.follow(&backup, revision) {
        Ok(follow) => follow,
        Err(BackupError::Store(StoreError::WatchLost)) => {
            // What was copied is whole, and the next copy goes on there.
            line.message(SEGMENT_END, &[])?;
            line.acknowledged(revision, None)?;
            return line.end(BEHIND);
        }
        Err(error) => return line.end(&error.to_string()),
    };
    line.message(SEGMENT_END, &[])?;
    let served = line.acknowledged(revision, Some(&follow)).and_then(|is_held| {
        if is_held {
            follow.acknowledge(revision).map_err(io::Error::other)?;
        }
        go_on(&line, follow, revision, digest)
    });
    match &served {
        Ok(()) => {}
        Err(error) => eprintln!("lethe: a copy that followed ended: {error}"),
    }
    served
}

const BEHIND: &str = "more was committed than is kept for a copy: it goes on with what changed";
const LATE: &str = "the copy did not take a commit in time and was dropped: after the next \
                    destruction it opens no more, until it has caught up";
const STOPPING: &str = "the server stops";

/// Sends every commit. The end is told to the other side.
fn go_on(
    line: &Line<'_>,
    mut follow: Follow,
    mut revision: Revision,
    digest: Hash,
) -> io::Result<()> {
    let mut frames = FrameWriter::new(digest);
    let mut was_live = false;
    loop {
        if line.is_stopping.load(Ordering::Acquire) {
            return line.end(STOPPING);
        }
        let Some(is_live) = follow.is_live() else {
            eprintln!("lethe: {LATE}");
            return line.end(LATE);
        };
        if is_live && !was_live {
            eprintln!("lethe: a copy follows: {}", follow.backup());
            line.message(IDLE, &[1])?;
            line.acknowledged(revision, Some(&follow))?;
        }
        was_live = is_live;
        match follow.next(IDLE_AFTER, &mut |change| frames.push(change)) {
            Ok(Some(newest)) => {
                let (changes, bytes, digest) = frames.told();
                let note = follow.sign(changes, bytes, digest).map_err(io::Error::other)?;
                line.message(FRAME, &frames.frame(&note)?)?;
                revision = newest;
            }
            Ok(None) => line.message(IDLE, &[u8::from(is_live)])?,
            Err(StoreError::WatchLost) => return line.end(BEHIND),
            Err(StoreError::Closed) => return line.end(STOPPING),
            Err(error) => return line.end(&error.to_string()),
        }
        if line.acknowledged(revision, Some(&follow))? {
            // If it was dropped meanwhile, the next turn says so.
            let _held_or_dropped = follow.acknowledge(revision).map_err(io::Error::other)?;
        }
    }
}

/// The connection.
struct Line<'a> {
    stream: &'a UnixStream,
    is_stopping: &'a AtomicBool,
}

impl Line<'_> {
    fn message(&self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        write_message(&mut &*self.stream, kind, bytes)
    }

    fn end(&self, why: &str) -> io::Result<()> {
        self.stream.set_write_timeout(Some(FOLLOWER_WAIT_MAX))?;
        self.message(END, why.as_bytes())
    }

    /// Waits until the other end says that it holds `revision`. Gives up early if nobody waits for
    /// it any more, which gives `false`; the caller sees why.
    fn acknowledged(&self, revision: Revision, follow: Option<&Follow>) -> io::Result<bool> {
        let mut said = [0; 8];
        let mut have = 0;
        self.stream.set_read_timeout(Some(LOOK_EVERY))?;
        let looks = CATCH_UP_WITHIN.as_millis() / LOOK_EVERY.as_millis();
        for _ in 0..looks {
            let mut stream = self.stream;
            match stream.read(&mut said[have..]) {
                Ok(0) => return Err(io::Error::other("the other end went away")),
                Ok(read) => have += read,
                Err(error) if is_timeout(&error) => {
                    let is_dropped = follow.is_some_and(|follow| follow.is_live().is_none());
                    if is_dropped || self.is_stopping.load(Ordering::Acquire) {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error),
            }
            if have == said.len() {
                return if u64::from_be_bytes(said) == revision.0 {
                    Ok(true)
                } else {
                    Err(io::Error::other("the other end holds something else"))
                };
            }
        }
        Err(io::Error::other("the other end does not answer"))
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// Sends what is written as pieces of the segment.
struct Pieces<'a>(&'a Line<'a>);

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.is_stopping.load(Ordering::Acquire) {
            return Err(io::Error::other(STOPPING));
        }
        self.0.message(SEGMENT, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
