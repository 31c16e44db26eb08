//! Signed notes: published examples, a cross-check with the crate `signed_note`, refused cases.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use signed_note::{StandardSigner, StandardVerifier, VerifierList};

use super::fixture::signing_key;
use crate::note::cosigned_message;
use crate::{
    InvalidKey, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, Note, NoteError, NoteKeyName, NoteSignature,
    NoteSigner, SignatureKind, VerifierKey,
};

/// The example in the documentation of Go's note package.
const EXAMPLE_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const EXAMPLE: &str = "\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotp\
RZb6KE6RyyBwJnAM=
";
const TEXT: &str = "one line\n\nand another\n";

fn signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::new(name.parse().unwrap(), signing_key(seed))
}

fn signed(signers: &[&NoteSigner]) -> Note {
    let mut note = Note::new(TEXT).unwrap();
    signers.iter().for_each(|signer| signer.sign(&mut note).unwrap());
    note
}

fn cosigner(seed: u8) -> VerifierKey {
    let public_key = *signing_key(seed).public_key();
    VerifierKey::new("w".parse().unwrap(), SignatureKind::Ed25519Cosignature, public_key)
}

fn cosigned(note: &Note, seed: u8, stated_s: u64, signed_s: u64) -> NoteSignature {
    let message = cosigned_message(note.text(), signed_s);
    let signature = signing_key(seed).sign(message.as_bytes());
    let key = cosigner(seed);
    let bytes = [stated_s.to_be_bytes().as_slice(), &signature].concat();
    NoteSignature { name: key.name().clone(), key_id: key.key_id(), bytes }
}

#[test]
fn the_published_example_verifies_and_round_trips() {
    let key: VerifierKey = EXAMPLE_KEY.parse().unwrap();
    assert_eq!(key.to_string(), EXAMPLE_KEY);
    let note: Note = EXAMPLE.parse().unwrap();
    assert_eq!(note.to_string(), EXAMPLE);
    assert_eq!(note.verify(&[key]).unwrap().len(), 1);
}

#[test]
fn our_notes_verify_elsewhere_and_are_the_same_bytes() {
    let ours = signer("log.example/a", 9);
    let vkey = ours.verifier_key().to_string();
    let id = vkey.split('+').nth(1).unwrap();
    let secret = STANDARD.encode([&[1_u8], [9_u8; 32].as_slice()].concat());
    let theirs = StandardSigner::new(&format!("PRIVATE+KEY+log.example/a+{id}+{secret}")).unwrap();
    let mut their_note = signed_note::Note::new(TEXT.as_bytes(), &[]).unwrap();
    their_note.add_sigs(&[&theirs]).unwrap();
    let our_note = signed(&[&ours]).to_string();
    assert_eq!(our_note.as_bytes(), their_note.to_bytes());
    let known = VerifierList::new(vec![Box::new(StandardVerifier::new(&vkey).unwrap())]);
    let parsed = signed_note::Note::from_bytes(our_note.as_bytes()).unwrap();
    assert_eq!(parsed.verify(&known).unwrap().0.len(), 1);
}

#[test]
fn unknown_signatures_are_ignored_and_known_wrong_ones_refuse_the_note() {
    let (a, b, other_a) = (signer("a", 1), signer("b", 2), signer("a", 3));
    let keys = |signers: &[&NoteSigner]| -> Vec<VerifierKey> {
        signers.iter().map(|signer| signer.verifier_key().clone()).collect()
    };
    let note: Note = signed(&[&a, &b, &other_a]).to_string().parse().unwrap();
    assert_eq!(note.verify(&keys(&[&a])).unwrap().len(), 1);
    assert_eq!(note.verify(&keys(&[&b, &a, &other_a])).unwrap().len(), 3);
    let stranger = signer("c", 4);
    assert_eq!(note.verify(&keys(&[&stranger])), Err(NoteError::NoKnownSignature));
    assert_eq!(note.verify(&[]), Err(NoteError::NoKnownSignature));
    let mut wrong = signed(&[&a]);
    let mut signature = signed(&[&b]).signatures()[0].clone();
    signature.bytes[5] ^= 1;
    wrong.add(signature.clone()).unwrap();
    assert!(wrong.verify(&keys(&[&a])).is_ok(), "`b` is not known here");
    let refusal = NoteError::InvalidSignature("b".parse().unwrap());
    assert_eq!(wrong.verify(&keys(&[&a, &b])), Err(refusal.clone()));
    let mut short = signed(&[&a]);
    signature.bytes.truncate(63);
    short.add(signature).unwrap();
    assert_eq!(short.verify(&keys(&[&b])), Err(refusal));
    let other_text = Note::new("another text\n").unwrap();
    let mut moved = other_text.clone();
    moved.add(note.signatures()[0].clone()).unwrap();
    assert!(moved.verify(&keys(&[&a])).is_err());
}

#[test]
fn cosignatures_hold_only_for_their_time_and_text() {
    let note = Note::new("origin\n1\nroot\n").unwrap();
    let check = |signature: NoteSignature, expected: Option<u64>| {
        let mut note = note.clone();
        note.add(signature).unwrap();
        let time_s = note.verify(&[cosigner(2)]).ok().map(|verified| verified[0].time_s.unwrap());
        assert_eq!(time_s, expected);
    };
    check(cosigned(&note, 2, 7, 7), Some(7));
    check(cosigned(&note, 2, 0, 0), Some(0));
    check(
        cosigned(&note, 2, i64::MAX.unsigned_abs(), i64::MAX.unsigned_abs()),
        Some(u64::MAX >> 1),
    );
    check(cosigned(&note, 2, 8, 7), None);
    check(cosigned(&note, 2, u64::MAX, u64::MAX), None);
    check(cosigned(&Note::new("other\n").unwrap(), 2, 7, 7), None);
    let mut plain = cosigned(&note, 2, 7, 7);
    plain.bytes = signing_key(2).sign(note.text().as_bytes()).to_vec();
    check(plain.clone(), None);
    plain.bytes = Vec::from([0; 7]);
    check(plain, None);
    check(cosigned(&note, 3, 7, 7), None);
}

#[test]
fn at_least_16_and_at_most_100_signatures_are_accepted() {
    let a = signer("a", 1);
    let line = signed(&[&a]).signatures()[0].to_string();
    let note = |count: usize| format!("{TEXT}\n{}", format!("{line}\n").repeat(count));
    for (count, accepted) in [(0, false), (1, true), (16, true), (100, true), (101, false)] {
        assert_eq!(note(count).parse::<Note>().is_ok(), accepted, "{count} signatures");
    }
    let mut full: Note = note(NOTE_SIGNATURES_MAX).parse().unwrap();
    let before = full.clone();
    assert_eq!(a.sign(&mut full), Err(NoteError::TooLarge));
    assert_eq!(full, before);
    let largest = "x".repeat(NOTE_BYTES_MAX - 1) + "\n";
    assert!(Note::new(largest.clone()).is_ok());
    assert_eq!(Note::new(largest + "\n"), Err(NoteError::TooLarge));
}

#[test]
fn malformed_notes_are_refused() {
    let line = signed(&[&signer("a", 1)]).signatures()[0].to_string();
    let base64 = line.rsplit(' ').next().unwrap();
    for message in [
        String::new(),
        "\n".to_owned(),
        "text\n".to_owned(),
        "text\n\n".to_owned(),
        format!("text\n{line}\n"),
        format!("text\n\n{line}"),
        format!("text\n\n{line}\n\n"),
        format!("text\n\n{line}\n\n{line}x\n"),
        format!("text\n\n {line}\n"),
        format!("text\n\n{line} \n"),
        format!("text\r\n\n{line}\n"),
        format!("te\txt\n\n{line}\n"),
        format!("te\0xt\n\n{line}\n"),
        format!("text\n\n- a {base64}\n"),
        format!("text\n\n\u{2014}a {base64}\n"),
        format!("text\n\n\u{2014}  {base64}\n"),
        format!("text\n\n\u{2014} a  {base64}\n"),
        format!("text\n\n\u{2014} a+b {base64}\n"),
        format!("text\n\n\u{2014} a\u{a0}b {base64}\n"),
        "text\n\n\u{2014} a\n".to_owned(),
        "text\n\n\u{2014} a \n".to_owned(),
        "text\n\n\u{2014} a AAAAAA==\n".to_owned(),
        format!("text\n\n\u{2014} a {}\n", base64.trim_end_matches('=')),
        format!("text\n\n\u{2014} a {base64}=\n"),
        "text\n\n\u{2014} a AAAAAAB=\n".to_owned(),
        "text\n\n\u{2014} a AAAA_AAA\n".to_owned(),
    ] {
        assert!(message.parse::<Note>().is_err(), "{message:?}");
    }
    for text in ["", "text", "te\u{7}xt\n"] {
        assert!(Note::new(text).is_err(), "{text:?}");
    }
}

#[test]
fn other_spellings_of_verifier_keys_are_refused() {
    let text = signer("log.example/a", 1).verifier_key().to_string();
    let (rest, base64) = text.rsplit_once('+').unwrap();
    let (name, id) = rest.split_once('+').unwrap();
    let check = |text: String, expected| {
        assert_eq!(text.parse::<VerifierKey>(), Err(expected), "{text:?}");
    };
    check(String::new(), InvalidKey::Form);
    check(name.to_owned(), InvalidKey::Form);
    check(rest.to_owned(), InvalidKey::Form);
    check(format!("+{id}+{base64}"), InvalidKey::Name);
    check(format!("a b+{id}+{base64}"), InvalidKey::Name);
    check(format!("{}+{id}+{base64}", "n".repeat(256)), InvalidKey::Name);
    check(format!("log.example/b+{id}+{base64}"), InvalidKey::Id);
    check(format!("{name}+00000000+{base64}"), InvalidKey::Id);
    check(format!("{name}+{}+{base64}", &id[1..]), InvalidKey::Form);
    check(format!("{name}++{id}+{base64}"), InvalidKey::Form);
    check(format!("{name}+{id}+{base64}\n"), InvalidKey::Form);
    check(format!("{name}+{id}+"), InvalidKey::Form);
    check(format!("{name}+{id}+AQ=="), InvalidKey::Form);
    for (kind, expected) in [(2, InvalidKey::Unsupported), (6, InvalidKey::Unsupported)] {
        let key = STANDARD.encode([&[kind], [0_u8; 32].as_slice()].concat());
        check(format!("{name}+{id}+{key}"), expected);
    }
    let upper = EXAMPLE_KEY.replace("c74f20a3", "C74F20A3");
    check(upper, InvalidKey::Form);
}

proptest! {
    #[test]
    fn what_is_accepted_round_trips(
        text in "([a-z\u{e9}\u{2014} ]{0,9}\n){1,4}",
        name in "[^\\s+\\x00-\\x1f]{1,9}",
        key_id in any::<[u8; 4]>(),
        bytes in prop::collection::vec(any::<u8>(), 1..90),
    ) {
        let mut note = Note::new(text).unwrap();
        let name: NoteKeyName = name.parse().unwrap();
        note.add(NoteSignature { name, key_id, bytes }).unwrap();
        let message = note.to_string();
        prop_assert_eq!(message.parse::<Note>().unwrap(), note);
        let parsed = signed_note::Note::from_bytes(message.as_bytes()).unwrap();
        prop_assert_eq!(parsed.to_bytes(), message.as_bytes());
    }

    #[test]
    fn any_text_is_refused_or_round_trips(
        message in "(\u{2014} a [A-Za-z0-9+/]{8}={0,2}|a|\n\n|\n){0,9}",
    ) {
        if let Ok(note) = message.parse::<Note>() {
            prop_assert_eq!(note.to_string(), message);
        }
    }
}
