//! `lethe random`: random bytes of the server.

use std::path::PathBuf;

use clap::Args;
use lethe_types::SecretVec;
use serde::Deserialize;

use crate::client::{Member, object};
use crate::connection::ConnectionArguments;
use crate::failure::Failure;
use crate::files::{NewFile, PRIVATE_MODE, from_base64};
use crate::output::Output;

/// How many random bytes.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// 1 to 65536
    bytes: u32,
    /// A new file for the bytes as they are; without it base64 on standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Drawn<'a> {
    random: &'a str,
}

pub(crate) fn run(wanted: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let client = wanted.connection.connect()?;
    let file = wanted.out.as_deref().map(|path| NewFile::create(path, PRIVATE_MODE)).transpose()?;
    let body = object(&[("bytes", Member::Number(wanted.bytes))]);
    let answer = client.post("/v1/random", &body)?;
    let drawn: Drawn<'_> = answer.parse()?;
    let bytes: SecretVec = from_base64("the server's answer", drawn.random.as_bytes())?;
    match file {
        Some(file) => file.keep(bytes.expose()),
        None if output.is_json() => output.bytes(&[answer.body.expose(), b"\n"].concat()),
        None => output.bytes(&[drawn.random.as_bytes(), b"\n"].concat()),
    }
}
