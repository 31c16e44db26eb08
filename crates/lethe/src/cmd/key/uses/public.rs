//! Public keys.

use std::path::PathBuf;

use clap::Args;
use lethe_types::KeyId;
use ureq::http::Method;

use crate::client::{Client, query_value};
use crate::failure::Failure;
use crate::files::{NewFile, PUBLIC_MODE};
use crate::output::Output;

/// A public key and the form that it is wanted in.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct PublicKey {
    /// The key
    id: KeyId,
    /// Of this version; without it of the current one
    #[arg(long)]
    version: Option<u32>,
    /// spki-pem, spki-der, raw or jwk
    #[arg(long, default_value = DEFAULT_FORMAT)]
    format: String,
    /// A new file to write it to; without it standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const DEFAULT_FORMAT: &str = "spki-pem";

pub(in crate::cmd::key) fn public_key(
    client: &Client,
    wanted: &PublicKey,
    output: &mut Output,
) -> Result<(), Failure> {
    let PublicKey { id, version, format, out } = wanted;
    let file = out.as_deref().map(|path| NewFile::create(path, PUBLIC_MODE)).transpose()?;
    let version = version.map(|version| format!("&version={version}")).unwrap_or_default();
    let path = format!("/v1/keys/{id}/public-key?format={}{version}", query_value(format));
    let answer = client.send(Method::GET, &path, "*/*", None)?;
    match file {
        Some(file) => file.keep(answer.body.expose()),
        None if output.is_json() && format == DEFAULT_FORMAT => {
            let pem = String::from_utf8_lossy(answer.body.expose()).into_owned();
            output.json(&serde_json::json!({ "public_key": pem }))
        }
        None => output.bytes(answer.body.expose()),
    }
}
