//! `lethe key destroy`: for good, so it is asked twice, and the receipt's place is made before.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use lethe_types::KeyId;
use serde_json::Value;

use super::path;
use crate::client::{Client, query_value};
use crate::failure::Failure;
use crate::files::{NewFile, PUBLIC_MODE};
use crate::output::{Output, member, printable};

/// Longest answer to the question, in bytes.
const ANSWER_BYTES_MAX: u64 = 1_024;

/// The key to destroy.
#[derive(Args, Debug)]
pub(super) struct Destroy {
    /// The key
    id: KeyId,
    /// Why; part of the receipt
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// A new file for the receipt (.tlog-proof); it can also be fetched later
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(client: &Client, wanted: &Destroy, output: &mut Output) -> Result<(), Failure> {
    if !wanted.yes {
        confirm(client, wanted.id)?;
    }
    // Made before the key is gone: afterwards there must be no reason to fail.
    let file = wanted.receipt.as_deref();
    let file = file.map(|path| NewFile::create(path, PUBLIC_MODE)).transpose()?;
    let path = path(wanted.id);
    let query = match wanted.reason.as_str() {
        "" => path,
        reason => format!("{path}?reason={}", query_value(reason)),
    };
    let answer = client.delete(&query)?;
    let receipt = answer.json()?;
    if let Some(file) = file {
        let proof = member(&receipt, "proof");
        file.keep(proof.as_bytes()).map_err(|failure| {
            let why = failure.text().unwrap_or_default();
            let id = wanted.id;
            Failure::Failed(format!(
                "the key is destroyed, but its receipt could not be kept: {why}; fetch it with \
                 `lethe key receipt {id}`"
            ))
        })?;
    }
    if output.is_json() {
        return output.bytes(&[answer.body.expose(), b"\n"].concat());
    }
    output.fields(&fields(wanted, &receipt))
}

fn fields(wanted: &Destroy, receipt: &Value) -> Vec<(&'static str, String)> {
    let nothing = Value::Null;
    let statement = receipt.get("statement").unwrap_or(&nothing);
    let text = |name: &str| member(statement, name);
    let kept = match &wanted.receipt {
        Some(path) => path.display().to_string(),
        None => format!("not kept; `lethe key receipt {}` fetches it at any time", wanted.id),
    };
    vec![
        ("destroyed", format!("{} ({}, {})", wanted.id, text("name"), text("algorithm"))),
        ("unusable since", text("unusable_since")),
        ("erased", text("irrecoverable_since")),
        ("recoverable from backups until", text("recoverable_from_backups_until")),
        ("log entry", format!("{} of {}", text("log_index"), text("log_origin"))),
        ("receipt", kept),
    ]
}

fn confirm(client: &Client, id: KeyId) -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    if !input.is_terminal() {
        return Err(Failure::Usage(
            "there is no terminal to ask on, and destroying is for good: say --yes".to_owned(),
        ));
    }
    let mut screen = io::stderr().lock();
    let failed = |error: io::Error| Failure::Failed(format!("cannot ask: {error}"));
    let about = describe(client, id);
    write!(
        screen,
        "{about}\nDestroying it is for good: what it encrypted is lost with it, and nobody can \
         bring it back.\nType the id of the key again to destroy it: "
    )
    .and_then(|()| screen.flush())
    .map_err(failed)?;
    let mut answer = String::new();
    input.by_ref().take(ANSWER_BYTES_MAX).read_line(&mut answer).map_err(failed)?;
    if is_confirmed(&answer, id) {
        return Ok(());
    }
    Err(Failure::Failed("that is not its id; nothing was destroyed".to_owned()))
}

/// What is about to go. Whoever may destroy a key need not be allowed to read it.
fn describe(client: &Client, id: KeyId) -> String {
    let key = client.get(&path(id)).and_then(|answer| answer.json());
    match key {
        Ok(key) => {
            let lines = ["name", "algorithm", "state", "created", "uses"]
                .map(|name| format!("\n  {name:16}  {}", printable(&member(&key, name))));
            format!("Key {id}{}", lines.concat())
        }
        Err(failure) => {
            let why = failure.text().unwrap_or_default();
            format!("Key {id}\n  (cannot be shown: {why})")
        }
    }
}

fn is_confirmed(answer: &str, id: KeyId) -> bool {
    answer.trim().parse() == Ok(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn wanted(receipt: Option<&str>) -> Destroy {
        Destroy {
            id: ID.parse().unwrap(),
            reason: String::new(),
            receipt: receipt.map(PathBuf::from),
            yes: false,
        }
    }

    #[test]
    fn only_the_whole_id_confirms() {
        #[track_caller]
        fn check(answer: &str, confirms: bool) {
            assert_eq!(is_confirmed(answer, ID.parse().unwrap()), confirms, "{answer:?}");
        }
        check(ID, true);
        check(&format!("  {ID} \r\n"), true);
        check("", false);
        check("y\n", false);
        check("yes\n", false);
        check(&ID[..31], false);
        check(&ID.to_uppercase(), false);
        check(&format!("{ID}0"), false);
        check("1123456789abcdef0123456789abcdef", false);
    }

    #[test]
    fn a_destruction_is_told_with_its_receipt() {
        let receipt = json!({"statement": {
            "name": "n", "algorithm": "a", "unusable_since": "u", "irrecoverable_since": "i",
            "recoverable_from_backups_until": null, "log_index": 5, "log_origin": "o",
        }});
        let told = fields(&wanted(Some("r.proof")), &receipt);
        assert!(told.contains(&("destroyed", format!("{ID} (n, a)"))), "{told:?}");
        assert!(told.contains(&("log entry", "5 of o".to_owned())), "{told:?}");
        assert!(told.contains(&("receipt", "r.proof".to_owned())), "{told:?}");
        assert!(told.contains(&("recoverable from backups until", String::new())));
        let told = fields(&wanted(None), &Value::Null);
        assert!(told.iter().any(|(_, text)| text.contains("lethe key receipt")), "{told:?}");
    }
}
