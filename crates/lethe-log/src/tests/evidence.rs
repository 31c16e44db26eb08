//! What a destruction can tell beside the plain facts: who scheduled it, what went with it, who
//! signed what. Exact text, bounds, refused spellings.

use lethe_types::{KeyId, PrincipalId, RealmId, UnixMillis, VaultId};

use super::fixture::{detail, receipt};
use crate::{
    Actor, Commitment, DETAIL_BYTES_MAX, DestroyedDetail, EVIDENCE_AUTHENTICATOR_BYTES_MAX,
    EVIDENCE_KEY_BYTES_MAX, EVIDENCE_SCHEME_BYTES_MAX, EVIDENCE_SIGNATURE_BYTES_MAX,
    EVIDENCE_STATEMENT_BYTES_MAX, EVIDENCE_STATEMENTS_MAX, JsonError, RECEIPT_BYTES_MAX,
    ROLE_APPROVER, ROLE_REQUESTER, Receipt, ReceiptError, Salt, SignedStatement, Subject,
    VersionDetail, is_person_present, signed_bytes,
};

const FULL: &str = concat!(
    r#"{"actor":{"id":"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1","name":"Ada"},"#,
    r#""algorithm":"aes256-gcm","aliases":["tag-1"],"#,
    r#""derived_from":"c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4","#,
    r#""evidence":[{"principal":"01010101010101010101010101010101","public_key_der":"MCow","#,
    r#""role":"approver","scheme":"ed25519","signature":"AQIDBA==","#,
    r#""statement":"lethe-approval/v1\nreason \"x\"\n"},"#,
    r#"{"principal":"02020202020202020202020202020202","public_key_der":"MCow","#,
    r#""role":"requester","scheme":"ed25519","signature":"AQIDBA==","#,
    r#""statement":"lethe-approval/v1\nreason \"x\"\n"}],"#,
    r#""exported":false,"imported":false,"#,
    r#""last_used":null,"name":"customer 7","reason":"contract ended","#,
    r#""requested":"2026-09-21T14:13:20.000Z","#,
    r#""revoked":["09090909090909090909090909090909","08080808080808080808080808080808"],"#,
    r#""scheduled_by":{"id":"a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2","name":"Bob"},"#,
    r#""unusable_since":"2026-09-21T14:13:20.005Z","#,
    r#""vault":"b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2","#,
    r#""versions":[{"created":"2026-05-28T20:26:40.000Z","version":1}]}"#,
);

fn signed(role: &str, principal: u8) -> SignedStatement {
    SignedStatement {
        role: role.parse().unwrap(),
        principal: PrincipalId([principal; 16]),
        scheme: "ed25519".to_owned(),
        statement: "lethe-approval/v1\nreason \"x\"\n".to_owned(),
        public_key_der: b"\x30\x2a\x30".to_vec(),
        signature: vec![1, 2, 3, 4],
        request: None,
        authenticator_data: None,
    }
}

fn full() -> DestroyedDetail {
    DestroyedDetail {
        derived_from: Some(KeyId([0xc4; 16])),
        evidence: vec![signed(ROLE_APPROVER, 1), signed(ROLE_REQUESTER, 2)],
        revoked: vec![PrincipalId([9; 16]), PrincipalId([8; 16])],
        scheduled_by: Some(Actor { id: PrincipalId([0xa2; 16]), name: "Bob".to_owned() }),
        ..detail()
    }
}

#[test]
fn each_of_the_four_members_is_there_only_if_it_says_something() {
    assert_eq!(full().to_json().unwrap(), FULL);
    assert_eq!(DestroyedDetail::parse(FULL), Ok(full()));
    let names = ["evidence", "revoked", "scheduled_by", "derived_from"];
    for bits in 0_usize..16 {
        let mut some = full();
        if bits & 1 == 0 {
            some.evidence.clear();
        }
        if bits & 2 == 0 {
            some.revoked.clear();
        }
        if bits & 4 == 0 {
            some.scheduled_by = None;
        }
        if bits & 8 == 0 {
            some.derived_from = None;
        }
        let text = some.to_json().unwrap();
        for (at, name) in names.iter().enumerate() {
            assert_eq!(text.contains(&format!("\"{name}\":")), bits >> at & 1 == 1, "{text}");
        }
        assert_eq!(DestroyedDetail::parse(&text), Ok(some.clone()));
        let whole = Receipt { detail: some, ..receipt() };
        assert_eq!(Receipt::parse_proof(&whole.to_proof().unwrap()), Ok(whole.clone()));
        let read = Receipt::read(whole.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(read.receipt, whole);
        let statement = whole.statement().unwrap();
        for (at, name) in names.iter().enumerate() {
            assert_eq!(statement.contains(&format!("\"{name}\":")), bits >> at & 1 == 1);
        }
    }
}

#[test]
fn the_statement_of_a_receipt_names_signers_and_leaves_what_they_signed_to_the_opening() {
    let whole = Receipt { detail: full(), ..receipt() };
    let statement = whole.statement().unwrap();
    let signers = concat!(
        r#""evidence":[{"principal":"01010101010101010101010101010101","role":"approver"},"#,
        r#"{"principal":"02020202020202020202020202020202","role":"requester"}]"#,
    );
    assert!(statement.contains(signers), "{statement}");
    assert!(!statement.contains("lethe-approval/v1"));
    assert!(whole.opening().unwrap().contains(r#""statement":"lethe-approval/v1\n"#));
}

#[test]
fn other_spellings_are_refused() {
    #[track_caller]
    fn check(from: &str, to: &str) {
        assert!(FULL.contains(from), "{from}");
        let text = FULL.replacen(from, to, 1);
        assert!(DestroyedDetail::parse(&text).is_err(), "{text}");
    }
    // Empty where it must be absent.
    let plain = detail().to_json().unwrap();
    for (from, member) in [
        ("\"exported\"", r#""evidence":[],"exported""#),
        ("\"unusable_since\"", r#""revoked":[],"unusable_since""#),
    ] {
        let text = plain.replacen(from, member, 1);
        assert_eq!(DestroyedDetail::parse(&text), Err(JsonError::NotCanonical), "{text}");
    }
    let null = plain.replacen("\"unusable_since\"", r#""scheduled_by":null,"unusable_since""#, 1);
    assert_eq!(DestroyedDetail::parse(&null), Err(JsonError::Invalid("scheduled_by")));
    check(r#""evidence":[{"#, r#""evidence":[null,{"#);
    check(r#""revoked":["#, r#""revoked":[null,"#);
    check(r#""revoked":["09"#, r#""revoked":["0X"#);
    check(r#""revoked":["#, r#""Revoked":["#);
    check(r#""name":"Bob""#, r#""name":"Bob","more":1"#);
    check(r#","name":"Bob""#, "");
    // Order of members, inside and outside.
    check(r#""role":"approver","scheme":"ed25519""#, r#""scheme":"ed25519","role":"approver""#);
    check(r#""exported":false,"imported":false"#, r#""imported":false,"exported":false"#);
    check(r#""role":"approver""#, r#""role":"witness""#);
    check(r#""role":"approver""#, r#""role":"Approver""#);
    check(r#""role":"approver","#, "");
    check(r#""role":"approver""#, r#""role":"approver","sex":1"#);
    check(r#""principal":"0101"#, r#""principal":"1""#);
    check(r#""signature":"AQIDBA==""#, r#""signature":"AQIDBA""#);
    check(r#""signature":"AQIDBA==""#, r#""signature":"AQIDBB==""#);
    check(r#""signature":"AQIDBA==""#, r#""signature":"""#);
    check(r#""signature":"AQIDBA==""#, r#""signature":[1,2,3,4]"#);
    check(r#""public_key_der":"MCow""#, r#""public_key_der":"""#);
    check(r#""scheme":"ed25519""#, r#""scheme":"""#);
    check(r#""scheme":"ed25519""#, r#""scheme":"ed2\u00355519""#);
    check(r#""statement":"lethe-approval/v1\n"#, r#""statement":"lethe-approval/v1\u000a"#);
}

#[test]
fn evidence_outside_of_its_bounds_is_neither_written_nor_read() {
    #[track_caller]
    fn check(expected: Result<(), &'static str>, change: impl FnOnce(&mut SignedStatement)) {
        let mut detail = full();
        change(&mut detail.evidence[0]);
        let written = detail.to_json();
        assert_eq!(written.clone().map(drop), expected.map_err(JsonError::Invalid));
        if let Ok(text) = written {
            assert_eq!(DestroyedDetail::parse(&text), Ok(detail));
        }
    }
    check(Ok(()), |_| ());
    check(Err("role"), |signed| signed.role = "witness".parse().unwrap());
    check(Ok(()), |signed| signed.scheme = "s".repeat(EVIDENCE_SCHEME_BYTES_MAX));
    check(Err("scheme"), |signed| signed.scheme = "s".repeat(EVIDENCE_SCHEME_BYTES_MAX + 1));
    check(Err("scheme"), |signed| signed.scheme.clear());
    let text = |bytes| "t".repeat(bytes);
    check(Ok(()), |signed| signed.statement = text(EVIDENCE_STATEMENT_BYTES_MAX));
    check(Err("statement"), |signed| signed.statement = text(EVIDENCE_STATEMENT_BYTES_MAX + 1));
    check(Err("statement"), |signed| signed.statement.clear());
    check(Ok(()), |signed| signed.public_key_der = vec![7; EVIDENCE_KEY_BYTES_MAX]);
    check(Err("public_key_der"), |signed| {
        signed.public_key_der = vec![7; EVIDENCE_KEY_BYTES_MAX + 1];
    });
    check(Err("public_key_der"), |signed| signed.public_key_der.clear());
    check(Ok(()), |signed| signed.signature = vec![7; EVIDENCE_SIGNATURE_BYTES_MAX]);
    check(Err("signature"), |signed| signed.signature = vec![7; EVIDENCE_SIGNATURE_BYTES_MAX + 1]);
    check(Err("signature"), |signed| signed.signature.clear());
}

#[test]
fn one_statement_too_many_is_refused_by_writer_and_reader() {
    let mut many = full();
    many.evidence = vec![signed(ROLE_APPROVER, 1); EVIDENCE_STATEMENTS_MAX];
    let text = many.to_json().unwrap();
    assert_eq!(DestroyedDetail::parse(&text), Ok(many.clone()));
    let from = "\"evidence\":[";
    let mut one = full();
    one.evidence.truncate(1);
    let one = one.to_json().unwrap();
    let (start, end) = (one.find(from).unwrap() + from.len(), one.find("],\"exported").unwrap());
    let more = text.replacen(from, &format!("{from}{},", &one[start..end]), 1);
    assert_eq!(DestroyedDetail::parse(&more), Err(JsonError::Invalid("evidence")));
    many.evidence.push(signed(ROLE_APPROVER, 1));
    assert_eq!(many.to_json(), Err(JsonError::Invalid("evidence")));
}

/// Approvals with the longest reason, signed with RSA of 4,096 bits, beside all versions and
/// aliases that a key can have.
#[test]
fn the_evidence_of_the_strictest_policy_fits_a_receipt() {
    let mut whole = receipt();
    let mut approval = signed(ROLE_APPROVER, 1);
    approval.statement = "x".repeat(1_400);
    approval.public_key_der = vec![7; 550];
    approval.signature = vec![7; 512];
    whole.detail = DestroyedDetail {
        evidence: vec![approval.clone(); EVIDENCE_STATEMENTS_MAX],
        versions: vec![VersionDetail { created: UnixMillis(0), version: u32::MAX }; 1_000],
        aliases: vec!["a".repeat(512); 16],
        reason: "r".repeat(1_024),
        ..full()
    };
    let json = whole.to_json().unwrap();
    assert!(json.len() < RECEIPT_BYTES_MAX);
    assert_eq!(Receipt::read(json.as_bytes()).unwrap().receipt, whole);
    // What a single statement may have at most, 17 times, is more than a detail can hold: it is
    // refused before anything is committed to.
    approval.statement = "x".repeat(EVIDENCE_STATEMENT_BYTES_MAX);
    approval.public_key_der = vec![7; EVIDENCE_KEY_BYTES_MAX];
    approval.signature = vec![7; EVIDENCE_SIGNATURE_BYTES_MAX];
    let largest = DestroyedDetail { evidence: vec![approval.clone(); 7], ..detail() };
    assert!(largest.to_json().unwrap().len() < DETAIL_BYTES_MAX);
    let beyond = DestroyedDetail { evidence: vec![approval; 8], ..detail() };
    assert_eq!(beyond.to_json(), Err(JsonError::Range));
    let whole = Receipt { detail: beyond, ..receipt() };
    assert_eq!(whole.to_proof(), Err(ReceiptError::Detail(JsonError::Range)));
    let crowd = DestroyedDetail { revoked: vec![PrincipalId([1; 16]); 3_800], ..detail() };
    assert_eq!(crowd.to_json(), Err(JsonError::Range));
}

#[test]
fn subjects_of_every_kind_have_one_text() {
    let realm = RealmId([0xd4; 16]);
    let of_realm = Subject::Realm { realm };
    assert_eq!(of_realm.to_json(), r#"{"realm":"d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4"}"#);
    let subjects = [
        of_realm,
        Subject::Key { key: KeyId([1; 16]), realm },
        Subject::Principal { principal: PrincipalId([1; 16]), realm },
        Subject::Vault { realm, vault: VaultId([1; 16]) },
    ];
    let salt = Salt([3; 32]);
    for (at, subject) in subjects.into_iter().enumerate() {
        let whole = Receipt { subject, ..receipt() };
        assert_eq!(Receipt::parse_proof(&whole.to_proof().unwrap()), Ok(whole.clone()));
        let expected = if matches!(subject, Subject::Key { .. }) { None } else { Some(()) };
        assert_eq!(whole.key().err().map(|_| ()), expected);
        for other in &subjects[at + 1..] {
            let (one, other) =
                (Commitment::to_subject(&salt, &subject), Commitment::to_subject(&salt, other));
            assert_ne!(one, other);
        }
    }
    let proof = Receipt { subject: of_realm, ..receipt() }.to_proof().unwrap();
    let altered = |to: &str| {
        let mut parsed: crate::TlogProof = proof.parse().unwrap();
        let extra = String::from_utf8(parsed.extra).unwrap();
        let from = r#""subject":{"realm":"d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4"}"#;
        assert!(extra.contains(from));
        parsed.extra = extra.replacen(from, to, 1).into_bytes();
        Receipt::parse_proof(&parsed.to_string())
    };
    for to in [
        r#""subject":{}"#,
        r#""subject":{"realm":"d4"}"#,
        r#""subject":{"realm":"d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4","vaults":1}"#,
        r#""subject":{"realm":"d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4","vault":null}"#,
    ] {
        assert!(matches!(altered(to), Err(ReceiptError::Detail(_))), "{to}");
    }
}

#[test]
fn what_a_challenge_stands_for_is_there_only_for_requesters() {
    let request = |len: usize| Some("r".repeat(len));
    let with = |role: &str, request| SignedStatement { request, ..signed(role, 2) };
    let one = DestroyedDetail { evidence: vec![with(ROLE_REQUESTER, request(9))], ..detail() };
    let text = one.to_json().unwrap();
    assert!(text.contains(r#""request":"rrrrrrrrr","role":"requester""#), "{text}");
    assert_eq!(DestroyedDetail::parse(&text), Ok(one));
    assert_eq!(with(ROLE_REQUESTER, request(EVIDENCE_STATEMENT_BYTES_MAX)).check(), Ok(()));
    for bad in [
        with(ROLE_REQUESTER, request(0)),
        with(ROLE_REQUESTER, request(EVIDENCE_STATEMENT_BYTES_MAX + 1)),
        with(ROLE_APPROVER, request(9)),
    ] {
        assert_eq!(bad.check(), Err(JsonError::Invalid("request")));
    }
}

#[test]
fn authenticator_data_are_there_only_with_what_a_challenge_stands_for() {
    let with = |request: Option<&str>, data: Option<usize>| SignedStatement {
        request: request.map(str::to_owned),
        authenticator_data: data.map(|len| vec![1; len]),
        ..signed(ROLE_REQUESTER, 2)
    };
    let one = DestroyedDetail { evidence: vec![with(Some("r"), Some(3))], ..detail() };
    let text = one.to_json().unwrap();
    assert!(text.contains(r#"{"authenticator_data":"AQEB","principal":"#), "{text}");
    assert_eq!(DestroyedDetail::parse(&text), Ok(one));
    assert_eq!(with(Some("r"), Some(EVIDENCE_AUTHENTICATOR_BYTES_MAX)).check(), Ok(()));
    for bad in [
        with(Some("r"), Some(0)),
        with(Some("r"), Some(EVIDENCE_AUTHENTICATOR_BYTES_MAX + 1)),
        with(None, Some(37)),
    ] {
        assert_eq!(bad.check(), Err(JsonError::Invalid("authenticator_data")));
    }
}

#[test]
fn a_passkey_signs_its_data_and_the_hash_of_the_statement() {
    assert_eq!(&*signed_bytes("abc", None), b"abc");
    let bytes = signed_bytes("abc", Some(&[7, 8]));
    assert_eq!(bytes[..2], [7, 8]);
    // SHA-256 of "abc", FIPS 180-2 appendix B.1.
    assert_eq!(bytes[2..6], [0xba, 0x78, 0x16, 0xbf]);
    assert_eq!(bytes.len(), 34);
    let data = |flags: u8, len: usize| {
        let mut data = vec![0xff; len];
        data[32] = flags;
        data
    };
    for (flags, len, holds) in
        [(1, 37, true), (5, 60, true), (0, 37, false), (4, 37, false), (1, 36, false)]
    {
        assert_eq!(is_person_present(&data(flags, len)), holds, "{flags} {len}");
    }
    assert!(!is_person_present(&[]));
}
