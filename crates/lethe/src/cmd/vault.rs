//! `lethe vault`: collections of keys.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::{Client, Member, object};
use crate::connection::ConnectionArguments;
use crate::failure::Failure;
use crate::output::{Output, member, printable, table};

/// What to do with vaults.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a vault
    Create {
        /// Its name, unique in the realm
        name: String,
    },
    /// List the vaults of the realm
    List,
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.connection.connect()?;
    match arguments.command {
        Command::Create { name } => create(&client, &name, output),
        Command::List => list(&client, output),
    }
}

fn create(client: &Client, name: &str, output: &mut Output) -> Result<(), Failure> {
    let body = object(&[("name", Member::Text(name))]);
    let vault = client.post("/v1/vaults", &body)?.json()?;
    if output.is_json() {
        return output.json(&vault);
    }
    output.fields(&["id", "name", "created"].map(|name| (name, member(&vault, name))))
}

fn list(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let answer = client.get("/v1/vaults")?.json()?;
    if output.is_json() {
        return output.json(&answer);
    }
    let rows: Vec<Vec<String>> = all(&answer)
        .map(|vault| ["id", "created", "name"].map(|name| printable(&member(vault, name))).into())
        .collect();
    for line in table(&["ID", "CREATED", "NAME"], &rows) {
        output.line(&line)?;
    }
    Ok(())
}

fn all(answer: &Value) -> impl Iterator<Item = &Value> {
    answer.get("vaults").and_then(Value::as_array).into_iter().flatten()
}

/// The id of the vault that `text` names: an id, or a name of a vault that may be listed.
///
/// # Errors
/// Those of listing; [`Failure::Failed`] if there is none of this name.
pub(crate) fn resolve(client: &Client, text: &str) -> Result<String, Failure> {
    if text.parse::<lethe_types::VaultId>().is_ok() {
        return Ok(text.to_owned());
    }
    let answer = client.get("/v1/vaults")?.json()?;
    let found = all(&answer).find(|vault| member(vault, "name") == text);
    found
        .map(|vault| member(vault, "id"))
        .ok_or_else(|| Failure::Failed(format!("there is no vault `{text}`")))
}
