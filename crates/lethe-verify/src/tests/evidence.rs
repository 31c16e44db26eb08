//! What people signed: approvals of exactly this destruction, signed requests, and everything
//! that must not count as one.

use lethe_log::{
    Actor, EVIDENCE_STATEMENTS_MAX, JsonError, ROLE_APPROVER, ROLE_REQUESTER, Receipt,
    ReceiptError, SignedStatement, TlogProof,
};
use lethe_types::{PrincipalId, UnixMillis};

use super::fixture::{Person, approval_text, approved, issue, log_key, parts, signer};
use crate::{EvidenceFault, Verified, VerifyError, verify};

fn ed25519(principal: u8) -> Person {
    Person::new(principal, "ed25519", "ed25519")
}

fn p256(principal: u8) -> Person {
    Person::new(principal, "ecdsa-p256", "ecdsa-sha256")
}

fn receipt_with(evidence: Vec<SignedStatement>) -> Receipt {
    let mut parts = parts();
    parts.detail.evidence = evidence;
    issue(&parts, &signer(1))
}

/// What the verifier of an honest log says about this evidence; the same in all three forms.
fn verdict(evidence: Vec<SignedStatement>) -> Result<Verified, VerifyError> {
    let receipt = receipt_with(evidence);
    let forms = [receipt.to_proof(), receipt.to_header(), receipt.to_json()];
    let [proof, header, json] = forms.map(|form| verify(form.unwrap().as_bytes(), &log_key()));
    assert_eq!(proof, header);
    assert_eq!(proof, json);
    proof
}

#[track_caller]
fn refused(evidence: Vec<SignedStatement>, principal: u8, why: EvidenceFault) {
    let principal = PrincipalId([principal; 16]);
    assert_eq!(verdict(evidence), Err(VerifyError::Evidence { principal, why }));
}

#[test]
fn approvals_and_requests_hold_with_every_kind_of_key() {
    for [one, two] in [
        [ed25519(1), p256(2)],
        [p256(1), ed25519(2)],
        [Person::new(1, "ecdsa-p256", "ecdsa-sha256-p1363"), p256(2)],
        [Person::new(1, "ecdsa-p384", "ecdsa-sha384"), ed25519(2)],
    ] {
        let asked = two.sign(ROLE_REQUESTER, "please, and for good\n");
        let verified =
            verdict(vec![one.sign(ROLE_APPROVER, &approval_text()), asked.clone()]).unwrap();
        let approval = &verified.approvals[0];
        assert_eq!(verified.approvals.len(), 1);
        assert_eq!(approval.signer.principal, PrincipalId([1; 16]));
        assert_eq!(approval.signer.scheme.as_str(), one.scheme());
        assert_eq!(approval.requester, PrincipalId([0xa1; 16]));
        assert_eq!(approval.reason, "contract \"ended\"");
        let requests: Vec<_> =
            verified.requests.iter().map(|request| request.statement.as_str()).collect();
        assert_eq!(requests, ["please, and for good\n"]);
        assert_eq!(verified.requests[0].signer.principal, PrincipalId([2; 16]));
        assert_ne!(
            verified.requests[0].signer.public_key_sha256,
            approval.signer.public_key_sha256
        );
    }
    let nobody = verdict(Vec::new()).unwrap();
    assert_eq!((nobody.approvals.len(), nobody.requests.len()), (0, 0));
    let most = (1..=16).map(|at| ed25519(at).sign(ROLE_APPROVER, &approval_text()));
    let most = most.chain([p256(17).sign(ROLE_REQUESTER, "x")]).collect();
    assert_eq!(verdict(most).unwrap().approvals.len(), 16);
}

#[test]
fn the_verdict_is_told_in_words() {
    let mut parts = approved();
    parts.detail.scheduled_by =
        Some(Actor { id: PrincipalId([0xa2; 16]), name: "Bob\u{1b}[2J".to_owned() });
    parts.detail.revoked = vec![PrincipalId([9; 16])];
    let proof = issue(&parts, &signer(1)).to_proof().unwrap();
    let text = verify(proof.as_bytes(), &log_key()).unwrap().explain();
    for words in [
        "approved by principal 01010101010101010101010101010101, signature holds (ed25519, public",
        "request abababababababababababababababab by principal a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",
        r#"for the reason "contract \"ended\"", and was good until 2026-09-22T14:13:20.000Z."#,
        "asked for by principal a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1, signature holds (ed25519, public",
        r#"What was signed: "DELETE /v1/keys/c3c3\n"."#,
        "(principal a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2) had scheduled.",
        "Principal 09090909090909090909090909090909 went with it.",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(!text.contains('\u{1b}'), "names cannot draw on a terminal");
}

#[test]
fn altered_statements_and_signatures_are_refused() {
    for person in [ed25519(1), p256(1)] {
        let good = person.sign(ROLE_APPROVER, &approval_text());
        for (from, to) in [("ended", "renewed"), ("2026-09-22", "2027-09-22"), ("abab", "abac")] {
            let statement = good.statement.replacen(from, to, 1);
            assert_ne!(statement, good.statement);
            refused(
                vec![SignedStatement { statement, ..good.clone() }],
                1,
                EvidenceFault::Signature,
            );
        }
        for at in [0, good.signature.len() / 2, good.signature.len() - 1] {
            let mut bad = good.clone();
            bad.signature[at] ^= 1;
            refused(vec![bad], 1, EvidenceFault::Signature);
        }
        let mut bad = good.clone();
        bad.signature.pop();
        refused(vec![bad], 1, EvidenceFault::Signature);
        let mut bad = good.clone();
        bad.signature.push(0);
        refused(vec![bad], 1, EvidenceFault::Signature);
        // A request is free in its text, not in its signature.
        let mut asked = person.sign(ROLE_REQUESTER, "please");
        asked.statement.push('!');
        refused(vec![asked], 1, EvidenceFault::Signature);
    }
}

#[test]
fn signatures_by_other_keys_are_refused() {
    let pairs = [(ed25519(1), ed25519(2)), (p256(1), p256(2))];
    for (person, other) in pairs {
        let mut stolen = person.sign(ROLE_APPROVER, &approval_text());
        stolen.public_key_der = other.sign(ROLE_APPROVER, "x").public_key_der;
        refused(vec![stolen], 1, EvidenceFault::Signature);
    }
    let good = p256(1).sign(ROLE_APPROVER, &approval_text());
    let with = |scheme: &str, public_key_der: Vec<u8>| {
        vec![SignedStatement { scheme: scheme.to_owned(), public_key_der, ..good.clone() }]
    };
    let own = good.public_key_der.clone();
    let foreign = ed25519(1).sign(ROLE_APPROVER, "x").public_key_der;
    refused(with("ecdsa-sha256", foreign), 1, EvidenceFault::PublicKey);
    refused(with("ed25519", own.clone()), 1, EvidenceFault::PublicKey);
    refused(with("rsa-pss-sha256", own.clone()), 1, EvidenceFault::PublicKey);
    refused(with("ml-dsa-65", own.clone()), 1, EvidenceFault::PublicKey);
    refused(with("ecdsa-sha256", own[1..].to_vec()), 1, EvidenceFault::PublicKey);
    refused(with("ecdsa-sha256", [&own[..], &[0]].concat()), 1, EvidenceFault::PublicKey);
    refused(with("ecdsa-sha256-p1363", own.clone()), 1, EvidenceFault::Signature);
    for scheme in ["slh-dsa-sha2-128s", "ECDSA-SHA256", "ecdsa-sha256 ", "none", "hmac-sha256"] {
        let unknown = EvidenceFault::UnknownScheme(scheme.to_owned());
        refused(with(scheme, own.clone()), 1, unknown);
    }
}

#[test]
fn approvals_of_something_else_are_refused() {
    #[track_caller]
    fn check(from: &str, to: &str, why: EvidenceFault) {
        let good = approval_text();
        assert!(good.contains(from), "{from}");
        refused(vec![ed25519(1).sign(ROLE_APPROVER, &good.replacen(from, to, 1))], 1, why);
    }
    check("key c3", "key c4", EvidenceFault::OtherKey);
    check("realm d4", "realm d5", EvidenceFault::OtherRealm);
    check("operation key.destroy", "operation key.export", EvidenceFault::OtherOperation);
    check("operation key.destroy", "operation key.destroyed", EvidenceFault::OtherOperation);
    let (asked, own) = ("a1".repeat(16), "01".repeat(16));
    check(&asked, &own, EvidenceFault::OwnRequest);
}

/// The destruction was asked for at 2026-09-21T14:13:20.000Z.
#[test]
fn an_approval_that_was_over_is_told() {
    #[track_caller]
    fn check(expires: &str, had_expired: bool) {
        let text = approval_text().replacen("2026-09-22T14:13:20.000Z", expires, 1);
        let verified = verdict(vec![ed25519(1).sign(ROLE_APPROVER, &text)]).unwrap();
        assert_eq!(verified.approvals[0].had_expired, had_expired);
        let told = verified.explain().contains("That was over when the destruction was asked for.");
        assert_eq!(told, had_expired);
    }
    check("2026-09-21T14:13:20.001Z", false);
    check("2026-09-21T14:13:20.000Z", true);
    check("2026-09-21T14:13:19.999Z", true);
}

#[test]
fn other_spellings_of_approvals_are_refused() {
    let key = format!("key {}\n", "c3".repeat(16));
    let other_key = format!("key {}\n", "c4".repeat(16));
    let twice = format!("{other_key}{key}");
    for (from, to) in [
        ("lethe-approval/v1", "lethe-approval/v2"),
        ("lethe-approval/v1\n", ""),
        ("lethe-approval/v1\n", "lethe-approval/v1\r\n"),
        ("lethe-approval/v1\n", "\nlethe-approval/v1\n"),
        ("approval ab", "approval AB"),
        ("approval ab", "approval  ab"),
        ("approval ab", "approval ab0"),
        ("realm d4", "Realm d4"),
        (key.as_str(), ""),
        (key.as_str(), twice.as_str()),
        ("operation key.destroy\n", ""),
        ("13:20.000Z", "13:20Z"),
        ("13:20.000Z", "13:20.000+00:00"),
        ("requester a1", "requester "),
        ("reason contract", "reason\tcontract"),
        ("\"ended\"\n", "\"ended\""),
        ("\"ended\"\n", "\"ended\"\n\n"),
        ("\"ended\"\n", "\"ended\"\nnote and the other keys too\n"),
        ("\"ended\"\n", &format!("\"ended\"\n{key}")),
    ] {
        let text = approval_text();
        assert!(text.contains(from), "{from}");
        let text = text.replacen(from, to, 1);
        refused(vec![p256(1).sign(ROLE_APPROVER, &text)], 1, EvidenceFault::NotAnApproval);
    }
    for text in ["x", "\n", "lethe-approval/v1\n", "lethe-erasure/v1\n41 42\n"] {
        refused(vec![p256(1).sign(ROLE_APPROVER, text)], 1, EvidenceFault::NotAnApproval);
    }
    // The reason is the requester's words: it may be empty, and look like anything on its line.
    for reason in ["", "key c4c4", "\u{2028}\u{1b}"] {
        let text = approval_text().replacen("contract \"ended\"", reason, 1);
        let verified = verdict(vec![p256(1).sign(ROLE_APPROVER, &text)]).unwrap();
        assert_eq!(verified.approvals[0].reason, reason);
    }
}

#[test]
fn nobody_approves_twice() {
    let text = approval_text();
    let one = ed25519(1).sign(ROLE_APPROVER, &text);
    refused(vec![one.clone(), one.clone()], 1, EvidenceFault::Duplicate);
    let other_key = p256(1).sign(ROLE_APPROVER, &text);
    refused(vec![one.clone(), other_key], 1, EvidenceFault::Duplicate);
    let other = ed25519(2).sign(ROLE_APPROVER, &text);
    refused(vec![one.clone(), other, one.clone()], 1, EvidenceFault::Duplicate);
    let second = approval_text().replacen("approval abab", "approval cdcd", 1);
    let again = ed25519(1).sign(ROLE_APPROVER, &second);
    refused(vec![one.clone(), again], 1, EvidenceFault::Duplicate);
    // To ask again, sooner, is no vote; nor is it one to ask after having approved of another's.
    let asked = ed25519(1).sign(ROLE_REQUESTER, "please");
    let verified = verdict(vec![one.clone(), asked.clone(), asked]).unwrap();
    assert_eq!((verified.approvals.len(), verified.requests.len()), (1, 2));
    // Under another name the same signature still holds: who a key belongs to is the server's
    // word, and the fingerprints in the verdict show that they are the same.
    let renamed = SignedStatement { principal: PrincipalId([2; 16]), ..one.clone() };
    let verified = verdict(vec![one, renamed]).unwrap();
    let prints: Vec<_> = verified.approvals.iter().map(|a| a.signer.public_key_sha256).collect();
    assert_eq!(prints[0], prints[1]);
}

#[test]
fn evidence_that_the_entry_does_not_commit_to_is_refused() {
    let one = ed25519(1).sign(ROLE_APPROVER, &approval_text());
    let two = p256(2).sign(ROLE_APPROVER, &approval_text());
    let good = receipt_with(vec![one.clone(), two.clone()]);
    for evidence in [vec![], vec![one.clone()], vec![two.clone(), one.clone()]] {
        let mut lied = good.clone();
        lied.detail.evidence = evidence;
        let proof = lied.to_proof().unwrap();
        assert_eq!(verify(proof.as_bytes(), &log_key()), Err(VerifyError::Detail));
    }
    let mut lied = good.clone();
    lied.detail.scheduled_by = Some(lied.detail.actor.clone());
    let proof = lied.to_proof().unwrap();
    assert_eq!(verify(proof.as_bytes(), &log_key()), Err(VerifyError::Detail));
    let mut lied = good;
    lied.detail.revoked.push(PrincipalId([1; 16]));
    let proof = lied.to_proof().unwrap();
    assert_eq!(verify(proof.as_bytes(), &log_key()), Err(VerifyError::Detail));
}

#[test]
fn evidence_in_another_form_is_refused_before_anything_is_checked() {
    let proof = receipt_with(vec![ed25519(1).sign(ROLE_APPROVER, &approval_text())]);
    let proof = proof.to_proof().unwrap();
    let check = |from: &str, to: &str| {
        let mut parsed: TlogProof = proof.parse().unwrap();
        let extra = String::from_utf8(parsed.extra).unwrap();
        assert!(extra.contains(from), "{from}");
        parsed.extra = extra.replacen(from, to, 1).into_bytes();
        let refusal = verify(parsed.to_string().as_bytes(), &log_key()).unwrap_err();
        assert!(matches!(refusal, VerifyError::Receipt(_)), "{refusal:?} for {to}");
        refusal
    };
    let canonical = VerifyError::Receipt(ReceiptError::Extra(JsonError::NotCanonical));
    assert_eq!(check(r#""unusable_since""#, r#""revoked":[],"unusable_since""#), canonical);
    let ordered = r#""role":"approver","scheme":"ed25519""#;
    assert_eq!(check(ordered, r#""scheme":"ed25519","role":"approver""#), canonical);
    check(r#""role":"approver""#, r#""role":"auditor""#);
    check(r#""scheme":"ed25519""#, r#""scheme":"ed25519","hash":"none""#);
    check(r#""scheme":"ed25519","#, "");
    check(r#""evidence":["#, r#""evidence":[[],"#);
    let start = proof.parse::<TlogProof>().unwrap().extra;
    let start = String::from_utf8(start).unwrap();
    let from = start.find("{\"principal\"").unwrap();
    let one = &start[from..start.find("],\"exported\"").unwrap()];
    let many = vec![one; EVIDENCE_STATEMENTS_MAX + 1].join(",");
    let invalid = VerifyError::Receipt(ReceiptError::Detail(JsonError::Invalid("evidence")));
    assert_eq!(check(one, &many), invalid);
}

/// A destruction that waited: the approval was good when it was scheduled, which is what counts.
#[test]
fn an_approval_may_expire_while_the_destruction_waits() {
    let mut parts = approved();
    parts.detail.unusable_since = UnixMillis(1_800_000_000_000);
    let proof = issue(&parts, &signer(1)).to_proof().unwrap();
    assert_eq!(verify(proof.as_bytes(), &log_key()).unwrap().approvals.len(), 1);
}
