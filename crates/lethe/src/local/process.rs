//! Child processes of this executable.

use core::time::Duration;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use super::monotonic;

/// Longest wait for a process that was asked to end; then it is killed.
const END_WITHIN: Duration = Duration::from_secs(20);
/// Most that is kept of what a process says on its standard error.
const SAID_BYTES_MAX: usize = 65_536;
/// Longest line that a process may write.
const LINE_BYTES_MAX: u64 = 65_536;

/// Why a process does not do its work. It has ended.
#[derive(Debug)]
pub(crate) struct NotReady {
    /// Its exit code, if it ended by itself.
    pub(crate) exit_code: Option<i32>,
    /// What it said on its standard error, or what else is wrong.
    pub(crate) said: String,
}

impl NotReady {
    pub(super) fn because(why: &str) -> Self {
        Self { exit_code: None, said: why.to_owned() }
    }
}

/// A command that runs this executable.
pub(super) fn this_program() -> Result<Command, String> {
    let program = std::env::current_exe();
    program.map(Command::new).map_err(|error| format!("where is this program? {error}"))
}

/// What a process did that has ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Its exit code; `None` for a signal.
    pub(crate) exit_code: Option<i32>,
    /// What it said on its standard error.
    pub(crate) said: String,
}

/// Runs a command to its end.
pub(super) fn finish(mut command: Command) -> Result<Finished, String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot start this program: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    Ok(Finished { exit_code: output.status.code(), said })
}

/// All children, so that they can be ended together.
#[derive(Debug, Default)]
pub(super) struct Children(Mutex<Vec<Arc<Mutex<Child>>>>);

impl Children {
    /// Starts a command and waits for a line of its output that begins with `ready`.
    pub(super) fn start_command(
        &self,
        mut command: Command,
        ready: &str,
        within: Duration,
    ) -> Result<(ChildProcess, String), NotReady> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| NotReady::because(&format!("cannot start it: {error}")))?;
        let (sender, lines) = mpsc::channel();
        let said = Arc::default();
        if let Some(stdout) = child.stdout.take() {
            follow_lines(stdout, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            follow_text(stderr, Arc::clone(&said), sender);
        }
        let id = child.id();
        let child = Arc::new(Mutex::new(child));
        lock(&self.0).push(Arc::clone(&child));
        let mut process = ChildProcess { child, id, lines, said };
        let line = process.wait_for_line(ready, within)?;
        Ok((process, line))
    }

    /// Ends all of them at once.
    pub(super) fn kill_all(&self) {
        for child in lock(&self.0).drain(..) {
            kill(&child);
        }
    }
}

/// A running child.
#[derive(Debug)]
pub(crate) struct ChildProcess {
    child: Arc<Mutex<Child>>,
    id: u32,
    /// Its output; disconnected once both of its outputs are closed, which is when it has ended.
    lines: Receiver<String>,
    said: Arc<Mutex<String>>,
}

/// How a child ended that was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with exit code 0.
    Well,
    /// With another exit code, or by a signal, which has none.
    Badly(Option<i32>),
    /// Not in time, so that it was killed.
    Late,
}

impl ChildProcess {
    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn terminate(self) -> Ended {
        self.end_by(Signal::TERM)
    }

    /// Lets it die as of a fault of its own, which leaves a core file if it may.
    pub(crate) fn abort(self) -> Ended {
        self.end_by(Signal::ABORT)
    }

    fn end_by(self, signal: Signal) -> Ended {
        let number = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        if let Some(process) = number {
            // A child stays known until it is waited for, which is below, so that the number is
            // still its own; a signal to one that has ended does nothing.
            let _ = kill_process(process, signal);
        }
        let ended_in_time = self.wait_for_end(END_WITHIN);
        if !ended_in_time {
            kill(&self.child);
            return Ended::Late;
        }
        match lock(&self.child).wait() {
            Ok(status) if status.success() => Ended::Well,
            Ok(status) => Ended::Badly(status.code()),
            Err(_) => Ended::Badly(None),
        }
    }

    fn wait_for_line(&mut self, start: &str, within: Duration) -> Result<String, NotReady> {
        let deadline = monotonic() + within;
        loop {
            let left = deadline.saturating_sub(monotonic());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.starts_with(start) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    kill(&self.child);
                    let said = lock(&self.said).clone();
                    return Err(NotReady {
                        exit_code: None,
                        said: format!("it was not ready after {within:?}. {said}"),
                    });
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = lock(&self.child).wait();
                    let exit_code = status.ok().and_then(|status| status.code());
                    let said = lock(&self.said).trim_end().to_owned();
                    return Err(NotReady { exit_code, said });
                }
            }
        }
    }

    fn wait_for_end(&self, within: Duration) -> bool {
        let deadline = monotonic() + within;
        loop {
            match self.lines.recv_timeout(deadline.saturating_sub(monotonic())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => return true,
            }
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        kill(&self.child);
    }
}

fn kill(child: &Mutex<Child>) {
    let mut child = lock(child);
    // Both do nothing to a child that was waited for before.
    let _ = child.kill();
    let _ = child.wait();
}

/// Sends every line, until the output is closed; drains it also when nobody listens.
fn follow_lines(output: impl Read + Send + 'static, lines: Sender<String>) {
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        loop {
            let mut line = String::new();
            match output.by_ref().take(LINE_BYTES_MAX).read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let _ = lines.send(line.trim_end_matches('\n').to_owned());
        }
    });
}

/// Collects text, and holds `end` until the output is closed.
fn follow_text(output: impl Read + Send + 'static, text: Arc<Mutex<String>>, end: Sender<String>) {
    std::thread::spawn(move || {
        let mut output = output;
        let mut buffer = [0; 4_096];
        while let Ok(bytes @ 1..) = output.read(&mut buffer) {
            let mut text = lock(&text);
            if text.len() < SAID_BYTES_MAX {
                text.push_str(&String::from_utf8_lossy(&buffer[..bytes]));
            }
        }
        drop(end);
    });
}

/// What a panic left behind is as good as before: every value is replaced whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
