//! `lethe key destroy`: for good, so it is asked twice, and the receipt's place is made before. A
//! destruction that has to wait is told with its time and with how to stop it.

use core::time::Duration;
use std::path::PathBuf;

use clap::Args;
use lethe_types::{ApprovalId, KeyId, UnixMillis};
use serde_json::Value;

use super::path;
use crate::arguments::{parse_span, span_text};
use crate::client::{Client, query_value};
use crate::console::ask;
use crate::failure::Failure;
use crate::files::{NewFile, PUBLIC_MODE};
use crate::output::{Output, member, printable};

/// The status of a destruction that waits.
const ACCEPTED: u16 = 202;

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
    /// Not at once but after so long, as in 72h; until then it can be cancelled
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    window: Option<Duration>,
    /// The key's id or exact name once more, where the policy wants it repeated
    #[arg(long, value_name = "TEXT")]
    confirm: Option<String>,
    /// The request for approval to which others agreed (`lethe approval request`)
    #[arg(long, value_name = "ID")]
    approval: Option<ApprovalId>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Destroy {
    fn query(&self) -> String {
        let mut query = path(self.id);
        let mut separator = '?';
        let mut add = |name: &str, value: &str| {
            query.push_str(&format!("{separator}{name}={}", query_value(value)));
            separator = '&';
        };
        if !self.reason.is_empty() {
            add("reason", &self.reason);
        }
        if let Some(window) = self.window {
            add("window", &span_text(window));
        }
        if let Some(confirm) = &self.confirm {
            add("confirm", confirm);
        }
        if let Some(approval) = self.approval {
            add("approval", &approval.to_string());
        }
        query
    }
}

pub(super) fn run(client: &Client, wanted: &Destroy, output: &mut Output) -> Result<(), Failure> {
    if !wanted.yes {
        confirm(client, wanted)?;
    }
    // Made before the key is gone: afterwards there must be no reason to fail.
    let file = wanted.receipt.as_deref();
    let file = file.map(|path| NewFile::create(path, PUBLIC_MODE)).transpose()?;
    let answer = client.delete(&wanted.query())?;
    let result = answer.json()?;
    if answer.status == ACCEPTED {
        // Without a destruction there is no receipt; its place goes away again.
        drop(file);
        if output.is_json() {
            return output.json(&result);
        }
        return output.fields(&waiting(wanted, &result));
    }
    if let Some(file) = file {
        let proof = member(&result, "proof");
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
    output.fields(&fields(wanted, &result))
}

/// A destruction that has to wait: until when, and what can be done about it.
fn waiting(wanted: &Destroy, key: &Value) -> Vec<(&'static str, String)> {
    let id = wanted.id;
    let receipt = match wanted.receipt {
        Some(_) => format!("not yet; then `lethe key receipt {id}` fetches it"),
        None => format!("`lethe key receipt {id}`, once it is destroyed"),
    };
    vec![
        ("scheduled", format!("{id} ({}, {})", member(key, "name"), member(key, "algorithm"))),
        ("destroyed at", due_text(key)),
        ("until then", "every use is refused, and nothing is lost".to_owned()),
        ("to stop it", format!("lethe key cancel-destruction {id}")),
        ("receipt", receipt),
    ]
}

/// When a key is due, and how long that is after the request.
fn due_text(key: &Value) -> String {
    let due = member(key, "due");
    let times = (due.parse::<UnixMillis>(), member(key, "changed").parse::<UnixMillis>());
    let (Ok(end), Ok(start)) = times else { return due };
    let wait =
        Duration::from_secs(end.since(start).as_millis().div_ceil(1_000).try_into().unwrap_or(0));
    format!("{due}, after {}", span_text(wait))
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
        ("replicas not erased", lost_replicas(statement)),
        ("log entry", format!("{} of {}", text("log_index"), text("log_origin"))),
        ("receipt", kept),
    ]
}

/// Replicas of the slot that were lost before, if any: they are not reached.
fn lost_replicas(statement: &Value) -> String {
    match statement["lost_replicas"]["count"].as_u64() {
        Some(count) => format!("{count}, lost before: see the receipt"),
        None => String::new(),
    }
}

fn confirm(client: &Client, wanted: &Destroy) -> Result<(), Failure> {
    let id = wanted.id;
    let about = describe(client, id);
    let when = match wanted.window {
        None => "Destroying it is for good: what it encrypted is lost with it, and nobody can \
                 bring it back."
            .to_owned(),
        Some(window) => format!(
            "After {} it is destroyed for good, with what it encrypted; until then every use of \
             it is refused.",
            span_text(window)
        ),
    };
    let answer = ask(&format!("{about}\n{when}\nType the id of the key again to destroy it: "))?;
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
            window: None,
            confirm: None,
            approval: None,
            yes: false,
        }
    }

    #[test]
    fn a_request_says_what_was_given() {
        let mut request = wanted(None);
        assert_eq!(request.query(), format!("/v1/keys/{ID}"));
        request.window = Some(Duration::from_secs(73 * 3_600));
        assert_eq!(request.query(), format!("/v1/keys/{ID}?window=73h"));
        request.reason = "a b&c".to_owned();
        request.confirm = Some("näme".to_owned());
        request.approval = ID.parse().ok();
        let query =
            format!("/v1/keys/{ID}?reason=a%20b%26c&window=73h&confirm=n%C3%A4me&approval={ID}");
        assert_eq!(request.query(), query);
    }

    #[test]
    fn a_destruction_that_waits_is_told_with_how_to_stop_it() {
        let key = json!({"name": "n", "algorithm": "a", "due": "2026-11-24T12:00:00.000Z",
            "changed": "2026-11-21T12:00:00.000Z"});
        let told = waiting(&wanted(None), &key);
        assert!(told.contains(&("scheduled", format!("{ID} (n, a)"))), "{told:?}");
        let due = "2026-11-24T12:00:00.000Z, after 3d".to_owned();
        assert!(told.contains(&("destroyed at", due)), "{told:?}");
        let stop = format!("lethe key cancel-destruction {ID}");
        assert!(told.contains(&("to stop it", stop)), "{told:?}");
        assert_eq!(due_text(&json!({"due": "soon"})), "soon");
        assert_eq!(due_text(&json!({})), "");
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
