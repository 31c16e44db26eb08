use super::{SetClock, TemporaryDirectory, mode_of, whole_message};
use crate::audit_file::chain::{Because, Header};
use crate::audit_file::verify::{Report, verify_directory};
use crate::audit_file::{AuditFile, AuditOptions, RealDirectory, USE_OPERATIONS};
use crate::config::{AuditConfig, AuditedEvents};
use core::time::Duration;
use lethe_engine::audit::{AuditEvent, AuditSink, AuditUnavailable};
use lethe_types::{CredentialId, KeyId, PrincipalId, RealmId, UnixMillis};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

pub(super) const START: &str = "2026-11-21T10:18:44.007Z";

/// An event that has nothing but what every event has.
pub(super) fn event(request: &str) -> AuditEvent<'_> {
    AuditEvent {
        time: START.parse().unwrap(),
        realm: None,
        principal: None,
        credential: None,
        door: "native",
        operation: "key.create",
        key: None,
        subject: None,
        refusal: None,
        request,
        log_index: None,
    }
}

fn full(request: &str) -> AuditEvent<'_> {
    AuditEvent {
        realm: Some(RealmId([0x01; 16])),
        principal: Some(PrincipalId([0xab; 16])),
        credential: Some(CredentialId([0xff; 16])),
        key: Some(KeyId(*b"0123456789abcdef")),
        log_index: Some(7),
        ..event(request)
    }
}

pub(super) fn config(path: &Path) -> AuditConfig {
    AuditConfig {
        path: path.to_owned(),
        events: AuditedEvents::All,
        rotate_bytes: 1 << 20,
        rotate_after: None,
        keep_files: None,
        queue: 65_536,
    }
}

pub(super) fn options() -> AuditOptions {
    AuditOptions {
        gather_time: Duration::from_millis(1),
        retry_time: Duration::from_millis(1),
        ..AuditOptions::from_config(&config(Path::new("unused")))
    }
}

pub(super) fn open(path: &Path) -> AuditFile {
    AuditFile::open(&config(path), Arc::new(SetClock::at(START))).unwrap()
}

/// A trail over the real directory with other options.
pub(super) fn start(path: &Path, options: AuditOptions) -> AuditFile {
    let clock = Arc::new(SetClock::at(START));
    let directory = RealDirectory::new(path.to_owned(), clock.clone());
    AuditFile::start(Box::new(directory), clock, options).unwrap()
}

/// The events of one file without their places in the chain; each line must be JSON, the first one
/// a header, and the last one whole.
pub(super) fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "{text:?}");
    let mut lines = text.lines();
    assert!(Header::parse(lines.next().unwrap().as_bytes()).is_some(), "{text:?}");
    let event = |line| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        let members = event.as_object_mut().unwrap();
        assert!(members.remove("seq").is_some() && members.remove("prev").is_some(), "{line}");
        event
    };
    lines.map(event).collect()
}

/// Checks that the whole chain in `directory` holds.
#[track_caller]
pub(super) fn holds(directory: &TemporaryDirectory) -> Report {
    let report = verify_directory(directory.path(), None, &[]).unwrap();
    assert_eq!(report.broken, None, "{report:?}");
    report
}

pub(super) fn requests(path: &Path) -> Vec<String> {
    lines(path).into_iter().map(|line| line["request"].as_str().unwrap().to_owned()).collect()
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// Checks what becomes of one event.
#[track_caller]
fn check(event: AuditEvent<'_>, expected: Value) {
    let directory = TemporaryDirectory::new();
    let audit = open(directory.path());
    audit.record(&event).unwrap();
    audit.close().unwrap();
    let lines = lines(&directory.join("audit.jsonl"));
    assert_eq!(lines, [expected]);
}

#[test]
fn an_event_is_a_line_with_what_it_has() {
    let base = json!({
        "time": START, "door": "native", "operation": "key.create", "outcome": "allowed",
        "request": "r",
    });
    let with = |changes: Value| {
        let mut expected = base.clone();
        expected.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        expected
    };
    check(event("r"), base.clone());
    let ids = json!({
        "realm": "01".repeat(16), "principal": "ab".repeat(16), "credential": "ff".repeat(16),
        "key": "30313233343536373839616263646566", "log_index": 7,
    });
    check(full("r"), with(ids));
    for index in [0, 9, 10, 1_234_567_890, u64::MAX] {
        let event = AuditEvent { log_index: Some(index), ..event("r") };
        check(event, with(json!({ "log_index": index })));
    }
    let refused = AuditEvent { refusal: Some("permission_denied"), ..event("r") };
    check(refused, with(json!({"outcome": "refused", "reason": "permission_denied"})));
    for time in [0, 999, 1_000, 1_795_256_324_070, 253_402_207_200_999] {
        let event = AuditEvent { time: UnixMillis(time), ..event("r") };
        check(event, with(json!({ "time": UnixMillis(time).to_string() })));
    }
    let long = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    let names = AuditEvent { door: "a\"b", operation: long, ..event("r") };
    check(names, with(json!({"door": "a\"b", "operation": &long[..64]})));
}

/// The members come in one order, so that people and simple tools can rely on it.
#[test]
fn the_bytes_of_a_file_are_fixed() {
    let directory = TemporaryDirectory::new();
    let audit = open(directory.path());
    let event = AuditEvent { refusal: Some("item_not_found"), ..full("7-1") };
    audit.record(&event).unwrap();
    audit.close().unwrap();
    let header = format!(
        "{{\"audit\":\"lethe/1\",\"file\":1,\"opened\":\"{START}\",\"because\":\"first\",\"seq\":1,\
         \"prev\":\"{}\"}}",
        "00".repeat(32)
    );
    let ids = ["01".repeat(16), "ab".repeat(16), "ff".repeat(16)];
    let line = format!(
        "{{\"seq\":2,\"time\":\"2026-11-21T10:18:44.007Z\",\"realm\":\"{}\",\"principal\":\"{}\",\
         \"credential\":\"{}\",\"door\":\"native\",\"operation\":\"key.create\",\
         \"key\":\"30313233343536373839616263646566\",\"outcome\":\"refused\",\
         \"reason\":\"item_not_found\",\"request\":\"7-1\",\"log_index\":7,\"prev\":\"{}\"}}",
        ids[0],
        ids[1],
        ids[2],
        hash(&header)
    );
    let content = format!("{header}\n{line}\n");
    assert_eq!(fs::read_to_string(directory.join("audit.jsonl")).unwrap(), content);
    let head = format!(
        "{{\"audit_head\":\"lethe/1\",\"file\":1,\"bytes\":{},\"seq\":2,\"sha256\":\"{}\"}}\n",
        content.len(),
        hash(&line)
    );
    assert_eq!(fs::read_to_string(directory.join("head")).unwrap(), head);
}

/// SHA-256 in hexadecimal digits.
fn hash(text: &str) -> String {
    let hash = lethe_crypto::hash::sha256(&[text.as_bytes()]);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_clients_choose_is_escaped_and_bounded() {
    let directory = TemporaryDirectory::new();
    let audit = open(directory.path());
    let every_control: String = (0..=0x20_u8).chain([0x7f]).map(char::from).collect();
    let cases = [
        (String::new(), String::new()),
        ("\"},{\"forged\":\"".to_owned(), "\"},{\"forged\":\"".to_owned()),
        ("a\n{\"time\":\"x\"}\n".to_owned(), "a\n{\"time\":\"x\"}\n".to_owned()),
        ("\\u0041\\".to_owned(), "\\u0041\\".to_owned()),
        ("ä€😀\u{2028}\u{85}".to_owned(), "ä€😀\u{2028}\u{85}".to_owned()),
        (every_control.clone(), every_control),
        ("x".repeat(128), "x".repeat(128)),
        ("x".repeat(129), "x".repeat(128)),
        ("x".repeat(1_000_000), "x".repeat(128)),
        ("\n".repeat(129), "\n".repeat(128)),
        // Cut before a character of several bytes, not within it.
        ("x".repeat(127) + "ä", "x".repeat(127)),
        ("x".repeat(126) + "ä!", "x".repeat(126) + "ä"),
        ("😀".repeat(33), "😀".repeat(32)),
    ];
    for (request, _) in &cases {
        audit.record(&event(request)).unwrap();
    }
    audit.flush().unwrap();
    let expected: Vec<String> = cases.iter().map(|(_, expected)| expected.clone()).collect();
    assert_eq!(requests(&directory.join("audit.jsonl")), expected);
    let raw = fs::read(directory.join("audit.jsonl")).unwrap();
    assert!(raw.iter().all(|byte| *byte == b'\n' || (*byte >= b' ' && *byte != 0x7f)));
    assert_eq!(raw.iter().filter(|byte| **byte == b'\n').count(), 1 + cases.len());
    assert_eq!(holds(&directory).events, u64::try_from(cases.len()).unwrap());
}

#[test]
fn every_event_of_every_thread_is_there_once_and_in_its_order() {
    let directory = TemporaryDirectory::new();
    let audit =
        Arc::new(start(directory.path(), AuditOptions { rotate_bytes: 100_000, ..options() }));
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let audit = Arc::clone(&audit);
            thread::spawn(move || {
                for number in 0..500 {
                    audit.record(&full(&format!("{thread}-{number}"))).unwrap();
                    if number % 100 == thread {
                        audit.flush().unwrap();
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    audit.close().unwrap();
    assert_eq!(audit.health().recorded_events, 4_000);
    let all = requests_of_all_files(&directory);
    assert_eq!(all.len(), 4_000);
    assert_eq!(holds(&directory).events, 4_000);
    for thread in 0..8 {
        let mine: Vec<&String> =
            all.iter().filter(|request| request.starts_with(&format!("{thread}-"))).collect();
        let expected: Vec<String> = (0..500).map(|number| format!("{thread}-{number}")).collect();
        assert_eq!(mine, expected.iter().collect::<Vec<_>>());
    }
}

/// Requests in all files, oldest file first.
fn requests_of_all_files(directory: &TemporaryDirectory) -> Vec<String> {
    let mut names = directory.names();
    names.retain(|name| name != "head");
    let number = |name: &String| {
        let text = name.strip_suffix(".jsonl").and_then(|name| name.rsplit('-').next());
        // The current file is the last one.
        text.and_then(|text| text.parse().ok()).unwrap_or(u32::MAX)
    };
    names.sort_by_key(number);
    names.iter().flat_map(|name| requests(&directory.join(name))).collect()
}

#[test]
fn files_are_put_aside_at_their_size() {
    let directory = TemporaryDirectory::new();
    let audit = start(directory.path(), AuditOptions { rotate_bytes: 4_000, ..options() });
    for number in numbers(100) {
        audit.record(&event(&number)).unwrap();
        if number.ends_with('7') {
            audit.flush().unwrap();
        }
    }
    audit.close().unwrap();
    let report = holds(&directory);
    assert_eq!((report.events, report.notes.len()), (100, 0));
    assert!((5..=8).contains(&report.files), "{report:?}");
    let names = directory.names();
    assert!(names.contains(&"audit-20261121T101844-1.jsonl".to_owned()), "{names:?}");
    assert!(names.contains(&"audit-20261121T101844-3.jsonl".to_owned()), "{names:?}");
    for name in &names {
        let length = fs::metadata(directory.join(name)).unwrap().len();
        assert!((1..=4_000).contains(&length), "{name}: {length}");
        assert_eq!(mode_of(&directory.join(name)), 0o600);
    }
    assert_eq!(requests_of_all_files(&directory), numbers(100));
}

#[test]
fn no_file_is_overwritten() {
    let directory = TemporaryDirectory::new();
    let other = directory.file("audit-20261121T101844-1.jsonl", "other evidence", 0o600);
    let clock = Arc::new(SetClock::at(START));
    let real = RealDirectory::new(directory.path().to_owned(), clock.clone());
    let options = AuditOptions { rotate_bytes: 1, ..options() };
    let audit = AuditFile::start(Box::new(real), clock.clone(), options).unwrap();
    audit.record(&event("a")).unwrap();
    audit.flush().unwrap();
    audit.record(&event("b")).unwrap();
    let error = audit.flush().unwrap_err();
    assert!(error.to_string().contains("File exists"), "{error}");
    // A second later there is another name.
    clock.advance(Duration::from_secs(1));
    while audit.flush().is_err() {
        thread::yield_now();
    }
    audit.close().unwrap();
    assert_eq!(fs::read_to_string(&other).unwrap(), "other evidence");
    assert_eq!(requests(&directory.join("audit-20261121T101845-1.jsonl")), ["a"]);
    // What has a name of the trail and is none of its files does not matter to it.
    assert_eq!(holds(&directory).events, 2);
}

#[test]
fn a_line_that_is_larger_than_a_file_still_gets_one() {
    let directory = TemporaryDirectory::new();
    let audit = start(directory.path(), AuditOptions { rotate_bytes: 1, ..options() });
    for number in numbers(3) {
        audit.record(&event(&number)).unwrap();
    }
    audit.close().unwrap();
    assert_eq!(holds(&directory).files, 3);
    assert_eq!(requests_of_all_files(&directory), numbers(3));
}

#[test]
fn a_trail_is_continued_after_a_restart() {
    let directory = TemporaryDirectory::new();
    for number in numbers(3) {
        let audit = open(directory.path());
        audit.record(&event(&number)).unwrap();
        drop(audit);
    }
    assert_eq!(directory.names(), ["audit.jsonl", "head"]);
    assert_eq!(requests(&directory.join("audit.jsonl")), numbers(3));
    let report = holds(&directory);
    assert_eq!((report.anchored_seq, report.last.unwrap().seq), (Some(4), 4));
}

#[test]
fn a_line_torn_by_a_crash_is_kept_and_told_of() {
    for torn in ["{\"seq\":3,\"to", "{", "\0\0\0", "{\"seq\":3}\n", "\n", &"x".repeat(70_000)] {
        let directory = TemporaryDirectory::new();
        let current = directory.join("audit.jsonl");
        let audit = open(directory.path());
        audit.record(&event("whole")).unwrap();
        audit.close().unwrap();
        let before = fs::read_to_string(&current).unwrap() + torn;
        fs::write(&current, &before).unwrap();
        let audit = open(directory.path());
        audit.record(&event("next")).unwrap();
        audit.close().unwrap();
        let aside = directory.join("audit-20261121T101844-1.jsonl");
        assert_eq!(fs::read_to_string(aside).unwrap(), before);
        assert_eq!(requests(&current), ["next"]);
        let report = holds(&directory);
        assert_eq!(report.events, 2);
        let [note] = &report.notes[..] else { panic!("{report:?}") };
        let bytes = note.torn.unwrap().bytes;
        assert_eq!((note.because, bytes), (Because::Crash, u64::try_from(torn.len()).unwrap()));
    }
}

#[test]
fn a_file_taken_away_is_replaced_and_a_foreign_one_is_kept() {
    let directory = TemporaryDirectory::new();
    let current = directory.join("audit.jsonl");
    let audit = open(directory.path());
    let record = |request| {
        audit.record(&event(request)).unwrap();
        audit.flush().unwrap();
    };
    record("a");
    fs::rename(&current, directory.join("audit-20261121T101900-1.jsonl")).unwrap();
    record("b");
    assert_eq!(requests(&current), ["b"]);
    let report = holds(&directory);
    assert_eq!(report.notes[0].because, Because::Missing);
    fs::remove_file(&current).unwrap();
    record("c");
    assert_eq!(requests(&current), ["c"]);
    let report = verify_directory(directory.path(), None, &[]).unwrap();
    assert_eq!(report.broken.unwrap().fault.code(), "files_missing");
    let foreign = "{\"request\":\"foreign\"}\n".repeat(100);
    directory.file("other", &foreign, 0o644);
    fs::rename(directory.join("other"), &current).unwrap();
    record("d");
    assert_eq!(requests(&current), ["d"]);
    assert_eq!(mode_of(&current), 0o600);
    let apart = directory.join("unchained-20261121T101844-1-audit.jsonl");
    assert_eq!(fs::read_to_string(apart).unwrap(), foreign);
}

#[test]
fn a_file_that_somebody_cuts_or_writes_to_is_not_changed_further() {
    for text in ["", "torn", "{\"request\":\"x\"}\n"] {
        let directory = TemporaryDirectory::new();
        let current = directory.join("audit.jsonl");
        let audit = open(directory.path());
        let record = |request| {
            audit.record(&event(request)).unwrap();
            audit.flush().unwrap();
        };
        record("a");
        let whole = fs::read_to_string(&current).unwrap();
        fs::write(&current, whole.clone() + text + text).unwrap();
        if text.is_empty() {
            fs::write(&current, &whole[..whole.len() - 7]).unwrap();
        }
        let changed = fs::read_to_string(&current).unwrap();
        record("b");
        assert_eq!(requests(&current), ["b"]);
        let aside = directory.join("audit-20261121T101844-1.jsonl");
        assert_eq!(fs::read_to_string(&aside).unwrap(), changed);
        let report = verify_directory(directory.path(), None, &[]).unwrap();
        let broken = report.broken.unwrap();
        assert_eq!((broken.file, broken.line), (aside, if text.is_empty() { 2 } else { 3 }));
    }
}

#[test]
fn management_leaves_out_uses_that_were_allowed() {
    let directory = TemporaryDirectory::new();
    let management = AuditOptions { events: AuditedEvents::Management, ..options() };
    let audit = start(directory.path(), management);
    for operation in USE_OPERATIONS {
        audit.record(&AuditEvent { operation, ..event("allowed use") }).unwrap();
        let refusal = Some("permission_denied");
        audit.record(&AuditEvent { operation, refusal, ..event("refused use") }).unwrap();
    }
    for operation in ["key.create", "key.destroy", "key", "key.encrypt.x"] {
        audit.record(&AuditEvent { operation, ..event("management") }).unwrap();
    }
    audit.close().unwrap();
    let requests = requests(&directory.join("audit.jsonl"));
    let count = |text: &str| requests.iter().filter(|request| *request == text).count();
    let counts = ["allowed use", "refused use", "management"].map(count);
    assert_eq!(counts, [0, USE_OPERATIONS.len(), 4]);
}

#[test]
fn a_closed_trail_takes_nothing() {
    let directory = TemporaryDirectory::new();
    let audit = open(directory.path());
    audit.flush().unwrap();
    audit.record(&event("before")).unwrap();
    audit.close().unwrap();
    assert_eq!(audit.record(&event("after")), Err(AuditUnavailable));
    audit.flush().unwrap();
    audit.close().unwrap();
    assert_eq!(requests(&directory.join("audit.jsonl")), ["before"]);
    let health = audit.health();
    assert_eq!((health.recorded_events, health.refused_events), (1, 1));
    assert_eq!((health.queued_events, health.failure), (0, None));
}

#[test]
fn a_directory_that_cannot_hold_a_trail_is_refused_at_the_start() {
    let directory = TemporaryDirectory::new();
    #[track_caller]
    fn refused(path: &Path, why: &str) {
        let error = AuditFile::open(&config(path), Arc::new(SetClock::at(START))).unwrap_err();
        let message = whole_message(&error);
        assert!(message.contains(why), "{message} should say {why:?}");
    }
    let file = directory.file("file", "", 0o600);
    refused(&file, "is not a directory");
    refused(&file.join("below"), "cannot use the directory of the audit trail");
    let open_to_all = directory.join("open");
    fs::create_dir(&open_to_all).unwrap();
    fs::set_permissions(&open_to_all, fs::Permissions::from_mode(0o755)).unwrap();
    refused(&open_to_all, "open to other users (mode 755)");
    let occupied = directory.join("occupied");
    open(&occupied).close().unwrap();
    fs::remove_file(occupied.join("audit.jsonl")).unwrap();
    fs::remove_file(occupied.join("head")).unwrap();
    fs::create_dir(occupied.join("audit.jsonl")).unwrap();
    refused(&occupied, "cannot open the audit trail in");
}
