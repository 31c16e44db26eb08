//! `lethe audit`: the audit trail of a server on this machine, from its files.
//!
//! Reads only. The server may run meanwhile, or not.

mod tail;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lethe_server::ServeOptions;

use crate::failure::Failure;
use crate::output::Output;

/// What to do with the trail.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the newest events
    Tail(tail::Arguments),
    /// Check the whole chain of lines; exits with 0 only if everything holds
    Verify(verify::Arguments),
}

/// Where the trail is.
#[derive(Args, Debug)]
struct Place {
    /// Data directory of the server [default: ./lethe-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file of the server, if that sets `audit.path` or `data`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    /// The directory of the trail.
    ///
    /// # Errors
    /// [`Failure::Serve`], as the server itself would refuse its configuration.
    fn directory(&self) -> Result<PathBuf, Failure> {
        let options = ServeOptions {
            config: self.config.clone(),
            data: self.data.clone(),
            // It takes the files of servers with `--dev` too, whose doors need say less.
            dev: true,
            ..ServeOptions::default()
        };
        Ok(lethe_server::configuration(&options).map_err(Failure::Serve)?.audit.path)
    }
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    match arguments.command {
        Command::Tail(wanted) => tail::run(&wanted, output),
        Command::Verify(wanted) => verify::run(&wanted, output),
    }
}
