//! Every altered byte of a receipt is refused, in each form: all eight single-bit changes of
//! every byte; bytes removed or doubled, and prefixes (in the long JSON form every eighth).

use std::thread;

use super::fixture::{issue, log_key, parts, receipt, signer};
use crate::{VerifyError, verify};

#[track_caller]
fn every_alteration_is_refused(form: &str, shift_every: usize) {
    let (bytes, key) = (form.as_bytes(), log_key());
    assert!(verify(bytes, &key).is_ok());
    let refused = |altered: &[u8], what: &str, at: usize| {
        assert!(verify(altered, &key).is_err(), "{what} {at} of {form}");
    };
    let alter = |at: usize| {
        let mut altered = bytes.to_vec();
        for bit in 0..8 {
            altered[at] = bytes[at] ^ (1 << bit);
            refused(&altered, "changed byte", at);
        }
        if !at.is_multiple_of(shift_every) {
            return;
        }
        altered[at] = bytes[at];
        altered.remove(at);
        refused(&altered, "without byte", at);
        altered.insert(at, bytes[at]);
        altered.insert(at, bytes[at]);
        refused(&altered, "with twice byte", at);
        refused(&bytes[..at], "only the start until", at);
    };
    // Tens of thousands of verifications: shared among threads, each with every fourth byte.
    thread::scope(|scope| {
        for first in 0..4 {
            scope.spawn(move || (first..bytes.len()).step_by(4).for_each(alter));
        }
    });
}

#[test]
fn of_a_proof_file() {
    every_alteration_is_refused(&receipt().to_proof().unwrap(), 1);
}

#[test]
fn of_the_base64_of_a_proof_file() {
    every_alteration_is_refused(&receipt().to_header().unwrap(), 1);
}

#[test]
fn of_a_json_receipt() {
    // The cost grows with the square of the length, and the details stand there three times.
    let mut parts = parts();
    parts.detail.aliases.clear();
    parts.detail.name = "n".to_owned();
    parts.detail.reason = "r".to_owned();
    parts.detail.versions.clear();
    every_alteration_is_refused(&issue(&parts, &signer(1)).to_json().unwrap(), 8);
}

#[test]
fn swapped_lines_of_a_proof_file_are_refused() {
    let text = receipt().to_proof().unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for one in 0..lines.len() {
        for other in one + 1..lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(one, other);
            // The empty lines are equal, and changing places with oneself is no change.
            if swapped != lines {
                assert!(verify(swapped.concat().as_bytes(), &log_key()).is_err(), "{one} {other}");
            }
        }
    }
}

/// The one deliberate gap: C2SP demands that signatures of unknown keys are ignored.
#[test]
fn a_line_of_an_unknown_witness_is_ignored_and_only_there() {
    let mut receipt = receipt();
    let line = "\u{2014} witness.example/w9 AAAAAAAAAAA=\n";
    receipt.checkpoint.push_str(line);
    assert!(verify(receipt.to_proof().unwrap().as_bytes(), &log_key()).is_ok());
    let mut noted = super::fixture::receipt();
    noted.erasure.push_str(line);
    let refusal = verify(noted.to_proof().unwrap().as_bytes(), &log_key());
    assert!(matches!(refusal, Err(VerifyError::ErasureNote(_))));
}
