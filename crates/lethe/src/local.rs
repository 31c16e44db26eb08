//! Servers of this very executable as child processes in a scratch directory, for `demo` and
//! `bench`. Whatever ends the command, its processes end with it and its directory goes.

mod process;
mod scratch;

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::connection::DevServer;
use crate::failure::Failure;

pub(crate) use process::{ChildProcess, Ended, Finished, NotReady};
pub(crate) use scratch::Scratch;

/// How long a server may take until it listens.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// What a server says when it listens, before the name of its `dev.json`.
const READY: &str = "lethe ready ";

/// The setting without which a server refuses file systems that may keep what was overwritten.
const ACCEPT_FILESYSTEM: &str = "slot.accept_filesystem";

/// Surroundings of a server beside the ordinary ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start<'a> {
    /// More arguments: `--set`, `NAME=VALUE`.
    pub(crate) settings: &'a [&'a str],
    /// More of the environment.
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// The directory to be in; that of this process without one.
    pub(crate) directory: Option<&'a Path>,
    /// How long it may take until it listens; [`READY_WITHIN`] without one.
    pub(crate) within: Option<Duration>,
}

/// The scratch directory of a command, and its child processes.
#[derive(Debug)]
pub(crate) struct Sandbox {
    scratch: Scratch,
    children: process::Children,
}

impl Sandbox {
    /// A new directory in `parent`, or where the system keeps temporary files.
    ///
    /// # Errors
    /// [`Failure::Failed`] if it cannot be made.
    pub(crate) fn new(parent: Option<&Path>) -> Result<Arc<Self>, Failure> {
        let scratch = Scratch::new(parent)?;
        Ok(Arc::new(Self { scratch, children: process::Children::default() }))
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Leaves the directory where it is when the command ends.
    pub(crate) fn keep(&self) {
        self.scratch.keep();
    }

    /// Starts this executable with `arguments` and waits for the line that begins with `ready`.
    ///
    /// # Errors
    /// [`NotReady`]; the process has ended then.
    pub(crate) fn start(
        &self,
        arguments: &[&str],
        ready: &str,
    ) -> Result<(ChildProcess, String), NotReady> {
        self.start_as(arguments, Start::default(), ready)
    }

    fn start_as(
        &self,
        arguments: &[&str],
        start: Start<'_>,
        ready: &str,
    ) -> Result<(ChildProcess, String), NotReady> {
        let mut command = process::this_program().map_err(|why| NotReady::because(&why))?;
        command.args(arguments).envs(start.environment.iter().copied());
        if let Some(directory) = start.directory {
            command.current_dir(directory);
        }
        self.children.start_command(command, ready, start.within.unwrap_or(READY_WITHIN))
    }

    /// Runs this executable with `arguments` to its end.
    ///
    /// # Errors
    /// [`Failure::Failed`] if it cannot be started.
    pub(crate) fn run(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Finished, Failure> {
        let mut command = process::this_program().map_err(Failure::Failed)?;
        command.args(arguments).envs(environment.iter().copied());
        process::finish(command).map_err(Failure::Failed)
    }

    /// Starts `serve --dev` on `data`, with free ports.
    ///
    /// # Errors
    /// [`NotReady`].
    pub(crate) fn serve(&self, data: &Path) -> Result<LocalServer, NotReady> {
        self.serve_set(data, &[])
    }

    /// The same with more arguments: `--set`, `NAME=VALUE`.
    ///
    /// # Errors
    /// [`NotReady`].
    pub(crate) fn serve_set(&self, data: &Path, more: &[&str]) -> Result<LocalServer, NotReady> {
        self.serve_as(data, Start { settings: more, ..Start::default() })
    }

    /// The same as [`Sandbox::serve`], for data that takes longer to read.
    ///
    /// # Errors
    /// [`NotReady`].
    pub(crate) fn serve_within(
        &self,
        data: &Path,
        within: Duration,
    ) -> Result<LocalServer, NotReady> {
        self.serve_as(data, Start { within: Some(within), ..Start::default() })
    }

    /// The same in surroundings of its own.
    ///
    /// # Errors
    /// [`NotReady`].
    pub(crate) fn serve_as(&self, data: &Path, start: Start<'_>) -> Result<LocalServer, NotReady> {
        let refused = match self.serve_with(data, start) {
            Ok(server) => return Ok(server),
            Err(refused) => refused,
        };
        // Where the temporary files are in memory or on an overlay, the server is right to refuse;
        // for data that is thrown away in a moment it may go on.
        if refused.said.contains(ACCEPT_FILESYSTEM) {
            let accept = format!("{ACCEPT_FILESYSTEM}=true");
            let settings = [start.settings, &["--set", &accept]].concat();
            let server = self.serve_with(data, Start { settings: &settings, ..start })?;
            return Ok(LocalServer { accepts_any_filesystem: true, ..server });
        }
        Err(refused)
    }

    fn serve_with(&self, data: &Path, start: Start<'_>) -> Result<LocalServer, NotReady> {
        let directory = data.to_str().ok_or_else(|| NotReady::because("its path is not UTF-8"))?;
        let parent = std::process::id().to_string();
        let mut arguments = vec!["serve", "--dev", "--port-base", "0", "--data", directory];
        arguments.extend(["--end-with-parent", &parent]);
        arguments.extend(start.settings);
        let (process, line) = self.start_as(&arguments, start, READY)?;
        let dev_json = line.strip_prefix(READY).map(PathBuf::from).unwrap_or_default();
        let directory = dev_json.parent().unwrap_or(data);
        match DevServer::read(directory) {
            Ok(dev) => Ok(LocalServer { process, dev, accepts_any_filesystem: false }),
            Err(why) => Err(NotReady::because(&why)),
        }
    }

    fn end_all(&self) {
        self.children.kill_all();
        self.scratch.remove();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end_all();
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct LocalServer {
    /// Its process.
    pub(crate) process: ChildProcess,
    /// How to reach it.
    pub(crate) dev: DevServer,
    /// Its file system is one on which erasing proves nothing.
    pub(crate) accepts_any_filesystem: bool,
}

/// Does `work` in another thread; if the user interrupts it, ends what `sandbox` holds and returns.
///
/// # Errors
/// Those of `work`, and [`Failure::Failed`] for an interruption.
pub(crate) fn interruptible(
    sandbox: Arc<Sandbox>,
    work: impl FnOnce(&Sandbox) -> Result<(), Failure> + Send + 'static,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot wait: {error}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let (sender, done) = tokio::sync::oneshot::channel();
        let shared = Arc::clone(&sandbox);
        // Not joined if interrupted: it ends with the process, which is about to end. The children
        // follow this thread, so that it must be the one that starts them.
        let worker = std::thread::Builder::new().spawn(move || {
            let result = work(&shared);
            drop(shared);
            // Nobody listens only after an interruption.
            let _ = sender.send(result);
        });
        worker.map_err(failed)?;
        tokio::select! {
            result = done => result.unwrap_or_else(|_| {
                sandbox.end_all();
                Err(Failure::Failed("stopped by a fault of its own".to_owned()))
            }),
            _ = interrupt.recv() => Err(interrupted(&sandbox)),
            _ = terminate.recv() => Err(interrupted(&sandbox)),
        }
    })
}

fn interrupted(sandbox: &Sandbox) -> Failure {
    sandbox.end_all();
    Failure::Failed("interrupted; everything that it started is gone".to_owned())
}

/// Milliseconds since the beginning of 1970, as clients put them into what they sign.
pub(crate) fn unix_milliseconds() -> u128 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    Duration::try_from(now).unwrap_or_default().as_millis()
}

/// Time since a fixed point; never goes back.
pub(crate) fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).expect("the monotonic clock is not negative")
}

#[cfg(test)]
mod tests;
