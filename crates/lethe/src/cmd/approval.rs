//! `lethe approval`: ask others to agree to a destruction, and agree to one with a signature that
//! is made here, so that the private key stays with whoever agrees.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use lethe_crypto::registry::{SignatureScheme, UsableKey};
use lethe_crypto::signing_key::{SIGNING_KEY_PEM_BYTES_MAX, signing_key_from_pem};
use lethe_types::{ApprovalId, CredentialId, KeyId};
use serde_json::{Value, json};

use crate::client::{Client, body};
use crate::connection::ConnectionArguments;
use crate::console::{ask, can_ask};
use crate::failure::Failure;
use crate::files::read_input;
use crate::output::{Output, member, printable, table};

/// Requests that are listed at a time.
const LISTED_MAX: usize = 1_000;

/// What to do with requests for approval.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask others to agree to the destruction of a key
    Request {
        /// The key
        key: KeyId,
        /// Why; part of what they sign
        #[arg(long)]
        reason: String,
    },
    /// List requests, newest first
    List {
        /// Only those about this key
        #[arg(long, value_name = "ID")]
        key: Option<KeyId>,
        /// Those that were used, withdrawn or are over, too
        #[arg(long)]
        all: bool,
    },
    /// See a request, with the text that whoever agrees signs
    Show {
        /// The request
        id: ApprovalId,
    },
    /// Agree to a request: signs its text here, with a private key of yours
    Approve(Approve),
    /// End a request: it is worth nothing any more
    Withdraw {
        /// The request
        id: ApprovalId,
    },
}

#[derive(Args, Debug)]
struct Approve {
    /// The request
    id: ApprovalId,
    /// Your credential with the public half of the key, as `lethe principal show` lists it
    #[arg(long, value_name = "ID")]
    credential: CredentialId,
    /// The private key: Ed25519 or ECDSA, PKCS#8 in PEM; - is standard input. It stays here
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// How the signature is written; without it the first way of the key's algorithm
    #[arg(long, value_parser = parse_scheme)]
    scheme: Option<SignatureScheme>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

fn parse_scheme(text: &str) -> Result<SignatureScheme, String> {
    text.parse().map_err(|_| {
        let all: Vec<&str> = SignatureScheme::ALL.iter().map(|scheme| scheme.as_str()).collect();
        format!("there are: {}", all.join(", "))
    })
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.connection.connect()?;
    match arguments.command {
        Command::Request { key, reason } => {
            let reason = body(&json!({ "reason": reason }));
            let made = client.post(&format!("/v1/keys/{key}/approvals"), &reason)?.json()?;
            show(&made, output)
        }
        Command::List { key, all } => list(&client, key, all, output),
        Command::Show { id } => show(&client.get(&path(id))?.json()?, output),
        Command::Approve(wanted) => approve(&client, &wanted, output),
        Command::Withdraw { id } => show(&client.delete(&path(id))?.json()?, output),
    }
}

fn path(id: ApprovalId) -> String {
    format!("/v1/approvals/{id}")
}

fn list(
    client: &Client,
    key: Option<KeyId>,
    all: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut query = format!("/v1/approvals?limit={LISTED_MAX}");
    if let Some(key) = key {
        query.push_str(&format!("&key={key}"));
    }
    if !all {
        query.push_str("&open=true");
    }
    let answer = client.get(&query)?.json()?;
    if output.is_json() {
        return output.json(&answer);
    }
    let requests = answer.get("approvals").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = requests
        .map(|request| {
            let agreed = agreed(request).count().to_string();
            let [id, key, state, expires, reason] =
                ["id", "key", "state", "expires", "reason"].map(|name| member(request, name));
            [id, key, state, agreed, expires, reason].map(|cell| printable(&cell)).into()
        })
        .collect();
    if rows.is_empty() {
        return output.line("no requests for approval");
    }
    for line in table(&["ID", "KEY", "STATE", ">AGREED", "EXPIRES", "REASON"], &rows) {
        output.line(&line)?;
    }
    Ok(())
}

fn agreed(request: &Value) -> impl Iterator<Item = &Value> {
    request.get("approvals").and_then(Value::as_array).into_iter().flatten()
}

fn show(request: &Value, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(request);
    }
    output.fields(&fields(request))
}

fn fields(request: &Value) -> Vec<(&'static str, String)> {
    let mut fields: Vec<(&str, String)> =
        [("request", "id"), ("to destroy key", "key"), ("reason", "reason"), ("state", "state")]
            .map(|(name, from)| (name, member(request, from)))
            .into();
    fields.push(("asked by", format!("principal {}", member(request, "requester"))));
    fields.push(("asked at", member(request, "created")));
    fields.push(("ends at", member(request, "expires")));
    let mut name = "agreed";
    for approval in agreed(request) {
        let [who, at, scheme] = ["principal", "at", "scheme"].map(|name| member(approval, name));
        fields.push((name, format!("principal {who}, {at}, {scheme}")));
        name = "";
    }
    if name == "agreed" {
        fields.push((name, "nobody yet".to_owned()));
    }
    if member(request, "state") == "open" {
        let id = member(request, "id");
        let key = member(request, "key");
        fields.push((
            "to agree",
            format!("lethe approval approve {id} --credential ID --key-file PRIVATE.pem"),
        ));
        fields.push(("to use it", format!("lethe key destroy {key} --approval {id}")));
    }
    let mut name = "what is signed";
    for line in member(request, "statement").lines() {
        fields.push((name, line.to_owned()));
        name = "";
    }
    fields
}

fn approve(client: &Client, wanted: &Approve, output: &mut Output) -> Result<(), Failure> {
    let pem = read_input(&wanted.key_file, SIGNING_KEY_PEM_BYTES_MAX)?;
    let key = signing_key_from_pem(&pem).map_err(|error| {
        let file = wanted.key_file.display();
        Failure::Failed(format!(
            "`{file}`: {error}; `openssl pkcs8 -topk8 -nocrypt` brings other forms into this one"
        ))
    })?;
    let request = client.get(&path(wanted.id))?.json()?;
    let statement = statement_of(&request, wanted.id)?;
    if !wanted.yes && can_ask() {
        confirm(&request, &statement)?;
    }
    let signature = sign(&key, wanted.scheme, &statement)?;
    let message = json!({
        "credential": wanted.credential.to_string(),
        "signature": STANDARD.encode(signature),
    });
    let answer = client.post(&format!("{}/approve", path(wanted.id)), &body(&message))?;
    show(&answer.json()?, output)
}

/// The text to sign, if it speaks of this request and of the key that the request shows.
fn statement_of(request: &Value, id: ApprovalId) -> Result<String, Failure> {
    let statement = member(request, "statement");
    let mut lines = statement.lines();
    let names_it = lines.next() == Some("lethe-approval/v1");
    let said: Vec<&str> = lines.collect();
    let says = |fact: String| said.contains(&fact.as_str());
    let is_it = says(format!("approval {id}"))
        && says("operation key.destroy".to_owned())
        && says(format!("key {}", member(request, "key")));
    if names_it && is_it {
        return Ok(statement);
    }
    Err(Failure::Failed("the server's text to sign is not of this request".to_owned()))
}

fn confirm(request: &Value, statement: &str) -> Result<(), Failure> {
    let text: String = statement.lines().map(|line| format!("  {}\n", printable(line))).collect();
    let answer = ask(&format!(
        "You sign, with your private key:\n{text}With it the key {} can be destroyed for good.\n\
         Type yes to agree: ",
        printable(&member(request, "key"))
    ))?;
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(Failure::Failed("nothing was signed".to_owned()))
}

fn sign(
    key: &UsableKey,
    scheme: Option<SignatureScheme>,
    statement: &str,
) -> Result<Vec<u8>, Failure> {
    key.sign(scheme, statement.as_bytes())
        .map_err(|error| Failure::Failed(format!("the text cannot be signed: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";
    const KEY: &str = "00000000000000000000000000000007";

    fn request(statement: &str) -> Value {
        json!({"id": ID, "key": KEY, "state": "open", "statement": statement, "approvals": []})
    }

    fn whole() -> String {
        format!("lethe-approval/v1\napproval {ID}\noperation key.destroy\nkey {KEY}\nreason r\n")
    }

    #[test]
    fn only_the_text_of_the_request_is_signed() {
        let id = ID.parse().unwrap();
        assert_eq!(statement_of(&request(&whole()), id).unwrap(), whole());
        for wrong in [
            String::new(),
            whole().replace("v1", "v2"),
            whole().replace(ID, KEY),
            whole().replace("key.destroy", "key.export"),
            whole().replace(&format!("key {KEY}"), &format!("key {ID}")),
            format!("x\n{}", whole()),
        ] {
            statement_of(&request(&wrong), id).unwrap_err();
        }
    }

    #[test]
    fn a_request_is_told_with_what_comes_next() {
        let told = fields(&request(&whole()));
        assert!(told.contains(&("agreed", "nobody yet".to_owned())), "{told:?}");
        assert!(told.iter().any(|(name, _)| *name == "to agree"), "{told:?}");
        let mut used = request(&whole());
        used["state"] = json!("used");
        used["approvals"] = json!([{"principal": "p", "at": "t", "scheme": "ed25519"}, {}]);
        let told = fields(&used);
        assert!(told.contains(&("agreed", "principal p, t, ed25519".to_owned())), "{told:?}");
        assert!(!told.iter().any(|(name, _)| *name == "to agree"), "{told:?}");
        assert!(told.contains(&("what is signed", "lethe-approval/v1".to_owned())));
    }

    #[test]
    fn schemes_are_named() {
        assert_eq!(parse_scheme("ed25519"), Ok(SignatureScheme::Ed25519));
        assert!(parse_scheme("rot13").unwrap_err().contains("there are: ed25519"));
    }
}
