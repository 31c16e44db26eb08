//! Sign and verify files, and authenticate them.

use std::path::PathBuf;

use clap::Args;
use lethe_types::limits::{AAD_BYTES_MAX, MESSAGE_BYTES_MAX};
use lethe_types::{KeyId, SecretVec};

use super::{Streams, judge, make, read_encoded};
use crate::client::{Client, Member, object};
use crate::failure::Failure;
use crate::files::{STANDARD_STREAM, read_input};
use crate::output::Output;

/// What a signature is made with beside the file.
#[derive(Args, Debug)]
struct SignOptions {
    /// A signature scheme of the algorithm; without it its first
    #[arg(long)]
    scheme: Option<String>,
    /// The file is the hash of the message, by the hash of the scheme
    #[arg(long)]
    digest: bool,
    /// A file with the context of Ed25519ctx, ML-DSA or the like, or the Merkle root of taproot
    #[arg(long, value_name = "FILE")]
    context_file: Option<PathBuf>,
    /// Bytes of the salt of RSASSA-PSS; without it as many as the hash has
    #[arg(long, value_name = "BYTES")]
    salt_bytes: Option<u32>,
}

impl SignOptions {
    fn input_name(&self) -> &'static str {
        if self.digest { "digest" } else { "message" }
    }

    fn context(&self) -> Result<Option<SecretVec>, Failure> {
        self.context_file.as_deref().map(|file| read_input(file, AAD_BYTES_MAX)).transpose()
    }

    /// All but input and context.
    fn members(&self) -> impl Iterator<Item = (&'static str, Member<'_>)> {
        let scheme = self.scheme.as_deref().map(|scheme| ("scheme", Member::Text(scheme)));
        let salt = self.salt_bytes.map(|bytes| ("salt_bytes", Member::Number(bytes)));
        scheme.into_iter().chain(salt)
    }
}

/// A file to sign.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct Sign {
    #[command(flatten)]
    streams: Streams,
    #[command(flatten)]
    options: SignOptions,
    /// With this version; without it with the current one
    #[arg(long)]
    version: Option<u32>,
}

/// A signature to check.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct Verify {
    /// The key
    id: KeyId,
    /// The signed file; - is standard input
    #[arg(long = "in", value_name = "FILE", default_value = STANDARD_STREAM)]
    input: PathBuf,
    /// The file with the signature, in base64
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,
    #[command(flatten)]
    options: SignOptions,
    /// Take a salt of any length
    #[arg(long, conflicts_with = "salt_bytes")]
    any_salt: bool,
    /// Check with this version only; without it any version may have signed
    #[arg(long)]
    version: Option<u32>,
}

/// A file to authenticate.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct Mac {
    #[command(flatten)]
    streams: Streams,
    /// Cut the code to its first so many bytes, 16 at least
    #[arg(long)]
    bytes: Option<u32>,
    /// With this version; without it with the current one
    #[arg(long)]
    version: Option<u32>,
}

/// A message authentication code to check.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct MacVerify {
    /// The key
    id: KeyId,
    /// The authenticated file; - is standard input
    #[arg(long = "in", value_name = "FILE", default_value = STANDARD_STREAM)]
    input: PathBuf,
    /// The file with the code, in base64
    #[arg(long, value_name = "FILE")]
    mac: PathBuf,
    /// Bytes that the code was cut to; without it, it must be whole
    #[arg(long)]
    bytes: Option<u32>,
    /// Check with this version only; without it any version may have computed it
    #[arg(long)]
    version: Option<u32>,
}

pub(in crate::cmd::key) fn sign(
    client: &Client,
    wanted: &Sign,
    output: &mut Output,
) -> Result<(), Failure> {
    let Sign { streams, options, version } = wanted;
    let message = read_input(&streams.input, MESSAGE_BYTES_MAX)?;
    let context = options.context()?;
    let mut members = vec![(options.input_name(), Member::Bytes(message.expose()))];
    members.extend(context.as_ref().map(|bytes| ("context", Member::Bytes(bytes.expose()))));
    members.extend(options.members());
    members.extend(version.map(|version| ("version", Member::Number(version))));
    make(client, streams, "sign", "signature", &members, output)
}

pub(in crate::cmd::key) fn verify(
    client: &Client,
    wanted: &Verify,
    output: &mut Output,
) -> Result<(), Failure> {
    let Verify { id, input, signature, options, any_salt, version } = wanted;
    let message = read_input(input, MESSAGE_BYTES_MAX)?;
    let signature = read_encoded("the signature", signature)?;
    let context = options.context()?;
    let mut members = vec![
        (options.input_name(), Member::Bytes(message.expose())),
        ("signature", Member::Bytes(signature.expose())),
    ];
    members.extend(context.as_ref().map(|bytes| ("context", Member::Bytes(bytes.expose()))));
    members.extend(options.members());
    members.extend(any_salt.then_some(("any_salt", Member::Json("true"))));
    members.extend(version.map(|version| ("version", Member::Number(version))));
    let path = format!("/v1/keys/{id}/verify");
    judge(&client.post(&path, &object(&members))?.json()?, "the signature", output)
}

pub(in crate::cmd::key) fn mac(
    client: &Client,
    wanted: &Mac,
    output: &mut Output,
) -> Result<(), Failure> {
    let Mac { streams, bytes, version } = wanted;
    let message = read_input(&streams.input, MESSAGE_BYTES_MAX)?;
    let mut members = vec![("message", Member::Bytes(message.expose()))];
    members.extend(bytes.map(|bytes| ("bytes", Member::Number(bytes))));
    members.extend(version.map(|version| ("version", Member::Number(version))));
    make(client, streams, "mac", "mac", &members, output)
}

pub(in crate::cmd::key) fn mac_verify(
    client: &Client,
    wanted: &MacVerify,
    output: &mut Output,
) -> Result<(), Failure> {
    let MacVerify { id, input, mac, bytes, version } = wanted;
    let message = read_input(input, MESSAGE_BYTES_MAX)?;
    let mac = read_encoded("the code", mac)?;
    let mut members =
        vec![("message", Member::Bytes(message.expose())), ("mac", Member::Bytes(mac.expose()))];
    members.extend(bytes.map(|bytes| ("bytes", Member::Number(bytes))));
    members.extend(version.map(|version| ("version", Member::Number(version))));
    let path = format!("/v1/keys/{id}/mac/verify");
    judge(&client.post(&path, &object(&members))?.json()?, "the code", output)
}
