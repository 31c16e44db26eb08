//! `lethe principal`: who may do what, and the tokens by which they prove themselves.

use core::str::FromStr;
use core::time::Duration;
use std::borrow::Cow;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use lethe_server::clock::parse_duration;
use lethe_types::{KeyId, Permission, PrincipalId, SecretVec};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::vault;
use crate::client::Client;
use crate::connection::ConnectionArguments;
use crate::failure::Failure;
use crate::files::{NewFile, PRIVATE_MODE};
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
    Create(Create),
    /// List the principals of the realm, revoked ones too
    List,
    /// See a principal and what it may do
    Show {
        /// Its id
        id: PrincipalId,
    },
    /// Take every right and token from a principal, at once
    Revoke {
        /// Its id
        id: PrincipalId,
    },
}

#[derive(Args, Debug)]
struct Create {
    /// A label for people
    name: String,
    /// What it may do, as in keys.create,keys.read, or * for everything; may be repeated
    #[arg(long, required = true, value_name = "PERMISSIONS", value_delimiter = ',')]
    grant: Vec<Granted>,
    /// Only in this vault (id or name)
    #[arg(long, value_name = "VAULT", conflicts_with = "key")]
    vault: Option<String>,
    /// Only on this key
    #[arg(long, value_name = "ID")]
    key: Option<KeyId>,
    /// The token ends after this time, as in 30d or 12h; without it, never
    #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
    token_lifetime: Option<Duration>,
    /// A new file (mode 0600) for the token, which is then not shown
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A permission, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Granted {
    Everything,
    One(Permission),
}

impl Granted {
    fn as_str(self) -> &'static str {
        match self {
            Self::Everything => "*",
            Self::One(permission) => permission.as_str(),
        }
    }
}

impl FromStr for Granted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "*" => Ok(Self::Everything),
            name => name.parse().map(Self::One).map_err(|error| {
                let all: Vec<&str> = Permission::ALL.iter().map(|one| one.as_str()).collect();
                format!("{error}; there are: {}", all.join(", "))
            }),
        }
    }
}

fn parse_lifetime(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("a token lives at least 1s".to_owned()),
        Ok(lifetime) => Ok(lifetime),
        Err(error) => Err(error.to_string()),
    }
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.connection.connect()?;
    match arguments.command {
        Command::Create(wanted) => create(&client, wanted, output),
        Command::List => list(&client, output),
        Command::Show { id } => {
            show(&client.get(&format!("/v1/principals/{id}"))?.json()?, None, output)
        }
        Command::Revoke { id } => {
            show(&client.delete(&format!("/v1/principals/{id}"))?.json()?, None, output)
        }
    }
}

/// The answer to a new principal, with the token apart, so that it stays in memory that is wiped.
#[derive(Deserialize)]
struct NewPrincipal<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(flatten)]
    principal: Map<String, Value>,
}

fn create(client: &Client, wanted: Create, output: &mut Output) -> Result<(), Failure> {
    let vault = wanted.vault.as_deref().map(|name| vault::resolve(client, name)).transpose()?;
    let body = create_body(&wanted, vault.as_deref())?;
    // Before the token exists: it is given once.
    let file = wanted.token_file.as_deref();
    let file = file.map(|path| NewFile::create(path, PRIVATE_MODE)).transpose()?;
    let answer = client.post("/v1/principals", &body)?;
    let made: NewPrincipal<'_> = answer.parse()?;
    let mut principal = Value::Object(made.principal);
    if let (Some(file), Some(path)) = (file, &wanted.token_file) {
        let line = SecretVec::from_vec([made.token.as_bytes(), b"\n"].concat());
        file.keep(line.expose())?;
        return show(&principal, Some(("token in", path.display().to_string())), output);
    }
    if output.is_json() {
        principal["token"] = Value::from(made.token.as_ref());
        return output.json(&principal);
    }
    show(&principal, Some(("token", made.token.clone().into_owned())), output)?;
    output.line("The token is shown this once; Lethe keeps only a hash of it.")
}

fn create_body(wanted: &Create, vault: Option<&str>) -> Result<SecretVec, Failure> {
    let mut permissions: Vec<&str> = wanted.grant.iter().map(|granted| granted.as_str()).collect();
    permissions.sort_unstable();
    permissions.dedup();
    if permissions.len() > 1 && permissions.contains(&Granted::Everything.as_str()) {
        return Err(Failure::Usage("--grant: `*` is everything; give it alone".to_owned()));
    }
    let mut grant = json!({ "permissions": permissions });
    if let Some(vault) = vault {
        grant["vault"] = Value::from(vault);
    }
    if let Some(key) = wanted.key {
        grant["key"] = Value::from(key.to_string());
    }
    let mut body = json!({ "name": wanted.name, "grants": [grant] });
    if let Some(lifetime) = wanted.token_lifetime {
        body["token_lifetime_seconds"] = Value::from(lifetime.as_secs());
    }
    Ok(SecretVec::from_vec(body.to_string().into_bytes()))
}

fn list(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let answer = client.get("/v1/principals")?.json()?;
    if output.is_json() {
        return output.json(&answer);
    }
    let principals = answer.get("principals").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = principals
        .map(|principal| {
            let revoked = member(principal, "revoked");
            let state = if revoked.is_empty() { "valid" } else { "revoked" };
            let cells = [
                member(principal, "id"),
                state.to_owned(),
                member(principal, "created"),
                member(principal, "name"),
            ];
            cells.map(|cell| printable(&cell)).into()
        })
        .collect();
    for line in table(&["ID", "STATE", "CREATED", "NAME"], &rows) {
        output.line(&line)?;
    }
    Ok(())
}

fn show(
    principal: &Value,
    more: Option<(&str, String)>,
    output: &mut Output,
) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(principal);
    }
    let mut fields: Vec<(&str, String)> =
        ["id", "name", "created", "revoked"].map(|name| (name, member(principal, name))).into();
    let grants = principal.get("grants").and_then(Value::as_array).into_iter().flatten();
    fields.extend(grants.map(|grant| ("may", grant_text(grant))));
    fields.extend(more);
    output.fields(&fields)
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
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        create: Create,
    }

    fn body(arguments: &[&str]) -> Result<Value, String> {
        let line = Line::try_parse_from(["x", "n"].iter().chain(arguments))
            .map_err(|error| error.to_string())?;
        let vault = line.create.vault.as_deref();
        let body = create_body(&line.create, vault).map_err(|failure| failure.text().unwrap())?;
        Ok(serde_json::from_slice(body.expose()).unwrap())
    }

    #[track_caller]
    fn check(arguments: &[&str], expected: Value) {
        assert_eq!(body(arguments).unwrap(), expected);
    }

    #[track_caller]
    fn refused(arguments: &[&str], expected: &str) {
        let text = body(arguments).unwrap_err();
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn grants_become_the_request() {
        check(
            &["--grant", "keys.read,keys.create", "--grant", "keys.read"],
            json!({"name": "n", "grants": [{"permissions": ["keys.create", "keys.read"]}]}),
        );
        check(
            &["--grant", "*", "--token-lifetime", "1d12h", "--vault", "v"],
            json!({
                "name": "n", "grants": [{"permissions": ["*"], "vault": "v"}],
                "token_lifetime_seconds": 129_600,
            }),
        );
        let key = "0123456789abcdef0123456789abcdef";
        check(
            &["--grant", "keys.use.sign", "--key", key],
            json!({"name": "n", "grants": [{"permissions": ["keys.use.sign"], "key": key}]}),
        );
    }

    #[test]
    fn what_cannot_be_granted_is_refused_before_it_is_sent() {
        refused(&[], "--grant");
        refused(&["--grant", "keys.reed"], "`keys.reed` names no permission; there are: keys.crea");
        refused(&["--grant", ""], "names no permission");
        refused(&["--grant", "*,keys.read"], "give it alone");
        refused(&["--grant", "*", "--token-lifetime", "0s"], "at least 1s");
        refused(&["--grant", "*", "--token-lifetime", "30"], "a length of time");
        refused(&["--grant", "*", "--key", "x"], "32 lower-case hexadecimal digits");
        let key = "0123456789abcdef0123456789abcdef";
        refused(&["--grant", "*", "--key", key, "--vault", "v"], "cannot be used with");
    }

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
}
