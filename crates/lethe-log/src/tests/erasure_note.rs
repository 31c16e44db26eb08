//! Erasure notes: the exact text, who may sign, refused spellings.

use lethe_types::UnixMillis;

use super::fixture::{ORIGIN, erasure_note, log_signer, signing_key};
use crate::{
    ErasureNote, ErasureNoteError, LogSigner, LostReplicas, Note, NoteError, NoteSigner,
    RecoveryShares, leaf_hash,
};

const TEXT: &str = "\
lethe-erasure/v1
07070707070707070707070707070707
41 42
2026-09-21T14:13:20.009Z
file overwrite 41
-
";

#[test]
fn a_note_has_this_text_and_opens_under_the_key_of_the_log() {
    assert_eq!(erasure_note().to_string(), TEXT);
    assert_eq!(TEXT.parse(), Ok(erasure_note()));
    let signer = log_signer();
    let until = UnixMillis(1_790_600_000_000);
    let windowed = ErasureNote { recoverable_from_backups_until: Some(until), ..erasure_note() };
    for note in [erasure_note(), windowed] {
        let message = note.sign(&signer).unwrap();
        assert_eq!(ErasureNote::open(&message, signer.verifier_key()), Ok(note.clone()));
        assert_eq!(ErasureNote::parse_unverified(&message), Ok(note));
    }
}

const TEXT_2: &str = "\
lethe-erasure/v2
07070707070707070707070707070707
41 42
2026-09-21T14:13:20.009Z
file overwrite 41
-
2 39
3 5 2026-09-21T14:13:20.000Z
";

fn telling_more() -> ErasureNote {
    let made = Some(UnixMillis(1_790_000_000_000));
    ErasureNote {
        lost_replicas: Some(LostReplicas { count: 2, up_to_generation: 39 }),
        recovery_shares: Some(RecoveryShares { needed: 3, number: 5, made }),
        ..erasure_note()
    }
}

#[test]
fn a_note_that_tells_of_lost_replicas_or_shares_has_two_more_lines() {
    assert_eq!(telling_more().to_string(), TEXT_2);
    let unknown = RecoveryShares { needed: 0, number: 0, made: None };
    let undated = RecoveryShares { needed: 2, number: 2, made: None };
    for note in [
        telling_more(),
        ErasureNote { lost_replicas: None, ..telling_more() },
        ErasureNote { recovery_shares: None, ..telling_more() },
        ErasureNote { recovery_shares: Some(unknown), ..erasure_note() },
        ErasureNote { recovery_shares: Some(undated), ..telling_more() },
    ] {
        assert_eq!(note.to_string().parse(), Ok(note.clone()));
        let message = note.sign(&log_signer()).unwrap();
        assert_eq!(ErasureNote::open(&message, log_signer().verifier_key()), Ok(note));
    }
    let with_shares = |needed, number, made| ErasureNote {
        recovery_shares: Some(RecoveryShares { needed, number, made }),
        ..telling_more()
    };
    let with_lost = |count, up_to_generation| ErasureNote {
        lost_replicas: Some(LostReplicas { count, up_to_generation }),
        ..telling_more()
    };
    for impossible in [
        with_shares(1, 5, None),
        with_shares(6, 5, None),
        with_shares(0, 5, None),
        with_shares(0, 0, Some(UnixMillis(5))),
        with_shares(3, 5, Some(UnixMillis(u64::MAX))),
        with_lost(0, 39),
        with_lost(1, 1 << 53),
    ] {
        assert_eq!(impossible.sign(&log_signer()), Err(ErasureNoteError::Malformed));
    }
    for (from, to) in [
        ("lethe-erasure/v2", "lethe-erasure/v1"),
        ("lethe-erasure/v2", "lethe-erasure/v3"),
        ("2 39\n3 5 2026-09-21T14:13:20.000Z\n", "-\n-\n"),
        ("2 39\n", ""),
        ("2 39", "02 39"),
        ("2 39", "2"),
        ("2 39", "2 39 1"),
        ("2 39", "4294967296 39"),
        ("2 39", " 39"),
        ("3 5 2026-09-21T14:13:20.000Z", "3 5"),
        ("3 5 2026-09-21T14:13:20.000Z", "3 5 2026"),
        ("3 5 2026-09-21T14:13:20.000Z", "3 256 -"),
        ("3 5 2026-09-21T14:13:20.000Z", "3 5 - "),
        ("3 5 2026-09-21T14:13:20.000Z\n", "3 5 -\n-\n"),
    ] {
        let text = TEXT_2.replacen(from, to, 1);
        assert_ne!(text, TEXT_2);
        assert!(text.parse::<ErasureNote>().is_err(), "{text}");
    }
}

#[test]
fn notes_that_the_log_did_not_sign_alone_are_refused() {
    let signer = log_signer();
    let log_key = signer.verifier_key();
    let message = erasure_note().sign(&signer).unwrap();
    let check = |message: String, expected: ErasureNoteError| {
        assert_eq!(ErasureNote::open(&message, log_key), Err(expected), "{message}");
    };
    let other = LogSigner::new(ORIGIN, signing_key(2)).unwrap();
    let unknown = ErasureNoteError::Note(NoteError::NoKnownSignature);
    check(erasure_note().sign(&other).unwrap(), unknown);
    let wrong = NoteError::InvalidSignature(log_key.name().clone());
    check(message.replacen("41 42", "41 43", 1), ErasureNoteError::Note(wrong));
    let mut both: Note = message.parse().unwrap();
    NoteSigner::new("w".parse().unwrap(), signing_key(3)).sign(&mut both).unwrap();
    check(both.to_string(), ErasureNoteError::NotSignedByLog);
    let mut twice: Note = message.parse().unwrap();
    twice.add(twice.signatures()[0].clone()).unwrap();
    check(twice.to_string(), ErasureNoteError::NotSignedByLog);
    check(signer.checkpoint(5, leaf_hash(b"")), ErasureNoteError::Malformed);
    check(signer.statement("lethe-backup/v1\n").unwrap(), ErasureNoteError::Malformed);
    let long = signer.statement(format!("lethe-erasure/v1\n{}\n", "x".repeat(5_000))).unwrap();
    check(long, ErasureNoteError::Malformed);
}

#[test]
fn other_spellings_and_impossible_values_are_refused() {
    for (from, to) in [
        ("lethe-erasure/v1", "lethe-erasure/v2"),
        ("lethe-erasure/v1\n", "\nlethe-erasure/v1\n"),
        ("0707", "07"),
        ("0707", "0G07"),
        ("41 42", "41  42"),
        ("41 42", "041 42"),
        ("41 42", "42 42"),
        ("41 42", "43 42"),
        ("41 42", "41"),
        ("41 42", "41 42 43"),
        ("41 42", "41 9007199254740992"),
        ("20.009Z", "20.009"),
        ("20.009Z", "20Z"),
        ("20.009Z\n", "20.009Z\n\n"),
        ("file overwrite 41", "file overwrite"),
        ("file overwrite 41", "file overwrite 41 1"),
        ("file overwrite 41", "File overwrite 41"),
        ("file overwrite 41", " overwrite 41"),
        ("file overwrite 41", "file overwrite 041"),
        ("file overwrite 41", "file overwrite 9007199254740992"),
        ("-\n", "\n"),
        ("-\n", "--\n"),
        ("-\n", "-"),
        ("-\n", "-\nmore\n"),
        ("-\n", ""),
        ("-\n", "2026-09-21\n"),
    ] {
        // The last `-` is the backups line; those before belong to times.
        let text = match from.starts_with('-') {
            true => TEXT.strip_suffix(from).unwrap().to_owned() + to,
            false => TEXT.replacen(from, to, 1),
        };
        assert_ne!(text, TEXT);
        assert!(text.parse::<ErasureNote>().is_err(), "{text}");
    }
    let far = UnixMillis(u64::MAX);
    for impossible in [
        ErasureNote { epoch_to: 41, ..erasure_note() },
        ErasureNote { epoch_to: 1 << 53, ..erasure_note() },
        ErasureNote { irrecoverable_since: far, ..erasure_note() },
        ErasureNote { recoverable_from_backups_until: Some(far), ..erasure_note() },
    ] {
        assert_eq!(impossible.sign(&log_signer()), Err(ErasureNoteError::Malformed));
    }
}
