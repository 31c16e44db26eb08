//! Agree on secrets, encapsulate them, and wrap files.

use std::path::PathBuf;

use clap::Args;
use lethe_types::KeyId;
use lethe_types::limits::BODY_BYTES_MAX;

use super::{Streams, make, reveal, secret_member};
use crate::client::{Client, Member, object};
use crate::failure::Failure;
use crate::files::{NewFile, PRIVATE_MODE, PUBLIC_MODE, from_base64, read_input};
use crate::output::Output;

/// The other side of an agreement.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct Agree {
    /// `--in` is the file with the public key of the other side, `--out` takes the secret
    #[command(flatten)]
    streams: Streams,
    /// Form of the public key: raw, spki-der, spki-pem or jwk
    #[arg(long, default_value = "spki-pem")]
    format: String,
    /// This hash of the secret instead of the secret
    #[arg(long, value_name = "HASH", conflicts_with = "hkdf")]
    hash: Option<String>,
    /// What HKDF with this hash makes of the secret: sha256, sha384 or sha512
    #[arg(long, value_name = "HASH", requires = "bytes")]
    hkdf: Option<String>,
    /// Bytes that HKDF makes
    #[arg(long, requires = "hkdf")]
    bytes: Option<u32>,
    /// What binds the result of HKDF to its use
    #[arg(long, value_name = "TEXT", requires = "hkdf")]
    info: Option<String>,
    /// A file with the salt of HKDF
    #[arg(long, value_name = "FILE", requires = "hkdf")]
    salt_file: Option<PathBuf>,
    /// With this version; without it with the current one
    #[arg(long)]
    version: Option<u32>,
}

/// A secret for the holder of a key.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct Encapsulate {
    /// The key
    id: KeyId,
    /// A new file for what takes the secret to the holder, in base64
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A new file for the secret
    #[arg(long, value_name = "FILE")]
    secret_out: PathBuf,
    /// For this version; without it for the current one
    #[arg(long)]
    version: Option<u32>,
}

/// A file that goes in, with a version.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct Wrap {
    #[command(flatten)]
    streams: Streams,
    /// With this version; without it with the current one
    #[arg(long)]
    version: Option<u32>,
}

/// A wrapped file.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct Unwrap {
    #[command(flatten)]
    streams: Streams,
    /// With this version; without it with any
    #[arg(long)]
    version: Option<u32>,
}

/// What was encapsulated.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct Decapsulate {
    #[command(flatten)]
    streams: Streams,
    /// With this version; without it with the current one
    #[arg(long)]
    version: Option<u32>,
}

pub(in crate::cmd::key) fn agree(
    client: &Client,
    wanted: &Agree,
    output: &mut Output,
) -> Result<(), Failure> {
    let Agree { streams, format, hash, hkdf, bytes, info, salt_file, version } = wanted;
    let peer = read_input(&streams.input, BODY_BYTES_MAX)?;
    let salt = salt_file.as_deref().map(|file| read_input(file, BODY_BYTES_MAX)).transpose()?;
    let derivation = hkdf.as_deref().map(|hash| {
        let mut members = vec![("hash", Member::Text(hash))];
        members.extend(bytes.map(|bytes| ("bytes", Member::Number(bytes))));
        members.extend(info.as_deref().map(|info| ("info", Member::Bytes(info.as_bytes()))));
        members.extend(salt.as_ref().map(|salt| ("salt", Member::Bytes(salt.expose()))));
        object(&members)
    });
    let derivation = derivation.as_ref().map(|json| core::str::from_utf8(json.expose()));
    let derivation = derivation.transpose().map_err(|error| Failure::Failed(error.to_string()))?;
    let mut members =
        vec![("public_key", Member::Bytes(peer.expose())), ("format", Member::Text(format))];
    members.extend(hash.as_deref().map(|hash| ("hash", Member::Text(hash))));
    members.extend(derivation.map(|json| ("hkdf", Member::Json(json))));
    members.extend(version.map(|version| ("version", Member::Number(version))));
    reveal(client, streams, "agree", "shared_secret", &members, output)
}

pub(in crate::cmd::key) fn encapsulate(
    client: &Client,
    wanted: &Encapsulate,
    output: &mut Output,
) -> Result<(), Failure> {
    let Encapsulate { id, out, secret_out, version } = wanted;
    let (file, secret) =
        (NewFile::create(out, PUBLIC_MODE)?, NewFile::create(secret_out, PRIVATE_MODE)?);
    let mut members = Vec::new();
    members.extend(version.map(|version| ("version", Member::Number(version))));
    let answer = client.post(&format!("/v1/keys/{id}/encapsulate"), &object(&members))?;
    secret.keep(secret_member(&answer, "shared_secret")?.expose())?;
    let ciphertext = super::base64_text(secret_member(&answer, "ciphertext")?.expose());
    file.keep(format!("{ciphertext}\n").as_bytes())?;
    if output.is_json() {
        return output.json(&serde_json::json!({ "ciphertext": ciphertext }));
    }
    output.line("done")
}

pub(in crate::cmd::key) fn decapsulate(
    client: &Client,
    wanted: &Decapsulate,
    output: &mut Output,
) -> Result<(), Failure> {
    let Decapsulate { streams, version } = wanted;
    let text = read_input(&streams.input, BODY_BYTES_MAX)?;
    let ciphertext = from_base64("the ciphertext", text.expose())?;
    let mut members = vec![("ciphertext", Member::Bytes(ciphertext.expose()))];
    members.extend(version.map(|version| ("version", Member::Number(version))));
    reveal(client, streams, "decapsulate", "shared_secret", &members, output)
}

pub(in crate::cmd::key) fn wrap(
    client: &Client,
    wanted: &Wrap,
    output: &mut Output,
) -> Result<(), Failure> {
    let Wrap { streams, version } = wanted;
    let plaintext = read_input(&streams.input, BODY_BYTES_MAX)?;
    let mut members = vec![("plaintext", Member::Bytes(plaintext.expose()))];
    members.extend(version.map(|version| ("version", Member::Number(version))));
    make(client, streams, "wrap", "wrapped", &members, output)
}

pub(in crate::cmd::key) fn unwrap(
    client: &Client,
    wanted: &Unwrap,
    output: &mut Output,
) -> Result<(), Failure> {
    let Unwrap { streams, version } = wanted;
    let text = read_input(&streams.input, BODY_BYTES_MAX)?;
    let wrapped = from_base64("the wrapped file", text.expose())?;
    let mut members = vec![("wrapped", Member::Bytes(wrapped.expose()))];
    members.extend(version.map(|version| ("version", Member::Number(version))));
    reveal(client, streams, "unwrap", "plaintext", &members, output)
}
