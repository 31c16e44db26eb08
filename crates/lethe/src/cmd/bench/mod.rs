//! `lethe bench`: a small bounded load on a local server, beside what the work would cost without
//! a key store (the floor), in one run.
//!
//! Plain HTTP/1.1 over kept connections, one thread, one request at a time on each connection.
//! What counts is the CPU time of the server per 1,000 requests, and ratios: rates depend on the
//! machine and on what else it does.

mod algorithms;
mod bulk;
mod door;
mod floor;
mod http;
mod load;
mod measure;
mod report;
mod work;

use core::str::FromStr;
use core::time::Duration;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::connection::DevServer;
use crate::failure::Failure;
use crate::local::{ChildProcess, LocalServer, NotReady, Sandbox, interruptible};
use crate::output::Output;

pub(crate) use floor::{FloorArguments, run as run_floor};

/// Most connections at a time.
const CONNECTIONS_MAX: usize = 256;
/// Longest measurement of one kind of work, in seconds.
const SECONDS_MAX: u64 = 60;

/// What to measure, and where.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Connections at a time; each number is measured for itself
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 16, 64])]
    connections: Vec<usize>,
    /// Length of each measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 3,
          value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: u64,
    /// Only this work: encrypt, decrypt, sign, create, destroy
    #[arg(long, value_name = "WORK,…", value_delimiter = ',')]
    only: Vec<Kind>,
    /// A running `serve --dev` on this data directory; its keys are left alone
    #[arg(long, value_name = "DIR", conflicts_with = "data_under")]
    dev: Option<PathBuf>,
    /// With --dev: number of the server's process, to read its CPU time
    #[arg(long, requires = "dev")]
    pid: Option<u32>,
    /// Without --dev: the directory (and so the disk) under which the server keeps its data
    #[arg(long, value_name = "DIR")]
    data_under: Option<PathBuf>,
}

/// Work that is measured from its beginning to its end instead of for a time.
#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Make many keys, destroy them in one bulk destruction, and verify every receipt
    Bulk(bulk::Bulk),
    /// The door of a vendor, as its clients use it: signed requests, secrets of API keys
    Door(door::Door),
    /// Every algorithm and use on one core, without a server
    Algorithms(algorithms::Algorithms),
}

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// 32 bytes with AES-256-GCM.
    Encrypt,
    /// The same, back.
    Decrypt,
    /// 32 bytes with Ed25519.
    Sign,
    /// An AES-256 key, durable.
    Create,
    /// A key, for good, with its receipt.
    Destroy,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Encrypt, Self::Decrypt, Self::Sign, Self::Create, Self::Destroy];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Sign => "sign",
            Self::Create => "create",
            Self::Destroy => "destroy",
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| format!("there are: {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// What is measured, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    kinds: Vec<Kind>,
    connections: Vec<usize>,
    each: Duration,
}

impl Plan {
    fn of(arguments: &Arguments) -> Result<Self, Failure> {
        let mut connections = arguments.connections.clone();
        connections.sort_unstable();
        connections.dedup();
        let is_bounded = |count: &usize| (1..=CONNECTIONS_MAX).contains(count);
        if connections.is_empty() || !connections.iter().all(is_bounded) {
            let why = format!("--connections: each number is from 1 to {CONNECTIONS_MAX}");
            return Err(Failure::Usage(why));
        }
        let is_wanted = |kind: &Kind| arguments.only.is_empty() || arguments.only.contains(kind);
        Ok(Self {
            kinds: Kind::ALL.into_iter().filter(is_wanted).collect(),
            connections,
            each: Duration::from_secs(arguments.seconds),
        })
    }
}

pub(crate) fn run(mut arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    match arguments.command.take() {
        Some(Command::Bulk(wanted)) => return bulk::run(wanted, output),
        Some(Command::Door(wanted)) => return door::run(wanted, output),
        Some(Command::Algorithms(wanted)) => return algorithms::run(&wanted, output),
        None => {}
    }
    let plan = Plan::of(&arguments)?;
    let as_json = output.is_json();
    let sandbox = Sandbox::new(arguments.data_under.as_deref())?;
    interruptible(sandbox, move |sandbox| {
        let measured = measure_all(sandbox, &plan, &arguments)?;
        let mut output = Output::new(as_json);
        report::print(&measured, &mut output)?;
        output.finish()?;
        match report::errors(&measured) {
            None => Ok(()),
            Some(errors) => Err(Failure::Failed(errors)),
        }
    })
}

fn measure_all(
    sandbox: &Sandbox,
    plan: &Plan,
    arguments: &Arguments,
) -> Result<measure::Measured, Failure> {
    let server = match &arguments.dev {
        Some(directory) => BenchServer {
            dev: DevServer::read(directory).map_err(Failure::Configuration)?,
            process_id: arguments.pid,
            is_foreign: true,
            _process: None,
        },
        None => {
            let data = sandbox.path().join("data");
            let LocalServer { process, dev, .. } =
                sandbox.serve(&data).map_err(|refused| not_ready("the server", &refused))?;
            let process_id = Some(process.id());
            BenchServer { dev, process_id, is_foreign: false, _process: Some(process) }
        }
    };
    let floor = floor::start(sandbox)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(measure::all(plan, &server, &floor))
}

/// The server under load.
#[derive(Debug)]
pub(super) struct BenchServer {
    dev: DevServer,
    process_id: Option<u32>,
    /// Somebody else's: it is left as it was.
    is_foreign: bool,
    _process: Option<ChildProcess>,
}

fn not_ready(what: &str, refused: &NotReady) -> Failure {
    Failure::Failed(format!("{what} did not start: {}", refused.said))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn plan(arguments: &[&str]) -> Result<Plan, String> {
        let line = Line::try_parse_from(["x"].iter().chain(arguments))
            .map_err(|error| error.to_string())?;
        Plan::of(&line.arguments).map_err(|failure| failure.text().unwrap())
    }

    #[test]
    fn everything_is_measured_unless_told_otherwise() {
        let all = plan(&[]).unwrap();
        assert_eq!(all.kinds, Kind::ALL);
        assert_eq!((all.connections, all.each.as_secs()), (vec![1, 16, 64], 3));
        let some = plan(&["--only", "destroy,sign", "--connections", "64,8,8"]).unwrap();
        assert_eq!(some.kinds, [Kind::Sign, Kind::Destroy]);
        assert_eq!(some.connections, [8, 64]);
    }

    #[test]
    fn the_load_is_bounded() {
        #[track_caller]
        fn refused(arguments: &[&str], expected: &str) {
            let text = plan(arguments).unwrap_err();
            assert!(text.contains(expected), "{text}");
        }
        refused(&["--connections", "0"], "from 1 to 256");
        refused(&["--connections", "257"], "from 1 to 256");
        refused(&["--connections", ""], "invalid value");
        refused(&["--seconds", "0"], "1..=60");
        refused(&["--seconds", "61"], "1..=60");
        refused(&["--only", "everything"], "there are: encrypt, decrypt");
        refused(&["--pid", "1"], "--dev");
    }
}
