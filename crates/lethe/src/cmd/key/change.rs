//! What changes a key without ending it: its name and labels, its rules, its state, its holds.

use core::time::Duration;

use clap::{Args, ValueEnum};
use lethe_types::{HoldId, KeyId, UnixMillis};
use serde_json::{Map, Value, json};

use super::{path, show};
use crate::arguments::{Label, labels_object, parse_span, span_text};
use crate::client::{Client, body};
use crate::failure::Failure;
use crate::output::{Output, member};

/// A key and what is to change in it.
#[derive(Args, Debug)]
pub(super) struct Update {
    /// The key
    id: KeyId,
    #[command(flatten)]
    changes: Changes,
}

/// What is to change; what is not named stays.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Changes {
    /// Another name
    #[arg(long)]
    name: Option<String>,
    /// Set a label; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<Label>,
    /// Take a label away; may be repeated
    #[arg(long, value_name = "NAME")]
    unlabel: Vec<String>,
    /// Refuse every destruction of it until --unprotect
    #[arg(long, conflicts_with = "unprotect")]
    protect: bool,
    /// Let it be destroyed again
    #[arg(long)]
    unprotect: bool,
    /// What it may be used for from now on, with commas, as in decrypt,verify: fewer than before
    #[arg(long, value_name = "USES", value_delimiter = ',')]
    uses: Vec<String>,
    /// Add a version by itself so often, as in 90d
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    rotate_every: Option<Duration>,
    /// Rotate it by hand only
    #[arg(long, conflicts_with = "rotate_every")]
    no_rotation: bool,
    /// Let its material not leave any more; for good
    #[arg(long)]
    not_exportable: bool,
    /// The oldest version that may protect new data; 0 for no such rule
    #[arg(long, value_name = "VERSION")]
    protect_from: Option<u32>,
    /// The oldest version that may open or check what was protected; 0 for no such rule
    #[arg(long, value_name = "VERSION")]
    process_from: Option<u32>,
}

/// Rules that a key is made with, and that are changed later.
pub(super) fn add_rules(members: &mut Value, uses: &[String], rotate_every: Option<Duration>) {
    if !uses.is_empty() {
        members["allowed_uses"] = json!(uses);
    }
    if let Some(period) = rotate_every {
        members["rotation_period"] = json!(span_text(period));
    }
}

impl Changes {
    fn body(&self) -> Result<Value, Failure> {
        let mut members = Map::new();
        if let Some(name) = &self.name {
            members.insert("name".to_owned(), json!(name));
        }
        let mut labels = labels_object(&self.label).map_err(Failure::Usage)?;
        for name in &self.unlabel {
            if labels.insert(name.clone(), Value::Null).is_some() {
                return Err(Failure::Usage(format!("label `{name}` is changed twice")));
            }
        }
        if !labels.is_empty() {
            members.insert("labels".to_owned(), Value::Object(labels));
        }
        if self.protect || self.unprotect {
            members.insert("protected".to_owned(), json!(self.protect));
        }
        for (name, version) in [
            ("protect_from_version", self.protect_from),
            ("process_from_version", self.process_from),
        ] {
            members.extend(version.map(|version| (name.to_owned(), json!(version))));
        }
        if self.no_rotation {
            members.insert("rotation_period".to_owned(), Value::Null);
        }
        if self.not_exportable {
            members.insert("exportable".to_owned(), json!(false));
        }
        let mut members = Value::Object(members);
        add_rules(&mut members, &self.uses, self.rotate_every);
        Ok(members)
    }
}

pub(super) fn update(client: &Client, wanted: &Update, output: &mut Output) -> Result<(), Failure> {
    let changes = body(&wanted.changes.body()?);
    show(&client.patch(&path(wanted.id), &changes)?.json()?, output)
}

/// Carries out a transition that is named as its route is.
pub(super) fn transition(
    client: &Client,
    id: KeyId,
    name: &str,
    output: &mut Output,
) -> Result<(), Failure> {
    show(&client.post_nothing(&format!("{}/{name}", path(id)))?.json()?, output)
}

/// What kind of hold it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HoldKind {
    /// The law, a court or a regulator wants the data kept
    Legal,
    /// Somebody in operations does
    Operational,
}

impl HoldKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Legal => "legal",
            Self::Operational => "operational",
        }
    }
}

/// A hold to place.
#[derive(Args, Debug)]
pub(super) struct Hold {
    /// The key
    id: KeyId,
    /// Whose interest it is
    #[arg(long)]
    kind: HoldKind,
    /// Why; seen by everybody who may see the key
    #[arg(long)]
    reason: String,
    /// It ends by itself at this time, as in 2027-01-01T00:00:00.000Z; without it, never
    #[arg(long, value_name = "TIME")]
    expires: Option<UnixMillis>,
}

pub(super) fn hold(client: &Client, wanted: &Hold, output: &mut Output) -> Result<(), Failure> {
    let Hold { id, kind, reason, expires } = wanted;
    let mut members = json!({ "kind": kind.as_str(), "reason": reason });
    if let Some(expires) = expires {
        members["expires"] = json!(expires.to_string());
    }
    let placed = client.post(&format!("{}/holds", path(*id)), &body(&members))?.json()?;
    if output.is_json() {
        return output.json(&placed);
    }
    let until = match member(&placed, "expires").as_str() {
        "" => "somebody lifts it".to_owned(),
        time => time.to_owned(),
    };
    let hold = member(&placed, "id");
    output.fields(&[
        ("hold", hold.clone()),
        ("on key", id.to_string()),
        ("kind", member(&placed, "kind")),
        ("reason", member(&placed, "reason")),
        ("placed", member(&placed, "placed")),
        ("until", until),
        ("to lift it", format!("lethe key unhold {id} {hold}")),
    ])
}

/// A hold to lift.
#[derive(Args, Debug)]
pub(super) struct Unhold {
    /// The key
    id: KeyId,
    /// The hold, as `lethe key show` lists it
    hold: HoldId,
}

pub(super) fn unhold(client: &Client, wanted: &Unhold, output: &mut Output) -> Result<(), Failure> {
    let Unhold { id, hold } = wanted;
    show(&client.delete(&format!("{}/holds/{hold}", path(*id)))?.json()?, output)
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

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn parse(arguments: &[&str]) -> Result<Value, String> {
        let line = Line::try_parse_from(["x", ID].iter().chain(arguments))
            .map_err(|error| error.to_string())?;
        line.update.changes.body().map_err(|failure| failure.text().unwrap())
    }

    #[test]
    fn changes_become_the_request() {
        #[track_caller]
        fn check(arguments: &[&str], expected: Value) {
            assert_eq!(parse(arguments).unwrap(), expected);
        }
        check(&["--name", "n"], json!({"name": "n"}));
        check(&["--protect"], json!({"protected": true}));
        check(&["--unprotect"], json!({"protected": false}));
        check(
            &["--uses", "decrypt,verify", "--rotate-every", "90d", "--not-exportable"],
            json!({
                "allowed_uses": ["decrypt", "verify"], "rotation_period": "90d",
                "exportable": false,
            }),
        );
        check(&["--no-rotation"], json!({"rotation_period": null}));
        check(
            &["--protect-from", "2", "--process-from", "0"],
            json!({"protect_from_version": 2, "process_from_version": 0}),
        );
        check(
            &["--label", "a=1", "--label", "b=", "--unlabel", "c"],
            json!({"labels": {"a": "1", "b": "", "c": null}}),
        );
    }

    #[test]
    fn changes_that_say_nothing_or_two_things_are_refused() {
        #[track_caller]
        fn refused(arguments: &[&str], expected: &str) {
            let why = parse(arguments).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        refused(&[], "required");
        refused(&["--protect", "--unprotect"], "cannot be used with");
        refused(&["--rotate-every", "1d", "--no-rotation"], "cannot be used with");
        refused(&["--protect-from", "-1"], "unexpected argument");
        refused(&["--label", "a=1", "--unlabel", "a"], "changed twice");
        refused(&["--unlabel", "a", "--unlabel", "a"], "changed twice");
        refused(&["--label", "a=1", "--label", "a=2"], "given twice");
        refused(&["--label", "a"], "NAME=VALUE");
    }
}
