//! The program: exit status and words, on files as an auditor has them.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

const KEY: &str = include_str!("../testdata/log.vkey");
const RECEIPT: &str = include_str!("../testdata/receipt.tlog-proof");
const APPROVED: &str = include_str!("../testdata/approved.tlog-proof");
const RECEIPT_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/receipt.tlog-proof");

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lethe-verify"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // The program may refuse its arguments without reading.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("the program ends")
}

#[track_caller]
fn check(arguments: &[&str], input: &str, status: i32, words: &str) {
    let output = run(arguments, input);
    let text =
        String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert!(text.contains(words), "{text}");
    assert_eq!(output.stdout.is_empty(), status != 0, "only a yes goes to standard output");
}

#[test]
fn a_receipt_that_holds_exits_with_0() {
    check(&[RECEIPT_FILE, "--vkey", KEY], "", 0, "The receipt holds.");
    check(&["--vkey", KEY, "-"], RECEIPT, 0, "Nobody can recover it since");
    let approver = "approved by principal 01010101010101010101010101010101, signature holds";
    check(&["--vkey", KEY, "-"], APPROVED, 0, approver);
}

#[test]
fn a_refused_receipt_exits_with_1() {
    let altered = RECEIPT.replacen("index 3", "index 4", 1);
    check(&["-", "--vkey", KEY], &altered, 1, "refused: the log entry is not in the log");
    check(&["-", "--vkey", KEY], "", 1, "refused: the receipt cannot be read");
    check(&["-", "--vkey", KEY], &"A".repeat(1_048_577), 1, "at most 1048576 bytes");
    let other = "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
    check(&["-", "--vkey", other], RECEIPT, 1, "not signed by a known key");
    check(&[RECEIPT_FILE, "--vkey", KEY, "--witness", other], "", 1, "has not cosigned");
}

#[test]
fn wrong_usage_and_unreadable_files_exit_with_2() {
    check(&[], "", 2, "usage:");
    check(&[RECEIPT_FILE], "", 2, "--vkey is missing");
    check(&["--vkey", KEY], "", 2, "FILE is missing");
    check(&[RECEIPT_FILE, "--vkey"], "", 2, "--vkey needs a key");
    check(&[RECEIPT_FILE, "--vkey", "x"], "", 2, "a verifier key has the form");
    check(&[RECEIPT_FILE, RECEIPT_FILE, "--vkey", KEY], "", 2, "one file at a time");
    check(&[RECEIPT_FILE, "--vkey", KEY, "--vkey", KEY], "", 2, "given twice");
    check(&[RECEIPT_FILE, "--vkey", KEY, "--force"], "", 2, "unknown option `--force`");
    check(&["/nonexistent/receipt", "--vkey", KEY], "", 2, "cannot read");
    check(&[env!("CARGO_MANIFEST_DIR"), "--vkey", KEY], "", 2, "cannot read");
}
