//! `lethe audit verify`: whether the trail is as it was written, and up to where.

use std::path::{Path, PathBuf};

use clap::Args;
use lethe_server::audit_file::verify::{
    Anchor, Report, VerifyError, verify_directory, verify_files,
};
use serde_json::{Value, json};

use super::Place;
use crate::failure::Failure;
use crate::output::{Output, printable, thousands};

/// What to check.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Only these files of a trail, in this order; the lines before and after them are not checked
    #[arg(value_name = "FILES", conflicts_with_all = ["data", "config", "first_file"])]
    files: Vec<PathBuf>,
    /// The files before number N were archived and are not here
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    first_file: Option<u64>,
    /// A copy of the file `head` that was kept elsewhere: the line that it names must be in the
    /// trail; may be repeated
    #[arg(long, value_name = "FILE")]
    anchor: Vec<PathBuf>,
}

pub(super) fn run(wanted: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let anchors = wanted.anchor.iter().map(|path| Anchor::read(path));
    let anchors = anchors.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(&error))?;
    let report = if wanted.files.is_empty() {
        verify_directory(&wanted.place.directory()?, wanted.first_file, &anchors)
    } else {
        verify_files(&wanted.files, &anchors)
    };
    let report = report.map_err(|error| unreadable(&error))?;
    if output.is_json() {
        output.json(&as_json(&report))?;
        return if report.holds() { Ok(()) } else { Err(Failure::Told) };
    }
    for line in in_words(&report) {
        output.line(&printable(&line))?;
    }
    match &report.broken {
        None => Ok(()),
        Some(broken) => {
            // What holds is told before what does not.
            output.flush()?;
            Err(Failure::Failed(format!("the audit trail is broken: {broken}")))
        }
    }
}

fn unreadable(error: &VerifyError) -> Failure {
    Failure::Data(format!("{error}: {}", error.source))
}

fn in_words(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if report.holds() {
        lines.push("The audit trail holds.".to_owned());
    }
    let Some(last) = &report.last else {
        lines.push("Nothing of it holds.".to_owned());
        return lines;
    };
    let files = match report.files {
        1 => "one file".to_owned(),
        files => format!("{} files", thousands(files)),
    };
    let events = match report.events {
        1 => "One event".to_owned(),
        events => format!("{} events", thousands(events)),
    };
    lines.push(format!(
        "{events} in {files}, lines {} to {} of the trail, each chained to the one before.",
        report.first_seq, last.seq
    ));
    if report.first_file > 1 {
        let first = report.first_file;
        lines.push(format!("It begins with file {first}; what was before is not here."));
    }
    let time = last.time.map(|time| format!(", of {time}")).unwrap_or_default();
    let place = format!("{}, line {}", last.file.display(), last.line);
    lines.push(format!("Up to line {} of the trail ({place}{time}).", last.seq));
    lines.push(match report.anchored_seq {
        Some(seq) if seq == last.seq => "Its end is the one that the head names.".to_owned(),
        Some(seq) => {
            let newer = thousands(last.seq.saturating_sub(seq));
            format!("The head names line {seq}; {newer} after it are newer than the head.")
        }
        None if !report.holds() => "No line that a head names was reached.".to_owned(),
        None => "No head was compared: lines may be missing at the end.".to_owned(),
    });
    for note in &report.notes {
        let file = file_name(&note.file);
        let mut line = format!("Note: {file} was begun {} because {}", note.opened, note.because);
        if let Some(torn) = &note.torn {
            let bytes = thousands(torn.bytes);
            line.push_str(&format!("; the {bytes} bytes behind its last line are as they were"));
        }
        lines.push(line + ".");
    }
    lines
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn as_json(report: &Report) -> Value {
    let last = report.last.as_ref().map(|last| {
        json!({
            "file": last.file.display().to_string(),
            "line": last.line,
            "seq": last.seq,
            "time": last.time.map(|time| time.to_string()),
        })
    });
    let notes = report.notes.iter().map(|note| {
        json!({
            "file": note.file.display().to_string(),
            "opened": note.opened.to_string(),
            "because": note.because.word(),
            "torn_bytes": note.torn.map(|torn| torn.bytes),
        })
    });
    let broken = report.broken.as_ref().map(|broken| {
        json!({
            "file": broken.file.display().to_string(),
            "line": broken.line,
            "seq": broken.seq,
            "fault": broken.fault.code(),
            "why": broken.fault.to_string(),
        })
    });
    json!({
        "holds": report.holds(),
        "files": report.files,
        "first_file": report.first_file,
        "events": report.events,
        "first_seq": report.first_seq,
        "last": last,
        "anchored_seq": report.anchored_seq,
        "notes": notes.collect::<Vec<_>>(),
        "broken": broken,
    })
}
