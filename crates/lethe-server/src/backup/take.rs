//! Taking a backup: from a running server through its control socket, or, if none runs, from the
//! data itself.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lethe_engine::{Backup, Engine};
use lethe_log::Hash;
use lethe_store::{Revision, StoreError};
use lethe_types::{BackupId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::chain::{Chain, NewSegment, SegmentFile};
use super::segment::{SegmentWriter, write_note};
use super::{BackupFailure, control};
use crate::audit_file::AuditFile;
use crate::clock::SystemClock;
use crate::{ServeError, ServeOptions, memory, open};

/// What is to be taken.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    /// Where the installation is.
    pub serve: ServeOptions,
    /// The directory of segments.
    pub destination: PathBuf,
    /// How long it can be restored; `None`: until the next destruction.
    pub window: Option<Duration>,
    /// Take everything also if the directory holds a backup that could be continued.
    pub full: bool,
}

/// A backup that was taken.
#[derive(Debug)]
pub struct Taken {
    /// Its segment.
    pub segment: SegmentFile,
    /// Whether a running server gave it.
    pub from_server: bool,
}

/// What is asked of a server over its control socket: one line of JSON.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Ask {
    /// A segment follows the line that answers.
    Backup {
        /// Seconds; none until the next destruction.
        window_s: Option<u64>,
        /// Signed note of the segment to continue.
        base: Option<String>,
    },
    /// A segment and everything that is committed after it follow the line that answers.
    Follow {
        /// Signed note of the copy to continue.
        base: Option<String>,
    },
    /// How the copies stand that follow.
    Followers,
    /// Lets the root of a backup go.
    Forget { backup: String },
    /// The roots that are kept.
    Kept,
}

/// The line that answers.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Answer {
    /// Why not.
    pub(super) refused: Option<String>,
    /// Whether it was the base that was refused: everything can be asked for.
    pub(super) base_refused: bool,
    /// Whether there was such a root.
    pub(super) was_kept: Option<bool>,
    /// The roots that are kept: backup, epoch, end in milliseconds since 1970.
    pub(super) kept: Option<Vec<(String, u64, u64)>>,
    /// The copies that follow.
    pub(super) followers: Option<FollowersAnswer>,
}

/// See [`lethe_engine::FollowerStatus`].
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FollowersAnswer {
    pub(super) live: u64,
    pub(super) catching_up: u64,
    pub(super) dropped: u64,
    pub(super) gone: u64,
    /// Milliseconds since 1970.
    pub(super) last_lost: Option<u64>,
}

/// A root that the slot keeps.
#[derive(Clone, Copy, Debug)]
pub struct KeptBackup {
    /// The backup.
    pub backup: BackupId,
    /// The epoch that it opens.
    pub epoch: u64,
    /// When it goes.
    pub until: UnixMillis,
}

impl From<lethe_engine::KeptRoot> for KeptBackup {
    fn from(root: lethe_engine::KeptRoot) -> Self {
        Self { backup: root.backup, epoch: root.epoch, until: root.until }
    }
}

/// Takes a backup. The directory's newest backup is continued if it is of this installation, unless
/// a full one is asked for.
///
/// # Errors
/// [`BackupFailure`]; the directory is as before. The root of a backup that failed on its way is
/// let go again.
pub fn take(
    options: &BackupOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<Taken, BackupFailure> {
    crate::crash_points::arm();
    let base = if options.full || !options.destination.exists() {
        None
    } else {
        Chain::read(&options.destination)?.newest().map(|newest| newest.signed.clone())
    };
    let (new, file) = NewSegment::create(&options.destination)?;
    let mut out = Counted { out: BufWriter::new(&file), bytes: 0, progress };
    let window_s = options.window.map(|window| window.as_secs());
    let from_server = match control::connect(&options.serve)? {
        Some(stream) => {
            receive(stream, &Ask::Backup { window_s, base }, &mut out)?;
            true
        }
        None => {
            let engine = open_engine(&options.serve)?;
            let taken = begin(&engine, window_s, base.as_deref())
                .and_then(|backup| send(&engine, &backup, &mut out));
            engine.close();
            taken?;
            false
        }
    };
    out.flush().map_err(BackupFailure::file("write", &options.destination))?;
    drop(out);
    Ok(Taken { segment: new.finish(&file)?, from_server })
}

/// The roots that the slot keeps.
///
/// # Errors
/// [`BackupFailure`].
pub fn kept(options: &ServeOptions) -> Result<Vec<KeptBackup>, BackupFailure> {
    let Some(stream) = control::connect(options)? else {
        let engine = open_engine(options)?;
        let kept = engine.kept_roots();
        engine.close();
        return Ok(kept?.into_iter().map(KeptBackup::from).collect());
    };
    let (answer, _) = ask(stream, &Ask::Kept)?;
    let strange = || BackupFailure::Refused("the server's answer makes no sense".to_owned());
    let kept = answer.kept.ok_or_else(strange)?.into_iter();
    kept.map(|(backup, epoch, until)| {
        let backup = backup.parse().map_err(|_| strange())?;
        Ok(KeptBackup { backup, epoch, until: UnixMillis(until) })
    })
    .collect()
}

/// Lets the root of a backup go before its time: it cannot be restored any more. Whether there was
/// one.
///
/// # Errors
/// [`BackupFailure`].
pub fn forget(options: &ServeOptions, backup: BackupId) -> Result<bool, BackupFailure> {
    let Some(stream) = control::connect(options)? else {
        let engine = open_engine(options)?;
        let forgotten = engine.forget_backup(backup);
        engine.close();
        return Ok(forgotten?);
    };
    let (answer, _) = ask(stream, &Ask::Forget { backup: backup.to_string() })?;
    Ok(answer.was_kept.unwrap_or(false))
}

/// Begins what was asked for.
pub(super) fn begin(
    engine: &Engine,
    window_s: Option<u64>,
    base: Option<&str>,
) -> Result<Backup, BackupFailure> {
    Ok(engine.begin_backup(window_s.map(Duration::from_secs), base)?)
}

/// Writes the segment of `backup`. If that fails its root is let go: nobody holds the copy.
pub(super) fn send(
    engine: &Engine,
    backup: &Backup,
    out: &mut dyn Write,
) -> Result<(), BackupFailure> {
    let sent = write_segment(engine, backup, out);
    if sent.is_err() && backup.restorable_until().is_some() {
        engine.forget_backup(backup.id())?;
    }
    sent.map(|_| ())
}

/// Writes the segment of `backup`; gives its revision and the digest of its note.
pub(super) fn write_segment(
    engine: &Engine,
    backup: &Backup,
    out: &mut dyn Write,
) -> Result<(Revision, Hash), BackupFailure> {
    let lost =
        |source| BackupFailure::File { doing: "write", path: PathBuf::from("the backup"), source };
    let mut writer = SegmentWriter::new(out).map_err(lost)?;
    let mut failed = None;
    let copied = engine.copy_backup(backup, &mut |space, key, row| {
        writer.row(space, key, row).map_err(|error| {
            let reason = error.to_string();
            failed = Some(error);
            StoreError::Unavailable { reason }
        })
    });
    if let Some(error) = failed {
        return Err(lost(error));
    }
    let revision = copied?;
    let (out, rows, bytes, digest) = writer.end_rows().map_err(lost)?;
    let signed = engine.sign_backup(backup.note(revision, rows, bytes, digest))?;
    write_note(out, &signed).and_then(|()| out.flush()).map_err(lost)?;
    Ok((revision, digest))
}

/// Asks, and copies the segment that follows the answer.
fn receive(stream: UnixStream, wanted: &Ask, out: &mut dyn Write) -> Result<(), BackupFailure> {
    let (_, mut rest) = ask(stream, wanted)?;
    let copied = io::copy(&mut rest, out);
    copied.map(|_| ()).map_err(BackupFailure::file("copy to", Path::new("the backup")))
}

pub(super) fn ask(
    mut stream: UnixStream,
    wanted: &Ask,
) -> Result<(Answer, BufReader<UnixStream>), BackupFailure> {
    let broken = |error: io::Error| BackupFailure::Gone(format!("the server is gone: {error}"));
    let mut line = serde_json::to_vec(wanted).map_err(|error| broken(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(broken)?;
    let mut reader = BufReader::new(stream);
    let mut answer = Vec::new();
    let longest = u64::try_from(control::LINE_BYTES_MAX).unwrap_or(u64::MAX);
    (&mut reader).take(longest).read_until(b'\n', &mut answer).map_err(broken)?;
    let answer: Answer = serde_json::from_slice(&answer).map_err(|error| broken(error.into()))?;
    match answer.refused {
        Some(why) if answer.base_refused => Err(BackupFailure::BaseRefused(why)),
        Some(why) => Err(BackupFailure::Refused(why)),
        None => Ok((answer, reader)),
    }
}

/// The engine of an installation that nobody serves.
fn open_engine(options: &ServeOptions) -> Result<Engine, BackupFailure> {
    let config = crate::configuration(options)?;
    memory::protect(config.memory)?;
    let clock = Arc::new(SystemClock::new());
    if !config.data.exists() {
        let why = format!("`{}` holds no installation", config.data.display());
        return Err(ServeError::Argument { argument: "--data", why }.into());
    }
    let store = open::existing_store(&config)?;
    let slot = open::slot(&config, &store, options.dev)?;
    let audit = AuditFile::open(&config.audit, clock.clone()).map_err(ServeError::from)?;
    let engine = open::engine(&config, store, slot, clock, Arc::new(audit))?;
    Ok(engine)
}

/// Counts what passes, and tells.
struct Counted<'a, W> {
    out: W,
    bytes: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        (self.progress)(self.bytes);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
