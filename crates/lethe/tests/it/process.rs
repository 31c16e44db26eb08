//! Processes, servers and folders for the tests, and their certain end.
//!
//! Promises: no child outlives its test, even if the test is killed; no fixed port, no sleep, no
//! wait without a deadline; a failure shows what the process wrote. Knows the command line of
//! `lethe`, its ready line and its `dev.json`; not its API, which is for the tests.
//!
//! A child is killed when the *thread* that started it ends. So a test starts its own servers and
//! never hands one over to another test through a static.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;
use std::{env, fs, thread};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

use crate::client::Client;

/// The executable under test.
pub(crate) const LETHE: &str = env!("CARGO_BIN_EXE_lethe");

/// A server may have to finish an interrupted destruction on a busy machine before it listens.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(20);

/// A server that was asked to end answers its running requests first.
pub(crate) const EXIT_WITHIN: Duration = Duration::from_secs(15);

/// The longest command is a demo or an import; nextest's own limit stands above it.
pub(crate) const COMMAND_WITHIN: Duration = Duration::from_secs(50);

/// A running `lethe serve --dev` on a data folder, with what its `dev.json` says.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    launch: Launch,
    dev: Value,
}

impl Server {
    /// Starts a server on `data` and waits until it is ready. The ports are the system's choice.
    /// `arguments` and `environment` come on top of the harness' own.
    ///
    /// # Panics
    /// If the server is not ready in time, with what it wrote.
    #[track_caller]
    pub(crate) fn start_dev(data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        match Self::try_start_dev(data, arguments, environment) {
            Ok(server) => server,
            Err(refused) => panic!("{refused:?}"),
        }
    }

    /// The same, for a server that is expected to refuse: a damaged file, a second server.
    ///
    /// # Errors
    /// How the process ended, or that it was not ready in time; it has ended in either case.
    pub(crate) fn try_start_dev(
        data: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, NotReady> {
        let data_text = data.to_str().expect("a test folder's name is UTF-8");
        let own = ["serve", "--dev", "--port-base", "0", "--data", data_text];
        Self::launch(Launch {
            program: LETHE.to_owned(),
            arguments: own.iter().chain(arguments).map(|word| (*word).to_owned()).collect(),
            environment: owned(environment),
            data: data.to_owned(),
            ready_within: READY_WITHIN,
        })
    }

    /// Starts what `launch` says and waits for its ready line.
    ///
    /// # Errors
    /// As [`Server::try_start_dev`].
    pub(crate) fn launch(launch: Launch) -> Result<Self, NotReady> {
        let mut command = child(&launch.program);
        command.args(&launch.arguments).envs(&launch.environment);
        let mut process = Process::start(command);
        match process.next_line(launch.ready_within) {
            Ok(line) => {
                let dev = read_dev_file(&line, &launch.data)
                    .unwrap_or_else(|why| panic!("{why}\n{}", process.written()));
                Ok(Self { process, launch, dev })
            }
            Err(RecvTimeoutError::Timeout) => {
                process.kill();
                Err(NotReady::Late(process.written()))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = process.wait_for_exit(EXIT_WITHIN);
                Err(NotReady::Ended { status, stderr: process.stderr() })
            }
        }
    }

    /// Ends the process at once, as a crash or a power cut of the process would.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        self.process.kill()
    }

    /// Asks the process to end and waits until it has.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.wait_for_exit(EXIT_WITHIN)
    }

    /// Waits until the process ends by itself, as it does at a failpoint.
    #[track_caller]
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        self.process.wait_for_exit(EXIT_WITHIN)
    }

    /// Kills the process if it still runs, and starts it again on the same data, with the same
    /// arguments and environment. Ports change; clients made before are of no more use.
    #[track_caller]
    pub(crate) fn restart(self) -> Self {
        let environment = self.launch.environment.clone();
        self.restart_in(environment)
    }

    /// The same, with this environment instead of the one before: with another crash point, or
    /// none.
    #[track_caller]
    pub(crate) fn restart_with(self, environment: &[(&str, &str)]) -> Self {
        self.restart_in(owned(environment))
    }

    #[track_caller]
    fn restart_in(mut self, environment: BTreeMap<String, String>) -> Self {
        self.kill();
        let launch = Launch { environment, ..self.launch.clone() };
        drop(self);
        Self::launch(launch).unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    /// The parsed `dev.json`.
    pub(crate) fn dev(&self) -> &Value {
        &self.dev
    }

    /// A member of a door's table in `dev.json`: `url`, `http_url`, `token`, ….
    #[track_caller]
    pub(crate) fn door(&self, door: &str, member: &str) -> &str {
        self.dev["doors"][door][member]
            .as_str()
            .unwrap_or_else(|| panic!("dev.json has no `doors.{door}.{member}`"))
    }

    /// The certificate that signed those of the doors, in PEM.
    #[track_caller]
    pub(crate) fn ca_pem(&self) -> String {
        let file = self.dev["ca_file"].as_str().expect("dev.json has `ca_file`");
        fs::read_to_string(file).unwrap_or_else(|error| panic!("cannot read {file}: {error}"))
    }

    /// A client of a door, over TLS, without credentials.
    #[track_caller]
    pub(crate) fn client(&self, door: &str) -> Client {
        Client::new(self.door(door, "url"), Some(&self.ca_pem()))
    }

    /// A client of the native door with the token of `dev.json`, which may do everything.
    #[track_caller]
    pub(crate) fn native(&self) -> Client {
        self.client("native").with_token(self.door("native", "token"))
    }

    /// The folder that the server keeps its data in.
    pub(crate) fn data(&self) -> &Path {
        &self.launch.data
    }

    /// The number of the process, for looking at its memory and its open files.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.child.id()
    }
}

/// What to start, and where its ready line leads.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) data: PathBuf,
    pub(crate) ready_within: Duration,
}

/// Why there is no server. The process has ended.
#[derive(Debug)]
pub(crate) enum NotReady {
    /// It ended by itself before it was ready.
    Ended {
        /// The exit code says what kind of refusal it was.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// It said nothing in time and was killed; here is what it wrote.
    Late(String),
}

/// Runs `lethe` with `arguments` to its end, without input.
#[track_caller]
pub(crate) fn run_cli(arguments: &[&str]) -> Output {
    run_cli_with(arguments, &[], &[])
}

/// Runs `lethe` to its end with an environment and an input of its own.
///
/// # Panics
/// If it has not ended within [`COMMAND_WITHIN`].
#[track_caller]
pub(crate) fn run_cli_with(
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: &[u8],
) -> Output {
    let mut command = child(LETHE);
    command.args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = spawn(&mut command);
    let process = process_of(&running);
    let mut stdin = running.stdin.take().expect("piped above");
    let input = input.to_owned();
    // A program may end without reading its input; only what it answers counts.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let (sender, receiver) = mpsc::channel();
    let waiter = thread::spawn(move || sender.send(running.wait_with_output()));
    let output = receiver.recv_timeout(COMMAND_WITHIN).unwrap_or_else(|_| {
        let _ended_meanwhile = kill_process(process, Signal::KILL);
        panic!("`lethe {}` did not end within {COMMAND_WITHIN:?}", arguments.join(" "))
    });
    writer.join().expect("the writer does not panic");
    waiter.join().expect("the waiter does not panic").expect("the receiver is still there");
    output.expect("the output can be read")
}

/// A command whose process dies with the thread that starts it, in an environment of its own.
/// Every child of a test goes through here.
pub(crate) fn child(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command.env_clear().env("PATH", PROGRAMS).env("RUST_BACKTRACE", "1");
    command.stdin(Stdio::null());
    command
}

/// A running child, its output, and its end at the latest when this value is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    /// Disconnected once both outputs are read to their end.
    reading: Receiver<()>,
}

impl Process {
    /// Starts `command`, which comes from [`child`], and reads its output from now on.
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let (readers, reading) = mpsc::channel();
        let (sender, lines) = mpsc::channel();
        let listener =
            Reader { copy: Arc::clone(&stdout), lines: Some(sender), end: readers.clone() };
        listener.follow(child.stdout.take().expect("piped above"));
        let collector = Reader { copy: Arc::clone(&stderr), lines: None, end: readers };
        collector.follow(child.stderr.take().expect("piped above"));
        Self { child, lines, stdout, stderr, reading }
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of the standard output, without its end.
    ///
    /// # Errors
    /// `Timeout` after `within`; `Disconnected` if there will be no more lines.
    pub(crate) fn next_line(&mut self, within: Duration) -> Result<String, RecvTimeoutError> {
        self.lines.recv_timeout(within)
    }

    /// Ends the process at once; also if it has ended before.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        // The standard library does not signal a process that it has already waited for.
        let _ended_before = self.child.kill();
        let status = self.child.wait().expect("a child can be waited for");
        // So that a failure shows the last line too.
        let _read_to_the_end = self.reading.recv_timeout(LAST_LINE_WITHIN);
        status
    }

    /// Sends `signal`, unless the process is known to have ended.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.child.try_wait().expect("a child can be waited for").is_none() {
            kill_process(process_of(&self.child), signal).expect("a child can be signalled");
        }
    }

    /// Waits for the end of the process.
    ///
    /// # Panics
    /// If it still runs after `within`; it is killed then.
    #[track_caller]
    pub(crate) fn wait_for_exit(&mut self, within: Duration) -> ExitStatus {
        if self.child.try_wait().expect("a child can be waited for").is_some() {
            return self.kill();
        }
        let process = process_of(&self.child);
        let (sender, ended) = mpsc::channel();
        // `NOWAIT` leaves the process to be waited for below, so that its number stays taken.
        let waiter = thread::spawn(move || {
            let ended = waitid(WaitId::Pid(process), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            let _nobody_waits_any_more = sender.send(ended.is_ok());
        });
        let in_time = ended.recv_timeout(within).is_ok();
        let status = self.kill();
        waiter.join().expect("the waiter does not panic");
        assert!(in_time, "still running after {within:?}\n{}", self.written());
        status
    }

    /// What the process wrote to its standard error so far.
    pub(crate) fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// All that the process wrote, for the message of a failure.
    pub(crate) fn written(&self) -> String {
        format!("--- stdout\n{}--- stderr\n{}---", read(&self.stdout), read(&self.stderr))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("a process of the failed test wrote:\n{}", self.written());
        }
    }
}

/// A folder of one test. It goes with the test; that of a failed test stays for a day.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new, empty folder on the disk that also holds the build.
    pub(crate) fn new() -> Self {
        static SWEEP: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        SWEEP.call_once(|| sweep(parent));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{IN_USE}{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("the build folder is writable");
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A path in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !thread::panicking() {
            // What cannot be removed now is removed by a later run.
            let _swept_later = fs::remove_dir_all(&self.0);
            return;
        }
        let name = self.0.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let kept = self.0.with_file_name(name.replacen(IN_USE, FAILED, 1));
        let kept = if fs::rename(&self.0, &kept).is_ok() { &kept } else { &self.0 };
        eprintln!("the folder of the failed test stays: {}", kept.display());
    }
}

/// Removes what killed test runs left in `parent`, and failed ones long ago.
pub(crate) fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(IN_USE).and_then(|rest| rest.split('-').next());
        let is_orphan = owner.is_some_and(|process| !Path::new("/proc").join(process).exists());
        let age = entry.metadata().and_then(|data| data.modified()).map(|time| time.elapsed());
        let is_old = age.is_ok_and(|age| age.is_ok_and(|age| age > FAILED_KEPT_FOR));
        if is_orphan || (name.starts_with(FAILED) && is_old) {
            // Another test process may be sweeping at the same time.
            let _swept_by_another = fs::remove_dir_all(entry.path());
        }
    }
}

/// Reads the file that the ready line names, which must be the one in the data folder.
fn read_dev_file(line: &str, data: &Path) -> Result<Value, String> {
    let named = line.strip_prefix("lethe ready ").ok_or(format!("not a ready line: {line:?}"))?;
    let same = |path: &Path| fs::canonicalize(path).ok();
    if same(Path::new(named)) != same(&data.join("dev.json")) {
        return Err(format!("the ready line names {named}, not dev.json of {}", data.display()));
    }
    let text =
        fs::read_to_string(named).map_err(|error| format!("cannot read {named}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{named} is not JSON: {error}"))
}

#[track_caller]
fn spawn(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| {
        assert_ne!(error.kind(), ErrorKind::NotFound, "`setpriv` is missing: run ./setup once");
        panic!("cannot start {command:?}: {error}")
    })
}

fn process_of(child: &Child) -> Pid {
    let number = i32::try_from(child.id()).expect("process numbers are positive i32");
    Pid::from_raw(number).expect("a process number is not zero")
}

/// Follows one output of a process in a thread, which ends with the process, since nobody else
/// holds the other end of the pipe.
struct Reader {
    copy: Arc<Mutex<String>>,
    lines: Option<Sender<String>>,
    /// Dropped at the end of the output; nothing is ever sent.
    end: Sender<()>,
}

impl Reader {
    fn follow(self, output: impl Read + Send + 'static) {
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
                copy.push_str(&line);
                copy.push('\n');
                drop(copy);
                // After the ready line nobody listens; the pipe is drained all the same.
                let _nobody_listens = self.lines.as_ref().map(|lines| lines.send(line));
            }
            drop(self.end);
        });
    }
}

fn read(text: &Mutex<String>) -> String {
    text.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn owned(environment: &[(&str, &str)]) -> BTreeMap<String, String> {
    environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Where a test finds programs, whatever the machine of the developer adds.
const PROGRAMS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Before the process number in the name of a running test's folder.
pub(crate) const IN_USE: &str = "lethe-test-";

/// The same for the folder of a test that failed.
pub(crate) const FAILED: &str = "lethe-failed-";

/// The last output of a process that has ended is in its pipe already.
const LAST_LINE_WITHIN: Duration = Duration::from_secs(5);

const FAILED_KEPT_FOR: Duration = Duration::from_secs(24 * 3600);
