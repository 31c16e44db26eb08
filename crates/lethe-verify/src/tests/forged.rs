//! Receipts whose bytes are all well-formed and whose parts do not belong together; each is
//! refused by the check that is there for it.

use lethe_log::{
    Checkpoint, CheckpointError, Commitment, EntryType, ErasureNoteError, Hash, Json, LogTree,
    LostReplicas, Note, NoteError, NoteSignature, ProofError, Prover, RECEIPT_BYTES_MAX, Receipt,
    ReceiptError, RecoveryShares, Salt, Subject, leaf_hash,
};
use lethe_types::{KeyId, RealmId, TreeId, UnixMillis};

use super::fixture::{
    NoTiles, ORIGIN, Parts, issue, log, log_key, note_signer, parts, receipt, signer, signing_key,
    witness_key,
};
use crate::{VerifyError, verify, verify_checkpoint_consistency, verify_witnessed};

#[track_caller]
fn check(receipt: &Receipt, expected: &VerifyError) {
    let forms = [receipt.to_proof(), receipt.to_header(), receipt.to_json()];
    for form in forms.into_iter().filter_map(Result::ok) {
        assert_eq!(verify(form.as_bytes(), &log_key()).as_ref(), Err(expected), "{form}");
    }
}

/// A log that signs anything: what its own honest verifier still refuses.
#[track_caller]
fn check_issued(change: impl FnOnce(&mut Parts), expected: &VerifyError) {
    let mut parts = parts();
    change(&mut parts);
    check(&issue(&parts, &signer(1)), expected);
}

fn wrong_signature() -> NoteError {
    NoteError::InvalidSignature(ORIGIN.parse().unwrap())
}

#[test]
fn an_honest_receipt_holds_and_is_explained() {
    let receipt = receipt();
    for form in [receipt.to_proof(), receipt.to_header(), receipt.to_json()] {
        let verified = verify(form.unwrap().as_bytes(), &log_key()).unwrap();
        assert_eq!(verified.key, KeyId([0xc3; 16]));
        assert_eq!(verified.realm, RealmId([0xd4; 16]));
        assert_eq!(verified.receipt, receipt);
        assert_eq!(verified.checkpoint.size, 5);
        let text = verified.explain();
        for words in [
            "Key c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3 (\"customer 7\", \"aes256-gcm\") of realm d4d4",
            "destroyed by \"Ada\"",
            "Nobody can recover it since 2026-09-21T14:13:20.009Z",
            "No copy outside of the server is known.",
            "Entry 3 of 5 in the log \"kms.example/deletions\"",
        ] {
            assert!(text.contains(words), "{words} in {text}");
        }
    }
}

#[test]
fn lost_replicas_and_recovery_shares_are_told() {
    let explained = |parts: &Parts| {
        let receipt = issue(parts, &signer(1));
        verify(receipt.to_json().unwrap().as_bytes(), &log_key()).unwrap().explain()
    };
    let plain = explained(&parts());
    assert!(!plain.contains("replica") && !plain.contains("shares"), "{plain}");
    let mut lost = parts();
    lost.note.lost_replicas = Some(LostReplicas { count: 2, up_to_generation: 39 });
    let text = explained(&lost);
    assert!(text.contains("But 2 replicas of the slot were lost before that"), "{text}");
    assert!(text.contains("up to generation 39"), "{text}");
    let made = Some(UnixMillis(1_790_000_000_000));
    let shares = RecoveryShares { needed: 3, number: 5, made };
    let mut shared = parts();
    shared.note.recovery_shares = Some(shares);
    let text = explained(&shared);
    assert!(text.contains("any 3 of 5, made at 2026-09-21T14:13:20.000Z."), "{text}");
    assert!(
        text.contains("only one that was made before the erasure still has the root"),
        "{text}"
    );
    shared.note.slot.kind = "pkcs11".parse().unwrap();
    let text = explained(&shared);
    assert!(text.contains("without the device's key, which was destroyed"), "{text}");
    shared.note.recovery_shares = Some(RecoveryShares { needed: 0, number: 0, made: None });
    assert!(explained(&shared).contains("how many is not known"), "{}", explained(&shared));
}

#[test]
fn backups_and_copies_are_told() {
    let mut parts = parts();
    let until = UnixMillis(1_790_600_000_000);
    parts.note.recoverable_from_backups_until = Some(until);
    parts.detail.exported = true;
    parts.detail.name = "evil\u{1b}[2J\nname".to_owned();
    let receipt = issue(&parts, &signer(1));
    let verified = verify(receipt.to_json().unwrap().as_bytes(), &log_key()).unwrap();
    assert_eq!(verified.recoverable_from_backups_until(), Some(until));
    let text = verified.explain();
    assert!(text.contains("could bring the key back until 2026-09-28T12:53:20.000Z"), "{text}");
    assert!(!text.contains("Nobody can recover it since"), "{text}");
    assert!(text.contains("was exported"), "{text}");
    assert!(!text.contains('\u{1b}'), "names cannot draw on a terminal");
}

#[test]
fn receipts_of_another_log_are_refused() {
    let foreign = issue(&parts(), &signer(2));
    check(&foreign, &VerifyError::Checkpoint(NoteError::NoKnownSignature.into()));
    let stolen = Receipt { checkpoint: foreign.checkpoint.clone(), ..receipt() };
    check(&stolen, &VerifyError::Checkpoint(NoteError::NoKnownSignature.into()));
    let noted = Receipt { erasure: foreign.erasure.clone(), ..receipt() };
    let refusal = ErasureNoteError::Note(NoteError::NoKnownSignature);
    check(&noted, &VerifyError::ErasureNote(refusal));
    // The right key, over a checkpoint that names another log.
    let raw = note_signer(ORIGIN, 1);
    let root = Checkpoint::parse_unverified(&receipt().checkpoint).unwrap().root;
    let text = Checkpoint::new(&"kms.example/other".parse().unwrap(), 5, root).to_string();
    let mut note = Note::new(text).unwrap();
    raw.sign(&mut note).unwrap();
    let other = Receipt { checkpoint: note.to_string(), ..receipt() };
    check(&other, &VerifyError::Checkpoint(CheckpointError::Origin));
}

#[test]
fn entries_that_are_not_in_the_log_are_refused() {
    let refused = VerifyError::Inclusion(ProofError);
    let good = receipt();
    for index in [0, 2, 4, 5, u64::MAX >> 11] {
        check(&Receipt { index, ..good.clone() }, &refused);
    }
    let mut reversed = good.clone();
    reversed.inclusion.reverse();
    check(&reversed, &refused);
    let mut longer = good.clone();
    longer.inclusion.push(Hash([0; 32]));
    check(&longer, &refused);
    check(&Receipt { inclusion: Vec::new(), ..good.clone() }, &refused);
    let mut entry = good.entry.clone();
    entry.revision += 1;
    check(&Receipt { entry, ..good.clone() }, &refused);
    let checkpoint = signer(1).checkpoint(6, leaf_hash(b"another tree"));
    check(&Receipt { checkpoint, ..good }, &refused);
}

#[test]
fn entries_of_other_types_are_refused() {
    for entry_type in EntryType::ALL.iter().copied() {
        if [EntryType::KeyDestroyed, EntryType::KeyVersionDestroyed].contains(&entry_type) {
            continue;
        }
        let mut parts = parts();
        parts.entry.entry_type = entry_type;
        let mut entry = receipt().entry;
        entry.entry_type = entry_type;
        let rules = entry_type.members();
        use lethe_log::Presence::Absent;
        entry.door = entry.door.filter(|_| rules.door != Absent);
        entry.subject = entry.subject.filter(|_| rules.subject != Absent);
        entry.detail = entry.detail.filter(|_| rules.detail != Absent);
        entry.erasure = entry.erasure.filter(|_| rules.erasure != Absent);
        let receipt = log(entry, &parts, &signer(1));
        check(&receipt, &VerifyError::EntryType(entry_type));
    }
}

#[test]
fn openings_of_other_keys_are_refused() {
    let good = receipt();
    let other_key = Subject::Key { key: KeyId([1; 16]), realm: RealmId([0xd4; 16]) };
    check(&Receipt { subject: other_key, ..good.clone() }, &VerifyError::Subject);
    let other_realm = Subject::Key { key: KeyId([0xc3; 16]), realm: RealmId([1; 16]) };
    check(&Receipt { subject: other_realm, ..good.clone() }, &VerifyError::Subject);
    check(&Receipt { salt: Salt([0x56; 32]), ..good.clone() }, &VerifyError::Subject);
    let mut lied = good.clone();
    lied.detail.exported = true;
    check(&lied, &VerifyError::Detail);
    let mut lied = good.clone();
    lied.detail.actor.name = "Eve".to_owned();
    check(&lied, &VerifyError::Detail);
    // Commitments have separate domains: neither can stand for the other.
    let mut crossed = good.entry.clone();
    core::mem::swap(&mut crossed.subject, &mut crossed.detail);
    check(&log(crossed, &parts(), &signer(1)), &VerifyError::Subject);
    let not_a_key = VerifyError::Receipt(ReceiptError::NotAKey);
    check_issued(
        |parts| {
            let realm = RealmId([0xd4; 16]);
            parts.subject = Subject::Vault { realm, vault: parts.detail.vault };
        },
        &not_a_key,
    );
    let unsalted = Commitment::to_subject(&Salt([0; 32]), &good.subject);
    let mut entry = good.entry.clone();
    entry.subject = Some(unsalted);
    check(&log(entry, &parts(), &signer(1)), &VerifyError::Subject);
}

#[test]
fn erasure_notes_of_other_batches_are_refused() {
    let epochs = VerifyError::ErasureEpochs;
    check_issued(|parts| (parts.note.epoch_from, parts.note.epoch_to) = (40, 41), &epochs);
    check_issued(|parts| (parts.note.epoch_from, parts.note.epoch_to) = (42, 43), &epochs);
    check_issued(|parts| parts.note.epoch_from = 40, &epochs);
    check_issued(|parts| parts.note.epoch_to = 43, &epochs);
    check_issued(|parts| parts.note.tree_id = TreeId([8; 16]), &VerifyError::ErasureTree);
    let early = UnixMillis(1_790_000_000_004);
    check_issued(|parts| parts.note.irrecoverable_since = early, &VerifyError::ErasureTime);
    let same = UnixMillis(1_790_000_000_005);
    let mut parts = parts();
    parts.note.irrecoverable_since = same;
    assert!(verify(issue(&parts, &signer(1)).to_proof().unwrap().as_bytes(), &log_key()).is_ok());
    let altered = receipt().erasure.replacen("41 42", "41 43", 1);
    let refusal = ErasureNoteError::Note(wrong_signature());
    check(&Receipt { erasure: altered, ..receipt() }, &VerifyError::ErasureNote(refusal));
    let checkpoint = receipt().checkpoint;
    let refusal = VerifyError::ErasureNote(ErasureNoteError::Malformed);
    check(&Receipt { erasure: checkpoint, ..receipt() }, &refusal);
    // An erasure note is no checkpoint either, though the same key signed it.
    let swapped = Receipt { checkpoint: receipt().erasure, ..receipt() };
    assert!(verify(swapped.to_proof().unwrap().as_bytes(), &log_key()).is_err());
}

#[test]
fn json_that_says_something_else_than_its_proof_is_refused() {
    let receipt = receipt();
    let (statement, opening) = (receipt.statement().unwrap(), receipt.opening().unwrap());
    let proof = Json::text(receipt.to_proof().unwrap()).to_canonical();
    let check = |statement: &str, opening: &str, expected: Option<&VerifyError>| {
        let json =
            format!("{{\"opening\":{opening},\n\"proof\":{proof},\t\"statement\":{statement}}}");
        assert_eq!(verify(json.as_bytes(), &log_key()).err().as_ref(), expected, "{json}");
    };
    check(&statement, &opening, None);
    check(&statement.replace("\":", "\" :\n "), &opening, None);
    for (from, to) in [
        ("customer 7", "customer 8"),
        ("2026-09-21T14:13:20.009Z", "2026-09-21T14:13:20.008Z"),
        (r#""exported":false"#, r#""exported":true"#),
        (r#""log_index":3"#, r#""log_index":4"#),
        (r#""v":1"#, r#""v":1,"verified":true"#),
        (r#","v":1"#, ""),
        (r#""recoverable_from_backups_until":null"#, r#""recoverable_from_backups_until":"-""#),
    ] {
        assert!(statement.contains(from), "{from}");
        check(&statement.replacen(from, to, 1), &opening, Some(&VerifyError::Statement));
    }
    check("{}", &opening, Some(&VerifyError::Statement));
    check("null", &opening, Some(&VerifyError::Statement));
    check(&statement, "{}", Some(&VerifyError::Opening));
    check(&statement, &opening.replacen("Ada", "Eve", 1), Some(&VerifyError::Opening));
    check(&statement, &opening.replacen('{', r#"{"a":1,"#, 1), Some(&VerifyError::Opening));
}

#[test]
fn unreadable_and_oversized_input_is_refused() {
    let key = log_key();
    let oversized = vec![b'A'; RECEIPT_BYTES_MAX + 1];
    let refusal = VerifyError::Receipt(ReceiptError::TooLarge);
    assert_eq!(verify(&oversized, &key), Err(refusal));
    for bytes in [&b""[..], b"\n", b"{", b"{}", b"[]", b"null", b"c2sp.org/tlog-proof@v1", b"\xff"]
    {
        assert!(matches!(verify(bytes, &key), Err(VerifyError::Receipt(_))));
    }
    assert!(verify(&vec![b'['; RECEIPT_BYTES_MAX], &key).is_err());
    let deep = format!("{{\"statement\":{}", "[".repeat(100_000));
    assert!(verify(deep.as_bytes(), &key).is_err());
}

fn cosigned(receipt: &Receipt, seed: u8) -> Receipt {
    let mut note: Note = receipt.checkpoint.parse().unwrap();
    let message = format!("cosignature/v1\ntime 1790000000\n{}", note.text());
    let signature = signing_key(seed).sign(message.as_bytes());
    let bytes = [1_790_000_000_u64.to_be_bytes().as_slice(), &signature].concat();
    let key = witness_key(seed);
    let name = key.name().clone();
    note.add(NoteSignature { name, key_id: key.key_id(), bytes }).unwrap();
    Receipt { checkpoint: note.to_string(), ..receipt.clone() }
}

#[test]
fn named_witnesses_must_have_cosigned() {
    let plain = receipt().to_proof().unwrap();
    let one = cosigned(&receipt(), 2).to_proof().unwrap();
    let (key, w2, w3) = (log_key(), witness_key(2), witness_key(3));
    let verified = verify_witnessed(one.as_bytes(), &key, core::slice::from_ref(&w2)).unwrap();
    assert_eq!(verified.cosigned_by[0].time_s, Some(1_790_000_000));
    assert!(verified.explain().contains("witness.example/w1"), "{}", verified.explain());
    assert!(verify(one.as_bytes(), &key).is_ok());
    let absent = |form: &str, witnesses: &[_]| verify_witnessed(form.as_bytes(), &key, witnesses);
    let missing = Err(VerifyError::Witness(w2.clone()));
    assert_eq!(absent(&plain, core::slice::from_ref(&w2)), missing);
    assert_eq!(absent(&one, &[w2.clone(), w3.clone()]), Err(VerifyError::Witness(w3)));
    let moved =
        cosigned(&Receipt { checkpoint: signer(1).checkpoint(9, Hash([1; 32])), ..receipt() }, 2);
    let line = moved.checkpoint.lines().last().unwrap();
    let stolen = Receipt { checkpoint: format!("{}{line}\n", receipt().checkpoint), ..receipt() };
    let refusal = absent(&stolen.to_proof().unwrap(), &[w2]);
    assert!(matches!(refusal, Err(VerifyError::Checkpoint(CheckpointError::Note(_)))));
}

#[test]
fn checkpoints_that_contradict_each_other_are_refused() {
    let leaves: Vec<Hash> = (0_u8..9).map(|at| leaf_hash(&[at])).collect();
    let mut tree = LogTree::new();
    let log = signer(1);
    tree.apply(tree.stage(&leaves[..5])).unwrap();
    let old = log.checkpoint(tree.size(), tree.root());
    let forked = tree.stage(&[leaf_hash(b"another")]);
    tree.apply(tree.stage(&leaves[5..])).unwrap();
    let new = log.checkpoint(tree.size(), tree.root());
    let proof = Prover::new(&tree, &NoTiles).consistency(5, 9).unwrap();
    let check = |old: &str, new: &str, proof: &[Hash]| {
        verify_checkpoint_consistency(old, new, proof, &log_key())
    };
    assert_eq!(check(&old, &new, &proof), Ok(()));
    assert_eq!(check(&old, &old, &[]), Ok(()));
    let refused = Err(VerifyError::Consistency(ProofError));
    assert_eq!(check(&old, &new, &proof[1..]), refused);
    assert_eq!(check(&new, &old, &proof), refused);
    let fork = log.checkpoint(forked.new_size(), forked.new_root);
    let fork_proof = Prover::new(forked.tree(), &NoTiles).consistency(5, 6).unwrap();
    assert_eq!(check(&old, &fork, &fork_proof), Ok(()));
    let between = Prover::new(&tree, &NoTiles).consistency(6, 9).unwrap();
    assert_eq!(check(&fork, &new, &between), refused, "two histories");
    let foreign = signer(2).checkpoint(9, tree.root());
    assert!(matches!(check(&old, &foreign, &proof), Err(VerifyError::Checkpoint(_))));
}
