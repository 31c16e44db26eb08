//! The executable `lethe`: the server, and everything that is done to one from a terminal.
//!
//! Layer 7. Holds no rule of its own: what a key may do is decided by the engine, whether a
//! receipt holds by `lethe-verify`. A command asks a server over its native door, as any other
//! program would, so that the command line can do nothing that the API cannot.
//!
//! Where to read: [`Cli`], then `cmd/`, one file or folder a command.

mod arguments;
mod client;
mod cmd;
mod connection;
mod console;
mod failure;
mod files;
mod local;
mod output;

use std::alloc::System;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use zeroizing_alloc::ZeroAlloc;

use failure::Failure;
use output::Output;

/// Clears every block of memory when it is given back. Secrets have types that do so themselves;
/// this is for the copies that libraries make on the way: request bodies, parsed JSON, buffers.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// A key management server whose deletes are immediate, final and provable.
#[derive(Debug, Parser)]
#[command(name = "lethe", version, after_help = AFTER_HELP)]
struct Cli {
    /// JSON for programs, on standard output; failures too, on standard error
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(cmd::serve::Arguments),
    /// See it work: destroy one customer's key and prove it, in ten seconds
    Demo(cmd::demo::Arguments),
    /// Make, use and destroy keys
    Key(cmd::key::Arguments),
    /// Destroy many keys: a vault, all with a label, or a list
    Destroy(cmd::destroy::Arguments),
    /// Ask others to agree to a destruction, and agree
    Approval(cmd::approval::Arguments),
    /// Make and change vaults and their rules
    Vault(cmd::vault::Arguments),
    /// See the realm, and set its deletion policy
    Realm(cmd::realm::Arguments),
    /// Make, change and revoke principals and their credentials
    Principal(cmd::principal::Arguments),
    /// Make, rotate and delete API keys, which programs sign in with
    Apikey(cmd::apikey::Arguments),
    /// See what was changed, or follow it
    Events(cmd::events::Arguments),
    /// Draw random bytes of the server
    Random(cmd::random::Arguments),
    /// Hash a file by the server
    Hash(cmd::hash::Arguments),
    /// Check the receipt of a destruction, offline
    Receipt(cmd::receipt::Arguments),
    /// See the audit trail, and check that nobody altered it
    Audit(cmd::audit::Arguments),
    /// Copy an installation while it serves, and check copies
    Backup(cmd::backup::Arguments),
    /// Make an installation out of a backup and the slot of the lost one
    Restore(cmd::restore::Arguments),
    /// See what wraps the root key, and change it
    Seal(cmd::seal::Arguments),
    /// Move the slot, where the root key lives, to another kind or other files
    Slot(cmd::slot::Arguments),
    /// Look at an installation and its machine: what is wrong, and what losing each thing would
    /// mean
    Doctor(cmd::doctor::Arguments),
    /// Measure a local server
    Bench(cmd::bench::Arguments),
    /// Print a configuration file that says what the defaults say, with every setting explained
    Config,
    /// Print the completions of a shell
    Completions(cmd::completions::Arguments),
    /// The bare endpoint that `bench` compares with
    #[command(hide = true)]
    BenchFloor(cmd::bench::FloorArguments),
}

const AFTER_HELP: &str = "\
Connection (key, destroy, approval, vault, realm, principal, events, random, hash), from the
environment, since others see command lines:
  LETHE_URL         address of the native door, as in https://127.0.0.1:8200
  LETHE_CA_FILE     PEM file of the authority that signed the server's certificate
  LETHE_TOKEN       bearer token, or
  LETHE_TOKEN_FILE  a file that holds it
  LETHE_DATA        instead: the data directory of a `serve --dev`, as `--dev DIR`

Exit codes:
  0  done; for `receipt verify`, `audit verify`: everything holds; for `key verify`: valid
  1  refused or failed; the message says why
  2  the command line is wrong
  3  the configuration or the connection settings are wrong
  4  data directory, store, slot or seal: wrong, missing, damaged or in use";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut output = Output::new(cli.json);
    let done = run(cli.command, &mut output).and_then(|()| output.finish());
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(cli.json);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(command: Command, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Serve(arguments) => cmd::serve::run(arguments),
        Command::Demo(arguments) => cmd::demo::run(arguments, output),
        Command::Key(arguments) => cmd::key::run(arguments, output),
        Command::Destroy(arguments) => cmd::destroy::run(arguments, output),
        Command::Approval(arguments) => cmd::approval::run(arguments, output),
        Command::Vault(arguments) => cmd::vault::run(arguments, output),
        Command::Realm(arguments) => cmd::realm::run(arguments, output),
        Command::Principal(arguments) => cmd::principal::run(arguments, output),
        Command::Apikey(arguments) => cmd::apikey::run(arguments, output),
        Command::Events(arguments) => cmd::events::run(arguments, output),
        Command::Random(arguments) => cmd::random::run(&arguments, output),
        Command::Hash(arguments) => cmd::hash::run(&arguments, output),
        Command::Receipt(arguments) => cmd::receipt::run(arguments, output),
        Command::Audit(arguments) => cmd::audit::run(arguments, output),
        Command::Backup(arguments) => cmd::backup::run(arguments, output),
        Command::Restore(arguments) => cmd::restore::run(arguments, output),
        Command::Seal(arguments) => cmd::seal::run(arguments, output),
        Command::Slot(arguments) => cmd::slot::run(arguments, output),
        Command::Doctor(arguments) => cmd::doctor::run(arguments, output),
        Command::Bench(arguments) => cmd::bench::run(arguments, output),
        Command::Config => output.bytes(lethe_server::config::Config::example().as_bytes()),
        Command::Completions(arguments) => cmd::completions::run(arguments, output),
        Command::BenchFloor(arguments) => cmd::bench::run_floor(arguments, output),
    }
}

#[cfg(test)]
mod tests;
