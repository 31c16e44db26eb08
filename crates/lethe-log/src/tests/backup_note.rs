//! Backup notes: the exact text, who may sign, refused spellings.

use lethe_types::{BackupId, TreeId, UnixMillis};

use super::fixture::{ORIGIN, erasure_note, log_signer, signing_key};
use crate::{BackupNote, BackupNoteError, LogSigner, NoteError, leaf_hash};

const TEXT: &str = "\
lethe-backup/v1
07070707070707070707070707070707
0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a 0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b
42
900 800
77 bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=
2026-09-21T14:13:20.009Z 2026-09-28T14:13:20.000Z
5 640
bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=
";

fn note() -> BackupNote {
    BackupNote {
        tree_id: TreeId([7; 16]),
        backup: BackupId([10; 16]),
        base: Some(BackupId([11; 16])),
        epoch: 42,
        revision: 900,
        base_revision: 800,
        log_size: 77,
        log_root: leaf_hash(b""),
        created: UnixMillis(1_790_000_000_009),
        restorable_until: Some(UnixMillis(1_790_604_800_000)),
        rows: 5,
        bytes: 640,
        digest: leaf_hash(b""),
    }
}

#[test]
fn a_note_has_this_text_and_opens_under_the_key_of_the_log() {
    assert_eq!(note().to_string(), TEXT);
    assert_eq!(TEXT.parse(), Ok(note()));
    let signer = log_signer();
    let full = BackupNote { base: None, base_revision: 0, restorable_until: None, ..note() };
    for note in [note(), full] {
        let message = note.sign(&signer).unwrap();
        assert_eq!(BackupNote::open(&message, signer.verifier_key()), Ok(note.clone()));
        assert_eq!(BackupNote::parse_unverified(&message), Ok(note));
    }
}

#[test]
fn notes_that_the_log_did_not_sign_alone_are_refused() {
    let signer = log_signer();
    let log_key = signer.verifier_key();
    let message = note().sign(&signer).unwrap();
    let check = |message: String, expected: BackupNoteError| {
        assert_eq!(BackupNote::open(&message, log_key), Err(expected), "{message}");
    };
    let other = LogSigner::new(ORIGIN, signing_key(2)).unwrap();
    check(note().sign(&other).unwrap(), BackupNoteError::Note(NoteError::NoKnownSignature));
    let wrong = NoteError::InvalidSignature(log_key.name().clone());
    check(message.replacen("5 640", "5 641", 1), BackupNoteError::Note(wrong));
    // Nothing else that the log signs can be taken for one.
    check(erasure_note().sign(&signer).unwrap(), BackupNoteError::Malformed);
    check(signer.checkpoint(5, leaf_hash(b"")), BackupNoteError::Malformed);
    let long = signer.statement(format!("lethe-backup/v1\n{}\n", "x".repeat(5_000))).unwrap();
    check(long, BackupNoteError::Malformed);
}

#[test]
fn other_spellings_and_impossible_values_are_refused() {
    for (from, to) in [
        ("lethe-backup/v1", "lethe-backup/v2"),
        ("lethe-backup/v1\n", "\nlethe-backup/v1\n"),
        ("0707", "070"),
        ("\n42\n", "\n042\n"),
        ("\n42\n", "\n0\n"),
        ("\n42\n", "\n42 \n"),
        ("900 800", "900  800"),
        ("900 800", "800 900"),
        ("900 800", "900 0"),
        ("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "-"),
        ("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"),
        ("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "0B0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"),
        ("77 bj", "-1 bj"),
        ("oB0=\n2026", "oB0\n2026"),
        ("14:13:20.009Z ", "14:13:20Z "),
        ("5 640", "5"),
        ("5 640", "5 9007199254740992"),
        ("=\n", "="),
    ] {
        let altered = TEXT.replacen(from, to, 1);
        assert_ne!(altered, TEXT, "{from:?} is in the text");
        assert_eq!(altered.parse::<BackupNote>(), Err(BackupNoteError::Malformed), "{to:?}");
    }
    let signer = log_signer();
    let bad = BackupNote { base_revision: 0, ..note() };
    assert_eq!(bad.sign(&signer), Err(BackupNoteError::Malformed));
}
