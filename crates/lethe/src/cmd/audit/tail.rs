//! `lethe audit tail`: the newest events, and those that come.

use core::time::Duration;
use std::io;

use clap::Args;
use lethe_server::audit_file::chain::Header;
use lethe_server::audit_file::read::last;
use lethe_types::{KeyId, PrincipalId};
use serde_json::Value;

use super::Place;
use crate::failure::Failure;
use crate::output::{Output, member, printable};

/// How often a trail is looked at that is followed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Most events of `-n`; they are held in memory.
const EVENTS_MAX: u64 = 100_000;

/// Which events to show.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Go on with the events that come, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// How many of the newest events
    #[arg(
        short = 'n',
        long = "lines",
        value_name = "N",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(..=EVENTS_MAX)
    )]
    count: u64,
    /// Only events on this key
    #[arg(long, value_name = "ID")]
    key: Option<KeyId>,
    /// Only events of this principal
    #[arg(long, value_name = "ID")]
    principal: Option<PrincipalId>,
    /// Only operations whose name begins so, as in `key.` or `key.destroy`
    #[arg(long, value_name = "PREFIX")]
    operation: Option<String>,
    /// Only what was refused
    #[arg(long)]
    refused: bool,
}

pub(super) fn run(wanted: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let directory = wanted.place.directory()?;
    let filter = Filter::new(wanted);
    let count = usize::try_from(wanted.count).unwrap_or(usize::MAX);
    let unreadable = |error: io::Error| {
        Failure::Data(format!("cannot read the audit trail in `{}`: {error}", directory.display()))
    };
    let (lines, mut follower) =
        last(&directory, count, &mut |line| filter.takes(line)).map_err(unreadable)?;
    if !output.is_json() && (wanted.follow || !lines.is_empty()) {
        output.line(HEAD)?;
    }
    for line in &lines {
        print(line, output)?;
    }
    if !wanted.follow {
        return Ok(());
    }
    output.flush()?;
    let failed = |error: io::Error| Failure::Failed(format!("cannot wait: {error}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
    runtime.block_on(async {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            let mut printed = Ok(());
            let mut take = |line: &[u8]| {
                if printed.is_ok() && filter.takes(line) {
                    printed = print(line, output);
                }
                Ok(())
            };
            follower.read(&mut take).map_err(unreadable)?;
            printed?;
            output.flush()?;
        }
    })
}

/// What an event must have to be shown.
struct Filter {
    key: Option<String>,
    principal: Option<String>,
    operation: Option<String>,
    is_refused: bool,
}

impl Filter {
    fn new(wanted: &Arguments) -> Self {
        Self {
            key: wanted.key.map(|key| key.to_string()),
            principal: wanted.principal.map(|principal| principal.to_string()),
            operation: wanted.operation.clone(),
            is_refused: wanted.refused,
        }
    }

    /// Whether `line` is shown. What is no event is shown if nothing is asked for, so that damage
    /// is seen; headers are not.
    fn takes(&self, line: &[u8]) -> bool {
        if Header::parse(line).is_some() {
            return false;
        }
        let Some(event) = event_of(line) else {
            let asks = [&self.key, &self.principal, &self.operation];
            return !self.is_refused && asks.iter().all(|asked| asked.is_none());
        };
        let is = |name: &str, asked: &Option<String>| {
            asked.as_ref().is_none_or(|asked| event.get(name).is_some_and(|value| value == asked))
        };
        let has_prefix = self.operation.as_ref().is_none_or(|prefix| {
            event
                .get("operation")
                .and_then(Value::as_str)
                .is_some_and(|name| name.starts_with(prefix.as_str()))
        });
        let is_refused = || event.get("outcome").is_some_and(|outcome| outcome == "refused");
        is("key", &self.key)
            && is("principal", &self.principal)
            && has_prefix
            && (!self.is_refused || is_refused())
    }
}

fn event_of(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line).ok().filter(Value::is_object)
}

/// For programs the line as it is; for people a line of columns.
fn print(line: &[u8], output: &mut Output) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(line);
    match event_of(line) {
        Some(_) if output.is_json() => output.line(&text),
        Some(event) => output.line(&columns(&event)),
        // A program gets nothing that is not JSON.
        None if output.is_json() => {
            output.line(&serde_json::json!({ "unreadable": text }).to_string())
        }
        None => output.line(&format!("? {}", printable(&text))),
    }
}

const HEAD: &str = "TIME                      OUTCOME  OPERATION         \
                    PRINCIPAL                         KEY OR SUBJECT                    DETAILS";

fn columns(event: &Value) -> String {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let cell = |name: &str| or_dash(printable(&member(event, name)));
    let object = Some(member(event, "key")).filter(|key| !key.is_empty());
    let object = or_dash(printable(&object.unwrap_or_else(|| member(event, "subject"))));
    let mut details = printable(&member(event, "reason"));
    for (title, name) in [("log ", "log_index"), ("request ", "request"), ("", "door")] {
        let value = printable(&member(event, name));
        if !value.is_empty() {
            let separator = if details.is_empty() { "" } else { "  " };
            details.push_str(&format!("{separator}{title}{value}"));
        }
    }
    format!(
        "{:24}  {:7}  {:16}  {:32}  {object:32}  {details}",
        cell("time"),
        cell("outcome"),
        cell("operation"),
        cell("principal")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        wanted: Arguments,
    }

    const KEY: &str = "30313233343536373839616263646566";
    const PRINCIPAL: &str = "abababababababababababababababab";

    fn line() -> String {
        format!(
            "{{\"seq\":7,\"time\":\"2026-11-21T10:18:44.007Z\",\"principal\":\"{PRINCIPAL}\",\
             \"door\":\"native\",\"operation\":\"key.destroy\",\"key\":\"{KEY}\",\
             \"outcome\":\"refused\",\"reason\":\"object_destroyed\",\"request\":\"r\\u001b[1m\",\
             \"log_index\":9,\"prev\":\"00\"}}"
        )
    }

    #[test]
    fn events_are_chosen_by_everything_that_is_asked() {
        let check = |asked: &str, expected: bool| {
            let line_of = Line::parse_from(["x"].into_iter().chain(asked.split_whitespace()));
            let filter = Filter::new(&line_of.wanted);
            assert_eq!(filter.takes(line().as_bytes()), expected, "{asked}");
            assert!(!filter.takes(b"[]") || asked.is_empty(), "{asked}");
        };
        let other = "00".repeat(16);
        check("", true);
        check("--refused", true);
        check(&format!("--key {KEY} --principal {PRINCIPAL} --operation key."), true);
        check("--operation key.destroy", true);
        check("--operation key.destroyed", false);
        check("--operation ey.", false);
        check(&format!("--key {other}"), false);
        check(&format!("--principal {other}"), false);
        check(&format!("--principal {KEY}"), false);
        let line_of = Line::parse_from(["x", "--refused"]);
        let allowed = line().replace("\"refused\"", "\"allowed\"");
        assert!(!Filter::new(&line_of.wanted).takes(allowed.as_bytes()));
        let header = "{\"audit\":\"lethe/1\",\"file\":1,\"opened\":\"2026-11-21T10:18:44.007Z\",\
                      \"because\":\"first\",\"seq\":1,\"prev\":\""
            .to_owned()
            + &"00".repeat(32)
            + "\"}";
        let line_of = Line::parse_from(["x"]);
        assert!(!Filter::new(&line_of.wanted).takes(header.as_bytes()));
    }

    #[test]
    fn an_event_is_one_aligned_line_without_control_characters() {
        let event = event_of(line().as_bytes()).unwrap();
        let expected = format!(
            "2026-11-21T10:18:44.007Z  refused  key.destroy       {PRINCIPAL}  {KEY}  \
             object_destroyed  log 9  request r\\u{{1b}}[1m  native"
        );
        assert_eq!(columns(&event), expected);
        for (column, value) in [("PRINCIPAL", PRINCIPAL), ("KEY", KEY), ("DETAILS", "object_")] {
            assert_eq!(HEAD.find(column), expected.find(value), "{column}");
        }
        let bare = columns(&serde_json::json!({"subject": "s"}));
        assert!(bare.starts_with("-  "), "{bare}");
        assert_eq!(bare.split_whitespace().collect::<Vec<_>>(), ["-", "-", "-", "-", "s"]);
    }
}
