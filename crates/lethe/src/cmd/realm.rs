//! `lethe realm`: the tenant, and the deletion policy that holds in all its vaults.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::policy;
use crate::client::body;
use crate::connection::ConnectionArguments;
use crate::failure::Failure;
use crate::output::{Output, member};

/// What to do with the realm.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See the realm and its deletion policy
    Show,
    /// Set the deletion policy, in the place of the whole old one
    Policy {
        /// The policy: TOML, or JSON if its name ends so; - is standard input. An empty one demands
        /// nothing
        file: PathBuf,
    },
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.connection.connect()?;
    let realm = match arguments.command {
        Command::Show => client.get("/v1/realm")?.json()?,
        Command::Policy { file } => {
            client.put("/v1/realm/policy", &body(&policy::read(&file)?))?.json()?
        }
    };
    if output.is_json() {
        return output.json(&realm);
    }
    output.fields(&fields(&realm))
}

fn fields(realm: &Value) -> Vec<(&'static str, String)> {
    let mut fields: Vec<(&str, String)> = [
        ("realm", "id"),
        ("name", "name"),
        ("created", "created"),
        ("default vault", "default_vault"),
    ]
    .map(|(name, from)| (name, member(realm, from)))
    .into();
    fields.extend(policy_fields(realm));
    fields
}

/// The member `policy` of a realm or vault, a line for each demand.
pub(crate) fn policy_fields(owner: &Value) -> Vec<(&'static str, String)> {
    let words = owner.get("policy").map(policy::words).unwrap_or_default();
    if words.is_empty() {
        return vec![("deletion policy", "demands nothing".to_owned())];
    }
    let mut name = "deletion policy";
    words.into_iter().map(|line| (core::mem::take(&mut name), line)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_realm_is_told_with_its_policy() {
        let realm = json!({"id": "1", "name": "n", "created": "c", "default_vault": "v",
            "policy": {"confirm": true, "dependants": "refuse"}});
        let told = fields(&realm);
        assert!(told.contains(&("default vault", "v".to_owned())), "{told:?}");
        let (first, second) = (&told[4], &told[5]);
        assert_eq!((first.0, second.0), ("deletion policy", ""));
        let none = policy_fields(&json!({"policy": {}}));
        assert_eq!(none, [("deletion policy", "demands nothing".to_owned())]);
    }
}
