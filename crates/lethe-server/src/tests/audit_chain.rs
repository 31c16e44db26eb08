//! Trails that somebody tampered with: each is refused, in the right place.

use super::TemporaryDirectory;
use super::audit_file::{event, holds, options, start};
use crate::audit_file::AuditOptions;
use crate::audit_file::chain::{Head, Header, LINE_BYTES_MAX};
use crate::audit_file::verify::{Anchor, Report, verify_directory, verify_files};
use lethe_engine::audit::AuditSink;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const FIRST: &str = "audit-20261121T101844-1.jsonl";
const SECOND: &str = "audit-20261121T101844-2.jsonl";
const CURRENT: &str = "audit.jsonl";
const HEAD: &str = "head";

/// A trail of three files with a header and three events each, and twelve lines in all.
fn trail() -> TemporaryDirectory {
    let directory = TemporaryDirectory::new();
    let audit = start(directory.path(), AuditOptions { rotate_bytes: 800, ..options() });
    for number in 0..9 {
        audit.record(&event(&number.to_string())).unwrap();
    }
    audit.close().unwrap();
    let report = holds(&directory);
    assert_eq!((report.files, report.events, report.anchored_seq), (3, 9, Some(12)));
    directory
}

fn verify(directory: &TemporaryDirectory) -> Report {
    verify_directory(directory.path(), None, &[]).unwrap()
}

/// Checks that what `tamper` does to a trail is found, as `code`, on this line of this file.
#[track_caller]
fn check(tamper: impl FnOnce(&TemporaryDirectory), file: &str, line: u64, code: &str) {
    let directory = trail();
    tamper(&directory);
    let report = verify(&directory);
    let broken = report.broken.expect(code);
    let found = (broken.file.clone(), broken.line, broken.fault.code());
    assert_eq!(found, (directory.join(file), line, code), "{broken}");
    // Nothing holds from that line on.
    assert!(!report.last.is_some_and(|last| last.file == broken.file && last.line > line));
}

/// Changes the lines of a file.
fn lines(file: &str, change: impl Fn(&mut Vec<String>)) -> impl Fn(&TemporaryDirectory) {
    move |directory| {
        let path = directory.join(file);
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
        change(&mut lines);
        fs::write(path, lines.concat()).unwrap();
    }
}

/// Changes one text on a line, from 1, of a file.
fn edit(
    file: &str,
    line: usize,
    from: &'static str,
    to: &'static str,
) -> impl Fn(&TemporaryDirectory) {
    lines(file, move |lines| {
        let changed = lines[line - 1].replacen(from, to, 1);
        assert_ne!(changed, lines[line - 1]);
        lines[line - 1] = changed;
    })
}

#[test]
fn altered_lines_are_found() {
    check(edit(SECOND, 3, "allowed", "refused"), SECOND, 3, "altered");
    check(edit(SECOND, 3, "\"seq\":7", "\"seq\":8"), SECOND, 3, "number");
    check(edit(SECOND, 3, "\"seq\":7", "\"seq\":07"), SECOND, 3, "not_a_line");
    check(edit(SECOND, 3, "\"seq\":7", "\"seq\": 7"), SECOND, 3, "not_a_line");
    check(edit(SECOND, 3, "}", ",\"more\":1}"), SECOND, 3, "not_a_line");
    check(edit(SECOND, 3, "\"door\"", "door"), SECOND, 3, "not_a_line");
    check(edit(FIRST, 4, "allowed", "refused"), FIRST, 4, "altered");
    check(edit(CURRENT, 2, "allowed", "refused"), CURRENT, 2, "altered");
    check(edit(CURRENT, 3, "allowed", "refused"), CURRENT, 3, "altered");
    check(edit(CURRENT, 4, "allowed", "refused"), CURRENT, 4, "anchor_differs");
    check(edit(FIRST, 1, "44.007Z", "44.008Z"), FIRST, 1, "altered");
    check(edit(SECOND, 1, "\"size\"", "\"age\""), SECOND, 1, "altered");
    check(edit(SECOND, 1, "\"size\"", "\"fun\""), SECOND, 1, "not_a_header");
    check(edit(SECOND, 1, "\"file\":2", "\"file\":3"), SECOND, 1, "file_number");
    check(edit(CURRENT, 1, "\"file\":3", "\"file\":2"), CURRENT, 1, "file_number");
    check(edit(CURRENT, 1, "\"file\":3", "\"file\":4"), CURRENT, 1, "files_missing");
    check(edit(SECOND, 1, "lethe/1", "lethe/2"), SECOND, 1, "not_a_header");
    let told = ",\"torn_bytes\":1,\"torn_sha256\":\"00\",\"seq\"";
    check(edit(SECOND, 1, ",\"seq\"", told), SECOND, 1, "not_a_header");
    let kept = ",\"kept_from\":2,\"seq\"";
    check(edit(SECOND, 1, ",\"seq\"", kept), SECOND, 1, "altered");
}

/// Whoever alters a line and chains the next one to it, but not all that follow.
#[test]
fn lines_that_were_chained_anew_are_found() {
    let forge = lines(SECOND, |lines| {
        lines[1] = lines[1].replace("allowed", "refused");
        let hash = lethe_crypto::hash::sha256(&[lines[1].trim_end().as_bytes()]);
        let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        let prev = lines[2].find("prev").unwrap();
        lines[2] = format!("{}prev\":\"{digits}\"}}\n", &lines[2][..prev]);
    });
    check(forge, SECOND, 3, "altered");
    // With two lines in a row altered nothing tells which of the two it was first.
    let both = lines(SECOND, |lines| {
        for line in &mut lines[1..3] {
            *line = line.replace("allowed", "refused");
        }
    });
    check(both, SECOND, 3, "not_chained");
}

#[test]
fn lines_that_were_moved_removed_or_added_are_found() {
    check(lines(SECOND, |lines| drop(lines.remove(2))), SECOND, 3, "number");
    check(lines(FIRST, |lines| drop(lines.remove(3))), SECOND, 1, "number");
    check(lines(FIRST, |lines| drop(lines.remove(0))), FIRST, 1, "not_a_header");
    check(lines(CURRENT, |lines| drop(lines.remove(3))), CURRENT, 3, "cut_off");
    check(lines(CURRENT, |lines| lines.truncate(1)), CURRENT, 1, "cut_off");
    check(lines(SECOND, |lines| lines.swap(1, 2)), SECOND, 2, "number");
    check(lines(SECOND, |lines| lines.swap(2, 3)), SECOND, 3, "number");
    check(lines(SECOND, |lines| lines.swap(0, 1)), SECOND, 1, "not_a_header");
    check(lines(SECOND, |lines| lines.insert(2, lines[2].clone())), SECOND, 4, "number");
    check(lines(SECOND, |lines| lines.insert(1, lines[0].clone())), SECOND, 2, "not_a_line");
    check(lines(CURRENT, |lines| lines.push(lines[3].clone())), CURRENT, 5, "number");
    check(lines(FIRST, |lines| lines.push(lines[3].clone())), FIRST, 5, "number");
    for added in ["\n", "{}\n", "{\"request\":\"x\"}\n", "\0\n", "\u{feff}\n"] {
        let add = |at: usize| move |lines: &mut Vec<String>| lines.insert(at, added.to_owned());
        check(lines(SECOND, add(2)), SECOND, 3, "not_a_line");
        check(lines(CURRENT, add(4)), CURRENT, 5, "not_a_line");
        check(lines(FIRST, add(0)), FIRST, 1, "not_a_header");
    }
    for length in [LINE_BYTES_MAX, LINE_BYTES_MAX + 1, 1_000_000] {
        let add = |lines: &mut Vec<String>| lines.insert(2, "x".repeat(length) + "\n");
        check(lines(SECOND, add), SECOND, 3, "not_a_line");
    }
}

#[test]
fn files_that_were_cut_moved_removed_or_added_are_found() {
    let cut = |file: &'static str, bytes: u64| {
        move |directory: &TemporaryDirectory| {
            let file = fs::OpenOptions::new().write(true).open(directory.join(file)).unwrap();
            file.set_len(file.metadata().unwrap().len() - bytes).unwrap();
        }
    };
    check(cut(CURRENT, 1), CURRENT, 4, "torn");
    check(cut(CURRENT, 50), CURRENT, 4, "torn");
    check(cut(FIRST, 1), FIRST, 4, "torn");
    check(cut(SECOND, 300), SECOND, 3, "torn");
    let empty = |file: &'static str| {
        move |directory: &TemporaryDirectory| fs::write(directory.join(file), "").unwrap()
    };
    check(empty(FIRST), FIRST, 1, "not_a_header");
    check(empty(SECOND), SECOND, 1, "not_a_header");
    check(empty(CURRENT), CURRENT, 1, "not_a_header");
    let remove = |file: &'static str| {
        move |directory: &TemporaryDirectory| fs::remove_file(directory.join(file)).unwrap()
    };
    check(remove(FIRST), SECOND, 1, "files_missing");
    check(remove(SECOND), CURRENT, 1, "files_missing");
    check(remove(CURRENT), SECOND, 4, "cut_off");
    check(remove(HEAD), HEAD, 1, "head_missing");
    let rename = |from: &'static str, to: &'static str| {
        move |directory: &TemporaryDirectory| {
            fs::rename(directory.join(from), directory.join(to)).unwrap();
        }
    };
    check(rename(FIRST, SECOND), SECOND, 1, "files_missing");
    let third = "audit-20261121T101844-3.jsonl";
    check(rename(SECOND, third), third, 1, "files_missing");
    check(
        |directory| {
            rename(FIRST, "x")(directory);
            rename(SECOND, FIRST)(directory);
            rename("x", SECOND)(directory);
        },
        FIRST,
        1,
        "file_number",
    );
    let again = "audit-20261122T000000-2.jsonl";
    let copy = |directory: &TemporaryDirectory| {
        fs::copy(directory.join(SECOND), directory.join(again)).unwrap();
    };
    check(copy, again, 1, "twice");
    let all = |directory: &TemporaryDirectory| {
        for file in [FIRST, SECOND, CURRENT] {
            fs::remove_file(directory.join(file)).unwrap();
        }
    };
    check(all, HEAD, 1, "no_files");
    // A file that was put aside under its name while it was still the current one is no fault.
    let directory = trail();
    rename(CURRENT, third)(&directory);
    holds(&directory);
}

#[test]
fn foreign_and_damaged_heads_are_found() {
    let write = |content: Vec<u8>| {
        move |directory: &TemporaryDirectory| fs::write(directory.join(HEAD), content).unwrap()
    };
    let head = |change: fn(&mut Head)| {
        move |directory: &TemporaryDirectory| {
            let path = directory.join(HEAD);
            let mut head = Head::parse(&fs::read(&path).unwrap()).unwrap();
            change(&mut head);
            fs::write(path, head.content()).unwrap();
        }
    };
    for content in ["", "{}", "\n", "{\"audit_head\":\"lethe/1\"}\n", &"x".repeat(10_000)] {
        check(write(content.as_bytes().to_vec()), HEAD, 1, "head_unreadable");
    }
    check(head(|head| head.link.hash[31] ^= 1), CURRENT, 4, "anchor_differs");
    check(head(|head| head.link.seq = 13), CURRENT, 4, "cut_off");
    check(head(|head| head.link.seq = 11), CURRENT, 3, "anchor_differs");
    check(head(|head| head.link.seq = 1), FIRST, 1, "anchor_differs");
    check(head(|head| head.bytes -= 1), CURRENT, 4, "anchor_elsewhere");
    check(head(|head| head.file = 2), CURRENT, 4, "anchor_elsewhere");
    // The head of another trail, which is as long.
    let other = TemporaryDirectory::new();
    let audit = start(other.path(), AuditOptions { rotate_bytes: 800, ..options() });
    (10..19).for_each(|number| audit.record(&event(&number.to_string())).unwrap());
    audit.close().unwrap();
    check(write(fs::read(other.join(HEAD)).unwrap()), CURRENT, 4, "anchor_differs");
}

/// Not one byte of any file can change unseen, and the place that is told is the one.
#[test]
fn every_flipped_byte_is_found_in_its_place() {
    let directory = trail();
    let mut flips = 0;
    for name in [FIRST, SECOND, CURRENT, HEAD] {
        let path = directory.join(name);
        let content = fs::read(&path).unwrap();
        for at in 0..content.len() {
            for mask in [1 << (at % 8), 0xff] {
                let mut changed = content.clone();
                changed[at] ^= mask;
                fs::write(&path, &changed).unwrap();
                let report = verify(&directory);
                let broken = report.broken.unwrap_or_else(|| panic!("{name}, {at}, {mask}"));
                let line = 1 + content[..at].iter().filter(|byte| **byte == b'\n').count();
                let is_head = name == HEAD;
                let is_there = broken.file == path && broken.line == u64::try_from(line).unwrap();
                // A header that names another number lets its file look like a gap; either way it
                // is the first line of this file.
                assert!(is_there || is_head, "{name}:{line}, byte {at}, mask {mask}: {broken}");
                flips += 1;
            }
        }
        fs::write(&path, &content).unwrap();
    }
    assert!(flips > 4_000, "{flips}");
    holds(&directory);
}

/// A copy of the head that the server cannot reach shows that all of it was written anew.
#[test]
fn a_kept_head_shows_a_trail_that_was_written_anew() {
    let directory = trail();
    let anchors = [Anchor::read(&directory.join(HEAD)).unwrap()];
    assert!(verify_directory(directory.path(), None, &anchors).unwrap().holds());
    for (first, last) in [(0, 20), (10, 19), (0, 3)] {
        let anew = TemporaryDirectory::new();
        let audit = start(anew.path(), AuditOptions { rotate_bytes: 800, ..options() });
        (first..last).for_each(|number| audit.record(&event(&number.to_string())).unwrap());
        audit.close().unwrap();
        holds(&anew);
        let report = verify_directory(anew.path(), None, &anchors).unwrap();
        // The one that goes on as before is the trail itself: nothing was altered in it.
        assert_eq!(report.holds(), (first, last) == (0, 20), "{report:?}");
    }
    // It may be older than the files that are left, but then it proves nothing.
    let directory = trail();
    let later = [directory.join(SECOND), directory.join(CURRENT)];
    let mut anchor = Anchor::read(&directory.join(HEAD)).unwrap();
    assert!(verify_files(&later, core::slice::from_ref(&anchor)).unwrap().holds());
    anchor.head.link.seq = 4;
    let broken = verify_files(&later, &[anchor]).unwrap().broken.unwrap();
    assert_eq!((broken.file, broken.fault.code()), (directory.join(SECOND), "anchor_before"));
    let error = Anchor::read(&directory.join(CURRENT)).unwrap_err();
    assert!(error.source.to_string().contains("not the head"), "{error:?}");
}

#[test]
fn some_files_are_checked_alone_in_the_order_that_is_given() {
    let directory = trail();
    let paths = |names: &[&str]| -> Vec<PathBuf> {
        names.iter().map(|name| directory.join(name)).collect()
    };
    for (names, events) in [
        (&[FIRST, SECOND, CURRENT][..], 9),
        (&[FIRST, SECOND], 6),
        (&[SECOND, CURRENT], 6),
        (&[SECOND], 3),
        (&[CURRENT], 3),
    ] {
        let report = verify_files(&paths(names), &[]).unwrap();
        assert!(report.holds(), "{names:?}: {report:?}");
        assert_eq!((report.events, report.anchored_seq), (events, None), "{names:?}");
    }
    for (names, file, code) in [
        (&[FIRST, CURRENT][..], CURRENT, "file_number"),
        (&[SECOND, FIRST], FIRST, "file_number"),
        (&[FIRST, FIRST], FIRST, "file_number"),
        (&[HEAD], HEAD, "not_a_header"),
    ] {
        let broken = verify_files(&paths(names), &[]).unwrap().broken.unwrap();
        assert_eq!((broken.file, broken.fault.code()), (directory.join(file), code), "{names:?}");
    }
    assert!(verify_files(&paths(&["none"]), &[]).is_err());
    assert!(verify_directory(&directory.join("none"), None, &[]).is_err());
    assert!(verify_directory(&directory.join(CURRENT), None, &[]).is_err());
}

#[test]
fn files_that_were_archived_are_left_out_by_number() {
    let directory = trail();
    fs::remove_file(directory.join(FIRST)).unwrap();
    assert!(verify_directory(directory.path(), Some(2), &[]).unwrap().holds());
    assert!(!verify_directory(directory.path(), Some(1), &[]).unwrap().holds());
    fs::remove_file(directory.join(SECOND)).unwrap();
    assert!(verify_directory(directory.path(), Some(3), &[]).unwrap().holds());
    let broken = verify_directory(directory.path(), Some(2), &[]).unwrap().broken.unwrap();
    assert_eq!(broken.fault.to_string(), "file 2, which comes before this one, is missing");
}

/// The check of a trail that is being written, again and again, never sees it broken.
#[test]
fn a_trail_holds_while_it_is_written() {
    let directory = TemporaryDirectory::new();
    let audit = start(directory.path(), AuditOptions { rotate_bytes: 20_000, ..options() });
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..3_000 {
                audit.record(&event(&number.to_string())).unwrap();
                if number % 50 == 0 {
                    audit.flush().unwrap();
                }
            }
            is_done.store(true, Ordering::Release);
        });
        while !is_done.load(Ordering::Acquire) {
            holds(&directory);
        }
    });
    audit.close().unwrap();
    assert_eq!(holds(&directory).events, 3_000);
}

#[test]
fn headers_round_trip_and_everything_else_is_refused() {
    let text = fs::read_to_string(trail().join(SECOND)).unwrap();
    let line = text.lines().next().unwrap();
    let header = Header::parse(line.as_bytes()).unwrap();
    assert_eq!(header.line(), line.as_bytes());
    let more = Header { kept_from: 2, ..header };
    assert_eq!(Header::parse(&more.line()), Some(more));
    let first = Header { file: 1, ..header };
    let zero = Header { file: 0, ..header };
    let large = Header { file: 1 << 53, ..header };
    for refused in [first, zero, large] {
        assert_eq!(Header::parse(&refused.line()), None, "{refused:?}");
    }
    for refused in [
        format!("{line}\n"),
        format!(" {line}"),
        line.replace(",\"file\"", ", \"file\""),
        line.replace("\"because\":\"size\",", ""),
        line.replace(",\"seq\"", ",\"kept_from\":1,\"seq\""),
        line.replace(",\"seq\"", ",\"torn_bytes\":7,\"seq\""),
        line.replace("\"opened\":\"2", "\"opened\":\"x"),
        line[..line.len() - 1].to_owned(),
        String::new(),
    ] {
        assert_eq!(Header::parse(refused.as_bytes()), None, "{refused}");
    }
}
