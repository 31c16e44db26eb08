//! `lethe key export`, `import` and `import-key`: keys that leave and keys that come in.
//!
//! Wrapped keys are bytes in files, as they are; nothing of a key stands on the command line.

use core::time::Duration;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lethe_types::{ImportKeyId, KeyId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{path, show};
use crate::arguments::{parse_lifetime, span_text};
use crate::client::{Client, Member, body, object};
use crate::cmd::vault;
use crate::failure::Failure;
use crate::files::{NewFile, PRIVATE_MODE, PUBLIC_MODE, STANDARD_STREAM, from_base64, read_input};
use crate::output::{Output, member};

/// Largest key, wrapped key or public key that is read, in bytes.
const KEY_BYTES_MAX: usize = 131_072;

/// A key to take out.
#[derive(Args, Debug)]
pub(super) struct Export {
    /// The key
    id: KeyId,
    /// The form of the key: raw, pkcs8-der, pkcs8-pem, jwk, sec1-der, sec1-pem, pkcs1-der or
    /// pkcs1-pem
    #[arg(long)]
    format: String,
    /// A file with the public key of the recipient in PEM (X25519 or RSA); without it the key
    /// leaves in the clear, if the realm allows that
    #[arg(long = "for", value_name = "FILE")]
    recipient: Option<PathBuf>,
    /// This version; without it the current one
    #[arg(long)]
    version: Option<u32>,
    /// A new file to write it to; - is standard output
    #[arg(long = "out", short = 'o', value_name = "FILE", default_value = STANDARD_STREAM)]
    out: PathBuf,
}

/// A key to bring in.
#[derive(Args, Debug)]
pub(super) struct Import {
    /// A label for people; need not be unique
    name: String,
    /// A name of `lethe key algorithms`
    #[arg(long)]
    algorithm: String,
    /// The form of the key, inside the wrapping if there is one: as for `export`
    #[arg(long)]
    format: String,
    /// The file with the key or the wrapped key; - is standard input
    #[arg(long = "in", value_name = "FILE", default_value = STANDARD_STREAM)]
    input: PathBuf,
    /// The import key that it was wrapped for, if it was
    #[arg(long, value_name = "ID")]
    import_key: Option<ImportKeyId>,
    /// The vault to put it in (id or name); without it the default vault
    #[arg(long)]
    vault: Option<String>,
    /// Let its material leave again, by `key export`
    #[arg(long)]
    exportable: bool,
}

/// What to do with import keys.
#[derive(Args, Debug)]
pub(super) struct ImportKey {
    #[command(subcommand)]
    command: ImportKeyCommand,
}

#[derive(Debug, Subcommand)]
enum ImportKeyCommand {
    /// Make a key pair of the server's own, for whose holder one key is wrapped
    Create {
        /// x25519 (HPKE), or rsa-3072 or rsa-4096 (OAEP and AES-KWP)
        #[arg(long, default_value = "x25519")]
        algorithm: String,
        /// The vault into which the key goes (id or name); without it the default vault
        #[arg(long)]
        vault: Option<String>,
        /// How long it is good for; without it 1h
        #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
        lifetime: Option<Duration>,
        /// A new file for the public key, in PEM
        #[arg(long, short = 'o', value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// See an import key, as long as it can be used
    Show {
        /// Its id
        id: ImportKeyId,
    },
    /// Remove an import key before its time
    Remove {
        /// Its id
        id: ImportKeyId,
    },
}

pub(super) fn export(client: &Client, wanted: &Export, output: &mut Output) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Exported<'a> {
        #[serde(borrow)]
        material: Cow<'a, str>,
    }

    let mut members = json!({ "format": wanted.format });
    if let Some(version) = wanted.version {
        members["version"] = version.into();
    }
    if let Some(file) = &wanted.recipient {
        let pem = read_input(file, KEY_BYTES_MAX)?;
        let pem = core::str::from_utf8(pem.expose());
        let pem = pem.map_err(|_| Failure::Failed("the public key is not PEM".to_owned()))?;
        members["public_key"] = pem.into();
    }
    let mode = if wanted.recipient.is_some() { PUBLIC_MODE } else { PRIVATE_MODE };
    let is_stream = wanted.out == Path::new(STANDARD_STREAM);
    let file = if is_stream { None } else { Some(NewFile::create(&wanted.out, mode)?) };
    let answer = client.post(&format!("{}/export", path(wanted.id)), &body(&members))?;
    let exported: Exported<'_> = answer.parse()?;
    let material = from_base64("the server's answer", exported.material.as_bytes())?;
    match file {
        Some(file) => file.keep(material.expose()),
        None if output.is_json() => output.bytes(&[answer.body.expose(), b"\n"].concat()),
        None => output.bytes(material.expose()),
    }
}

pub(super) fn import(client: &Client, wanted: &Import, output: &mut Output) -> Result<(), Failure> {
    let key = read_input(&wanted.input, KEY_BYTES_MAX)?;
    let vault = wanted.vault.as_deref().map(|vault| vault::resolve(client, vault)).transpose()?;
    let import_key = wanted.import_key.map(|id| id.to_string());
    let mut import = vec![("format", Member::Text(&wanted.format))];
    match &import_key {
        Some(id) => {
            import.push(("import_key", Member::Text(id)));
            import.push(("wrapped", Member::Bytes(key.expose())));
        }
        None => import.push(("key", Member::Bytes(key.expose()))),
    }
    let import = object(&import);
    let mut members = vec![
        ("name", Member::Text(&wanted.name)),
        ("algorithm", Member::Text(&wanted.algorithm)),
        ("import", Member::Written(import.expose())),
    ];
    members.extend(vault.as_deref().map(|vault| ("vault", Member::Text(vault))));
    members.extend(wanted.exportable.then_some(("exportable", Member::Written(b"true"))));
    show(&client.post("/v1/keys", &object(&members))?.json()?, output)
}

pub(super) fn import_key(
    client: &Client,
    wanted: &ImportKey,
    output: &mut Output,
) -> Result<(), Failure> {
    let one = |id: &ImportKeyId| format!("/v1/import-keys/{id}");
    match &wanted.command {
        ImportKeyCommand::Create { algorithm, vault, lifetime, out } => {
            let file = out.as_deref().map(|path| NewFile::create(path, PUBLIC_MODE)).transpose()?;
            let mut members = json!({ "algorithm": algorithm });
            if let Some(vault) = vault {
                members["vault"] = vault::resolve(client, vault)?.into();
            }
            if let Some(lifetime) = lifetime {
                members["lifetime"] = span_text(*lifetime).into();
            }
            let made = client.post("/v1/import-keys", &body(&members))?.json()?;
            if let Some(file) = file {
                file.keep(member(&made, "public_key").as_bytes())?;
            }
            tell(&made, output)
        }
        ImportKeyCommand::Show { id } => tell(&client.get(&one(id))?.json()?, output),
        ImportKeyCommand::Remove { id } => tell(&client.delete(&one(id))?.json()?, output),
    }
}

fn tell(key: &Value, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(key);
    }
    let names = ["id", "algorithm", "wrapping", "vault", "created", "expires", "info"];
    let mut fields: Vec<(&str, String)> =
        names.into_iter().map(|name| (name, member(key, name))).collect();
    fields.retain(|(_, text)| !text.is_empty());
    output.fields(&fields)?;
    output.bytes(member(key, "public_key").as_bytes())
}
