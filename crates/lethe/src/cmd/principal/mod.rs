//! `lethe principal`: who may do what, and by what they prove themselves.

mod create;
mod credential;

use clap::{Args, Subcommand};
use lethe_types::{Permission, PrincipalId};
use serde_json::{Map, Value, json};

use create::Granted;

use super::vault;
use crate::client::{Client, body};
use crate::connection::ConnectionArguments;
use crate::failure::Failure;
use crate::output::{Output, member, printable, table};

/// What to do with principals.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a principal; its token is shown this once
    Create(create::Create),
    /// List the principals of the realm, revoked ones too
    List,
    /// See a principal, what it may do and how it proves itself
    Show {
        /// Its id
        id: PrincipalId,
    },
    /// Change a principal's name, login or grants
    Update(Update),
    /// Refuse a principal for the time being
    Suspend {
        /// Its id
        id: PrincipalId,
    },
    /// Take a suspended principal again
    Resume {
        /// Its id
        id: PrincipalId,
    },
    /// Take every right and credential from a principal, at once and for good
    Revoke {
        /// Its id
        id: PrincipalId,
    },
    /// Add, remove, suspend and resume what a principal proves itself by
    #[command(subcommand)]
    Credential(credential::Command),
}

#[derive(Args, Debug)]
struct Update {
    /// The principal
    id: PrincipalId,
    /// Another name
    #[arg(long)]
    name: Option<String>,
    /// Another name to sign in with
    #[arg(long, value_name = "TEXT")]
    login: Option<String>,
    /// Take the name to sign in with away
    #[arg(long, conflicts_with = "login")]
    no_login: bool,
    /// What it may do from now on, in the place of all its grants; may be repeated
    #[arg(long, value_name = "PERMISSIONS", value_delimiter = ',')]
    grant: Vec<Granted>,
    /// The new grant is only for this vault (id or name)
    #[arg(long, value_name = "VAULT", requires = "grant", conflicts_with = "key")]
    vault: Option<String>,
    /// The new grant is only for this key
    #[arg(long, value_name = "ID", requires = "grant")]
    key: Option<lethe_types::KeyId>,
}

impl Update {
    fn body(&self, vault: Option<&str>) -> Result<Value, Failure> {
        let mut members = Map::new();
        if let Some(name) = &self.name {
            members.insert("name".to_owned(), json!(name));
        }
        if self.login.is_some() || self.no_login {
            members.insert("login".to_owned(), json!(self.login));
        }
        if !self.grant.is_empty() {
            let grant = create::grant(&self.grant, vault, self.key)?;
            members.insert("grants".to_owned(), json!([grant]));
        }
        if members.is_empty() {
            return Err(Failure::Usage(
                "say what is to change: --name, --login, --grant".to_owned(),
            ));
        }
        Ok(Value::Object(members))
    }
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.connection.connect()?;
    let path = |id: PrincipalId| format!("/v1/principals/{id}");
    let suspended = |is: bool| body(&json!({ "suspended": is }));
    let principal = match arguments.command {
        Command::Create(wanted) => return create::run(&client, wanted, output),
        Command::List => return list(&client, output),
        Command::Credential(command) => return credential::run(&client, command, output),
        Command::Show { id } => client.get(&path(id))?,
        Command::Update(wanted) => {
            let vault = wanted.vault.as_deref();
            let vault = vault.map(|name| vault::resolve(&client, name)).transpose()?;
            let changes = wanted.body(vault.as_deref())?;
            client.patch(&path(wanted.id), &body(&changes))?
        }
        Command::Suspend { id } => client.patch(&path(id), &suspended(true))?,
        Command::Resume { id } => client.patch(&path(id), &suspended(false))?,
        Command::Revoke { id } => client.delete(&path(id))?,
    };
    show(&principal.json()?, &[], output)
}

fn list(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let answer = client.get("/v1/principals")?.json()?;
    if output.is_json() {
        return output.json(&answer);
    }
    let principals = answer.get("principals").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = principals
        .map(|principal| {
            let [id, kind, created, name] =
                ["id", "kind", "created", "name"].map(|name| member(principal, name));
            let cells = [id, state(principal).to_owned(), kind, created, name];
            cells.map(|cell| printable(&cell)).into()
        })
        .collect();
    for line in table(&["ID", "STATE", "KIND", "CREATED", "NAME"], &rows) {
        output.line(&line)?;
    }
    Ok(())
}

fn state(principal: &Value) -> &'static str {
    let is_suspended = principal.get("suspended").and_then(Value::as_bool) == Some(true);
    match (member(principal, "revoked").is_empty(), is_suspended) {
        (false, _) => "revoked",
        (true, true) => "suspended",
        (true, false) => "valid",
    }
}

fn show(principal: &Value, more: &[(&str, String)], output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(principal);
    }
    let mut fields = fields(principal);
    fields.extend_from_slice(more);
    output.fields(&fields)
}

fn fields(principal: &Value) -> Vec<(&str, String)> {
    let mut fields: Vec<(&str, String)> = ["id", "name", "kind", "login", "created", "revoked"]
        .map(|name| (name, member(principal, name)))
        .into();
    if state(principal) == "suspended" {
        fields.push(("suspended", "refused until `lethe principal resume`".to_owned()));
    }
    match member(principal, "bound_to").as_str() {
        "" => {}
        key => fields.push(("bound to", format!("key {key}, with which it ends"))),
    }
    let grants = principal.get("grants").and_then(Value::as_array).into_iter().flatten();
    fields.extend(grants.map(|grant| ("may", grant_text(grant))));
    let credentials = principal.get("credentials").and_then(Value::as_array);
    let credentials = credentials.into_iter().flatten();
    fields.extend(credentials.map(|one| ("credential", credential_text(one))));
    fields
}

/// A credential as in `0f…  public_key "laptop", looked up by x, since …, until …, suspended`.
fn credential_text(credential: &Value) -> String {
    let text = |name: &str| member(credential, name);
    let mut told = format!("{}  {}", text("id"), text("type"));
    for (name, before, after) in [
        ("name", " \"", "\""),
        ("external", ", looked up by ", ""),
        ("created", ", since ", ""),
        ("expires", ", until ", ""),
    ] {
        match text(name).as_str() {
            "" => {}
            value => told.push_str(&format!("{before}{value}{after}")),
        }
    }
    if credential.get("suspended").and_then(Value::as_bool) == Some(true) {
        told.push_str(", suspended");
    }
    told
}

/// A grant as in `keys.read, keys.create in vault 0f…`.
fn grant_text(grant: &Value) -> String {
    let names = grant.get("permissions").and_then(Value::as_array);
    let names: Vec<&str> = names.into_iter().flatten().filter_map(Value::as_str).collect();
    let what = if names.len() == Permission::ALL.len() {
        "everything".to_owned()
    } else {
        names.join(", ")
    };
    match member(grant, "scope").as_str() {
        "vault" => format!("{what} in vault {}", member(grant, "vault")),
        "key" => format!("{what} on key {}", member(grant, "key")),
        _ => format!("{what} in the realm"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_told_in_words() {
        #[track_caller]
        fn check(grant: Value, expected: &str) {
            assert_eq!(grant_text(&grant), expected);
        }
        check(json!({"permissions": ["a", "b"], "scope": "realm"}), "a, b in the realm");
        check(json!({"permissions": ["a"], "scope": "vault", "vault": "v"}), "a in vault v");
        check(json!({"permissions": ["a"], "scope": "key", "key": "k"}), "a on key k");
        let all: Vec<&str> = Permission::ALL.iter().map(|one| one.as_str()).collect();
        check(json!({"permissions": all, "scope": "realm"}), "everything in the realm");
    }

    #[test]
    fn a_principal_is_told_with_its_credentials() {
        let principal = json!({"id": "1", "name": "n", "kind": "user", "login": null,
        "suspended": true, "bound_to": "k", "grants": [], "credentials": [
            {"id": "c", "type": "public_key", "name": "laptop", "external": "x",
                "created": "t", "expires": "e", "suspended": true},
            {"id": "d", "type": "bearer", "name": "", "created": "t", "suspended": false},
        ]});
        let told = fields(&principal);
        assert!(told.iter().any(|(name, _)| *name == "suspended"), "{told:?}");
        let expected = "c  public_key \"laptop\", looked up by x, since t, until e, suspended";
        assert!(told.contains(&("credential", expected.to_owned())), "{told:?}");
        assert!(told.contains(&("credential", "d  bearer, since t".to_owned())), "{told:?}");
        assert_eq!(state(&json!({"revoked": "t", "suspended": true})), "revoked");
        assert_eq!(state(&json!({})), "valid");
    }

    #[test]
    fn a_change_says_what_changes() {
        let mut update = Update {
            id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            name: None,
            login: None,
            no_login: false,
            grant: Vec::new(),
            vault: None,
            key: None,
        };
        assert_eq!(update.body(None).unwrap_err().exit_code(), 2);
        update.no_login = true;
        assert_eq!(update.body(None).unwrap(), json!({"login": null}));
        update.grant = vec!["keys.read".parse().unwrap()];
        let grants = json!([{"permissions": ["keys.read"], "vault": "v"}]);
        assert_eq!(update.body(Some("v")).unwrap()["grants"], grants);
    }
}
