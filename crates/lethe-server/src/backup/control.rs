//! The control socket: how the command line asks a running server for what is the operator's alone.
//!
//! A socket in the data directory, which only the owner of the data enters. Whoever can open it
//! could as well read the slot, so that it asks for no further proof. One line of JSON asks, one
//! answers, and a segment may follow.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lethe_engine::Engine;

use super::take::{Answer, Ask, FollowersAnswer, begin, send};
use super::{BackupFailure, KeptBackup, feed};
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::private_files::PRIVATE_FILE_MODE;
use crate::{ServeError, ServeOptions};

/// Longest line that asks or answers, in bytes: a signed note, or the roots of a full slot.
pub(super) const LINE_BYTES_MAX: usize = 65_536;
/// Most connections at a time.
const CONNECTIONS_MAX: usize = 12;
/// How long a client may take to ask.
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may take to take a piece of a segment: until then the store keeps its log.
const TAKE_WITHIN: Duration = Duration::from_secs(60);
/// Of a thread that copies, as `nice` has it: a tenth of what a request gets, if both want it.
const COPY_PRIORITY: i32 = 10;
/// Bytes that are handed to the socket at once.
const PIECE_BYTES: usize = 256 * 1_024;

/// The control socket of a serving process.
pub(crate) struct Control {
    path: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    engine: Arc<Engine>,
    is_stopping: AtomicBool,
    connections: AtomicUsize,
}

impl Control {
    /// Listens in the data directory. The caller holds the store, so that a socket that is there
    /// belongs to a process that is gone.
    ///
    /// # Errors
    /// [`ServeError::Os`].
    pub(crate) fn start(data: &DataDir, engine: &Arc<Engine>) -> Result<Self, ServeError> {
        let path = data.control_socket();
        let failed = |source| ServeError::Os { what: "cannot open the control socket", source };
        let listener = listen(&path).map_err(failed)?;
        let shared = Arc::new(Shared {
            engine: engine.clone(),
            is_stopping: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        });
        let serving = shared.clone();
        let thread = std::thread::Builder::new()
            .name("lethe-control".to_owned())
            .spawn(move || serve(&listener, &serving))
            .map_err(failed)?;
        Ok(Self { path, shared, thread: Some(thread) })
    }

    /// Takes no more connections, and waits for those that are there.
    pub(crate) fn stop(mut self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        // A connection wakes the thread, which then sees that it is to end.
        let _woken = dial(&self.path);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened; there is nothing to add here.
            let _ended = thread.join();
        }
        // The next start removes one that stays.
        let _removed = fs::remove_file(&self.path);
    }
}

/// A connection to the server of this installation; `None` if none runs.
pub(super) fn connect(options: &ServeOptions) -> Result<Option<UnixStream>, BackupFailure> {
    connect_to(&crate::configuration(options)?)
}

/// A connection to the server of this configuration; `None` if none runs.
pub(super) fn connect_to(config: &Config) -> Result<Option<UnixStream>, BackupFailure> {
    let path = DataDir::new(&config.data).control_socket();
    match dial(&path) {
        Ok(stream) => Ok(Some(stream)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(BackupFailure::File { doing: "connect to", path, source }),
    }
}

/// Names of sockets have about a hundred bytes, those of directories more: the way through the open
/// directory is always short.
fn short(path: &Path) -> io::Result<(File, PathBuf)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let directory = File::open(parent)?;
    let number = directory.as_raw_fd();
    Ok((directory, PathBuf::from(format!("/proc/self/fd/{number}")).join(name)))
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let (_directory, short) = short(path)?;
    let listener = UnixListener::bind(&short)?;
    fs::set_permissions(path, Permissions::from_mode(PRIVATE_FILE_MODE))?;
    Ok(listener)
}

fn dial(path: &Path) -> io::Result<UnixStream> {
    let (_directory, short) = short(path)?;
    UnixStream::connect(short)
}

fn serve(listener: &UnixListener, shared: &Arc<Shared>) {
    let mut handlers: Vec<JoinHandle<()>> = Vec::new();
    for stream in listener.incoming() {
        if shared.is_stopping.load(Ordering::Acquire) {
            break;
        }
        handlers.retain(|handler| !handler.is_finished());
        let Ok(stream) = stream else { continue };
        if shared.connections.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
            shared.connections.fetch_sub(1, Ordering::AcqRel);
            refuse(&stream, "the server is busy with other backups".to_owned());
            continue;
        }
        let serving = shared.clone();
        let handler =
            std::thread::Builder::new().name("lethe-control-ask".to_owned()).spawn(move || {
                // What goes wrong with a client is the client's to tell.
                let _answered_or_gone = handle(&stream, &serving);
                serving.connections.fetch_sub(1, Ordering::AcqRel);
            });
        match handler {
            Ok(handler) => handlers.push(handler),
            Err(_) => drop(shared.connections.fetch_sub(1, Ordering::AcqRel)),
        }
    }
    for handler in handlers {
        let _ended = handler.join();
    }
}

fn handle(stream: &UnixStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(ASK_WITHIN))?;
    stream.set_write_timeout(Some(TAKE_WITHIN))?;
    let mut line = Vec::new();
    let longest = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    BufReader::new(stream).take(longest).read_until(b'\n', &mut line)?;
    let engine = &*shared.engine;
    match serde_json::from_slice(&line) {
        Ok(Ask::Backup { window_s, base }) => {
            let backup = match begin(engine, window_s, base.as_deref()) {
                Ok(backup) => backup,
                Err(error) => return refuse_io(stream, told(&error)),
            };
            let stoppable =
                Stoppable { stream, is_stopping: &shared.is_stopping, gives_way: false };
            let mut out = BufWriter::with_capacity(PIECE_BYTES, stoppable);
            answer(&mut out, &Answer::default())?;
            // A segment that is cut short has no note: the client sees it.
            send(engine, &backup, &mut out).map_err(|error| io::Error::other(told(&error)))
        }
        Ok(Ask::Follow { base }) => feed::serve(stream, engine, base, &shared.is_stopping),
        Ok(Ask::Followers) => {
            let status = engine.followers();
            let followers = FollowersAnswer {
                live: status.live,
                catching_up: status.catching_up,
                dropped: status.dropped,
                gone: status.gone,
                last_lost: status.last_lost.map(|time| time.0),
            };
            answer(&mut &*stream, &Answer { followers: Some(followers), ..Answer::default() })
        }
        Ok(Ask::Forget { backup }) => {
            let Ok(backup) = backup.parse() else {
                return refuse_io(stream, "this is no name of a backup".to_owned());
            };
            match engine.forget_backup(backup) {
                Ok(was_kept) => {
                    answer(&mut &*stream, &Answer { was_kept: Some(was_kept), ..Answer::default() })
                }
                Err(error) => refuse_io(stream, told(&error.into())),
            }
        }
        Ok(Ask::Kept) => match engine.kept_roots() {
            Ok(roots) => {
                let kept = roots.into_iter().map(KeptBackup::from);
                let kept = kept.map(|it| (it.backup.to_string(), it.epoch, it.until.0)).collect();
                answer(&mut &*stream, &Answer { kept: Some(kept), ..Answer::default() })
            }
            Err(error) => refuse_io(stream, told(&error.into())),
        },
        Err(_) => refuse_io(stream, "the server does not know what is asked".to_owned()),
    }
}

/// An error and what is behind it.
pub(super) fn told(error: &BackupFailure) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

fn refuse(stream: &UnixStream, why: String) {
    // Whoever does not listen needs no answer.
    let _told_or_gone = refuse_io(stream, why);
}

fn refuse_io(mut stream: &UnixStream, why: String) -> io::Result<()> {
    answer(&mut stream, &Answer { refused: Some(why), ..Answer::default() })
}

pub(super) fn answer(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// Ends a segment when the server is to stop. What is copied leaves the processor to requests.
struct Stoppable<'a> {
    stream: &'a UnixStream,
    is_stopping: &'a AtomicBool,
    gives_way: bool,
}

impl Write for Stoppable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_stopping.load(Ordering::Acquire) {
            return Err(io::Error::other("the server is stopping"));
        }
        if !self.gives_way {
            // Not sooner: the committer waits until the state that is copied is fixed, which it is
            // once a piece is full. Where it may not, copying only disturbs more.
            let _gave_way = rustix::process::setpriority_process(None, COPY_PRIORITY);
            self.gives_way = true;
        }
        let mut stream = self.stream;
        stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
