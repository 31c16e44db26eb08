//! `lethe vault`: collections of keys, and the rules for them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::policy;
use super::realm::policy_fields;
use crate::arguments::{Label, labels_object};
use crate::client::{Client, body};
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
        #[command(flatten)]
        rules: Rules,
    },
    /// List the vaults of the realm
    List,
    /// See a vault and its rules
    Show {
        /// Its id or name
        vault: String,
    },
    /// Change a vault's name, rules or labels
    Update(Update),
    /// Remove a vault in which no key lives
    Remove {
        /// Its id or name
        vault: String,
    },
}

/// What is to hold for the keys of a vault.
#[derive(Args, Debug)]
struct Rules {
    /// The deletion policy, which adds to the realm's: TOML, or JSON if its name ends so
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// How names of its keys may be used
    #[arg(long, value_name = "RULE")]
    names: Option<NameRule>,
    /// A label; may be repeated. A vault that has labels has these instead
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<Label>,
}

#[derive(Args, Debug)]
struct Update {
    /// Its id or name
    vault: String,
    #[command(flatten)]
    changes: Changes,
}

/// What is to change; what is not named stays.
#[derive(Args, Debug)]
struct Changes {
    /// Another name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    rules: Rules,
    /// Take its policy away; the realm's goes on
    #[arg(long, conflicts_with = "policy")]
    no_policy: bool,
    /// Take all its labels away
    #[arg(long, conflicts_with = "label")]
    no_labels: bool,
}

/// How names of keys may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NameRule {
    /// As often as anybody likes
    Free,
    /// Once among keys that are not destroyed
    UniqueAmongLive,
    /// Once and for ever
    NeverAgain,
}

impl NameRule {
    fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::UniqueAmongLive => "unique_among_live",
            Self::NeverAgain => "never_again",
        }
    }
}

impl Rules {
    fn members(&self) -> Result<Map<String, Value>, Failure> {
        let mut members = Map::new();
        if let Some(file) = &self.policy {
            members.insert("policy".to_owned(), policy::read(file)?);
        }
        if let Some(names) = self.names {
            members.insert("names".to_owned(), json!(names.as_str()));
        }
        if !self.label.is_empty() {
            let labels = labels_object(&self.label).map_err(Failure::Usage)?;
            members.insert("labels".to_owned(), Value::Object(labels));
        }
        Ok(members)
    }
}

impl Changes {
    fn members(&self) -> Result<Map<String, Value>, Failure> {
        let mut members = self.rules.members()?;
        if let Some(name) = &self.name {
            members.insert("name".to_owned(), json!(name));
        }
        if self.no_policy {
            members.insert("policy".to_owned(), json!({}));
        }
        if self.no_labels {
            members.insert("labels".to_owned(), json!({}));
        }
        if members.is_empty() {
            return Err(Failure::Usage("say what is to change in the vault".to_owned()));
        }
        Ok(members)
    }
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.connection.connect()?;
    let path = |vault: &str| resolve(&client, vault).map(|id| format!("/v1/vaults/{id}"));
    let vault = match arguments.command {
        Command::Create { name, rules } => {
            let mut members = rules.members()?;
            members.insert("name".to_owned(), json!(name));
            client.post("/v1/vaults", &body(&Value::Object(members)))?
        }
        Command::List => return list(&client, output),
        Command::Show { vault } => client.get(&path(&vault)?)?,
        Command::Update(Update { vault, changes }) => {
            let members = body(&Value::Object(changes.members()?));
            client.patch(&path(&vault)?, &members)?
        }
        Command::Remove { vault } => client.delete(&path(&vault)?)?,
    };
    show(&vault.json()?, output)
}

fn show(vault: &Value, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(vault);
    }
    output.fields(&fields(vault))
}

fn fields(vault: &Value) -> Vec<(&'static str, String)> {
    let mut fields: Vec<(&str, String)> = ["id", "name", "created", "changed", "removed"]
        .map(|name| (name, member(vault, name)))
        .into();
    let names = match member(vault, "names").as_str() {
        "unique_among_live" => "each once among keys that are not destroyed".to_owned(),
        "never_again" => "each once and for ever".to_owned(),
        other => other.to_owned(),
    };
    fields.push(("names of keys", names));
    let mut name = "labels";
    let labels = vault.get("labels").and_then(Value::as_object).into_iter().flatten();
    for (label, value) in labels {
        let text = format!("{label}={}", value.as_str().unwrap_or_default());
        fields.push((core::mem::take(&mut name), text));
    }
    fields.extend(policy_fields(vault));
    fields
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        update: Update,
    }

    fn parse(arguments: &[&str]) -> Result<Value, String> {
        let line = Line::try_parse_from(["x", "v"].iter().chain(arguments))
            .map_err(|error| error.to_string())?;
        let members = line.update.changes.members();
        members.map(Value::Object).map_err(|failure| failure.text().unwrap())
    }

    #[test]
    fn changes_become_the_request() {
        #[track_caller]
        fn check(arguments: &[&str], expected: Value) {
            assert_eq!(parse(arguments).unwrap(), expected);
        }
        check(
            &["--name", "n", "--names", "never-again"],
            json!({"name": "n", "names": "never_again"}),
        );
        check(&["--no-policy", "--no-labels"], json!({"policy": {}, "labels": {}}));
        check(&["--label", "a=1"], json!({"labels": {"a": "1"}}));
    }

    #[test]
    fn changes_that_say_nothing_or_two_things_are_refused() {
        for arguments in [
            &[][..],
            &["--names", "often"],
            &["--label", "a"],
            &["--label", "a=1", "--label", "a=1"],
            &["--label", "a=1", "--no-labels"],
            &["--policy", "f", "--no-policy"],
            &["--policy", "/nonexistent"],
        ] {
            parse(arguments).unwrap_err();
        }
    }

    #[test]
    fn a_vault_is_told_with_its_rules() {
        let vault = json!({"id": "1", "name": "n", "created": "c", "changed": "d",
            "names": "never_again", "labels": {"a": "x"}, "policy": {"confirm": true}});
        let told = fields(&vault);
        assert!(told.contains(&("names of keys", "each once and for ever".to_owned())));
        assert!(told.contains(&("labels", "a=x".to_owned())), "{told:?}");
        assert!(told.iter().any(|(name, text)| *name == "deletion policy" && !text.is_empty()));
    }
}
