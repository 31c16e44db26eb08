//! The other end of a copy that follows: keeps a directory up to date with a server, and goes on by
//! itself when the server or the copy was away.
//!
//! Each connection begins with a segment of what changed since the newest state in the directory,
//! and goes on in a file of frames. A frame is durable before it is acknowledged.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lethe_log::BackupNote;
use lethe_types::UnixMillis;
use parking_lot::{Condvar, Mutex};

use super::chain::{Chain, FOLLOWED_ENDING, NewSegment, SegmentFile, name_of, sync_directory};
use super::frames::{header, note_of};
use super::messages::{END, FRAME, IDLE, SEGMENT, SEGMENT_END, read_message};
use super::take::{Ask, ask};
use super::{BackupFailure, control};
use crate::ServeOptions;
use crate::config::Config;
use crate::private_files::PRIVATE_FILE_MODE;

/// How long to wait before the server is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long a server may say nothing; it says something every half second.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What is to be kept up to date, and where.
#[derive(Clone, Debug)]
pub struct FollowOptions {
    /// Where the installation is.
    pub serve: ServeOptions,
    /// The directory of the copy.
    pub destination: PathBuf,
    /// Begin with everything also if the directory holds a copy that could be continued.
    pub full: bool,
    /// Begin anew with everything, beside the copy that goes on, once the changes since the last
    /// segment have more bytes.
    pub renew_bytes: u64,
}

/// What happens while a copy follows.
#[derive(Clone, Debug)]
pub enum FollowEvent {
    /// No server runs; it is asked again every second.
    Waiting,
    /// So many bytes of the first segment of a connection came.
    Copying(u64),
    /// The segment is whole and durable.
    Copied(Box<SegmentFile>),
    /// From now on the server answers no change that this copy does not hold.
    Live,
    /// The copy holds what this note says.
    Held(Box<BackupNote>),
    /// The connection ended; it is made again. Says why.
    Ended(String),
    /// The changes have become large: everything is copied anew beside them.
    Renewing,
    /// That failed; the copy goes on as it is. Says why.
    NotRenewed(String),
    /// The new copy goes on; the files of the one before are removed.
    Renewed,
}

/// Ends a copy that follows, from another thread.
#[derive(Debug, Default)]
pub struct Stop {
    state: Mutex<Stopping>,
    stopped: Condvar,
}

#[derive(Debug, Default)]
struct Stopping {
    is_stopped: bool,
    stream: Option<UnixStream>,
    also: Vec<Arc<Stop>>,
}

impl Stop {
    /// Ends it after the frame that is being written.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.is_stopped = true;
        if let Some(stream) = state.stream.take() {
            // The other end may have closed it first.
            let _ended = stream.shutdown(std::net::Shutdown::Both);
        }
        let also = std::mem::take(&mut state.also);
        drop(state);
        self.stopped.notify_all();
        also.iter().for_each(|stop| stop.stop());
    }

    /// Whatever ends this ends `other`.
    pub(super) fn also(&self, other: &Arc<Stop>) {
        let mut state = self.state.lock();
        if state.is_stopped {
            drop(state);
            other.stop();
        } else {
            state.also.push(other.clone());
        }
    }

    fn is_stopped(&self) -> bool {
        self.state.lock().is_stopped
    }

    fn holds(&self, stream: &UnixStream) -> io::Result<()> {
        self.state.lock().stream = Some(stream.try_clone()?);
        Ok(())
    }

    fn wait(&self, longest: Duration) {
        let mut state = self.state.lock();
        self.stopped.wait_while_for(&mut state, |state| !state.is_stopped, longest);
    }
}

/// One copy that follows and is never begun anew.
pub(super) fn follow_plainly(
    options: &FollowOptions,
    stop: &Stop,
    tell: &mut dyn FnMut(FollowEvent),
) -> Result<(), BackupFailure> {
    let mut base = if options.full || !options.destination.exists() {
        None
    } else {
        Chain::read(&options.destination)?.newest().map(|newest| newest.signed.clone())
    };
    let mut is_waiting = false;
    while !stop.is_stopped() {
        let Some(stream) = control::connect(&options.serve)? else {
            if !is_waiting {
                tell(FollowEvent::Waiting);
            }
            is_waiting = true;
            stop.wait(AGAIN_AFTER);
            continue;
        };
        is_waiting = false;
        let mut session = Session {
            destination: &options.destination,
            newest: base.clone(),
            frames: None,
            is_live: false,
        };
        let ended = session.run(stream, stop, tell);
        let got_on = session.newest != base;
        base = session.newest;
        match ended {
            Ok(why) if !stop.is_stopped() => tell(FollowEvent::Ended(why)),
            Ok(_) => {}
            Err(Ended::Base(why)) => {
                base = None;
                tell(FollowEvent::Ended(why));
                continue;
            }
            Err(Ended::Failed(error)) => return Err(error),
        }
        if !got_on {
            stop.wait(AGAIN_AFTER);
        }
    }
    Ok(())
}

/// Why a connection ended otherwise than by its end.
enum Ended {
    /// What the directory holds cannot be continued.
    Base(String),
    Failed(BackupFailure),
}

impl From<BackupFailure> for Ended {
    fn from(error: BackupFailure) -> Self {
        Self::Failed(error)
    }
}

/// One connection.
struct Session<'a> {
    destination: &'a Path,
    /// The signed note of what the directory holds.
    newest: Option<String>,
    frames: Option<Frames>,
    is_live: bool,
}

impl Session<'_> {
    fn run(
        &mut self,
        stream: UnixStream,
        stop: &Stop,
        tell: &mut dyn FnMut(FollowEvent),
    ) -> Result<String, Ended> {
        let gone = |error: &io::Error| format!("the server is gone: {error}");
        if let Err(error) = stop.holds(&stream).and_then(|()| {
            stream.set_read_timeout(Some(SILENCE_MAX))?;
            stream.set_write_timeout(Some(SILENCE_MAX))
        }) {
            return Ok(gone(&error));
        }
        let mut answers = match stream.try_clone() {
            Ok(answers) => answers,
            Err(error) => return Ok(gone(&error)),
        };
        let base = self.newest.clone();
        let had_base = base.is_some();
        let mut input = match ask(stream, &Ask::Follow { base }) {
            Ok((_, input)) => input,
            Err(BackupFailure::BaseRefused(why)) if had_base => return Err(Ended::Base(why)),
            Err(BackupFailure::Gone(why)) => return Ok(why),
            Err(error) => return Err(error.into()),
        };
        let revision = match self.segment(&mut input, tell)? {
            Ok(revision) => revision,
            Err(why) => return Ok(why),
        };
        let mut held = revision;
        let mut acknowledged = answers.write_all(&held.to_be_bytes());
        while acknowledged.is_ok() {
            let (kind, bytes) = match read_message(&mut input) {
                Ok(message) => message,
                Err(error) => return Ok(gone(&error)),
            };
            match kind {
                FRAME => held = self.frame(&bytes, tell)?,
                IDLE if bytes == [1] && !self.is_live => {
                    self.is_live = true;
                    tell(FollowEvent::Live);
                }
                IDLE => {}
                END => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
                _ => return Ok("the server says what this version does not know".to_owned()),
            }
            acknowledged = answers.write_all(&held.to_be_bytes());
        }
        Ok("the server is gone".to_owned())
    }

    /// Takes the segment; gives its revision, or why there is none.
    fn segment(
        &mut self,
        input: &mut impl Read,
        tell: &mut dyn FnMut(FollowEvent),
    ) -> Result<Result<u64, String>, BackupFailure> {
        let (new, file) = NewSegment::create(self.destination)?;
        let failed = BackupFailure::file("write", self.destination);
        let mut out = BufWriter::new(&file);
        let mut copied = 0_u64;
        loop {
            match read_message(input) {
                Ok((SEGMENT, bytes)) => {
                    if let Err(error) = out.write_all(&bytes) {
                        return Err(failed(error));
                    }
                    copied = copied.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
                    tell(FollowEvent::Copying(copied));
                }
                Ok((SEGMENT_END, _)) => break,
                Ok((END, why)) => return Ok(Err(String::from_utf8_lossy(&why).into_owned())),
                Ok(_) => return Ok(Err("the server says what makes no sense".to_owned())),
                Err(error) => return Ok(Err(format!("the server is gone: {error}"))),
            }
        }
        if let Err(error) = out.flush() {
            return Err(failed(error));
        }
        drop(out);
        let segment = new.finish(&file)?;
        self.newest = Some(segment.signed.clone());
        self.frames = Some(Frames::Begins { header: header(segment.note.digest) });
        let revision = segment.note.revision;
        tell(FollowEvent::Copied(Box::new(segment)));
        Ok(Ok(revision))
    }

    /// Makes a frame durable; gives the revision that the copy holds then.
    fn frame(
        &mut self,
        frame: &[u8],
        tell: &mut dyn FnMut(FollowEvent),
    ) -> Result<u64, BackupFailure> {
        let strange = |why: &str| BackupFailure::Refused(format!("the server's frame: {why}"));
        let signed = note_of(frame).ok_or_else(|| strange("it has no note"))?;
        let note = BackupNote::parse_unverified(&signed)?;
        let (mut file, path) = match self.frames.take() {
            Some(Frames::Begins { header }) => begin(self.destination, &note, &header)?,
            Some(Frames::Open { file, path }) => (file, path),
            None => return Err(strange("it comes before the segment")),
        };
        let written = file.write_all(frame).and_then(|()| file.sync_data());
        written.map_err(BackupFailure::file("write", &path))?;
        self.frames = Some(Frames::Open { file, path });
        self.newest = Some(signed);
        let revision = note.revision;
        tell(FollowEvent::Held(Box::new(note)));
        Ok(revision)
    }
}

/// The file of frames: it is made with the first.
enum Frames {
    Begins { header: Vec<u8> },
    Open { file: File, path: PathBuf },
}

fn begin(
    destination: &Path,
    note: &BackupNote,
    header: &[u8],
) -> Result<(File, PathBuf), BackupFailure> {
    let path = destination.join(name_of(note, "followed", FOLLOWED_ENDING));
    let mut open = OpenOptions::new();
    let open = open.create_new(true).append(true).mode(PRIVATE_FILE_MODE).open(&path);
    let mut file = open.map_err(BackupFailure::file("create", &path))?;
    file.write_all(header).map_err(BackupFailure::file("write", &path))?;
    sync_directory(destination)?;
    Ok((file, path))
}

/// How the copies of a running server stand.
#[derive(Clone, Copy, Debug)]
pub struct FollowersNow {
    /// Copies that have every answered change.
    pub live: u64,
    /// Copies that are being made or are catching up.
    pub catching_up: u64,
    /// Copies that were lost since the server's start, because they were late or went away.
    pub lost: u64,
    /// When the last one was lost.
    pub last_lost: Option<UnixMillis>,
}

/// How the copies stand that follow; `None` if no server runs.
///
/// # Errors
/// [`BackupFailure`].
pub fn followers(options: &ServeOptions) -> Result<Option<FollowersNow>, BackupFailure> {
    followers_of(&crate::configuration(options)?)
}

/// The same for a configuration.
pub(crate) fn followers_of(config: &Config) -> Result<Option<FollowersNow>, BackupFailure> {
    let Some(stream) = control::connect_to(config)? else { return Ok(None) };
    let (answer, _) = ask(stream, &Ask::Followers)?;
    let strange = || BackupFailure::Refused("the server's answer makes no sense".to_owned());
    let told = answer.followers.ok_or_else(strange)?;
    Ok(Some(FollowersNow {
        live: told.live,
        catching_up: told.catching_up,
        lost: told.dropped.saturating_add(told.gone),
        last_lost: told.last_lost.map(UnixMillis),
    }))
}
