//! What a start makes of a trail that ended by a crash, or that was changed while nobody wrote it.

use super::audit_file::{START, event, holds, open, options, requests, start};
use super::{SetClock, TemporaryDirectory};
use crate::audit_file::chain::{Because, Head};
use crate::audit_file::verify::verify_directory;
use crate::audit_file::{AuditFile, AuditOptions, RealDirectory};
use core::time::Duration;
use lethe_engine::audit::AuditSink;
use std::fs;
use std::sync::Arc;
use std::thread;

const FIRST: &str = "audit-20261121T101844-1.jsonl";
const SECOND: &str = "audit-20261121T101844-2.jsonl";
const CURRENT: &str = "audit.jsonl";
const HEAD: &str = "head";

fn copy(from: &TemporaryDirectory) -> TemporaryDirectory {
    let to = TemporaryDirectory::new();
    for name in from.names() {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
    to
}

/// A trail as a killed process leaves it: three events, of which the head names none yet.
fn killed() -> TemporaryDirectory {
    let directory = TemporaryDirectory::new();
    // Nothing but a close writes the head here.
    let options = AuditOptions { check_time: Duration::from_secs(3_600), ..options() };
    let audit = start(directory.path(), options);
    for request in ["a", "b", "c"] {
        audit.record(&event(request)).unwrap();
        audit.flush().unwrap();
    }
    let killed = copy(&directory);
    let head = Head::parse(&fs::read(killed.join(HEAD)).unwrap()).unwrap();
    assert_eq!(head.link.seq, 1);
    killed
}

/// Starts, records one event, and closes.
fn go_on(directory: &TemporaryDirectory) {
    let audit = open(directory.path());
    audit.record(&event("next")).unwrap();
    audit.close().unwrap();
}

#[test]
fn a_trail_goes_on_behind_its_last_whole_line_wherever_a_crash_cut_it() {
    let killed = killed();
    let content = fs::read(killed.join(CURRENT)).unwrap();
    let head = Head::parse(&fs::read(killed.join(HEAD)).unwrap()).unwrap();
    let from = usize::try_from(head.bytes).unwrap();
    // Every place around the ends of lines, and some within them.
    let ends: Vec<usize> = (from..=content.len()).filter(|at| content[at - 1] == b'\n').collect();
    let is_tried =
        |at: &usize| at.is_multiple_of(7) || ends.iter().any(|end| at.abs_diff(*end) < 3);
    for length in (from..=content.len()).filter(is_tried) {
        let directory = copy(&killed);
        fs::write(directory.join(CURRENT), &content[..length]).unwrap();
        go_on(&directory);
        let report = holds(&directory);
        let whole = content[..length].iter().filter(|byte| **byte == b'\n').count() - 1;
        assert_eq!(report.events, u64::try_from(whole + 1).unwrap(), "{length}");
        let is_torn = content[length - 1] != b'\n';
        assert_eq!(report.notes.len(), usize::from(is_torn), "{length}");
        // Not one byte is gone.
        if is_torn {
            assert_eq!(fs::read(directory.join(FIRST)).unwrap(), &content[..length]);
        }
    }
}

/// After a power cut a page in the middle may be missing although a later one is there.
#[test]
fn a_hole_behind_the_head_ends_the_file_there() {
    let killed = killed();
    let content = fs::read(killed.join(CURRENT)).unwrap();
    let head = Head::parse(&fs::read(killed.join(HEAD)).unwrap()).unwrap();
    let from = usize::try_from(head.bytes).unwrap();
    for start in (from..content.len()).step_by(7) {
        let directory = copy(&killed);
        let mut holed = content.clone();
        let end = (start + 20).min(holed.len());
        holed[start..end].fill(0);
        fs::write(directory.join(CURRENT), &holed).unwrap();
        go_on(&directory);
        let report = holds(&directory);
        let whole = content[from..start].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(report.events, u64::try_from(whole + 1).unwrap(), "{start}");
        assert_eq!(report.notes[0].because, Because::Crash);
        assert_eq!(fs::read(directory.join(FIRST)).unwrap(), holed);
    }
}

/// The steps of a rotation: the file is put aside, the next one is made, the head is written.
#[test]
fn a_crash_between_two_steps_of_a_rotation_loses_nothing() {
    let aside = |directory: &TemporaryDirectory| {
        fs::rename(directory.join(CURRENT), directory.join(FIRST)).unwrap();
    };
    let check = |crash: &dyn Fn(&TemporaryDirectory), because: Option<Because>| {
        let directory = killed();
        crash(&directory);
        go_on(&directory);
        let report = holds(&directory);
        assert_eq!(report.events, 4);
        assert_eq!(report.notes.first().map(|note| note.because), because);
        assert_eq!(directory.names(), [FIRST, CURRENT, HEAD]);
        assert_eq!(requests(&directory.join(CURRENT)), ["next"]);
        assert_eq!(requests(&directory.join(FIRST)), ["a", "b", "c"]);
    };
    check(&aside, Some(Because::Missing));
    let half_made = |directory: &TemporaryDirectory| {
        aside(directory);
        directory.file(".audit.jsonl.new", "{\"audit\":\"le", 0o600);
    };
    check(&half_made, Some(Because::Missing));
    // The next file is there with its header, but the head still names the one before.
    let made = |directory: &TemporaryDirectory| {
        let head = fs::read(directory.join(HEAD)).unwrap();
        aside(directory);
        open(directory.path()).close().unwrap();
        fs::write(directory.join(HEAD), head).unwrap();
    };
    check(&made, Some(Because::Missing));
}

#[test]
fn a_trail_whose_end_is_gone_goes_on_and_the_gap_stays_visible() {
    let check = |lose: &dyn Fn(&TemporaryDirectory), file: &str, line: u64, code: &str| {
        let directory = TemporaryDirectory::new();
        let audit = open(directory.path());
        ["a", "b", "c"].iter().for_each(|request| audit.record(&event(request)).unwrap());
        audit.close().unwrap();
        lose(&directory);
        go_on(&directory);
        assert_eq!(requests(&directory.join(CURRENT)), ["next"]);
        let text = fs::read_to_string(directory.join(CURRENT)).unwrap();
        assert!(text.contains("\"because\":\"unanchored\",\"seq\":5,"), "{text}");
        let report = verify_directory(directory.path(), None, &[]).unwrap();
        let broken = report.broken.unwrap();
        assert_eq!(
            (broken.file.clone(), broken.line, broken.fault.code()),
            (directory.join(file), line, code),
            "{broken}"
        );
    };
    let cut = |lines: usize| {
        move |directory: &TemporaryDirectory| {
            let text = fs::read_to_string(directory.join(CURRENT)).unwrap();
            let kept: Vec<&str> = text.split_inclusive('\n').take(lines).collect();
            fs::write(directory.join(CURRENT), kept.concat()).unwrap();
        }
    };
    check(&cut(3), CURRENT, 1, "number");
    check(&cut(1), CURRENT, 1, "number");
    let remove = |directory: &TemporaryDirectory| fs::remove_file(directory.join(CURRENT)).unwrap();
    check(&remove, CURRENT, 1, "files_missing");
    let alter = |directory: &TemporaryDirectory| {
        let text = fs::read_to_string(directory.join(CURRENT)).unwrap();
        let at = text.rfind("allowed").unwrap();
        let text = format!("{}refused{}", &text[..at], &text[at + 7..]);
        fs::write(directory.join(CURRENT), text).unwrap();
    };
    check(&alter, FIRST, 4, "altered");
    let garbage = |directory: &TemporaryDirectory| {
        fs::write(directory.join(CURRENT), "not a header\n").unwrap();
    };
    check(&garbage, CURRENT, 1, "files_missing");
}

#[test]
fn a_head_that_is_gone_or_damaged_is_told_of() {
    for content in [None, Some("damaged")] {
        let directory = TemporaryDirectory::new();
        go_on(&directory);
        match content {
            None => fs::remove_file(directory.join(HEAD)).unwrap(),
            Some(content) => fs::write(directory.join(HEAD), content).unwrap(),
        }
        go_on(&directory);
        let report = holds(&directory);
        assert_eq!(report.notes[0].because, Because::Unanchored);
        assert_eq!((report.events, report.files), (2, 2));
        let apart = directory.join("unchained-20261121T101844-1-head");
        assert_eq!(fs::read_to_string(apart).ok().as_deref(), content);
    }
}

#[test]
fn files_without_a_chain_are_kept_apart() {
    let older = "{\"time\":\"2026-11-20T00:00:00.000Z\",\"request\":\"x\"}\n";
    for content in [older, "", "x"] {
        let directory = TemporaryDirectory::new();
        directory.file(CURRENT, content, 0o600);
        go_on(&directory);
        let report = holds(&directory);
        assert_eq!((report.events, report.files, report.notes.len()), (1, 1, 0));
        let apart = directory.join("unchained-20261121T101844-1-audit.jsonl");
        assert_eq!(fs::read_to_string(apart).unwrap(), content);
    }
}

#[test]
fn a_file_is_put_aside_at_its_age_also_while_nothing_happens() {
    let directory = TemporaryDirectory::new();
    let clock = Arc::new(SetClock::at(START));
    let real = RealDirectory::new(directory.path().to_owned(), clock.clone());
    let options = AuditOptions {
        rotate_after: Some(Duration::from_secs(60)),
        check_time: Duration::from_millis(1),
        ..options()
    };
    let audit = AuditFile::start(Box::new(real), clock.clone(), options).unwrap();
    // An empty file is never too old.
    clock.advance(Duration::from_secs(3_600));
    audit.record(&event("a")).unwrap();
    audit.flush().unwrap();
    while directory.names().len() < 3 {
        thread::yield_now();
    }
    audit.record(&event("b")).unwrap();
    audit.flush().unwrap();
    clock.advance(Duration::from_millis(59_999));
    audit.record(&event("c")).unwrap();
    audit.flush().unwrap();
    assert_eq!(requests(&directory.join(CURRENT)), ["b", "c"]);
    clock.advance(Duration::from_millis(1));
    audit.record(&event("d")).unwrap();
    audit.close().unwrap();
    assert_eq!(requests(&directory.join(CURRENT)), ["d"]);
    let report = holds(&directory);
    assert_eq!((report.events, report.files, report.notes.len()), (4, 3, 0));
}

#[test]
fn only_as_many_files_are_kept_as_was_configured_and_the_trail_says_so() {
    let directory = TemporaryDirectory::new();
    let few = AuditOptions { rotate_bytes: 1, keep_files: Some(2), ..options() };
    let record = |options: AuditOptions, count: usize| {
        let audit = start(directory.path(), options);
        (0..count).for_each(|_| audit.record(&event("x")).unwrap());
        audit.close().unwrap();
    };
    record(few, 2);
    assert!(directory.names().contains(&FIRST.to_owned()));
    record(few, 3);
    let kept = ["audit-20261121T101844-3.jsonl", "audit-20261121T101844-4.jsonl"];
    assert_eq!(directory.names(), [kept[0], kept[1], CURRENT, HEAD]);
    let report = holds(&directory);
    assert_eq!((report.first_file, report.events), (3, 3));
    // Once all are kept again, the ones that are gone stay allowed, and no others.
    record(AuditOptions { keep_files: None, ..few }, 2);
    let report = holds(&directory);
    assert_eq!((report.first_file, report.events), (3, 5));
    fs::remove_file(directory.join(kept[0])).unwrap();
    let broken = verify_directory(directory.path(), None, &[]).unwrap().broken.unwrap();
    assert_eq!(broken.fault.code(), "files_missing");
    assert!(!directory.names().contains(&SECOND.to_owned()));
}
