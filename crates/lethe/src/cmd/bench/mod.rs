//! `lethe bench`: a bounded load on a local server, beside what the work would cost without a key
//! store (the floor), in one run.
//!
//! Plain HTTP/1.1 or TLS over kept connections, one thread, one request at a time on each
//! connection; closed loops, or open ones at a given rate. Server and floor take turns. What counts
//! is the CPU time of the server per 1,000 requests, and ratios: rates depend on the machine and on
//! what else it does.

mod algorithms;
mod bulk;
mod cost;
mod door;
mod flood;
mod floor;
mod growth;
mod http;
mod latency;
mod load;
mod measure;
mod mixed;
mod plan;
mod plot;
mod report;
mod requests;
mod scale;
mod scenario;
mod schedule;
mod site;
mod work;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::local::{NotReady, Sandbox, interruptible};
use crate::output::Output;
use flood::Flood;
use plan::Plan;
use scenario::Wanted;
use site::BenchServer;

pub(crate) use floor::{FloorArguments, run as run_floor};

/// Most connections at a time.
const CONNECTIONS_MAX: usize = 256;
/// Longest measurement of one kind of work, in seconds.
const SECONDS_MAX: u64 = 60;
/// Most keys that are made beforehand: as many as one bulk destruction takes.
const KEYS_MAX: u64 = 10_000_000;
/// Most requests a second that an open loop is asked for.
const RATE_MAX: u32 = 1_000_000;

/// What to measure, and where.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Connections at a time; each number is measured for itself [default: 1,16,64; with --rate 64;
    /// with --mixed or --flood 16]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    connections: Vec<usize>,
    /// Length of each measurement, over all rounds
    #[arg(long, value_name = "SECONDS", default_value_t = 3,
          value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: u64,
    /// Turns that the server takes with what it is compared with
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// A tenth of a second each, in one round: does it work at all?
    #[arg(long, conflicts_with_all = ["seconds", "rounds"])]
    quick: bool,
    /// An open loop: so many requests a second, whether the server keeps up or not; each number is
    /// measured for itself. Latencies count from when a request was to be sent
    #[arg(long, value_name = "PER_S,…", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    rate: Vec<u32>,
    /// Only this work: encrypt, decrypt, encrypt-4k, decrypt-4k, encrypt-batch, encrypt-any, sign,
    /// sign-p256, sign-rsa-2048, sign-ml-dsa-65, api-key, list, names, create, destroy,
    /// bulk-destroy
    #[arg(long, value_name = "WORK,…", value_delimiter = ',')]
    only: Vec<Wanted>,
    /// Keys that are made beforehand. A server of its own is then started again, and its start
    /// measured
    #[arg(long, default_value_t = 0,
          value_parser = clap::value_parser!(u64).range(0..=KEYS_MAX))]
    keys: u64,
    /// Over TLS
    #[arg(long)]
    tls: bool,
    /// Instead: encryptions at a steady rate, alone and while something else happens: destroys,
    /// backup, flood (which is every --flood)
    #[arg(long, value_name = "WHAT,…", value_delimiter = ',')]
    mixed: Vec<mixed::Wanted>,
    /// The same, while clients misbehave: slow, half-open, oversize, bad-tokens
    #[arg(long, value_name = "KIND,…", value_delimiter = ',')]
    flood: Vec<Flood>,
    /// With --mixed or --flood: connections of the clients that misbehave
    #[arg(long, value_name = "N", default_value_t = 256,
          value_parser = clap::value_parser!(u64).range(1..=FLOOD_CONNECTIONS_MAX))]
    flood_connections: u64,
    /// With --mixed: destructions a second
    #[arg(long, value_name = "N", default_value_t = 1_000,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    destroys_per_s: u32,
    /// The report as JSON into a file, too
    #[arg(long, value_name = "FILE")]
    json_file: Option<PathBuf>,
    /// A picture of latency against load into a file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
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

/// Most connections of clients that misbehave.
const FLOOD_CONNECTIONS_MAX: u64 = 10_000;

/// Work that is measured from its beginning to its end instead of for a time, or elsewhere.
#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Make many keys, destroy them in one bulk destruction, and verify every receipt
    Bulk(bulk::Bulk),
    /// What a destruction, a backup and a restore cost on a server that grows
    Growth(growth::Growth),
    /// The door of a vendor, as its clients use it: signed requests, secrets of API keys
    Door(door::Door),
    /// Every algorithm and use on one core, without a server
    Algorithms(algorithms::Algorithms),
    /// Requests of your own to any local server, to compare
    Requests(requests::Requests),
}

pub(crate) fn run(mut arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    match arguments.command.take() {
        Some(Command::Bulk(wanted)) => return bulk::run(wanted, output),
        Some(Command::Growth(wanted)) => return growth::run(wanted, output),
        Some(Command::Door(wanted)) => return door::run(wanted, output),
        Some(Command::Algorithms(wanted)) => return algorithms::run(&wanted, output),
        Some(Command::Requests(wanted)) => return requests::run(&wanted, output),
        None => {}
    }
    let plan = Plan::of(&arguments)?;
    let as_json = output.is_json();
    let sandbox = Sandbox::new(arguments.data_under.as_deref())?;
    interruptible(sandbox, move |sandbox| {
        let measured = measure_all(sandbox, &plan, &arguments)?;
        if let Some(file) = &arguments.json_file {
            let text = format!("{:#}\n", report::json(&measured));
            write_file(file, &text)?;
        }
        if let Some(file) = &arguments.svg {
            write_file(file, &plot::svg(&report::panels(&measured)))?;
        }
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
    let server = match &arguments.dev {
        Some(directory) => BenchServer::foreign(directory, arguments.pid)?,
        None => BenchServer::start(sandbox)?,
    };
    let (server, scale) = match plan.keys {
        0 => (server, None),
        keys => {
            let (server, scale) = scale::fill(sandbox, server, keys, plan.is_tls, &runtime)?;
            (server, Some(scale))
        }
    };
    let floor = floor::start(sandbox, plan.is_tls.then_some(server.data.as_path()))?;
    runtime.block_on(measure::all(plan, &server, &floor, scale, sandbox))
}

fn write_file(file: &std::path::Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text)
        .map_err(|error| Failure::Failed(format!("cannot write `{}`: {error}", file.display())))
}

fn not_ready(what: &str, refused: &NotReady) -> Failure {
    Failure::Failed(format!("{what} did not start: {}", refused.said))
}
