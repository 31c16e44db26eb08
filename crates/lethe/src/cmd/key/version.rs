//! `lethe key version`: the versions of a key, one by one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lethe_types::KeyId;
use serde_json::Value;
use ureq::http::Method;

use super::details::items;
use super::{path, show};
use crate::client::{Client, JSON, TEXT, query_value};
use crate::console::ask;
use crate::failure::Failure;
use crate::files::{NewFile, PUBLIC_MODE};
use crate::output::{Output, member, printable, table};

/// What to do with versions.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the versions of a key, destroyed ones too
    List {
        /// The key
        id: KeyId,
    },
    /// Refuse every use of a version for the time being
    Suspend(Version),
    /// Use a suspended version again
    Resume(Version),
    /// Destroy a version, for good; the key goes on with its others
    Destroy(Destroy),
    /// Fetch the receipt of a version's destruction
    Receipt {
        #[command(flatten)]
        version: Version,
        /// A new file to write it to; without it standard output
        #[arg(long, short = 'o', value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// A version of a key.
#[derive(Args, Clone, Copy, Debug)]
struct Version {
    /// The key
    id: KeyId,
    /// The number of the version
    version: u32,
}

impl Version {
    fn path(self) -> String {
        format!("{}/versions/{}", path(self.id), self.version)
    }
}

#[derive(Args, Debug)]
struct Destroy {
    #[command(flatten)]
    version: Version,
    /// Why; part of the receipt
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// A new file for the receipt (.tlog-proof); it can also be fetched later
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The key's id or exact name once more, where the policy wants it repeated
    #[arg(long, value_name = "TEXT")]
    confirm: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Destroy {
    fn query(&self) -> String {
        let mut query = format!("{}?reason={}", self.version.path(), query_value(&self.reason));
        if let Some(confirm) = &self.confirm {
            query.push_str(&format!("&confirm={}", query_value(confirm)));
        }
        query
    }
}

pub(super) fn run(client: &Client, wanted: &Arguments, output: &mut Output) -> Result<(), Failure> {
    match &wanted.command {
        Command::List { id } => list(&client.get(&path(*id))?.json()?, output),
        Command::Suspend(version) => change(client, *version, "suspend", output),
        Command::Resume(version) => change(client, *version, "resume", output),
        Command::Destroy(wanted) => destroy(client, wanted, output),
        Command::Receipt { version, out } => receipt(client, *version, out.as_ref(), output),
    }
}

fn change(
    client: &Client,
    version: Version,
    name: &str,
    output: &mut Output,
) -> Result<(), Failure> {
    let key = client.post_nothing(&format!("{}/{name}", version.path()))?.json()?;
    if output.is_json() { show(&key, output) } else { list(&key, output) }
}

fn list(key: &Value, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        let versions = serde_json::json!({
            "current_version": key.get("current_version"),
            "versions": key.get("versions"),
            "destroyed_versions": key.get("destroyed_versions").unwrap_or(&Value::Array(vec![])),
        });
        return output.json(&versions);
    }
    for line in table(&[">VERSION", "STATE", "SINCE", "CREATED"], &rows(key)) {
        output.line(&line)?;
    }
    Ok(())
}

/// A row for each version, newest last; the one that protects new data is marked.
fn rows(key: &Value) -> Vec<Vec<String>> {
    let current = member(key, "current_version");
    let mut rows: Vec<(u64, Vec<String>)> = Vec::new();
    let mut add = |version: &Value, state: &str, since: &str| {
        let number = version.get("version").and_then(Value::as_u64).unwrap_or(0);
        let mark = if number.to_string() == current { " (current)" } else { "" };
        let cells = [
            number.to_string(),
            format!("{state}{mark}"),
            member(version, since),
            member(version, "created"),
        ];
        rows.push((number, cells.map(|cell| printable(&cell)).into()));
    };
    for version in items(key, "versions") {
        add(version, &member(version, "state"), "since");
    }
    for version in items(key, "destroyed_versions") {
        add(version, "destroyed", "destroyed");
    }
    rows.sort_by_key(|(number, _)| *number);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn destroy(client: &Client, wanted: &Destroy, output: &mut Output) -> Result<(), Failure> {
    let file = wanted.receipt.as_deref().map(|path| NewFile::create(path, PUBLIC_MODE));
    let file = file.transpose()?;
    if !wanted.yes {
        let Version { id, version } = wanted.version;
        let question = format!(
            "Destroying version {version} of key {id} is for good: what it encrypted is lost with \
             it.\nType the number of the version again to destroy it: "
        );
        if ask(&question)?.trim() != version.to_string() {
            let why = "that is not its number; nothing was destroyed".to_owned();
            return Err(Failure::Failed(why));
        }
    }
    let answer = client.send(Method::DELETE, &wanted.query(), JSON, None)?;
    let receipt = answer.json()?;
    if let Some(file) = file {
        file.keep(member(&receipt, "proof").as_bytes())?;
    }
    if output.is_json() {
        return output.json(&receipt);
    }
    let nothing = Value::Null;
    let statement = receipt.get("statement").unwrap_or(&nothing);
    let Version { id, version } = wanted.version;
    let kept = match &wanted.receipt {
        Some(path) => path.display().to_string(),
        None => format!("not kept; `lethe key version receipt {id} {version}` fetches it"),
    };
    output.fields(&[
        ("destroyed", format!("version {version} of {id} ({})", member(statement, "name"))),
        ("unusable since", member(statement, "unusable_since")),
        ("erased", member(statement, "irrecoverable_since")),
        ("log entry", member(statement, "log_index")),
        ("receipt", kept),
    ])
}

fn receipt(
    client: &Client,
    version: Version,
    out: Option<&PathBuf>,
    output: &mut Output,
) -> Result<(), Failure> {
    let file = out.map(|path| NewFile::create(path, PUBLIC_MODE)).transpose()?;
    let form = if output.is_json() { JSON } else { TEXT };
    let path = format!("{}/receipt", version.path());
    let answer = client.send(Method::GET, &path, form, None)?;
    match file {
        Some(file) => file.keep(answer.body.expose()),
        None => output.bytes(answer.body.expose()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_told_by_number_and_the_current_one_is_marked() {
        let key = json!({
            "current_version": 3,
            "versions": [
                {"version": 1, "state": "suspended", "since": "b", "created": "a"},
                {"version": 3, "state": "enabled", "since": "e", "created": "e"},
            ],
            "destroyed_versions": [{"version": 2, "created": "c", "destroyed": "d", "by": "p"}],
        });
        let expected = [
            ["1", "suspended", "b", "a"],
            ["2", "destroyed", "d", "c"],
            ["3", "enabled (current)", "e", "e"],
        ];
        assert_eq!(rows(&key), expected);
        assert!(rows(&json!({"current_version": null, "versions": []})).is_empty());
    }

    #[test]
    fn a_request_says_what_was_given() {
        let id = "0123456789abcdef0123456789abcdef";
        let mut wanted = Destroy {
            version: Version { id: id.parse().unwrap(), version: 7 },
            reason: "a b".to_owned(),
            receipt: None,
            confirm: None,
            yes: true,
        };
        assert_eq!(wanted.query(), format!("/v1/keys/{id}/versions/7?reason=a%20b"));
        wanted.confirm = Some("x&y".to_owned());
        let query = format!("/v1/keys/{id}/versions/7?reason=a%20b&confirm=x%26y");
        assert_eq!(wanted.query(), query);
    }
}
