//! Reading a trail from its end, and following it.

use super::TemporaryDirectory;
use super::audit_file::{event, open, options, start};
use crate::audit_file::AuditOptions;
use crate::audit_file::chain::Header;
use crate::audit_file::read::{Follower, last};
use lethe_engine::audit::AuditSink;
use serde_json::Value;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

fn request(line: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(line).ok()?;
    Some(value["request"].as_str()?.to_owned())
}

fn newest(directory: &TemporaryDirectory, count: usize) -> (Vec<String>, Follower) {
    let (lines, follower) =
        last(directory.path(), count, &mut |line| Header::parse(line).is_none()).unwrap();
    (lines.iter().filter_map(|line| request(line)).collect(), follower)
}

fn numbers(range: core::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn the_last_events_come_in_their_order_from_as_many_files_as_it_takes() {
    for rotate_bytes in [1, 1_000, 1 << 20] {
        let directory = TemporaryDirectory::new();
        let audit = start(directory.path(), AuditOptions { rotate_bytes, ..options() });
        numbers(0..20).iter().for_each(|request| audit.record(&event(request)).unwrap());
        audit.flush().unwrap();
        for count in [0, 1, 2, 5, 19, 20, 21, 1_000] {
            let first = 20_u32.saturating_sub(count);
            let count = usize::try_from(count).unwrap();
            assert_eq!(newest(&directory, count).0, numbers(first..20), "{rotate_bytes}");
        }
        let mut seven = |line: &[u8]| request(line).is_some_and(|text| text.ends_with('7'));
        let (lines, _) = last(directory.path(), 10, &mut seven).unwrap();
        assert_eq!(lines.len(), 2);
    }
}

#[test]
fn many_lines_of_many_blocks_are_read_backwards() {
    let directory = TemporaryDirectory::new();
    let audit = open(directory.path());
    numbers(0..2_000).iter().for_each(|request| audit.record(&event(request)).unwrap());
    audit.close().unwrap();
    assert_eq!(newest(&directory, 5_000).0, numbers(0..2_000));
    assert_eq!(newest(&directory, 1_500).0, numbers(500..2_000));
}

#[test]
fn what_is_no_event_does_not_stop_the_reading() {
    let directory = TemporaryDirectory::new();
    let audit = open(directory.path());
    numbers(0..3).iter().for_each(|request| audit.record(&event(request)).unwrap());
    audit.close().unwrap();
    let current = directory.join("audit.jsonl");
    let text = fs::read_to_string(&current).unwrap();
    for garbage in ["\n", "\n\n\n", "x\n", &("x".repeat(200_000) + "\n")] {
        fs::write(&current, format!("{text}{garbage}{text}to")).unwrap();
        let mut expected = numbers(0..3);
        expected.extend(numbers(0..3));
        assert_eq!(newest(&directory, 100).0, expected);
    }
    for text in ["", "no newline", "\n"] {
        fs::write(&current, text).unwrap();
        assert_eq!(newest(&directory, 100).0, numbers(0..0));
    }
    fs::remove_file(&current).unwrap();
    assert_eq!(newest(&directory, 100).0, numbers(0..0));
    assert!(last(&directory.join("none"), 1, &mut |_| true).is_err());
}

/// Whatever a follower is given since the last look.
fn read(follower: &mut Follower) -> Vec<String> {
    let mut seen = Vec::new();
    let mut take = |line: &[u8]| {
        seen.extend(request(line));
        Ok(())
    };
    follower.read(&mut take).unwrap();
    seen
}

#[test]
fn a_follower_sees_every_event_once_over_all_files() {
    let directory = TemporaryDirectory::new();
    let audit = start(directory.path(), AuditOptions { rotate_bytes: 1_000, ..options() });
    numbers(0..5).iter().for_each(|request| audit.record(&event(request)).unwrap());
    audit.flush().unwrap();
    let (seen, mut follower) = newest(&directory, 3);
    assert_eq!(seen, numbers(2..5));
    assert_eq!(read(&mut follower), numbers(0..0));
    // One event, within a file and over its end; several files at once.
    for range in [5..6, 6..7, 7..8, 8..9, 9..40, 40..41] {
        let numbers = numbers(range);
        numbers.iter().for_each(|request| audit.record(&event(request)).unwrap());
        audit.flush().unwrap();
        assert_eq!(read(&mut follower), numbers);
        assert_eq!(read(&mut follower), [""; 0]);
    }
}

#[test]
fn a_follower_keeps_up_with_a_writer() {
    let directory = TemporaryDirectory::new();
    let audit = start(directory.path(), AuditOptions { rotate_bytes: 10_000, ..options() });
    let (_, mut follower) = newest(&directory, 0);
    let is_done = AtomicBool::new(false);
    let mut seen = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in numbers(0..2_000) {
                audit.record(&event(&number)).unwrap();
                if number.ends_with("00") {
                    audit.flush().unwrap();
                }
            }
            audit.flush().unwrap();
            is_done.store(true, Ordering::Release);
        });
        while !is_done.load(Ordering::Acquire) {
            seen.extend(read(&mut follower));
        }
    });
    seen.extend(read(&mut follower));
    assert_eq!(seen, numbers(0..2_000));
}

#[test]
fn a_follower_waits_for_a_file_and_survives_its_absence() {
    let directory = TemporaryDirectory::new();
    let (_, mut follower) = newest(&directory, 10);
    assert_eq!(read(&mut follower), numbers(0..0));
    let audit = open(directory.path());
    audit.record(&event("a")).unwrap();
    audit.flush().unwrap();
    assert_eq!(read(&mut follower), ["a"]);
    fs::remove_file(directory.join("audit.jsonl")).unwrap();
    assert_eq!(read(&mut follower), [""; 0]);
    audit.record(&event("b")).unwrap();
    audit.flush().unwrap();
    assert_eq!(read(&mut follower), ["b"]);
}
