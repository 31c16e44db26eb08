//! Use the keys of a server on files: encrypt, sign, authenticate, agree, wrap.
//!
//! Ciphertexts, signatures and codes are text (base64); plaintexts and secrets are bytes as they
//! are.

mod cipher;
mod public;
mod secrets;
mod sign;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use lethe_types::limits::{AAD_BYTES_MAX, BODY_BYTES_MAX};
use lethe_types::{KeyId, SecretVec};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::client::{Answer, Client, Member, object};
use crate::failure::Failure;
use crate::files::{NewFile, PRIVATE_MODE, PUBLIC_MODE, STANDARD_STREAM, from_base64, read_input};
use crate::output::{Output, member};

pub(super) use cipher::{
    DataKey, Decrypt, Encrypt, RawDecrypt, RawEncrypt, ReEncrypt, data_key, decrypt, encrypt,
    raw_decrypt, raw_encrypt, re_encrypt,
};
pub(super) use public::{PublicKey, public_key};
pub(super) use secrets::{
    Agree, Decapsulate, Encapsulate, Unwrap, Wrap, agree, decapsulate, encapsulate, unwrap, wrap,
};
pub(super) use sign::{Mac, MacVerify, Sign, Verify, mac, mac_verify, sign, verify};

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

/// Names and values that an encryption is bound to.
#[derive(Args, Debug)]
struct Context {
    /// A name and a value, needed again to decrypt; not secret; may be repeated
    #[arg(long = "context", value_name = "NAME=VALUE")]
    pairs: Vec<String>,
}

impl Context {
    /// The JSON of the context, if there is one.
    fn json(&self) -> Result<Option<String>, Failure> {
        let mut object = serde_json::Map::new();
        for pair in &self.pairs {
            let wrong = || Failure::Usage("a context is written NAME=VALUE".to_owned());
            let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
            if object.insert(name.to_owned(), value.into()).is_some() {
                return Err(Failure::Usage(format!("the context has `{name}` twice")));
            }
        }
        Ok((!object.is_empty()).then(|| Value::Object(object).to_string()))
    }
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

/// Asks for something secret, and writes its bytes.
fn reveal(
    client: &Client,
    streams: &Streams,
    operation: &str,
    result: &str,
    members: &[(&str, Member<'_>)],
    output: &mut Output,
) -> Result<(), Failure> {
    let target = streams.target(PRIVATE_MODE)?;
    let answer = client.post(&streams.path(operation), &object(members))?;
    let secret = secret_member(&answer, result)?;
    match target {
        Some(file) => file.keep(secret.expose()),
        None if output.is_json() => output.bytes(&[answer.body.expose(), b"\n"].concat()),
        None => output.bytes(secret.expose()),
    }
}

/// The bytes of a secret member of an answer, without a copy of its text.
fn secret_member(answer: &Answer, name: &str) -> Result<SecretVec, Failure> {
    let members: BTreeMap<&str, Part<'_>> = answer.parse()?;
    let text = match members.get(name) {
        Some(Part::Text(text)) => text.as_bytes(),
        Some(Part::Other(_)) | None => {
            let what = "the server's answer is not what this version expects";
            return Err(Failure::Failed(format!("{what}: no `{name}`")));
        }
    };
    from_base64("the server's answer", text)
}

/// The base64 of what may be seen.
fn base64_text(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The value of a member of an answer.
#[derive(Deserialize)]
#[serde(untagged)]
enum Part<'a> {
    Text(&'a str),
    Other(IgnoredAny),
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
