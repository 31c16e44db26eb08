//! `lethe apikey`: what programs sign in with. Speaks to the door for API keys.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use lethe_server::private_files::write_atomic;
use lethe_types::SecretVec;
use serde_json::{Value, json};

use crate::client::{Client, body, query_value};
use crate::connection::ConnectionArguments;
use crate::failure::Failure;
use crate::output::{Output, member, printable, table};

/// What to do with API keys.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an API key; its secret is shown this once
    Create {
        /// A name for people, 3 to 100 characters
        name: String,
        /// What it may do, as in keys.read; several with commas between them
        #[arg(long, required = true, value_name = "PERMISSIONS", value_delimiter = ',')]
        permission: Vec<String>,
        #[command(flatten)]
        secret: Secret,
    },
    /// List the API keys
    List,
    /// See an API key
    Show {
        /// Its id
        id: String,
    },
    /// Give an API key another secret, which is shown this once; the one before is refused
    Rotate {
        /// Its id
        id: String,
        /// Keep the secret before good for so many seconds, if the server allows it
        #[arg(long, value_name = "SECONDS")]
        grace: Option<u32>,
        #[command(flatten)]
        secret: Secret,
    },
    /// Delete an API key, its application and every token of it, at once and for good
    Delete {
        /// Its id
        id: String,
        /// Write the receipt here, as a .tlog-proof file
        #[arg(long, value_name = "FILE")]
        receipt: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
struct Secret {
    /// Write the secret into this new file, which only you may read, and do not show it
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.connection.connect_to_api_keys()?;
    match arguments.command {
        Command::Create { name, permission, secret } => {
            secret.check()?;
            let wanted = body(&json!({ "name": name, "permissions": permission }));
            let made = client.post("/api/keys", &wanted)?.json()?;
            tell_secret(&made, &secret, output)
        }
        Command::List => list(&client, output),
        Command::Show { id } => {
            let key = client.get(&path(&id))?.json()?;
            if output.is_json() { output.json(&key) } else { output.fields(&fields(&key)) }
        }
        Command::Rotate { id, grace, secret } => {
            secret.check()?;
            let wanted = body(&json!({ "grace_period_seconds": grace }));
            let made = client.post(&format!("{}/rotate", path(&id)), &wanted)?.json()?;
            tell_secret(&made, &secret, output)
        }
        Command::Delete { id, receipt } => delete(&client, &id, receipt, output),
    }
}

fn path(id: &str) -> String {
    format!("/api/keys/{}", query_value(id))
}

impl Secret {
    /// Before anything is made whose secret could then not be kept.
    fn check(&self) -> Result<(), Failure> {
        match &self.secret_file {
            Some(file) if file.exists() => {
                Err(Failure::Usage(format!("`{}` is there already", file.display())))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn tell_secret(made: &Value, wanted: &Secret, output: &mut Output) -> Result<(), Failure> {
    let mut made = made.clone();
    let data = made.get_mut("data").map(Value::take).unwrap_or_default();
    let (key, secret) = (data.get("key").cloned().unwrap_or_default(), member(&data, "secret"));
    let secret = SecretVec::from_vec(secret.into_bytes());
    if let Some(file) = &wanted.secret_file {
        write_atomic(file, secret.expose(), 0o600).map_err(|error| {
            let file = file.display();
            Failure::Failed(format!("cannot write `{file}`: {error}; rotate the key for another"))
        })?;
        return if output.is_json() { output.json(&key) } else { output.fields(&fields(&key)) };
    }
    if output.is_json() {
        return output.json(&data);
    }
    let mut fields = fields(&key);
    fields.push(("secret", printable(&String::from_utf8_lossy(secret.expose()))));
    output.fields(&fields)
}

fn fields(key: &Value) -> Vec<(&'static str, String)> {
    let mut fields: Vec<(&str, String)> = [
        ("api key", "id"),
        ("name", "name"),
        ("begins with", "key_prefix"),
        ("client", "client_id"),
        ("created", "created_at"),
        ("status", "status"),
        ("last used", "last_used_at"),
    ]
    .map(|(name, from)| (name, printable(&member(key, from))))
    .into();
    fields.push(("may", permissions(key)));
    fields
}

fn permissions(key: &Value) -> String {
    let all = key.get("permissions").and_then(Value::as_array);
    let names = all.into_iter().flatten().filter_map(Value::as_str);
    printable(&names.collect::<Vec<_>>().join(" "))
}

fn list(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let mut keys: Vec<Value> = Vec::new();
    let mut path = "/api/keys?limit=100".to_owned();
    loop {
        let page = client.get(&path)?.json()?;
        keys.extend(page.get("data").and_then(Value::as_array).into_iter().flatten().cloned());
        let cursor = page.get("pagination").and_then(|page| page.get("cursor")?.as_str());
        match cursor {
            Some(cursor) => path = format!("/api/keys?limit=100&cursor={}", query_value(cursor)),
            None => break,
        }
    }
    if output.is_json() {
        return output.json(&keys);
    }
    let row = |key: &Value| {
        let mut row = ["id", "key_prefix", "status", "last_used_at", "name"]
            .map(|name| member(key, name))
            .to_vec();
        row.push(permissions(key));
        row
    };
    let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
    for line in table(&["api key", "begins with", "status", "last used", "name", "may"], &rows) {
        output.line(&line)?;
    }
    Ok(())
}

fn delete(
    client: &Client,
    id: &str,
    file: Option<PathBuf>,
    output: &mut Output,
) -> Result<(), Failure> {
    client.delete(&path(id))?;
    let told = client.get(&format!("/v1/api-keys/{}/receipt", query_value(id)))?.json()?;
    let receipt = told.get("data").map(|data| member(data, "receipt")).unwrap_or_default();
    if let Some(file) = file {
        let proof = STANDARD
            .decode(&receipt)
            .map_err(|_| Failure::Failed("it is deleted; its receipt is malformed".to_owned()))?;
        std::fs::write(&file, proof).map_err(|error| {
            let file = file.display();
            Failure::Failed(format!("it is deleted; cannot write the receipt `{file}`: {error}"))
        })?;
    }
    if output.is_json() {
        return output.json(&json!({ "id": id, "receipt": receipt }));
    }
    output.line(&format!("deleted {}: refused from now on, everywhere", printable(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_without_control_characters() {
        let key = json!({"id": "api_key_1", "name": "a\u{1b}[2Jb", "permissions": ["x", "y\n"]});
        let told = fields(&key);
        assert!(told.iter().all(|(_, text)| !text.contains(char::is_control)), "{told:?}");
        assert!(told.contains(&("api key", "api_key_1".to_owned())), "{told:?}");
    }

    #[test]
    fn a_secret_file_that_is_there_is_not_overwritten() {
        let there = Secret { secret_file: Some("Cargo.toml".into()) };
        assert!(matches!(there.check(), Err(Failure::Usage(_))));
        assert!(Secret { secret_file: None }.check().is_ok());
    }
}
