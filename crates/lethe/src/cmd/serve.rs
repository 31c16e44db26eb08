//! `lethe serve`: the server itself.

use std::path::PathBuf;

use clap::Args;
use lethe_server::ServeOptions;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::failure::Failure;

/// How the server is to be started.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// For development: a certificate authority of its own, a principal with every right, and all
    /// doors on ports 8200 and up; DATA/dev.json says what clients need
    #[arg(long)]
    dev: bool,
    /// Configuration file (TOML); without it the documented defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory [default: ./lethe-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// With --dev: port of the first door; 0 takes free ports [default: 8200]
    #[arg(long, value_name = "PORT", requires = "dev")]
    port_base: Option<u16>,
    /// With --dev: how far the server's clock is ahead, as in 73h
    #[arg(long, value_name = "TIME", requires = "dev")]
    clock_offset: Option<String>,
    /// A setting that goes before the file's, as in log.origin=keys.example; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Stop when the process with this number, which started the server, ends
    #[arg(long, hide = true, value_name = "PID")]
    end_with_parent: Option<i32>,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    if let Some(parent) = arguments.end_with_parent {
        end_with_parent(parent)?;
    }
    let options = ServeOptions {
        config: arguments.config,
        data: arguments.data,
        dev: arguments.dev,
        port_base: arguments.port_base,
        clock_offset: arguments.clock_offset,
        set: arguments.set,
    };
    lethe_server::serve(&options).map_err(Failure::Serve)
}

/// Has the kernel stop this process when the one that started it ends, however that ends.
///
/// # Errors
/// [`Failure::Failed`] if it has ended already.
pub(crate) fn end_with_parent(parent: i32) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| Failure::Failed(format!("cannot follow the parent's end: {error}")))?;
    // It may have ended before the line above, which then waits for the end of another one.
    if getppid().map(Pid::as_raw_pid) == Some(parent) {
        Ok(())
    } else {
        Err(Failure::Failed("the process that started this one has ended".to_owned()))
    }
}
