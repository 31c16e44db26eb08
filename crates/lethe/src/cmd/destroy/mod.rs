//! `lethe destroy`: many keys at once. The server fixes the list, works it off by itself, also
//! over restarts, and tells how far it came; here it is asked for, watched, and told.

mod follow;
mod receipts;
mod screen;
mod selection;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lethe_types::JobId;
use serde_json::{Value, json};

use crate::arguments::LabelChoice;
use crate::client::{Client, body};
use crate::connection::ConnectionArguments;
use crate::console::ask;
use crate::failure::Failure;
use crate::output::{Output, member, printable, table, thousands};
use follow::{Followed, Interrupt};
use receipts::Folder;
use selection::Selection;

/// Keys that are asked for at a time, of those that were left.
const PAGE_KEYS: usize = 1_000;
/// Keys that were left and are shown without being asked for.
const SHOWN_MAX: usize = 10;
/// Bulk destructions that are listed.
const LISTED_MAX: usize = 100;

/// Which keys, or which bulk destruction.
#[derive(Args, Debug)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    start: Start,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What is to be destroyed, and how it is to be told.
#[derive(Args, Debug)]
struct Start {
    #[command(flatten)]
    which: Which,
    /// Why; part of every receipt
    #[arg(long, required = true)]
    reason: Option<String>,
    /// Refuse the whole if it is about another number of keys
    #[arg(long, value_name = "N")]
    expected: Option<u64>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Do not watch: end as soon as the server has taken it
    #[arg(long, conflicts_with = "receipts")]
    no_wait: bool,
    /// A directory for the receipts, a file for each destroyed key; made if it is not there
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Which {
    /// All keys of this vault (id or name); with --label only those
    #[arg(long, conflicts_with = "list")]
    vault: Option<String>,
    /// All keys with this label, with any value if none is named; may be repeated: all must match
    #[arg(long, value_name = "NAME[=VALUE]", conflicts_with = "list")]
    label: Vec<LabelChoice>,
    /// The keys whose ids are in this file, one a line; - is standard input
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See how far a bulk destruction came
    Status {
        /// Which
        id: JobId,
        /// Watch it until it ends
        #[arg(long)]
        wait: bool,
        /// List all keys that were refused, not only the first
        #[arg(long)]
        refused: bool,
    },
    /// List bulk destructions, newest first
    List,
    /// Stop a bulk destruction; the keys that it has not reached stay as they are
    Cancel {
        /// Which
        id: JobId,
    },
}

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let Arguments { connection, start: wanted, command } = arguments;
    let is_start = wanted.which.vault.is_some()
        || !wanted.which.label.is_empty()
        || wanted.which.list.is_some();
    if command.is_some() && (is_start || wanted.reason.is_some()) {
        let why = "`status`, `list` and `cancel` stand alone, without a choice of keys";
        return Err(Failure::Usage(why.to_owned()));
    }
    let client = connection.connect()?;
    match command {
        None => start(&client, wanted, output),
        Some(Command::Status { id, wait: true, .. }) => {
            watch(&client, &id.to_string(), None, output)
        }
        Some(Command::Status { id, refused, .. }) => {
            let job = client.get(&path(&id.to_string()))?.json()?;
            show(&client, &job, if refused { usize::MAX } else { SHOWN_MAX }, &[], output)
        }
        Some(Command::List) => list(&client, output),
        Some(Command::Cancel { id }) => {
            let job = client.post_nothing(&format!("{}/cancel", path(&id.to_string())))?.json()?;
            show(&client, &job, SHOWN_MAX, &[], output)
        }
    }
}

fn path(id: &str) -> String {
    format!("/v1/destructions/{id}")
}

fn start(client: &Client, wanted: Start, output: &mut Output) -> Result<(), Failure> {
    let Start { which, reason, expected, yes, no_wait, receipts } = wanted;
    let mut selection = Selection::of(client, which.vault.as_deref(), which.label, which.list)?;
    // What was counted and agreed to is what is destroyed: the server refuses another number.
    if !yes || receipts.is_some() {
        selection.count(client)?;
    }
    let expected = expected.or(selection.known());
    if !yes {
        confirm(&selection, reason.as_deref().unwrap_or_default())?;
    }
    // Made before the keys are gone: afterwards there must be no reason to fail.
    let folder = receipts.map(Folder::open).transpose()?;
    let mut request = selection.request();
    request["reason"] = json!(reason.unwrap_or_default());
    if let Some(expected) = expected {
        request["expected"] = json!(expected);
    }
    let job = client.post("/v1/destructions", &body(&request))?.json()?;
    let id = member(&job, "id");
    if no_wait {
        if output.is_json() {
            return output.json(&job);
        }
        output.fields(&fields(&job))?;
        return goes_on(&id).iter().try_for_each(|line| output.line(line));
    }
    watch(client, &id, folder.map(|folder| (folder, selection.into_keys())), output)
}

/// Asks for the number of keys: whoever can say it has looked at it.
fn confirm(selection: &Selection, reason: &str) -> Result<(), Failure> {
    let keys = selection.known().unwrap_or_default();
    if keys == 0 {
        return Err(Failure::Failed(format!("{}: there is no such key", selection.words())));
    }
    let counted = thousands(keys);
    let question = format!(
        "{counted} keys are to be destroyed: {}\nReason: {}\nDestroying them is for good: what \
         they encrypted is lost with them, and nobody can bring it back.\nType the number of keys \
         to destroy them: ",
        printable(&selection.words()),
        printable(reason),
    );
    let answer = ask(&question)?;
    if answer.trim() == counted || answer.trim() == keys.to_string() {
        return Ok(());
    }
    Err(Failure::Failed("that is not their number; nothing was destroyed".to_owned()))
}

/// Watches until the end, fetches the receipts of `keys`, and tells how it ended.
fn watch(
    client: &Client,
    id: &str,
    receipts: Option<(Folder, Vec<String>)>,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut interrupt = Interrupt::new()?;
    let job = match follow::follow(client, id, &mut interrupt, output.is_json())? {
        Followed::Ended(job) => job,
        Followed::Interrupted => {
            return Err(Failure::Failed(format!("no longer watching; {}", goes_on(id).join("; "))));
        }
    };
    let mut more = Vec::new();
    if let Some((folder, keys)) = receipts {
        let told = receipts::fetch(client, &folder, keys, &mut interrupt, output.is_json())?;
        more.push(("receipts", told));
    }
    show(client, &job, SHOWN_MAX, &more, output)?;
    output.flush()?;
    judge(&job)
}

/// A bulk destruction that has ended has done what was asked, or the command fails.
fn judge(job: &Value) -> Result<(), Failure> {
    let refused = number(job, "refused");
    match member(job, "state").as_str() {
        "done" if refused == 0 => Ok(()),
        "done" => Err(Failure::Failed(format!(
            "{} of {} keys were refused; `lethe destroy status {} --refused` lists them",
            thousands(refused),
            thousands(number(job, "total")),
            member(job, "id"),
        ))),
        "cancelled" => Err(Failure::Failed(format!(
            "cancelled: {} of {} keys were not reached and are as before",
            thousands(number(job, "total").saturating_sub(number(job, "position"))),
            thousands(number(job, "total")),
        ))),
        _ => Err(Failure::Failed(format!("it failed: {}", member(job, "failure")))),
    }
}

/// How to go on with one that is not watched.
fn goes_on(id: &str) -> [String; 3] {
    [
        "the destruction goes on by itself".to_owned(),
        format!("to watch it: lethe destroy status {id} --wait"),
        format!("to stop it: lethe destroy cancel {id}"),
    ]
}

fn number(job: &Value, name: &str) -> u64 {
    job.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn fields(job: &Value) -> Vec<(&'static str, String)> {
    let text = |name: &str| member(job, name);
    let count = |name: &str| thousands(number(job, name));
    let (total, position) = (number(job, "total"), number(job, "position"));
    let mut fields = vec![
        ("bulk destruction", text("id")),
        ("state", text("state")),
        ("keys", format!("{} ({})", thousands(total), text("selection"))),
        ("reason", text("reason")),
        ("asked for", format!("{}, by principal {}", text("created"), text("by"))),
        ("destroyed", count("destroyed")),
    ];
    for (name, member) in [("scheduled", "scheduled"), ("refused", "refused")] {
        if number(job, member) > 0 {
            fields.push((name, count(member)));
        }
    }
    if position < total {
        fields.push(("not reached", thousands(total - position)));
    }
    fields.push(("changed last", text("changed")));
    fields.push(("failure", text("failure")));
    fields
}

fn show(
    client: &Client,
    job: &Value,
    refused_max: usize,
    more: &[(&'static str, String)],
    output: &mut Output,
) -> Result<(), Failure> {
    let refused = match number(job, "refused") {
        0 => Vec::new(),
        _ => refused(client, &member(job, "id"), refused_max)?,
    };
    if output.is_json() {
        let mut job = job.clone();
        job["refused_keys"] = Value::Array(refused);
        for (name, text) in more {
            job[*name] = json!(text);
        }
        return output.json(&job);
    }
    let mut fields = fields(job);
    fields.extend_from_slice(more);
    output.fields(&fields)?;
    if refused.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let cells = |key: &Value| ["position", "key", "rule"].map(|name| printable(&member(key, name)));
    let rows: Vec<Vec<String>> = refused.iter().map(|key| cells(key).into()).collect();
    for line in table(&[">POSITION", "REFUSED KEY", "BY THE RULE"], &rows) {
        output.line(&line)?;
    }
    let shown = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    match number(job, "refused").saturating_sub(shown) {
        0 => Ok(()),
        left => output.line(&format!(
            "and {} more: lethe destroy status {} --refused",
            thousands(left),
            printable(&member(job, "id"))
        )),
    }
}

/// The first keys that a bulk destruction had to leave, at most `most`.
fn refused(client: &Client, id: &str, most: usize) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    let mut from = 0_u64;
    while found.len() < most {
        let limit = PAGE_KEYS.min(most - found.len());
        let query = format!("{}/refused?from={from}&limit={limit}", path(id));
        let page = client.get(&query)?.json()?;
        let keys = page.get("refused").and_then(Value::as_array).into_iter().flatten();
        found.extend(keys.cloned());
        match page.get("next").and_then(Value::as_u64) {
            Some(next) if next > from => from = next,
            Some(_) | None => break,
        }
    }
    Ok(found)
}

fn list(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let answer = client.get(&format!("/v1/destructions?limit={LISTED_MAX}"))?.json()?;
    if output.is_json() {
        return output.json(&answer);
    }
    let jobs = answer.get("destructions").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<Vec<String>> = jobs
        .map(|job| {
            let [id, state, created, reason] =
                ["id", "state", "created", "reason"].map(|name| member(job, name));
            let [total, destroyed, refused] =
                ["total", "destroyed", "refused"].map(|name| thousands(number(job, name)));
            let cells = [id, state, total, destroyed, refused, created, reason];
            cells.map(|cell| printable(&cell)).into()
        })
        .collect();
    if rows.is_empty() {
        return output.line("no bulk destructions");
    }
    let head = ["ID", "STATE", ">KEYS", ">DESTROYED", ">REFUSED", "ASKED FOR", "REASON"];
    table(&head, &rows).iter().try_for_each(|line| output.line(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: &str, refused: u64, position: u64) -> Value {
        json!({"id": "1", "state": state, "selection": "vault 2", "reason": "r", "total": 2000,
            "position": position, "destroyed": position - refused, "scheduled": 0,
            "refused": refused, "created": "c", "changed": "d", "by": "p", "failure": null})
    }

    #[test]
    fn a_bulk_destruction_is_told_in_numbers() {
        let told = fields(&job("running", 3, 1_500));
        for (name, text) in [
            ("keys", "2,000 (vault 2)"),
            ("destroyed", "1,497"),
            ("refused", "3"),
            ("not reached", "500"),
        ] {
            assert!(told.contains(&(name, text.to_owned())), "{name}: {told:?}");
        }
        let told = fields(&job("done", 0, 2_000));
        assert!(!told.iter().any(|(name, _)| ["refused", "not reached"].contains(name)));
    }

    #[test]
    fn only_a_whole_end_is_a_success() {
        judge(&job("done", 0, 2_000)).unwrap();
        for (job, expected) in [
            (job("done", 3, 2_000), "3 of 2,000 keys were refused"),
            (job("cancelled", 0, 512), "1,488 of 2,000 keys were not reached"),
            (job("failed", 0, 512), "it failed"),
            (json!({}), "it failed"),
        ] {
            let failure = judge(&job).unwrap_err();
            assert_eq!(failure.exit_code(), 1);
            assert!(failure.text().unwrap().contains(expected), "{failure:?}");
        }
    }
}
