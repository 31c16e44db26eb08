//! `lethe doctor`: looks at an installation and its machine, and says what losing each thing means.

use std::path::PathBuf;

use clap::Args;
use lethe_server::ServeOptions;
use lethe_server::clock::SystemClock;
use lethe_server::doctor::{Finding, Level, Report, examine};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, printable};

/// Which installation.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Configuration file of the server; without it the documented defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory of the server [default: ./lethe-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A setting that goes before the file's, as for `serve`; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Only warnings and failures
    #[arg(long)]
    brief: bool,
}

/// Exits with 1 if something is a failure; warnings alone give 0.
pub(crate) fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let Arguments { config, data, set, brief } = arguments;
    let options = ServeOptions { config, data, set, ..ServeOptions::default() };
    let config = lethe_server::configuration(&options).map_err(Failure::Serve)?;
    let report = examine(&config, &SystemClock::new());
    if output.is_json() {
        output.json(&as_json(&report))?;
    } else {
        let shown = report.findings().iter().filter(|one| !brief || one.level > Level::Good);
        for finding in shown {
            lines(finding).iter().try_for_each(|line| output.line(line))?;
        }
        output.line(&summary(&report))?;
    }
    match report.worst() {
        Level::Good | Level::Warning => Ok(()),
        Level::Failure => Err(Failure::Told),
    }
}

fn as_json(report: &Report) -> Value {
    let finding = |one: &Finding| {
        json!({
            "level": one.level.as_str(), "check": one.check, "found": one.found,
            "advice": one.advice,
        })
    };
    let findings: Vec<Value> = report.findings().iter().map(finding).collect();
    json!({ "worst": report.worst().as_str(), "findings": findings })
}

/// Columns that a line of advice has at most.
const COLUMNS: usize = 96;

fn lines(finding: &Finding) -> Vec<String> {
    let mark = match finding.level {
        Level::Good => "ok   ",
        Level::Warning => "WARN ",
        Level::Failure => "FAIL ",
    };
    let mut lines = vec![format!("{mark} {:18} {}", finding.check, printable(&finding.found))];
    let mut line = String::new();
    for word in finding.advice.split_whitespace() {
        if line.len() + word.len() + INDENT > COLUMNS {
            lines.push(format!("{:INDENT$}{}", "", printable(&line)));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(format!("{:INDENT$}{}", "", printable(&line)));
    }
    lines
}

/// Where advice begins.
const INDENT: usize = 25;

fn summary(report: &Report) -> String {
    let count = |level| report.findings().iter().filter(|one| one.level == level).count();
    let (good, warnings, failures) =
        (count(Level::Good), count(Level::Warning), count(Level::Failure));
    format!("{good} as they should be, {warnings} warnings, {failures} failures")
}
