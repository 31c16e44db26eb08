//! Encrypt, decrypt, sign and authenticate files with a key of the server.
//!
//! Ciphertexts, signatures and codes are text (base64); plaintexts are bytes as they are.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use clap::Args;
use lethe_types::limits::{AAD_BYTES_MAX, BODY_BYTES_MAX, MESSAGE_BYTES_MAX, PLAINTEXT_BYTES_MAX};
use lethe_types::{KeyId, SecretVec};
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Client, Member, object};
use crate::failure::Failure;
use crate::files::{NewFile, PRIVATE_MODE, PUBLIC_MODE, STANDARD_STREAM, from_base64, read_input};
use crate::output::{Output, member};

/// The key, what goes in and where the result goes.
#[derive(Args, Debug)]
struct Streams {
    /// The key
    id: KeyId,
    /// The file to read; - is standard input
    #[arg(long = "in", value_name = "FILE", default_value = STANDARD_STREAM)]
    input: PathBuf,
    /// A new file to write; - is standard output
    #[arg(long = "out", value_name = "FILE", default_value = STANDARD_STREAM)]
    output: PathBuf,
}

impl Streams {
    fn path(&self, operation: &str) -> String {
        format!("/v1/keys/{}/{operation}", self.id)
    }

    /// The place of the result, made before the work is done; `None` is standard output.
    fn target(&self, mode: u32) -> Result<Option<NewFile>, Failure> {
        if self.output == Path::new(STANDARD_STREAM) {
            return Ok(None);
        }
        NewFile::create(&self.output, mode).map(Some)
    }
}

/// Data that an encryption is bound to.
#[derive(Args, Debug)]
#[group(multiple = false)]
struct AssociatedData {
    /// Associated data, needed again to decrypt; not secret
    #[arg(long, value_name = "TEXT")]
    aad: Option<String>,
    /// The same from a file
    #[arg(long, value_name = "FILE")]
    aad_file: Option<PathBuf>,
}

impl AssociatedData {
    fn bytes(&self) -> Result<Option<SecretVec>, Failure> {
        match (&self.aad, &self.aad_file) {
            (Some(text), _) => Ok(Some(SecretVec::copy_from(text.as_bytes()))),
            (None, Some(file)) => read_input(file, AAD_BYTES_MAX).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// A file to encrypt.
#[derive(Args, Debug)]
pub(super) struct Encrypt {
    #[command(flatten)]
    streams: Streams,
    #[command(flatten)]
    associated: AssociatedData,
}

/// A file to decrypt.
#[derive(Args, Debug)]
pub(super) struct Decrypt {
    #[command(flatten)]
    streams: Streams,
    #[command(flatten)]
    associated: AssociatedData,
}

/// A file to sign.
#[derive(Args, Debug)]
pub(super) struct Sign {
    #[command(flatten)]
    streams: Streams,
    /// A signature scheme of the algorithm; without it its first
    #[arg(long)]
    scheme: Option<String>,
}

/// A signature to check.
#[derive(Args, Debug)]
pub(super) struct Verify {
    /// The key
    id: KeyId,
    /// The signed file; - is standard input
    #[arg(long = "in", value_name = "FILE", default_value = STANDARD_STREAM)]
    input: PathBuf,
    /// The file with the signature, in base64
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,
    /// The scheme of the signature; without it the first of the algorithm
    #[arg(long)]
    scheme: Option<String>,
    /// Check with this version only; without it any version may have signed
    #[arg(long)]
    version: Option<u32>,
}

/// A file to authenticate.
#[derive(Args, Debug)]
pub(super) struct Mac {
    #[command(flatten)]
    streams: Streams,
}

/// A message authentication code to check.
#[derive(Args, Debug)]
pub(super) struct MacVerify {
    /// The key
    id: KeyId,
    /// The authenticated file; - is standard input
    #[arg(long = "in", value_name = "FILE", default_value = STANDARD_STREAM)]
    input: PathBuf,
    /// The file with the code, in base64
    #[arg(long, value_name = "FILE")]
    mac: PathBuf,
    /// Check with this version only; without it any version may have computed it
    #[arg(long)]
    version: Option<u32>,
}

pub(super) fn encrypt(
    client: &Client,
    wanted: &Encrypt,
    output: &mut Output,
) -> Result<(), Failure> {
    let Encrypt { streams, associated } = wanted;
    let plaintext = read_input(&streams.input, PLAINTEXT_BYTES_MAX)?;
    let associated = associated.bytes()?;
    let mut members = vec![("plaintext", Member::Bytes(plaintext.expose()))];
    members.extend(associated.as_ref().map(|bytes| ("aad", Member::Bytes(bytes.expose()))));
    make(client, streams, "encrypt", "ciphertext", &members, output)
}

pub(super) fn sign(client: &Client, wanted: &Sign, output: &mut Output) -> Result<(), Failure> {
    let Sign { streams, scheme } = wanted;
    let message = read_input(&streams.input, MESSAGE_BYTES_MAX)?;
    let mut members = vec![("message", Member::Bytes(message.expose()))];
    members.extend(scheme.as_deref().map(|scheme| ("scheme", Member::Text(scheme))));
    make(client, streams, "sign", "signature", &members, output)
}

pub(super) fn mac(client: &Client, wanted: &Mac, output: &mut Output) -> Result<(), Failure> {
    let Mac { streams } = wanted;
    let message = read_input(&streams.input, MESSAGE_BYTES_MAX)?;
    let members = [("message", Member::Bytes(message.expose()))];
    make(client, streams, "mac", "mac", &members, output)
}

/// Asks for something that may be seen, and writes it.
fn make(
    client: &Client,
    streams: &Streams,
    operation: &str,
    result: &str,
    members: &[(&str, Member<'_>)],
    output: &mut Output,
) -> Result<(), Failure> {
    let target = streams.target(PUBLIC_MODE)?;
    let answer = client.post(&streams.path(operation), &object(members))?.json()?;
    let text = member(&answer, result);
    match target {
        Some(file) => file.keep(format!("{text}\n").as_bytes()),
        None if output.is_json() => output.json(&answer),
        None => output.line(&text),
    }
}

pub(super) fn decrypt(
    client: &Client,
    wanted: &Decrypt,
    output: &mut Output,
) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Decrypted<'a> {
        #[serde(borrow)]
        plaintext: Cow<'a, str>,
    }

    let Decrypt { streams, associated } = wanted;
    let text = read_input(&streams.input, BODY_BYTES_MAX)?;
    let ciphertext = from_base64("the ciphertext", text.expose())?;
    let associated = associated.bytes()?;
    let mut members = vec![("ciphertext", Member::Bytes(ciphertext.expose()))];
    members.extend(associated.as_ref().map(|bytes| ("aad", Member::Bytes(bytes.expose()))));
    let target = streams.target(PRIVATE_MODE)?;
    let answer = client.post(&streams.path("decrypt"), &object(&members))?;
    let decrypted: Decrypted<'_> = answer.parse()?;
    let plaintext = from_base64("the server's answer", decrypted.plaintext.as_bytes())?;
    match target {
        Some(file) => file.keep(plaintext.expose()),
        None if output.is_json() => output.bytes(&[answer.body.expose(), b"\n"].concat()),
        None => output.bytes(plaintext.expose()),
    }
}

pub(super) fn verify(client: &Client, wanted: &Verify, output: &mut Output) -> Result<(), Failure> {
    let Verify { id, input, signature, scheme, version } = wanted;
    let message = read_input(input, MESSAGE_BYTES_MAX)?;
    let signature = read_encoded("the signature", signature)?;
    let mut members = vec![
        ("message", Member::Bytes(message.expose())),
        ("signature", Member::Bytes(signature.expose())),
    ];
    members.extend(scheme.as_deref().map(|scheme| ("scheme", Member::Text(scheme))));
    members.extend(version.map(|version| ("version", Member::Number(version))));
    let path = format!("/v1/keys/{id}/verify");
    judge(&client.post(&path, &object(&members))?.json()?, "the signature", output)
}

pub(super) fn mac_verify(
    client: &Client,
    wanted: &MacVerify,
    output: &mut Output,
) -> Result<(), Failure> {
    let MacVerify { id, input, mac, version } = wanted;
    let message = read_input(input, MESSAGE_BYTES_MAX)?;
    let mac = read_encoded("the code", mac)?;
    let mut members =
        vec![("message", Member::Bytes(message.expose())), ("mac", Member::Bytes(mac.expose()))];
    members.extend(version.map(|version| ("version", Member::Number(version))));
    let path = format!("/v1/keys/{id}/mac/verify");
    judge(&client.post(&path, &object(&members))?.json()?, "the code", output)
}

fn read_encoded(what: &str, file: &Path) -> Result<SecretVec, Failure> {
    from_base64(what, read_input(file, BODY_BYTES_MAX)?.expose())
}

/// Anything but a clear yes is a no.
fn judge(answer: &Value, what: &str, output: &mut Output) -> Result<(), Failure> {
    let is_valid = answer.get("valid").and_then(Value::as_bool) == Some(true);
    if output.is_json() {
        output.json(answer)?;
        return if is_valid { Ok(()) } else { Err(Failure::Told) };
    }
    if is_valid {
        return output.line(&format!("{what} is valid"));
    }
    Err(Failure::Failed(format!("{what} is not valid")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_clear_yes_is_valid() {
        #[track_caller]
        fn check(answer: Value, is_valid: bool) {
            assert_eq!(judge(&answer, "it", &mut Output::new(false)).is_ok(), is_valid, "{answer}");
            assert_eq!(judge(&answer, "it", &mut Output::new(true)).is_ok(), is_valid, "{answer}");
        }
        check(json!({"valid": true}), true);
        check(json!({"valid": false}), false);
        check(json!({"valid": "true"}), false);
        check(json!({"valid": 1}), false);
        check(json!({}), false);
        check(json!(true), false);
    }
}
