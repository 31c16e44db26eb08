//! `lethe events`: what was changed, as far as the server remembers, or as it happens.

use core::time::Duration;
use std::io::{BufRead, BufReader, Read};

use clap::Args;
use serde_json::{Value, json};

use crate::client::Client;
use crate::connection::ConnectionArguments;
use crate::failure::Failure;
use crate::output::{Output, member, printable, table};

/// Which events.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Go on with what comes, until interrupted; with --json a line for each event
    #[arg(long, short)]
    follow: bool,
    /// Only events after the one with this id
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
}

/// Events on a page.
const PAGE_EVENTS: usize = 1_000;
/// Longest line of a stream.
const LINE_BYTES_MAX: u64 = 65_536;
/// Tries to come back to a server that went away, before that is an error.
const RETURNS_MAX: u32 = 30;
/// Pause before each of them.
const RETURN_PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let client = arguments.connection.connect()?;
    if arguments.follow {
        return follow(&client, arguments.after, output);
    }
    let mut events = Vec::new();
    let mut has_gap = false;
    let mut after = arguments.after;
    loop {
        let from = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let page = client.get(&format!("/v1/events?limit={PAGE_EVENTS}{from}"))?.json()?;
        has_gap |= page["gap"] == true;
        events.extend(page["events"].as_array().into_iter().flatten().cloned());
        let next = page["next"].as_u64().ok_or_else(unexpected)?;
        if page["more"] != true || after.is_some_and(|after| next <= after) {
            return show(&events, next, has_gap, output);
        }
        after = Some(next);
    }
}

fn show(events: &[Value], next: u64, has_gap: bool, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&json!({ "events": events, "next": next, "gap": has_gap }));
    }
    if has_gap {
        eprintln!("lethe: {GAP}");
    }
    let rows: Vec<Vec<String>> = events.iter().map(|event| cells(event).into()).collect();
    for line in table(&HEAD, &rows) {
        output.line(&line)?;
    }
    Ok(())
}

const HEAD: [&str; 5] = [">ID", "TIME", "TYPE", "OF", "BY"];
const GAP: &str = "events were missed: they are no longer kept";

fn cells(event: &Value) -> [String; 5] {
    let of = if event["key"].is_null() { "subject" } else { "key" };
    ["id", "time", "type", of, "by"].map(|name| printable(&member(event, name)))
}

fn unexpected() -> Failure {
    Failure::Failed("the server's answer is not what this version expects".to_owned())
}

fn follow(client: &Client, after: Option<u64>, output: &mut Output) -> Result<(), Failure> {
    let mut last = after;
    let mut failures = 0;
    loop {
        let failure = match client.follow("/v1/events", last) {
            Ok(stream) => {
                failures = 0;
                match print_all(BufReader::new(stream), &mut last, output) {
                    Ok(()) => unexpected_end(),
                    Err(failure @ Failure::Output(_)) => return Err(failure),
                    Err(failure) => failure,
                }
            }
            Err(Failure::Refused(problem)) if problem.status != 503 => {
                return Err(Failure::Refused(problem));
            }
            Err(failure) => failure,
        };
        failures += 1;
        if failures > RETURNS_MAX {
            return Err(failure);
        }
        // Nobody wakes this thread: it is a pause.
        std::thread::park_timeout(RETURN_PAUSE);
    }
}

fn unexpected_end() -> Failure {
    Failure::Failed("the stream ended".to_owned())
}

/// Prints what comes until the stream ends; `last` follows.
fn print_all(
    stream: BufReader<impl Read>,
    last: &mut Option<u64>,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut stream = stream;
    let mut event = Received::default();
    loop {
        let mut line = String::new();
        let read = stream.by_ref().take(LINE_BYTES_MAX).read_line(&mut line);
        read.map_err(|error| Failure::Failed(error.to_string()))?;
        let Some(line) = line.strip_suffix('\n') else { return Ok(()) };
        if event.take(line) {
            // Only now: of what broke off within nothing was printed.
            *last = event.id.or(*last);
            core::mem::take(&mut event).print(output)?;
        }
    }
}

/// One event of a stream, as far as it has come.
#[derive(Debug, Default, PartialEq, Eq)]
struct Received {
    id: Option<u64>,
    kind: String,
    data: String,
}

impl Received {
    /// Takes one line; true if it was the last one.
    fn take(&mut self, line: &str) -> bool {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = value.parse().ok(),
            "event" => value.clone_into(&mut self.kind),
            "data" => self.data.push_str(value),
            _ => {}
        }
        line.is_empty()
    }

    fn print(self, output: &mut Output) -> Result<(), Failure> {
        if self.data.is_empty() {
            return Ok(());
        }
        let data: Value = serde_json::from_str(&self.data).map_err(|_| unexpected())?;
        match (output.is_json(), self.kind.as_str()) {
            (true, "gap") => output.line(&json!({ "gap": data }).to_string())?,
            (true, _) => output.line(&data.to_string())?,
            (false, "gap") => eprintln!("lethe: {GAP}"),
            (false, _) => output.line(&cells(&data).join("  "))?,
        }
        output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_line_by_line() {
        let mut event = Received::default();
        let lines =
            [": a comment", "retry: 1000", "id: 17", "event: key.created", "data: {\"id\":"];
        for line in lines {
            assert!(!event.take(line), "{line}");
        }
        assert!(!event.take("data:17}"));
        assert!(event.take(""));
        let kind = "key.created".to_owned();
        assert_eq!(event, Received { id: Some(17), kind, data: "{\"id\":17}".to_owned() });
        let mut odd = Received::default();
        assert!(!odd.take("id: x") && !odd.take("id") && !odd.take("data") && odd.take(""));
        assert_eq!(odd, Received::default());
    }

    #[test]
    fn the_place_follows_whole_events_only() {
        let text = "id: 3\n\nid: 4\nevent: gap\ndata: {\"next\":4}\n\nid: 5\nevent: key.created\n";
        let mut last = None;
        let mut output = Output::new(true);
        print_all(BufReader::new(text.as_bytes()), &mut last, &mut output).unwrap();
        assert_eq!(last, Some(4));
        let broken = "id: 9\ndata: {\n\n";
        assert!(print_all(BufReader::new(broken.as_bytes()), &mut last, &mut output).is_err());
    }
}
