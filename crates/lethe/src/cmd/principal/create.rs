//! `lethe principal create`: a principal with grants and proofs, in one request.

use core::str::FromStr;
use core::time::Duration;
use std::borrow::Cow;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lethe_types::{KeyId, Permission, SecretVec};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::credential::{Once, Proofs, Sealed};
use super::{show, vault};
use crate::arguments::parse_lifetime;
use crate::client::Client;
use crate::failure::Failure;
use crate::files::{NewFile, PRIVATE_MODE};
use crate::output::Output;

/// What a new principal is to be.
#[derive(Args, Debug)]
pub(super) struct Create {
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
    /// What kind of actor it is; without it a service account
    #[arg(long)]
    kind: Option<Kind>,
    /// The name to sign in with
    #[arg(long, value_name = "TEXT")]
    login: Option<String>,
    #[command(flatten)]
    proofs: Proofs,
    /// Its credentials end after this time, as in 30d or 12h; without it, never
    #[arg(long, value_name = "TIME", value_parser = parse_lifetime, alias = "lifetime")]
    token_lifetime: Option<Duration>,
    /// A new file (mode 0600) for the token, which is then not shown
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Kinds of actors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// What an API key opens the door for
    Application,
    /// A role of a device
    DeviceRole,
    /// A customer, who acts on keys that were delegated to them
    EndUser,
    /// A program
    ServiceAccount,
    /// A person
    User,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::DeviceRole => "device_role",
            Self::EndUser => "end_user",
            Self::ServiceAccount => "service_account",
            Self::User => "user",
        }
    }
}

/// A permission, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granted {
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

/// The answer to a new principal, with the token apart, so that it stays in memory that is wiped.
#[derive(Deserialize)]
struct NewPrincipal<'a> {
    #[serde(borrow, default)]
    token: Option<Cow<'a, str>>,
    #[serde(flatten)]
    principal: Map<String, Value>,
}

pub(super) fn run(client: &Client, wanted: Create, output: &mut Output) -> Result<(), Failure> {
    let vault = wanted.vault.as_deref().map(|name| vault::resolve(client, name)).transpose()?;
    let (body, sealed) = create_body(&wanted, vault.as_deref())?;
    // Before the token exists: it is given once.
    let file = wanted.token_file.as_deref();
    let file = file.map(|path| NewFile::create(path, PRIVATE_MODE)).transpose()?;
    let answer = client.post("/v1/principals", &body)?;
    let made: NewPrincipal<'_> = answer.parse()?;
    let mut principal = Value::Object(made.principal);
    let once = Once { token: made.token, totp_uri: sealed.totp_uri.as_ref() };
    let shown = once.keep(file, wanted.token_file.as_deref())?;
    if output.is_json() {
        for (name, text) in shown {
            principal[name] = text.into();
        }
        return output.json(&principal);
    }
    let more: Vec<(&str, String)> =
        shown.iter().map(|(name, text)| (Once::title(name), text.clone())).collect();
    show(&principal, &more, output)?;
    Once::explain(&shown, output)
}

/// One grant of all of `permissions`.
///
/// # Errors
/// [`Failure::Usage`] if everything is granted and something beside it.
pub(super) fn grant(
    permissions: &[Granted],
    vault: Option<&str>,
    key: Option<KeyId>,
) -> Result<Value, Failure> {
    let mut names: Vec<&str> = permissions.iter().map(|granted| granted.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() > 1 && names.contains(&Granted::Everything.as_str()) {
        return Err(Failure::Usage("--grant: `*` is everything; give it alone".to_owned()));
    }
    let mut grant = json!({ "permissions": names });
    if let Some(vault) = vault {
        grant["vault"] = Value::from(vault);
    }
    if let Some(key) = key {
        grant["key"] = Value::from(key.to_string());
    }
    Ok(grant)
}

fn create_body(wanted: &Create, vault: Option<&str>) -> Result<(SecretVec, Sealed), Failure> {
    let grant = grant(&wanted.grant, vault, wanted.key)?;
    let mut body = json!({ "name": wanted.name, "grants": [grant] });
    if let Some(kind) = wanted.kind {
        body["kind"] = kind.as_str().into();
    }
    if let Some(login) = &wanted.login {
        body["login"] = login.as_str().into();
    }
    if wanted.proofs.is_empty() {
        // One bearer token, as the server has it where nothing is said.
        if let Some(lifetime) = wanted.token_lifetime {
            body["token_lifetime_seconds"] = Value::from(lifetime.as_secs());
        }
        return Ok((SecretVec::from_vec(body.to_string().into_bytes()), Sealed::default()));
    }
    if wanted.token_file.is_some() && !wanted.proofs.has_token() {
        let why = "--token-file: there is no token; say --token beside the other proofs";
        return Err(Failure::Usage(why.to_owned()));
    }
    let owner = wanted.login.as_deref().unwrap_or(&wanted.name);
    let sealed = wanted.proofs.seal(None, wanted.token_lifetime, owner)?;
    Ok((with_credentials(&body, &sealed.credentials), sealed))
}

/// `body` with the credentials, which are secret: written in one piece.
fn with_credentials(body: &Value, credentials: &[SecretVec]) -> SecretVec {
    const NAME: &[u8] = b",\"credentials\":[";
    let body = body.to_string();
    let secret: usize = credentials.iter().map(|one| one.len() + 1).sum();
    let mut out = Vec::with_capacity(body.len() + NAME.len() + secret + 2);
    out.extend_from_slice(body.strip_suffix('}').unwrap_or(&body).as_bytes());
    out.extend_from_slice(NAME);
    for (index, one) in credentials.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(one.expose());
    }
    out.extend_from_slice(b"]}");
    SecretVec::from_vec(out)
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
        let body = create_body(&line.create, vault);
        let (body, _) = body.map_err(|failure| failure.text().unwrap())?;
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
    fn proofs_stand_beside_the_grants() {
        check(
            &["--grant", "*", "--kind", "end-user", "--login", "anne", "--token"],
            json!({
                "name": "n", "kind": "end_user", "login": "anne",
                "grants": [{"permissions": ["*"]}], "credentials": [{"type": "bearer"}],
            }),
        );
        refused(&["--grant", "*", "--kind", "robot"], "invalid value");
        refused(&["--grant", "*", "--totp"], "--passphrase-file");
        refused(&["--grant", "*", "--public-key", "/nonexistent", "--token-file", "f"], "no token");
    }
}
