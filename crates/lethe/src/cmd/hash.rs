//! `lethe hash`: the hash of a file, by the server.

use std::path::PathBuf;

use clap::Args;
use lethe_types::limits::MESSAGE_BYTES_MAX;

use crate::client::{Member, object};
use crate::connection::ConnectionArguments;
use crate::failure::Failure;
use crate::files::{STANDARD_STREAM, from_base64, read_input};
use crate::output::{Output, member};

/// What to hash.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// sha224, sha256, sha384, sha512, sha3-224, sha3-256, sha3-384, sha3-512 or sha1
    algorithm: String,
    /// The file to read; - is standard input
    #[arg(long = "in", value_name = "FILE", default_value = STANDARD_STREAM)]
    input: PathBuf,
}

/// Prints hexadecimal digits, as other programs do.
pub(crate) fn run(wanted: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let client = wanted.connection.connect()?;
    let message = read_input(&wanted.input, MESSAGE_BYTES_MAX)?;
    let body = object(&[
        ("algorithm", Member::Text(&wanted.algorithm)),
        ("message", Member::Bytes(message.expose())),
    ]);
    let answer = client.post("/v1/hash", &body)?.json()?;
    if output.is_json() {
        return output.json(&answer);
    }
    let hash = from_base64("the server's answer", member(&answer, "hash").as_bytes())?;
    let digits: String = hash.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    output.line(&digits)
}
