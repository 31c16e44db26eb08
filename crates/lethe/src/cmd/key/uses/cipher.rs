//! Encrypt and decrypt files, encrypt them anew, and make keys for data.

use std::path::PathBuf;

use clap::Args;
use lethe_types::KeyId;
use lethe_types::limits::{AAD_BYTES_MAX, BODY_BYTES_MAX, PLAINTEXT_BYTES_MAX};

use super::{AssociatedData, Context, Streams, base64_text, make, reveal, secret_member};
use crate::client::{Client, Member, object};
use crate::failure::Failure;
use crate::files::{NewFile, PRIVATE_MODE, PUBLIC_MODE, STANDARD_STREAM, from_base64, read_input};
use crate::output::{Output, member};

/// A file to encrypt.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct Encrypt {
    #[command(flatten)]
    streams: Streams,
    #[command(flatten)]
    associated: AssociatedData,
    #[command(flatten)]
    context: Context,
    /// With this version; without it with the current one
    #[arg(long)]
    version: Option<u32>,
}

/// A file to decrypt.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct Decrypt {
    #[command(flatten)]
    streams: Streams,
    #[command(flatten)]
    associated: AssociatedData,
    #[command(flatten)]
    context: Context,
}

/// A ciphertext to encrypt anew. Associated data and context stay.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct ReEncrypt {
    #[command(flatten)]
    streams: Streams,
    #[command(flatten)]
    associated: AssociatedData,
    #[command(flatten)]
    context: Context,
    /// Under this key; without it under the same
    #[arg(long, value_name = "KEY")]
    to: Option<KeyId>,
    /// With this version; without it with the current one
    #[arg(long)]
    to_version: Option<u32>,
}

/// A key for data.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct DataKey {
    /// The key
    id: KeyId,
    /// Its bytes, 16 to 64
    #[arg(long, default_value_t = 32)]
    bytes: u32,
    /// A new file for its ciphertext; - is standard output
    #[arg(long = "out", value_name = "FILE", default_value = STANDARD_STREAM)]
    output: PathBuf,
    /// A new file for the key itself, as it is; without it the key is not shown
    #[arg(long, value_name = "FILE")]
    plaintext_out: Option<PathBuf>,
    #[command(flatten)]
    associated: AssociatedData,
    #[command(flatten)]
    context: Context,
    /// With this version; without it with the current one
    #[arg(long)]
    version: Option<u32>,
}

/// What a cipher takes beside the text.
#[derive(Args, Debug)]
struct RawOptions {
    #[command(flatten)]
    associated: AssociatedData,
    /// pkcs7 or none, for AES-CBC and ECB
    #[arg(long)]
    padding: Option<String>,
    /// RSAES-OAEP with this hash: sha1, sha256, sha384 or sha512; the associated data is the label
    #[arg(long, value_name = "HASH")]
    oaep: Option<String>,
    /// With this version; without it with the current one
    #[arg(long)]
    version: Option<u32>,
}

/// A file to encrypt without a format of Lethe.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct RawEncrypt {
    #[command(flatten)]
    streams: Streams,
    /// A file with the nonce (initialisation vector); without it, it is drawn
    #[arg(long, value_name = "FILE", group = "nonce_from")]
    nonce_file: Option<PathBuf>,
    /// Draw a nonce of so many bytes
    #[arg(long, value_name = "BYTES", group = "nonce_from")]
    nonce_bytes: Option<u32>,
    /// Derive the nonce from all that goes in, this text included (AES-GCM-SIV)
    #[arg(long, value_name = "TEXT", group = "nonce_from")]
    nonce_context: Option<String>,
    #[command(flatten)]
    options: RawOptions,
}

/// A file to decrypt that has no format of Lethe: nonce, ciphertext and tag.
#[derive(Args, Debug)]
pub(in crate::cmd::key) struct RawDecrypt {
    #[command(flatten)]
    streams: Streams,
    #[command(flatten)]
    options: RawOptions,
}

pub(in crate::cmd::key) fn encrypt(
    client: &Client,
    wanted: &Encrypt,
    output: &mut Output,
) -> Result<(), Failure> {
    let Encrypt { streams, associated, context, version } = wanted;
    let plaintext = read_input(&streams.input, PLAINTEXT_BYTES_MAX)?;
    let (associated, context) = (associated.bytes()?, context.json()?);
    let mut members = vec![("plaintext", Member::Bytes(plaintext.expose()))];
    members.extend(associated.as_ref().map(|bytes| ("aad", Member::Bytes(bytes.expose()))));
    members.extend(context.as_deref().map(|json| ("context", Member::Json(json))));
    members.extend(version.map(|version| ("version", Member::Number(version))));
    make(client, streams, "encrypt", "ciphertext", &members, output)
}

pub(in crate::cmd::key) fn decrypt(
    client: &Client,
    wanted: &Decrypt,
    output: &mut Output,
) -> Result<(), Failure> {
    let Decrypt { streams, associated, context } = wanted;
    let text = read_input(&streams.input, BODY_BYTES_MAX)?;
    let ciphertext = from_base64("the ciphertext", text.expose())?;
    let (associated, context) = (associated.bytes()?, context.json()?);
    let mut members = vec![("ciphertext", Member::Bytes(ciphertext.expose()))];
    members.extend(associated.as_ref().map(|bytes| ("aad", Member::Bytes(bytes.expose()))));
    members.extend(context.as_deref().map(|json| ("context", Member::Json(json))));
    reveal(client, streams, "decrypt", "plaintext", &members, output)
}

pub(in crate::cmd::key) fn re_encrypt(
    client: &Client,
    wanted: &ReEncrypt,
    output: &mut Output,
) -> Result<(), Failure> {
    let ReEncrypt { streams, associated, context, to, to_version } = wanted;
    let text = read_input(&streams.input, BODY_BYTES_MAX)?;
    let ciphertext = from_base64("the ciphertext", text.expose())?;
    let (associated, context) = (associated.bytes()?, context.json()?);
    let mut target = serde_json::json!({});
    if let Some(key) = to {
        target["key"] = key.to_string().into();
    }
    if let Some(version) = to_version {
        target["version"] = (*version).into();
    }
    let target = target.to_string();
    let mut members = vec![("ciphertext", Member::Bytes(ciphertext.expose()))];
    members.extend(associated.as_ref().map(|bytes| ("aad", Member::Bytes(bytes.expose()))));
    members.extend(context.as_deref().map(|json| ("context", Member::Json(json))));
    members.push(("to", Member::Json(&target)));
    make(client, streams, "re-encrypt", "ciphertext", &members, output)
}

pub(in crate::cmd::key) fn data_key(
    client: &Client,
    wanted: &DataKey,
    output: &mut Output,
) -> Result<(), Failure> {
    let DataKey { id, bytes, output: out, plaintext_out, associated, context, version } = wanted;
    let (associated, context) = (associated.bytes()?, context.json()?);
    let mut members = vec![("bytes", Member::Number(*bytes))];
    members.extend(associated.as_ref().map(|bytes| ("aad", Member::Bytes(bytes.expose()))));
    members.extend(context.as_deref().map(|json| ("context", Member::Json(json))));
    members.extend(version.map(|version| ("version", Member::Number(version))));
    if plaintext_out.is_none() {
        members.push(("wrapped_only", Member::Json("true")));
    }
    let is_file = out.as_os_str() != STANDARD_STREAM;
    let file = is_file.then(|| NewFile::create(out, PUBLIC_MODE)).transpose()?;
    let secret = plaintext_out.as_deref().map(|path| NewFile::create(path, PRIVATE_MODE));
    let secret = secret.transpose()?;
    let answer = client.post(&format!("/v1/keys/{id}/data-key"), &object(&members))?;
    if let Some(secret) = secret {
        secret.keep(secret_member(&answer, "plaintext")?.expose())?;
    }
    // The answer may hold the key, so that only what is not secret is taken out of it.
    let ciphertext = secret_member(&answer, "ciphertext")?;
    let text = base64_text(ciphertext.expose());
    match file {
        Some(file) => file.keep(format!("{text}\n").as_bytes()),
        None if output.is_json() => output.json(&serde_json::json!({ "ciphertext": text })),
        None => output.line(&text),
    }
}

pub(in crate::cmd::key) fn raw_encrypt(
    client: &Client,
    wanted: &RawEncrypt,
    output: &mut Output,
) -> Result<(), Failure> {
    let RawEncrypt { streams, nonce_file, nonce_bytes, nonce_context, options } = wanted;
    let plaintext = read_input(&streams.input, PLAINTEXT_BYTES_MAX)?;
    let nonce = nonce_file.as_deref().map(|file| read_input(file, AAD_BYTES_MAX)).transpose()?;
    let associated = options.associated.bytes()?;
    let mut members = vec![("plaintext", Member::Bytes(plaintext.expose()))];
    members.extend(nonce.as_ref().map(|bytes| ("nonce", Member::Bytes(bytes.expose()))));
    members.extend(nonce_bytes.map(|bytes| ("nonce_bytes", Member::Number(bytes))));
    let context = nonce_context.as_deref();
    members.extend(context.map(|text| ("nonce_context", Member::Bytes(text.as_bytes()))));
    members.extend(associated.as_ref().map(|bytes| ("aad", Member::Bytes(bytes.expose()))));
    members.extend(options.members());
    let target = streams.target(PUBLIC_MODE)?;
    let answer = client.post(&streams.path("raw/encrypt"), &object(&members))?.json()?;
    if output.is_json() && target.is_none() {
        return output.json(&answer);
    }
    let mut whole = Vec::new();
    for part in ["nonce", "ciphertext", "tag"] {
        let text = member(&answer, part);
        whole.extend_from_slice(from_base64("the server's answer", text.as_bytes())?.expose());
    }
    let text = base64_text(&whole);
    match target {
        Some(file) => file.keep(format!("{text}\n").as_bytes()),
        None => output.line(&text),
    }
}

pub(in crate::cmd::key) fn raw_decrypt(
    client: &Client,
    wanted: &RawDecrypt,
    output: &mut Output,
) -> Result<(), Failure> {
    let RawDecrypt { streams, options } = wanted;
    let text = read_input(&streams.input, BODY_BYTES_MAX)?;
    let ciphertext = from_base64("the ciphertext", text.expose())?;
    let associated = options.associated.bytes()?;
    let mut members = vec![("ciphertext", Member::Bytes(ciphertext.expose()))];
    members.extend(associated.as_ref().map(|bytes| ("aad", Member::Bytes(bytes.expose()))));
    members.extend(options.members());
    reveal(client, streams, "raw/decrypt", "plaintext", &members, output)
}

impl RawOptions {
    /// All but the associated data.
    fn members(&self) -> impl Iterator<Item = (&'static str, Member<'_>)> {
        let padding = self.padding.as_deref().map(|padding| ("padding", Member::Text(padding)));
        let oaep = self.oaep.as_deref().map(|hash| ("oaep_hash", Member::Text(hash)));
        let version = self.version.map(|version| ("version", Member::Number(version)));
        padding.into_iter().chain(oaep).chain(version)
    }
}
