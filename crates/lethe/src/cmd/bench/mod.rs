//! stub
use crate::{failure::Failure, output::Output};
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {}
#[derive(clap::Args, Debug)]
pub(crate) struct FloorArguments {}
pub(crate) fn run(_: Arguments, _: &mut Output) -> Result<(), Failure> { Ok(()) }
pub(crate) fn run_floor(_: FloorArguments, _: &mut Output) -> Result<(), Failure> { Ok(()) }
