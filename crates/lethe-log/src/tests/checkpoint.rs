//! Checkpoints: strict parsing, who may sign what, and what the log key can be made to sign.

use super::fixture::{ORIGIN, log_signer, signing_key};
use crate::{
    Checkpoint, CheckpointError, Hash, LogSigner, LogSignerError, Note, NoteError, NoteSigner,
    SignatureKind, VerifierKey, empty_root, is_statement_line, leaf_hash,
};

fn root() -> Hash {
    leaf_hash(b"root")
}

#[test]
fn a_signed_checkpoint_opens_and_is_read_elsewhere() {
    let signer = log_signer();
    let message = signer.checkpoint(7, root());
    let opened = Checkpoint::open(&message, signer.verifier_key(), &[]).unwrap();
    assert_eq!(opened.checkpoint, Checkpoint::new(signer.origin(), 7, root()));
    assert_eq!(Checkpoint::parse_unverified(&message).unwrap(), opened.checkpoint);
    assert!(opened.cosigned_by.is_empty());
    let note = message.parse::<Note>().unwrap();
    let theirs = tlog_tiles::Checkpoint::from_bytes(note.text().as_bytes()).unwrap();
    assert_eq!((theirs.origin(), theirs.size()), (ORIGIN, 7));
    assert_eq!(theirs.hash().0, root().0);
}

#[test]
fn texts_round_trip_and_other_spellings_are_refused() {
    let hash = root().to_string();
    let check = |text: &str, accepted: bool| {
        let parsed = text.parse::<Checkpoint>();
        assert_eq!(parsed.is_ok(), accepted, "{text:?}");
        if let Ok(checkpoint) = parsed {
            assert_eq!(checkpoint.to_string(), text);
        }
    };
    check(&format!("a\n0\n{}\n", empty_root()), true);
    check(&format!("go.sum database tree\n18446744073709551615\n{hash}\n"), true);
    check(&format!("a\n7\n{hash}\nextension\nand another\n"), true);
    for text in [
        String::new(),
        "\n".to_owned(),
        "a\n7\n".to_owned(),
        format!("a\n7\n{hash}"),
        format!("\n7\n{hash}\n"),
        format!("a\n\n{hash}\n"),
        format!("a\n07\n{hash}\n"),
        format!("a\n+7\n{hash}\n"),
        format!("a\n-7\n{hash}\n"),
        format!("a\n7 \n{hash}\n"),
        format!("a\n0x7\n{hash}\n"),
        format!("a\n18446744073709551616\n{hash}\n"),
        format!("a\n7\n{}\n", &hash[..43]),
        format!("a\n7\n{hash}=\n"),
        "a\n7\nAAAA\n".to_owned(),
        format!("a\n7\n{hash}\n\n"),
        format!("a\n7\n{hash}\nx\n\ny\n"),
        format!("a\n7\n{hash}\n\nx\n"),
    ] {
        check(&text, false);
    }
    let extended: Checkpoint = format!("a\n7\n{hash}\nx\ny\n").parse().unwrap();
    assert_eq!(extended.extension_lines().collect::<Vec<_>>(), ["x", "y"]);
}

#[test]
fn checkpoints_of_others_are_refused() {
    let signer = log_signer();
    let log_key = signer.verifier_key();
    let check = |message: &str, key: &VerifierKey, expected: CheckpointError| {
        assert_eq!(Checkpoint::open(message, key, &[]), Err(expected), "{message:?}");
    };
    let message = signer.checkpoint(7, root());
    let other = LogSigner::new(ORIGIN, signing_key(2)).unwrap();
    let unknown = CheckpointError::Note(NoteError::NoKnownSignature);
    check(&message, other.verifier_key(), unknown.clone());
    let renamed = LogSigner::new("kms.example/other", signing_key(1)).unwrap();
    check(&message, renamed.verifier_key(), unknown);
    let altered = message.replacen("\n7\n", "\n8\n", 1);
    let wrong = NoteError::InvalidSignature(log_key.name().clone());
    check(&altered, log_key, CheckpointError::Note(wrong));
    // The right key over the checkpoint of another log.
    let raw = NoteSigner::new(ORIGIN.parse().unwrap(), signing_key(1));
    let sign = |text: String| {
        let mut note = Note::new(text).unwrap();
        raw.sign(&mut note).unwrap();
        note
    };
    let foreign = sign(Checkpoint::new(renamed.origin(), 7, root()).to_string());
    check(&foreign.to_string(), log_key, CheckpointError::Origin);
    check(&sign("no checkpoint\n".to_owned()).to_string(), log_key, CheckpointError::Malformed);
    // Twice the same signature is a second spelling of the same thing.
    let mut twice: Note = message.parse().unwrap();
    twice.add(twice.signatures()[0].clone()).unwrap();
    check(&twice.to_string(), log_key, CheckpointError::NotSignedByLog);
    // A cosigner's key is no log key.
    let name = ORIGIN.parse().unwrap();
    let public_key = *signing_key(1).public_key();
    let cosigner = VerifierKey::new(name, SignatureKind::Ed25519Cosignature, public_key);
    check(&message, &cosigner, CheckpointError::Note(NoteError::NoKnownSignature));
    let opened = Checkpoint::open(&message, &cosigner, core::slice::from_ref(log_key));
    assert_eq!(opened, Err(CheckpointError::NotSignedByLog));
}

#[test]
fn a_log_cannot_be_named_like_a_statement() {
    let check = |line: &str, is_statement: bool| {
        assert_eq!(is_statement_line(line), is_statement, "{line:?}");
        let signer = LogSigner::new(line, signing_key(1));
        let reserved = matches!(signer, Err(LogSignerError::ReservedOrigin));
        assert_eq!(reserved, is_statement, "{line:?}");
        let statement = log_signer().statement(format!("{line}\nmore\n"));
        assert_eq!(statement.is_ok(), is_statement, "{line:?}");
    };
    check("lethe-erasure/v1", true);
    check("lethe-erasure/v20", true);
    check("lethe-backup/v1", true);
    check("cosignature/v1", true);
    check("subtree/v1", true);
    check(ORIGIN, false);
    check("lethe", false);
    check("lethe-erasure", false);
    check("lethe-erasure/v", false);
    check("lethe-erasure/v1x", false);
    check("lethe-/v1", false);
    check("lethe-demo.example/v1", false);
    check("lethe-erasure/v1/log", false);
    for origin in ["", "a b", "a+b", "a\nb", &"n".repeat(256)] {
        let signer = LogSigner::new(origin, signing_key(1));
        assert!(matches!(signer, Err(LogSignerError::Origin(_))), "{origin:?}");
    }
    assert!(matches!(log_signer().statement(""), Err(LogSignerError::Unmarked)));
    let torn = log_signer().statement("lethe-erasure/v1");
    assert_eq!(torn, Err(LogSignerError::Note(NoteError::Malformed)));
}
